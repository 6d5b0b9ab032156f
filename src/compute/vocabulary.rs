//! The words of a tenant's own data that a question may use: values that occur, and names of customers, suppliers and products.

use std::collections::{BTreeMap, HashMap};

use ingest::RecordKind;
use sqlx::Row;

use crate::record::{self, Found};
use crate::store::TenantTx;
use crate::store::bulk;

/// Candidates of one name that are looked at.
const CANDIDATES_MAX: usize = 60;

/// A value that occurs in a field of a kind; empty: the field occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub kind: String,
    pub field: String,
    pub value: String,
}

/// Values of these kinds, at most 5,000.
pub async fn values(tx: &mut TenantTx, kinds: &[&str]) -> sqlx::Result<Vec<Value>> {
    let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    let head = "SELECT kind, field, value FROM record_value WHERE tenant_id = $1 AND kind IN";
    let rows = bulk::select_in(tx, head, &[], &kinds, "ORDER BY kind, field, value LIMIT 5000").await?;
    rows.iter().map(|row| Ok(Value { kind: row.try_get(0)?, field: row.try_get(1)?, value: row.try_get(2)? })).collect()
}

/// A record named in a question: which of the question's words (by position), and the record.
#[derive(Debug, Clone)]
pub struct Named {
    pub words: Vec<usize>,
    pub found: Found,
}

/// Records whose name is among the words of a question. A name counts when all of its words stand in the question in a row (legal forms
/// such as "GmbH" may be left out), or when a row of at least one rare word of it does and no other name has that row.
pub async fn names(tx: &mut TenantTx, words: &[String], audiences: &[String]) -> sqlx::Result<Vec<Named>> {
    let mut unique: Vec<String> = words.iter().filter(|word| word.len() >= 3).cloned().collect();
    unique.sort();
    unique.dedup();
    let head = "SELECT word, record_id FROM record_name WHERE tenant_id = $1 AND word IN";
    let rows = bulk::select_in(tx, head, &[], &unique, "LIMIT 4000").await?;
    let mut hits: HashMap<String, usize> = HashMap::new();
    let mut frequency: HashMap<String, usize> = HashMap::new();
    for row in &rows {
        *hits.entry(row.try_get(1)?).or_default() += 1;
        *frequency.entry(row.try_get(0)?).or_default() += 1;
    }
    let mut ids: Vec<(String, usize)> = hits.into_iter().collect();
    ids.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ids.truncate(CANDIDATES_MAX);
    let ids: Vec<String> = ids.into_iter().map(|(id, _)| id).collect();
    let found = record::many(tx, &ids, audiences).await?;
    Ok(chosen(words, found, &frequency))
}

pub(super) const LEGAL: &[&str] = &[
    "gmbh", "ltd", "bv", "b.v", "inc", "llc", "ag", "kg", "co", "sa", "srl", "oy", "ab", "as", "nv", "plc", "the",
    "and", "of",
];

fn chosen(words: &[String], found: Vec<Found>, frequency: &HashMap<String, usize>) -> Vec<Named> {
    let mut best: Vec<(Named, bool)> = Vec::new();
    for one in found {
        let name = record::facts::name_words(one.record.text("name").unwrap_or_default());
        let core: Vec<&String> = name.iter().filter(|word| !LEGAL.contains(&word.as_str())).collect();
        let Some(run) = longest_run(words, &name) else { continue };
        let whole = core.iter().all(|word| run.iter().any(|at| words[*at] == **word));
        let rare = run.iter().any(|at| {
            frequency.get(&words[*at]).copied().unwrap_or(0) <= 3
                && words[*at].len() >= 4
                && !LEGAL.contains(&words[*at].as_str())
        });
        if whole || rare {
            best.push((Named { words: run, found: one }, whole));
        }
    }
    // A longer run wins over a shorter one at the same place, a whole name over a part of one.
    best.sort_by(|(a, whole_a), (b, whole_b)| b.words.len().cmp(&a.words.len()).then(whole_b.cmp(whole_a)));
    let mut kept: Vec<Named> = Vec::new();
    let mut by_run: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    for (named, whole) in &best {
        if !whole {
            *by_run.entry(named.words.clone()).or_default() += 1;
        }
    }
    for (named, whole) in best {
        let ambiguous = !whole && by_run.get(&named.words).copied().unwrap_or(0) > 1;
        let overlaps = kept
            .iter()
            .any(|other| other.words.iter().any(|at| named.words.contains(at)) && other.words != named.words);
        if !ambiguous && !overlaps {
            kept.push(named);
        }
    }
    kept
}

/// The longest run of consecutive question words that are words of the name, in any order; legal forms inside do not break it.
fn longest_run(words: &[String], name: &[String]) -> Option<Vec<usize>> {
    let mut best: Vec<usize> = Vec::new();
    let mut run: Vec<usize> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if name.contains(word) {
            run.push(at);
            if run.len() > best.len() {
                best.clone_from(&run);
            }
        } else {
            run.clear();
        }
    }
    (!best.is_empty()).then_some(best)
}

/// Kinds whose values matter for questions about `kind`: itself and what it refers to.
pub fn related(kind: RecordKind) -> Vec<RecordKind> {
    let mut kinds = vec![kind];
    for column in &record::layout::layout(kind).columns {
        if let Some(target) = column.spec.link.filter(|target| !kinds.contains(target)) {
            kinds.push(target);
        }
    }
    kinds
}
