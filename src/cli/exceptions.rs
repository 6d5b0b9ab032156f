//! `countersign exceptions`: what was noticed, and what to do about it.

use std::time::Duration;

use serde_json::{Value, json};

use super::audit::encoded;
use super::client::Client;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::{moment, table, text_at};
use super::user;
use crate::secret::Secret;
use crate::start::Model;

/// How long a list waits for records that nobody has looked at yet.
const PATIENCE: Duration = Duration::from_secs(20);

/// List exceptions, show one with its summary, assign, snooze, dismiss, link
#[derive(Debug, clap::Subcommand)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign exceptions list --domain finance --severity high\n  countersign exceptions show 0198b3c2-...\n  countersign exceptions dismiss 0198b3c2-... --reason acceptable --text \"agreed by phone\"\n\n")]
pub enum Command {
    /// What was noticed, most urgent first
    List {
        /// Names of kinds, as credit_hold_overdue,po_late
        #[arg(long, value_name = "KINDS")]
        kind: Option<String>,
        /// orders, fulfilment, stock, procurement, finance, returns, custom
        #[arg(long, value_name = "DOMAINS")]
        domain: Option<String>,
        /// open, waiting, drafted, in_review, resolved, dismissed
        #[arg(long, value_name = "STATES")]
        state: Option<String>,
        /// This severity or a worse one
        #[arg(long, value_name = "SEVERITY")]
        severity: Option<String>,
        /// A user's id, "me" or "nobody"
        #[arg(long, value_name = "OWNER")]
        owner: Option<String>,
        /// Only this group
        #[arg(long, value_name = "ID")]
        group: Option<String>,
        /// priority, newest, oldest, service_level, money
        #[arg(long, default_value = "priority")]
        sort: String,
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
        /// Only how many of each kind, and what is at stake
        #[arg(long)]
        counts: bool,
    },
    /// Cases with a supplier, carrier, product or customer in common
    Groups,
    /// One exception: facts, priority, policy, similar cases, options
    Show {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Say who takes care of it
    Assign {
        #[arg(value_name = "ID")]
        id: String,
        /// Without it: nobody
        #[arg(long, value_name = "EMAIL|ID")]
        to: Option<String>,
    },
    /// Put it off
    Snooze {
        #[arg(value_name = "ID")]
        id: String,
        /// RFC 3339, as 2026-03-09T08:00:00Z
        #[arg(long, value_name = "TIME")]
        until: String,
    },
    /// Say that nothing has to be done
    Dismiss {
        #[arg(value_name = "ID")]
        id: String,
        /// acceptable, bad_data, handled_elsewhere, duplicate, other
        #[arg(long)]
        reason: String,
        #[arg(long)]
        text: String,
    },
    /// Take a dismissed one up again
    Reopen {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Link a helpdesk ticket
    Link {
        #[arg(value_name = "ID")]
        id: String,
        /// Without it the link is taken away
        #[arg(long, value_name = "NUMBER")]
        ticket: Option<String>,
    },
}

pub async fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    // A summary quotes policies: with the model that is here they are found by meaning too.
    let model = if matches!(command, Command::Show { .. }) { Model::Cached } else { Model::Skip };
    let client = Client::open(context, model).await?;
    let outcome = act(context, &client, command).await;
    client.close().await;
    outcome
}

async fn act(context: &Context, client: &Client, command: Command) -> Result<Exit, Failure> {
    let key = context.tenant_key()?;
    let (path, body, done) = match command {
        Command::List { kind, domain, state, severity, owner, group, sort, limit, counts } => {
            let mut path = format!("/v1/exceptions?limit={limit}&sort={sort}");
            for (name, value) in [
                ("kind", kind),
                ("domain", domain),
                ("state", state),
                ("severity", severity),
                ("owner", owner),
                ("group_id", group),
            ] {
                path.push_str(&value.map(|value| format!("&{name}={}", encoded(&value))).unwrap_or_default());
            }
            return list(context, client, &key, &path, counts).await;
        }
        Command::Groups => return groups(context, client, &key).await,
        Command::Show { id } => return show(context, client, &key, &id).await,
        Command::Assign { id, to } => {
            let user = match &to {
                Some(user) => Some(user::id_of(client, &key, user).await?),
                None => None,
            };
            let done = to.map_or("assigned to nobody".to_owned(), |to| format!("assigned to {to}"));
            (format!("{id}/assign"), json!({ "user_id": user }), done)
        }
        Command::Snooze { id, until } => {
            let done = format!("waits until {until}");
            (format!("{id}/snooze"), json!({ "until": until }), done)
        }
        Command::Dismiss { id, reason, text } => {
            (format!("{id}/dismiss"), json!({ "reason": reason, "text": text }), "dismissed".to_owned())
        }
        Command::Reopen { id } => (format!("{id}/reopen"), Value::Null, "open".to_owned()),
        Command::Link { id, ticket } => {
            let done = ticket.as_ref().map_or("no longer linked".to_owned(), |ticket| format!("linked to {ticket}"));
            (format!("{id}/link"), json!({ "ticket": ticket }), done)
        }
    };
    let reply = client.post(&format!("/v1/exceptions/{}", encoded_path(&path)), &key, &body).await?;
    context.output.result(&reply, format!("{}: {done}", text_at(&reply, "/title")));
    Ok(Exit::Ok)
}

async fn list(context: &Context, client: &Client, key: &Secret, path: &str, counts: bool) -> Result<Exit, Failure> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let page = loop {
        let page = client.get(path, key).await?;
        if page["pending"] == json!(0) || tokio::time::Instant::now() >= deadline {
            break page;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let mut rows = Vec::new();
    if counts {
        rows.push(["KIND", "COUNT", "AT STAKE"].map(str::to_owned).to_vec());
        for kind in page["counts"].as_array().into_iter().flatten() {
            let stakes = kind["at_stake"].as_array().into_iter().flatten().map(amount).collect::<Vec<_>>().join(", ");
            rows.push(vec![text_at(kind, "/kind"), text_at(kind, "/count"), stakes]);
        }
    } else {
        rows.push(["PRIO", "SEVERITY", "KIND", "RECORD", "AT STAKE", "STATE", "DUE", "ID"].map(str::to_owned).to_vec());
        for one in page["exceptions"].as_array().into_iter().flatten() {
            rows.push(vec![
                text_at(one, "/priority"),
                text_at(one, "/severity"),
                text_at(one, "/kind"),
                text_at(one, "/subject/external_id"),
                one.get("at_stake").map(amount).unwrap_or_default(),
                text_at(one, "/state/state"),
                moment(one, "/due_at_us"),
                text_at(one, "/exception_id"),
            ]);
        }
    }
    let mut text = table(&rows);
    text.push_str(&format!("\n{} in all", text_at(&page, "/total")));
    if page["pending"] != json!(0) {
        text.push_str(&format!("; {} records are still to be looked at", text_at(&page, "/pending")));
    }
    context.output.result(&page, text);
    Ok(Exit::Ok)
}

async fn groups(context: &Context, client: &Client, key: &Secret) -> Result<Exit, Failure> {
    let list = client.get("/v1/exception-groups", key).await?;
    let mut rows = vec![["COUNT", "KIND", "IN COMMON", "AT STAKE", "ID"].map(str::to_owned).to_vec()];
    for group in list["groups"].as_array().into_iter().flatten() {
        let stakes = group["at_stake"].as_array().into_iter().flatten().map(amount).collect::<Vec<_>>().join(", ");
        rows.push(vec![
            text_at(group, "/count"),
            text_at(group, "/kind"),
            format!("{} {}", text_at(group, "/cause/what"), text_at(group, "/cause/id")),
            stakes,
            text_at(group, "/group_id"),
        ]);
    }
    context.output.result(&list, table(&rows));
    Ok(Exit::Ok)
}

async fn show(context: &Context, client: &Client, key: &Secret, id: &str) -> Result<Exit, Failure> {
    let path = format!("/v1/exceptions/{}", encoded(id));
    let mut one = client.get(&path, key).await?;
    let summary = client.get(&format!("{path}/summary"), key).await?;
    let mut text = format!("{}\n", text_at(&summary, "/title"));
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
    };
    let all = |name: &str, line: &dyn Fn(&Value) -> String| -> Vec<String> {
        summary[name].as_array().into_iter().flatten().map(line).collect()
    };
    section("What happened", all("what_happened", &|one| text_at(one, "/text")));
    section("Why it is an exception", vec![text_at(&summary, "/why")]);
    let cited =
        |one: &Value| format!("\u{201c}{}\u{201d}  [{}]", flat(&text_at(one, "/quote")), text_at(one, "/title"));
    section(&format!("What the policy says, as of {}", text_at(&summary, "/policy_day")), all("policy", &cited));
    let ended = |one: &Value| {
        let reason = one["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!(
            "{} {} after {} h{reason}",
            text_at(one, "/subject"),
            text_at(one, "/state"),
            text_at(one, "/open_hours")
        )
    };
    section("How similar cases ended", all("similar", &ended));
    section("What could be done", all("options", &|one| one.as_str().unwrap_or_default().to_owned()));
    section("Steps of the runbook", all("steps", &cited));
    let parts = one["priority_parts"].as_array().into_iter().flatten();
    let parts = parts.map(|part| format!("{:>3}  {}", text_at(part, "/points"), text_at(part, "/why"))).collect();
    section(&format!("Priority {}", text_at(&one, "/priority")), parts);
    let state = format!(
        "{}; owner {}; ticket {}; opened {}; due {}",
        text_at(&one, "/state/state"),
        text_at(&one, "/owner_id"),
        text_at(&one, "/ticket"),
        moment(&one, "/opened_at_us"),
        moment(&one, "/due_at_us")
    );
    section("State", vec![state]);
    one["summary"] = summary.clone();
    context.output.result(&one, text);
    Ok(Exit::Ok)
}

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// "84.00 EUR" of an amount in JSON, nothing of none.
fn amount(value: &Value) -> String {
    match (value["amount"].as_str(), value["currency"].as_str()) {
        (Some(amount), Some(currency)) => format!("{amount} {currency}"),
        _ => String::new(),
    }
}

/// As [`encoded`], for the id and the verb behind it.
fn encoded_path(path: &str) -> String {
    path.rsplit_once('/').map_or_else(|| encoded(path), |(id, verb)| format!("{}/{verb}", encoded(id)))
}
