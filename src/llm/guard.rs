//! The HTTP service under the client library: sends the key to the configured origin only, bounds what is read, checks that
//! it is JSON, and names every failure. Attempts and the circuit breaker are `provider`'s.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_openai::{
    error::{OpenAIError, StreamError},
    middleware::HttpRequestFactory,
};
use futures::{StreamExt, future::BoxFuture};
use reqwest::{
    Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use serde_json::Value;

use super::{LlmError, sse, wire};
use crate::{
    net::{self, Endpoint, NetError},
    secret::Secret,
};

/// Most bytes of an error reply that are looked at.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// The key as a header that is never printed.
pub(super) fn authorization(key: &Secret) -> Result<HeaderValue, LlmError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
        .map_err(|_| LlmError::Malformed("the configured key holds characters that a header cannot"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// See the module.
#[derive(Clone)]
pub(super) struct Guard {
    pub client: reqwest::Client,
    pub endpoint: Arc<Endpoint>,
    pub authorization: Option<HeaderValue>,
    pub max_response_bytes: usize,
}

impl tower::Service<HttpRequestFactory> for Guard {
    type Response = Response;
    type Error = OpenAIError;
    type Future = BoxFuture<'static, Result<Response, OpenAIError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        let guard = self.clone();
        Box::pin(async move {
            let request = factory.build().await?;
            guard.send(request).await.map_err(|error| OpenAIError::Boxed(Box::new(error)))
        })
    }
}

impl Guard {
    async fn send(self, mut request: reqwest::Request) -> Result<Response, LlmError> {
        self.endpoint.check(request.url())?;
        request.headers_mut().remove(AUTHORIZATION);
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let response = self.client.execute(request).await.map_err(|error| network(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(refusal(response).await);
        }
        let headers = response.headers().clone();
        let is_stream = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if is_stream {
            let lines = sse::checked(response.bytes_stream(), self.max_response_bytes);
            return Ok(rebuilt(status, headers, reqwest::Body::wrap_stream(lines)));
        }
        let bytes = read_bounded(response, self.max_response_bytes).await?;
        let body: Value = serde_json::from_slice(&bytes).map_err(|_| LlmError::Malformed("the reply is not JSON"))?;
        match body.get("error") {
            None | Some(Value::Null) => Ok(rebuilt(status, headers, bytes.into())),
            Some(error) => Err(wire::error_member(error)),
        }
    }
}

fn rebuilt(status: StatusCode, headers: HeaderMap, body: reqwest::Body) -> Response {
    let mut response = axum::http::Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.into()
}

/// Reads a body of at most `max_bytes`. A connection that breaks inside it is [`LlmError::Truncated`].
async fn read_bounded(response: Response, max_bytes: usize) -> Result<Vec<u8>, LlmError> {
    let mut bytes = Vec::new();
    let mut body = response.bytes_stream();
    while let Some(part) = body.next().await {
        let part = part.map_err(|_| LlmError::Truncated)?;
        if bytes.len() + part.len() > max_bytes {
            return Err(LlmError::TooLarge("the answer"));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// What a status other than 2xx means. A redirect is refused: the key would follow it.
async fn refusal(response: Response) -> LlmError {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    match status.as_u16() {
        429 => LlmError::RateLimited { retry_after },
        408 | 504 => LlmError::Timeout,
        413 => LlmError::TooLarge("the prompt"),
        500..=599 => LlmError::Server { status: status.as_u16() },
        _ => {
            let body = read_bounded(response, MAX_ERROR_BYTES).await.unwrap_or_default();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let too_long = body.pointer("/error/code").and_then(Value::as_str) == Some("context_length_exceeded");
            if too_long { LlmError::TooLarge("the prompt") } else { LlmError::Rejected { status: status.as_u16() } }
        }
    }
}

/// `Retry-After` in seconds; the date form is not used by providers and is passed over.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn network(error: &reqwest::Error) -> LlmError {
    match net::refusal(error) {
        Some(NetError::Unresolved) => LlmError::Network("its name does not resolve"),
        Some(refusal) => LlmError::Address(refusal),
        None if error.is_timeout() => LlmError::Network("connecting took too long"),
        None if error.is_connect() => LlmError::Network("no connection"),
        None => LlmError::Network("the connection broke"),
    }
}

/// The outcome inside the client library's error. Its texts are dropped: they quote the provider.
pub(crate) fn outcome(error: OpenAIError) -> LlmError {
    match error {
        OpenAIError::Boxed(inner) => match inner.downcast::<LlmError>() {
            Ok(outcome) => *outcome,
            Err(_) => LlmError::Network("the connection broke"),
        },
        OpenAIError::Reqwest(error) => network(&error),
        OpenAIError::ApiError(error) => LlmError::Server { status: error.status_code.as_u16() },
        OpenAIError::JSONDeserialize(..) => LlmError::Malformed("the reply is not JSON"),
        OpenAIError::StreamError(error) => match *error {
            StreamError::EventStream(_) => LlmError::Truncated,
            StreamError::UnknownEvent(_) => LlmError::Malformed("an unknown event"),
        },
        OpenAIError::InvalidArgument(_) | OpenAIError::FileSaveError(_) | OpenAIError::FileReadError(_) => {
            LlmError::Malformed("the request could not be built")
        }
    }
}
