//! `countersign openapi`: the API's description, generated from the routes that serve it.

use std::io::Write;
use std::path::PathBuf;

use super::failure::{Exit, Failure};
use crate::app::DataDir;
use crate::clock::Clock;
use crate::start::{self, Model};

/// Print the OpenAPI document of the HTTP API
#[derive(Debug, clap::Args)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign openapi > openapi.json\n  countersign openapi --output openapi.json\n\n")]
pub struct Args {
    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub async fn run(args: Args) -> Result<Exit, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(error.to_string());
    // The routes belong to a service, so one is opened for a moment, on nothing.
    let scratch = tempfile::tempdir().map_err(|error| failed(&error))?;
    let dir = DataDir::open(scratch.path())?;
    let app = start::open(super::defaults(), &dir, Clock::System, Model::Skip, &|_| ()).await?;
    let mut text = crate::http::openapi_json(&app);
    app.close().await;
    text.push('\n');
    match &args.output {
        Some(path) => std::fs::write(path, text).map_err(|error| failed(&format!("{}: {error}", path.display())))?,
        None => {
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
        }
    }
    Ok(Exit::Ok)
}
