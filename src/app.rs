//! The service put together: what the faces need, opened once. Between the stages and the faces.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use futures::FutureExt;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::access;
use crate::audit::StateOf;
use crate::clock::Clock;
use crate::config::Config;
use crate::detect::{self, Detect};
use crate::embed::Embedder;
use crate::index::Index;
use crate::ladder::Ladder;
use crate::net::{NetPolicy, SystemLookup};
use crate::quota::rate::{Allowance, RateLimiter, Slowdown};
use crate::source::{self, Extractor};
use crate::store::Store;
use crate::vector::VectorStore;
use crate::webhook::Sender;

/// Resources whose state the audit trail vouches for.
pub const AUDITED_STATES: &[(&str, StateOf)] = &[
    ("user", |tx, id| access::user_state(tx, id).boxed()),
    ("key", |tx, id| access::key_state(tx, id).boxed()),
    ("batch", source::batch_state),
    ("exception", |tx, id| detect::exception_state(tx, id).boxed()),
    ("detection", |tx, version| detect::settings_state(tx, version).boxed()),
];

/// Attempts with keys that are none, a minute and client, before they are slowed down.
const GUESSES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");

/// Everything a face needs. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub store: Store,
    pub index: Index,
    pub llm: Ladder,
    pub rate: Arc<RateLimiter>,
    /// Attempts with keys that are none, by client network.
    pub guesses: Arc<Slowdown<IpAddr>>,
    pub detect: Detect,
    /// Reads PDF, office files and mails.
    pub extractor: Extractor,
    /// Signs audit heads.
    pub audit_key: Arc<SigningKey>,
    /// Of the operator's key; the key itself lies in the data directory.
    pub operator_key_sha256: Arc<str>,
    pub metrics: PrometheusHandle,
    /// Of this process; see `http::idempotency`.
    pub instance: Uuid,
    pub shutdown: CancellationToken,
    pub tasks: TaskTracker,
}

/// What an [`App`] is made of.
pub struct Parts {
    pub config: Config,
    pub clock: Clock,
    pub store: Store,
    pub vectors: Arc<dyn VectorStore>,
    pub embedder: Option<Arc<dyn Embedder>>,
    pub llm: Ladder,
    pub audit_key: SigningKey,
    pub operator_key: String,
    pub metrics: PrometheusHandle,
}

impl App {
    /// Puts the parts together and starts the workers. Call inside a tokio runtime.
    pub fn new(parts: Parts) -> Self {
        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();
        let index = Index::start(parts.store.clone(), parts.vectors, parts.embedder, shutdown.clone(), &tasks);
        let told = Arc::new(Notify::new());
        let detect = Detect::start(parts.store.clone(), parts.clock.clone(), told.clone(), shutdown.clone(), &tasks);
        let policy = NetPolicy { allow_private_network: parts.config.webhooks.allow_private_network };
        let lookup = Arc::new(SystemLookup);
        let sender = Sender { store: parts.store.clone(), clock: parts.clock.clone(), policy, lookup };
        tasks.spawn(sender.run(told, shutdown.clone()));
        let extractor = Extractor::new(&parts.config.ingest);
        Self {
            config: Arc::new(parts.config),
            clock: parts.clock,
            store: parts.store,
            index,
            detect,
            llm: parts.llm,
            rate: Arc::default(),
            guesses: Arc::new(Slowdown::new(Allowance::per_minute(GUESSES_PER_MINUTE))),
            extractor,
            audit_key: Arc::new(parts.audit_key),
            operator_key_sha256: crate::canonical::sha256_hex(parts.operator_key).into(),
            metrics: parts.metrics,
            instance: crate::ids::RunId::mint().0,
            shutdown,
            tasks,
        }
    }

    /// Stops the workers after the portion in hand and closes the stores.
    pub async fn close(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Err(error) = self.index.vectors().close().await {
            tracing::warn!(%error, "the vector store did not close cleanly");
        }
        self.store.close().await;
    }
}

/// The process's metrics recorder, installed once; later calls get the same handle.
pub fn metrics_recorder() -> PrometheusHandle {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed; /metrics stays empty");
            }
            handle
        })
        .clone()
}

/// A signing key from its 32 bytes.
pub fn signing_key(bytes: &[u8; 32]) -> SigningKey {
    SigningKey::from_bytes(bytes)
}

/// The data directory: who may open it, and the files in it that are not the database.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: std::fs::File,
}

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("{path}: {reason}")]
    Io { path: PathBuf, reason: String },
    #[error("{0} is in use by another countersign process")]
    InUse(PathBuf),
}

impl DataDir {
    /// Creates the directory (owner only) and takes its exclusive lock, which lasts as long as the value.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let io = |error: std::io::Error| DataDirError::Io { path: path.into(), reason: error.to_string() };
        std::fs::create_dir_all(path).map_err(io)?;
        owner_only(path, 0o700).map_err(io)?;
        let lock = std::fs::File::create(path.join("lock")).map_err(io)?;
        lock.try_lock().map_err(|_| DataDirError::InUse(path.into()))?;
        Ok(Self { path: path.into(), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn database(&self) -> PathBuf {
        self.path.join("countersign.db")
    }

    pub fn vectors(&self) -> PathBuf {
        self.path.join("vectors")
    }

    /// A file of the directory that only its owner may read, made with `mint` the first time.
    pub fn secret_file(&self, name: &str, mint: impl FnOnce() -> String) -> Result<String, DataDirError> {
        let path = self.path.join(name);
        let io = |error: std::io::Error| DataDirError::Io { path: path.clone(), reason: error.to_string() };
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok(text.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        let text = mint();
        write_secret(&path, &text).map_err(io)?;
        Ok(text)
    }

    /// The key that signs audit heads.
    pub fn audit_key(&self) -> Result<SigningKey, DataDirError> {
        let text = self.secret_file("audit.key", || hex::encode(rand::random::<[u8; 32]>()))?;
        let bytes: Option<[u8; 32]> = hex::decode(&text).ok().and_then(|bytes| bytes.try_into().ok());
        let reason = "is not 64 hexadecimal digits".to_owned();
        bytes
            .map(|bytes| SigningKey::from_bytes(&bytes))
            .ok_or_else(|| DataDirError::Io { path: self.path.join("audit.key"), reason })
    }

    /// The platform operator's key.
    pub fn operator_key(&self) -> Result<String, DataDirError> {
        use rand::distr::{Alphanumeric, SampleString};
        self.secret_file("operator.key", || format!("cso_{}", Alphanumeric.sample_string(&mut rand::rng(), 40)))
    }
}

/// Writes a file that only its owner may read, replacing an old one at once.
pub fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    owner_only(path, 0o600)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()
}

#[cfg(unix)]
fn owner_only(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn owner_only(_path: &Path, _mode: u32) -> std::io::Result<()> {
    Ok(())
}
