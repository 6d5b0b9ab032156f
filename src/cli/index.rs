//! `countersign index`: how far the vector index is, and mending it.

use std::time::Duration;

use serde_json::Value;

use super::client::Client;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::text_at;
use crate::secret::Secret;
use crate::start::Model;

/// Show, rebuild or repair the search index
#[derive(Debug, clap::Subcommand)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign index status\n  countersign index status --wait     return when nothing is pending\n  countersign index rebuild\n\n")]
pub enum Command {
    /// How many chunks there are and how many wait
    Status {
        /// Return only when everything can be found by meaning too
        #[arg(long)]
        wait: bool,
    },
    /// Write every chunk into the index again, from the database
    Rebuild,
    /// Compare index and database and repair what differs
    Reconcile,
}

/// Longest wait for the index.
pub const PATIENCE: Duration = Duration::from_secs(3600);
const POLL: Duration = Duration::from_millis(200);

pub async fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    let client = Client::open(context, Model::Cached).await?;
    let outcome = act(context, &client, &command).await;
    client.close().await;
    outcome
}

async fn act(context: &Context, client: &Client, command: &Command) -> Result<Exit, Failure> {
    let key = context.tenant_key()?;
    match command {
        Command::Status { wait: waits } => {
            if *waits {
                wait(client, &key, true, PATIENCE).await?;
            }
            let status = client.get("/v1/index", &key).await?;
            context.output.result(&status, describe(&status));
        }
        Command::Rebuild => {
            let begun = client.post("/v1/index:rebuild", &key, &Value::Null).await?;
            wait(client, &key, false, PATIENCE).await?;
            let next = context.command("index status");
            let text =
                format!("{} chunks are written again; keywords are done\nnext: {next}", text_at(&begun, "/chunks"));
            context.output.result(&begun, text);
        }
        Command::Reconcile => {
            let drift = client.post("/v1/index:reconcile", &key, &Value::Null).await?;
            wait(client, &key, false, PATIENCE).await?;
            let text = format!(
                "chunks missing from the index: {}\nvectors missing: {}\nentries the database does not have: {}\nwhat differed is repaired",
                text_at(&drift, "/missing_points"),
                text_at(&drift, "/missing_vectors"),
                text_at(&drift, "/foreign_points")
            );
            context.output.result(&drift, text);
        }
    }
    Ok(Exit::Ok)
}

fn describe(status: &Value) -> String {
    let model = match status.get("model").and_then(Value::as_str) {
        Some(model) => model.to_owned(),
        None => "none: search is by keyword and identifier".to_owned(),
    };
    format!(
        "chunks                {}\nwaiting for keywords  {}\nwaiting for vectors   {}  (oldest for {} s)\nwaiting for removal   {}\nembedding model       {model}",
        text_at(status, "/chunks"),
        text_at(status, "/sparse_pending"),
        text_at(status, "/dense_pending"),
        text_at(status, "/dense_lag_s"),
        text_at(status, "/removals_pending"),
    )
}

/// Returns when everything is findable by keyword (`dense`: by meaning too); fails after `patience`.
pub async fn wait(client: &Client, key: &Secret, dense: bool, patience: Duration) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let status = client.get("/v1/index", key).await?;
        let pending = |name: &str| status[name].as_i64().unwrap_or(0);
        let left =
            pending("sparse_pending") + pending("removals_pending") + if dense { pending("dense_pending") } else { 0 };
        if left == 0 {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(Failure::new(Exit::Unavailable, format!("the index still has {left} chunks to do"))
                .next("`countersign doctor` looks for the cause"));
        }
        tokio::time::sleep(POLL).await;
    }
}
