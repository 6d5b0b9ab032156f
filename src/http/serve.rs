//! Connections: accepted up to a limit, cut off when they send or read too slowly, ended together. Under the router, above the socket.
//!
//! HTTP/1.1 only: another protocol is spoken to the proxy in front. A connection counts until it is closed, so that a flood waits in the
//! kernel's queue and not in this process. What a request does after it was read is the router's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::config::ServerConfig;

/// What one connection may cost.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Open connections; the next ones wait to be accepted.
    pub connections: usize,
    /// From the opening, or the answer before, until a request's headers are read.
    pub header_timeout: Duration,
    /// Longest time in which a client takes nothing of its answer.
    pub write_timeout: Duration,
}

impl ConnectionLimits {
    pub fn new(config: &ServerConfig) -> Self {
        Self {
            connections: config.max_connections.get() as usize,
            header_timeout: Duration::from_millis(config.header_timeout_ms.get().into()),
            write_timeout: Duration::from_millis(config.write_timeout_ms.get().into()),
        }
    }
}

/// Pause after a failed accept: without a free file descriptor it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then until every open request is answered. Dropping the future breaks off what is still open.
pub async fn serve(listener: TcpListener, router: Router, limits: ConnectionLimits, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        match (permit, accepted) {
            (Ok(permit), Ok((stream, peer))) => {
                connections.spawn(connection(stream, peer, router.clone(), limits, stop.clone(), permit));
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (Err(_closed), Ok(_)) => break,
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: ConnectionLimits,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_timeout));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return ended(result),
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    ended(connection.await);
}

/// Clients that go away or are too slow are everyday: counted, not logged.
fn ended(result: hyper::Result<()>) {
    if let Err(error) = result {
        let cause = if error.is_timeout() { "slow" } else { "broken" };
        metrics::counter!("countersign_http_connections_cut_total", "cause" => cause).increment(1);
    }
}
