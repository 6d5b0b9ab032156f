//! `countersign serve`: listens until it is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal;
use tokio_util::sync::CancellationToken;

use super::anchors;
use super::client::{SERVE_FILE, ServeFile};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::progress;
use crate::app::{App, DataDir, write_secret};
use crate::http::serve::ConnectionLimits;
use crate::start::{self, Model};

/// Listen for HTTP requests
#[derive(Debug, clap::Args)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign serve\n  countersign serve --listen 127.0.0.1:9000\n\n")]
pub struct Args {
    /// Address and port instead of server.listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Longest time for each way of fetching a model before the service starts without it.
pub const FETCH_PATIENCE: Duration = Duration::from_secs(120);
const ANCHOR_EVERY: Duration = Duration::from_secs(3600);
const TIDY_EVERY: Duration = Duration::from_secs(3600);

pub async fn run(mut context: Context, args: Args) -> Result<Exit, Failure> {
    if let Some(listen) = args.listen {
        context.config.server.listen = listen;
        let problems = context.config.check();
        if !problems.is_empty() {
            return Err(Failure::new(Exit::Usage, problems.join("; ")));
        }
    }
    if !context.data_dir.join("operator.key").is_file() {
        let message = format!("{} is not a countersign data directory", context.data_dir.display());
        return Err(Failure::new(Exit::NotFound, message).next("`countersign init` makes one"));
    }
    let dir = DataDir::open(&context.data_dir)?;
    let listener = listen(context.config.server.listen).await?;
    let show = progress::of_model(context.output);
    let model = Model::Fetch(FETCH_PATIENCE);
    let app = start::open(context.config.clone(), &dir, context.clock.clone(), model, &show).await?;
    let retrieval = if app.index.has_embedder() { "hybrid" } else { "keyword" };
    let stop = stop_on_signal();
    let url = url_of(&listener)?;
    let text = format!("listening at {url} (search: {retrieval}; API documentation: {url}/docs); Ctrl-C stops");
    context.output.result(&json!({ "url": url, "retrieval": retrieval }), text);
    until_stopped(&app, listener, &context.data_dir, stop).await
}

pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(Exit::Conflict, format!("cannot listen at {address}: {error}"))
            .next("choose another with --listen")
    })
}

pub fn url_of(listener: &TcpListener) -> Result<String, Failure> {
    let address = listener.local_addr().map_err(|error| Failure::failed(error.to_string()))?;
    Ok(format!("http://{address}"))
}

/// Serves on `listener` until `stop` is cancelled, then finishes what is in progress within the configured time.
pub async fn until_stopped(
    app: &App,
    listener: TcpListener,
    data_dir: &Path,
    stop: CancellationToken,
) -> Result<Exit, Failure> {
    let announced = Announced::write(data_dir, &url_of(&listener)?)?;
    start::reconcile_all(app);
    start::expire_answers(app);
    let hourly = tokio::spawn(anchors_hourly(app.clone(), data_dir.to_owned()));
    let tidying = tokio::spawn(tidy_hourly(app.clone()));

    let graceful = stop.clone();
    let limits = ConnectionLimits::new(&app.config.server);
    let mut server = tokio::spawn(crate::http::serve::serve(listener, crate::http::router(app), limits, graceful));
    stop.cancelled().await;
    tracing::info!("stopping: no new requests are taken");
    app.shutdown.cancel();
    drop(announced);
    let patience = Duration::from_millis(app.config.server.shutdown_timeout_ms.get().into());
    if tokio::time::timeout(patience, &mut server).await.is_err() {
        server.abort();
        tracing::warn!("some requests did not end in time and were broken off");
    }
    hourly.abort();
    tidying.abort();
    anchors::write_all(app, data_dir).await;
    if tokio::time::timeout(patience, app.close()).await.is_err() {
        tracing::warn!("the index worker did not end in time; it goes on where it was at the next start");
    }
    tracing::info!("stopped");
    Ok(Exit::Ok)
}

async fn anchors_hourly(app: App, data_dir: PathBuf) {
    let mut every = tokio::time::interval(ANCHOR_EVERY);
    loop {
        every.tick().await;
        anchors::write_all(&app, &data_dir).await;
    }
}

/// Removes stored answers that no client asks for again.
async fn tidy_hourly(app: App) {
    let mut every = tokio::time::interval(TIDY_EVERY);
    loop {
        every.tick().await;
        if let Err(error) = crate::http::idempotency::sweep_all(&app).await {
            tracing::warn!(%error, "old answers under Idempotency-Key were not removed");
        }
    }
}

/// Cancelled by SIGTERM or Ctrl-C. The handlers stand when this returns: call it before anybody can know that the service is there.
#[cfg(unix)]
pub fn stop_on_signal() -> CancellationToken {
    use signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let (Ok(mut terminated), Ok(mut interrupted)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return stop;
    };
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        token.cancel();
        // Again: do not wait for requests in progress.
        interrupted.recv().await;
        std::process::exit(i32::from(Exit::Interrupted as u8));
    });
    stop
}

/// Cancelled by Ctrl-C.
#[cfg(not(unix))]
pub fn stop_on_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let _ = signal::ctrl_c().await;
        token.cancel();
    });
    stop
}

/// `serve.json` while it lives.
struct Announced(PathBuf);

impl Announced {
    fn write(data_dir: &Path, url: &str) -> Result<Self, Failure> {
        let path = data_dir.join(SERVE_FILE);
        let file = ServeFile { version: 1, url: url.to_owned(), pid: std::process::id() };
        let text = serde_json::to_string_pretty(&file).unwrap_or_default();
        write_secret(&path, &text).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
