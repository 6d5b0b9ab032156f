//! `POST /v1/queries`: counts, sums, lists and ages over typed records; the same typed query that answers carry.

use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller};
use super::problem::{Problem, ProblemBody};
use super::routes::{EVERYONE, Route};
use crate::compute::{self, Query, QueryResult};
use crate::record;

/// Rows of one page.
const PAGE_MAX: i64 = 200;
/// Rows that can be skipped.
const OFFSET_MAX: i64 = 1_000_000;

pub(super) fn routes() -> Vec<Route> {
    vec![Route { access: EVERYONE, methods: routes!(run_query) }]
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryBody {
    pub query: Query,
    /// Rows returned, 0 to 200; absent: 20.
    pub rows: Option<i64>,
    /// Rows skipped, in the query's order.
    pub offset: Option<i64>,
}

/// Runs a typed query. Records the caller may not see are not counted; cost fields exist for roles that may see them only.
#[utoipa::path(post, path = "/v1/queries", tag = "Ask", security(("key" = [])), request_body = QueryBody,
    responses((status = 200, body = QueryResult), (status = 422, body = ProblemBody)))]
async fn run_query(
    State(app): State<App>,
    Caller(caller): Caller,
    ApiJson(body): ApiJson<QueryBody>,
) -> Result<Json<QueryResult>, Problem> {
    let (rows, offset) = (body.rows.unwrap_or(compute::ROWS), body.offset.unwrap_or(0));
    if !(0..=PAGE_MAX).contains(&rows) || !(0..=OFFSET_MAX).contains(&offset) {
        return Err(Problem::unprocessable("page", "rows is 0 to 200, offset 0 to 1,000,000"));
    }
    let today = app.clock.now().to_zoned(TimeZone::UTC).date();
    let checked = body
        .query
        .check(compute::sees_costs(&caller), today)
        .map_err(|error| Problem::unprocessable("query", error.to_string()))?;
    record::facts::ensure(&app.store, caller.tenant).await?;
    let mut tx = app.store.begin_read(caller.tenant).await?;
    Ok(Json(compute::run(&mut tx, &checked, &caller.audiences(), rows, offset).await?))
}
