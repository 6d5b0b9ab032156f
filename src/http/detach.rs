//! Runs handlers detached from the client's connection.
//!
//! hyper drops a handler's future when the client disconnects; a dropped `begin()` or half a transaction is then somebody else's problem
//! (`reliability` 18, 19). Here the handler is a task of its own: it runs to its end whether or not anybody waits for it.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::problem::Problem;
use crate::audit::REQUEST_ID;

pub(super) async fn detach(request: Request, next: Next) -> Response {
    let id = request.headers().get("x-request-id").and_then(|value| value.to_str().ok()).unwrap_or("none").to_owned();
    let work = REQUEST_ID.scope(id, next.run(request)).instrument(tracing::Span::current());
    let handler = tokio::spawn(work);
    match handler.await {
        Ok(response) => response,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Problem::internal(&error).into_response(),
    }
}
