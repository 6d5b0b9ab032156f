//! Endpoints: made, listed, taken away; and what became of their messages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::Row;
use utoipa::ToSchema;

use super::WebhookError;
use crate::audit::{self, Action, Actor, Event};
use crate::ids::EndpointId;
use crate::net::{self, NetPolicy};
use crate::store::TenantTx;

/// What can be heard of.
pub const EVENTS: [&str; 3] = ["exception.opened", "exception.escalated", "exception.resolved"];
/// Endpoints per tenant.
const ENDPOINTS_MAX: i64 = 20;

/// An endpoint as shown; the secret is told once, when it is made.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Endpoint {
    pub endpoint_id: String,
    pub url: String,
    pub events: Vec<String>,
    pub created_at_us: i64,
    /// Since when nothing arrives; absent: the last message arrived.
    pub failing_from_us: Option<i64>,
    /// Nothing more is sent; `disabled_reason` says why.
    pub disabled_at_us: Option<i64>,
    pub disabled_reason: Option<String>,
}

/// A new endpoint with its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Created {
    pub endpoint: Endpoint,
    /// `whsec_…`; not shown again.
    pub secret: String,
}

/// One message and how far it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Delivery {
    /// The `webhook-id` header.
    pub delivery_id: String,
    pub event: String,
    /// `waiting`, `delivered`, `failed`.
    pub state: String,
    pub attempts: i64,
    pub queued_at_us: i64,
    pub next_at_us: Option<i64>,
    pub last_status: Option<i64>,
    pub last_error: Option<String>,
}

/// Makes an endpoint. The address is checked now and again at every connection.
pub async fn create(
    tx: &mut TenantTx,
    actor: &Actor,
    policy: NetPolicy,
    url: &str,
    events: &[String],
    now: Timestamp,
) -> Result<Created, WebhookError> {
    if url.len() > 2_000 {
        return Err(WebhookError::Invalid("url is longer than 2,000 bytes".into()));
    }
    net::Endpoint::parse(url, policy).map_err(|error| WebhookError::Invalid(format!("url: {error}")))?;
    let unknown = events.iter().any(|event| !EVENTS.contains(&event.as_str()));
    if events.is_empty() || unknown {
        return Err(WebhookError::Invalid(format!("events are some of {}", EVENTS.join(", "))));
    }
    if list(tx).await?.len() as i64 >= ENDPOINTS_MAX {
        return Err(WebhookError::Invalid(format!("there are {ENDPOINTS_MAX} webhooks already")));
    }
    let id = EndpointId::mint();
    let secret = format!("whsec_{}", STANDARD.encode(rand::random::<[u8; 24]>()));
    sqlx::query(
        "INSERT INTO webhook_endpoint (tenant_id, endpoint_id, url, secret, events, created_at_us) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tx.tenant_text())
    .bind(id.to_string())
    .bind(url.trim().to_owned())
    .bind(secret.clone())
    .bind(json!(events).to_string())
    .bind(now.as_microsecond())
    .execute(tx.conn())
    .await?;
    append(tx, actor, Action::WebhookCreated, id, json!({ "events": events }), now).await?;
    let endpoint = list(tx).await?.into_iter().find(|one| one.endpoint_id == id.to_string());
    Ok(Created { endpoint: endpoint.ok_or(WebhookError::NotFound)?, secret })
}

/// Endpoints that were not removed, oldest first.
pub async fn list(tx: &mut TenantTx) -> sqlx::Result<Vec<Endpoint>> {
    let rows = sqlx::query(
        "SELECT endpoint_id, url, events, created_at_us, failing_from_us, disabled_at_us, disabled_reason FROM webhook_endpoint \
         WHERE tenant_id = $1 AND coalesce(disabled_reason, '') <> 'removed' ORDER BY endpoint_id",
    )
    .bind(tx.tenant_text())
    .fetch_all(tx.conn())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Endpoint {
                endpoint_id: row.try_get(0)?,
                url: row.try_get(1)?,
                events: serde_json::from_str(&row.try_get::<String, _>(2)?).unwrap_or_default(),
                created_at_us: row.try_get(3)?,
                failing_from_us: row.try_get(4)?,
                disabled_at_us: row.try_get(5)?,
                disabled_reason: row.try_get(6)?,
            })
        })
        .collect()
}

/// Takes an endpoint away: its secret is forgotten and what waits for it is not sent.
pub async fn remove(tx: &mut TenantTx, actor: &Actor, id: EndpointId, now: Timestamp) -> Result<(), WebhookError> {
    if !list(tx).await?.iter().any(|one| one.endpoint_id == id.to_string()) {
        return Err(WebhookError::NotFound);
    }
    disable(tx, &id.to_string(), "removed", now).await?;
    sqlx::query("UPDATE webhook_endpoint SET secret = '' WHERE tenant_id = $1 AND endpoint_id = $2")
        .bind(tx.tenant_text())
        .bind(id.to_string())
        .execute(tx.conn())
        .await?;
    append(tx, actor, Action::WebhookRemoved, id, json!({}), now).await?;
    Ok(())
}

/// Sends nothing more to an endpoint; what waits for it has failed.
pub(super) async fn disable(tx: &mut TenantTx, id: &str, reason: &str, now: Timestamp) -> sqlx::Result<()> {
    for statement in [
        "UPDATE webhook_endpoint SET disabled_at_us = coalesce(disabled_at_us, $3), disabled_reason = $4 WHERE tenant_id = $1 AND endpoint_id = $2",
        "UPDATE webhook_delivery SET state = 'failed', next_at_us = NULL, last_error = coalesce(last_error, $4) \
         WHERE tenant_id = $1 AND endpoint_id = $2 AND state = 'waiting' AND queued_at_us <= $3",
    ] {
        sqlx::query(statement)
            .bind(tx.tenant_text())
            .bind(id.to_owned())
            .bind(now.as_microsecond())
            .bind(reason.to_owned())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// The newest messages of an endpoint, at most `limit`.
pub async fn deliveries(tx: &mut TenantTx, id: EndpointId, limit: i64) -> Result<Vec<Delivery>, WebhookError> {
    if !list(tx).await?.iter().any(|one| one.endpoint_id == id.to_string()) {
        return Err(WebhookError::NotFound);
    }
    let rows = sqlx::query(
        "SELECT delivery_id, event, state, attempts, queued_at_us, next_at_us, last_status, last_error FROM webhook_delivery \
         WHERE tenant_id = $1 AND endpoint_id = $2 ORDER BY delivery_id DESC LIMIT $3",
    )
    .bind(tx.tenant_text())
    .bind(id.to_string())
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    let all: sqlx::Result<Vec<Delivery>> = rows
        .iter()
        .map(|row| {
            Ok(Delivery {
                delivery_id: row.try_get(0)?,
                event: row.try_get(1)?,
                state: row.try_get(2)?,
                attempts: row.try_get(3)?,
                queued_at_us: row.try_get(4)?,
                next_at_us: row.try_get(5)?,
                last_status: row.try_get(6)?,
                last_error: row.try_get(7)?,
            })
        })
        .collect();
    Ok(all?)
}

pub(super) async fn append(
    tx: &mut TenantTx,
    actor: &Actor,
    action: Action,
    id: EndpointId,
    details: serde_json::Value,
    now: Timestamp,
) -> sqlx::Result<()> {
    let event = Event { actor, action, resource: format!("webhook:{id}"), state_sha256: None, details };
    audit::append(tx, event, now).await.map(drop)
}
