//! `/v1/records`: pushing and reading typed records.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller};
use super::ingest_push::{ITEMS_MAX, ItemRejection, Push, PushAnswer, push};
use super::problem::{Problem, ProblemBody};
use super::routes::{Access, EVERYONE, Route};
use crate::access::{Principal, Role};
use crate::ids::RecordId;
use crate::record::{self, IncomingRecord, RecordVersionView, RecordView};
use crate::source::{Batch, PushedRecord};

pub(super) const PUSHERS: Access = Access::Roles(&[Role::Admin, Role::Integration]);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route { access: PUSHERS, methods: routes!(push_records) },
        Route { access: EVERYONE, methods: routes!(find_records) },
        Route { access: EVERYONE, methods: routes!(get_record) },
        Route { access: EVERYONE, methods: routes!(record_versions) },
    ]
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushRecords {
    /// Created if there is none of that name.
    pub source: String,
    /// The sync run this belongs to, from `POST /v1/sources/{name}/runs`.
    #[serde(default)]
    pub run_id: Option<String>,
    /// 1 to 1,000.
    pub records: Vec<PushedRecord>,
}

/// Takes records in, idempotent by source, kind and external id. Bad items are reported; good ones go in.
#[utoipa::path(post, path = "/v1/records:batch", tag = "Ingest", security(("key" = [])), request_body = PushRecords,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 200, body = PushAnswer), (status = 400, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn push_records(
    State(app): State<App>,
    Caller(caller): Caller,
    headers: HeaderMap,
    ApiJson(body): ApiJson<PushRecords>,
) -> Result<Response, Problem> {
    if body.records.is_empty() || body.records.len() > ITEMS_MAX {
        return Err(Problem::unprocessable("too-many", "a push has 1 to 1,000 records"));
    }
    let fingerprint = format!("records:batch\n{}", serde_json::to_string(&body).unwrap_or_default());
    let PushRecords { source, run_id, records } = body;
    let target = Push { caller: &caller, source: &source, run_id: run_id.as_deref(), fingerprint };
    push(&app, &headers, target, move || prepare(records)).await
}

fn prepare(records: Vec<PushedRecord>) -> (Batch, Vec<ItemRejection>) {
    let (mut batch, mut rejected) = (Batch::default(), Vec::new());
    for (item, pushed) in records.into_iter().enumerate() {
        match pushed.into_record() {
            Ok((record, audience)) => batch.records.push(IncomingRecord::prepare(record, audience)),
            Err(error) => rejected.push(ItemRejection { item, field: error.field, reason: error.reason }),
        }
    }
    (batch, rejected)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RecordQuery {
    /// As `order`.
    pub kind: String,
    /// Exactly as in the source.
    pub external_id: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RecordList {
    /// One per source that has it.
    pub records: Vec<RecordView>,
}

pub(super) fn sees_costs(caller: &Principal) -> bool {
    caller.roles.iter().any(|role| role.sees_costs())
}

/// Records by kind and external id.
#[utoipa::path(get, path = "/v1/records", tag = "Records", security(("key" = [])), params(RecordQuery), responses((status = 200, body = RecordList)))]
async fn find_records(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<RecordQuery>,
) -> Result<Json<RecordList>, Problem> {
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let found = record::find(&mut tx, &query.kind, &query.external_id, &caller.audiences()).await?;
    let costs = sees_costs(&caller);
    Ok(Json(RecordList { records: found.iter().map(|found| found.view(costs)).collect() }))
}

/// One record at its current version.
#[utoipa::path(get, path = "/v1/records/{record_id}", tag = "Records", security(("key" = [])), params(("record_id" = String, Path)),
    responses((status = 200, body = RecordView), (status = 404, body = ProblemBody)))]
async fn get_record(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<RecordView>, Problem> {
    let id: RecordId = id.parse().map_err(|_| Problem::not_found())?;
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let found = record::get(&mut tx, id, &caller.audiences()).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(found.view(sees_costs(&caller))))
}

/// Every version of a record, newest first, with the fields that changed.
#[utoipa::path(get, path = "/v1/records/{record_id}/versions", tag = "Records", security(("key" = [])), params(("record_id" = String, Path)),
    responses((status = 200, body = Vec<RecordVersionView>), (status = 404, body = ProblemBody)))]
async fn record_versions(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<Vec<RecordVersionView>>, Problem> {
    let id: RecordId = id.parse().map_err(|_| Problem::not_found())?;
    let mut tx = app.store.begin_read(caller.tenant).await?;
    record::get(&mut tx, id, &caller.audiences()).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(record::history(&mut tx, id, sees_costs(&caller)).await?))
}
