//! `/v1/sources/{name}/offers`: what a source has, by digest, before it is pushed.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller};
use super::problem::{Problem, ProblemBody};
use super::records::PUSHERS;
use super::routes::Route;
use crate::ids::RunId;
use crate::source::offer::{self, Offer};

pub(super) fn routes() -> Vec<Route> {
    vec![Route { access: PUSHERS, methods: routes!(offer_items) }]
}

/// Most items of one request.
pub const OFFERS_MAX: usize = 5_000;

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Offers {
    /// The run they belong to, from `POST /v1/sources/{name}/runs`.
    pub run_id: String,
    /// 1 to 5,000.
    pub offers: Vec<Offer>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Wanted {
    /// Positions in the request, from 0, of what has to be pushed; the others are there and count as seen in the run.
    pub wanted: Vec<usize>,
}

/// Says what the source has, so that only what is new or changed has to be pushed.
#[utoipa::path(post, path = "/v1/sources/{name}/offers", tag = "Ingest", security(("key" = [])), params(("name" = String, Path)),
    request_body = Offers,
    responses((status = 200, body = Wanted), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn offer_items(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
    ApiJson(body): ApiJson<Offers>,
) -> Result<Json<Wanted>, Problem> {
    if body.offers.is_empty() || body.offers.len() > OFFERS_MAX {
        return Err(Problem::unprocessable("too-many", "a request has 1 to 5,000 offers"));
    }
    if body.offers.iter().any(|offer| offer.external_id.contains('\0')) {
        return Err(Problem::unprocessable("nul", "an id holds no NUL character"));
    }
    let run: RunId = body.run_id.parse().map_err(|_| Problem::not_found())?;
    let mut tx = app.store.begin_write(caller.tenant).await?;
    let wanted = offer::offer(&mut tx, &name, run, &body.offers).await?;
    tx.commit().await?;
    Ok(Json(Wanted { wanted }))
}
