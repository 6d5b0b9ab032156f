//! Which embedder a run uses, and vectors kept between runs so that a change of ranking is measured in seconds.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use clap::ValueEnum;
use countersign::embed::hashed::HashEmbedder;
use countersign::embed::minilm::MiniLm;
use countersign::embed::weights::{Resolution, WeightsConfig, resolve};
use countersign::embed::{EmbedError, EmbedFuture, Embedder};
use sha2::{Digest, Sha256};

use crate::Arguments;

/// An embedder that several sets share.
pub type SharedEmbedder = Option<Arc<dyn Embedder>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// all-MiniLM-L6-v2; without its weights the dense leg is skipped.
    Minilm,
    /// A deterministic hash of words.
    Hashed,
    /// Keywords only.
    None,
}

/// The embedder and the name under which its figures are kept.
pub struct Chosen {
    pub name: &'static str,
    pub shared: SharedEmbedder,
}

pub async fn choose(arguments: &Arguments) -> Result<Chosen> {
    let shared: SharedEmbedder = match arguments.embedder {
        Choice::None => None,
        Choice::Hashed => Some(Arc::new(HashEmbedder::new())),
        Choice::Minilm => minilm(arguments.model_dir.as_deref(), arguments.offline).await,
    };
    let name = match (&shared, arguments.embedder) {
        (None, _) => "none",
        (Some(_), Choice::Hashed) => "hashed",
        (Some(_), Choice::Minilm | Choice::None) => "minilm",
    };
    let shared = match (shared, &arguments.vectors) {
        (Some(inner), Some(directory)) => Some(Arc::new(Kept::open(inner, directory)?) as Arc<dyn Embedder>),
        (shared, _) => shared,
    };
    Ok(Chosen { name, shared })
}

async fn minilm(directory: Option<&Path>, offline: bool) -> SharedEmbedder {
    let mut config = WeightsConfig::new(std::env::temp_dir().join("countersign-eval-model"));
    config.directory = directory.map(Path::to_owned);
    if offline {
        config.sources.clear();
    }
    match resolve(&config, &|_| ()).await {
        Resolution::Ready(weights) => {
            let loaded = tokio::task::spawn_blocking(move || MiniLm::load(weights.read().ok()?, 2).ok()).await;
            loaded.ok().flatten().map(|model| Arc::new(model) as Arc<dyn Embedder>)
        }
        Resolution::Unavailable { why } => {
            println!("skipped: dense leg: the embedding model cannot be had ({why})");
            None
        }
    }
}

type Vectors = HashMap<[u8; 32], Vec<f32>>;

/// An embedder whose vectors outlive the run: one file per model, records of a text's SHA-256 and its vector, appended.
struct Kept {
    inner: Arc<dyn Embedder>,
    path: PathBuf,
    vectors: Mutex<Vectors>,
}

impl Kept {
    fn open(inner: Arc<dyn Embedder>, directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        let model: String = inner.model_id().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = directory.join(format!("{model}.vectors"));
        let bytes = if path.exists() { std::fs::read(&path).context("kept vectors")? } else { Vec::new() };
        let record = 32 + 4 * inner.dim();
        // A run that was killed may have left half a record; what follows it would be read askew.
        let whole = bytes.len() / record * record;
        if whole < bytes.len() {
            std::fs::OpenOptions::new().write(true).open(&path)?.set_len(whole as u64)?;
        }
        let mut vectors = Vectors::new();
        for one in bytes[..whole].chunks_exact(record) {
            let (key, vector) = one.split_at(32);
            let numbers = vector.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
            vectors.insert(key.try_into()?, numbers.collect());
        }
        Ok(Self { inner, path, vectors: Mutex::new(vectors) })
    }

    async fn embed(&self, kind: &'static str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let keys: Vec<[u8; 32]> = texts.iter().map(|text| Sha256::digest(format!("{kind}\0{text}")).into()).collect();
        let lock = || self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<usize> = {
            let known = lock();
            (0..keys.len()).filter(|at| !known.contains_key(&keys[*at])).collect()
        };
        if !missing.is_empty() {
            let new: Vec<String> = missing.iter().map(|at| texts[*at].clone()).collect();
            let new = match kind {
                "query" => self.inner.embed_queries(new).await?,
                _ => self.inner.embed_passages(new).await?,
            };
            let mut bytes = Vec::new();
            let mut known = lock();
            for (at, vector) in missing.into_iter().zip(new) {
                bytes.extend_from_slice(&keys[at]);
                vector.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
                known.insert(keys[at], vector);
            }
            let file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path);
            let written = file.and_then(|mut file| file.write_all(&bytes));
            written.map_err(|error| EmbedError::Model(format!("vectors could not be kept: {error}")))?;
        }
        let known = lock();
        let vectors = keys.iter().map(|key| known.get(key).cloned());
        vectors.collect::<Option<_>>().ok_or(EmbedError::Malformed("another number of vectors than texts"))
    }
}

impl Embedder for Kept {
    fn model_id(&self) -> &str {
        self.inner.model_id()
    }

    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn embed_queries(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        Box::pin(self.embed("query", texts))
    }

    fn embed_passages(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        Box::pin(self.embed("passage", texts))
    }

    fn spelled_out(&self, text: &str) -> Option<usize> {
        self.inner.spelled_out(text)
    }
}

#[cfg(test)]
mod tests {
    use countersign::embed::Counted;

    use super::*;

    #[tokio::test]
    async fn kept_vectors_are_not_made_again_and_half_a_record_is_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let texts = || vec!["late shipment".to_owned(), "refund".to_owned()];
        let first = Kept::open(Arc::new(HashEmbedder::new()), directory.path()).unwrap();
        let vectors = first.embed_passages(texts()).await.unwrap();
        std::fs::OpenOptions::new().append(true).open(&first.path).unwrap().write_all(&[1, 2, 3]).unwrap();
        let counted = Counted::new(HashEmbedder::new());
        let counter = counted.counter();
        let second = Kept::open(Arc::new(counted), directory.path()).unwrap();
        assert_eq!(second.embed_passages(texts()).await.unwrap(), vectors);
        assert_eq!(counter.passages(), 0);
        second.embed_queries(texts()).await.unwrap();
        assert_eq!(counter.queries(), 2, "a query is not a passage");
    }
}
