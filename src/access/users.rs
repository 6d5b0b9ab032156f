//! Users of a tenant and their roles.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::Row;
use utoipa::ToSchema;

use super::{AccessError, Role, taken, user_state};
use crate::audit::{self, Action, Actor, Event};
use crate::ids::UserId;
use crate::store::TenantTx;

/// A user as listed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UserRow {
    pub user_id: String,
    pub email: String,
    pub name: String,
    pub suspended: bool,
    pub roles: Vec<Role>,
    pub created_at_us: i64,
}

/// Creates a user. E-mail addresses are compared in lower case.
pub async fn create(
    tx: &mut TenantTx,
    actor: &Actor,
    email: &str,
    name: &str,
    roles: &BTreeSet<Role>,
    now: Timestamp,
) -> Result<UserId, AccessError> {
    let email = email.trim().to_lowercase();
    let plausible = email.len() <= 254 && email.split_once('@').is_some_and(|(a, b)| !a.is_empty() && b.contains('.'));
    if !plausible || email.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(AccessError::Invalid("that is not an e-mail address"));
    }
    if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        return Err(AccessError::Invalid("a user needs a name of 1 to 200 bytes without control characters"));
    }
    check_roles(roles)?;
    let id = UserId::mint();
    sqlx::query(
        "INSERT INTO app_user (tenant_id, user_id, email, name, suspended, created_at_us) VALUES ($1, $2, $3, $4, 0, $5)",
    )
    .bind(tx.tenant_text())
    .bind(id.to_string())
    .bind(email)
    .bind(name.to_owned())
    .bind(now.as_microsecond())
    .execute(tx.conn())
    .await
    .map_err(taken)?;
    insert_roles(tx, id, roles).await?;
    record(tx, actor, id, Action::UserCreated, now).await?;
    Ok(id)
}

/// Changes roles or suspension; effective with the commit, for keys that are in use too.
pub async fn change(
    tx: &mut TenantTx,
    actor: &Actor,
    id: UserId,
    roles: Option<&BTreeSet<Role>>,
    suspended: Option<bool>,
    now: Timestamp,
) -> Result<UserRow, AccessError> {
    let before = get(tx, id).await?;
    if let Some(roles) = roles {
        check_roles(roles)?;
        sqlx::query("DELETE FROM user_role WHERE tenant_id = $1 AND user_id = $2")
            .bind(tx.tenant_text())
            .bind(id.to_string())
            .execute(tx.conn())
            .await?;
        insert_roles(tx, id, roles).await?;
    }
    sqlx::query("UPDATE app_user SET suspended = $3 WHERE tenant_id = $1 AND user_id = $2")
        .bind(tx.tenant_text())
        .bind(id.to_string())
        .bind(i64::from(suspended.unwrap_or(before.suspended)))
        .execute(tx.conn())
        .await?;
    record(tx, actor, id, Action::UserChanged, now).await?;
    get(tx, id).await
}

pub async fn get(tx: &mut TenantTx, id: UserId) -> Result<UserRow, AccessError> {
    let row = sqlx::query(
        "SELECT user_id, email, name, suspended, created_at_us FROM app_user WHERE tenant_id = $1 AND user_id = $2",
    )
    .bind(tx.tenant_text())
    .bind(id.to_string())
    .fetch_optional(tx.conn())
    .await?
    .ok_or(AccessError::NotFound)?;
    with_roles(tx, &row).await
}

/// Up to `limit` users with an id after `after`.
pub async fn list(tx: &mut TenantTx, after: &str, limit: i64) -> Result<Vec<UserRow>, AccessError> {
    let rows = sqlx::query(
        "SELECT user_id, email, name, suspended, created_at_us FROM app_user \
         WHERE tenant_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3",
    )
    .bind(tx.tenant_text())
    .bind(after.to_owned())
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    let mut users = Vec::with_capacity(rows.len());
    for row in &rows {
        users.push(with_roles(tx, row).await?);
    }
    Ok(users)
}

/// The roles of a user, in a fixed order.
pub(super) async fn roles_of(tx: &mut TenantTx, user_id: &str) -> sqlx::Result<Vec<Role>> {
    let rows = sqlx::query("SELECT role FROM user_role WHERE tenant_id = $1 AND user_id = $2 ORDER BY role")
        .bind(tx.tenant_text())
        .bind(user_id.to_owned())
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.iter().filter_map(|row| Role::parse(&row.get::<String, _>(0))).collect())
}

async fn with_roles(tx: &mut TenantTx, row: &sqlx::any::AnyRow) -> Result<UserRow, AccessError> {
    let user_id: String = row.try_get(0)?;
    let roles = roles_of(tx, &user_id).await?;
    Ok(UserRow {
        user_id,
        email: row.try_get(1)?,
        name: row.try_get(2)?,
        suspended: row.try_get::<i64, _>(3)? != 0,
        created_at_us: row.try_get(4)?,
        roles,
    })
}

fn check_roles(roles: &BTreeSet<Role>) -> Result<(), AccessError> {
    if roles.is_empty() {
        return Err(AccessError::Invalid("a user needs at least one role"));
    }
    if roles.contains(&Role::Integration) {
        return Err(AccessError::Invalid("integration is for service keys, not for people"));
    }
    Ok(())
}

async fn insert_roles(tx: &mut TenantTx, id: UserId, roles: &BTreeSet<Role>) -> sqlx::Result<()> {
    for role in roles {
        sqlx::query("INSERT INTO user_role (tenant_id, user_id, role) VALUES ($1, $2, $3)")
            .bind(tx.tenant_text())
            .bind(id.to_string())
            .bind(role.as_str())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

async fn record(
    tx: &mut TenantTx,
    actor: &Actor,
    id: UserId,
    action: Action,
    now: Timestamp,
) -> Result<(), AccessError> {
    let id_text = id.to_string();
    let state_sha256 = user_state(tx, &id_text).await?;
    let roles = roles_of(tx, &id_text).await?;
    let event =
        Event { actor, action, resource: format!("user:{id}"), state_sha256, details: json!({ "roles": roles }) };
    audit::append(tx, event, now).await?;
    Ok(())
}
