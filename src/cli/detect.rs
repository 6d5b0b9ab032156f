//! `countersign detect`: limits and own rules, and what they would have reported in the past.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::client::{Call, Client};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::{table, text_at};
use crate::detect::SUBJECT_KINDS;
use crate::secret::Secret;
use crate::start::Model;

/// Show and set what counts as an exception; test it on the past
#[derive(Debug, clap::Subcommand)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign detect settings > detection.json\n  countersign detect settings --set detection.json\n  countersign detect backtest --from 2026-01-01 --to 2026-03-31 --every 7\n  countersign detect backtest --settings proposed.json\n\n")]
pub enum Command {
    /// Show the settings in force, or put others in force
    Settings {
        /// JSON file with the settings; what it does not name is at its default
        #[arg(long, value_name = "FILE")]
        set: Option<PathBuf>,
    },
    /// What the rules would have reported at past times; writes nothing
    Backtest {
        /// First day; default: --to
        #[arg(long, value_name = "YYYY-MM-DD")]
        from: Option<Date>,
        /// Last day; default: today
        #[arg(long, value_name = "YYYY-MM-DD")]
        to: Option<Date>,
        /// Days from one look to the next
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=366))]
        every: u16,
        /// Try these settings instead of the ones in force
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
    },
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
        Command::Settings { set } => {
            let path = "/v1/detection/settings";
            let reply = match set {
                None => client.get(path, &key).await?,
                Some(file) => {
                    let body = json!({ "settings": read(&file)? });
                    let call = Call { method: "PUT", path, key: Some(&key), body: Some(&body), idempotency_key: None };
                    client.call(call).await?
                }
            };
            let text = serde_json::to_string_pretty(&reply["settings"]).unwrap_or_default();
            context.output.result(&reply, text);
            Ok(Exit::Ok)
        }
        Command::Backtest { from, to, every, settings } => {
            let settings = settings.map(|file| read(&file)).transpose()?;
            let today = context.clock.now().to_zoned(TimeZone::UTC).date();
            let to = to.unwrap_or(today);
            let mut day = from.unwrap_or(to);
            let mut looks = Vec::new();
            while day <= to {
                looks.push(look(context, client, &key, day, settings.as_ref()).await?);
                day = day.saturating_add(jiff::Span::new().days(i64::from(every)));
            }
            context.output.result(&json!({ "looks": looks }), described(&looks));
            Ok(Exit::Ok)
        }
    }
}

fn read(file: &Path) -> Result<Value, Failure> {
    let failed = |why: String| Failure::new(Exit::Usage, format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| failed(format!("is not JSON: {error}")))
}

/// Everything there is, as it was known at the end of a day.
async fn look(
    context: &Context,
    client: &Client,
    key: &Secret,
    day: Date,
    settings: Option<&Value>,
) -> Result<Value, Failure> {
    let end = day.saturating_add(jiff::Span::new().days(1)).to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    let end = end.map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let as_of = (end - jiff::SignedDuration::from_micros(1)).min(context.clock.now());
    let (mut counts, mut records) = (BTreeMap::<String, u64>::new(), 0);
    for kind in SUBJECT_KINDS {
        let mut after = Value::Null;
        loop {
            let body = json!({ "as_of": as_of.to_string(), "record_kind": kind.as_str(), "after": after, "settings": settings });
            let page = client.post("/v1/detection:backtest", key, &body).await?;
            records += page["records"].as_u64().unwrap_or(0);
            for case in page["cases"].as_array().into_iter().flatten() {
                *counts.entry(text_at(case, "/kind")).or_default() += 1;
            }
            after = page["next"].clone();
            if after.is_null() {
                break;
            }
        }
    }
    Ok(json!({ "day": day.to_string(), "records": records, "cases": counts.values().sum::<u64>(), "by_kind": counts }))
}

fn described(looks: &[Value]) -> String {
    let mut rows = vec![["DAY", "RECORDS", "CASES"].map(str::to_owned).to_vec()];
    rows.extend(looks.iter().map(|look| ["/day", "/records", "/cases"].map(|at| text_at(look, at)).to_vec()));
    let mut text = table(&rows);
    if let [look] = looks {
        let kinds = look["by_kind"].as_object().into_iter().flatten();
        let kinds: Vec<Vec<String>> = kinds.map(|(kind, count)| vec![count.to_string(), kind.clone()]).collect();
        text.push_str(&format!("\n\n{}", table(&kinds)));
    }
    text
}
