//! The embedded backend: Qdrant's engine in this process, one shard directory per tenant.
//!
//! `<directory>/<tenant>/<embedding version>/` is opened on first use, kept while it is used, and closed when it was idle for
//! a while or when too many are open. An operation opens its own tenant's directory and no other. At most one process may use
//! the directory; the data directory's lock sees to that.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use qdrant_edge::{
    Condition, CountRequest, EdgeShard, Filter as EdgeFilter, HasIdCondition, HasVectorCondition, ScoredPoint,
    ScrollRequest, VectorInternal, WithPayloadInterface, WithVector, bm25_embed::EdgeBm25,
};
use tokio::{
    sync::{OwnedRwLockReadGuard, RwLock, Semaphore},
    time::Instant,
};
use uuid::Uuid;

use super::{
    Counts, EmbeddingSpec, Filter, Hit, MAX_LIMIT, MAX_TEXT_BYTES, Point, StoredId, VectorError, VectorFuture,
    VectorStore, edge,
    shard::{self, Marker, OpenShard, Write, engine_error},
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
            bm25_avg_len: 100.0,
        }
    }
}

/// Layout of a shard directory.
const FORMAT: u32 = 1;
/// Points of one write to the engine.
const WRITE_BATCH: usize = 512;

/// The embedded store. Clones share it.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    config: EmbeddedConfig,
    bm25: EdgeBm25,
    slots: Mutex<HashMap<Uuid, Arc<Slot>>>,
    /// Reads are CPU-bound; more at once than this only wait for each other.
    readers: Semaphore,
    closed: AtomicBool,
}

/// A tenant's place: there is one for every tenant that was used, open or not, so that a shard is never opened twice.
struct Slot {
    shard: Arc<RwLock<Option<OpenShard>>>,
    used: Mutex<Instant>,
}

/// An open shard that cannot be closed while this is held.
type InUse = OwnedRwLockReadGuard<Option<OpenShard>, OpenShard>;

impl EmbeddedStore {
    /// A store at `config.directory`. Opens no shard; starts a task that closes idle ones, so call it inside the runtime.
    pub fn open(config: EmbeddedConfig) -> Result<Self, VectorError> {
        if config.spec.dim == 0 {
            return Err(VectorError::Invalid("an embedding has at least one dimension".into()));
        }
        std::fs::create_dir_all(&config.directory).map_err(|error| shard::unavailable(&error))?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let inner = Arc::new(Inner {
            bm25: edge::bm25(config.bm25_avg_len)?,
            slots: Mutex::default(),
            readers: Semaphore::new(cores * 2),
            closed: AtomicBool::new(false),
            config,
        });
        tokio::spawn(close_idle(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// Tenants whose shard is open now, for metrics and tests.
    pub fn open_tenants(&self) -> Vec<Uuid> {
        let slots = self.inner.slots();
        let open = slots.iter().filter(|(_, slot)| slot.shard.try_read().map_or(true, |shard| shard.is_some()));
        open.map(|(tenant, _)| *tenant).collect()
    }
}

/// Closes shards that nobody used for `idle_after`; ends when the store is gone.
async fn close_idle(store: std::sync::Weak<Inner>) {
    loop {
        let Some(pause) = store.upgrade().map(|inner| inner.config.idle_after / 4) else { return };
        tokio::time::sleep(pause.max(Duration::from_millis(10))).await;
        let Some(inner) = store.upgrade() else { return };
        for slot in inner.by_last_use() {
            if slot.idle_for() >= inner.config.idle_after {
                slot.close_unless_used().await;
            }
        }
    }
}

impl Slot {
    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle_for(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Closes the shard when nobody uses it at this moment. Returns whether one was closed.
    async fn close_unless_used(&self) -> bool {
        let Ok(mut guard) = self.shard.clone().try_write_owned() else { return false };
        let Some(open) = guard.take() else { return false };
        // A task of its own, because the place must stay locked until the files are free, also when the caller gives up.
        let closing = tokio::spawn(async move {
            open.close().await;
            drop(guard);
        });
        closing.await.is_ok()
    }

    /// Waits for users to finish, then closes.
    async fn close(&self) {
        let mut guard = self.shard.clone().write_owned().await;
        let Some(open) = guard.take() else { return };
        let closing = tokio::spawn(async move {
            open.close().await;
            drop(guard);
        });
        let _ = closing.await;
    }
}

impl Inner {
    fn slots(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, tenant: Uuid) -> Result<Arc<Slot>, VectorError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(VectorError::Closed);
        }
        if tenant.is_nil() {
            return Err(VectorError::Invalid("no tenant".into()));
        }
        let mut slots = self.slots();
        let slot = slots
            .entry(tenant)
            .or_insert_with(|| Arc::new(Slot { shard: Arc::new(RwLock::new(None)), used: Mutex::new(Instant::now()) }));
        slot.touch();
        Ok(slot.clone())
    }

    /// Slots with the longest unused first.
    fn by_last_use(&self) -> Vec<Arc<Slot>> {
        let mut slots: Vec<_> = self.slots().values().cloned().collect();
        slots.sort_by_key(|slot| std::cmp::Reverse(slot.idle_for()));
        slots
    }

    fn shard_directory(&self, tenant: Uuid) -> PathBuf {
        self.config.directory.join(tenant.to_string()).join(self.config.spec.version())
    }

    /// The tenant's shard, opened when it is not; `None` when there is none and `create` is false.
    async fn shard(self: &Arc<Self>, tenant: Uuid, create: bool) -> Result<Option<InUse>, VectorError> {
        let slot = self.slot(tenant)?;
        let guard = slot.shard.clone().read_owned().await;
        if let Ok(open) = OwnedRwLockReadGuard::try_map(guard, Option::as_ref)
            && !open.must_reopen()
        {
            return Ok(Some(open));
        }
        if !create && !shard::exists(&self.shard_directory(tenant)) {
            return Ok(None);
        }
        self.make_room().await;
        let inner = self.clone();
        // A task of its own: a caller that gives up must not leave a half-opened shard behind an unlocked place.
        let opening = tokio::spawn(async move { inner.open_slot(&slot, tenant).await });
        opening.await.unwrap_or_else(|_| Err(VectorError::Engine("it panicked while opening".into()))).map(Some)
    }

    async fn open_slot(&self, slot: &Slot, tenant: Uuid) -> Result<InUse, VectorError> {
        let mut guard = slot.shard.clone().write_owned().await;
        if self.closed.load(Ordering::Acquire) {
            return Err(VectorError::Closed);
        }
        if guard.as_ref().is_some_and(OpenShard::must_reopen)
            && let Some(broken) = guard.take()
        {
            broken.close().await;
        }
        if guard.is_none() {
            let directory = self.shard_directory(tenant);
            let marker =
                Marker { format: FORMAT, spec: self.config.spec.clone(), bm25_avg_len: self.config.bm25_avg_len };
            let optimise_after = self.config.optimise_after;
            let opening = tokio::task::spawn_blocking(move || OpenShard::open(&directory, &marker, optimise_after));
            let opened = opening.await.unwrap_or_else(|_| Err(VectorError::Engine("it panicked while opening".into())));
            *guard = Some(opened?);
        }
        OwnedRwLockReadGuard::try_map(guard.downgrade(), Option::as_ref).map_err(|_| VectorError::Closed)
    }

    /// Closes shards, longest unused first, until one more may be opened; those in use stay.
    async fn make_room(&self) {
        let open: Vec<_> = self
            .by_last_use()
            .into_iter()
            .filter(|slot| slot.shard.try_read().is_ok_and(|shard| shard.is_some()))
            .collect();
        let mut surplus = (open.len() + 1).saturating_sub(self.config.max_open_shards.max(1));
        for slot in open {
            if surplus == 0 {
                return;
            }
            if slot.close_unless_used().await {
                surplus -= 1;
            }
        }
    }

    /// Runs a read on a blocking thread; a tenant without a shard reads as `T::default()`.
    async fn read<T, F>(self: Arc<Self>, tenant: Uuid, read: F) -> Result<T, VectorError>
    where
        T: Default + Send + 'static,
        F: FnOnce(&EdgeShard) -> Result<T, VectorError> + Send + 'static,
    {
        let Some(open) = self.shard(tenant, false).await? else { return Ok(T::default()) };
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
        let Some(open) = self.shard(tenant, true).await? else { return Err(VectorError::Closed) };
        open.write(write).await
    }

    fn check_vector(&self, vector: &[f32]) -> Result<(), VectorError> {
        if vector.len() != self.config.spec.dim {
            let (found, wanted) = (vector.len(), self.config.spec.dim);
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
        if !shard::exists(&self.shard_directory(tenant)) {
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

    /// Closes the tenant's shard and removes its directory. Its place stays locked meanwhile.
    async fn drop_tenant(self: Arc<Self>, tenant: Uuid) -> Result<(), VectorError> {
        let slot = self.slot(tenant)?;
        let directory = self.config.directory.join(tenant.to_string());
        let mut guard = slot.shard.clone().write_owned().await;
        let dropping = tokio::spawn(async move {
            if let Some(open) = guard.take() {
                open.close().await;
            }
            let removed = tokio::fs::remove_dir_all(directory).await;
            drop(guard);
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(shard::unavailable(&error)),
                _ => Ok(()),
            }
        });
        dropping.await.unwrap_or(Err(VectorError::Closed))
    }

    async fn close(self: Arc<Self>) -> Result<(), VectorError> {
        self.closed.store(true, Ordering::Release);
        for slot in self.by_last_use() {
            slot.close().await;
        }
        Ok(())
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
        &self.inner.config.spec
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
            if chunk_ids.is_empty() || !shard::exists(&inner.shard_directory(tenant)) {
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
        Box::pin(self.inner.clone().drop_tenant(tenant))
    }

    fn close(&self) -> VectorFuture<'_, ()> {
        Box::pin(self.inner.clone().close())
    }
}
