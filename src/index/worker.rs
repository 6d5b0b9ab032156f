//! The one writer of the vector store.
//!
//! Per tenant and turn: removals, then keywords, then one portion of dense vectors, then the next tenant; so a tenant that pushes a
//! million rows does not keep the others waiting, and a push is findable by keyword before any embedding begins.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use super::pending::{self, PendingChunk};
use super::{Index, IndexError, cache};
use crate::access::tenants;
use crate::ids::TenantId;
use crate::vector::{ALWAYS_FROM_DAY, ALWAYS_TO_DAY, Payload, Point};

/// Chunks written per turn.
const SPARSE_PORTION: i64 = 512;
/// Chunks embedded per turn: small, so that new keywords are never far behind.
const DENSE_PORTION: i64 = 64;
/// After a failure (disk full, provider down) the tenant is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

pub(super) async fn run(index: Index, mut woken: UnboundedReceiver<TenantId>, shutdown: CancellationToken) {
    let mut queue: VecDeque<TenantId> = all_tenants(&index).await.into();
    loop {
        while let Ok(tenant) = woken.try_recv() {
            if !queue.contains(&tenant) {
                queue.push_front(tenant);
            }
        }
        let Some(tenant) = queue.pop_front() else {
            index.settled.notify_waiters();
            tokio::select! {
                () = shutdown.cancelled() => return,
                next = woken.recv() => match next {
                    Some(tenant) => queue.push_back(tenant),
                    None => return,
                },
            }
            continue;
        };
        if shutdown.is_cancelled() {
            return;
        }
        match turn(&index, tenant).await {
            Ok(true) => queue.push_back(tenant),
            Ok(false) => index.settled.notify_waiters(),
            Err(error) => {
                tracing::warn!(%tenant, %error, "indexing failed; it is tried again");
                metrics::counter!("countersign_index_failures_total").increment(1);
                retry_later(&index, tenant);
            }
        }
    }
}

fn retry_later(index: &Index, tenant: TenantId) {
    let wake = index.wake.clone();
    tokio::spawn(async move {
        tokio::time::sleep(RETRY_AFTER).await;
        let _ = wake.send(tenant);
    });
}

async fn all_tenants(index: &Index) -> Vec<TenantId> {
    tenants::ids(&index.store).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the list of tenants could not be read; pending chunks wait for the next push");
        Vec::new()
    })
}

/// One turn. Returns whether there is more to do.
async fn turn(index: &Index, tenant: TenantId) -> Result<bool, IndexError> {
    let removed = remove(index, tenant).await?;
    let written = write_keywords(index, tenant).await?;
    let embedded = if written { true } else { embed(index, tenant).await? };
    Ok(removed || written || embedded)
}

async fn remove(index: &Index, tenant: TenantId) -> Result<bool, IndexError> {
    let ids = pending::removals(&index.store, tenant, SPARSE_PORTION).await?;
    if ids.is_empty() {
        return Ok(false);
    }
    index.vectors.delete(tenant.0, ids.clone()).await?;
    pending::removed(&index.store, tenant, &ids).await?;
    Ok(true)
}

/// Writes points with their keywords, and with their vector where the cache already has it.
async fn write_keywords(index: &Index, tenant: TenantId) -> Result<bool, IndexError> {
    let chunks = pending::sparse(&index.store, tenant, SPARSE_PORTION).await?;
    if chunks.is_empty() {
        return Ok(false);
    }
    let model = index.embedder.as_ref().map(|embedder| embedder.model_id().to_owned());
    let mut cached = cache::get(&index.store, tenant, model.as_deref(), &chunks).await?;
    let points = chunks
        .iter()
        .map(|chunk| Point {
            chunk_id: chunk.chunk_id.0,
            text_for_bm25: chunk.indexed_text.clone(),
            dense: cached.remove(&chunk.text_sha256),
            payload: payload(chunk),
        })
        .collect::<Vec<_>>();
    let with_dense: Vec<String> =
        points.iter().filter(|point| point.dense.is_some()).map(|point| point.chunk_id.to_string()).collect();
    index.vectors.upsert(tenant.0, points).await?;
    pending::sparse_written(&index.store, tenant, &chunks, &with_dense).await?;
    metrics::counter!("countersign_chunks_indexed_total", "leg" => "sparse").increment(chunks.len() as u64);
    metrics::counter!("countersign_embeddings_skipped_total").increment(with_dense.len() as u64);
    Ok(true)
}

async fn embed(index: &Index, tenant: TenantId) -> Result<bool, IndexError> {
    let Some(embedder) = &index.embedder else { return Ok(false) };
    let chunks = pending::dense(&index.store, tenant, DENSE_PORTION).await?;
    if chunks.is_empty() {
        return Ok(false);
    }
    let mut vectors = cache::get(&index.store, tenant, Some(embedder.model_id()), &chunks).await?;
    let mut missing: Vec<&PendingChunk> =
        chunks.iter().filter(|chunk| !vectors.contains_key(&chunk.text_sha256)).collect();
    missing.sort_by(|a, b| a.text_sha256.cmp(&b.text_sha256));
    missing.dedup_by(|a, b| a.text_sha256 == b.text_sha256);
    if !missing.is_empty() {
        let texts = missing.iter().map(|chunk| chunk.indexed_text.clone()).collect();
        let new = embedder.embed_passages(texts).await?;
        let named: Vec<(String, Vec<f32>)> =
            missing.iter().zip(new).map(|(chunk, vector)| (chunk.text_sha256.clone(), vector)).collect();
        cache::put(&index.store, tenant, embedder.model_id(), &named).await?;
        vectors.extend(named);
    }
    let points = chunks
        .iter()
        .filter_map(|chunk| Some((chunk.chunk_id.0, vectors.get(&chunk.text_sha256)?.clone())))
        .collect::<Vec<_>>();
    let count = points.len() as u64;
    index.vectors.set_dense(tenant.0, points).await?;
    pending::dense_written(&index.store, tenant, &chunks).await?;
    metrics::counter!("countersign_chunks_indexed_total", "leg" => "dense").increment(count);
    Ok(true)
}

fn payload(chunk: &PendingChunk) -> Payload {
    Payload {
        document_id: chunk.document_id.0,
        kind: chunk.kind.clone(),
        source_id: chunk.source_id.0,
        audience: chunk.audience.clone(),
        effective_from_day: chunk.effective_from_day.unwrap_or(ALWAYS_FROM_DAY),
        effective_to_day: chunk.effective_to_day.unwrap_or(ALWAYS_TO_DAY),
    }
}
