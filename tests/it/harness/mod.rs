//! The harness: a whole service per test, on either engine, with two tenants that must never see each other. It owns the mess.

mod client;
mod logs;
mod postgres;
pub mod seed;

pub use client::{Call, Reply};
pub use logs::Logs;
pub use seed::Tenant;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use countersign::app::{App, Parts};
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::embed::hashed::{self, HashEmbedder};
use countersign::embed::{EmbedFuture, Embedder};
use countersign::http::serve::ConnectionLimits;
use countersign::ids::TenantId;
use countersign::ladder::Ladder;
use countersign::store::{PoolOptions, Store, TenantTx};
use countersign::vector::EmbeddingSpec;
use countersign::vector::embedded::{EmbeddedConfig, EmbeddedStore};
use ed25519_dalek::SigningKey;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use crate::faulty_vector::FaultyVectorStore;
use postgres::PgDatabase;

/// The databases that every test with state runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A database of the test's own.
pub enum Database {
    Sqlite(PathBuf),
    Postgres(PgDatabase),
}

impl Database {
    /// `None`, and a line that says so, when the engine is not on this machine.
    pub async fn new(engine: Engine, directory: &std::path::Path) -> Option<Self> {
        match engine {
            Engine::Sqlite => Some(Self::Sqlite(directory.join("countersign.db"))),
            Engine::Postgres => match postgres::database(&unique()).await {
                Some(database) => Some(Self::Postgres(database)),
                None => {
                    skip("no PostgreSQL");
                    None
                }
            },
        }
    }

    /// On a PostgreSQL server of its own; `None` as in [`Database::new`].
    pub async fn own_server() -> Option<Self> {
        let database = postgres::own_database().await;
        if database.is_none() {
            skip("no PostgreSQL");
        }
        database.map(Self::Postgres)
    }

    /// As the service opens it.
    pub fn options(&self) -> PoolOptions {
        match self {
            Self::Sqlite(path) => PoolOptions::sqlite(path),
            Self::Postgres(database) => {
                let mut options = PoolOptions::new(database.app_url());
                options.migrate_url = Some(database.owner_url());
                options
            }
        }
    }

    /// A connection past the service: the file itself, or the owner of the tables.
    pub async fn raw(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        let url = match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(database) => database.owner_url(),
        };
        AnyConnection::connect(&url).await.expect("the database answers")
    }

    pub fn postgres(&self) -> Option<&PgDatabase> {
        match self {
            Self::Postgres(database) => Some(database),
            Self::Sqlite(_) => None,
        }
    }
}

/// Says that a test does not run here; fails instead where the engine is required.
fn skip(why: &str) {
    #[expect(clippy::disallowed_methods, reason = "the switch of the tests, not of the service")]
    let required = std::env::var_os("COUNTERSIGN_REQUIRE_POSTGRES").is_some_and(|value| value == "1");
    assert!(!required, "{why}, and COUNTERSIGN_REQUIRE_POSTGRES=1");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    eprintln!("skipped: {test}: {why}");
    // Runners hide what passing tests print: whoever runs them all shows this file at the end.
    let list = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped.txt");
    if let Ok(mut list) = std::fs::File::options().create(true).append(true).open(list) {
        let _ = std::io::Write::write_all(&mut list, format!("skipped: {test}: {why}\n").as_bytes());
    }
}

/// 26 lower-case letters and digits that nothing else has.
pub fn unique() -> String {
    TenantId::mint().0.as_simple().to_string()
}

/// [`HashEmbedder`], counting texts.
#[derive(Default)]
pub struct CountingEmbedder {
    texts: AtomicUsize,
}

impl CountingEmbedder {
    /// Texts embedded so far, questions and passages.
    pub fn count(&self) -> usize {
        self.texts.load(Ordering::SeqCst)
    }
}

impl Embedder for CountingEmbedder {
    fn model_id(&self) -> &str {
        "hashed-words"
    }

    fn dim(&self) -> usize {
        hashed::DIM
    }

    fn embed_queries(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        self.embed_passages(texts)
    }

    fn embed_passages(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        self.texts.fetch_add(texts.len(), Ordering::SeqCst);
        Box::pin(async move { HashEmbedder::new().embed_passages(texts).await })
    }
}

/// What a test may choose.
#[derive(Default)]
pub struct Setup {
    pub config: Config,
    /// The models, best first; `model.into()` for one.
    pub llm: Ladder,
    pub max_connections: Option<u32>,
    /// No tenants: the test makes its own.
    pub empty: bool,
    /// A PostgreSQL server for this test alone, which it may stop.
    pub own_server: bool,
    /// Longest wait for a connection to the database.
    pub acquire_timeout: Option<Duration>,
}

/// The service, put together as `main` does it, and what the tests need to look behind it.
pub struct TestApp {
    pub app: App,
    pub router: Router,
    pub engine: Engine,
    pub database: Database,
    pub vectors: FaultyVectorStore,
    pub embedder: Arc<CountingEmbedder>,
    pub logs: Logs,
    pub operator_key: String,
    pub a: Tenant,
    pub b: Tenant,
    directory: PathBuf,
    options: PoolOptions,
    parts: Rebuild,
}

/// What a service is made of, to put it together again.
struct Rebuild {
    config: Config,
    llm: Ladder,
    clock: Clock,
}

impl Rebuild {
    async fn build(
        &self,
        options: &PoolOptions,
        directory: &std::path::Path,
        embedder: Arc<CountingEmbedder>,
        operator_key: &str,
    ) -> (App, FaultyVectorStore) {
        let vectors = open_vectors(&directory.join("vectors"));
        let app = App::new(Parts {
            config: self.config.clone(),
            clock: self.clock.clone(),
            store: Store::open(options).await.expect("the database opens"),
            vectors: Arc::new(vectors.clone()),
            embedder: Some(embedder),
            llm: self.llm.clone(),
            audit_key: SigningKey::from_bytes(&[7; 32]),
            operator_key: operator_key.to_owned(),
            metrics: metrics(),
        });
        (app, vectors)
    }
}

fn fixed_clock() -> Clock {
    Clock::fixed("2026-03-02T09:00:00Z".parse().expect("a time"))
}

impl TestApp {
    /// Stops the service and starts it again on the same files, as after a deployment.
    pub async fn restart(&mut self) {
        self.app.close().await;
        let (directory, embedder) = (&self.directory, self.embedder.clone());
        let (app, vectors) = self.parts.build(&self.options, directory, embedder, &self.operator_key).await;
        self.router = countersign::http::router(&app);
        (self.app, self.vectors) = (app, vectors);
    }

    /// A service with two tenants; `None` (and a line that says so) when the engine is not on this machine.
    pub async fn new(engine: Engine) -> Option<Self> {
        Self::with(engine, Setup::default()).await
    }

    pub async fn with(engine: Engine, mut setup: Setup) -> Option<Self> {
        // This process is a test, which cannot start itself again as a reader of files.
        setup.config.ingest.program.get_or_insert_with(|| env!("CARGO_BIN_EXE_countersign").into());
        let logs = Logs::capture();
        let directory = own_directory();
        let database =
            if setup.own_server { Database::own_server().await? } else { Database::new(engine, &directory).await? };
        let mut options = database.options();
        options.acquire_timeout = setup.acquire_timeout.unwrap_or(options.acquire_timeout);
        options.max_connections = setup.max_connections.unwrap_or(4);
        let embedder = Arc::new(CountingEmbedder::default());
        let operator_key = format!("cso_{}", unique());
        let parts = Rebuild { config: setup.config, llm: setup.llm, clock: fixed_clock() };
        let (app, vectors) = parts.build(&options, &directory, embedder.clone(), &operator_key).await;
        let router = countersign::http::router(&app);
        let (a, b) = (Tenant::default(), Tenant::default());
        let mut test = Self {
            app,
            router,
            engine,
            database,
            vectors,
            embedder,
            logs,
            operator_key,
            a,
            b,
            directory,
            options,
            parts,
        };
        if !setup.empty {
            test.a = seed::tenant(&test, format!("alfa{}", &unique()[20..])).await;
            test.b = seed::tenant(&test, format!("bravo{}", &unique()[20..])).await;
        }
        Some(test)
    }

    pub fn call(&self, method: &str, path: &str) -> Call {
        Call::new(&self.router, method, path)
    }

    pub async fn get(&self, key: &str, path: &str) -> Reply {
        self.call("GET", path).key(key).send().await
    }

    pub async fn post(&self, key: &str, path: &str, body: &Value) -> Reply {
        self.call("POST", path).key(key).json(body).send().await
    }

    pub async fn push_records(&self, key: &str, source: &str, records: &[Value]) -> Reply {
        let body = json!({ "source": source, "records": records });
        self.call("POST", "/v1/records:batch").key(key).once().json(&body).send().await
    }

    pub async fn push_documents(&self, key: &str, source: &str, documents: &[Value]) -> Reply {
        let body = json!({ "source": source, "documents": documents });
        self.call("POST", "/v1/documents").key(key).once().json(&body).send().await
    }

    pub async fn record_id(&self, key: &str, kind: &str, external_id: &str) -> Option<String> {
        let found = self.get(key, &format!("/v1/records?kind={kind}&external_id={external_id}")).await.ok().json();
        found["records"][0]["record_id"].as_str().map(str::to_owned)
    }

    /// The texts that a search returns.
    pub async fn search(&self, key: &str, query: &str) -> Vec<Value> {
        let found = self.post(key, "/v1/search", &json!({ "query": query, "limit": 50 })).await.ok().json();
        found["hits"].as_array().expect("hits").clone()
    }

    /// Waits until everything of the tenant is findable by word and by meaning.
    pub async fn settle(&self, tenant: TenantId) -> bool {
        self.app.index.settle(tenant, true, Duration::from_secs(20)).await.expect("the database answers")
    }

    pub async fn verify(&self, tenant: &Tenant, anchor: Option<&Value>) -> Value {
        self.post(tenant.key("auditor"), "/v1/audit:verify", &json!({ "anchor": anchor })).await.ok().json()
    }

    pub async fn tx(&self, tenant: &Tenant) -> TenantTx {
        self.app.store.begin_write(tenant.id()).await.expect("the database answers")
    }

    /// The first column of the first row, inside the tenant; `$1` is the tenant.
    pub async fn count(&self, tenant: TenantId, statement: &str) -> i64 {
        let mut tx = self.app.store.begin_read(tenant).await.expect("the database answers");
        let row = sqlx::query(AssertSqlSafe(statement.to_owned())).bind(tx.tenant_text()).fetch_one(tx.conn()).await;
        row.expect(statement).get(0)
    }

    /// Serves on loopback, as `serve` does; ends with the test's runtime.
    pub async fn serve(&self) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let limits = ConnectionLimits::new(&self.app.config.server);
        tokio::spawn(countersign::http::serve::serve(listener, self.router.clone(), limits, self.app.shutdown.clone()));
        address
    }

    pub fn vector_directory(&self) -> PathBuf {
        self.directory.join("vectors")
    }

    /// The pool's settings, for opening the same database once more.
    pub fn options(&self) -> PoolOptions {
        self.options.clone()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.app.shutdown.cancel();
    }
}

/// A directory for one service. Its shards write to it until the runtime has ended, so nothing of this process may remove it: the next
/// one sweeps up what dead processes left.
fn own_directory() -> PathBuf {
    let home = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("services");
    for entry in std::fs::read_dir(&home).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.split('-').next().unwrap_or_default().to_owned();
        let alive = std::path::Path::new("/proc").join(process).exists() || !cfg!(target_os = "linux");
        if !alive {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let directory = home.join(format!("{}-{}", std::process::id(), unique()));
    std::fs::create_dir_all(&directory).expect("a directory for the test");
    directory
}

fn open_vectors(directory: &std::path::Path) -> FaultyVectorStore {
    let spec = EmbeddingSpec::new("hashed-words", hashed::DIM);
    let store = EmbeddedStore::open(EmbeddedConfig::new(directory, spec)).expect("the vector store opens");
    FaultyVectorStore::new(Arc::new(store))
}

fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| PrometheusBuilder::new().install_recorder().expect("one recorder a process")).clone()
}
