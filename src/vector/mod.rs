//! Vector stores: where chunks are found by meaning (dense) and by word (sparse BM25). Neighbour of `index` and `retrieve`.
//!
//! Two backends stand behind [`VectorStore`]: `embedded` (one Qdrant shard directory per tenant, in this process) and a
//! Qdrant cluster. [`conformance`] is the suite both have to pass. A store knows ids, vectors and filter fields, never the
//! text of a chunk: SQL is the truth, the store is rebuilt from it. Fusion of the two legs is `retrieve`'s and does not
//! belong here.
//!
//! Every operation takes the tenant, and every search takes a [`Filter`], which cannot be built without an audience: a
//! query across tenants, or one that ignores who is asking, is not expressible.

pub mod conformance;
mod edge;
pub mod embedded;
mod filter;
mod places;
mod shard;

pub use filter::{EmptyAudience, Filter};

use futures::future::BoxFuture;
use uuid::Uuid;

/// Log directive that silences the engine, which reports its own start-up as warnings.
pub const QUIET: &str = "qdrant_edge=error";
/// Lower bound of a payload's validity when the document names none.
pub const ALWAYS_FROM_DAY: i64 = -2_000_000_000;
/// Upper bound of a payload's validity when the document names none.
pub const ALWAYS_TO_DAY: i64 = 2_000_000_000;

/// Which model made the dense vectors. Vectors of two specs never share a directory or collection.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EmbeddingSpec {
    /// As [`crate::embed::Embedder::model_id`].
    pub model_id: String,
    /// Length of a dense vector, at least 1.
    pub dim: usize,
}

impl EmbeddingSpec {
    pub fn new(model_id: impl Into<String>, dim: usize) -> Self {
        Self { model_id: model_id.into(), dim }
    }

    /// A file-system and collection-name safe name: lower-case letters, digits and `-`, then the dimension.
    ///
    /// Two models may fall together in it, which is why a shard also stores the full spec and compares it when opened.
    pub fn version(&self) -> String {
        let slug: String = self
            .model_id
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        format!("{}-{}", slug.trim_matches('-'), self.dim)
    }
}

/// What a search may filter on. Stored beside the vectors; holds no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    pub document_id: Uuid,
    /// Record kind or document kind, snake_case (`order`, `policy`).
    pub kind: String,
    pub source_id: Uuid,
    /// Who may see the chunk: the chunk matches a filter that names at least one of these. Never empty.
    pub audience: Vec<String>,
    /// First day of validity, inclusive, in days since 1970-01-01; [`ALWAYS_FROM_DAY`] when unbounded.
    pub effective_from_day: i64,
    /// Last day of validity, inclusive, in days since 1970-01-01; [`ALWAYS_TO_DAY`] when unbounded.
    pub effective_to_day: i64,
}

/// One chunk as the store sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub chunk_id: Uuid,
    /// Turned into the sparse vector and then forgotten; at most [`MAX_TEXT_BYTES`].
    pub text_for_bm25: String,
    /// `None` until the background embedder got to it; then `dim` finite numbers.
    pub dense: Option<Vec<f32>>,
    pub payload: Payload,
}

/// The distinct words of a text as the sparse leg sees them, ascending: stop words left out, the rest stemmed and hashed.
pub fn terms(text: &str) -> Vec<u32> {
    edge::terms(text.get(..MAX_TEXT_BYTES).unwrap_or(text))
}

/// Longest text a point may bring, in bytes. Chunks are about 1 kB; this only stops a mistake.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// Most hits or ids one call may ask for.
pub const MAX_LIMIT: usize = 10_000;

/// One chunk found by one leg.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    pub chunk_id: Uuid,
    /// Dense: cosine similarity, -1 to 1. Sparse: BM25 sum, above 0, no upper bound. The two are not comparable.
    pub score: f32,
}

/// One row of [`VectorStore::scroll_ids`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredId {
    pub chunk_id: Uuid,
    pub has_dense: bool,
}

/// What a tenant has in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub points: u64,
    pub with_dense: u64,
}

/// Why the store did not do it. None of these carries document text.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VectorError {
    /// The store cannot be reached or the disk fails; trying later may help.
    #[error("the vector store is unavailable: {0}")]
    Unavailable(String),
    /// The caller's mistake: wrong dimension, not a finite number, empty audience, too many points.
    #[error("refused by the vector store: {0}")]
    Invalid(String),
    /// The directory or collection was written with another model; rebuild the index or configure that model.
    #[error("the index was built with {found_model} ({found_dim} dimensions), not {wanted_model} ({wanted_dim})")]
    EmbeddingMismatch { found_model: String, found_dim: usize, wanted_model: String, wanted_dim: usize },
    /// The engine failed or panicked; the shard is reopened before its next use.
    #[error("the vector engine failed: {0}")]
    Engine(String),
    /// The store was closed.
    #[error("the vector store is closed")]
    Closed,
}

/// The result of a store operation, boxed so that a store can be chosen at run time.
pub type VectorFuture<'a, T> = BoxFuture<'a, Result<T, VectorError>>;

/// A store of chunks, partitioned by tenant.
///
/// A write that returned `Ok` survives `kill -9`. Writes of one tenant are applied in the order they were called; a search
/// that starts after a write returned sees it. Reads of a tenant that never wrote return nothing and create nothing.
pub trait VectorStore: Send + Sync {
    /// The model whose vectors this store holds.
    fn spec(&self) -> &EmbeddingSpec;

    /// Writes points, replacing those with the same chunk id as a whole: an upsert with `dense: None` drops a dense
    /// vector that was there. All or nothing is not promised; repeating the call is safe.
    fn upsert(&self, tenant: Uuid, points: Vec<Point>) -> VectorFuture<'_, ()>;

    /// Adds or replaces dense vectors of chunks that are there; ids that are not there are passed over.
    fn set_dense(&self, tenant: Uuid, vectors: Vec<(Uuid, Vec<f32>)>) -> VectorFuture<'_, ()>;

    /// Deletes chunks; ids that are not there are passed over.
    fn delete(&self, tenant: Uuid, chunk_ids: Vec<Uuid>) -> VectorFuture<'_, ()>;

    /// Nearest chunks by cosine, best first, ties by lower id. Chunks without a dense vector are not found.
    fn search_dense(&self, tenant: Uuid, vector: Vec<f32>, filter: &Filter, limit: usize)
    -> VectorFuture<'_, Vec<Hit>>;

    /// Best chunks by BM25, best first, ties by lower id. A text of nothing but stop words finds nothing.
    fn search_sparse(&self, tenant: Uuid, text: &str, filter: &Filter, limit: usize) -> VectorFuture<'_, Vec<Hit>>;

    /// The tenant's chunk ids in ascending order, those above `after`, at most `limit`: for the reconciler, which
    /// compares ids with SQL and shows nobody anything.
    fn scroll_ids(&self, tenant: Uuid, after: Option<Uuid>, limit: usize) -> VectorFuture<'_, Vec<StoredId>>;

    /// How many points the tenant has, and how many of them have a dense vector.
    fn count(&self, tenant: Uuid) -> VectorFuture<'_, Counts>;

    /// Removes everything the tenant has, of every embedding version this store can see.
    fn drop_tenant(&self, tenant: Uuid) -> VectorFuture<'_, ()>;

    /// Finishes writes and releases every resource; later calls return [`VectorError::Closed`].
    fn close(&self) -> VectorFuture<'_, ()>;
}
