//! A stub OpenAI-compatible server on loopback, scripted one reply per request. Test support.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::Bytes;
use serde_json::{Value, json};

/// What the server does with one request. `Text` answers in the form the request asks for: JSON or a stream.
#[derive(Debug, Clone)]
pub enum Script {
    /// A complete answer; a stream has one event per word, then the finish, the usage and `[DONE]`.
    Text(&'static str),
    /// A complete answer with this finish reason.
    Finished(&'static str, &'static str),
    /// A status, with `Retry-After` seconds if any, and an error object that quotes a secret.
    Status(u16, Option<&'static str>),
    /// Some words of a stream, then the connection ends in the middle of an event; or JSON cut in the middle.
    Cut,
    /// A stream that ends properly but never said why it finished; or a reply without `finish_reason`.
    NoFinish,
    /// 200, and then an error event after this many words; or an error object.
    ErrorEvent(usize),
    /// An event, or a body, that is not JSON.
    Garbage,
    /// JSON, but not a chat completion.
    OtherShape,
    /// A complete answer with no text in it.
    Empty,
    /// No body at all.
    NoBody,
    /// One token of this many bytes.
    Huge(usize),
    /// Nothing for so long, then an answer.
    SlowFirst(Duration),
    /// Two words, then silence.
    Stall,
    /// A refusal in the protocol's own field.
    Refusal,
    /// A redirect to this address.
    Redirect(String),
    /// A claim that repeats the last word of the system message (without its full stop), as a leak of it does.
    RepeatMarker,
    /// Vectors of this dimension, one per input, each with the input's number first.
    Vectors(usize),
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub authorization: Option<String>,
    pub body: Value,
}

/// The server; ends with the test's runtime.
#[derive(Clone)]
pub struct StubLlm {
    /// With the version path, as a configuration has it.
    pub base_url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    seen: Mutex<Vec<Seen>>,
}

impl StubLlm {
    /// Starts a server that plays `scripts` in order and answers 500 once they are used up.
    pub async fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        let shared = Arc::new(Shared { scripts: Mutex::new(scripts.into_iter().collect()), ..Shared::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().fallback(any(answer)).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base_url, shared }
    }

    /// Adds a reply to the end of the script.
    pub fn then(&self, script: Script) {
        self.shared.scripts.lock().unwrap().push_back(script);
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    shared.seen.lock().unwrap().push(Seen { path: uri.path().to_owned(), authorization, body: body.clone() });
    let script = shared.scripts.lock().unwrap().pop_front().unwrap_or(Script::Status(500, None));
    if body["stream"] == json!(true) { stream(script).await } else { whole(script, &body).await }
}

fn completion(message: Value, finish: Option<&str>) -> Value {
    json!({
        "id": "stub", "object": "chat.completion", "created": 0, "model": "stub",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    })
}

fn said(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

async fn whole(script: Script, body: &Value) -> Response {
    match script {
        Script::Text(text) => Json(completion(said(text), Some("stop"))).into_response(),
        Script::Finished(text, reason) => Json(completion(said(text), Some(reason))).into_response(),
        Script::Cut => {
            let text = completion(said("half of it"), Some("stop")).to_string();
            (json_type(), text[..text.len() / 2].to_owned()).into_response()
        }
        Script::NoFinish => Json(completion(said("text"), None)).into_response(),
        Script::ErrorEvent(_) => Json(json!({"error": {"message": "overloaded SECRET-TEXT"}})).into_response(),
        Script::Garbage => (json_type(), "<html>SECRET-TEXT</html>").into_response(),
        Script::OtherShape => Json(json!({"choices": "SECRET-TEXT"})).into_response(),
        Script::Empty => Json(completion(said(""), Some("stop"))).into_response(),
        Script::Huge(bytes) => Json(completion(said(&"a".repeat(bytes)), Some("stop"))).into_response(),
        Script::SlowFirst(pause) => {
            tokio::time::sleep(pause).await;
            Json(completion(said("late"), Some("stop"))).into_response()
        }
        Script::Stall => broken_after(json_type(), vec!["{\"id\": ".to_owned()], After::Silence),
        Script::Refusal => {
            Json(completion(json!({"role": "assistant", "content": null, "refusal": "no"}), Some("stop")))
                .into_response()
        }
        Script::RepeatMarker => {
            let system = body["messages"][0]["content"].as_str().unwrap();
            let marker = system.trim_end().trim_end_matches('.').rsplit(' ').next().unwrap();
            let claims = json!({ "claims": [
                { "text": format!("The status of the order is shipped {marker}."), "evidence": ["E1"] },
                { "text": "The status of the order is shipped.", "evidence": ["E1"] },
            ] });
            Json(completion(said(&claims.to_string()), Some("stop"))).into_response()
        }
        Script::Vectors(dim) => {
            let inputs = body["input"].as_array().map_or(0, Vec::len);
            // In reverse, because the order of the list is not promised.
            let rows: Vec<Value> = (0..inputs)
                .rev()
                .map(|index| {
                    let mut vector = vec![0.5; dim];
                    vector[0] = index as f32;
                    json!({"object": "embedding", "index": index, "embedding": vector})
                })
                .collect();
            Json(json!({"object": "list", "data": rows, "model": "stub"})).into_response()
        }
        common => other(common),
    }
}

fn event(delta: Value, finish: Option<&str>) -> String {
    let chunk = json!({
        "id": "stub", "object": "chat.completion.chunk", "created": 0, "model": "stub",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]
    });
    format!("data: {chunk}\n\n")
}

fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(|word| event(json!({"content": word}), None)).collect()
}

fn ended(mut events: Vec<String>, finish: Option<&str>) -> Vec<String> {
    if let Some(finish) = finish {
        events.push(event(json!({}), Some(finish)));
        events.push(
            "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 7, \"completion_tokens\": 3}}\n\n".to_owned(),
        );
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

enum After {
    End,
    Break,
    Silence,
}

async fn stream(script: Script) -> Response {
    let mut two = words("two words");
    match script {
        Script::Text(text) => events(ended(words(text), Some("stop")), After::End),
        Script::Finished(text, reason) => events(ended(words(text), Some(reason)), After::End),
        Script::Cut => {
            two.push("data: {\"choices\": [{\"del".to_owned());
            events(two, After::Break)
        }
        Script::NoFinish => events(ended(two, None), After::End),
        Script::ErrorEvent(after_words) => {
            two.truncate(after_words);
            two.push("data: {\"error\": {\"message\": \"overloaded SECRET-TEXT\", \"code\": 503}}\n\n".to_owned());
            events(two, After::End)
        }
        Script::Garbage => {
            two.push("data: {\"SECRET-TEXT\n\n".to_owned());
            events(ended(two, Some("stop")), After::End)
        }
        Script::OtherShape => events(vec!["data: {\"choices\": \"SECRET-TEXT\"}\n\n".to_owned()], After::End),
        Script::Empty => events(ended(Vec::new(), Some("stop")), After::End),
        Script::Huge(bytes) => events(vec![event(json!({"content": "a".repeat(bytes)}), None)], After::End),
        Script::SlowFirst(pause) => {
            tokio::time::sleep(pause).await;
            events(ended(words("late"), Some("stop")), After::End)
        }
        Script::Stall => events(two, After::Silence),
        Script::Refusal => events(vec![event(json!({"refusal": "no"}), None)], After::End),
        common => other(common),
    }
}

/// Scripts that do not care whether a stream was asked for.
fn other(script: Script) -> Response {
    match script {
        Script::Status(status, retry_after) => {
            let error = json!({"error": {"message": "SECRET-TEXT", "type": "x"}});
            let mut response = (StatusCode::from_u16(status).unwrap(), Json(error)).into_response();
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.parse().unwrap());
            }
            response
        }
        Script::NoBody => StatusCode::OK.into_response(),
        Script::Redirect(target) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]).into_response(),
        script => panic!("{script:?} is not for this kind of request"),
    }
}

fn json_type() -> [(header::HeaderName, &'static str); 1] {
    [(header::CONTENT_TYPE, "application/json")]
}

fn events(events: Vec<String>, after: After) -> Response {
    broken_after([(header::CONTENT_TYPE, "text/event-stream")], events, after)
}

fn broken_after(kind: [(header::HeaderName, &'static str); 1], parts: Vec<String>, after: After) -> Response {
    let parts = futures::stream::iter(parts.into_iter().map(|part| Ok::<_, std::io::Error>(Bytes::from(part))));
    let body = match after {
        After::End => Body::from_stream(parts),
        After::Break => {
            // A pause, so that what was said before the cut has left.
            let cut = futures::stream::once(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(std::io::Error::other("cut"))
            });
            Body::from_stream(futures::StreamExt::chain(parts, cut))
        }
        After::Silence => {
            let silence = futures::stream::pending::<Result<Bytes, std::io::Error>>();
            Body::from_stream(futures::StreamExt::chain(parts, silence))
        }
    };
    (kind, body).into_response()
}
