//! Answers as server-sent events that can be gone on with: each event has an id, `<answer>.<n>`, and what was sent can be told again from
//! the stored answer, by this process or the next one.
//!
//! Before each event the caller's key, roles and the citations are looked at again: access that was taken away ends the stream, or
//! withdraws what rested on it, from that event on.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

use super::App;
use super::answers::{answered, kept_since};
use super::problem::Problem;
use crate::access::{self, Principal};
use crate::answer::Question;
use crate::audit::REQUEST_ID;
use crate::conversation::history::{self, Asked};
use crate::conversation::redisplay::redisplay;
use crate::conversation::resolve::Turn;
use crate::conversation::{StoredAnswer, StoredState, owner};
use crate::ids::AnswerId;
use crate::store::Dialect;

/// Between two looks at an answer that another request is making.
const POLL: Duration = Duration::from_millis(200);
/// Time after which a client that lost the stream should come back, milliseconds.
const RETRY: Duration = Duration::from_secs(2);
/// A comment is sent when nothing else was for this long, so that proxies keep the connection.
const PING: Duration = Duration::from_secs(10);

/// What a client saw last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub answer: Option<AnswerId>,
    /// Number of its last event; 0: none.
    pub seen: usize,
}

/// Reads `Last-Event-ID`: `<answer>.<n>`, or the number alone.
pub(super) fn last_event(headers: &HeaderMap) -> Result<Option<Place>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let text = value.to_str().unwrap_or("").trim();
    if text.is_empty() {
        return Ok(None);
    }
    let place = match text.split_once('.') {
        Some((answer, n)) => {
            answer.parse().ok().zip(n.parse().ok()).map(|(answer, seen)| Place { answer: Some(answer), seen })
        }
        None => text.parse().ok().map(|seen| Place { answer: None, seen }),
    };
    place.map(Some).ok_or_else(|| Problem::bad_request("last-event-id", "Last-Event-ID is not an id of this stream"))
}

/// The answer object, or the problem document.
type Outcome = Result<Value, Value>;

/// Where the outcome comes from.
enum Awaited {
    /// A task of this process.
    Here(watch::Receiver<Option<Outcome>>),
    /// The stored answer, written by whoever makes it.
    Stored,
}

/// Answers in a task of its own, whether or not the client stays, and streams the events.
pub(super) async fn start(
    app: &App,
    caller: &Principal,
    asked: Asked,
    turns: Vec<Turn>,
    question: Question,
) -> Result<Response, Problem> {
    if kept_since(app).is_some() {
        let mut tx = app.store.begin_write(caller.tenant).await?;
        history::begin(&mut tx, caller, &asked, app.clock.now()).await?;
        tx.commit().await?;
    }
    let (sender, receiver) = watch::channel(None);
    let id = asked.answer;
    let (task_app, task_caller) = (app.clone(), caller.clone());
    let request = REQUEST_ID.try_with(Clone::clone).unwrap_or_else(|_| "none".to_owned());
    let work = async move {
        let outcome = outcome(&task_app, &task_caller, &turns, question, &asked).await;
        // Nobody listens any more: the stored answer is there for whoever comes back.
        let _ = sender.send(Some(outcome));
    };
    app.tasks.spawn(REQUEST_ID.scope(request, work).instrument(tracing::Span::current()));
    Ok(sse_of(follow(app.clone(), caller.clone(), id, 0, Awaited::Here(receiver))))
}

/// Answers and stores what came of it.
async fn outcome(app: &App, caller: &Principal, turns: &[Turn], question: Question, asked: &Asked) -> Outcome {
    let answering = answered(app, caller, turns, question, asked);
    let answer = match tokio::time::timeout(app.config.request_timeout(), answering).await {
        Ok(answer) => answer,
        Err(_) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "the answer took too long; try again")),
    };
    let stored = store_outcome(app, caller, asked, &answer).await;
    match answer.and_then(|answer| stored.map(|()| answer)) {
        Ok(answer) => Ok(serde_json::to_value(answer).unwrap_or(Value::Null)),
        Err(problem) => Err(problem_json(&problem)),
    }
}

async fn store_outcome(
    app: &App,
    caller: &Principal,
    asked: &Asked,
    answer: &Result<crate::answer::Answer, Problem>,
) -> Result<(), Problem> {
    if kept_since(app).is_none() {
        return Ok(());
    }
    let mut tx = app.store.begin_write(caller.tenant).await?;
    match answer {
        Ok(answer) => history::finish(&mut tx, caller, answer, app.clock.now()).await?,
        Err(problem) => history::fail(&mut tx, asked.answer, &problem_json(problem)).await?,
    }
    tx.commit().await?;
    Ok(())
}

/// The events of an answer after the first `seen`; 204 when there are none left.
pub(super) async fn resume(app: &App, caller: &Principal, id: AnswerId, seen: usize) -> Result<Response, Problem> {
    let stored = load(app, caller, id).await?;
    let all = match stored.state {
        StoredState::Done => events_of(&stored.body).len(),
        StoredState::Failed => 1,
        StoredState::Pending => usize::MAX,
    };
    if seen >= all {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(sse_of(follow(app.clone(), caller.clone(), id, seen, Awaited::Stored)))
}

async fn load(app: &App, caller: &Principal, id: AnswerId) -> Result<StoredAnswer, Problem> {
    let since = kept_since(app).ok_or_else(Problem::not_found)?;
    let mut tx = app.store.begin_read(caller.tenant).await?;
    Ok(history::get(&mut tx, &owner(caller), id, since).await?)
}

fn problem_json(problem: &Problem) -> Value {
    json!({ "type": format!("/problems/{}", problem.slug), "status": problem.status.as_u16(), "detail": problem.detail })
}

/// Names and data of an answer's events, in order; the last one ends the stream.
fn events_of(answer: &Value) -> Vec<(&'static str, Value)> {
    let claims = answer["claims"].as_array().into_iter().flatten();
    let mut events: Vec<(&'static str, Value)> = claims.map(|claim| ("claim", claim.clone())).collect();
    events.push(("answer", answer.clone()));
    events.push(("done", json!({ "answer_id": answer["answer_id"] })));
    events
}

/// Sends the events one by one as the client reads them.
fn follow(
    app: App,
    caller: Principal,
    id: AnswerId,
    seen: usize,
    awaited: Awaited,
) -> impl Stream<Item = Event> + Send + 'static {
    let (sender, receiver) = mpsc::channel(1);
    // Not one of the service's tasks: a client that does not read must not hold up a shutdown.
    tokio::spawn(async move {
        if let Err(problem) = send_all(&app, &caller, id, seen, awaited, &sender).await {
            // The terminal event of a stream that has none of its own; the number goes on so that a client can tell it apart.
            let event = Event::default().event("error").id(format!("{id}.{seen}")).data(problem.to_string());
            let _ = sender.send(event).await;
        }
    });
    stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|event| (event, receiver)) })
}

async fn send_all(
    app: &App,
    caller: &Principal,
    id: AnswerId,
    seen: usize,
    awaited: Awaited,
    sender: &mpsc::Sender<Event>,
) -> Result<(), Value> {
    if seen == 0 {
        // No data, so nothing is dispatched: it tells a client where to go on before there is anything to go on from.
        let _ = sender.send(Event::default().id(format!("{id}.0")).retry(RETRY)).await;
    }
    let body = match awaited {
        Awaited::Here(receiver) => here(app, caller, id, receiver, sender).await?,
        Awaited::Stored => stored(app, caller, id, sender).await?,
    };
    let Some(body) = body else { return Ok(()) };
    let count = events_of(&body).len();
    for n in seen..count {
        let shown = shown_now(app, caller, body.clone()).await?;
        let Some((name, data)) = events_of(&shown).into_iter().nth(n) else { break };
        let event = Event::default().event(name).id(format!("{id}.{}", n + 1)).data(data.to_string());
        if sender.send(event).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The answer as the caller may see it at this moment; the problem when they may not see anything any more.
async fn shown_now(app: &App, caller: &Principal, body: Value) -> Result<Value, Value> {
    let caller = still(app, caller).await?;
    let shown = async {
        let mut tx = app.store.begin_read(caller.tenant).await?;
        redisplay(&mut tx, &caller, body).await
    };
    shown.await.map_err(|error| problem_json(&Problem::db(&error)))
}

async fn still(app: &App, caller: &Principal) -> Result<Principal, Value> {
    let current = access::current(&app.store, caller, app.clock.now()).await;
    let current = current.map_err(|error| problem_json(&Problem::db(&error)))?;
    current.ok_or_else(|| problem_json(&Problem::unauthenticated()))
}

/// Waits for a task of this process. `None`: nobody listens any more.
async fn here(
    app: &App,
    caller: &Principal,
    id: AnswerId,
    mut receiver: watch::Receiver<Option<Outcome>>,
    sender: &mpsc::Sender<Event>,
) -> Result<Option<Value>, Value> {
    loop {
        if let Some(outcome) = receiver.borrow_and_update().clone() {
            return outcome.map(Some);
        }
        let changed = tokio::select! {
            changed = receiver.changed() => changed,
            () = sender.closed() => return Ok(None),
            () = tokio::time::sleep(PING) => Ok(()),
        };
        still(app, caller).await?;
        if changed.is_err() && receiver.borrow().is_none() {
            // The task is gone without an outcome: it panicked, which is logged where it did.
            let problem =
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong; ask again");
            let problem = problem_json(&problem);
            if let Ok(mut tx) = app.store.begin_write(caller.tenant).await {
                let failed = history::fail(&mut tx, id, &problem).await;
                if failed.is_ok() {
                    let _ = tx.commit().await;
                }
            }
            return Err(problem);
        }
    }
}

/// Waits for an answer that is being made elsewhere. `None`: nobody listens any more.
async fn stored(
    app: &App,
    caller: &Principal,
    id: AnswerId,
    sender: &mpsc::Sender<Event>,
) -> Result<Option<Value>, Value> {
    loop {
        let caller = still(app, caller).await?;
        let answer = load(app, &caller, id).await.map_err(|problem| problem_json(&problem))?;
        match answer.state {
            StoredState::Done => return Ok(Some(answer.body)),
            StoredState::Failed => return Err(answer.problem),
            StoredState::Pending if is_abandoned(app, &answer) => {
                let problem = Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "interrupted",
                    "the service stopped before this was answered; ask again",
                );
                return Err(problem_json(&problem));
            }
            StoredState::Pending => {}
        }
        tokio::select! {
            () = sender.closed() => return Ok(None),
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// A process that is gone answers nothing. With SQLite there is one process at a time; with PostgreSQL another replica may still be at it.
fn is_abandoned(app: &App, answer: &StoredAnswer) -> bool {
    let ours = answer.instance == app.instance.to_string();
    let limit = SignedDuration::try_from(2 * app.config.request_timeout()).unwrap_or(SignedDuration::MAX);
    let age = app.clock.now().duration_since(crate::clock::from_us(answer.created_at_us));
    (!ours && app.store.dialect() == Dialect::Sqlite) || age > limit
}

fn sse_of(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new().interval(PING).text("ping")).into_response()
}

/// Events that are all there already, as one stream.
pub(super) fn sse(events: Vec<Event>) -> Response {
    sse_of(stream::iter(events))
}
