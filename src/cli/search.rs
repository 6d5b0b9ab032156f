//! `countersign search`: the passages themselves, with how each was found.

use std::fmt::Write;

use jiff::civil::Date;
use serde_json::{Value, json};

use super::client::Client;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::text_at;
use crate::start::Model;

/// Find records and passages
#[derive(Debug, clap::Args)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign search \"late shipment carrier claim\"\n  countersign search SO-1042\n  countersign search \"refund limit\" --kind policy --as-of 2026-03-01\n\n")]
pub struct Args {
    query: String,
    /// Only this kind (order, policy, ticket ...); may be repeated
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Only this source; may be repeated
    #[arg(long, value_name = "NAME")]
    source: Vec<String>,
    /// The day that policies must hold on, as 2026-03-01; default: today
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
    /// Most passages
    #[arg(long, default_value_t = 8)]
    limit: u16,
}

pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let client = Client::open(context, Model::Cached).await?;
    let body = json!({
        "query": args.query, "limit": args.limit, "kinds": filter(&args.kind), "sources": filter(&args.source),
        "as_of": args.as_of.map(|day| day.to_string()),
    });
    let outcome = match context.tenant_key() {
        Ok(key) => client.post("/v1/search", &key, &without_nulls(body)).await,
        Err(failure) => Err(failure),
    };
    client.close().await;
    let found = outcome?;
    context.output.result(&found, describe(&found));
    Ok(Exit::Ok)
}

/// An absent list means no filter; an empty one would match nothing.
pub fn filter(values: &[String]) -> Value {
    if values.is_empty() { Value::Null } else { json!(values) }
}

pub fn without_nulls(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    body
}

fn describe(found: &Value) -> String {
    let mut text = String::new();
    for identified in found["identified"].as_array().into_iter().flatten() {
        let _ = writeln!(
            text,
            "record  {}  ({} {})",
            text_at(identified, "/record/title"),
            text_at(identified, "/record/kind"),
            text_at(identified, "/record/external_id")
        );
    }
    for hit in found["hits"].as_array().into_iter().flatten() {
        let legs: Vec<String> = ["dense", "sparse"]
            .iter()
            .filter_map(|leg| Some(format!("{leg} {}", hit.pointer(&format!("/legs/{leg}/rank"))?)))
            .collect();
        let _ = writeln!(
            text,
            "\n{:>2}. {}  [{} {}]  {}",
            text_at(hit, "/rank"),
            text_at(hit, "/passage/title"),
            text_at(hit, "/passage/kind"),
            text_at(hit, "/passage/external_id"),
            legs.join(", ")
        );
        for line in text_at(hit, "/passage/text").lines().filter(|line| !line.trim().is_empty()).take(6) {
            let _ = writeln!(text, "    {line}");
        }
    }
    if text.is_empty() {
        text.push_str("nothing was found\n");
    }
    let _ = write!(text, "\nretrieval: {}", text_at(found, "/retrieval"));
    text
}
