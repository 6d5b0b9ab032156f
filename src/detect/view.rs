//! What detectors see: one record and the few others its rules ask for. Values only; `load` fills it from SQL.

use std::collections::HashMap;
use std::sync::Arc;

use ingest::{Record, RecordKind};
use jiff::civil::Date;

use super::calendar::Calendar;
use super::custom::Compiled;
use super::finding::Involved;
use super::settings::Settings;

/// A stored record at the version that is looked at.
#[derive(Debug, Clone)]
pub struct Entry {
    pub record_id: String,
    pub source_id: String,
    pub version: i64,
    /// Who may see it, as names.
    pub audience: Vec<String>,
    pub record: Record,
}

impl Entry {
    pub fn involved(&self) -> Involved {
        Involved {
            record_id: self.record_id.clone(),
            kind: self.record.kind.as_str().to_owned(),
            external_id: self.record.external_id.clone(),
            version: self.version,
        }
    }
}

/// Which records of a kind that refer to another are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Only {
    All,
    /// Those that are not finished, see `project::is_open`.
    Open,
    /// Those whose own day is this day or later (days since 1970-01-01).
    Since(i64),
}

/// Something a rule wants to look at beside its record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The record of that kind with that id, or that number.
    One(RecordKind, String),
    /// Records of `kind` that refer to `target` with that id.
    Referring { kind: RecordKind, target: RecordKind, id: String, only: Only },
    /// Records of a kind with the same match key, see `project::match_key`.
    SameKey(RecordKind, String),
}

/// The records asked for.
#[derive(Debug, Default)]
pub struct View {
    found: HashMap<Need, Vec<Arc<Entry>>>,
}

impl View {
    pub fn insert(&mut self, need: Need, entries: Vec<Arc<Entry>>) {
        self.found.insert(need, entries);
    }

    /// What was found; nothing when it was not asked for.
    pub fn all(&self, need: &Need) -> &[Arc<Entry>] {
        self.found.get(need).map_or(&[], Vec::as_slice)
    }

    /// The record with that id. Of several sources the subject's own first, then by record id.
    pub fn one(&self, near: &Entry, kind: RecordKind, id: &str) -> Option<&Arc<Entry>> {
        let found = self.all(&Need::One(kind, id.to_owned()));
        found.iter().find(|entry| entry.source_id == near.source_id).or_else(|| found.first())
    }
}

/// When, and by which limits.
pub struct Scene<'a> {
    pub settings: &'a Settings,
    pub calendar: &'a Calendar,
    pub rules: &'a [Compiled],
    pub today: Date,
}
