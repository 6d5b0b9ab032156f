//! `GET /v1/records/{kind}/{id}/summary`: a record in a few cited sentences, for support tools that show it beside a conversation.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ingest::RecordKind;
use utoipa_axum::routes;

use super::App;
use super::extract::Caller;
use super::problem::{Problem, ProblemBody};
use super::routes::{EVERYONE, Route};
use crate::answer::Context;
use crate::answer::summary::{Summary, summarise};
use crate::canonical;

pub(super) fn routes() -> Vec<Route> {
    vec![Route { access: EVERYONE, methods: routes!(record_summary) }]
}

/// State, changes, what is unusual, what applies and what is next, each sentence cited. With `If-None-Match` and nothing new: 304.
#[utoipa::path(get, path = "/v1/records/{kind}/{external_id}/summary", tag = "Records", security(("key" = [])),
    params(("kind" = String, Path), ("external_id" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = Summary), (status = 304), (status = 404, body = ProblemBody)))]
async fn record_summary(
    State(app): State<App>,
    Caller(caller): Caller,
    headers: HeaderMap,
    Path((kind, external_id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let kind: RecordKind = kind.parse().map_err(|_| Problem::not_found())?;
    // No model words a summary: it is the same for everybody who may see the same, and costs nothing to ask for often.
    let context = Context { store: &app.store, index: &app.index, llm: &None, config: &app.config };
    let summary = summarise(context, &caller, kind, &external_id, app.clock.now()).await?;
    let summary = summary.ok_or_else(Problem::not_found)?;
    // The tag is of what is sent: roles that see different things have different tags.
    let body = canonical::to_text(&serde_json::to_value(&summary).unwrap_or_default());
    let tag = format!("\"{}\"", &canonical::sha256_hex(body)[..32]);
    let mut response =
        if matches(&headers, &tag) { StatusCode::NOT_MODIFIED.into_response() } else { Json(summary).into_response() };
    let out = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(header::ETAG, tag);
    }
    // Kept by the client alone, and asked about each time: access may be gone by then.
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    out.insert(header::VARY, HeaderValue::from_static("authorization, x-api-key"));
    Ok(response)
}

/// Whether `If-None-Match` lists the tag; weak ones compare equal, as for GET they should.
fn matches(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|one| one.trim().trim_start_matches("W/"))
        .any(|one| one == tag || one == "*")
}
