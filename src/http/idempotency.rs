//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header) with Stripe's rules: the first answer is stored in the transaction of
//! its effect and given again; another body under the same key is 422; a duplicate while the first runs is 409; nothing is kept when
//! validation failed.
//!
//! A claim row is committed first, so that a duplicate sees it. The answer is written by whoever still owns the claim: after a crash the
//! next request takes the claim over (another instance id, the old process is gone: the data directory was locked), and an overtaken
//! request cannot commit.
//!
//! An answer is kept for [`KEPT_FOR`]; [`sweep`] removes older ones in the background. After that the key is new again.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use sqlx::Row;

use super::App;
use super::problem::Problem;
use crate::access::{AccessError, Principal, tenants};
use crate::canonical;
use crate::ids::TenantId;
use crate::store::{Store, TenantTx};
use uuid::Uuid;

/// With several replicas another instance id does not prove that its process is gone; after this long without an answer (far beyond any
/// request timeout) a claim is taken over all the same, and the fence in [`complete`] keeps its old owner from committing.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// How long an answer is kept: longer than any client retries, a weekend included.
pub const KEPT_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Rows of one tenant that one transaction of the sweep removes.
const SWEEP_ROWS: i64 = 1_000;
/// Transactions of one sweep per tenant: the rest waits for the next one.
const SWEEP_ROUNDS: usize = 20;

/// The right to run a request once.
#[derive(Debug)]
pub struct Claim {
    principal_id: String,
    key: String,
    claim: String,
}

/// What to do with a request that carries a key.
#[derive(Debug)]
pub enum Outcome {
    Run(Claim),
    /// It ran before: status and JSON body as first given.
    Replay(StatusCode, String),
}

/// Reads the header. Missing, doubled or malformed: 400.
pub fn key_of(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Problem::bad_request("idempotency-key", "send exactly one Idempotency-Key header"));
    };
    let text = value.to_str().unwrap_or("").trim();
    if text.is_empty() || text.len() > 200 {
        return Err(Problem::bad_request("idempotency-key", "an Idempotency-Key is 1 to 200 visible ASCII characters"));
    }
    Ok(text.to_owned())
}

/// Claims `key` for a request whose route and parsed body are `fingerprint`.
pub async fn claim(
    store: &Store,
    caller: &Principal,
    instance: Uuid,
    key: &str,
    fingerprint: &str,
    now: Timestamp,
) -> Result<Outcome, Problem> {
    let request_sha256 = canonical::sha256_hex(fingerprint);
    let claim =
        Claim { principal_id: caller.actor().id, key: key.to_owned(), claim: crate::ids::BatchId::mint().to_string() };
    let mut tx = store.begin_write(caller.tenant).await?;
    let inserted = sqlx::query(
        "INSERT INTO idempotency (tenant_id, principal_id, idem_key, request_sha256, claim, instance, claimed_at_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(tx.tenant_text())
    .bind(claim.principal_id.clone())
    .bind(claim.key.clone())
    .bind(request_sha256.clone())
    .bind(claim.claim.clone())
    .bind(instance.to_string())
    .bind(now.as_microsecond())
    .execute(tx.conn())
    .await?
    .rows_affected();
    if inserted == 1 {
        tx.commit().await?;
        return Ok(Outcome::Run(claim));
    }
    let row = sqlx::query(
        "SELECT request_sha256, claim, instance, claimed_at_us, status, body FROM idempotency \
         WHERE tenant_id = $1 AND principal_id = $2 AND idem_key = $3",
    )
    .bind(tx.tenant_text())
    .bind(claim.principal_id.clone())
    .bind(claim.key.clone())
    .fetch_one(tx.conn())
    .await?;
    if row.try_get::<String, _>(0)? != request_sha256 {
        return Err(Problem::unprocessable(
            "idempotency-mismatch",
            "this Idempotency-Key was used with another request",
        ));
    }
    if let (Some(status), Some(body)) = (row.try_get::<Option<i64>, _>(4)?, row.try_get::<Option<String>, _>(5)?) {
        let status = u16::try_from(status).ok().and_then(|s| StatusCode::from_u16(s).ok()).unwrap_or(StatusCode::OK);
        return Ok(Outcome::Replay(status, body));
    }
    let claimed_at = crate::clock::from_us(row.try_get(3)?);
    let same_instance = row.try_get::<String, _>(2)? == instance.to_string();
    let gone = match store.dialect() {
        // One process holds the data directory: another instance id is a dead one.
        crate::store::Dialect::Sqlite => !same_instance,
        crate::store::Dialect::Postgres => now.duration_since(claimed_at) > ABANDONED_AFTER,
    };
    if !gone {
        let mut problem =
            Problem::new(StatusCode::CONFLICT, "in-progress", "the first request with this key still runs");
        problem.retry_after_s = Some(1);
        return Err(problem);
    }
    take_over(&mut tx, &claim, row.try_get(1)?, instance, now).await?;
    tx.commit().await?;
    Ok(Outcome::Run(claim))
}

async fn take_over(
    tx: &mut TenantTx,
    claim: &Claim,
    old_claim: String,
    instance: Uuid,
    now: Timestamp,
) -> Result<(), Problem> {
    let taken = sqlx::query(
        "UPDATE idempotency SET claim = $4, instance = $5, claimed_at_us = $6 \
         WHERE tenant_id = $1 AND principal_id = $2 AND idem_key = $3 AND claim = $7 AND status IS NULL",
    )
    .bind(tx.tenant_text())
    .bind(claim.principal_id.clone())
    .bind(claim.key.clone())
    .bind(claim.claim.clone())
    .bind(instance.to_string())
    .bind(now.as_microsecond())
    .bind(old_claim)
    .execute(tx.conn())
    .await?
    .rows_affected();
    if taken == 1 {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::CONFLICT, "in-progress", "another request took this key"))
    }
}

/// Stores the answer in the transaction of the effect. Fails when the claim was taken over meanwhile: then the caller must not commit.
pub async fn complete(tx: &mut TenantTx, claim: &Claim, status: StatusCode, body: &str) -> Result<(), Problem> {
    let owned = sqlx::query(
        "UPDATE idempotency SET status = $5, body = $6 \
         WHERE tenant_id = $1 AND principal_id = $2 AND idem_key = $3 AND claim = $4 AND status IS NULL",
    )
    .bind(tx.tenant_text())
    .bind(claim.principal_id.clone())
    .bind(claim.key.clone())
    .bind(claim.claim.clone())
    .bind(i64::from(status.as_u16()))
    .bind(body.to_owned())
    .execute(tx.conn())
    .await?
    .rows_affected();
    if owned == 1 {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::CONFLICT, "in-progress", "another request took this key"))
    }
}

/// Gives a claim back when nothing happened (validation failed, the work rolled back), so that the key can be used again.
pub async fn release(store: &Store, caller: &Principal, claim: &Claim) -> sqlx::Result<()> {
    let mut tx = store.begin_write(caller.tenant).await?;
    sqlx::query(
        "DELETE FROM idempotency WHERE tenant_id = $1 AND principal_id = $2 AND idem_key = $3 AND claim = $4 AND status IS NULL",
    )
    .bind(tx.tenant_text())
    .bind(claim.principal_id.clone())
    .bind(claim.key.clone())
    .bind(claim.claim.clone())
    .execute(tx.conn())
    .await?;
    tx.commit().await
}

/// As [`release`], for a request that has its own error to report.
pub async fn give_back(store: &Store, caller: &Principal, claim: &Claim) {
    if let Err(error) = release(store, caller, claim).await {
        tracing::warn!(%error, "an idempotency claim could not be given back");
    }
}

/// [`sweep`] for every tenant, one after the other.
pub async fn sweep_all(app: &App) -> Result<u64, AccessError> {
    let mut removed = 0;
    for tenant in tenants::ids(&app.store).await? {
        removed += sweep(&app.store, tenant, app.clock.now()).await?;
    }
    Ok(removed)
}

/// Removes what is older than [`KEPT_FOR`], in short transactions and a bounded number of them. Returns how many rows.
pub async fn sweep(store: &Store, tenant: TenantId, now: Timestamp) -> sqlx::Result<u64> {
    let before = now.checked_sub(KEPT_FOR).unwrap_or(Timestamp::MIN).as_microsecond();
    let mut removed = 0;
    for _ in 0..SWEEP_ROUNDS {
        let mut tx = store.begin_write(tenant).await?;
        let rows = sqlx::query(
            "DELETE FROM idempotency WHERE tenant_id = $1 AND (principal_id, idem_key) IN \
             (SELECT principal_id, idem_key FROM idempotency WHERE tenant_id = $1 AND claimed_at_us < $2 LIMIT $3)",
        )
        .bind(tx.tenant_text())
        .bind(before)
        .bind(SWEEP_ROWS)
        .execute(tx.conn())
        .await?
        .rows_affected();
        tx.commit().await?;
        removed += rows;
        if i64::try_from(rows).is_ok_and(|rows| rows < SWEEP_ROWS) {
            break;
        }
    }
    Ok(removed)
}

/// A stored answer; `replayed` is told in a header.
pub fn answer(status: StatusCode, body: String, replayed: bool) -> Response {
    let empty = body.is_empty();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if !empty {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if replayed {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response
}
