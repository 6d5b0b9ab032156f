//! What was planted: the answer key of the demo company, written to `planted.json` beside the exports.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;

/// The answer key. Everything the generator made that is not listed under `exceptions` is meant to be clean.
#[derive(Clone, Debug, Serialize)]
pub struct Planted {
    pub as_of: Date,
    pub seed: u64,
    pub exceptions: Vec<PlantedException>,
    pub groups: Vec<PlantedGroup>,
    /// Pairs of policies in force at the same time that contradict each other on purpose.
    pub conflicts: Vec<PlantedConflict>,
    /// Tickets whose text tries to give orders to whoever reads it.
    pub hostile_tickets: Vec<String>,
}

/// One planted case.
#[derive(Clone, Debug, Serialize)]
pub struct PlantedException {
    pub kind: &'static str,
    /// Kind of the record that carries the exception, as in the mapping.
    pub record_kind: &'static str,
    /// External ids of those records; more than one when the case needs both (a duplicate and its original).
    pub ids: Vec<String>,
    pub facts: Vec<PlantedFact>,
    pub why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<&'static str>,
}

/// A field, what stands there, and the limit it breaks; both as text, money with two decimals, dates ISO.
#[derive(Clone, Debug, Serialize)]
pub struct PlantedFact {
    pub field: String,
    pub value: String,
    pub limit: String,
}

/// Cases with one cause.
#[derive(Clone, Debug, Serialize)]
pub struct PlantedGroup {
    pub id: &'static str,
    pub cause: String,
    pub shared: BTreeMap<&'static str, String>,
    pub members: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PlantedConflict {
    pub documents: [&'static str; 2],
    pub about: &'static str,
    pub says: BTreeMap<&'static str, Value>,
}

impl Planted {
    pub(super) fn new(as_of: Date, seed: u64) -> Self {
        let conflict = PlantedConflict {
            documents: ["POL-014", "POL-023"],
            about: "How long a customer may wait to report transport damage",
            says: BTreeMap::from([
                ("POL-014", "7 calendar days after delivery".into()),
                ("POL-023", "14 calendar days after delivery".into()),
            ]),
        };
        Self {
            as_of,
            seed,
            exceptions: Vec::new(),
            groups: Vec::new(),
            conflicts: vec![conflict],
            hostile_tickets: Vec::new(),
        }
    }

    /// Records one case.
    pub(super) fn add(
        &mut self,
        kind: &'static str,
        record_kind: &'static str,
        ids: &[&str],
        why: impl Into<String>,
    ) -> &mut PlantedException {
        self.exceptions.push(PlantedException {
            kind,
            record_kind,
            ids: ids.iter().map(ToString::to_string).collect(),
            facts: Vec::new(),
            why: why.into(),
            group: None,
        });
        self.exceptions.last_mut().expect("just pushed")
    }

    /// Closes a group over the cases that were marked with `id`.
    pub(super) fn close_group(
        &mut self,
        id: &'static str,
        cause: impl Into<String>,
        shared: BTreeMap<&'static str, String>,
    ) {
        let members =
            self.exceptions.iter().filter(|case| case.group == Some(id)).map(|case| case.ids[0].clone()).collect();
        self.groups.push(PlantedGroup { id, cause: cause.into(), shared, members });
    }
}

impl PlantedException {
    /// Adds a fact.
    pub(super) fn fact(&mut self, field: impl Into<String>, value: impl ToString, limit: impl ToString) -> &mut Self {
        self.facts.push(PlantedFact { field: field.into(), value: value.to_string(), limit: limit.to_string() });
        self
    }

    pub(super) fn in_group(&mut self, id: &'static str) -> &mut Self {
        self.group = Some(id);
        self
    }
}
