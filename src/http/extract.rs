//! What handlers take from a request: the caller, a checked body, a page.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::problem::Problem;
use crate::access::Principal;

/// The authenticated caller. The route's guard put it there; without a guard there is none, and the request fails.
#[derive(Debug, Clone)]
pub struct Caller(pub Principal);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Principal>().cloned().map(Self).ok_or_else(Problem::unauthenticated)
    }
}

/// A JSON body; every way it can be wrong is a problem document that does not quote it.
#[derive(Debug)]
pub struct ApiJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(json_problem(&rejection)),
        }
    }
}

fn json_problem(rejection: &JsonRejection) -> Problem {
    match rejection {
        JsonRejection::MissingJsonContentType(_) => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-type",
            "the body must be JSON: Content-Type: application/json",
        ),
        JsonRejection::JsonDataError(error) => Problem::unprocessable("body", place(&error.body_text())),
        JsonRejection::JsonSyntaxError(error) => Problem::bad_request("json", place(&error.body_text())),
        other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        other if timed_out(other) => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", "the body did not arrive in time")
        }
        _ => Problem::bad_request("body", "the body could not be read"),
    }
}

/// Whether the body's deadline passed while it was read.
fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<tower_http::timeout::TimeoutError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// serde_json's message names fields and places; values it may quote are cut out.
fn place(message: &str) -> String {
    let message = message.split_once(": ").map_or(message, |(_, rest)| rest);
    let mut out = String::with_capacity(message.len());
    let mut quoted = false;
    for c in message.chars().take(400) {
        if c == '"' {
            quoted = !quoted;
            if quoted {
                out.push_str("a string");
            }
        } else if !quoted {
            out.push(c);
        }
    }
    out
}

/// Cursor pagination: `after` is the `next` of the page before.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Where the page before ended.
    pub after: Option<String>,
    /// 1 to 200; default 50.
    pub limit: Option<u16>,
}

impl PageQuery {
    pub fn limit(&self) -> i64 {
        i64::from(self.limit.unwrap_or(50).clamp(1, 200))
    }

    pub fn after(&self) -> &str {
        self.after.as_deref().unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn messages_do_not_quote_values() {
        let text =
            place("Failed to deserialize: invalid type: string \"jane@example.com\", expected u8 at line 1 column 9");
        assert!(!text.contains("jane") && text.contains("line 1 column 9"), "{text}");
    }
}
