//! Counts the texts that reach an embedder, so that "unchanged content costs nothing" can be measured and asserted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{EmbedFuture, Embedder};

/// How many texts were handed to an embedder since the start of the process. Clones share one count.
#[derive(Debug, Clone, Default)]
pub struct EmbeddingCounter {
    queries: Arc<AtomicU64>,
    passages: Arc<AtomicU64>,
}

impl EmbeddingCounter {
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    pub fn passages(&self) -> u64 {
        self.passages.load(Ordering::Relaxed)
    }
}

/// An embedder that counts, here and in the metric `countersign_embedded_texts_total{kind}`.
pub struct Counted<E> {
    inner: E,
    counter: EmbeddingCounter,
}

impl<E: Embedder> Counted<E> {
    pub fn new(inner: E) -> Self {
        Self { inner, counter: EmbeddingCounter::default() }
    }

    /// A handle that stays valid after the embedder was boxed away.
    pub fn counter(&self) -> EmbeddingCounter {
        self.counter.clone()
    }
}

impl<E: Embedder> Embedder for Counted<E> {
    fn model_id(&self) -> &str {
        self.inner.model_id()
    }

    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn embed_queries(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        self.counter.queries.fetch_add(texts.len() as u64, Ordering::Relaxed);
        metrics::counter!("countersign_embedded_texts_total", "kind" => "query").increment(texts.len() as u64);
        self.inner.embed_queries(texts)
    }

    fn embed_passages(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        self.counter.passages.fetch_add(texts.len() as u64, Ordering::Relaxed);
        metrics::counter!("countersign_embedded_texts_total", "kind" => "passage").increment(texts.len() as u64);
        self.inner.embed_passages(texts)
    }

    fn spelled_out(&self, text: &str) -> Option<usize> {
        self.inner.spelled_out(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::hashed::HashEmbedder, *};

    #[tokio::test]
    async fn queries_and_passages_are_counted_apart() {
        let embedder = Counted::new(HashEmbedder::new());
        let counter = embedder.counter();
        embedder.embed_passages(vec!["a".into(), "b".into()]).await.unwrap();
        embedder.embed_queries(vec!["c".into()]).await.unwrap();
        assert_eq!((counter.passages(), counter.queries()), (2, 1));
    }
}
