//! `/v1/audit`: the trail, its verification, its signed head.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller};
use super::once::{Once, Reply, once};
use super::problem::{Problem, ProblemBody};
use super::routes::{Access, Route};
use crate::access::Role;
use crate::audit::anchor::Anchor;
use crate::audit::{self, Action, Event, EventRow, Report};

pub(super) fn routes() -> Vec<Route> {
    const READERS: Access = Access::Roles(&[Role::Admin, Role::Auditor]);
    vec![
        Route { access: READERS, methods: routes!(list_events) },
        Route { access: READERS, methods: routes!(verify) },
        Route { access: READERS, methods: routes!(export_head) },
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Only entries with a lower sequence number.
    pub before: Option<i64>,
    /// `<type>:<id>`.
    pub resource: Option<String>,
    /// 1 to 200; default 50.
    pub limit: Option<u16>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EventPage {
    pub events: Vec<EventRow>,
    /// Pass as `before` for the next page; absent at the end.
    pub next: Option<i64>,
}

/// Entries, newest first.
#[utoipa::path(get, path = "/v1/audit/events", tag = "Audit", security(("key" = [])), params(EventQuery), responses((status = 200, body = EventPage)))]
async fn list_events(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<EventQuery>,
) -> Result<Json<EventPage>, Problem> {
    let limit = i64::from(query.limit.unwrap_or(50).clamp(1, 200));
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let events = audit::list(&mut tx, query.before.unwrap_or(i64::MAX), query.resource.as_deref(), limit).await?;
    let next = events.last().filter(|event| event.seq > 1).map(|event| event.seq);
    Ok(Json(EventPage { events, next }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBody {
    /// A head exported earlier; without one, a cut tail or a full rewrite cannot be seen.
    pub anchor: Option<Anchor>,
}

/// Re-reads the whole chain and what it refers to.
#[utoipa::path(post, path = "/v1/audit:verify", tag = "Audit", security(("key" = [])), request_body = VerifyBody,
    responses((status = 200, body = Report), (status = 422, body = ProblemBody)))]
async fn verify(
    State(app): State<App>,
    Caller(caller): Caller,
    ApiJson(body): ApiJson<VerifyBody>,
) -> Result<Json<Report>, Problem> {
    if let Some(anchor) = &body.anchor {
        anchor
            .check(&app.audit_key.verifying_key(), &caller.tenant.to_string())
            .map_err(|error| Problem::unprocessable("anchor", error.to_string()))?;
    }
    let mut tx = app.store.begin_read(caller.tenant).await?;
    Ok(Json(audit::verify(&mut tx, crate::app::AUDITED_STATES, body.anchor.as_ref()).await?))
}

/// Signs the newest entry's number and hash. Keep it outside this system: it is what shows a cut or rewritten chain.
#[utoipa::path(post, path = "/v1/audit:head", tag = "Audit", security(("key" = [])),
    params(("Idempotency-Key" = Option<String>, Header)), responses((status = 200, body = Anchor)))]
async fn export_head(State(app): State<App>, Caller(caller): Caller, request: Once) -> Result<Response, Problem> {
    let (actor, now, key) = (caller.actor(), app.clock.now(), app.audit_key.clone());
    once(&app, &caller, request, |tx| {
        async move {
            let event = Event {
                actor: &actor,
                action: Action::HeadExported,
                resource: format!("tenant:{}", tx.tenant()),
                state_sha256: None,
                details: json!({}),
            };
            audit::append(tx, event, now).await?;
            let (seq, hash) = audit::head(tx).await?;
            Reply::json(StatusCode::OK, &Anchor::sign(&key, tx.tenant_text(), seq, hash, now.as_microsecond()))
        }
        .boxed()
    })
    .await
}
