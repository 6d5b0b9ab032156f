//! `/v1/chat/completions` and `/v1/models`: what OpenAI's clients speak. Citations are `annotations` of type `url_citation`; everything
//! else of the answer stands in one extension object, `countersign`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::App;
use super::answer_stream::sse;
use super::answers::{answered, keep};
use super::extract::{ApiJson, Caller};
use super::problem::Problem;
use super::routes::{EVERYONE, Route};
use super::search::question_text;
use crate::access::Principal;
use crate::answer::{Answer, Question};
use crate::conversation::history::Asked;
use crate::conversation::{self, Message};
use crate::ids::AnswerId;

/// The one model this service offers: itself.
const MODEL: &str = "countersign";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route { access: EVERYONE, methods: routes!(chat_completions) },
        Route { access: EVERYONE, methods: routes!(list_models) },
    ]
}

/// As OpenAI's; parameters that only a language model has are accepted and not used.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatBody {
    /// The last message of role `user` is the question; those before it are the conversation it is understood from.
    #[schema(value_type = Vec<Object>)]
    pub messages: Vec<ChatMessage>,
    #[serde(default)]
    pub stream: bool,
    #[schema(value_type = Option<Object>)]
    pub stream_options: Option<StreamOptions>,
}

#[derive(Debug, Deserialize)]
pub struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Debug, Deserialize)]
pub struct ChatMessage {
    role: String,
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    text: Option<String>,
}

impl Content {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => parts.iter().filter_map(|part| part.text.as_deref()).collect::<Vec<_>>().join("\n"),
        }
    }
}

/// OpenAI's error object, on these routes only.
pub(super) fn refusal(problem: &Problem) -> Response {
    let kind = match problem.status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    };
    let body = json!({ "error": { "message": problem.detail, "type": kind, "param": null, "code": problem.slug } });
    let mut response = (problem.status, Json(body)).into_response();
    problem.add_headers(response.headers_mut());
    response
}

/// A chat completion whose content is an answer with citations.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "OpenAI-compatible", security(("key" = [])), request_body = ChatBody,
    responses((status = 200, body = Object), (status = 422, body = Object)))]
async fn chat_completions(
    State(app): State<App>,
    Caller(caller): Caller,
    headers: HeaderMap,
    body: Result<ApiJson<ChatBody>, Problem>,
) -> Response {
    let body = match body {
        Ok(ApiJson(body)) => body,
        Err(problem) => return refusal(&problem),
    };
    let (before, text) = split(&body.messages);
    if let Err(problem) = question_text(&text) {
        return refusal(&problem);
    }
    let answer = match after(&app, &caller, &before, &text).await {
        Ok(answer) => answer,
        Err(problem) => return refusal(&problem),
    };
    let scheme = if app.config.server.behind_tls_proxy { "https" } else { "http" };
    let host = headers.get("host").and_then(|host| host.to_str().ok());
    let base = host.map_or_else(String::new, |host| format!("{scheme}://{host}"));
    let completion = Completion::new(&app, &answer, &text, &base);
    if body.stream {
        sse(completion.chunks(body.stream_options.is_some_and(|options| options.include_usage)))
    } else {
        (StatusCode::OK, Json(completion.whole())).into_response()
    }
}

/// The messages before the last of role `user`, and that one's text. The client keeps the conversation: nothing of it is stored but the answer.
fn split(messages: &[ChatMessage]) -> (Vec<Message>, String) {
    let last = messages.iter().rposition(|message| message.role == "user");
    let text = |message: &ChatMessage| message.content.as_ref().map(Content::text).unwrap_or_default();
    let question = last.map(|last| text(&messages[last])).unwrap_or_default();
    let before = messages[..last.unwrap_or(0)]
        .iter()
        .filter(|message| message.role == "user" || message.role == "assistant")
        .map(|message| Message { asks: message.role == "user", text: text(message) })
        .collect();
    (before, question)
}

async fn after(app: &App, caller: &Principal, before: &[Message], text: &str) -> Result<Answer, Problem> {
    let turns = conversation::of_messages(&app.store, caller, before).await?;
    let asked =
        Asked { answer: AnswerId::mint(), conversation: None, question: text.to_owned(), instance: app.instance };
    let question = Question { text: text.to_owned(), ..Question::default() };
    let answer = answered(app, caller, &turns, question, &asked).await?;
    keep(app, caller, &asked, &answer).await?;
    Ok(answer)
}

struct Completion<'a> {
    id: String,
    created: i64,
    answer: &'a Answer,
    annotations: Vec<Value>,
    usage: Value,
}

impl<'a> Completion<'a> {
    fn new(app: &App, answer: &'a Answer, question: &str, base: &str) -> Self {
        let prompt = ingest::count_tokens(question);
        let completion = ingest::count_tokens(&answer.text);
        Self {
            id: format!("chatcmpl-{}", answer.answer_id),
            created: app.clock.now().as_second(),
            answer,
            annotations: annotations(answer, base),
            usage: json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion }),
        }
    }

    fn whole(&self) -> Value {
        json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": MODEL,
            "choices": [{
                "index": 0, "finish_reason": "stop", "logprobs": null,
                "message": {
                    "role": "assistant", "content": self.answer.text, "refusal": null, "annotations": self.annotations,
                },
            }],
            "usage": self.usage,
            "countersign": self.answer,
        })
    }

    /// A chunk a claim, then the annotations, then the end; `[DONE]` closes.
    fn chunks(&self, include_usage: bool) -> Vec<Event> {
        let mut events = vec![self.chunk(json!({ "role": "assistant", "content": "" }), None)];
        events.extend(self.answer.text.split_inclusive('\n').map(|part| self.chunk(json!({ "content": part }), None)));
        events.push(self.chunk(json!({ "annotations": self.annotations }), None));
        events.push(self.chunk(json!({}), Some("stop")));
        if include_usage {
            let mut last = self.frame(json!([]));
            last["usage"] = self.usage.clone();
            events.push(Event::default().data(last.to_string()));
        }
        events.push(Event::default().data("[DONE]"));
        events
    }

    fn chunk(&self, delta: Value, finish: Option<&str>) -> Event {
        let mut frame = self.frame(json!([{ "index": 0, "delta": delta, "finish_reason": finish, "logprobs": null }]));
        if finish.is_some() {
            frame["countersign"] = json!(self.answer);
        }
        Event::default().data(frame.to_string())
    }

    fn frame(&self, choices: Value) -> Value {
        json!({ "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": MODEL, "choices": choices })
    }
}

/// One `url_citation` per marker in the text; indices count characters, as OpenAI's do.
fn annotations(answer: &Answer, base: &str) -> Vec<Value> {
    let mut annotations = Vec::new();
    let mut from = 0;
    for claim in &answer.claims {
        for n in &claim.citations {
            let mark = format!("[{n}]");
            let Some(at) = answer.text[from..].find(&mark).map(|at| from + at) else { continue };
            let Some(citation) = answer.citations.iter().find(|citation| citation.n == *n) else { continue };
            let start = answer.text[..at].chars().count();
            annotations.push(json!({ "type": "url_citation", "url_citation": {
                "start_index": start, "end_index": start + mark.chars().count(),
                "title": citation.title, "url": format!("{base}{}", citation.href),
            }}));
            from = at + mark.len();
        }
    }
    annotations
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    object: &'static str,
    data: Vec<ModelRow>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ModelRow {
    id: &'static str,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
}

/// The models a client may name.
#[utoipa::path(get, path = "/v1/models", tag = "OpenAI-compatible", security(("key" = [])), responses((status = 200, body = ModelList)))]
async fn list_models(Caller(_caller): Caller) -> Json<ModelList> {
    let model = ModelRow { id: MODEL, object: "model", created: 1_767_225_600, owned_by: MODEL };
    Json(ModelList { object: "list", data: vec![model] })
}
