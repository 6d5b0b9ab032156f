//! What both push routes share: idempotency, preparation off the async threads, one transaction, waking the index.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::idempotency::{self, Claim, Outcome};
use super::problem::Problem;
use crate::access::Principal;
use crate::ids::RunId;
use crate::source::{self, Batch, BatchReport, SourceError};

/// Most items of one push.
pub const ITEMS_MAX: usize = 1_000;

/// One item that was refused; the others went in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ItemRejection {
    /// Position in the request, from 0.
    pub item: usize,
    pub field: Option<String>,
    /// Never the content.
    pub reason: String,
}

/// What a push did.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PushAnswer {
    #[serde(flatten)]
    pub report: BatchReport,
    pub rejected: Vec<ItemRejection>,
}

/// A push whose body was read: where it goes.
pub struct Push<'a> {
    pub caller: &'a Principal,
    pub source: &'a str,
    pub run_id: Option<&'a str>,
    /// Route and body, for the idempotency fingerprint.
    pub fingerprint: String,
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::NotFound => Self::not_found(),
            SourceError::Name => Self::unprocessable("source-name", error.to_string()),
            SourceError::RunOver => Self::new(StatusCode::CONFLICT, "run-over", error.to_string()),
            SourceError::Db(cause) => Self::db(&cause),
        }
    }
}

/// Runs `prepare` (CPU-bound) off the async threads and applies its batch once per `Idempotency-Key`.
pub async fn push(
    app: &App,
    headers: &HeaderMap,
    push: Push<'_>,
    prepare: impl FnOnce() -> (Batch, Vec<ItemRejection>) + Send + 'static,
) -> Result<Response, Problem> {
    let prepare = async { tokio::task::spawn_blocking(prepare).await.map_err(|error| Problem::internal(&error)) };
    push_with(app, headers, push, prepare).await
}

/// Awaits `prepare` and applies its batch once per `Idempotency-Key`; not at all when the answer is known.
pub async fn push_with(
    app: &App,
    headers: &HeaderMap,
    push: Push<'_>,
    prepare: impl Future<Output = Result<(Batch, Vec<ItemRejection>), Problem>>,
) -> Result<Response, Problem> {
    let key = idempotency::key_of(headers)?;
    let run = push.run_id.map(|id| id.parse::<RunId>()).transpose().map_err(|_| Problem::not_found())?;
    let outcome =
        idempotency::claim(&app.store, push.caller, app.instance, &key, &push.fingerprint, app.clock.now()).await?;
    let claim = match outcome {
        Outcome::Replay(status, body) => return Ok(idempotency::answer(status, body, true)),
        Outcome::Run(claim) => claim,
    };
    let applied = match prepare.await {
        Ok((batch, rejected)) => apply(app, &push, &claim, run, batch, rejected).await,
        Err(problem) => Err(problem),
    };
    match applied {
        Ok(body) => {
            app.index.wake(push.caller.tenant);
            app.detect.wake(push.caller.tenant);
            Ok(idempotency::answer(StatusCode::OK, body, false))
        }
        Err(problem) => {
            // Nothing was committed: the key can be used again.
            idempotency::give_back(&app.store, push.caller, &claim).await;
            Err(problem)
        }
    }
}

async fn apply(
    app: &App,
    push: &Push<'_>,
    claim: &Claim,
    run: Option<RunId>,
    batch: Batch,
    rejected: Vec<ItemRejection>,
) -> Result<String, Problem> {
    let mut tx = app.store.begin_write(push.caller.tenant).await?;
    let report = source::apply(&mut tx, &push.caller.actor(), push.source, run, batch, app.clock.now()).await?;
    let body = serde_json::to_string(&PushAnswer { report, rejected }).map_err(|error| Problem::internal(&error))?;
    idempotency::complete(&mut tx, claim, StatusCode::OK, &body).await?;
    tx.commit().await?;
    Ok(body)
}
