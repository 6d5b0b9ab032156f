//! What SQL says is still to be done, and ticking it off.

use std::collections::{HashMap, HashSet};

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::document::passage::{indexed_text, slice};
use crate::ids::{ChunkId, DocumentId, SourceId, TenantId};
use crate::store::bulk;
use crate::store::{Store, TenantTx};
use uuid::Uuid;

/// A chunk to write, with its text.
#[derive(Debug, Clone)]
pub(super) struct PendingChunk {
    pub chunk_id: ChunkId,
    pub document_id: DocumentId,
    pub source_id: SourceId,
    pub version: i64,
    pub kind: String,
    pub audience: Vec<String>,
    pub effective_from_day: Option<i64>,
    pub effective_to_day: Option<i64>,
    pub text_sha256: String,
    pub indexed_text: String,
    heading_path: String,
    span: (i64, i64),
}

/// The next chunks without keywords, newest documents first.
pub(super) async fn sparse(store: &Store, tenant: TenantId, limit: i64) -> sqlx::Result<Vec<PendingChunk>> {
    const STATEMENT: &str = "SELECT c.chunk_id, c.document_id, c.version, c.span_start, c.span_end, c.heading_path, c.text_sha256, \
        d.source_id, d.kind, d.audience, d.effective_from_day, d.effective_to_day, d.superseded_from_day \
        FROM chunk c JOIN document d ON d.tenant_id = c.tenant_id AND d.document_id = c.document_id \
        WHERE c.tenant_id = $1 AND c.sparse_state = 0 ORDER BY c.added_at_us DESC, c.document_id LIMIT $2";
    load(store, tenant, STATEMENT, limit).await
}

/// The next chunks without a vector: most asked first, then prose before cards of records (a record is found by its identifiers and words,
/// a policy by what it means), then newest.
pub(super) async fn dense(store: &Store, tenant: TenantId, limit: i64) -> sqlx::Result<Vec<PendingChunk>> {
    const STATEMENT: &str = "SELECT c.chunk_id, c.document_id, c.version, c.span_start, c.span_end, c.heading_path, c.text_sha256, \
        d.source_id, d.kind, d.audience, d.effective_from_day, d.effective_to_day, d.superseded_from_day \
        FROM chunk c JOIN document d ON d.tenant_id = c.tenant_id AND d.document_id = c.document_id \
        WHERE c.tenant_id = $1 AND c.dense_state = 0 AND c.sparse_state = 1 \
        ORDER BY c.asked DESC, CASE WHEN d.record_id IS NULL THEN 0 ELSE 1 END, c.added_at_us DESC, c.document_id LIMIT $2";
    load(store, tenant, STATEMENT, limit).await
}

async fn load(store: &Store, tenant: TenantId, statement: &'static str, limit: i64) -> sqlx::Result<Vec<PendingChunk>> {
    let mut tx = store.begin_read(tenant).await?;
    let rows = sqlx::query(statement).bind(tx.tenant_text()).bind(limit).fetch_all(tx.conn()).await?;
    let mut chunks = rows.iter().map(pending_chunk).collect::<sqlx::Result<Vec<_>>>()?;
    let bodies = bodies(&mut tx, &chunks).await?;
    chunks.retain_mut(|chunk| {
        let body = bodies.get(&(chunk.document_id, chunk.version));
        let Some(text) = body.and_then(|body| slice(body, chunk.span.0, chunk.span.1)) else { return false };
        let headings: Vec<String> = serde_json::from_str(&chunk.heading_path).unwrap_or_default();
        chunk.indexed_text = indexed_text(&headings, text);
        true
    });
    Ok(chunks)
}

fn pending_chunk(row: &AnyRow) -> sqlx::Result<PendingChunk> {
    let uuid = |column: usize| -> sqlx::Result<Uuid> {
        row.try_get::<String, _>(column)?.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
    };
    let superseded: Option<i64> = row.try_get(12)?;
    let ends = [row.try_get(11)?, superseded.map(|day| day - 1)].into_iter().flatten().min();
    let audience: String = row.try_get(9)?;
    Ok(PendingChunk {
        chunk_id: ChunkId(uuid(0)?),
        document_id: DocumentId(uuid(1)?),
        version: row.try_get(2)?,
        span: (row.try_get(3)?, row.try_get(4)?),
        heading_path: row.try_get(5)?,
        text_sha256: row.try_get(6)?,
        source_id: SourceId(uuid(7)?),
        kind: row.try_get(8)?,
        // An audience that cannot be read is nobody's: the point is written, and no filter matches it.
        audience: serde_json::from_str(&audience).unwrap_or_else(|_| vec!["nobody".to_owned()]),
        effective_from_day: row.try_get(10)?,
        effective_to_day: ends,
        indexed_text: String::new(),
    })
}

async fn bodies(tx: &mut TenantTx, chunks: &[PendingChunk]) -> sqlx::Result<HashMap<(DocumentId, i64), String>> {
    let ids: HashSet<String> = chunks.iter().map(|chunk| chunk.document_id.to_string()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let head = "SELECT v.document_id, v.version, v.body FROM document_version v JOIN document d \
                ON d.tenant_id = v.tenant_id AND d.document_id = v.document_id AND d.version = v.version \
                WHERE v.tenant_id = $1 AND v.document_id IN";
    let mut bodies = HashMap::new();
    for row in bulk::select_in(tx, head, &[], &ids, "").await? {
        let Ok(id) = row.try_get::<String, _>(0)?.parse() else { continue };
        bodies.insert((id, row.try_get(1)?), row.try_get(2)?);
    }
    Ok(bodies)
}

/// Ticks off keywords; `with_dense`: chunk ids that got their vector in the same write. A chunk whose document changed meanwhile has
/// another version by now and stays pending.
pub(super) async fn sparse_written(
    store: &Store,
    tenant: TenantId,
    chunks: &[PendingChunk],
    with_dense: &[String],
) -> sqlx::Result<()> {
    let mut tx = store.begin_write(tenant).await?;
    for (version, ids) in by_version(chunks) {
        let head =
            "UPDATE chunk SET sparse_state = 1, dense_state = 0 WHERE tenant_id = $1 AND version = $2 AND chunk_id IN";
        bulk::execute_in(&mut tx, head, &[version.into()], &ids, "").await?;
        let dense: Vec<String> = ids.into_iter().filter(|id| with_dense.contains(id)).collect();
        let head = "UPDATE chunk SET dense_state = 1 WHERE tenant_id = $1 AND version = $2 AND chunk_id IN";
        bulk::execute_in(&mut tx, head, &[version.into()], &dense, "").await?;
    }
    tx.commit().await
}

pub(super) async fn dense_written(store: &Store, tenant: TenantId, chunks: &[PendingChunk]) -> sqlx::Result<()> {
    let mut tx = store.begin_write(tenant).await?;
    for (version, ids) in by_version(chunks) {
        let head = "UPDATE chunk SET dense_state = 1 WHERE tenant_id = $1 AND version = $2 AND sparse_state = 1 AND chunk_id IN";
        bulk::execute_in(&mut tx, head, &[version.into()], &ids, "").await?;
    }
    tx.commit().await
}

fn by_version(chunks: &[PendingChunk]) -> HashMap<i64, Vec<String>> {
    let mut groups: HashMap<i64, Vec<String>> = HashMap::new();
    for chunk in chunks {
        groups.entry(chunk.version).or_default().push(chunk.chunk_id.to_string());
    }
    groups
}

/// Raises the turn of chunks that were found before they had a vector; writes nothing when all of them have one.
pub(super) async fn asked(store: &Store, tenant: TenantId, ids: &[String]) -> sqlx::Result<()> {
    let mut tx = store.begin_read(tenant).await?;
    let head = "SELECT chunk_id FROM chunk WHERE tenant_id = $1 AND dense_state = 0 AND chunk_id IN";
    let waiting = bulk::select_in(&mut tx, head, &[], ids, "").await?;
    let waiting = waiting.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<String>>>()?;
    drop(tx);
    if waiting.is_empty() {
        return Ok(());
    }
    let mut tx = store.begin_write(tenant).await?;
    bulk::execute_in(
        &mut tx,
        "UPDATE chunk SET asked = asked + 1 WHERE tenant_id = $1 AND chunk_id IN",
        &[],
        &waiting,
        "",
    )
    .await?;
    tx.commit().await
}

pub(super) async fn removals(store: &Store, tenant: TenantId, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    let mut tx = store.begin_read(tenant).await?;
    let rows = sqlx::query("SELECT chunk_id FROM index_removal WHERE tenant_id = $1 ORDER BY chunk_id LIMIT $2")
        .bind(tx.tenant_text())
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.iter().filter_map(|row| row.try_get::<String, _>(0).ok()?.parse().ok()).collect())
}

pub(super) async fn removed(store: &Store, tenant: TenantId, ids: &[Uuid]) -> sqlx::Result<()> {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let mut tx = store.begin_write(tenant).await?;
    bulk::execute_in(&mut tx, "DELETE FROM index_removal WHERE tenant_id = $1 AND chunk_id IN", &[], &ids, "").await?;
    // A chunk that came back while its point was being removed has to be written again.
    let head = "UPDATE chunk SET sparse_state = 0, dense_state = 0 WHERE tenant_id = $1 AND chunk_id IN";
    bulk::execute_in(&mut tx, head, &[], &ids, "").await?;
    tx.commit().await
}
