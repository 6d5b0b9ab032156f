//! What a search is allowed to see. Built by callers, turned into an engine's filter by the one builder per backend.

use uuid::Uuid;

/// A filter without an audience would show every chunk to everyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a search needs at least one audience")]
pub struct EmptyAudience;

/// Restricts a search. The audience is mandatory; everything else narrows further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    audience: Vec<String>,
    kinds: Option<Vec<String>>,
    sources: Option<Vec<Uuid>>,
    documents: Option<Vec<Uuid>>,
    effective_on: Option<i64>,
}

impl Filter {
    /// A filter for somebody who belongs to `audience`: a chunk matches when it names at least one of these.
    ///
    /// Empty names are dropped first; with nothing left it is refused.
    pub fn for_audience(audience: impl IntoIterator<Item = String>) -> Result<Self, EmptyAudience> {
        let audience: Vec<String> = audience.into_iter().filter(|name| !name.trim().is_empty()).collect();
        if audience.is_empty() {
            return Err(EmptyAudience);
        }
        Ok(Self { audience, kinds: None, sources: None, documents: None, effective_on: None })
    }

    /// Only chunks of these kinds. An empty list matches nothing.
    #[must_use]
    pub fn kinds(mut self, kinds: Vec<String>) -> Self {
        self.kinds = Some(kinds);
        self
    }

    /// Only chunks from these sources. An empty list matches nothing.
    #[must_use]
    pub fn sources(mut self, sources: Vec<Uuid>) -> Self {
        self.sources = Some(sources);
        self
    }

    /// Only chunks of these documents. An empty list matches nothing.
    #[must_use]
    pub fn documents(mut self, documents: Vec<Uuid>) -> Self {
        self.documents = Some(documents);
        self
    }

    /// Only chunks valid on this day (days since 1970-01-01).
    #[must_use]
    pub fn effective_on(mut self, day: i64) -> Self {
        self.effective_on = Some(day);
        self
    }

    /// True when a list that is present is empty, so that no chunk can match and the engine need not be asked.
    pub(super) fn matches_nothing(&self) -> bool {
        self.kinds.as_ref().is_some_and(Vec::is_empty)
            || self.sources.as_ref().is_some_and(Vec::is_empty)
            || self.documents.as_ref().is_some_and(Vec::is_empty)
    }

    pub(super) fn parts(&self) -> FilterParts<'_> {
        FilterParts {
            audience: &self.audience,
            kinds: self.kinds.as_deref(),
            sources: self.sources.as_deref(),
            documents: self.documents.as_deref(),
            effective_on: self.effective_on,
        }
    }
}

/// A borrowed view for the backends' builders, which take it apart exhaustively: a new field does not compile until every
/// backend filters by it.
pub(super) struct FilterParts<'a> {
    pub audience: &'a [String],
    pub kinds: Option<&'a [String]>,
    pub sources: Option<&'a [Uuid]>,
    pub documents: Option<&'a [Uuid]>,
    pub effective_on: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_without_an_audience_is_not_expressible() {
        assert_eq!(Filter::for_audience([]), Err(EmptyAudience));
        assert_eq!(Filter::for_audience([String::new(), "  ".into()]), Err(EmptyAudience));
    }

    #[test]
    fn an_empty_list_matches_nothing_rather_than_everything() {
        let filter = Filter::for_audience(["agent".into()]).unwrap();
        assert!(!filter.matches_nothing());
        assert!(filter.clone().kinds(vec![]).matches_nothing());
        assert!(filter.clone().sources(vec![]).matches_nothing());
        assert!(filter.documents(vec![]).matches_nothing());
    }
}
