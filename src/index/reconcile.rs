//! Compares the ids that SQL and the index have, and lets the worker repair the difference.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Index, IndexError};
use crate::ids::TenantId;
use crate::store::bulk;

const PAGE: usize = 5_000;

/// What differed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Drift {
    /// Points of chunks that SQL does not have: scheduled for removal.
    pub foreign_points: u64,
    /// Chunks that SQL believed to be written: scheduled again.
    pub missing_points: u64,
    /// Chunks whose dense vector SQL believed to be written: scheduled again.
    pub missing_vectors: u64,
}

/// Finds and schedules the repair of every difference of one tenant.
pub async fn reconcile(index: &Index, tenant: TenantId) -> Result<Drift, IndexError> {
    let mut drift = Drift::default();
    let mut points: HashMap<Uuid, bool> = HashMap::new();
    let mut after = None;
    loop {
        let page = index.vectors.scroll_ids(tenant.0, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.chunk_id);
        points.extend(page.into_iter().map(|stored| (stored.chunk_id, stored.has_dense)));
    }
    let (mut missing, mut no_vector) = (Vec::new(), Vec::new());
    let mut tx = index.store.begin_write(tenant).await?;
    let rows = sqlx::query("SELECT chunk_id, sparse_state, dense_state FROM chunk WHERE tenant_id = $1")
        .bind(tx.tenant_text())
        .fetch_all(tx.conn())
        .await?;
    for row in &rows {
        let text: String = row.try_get(0)?;
        let (sparse, dense): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
        let Ok(id) = text.parse::<Uuid>() else { continue };
        match points.remove(&id) {
            None if sparse == 1 => missing.push(text),
            Some(false) if dense == 1 => no_vector.push(text),
            Some(_) | None => {}
        }
    }
    let foreign: Vec<_> = points.keys().map(|id| vec![id.to_string().into()]).collect();
    drift.foreign_points = foreign.len() as u64;
    drift.missing_points = missing.len() as u64;
    drift.missing_vectors = no_vector.len() as u64;
    bulk::insert(&mut tx, "INSERT INTO index_removal (tenant_id, chunk_id)", "ON CONFLICT DO NOTHING", foreign).await?;
    let head = "UPDATE chunk SET sparse_state = 0, dense_state = 0 WHERE tenant_id = $1 AND chunk_id IN";
    bulk::execute_in(&mut tx, head, &[], &missing, "").await?;
    let head = "UPDATE chunk SET dense_state = 0 WHERE tenant_id = $1 AND chunk_id IN";
    bulk::execute_in(&mut tx, head, &[], &no_vector, "").await?;
    tx.commit().await?;
    let total = drift.foreign_points + drift.missing_points + drift.missing_vectors;
    metrics::gauge!("countersign_index_drift").set(total as f64);
    if total > 0 {
        tracing::warn!(%tenant, ?drift, "the index differed from the database and is being repaired");
        index.wake(tenant);
    }
    Ok(drift)
}
