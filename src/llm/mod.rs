//! Chat models: messages in, text out. Neighbour of `answer` and `draft`, which decide what is asked and check what came.
//!
//! [`ChatModel`] has one real implementation, `openai` (any OpenAI-compatible server); that there may be no model at all is
//! `Option<Arc<dyn ChatModel>>` at start. Stages get it through `ladder`, per tenant. Every way a provider can fail is a
//! variant of [`LlmError`]. Prompts, claim checks and the ladder of rungs do not belong here.
//!
//! No prompt and no answer text is logged here or carried by an error.

pub mod breaker;
mod guard;
pub mod openai;
pub(crate) mod provider;
mod sse;
mod wire;

use std::{sync::Arc, time::Duration};

use futures::{future::BoxFuture, stream::BoxStream};

/// A chat model chosen at run time; `None` means the service runs on its extractive rung alone.
pub type OptionalChatModel = Option<Arc<dyn ChatModel>>;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
}

/// One message of a conversation. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

impl Message {
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: Role::System, content: content.into() }
    }

    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Message({:?}, {} bytes)", self.role, self.content.len())
    }
}

/// One question to a model. Temperature is always 0.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    pub messages: Vec<Message>,
    /// Most tokens of the answer, at least 1.
    pub max_tokens: u32,
    /// Asks for an answer in this JSON schema, `(name, schema)`; the answer is then at least valid JSON.
    pub json_schema: Option<(String, serde_json::Value)>,
}

impl ChatRequest {
    /// A request for free text.
    pub fn text(messages: Vec<Message>, max_tokens: u32) -> Self {
        Self { messages, max_tokens, json_schema: None }
    }
}

/// Tokens as the provider counted them; zeros when it did not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    Stop,
    /// It ran into `max_tokens`: the text ends somewhere, and a caller that wanted JSON has none.
    Length,
}

/// A whole answer. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Completion {
    /// Never empty.
    pub text: String,
    pub finish: Finish,
    pub usage: Usage,
}

impl std::fmt::Debug for Completion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Completion({} bytes, {:?}, {:?})", self.text.len(), self.finish, self.usage)
    }
}

/// A piece of a streamed answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Delta {
    /// Never empty.
    Text(String),
    /// The last item of a complete stream; a stream that ends in an error has none.
    End { finish: Finish, usage: Usage },
}

impl std::fmt::Debug for Delta {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Delta::Text(text) => write!(formatter, "Text({} bytes)", text.len()),
            Delta::End { finish, usage } => write!(formatter, "End({finish:?}, {usage:?})"),
        }
    }
}

/// Deltas, then either [`Delta::End`] or one error. Dropping it closes the connection.
pub type ChatStream = BoxStream<'static, Result<Delta, LlmError>>;

/// A model that answers.
pub trait ChatModel: Send + Sync {
    /// The model's name as configured, for the answer's label and for metrics.
    fn model_id(&self) -> &str;

    /// The whole answer, or why there is none. Retries inside the configured bounds, but never after bytes of an answer
    /// have arrived.
    fn complete(&self, request: ChatRequest) -> BoxFuture<'_, Result<Completion, LlmError>>;

    /// The answer as it comes. Resolves with the first delta in hand, so an error here means that nothing was shown yet and
    /// the caller may fall to its next rung; an error inside the stream means that something was.
    fn stream(&self, request: ChatRequest) -> BoxFuture<'_, Result<ChatStream, LlmError>>;
}

/// Every way a provider fails, by name. Carries no prompt, no answer and no provider's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LlmError {
    /// Nothing came before the first-token deadline, or the whole answer took longer than its deadline.
    #[error("the model did not answer in time")]
    Timeout,
    /// It began to answer and then fell silent.
    #[error("the model stopped in the middle of its answer")]
    Stalled,
    /// 429; `retry_after` when the provider said so in a form we understand.
    #[error("the model provider limits our rate")]
    RateLimited { retry_after: Option<Duration> },
    /// 5xx, or an error event inside a 200 stream (`status` 200).
    #[error("the model provider failed (status {status})")]
    Server { status: u16 },
    /// 4xx other than 429: a wrong key, a wrong model name, a request it does not take.
    #[error("the model provider refused the request (status {status})")]
    Rejected { status: u16 },
    /// Not the protocol, or not the JSON that was asked for.
    #[error("the model provider's answer is malformed: {0}")]
    Malformed(&'static str),
    /// The answer ended without saying that it is complete.
    #[error("the model's answer was cut off")]
    Truncated,
    /// A complete answer with nothing in it.
    #[error("the model's answer is empty")]
    Empty,
    /// More bytes than allowed, or the prompt does not fit the model.
    #[error("too large: {0}")]
    TooLarge(&'static str),
    /// The model or its content filter declined.
    #[error("the model declined to answer")]
    Refused,
    /// No connection, or it broke.
    #[error("the model provider cannot be reached: {0}")]
    Network(&'static str),
    /// Not tried: it failed too often lately.
    #[error("the model provider is resting after repeated failures")]
    CircuitOpen,
    /// Not tried: the tenant's tokens of this period would not suffice. `resets`: the day on which the next period begins.
    #[error("the model tokens of this period are used up; the next period begins on {resets}")]
    TokensUsedUp { resets: String },
    /// Not tried: what it would use could not be written down.
    #[error("the use of the model could not be recorded")]
    Unmetered,
    /// The configured address is not one this service may connect to.
    #[error("the model provider's address is not allowed: {0}")]
    Address(#[from] crate::net::NetError),
}

/// Asks for JSON and reads it as `T`. A valid answer of another shape is [`LlmError::Malformed`]; so is one cut by
/// `max_tokens`.
pub async fn complete_json<T: serde::de::DeserializeOwned>(
    model: &dyn ChatModel,
    request: ChatRequest,
) -> Result<(T, Usage), LlmError> {
    let completion = model.complete(request).await?;
    match serde_json::from_str(&completion.text) {
        Ok(value) => Ok((value, completion.usage)),
        Err(_) if completion.finish == Finish::Length => Err(LlmError::Truncated),
        Err(_) => Err(LlmError::Malformed("the answer does not follow the schema")),
    }
}
