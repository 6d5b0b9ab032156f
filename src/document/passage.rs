//! From chunk ids back to text: the check in SQL that every hit of the index has to pass.
//!
//! The index is never believed: a hit counts only if the chunk is of the document's current version, document and source live, the
//! caller is in the audience, and the document holds on the day asked about.

use std::collections::HashMap;

use ingest::FieldSpan;
use serde::Serialize;
use sqlx::Row;
use utoipa::ToSchema;

use super::{day_of, visible_to};
use crate::store::TenantTx;
use crate::store::bulk;

/// A chunk with its verbatim text and where it stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PassageText {
    pub chunk_id: String,
    pub document_id: String,
    pub version: i64,
    pub source: String,
    pub external_id: String,
    pub kind: String,
    pub title: String,
    pub policy_id: Option<String>,
    pub record_id: Option<String>,
    pub effective_from: Option<String>,
    pub effective_to: Option<String>,
    pub heading_path: Vec<String>,
    /// From 1, where the passage begins; absent for formats without pages.
    pub page: Option<usize>,
    /// Byte span in the document's text.
    pub start: i64,
    pub end: i64,
    pub tokens: i64,
    pub text: String,
    /// When the source was last synced completely; absent: never.
    pub synced_at_us: Option<i64>,
    pub seen_at_us: i64,
    /// Byte offset of the document's text at which each page begins; empty for formats without pages.
    #[serde(skip)]
    pub pages: Vec<usize>,
    /// Whether its vector is written; until then only the keyword leg can find it.
    #[serde(skip)]
    pub embedded: bool,
}

/// A record's card at its current version.
#[derive(Debug, Clone)]
pub struct CardText {
    pub document_id: String,
    pub version: i64,
    pub title: String,
    pub text: String,
    pub spans: Vec<FieldSpan>,
    pub record_version: Option<i64>,
    pub source: String,
    pub synced_at_us: Option<i64>,
    pub seen_at_us: i64,
}

/// The passages among `chunk_ids` that the caller may see and that hold on `on_day` (days since 1970-01-01; `None`: any day).
pub async fn load(
    tx: &mut TenantTx,
    chunk_ids: &[String],
    audiences: &[String],
    on_day: Option<i64>,
) -> sqlx::Result<HashMap<String, PassageText>> {
    let head = "SELECT c.chunk_id, c.document_id, c.version, s.name, d.external_id, d.kind, d.title, d.policy_id, d.record_id, \
                d.effective_from_day, d.effective_to_day, d.superseded_from_day, c.heading_path, c.span_start, c.span_end, c.tokens, \
                d.audience, s.synced_at_us, v.seen_at_us, v.body, c.dense_state, d.meta \
                FROM chunk c JOIN document d ON d.tenant_id = c.tenant_id AND d.document_id = c.document_id AND d.version = c.version \
                JOIN document_version v ON v.tenant_id = c.tenant_id AND v.document_id = c.document_id AND v.version = c.version \
                JOIN source s ON s.tenant_id = d.tenant_id AND s.source_id = d.source_id \
                WHERE c.tenant_id = $1 AND d.deleted_at_us IS NULL AND s.deleted_at_us IS NULL AND c.chunk_id IN";
    let mut passages = HashMap::new();
    for row in bulk::select_in(tx, head, &[], chunk_ids, "").await? {
        if !visible_to(&row.try_get::<String, _>(16)?, audiences) {
            continue;
        }
        let from: Option<i64> = row.try_get(9)?;
        let ends =
            [row.try_get(10)?, row.try_get::<Option<i64>, _>(11)?.map(|day| day - 1)].into_iter().flatten().min();
        if on_day.is_some_and(|day| from.is_some_and(|from| day < from) || ends.is_some_and(|to| day > to)) {
            continue;
        }
        let (start, end): (i64, i64) = (row.try_get(13)?, row.try_get(14)?);
        let body: String = row.try_get(19)?;
        let Some(text) = slice(&body, start, end) else { continue };
        let date = |number: Option<i64>| number.and_then(day_of).map(|day| day.to_string());
        let pages = pages(&row.try_get::<String, _>(21)?);
        let passage = PassageText {
            chunk_id: row.try_get(0)?,
            document_id: row.try_get(1)?,
            version: row.try_get(2)?,
            source: row.try_get(3)?,
            external_id: row.try_get(4)?,
            kind: row.try_get(5)?,
            title: row.try_get(6)?,
            policy_id: row.try_get(7)?,
            record_id: row.try_get(8)?,
            effective_from: date(from),
            effective_to: date(ends),
            heading_path: serde_json::from_str(&row.try_get::<String, _>(12)?).unwrap_or_default(),
            start,
            end,
            tokens: row.try_get(15)?,
            text: text.to_owned(),
            synced_at_us: row.try_get(17)?,
            seen_at_us: row.try_get(18)?,
            page: usize::try_from(start).ok().and_then(|start| ingest::document::page_at(&pages, start)),
            pages,
            embedded: row.try_get::<i64, _>(20)? == 1,
        };
        passages.insert(passage.chunk_id.clone(), passage);
    }
    Ok(passages)
}

fn pages(meta: &str) -> Vec<usize> {
    // Nearly all documents have none: the text is not parsed for nothing.
    if !meta.contains("\"pages\"") {
        return Vec::new();
    }
    serde_json::from_str::<ingest::DocumentMeta>(meta).map(|meta| meta.pages).unwrap_or_default()
}

/// The bytes `start..end` of a text, if that is a span of it.
pub fn slice(text: &str, start: i64, end: i64) -> Option<&str> {
    text.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

/// What goes into the index for a chunk: its headings (the title among them) and its text.
pub fn indexed_text(heading_path: &[String], text: &str) -> String {
    if heading_path.is_empty() { text.to_owned() } else { format!("{}\n{text}", heading_path.join(" > ")) }
}
