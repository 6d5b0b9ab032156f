//! One push: records and documents of one source, one transaction, one audit event with the digest of every version it wrote.

use futures::FutureExt;
use futures::future::BoxFuture;
use ingest::Document;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::Row;
use utoipa::ToSchema;

use super::runs::run_for;
use super::{SourceError, ensure};
use crate::audit::{self, Action, Actor, Event};
use crate::canonical::{self, sha256_hex};
use crate::document::{self, Change};
use crate::ids::{BatchId, DocumentId, RunId, SourceId};
use crate::record::{self, Applied, IncomingRecord};
use crate::store::TenantTx;

/// What one push contains, prepared (chunked) before its transaction begins.
#[derive(Debug, Default)]
pub struct Batch {
    pub records: Vec<IncomingRecord>,
    pub documents: Vec<IncomingDocument>,
}

/// A document on its way in, cut into chunks; its id needs the source.
#[derive(Debug)]
pub struct IncomingDocument {
    document: Document,
    audience: Vec<String>,
    chunks: Vec<ingest::Chunk>,
}

impl IncomingDocument {
    /// CPU-bound; an empty audience means everyone, unless the document itself names one.
    pub fn prepare(document: Document, audience: Vec<String>) -> Self {
        let (document, audience) = settled(document, audience);
        let chunks = ingest::chunk_document(&document, ingest::MAX_TOKENS);
        Self { document, audience, chunks }
    }
}

/// A document with its title cut to what headings may have, and who may see it: its own word, else the push's, else everyone.
pub(super) fn settled(mut document: Document, audience: Vec<String>) -> (Document, Vec<String>) {
    let cut = (0..=ingest::chunk::HEADING_BYTES).rev().find(|at| document.title.is_char_boundary(*at));
    document.title.truncate(cut.unwrap_or(0));
    let audience = [document.meta.audience.clone(), audience, vec!["everyone".to_owned()]]
        .into_iter()
        .find(|audience| !audience.is_empty())
        .unwrap_or_default();
    (document, audience)
}

/// What a push did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct BatchReport {
    pub records: Applied,
    pub documents: DocumentsApplied,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct DocumentsApplied {
    pub created: u64,
    pub changed: u64,
    pub unchanged: u64,
}

/// Applies a push in the caller's transaction. `run`: the sync run it belongs to, if any.
pub async fn apply(
    tx: &mut TenantTx,
    actor: &Actor,
    source: &str,
    run: Option<RunId>,
    batch: Batch,
    now: Timestamp,
) -> Result<BatchReport, SourceError> {
    let source = ensure(tx, actor, source, now).await?;
    let run = run_for(tx, source, run).await?;
    let id = BatchId::mint();
    let records = record::upsert(tx, source, run, id, batch.records, now).await?;
    let incoming = batch.documents.into_iter().map(|document| incoming(tx, source, document)).collect();
    let changes = document::upsert(tx, source, run, id, incoming, now).await?;
    let count = |wanted: Change| changes.iter().filter(|change| **change == wanted).count() as u64;
    let report = BatchReport {
        records,
        documents: DocumentsApplied {
            created: count(Change::Created),
            changed: count(Change::Changed),
            unchanged: count(Change::Unchanged),
        },
    };
    let id_text = id.to_string();
    // Nothing written: nothing changed, so there is nothing to audit.
    if let Some(state_sha256) = batch_digest(tx, &id_text, false).await? {
        let event = Event {
            actor,
            action: Action::BatchIngested,
            resource: format!("batch:{id}"),
            state_sha256: Some(state_sha256),
            details: json!({ "source": source, "records": report.records, "documents": report.documents }),
        };
        audit::append(tx, event, now).await?;
    }
    Ok(report)
}

fn incoming(tx: &TenantTx, source: SourceId, incoming: IncomingDocument) -> document::Incoming {
    let IncomingDocument { document, audience, chunks } = incoming;
    document::Incoming {
        document: DocumentId(ingest::document_id(tx.tenant().0, source.0, &document.external_id)),
        external_id: document.external_id,
        kind: document.kind.as_str().to_owned(),
        title: document.title,
        text: document.text,
        spans: None,
        record: None,
        meta: document.meta,
        audience,
        chunks,
    }
}

/// For audit verification: the digest of a batch recomputed from the stored texts themselves.
pub fn batch_state<'a>(tx: &'a mut TenantTx, id: &'a str) -> BoxFuture<'a, sqlx::Result<Option<String>>> {
    batch_digest(tx, id, true).boxed()
}

/// SHA-256 over one line for each version the batch wrote, in order of id and version; `None` when it wrote none. A line holds everything
/// a version says: its text by hash, as stored and as computed, and every other column.
///
/// `from_text`: hash the texts again instead of trusting the stored hashes.
async fn batch_digest(tx: &mut TenantTx, batch: &str, from_text: bool) -> sqlx::Result<Option<String>> {
    let statements = if from_text {
        [
            "SELECT record_id, version, body_sha256, seen_at_us, source_time_us, NULL, NULL, NULL, body FROM record_version \
             WHERE tenant_id = $1 AND batch_id = $2 ORDER BY record_id, version",
            "SELECT document_id, version, body_sha256, seen_at_us, record_version, title, audience, spans, body FROM document_version \
             WHERE tenant_id = $1 AND batch_id = $2 ORDER BY document_id, version",
        ]
    } else {
        [
            "SELECT record_id, version, body_sha256, seen_at_us, source_time_us, NULL, NULL, NULL FROM record_version \
             WHERE tenant_id = $1 AND batch_id = $2 ORDER BY record_id, version",
            "SELECT document_id, version, body_sha256, seen_at_us, record_version, title, audience, spans FROM document_version \
             WHERE tenant_id = $1 AND batch_id = $2 ORDER BY document_id, version",
        ]
    };
    let mut lines = String::new();
    for statement in statements {
        let rows = sqlx::query(statement).bind(tx.tenant_text()).bind(batch.to_owned()).fetch_all(tx.conn()).await?;
        for row in &rows {
            lines.push_str(&digest_line(row, from_text)?);
            lines.push('\n');
        }
    }
    Ok(if lines.is_empty() { None } else { Some(sha256_hex(lines)) })
}

fn digest_line(row: &sqlx::any::AnyRow, from_text: bool) -> sqlx::Result<String> {
    let (id, version, stored): (String, i64, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let computed = if from_text { sha256_hex(row.try_get::<String, _>(8)?) } else { stored.clone() };
    let (seen_at_us, number): (i64, Option<i64>) = (row.try_get(3)?, row.try_get(4)?);
    let texts: [Option<String>; 3] = [row.try_get(5)?, row.try_get(6)?, row.try_get(7)?];
    Ok(canonical::to_text(&json!([id, version, computed, stored, seen_at_us, number, texts])))
}
