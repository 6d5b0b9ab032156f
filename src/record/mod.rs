//! Typed ERP records in SQL: the facts. Every version is kept; identifiers are looked up here, never guessed from similarity.
//!
//! After `document` (each record's cards are documents), before `source`, which decides what a push or a sync contains.

pub mod facts;
mod find;
mod history;
pub mod layout;
mod write;

pub use find::{Found, any_of_kind, find, get, identified, linked, many, named, visible};
pub use history::history;
pub use write::{Applied, IncomingRecord, delete, digest, touch, upsert};

use serde::Serialize;
use utoipa::ToSchema;

/// A record as the API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecordView {
    pub record_id: String,
    pub source: String,
    pub kind: String,
    pub external_id: String,
    pub version: i64,
    /// Canonical fields by name; fields of class Cost only for roles that may see them.
    #[schema(value_type = Object)]
    pub fields: serde_json::Value,
    #[schema(value_type = Vec<Object>)]
    pub lines: serde_json::Value,
    /// Fields of the source that no canonical field holds.
    #[schema(value_type = Object)]
    pub extra: serde_json::Value,
    pub source_time_us: Option<i64>,
    pub seen_at_us: i64,
    /// When the source was last synced completely.
    pub synced_at_us: Option<i64>,
}

/// One version in a record's history.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecordVersionView {
    pub version: i64,
    pub seen_at_us: i64,
    pub source_time_us: Option<i64>,
    /// Only for roles that see costs: the hash of a body with one unknown amount in it gives that amount away.
    pub body_sha256: Option<String>,
    /// Where the record comes from, and the push that brought this version (`batch:<id>` in the audit trail).
    pub source: String,
    pub batch_id: String,
    /// Field paths that differ from the version before.
    pub changed: Vec<String>,
    /// What they were and what they are.
    pub changes: Vec<FieldChange>,
}

/// One field that differs between two versions, values as a card prints them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldChange {
    /// As `status`, `lines.2.quantity`.
    pub field: String,
    pub label: String,
    /// Absent: the field was not there.
    pub from: Option<String>,
    /// Absent: it is gone.
    pub to: Option<String>,
}
