//! `countersign doctor`: what works, what does not, and what to do about it.

use std::path::Path;

use serde_json::{Value, json};

use super::client::{Call, Client};
use super::context::{Context, readable_by_others};
use super::failure::{Exit, Failure};
use super::output::text_at;
use crate::config::EmbeddingProvider;
use crate::embed::weights::Weights;
use crate::llm::{ChatRequest, Message};
use crate::start::{self, Model};
use crate::store::migration_state;

/// Check the set-up and say what to do
#[derive(Debug, clap::Args)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign doctor\n  countersign doctor --online      also ask the configured model\n\n")]
pub struct Args {
    /// Also ask the configured chat model for a word
    #[arg(long)]
    online: bool,
}

/// Chunks that wait longer than this for a vector deserve a word, seconds.
const LAG_WORTH_SAYING_S: i64 = 600;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

struct Check {
    name: &'static str,
    verdict: Verdict,
    found: String,
    next: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), next: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, found: found.into(), next: Some(next.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, found: found.into(), next: Some(next.into()) }
    }
}

pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let mut checks = vec![Check::ok("configuration", "can be used")];
    checks.extend(files(&context.data_dir));
    checks.push(model(context).await);
    match Client::open(context, Model::Skip).await {
        Ok(client) => {
            checks.extend(service(context, &client).await);
            client.close().await;
        }
        Err(failure) => checks.push(Check::fail("service", failure.message, failure.next.unwrap_or_default())),
    }
    checks.push(chat(context, args.online).await);
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    context.output.result(&as_json(&checks, failed), as_text(&checks));
    Ok(if failed { Exit::Failed } else { Exit::Ok })
}

fn as_json(checks: &[Check], failed: bool) -> Value {
    let checks: Vec<Value> = checks
        .iter()
        .map(|one| json!({ "check": one.name, "status": one.verdict.as_str(), "found": one.found, "next": one.next }))
        .collect();
    json!({ "ok": !failed, "checks": checks })
}

fn as_text(checks: &[Check]) -> String {
    let lines = checks.iter().map(|one| {
        let next = one.next.as_deref().map(|next| format!("\n        {next}")).unwrap_or_default();
        format!("{:<4}  {}: {}{next}", one.verdict.as_str(), one.name, one.found)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The data directory and what must stay its owner's.
fn files(dir: &Path) -> Vec<Check> {
    if !dir.join("operator.key").is_file() {
        return vec![Check::fail("data directory", format!("{} is none", dir.display()), "countersign init")];
    }
    let mut checks = vec![Check::ok("data directory", dir.display().to_string())];
    let keys = std::fs::read_dir(dir.join("keys")).into_iter().flatten().flatten().map(|entry| entry.path());
    let secrets = [dir.join("operator.key"), dir.join("audit.key")].into_iter().chain(keys);
    let open: Vec<_> = secrets.filter(|path| readable_by_others(path)).collect();
    checks.push(match open.first() {
        None => Check::ok("keys", "only their owner can read them"),
        Some(path) => {
            let found = format!("{} key files can be read by other users, such as {}", open.len(), path.display());
            Check::fail("keys", found, format!("chmod 600 {}", path.display()))
        }
    });
    checks
}

async fn model(context: &Context) -> Check {
    const NAME: &str = "embedding model";
    match context.config.embedding.provider {
        EmbeddingProvider::None => Check::ok(NAME, "none wanted: search is by keyword and identifier"),
        EmbeddingProvider::Hashed => {
            Check::warn(NAME, "hashed words, which know no meaning", "set embedding.provider = \"local\"")
        }
        EmbeddingProvider::Openai => Check::ok(NAME, "an OpenAI-compatible provider"),
        EmbeddingProvider::Local => {
            let config = match start::weights_config(&context.config, None) {
                Ok(config) => config,
                Err(error) => return Check::fail(NAME, error.to_string(), "set embedding.cache_dir"),
            };
            let directory = config.directory.unwrap_or(config.cache);
            let path = directory.clone();
            match tokio::task::spawn_blocking(move || Weights::open(&path)).await {
                Ok(Ok(_)) => Check::ok(NAME, format!("all-MiniLM-L6-v2 in {}", directory.display())),
                Ok(Err(error)) => Check::warn(
                    NAME,
                    format!("{}: {error}; search is by keyword and identifier only", directory.display()),
                    "`countersign serve` fetches it when it can; or put model.safetensors and tokenizer.json there",
                ),
                Err(error) => Check::warn(NAME, error.to_string(), "try again"),
            }
        }
    }
}

/// Database, tenants, index: through the service, wherever it runs.
async fn service(context: &Context, client: &Client) -> Vec<Check> {
    let mut checks = Vec::new();
    let ready =
        client.call(Call { method: "GET", path: "/readyz", key: None, body: None, idempotency_key: None }).await;
    checks.push(match ready {
        Ok(_) => Check::ok("service", client.describe()),
        Err(failure) => Check::fail("service", failure.message, "look at its log"),
    });
    if let Some(app) = client.app() {
        let state = migration_state(&app.store).await;
        let found = format!("answers; migration {} of {}", state.applied, state.known);
        checks.push(match state.applied == state.known {
            true => Check::ok("database", found),
            false => Check::fail("database", found, "start this version of `countersign serve` once"),
        });
    }
    match context.operator_key() {
        Ok(key) => match client.get("/v1/operator/tenants", &key).await {
            Ok(tenants) if tenants.as_array().is_none_or(Vec::is_empty) => {
                checks.push(Check::warn("tenants", "there are none", "countersign tenant create SLUG"));
            }
            Ok(tenants) => checks.push(Check::ok("tenants", format!("{}", tenants.as_array().map_or(0, Vec::len)))),
            Err(failure) => checks.push(Check::fail("tenants", failure.message, "countersign tenant list")),
        },
        Err(failure) => checks.push(Check::fail("tenants", failure.message, failure.next.unwrap_or_default())),
    }
    for slug in context.tenants_with_key() {
        checks.push(index(context, client, &slug).await);
    }
    checks
}

async fn index(context: &Context, client: &Client, slug: &str) -> Check {
    const NAME: &str = "index";
    let key = match context.key_of(slug) {
        Ok(key) => key,
        Err(failure) => {
            return Check::fail(NAME, format!("{slug}: {}", failure.message), failure.next.unwrap_or_default());
        }
    };
    match client.get("/v1/index", &key).await {
        Ok(status) => {
            let found = format!(
                "{slug}: {} chunks, {} wait for keywords, {} for vectors",
                text_at(&status, "/chunks"),
                text_at(&status, "/sparse_pending"),
                text_at(&status, "/dense_pending")
            );
            if status["dense_lag_s"].as_i64().unwrap_or(0) > LAG_WORTH_SAYING_S {
                return Check::warn(
                    NAME,
                    found,
                    "the oldest waits for more than ten minutes: look for \"indexing failed\" in the log",
                );
            }
            Check::ok(NAME, found)
        }
        Err(failure) => Check::fail(NAME, format!("{slug}: {}", failure.message), failure.next.unwrap_or_default()),
    }
}

async fn chat(context: &Context, online: bool) -> Check {
    const NAME: &str = "chat model";
    let steps = match start::ladder(&context.config) {
        Ok(steps) if steps.is_empty() => return Check::ok(NAME, "none: answers are extractive"),
        Ok(steps) => steps,
        Err(error) => return Check::fail(NAME, error.to_string(), "check llm.base_url and llm.allow_private_network"),
    };
    let mut found = Vec::new();
    for step in steps {
        let redacted = if step.redact { ", personal data is taken out" } else { "" };
        let name = format!("{} at {}{redacted}", step.model.model_id(), step.provider);
        if !online {
            found.push(format!("{name} is configured (--online asks it)"));
            continue;
        }
        let question = ChatRequest::text(vec![Message::user("Reply with the word ok.")], 16);
        if let Err(error) = step.model.complete(question).await {
            return Check::fail(NAME, format!("{name}: {error}"), "check [llm], [llm_fallback] and their keys");
        }
        found.push(format!("{name} answers"));
    }
    Check::ok(NAME, found.join("; "))
}
