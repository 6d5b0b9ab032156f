//! Transactions that carry their scope: the only way to run a statement.

use sqlx::{Any, AnyConnection, AnyPool, Transaction};

use super::Dialect;
use crate::ids::TenantId;

/// A transaction inside one tenant. Dropped without [`TenantTx::commit`], it is rolled back.
///
/// Every statement names the tenant (`tenant_id = $1`, bound from [`TenantTx::tenant_text`]); on PostgreSQL row-level security
/// checks it a second time.
pub struct TenantTx {
    tx: Transaction<'static, Any>,
    dialect: Dialect,
    tenant: TenantId,
    tenant_text: String,
}

impl TenantTx {
    pub(super) async fn begin(
        pool: &AnyPool,
        dialect: Dialect,
        statement: &'static str,
        tenant: TenantId,
    ) -> sqlx::Result<Self> {
        let tenant_text = tenant.to_string();
        let tx = begin_scoped(pool, dialect, statement, &tenant_text).await?;
        Ok(Self { tx, dialect, tenant, tenant_text })
    }

    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The tenant as it is stored, to bind as `$1`.
    pub fn tenant_text(&self) -> String {
        self.tenant_text.clone()
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub fn conn(&mut self) -> &mut AnyConnection {
        &mut self.tx
    }

    /// Lets one transaction at a time write the tenant's content, until this one ends. SQLite has one writer anyway.
    pub async fn lock_content(&mut self) -> sqlx::Result<()> {
        if self.dialect == Dialect::Postgres {
            // Counted, because the driver knows no type for what the function returns.
            sqlx::query("SELECT count(*) FROM (SELECT pg_advisory_xact_lock(hashtextextended($1, 0))) AS held")
                .bind(format!("content of {}", self.tenant_text))
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }

    pub async fn commit(self) -> sqlx::Result<()> {
        self.tx.commit().await
    }

    pub async fn rollback(self) -> sqlx::Result<()> {
        self.tx.rollback().await
    }
}

/// A reading transaction over the list of tenants. Row-level security shows it no row of any other table.
pub struct OperatorTx {
    tx: Transaction<'static, Any>,
}

impl OperatorTx {
    pub(super) async fn begin(pool: &AnyPool, dialect: Dialect) -> sqlx::Result<Self> {
        let tx = begin_scoped(pool, dialect, "BEGIN", "operator").await?;
        Ok(Self { tx })
    }

    pub fn conn(&mut self) -> &mut AnyConnection {
        &mut self.tx
    }

    pub async fn rollback(self) -> sqlx::Result<()> {
        self.tx.rollback().await
    }
}

async fn begin_scoped(
    pool: &AnyPool,
    dialect: Dialect,
    statement: &'static str,
    scope: &str,
) -> sqlx::Result<Transaction<'static, Any>> {
    let mut tx = pool.begin_with(statement).await?;
    if dialect == Dialect::Postgres {
        // `true`: local to this transaction. Afterwards the setting is the empty string, which the policies refuse.
        sqlx::query("SELECT set_config('app.tenant', $1, true)").bind(scope.to_owned()).execute(&mut *tx).await?;
    }
    Ok(tx)
}
