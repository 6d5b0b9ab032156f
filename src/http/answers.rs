//! `POST /v1/answers`: an answer with citations, as JSON or as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::extract::{ApiJson, Caller};
use super::problem::{Problem, ProblemBody};
use super::routes::{EVERYONE, Route};
use super::search::{day, question_text, source_ids};
use crate::access::Principal;
use crate::answer::{self, Answer, Context, Question};
use crate::quota::Limits;

pub(super) fn routes() -> Vec<Route> {
    vec![Route { access: EVERYONE, methods: routes!(create_answer) }]
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerBody {
    /// 1 to 8,000 bytes.
    pub question: String,
    /// Policies as of this day, YYYY-MM-DD; absent: the day the question or its record is about, else today.
    pub as_of: Option<String>,
    /// Only documents and records of these kinds are cited, as `policy` or `order`; what the question names still says which day counts.
    pub kinds: Option<Vec<String>>,
    /// Only what comes from these sources is cited, by name.
    pub sources: Option<Vec<String>>,
}

pub(super) async fn answered(app: &App, caller: &Principal, question: &Question) -> Result<Answer, Problem> {
    let limits = Limits::new(&app.config.quota, &caller.quota);
    let llm = app.llm.for_tenant(&app.store, caller.tenant, limits, &app.clock);
    let context = Context { store: &app.store, index: &app.index, llm: &llm, config: &app.config };
    Ok(answer::answer(context, caller, question, app.clock.now()).await?)
}

/// Answers a question; every claim is cited. With `Accept: text/event-stream`: an event `claim` for each, then `answer` with the whole
/// object, then `done`.
#[utoipa::path(post, path = "/v1/answers", tag = "Ask", security(("key" = [])), request_body = AnswerBody,
    responses((status = 200, body = Answer), (status = 422, body = ProblemBody)))]
async fn create_answer(
    State(app): State<App>,
    Caller(caller): Caller,
    headers: HeaderMap,
    ApiJson(body): ApiJson<AnswerBody>,
) -> Result<Response, Problem> {
    question_text(&body.question)?;
    let question = Question {
        as_of: day(body.as_of.as_deref())?,
        kinds: body.kinds,
        sources: source_ids(&app, &caller, body.sources.as_ref()).await?,
        text: body.question,
    };
    let answer = answered(&app, &caller, &question).await?;
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !accepts.contains("text/event-stream") {
        return Ok(Json(answer).into_response());
    }
    Ok(sse(events(&answer)))
}

fn events(answer: &Answer) -> Vec<Event> {
    let json = |name: &str, value: serde_json::Value| Event::default().event(name).data(value.to_string());
    let mut events: Vec<Event> =
        answer.claims.iter().map(|claim| json("claim", serde_json::to_value(claim).unwrap_or_default())).collect();
    events.push(json("answer", serde_json::to_value(answer).unwrap_or_default()));
    events.push(json("done", serde_json::json!({ "answer_id": answer.answer_id })));
    events.into_iter().zip(1..).map(|(event, id): (Event, u32)| event.id(id.to_string())).collect()
}

pub(super) fn sse(events: Vec<Event>) -> Response {
    let stream = stream::iter(events.into_iter().map(Ok::<_, Infallible>));
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))).into_response()
}
