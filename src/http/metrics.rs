//! Prometheus metrics of the API itself: requests by route template, never by path.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;

pub(super) async fn count(request: Request, next: Next) -> Response {
    // A method can be any word: only the known ones become labels.
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let method = known.into_iter().find(|name| *name == request.method().as_str()).unwrap_or("other").to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let started = std::time::Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = [("method", method), ("route", route), ("status", status)];
    metrics::counter!("countersign_http_requests_total", &labels).increment(1);
    metrics::histogram!("countersign_http_request_seconds", &labels).record(started.elapsed().as_secs_f64());
    response
}
