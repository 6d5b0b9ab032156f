//! `POST /v1/search`: records by identifier, passages by hybrid search, each hit explained.

use axum::Json;
use axum::extract::State;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller};
use super::problem::{Problem, ProblemBody};
use super::records::sees_costs;
use super::routes::{EVERYONE, Route};
use crate::access::Principal;
use crate::answer::QUESTION_MAX;
use crate::ids::SourceId;
use crate::record::RecordView;
use crate::retrieve::about::{About, Because};
use crate::retrieve::{self, Hit, Identified, Mode, Query, RetrieveError};
use crate::source;

/// Records that are looked at before the kinds asked for are taken out.
const RECORDS_MAX: usize = 200;

pub(super) fn routes() -> Vec<Route> {
    vec![Route { access: EVERYONE, methods: routes!(search) }]
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchBody {
    /// 1 to 8,000 bytes.
    pub query: String,
    /// Document and record kinds, as `policy` or `order`.
    pub kinds: Option<Vec<String>>,
    /// Source names.
    pub sources: Option<Vec<String>>,
    /// Only what holds on this day, YYYY-MM-DD.
    pub as_of: Option<String>,
    /// 1 to 100; default 10.
    pub limit: Option<u16>,
    /// Also the records that the query is about without naming them: those of a customer or supplier whose name stands in it.
    #[serde(default)]
    pub linked: bool,
}

/// A mention in the query and the records it names.
#[derive(Debug, Serialize, ToSchema)]
pub struct IdentifiedView {
    pub shown: String,
    pub records: Vec<RecordView>,
}

/// A record the query is about, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct AboutView {
    pub because: Because,
    /// The customer or supplier over whom it was found, as `customer/C-7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub party: Option<String>,
    pub record: RecordView,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SearchAnswer {
    pub retrieval: Mode,
    pub identified: Vec<IdentifiedView>,
    /// Best first; only when `linked` was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<Vec<AboutView>>,
    pub hits: Vec<Hit>,
}

impl From<RetrieveError> for Problem {
    fn from(error: RetrieveError) -> Self {
        match error {
            RetrieveError::Db(cause) => Self::db(&cause),
        }
    }
}

pub(super) fn day(text: Option<&str>) -> Result<Option<Date>, Problem> {
    text.map(|text| text.parse().map_err(|_| Problem::unprocessable("as-of", "as_of is a day as YYYY-MM-DD")))
        .transpose()
}

pub(super) fn question_text(text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() || text.len() > QUESTION_MAX {
        return Err(Problem::unprocessable("question", "a question has 1 to 8,000 bytes"));
    }
    if text.contains('\0') {
        return Err(Problem::unprocessable("question", "a question holds no NUL character"));
    }
    Ok(())
}

/// Names to ids; a name that is not there is 404, so that a typing error does not look like an empty result.
pub(super) async fn source_ids(
    app: &App,
    caller: &Principal,
    names: Option<&Vec<String>>,
) -> Result<Option<Vec<SourceId>>, Problem> {
    let Some(names) = names else { return Ok(None) };
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let known = source::list(&mut tx).await?;
    names
        .iter()
        .map(|name| {
            let found = known.iter().find(|source| source.name == *name);
            found.and_then(|source| source.source_id.parse().ok()).ok_or_else(Problem::not_found)
        })
        .collect::<Result<Vec<SourceId>, Problem>>()
        .map(Some)
}

/// Finds records that the query names and passages it is about; says for each hit how both legs ranked it.
#[utoipa::path(post, path = "/v1/search", tag = "Ask", security(("key" = [])), request_body = SearchBody,
    responses((status = 200, body = SearchAnswer), (status = 422, body = ProblemBody)))]
async fn search(
    State(app): State<App>,
    Caller(caller): Caller,
    ApiJson(body): ApiJson<SearchBody>,
) -> Result<Json<SearchAnswer>, Problem> {
    question_text(&body.query)?;
    let query = Query {
        kinds: body.kinds,
        sources: source_ids(&app, &caller, body.sources.as_ref()).await?,
        on: day(body.as_of.as_deref())?,
        limit: usize::from(body.limit.unwrap_or(10).clamp(1, 100)),
        text: body.query,
        ..Query::default()
    };
    let mut identified = retrieve::identify::identify(&app.store, &caller, &query.text).await?;
    retrieve::identify::restrict(&mut identified, query.kinds.as_deref(), query.sources.as_deref());
    let found = retrieve::search(&app.store, &app.index, &app.config.retrieve, &caller, &query).await?;
    let costs = sees_costs(&caller);
    let records = match body.linked {
        true => Some(about(&app, &caller, &query, &identified, costs).await?),
        false => None,
    };
    let identified = identified
        .into_iter()
        .map(|one| IdentifiedView {
            shown: one.shown,
            records: one.records.iter().map(|found| found.view(costs)).collect(),
        })
        .collect();
    Ok(Json(SearchAnswer { retrieval: found.mode, identified, records, hits: found.hits }))
}

async fn about(
    app: &App,
    caller: &Principal,
    query: &Query,
    identified: &[Identified],
    costs: bool,
) -> Result<Vec<AboutView>, Problem> {
    let config = &app.config.retrieve;
    let mut found =
        retrieve::about::about(&app.store, &app.index, config, caller, &query.text, identified, RECORDS_MAX).await?;
    let wanted = |kind: &str| query.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|one| one == kind));
    found.retain(|one| wanted(one.found.record.kind.as_str()));
    found.truncate(query.limit);
    let view = |one: About| AboutView { because: one.because, party: one.party, record: one.found.view(costs) };
    Ok(found.into_iter().map(view).collect())
}
