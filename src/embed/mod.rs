//! Embedders: text in, dense vectors out. Neighbour of `index` (passages) and `retrieve` (queries).
//!
//! Two real implementations stand behind [`Embedder`]: `minilm` (all-MiniLM-L6-v2 on the CPU, candle) and `openai` (any
//! OpenAI-compatible server). `hashed` is a tiny deterministic one for tests and for CI without weights. `weights` finds
//! and checks the local model's files. Caching of vectors belongs to `index`, which knows tenants and text hashes.

pub mod counted;
pub mod hashed;
pub mod minilm;
pub mod openai;
pub mod weights;

pub use counted::{Counted, EmbeddingCounter};

use futures::future::BoxFuture;

/// The result of an embedding call: one vector of [`Embedder::dim`] numbers per text, in the order given.
pub type EmbedFuture<'a> = BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>>;

/// Turns texts into dense vectors.
pub trait Embedder: Send + Sync {
    /// Names the model and everything else that changes its vectors; part of the index's identity and of cache keys.
    fn model_id(&self) -> &str;

    /// Length of a vector.
    fn dim(&self) -> usize;

    /// Vectors for questions. Some models embed questions and passages differently, hence two calls.
    fn embed_queries(&self, texts: Vec<String>) -> EmbedFuture<'_>;

    /// Vectors for chunks. Texts beyond the model's window are cut at its end.
    fn embed_passages(&self, texts: Vec<String>) -> EmbedFuture<'_>;

    /// How many words of `text` the model has to spell out in pieces because its vocabulary lacks them: rare terms, names and codes, whose
    /// meaning it can only guess at. `None`: it cannot tell. Fast, and bounded for long texts.
    fn spelled_out(&self, _text: &str) -> Option<usize> {
        None
    }
}

impl<E: Embedder + ?Sized> Embedder for std::sync::Arc<E> {
    fn model_id(&self) -> &str {
        (**self).model_id()
    }

    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn embed_queries(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        (**self).embed_queries(texts)
    }

    fn embed_passages(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        (**self).embed_passages(texts)
    }

    fn spelled_out(&self, text: &str) -> Option<usize> {
        (**self).spelled_out(text)
    }
}

/// Why there is no vector. None of these carries text that was to be embedded, nor a provider's words.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EmbedError {
    /// The local model could not be loaded or failed.
    #[error("the local embedding model failed: {0}")]
    Model(String),
    /// The provider failed; the outcome is named as for chat.
    #[error("the embedding provider failed: {0}")]
    Provider(#[from] crate::llm::LlmError),
    /// The provider returned vectors of another length: another model than configured.
    #[error("the embedding provider returned {found} dimensions instead of {wanted}")]
    Dimension { found: usize, wanted: usize },
    /// The provider returned another number of vectors than texts, or numbers that are not finite.
    #[error("the embedding provider's answer is malformed: {0}")]
    Malformed(&'static str),
}
