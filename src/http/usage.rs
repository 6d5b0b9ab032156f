//! `/v1/usage`: what the tenant used of the chat models, and what it may use.

use axum::Json;
use axum::extract::{Path, Query, State};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller};
use super::problem::{Problem, ProblemBody};
use super::routes::{Access, Route};
use super::search::day;
use crate::access::{Role, tenants};
use crate::audit::Actor;
use crate::config::TokenPeriod;
use crate::ids::TenantId;
use crate::quota::tokens::{self, TokenUse};
use crate::quota::{self, Limits, TenantQuota};
use crate::store::TenantTx;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route { access: Access::Roles(&[Role::Admin, Role::Auditor]), methods: routes!(usage) },
        Route { access: Access::Operator, methods: routes!(tenant_usage) },
        Route { access: Access::Operator, methods: routes!(set_quota) },
    ]
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    /// First day, YYYY-MM-DD; default: of the present period.
    pub from: Option<String>,
    /// Last day; default: today.
    pub to: Option<String>,
}

/// The present period of the token limit.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeriodView {
    pub kind: TokenPeriod,
    /// First day, UTC.
    pub from: String,
    /// The day on which the next one begins.
    pub resets: String,
    /// Used, and taken by calls that run.
    pub tokens: u64,
    /// Absent: no limit.
    pub limit: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UsageView {
    pub period: PeriodView,
    /// Requests a minute; absent: no limit.
    pub key_per_minute: Option<u32>,
    pub tenant_per_minute: Option<u32>,
    /// By day and model, newest day first; at most 1,000.
    pub used: Vec<TokenUse>,
}

async fn view(app: &App, tx: &mut TenantTx, own: &TenantQuota, query: &UsageQuery) -> Result<UsageView, Problem> {
    let limits = Limits::new(&app.config.quota, own);
    let (first, next) = quota::period_of(limits.period, app.clock.now());
    let from = day(query.from.as_deref())?.unwrap_or(first);
    let to = day(query.to.as_deref())?.unwrap_or(Date::constant(9999, 12, 31));
    Ok(UsageView {
        period: PeriodView {
            kind: limits.period,
            from: first.to_string(),
            resets: next.to_string(),
            tokens: tokens::taken_since(tx, first).await?,
            limit: limits.tokens,
        },
        key_per_minute: limits.key.map(|key| key.limit()),
        tenant_per_minute: limits.tenant.map(|tenant| tenant.limit()),
        used: tokens::used(tx, from, to).await?,
    })
}

/// Tokens of chat models by day and model, with their cost, and the limits that hold.
#[utoipa::path(get, path = "/v1/usage", tag = "Usage", security(("key" = [])), params(UsageQuery),
    responses((status = 200, body = UsageView), (status = 422, body = ProblemBody)))]
async fn usage(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<UsageQuery>,
) -> Result<Json<UsageView>, Problem> {
    let mut tx = app.store.begin_read(caller.tenant).await?;
    Ok(Json(view(&app, &mut tx, &caller.quota, &query).await?))
}

/// What a tenant used, and the limits that hold for it.
#[utoipa::path(get, path = "/v1/operator/tenants/{tenant_id}/usage", tag = "Operator", security(("key" = [])),
    params(("tenant_id" = String, Path), UsageQuery),
    responses((status = 200, body = UsageView), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn tenant_usage(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<UsageQuery>,
) -> Result<Json<UsageView>, Problem> {
    let id: TenantId = id.parse().map_err(|_| Problem::not_found())?;
    let mut tx = app.store.begin_read(id).await?;
    tenants::exists(&mut tx).await?;
    let own = quota::get(&mut tx).await?;
    Ok(Json(view(&app, &mut tx, &own, &query).await?))
}

/// Sets what a tenant may use, in place of what was set before; absent values follow the configuration. Counts from now on.
#[utoipa::path(put, path = "/v1/operator/tenants/{tenant_id}/quota", tag = "Operator", security(("key" = [])),
    params(("tenant_id" = String, Path)), request_body = TenantQuota,
    responses((status = 200, body = TenantQuota), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn set_quota(
    State(app): State<App>,
    Path(id): Path<String>,
    ApiJson(body): ApiJson<TenantQuota>,
) -> Result<Json<TenantQuota>, Problem> {
    let id: TenantId = id.parse().map_err(|_| Problem::not_found())?;
    if body.token_limit.is_some_and(|limit| limit > quota::TOKENS_MAX) {
        return Err(Problem::unprocessable("token-limit", "token_limit is at most 1,000,000,000,000,000"));
    }
    let mut tx = app.store.begin_write(id).await?;
    tenants::exists(&mut tx).await?;
    quota::set(&mut tx, &Actor::operator(), &body, app.clock.now()).await?;
    tx.commit().await?;
    Ok(Json(body))
}
