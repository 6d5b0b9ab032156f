//! `/healthz`, `/readyz`, `/metrics`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::problem::Problem;
use super::routes::{Access, Route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route { access: Access::Public, methods: routes!(healthz) },
        Route { access: Access::Public, methods: routes!(readyz) },
        Route { access: Access::Public, methods: routes!(metrics) },
    ]
}

/// Longest wait for the database: whoever asks whether we are ready does not wait long.
const PING_PATIENCE: Duration = Duration::from_secs(2);

/// What the service can and cannot do at present.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    pub status: &'static str,
    /// `hybrid`, or `keyword` while there is no embedding model.
    pub retrieval: &'static str,
}

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "Health", responses((status = 200, body = String)))]
async fn healthz() -> &'static str {
    "ok"
}

/// The database answers and the service takes requests.
#[utoipa::path(get, path = "/readyz", tag = "Health",
    responses((status = 200, body = Readiness), (status = 503, body = super::ProblemBody)))]
async fn readyz(State(app): State<App>) -> Result<Json<Readiness>, Problem> {
    if app.shutdown.is_cancelled() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting-down", "the service is shutting down"));
    }
    match tokio::time::timeout(PING_PATIENCE, app.store.ping()).await {
        Ok(answered) => answered?,
        Err(_) => return Err(Problem::unavailable()),
    }
    let retrieval = if app.index.has_embedder() { "hybrid" } else { "keyword" };
    Ok(Json(Readiness { status: "ready", retrieval }))
}

/// Prometheus text format. Numbers only: no tenant, no name.
#[utoipa::path(get, path = "/metrics", tag = "Health", responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render()).into_response()
}
