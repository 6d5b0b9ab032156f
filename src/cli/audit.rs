//! `countersign audit`: the trail, its verification, its signed head.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::anchors;
use super::client::Client;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::{moment, table, text_at};
use crate::secret::Secret;
use crate::start::Model;

/// Read and verify the audit trail
#[derive(Debug, clap::Subcommand)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign audit verify\n  countersign audit verify --anchor head-2026-03-01.json\n  countersign audit head > head.json      keep it outside this machine\n  countersign audit list --limit 20\n\n")]
pub enum Command {
    /// Re-read the whole chain and what it refers to; ends with 8 when it does not verify
    Verify {
        /// A head exported earlier; default: the one that `serve` keeps in the data directory
        #[arg(long, value_name = "FILE")]
        anchor: Option<PathBuf>,
    },
    /// The newest entries
    List {
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
        /// Only this resource, as user:0198b3c2-...
        #[arg(long, value_name = "TYPE:ID")]
        resource: Option<String>,
        /// Only entries before this one
        #[arg(long, value_name = "SEQ")]
        before: Option<i64>,
    },
    /// Sign the number and hash of the newest entry
    Head,
}

pub async fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    let client = Client::open(context, Model::Skip).await?;
    let outcome = act(context, &client, &command).await;
    client.close().await;
    outcome
}

async fn act(context: &Context, client: &Client, command: &Command) -> Result<Exit, Failure> {
    let key = context.tenant_key()?;
    match command {
        Command::Verify { anchor } => verify(context, client, &key, anchor.as_deref()).await,
        Command::List { limit, resource, before } => {
            let resource = resource.as_deref().map(|text| format!("&resource={}", encoded(text))).unwrap_or_default();
            let before = before.map(|seq| format!("&before={seq}")).unwrap_or_default();
            let page = client.get(&format!("/v1/audit/events?limit={limit}{resource}{before}"), &key).await?;
            let mut rows = vec![["SEQ", "TIME", "ACTOR", "ACTION", "RESOURCE"].map(str::to_owned).to_vec()];
            for event in page["events"].as_array().into_iter().flatten() {
                let time = moment(event, "/at_us");
                let rest = ["/actor_id", "/action", "/resource"].map(|at| text_at(event, at));
                rows.push([vec![text_at(event, "/seq"), time], rest.to_vec()].concat());
            }
            context.output.result(&page, table(&rows));
            Ok(Exit::Ok)
        }
        Command::Head => {
            let head = client.post("/v1/audit:head", &key, &Value::Null).await?;
            context.output.result(&head, serde_json::to_string_pretty(&head).unwrap_or_default());
            Ok(Exit::Ok)
        }
    }
}

async fn verify(context: &Context, client: &Client, key: &Secret, anchor: Option<&Path>) -> Result<Exit, Failure> {
    let anchor = match anchor {
        Some(path) => Some(read_anchor(path)?),
        None => own_anchor(context, client, key).await?,
    };
    let report = client.post("/v1/audit:verify", key, &json!({ "anchor": anchor })).await?;
    context.output.result(&report, describe(&report));
    Ok(if report["ok"] == json!(true) { Exit::Ok } else { Exit::Verification })
}

fn read_anchor(path: &Path) -> Result<Value, Failure> {
    let failed = |why: String| Failure::new(Exit::Usage, format!("{}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Failure::new(exit, format!("{}: {error}", path.display()))
    })?;
    serde_json::from_slice(&bytes).map_err(|_| failed("is not an exported head".into()))
}

/// The anchor that `serve` keeps for the tenant of the key, if there is one.
async fn own_anchor(context: &Context, client: &Client, key: &Secret) -> Result<Option<Value>, Failure> {
    let me = client.get("/v1/me", key).await?;
    for slug in context.tenants_with_key() {
        let path = anchors::path(&context.data_dir, &slug);
        if path.is_file() {
            let anchor = read_anchor(&path)?;
            if anchor["tenant"] == me["tenant_id"] {
                return Ok(Some(anchor));
            }
        }
    }
    Ok(None)
}

fn describe(report: &Value) -> String {
    let mut text = String::new();
    let verdict = if report["ok"] == json!(true) { "the trail verifies" } else { "THE TRAIL DOES NOT VERIFY" };
    let _ = writeln!(text, "{verdict}");
    let _ = writeln!(text, "entries read    {}", text_at(report, "/entries"));
    let _ = writeln!(text, "states checked  {}", text_at(report, "/states_checked"));
    let _ = writeln!(text, "head            {} {}", text_at(report, "/head_seq"), text_at(report, "/head_hash"));
    match report["anchor"].as_str() {
        Some(anchor) => {
            let _ = writeln!(text, "held against    {anchor}");
        }
        None => text.push_str("held against    no anchor: a cut or fully rewritten trail cannot be seen\n"),
    }
    for finding in report["findings"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "entry {}: {}", text_at(finding, "/seq"), text_at(finding, "/problem"));
    }
    text
}

/// Percent-encoding of everything but unreserved characters.
pub fn encoded(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
