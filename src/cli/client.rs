//! The command line's way into the service: always the JSON API, over one of two transports.
//!
//! While `serve` runs on the data directory, requests go to it over HTTP. Otherwise this process takes the directory's lock, opens the
//! service in itself and hands the same requests to the same router. No operation has a second implementation here.

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::progress;
use crate::app::{App, DataDir, DataDirError};
use crate::secret::Secret;
use crate::start::{self, Model};

/// Longest reply that is read, bytes.
const REPLY_MAX: usize = 256 << 20;
/// How long to wait for another command that has the data directory.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Longest wait for the index worker when a command is done.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// Where a running `serve` can be reached; lies in the data directory as `serve.json` while it runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServeFile {
    pub version: u32,
    pub url: String,
    pub pid: u32,
}

pub const SERVE_FILE: &str = "serve.json";

enum Transport {
    Http { base: String, http: reqwest::Client },
    InProcess { app: Box<App>, router: axum::Router, _dir: Option<DataDir> },
}

/// A connection to the service.
pub struct Client {
    transport: Transport,
}

impl Client {
    /// Connects to the running service, or opens the data directory. `model`: how much of the embedding model the command needs when it
    /// has to open the directory itself.
    pub async fn open(context: &Context, model: Model) -> Result<Self, Failure> {
        let dir = &context.data_dir;
        if !dir.join("operator.key").is_file() {
            return Err(Failure::new(Exit::NotFound, format!("{} is not a countersign data directory", dir.display()))
                .next("`countersign init` makes one; --data-dir chooses another"));
        }
        let deadline = tokio::time::Instant::now() + LOCK_PATIENCE;
        loop {
            match DataDir::open(dir) {
                Ok(lock) => {
                    let show = progress::of_model(context.output);
                    let app = start::open(context.config.clone(), &lock, context.clock.clone(), model, &show).await?;
                    let mut client = Self::in_process(&app);
                    if let Transport::InProcess { _dir, .. } = &mut client.transport {
                        *_dir = Some(lock);
                    }
                    return Ok(client);
                }
                Err(DataDirError::InUse(_)) if dir.join(SERVE_FILE).is_file() => return Self::over_http(dir),
                Err(DataDirError::InUse(_)) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A client of a service that this process has opened already.
    pub fn in_process(app: &App) -> Self {
        Self {
            transport: Transport::InProcess {
                app: Box::new(app.clone()),
                router: crate::http::router(app),
                _dir: None,
            },
        }
    }

    fn over_http(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(SERVE_FILE);
        let text =
            std::fs::read_to_string(&path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        let file: ServeFile = serde_json::from_str(&text)
            .map_err(|_| Failure::failed(format!("{}: not written by this version of countersign", path.display())))?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The service is on this machine: a proxy of the environment has no business here, and would see the key.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| Failure::failed(format!("HTTP client: {error}")))?;
        Ok(Self { transport: Transport::Http { base: file.url.trim_end_matches('/').to_owned(), http } })
    }

    /// The service opened in this process, if it is.
    pub fn app(&self) -> Option<&App> {
        match &self.transport {
            Transport::InProcess { app, .. } => Some(app),
            Transport::Http { .. } => None,
        }
    }

    /// Where it is reached, for messages.
    pub fn describe(&self) -> String {
        match &self.transport {
            Transport::InProcess { .. } => "opened here".to_owned(),
            Transport::Http { base, .. } => format!("running at {base}"),
        }
    }

    pub async fn get(&self, path: &str, key: &Secret) -> Result<Value, Failure> {
        self.call(Call { method: "GET", path, key: Some(key), body: None, idempotency_key: None }).await
    }

    pub async fn post(&self, path: &str, key: &Secret, body: &Value) -> Result<Value, Failure> {
        self.call(Call { method: "POST", path, key: Some(key), body: Some(body), idempotency_key: None }).await
    }

    /// One request. The JSON of a 2xx reply (null when it has none), or the failure its problem document maps to.
    pub async fn call(&self, call: Call<'_>) -> Result<Value, Failure> {
        let (status, bytes) = match &self.transport {
            Transport::Http { base, http } => over_http(base, http, &call).await?,
            Transport::InProcess { router, .. } => in_process(router.clone(), &call).await?,
        };
        if !(200..300).contains(&status) {
            return Err(Failure::of_reply(status, &bytes));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(value),
            Err(_) => Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned())),
        }
    }

    /// Every item of a paged list: `items` is the array's name, the page's `next` is passed on as `parameter`.
    pub async fn pages(&self, path: &str, key: &Secret, items: &str, parameter: &str) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        let mut next = String::new();
        loop {
            let mut page = self.get(&format!("{path}?limit=200{next}"), key).await?;
            if let Some(Value::Array(found)) = page.get_mut(items).map(Value::take) {
                all.extend(found);
            }
            next = match page.get("next") {
                Some(Value::String(text)) => format!("&{parameter}={text}"),
                Some(Value::Number(number)) => format!("&{parameter}={number}"),
                _ => return Ok(all),
            };
        }
    }

    /// Finishes what this process opened. A running service stays as it is. The index worker may be in the middle of embedding; what it
    /// has not written stays pending in the database, so a command does not wait for it.
    pub async fn close(self) {
        if let Transport::InProcess { app, .. } = &self.transport {
            let _ = tokio::time::timeout(CLOSE_PATIENCE, app.close()).await;
        }
    }
}

/// One request to the API.
pub struct Call<'a> {
    pub method: &'static str,
    pub path: &'a str,
    pub key: Option<&'a Secret>,
    pub body: Option<&'a Value>,
    pub idempotency_key: Option<&'a str>,
}

async fn in_process(router: axum::Router, call: &Call<'_>) -> Result<(u16, Vec<u8>), Failure> {
    let mut request = Request::builder().method(call.method).uri(call.path);
    if let Some(key) = call.key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.expose()));
    }
    if let Some(key) = call.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let body = match call.body {
        Some(body) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    // Only a key with characters that no header can carry gets here.
    let request = request.body(body).map_err(|_| Failure::new(Exit::NotPermitted, "the key is not well formed"))?;
    let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), REPLY_MAX).await;
    Ok((status, bytes.map_err(|error| Failure::failed(format!("the reply broke off: {error}")))?.to_vec()))
}

async fn over_http(base: &str, http: &reqwest::Client, call: &Call<'_>) -> Result<(u16, Vec<u8>), Failure> {
    let down = |error: reqwest::Error| {
        let message = format!("the service at {base} does not answer: {}", error.without_url());
        Failure::new(Exit::Unavailable, message).next("look at the log of `countersign serve`")
    };
    let method = reqwest::Method::from_bytes(call.method.as_bytes()).unwrap_or_default();
    let mut request = http.request(method, format!("{base}{}", call.path));
    if let Some(key) = call.key {
        request = request.bearer_auth(key.expose());
    }
    if let Some(key) = call.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    if let Some(body) = call.body {
        request = request.json(body);
    }
    let response = request.send().await.map_err(down)?;
    let status = response.status().as_u16();
    Ok((status, response.bytes().await.map_err(down)?.to_vec()))
}
