//! `/v1/answers`: an answer with citations, as JSON or as server-sent events; and the answers given before.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::answer_stream;
use super::extract::{ApiJson, Caller, PageQuery};
use super::once::{Once, Reply, once};
use super::problem::{Problem, ProblemBody};
use super::routes::{EVERYONE, Route};
use super::search::{day, question_text, source_ids};
use crate::access::Principal;
use crate::answer::{Answer, Context, Question};
use crate::conversation::feedback::{self, Feedback};
use crate::conversation::history::{self, Asked};
use crate::conversation::redisplay::redisplay;
use crate::conversation::resolve::Turn;
use crate::conversation::{self, StoredAnswer, StoredState, owner, retention};
use crate::ids::{AnswerId, ConversationId};
use crate::quota::Limits;
use crate::store::TenantTx;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route { access: EVERYONE, methods: routes!(create_answer) },
        Route { access: EVERYONE, methods: routes!(list_answers) },
        Route { access: EVERYONE, methods: routes!(get_answer) },
        Route { access: EVERYONE, methods: routes!(answer_events) },
        Route { access: EVERYONE, methods: routes!(give_feedback) },
    ]
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
    /// One of the caller's conversations: the question is understood from its turns and becomes its next one.
    pub conversation_id: Option<String>,
}

/// The time before which nothing is kept, or that nothing is kept at all.
pub(super) fn kept_since(app: &App) -> Option<i64> {
    let days = app.config.history.retention_days;
    (days > 0).then(|| retention::kept_since_us(days, app.clock.now()))
}

pub(super) async fn answered(
    app: &App,
    caller: &Principal,
    turns: &[Turn],
    question: Question,
    asked: &Asked,
) -> Result<Answer, Problem> {
    let limits = Limits::new(&app.config.quota, &caller.quota);
    let llm = app.llm.for_tenant(&app.store, caller.tenant, limits, &app.clock);
    let context = Context { store: &app.store, index: &app.index, llm: &llm, config: &app.config };
    let mut answer = conversation::ask(context, caller, turns, question, app.clock.now()).await?;
    answer.answer_id = asked.answer.to_string();
    Ok(answer)
}

/// Stores an answer that was not announced before, unless nothing is kept.
pub(super) async fn keep(app: &App, caller: &Principal, asked: &Asked, answer: &Answer) -> Result<(), Problem> {
    if kept_since(app).is_none() {
        return Ok(());
    }
    let now = app.clock.now();
    let mut tx = app.store.begin_write(caller.tenant).await?;
    history::begin(&mut tx, caller, asked, now).await?;
    history::finish(&mut tx, caller, answer, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Answers a question; every claim is cited. With `Accept: text/event-stream`: an event `claim` for each, then `answer` with the whole
/// object, then `done`; or `error` with a problem document. A client that lost the stream sends the request again with `Last-Event-ID`
/// and gets the rest.
#[utoipa::path(post, path = "/v1/answers", tag = "Ask", security(("key" = [])), request_body = AnswerBody,
    responses((status = 200, body = Answer), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody),
        (status = 422, body = ProblemBody)))]
async fn create_answer(
    State(app): State<App>,
    Caller(caller): Caller,
    headers: HeaderMap,
    ApiJson(body): ApiJson<AnswerBody>,
) -> Result<Response, Problem> {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let streams = accepts.contains("text/event-stream");
    if let (true, Some(place)) = (streams, answer_stream::last_event(&headers)?) {
        let id = place.answer.ok_or_else(Problem::not_found)?;
        return answer_stream::resume(&app, &caller, id, place.seen).await;
    }
    question_text(&body.question)?;
    let conversation = match &body.conversation_id {
        Some(id) => Some(own_conversation(&app, &caller, id).await?),
        None => None,
    };
    let question = Question {
        as_of: day(body.as_of.as_deref())?,
        kinds: body.kinds,
        sources: source_ids(&app, &caller, body.sources.as_ref()).await?,
        text: body.question,
    };
    let turns = match conversation {
        Some(id) => conversation::of_stored(&app.store, &caller, id).await?,
        None => Vec::new(),
    };
    let asked =
        Asked { answer: AnswerId::mint(), conversation, question: question.text.clone(), instance: app.instance };
    if streams {
        return answer_stream::start(&app, &caller, asked, turns, question).await;
    }
    let answer = answered(&app, &caller, &turns, question, &asked).await?;
    keep(&app, &caller, &asked, &answer).await?;
    Ok(Json(answer).into_response())
}

async fn own_conversation(app: &App, caller: &Principal, id: &str) -> Result<ConversationId, Problem> {
    let id: ConversationId = id.parse().map_err(|_| Problem::not_found())?;
    let since = kept_since(app).ok_or_else(Problem::not_found)?;
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let found = conversation::get(&mut tx, &owner(caller), id, since).await?;
    if found.turns >= conversation::TURNS_MAX {
        return Err(conversation::ConversationError::Full.into());
    }
    Ok(id)
}

/// An answer given before, as its citations still stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerView {
    pub answer_id: String,
    pub conversation_id: Option<String>,
    /// Place in its conversation, from 1.
    pub turn: Option<i64>,
    pub question: String,
    pub state: StoredState,
    pub created_at_us: i64,
    /// The answer object; what rests on a source that is gone or closed to the caller is marked withdrawn and not shown.
    #[schema(value_type = Option<Object>)]
    pub answer: Value,
    /// Why there is none.
    #[schema(value_type = Option<Object>)]
    pub problem: Value,
}

impl AnswerView {
    pub(super) async fn of(tx: &mut TenantTx, caller: &Principal, stored: StoredAnswer) -> Result<Self, Problem> {
        Ok(Self {
            answer: redisplay(tx, caller, stored.body).await?,
            answer_id: stored.answer_id,
            conversation_id: stored.conversation_id,
            turn: stored.turn,
            question: stored.question,
            state: stored.state,
            created_at_us: stored.created_at_us,
            problem: stored.problem,
        })
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerPage {
    /// Newest first.
    pub answers: Vec<AnswerView>,
    pub next: Option<String>,
}

/// The caller's own answers, newest first.
#[utoipa::path(get, path = "/v1/answers", tag = "Ask", security(("key" = [])), params(PageQuery), responses((status = 200, body = AnswerPage)))]
async fn list_answers(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<AnswerPage>, Problem> {
    let since = kept_since(&app).unwrap_or(i64::MAX);
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let stored = history::list(&mut tx, &owner(&caller), "", page.after(), page.limit(), since).await?;
    let full = i64::try_from(stored.len()).is_ok_and(|n| n == page.limit());
    let next = stored.last().filter(|_| full).map(|last| last.answer_id.clone());
    let mut answers = Vec::with_capacity(stored.len());
    for one in stored {
        answers.push(AnswerView::of(&mut tx, &caller, one).await?);
    }
    Ok(Json(AnswerPage { answers, next }))
}

/// One of the caller's own answers.
#[utoipa::path(get, path = "/v1/answers/{answer_id}", tag = "Ask", security(("key" = [])), params(("answer_id" = String, Path)),
    responses((status = 200, body = AnswerView), (status = 404, body = ProblemBody)))]
async fn get_answer(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<AnswerView>, Problem> {
    let id: AnswerId = id.parse().map_err(|_| Problem::not_found())?;
    let since = kept_since(&app).ok_or_else(Problem::not_found)?;
    let mut tx = app.store.begin_read(caller.tenant).await?;
    let stored = history::get(&mut tx, &owner(&caller), id, since).await?;
    Ok(Json(AnswerView::of(&mut tx, &caller, stored).await?))
}

/// The events of an answer, from the one after `Last-Event-ID` on; 204 when all of them were received.
#[utoipa::path(get, path = "/v1/answers/{answer_id}/events", tag = "Ask", security(("key" = [])), params(("answer_id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 204), (status = 404, body = ProblemBody)))]
async fn answer_events(
    State(app): State<App>,
    Caller(caller): Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: AnswerId = id.parse().map_err(|_| Problem::not_found())?;
    let place = answer_stream::last_event(&headers)?;
    let seen = place.filter(|place| place.answer.is_none_or(|answer| answer == id)).map_or(0, |place| place.seen);
    answer_stream::resume(&app, &caller, id, seen).await
}

/// Says whether one of the caller's own answers helped. A second opinion replaces the first.
#[utoipa::path(post, path = "/v1/answers/{answer_id}/feedback", tag = "Ask", security(("key" = [])), params(("answer_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = Feedback,
    responses((status = 204), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
async fn give_feedback(
    State(app): State<App>,
    Caller(caller): Caller,
    request: Once,
    Path(id): Path<String>,
    ApiJson(body): ApiJson<Feedback>,
) -> Result<Response, Problem> {
    let id: AnswerId = id.parse().map_err(|_| Problem::not_found())?;
    let since = kept_since(&app).ok_or_else(Problem::not_found)?;
    let (request, who, now) = (request.with(&body)?, caller.clone(), app.clock.now());
    once(&app, &caller, request, |tx| {
        async move {
            feedback::give(tx, &who, id, &body, since, now).await?;
            Ok(Reply::empty())
        }
        .boxed()
    })
    .await
}
