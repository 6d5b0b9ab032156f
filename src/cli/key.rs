//! `countersign key`: API keys of people and services.

use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::json;

use super::client::{Call, Client};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::{moment, table, text_at};
use super::{tenant, user};
use crate::secret::Secret;
use crate::start::Model;

/// Create, list and revoke API keys
#[derive(Debug, clap::Subcommand)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign key create --user kim@acme.example --save kim.key\n  countersign key create --service --name \"nightly export\"\n  countersign key revoke 0198b3c2-...\n\n")]
pub enum Command {
    /// Create a key; its text is shown this once
    Create(Create),
    /// List the keys, without their text
    List,
    /// Stop a key from working, at once
    Revoke {
        #[arg(value_name = "KEY_ID")]
        key_id: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct Create {
    /// Whose key
    #[arg(long, value_name = "EMAIL|ID", required_unless_present = "service", conflicts_with = "service")]
    user: Option<String>,
    /// A key for a program: it asks and pushes, and can never approve
    #[arg(long)]
    service: bool,
    /// What the key is for
    #[arg(long, default_value = "created with countersign key create")]
    name: String,
    /// Ends by itself, as 2026-12-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<Timestamp>,
    /// Write the key into a file of its own instead of showing it
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

pub async fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    let client = Client::open(context, Model::Skip).await?;
    let outcome = act(context, &client, command).await;
    client.close().await;
    outcome
}

async fn act(context: &Context, client: &Client, command: Command) -> Result<Exit, Failure> {
    let key = context.tenant_key()?;
    match command {
        Command::Create(args) => create(context, client, &key, &args).await,
        Command::List => list(context, client, &key).await,
        Command::Revoke { key_id } => {
            let path = format!("/v1/keys/{key_id}");
            let call = Call { method: "DELETE", path: &path, key: Some(&key), body: None, idempotency_key: None };
            client.call(call).await?;
            context
                .output
                .result(&json!({ "key_id": key_id, "revoked": true }), format!("key {key_id} no longer works"));
            Ok(Exit::Ok)
        }
    }
}

async fn create(context: &Context, client: &Client, key: &Secret, args: &Create) -> Result<Exit, Failure> {
    let mut body = json!({ "name": args.name, "expires_at_us": args.expires.map(|at| at.as_microsecond()) });
    if let Some(person) = &args.user {
        body["user_id"] = json!(user::id_of(client, key, person).await?);
    }
    let created = client.post("/v1/keys", key, &body).await?;
    let id = text_at(&created, "/key_id");
    match &args.save {
        Some(path) => {
            tenant::save_key(path, &Secret::new(text_at(&created, "/key")))?;
            let result = json!({ "key_id": id, "key_file": path.display().to_string() });
            let next = context.command(&format!("--key-file {} ask \"...\"", path.display()));
            let text = format!(
                "key {id} is in {}
next: {next}",
                path.display()
            );
            context.output.result(&result, text);
        }
        None => {
            context.output.note(format!("key {id}; its text is shown this once:"));
            context.output.result(&created, text_at(&created, "/key"));
        }
    }
    Ok(Exit::Ok)
}

async fn list(context: &Context, client: &Client, key: &Secret) -> Result<Exit, Failure> {
    let keys = client.pages("/v1/keys", key, "keys", "after").await?;
    let mut rows = vec![["ID", "KEY", "USER", "NAME", "CREATED", "EXPIRES", "REVOKED"].map(str::to_owned).to_vec()];
    for one in &keys {
        rows.push(vec![
            text_at(one, "/key_id"),
            text_at(one, "/hint"),
            one["user_id"].as_str().unwrap_or("service").to_owned(),
            text_at(one, "/name"),
            moment(one, "/created_at_us"),
            moment(one, "/expires_at_us"),
            moment(one, "/revoked_at_us"),
        ]);
    }
    context.output.result(&json!({ "keys": keys }), table(&rows));
    Ok(Exit::Ok)
}
