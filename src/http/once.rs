//! Changes that may be repeated: one effect and one answer per `Idempotency-Key`, on every route that writes inside a tenant.
//!
//! The push routes require a key and prepare their batch between claim and transaction (`ingest_push`); everything else comes through
//! [`once`], with or without a key. The operator's routes take none: a tenant is named by its slug, so a repeat is refused as taken.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use futures::future::BoxFuture;
use serde::Serialize;

use super::App;
use super::idempotency::{self, Claim, Outcome};
use super::problem::Problem;
use crate::access::Principal;
use crate::store::TenantTx;

/// The request's key, if it has one, and what the request is aimed at.
#[derive(Debug)]
pub struct Once {
    key: Option<String>,
    /// Method, path and body: another request under the same key is refused.
    fingerprint: String,
}

impl Once {
    /// With the request's body.
    pub fn with(mut self, body: &impl Serialize) -> Result<Self, Problem> {
        self.fingerprint.push('\n');
        self.fingerprint.push_str(&json(body)?);
        Ok(self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Once {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let given = parts.headers.contains_key("idempotency-key");
        let key = if given { Some(idempotency::key_of(&parts.headers)?) } else { None };
        Ok(Self { key, fingerprint: format!("{} {}", parts.method, parts.uri.path()) })
    }
}

/// What a change answers.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    sent: String,
    /// What a repeat gets, when that is not what was sent.
    stored: Option<String>,
}

impl Reply {
    /// 204.
    pub fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, sent: String::new(), stored: None }
    }

    pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self { status, sent: json(body)?, stored: None })
    }

    /// A secret is shown once and never stored: a repeat gets this body instead.
    pub fn repeated_as(mut self, body: &impl Serialize) -> Result<Self, Problem> {
        self.stored = Some(json(body)?);
        Ok(self)
    }
}

fn json(body: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(body).map_err(|error| Problem::internal(&error))
}

/// Runs `effect` in one writing transaction and commits it; with a key, once per key, principal and request.
pub async fn once<F>(app: &App, caller: &Principal, request: Once, effect: F) -> Result<Response, Problem>
where
    F: for<'a> FnOnce(&'a mut TenantTx) -> BoxFuture<'a, Result<Reply, Problem>> + Send,
{
    let Some(key) = request.key else {
        let reply = run(app, caller, None, effect).await?;
        return Ok(idempotency::answer(reply.status, reply.sent, false));
    };
    let (fingerprint, now) = (&request.fingerprint, app.clock.now());
    let claim = match idempotency::claim(&app.store, caller, app.instance, &key, fingerprint, now).await? {
        Outcome::Replay(status, body) => return Ok(idempotency::answer(status, body, true)),
        Outcome::Run(claim) => claim,
    };
    match run(app, caller, Some(&claim), effect).await {
        Ok(reply) => Ok(idempotency::answer(reply.status, reply.sent, false)),
        Err(problem) => {
            idempotency::give_back(&app.store, caller, &claim).await;
            Err(problem)
        }
    }
}

async fn run<F>(app: &App, caller: &Principal, claim: Option<&Claim>, effect: F) -> Result<Reply, Problem>
where
    F: for<'a> FnOnce(&'a mut TenantTx) -> BoxFuture<'a, Result<Reply, Problem>> + Send,
{
    let mut tx = app.store.begin_write(caller.tenant).await?;
    let reply = effect(&mut tx).await?;
    if let Some(claim) = claim {
        let stored = reply.stored.as_deref().unwrap_or(&reply.sent);
        idempotency::complete(&mut tx, claim, reply.status, stored).await?;
    }
    tx.commit().await?;
    Ok(reply)
}
