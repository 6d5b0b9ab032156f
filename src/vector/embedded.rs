//! The embedded backend: Qdrant's engine in this process, one shard directory per tenant.
//!
//! `<directory>/<tenant>/<embedding version>/` is opened on first use, kept while it is used, and closed when it was idle for
//! a while or when too many are open (`places`). An operation opens its own tenant's directory and no other. At most one process may use
//! the directory; the data directory's lock sees to that.

use std::{path::PathBuf, sync::Arc, time::Duration};

use qdrant_edge::{
    Condition, CountRequest, EdgeShard, Filter as EdgeFilter, HasIdCondition, HasVectorCondition, ScoredPoint,
    ScrollRequest, VectorInternal, WithPayloadInterface, WithVector, bm25_embed::EdgeBm25,
};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    Counts, EmbeddingSpec, Filter, Hit, MAX_LIMIT, MAX_TEXT_BYTES, Point, StoredId, VectorError, VectorFuture,
    VectorStore, edge,
    places::Places,
    shard::{self, Write, engine_error},
};

/// Where and how.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// Holds one directory per tenant; created when needed.
    pub directory: PathBuf,
    pub spec: EmbeddingSpec,
    /// Most shards that stay open, at least 1; more may be open while all of them are in use.
    pub max_open_shards: usize,
    /// A shard that nobody used for this long is closed.
    pub idle_after: Duration,
    /// Points written since the last optimisation that make the next one due.
    pub optimise_after: usize,
    /// Expected tokens of a chunk without stop words. Changing it needs a rebuild, which opening says.
    pub bm25_avg_len: f64,
}

impl EmbeddedConfig {
    pub fn new(directory: impl Into<PathBuf>, spec: EmbeddingSpec) -> Self {
        Self {
            directory: directory.into(),
            spec,
            max_open_shards: 64,
            idle_after: Duration::from_secs(300),
            optimise_after: 10_000,
            bm25_avg_len: 60.0,
        }
    }
}

/// Points of one write to the engine.
const WRITE_BATCH: usize = 512;

/// The embedded store. Clones share it.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    places: Arc<Places>,
    bm25: EdgeBm25,
    /// Reads are CPU-bound; more at once than this only wait for each other.
    readers: Semaphore,
}

impl EmbeddedStore {
    /// A store at `config.directory`. Opens no shard; starts a task that closes idle ones, so call it inside the runtime.
    pub fn open(config: EmbeddedConfig) -> Result<Self, VectorError> {
        if config.spec.dim == 0 {
            return Err(VectorError::Invalid("an embedding has at least one dimension".into()));
        }
        std::fs::create_dir_all(&config.directory).map_err(|error| shard::unavailable(&error))?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let bm25 = edge::bm25(config.bm25_avg_len)?;
        let inner = Inner { places: Places::new(config), bm25, readers: Semaphore::new(cores * 2) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Tenants whose shard is open now, for metrics and tests.
    pub fn open_tenants(&self) -> Vec<Uuid> {
        self.inner.places.open_tenants()
    }
}

impl Inner {
    /// Runs a read on a blocking thread; a tenant without a shard reads as `T::default()`.
    async fn read<T, F>(self: Arc<Self>, tenant: Uuid, read: F) -> Result<T, VectorError>
    where
        T: Default + Send + 'static,
        F: FnOnce(&EdgeShard) -> Result<T, VectorError> + Send + 'static,
    {
        let Some(open) = self.places.shard(tenant, false).await? else { return Ok(T::default()) };
        let _permit = self.readers.acquire().await.map_err(|_| VectorError::Closed)?;
        let open = Arc::new(open);
        let in_use = open.clone();
        match tokio::task::spawn_blocking(move || read(in_use.engine())).await {
            Ok(outcome) => outcome,
            Err(_) => {
                open.mark_broken();
                Err(VectorError::Engine("it panicked while reading".into()))
            }
        }
    }

    async fn write(self: Arc<Self>, tenant: Uuid, write: Write) -> Result<(), VectorError> {
        let Some(open) = self.places.shard(tenant, true).await? else { return Err(VectorError::Closed) };
        open.write(write).await
    }

    fn check_vector(&self, vector: &[f32]) -> Result<(), VectorError> {
        if vector.len() != self.places.config().spec.dim {
            let (found, wanted) = (vector.len(), self.places.config().spec.dim);
            return Err(VectorError::Invalid(format!("a vector of {found} dimensions instead of {wanted}")));
        }
        if vector.iter().all(|number| number.is_finite()) {
            Ok(())
        } else {
            Err(VectorError::Invalid("a vector with a number that is not finite".into()))
        }
    }

    fn check_point(&self, point: &Point) -> Result<(), VectorError> {
        if point.payload.audience.iter().all(|name| name.trim().is_empty()) {
            return Err(VectorError::Invalid("a point without an audience".into()));
        }
        if point.text_for_bm25.len() > MAX_TEXT_BYTES {
            return Err(VectorError::Invalid("a text that is too long".into()));
        }
        point.dense.as_deref().map_or(Ok(()), |dense| self.check_vector(dense))
    }

    async fn upsert(self: Arc<Self>, tenant: Uuid, points: Vec<Point>) -> Result<(), VectorError> {
        points.iter().try_for_each(|point| self.check_point(point))?;
        let mut points = points.into_iter();
        loop {
            let batch: Vec<Point> = points.by_ref().take(WRITE_BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let inner = self.clone();
            let embedding = tokio::task::spawn_blocking(move || {
                batch.into_iter().map(|point| edge::point(&inner.bm25, point)).collect()
            });
            let engine_points = embedding.await.map_err(|_| VectorError::Engine("it panicked in BM25".into()))?;
            self.clone().write(tenant, Write::Upsert(engine_points)).await?;
        }
    }

    async fn set_dense(self: Arc<Self>, tenant: Uuid, vectors: Vec<(Uuid, Vec<f32>)>) -> Result<(), VectorError> {
        vectors.iter().try_for_each(|(_, vector)| self.check_vector(vector))?;
        if !self.places.exists(tenant) {
            return Ok(());
        }
        let mut vectors = vectors.into_iter();
        loop {
            let batch: Vec<_> =
                vectors.by_ref().take(WRITE_BATCH).map(|(id, dense)| edge::dense_update(id, dense)).collect();
            if batch.is_empty() {
                return Ok(());
            }
            self.clone().write(tenant, Write::SetDense(batch)).await?;
        }
    }
}

/// Hits best first, ties by lower id: the engine's order among equals depends on its segments.
fn hits(found: Vec<ScoredPoint>) -> Result<Vec<Hit>, VectorError> {
    let mut hits = Vec::with_capacity(found.len());
    for point in found {
        hits.push(Hit { chunk_id: edge::chunk_id(point.id)?, score: point.score });
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk_id.cmp(&b.chunk_id)));
    Ok(hits)
}

fn has_dense() -> Condition {
    Condition::HasVector(HasVectorCondition { has_vector: edge::DENSE.into() })
}

fn scroll(engine: &EdgeShard, after: Option<Uuid>, limit: usize) -> Result<Vec<StoredId>, VectorError> {
    let page = |offset, limit, filter| ScrollRequest {
        offset,
        limit: Some(limit),
        filter,
        with_payload: Some(WithPayloadInterface::Bool(false)),
        with_vector: WithVector::Bool(false),
        order_by: None,
    };
    // The engine's offset is the first id to return, ours the last one seen: ask for one more and drop it.
    let (records, _) = engine.scroll(page(after.map(edge::point_id), limit + 1, None)).map_err(engine_error)?;
    let ids: Vec<_> = records
        .into_iter()
        .map(|record| record.id)
        .filter(|id| after.map(edge::point_id) != Some(*id))
        .take(limit)
        .collect();
    let these: HasIdCondition = ids.iter().copied().collect();
    let filter = EdgeFilter { must: Some(vec![Condition::HasId(these), has_dense()]), ..EdgeFilter::default() };
    let (dense, _) = engine.scroll(page(None, limit, Some(filter))).map_err(engine_error)?;
    let dense: std::collections::HashSet<_> = dense.into_iter().map(|record| record.id).collect();
    ids.into_iter().map(|id| Ok(StoredId { chunk_id: edge::chunk_id(id)?, has_dense: dense.contains(&id) })).collect()
}

fn count(engine: &EdgeShard) -> Result<Counts, VectorError> {
    let counted = |filter| engine.count(CountRequest { filter, exact: true }).map_err(engine_error);
    let with_dense = counted(Some(EdgeFilter::new_must(has_dense())))?;
    Ok(Counts { points: counted(None)? as u64, with_dense: with_dense as u64 })
}

impl VectorStore for EmbeddedStore {
    fn spec(&self) -> &EmbeddingSpec {
        &self.inner.places.config().spec
    }

    fn upsert(&self, tenant: Uuid, points: Vec<Point>) -> VectorFuture<'_, ()> {
        Box::pin(self.inner.clone().upsert(tenant, points))
    }

    fn set_dense(&self, tenant: Uuid, vectors: Vec<(Uuid, Vec<f32>)>) -> VectorFuture<'_, ()> {
        Box::pin(self.inner.clone().set_dense(tenant, vectors))
    }

    fn delete(&self, tenant: Uuid, chunk_ids: Vec<Uuid>) -> VectorFuture<'_, ()> {
        let inner = self.inner.clone();
        Box::pin(async move {
            if chunk_ids.is_empty() || !inner.places.exists(tenant) {
                return Ok(());
            }
            inner.write(tenant, Write::Delete(chunk_ids)).await
        })
    }

    fn search_dense(
        &self,
        tenant: Uuid,
        vector: Vec<f32>,
        filter: &Filter,
        limit: usize,
    ) -> VectorFuture<'_, Vec<Hit>> {
        let (inner, filter) = (self.inner.clone(), filter.clone());
        Box::pin(async move {
            inner.check_vector(&vector)?;
            if filter.matches_nothing() || limit == 0 {
                return Ok(Vec::new());
            }
            let query = edge::query(VectorInternal::Dense(vector), edge::DENSE, &filter, limit.min(MAX_LIMIT));
            inner.read(tenant, move |engine| hits(engine.query(query).map_err(engine_error)?)).await
        })
    }

    fn search_sparse(&self, tenant: Uuid, text: &str, filter: &Filter, limit: usize) -> VectorFuture<'_, Vec<Hit>> {
        let (inner, filter) = (self.inner.clone(), filter.clone());
        let sparse = inner.bm25.embed_query(text.get(..MAX_TEXT_BYTES).unwrap_or(text));
        Box::pin(async move {
            if filter.matches_nothing() || limit == 0 || sparse.indices.is_empty() {
                return Ok(Vec::new());
            }
            let query = edge::query(VectorInternal::Sparse(sparse), edge::SPARSE, &filter, limit.min(MAX_LIMIT));
            inner.read(tenant, move |engine| hits(engine.query(query).map_err(engine_error)?)).await
        })
    }

    fn scroll_ids(&self, tenant: Uuid, after: Option<Uuid>, limit: usize) -> VectorFuture<'_, Vec<StoredId>> {
        let inner = self.inner.clone();
        Box::pin(
            async move { inner.read(tenant, move |engine| scroll(engine, after, limit.clamp(1, MAX_LIMIT))).await },
        )
    }

    fn count(&self, tenant: Uuid) -> VectorFuture<'_, Counts> {
        Box::pin(self.inner.clone().read(tenant, count))
    }

    fn drop_tenant(&self, tenant: Uuid) -> VectorFuture<'_, ()> {
        Box::pin(self.inner.places.drop_tenant(tenant))
    }

    fn close(&self) -> VectorFuture<'_, ()> {
        Box::pin(async move {
            self.inner.places.close().await;
            Ok(())
        })
    }
}
