//! `countersign init`: a data directory, a tenant, its administrator.

use serde_json::json;

use super::client::Client;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::tenant::{self, Create};
use crate::app::{DataDir, DataDirError};
use crate::start::Model;

/// Make a data directory with a first tenant
#[derive(Debug, clap::Args)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign init acme --name \"Acme Ltd\" --admin-email ops@acme.example\n  countersign --data-dir ./data init\n\n")]
pub struct Args {
    #[arg(default_value = "main")]
    slug: String,
    /// The tenant's name; default: the slug
    #[arg(long)]
    name: Option<String>,
    /// E-mail address of the first administrator
    #[arg(long, value_name = "EMAIL")]
    admin_email: Option<String>,
    /// Name of the first administrator
    #[arg(long, value_name = "NAME", default_value = "Administrator")]
    admin_name: String,
}

pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    prepare(context)?;
    let client = Client::open(context, Model::Skip).await?;
    let create =
        Create { slug: args.slug, name: args.name, admin_email: args.admin_email, admin_name: args.admin_name };
    let outcome = tenant::create(context, &client, &create).await;
    client.close().await;
    let dir = context.data_dir.display();
    let (created, text) = match outcome {
        Ok(_) => (true, format!("made {dir} with the tenant {}", create.slug)),
        Err(failure) if failure.exit == Exit::Conflict => {
            (false, format!("{dir} and the tenant {} were there already; nothing was changed", create.slug))
        }
        Err(failure) => return Err(failure),
    };
    let key_file = context.key_path(&create.slug);
    if !key_file.is_file() {
        let message = format!("{text}, but {} is not there", key_file.display());
        return Err(
            Failure::new(Exit::Conflict, message).next("give the file of an administrator's key with --key-file")
        );
    }
    let text = format!(
        "{text}\nkey of its administrator: {}\nnext: {}, then {}",
        key_file.display(),
        context.command("ingest FOLDER"),
        context.command("serve")
    );
    let result = json!({
        "data_dir": dir.to_string(), "slug": create.slug, "created": created, "key_file": key_file.display().to_string(),
    });
    context.output.result(&result, text);
    Ok(Exit::Ok)
}

/// The directory with the installation's own keys in it. A running service has made them already.
pub fn prepare(context: &Context) -> Result<(), Failure> {
    let dir = &context.data_dir;
    let ours = dir.join("operator.key").exists() || dir.join("lock").exists();
    let occupied = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied && !ours {
        return Err(Failure::new(Exit::Conflict, format!("{} is not empty and not a data directory", dir.display()))
            .next("choose an empty or a new one with --data-dir"));
    }
    match DataDir::open(&context.data_dir) {
        Ok(dir) => {
            dir.operator_key()?;
            dir.audit_key()?;
            Ok(())
        }
        Err(DataDirError::InUse(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
