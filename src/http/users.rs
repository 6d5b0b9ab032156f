//! `/v1/me`, `/v1/users`: people of a tenant and their roles.

use std::collections::BTreeSet;

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
use super::routes::{Access, EVERYONE, Route};
use crate::access::users::UserRow;
use crate::access::{Role, users};
use crate::ids::UserId;

pub(super) fn routes() -> Vec<Route> {
    const READERS: Access = Access::Roles(&[Role::Admin, Role::Auditor]);
    const ADMINS: Access = Access::Roles(&[Role::Admin]);
    vec![
        Route { access: EVERYONE, methods: routes!(me) },
        Route { access: READERS, methods: routes!(list_users) },
        Route { access: ADMINS, methods: routes!(create_user) },
        Route { access: READERS, methods: routes!(get_user) },
        Route { access: ADMINS, methods: routes!(change_user) },
    ]
}

/// Who the key belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    pub tenant_id: String,
    /// Absent for a service key.
    pub user_id: Option<String>,
    pub key_id: String,
    pub roles: Vec<Role>,
}

/// The caller, as the server sees it.
#[utoipa::path(get, path = "/v1/me", tag = "Access", security(("key" = [])), responses((status = 200, body = Me)))]
async fn me(caller: Caller) -> Json<Me> {
    let Caller(principal) = caller;
    Json(Me {
        tenant_id: principal.tenant.to_string(),
        user_id: principal.user.map(|user| user.to_string()),
        key_id: principal.key.to_string(),
        roles: principal.roles,
    })
}

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserPage {
    pub users: Vec<UserRow>,
    /// Pass as `after` for the next page; absent at the end.
    pub next: Option<String>,
}

/// Users of the caller's tenant.
#[utoipa::path(get, path = "/v1/users", tag = "Access", security(("key" = [])), params(PageQuery), responses((status = 200, body = UserPage)))]
async fn list_users(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<UserPage>, Problem> {
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let users = users::list(&mut tx, page.after(), page.limit()).await?;
    let full = i64::try_from(users.len()).is_ok_and(|n| n == page.limit());
    let next = users.last().filter(|_| full).map(|user| user.user_id.clone());
    Ok(Json(UserPage { users, next }))
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    pub email: String,
    pub name: String,
    /// At least one; `integration` is for service keys only.
    pub roles: BTreeSet<Role>,
}

/// Creates a user. They can act once they have a key (`POST /v1/keys`).
#[utoipa::path(post, path = "/v1/users", tag = "Access", security(("key" = [])), request_body = CreateUser,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = UserRow), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn create_user(
    State(app): State<App>,
    Caller(caller): Caller,
    request: Once,
    ApiJson(body): ApiJson<CreateUser>,
) -> Result<Response, Problem> {
    let (request, actor, now) = (request.with(&body)?, caller.actor(), app.clock.now());
    once(&app, &caller, request, |tx| {
        async move {
            let id = users::create(tx, &actor, &body.email, &body.name, &body.roles, now).await?;
            Reply::json(StatusCode::CREATED, &users::get(tx, id).await?)
        }
        .boxed()
    })
    .await
}

/// One user.
#[utoipa::path(get, path = "/v1/users/{user_id}", tag = "Access", security(("key" = [])), params(("user_id" = String, Path)),
    responses((status = 200, body = UserRow), (status = 404, body = ProblemBody)))]
async fn get_user(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<UserRow>, Problem> {
    let id: UserId = id.parse().map_err(|_| Problem::not_found())?;
    let mut tx = app.store.begin_read(caller.tenant).await?;
    Ok(Json(users::get(&mut tx, id).await?))
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeUser {
    /// Replaces the roles.
    pub roles: Option<BTreeSet<Role>>,
    /// A suspended user's keys do not work, from the commit on.
    pub suspended: Option<bool>,
}

/// Changes roles or suspends; effective at once.
#[utoipa::path(patch, path = "/v1/users/{user_id}", tag = "Access", security(("key" = [])), params(("user_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = ChangeUser, responses((status = 200, body = UserRow), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn change_user(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    request: Once,
    ApiJson(body): ApiJson<ChangeUser>,
) -> Result<Response, Problem> {
    let id: UserId = id.parse().map_err(|_| Problem::not_found())?;
    let (request, actor, now) = (request.with(&body)?, caller.actor(), app.clock.now());
    once(&app, &caller, request, |tx| {
        async move {
            let user = users::change(tx, &actor, id, body.roles.as_ref(), body.suspended, now).await?;
            Reply::json(StatusCode::OK, &user)
        }
        .boxed()
    })
    .await
}
