//! `/v1/detection`: a tenant's limits, severities and own rules, and what they would have reported in the past.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures::FutureExt;
use ingest::RecordKind;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller};
use super::once::{Once, Reply, once};
use super::problem::{Problem, ProblemBody};
use super::routes::{Access, Route};
use crate::access::Role;
use crate::detect::{self, Backtest, BacktestPage, Settings};

pub(super) fn routes() -> Vec<Route> {
    const READERS: Access = Access::Roles(&[Role::Reviewer, Role::Approver, Role::Admin, Role::Auditor]);
    const ADMINS: Access = Access::Roles(&[Role::Admin]);
    const TESTERS: Access = Access::Roles(&[Role::Admin, Role::Auditor]);
    vec![
        Route { access: READERS, methods: routes!(get_settings) },
        Route { access: ADMINS, methods: routes!(put_settings) },
        Route { access: TESTERS, methods: routes!(run_backtest) },
    ]
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SettingsView {
    /// 0: nothing was set yet.
    pub version: i64,
    pub settings: Settings,
    pub defaults: Settings,
}

/// The settings in force, and the defaults.
#[utoipa::path(get, path = "/v1/detection/settings", tag = "Exceptions", security(("key" = [])), responses((status = 200, body = SettingsView)))]
async fn get_settings(State(app): State<App>, Caller(caller): Caller) -> Result<Json<SettingsView>, Problem> {
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let (version, settings) = detect::settings(&mut tx).await?;
    Ok(Json(SettingsView { version, settings, defaults: Settings::default() }))
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSettings {
    /// Whatever is not named is at its default.
    pub settings: Settings,
    /// The version this replaces; another one in force: 409.
    pub replaces: Option<i64>,
}

/// Puts settings in force; every record is looked at again.
#[utoipa::path(put, path = "/v1/detection/settings", tag = "Exceptions", security(("key" = [])), request_body = PutSettings,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = SettingsView), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn put_settings(
    State(app): State<App>,
    Caller(caller): Caller,
    request: Once,
    ApiJson(body): ApiJson<PutSettings>,
) -> Result<Response, Problem> {
    let (request, actor, now) = (request.with(&body)?, caller.actor(), app.clock.now());
    let put = once(&app, &caller, request, |tx| {
        async move {
            let version = detect::put_settings(tx, &actor, &body.settings, body.replaces, now).await?;
            let view = SettingsView { version, settings: body.settings, defaults: Settings::default() };
            Reply::json(StatusCode::OK, &view)
        }
        .boxed()
    })
    .await?;
    app.detect.wake(caller.tenant);
    Ok(put)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BacktestBody {
    /// RFC 3339: the records as they were known then.
    pub as_of: String,
    /// Kind of the records looked at, as `order`.
    pub record_kind: String,
    /// Where the page before ended.
    pub after: Option<String>,
    /// Instead of the settings in force.
    pub settings: Option<Settings>,
}

/// One page of what the rules would have reported then. Writes nothing.
#[utoipa::path(post, path = "/v1/detection:backtest", tag = "Exceptions", security(("key" = [])), request_body = BacktestBody,
    responses((status = 200, body = BacktestPage), (status = 422, body = ProblemBody)))]
async fn run_backtest(
    State(app): State<App>,
    Caller(caller): Caller,
    ApiJson(body): ApiJson<BacktestBody>,
) -> Result<Json<BacktestPage>, Problem> {
    let as_of: Timestamp =
        body.as_of.parse().map_err(|_| Problem::unprocessable("invalid", "as_of is an RFC 3339 time"))?;
    let kind: RecordKind = body.record_kind.parse().map_err(|error: ingest::record::UnknownKind| {
        Problem::unprocessable("invalid", format!("record_kind {error}"))
    })?;
    if let Some(settings) = &body.settings {
        settings.check().map_err(detect::DetectError::from)?;
    }
    let as_of = crate::clock::from_us(as_of.as_microsecond());
    let wanted = Backtest { as_of, kind, after: body.after, settings: body.settings };
    Ok(Json(detect::backtest(&app.store, caller.tenant, &wanted).await?))
}
