//! API keys: minted once, stored as a hash, revocable, effective at once.

use std::fmt;

use jiff::Timestamp;
use rand::distr::{Alphanumeric, SampleString};
use serde::Serialize;
use serde_json::json;
use sqlx::Row;
use utoipa::ToSchema;

use super::{AccessError, key_state, taken};
use crate::audit::{self, Action, Actor, Event};
use crate::canonical;
use crate::ids::{KeyId, TenantId, UserId};
use crate::store::TenantTx;

const PREFIX: &str = "csk_";
const SECRET_CHARS: usize = 32;

/// A key's text: `csk_<tenant, 32 hex>_<32 random base-62 characters>`. Shown once; `Debug` hides it.
#[derive(Clone)]
pub struct KeyText(String);

impl KeyText {
    /// 32 base-62 characters, about 190 bits, from the operating system's generator.
    pub fn mint(tenant: TenantId) -> Self {
        let secret = Alphanumeric.sample_string(&mut rand::rng(), SECRET_CHARS);
        Self(format!("{PREFIX}{}_{secret}", tenant.0.as_simple()))
    }

    /// Only a text of exactly this shape; nothing else is ever hashed or looked up.
    pub fn parse(text: &str) -> Option<(TenantId, Self)> {
        let (tenant, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let well_formed = tenant.len() == 32
            && tenant.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && secret.len() == SECRET_CHARS
            && secret.bytes().all(|b| b.is_ascii_alphanumeric());
        if !well_formed {
            return None;
        }
        Some((TenantId(tenant.parse().ok()?), Self(text.to_owned())))
    }

    /// What is stored. A plain hash is enough: the secret is random, not a password.
    pub fn sha256(&self) -> String {
        canonical::sha256_hex(&self.0)
    }

    /// The text itself, to show once to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn hint(&self) -> String {
        format!("…{}", &self.0[self.0.len() - 4..])
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(hidden)")
    }
}

/// A key as listed; never its text.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KeyRow {
    pub key_id: String,
    /// Whose key; absent for a service key.
    pub user_id: Option<String>,
    pub name: String,
    /// Its last four characters.
    pub hint: String,
    pub created_at_us: i64,
    pub expires_at_us: Option<i64>,
    pub revoked_at_us: Option<i64>,
}

/// A new key for a user, or a service key when `user` is `None`.
pub async fn create(
    tx: &mut TenantTx,
    actor: &Actor,
    user: Option<UserId>,
    name: &str,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(KeyId, KeyText), AccessError> {
    if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        return Err(AccessError::Invalid("a key needs a name of 1 to 200 bytes without control characters"));
    }
    if let Some(user) = user {
        super::users::get(tx, user).await?;
    }
    let id = KeyId::mint();
    let text = KeyText::mint(tx.tenant());
    sqlx::query(
        "INSERT INTO api_key (tenant_id, key_id, user_id, name, hint, key_sha256, created_at_us, expires_at_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tx.tenant_text())
    .bind(id.to_string())
    .bind(user.map(|user| user.to_string()))
    .bind(name.to_owned())
    .bind(text.hint())
    .bind(text.sha256())
    .bind(now.as_microsecond())
    .bind(expires_at.map(Timestamp::as_microsecond))
    .execute(tx.conn())
    .await
    .map_err(taken)?;
    record(tx, actor, id, Action::KeyCreated, now).await?;
    Ok((id, text))
}

/// Revokes a key; from the commit on no request with it is answered. Revoking twice is no error.
pub async fn revoke(tx: &mut TenantTx, actor: &Actor, id: KeyId, now: Timestamp) -> Result<(), AccessError> {
    let done = sqlx::query(
        "UPDATE api_key SET revoked_at_us = $3 WHERE tenant_id = $1 AND key_id = $2 AND revoked_at_us IS NULL",
    )
    .bind(tx.tenant_text())
    .bind(id.to_string())
    .bind(now.as_microsecond())
    .execute(tx.conn())
    .await?
    .rows_affected();
    if done == 0 {
        return get(tx, id).await.map(drop);
    }
    record(tx, actor, id, Action::KeyRevoked, now).await
}

pub async fn get(tx: &mut TenantTx, id: KeyId) -> Result<KeyRow, AccessError> {
    let row = sqlx::query(
        "SELECT key_id, user_id, name, hint, created_at_us, expires_at_us, revoked_at_us FROM api_key \
         WHERE tenant_id = $1 AND key_id = $2",
    )
    .bind(tx.tenant_text())
    .bind(id.to_string())
    .fetch_optional(tx.conn())
    .await?
    .ok_or(AccessError::NotFound)?;
    Ok(key_row(&row)?)
}

/// Up to `limit` keys with an id after `after`, oldest first.
pub async fn list(tx: &mut TenantTx, after: &str, limit: i64) -> Result<Vec<KeyRow>, AccessError> {
    let rows = sqlx::query(
        "SELECT key_id, user_id, name, hint, created_at_us, expires_at_us, revoked_at_us FROM api_key \
         WHERE tenant_id = $1 AND key_id > $2 ORDER BY key_id LIMIT $3",
    )
    .bind(tx.tenant_text())
    .bind(after.to_owned())
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(|row| key_row(row).map_err(AccessError::Db)).collect()
}

fn key_row(row: &sqlx::any::AnyRow) -> sqlx::Result<KeyRow> {
    Ok(KeyRow {
        key_id: row.try_get(0)?,
        user_id: row.try_get(1)?,
        name: row.try_get(2)?,
        hint: row.try_get(3)?,
        created_at_us: row.try_get(4)?,
        expires_at_us: row.try_get(5)?,
        revoked_at_us: row.try_get(6)?,
    })
}

async fn record(
    tx: &mut TenantTx,
    actor: &Actor,
    id: KeyId,
    action: Action,
    now: Timestamp,
) -> Result<(), AccessError> {
    let id_text = id.to_string();
    let state_sha256 = key_state(tx, &id_text).await?;
    let event = Event { actor, action, resource: format!("key:{id}"), state_sha256, details: json!({}) };
    audit::append(tx, event, now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_tenant_and_hides_in_debug_output() {
        let tenant = TenantId::mint();
        let key = KeyText::mint(tenant);
        assert_eq!(KeyText::parse(key.reveal()).unwrap().0, tenant);
        assert!(!format!("{key:?}").contains(&key.reveal()[40..]));
    }

    #[test]
    fn only_the_exact_shape_is_a_key() {
        let key = KeyText::mint(TenantId::mint());
        let text = key.reveal();
        for bad in ["", "csk_", "csk__", &text[..text.len() - 1], &format!("{text}x"), &text.to_uppercase(), &text[1..]]
        {
            assert!(KeyText::parse(bad).is_none(), "{bad}");
        }
        assert!(KeyText::parse(&text.replace("csk_", "csk-")).is_none());
    }
}
