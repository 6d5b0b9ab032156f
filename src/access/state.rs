//! Digests of access state, so that audit verification finds a role or a key changed behind the service's back.

use serde_json::json;
use sqlx::Row;

use super::users::roles_of;
use crate::canonical;
use crate::store::TenantTx;

/// Digest of a user's authority: roles and suspension. Name and address are personal data and stay out.
pub async fn user_state(tx: &mut TenantTx, user_id: &str) -> sqlx::Result<Option<String>> {
    let row = sqlx::query("SELECT suspended FROM app_user WHERE tenant_id = $1 AND user_id = $2")
        .bind(tx.tenant_text())
        .bind(user_id.to_owned())
        .fetch_optional(tx.conn())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let suspended: i64 = row.try_get(0)?;
    let roles = roles_of(tx, user_id).await?;
    let text = canonical::to_text(&json!({ "user": user_id, "suspended": suspended, "roles": roles }));
    Ok(Some(canonical::sha256_hex(text)))
}

/// Digest of a key: whose it is, its hash, when it ends.
pub async fn key_state(tx: &mut TenantTx, key_id: &str) -> sqlx::Result<Option<String>> {
    let row = sqlx::query(
        "SELECT user_id, key_sha256, expires_at_us, revoked_at_us FROM api_key WHERE tenant_id = $1 AND key_id = $2",
    )
    .bind(tx.tenant_text())
    .bind(key_id.to_owned())
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let text = canonical::to_text(&json!({
        "key": key_id,
        "user": row.try_get::<Option<String>, _>(0)?,
        "sha256": row.try_get::<String, _>(1)?,
        "expires_at_us": row.try_get::<Option<i64>, _>(2)?,
        "revoked_at_us": row.try_get::<Option<i64>, _>(3)?,
    }));
    Ok(Some(canonical::sha256_hex(text)))
}
