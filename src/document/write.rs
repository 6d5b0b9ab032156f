//! Taking documents in: versions, chunk rows and index removals, many at a time, in the caller's transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use ingest::{Chunk, DocumentMeta, FieldSpan};
use jiff::Timestamp;
use serde_json::json;
use sqlx::Row;

use super::{day_number, supersede};
use crate::canonical::{self, sha256_hex};
use crate::ids::{BatchId, DocumentId, RecordId, RunId, SourceId};
use crate::store::TenantTx;
use crate::store::bulk::{self, Bind};

/// A document on its way in.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub document: DocumentId,
    pub external_id: String,
    pub kind: String,
    pub title: String,
    pub text: String,
    /// Record cards only: where each field's value stands.
    pub spans: Option<Vec<FieldSpan>>,
    /// Record cards only: the record and its version.
    pub record: Option<(RecordId, i64)>,
    pub meta: DocumentMeta,
    /// Never empty.
    pub audience: Vec<String>,
    pub chunks: Vec<Chunk>,
}

/// What a push did to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Created,
    Changed,
    Unchanged,
}

struct Present {
    version: i64,
    content_sha256: String,
    live: bool,
}

/// Everything whose change makes a new version: text, title, audience, dates, kind.
pub struct Digested<'a> {
    pub kind: &'a str,
    pub title: &'a str,
    pub text: &'a str,
    pub meta: &'a DocumentMeta,
    pub audience: &'a [String],
    /// Record cards only.
    pub record_version: Option<i64>,
}

/// What is compared to see whether a document changed.
pub fn digest(document: &Digested<'_>) -> String {
    let meta = serde_json::to_value(document.meta).unwrap_or_default();
    sha256_hex(canonical::to_text(&json!([
        document.kind,
        document.title,
        sha256_hex(document.text),
        meta,
        document.audience,
        document.record_version,
    ])))
}

fn content_sha256(incoming: &Incoming) -> String {
    digest(&Digested {
        kind: &incoming.kind,
        title: &incoming.title,
        text: &incoming.text,
        meta: &incoming.meta,
        audience: &incoming.audience,
        record_version: incoming.record.map(|(_, version)| version),
    })
}

/// Writes documents of one source; unchanged ones are only marked as seen. Returns what happened to each, in order.
///
/// Two incoming documents with one id in the same call are the caller's mistake; the last one wins.
pub async fn upsert(
    tx: &mut TenantTx,
    source: SourceId,
    run: RunId,
    batch: BatchId,
    incoming: Vec<Incoming>,
    now: Timestamp,
) -> sqlx::Result<Vec<Change>> {
    let ids: Vec<String> = incoming.iter().map(|document| document.document.to_string()).collect();
    let present = present(tx, &ids).await?;
    let mut changes = Vec::with_capacity(incoming.len());
    let mut changed: BTreeMap<DocumentId, (Incoming, i64, String)> = BTreeMap::new();
    let mut seen = Vec::new();
    for document in incoming {
        let sha256 = content_sha256(&document);
        let (change, version) = match present.get(&document.document.to_string()) {
            Some(old) if old.live && old.content_sha256 == sha256 => (Change::Unchanged, old.version),
            Some(old) => (Change::Changed, old.version + 1),
            None => (Change::Created, 1),
        };
        changes.push(change);
        if change == Change::Unchanged {
            seen.push(document.document.to_string());
        } else {
            changed.insert(document.document, (document, version, sha256));
        }
    }
    touch(tx, run, &seen).await?;
    write_changed(tx, source, run, batch, changed.into_values().collect(), now).await?;
    Ok(changes)
}

/// Marks documents as seen in a run, so that its end does not tombstone them.
pub async fn touch(tx: &mut TenantTx, run: RunId, ids: &[String]) -> sqlx::Result<()> {
    let first = [Bind::from(run.to_string())];
    let head = "UPDATE document SET seen_run_id = $2 WHERE tenant_id = $1 AND document_id IN";
    bulk::execute_in(tx, head, &first, ids, "").await.map(drop)
}

async fn present(tx: &mut TenantTx, ids: &[String]) -> sqlx::Result<HashMap<String, Present>> {
    let head = "SELECT document_id, version, content_sha256, deleted_at_us FROM document WHERE tenant_id = $1 AND document_id IN";
    let rows = bulk::select_in(tx, head, &[], ids, "").await?;
    rows.iter()
        .map(|row| {
            let live = row.try_get::<Option<i64>, _>(3)?.is_none();
            Ok((row.try_get(0)?, Present { version: row.try_get(1)?, content_sha256: row.try_get(2)?, live }))
        })
        .collect()
}

async fn write_changed(
    tx: &mut TenantTx,
    source: SourceId,
    run: RunId,
    batch: BatchId,
    changed: Vec<(Incoming, i64, String)>,
    now: Timestamp,
) -> sqlx::Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let now_us = now.as_microsecond();
    let ids: Vec<String> = changed.iter().map(|(document, ..)| document.document.to_string()).collect();
    let (mut documents, mut versions, mut supersedes, mut policies) = (vec![], vec![], vec![], HashSet::new());
    for (document, version, sha256) in &changed {
        let id = document.document.to_string();
        let audience = json!(document.audience).to_string();
        let meta = canonical::to_text(&serde_json::to_value(&document.meta).unwrap_or_default());
        documents.push(vec![
            id.clone().into(),
            source.to_string().into(),
            document.external_id.clone().into(),
            document.kind.clone().into(),
            document.title.clone().into(),
            document.record.map(|(record, _)| record.to_string()).into(),
            document.meta.policy_id.clone().into(),
            document.meta.effective_from.map(day_number).into(),
            document.meta.effective_to.map(day_number).into(),
            audience.clone().into(),
            meta.into(),
            (*version).into(),
            sha256.clone().into(),
            run.to_string().into(),
        ]);
        let spans = document.spans.as_ref().map(|spans| json!(spans).to_string());
        versions.push(vec![
            id.clone().into(),
            (*version).into(),
            document.title.clone().into(),
            document.text.clone().into(),
            sha256_hex(&document.text).into(),
            spans.into(),
            audience.into(),
            document.record.map(|(_, version)| version).into(),
            now_us.into(),
            batch.to_string().into(),
        ]);
        policies.extend(document.meta.policy_id.clone());
        for policy in document.meta.supersedes.iter().collect::<HashSet<_>>() {
            supersedes.push(vec![id.clone().into(), policy.clone().into()]);
        }
    }
    insert_documents(tx, documents).await?;
    insert_versions(tx, versions).await?;
    write_chunks(tx, &ids, &changed, now_us).await?;
    supersede::update(tx, &ids, supersedes, policies).await
}

async fn insert_documents(tx: &mut TenantTx, rows: Vec<Vec<Bind>>) -> sqlx::Result<()> {
    let head = "INSERT INTO document (tenant_id, document_id, source_id, external_id, kind, title, record_id, policy_id, \
                effective_from_day, effective_to_day, audience, meta, version, content_sha256, seen_run_id)";
    let tail = "ON CONFLICT (tenant_id, document_id) DO UPDATE SET kind = excluded.kind, title = excluded.title, \
                policy_id = excluded.policy_id, effective_from_day = excluded.effective_from_day, \
                effective_to_day = excluded.effective_to_day, audience = excluded.audience, meta = excluded.meta, \
                version = excluded.version, content_sha256 = excluded.content_sha256, seen_run_id = excluded.seen_run_id, \
                superseded_from_day = NULL, deleted_at_us = NULL";
    bulk::insert(tx, head, tail, rows).await
}

async fn insert_versions(tx: &mut TenantTx, rows: Vec<Vec<Bind>>) -> sqlx::Result<()> {
    let head = "INSERT INTO document_version (tenant_id, document_id, version, title, body, body_sha256, spans, audience, \
                record_version, seen_at_us, batch_id)";
    bulk::insert(tx, head, "", rows).await
}

/// Replaces the chunk rows of the documents. A chunk whose id stays is written again with state 0: its payload may have changed. A chunk
/// that goes is left for the index to remove; one that comes back is taken off that list.
async fn write_chunks(
    tx: &mut TenantTx,
    ids: &[String],
    changed: &[(Incoming, i64, String)],
    now_us: i64,
) -> sqlx::Result<()> {
    let mut rows = Vec::new();
    let mut kept = Vec::new();
    let tenant = tx.tenant().0;
    for (document, version, _) in changed {
        let mut occurrences: HashMap<[u8; 32], u32> = HashMap::new();
        for chunk in &document.chunks {
            let text = &document.text[chunk.span.clone()];
            let heading_path = json!(chunk.heading_path).to_string();
            let sha256 = ingest::sha256(format!("{heading_path}\n{text}").as_bytes());
            let occurrence = occurrences.entry(sha256).or_insert(0);
            let chunk_id = ingest::chunk_id(tenant, document.document.0, &sha256, *occurrence).to_string();
            *occurrence += 1;
            kept.push(chunk_id.clone());
            rows.push(vec![
                chunk_id.into(),
                document.document.to_string().into(),
                (*version).into(),
                i64::from(chunk.ordinal).into(),
                as_i64(chunk.span.start).into(),
                as_i64(chunk.span.end).into(),
                heading_path.into(),
                i64::from(chunk.tokens).into(),
                hex::encode(sha256).into(),
                now_us.into(),
            ]);
        }
    }
    remove_chunks(tx, ids).await?;
    let head = "INSERT INTO chunk (tenant_id, chunk_id, document_id, version, ordinal, span_start, span_end, heading_path, tokens, \
                text_sha256, added_at_us)";
    bulk::insert(tx, head, "", rows).await?;
    bulk::execute_in(tx, "DELETE FROM index_removal WHERE tenant_id = $1 AND chunk_id IN", &[], &kept, "").await?;
    Ok(())
}

/// Deletes the chunk rows of documents and lists them for removal from the index.
async fn remove_chunks(tx: &mut TenantTx, ids: &[String]) -> sqlx::Result<()> {
    let head = "INSERT INTO index_removal (tenant_id, chunk_id) SELECT tenant_id, chunk_id FROM chunk \
                WHERE tenant_id = $1 AND document_id IN";
    bulk::execute_in(tx, head, &[], ids, "ON CONFLICT DO NOTHING").await?;
    bulk::execute_in(tx, "DELETE FROM chunk WHERE tenant_id = $1 AND document_id IN", &[], ids, "").await?;
    Ok(())
}

/// Tombstones documents: from the commit on they answer nothing. Versions stay for the audit; chunks leave the index.
pub async fn delete(tx: &mut TenantTx, ids: &[String], now: Timestamp) -> sqlx::Result<()> {
    let first = [Bind::from(now.as_microsecond())];
    let head =
        "UPDATE document SET deleted_at_us = $2 WHERE tenant_id = $1 AND deleted_at_us IS NULL AND document_id IN";
    bulk::execute_in(tx, head, &first, ids, "").await?;
    remove_chunks(tx, ids).await?;
    supersede::update(tx, ids, vec![], HashSet::new()).await
}

fn as_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
