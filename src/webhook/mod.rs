//! Signed webhooks to the outside (Standard Webhooks): who hears of what, what is still to be sent, and the sender.
//!
//! A stage calls [`enqueue`] in the transaction of the change it tells of, so nothing is told that did not happen and nothing that happened
//! is forgotten. The sender delivers at least once under one id. Knows no stage: an event is a name and a JSON value.

mod endpoints;
mod sender;
mod sign;

pub use endpoints::{Created, Delivery, EVENTS, Endpoint, create, deliveries, list, remove};
pub use sender::{Sender, send_due};
pub use sign::signature;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row;

use crate::canonical;
use crate::ids::DeliveryId;
use crate::store::TenantTx;
use crate::store::bulk;

/// Why an operation on webhooks was refused.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("there is no such webhook")]
    NotFound,
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// Queues one message for each endpoint that wants the event.
pub async fn enqueue(tx: &mut TenantTx, event: &str, data: Value, now: Timestamp) -> sqlx::Result<()> {
    let rows =
        sqlx::query("SELECT endpoint_id, events FROM webhook_endpoint WHERE tenant_id = $1 AND disabled_at_us IS NULL")
            .bind(tx.tenant_text())
            .fetch_all(tx.conn())
            .await?;
    let body = canonical::to_text(&json!({ "type": event, "timestamp": now.to_string(), "data": data }));
    let mut deliveries = Vec::new();
    for row in &rows {
        let wanted: Vec<String> = serde_json::from_str(&row.try_get::<String, _>(1)?).unwrap_or_default();
        if wanted.iter().any(|name| name == event) {
            let now_us = now.as_microsecond();
            deliveries.push(vec![
                DeliveryId::mint().to_string().into(),
                row.try_get::<String, _>(0)?.into(),
                event.into(),
                body.clone().into(),
                now_us.into(),
                now_us.into(),
                "waiting".into(),
            ]);
        }
    }
    let head = "INSERT INTO webhook_delivery (tenant_id, delivery_id, endpoint_id, event, body, queued_at_us, next_at_us, state)";
    bulk::insert(tx, head, "", deliveries).await
}
