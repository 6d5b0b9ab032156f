//! `/v1/keys`: API keys of people and of services.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller, PageQuery};
use super::once::{Once, Reply, once};
use super::problem::{Problem, ProblemBody};
use super::routes::{Access, Route};
use crate::access::Role;
use crate::access::keys::{self, KeyRow};
use crate::ids::{KeyId, UserId};

pub(super) fn routes() -> Vec<Route> {
    const READERS: Access = Access::Roles(&[Role::Admin, Role::Auditor]);
    const ADMINS: Access = Access::Roles(&[Role::Admin]);
    vec![
        Route { access: READERS, methods: routes!(list_keys) },
        Route { access: ADMINS, methods: routes!(create_key) },
        Route { access: ADMINS, methods: routes!(revoke_key) },
    ]
}

#[derive(Debug, Serialize, ToSchema)]
pub struct KeyPage {
    pub keys: Vec<KeyRow>,
    pub next: Option<String>,
}

/// Keys of the tenant, without their text.
#[utoipa::path(get, path = "/v1/keys", tag = "Access", security(("key" = [])), params(PageQuery), responses((status = 200, body = KeyPage)))]
async fn list_keys(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<KeyPage>, Problem> {
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let keys = keys::list(&mut tx, page.after(), page.limit()).await?;
    let full = i64::try_from(keys.len()).is_ok_and(|n| n == page.limit());
    let next = keys.last().filter(|_| full).map(|key| key.key_id.clone());
    Ok(Json(KeyPage { keys, next }))
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What it is for.
    pub name: String,
    /// Whose key; absent: a service key with the role `integration`.
    pub user_id: Option<String>,
    /// Microseconds UTC; absent: until revoked.
    pub expires_at_us: Option<i64>,
}

/// A new key; `key` is shown this once.
#[derive(Serialize, ToSchema)]
pub struct CreatedKey {
    pub key_id: String,
    /// Absent when the request is a repeat under its `Idempotency-Key`: the text is stored nowhere. Revoke the key and make another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Mints a key.
#[utoipa::path(post, path = "/v1/keys", tag = "Access", security(("key" = [])), request_body = CreateKey,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = CreatedKey), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn create_key(
    State(app): State<App>,
    Caller(caller): Caller,
    request: Once,
    ApiJson(body): ApiJson<CreateKey>,
) -> Result<Response, Problem> {
    let (request, actor, now) = (request.with(&body)?, caller.actor(), app.clock.now());
    let user = body.user_id.map(|id| id.parse::<UserId>()).transpose().map_err(|_| Problem::not_found())?;
    let expires = body.expires_at_us.map(crate::clock::from_us);
    if expires.is_some_and(|at| at <= now) {
        return Err(Problem::unprocessable("invalid", "expires_at_us lies in the past"));
    }
    once(&app, &caller, request, |tx| {
        async move {
            let (id, text) = keys::create(tx, &actor, user, &body.name, expires, now).await?;
            let view = |key: Option<&str>| CreatedKey { key_id: id.to_string(), key: key.map(str::to_owned) };
            Reply::json(StatusCode::CREATED, &view(Some(text.reveal())))?.repeated_as(&view(None))
        }
        .boxed()
    })
    .await
}

/// Revokes a key, at once.
#[utoipa::path(delete, path = "/v1/keys/{key_id}", tag = "Access", security(("key" = [])), params(("key_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody)))]
async fn revoke_key(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    request: Once,
) -> Result<Response, Problem> {
    let id: KeyId = id.parse().map_err(|_| Problem::not_found())?;
    let (actor, now) = (caller.actor(), app.clock.now());
    once(&app, &caller, request, |tx| {
        async move {
            keys::revoke(tx, &actor, id, now).await?;
            Ok(Reply::empty())
        }
        .boxed()
    })
    .await
}
