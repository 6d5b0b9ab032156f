//! The database: pools, transactions that carry a tenant, migrations. Base module: knows no stage.
//!
//! One set of SQL serves SQLite and PostgreSQL (sqlx `Any`). Nothing outside this module sees a pool, so nothing runs on a bare
//! connection: tenant data is reached through [`TenantTx`], the list of tenants through [`OperatorTx`].
//!
//! SQLite has one writing connection per process and every writing transaction begins IMMEDIATE (a deferred read-then-write
//! transaction fails under contention whatever the busy timeout). PostgreSQL pools roll back on release and before reuse,
//! because sqlx 0.9 leaves a cancelled `begin()` open in the pool (`tests/it/store.rs` has both probes).

pub mod bulk;
mod dialect;
mod migrate;
mod pool;
mod tx;

pub use dialect::Dialect;
pub use migrate::{MigrationState, migration_state};
pub use pool::{PoolOptions, StoreError};
pub use tx::{OperatorTx, TenantTx};

use sqlx::AnyPool;

use crate::ids::TenantId;

/// Handles to the database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    dialect: Dialect,
    read: AnyPool,
    write: AnyPool,
}

impl Store {
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// A transaction that only reads; it sees one snapshot.
    pub async fn begin_read(&self, tenant: TenantId) -> sqlx::Result<TenantTx> {
        TenantTx::begin(&self.read, self.dialect, self.dialect.begin_read(), tenant).await
    }

    /// A transaction that may write; on SQLite it waits for the one writer.
    pub async fn begin_write(&self, tenant: TenantId) -> sqlx::Result<TenantTx> {
        TenantTx::begin(&self.write, self.dialect, self.dialect.begin_write(), tenant).await
    }

    /// The platform's own scope, for reading: the list of tenants and nothing inside one. A tenant is created and changed inside itself.
    pub async fn begin_operator(&self) -> sqlx::Result<OperatorTx> {
        OperatorTx::begin(&self.read, self.dialect).await
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> sqlx::Result<()> {
        let mut tx = self.begin_operator().await?;
        sqlx::query("SELECT 1").execute(tx.conn()).await?;
        tx.rollback().await
    }

    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}
