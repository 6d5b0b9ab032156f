//! `/v1/sources`, `/v1/runs`: where content comes from, and passes over it.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures::FutureExt;
use ingest::Rejection;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller};
use super::once::{Once, Reply, once};
use super::problem::{Problem, ProblemBody};
use super::records::PUSHERS;
use super::routes::{Access, EVERYONE, Route};
use crate::access::Role;
use crate::ids::RunId;
use crate::source::{self, RunRow, SourceRow};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route { access: EVERYONE, methods: routes!(list_sources) },
        Route { access: Access::Roles(&[Role::Admin]), methods: routes!(delete_source) },
        Route { access: PUSHERS, methods: routes!(start_run) },
        Route { access: PUSHERS, methods: routes!(finish_run) },
        Route { access: PUSHERS, methods: routes!(run_rejections) },
    ]
}

/// Sources, with what they hold and when they were last synced completely.
#[utoipa::path(get, path = "/v1/sources", tag = "Ingest", security(("key" = [])), responses((status = 200, body = Vec<SourceRow>)))]
async fn list_sources(State(app): State<App>, Caller(caller): Caller) -> Result<Json<Vec<SourceRow>>, Problem> {
    let mut tx = app.store.begin_read(caller.tenant).await?;
    Ok(Json(source::list(&mut tx).await?))
}

/// Deletes a source with everything in it: from the answer on, nothing of it is retrieved or cited.
#[utoipa::path(delete, path = "/v1/sources/{name}", tag = "Ingest", security(("key" = [])),
    params(("name" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
async fn delete_source(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
    request: Once,
) -> Result<Response, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    let deleted = once(&app, &caller, request, |tx| {
        async move {
            source::delete(tx, &actor, &name, now).await?;
            Ok(Reply::empty())
        }
        .boxed()
    })
    .await?;
    app.index.wake(caller.tenant);
    app.detect.wake(caller.tenant);
    Ok(deleted)
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StartedRun {
    pub run_id: String,
}

/// Begins a pass over a source. Push with its `run_id`, then finish it.
#[utoipa::path(post, path = "/v1/sources/{name}/runs", tag = "Ingest", security(("key" = [])),
    params(("name" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = StartedRun), (status = 422, body = ProblemBody)))]
async fn start_run(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
    request: Once,
) -> Result<Response, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    once(&app, &caller, request, |tx| {
        async move {
            let run = source::start_run(tx, &actor, &name, now).await?;
            Reply::json(StatusCode::CREATED, &StartedRun { run_id: run.to_string() })
        }
        .boxed()
    })
    .await
}

/// A place in the input and why it was refused.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectionBody {
    pub file: String,
    pub row: Option<u64>,
    pub column: Option<String>,
    pub reason: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishRun {
    /// Everything the source has was pushed: what was not seen is removed.
    pub complete: bool,
    /// All rejections, also those beyond the 1,000 kept.
    #[serde(default)]
    pub rejected: u64,
    #[serde(default)]
    pub rejections: Vec<RejectionBody>,
}

/// Ends a run.
#[utoipa::path(post, path = "/v1/runs/{run_id}/finish", tag = "Ingest", security(("key" = [])), params(("run_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = FinishRun, responses((status = 200, body = RunRow), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody)))]
async fn finish_run(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    request: Once,
    ApiJson(body): ApiJson<FinishRun>,
) -> Result<Response, Problem> {
    let id: RunId = id.parse().map_err(|_| Problem::not_found())?;
    let (request, actor, now) = (request.with(&body)?, caller.actor(), app.clock.now());
    let rejections: Vec<Rejection> = body
        .rejections
        .into_iter()
        .map(|one| Rejection { file: one.file, row: one.row, column: one.column, reason: one.reason })
        .collect();
    let rejected = body.rejected.max(rejections.len() as u64);
    let finished = once(&app, &caller, request, |tx| {
        async move {
            let run = source::finish_run(tx, &actor, id, body.complete, rejected, &rejections, now).await?;
            Reply::json(StatusCode::OK, &run)
        }
        .boxed()
    })
    .await?;
    app.index.wake(caller.tenant);
    app.detect.wake(caller.tenant);
    Ok(finished)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RejectionQuery {
    /// Position of the last one seen; default 0.
    pub after: Option<i64>,
    /// 1 to 200; default 50.
    pub limit: Option<u16>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RejectionPage {
    pub rejections: Vec<RejectionBody>,
    pub next: Option<i64>,
}

/// What a run refused, by file, row and column.
#[utoipa::path(get, path = "/v1/runs/{run_id}/rejections", tag = "Ingest", security(("key" = [])),
    params(("run_id" = String, Path), RejectionQuery), responses((status = 200, body = RejectionPage)))]
async fn run_rejections(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Query(query): Query<RejectionQuery>,
) -> Result<Json<RejectionPage>, Problem> {
    let id: RunId = id.parse().map_err(|_| Problem::not_found())?;
    let limit = i64::from(query.limit.unwrap_or(50).clamp(1, 200));
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let found = source::rejections(&mut tx, id, query.after.unwrap_or(0), limit).await?;
    let full = i64::try_from(found.len()).is_ok_and(|n| n == limit);
    let next = found.last().filter(|_| full).map(|(seq, _)| *seq);
    let rejections = found
        .into_iter()
        .map(|(_, one)| RejectionBody { file: one.file, row: one.row, column: one.column, reason: one.reason })
        .collect();
    Ok(Json(RejectionPage { rejections, next }))
}
