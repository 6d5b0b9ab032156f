//! Sends what is due: signed, to public addresses only, on a schedule that gives a receiver days to come back.
//!
//! A message is taken (its next attempt put off) in one transaction and sent after that; a crash in between sends it again under the same id.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use sqlx::Row;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::endpoints::{append, disable};
use super::sign::signature;
use crate::access::tenants;
use crate::audit::{Action, Actor, ActorKind};
use crate::clock::Clock;
use crate::ids::{EndpointId, TenantId};
use crate::net::{Endpoint, Lookup, NetPolicy};
use crate::store::Store;

/// Seconds between attempts.
const SCHEDULE_S: [i64; 7] = [5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 10 * 3_600];
/// An endpoint that nothing reached for so long is disabled.
const GIVE_UP_S: i64 = 120 * 3_600;
/// Longest attempt, and how long a message is taken for.
const TIMEOUT: Duration = Duration::from_secs(20);
const TAKEN_S: i64 = 60;
/// Most bytes of an answer that are read.
const ANSWER_MAX: usize = 64 << 10;
/// Messages per tenant and turn.
const PORTION: i64 = 50;
/// How often the clock is asked whether something is due.
const TICK: Duration = Duration::from_millis(500);
/// Longest wait that a receiver can ask for.
const RETRY_AFTER_MAX_S: i64 = 24 * 3_600;

/// What sending needs.
#[derive(Clone)]
pub struct Sender {
    pub store: Store,
    pub clock: Clock,
    pub policy: NetPolicy,
    pub lookup: Arc<dyn Lookup>,
}

struct Message {
    id: String,
    endpoint: String,
    url: String,
    secret: String,
    body: String,
    attempts: i64,
}

/// What came of an attempt.
#[derive(Debug)]
enum Outcome {
    Delivered(u16),
    /// 410: the receiver wants no more.
    Gone,
    Failed {
        status: Option<u16>,
        error: String,
        retry_after_s: Option<i64>,
    },
}

impl Sender {
    /// Runs until `shutdown`; `told` is rung when something was queued.
    pub async fn run(self, told: Arc<Notify>, shutdown: CancellationToken) {
        loop {
            let mut sent = 0;
            for tenant in tenants::ids(&self.store).await.unwrap_or_default() {
                if shutdown.is_cancelled() {
                    return;
                }
                match send_due(&self, tenant).await {
                    Ok(count) => sent += count,
                    Err(error) => tracing::warn!(%tenant, %error, "webhooks could not be sent"),
                }
            }
            if sent > 0 {
                continue;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = told.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }
}

/// Sends a tenant's due messages, endpoints side by side, each endpoint's in order. Returns how many attempts were made.
pub async fn send_due(sender: &Sender, tenant: TenantId) -> sqlx::Result<usize> {
    let messages = take(sender, tenant).await?;
    let count = messages.len();
    let mut by_endpoint: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    for message in messages {
        by_endpoint.entry(message.endpoint.clone()).or_default().push(message);
    }
    let each = by_endpoint.into_values().map(|messages| async move {
        for message in messages {
            let outcome = attempt(sender, &message).await;
            record(sender, tenant, &message, outcome).await?;
        }
        Ok::<(), sqlx::Error>(())
    });
    futures::future::try_join_all(each).await?;
    Ok(count)
}

async fn take(sender: &Sender, tenant: TenantId) -> sqlx::Result<Vec<Message>> {
    let now = sender.clock.now();
    let statement = "SELECT d.delivery_id, d.endpoint_id, e.url, e.secret, d.body, d.attempts FROM webhook_delivery d \
                     JOIN webhook_endpoint e ON e.tenant_id = d.tenant_id AND e.endpoint_id = d.endpoint_id \
                     WHERE d.tenant_id = $1 AND d.next_at_us <= $2 AND e.disabled_at_us IS NULL ORDER BY d.next_at_us, d.delivery_id LIMIT $3";
    // Most turns find nothing: they do not wait for the writer.
    let mut tx = sender.store.begin_read(tenant).await?;
    let due = sqlx::query(statement).bind(tx.tenant_text()).bind(now.as_microsecond()).bind(PORTION);
    let rows = due.fetch_all(tx.conn()).await?;
    tx.rollback().await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = sender.store.begin_write(tenant).await?;
    let mut messages = Vec::new();
    for row in &rows {
        let (id, attempts): (String, i64) = (row.try_get(0)?, row.try_get(5)?);
        let taken = sqlx::query(
            "UPDATE webhook_delivery SET attempts = attempts + 1, next_at_us = $4 \
             WHERE tenant_id = $1 AND delivery_id = $2 AND attempts = $3 AND state = 'waiting'",
        )
        .bind(tx.tenant_text())
        .bind(id.clone())
        .bind(attempts)
        .bind(now.as_microsecond() + TAKEN_S * 1_000_000)
        .execute(tx.conn())
        .await?
        .rows_affected();
        if taken == 1 {
            messages.push(Message {
                id,
                endpoint: row.try_get(1)?,
                url: row.try_get(2)?,
                secret: row.try_get(3)?,
                body: row.try_get(4)?,
                attempts: attempts + 1,
            });
        }
    }
    tx.commit().await?;
    Ok(messages)
}

async fn attempt(sender: &Sender, message: &Message) -> Outcome {
    match tokio::time::timeout(TIMEOUT, post(sender, message)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::Failed { status: None, error, retry_after_s: None },
        Err(_) => Outcome::Failed { status: None, error: "no answer in time".into(), retry_after_s: None },
    }
}

/// One request. An error names its class, never the address or the answer's text.
async fn post(sender: &Sender, message: &Message) -> Result<Outcome, String> {
    let endpoint = Endpoint::parse(&message.url, sender.policy).map_err(|error| error.to_string())?;
    let client = endpoint.client(Duration::from_secs(5), sender.lookup.clone()).map_err(|error| error.to_string())?;
    let at_s = sender.clock.now().as_second();
    let id = format!("msg_{}", message.id);
    let signed = signature(&message.secret, &id, at_s, message.body.as_bytes()).ok_or("the secret is not usable")?;
    let request = client
        .post(&message.url)
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", at_s.to_string())
        .header("webhook-signature", signed)
        .header("user-agent", concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .body(message.body.clone());
    let mut response = request.send().await.map_err(|error| match crate::net::refusal(&error) {
        Some(refused) => refused.to_string(),
        None if error.is_connect() => "no connection".to_owned(),
        None => "the request failed".to_owned(),
    })?;
    let status = response.status().as_u16();
    let retry_after_s = retry_after(response.headers());
    let mut read = 0;
    // The connection is used again only when the answer was read; a long one is cut off instead.
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > ANSWER_MAX {
            break;
        }
    }
    Ok(match status {
        200..=299 => Outcome::Delivered(status),
        410 => Outcome::Gone,
        _ => Outcome::Failed { status: Some(status), error: format!("answered {status}"), retry_after_s },
    })
}

/// Seconds that the receiver asks for.
fn retry_after(headers: &HeaderMap) -> Option<i64> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<i64>().ok()?;
    (seconds >= 0).then_some(seconds.min(RETRY_AFTER_MAX_S))
}

/// When to try again after attempt number `attempts` (from 1); `None`: not any more.
fn next_attempt(attempts: i64, retry_after_s: Option<i64>) -> Option<i64> {
    let step = SCHEDULE_S.get(usize::try_from(attempts).ok()?.checked_sub(1)?)?;
    Some(retry_after_s.unwrap_or(0).max(*step))
}

async fn record(sender: &Sender, tenant: TenantId, message: &Message, outcome: Outcome) -> sqlx::Result<()> {
    let now = sender.clock.now();
    let mut tx = sender.store.begin_write(tenant).await?;
    let (state, next_s, status, error) = match &outcome {
        Outcome::Delivered(status) => ("delivered", None, Some(*status), None),
        Outcome::Gone => ("failed", None, Some(410), Some("the receiver is gone".to_owned())),
        Outcome::Failed { status, error, retry_after_s } => {
            let next = next_attempt(message.attempts, *retry_after_s);
            (if next.is_some() { "waiting" } else { "failed" }, next, *status, Some(error.clone()))
        }
    };
    metrics::counter!("countersign_webhook_attempts_total", "outcome" => state).increment(1);
    sqlx::query(
        "UPDATE webhook_delivery SET state = $3, next_at_us = $4, last_status = $5, last_error = $6 \
         WHERE tenant_id = $1 AND delivery_id = $2 AND state = 'waiting'",
    )
    .bind(tx.tenant_text())
    .bind(message.id.clone())
    .bind(state)
    .bind(next_s.map(|seconds| now.as_microsecond() + seconds * 1_000_000))
    .bind(status.map(i64::from))
    .bind(error)
    .execute(tx.conn())
    .await?;
    let failing_from = match outcome {
        Outcome::Delivered(_) => None,
        Outcome::Gone | Outcome::Failed { .. } => Some(now.as_microsecond()),
    };
    sqlx::query(
        "UPDATE webhook_endpoint SET failing_from_us = CASE WHEN $3 = 0 THEN NULL ELSE coalesce(failing_from_us, $3) END \
         WHERE tenant_id = $1 AND endpoint_id = $2",
    )
    .bind(tx.tenant_text())
    .bind(message.endpoint.clone())
    .bind(failing_from.unwrap_or(0))
    .execute(tx.conn())
    .await?;
    if let Some(reason) = give_up(&mut tx, &message.endpoint, &outcome, now).await? {
        disable(&mut tx, &message.endpoint, reason, now).await?;
        if let Ok(id) = message.endpoint.parse::<EndpointId>() {
            let actor = Actor { kind: ActorKind::Worker, id: "webhook".into() };
            append(&mut tx, &actor, Action::WebhookDisabled, id, serde_json::json!({ "reason": reason }), now).await?;
        }
    }
    tx.commit().await
}

/// Why nothing more is to be sent to an endpoint; `None`: it is tried on.
async fn give_up(
    tx: &mut crate::store::TenantTx,
    endpoint: &str,
    outcome: &Outcome,
    now: Timestamp,
) -> sqlx::Result<Option<&'static str>> {
    match outcome {
        Outcome::Delivered(_) => return Ok(None),
        Outcome::Gone => return Ok(Some("the receiver answered 410 Gone")),
        Outcome::Failed { .. } => {}
    }
    let row = sqlx::query("SELECT failing_from_us FROM webhook_endpoint WHERE tenant_id = $1 AND endpoint_id = $2")
        .bind(tx.tenant_text())
        .bind(endpoint.to_owned())
        .fetch_one(tx.conn())
        .await?;
    let since: Option<i64> = row.try_get(0)?;
    let dead = since.is_some_and(|since| now.as_microsecond() - since > GIVE_UP_S * 1_000_000);
    Ok(dead.then_some("nothing arrived for five days"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_follow_the_schedule_and_end() {
        let waits: Vec<Option<i64>> = (1..=8).map(|attempt| next_attempt(attempt, None)).collect();
        let mut expected: Vec<Option<i64>> = SCHEDULE_S.iter().copied().map(Some).collect();
        expected.push(None);
        assert_eq!(waits, expected);
        assert_eq!(next_attempt(1, Some(90)), Some(90));
        assert_eq!(next_attempt(3, Some(90)), Some(1_800));
    }
}
