//! The list of tenants, and making one: platform operations, outside any tenant's reach.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::Row;
use utoipa::ToSchema;

use super::{AccessError, taken};
use crate::audit::{self, Action, Actor, Event};
use crate::ids::TenantId;
use crate::store::{Store, TenantTx};

/// A tenant as the operator sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TenantRow {
    pub tenant_id: String,
    pub slug: String,
    pub name: String,
    pub suspended: bool,
    pub created_at_us: i64,
}

/// Creates a tenant and starts its audit chain, in a transaction that already stands inside the new tenant
/// (`store.begin_write(TenantId::mint())`), so that its first user and key can join the same commit.
pub async fn create(tx: &mut TenantTx, slug: &str, name: &str, now: Timestamp) -> Result<(), AccessError> {
    let well_formed = (2..=40).contains(&slug.len())
        && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !slug.starts_with('-')
        && !slug.ends_with('-');
    if !well_formed {
        return Err(AccessError::Invalid("a tenant's slug is 2 to 40 of a-z, 0-9 and -, not at its ends"));
    }
    if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        return Err(AccessError::Invalid("a tenant needs a name of 1 to 200 bytes without control characters"));
    }
    sqlx::query("INSERT INTO tenant (tenant_id, slug, name, suspended, created_at_us) VALUES ($1, $2, $3, 0, $4)")
        .bind(tx.tenant_text())
        .bind(slug.to_owned())
        .bind(name.to_owned())
        .bind(now.as_microsecond())
        .execute(tx.conn())
        .await
        .map_err(taken)?;
    audit::start_chain(tx).await?;
    record(tx, Action::TenantCreated, json!({}), now).await
}

/// [`AccessError::NotFound`] unless the transaction stands inside a tenant that exists.
pub async fn exists(tx: &mut TenantTx) -> Result<(), AccessError> {
    let row = sqlx::query("SELECT tenant_id FROM tenant WHERE tenant_id = $1")
        .bind(tx.tenant_text())
        .fetch_optional(tx.conn())
        .await?;
    row.map(drop).ok_or(AccessError::NotFound)
}

/// Every tenant, by slug.
pub async fn list(store: &Store) -> Result<Vec<TenantRow>, AccessError> {
    let mut tx = store.begin_operator().await?;
    let rows = sqlx::query("SELECT tenant_id, slug, name, suspended, created_at_us FROM tenant ORDER BY slug")
        .fetch_all(tx.conn())
        .await?;
    tx.rollback().await?;
    rows.iter().map(|row| tenant_row(row).map_err(AccessError::Db)).collect()
}

/// The ids of all tenants, for workers that go through them one by one.
pub async fn ids(store: &Store) -> Result<Vec<TenantId>, AccessError> {
    Ok(list(store).await?.iter().filter_map(|tenant| tenant.tenant_id.parse().ok()).collect())
}

/// Suspends or resumes: while suspended no key of the tenant works.
pub async fn set_suspended(store: &Store, id: TenantId, suspended: bool, now: Timestamp) -> Result<(), AccessError> {
    let mut tx = store.begin_write(id).await?;
    let done = sqlx::query("UPDATE tenant SET suspended = $2 WHERE tenant_id = $1")
        .bind(tx.tenant_text())
        .bind(i64::from(suspended))
        .execute(tx.conn())
        .await?
        .rows_affected();
    if done == 0 {
        return Err(AccessError::NotFound);
    }
    record(&mut tx, Action::TenantChanged, json!({ "suspended": suspended }), now).await?;
    tx.commit().await?;
    Ok(())
}

async fn record(
    tx: &mut TenantTx,
    action: Action,
    details: serde_json::Value,
    now: Timestamp,
) -> Result<(), AccessError> {
    let event = Event {
        actor: &Actor::operator(),
        action,
        resource: format!("tenant:{}", tx.tenant()),
        state_sha256: None,
        details,
    };
    audit::append(tx, event, now).await?;
    Ok(())
}

fn tenant_row(row: &sqlx::any::AnyRow) -> sqlx::Result<TenantRow> {
    Ok(TenantRow {
        tenant_id: row.try_get(0)?,
        slug: row.try_get(1)?,
        name: row.try_get(2)?,
        suspended: row.try_get::<i64, _>(3)? != 0,
        created_at_us: row.try_get(4)?,
    })
}
