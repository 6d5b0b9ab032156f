//! From a key's text to a principal: one query path for every header it may come in.

use jiff::Timestamp;
use sqlx::Row;
use subtle::ConstantTimeEq;

use super::keys::KeyText;
use super::users::roles_of;
use super::{Principal, Role};
use crate::ids::{KeyId, UserId};
use crate::quota::TenantQuota;
use crate::store::Store;

/// The principal as it is now: `None` once its key was revoked or ran out, its user or tenant suspended. For what lasts longer than a request.
pub async fn current(store: &Store, principal: &Principal, now: Timestamp) -> sqlx::Result<Option<Principal>> {
    let mut tx = store.begin_read(principal.tenant).await?;
    let live = sqlx::query(
        "SELECT k.user_id FROM api_key k JOIN tenant t ON t.tenant_id = k.tenant_id \
         LEFT JOIN app_user u ON u.tenant_id = k.tenant_id AND u.user_id = k.user_id \
         WHERE k.tenant_id = $1 AND k.key_id = $2 AND k.revoked_at_us IS NULL \
         AND (k.expires_at_us IS NULL OR k.expires_at_us > $3) AND t.suspended = 0 \
         AND (k.user_id IS NULL OR u.suspended = 0)",
    )
    .bind(tx.tenant_text())
    .bind(principal.key.to_string())
    .bind(now.as_microsecond())
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = live else { return Ok(None) };
    let roles = match row.try_get::<Option<String>, _>(0)? {
        Some(user) => roles_of(&mut tx, &user).await?,
        None => vec![Role::Integration],
    };
    Ok(Some(Principal { roles, ..principal.clone() }))
}

/// The principal of a live key of a live user of a live tenant; otherwise `None`, with no hint as to why.
pub async fn authenticate(store: &Store, text: &str, now: Timestamp) -> sqlx::Result<Option<Principal>> {
    let Some((tenant, key)) = KeyText::parse(text) else { return Ok(None) };
    let sha256 = key.sha256();
    let mut tx = store.begin_read(tenant).await?;
    let row = sqlx::query(
        "SELECT k.key_id, k.user_id, k.key_sha256, q.key_per_minute, q.tenant_per_minute, q.token_limit, q.token_period \
         FROM api_key k JOIN tenant t ON t.tenant_id = k.tenant_id \
         LEFT JOIN app_user u ON u.tenant_id = k.tenant_id AND u.user_id = k.user_id \
         LEFT JOIN tenant_quota q ON q.tenant_id = k.tenant_id \
         WHERE k.tenant_id = $1 AND k.key_sha256 = $2 AND k.revoked_at_us IS NULL \
         AND (k.expires_at_us IS NULL OR k.expires_at_us > $3) AND t.suspended = 0 \
         AND (k.user_id IS NULL OR u.suspended = 0)",
    )
    .bind(tx.tenant_text())
    .bind(sha256.clone())
    .bind(now.as_microsecond())
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let stored: String = row.try_get(2)?;
    if !bool::from(stored.as_bytes().ct_eq(sha256.as_bytes())) {
        return Ok(None);
    }
    let (Ok(key), user) = (row.try_get::<String, _>(0)?.parse::<KeyId>(), row.try_get::<Option<String>, _>(1)?) else {
        return Ok(None);
    };
    let quota = TenantQuota::read(&row, 3)?;
    let Some(user_id) = user else {
        return Ok(Some(Principal { tenant, key, user: None, roles: vec![Role::Integration], quota }));
    };
    let Ok(user) = user_id.parse::<UserId>() else { return Ok(None) };
    let roles = roles_of(&mut tx, &user_id).await?;
    Ok(Some(Principal { tenant, key, user: Some(user), roles, quota }))
}
