//! The OpenAI-compatible protocol as we speak it: strict in what is sent, lax in what is read.
//!
//! Servers differ in the fields they leave out, so a reply is read as JSON first and then as these types, where everything
//! may be missing. What must be there is decided by `openai`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ChatRequest, LlmError, Role, Usage, sse};

/// The body of `POST /chat/completions`.
pub(super) fn chat_body(model: &str, reasoning_model: bool, request: &ChatRequest, stream: bool) -> Value {
    let messages: Vec<Value> = request
        .messages
        .iter()
        .map(|message| {
            let role = match message.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            json!({"role": role, "content": message.content})
        })
        .collect();
    let mut body = json!({"model": model, "messages": messages, "stream": stream});
    if reasoning_model {
        body["max_completion_tokens"] = json!(request.max_tokens);
    } else {
        body["max_tokens"] = json!(request.max_tokens);
        body["temperature"] = json!(0);
    }
    if let Some((name, schema)) = &request.json_schema {
        body["response_format"] =
            json!({"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": true}});
    }
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

/// A whole reply, or one event of a stream.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Reply {
    pub choices: Vec<Choice>,
    pub usage: Option<UsageBody>,
    error: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Choice {
    /// Of a whole reply.
    pub message: Option<Content>,
    /// Of a stream event.
    pub delta: Option<Content>,
    pub finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Content {
    pub content: Option<String>,
    pub refusal: Option<String>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
pub(super) struct UsageBody {
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl From<UsageBody> for Usage {
    fn from(body: UsageBody) -> Self {
        Self { prompt_tokens: body.prompt_tokens, completion_tokens: body.completion_tokens }
    }
}

/// Reads a reply or event; an `error` member is an error whatever the status was.
pub(super) fn reply(value: Value) -> Result<Reply, LlmError> {
    let reply: Reply = serde_json::from_value(value).map_err(|_| LlmError::Malformed("not a chat completion"))?;
    match &reply.error {
        None | Some(Value::Null) => Ok(reply),
        Some(error) => Err(error_member(error)),
    }
}

/// What an `error` member means: one of our own marks from `sse`, or the provider's failure.
pub(super) fn error_member(error: &Value) -> LlmError {
    match error.get("code").and_then(Value::as_str) {
        Some(sse::MARK_MALFORMED) => LlmError::Malformed("an event of the stream is not JSON"),
        Some(sse::MARK_TOO_LARGE) => LlmError::TooLarge("the answer"),
        Some(sse::MARK_BROKEN) => LlmError::Truncated,
        Some("context_length_exceeded") => LlmError::TooLarge("the prompt"),
        Some("rate_limit_exceeded") => LlmError::RateLimited { retry_after: None },
        _ => LlmError::Server { status: 200 },
    }
}
