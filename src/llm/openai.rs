//! Chat with any OpenAI-compatible server: hosted, vLLM, llama.cpp, Ollama.

use std::{sync::Arc, time::Duration};

use async_openai::error::OpenAIError;
use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use serde_json::Value;
use tokio::time::Instant;

pub use super::provider::ProviderConfig;
use super::{
    ChatModel, ChatRequest, ChatStream, Completion, Delta, Finish, LlmError, Usage,
    provider::{Provider, outcome},
    wire,
};
use crate::net::Lookup;

/// After the finish, how long to wait for the usage and the end mark; some servers send neither and hold the connection.
const AFTER_FINISH: Duration = Duration::from_secs(1);

/// A chat model behind an OpenAI-compatible server. Clones share connections and the circuit breaker.
#[derive(Clone)]
pub struct OpenAiChat {
    provider: Arc<Provider>,
    model: String,
    reasoning_model: bool,
}

impl OpenAiChat {
    /// - `model`: the name the server knows.
    /// - `reasoning_model`: the server wants `max_completion_tokens` and no temperature.
    ///
    /// Fails when the address or the key cannot be used; connects to nothing yet.
    pub fn new(config: ProviderConfig, model: impl Into<String>, reasoning_model: bool) -> Result<Self, LlmError> {
        Ok(Self { provider: Arc::new(Provider::new(config)?), model: model.into(), reasoning_model })
    }

    /// As [`OpenAiChat::new`] with a name resolver of the caller's.
    pub fn with_lookup(config: ProviderConfig, model: &str, lookup: Arc<dyn Lookup>) -> Result<Self, LlmError> {
        let provider = Arc::new(Provider::with_lookup(config, lookup)?);
        Ok(Self { provider, model: model.to_owned(), reasoning_model: false })
    }

    async fn complete_once(&self, request: &ChatRequest) -> Result<Completion, LlmError> {
        let body = wire::chat_body(&self.model, self.reasoning_model, request, false);
        let value: Value = self.provider.client.chat().create_byot(body).await.map_err(outcome)?;
        let mut reply = wire::reply(value)?;
        let usage = reply.usage.map(Usage::from).unwrap_or_default();
        if reply.choices.is_empty() {
            return Err(LlmError::Malformed("a reply without choices"));
        }
        let choice = reply.choices.swap_remove(0);
        let finish = finish(choice.finish_reason.as_deref().ok_or(LlmError::Truncated)?)?;
        let message = choice.message.ok_or(LlmError::Malformed("a choice without a message"))?;
        if message.refusal.is_some_and(|refusal| !refusal.is_empty()) {
            return Err(LlmError::Refused);
        }
        let text = message.content.filter(|text| !text.trim().is_empty()).ok_or(LlmError::Empty)?;
        if request.json_schema.is_some() {
            check_json(&text, finish)?;
        }
        Ok(Completion { text, finish, usage })
    }

    /// Opens a stream and waits for its first delta.
    async fn open(&self, request: &ChatRequest) -> Result<(Delta, Reading), LlmError> {
        let body = wire::chat_body(&self.model, self.reasoning_model, request, true);
        let events = self.provider.client.chat().create_stream_byot(body).await.map_err(outcome)?;
        let mut reading = Reading { events, finish: None, usage: Usage::default(), shown: false };
        let first = reading.next().await.ok_or(LlmError::Truncated)??;
        Ok((first, reading))
    }
}

/// A requested JSON answer has to be JSON; whether it is the right one is for the caller's type to say.
fn check_json(text: &str, finish: Finish) -> Result<(), LlmError> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(_) if finish == Finish::Length => Err(LlmError::Truncated),
        Err(_) => Err(LlmError::Malformed("the answer is not the JSON that was asked for")),
    }
}

fn finish(reason: &str) -> Result<Finish, LlmError> {
    match reason {
        "stop" | "eos" | "end_turn" => Ok(Finish::Stop),
        "length" => Ok(Finish::Length),
        "content_filter" => Err(LlmError::Refused),
        _ => Err(LlmError::Malformed("an unknown finish reason")),
    }
}

/// A stream being read.
struct Reading {
    events: BoxStream<'static, Result<Value, OpenAIError>>,
    finish: Option<Finish>,
    usage: Usage,
    /// Some text was passed on.
    shown: bool,
}

impl Reading {
    /// The next delta with text, the end, or an error; `None` after either of the last two.
    async fn next(&mut self) -> Option<Result<Delta, LlmError>> {
        loop {
            let event = match self.finish {
                None => self.events.next().await,
                Some(_) => tokio::time::timeout(AFTER_FINISH, self.events.next()).await.unwrap_or(None),
            };
            let Some(event) = event else { return Some(self.end()) };
            let reply = match event.map_err(outcome).and_then(wire::reply) {
                Ok(reply) => reply,
                Err(error) => return Some(Err(error)),
            };
            match self.take(reply) {
                Ok(Some(text)) => {
                    self.shown = true;
                    return Some(Ok(Delta::Text(text)));
                }
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Takes an event in and returns its text, if it has any.
    fn take(&mut self, mut reply: wire::Reply) -> Result<Option<String>, LlmError> {
        if let Some(usage) = reply.usage {
            self.usage = usage.into();
        }
        if reply.choices.is_empty() {
            return Ok(None);
        }
        let choice = reply.choices.swap_remove(0);
        let delta = choice.delta.unwrap_or_default();
        if delta.refusal.is_some_and(|refusal| !refusal.is_empty()) {
            return Err(LlmError::Refused);
        }
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(finish(&reason)?);
        }
        Ok(delta.content.filter(|text| !text.is_empty()))
    }

    fn end(&mut self) -> Result<Delta, LlmError> {
        match self.finish {
            None => Err(LlmError::Truncated),
            Some(_) if !self.shown => Err(LlmError::Empty),
            Some(finish) => Ok(Delta::End { finish, usage: self.usage }),
        }
    }
}

/// The rest of an opened stream, with silence and the whole bounded; ends after the first error or the end.
struct Watched {
    provider: Arc<Provider>,
    reading: Reading,
    pending: Option<Delta>,
    deadline: Instant,
    ended: bool,
}

impl Watched {
    async fn next(&mut self) -> Option<Result<Delta, LlmError>> {
        if self.ended {
            return None;
        }
        let item = match self.pending.take() {
            Some(first) => Ok(first),
            None => self.read().await,
        };
        self.ended = !matches!(item, Ok(Delta::Text(_)));
        if let Err(error) = &item {
            self.provider.report(Some(error));
        }
        Some(item)
    }

    async fn read(&mut self) -> Result<Delta, LlmError> {
        let silence = Instant::now() + self.provider.config.stall_timeout;
        match tokio::time::timeout_at(silence.min(self.deadline), self.reading.next()).await {
            Ok(item) => item.unwrap_or(Err(LlmError::Truncated)),
            Err(_) if silence < self.deadline => Err(LlmError::Stalled),
            Err(_) => Err(LlmError::Timeout),
        }
    }
}

impl ChatModel for OpenAiChat {
    fn model_id(&self) -> &str {
        &self.model
    }

    fn complete(&self, request: ChatRequest) -> BoxFuture<'_, Result<Completion, LlmError>> {
        Box::pin(async move {
            let patience = self.provider.config.total_timeout;
            self.provider.run(patience, || self.complete_once(&request)).await
        })
    }

    fn stream(&self, request: ChatRequest) -> BoxFuture<'_, Result<ChatStream, LlmError>> {
        Box::pin(async move {
            let deadline = Instant::now() + self.provider.config.total_timeout;
            let patience = self.provider.config.first_token_timeout;
            let (first, reading) = self.provider.run(patience, || self.open(&request)).await?;
            let provider = self.provider.clone();
            let watched = Watched { provider, reading, pending: Some(first), deadline, ended: false };
            let deltas = futures::stream::unfold(watched, |mut watched| async move {
                let item = watched.next().await?;
                Some((item, watched))
            });
            Ok(deltas.boxed())
        })
    }
}
