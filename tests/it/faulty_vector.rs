//! A vector store that can be down, slow, or empty after a restore, around a real one. Test support for retrieval.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use countersign::vector::{
    Counts, EmbeddingSpec, Filter, Hit, Point, StoredId, VectorError, VectorFuture, VectorStore,
    embedded::{EmbeddedConfig, EmbeddedStore},
};
use futures::FutureExt;
use uuid::Uuid;

/// What is wrong at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Every call fails at once.
    Down,
    /// Every call takes so much longer.
    Slow(Duration),
    /// Reads find nothing, as after a restore from nothing; writes work.
    Empty,
}

/// Wraps a store; the fault can change at any time through any clone.
#[derive(Clone)]
pub struct FaultyVectorStore {
    inner: Arc<dyn VectorStore>,
    fault: Arc<Mutex<Fault>>,
}

impl FaultyVectorStore {
    pub fn new(inner: Arc<dyn VectorStore>) -> Self {
        Self { inner, fault: Arc::new(Mutex::new(Fault::None)) }
    }

    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    fn faulty<'a, T: Send + 'a>(&self, call: VectorFuture<'a, T>) -> VectorFuture<'a, T> {
        match self.fault() {
            Fault::None | Fault::Empty => call,
            Fault::Down => futures::future::err(VectorError::Unavailable("switched off by the test".into())).boxed(),
            Fault::Slow(pause) => async move {
                tokio::time::sleep(pause).await;
                call.await
            }
            .boxed(),
        }
    }

    fn faulty_read<'a, T: Default + Send + 'a>(&self, call: VectorFuture<'a, T>) -> VectorFuture<'a, T> {
        match self.fault() {
            Fault::Empty => futures::future::ok(T::default()).boxed(),
            Fault::None | Fault::Down | Fault::Slow(_) => self.faulty(call),
        }
    }
}

impl VectorStore for FaultyVectorStore {
    fn spec(&self) -> &EmbeddingSpec {
        self.inner.spec()
    }

    fn upsert(&self, tenant: Uuid, points: Vec<Point>) -> VectorFuture<'_, ()> {
        self.faulty(self.inner.upsert(tenant, points))
    }

    fn set_dense(&self, tenant: Uuid, vectors: Vec<(Uuid, Vec<f32>)>) -> VectorFuture<'_, ()> {
        self.faulty(self.inner.set_dense(tenant, vectors))
    }

    fn delete(&self, tenant: Uuid, chunk_ids: Vec<Uuid>) -> VectorFuture<'_, ()> {
        self.faulty(self.inner.delete(tenant, chunk_ids))
    }

    fn search_dense(
        &self,
        tenant: Uuid,
        vector: Vec<f32>,
        filter: &Filter,
        limit: usize,
    ) -> VectorFuture<'_, Vec<Hit>> {
        self.faulty_read(self.inner.search_dense(tenant, vector, filter, limit))
    }

    fn search_sparse(&self, tenant: Uuid, text: &str, filter: &Filter, limit: usize) -> VectorFuture<'_, Vec<Hit>> {
        self.faulty_read(self.inner.search_sparse(tenant, text, filter, limit))
    }

    fn scroll_ids(&self, tenant: Uuid, after: Option<Uuid>, limit: usize) -> VectorFuture<'_, Vec<StoredId>> {
        self.faulty_read(self.inner.scroll_ids(tenant, after, limit))
    }

    fn count(&self, tenant: Uuid) -> VectorFuture<'_, Counts> {
        self.faulty_read(self.inner.count(tenant))
    }

    fn drop_tenant(&self, tenant: Uuid) -> VectorFuture<'_, ()> {
        self.faulty(self.inner.drop_tenant(tenant))
    }

    fn close(&self) -> VectorFuture<'_, ()> {
        self.inner.close()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_faults_do_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let spec = EmbeddingSpec::new("m", 4);
    let real = EmbeddedStore::open(EmbeddedConfig::new(directory.path(), spec)).unwrap();
    let store = FaultyVectorStore::new(Arc::new(real));
    let tenant = Uuid::from_u128(1);
    let filter = Filter::for_audience(["agent".to_owned()]).unwrap();
    assert_eq!(store.search_sparse(tenant, "x", &filter, 1).await, Ok(vec![]));
    store.set(Fault::Down);
    assert!(matches!(store.search_sparse(tenant, "x", &filter, 1).await, Err(VectorError::Unavailable(_))));
    store.set(Fault::Slow(Duration::from_secs(10)));
    let slow = tokio::time::timeout(Duration::from_millis(50), store.count(tenant)).await;
    assert!(slow.is_err());
    store.set(Fault::Empty);
    assert_eq!(store.count(tenant).await, Ok(Counts::default()));
}
