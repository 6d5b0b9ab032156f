//! The identifier router: what a question names, looked up exactly.

use std::ops::Range;

use ingest::{Identifier, identifiers_in};

use crate::access::Principal;
use crate::ids::SourceId;
use crate::record::{self, Found};
use crate::store::Store;

/// One mention in the question and the records that carry that identifier.
#[derive(Debug, Clone)]
pub struct Identified {
    /// Byte range in the question.
    pub range: Range<usize>,
    /// As written.
    pub shown: String,
    /// Whether the mention can only be an identifier (an e-mail address, letters and digits mixed), so that finding nothing is worth saying.
    pub certain: bool,
    /// Best reading first; empty when nothing carries it, or nothing the caller may see.
    pub records: Vec<Found>,
    /// Something carried it, of a kind or source that was not asked for.
    pub outside: bool,
}

/// Leaves only records of the kinds and sources asked for.
pub fn restrict(identified: &mut [Identified], kinds: Option<&[String]>, sources: Option<&[SourceId]>) {
    for one in identified {
        let before = one.records.len();
        one.records.retain(|found| found.is_among(kinds, sources));
        one.outside = one.records.len() < before;
    }
}

/// Mentions in the question, in order. One that is no identifier of anything is dropped unless it looks like nothing else.
pub async fn identify(store: &Store, caller: &Principal, question: &str) -> sqlx::Result<Vec<Identified>> {
    let mut found = Vec::new();
    let mut tx = store.begin_read(caller.tenant).await?;
    for (range, candidates) in identifiers_in(question) {
        let records = record::identified(&mut tx, &candidates, &caller.audiences()).await?;
        let records = best_reading(&candidates, records);
        let shown = question.get(range.clone()).unwrap_or_default().to_owned();
        let mixed = shown.chars().any(char::is_alphabetic) && shown.chars().any(|c| c.is_ascii_digit());
        let certain = mixed || shown.contains('@') || shown.starts_with('#');
        if !records.is_empty() || certain {
            found.push(Identified { range, shown, certain, records, outside: false });
        }
    }
    Ok(found)
}

/// Candidates come best first: records of a worse reading count only when a better one found none.
fn best_reading(candidates: &[Identifier], records: Vec<(Identifier, Found)>) -> Vec<Found> {
    let position = |identifier: &Identifier| candidates.iter().position(|candidate| candidate == identifier);
    let Some(best) = records.iter().filter_map(|(identifier, _)| position(identifier)).min() else { return Vec::new() };
    let mut records: Vec<Found> = records
        .into_iter()
        .filter(|(identifier, _)| position(identifier) == Some(best))
        .map(|(_, found)| found)
        .collect();
    records.sort_by(|a, b| carries_own(b).cmp(&carries_own(a)).then(a.record.kind.cmp(&b.record.kind)));
    records
}

/// A record is named by its own number rather than by a number it refers to.
fn carries_own(found: &Found) -> bool {
    found.record.fields.contains_key("number") || found.record.fields.contains_key("sku")
}
