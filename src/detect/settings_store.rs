//! A tenant's settings in SQL: every version is kept, the newest one is in force, each change is audited and has everything looked at again.

use jiff::Timestamp;
use serde_json::json;
use sqlx::Row;

use super::DetectError;
use super::queue;
use super::settings::Settings;
use crate::audit::{self, Action, Actor, Event};
use crate::canonical;
use crate::store::TenantTx;

/// The settings in force and their version; version 0 is the defaults.
pub async fn current(tx: &mut TenantTx) -> sqlx::Result<(i64, Settings)> {
    let row =
        sqlx::query("SELECT version, body FROM detect_setting WHERE tenant_id = $1 ORDER BY version DESC LIMIT 1")
            .bind(tx.tenant_text())
            .fetch_optional(tx.conn())
            .await?;
    let Some(row) = row else { return Ok((0, Settings::default())) };
    let body: String = row.try_get(1)?;
    match serde_json::from_str(&body) {
        Ok(settings) => Ok((row.try_get(0)?, settings)),
        // Written by another version of this program: rules nobody can read must not be guessed at.
        Err(error) => Err(sqlx::Error::Decode(Box::new(error))),
    }
}

/// Puts settings in force. `expected`: the version they replace, when the caller knows it.
pub async fn put(
    tx: &mut TenantTx,
    actor: &Actor,
    settings: &Settings,
    expected: Option<i64>,
    now: Timestamp,
) -> Result<i64, DetectError> {
    settings.check()?;
    let (version, before) = current(tx).await?;
    if expected.is_some_and(|expected| expected != version) {
        return Err(DetectError::Stale);
    }
    if before == *settings {
        return Ok(version);
    }
    let body = canonical::to_text(&json!(settings));
    let next = version + 1;
    sqlx::query(
        "INSERT INTO detect_setting (tenant_id, version, body, actor_id, set_at_us) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(tx.tenant_text())
    .bind(next)
    .bind(body.clone())
    .bind(actor.id.clone())
    .bind(now.as_microsecond())
    .execute(tx.conn())
    .await?;
    let records = queue::queue_all(tx, now.as_microsecond()).await?;
    let event = Event {
        actor,
        action: Action::DetectionChanged,
        resource: format!("detection:{next}"),
        state_sha256: Some(canonical::sha256_hex(&body)),
        details: json!({ "version": next, "records_queued": records }),
    };
    audit::append(tx, event, now).await?;
    Ok(next)
}

/// For audit verification: the hash of a version as it is stored.
pub async fn state(tx: &mut TenantTx, version: &str) -> sqlx::Result<Option<String>> {
    let row = sqlx::query("SELECT body FROM detect_setting WHERE tenant_id = $1 AND version = $2")
        .bind(tx.tenant_text())
        .bind(version.parse::<i64>().unwrap_or(-1))
        .fetch_optional(tx.conn())
        .await?;
    row.map(|row| row.try_get::<String, _>(0).map(canonical::sha256_hex)).transpose()
}
