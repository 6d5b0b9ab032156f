//! `/v1/index`: how far the vector index is, and mending it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures::FutureExt;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::extract::Caller;
use super::once::{Once, Reply, once};
use super::problem::Problem;
use super::routes::{Access, EVERYONE, Route};
use crate::access::Role;
use crate::audit::{self, Action, Event};
use crate::index::{self, Drift, IndexError, IndexStatus};

pub(super) fn routes() -> Vec<Route> {
    const ADMINS: Access = Access::Roles(&[Role::Admin]);
    vec![
        Route { access: EVERYONE, methods: routes!(index_status) },
        Route { access: ADMINS, methods: routes!(rebuild_index) },
        Route { access: ADMINS, methods: routes!(reconcile_index) },
    ]
}

impl From<IndexError> for Problem {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Db(cause) => Self::db(&cause),
            IndexError::Vector(cause) => Self::internal(&cause),
            IndexError::Embed(cause) => Self::internal(&cause),
        }
    }
}

/// The index as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct IndexView {
    #[serde(flatten)]
    pub status: IndexStatus,
    /// The embedding model; absent: keyword search only.
    pub model: Option<String>,
}

/// How many chunks there are and how many wait.
#[utoipa::path(get, path = "/v1/index", tag = "Index", security(("key" = [])), responses((status = 200, body = IndexView)))]
async fn index_status(State(app): State<App>, Caller(caller): Caller) -> Result<Json<IndexView>, Problem> {
    let status = app.index.status(caller.tenant, app.clock.now()).await?;
    let model = app.index.embedder().map(|embedder| embedder.model_id().to_owned());
    Ok(Json(IndexView { status, model }))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Rebuilding {
    /// Chunks that will be written again.
    pub chunks: u64,
}

/// Writes every chunk into the index again, in the background; search goes on meanwhile.
#[utoipa::path(post, path = "/v1/index:rebuild", tag = "Index", security(("key" = [])),
    params(("Idempotency-Key" = Option<String>, Header)), responses((status = 200, body = Rebuilding)))]
async fn rebuild_index(State(app): State<App>, Caller(caller): Caller, request: Once) -> Result<Response, Problem> {
    let (index, actor, now) = (app.index.clone(), caller.actor(), app.clock.now());
    let rebuilding = once(&app, &caller, request, |tx| {
        async move {
            let chunks = index.rebuild(tx).await?;
            let event = Event {
                actor: &actor,
                action: Action::IndexRebuildRequested,
                resource: format!("tenant:{}", tx.tenant()),
                state_sha256: None,
                details: json!({ "chunks": chunks }),
            };
            audit::append(tx, event, now).await?;
            Reply::json(StatusCode::OK, &Rebuilding { chunks })
        }
        .boxed()
    })
    .await?;
    app.index.wake(caller.tenant);
    Ok(rebuilding)
}

/// Compares database and index and repairs what differs.
#[utoipa::path(post, path = "/v1/index:reconcile", tag = "Index", security(("key" = [])), responses((status = 200, body = Drift)))]
async fn reconcile_index(State(app): State<App>, Caller(caller): Caller) -> Result<Json<Drift>, Problem> {
    Ok(Json(index::reconcile(&app.index, caller.tenant).await?))
}
