//! Records a text is about although it names some of them only in passing: "Ann Bakker, 19031, the kettle I ordered".
//!
//! After `identify` and the legs. What carries an identifier comes first, as written. Then the customer or supplier whose name stands in
//! the text is looked for by keyword, made sure of in SQL by what else the text says of them, and followed over its links. Nothing is
//! guessed: without a name that stands in the text, whole, no party is taken.

use std::collections::{HashMap, HashSet};

use ingest::schema::contains_phrase;
use ingest::text::for_matching;
use ingest::{FieldType, Value, schema};

use super::{Identified, Legs, Query, RetrieveError, search};
use crate::access::Principal;
use crate::config::RetrieveConfig;
use crate::index::Index;
use crate::record::{self, Found};
use crate::store::Store;
use crate::vector::terms;

/// Kinds of record that others belong to and that a text names by name.
const PARTIES: [&str; 2] = ["customer", "supplier"];
/// Parties that keyword search may propose.
const PROPOSED: usize = 20;
/// Parties of one name that are followed when nothing tells them apart.
const NAMESAKES: usize = 3;
/// Records of one party that are looked at, newest first.
const LINKED: usize = 100;
/// Shorter values ("US", "12") stand in a text by chance.
const CONFIRMING_BYTES: usize = 4;

/// Why a record is taken to be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The text holds an identifier of it.
    Identifier,
    /// A party whose name stands in the text.
    Name,
    /// It belongs to a party that the text names.
    Party,
}

/// A record with why it is taken to be meant.
#[derive(Debug, Clone)]
pub struct About {
    pub because: Because,
    /// The party it belongs to, as `customer/C-7`; set with [`Because::Party`].
    pub party: Option<String>,
    pub found: Found,
}

/// Records that `text` is about, best first, each once, at most `limit`: those it identifies in its own order, then the parties it names,
/// then what belongs to them, the most like the text first.
pub async fn about(
    store: &Store,
    index: &Index,
    config: &RetrieveConfig,
    caller: &Principal,
    text: &str,
    identified: &[Identified],
    limit: usize,
) -> Result<Vec<About>, RetrieveError> {
    let named = identified.iter().flat_map(|one| &one.records).cloned();
    let mut all: Vec<About> = named.map(|found| About { because: Because::Identifier, party: None, found }).collect();
    let words = for_matching(text);
    let mut parties: Vec<Found> = all.iter().filter(|one| is_party(&one.found)).map(|one| one.found.clone()).collect();
    for party in by_name(store, index, config, caller, text, &words).await? {
        if !parties.iter().any(|known| known.id == party.id) {
            all.push(About { because: Because::Name, party: None, found: party.clone() });
            parties.push(party);
        }
    }
    let mut belonging = Vec::new();
    let mut tx = store.begin_read(caller.tenant).await?;
    for party in &parties {
        let (kind, id) = (party.record.kind.as_str(), &party.record.external_id);
        let name = format!("{kind}/{id}");
        let linked = record::linked(&mut tx, kind, id, &caller.audiences(), LINKED).await?;
        let about = |found| About { because: Because::Party, party: Some(name.clone()), found };
        belonging.extend(linked.into_iter().map(about));
    }
    drop(tx);
    all.extend(most_alike_first(text, belonging));
    let mut seen = HashSet::new();
    all.retain(|one| seen.insert(one.found.id));
    all.truncate(limit);
    Ok(all)
}

fn is_party(found: &Found) -> bool {
    PARTIES.contains(&found.record.kind.as_str())
}

/// Parties whose name stands in the text; of several with one name those of which the text says most besides.
async fn by_name(
    store: &Store,
    index: &Index,
    config: &RetrieveConfig,
    caller: &Principal,
    text: &str,
    words: &str,
) -> Result<Vec<Found>, RetrieveError> {
    let query = Query {
        text: text.to_owned(),
        kinds: Some(PARTIES.map(str::to_owned).to_vec()),
        limit: PROPOSED,
        legs: Legs::Keywords,
        ..Query::default()
    };
    let proposed = search(store, index, config, caller, &query).await?;
    let mut named: Vec<(String, usize, Found)> = Vec::new();
    let mut tx = store.begin_read(caller.tenant).await?;
    for id in proposed.hits.iter().filter_map(|hit| hit.passage.record_id.as_deref()?.parse().ok()) {
        let Some(found) = record::get(&mut tx, id, &caller.audiences()).await? else { continue };
        let known = named.iter().any(|(.., other)| other.id == found.id);
        if let (Some((name, confirmed)), false) = (named_in(&found, words), known) {
            named.push((name, confirmed, found));
        }
    }
    let mut best: HashMap<String, usize> = HashMap::new();
    for (name, confirmed, _) in &named {
        let most = best.entry(name.clone()).or_default();
        *most = (*most).max(*confirmed);
    }
    named.retain(|(name, confirmed, _)| best.get(name) == Some(confirmed));
    let mut taken: HashMap<String, usize> = HashMap::new();
    named.retain(|(name, ..)| {
        let count = taken.entry(name.clone()).or_default();
        *count += 1;
        *count <= NAMESAKES
    });
    Ok(named.into_iter().map(|(.., found)| found).collect())
}

/// The party's name, if it stands in the text as whole words, and how many of its other texts (postal code, city, phone) do too.
fn named_in(found: &Found, words: &str) -> Option<(String, usize)> {
    let schema = schema(found.record.kind);
    let name = for_matching(found.record.text(schema.title_field)?);
    // One common word is no name by which anybody is recognised.
    if name.len() < CONFIRMING_BYTES || !contains_phrase(words, &name) {
        return None;
    }
    let others = schema.fields.iter().filter(|spec| spec.kind == FieldType::Text && spec.name != schema.title_field);
    let confirmed = others
        .filter_map(|spec| found.record.text(spec.name))
        .map(for_matching)
        .filter(|value| value.len() >= CONFIRMING_BYTES && contains_phrase(words, value))
        .count();
    Some((name, confirmed))
}

/// Orders records by what they share with the text: each common word counts more the fewer of them hold it. Ties stay as they were.
fn most_alike_first(text: &str, records: Vec<About>) -> Vec<About> {
    let held: Vec<HashSet<u32>> = records.iter().map(|one| words_of(&one.found)).collect();
    let weight = |word: u32| {
        let holders = held.iter().filter(|words| words.contains(&word)).count() as f64;
        (1.0 + (held.len() as f64 - holders + 0.5) / (holders + 0.5)).ln()
    };
    let weights: Vec<(u32, f64)> = terms(text).into_iter().map(|word| (word, weight(word))).collect();
    let score = |words: &HashSet<u32>| -> f64 {
        weights.iter().filter(|(word, _)| words.contains(word)).map(|(_, weight)| weight).sum()
    };
    let mut scored: Vec<(f64, About)> = held.iter().map(score).zip(records).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().map(|(_, one)| one).collect()
}

/// Words of a record's texts, those of its lines included.
fn words_of(found: &Found) -> HashSet<u32> {
    let fields = std::iter::once(&found.record.fields).chain(&found.record.lines);
    fields.flat_map(|fields| fields.values()).filter_map(Value::as_text).flat_map(terms).collect()
}

#[cfg(test)]
mod tests {
    use ingest::{Record, RecordKind};
    use uuid::Uuid;

    use super::*;
    use crate::ids::RecordId;

    fn found(n: u128, kind: RecordKind, fields: &[(&str, &str)]) -> Found {
        let mut record = Record::new(kind, format!("R-{n}"));
        record.fields = fields.iter().map(|(name, value)| ((*name).to_owned(), Value::text(*value))).collect();
        Found {
            id: RecordId(Uuid::from_u128(n)),
            source: "erp".into(),
            source_id: String::new(),
            version: 1,
            record,
            seen_at_us: 0,
            synced_at_us: None,
        }
    }

    #[test]
    fn a_party_is_named_by_its_whole_name_and_confirmed_by_the_rest() {
        let ann =
            found(1, RecordKind::Customer, &[("name", "Ann Bakker"), ("postal_code", "19031"), ("country", "US")]);
        let words = for_matching("Hi, I am ann bakker (zip 19031, US) and my kettle leaks");
        assert_eq!(named_in(&ann, &words), Some(("ann bakker".into(), 1)));
        assert_eq!(named_in(&ann, &for_matching("Ann asks for Mr Bakker")), None);
        assert_eq!(named_in(&ann, &for_matching("joann bakkers")), None);
    }

    #[test]
    fn what_shares_rarer_words_with_the_text_comes_first() {
        let order = |n, note| About {
            because: Because::Party,
            party: None,
            found: found(n, RecordKind::Order, &[("status", "delivered"), ("note", note)]),
        };
        let orders = vec![order(1, "desk lamp"), order(2, "electric kettle"), order(3, "wall clock")];
        let ranked = most_alike_first("Return the delivered electric kettle, please.", orders);
        assert_eq!(ranked[0].found.id.0, Uuid::from_u128(2));
        assert_eq!(ranked[1].found.id.0, Uuid::from_u128(1), "ties keep their order");
    }
}
