//! The JSON API. A face: authenticates, parses, makes one call into a stage, shapes the reply. Nothing imports it but `cli`.
//!
//! Layers, from the outside in: request id, security headers, trace, metrics, timeout, panic to 500, body limit and deadline, detach, guard.
//! Under all of them, `serve` bounds what a connection may cost.
//! *Detach* runs each handler as its own task, so that a client that goes away never cancels a database future half way.

mod answer_stream;
mod answers;
mod audit_api;
mod chat_completions;
mod conversations;
mod detach;
mod detection;
mod docs;
mod documents;
mod exceptions;
mod extract;
mod files;
mod forwarded;
pub mod health;
pub mod idempotency;
mod index_api;
mod ingest_push;
mod keys;
mod limits;
mod metrics;
mod offers;
mod once;
mod operator;
pub mod problem;
mod queries;
mod records;
pub mod routes;
mod search;
pub mod serve;
mod sources;
mod summary;
mod usage;
mod users;
mod webhooks;

pub use routes::{Access, Route, RouteRow};

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::IntoResponse;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::{RequestBodyDeadlineLayer, TimeoutLayer};
use tower_http::trace::TraceLayer;
use utoipa::OpenApi;

use self::problem::{Problem, ProblemBody};
pub use crate::app::App;

#[derive(OpenApi)]
#[openapi(
    info(title = "countersign", description = "Grounded answers over ERP records and policies, with citations that can be checked."),
    components(schemas(ProblemBody)),
    modifiers(&KeySecurity)
)]
struct ApiDoc;

struct KeySecurity;

impl utoipa::Modify for KeySecurity {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        api.components.get_or_insert_default().add_security_scheme("key", scheme);
    }
}

/// Every route of the service, in the order of the API documentation.
pub fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    routes.extend(health::routes());
    routes.extend(docs::routes());
    routes.extend(answers::routes());
    routes.extend(conversations::routes());
    routes.extend(chat_completions::routes());
    routes.extend(search::routes());
    routes.extend(queries::routes());
    routes.extend(records::routes());
    routes.extend(summary::routes());
    routes.extend(documents::routes());
    routes.extend(files::routes());
    routes.extend(sources::routes());
    routes.extend(offers::routes());
    routes.extend(index_api::routes());
    routes.extend(exceptions::routes());
    routes.extend(detection::routes());
    routes.extend(webhooks::routes());
    routes.extend(users::routes());
    routes.extend(keys::routes());
    routes.extend(audit_api::routes());
    routes.extend(usage::routes());
    routes.extend(operator::routes());
    routes
}

/// The OpenAPI document as JSON text.
pub fn openapi_json(app: &App) -> String {
    let (_, api) = routes::assemble(app, routes(), ApiDoc::openapi());
    serde_json::to_string_pretty(&api).unwrap_or_default()
}

/// The whole service as one axum router.
pub fn router(app: &App) -> Router {
    let (router, api) = routes::assemble(app, routes(), ApiDoc::openapi());
    let api_json: Arc<str> = serde_json::to_string(&api).unwrap_or_default().into();
    let body_max = app.config.server.body_max_bytes.get();
    let id_header = HeaderName::from_static("x-request-id");
    router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path does not take that method")
        })
        .layer(middleware::from_fn(detach::detach))
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyDeadlineLayer::new(app.config.server.body_timeout()))
        .layer(RequestBodyLimitLayer::new(body_max))
        .layer(middleware::from_fn(refuse_encoded_body))
        .layer(middleware::from_fn(refuse_nul))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, app.config.request_timeout()))
        .layer(middleware::map_response(bare_errors_are_problems))
        .layer(middleware::from_fn(metrics::count))
        .layer(TraceLayer::new_for_http().make_span_with(request_span))
        .layer(axum::Extension(docs::ApiDocument(api_json)))
        .layer(header_layer("x-content-type-options", "nosniff"))
        .layer(header_layer(
            "content-security-policy",
            "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
        ))
        .layer(header_layer("referrer-policy", "no-referrer"))
        .layer(header_layer("cache-control", "no-store"))
        .layer(PropagateRequestIdLayer::new(id_header.clone()))
        .layer(SetRequestIdLayer::new(id_header.clone(), MintRequestId))
        .layer(middleware::from_fn(drop_foreign_request_id))
        .with_state(app.clone())
}

fn header_layer(name: &'static str, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), HeaderValue::from_static(value))
}

#[derive(Clone, Copy)]
struct MintRequestId;

impl MakeRequestId for MintRequestId {
    fn make_request_id<B>(&mut self, _request: &axum::http::Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&crate::ids::RunId::mint().to_string()).ok().map(RequestId::new)
    }
}

/// A client's own request id would reach logs and audit: it is replaced by ours.
async fn drop_foreign_request_id(mut request: Request, next: middleware::Next) -> axum::response::Response {
    request.headers_mut().remove("x-request-id");
    next.run(request).await
}

/// Compressed bodies are not accepted, so there is no bomb to unpack.
async fn refuse_encoded_body(request: Request, next: middleware::Next) -> axum::response::Response {
    let plain = request.headers().get(header::CONTENT_ENCODING).is_none_or(|value| value == "identity");
    if plain {
        return next.run(request).await;
    }
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-encoding", "send the body uncompressed").into_response()
}

/// What layers and extractors refuse by themselves (body limit, timeout, a query that cannot be read) comes in plain text or without a
/// body; clients are promised problem documents, which quote nothing of the request.
async fn bare_errors_are_problems(response: axum::response::Response) -> axum::response::Response {
    let status = response.status();
    let json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/");
    let named = response.headers().get(header::CONTENT_TYPE).is_some_and(json);
    if named || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let problem = match status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        StatusCode::BAD_REQUEST => {
            Problem::bad_request("address", "a part of the address or a query parameter is unknown or malformed")
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            let detail = "the request took too long; what it began to write still finishes";
            Problem { retry_after_s: Some(2), ..Problem::new(status, "timeout", detail) }
        }
        other => Problem::new(other, "http", other.canonical_reason().unwrap_or("refused")),
    };
    problem.into_response()
}

/// PostgreSQL stores no NUL in a text; in a path or query it is the client's mistake, not the database's error. Bodies are checked where
/// they are read.
async fn refuse_nul(request: Request, next: middleware::Next) -> axum::response::Response {
    if request.uri().to_string().contains("%00") {
        return Problem::bad_request("nul", "an address holds no NUL character").into_response();
    }
    next.run(request).await
}

fn panicked(_cause: Box<dyn std::any::Any + Send + 'static>) -> axum::response::Response {
    tracing::error!("a handler panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "something went wrong; the log has it under this request id",
    )
    .into_response()
}

/// Method and route template only: paths, queries and bodies can hold personal data.
fn request_span(request: &axum::http::Request<axum::body::Body>) -> tracing::Span {
    let id = request.headers().get("x-request-id").and_then(|value| value.to_str().ok()).unwrap_or("none");
    tracing::info_span!("request", method = %request.method(), request_id = id, "otel.kind" = "server")
}
