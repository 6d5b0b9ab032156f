//! Showing a stored answer again: only what its citations still stand on, for whoever looks at it now.
//!
//! A source that was deleted, a document taken out of the caller's audience, a role that was lost: what rested on them is marked withdrawn
//! and its text is not shown. Anything in the answer object that points at a document or a record is checked, known or not.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value, json};

use crate::access::Principal;
use crate::document;
use crate::record;
use crate::store::TenantTx;

/// Fields of an answer that are shown when part of it was withdrawn; everything else may repeat what was.
const SHOWN_IN_PART: [&str; 10] = [
    "answer_id",
    "rung",
    "abstained",
    "claims",
    "citations",
    "retrieval",
    "prompt_version",
    "model",
    "checks",
    "withdrawn",
];

/// The answer object as `caller` may see it now.
pub async fn redisplay(tx: &mut TenantTx, caller: &Principal, mut answer: Value) -> sqlx::Result<Value> {
    let (mut documents, mut records) = (BTreeSet::new(), BTreeSet::new());
    collect(&answer, &mut documents, &mut records);
    let audiences = caller.audiences();
    let documents: Vec<String> = documents.into_iter().collect();
    let records: Vec<String> = records.into_iter().collect();
    let readable = Readable {
        versions: document::citable(tx, &documents, &audiences).await?,
        records: record::visible(tx, &records, &audiences).await?,
    };
    unresolve(tx, &audiences, &mut answer).await?;
    let mut withdrawn = 0;
    withdraw(&mut answer, &readable, &mut withdrawn);
    if withdrawn > 0 {
        in_part(&mut answer);
    }
    Ok(answer)
}

struct Readable {
    versions: HashSet<(String, i64)>,
    records: HashSet<String>,
}

impl Readable {
    /// Whether everything that an object points at may be read.
    fn holds(&self, object: &Map<String, Value>) -> bool {
        let document = object.get("document_id").and_then(Value::as_str).is_none_or(|id| {
            let version = object.get("version").and_then(Value::as_i64);
            match version {
                Some(version) => self.versions.contains(&(id.to_owned(), version)),
                None => self.versions.iter().any(|(known, _)| known == id),
            }
        });
        let record = object.get("record_id").and_then(Value::as_str).is_none_or(|id| self.records.contains(id));
        document && record
    }
}

fn collect(value: &Value, documents: &mut BTreeSet<String>, records: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            documents.extend(object.get("document_id").and_then(Value::as_str).map(str::to_owned));
            records.extend(object.get("record_id").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| collect(value, documents, records));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, documents, records)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What identifiers of the question resolved to is shown as far as it would resolve now.
async fn unresolve(tx: &mut TenantTx, audiences: &[String], answer: &mut Value) -> sqlx::Result<()> {
    let Some(identifiers) = answer.pointer_mut("/understood/identifiers").and_then(Value::as_array_mut) else {
        return Ok(());
    };
    for identifier in identifiers {
        let Some(named) = identifier.get_mut("records").and_then(Value::as_array_mut) else { continue };
        let mut kept = Vec::new();
        for one in named.drain(..) {
            let parts = one.as_str().and_then(|text| text.split_once('/'));
            let Some((kind, id)) = parts else { continue };
            if !record::find(tx, kind, id, audiences).await?.is_empty() {
                kept.push(one);
            }
        }
        *named = kept;
    }
    Ok(())
}

/// Replaces every object that points at something unreadable, anywhere in the answer. Citations keep their number.
fn withdraw(value: &mut Value, readable: &Readable, withdrawn: &mut usize) {
    match value {
        Value::Object(object) => {
            let inner_gone =
                object.get("record").and_then(Value::as_object).is_some_and(|record| !readable.holds(record));
            if !readable.holds(object) || inner_gone {
                *withdrawn += 1;
                let number = object.get("n").cloned();
                *value = json!({ "withdrawn": true });
                if let Some(number) = number {
                    value["n"] = number;
                }
                return;
            }
            object.values_mut().for_each(|value| withdraw(value, readable, withdrawn));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| withdraw(item, readable, withdrawn)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The answer without the claims that rested on what was withdrawn, and without what may repeat them.
fn in_part(answer: &mut Value) {
    let gone: Vec<i64> = answer["citations"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|citation| citation["withdrawn"] == true)
        .filter_map(|citation| citation["n"].as_i64())
        .collect();
    let mut lines = Vec::new();
    let mut withdrawn = 0;
    for claim in answer["claims"].as_array_mut().into_iter().flatten() {
        let cites: Vec<i64> = claim["citations"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
        if cites.iter().any(|n| gone.contains(n)) || claim["withdrawn"] == true {
            *claim = json!({ "text": "", "citations": [], "withdrawn": true });
            withdrawn += 1;
        } else {
            let marks: String = cites.iter().map(|n| format!(" [{n}]")).collect();
            lines.push(format!("{}{marks}", claim["text"].as_str().unwrap_or_default()));
        }
    }
    lines.push(format!("Withdrawn: {withdrawn} statements whose source was removed or is not open to you any more."));
    let policies_on = answer["understood"]["policies_on"].take();
    if let Some(object) = answer.as_object_mut() {
        object.retain(|name, _| SHOWN_IN_PART.contains(&name.as_str()));
    }
    answer["text"] = lines.join("\n").into();
    answer["withdrawn"] = withdrawn.into();
    answer["not_found"] = json!([]);
    answer["understood"] = json!({ "identifiers": [], "policies_on": policies_on });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Value {
        json!({
            "answer_id": "a", "text": "Paid. [1]\nHeld. [2]", "not_found": ["x"], "rows": [{ "record_id": "r2", "total": "9" }],
            "claims": [{ "text": "Paid.", "citations": [1] }, { "text": "Held.", "citations": [2] }],
            "citations": [
                { "n": 1, "document_id": "d1", "version": 1, "quote": "paid" },
                { "n": 2, "document_id": "d2", "version": 3, "quote": "secret", "record": { "record_id": "r2" } },
            ],
            "understood": { "policies_on": "2026-01-01", "question": "secret?" },
        })
    }

    fn shown(versions: &[(&str, i64)], records: &[&str]) -> Value {
        let readable = Readable {
            versions: versions.iter().map(|(id, version)| ((*id).to_owned(), *version)).collect(),
            records: records.iter().map(|id| (*id).to_owned()).collect(),
        };
        let (mut value, mut withdrawn) = (answer(), 0);
        withdraw(&mut value, &readable, &mut withdrawn);
        if withdrawn > 0 {
            in_part(&mut value);
        }
        value
    }

    #[test]
    fn what_may_be_read_is_shown_as_it_was_given() {
        assert_eq!(shown(&[("d1", 1), ("d2", 3)], &["r2"]), answer());
    }

    #[test]
    fn what_may_not_is_withdrawn_wherever_it_stands() {
        for value in
            [shown(&[("d1", 1)], &["r2"]), shown(&[("d1", 1), ("d2", 3)], &[]), shown(&[("d1", 1), ("d2", 2)], &["r2"])]
        {
            let text = value.to_string();
            assert!(!text.contains("secret") && !text.contains("Held") && !text.contains("\"9\""), "{text}");
            assert_eq!(value["claims"][0]["text"], "Paid.");
            assert_eq!(value["claims"][1]["withdrawn"], true);
            assert_eq!(value["citations"][1], json!({ "n": 2, "withdrawn": true }));
            assert_eq!(value["withdrawn"], 1);
        }
    }
}
