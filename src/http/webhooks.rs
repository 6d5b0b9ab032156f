//! `/v1/webhooks`: who outside hears of exceptions.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller};
use super::once::{Once, Reply, once};
use super::problem::{Problem, ProblemBody};
use super::routes::{Access, Route};
use crate::access::Role;
use crate::ids::EndpointId;
use crate::net::NetPolicy;
use crate::webhook::{self, Created, Delivery, Endpoint, WebhookError};

pub(super) fn routes() -> Vec<Route> {
    const READERS: Access = Access::Roles(&[Role::Admin, Role::Auditor]);
    const ADMINS: Access = Access::Roles(&[Role::Admin]);
    vec![
        Route { access: READERS, methods: routes!(list) },
        Route { access: ADMINS, methods: routes!(create) },
        Route { access: ADMINS, methods: routes!(remove) },
        Route { access: READERS, methods: routes!(list_deliveries) },
    ]
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::NotFound => Self::not_found(),
            WebhookError::Invalid(_) => Self::unprocessable("invalid", error.to_string()),
            WebhookError::Db(cause) => Self::db(&cause),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookList {
    pub webhooks: Vec<Endpoint>,
}

/// The tenant's webhooks; secrets are not shown.
#[utoipa::path(get, path = "/v1/webhooks", tag = "Webhooks", security(("key" = [])), responses((status = 200, body = WebhookList)))]
async fn list(State(app): State<App>, Caller(caller): Caller) -> Result<Json<WebhookList>, Problem> {
    let mut tx = app.store.begin_read(caller.tenant).await?;
    Ok(Json(WebhookList { webhooks: webhook::list(&mut tx).await? }))
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWebhook {
    /// `https://…`, without credentials and query, at a public address.
    pub url: String,
    /// Some of `exception.opened`, `exception.escalated`, `exception.resolved`.
    pub events: Vec<String>,
}

/// Makes a webhook. The reply holds its secret, once.
#[utoipa::path(post, path = "/v1/webhooks", tag = "Webhooks", security(("key" = [])), request_body = CreateWebhook,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Created), (status = 422, body = ProblemBody)))]
async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    request: Once,
    ApiJson(body): ApiJson<CreateWebhook>,
) -> Result<Response, Problem> {
    let policy = NetPolicy { allow_private_network: app.config.webhooks.allow_private_network };
    let (request, actor, now) = (request.with(&body)?, caller.actor(), app.clock.now());
    once(&app, &caller, request, |tx| {
        async move {
            let mut created = webhook::create(tx, &actor, policy, &body.url, &body.events, now).await?;
            let reply = Reply::json(StatusCode::CREATED, &created)?;
            created.secret.clear();
            reply.repeated_as(&created)
        }
        .boxed()
    })
    .await
}

fn id_of(text: &str) -> Result<EndpointId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

/// Takes a webhook away: nothing more is sent to it.
#[utoipa::path(delete, path = "/v1/webhooks/{webhook_id}", tag = "Webhooks", security(("key" = [])), params(("webhook_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
async fn remove(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    request: Once,
) -> Result<Response, Problem> {
    let (id, actor, now) = (id_of(&id)?, caller.actor(), app.clock.now());
    once(&app, &caller, request, |tx| {
        async move {
            webhook::remove(tx, &actor, id, now).await?;
            Ok(Reply::empty())
        }
        .boxed()
    })
    .await
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryList {
    pub deliveries: Vec<Delivery>,
}

/// The newest 100 messages of a webhook, and how far each is.
#[utoipa::path(get, path = "/v1/webhooks/{webhook_id}/deliveries", tag = "Webhooks", security(("key" = [])), params(("webhook_id" = String, Path)),
    responses((status = 200, body = DeliveryList), (status = 404, body = ProblemBody)))]
async fn list_deliveries(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<DeliveryList>, Problem> {
    let id = id_of(&id)?;
    let mut tx = app.store.begin_read(caller.tenant).await?;
    Ok(Json(DeliveryList { deliveries: webhook::deliveries(&mut tx, id, 100).await? }))
}
