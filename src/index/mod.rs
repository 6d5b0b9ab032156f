//! Chunks into the vector index, at two speeds: keywords at once, dense vectors in the background. SQL is the truth.
//!
//! After `source` (which commits chunk rows and removals), before `retrieve`. One worker owns all writes to the vector store. What is left
//! to do stands in SQL (`chunk.sparse_state`, `chunk.dense_state`, `index_removal`), so a crash between the two stores converges by
//! going on; [`reconcile`] repairs what even that missed (a lost or foreign point).

mod cache;
mod pending;
mod reconcile;
mod worker;

pub use reconcile::{Drift, reconcile};

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;
use tokio::sync::{Notify, mpsc};
use utoipa::ToSchema;

use crate::embed::Embedder;
use crate::ids::TenantId;
use crate::store::Store;
use crate::vector::VectorStore;

/// The worker's handle: cheap to clone.
#[derive(Clone)]
pub struct Index {
    store: Store,
    vectors: Arc<dyn VectorStore>,
    embedder: Option<Arc<dyn Embedder>>,
    wake: mpsc::UnboundedSender<TenantId>,
    settled: Arc<Notify>,
}

/// How far the index is behind SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct IndexStatus {
    pub chunks: i64,
    /// Not yet findable by keyword.
    pub sparse_pending: i64,
    /// Not yet findable by meaning.
    pub dense_pending: i64,
    pub removals_pending: i64,
    /// Age of the oldest chunk that waits for its dense vector, in seconds.
    pub dense_lag_s: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error(transparent)]
    Db(#[from] sqlx::Error),
    #[error(transparent)]
    Vector(#[from] crate::vector::VectorError),
    #[error(transparent)]
    Embed(#[from] crate::embed::EmbedError),
}

impl Index {
    /// Starts the worker; it ends when every handle is dropped or `shutdown` is cancelled, after the portion in hand.
    pub fn start(
        store: Store,
        vectors: Arc<dyn VectorStore>,
        embedder: Option<Arc<dyn Embedder>>,
        shutdown: tokio_util::sync::CancellationToken,
        tasks: &tokio_util::task::TaskTracker,
    ) -> Self {
        let (wake, woken) = mpsc::unbounded_channel();
        let index = Self { store, vectors, embedder, wake, settled: Arc::new(Notify::new()) };
        tasks.spawn(worker::run(index.clone(), woken, shutdown));
        index
    }

    pub fn vectors(&self) -> &dyn VectorStore {
        self.vectors.as_ref()
    }

    pub fn embedder(&self) -> Option<&Arc<dyn Embedder>> {
        self.embedder.as_ref()
    }

    pub fn has_embedder(&self) -> bool {
        self.embedder.is_some()
    }

    /// Says that the tenant has something to do. Call it after the commit.
    pub fn wake(&self, tenant: TenantId) {
        // The worker is gone only when the service stops; what is pending stays in SQL.
        let _ = self.wake.send(tenant);
    }

    /// Notes that chunks were found which have no vector yet: they are embedded first. In the background; losing it costs nothing.
    pub fn asked<'a>(&self, tenant: TenantId, chunk_ids: impl Iterator<Item = &'a String>) {
        let ids: Vec<String> = chunk_ids.cloned().collect();
        if ids.is_empty() || !self.has_embedder() {
            return;
        }
        let index = self.clone();
        tokio::spawn(async move {
            if let Err(error) = pending::asked(&index.store, tenant, &ids).await {
                tracing::debug!(%error, "what was asked could not be noted");
            }
        });
    }

    pub async fn status(&self, tenant: TenantId, now: Timestamp) -> sqlx::Result<IndexStatus> {
        let mut tx = self.store.begin_read(tenant).await?;
        let row = sqlx::query(
            "SELECT count(*), count(CASE WHEN sparse_state = 0 THEN 1 END), count(CASE WHEN dense_state = 0 THEN 1 END), \
             min(CASE WHEN dense_state = 0 THEN added_at_us END), \
             (SELECT count(*) FROM index_removal WHERE tenant_id = $1) FROM chunk WHERE tenant_id = $1",
        )
        .bind(tx.tenant_text())
        .fetch_one(tx.conn())
        .await?;
        let oldest: Option<i64> = row.try_get(3)?;
        Ok(IndexStatus {
            chunks: row.try_get(0)?,
            sparse_pending: row.try_get(1)?,
            dense_pending: if self.has_embedder() { row.try_get(2)? } else { 0 },
            removals_pending: row.try_get(4)?,
            dense_lag_s: oldest.filter(|_| self.has_embedder()).map_or(0, |us| (now.as_microsecond() - us) / 1_000_000),
        })
    }

    /// Waits until the tenant's chunks are findable by keyword (`dense`: by meaning too), or `limit` has passed. Returns whether they are.
    pub async fn settle(&self, tenant: TenantId, dense: bool, limit: Duration) -> sqlx::Result<bool> {
        self.wake(tenant);
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let settled = self.settled.notified();
            let status = self.status(tenant, Timestamp::UNIX_EPOCH).await?;
            let left = status.sparse_pending + status.removals_pending + if dense { status.dense_pending } else { 0 };
            if left == 0 {
                return Ok(true);
            }
            let wait = tokio::time::timeout(Duration::from_millis(200), settled);
            if tokio::time::Instant::now() >= deadline {
                return Ok(false);
            }
            let _ = wait.await;
        }
    }

    /// Has every chunk of the tenant written again, keywords first; vectors come from the cache.
    pub async fn rebuild(&self, tx: &mut crate::store::TenantTx) -> sqlx::Result<u64> {
        let done = sqlx::query("UPDATE chunk SET sparse_state = 0, dense_state = 0 WHERE tenant_id = $1")
            .bind(tx.tenant_text())
            .execute(tx.conn())
            .await?;
        Ok(done.rows_affected())
    }
}
