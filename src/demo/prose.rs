//! The hand-written half of the demo company: policies, runbooks, demo questions and the mapping.
//!
//! Dates in them hang on `as_of` through the placeholder `{{as_of-120d}}` (any number of days, `+` for later).

use include_dir::{Dir, include_dir};
use jiff::civil::Date;
use serde::Deserialize;

use super::value::day;

static POLICIES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/demo/policies");
static RUNBOOKS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/demo/runbooks");
const QUESTIONS: &str = include_str!("questions.json");
pub(super) const MAPPING: &str = include_str!("mapping.toml");

const OPENING: &str = "{{as_of";
const CLOSING: &str = "}}";

/// A question about the demo company (with `DEFAULT_SEED`) whose answer is known.
#[derive(Clone, Debug, Deserialize)]
pub struct Question {
    pub id: String,
    pub question: String,
    /// Each of these stands in a right answer.
    pub expected: Vec<String>,
    /// Policies and runbooks by id, of which one at least is cited.
    #[serde(default)]
    pub documents: Vec<String>,
    /// `kind/external id` of the records that are cited.
    #[serde(default)]
    pub records: Vec<String>,
    /// One of the three that `make demo` asks.
    #[serde(default)]
    pub tour: bool,
}

/// The demo questions with dates resolved.
pub fn questions(as_of: Date) -> Vec<Question> {
    serde_json::from_str(&resolve(QUESTIONS, as_of)).expect("compiled in and tested")
}

/// Policies and runbooks with dates resolved, sorted by path.
pub(super) fn files(as_of: Date) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (folder, dir) in [("policies", &POLICIES), ("runbooks", &RUNBOOKS)] {
        for file in dir.files() {
            let text = file.contents_utf8().expect("prose is UTF-8");
            files.push((format!("{folder}/{}", file.path().display()), resolve(text, as_of).into_bytes()));
        }
    }
    files.sort();
    files
}

/// A text with its date placeholders (`{{as_of-150d}}`) as the days they are on `as_of`.
pub fn dated(text: &str, as_of: Date) -> String {
    resolve(text, as_of)
}

/// Replaces every date placeholder; what only looks like one stays as it is.
fn resolve(text: &str, as_of: Date) -> String {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(OPENING) {
        let (before, candidate) = rest.split_at(start);
        resolved.push_str(before);
        let inner = candidate[OPENING.len()..].split_once(CLOSING);
        match inner.and_then(|(offset, after)| Some((days_of(offset)?, after))) {
            Some((ago, after)) => {
                resolved.push_str(&day(as_of, ago).to_string());
                rest = after;
            }
            None => {
                resolved.push_str(OPENING);
                rest = &candidate[OPENING.len()..];
            }
        }
    }
    resolved.push_str(rest);
    resolved
}

/// Days before `as_of` of an offset like `-120d`, `+3d` or nothing.
fn days_of(offset: &str) -> Option<i64> {
    if offset.is_empty() {
        return Some(0);
    }
    let days: i64 = offset.strip_suffix('d')?.parse().ok()?;
    Some(-days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_dates_relative_to_as_of() {
        let as_of = jiff::civil::date(2026, 3, 10);
        assert_eq!(resolve("from {{as_of-10d}} to {{as_of}}", as_of), "from 2026-02-28 to 2026-03-10");
        assert_eq!(resolve("{{as_of+5d}} {{as_of?}} {{x}}", as_of), "2026-03-15 {{as_of?}} {{x}}");
    }
}
