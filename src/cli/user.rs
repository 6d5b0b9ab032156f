//! `countersign user`: people of a tenant and their roles.

use serde_json::{Value, json};

use super::client::{Call, Client};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::output::{moment, table, text_at};
use crate::secret::Secret;
use crate::start::Model;

/// Create, list, suspend and resume users, and set their roles
#[derive(Debug, clap::Subcommand)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign user create kim@acme.example --name \"Kim Doe\" --role agent\n  countersign user roles kim@acme.example --set agent,reviewer\n  countersign user suspend kim@acme.example\n\nRoles: agent, reviewer, approver, admin, auditor\n\n")]
pub enum Command {
    /// Create a user; `countersign key create` then gives them a key
    Create {
        email: String,
        #[arg(long)]
        name: String,
        /// May be repeated
        #[arg(long = "role", value_name = "ROLE", required = true, value_delimiter = ',')]
        roles: Vec<String>,
    },
    /// List the users
    List,
    /// Stop a user's keys from working, at once
    Suspend {
        #[arg(value_name = "EMAIL|ID")]
        user: String,
    },
    /// Let a suspended user's keys work again
    Resume {
        #[arg(value_name = "EMAIL|ID")]
        user: String,
    },
    /// Replace a user's roles
    Roles {
        #[arg(value_name = "EMAIL|ID")]
        user: String,
        #[arg(long, value_name = "ROLES", required = true, value_delimiter = ',')]
        set: Vec<String>,
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
    let (user, text) = match command {
        Command::List => return list(context, client, &key).await,
        Command::Create { email, name, roles } => {
            let user = create(client, &key, &email, &name, &roles).await?;
            let text =
                format!("user {email} created\nnext: {}", context.command(&format!("key create --user {email}")));
            (user, text)
        }
        Command::Suspend { user } => {
            let text = format!(
                "{user} is suspended: none of their keys works\nnext: {}",
                context.command(&format!("user resume {user}"))
            );
            (change(client, &key, &user, &json!({ "suspended": true })).await?, text)
        }
        Command::Resume { user } => {
            let text = format!("the keys of {user} work again");
            (change(client, &key, &user, &json!({ "suspended": false })).await?, text)
        }
        Command::Roles { user, set } => {
            let text = format!("{user} now has the roles {}", set.join(", "));
            (change(client, &key, &user, &json!({ "roles": set })).await?, text)
        }
    };
    context.output.result(&user, text);
    Ok(Exit::Ok)
}

pub async fn create(
    client: &Client,
    key: &Secret,
    email: &str,
    name: &str,
    roles: &[String],
) -> Result<Value, Failure> {
    client.post("/v1/users", key, &json!({ "email": email, "name": name, "roles": roles })).await
}

async fn list(context: &Context, client: &Client, key: &Secret) -> Result<Exit, Failure> {
    let users = client.pages("/v1/users", key, "users", "after").await?;
    let mut rows = vec![["EMAIL", "NAME", "ROLES", "STATE", "CREATED", "ID"].map(str::to_owned).to_vec()];
    for user in &users {
        let roles: Vec<&str> = user["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let state = if user["suspended"] == json!(true) { "suspended" } else { "active" };
        rows.push(vec![
            text_at(user, "/email"),
            text_at(user, "/name"),
            roles.join(","),
            state.to_owned(),
            moment(user, "/created_at_us"),
            text_at(user, "/user_id"),
        ]);
    }
    context.output.result(&json!({ "users": users }), table(&rows));
    Ok(Exit::Ok)
}

async fn change(client: &Client, key: &Secret, user: &str, body: &Value) -> Result<Value, Failure> {
    let path = format!("/v1/users/{}", id_of(client, key, user).await?);
    client.call(Call { method: "PATCH", path: &path, key: Some(key), body: Some(body), idempotency_key: None }).await
}

/// The id of a user given by id or e-mail address.
pub async fn id_of(client: &Client, key: &Secret, user: &str) -> Result<String, Failure> {
    let wanted = user.trim().to_lowercase();
    let users = client.pages("/v1/users", key, "users", "after").await?;
    let found = users.iter().find(|one| one["email"] == json!(wanted) || one["user_id"] == json!(wanted));
    match found {
        Some(one) => Ok(text_at(one, "/user_id")),
        None => Err(Failure::new(Exit::NotFound, format!("there is no user {user}")).next("`countersign user list`")),
    }
}
