//! `countersign ask`: an answer with numbered citations and their quotes; without a question, a conversation line by line.

use std::fmt::Write;
use std::io::{BufRead, IsTerminal};

use jiff::civil::Date;
use serde_json::{Value, json};

use super::client::Client;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::{moment, text_at};
use super::search::{filter, without_nulls};
use crate::secret::Secret;
use crate::start::Model;

/// Ask a question; the answer cites what it stands on
#[derive(Debug, clap::Args)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign ask \"What is the status of order SO-1042?\"\n  countersign ask \"Who approves a refund of 600 EUR?\" --as-of 2026-03-01\n  countersign ask                                          a conversation; Ctrl-D ends it\n  countersign ask --json \"...\" | jq .citations\n\n")]
pub struct Args {
    /// Without one, questions are read line by line and understood from those before
    question: Option<String>,
    /// Ask in this conversation; `new` opens one
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// The day that policies must hold on, as 2026-03-01; default: today
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
    /// Only this kind (order, policy, ticket ...); may be repeated
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Only this source; may be repeated
    #[arg(long, value_name = "NAME")]
    source: Vec<String>,
}

pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let client = Client::open(context, Model::Cached).await?;
    let outcome = match context.tenant_key() {
        Ok(key) => asked(context, &client, &key, &args).await,
        Err(failure) => Err(failure),
    };
    client.close().await;
    outcome
}

async fn asked(context: &Context, client: &Client, key: &Secret, args: &Args) -> Result<Exit, Failure> {
    let conversation = match (args.conversation.as_deref(), &args.question) {
        (Some("new"), _) | (None, None) => Some(open_conversation(context, client, key).await?),
        (Some(id), _) => Some(id.to_owned()),
        (None, Some(_)) => None,
    };
    let body = |question: &str| {
        json!({
            "question": question, "as_of": args.as_of.map(|day| day.to_string()), "kinds": filter(&args.kind),
            "sources": filter(&args.source), "conversation_id": conversation,
        })
    };
    let Some(question) = &args.question else { return chat(context, client, key, body).await };
    let answer = ask(client, key, body(question)).await?;
    context.output.result(&answer, describe(&answer));
    Ok(Exit::Ok)
}

async fn open_conversation(context: &Context, client: &Client, key: &Secret) -> Result<String, Failure> {
    let opened = client.post("/v1/conversations", key, &json!({})).await?;
    let id = text_at(&opened, "/conversation_id");
    context.output.note(format!("conversation {id}; go on later with --conversation {id}"));
    Ok(id)
}

/// One question a line until the end of the input. A question that fails is reported and the conversation goes on.
async fn chat(context: &Context, client: &Client, key: &Secret, body: impl Fn(&str) -> Value) -> Result<Exit, Failure> {
    let terminal = std::io::stdin().is_terminal();
    let mut exit = Exit::Ok;
    loop {
        if terminal {
            eprint!("> ");
        }
        // Reading a terminal blocks until a line is there.
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|bytes| (bytes > 0).then_some(line))
        });
        let line = line.await.map_err(|error| Failure::failed(error.to_string()))?;
        let Some(line) = line.map_err(|error| Failure::failed(format!("standard input: {error}")))? else { break };
        if line.trim().is_empty() {
            continue;
        }
        match ask(client, key, body(line.trim())).await {
            Ok(answer) => context.output.result(&answer, format!("{}\n", describe(&answer))),
            Err(failure) => {
                context.output.failure(&failure);
                exit = failure.exit;
            }
        }
    }
    Ok(exit)
}

pub async fn ask(client: &Client, key: &Secret, body: Value) -> Result<Value, Failure> {
    client.post("/v1/answers", key, &without_nulls(body)).await
}

/// The answer, then its citations: records first, then prose, each with the words it quotes.
pub fn describe(answer: &Value) -> String {
    let mut text = text_at(answer, "/text").trim().to_owned();
    let citations: Vec<&Value> = answer["citations"].as_array().into_iter().flatten().collect();
    let is_record = |citation: &&&Value| citation.get("record").is_some_and(|record| !record.is_null());
    let records = citations.iter().filter(|citation| is_record(citation));
    let prose = citations.iter().filter(|citation| !is_record(citation));
    if !citations.is_empty() {
        text.push('\n');
    }
    for citation in records.chain(prose) {
        let _ = write!(text, "\n[{}] {}", text_at(citation, "/n"), source_of(citation));
        for line in text_at(citation, "/quote").lines().filter(|line| !line.trim().is_empty()) {
            let _ = write!(text, "\n      {}", line.trim());
        }
    }
    let _ = write!(text, "\n\n{}", footing(answer));
    text
}

/// `Order SO-1042 · status (order, erp, version 3)` or `Refunds · Limits (policy POL-002, erp, version 1)`.
fn source_of(citation: &Value) -> String {
    let mut text = text_at(citation, "/title");
    let headings: Vec<&str> =
        citation["heading_path"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(field) = citation.pointer("/record/field").and_then(Value::as_str) {
        let _ = write!(text, " · {field}");
    } else if let Some(heading) = headings.last().filter(|heading| **heading != text) {
        let _ = write!(text, " · {heading}");
    }
    if let Some(page) = citation["page"].as_u64() {
        let _ = write!(text, " · page {page}");
    }
    let id = citation["policy_id"].as_str().map(|id| format!(" {id}")).unwrap_or_default();
    let (kind, source, version) =
        (text_at(citation, "/kind"), text_at(citation, "/source"), text_at(citation, "/version"));
    let _ = write!(text, " ({kind}{id}, {source}, version {version})");
    text
}

/// How the answer was made, and how fresh its sources are.
fn footing(answer: &Value) -> String {
    let mut text = match answer.pointer("/understood/question").and_then(Value::as_str) {
        Some(question) => format!("understood as: {question}\n"),
        None => String::new(),
    };
    let _ = write!(text, "answered by: {}", text_at(answer, "/rung"));
    if let Some(model) = answer["model"].as_str() {
        let _ = write!(text, " ({model} at {})", text_at(answer, "/provider"));
    }
    let count = |pointer: &str| answer.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (prompt, completion) = (count("/checks/prompt_tokens"), count("/checks/completion_tokens"));
    if prompt + completion > 0 {
        let _ = write!(text, ", {prompt} + {completion} tokens");
    }
    if answer["cost"].is_object() {
        let _ = write!(text, ", {} {}", text_at(answer, "/cost/amount"), text_at(answer, "/cost/currency"));
    }
    if let Some(reason) = answer.pointer("/checks/fell_back_because").and_then(Value::as_str) {
        let _ = write!(text, ", because {reason}");
    }
    let refused = answer.pointer("/checks/refused").and_then(Value::as_array).map_or(0, Vec::len);
    if refused > 0 {
        let _ = write!(text, "; {refused} claims did not pass the checks");
    }
    let _ = write!(text, "; retrieval: {}", text_at(answer, "/retrieval"));
    let synced: Vec<String> = answer["as_of"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|source| format!("{} as of {}", text_at(source, "/source"), moment(source, "/synced_at_us")))
        .collect();
    if !synced.is_empty() {
        let _ = write!(text, "; {}", synced.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_cited_before_prose_and_numbers_stay() {
        let answer = json!({
            "text": "Delivered [2]. Returns take 30 days [1].", "rung": "extractive", "retrieval": "hybrid",
            "citations": [
                {"n": 1, "title": "Returns", "kind": "policy", "policy_id": "POL-4", "source": "erp", "version": 1,
                 "heading_path": ["Returns", "Window"], "quote": "30 calendar days"},
                {"n": 2, "title": "Order SO-1", "kind": "order", "source": "erp", "version": 3, "heading_path": [],
                 "quote": "Status: delivered", "record": {"field": "status"}},
            ],
            "as_of": [{"source": "erp", "synced_at_us": 1_700_000_000_000_000_i64}],
        });
        let text = describe(&answer);
        let (record, policy) = (
            text.find("[2] Order SO-1 · status (order, erp, version 3)"),
            text.find("[1] Returns · Window (policy POL-4"),
        );
        assert!(record.unwrap() < policy.unwrap(), "{text}");
        assert!(text.contains("      Status: delivered") && text.contains("erp as of 2023-11-14T22:13:20Z"), "{text}");
    }
}
