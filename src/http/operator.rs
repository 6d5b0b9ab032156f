//! `/v1/operator`: the platform's own operations, by the key in the data directory. Sees the list of tenants, nothing inside one.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::extract::ApiJson;
use super::problem::{Problem, ProblemBody};
use super::routes::{Access, Route};
use crate::access::tenants::{self, TenantRow};
use crate::access::{Role, keys, users};
use crate::audit::Actor;
use crate::ids::TenantId;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route { access: Access::Operator, methods: routes!(list_tenants) },
        Route { access: Access::Operator, methods: routes!(create_tenant) },
        Route { access: Access::Operator, methods: routes!(change_tenant) },
    ]
}

/// Every tenant of this installation.
#[utoipa::path(get, path = "/v1/operator/tenants", tag = "Operator", security(("key" = [])), responses((status = 200, body = Vec<TenantRow>)))]
async fn list_tenants(State(app): State<App>) -> Result<Json<Vec<TenantRow>>, Problem> {
    Ok(Json(tenants::list(&app.store).await?))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// 2 to 40 of a-z, 0-9 and `-`.
    pub slug: String,
    pub name: String,
    pub admin_email: String,
    pub admin_name: String,
}

/// A tenant with its first administrator; the key is shown this once.
#[derive(Serialize, ToSchema)]
pub struct CreatedTenant {
    pub tenant_id: String,
    pub admin_user_id: String,
    pub admin_key: String,
}

/// Creates a tenant, its first administrator and their key, in one transaction.
#[utoipa::path(post, path = "/v1/operator/tenants", tag = "Operator", security(("key" = [])), request_body = CreateTenant,
    responses((status = 201, body = CreatedTenant), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn create_tenant(
    State(app): State<App>,
    ApiJson(body): ApiJson<CreateTenant>,
) -> Result<(StatusCode, Json<CreatedTenant>), Problem> {
    let now = app.clock.now();
    let operator = Actor::operator();
    let roles = BTreeSet::from([Role::Admin, Role::Agent]);
    let mut tx = app.store.begin_write(TenantId::mint()).await?;
    tenants::create(&mut tx, &body.slug, &body.name, now).await?;
    let admin = users::create(&mut tx, &operator, &body.admin_email, &body.admin_name, &roles, now).await?;
    let (_, key) = keys::create(&mut tx, &operator, Some(admin), "first administrator key", None, now).await?;
    let created = CreatedTenant {
        tenant_id: tx.tenant_text(),
        admin_user_id: admin.to_string(),
        admin_key: key.reveal().to_owned(),
    };
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(created)))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTenant {
    /// While suspended, no key of the tenant works.
    pub suspended: bool,
}

/// Suspends or resumes a tenant.
#[utoipa::path(patch, path = "/v1/operator/tenants/{tenant_id}", tag = "Operator", security(("key" = [])), params(("tenant_id" = String, Path)),
    request_body = ChangeTenant, responses((status = 204), (status = 404, body = ProblemBody)))]
async fn change_tenant(
    State(app): State<App>,
    Path(id): Path<String>,
    ApiJson(body): ApiJson<ChangeTenant>,
) -> Result<StatusCode, Problem> {
    let id: TenantId = id.parse().map_err(|_| Problem::not_found())?;
    tenants::set_suspended(&app.store, id, body.suspended, app.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
