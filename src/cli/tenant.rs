//! `countersign tenant`: the operator's list of tenants.

use serde_json::{Value, json};

use super::client::{Call, Client};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::{moment, table, text_at};
use crate::secret::Secret;
use crate::start::Model;

/// Create, list, suspend and resume tenants
#[derive(Debug, clap::Subcommand)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign tenant create acme --name \"Acme Ltd\" --admin-email ops@acme.example\n  countersign tenant list\n  countersign tenant suspend acme\n  countersign tenant quota acme --tokens 2000000 --period month\n  countersign tenant usage acme\n\n")]
pub enum Command {
    /// Create a tenant with its first administrator; the key goes into the data directory
    Create(Create),
    /// List the tenants
    List,
    /// Stop every key of a tenant from working, at once
    Suspend { slug: String },
    /// Let a suspended tenant's keys work again
    Resume { slug: String },
    /// Tokens of chat models that a tenant used, with their cost, and the limits that hold
    Usage(Usage),
    /// Set what a tenant may use; what is not given follows the configuration
    Quota(Quota),
}

#[derive(Debug, clap::Args)]
pub struct Usage {
    pub slug: String,
    /// First day; default: of the present period
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub from: Option<jiff::civil::Date>,
    /// Last day; default: today
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub to: Option<jiff::civil::Date>,
}

#[derive(Debug, clap::Args)]
pub struct Quota {
    pub slug: String,
    /// Tokens of chat models in a period, prompts and answers together; 0: no model is asked
    #[arg(long, value_name = "N")]
    pub tokens: Option<u64>,
    /// When they begin anew (UTC)
    #[arg(long, value_name = "day|month", value_parser = ["day", "month"])]
    pub period: Option<String>,
    /// Requests a minute of one key; 0: no limit
    #[arg(long, value_name = "N")]
    pub key_per_minute: Option<u32>,
    /// Requests a minute of all keys together; 0: no limit
    #[arg(long, value_name = "N")]
    pub tenant_per_minute: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub struct Create {
    /// 2 to 40 of a-z, 0-9 and -
    pub slug: String,
    /// Its name; default: the slug
    #[arg(long)]
    pub name: Option<String>,
    /// E-mail address of the first administrator
    #[arg(long, value_name = "EMAIL")]
    pub admin_email: Option<String>,
    /// Name of the first administrator
    #[arg(long, value_name = "NAME", default_value = "Administrator")]
    pub admin_name: String,
}

pub async fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    let client = Client::open(context, Model::Skip).await?;
    let outcome = match command {
        Command::Create(create) => create_and_tell(context, &client, &create).await,
        Command::List => list(context, &client).await,
        Command::Suspend { slug } => change(context, &client, &slug, true).await,
        Command::Resume { slug } => change(context, &client, &slug, false).await,
        Command::Usage(usage) => show_usage(context, &client, &usage).await,
        Command::Quota(quota) => set_quota(context, &client, &quota).await,
    };
    client.close().await;
    outcome
}

async fn create_and_tell(context: &Context, client: &Client, create: &Create) -> Result<Exit, Failure> {
    let created = self::create(context, client, create).await?;
    let text = format!(
        "tenant {} created; its administrator's key is in {}\nnext: {}",
        create.slug,
        text_at(&created, "/key_file"),
        context.command(&format!("--tenant {} ingest FOLDER", create.slug))
    );
    context.output.result(&created, text);
    Ok(Exit::Ok)
}

/// Creates the tenant and keeps its administrator's key in the data directory. The result has ids and the file, not the key.
pub async fn create(context: &Context, client: &Client, create: &Create) -> Result<Value, Failure> {
    let operator = context.operator_key()?;
    let body = json!({
        "slug": create.slug,
        "name": create.name.as_deref().unwrap_or(&create.slug),
        "admin_email": create.admin_email.clone().unwrap_or_else(|| format!("admin@{}.invalid", create.slug)),
        "admin_name": create.admin_name,
    });
    let created = client.post("/v1/operator/tenants", &operator, &body).await?;
    let path = context.key_path(&create.slug);
    save_key(&path, &Secret::new(text_at(&created, "/admin_key")))?;
    Ok(json!({
        "tenant_id": created["tenant_id"],
        "slug": create.slug,
        "admin_user_id": created["admin_user_id"],
        "key_file": path.display().to_string(),
    }))
}

/// Writes a key that only its owner may read.
pub fn save_key(path: &std::path::Path, key: &Secret) -> Result<(), Failure> {
    crate::app::write_secret(path, &format!("{}\n", key.expose())).map_err(|error| {
        Failure::failed(format!("{}: {error}", path.display())).next("revoke the key and create another")
    })
}

async fn list(context: &Context, client: &Client) -> Result<Exit, Failure> {
    let tenants = client.get("/v1/operator/tenants", &context.operator_key()?).await?;
    let mut rows = vec![["SLUG", "NAME", "STATE", "CREATED", "ID"].map(str::to_owned).to_vec()];
    for tenant in tenants.as_array().into_iter().flatten() {
        let state = if tenant["suspended"] == json!(true) { "suspended" } else { "active" };
        let (slug, name) = (text_at(tenant, "/slug"), text_at(tenant, "/name"));
        rows.push(vec![slug, name, state.into(), moment(tenant, "/created_at_us"), text_at(tenant, "/tenant_id")]);
    }
    context.output.result(&json!({ "tenants": tenants }), table(&rows));
    Ok(Exit::Ok)
}

/// Where the operator's API has the tenant.
async fn path_of(client: &Client, operator: &Secret, slug: &str) -> Result<String, Failure> {
    let tenants = client.get("/v1/operator/tenants", operator).await?;
    let found = tenants.as_array().into_iter().flatten().find(|tenant| tenant["slug"] == json!(slug));
    let missing =
        || Failure::new(Exit::NotFound, format!("there is no tenant {slug}")).next("`countersign tenant list`");
    Ok(format!("/v1/operator/tenants/{}", text_at(found.ok_or_else(missing)?, "/tenant_id")))
}

async fn show_usage(context: &Context, client: &Client, asked: &Usage) -> Result<Exit, Failure> {
    let operator = context.operator_key()?;
    let mut path = format!("{}/usage", path_of(client, &operator, &asked.slug).await?);
    for (name, day, mark) in [("from", asked.from, '?'), ("to", asked.to, if asked.from.is_some() { '&' } else { '?' })]
    {
        if let Some(day) = day {
            path.push_str(&format!("{mark}{name}={day}"));
        }
    }
    let usage = client.get(&path, &operator).await?;
    context.output.result(&usage, describe_usage(&usage));
    Ok(Exit::Ok)
}

fn describe_usage(usage: &Value) -> String {
    let limit = usage.pointer("/period/limit").and_then(Value::as_u64);
    let limit = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("of {limit}"));
    let mut text = format!(
        "tokens this {}: {} ({limit}); the next one begins on {}",
        text_at(usage, "/period/kind"),
        text_at(usage, "/period/tokens"),
        text_at(usage, "/period/resets")
    );
    let per_minute = |name: &str| usage[name].as_u64().map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    text.push_str(&format!(
        "\nrequests a minute: {} a key, {} the tenant\n",
        per_minute("key_per_minute"),
        per_minute("tenant_per_minute")
    ));
    let mut rows = vec![["DAY", "PROVIDER", "MODEL", "CALLS", "PROMPT", "ANSWER", "COST"].map(str::to_owned).to_vec()];
    for used in usage["used"].as_array().into_iter().flatten() {
        let cost = if used["cost"].is_string() {
            format!("{} {}", text_at(used, "/cost"), text_at(used, "/currency"))
        } else {
            "-".to_owned()
        };
        let columns = ["/day", "/provider", "/model", "/calls", "/prompt_tokens", "/completion_tokens"];
        rows.push(columns.map(|column| text_at(used, column)).into_iter().chain([cost]).collect());
    }
    if rows.len() > 1 {
        text.push('\n');
        text.push_str(&table(&rows));
    }
    text.trim_end().to_owned()
}

async fn set_quota(context: &Context, client: &Client, quota: &Quota) -> Result<Exit, Failure> {
    let operator = context.operator_key()?;
    let path = format!("{}/quota", path_of(client, &operator, &quota.slug).await?);
    let body = json!({
        "token_limit": quota.tokens, "token_period": quota.period, "key_per_minute": quota.key_per_minute,
        "tenant_per_minute": quota.tenant_per_minute,
    });
    let call = Call { method: "PUT", path: &path, key: Some(&operator), body: Some(&body), idempotency_key: None };
    let set = client.call(call).await?;
    let text = format!(
        "set for {}; what is not given follows the configuration\nnext: {}",
        quota.slug,
        context.command(&format!("tenant usage {}", quota.slug))
    );
    context.output.result(&set, text);
    Ok(Exit::Ok)
}

async fn change(context: &Context, client: &Client, slug: &str, suspended: bool) -> Result<Exit, Failure> {
    let operator = context.operator_key()?;
    let path = path_of(client, &operator, slug).await?;
    let body = json!({ "suspended": suspended });
    let call = Call { method: "PATCH", path: &path, key: Some(&operator), body: Some(&body), idempotency_key: None };
    client.call(call).await?;
    let text = if suspended {
        format!(
            "{slug} is suspended: none of its keys works\nnext: {}",
            context.command(&format!("tenant resume {slug}"))
        )
    } else {
        format!("{slug} works again")
    };
    context.output.result(&json!({ "slug": slug, "suspended": suspended }), text);
    Ok(Exit::Ok)
}
