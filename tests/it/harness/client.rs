//! Calls against the whole router, in the process.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use serde_json::Value;
use tower::ServiceExt;

/// A request being put together.
pub struct Call {
    router: Router,
    request: axum::http::request::Builder,
    body: Option<Vec<u8>>,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Call {
    pub fn new(router: &Router, method: &str, path: &str) -> Self {
        let method: Method = method.parse().expect("a method");
        Self { router: router.clone(), request: Request::builder().method(method).uri(path), body: None }
    }

    pub fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// A new `Idempotency-Key`.
    pub fn once(self) -> Self {
        let key = super::unique();
        self.header("idempotency-key", &key)
    }

    pub fn json(self, body: &Value) -> Self {
        self.header(header::CONTENT_TYPE.as_str(), "application/json").bytes(body.to_string().into_bytes())
    }

    pub fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    pub async fn send(self) -> Reply {
        let request = self.request.body(self.body.map_or_else(Body::empty, Body::from)).expect("a request");
        let response = self.router.oneshot(request).await.expect("the router is infallible");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a whole body");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Reply { status: parts.status.as_u16(), headers: parts.headers, text }
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text))
    }

    /// The `type` of a problem document.
    pub fn problem(&self) -> String {
        self.json()["type"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text);
        self
    }

    #[track_caller]
    pub fn refused(self, status: u16, problem: &str) -> Self {
        assert_eq!((self.status, self.problem().as_str()), (status, problem), "{}", self.text);
        self
    }
}
