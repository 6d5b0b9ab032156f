//! Opening the database: pools, pragmas, the PostgreSQL mitigations, and the refusals at start-up.

use std::path::Path;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Executor, Row};

use super::{Dialect, Store, migrate};

/// How the pools are made.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// `sqlite:PATH` or `postgres://…`, as the role that serves: on PostgreSQL not the owner of the tables.
    pub url: String,
    /// As the owner of the tables, for migrations; PostgreSQL only. `None`: `url` migrates too.
    pub migrate_url: Option<String>,
    /// Connections per pool, at least 1.
    pub max_connections: u32,
    /// How long to wait for a connection or for the writer.
    pub acquire_timeout: Duration,
    /// Off only in the test that proves why they are on.
    pub rollback_hooks: bool,
}

impl PoolOptions {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            migrate_url: None,
            max_connections: 8,
            acquire_timeout: Duration::from_secs(10),
            rollback_hooks: true,
        }
    }

    pub fn sqlite(path: &Path) -> Self {
        Self::new(format!("sqlite:{}?mode=rwc", path.display()))
    }
}

/// Why the database could not be opened. Messages carry no URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database URL must begin with sqlite: or postgres:")]
    Scheme,
    #[error(
        "the database role may bypass row-level security (superuser or BYPASSRLS): give `database.url` an ordinary role and \
         put the owner into `database.migrate_url`"
    )]
    RoleBypassesRls,
    #[error("the database has migration {found}, newer than this program knows ({known}): run a newer countersign")]
    NewerSchema { found: i64, known: i64 },
    #[error("migration failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("database: {0}")]
    Db(#[from] sqlx::Error),
}

impl Store {
    /// Opens the database and brings its tables up to date.
    pub async fn open(options: &PoolOptions) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let dialect = Dialect::of_url(&options.url).ok_or(StoreError::Scheme)?;
        match dialect {
            Dialect::Sqlite => {
                let write = sqlite_pool(options, 1).await?;
                migrate::run(&write, dialect).await?;
                let read = sqlite_pool(options, options.max_connections).await?;
                Ok(Self { dialect, read, write })
            }
            Dialect::Postgres => {
                migrate_postgres(options).await?;
                let pool = postgres_pool(options).await?;
                refuse_rls_bypass(&pool).await?;
                Ok(Self { dialect, read: pool.clone(), write: pool })
            }
        }
    }
}

async fn sqlite_pool(options: &PoolOptions, connections: u32) -> sqlx::Result<AnyPool> {
    // WAL: readers go on while one writes. FULL: what was acknowledged survives a power cut.
    const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                           PRAGMA busy_timeout = 10000; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384";
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(options.acquire_timeout)
        .after_connect(|conn, _| Box::pin(async move { conn.execute(PRAGMAS).await.map(drop) }))
        .connect(&options.url)
        .await
}

async fn postgres_pool(options: &PoolOptions) -> sqlx::Result<AnyPool> {
    // `BEGIN; ROLLBACK` as one simple query: ends whatever a cancelled `begin()` left open, and warns in the server's log only
    // when there was something to undo. sqlx 0.9.0 (transact-rs/sqlx#4385).
    const UNDO: &str = "BEGIN; ROLLBACK";
    let mut pool =
        AnyPoolOptions::new().max_connections(options.max_connections).acquire_timeout(options.acquire_timeout);
    if options.rollback_hooks {
        pool = pool
            .after_release(|conn, _| Box::pin(async move { conn.execute(UNDO).await.map(|_| true) }))
            .before_acquire(|conn, _| Box::pin(async move { conn.execute(UNDO).await.map(|_| true) }));
    }
    pool.connect(&options.url).await
}

async fn migrate_postgres(options: &PoolOptions) -> Result<(), StoreError> {
    let owner_url = options.migrate_url.as_ref().unwrap_or(&options.url);
    let one = || AnyPoolOptions::new().max_connections(1).acquire_timeout(options.acquire_timeout);
    let owner = one().connect(owner_url).await?;
    migrate::run(&owner, Dialect::Postgres).await?;
    if options.migrate_url.is_some() {
        let mut app = one().connect(&options.url).await?.acquire().await?;
        let role: String = sqlx::query("SELECT current_user::text").fetch_one(&mut *app).await?.get(0);
        migrate::grant(&owner, &role).await?;
    }
    owner.close().await;
    Ok(())
}

async fn refuse_rls_bypass(pool: &AnyPool) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT count(*) FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)")
        .fetch_one(pool)
        .await?;
    if row.get::<i64, _>(0) > 0 { Err(StoreError::RoleBypassesRls) } else { Ok(()) }
}
