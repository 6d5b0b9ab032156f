//! Embeddings from any OpenAI-compatible server. Connection, retries and named outcomes are `llm::provider`'s.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{EmbedError, EmbedFuture, Embedder};
use crate::llm::{
    LlmError,
    openai::ProviderConfig,
    provider::{Provider, outcome},
};
use crate::redact;

/// Texts of one request. Servers differ in their limits; all known ones take this many.
const BATCH: usize = 64;

/// An embedding model behind an OpenAI-compatible server. Clones share connections and the circuit breaker.
#[derive(Clone)]
pub struct OpenAiEmbedder {
    provider: Arc<Provider>,
    model: String,
    /// The model's name, with a mark when texts are redacted: that changes vectors.
    id: String,
    redact: bool,
    dim: usize,
}

impl OpenAiEmbedder {
    /// - `model`: the name the server knows.
    /// - `dim`: the length of its vectors, at least 1; a reply of another length is an error, not a new index.
    ///
    /// Fails when the address or the key cannot be used; connects to nothing yet.
    pub fn new(config: ProviderConfig, model: impl Into<String>, dim: usize) -> Result<Self, EmbedError> {
        let model = model.into();
        Ok(Self { provider: Arc::new(Provider::new(config)?), id: model.clone(), model, redact: false, dim })
    }

    /// Takes personal data out of every text before it is sent.
    pub fn redacting(mut self, redact: bool) -> Self {
        self.id = Self::id_of(&self.model, redact);
        self.redact = redact;
        self
    }

    /// What [`Embedder::model_id`] of such an embedder says.
    pub fn id_of(model: &str, redact: bool) -> String {
        if redact { format!("{model}+redacted") } else { model.to_owned() }
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut vectors = Vec::with_capacity(texts.len());
        let redacted = |text: String| if self.redact { redact::without_values(&text) } else { text };
        let texts: Vec<String> = texts.into_iter().map(redacted).collect();
        for batch in texts.chunks(BATCH) {
            let patience = self.provider.config.total_timeout;
            let value = self.provider.run(patience, || self.request(batch)).await?;
            vectors.extend(self.read(value, batch.len())?);
        }
        Ok(vectors)
    }

    async fn request(&self, batch: &[String]) -> Result<Value, LlmError> {
        let body = json!({"model": self.model, "input": batch, "encoding_format": "float"});
        self.provider.client.embeddings().create_byot(body).await.map_err(outcome)
    }

    /// Takes `wanted` vectors out of a reply, in the order of their `index`.
    fn read(&self, value: Value, wanted: usize) -> Result<Vec<Vec<f32>>, EmbedError> {
        #[derive(Deserialize)]
        struct Reply {
            data: Vec<Row>,
        }
        #[derive(Deserialize)]
        struct Row {
            index: usize,
            embedding: Vec<f32>,
        }
        let reply: Reply = serde_json::from_value(value).map_err(|_| EmbedError::Malformed("not an embedding list"))?;
        let mut rows = reply.data;
        rows.sort_by_key(|row| row.index);
        if rows.len() != wanted || rows.iter().enumerate().any(|(place, row)| row.index != place) {
            return Err(EmbedError::Malformed("another number of vectors than texts"));
        }
        for row in &rows {
            if row.embedding.len() != self.dim {
                return Err(EmbedError::Dimension { found: row.embedding.len(), wanted: self.dim });
            }
            if !row.embedding.iter().all(|number| number.is_finite()) {
                return Err(EmbedError::Malformed("a number that is not finite"));
            }
        }
        Ok(rows.into_iter().map(|row| row.embedding).collect())
    }
}

impl Embedder for OpenAiEmbedder {
    fn model_id(&self) -> &str {
        &self.id
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn embed_queries(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        Box::pin(self.embed(texts))
    }

    fn embed_passages(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        Box::pin(self.embed(texts))
    }
}
