//! How often somebody may call: limits per key and tenant, and patience with those who guess keys. Used by the guard of `routes`.
//!
//! Headers as in draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` says what is allowed, `RateLimit` what is left.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode};

use super::App;
use super::forwarded;
use super::problem::Problem;
use crate::access::Principal;
use crate::quota::Limits;
use crate::quota::rate::{Standing, Taken};

/// What each attempt with no valid key waits when there were too many from its address. A valid key never waits, whatever else comes from its address.
const GUESS_DELAY: Duration = Duration::from_secs(1);

/// Where a request comes from; `None` when it came over no connection (the command line in this process).
pub(super) fn origin(app: &App, request: &Request) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    let client = forwarded::client(peer.ip(), request.headers(), &app.config.server.trusted_proxies);
    Some(forwarded::network(client))
}

/// Counts a refused credential; too many from one place wait, and are told so.
pub(super) async fn refused_credential(app: &App, origin: Option<IpAddr>, problem: Problem) -> Problem {
    let Some(wait) = origin.and_then(|origin| app.guesses.count(origin, app.clock.now())) else { return problem };
    metrics::counter!("countersign_credentials_slowed_total").increment(1);
    tokio::time::sleep(GUESS_DELAY).await;
    let mut problem =
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", "too many attempts without a valid key");
    problem.retry_after_s = Some(wait);
    problem
}

/// Takes one request of the caller's key and tenant. The headers go onto the answer.
pub(super) async fn take(app: &App, caller: &Principal) -> Result<HeaderMap, (Problem, HeaderMap)> {
    let limits = Limits::new(&app.config.quota, &caller.quota);
    let taken = app.rate.take(&app.store, caller.tenant, caller.key, &limits, app.clock.now()).await;
    match taken {
        Ok(Taken::Yes(standings)) => Ok(headers(&standings)),
        Ok(Taken::No { standing, retry_after_s }) => {
            metrics::counter!("countersign_rate_limited_total", "limit" => standing.name).increment(1);
            let whose = if standing.name == "key" { "this key" } else { "this tenant" };
            let detail = format!("{whose} may make {} requests a minute", standing.limit);
            let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", detail);
            problem.retry_after_s = Some(retry_after_s);
            Err((problem, headers(&[standing])))
        }
        Err(error) => Err((Problem::db(&error), HeaderMap::new())),
    }
}

fn headers(standings: &[Standing]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let join = |items: Vec<String>| HeaderValue::from_str(&items.join(", ")).ok();
    let policies = standings.iter().map(|one| format!("\"{}\";q={};w=60", one.name, one.limit)).collect();
    let left = standings.iter().map(|one| format!("\"{}\";r={};t={}", one.name, one.remaining, one.reset_s)).collect();
    if let (false, Some(policies), Some(left)) = (standings.is_empty(), join(policies), join(left)) {
        headers.insert("ratelimit-policy", policies);
        headers.insert("ratelimit", left);
    }
    headers
}
