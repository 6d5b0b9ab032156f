//! Forward-only migrations, compiled in. `migrations/` holds one folder per engine with the same tables.

use sqlx::migrate::Migrator;
use sqlx::{AnyPool, AssertSqlSafe, Row};

use super::{Dialect, Store, StoreError};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

fn migrator(dialect: Dialect) -> &'static Migrator {
    match dialect {
        Dialect::Sqlite => &SQLITE,
        Dialect::Postgres => &POSTGRES,
    }
}

/// Applies what is missing; refuses a database that a newer program has migrated. sqlx takes a lock, so of two replicas one wins.
pub(super) async fn run(pool: &AnyPool, dialect: Dialect) -> Result<(), StoreError> {
    let known = newest(dialect);
    match applied(pool).await {
        Some(found) if found > known => return Err(StoreError::NewerSchema { found, known }),
        Some(_) | None => {}
    }
    migrator(dialect).run(pool).await?;
    Ok(())
}

/// Lets the serving role work on the tables; of the audit it may only read and append.
pub(super) async fn grant(owner: &AnyPool, role: &str) -> sqlx::Result<()> {
    let role = role.replace('"', "\"\"");
    for statement in [
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO \"{role}\""),
        format!("REVOKE UPDATE, DELETE, TRUNCATE ON audit_event FROM \"{role}\""),
        format!("REVOKE INSERT, UPDATE, DELETE ON _sqlx_migrations FROM \"{role}\""),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(owner).await?;
    }
    Ok(())
}

/// What the database has and what this program knows, as migration numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct MigrationState {
    pub applied: i64,
    pub known: i64,
}

pub async fn migration_state(store: &Store) -> MigrationState {
    MigrationState { applied: applied(&store.read).await.unwrap_or(0), known: newest(store.dialect()) }
}

fn newest(dialect: Dialect) -> i64 {
    migrator(dialect).iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// `None` before the first migration.
async fn applied(pool: &AnyPool) -> Option<i64> {
    let row = sqlx::query("SELECT max(version) FROM _sqlx_migrations").fetch_one(pool).await.ok()?;
    row.try_get(0).ok()
}
