//! `countersign demo`: an invented company, three questions, and a service to ask more of.
//!
//! Drives the same API as everything else; knows the demo company as files and nothing about answers.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::progress::{self, Progress};
use super::push::{self, BATCH_BYTES, Report, Target};
use super::{ask, index, ingest, init, serve, tenant, user};
use crate::app::{App, DataDir};
use crate::demo;
use crate::secret::Secret;
use crate::start::{self, Model};

/// Try it: an invented company, taken in, asked about and served
#[derive(Debug, clap::Args)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign demo\n  countersign demo --no-serve --dir ./try\n  countersign demo --as-of 2026-03-10         the company as it stood that morning\n\n")]
pub struct Args {
    /// The company's present day; default: today
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
    /// Data directory of the demo; default: ./countersign-demo
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Answer the three questions and end
    #[arg(long)]
    no_serve: bool,
    /// Another company of the same kind
    #[arg(long, default_value_t = demo::DEFAULT_SEED)]
    seed: u64,
}

const SLUG: &str = "demo";
const AGENT: &str = "agent@quillhaven.example";
const DEFAULT_DIR: &str = "countersign-demo";

pub async fn run(mut context: Context, args: Args) -> Result<Exit, Failure> {
    if args.dir.is_some() || context.config.storage.dir.is_none() {
        context.data_dir = args.dir.clone().unwrap_or_else(|| DEFAULT_DIR.into());
    }
    context.tenant = Some(SLUG.to_owned());
    let dir = context.data_dir.display().to_string();
    if !context.called.contains(&dir) {
        context.called = format!("{} --data-dir {dir}", context.called);
    }
    init::prepare(&context)?;
    let dir = DataDir::open(&context.data_dir)?;
    let as_of = args.as_of.unwrap_or_else(|| context.clock.now().to_zoned(TimeZone::UTC).date());
    let show = progress::of_model(context.output);
    let model = Model::Fetch(serve::FETCH_PATIENCE);
    let app = start::open(context.config.clone(), &dir, context.clock.clone(), model, &show).await?;
    if !app.index.has_embedder() {
        context
            .output
            .note("no embedding model could be had: search is by keyword and identifier (countersign doctor says why)");
    }
    let toured = tour(&context, &app, as_of, args.seed).await;
    let (report, answers) = match toured {
        Ok(toured) => toured,
        Err(failure) => {
            app.close().await;
            return Err(failure);
        }
    };
    let summary =
        json!({ "data_dir": context.data_dir, "as_of": as_of.to_string(), "ingest": report, "answers": answers });
    if args.no_serve {
        let text = format!("\nnext: {}", context.command("ask \"...\""));
        context.output.result(&summary, text);
        app.close().await;
        return Ok(Exit::Ok);
    }
    serve_it(&context, &app, summary).await
}

/// Everything up to the answers.
async fn tour(context: &Context, app: &App, as_of: Date, seed: u64) -> Result<(Report, Vec<Value>), Failure> {
    let client = Client::in_process(app);
    let (admin, agent) = accounts(context, &client).await?;
    let report = take_in(context, &client, &admin, as_of, seed).await?;
    index::wait(&client, &admin, false, index::PATIENCE).await?;
    let mut answers = Vec::new();
    for question in demo::questions(as_of).into_iter().filter(|question| question.tour) {
        let answer = ask::ask(&client, &agent, json!({ "question": question.question })).await?;
        if !context.output.json {
            context.output.result(&answer, format!("\n> {}\n\n{}", question.question, ask::describe(&answer)));
        }
        answers.push(answer);
    }
    Ok((report, answers))
}

/// The tenant's administrator and a service agent with a key each; those that are there stay.
async fn accounts(context: &Context, client: &Client) -> Result<(Secret, Secret), Failure> {
    let create = tenant::Create {
        slug: SLUG.to_owned(),
        name: Some("Quillhaven Trading".to_owned()),
        admin_email: Some("admin@quillhaven.example".to_owned()),
        admin_name: "Administrator".to_owned(),
    };
    match tenant::create(context, client, &create).await {
        Ok(_) => context
            .output
            .note("tenant demo (Quillhaven Trading, an invented company) with an administrator and an agent"),
        Err(failure) if failure.exit == Exit::Conflict => {}
        Err(failure) => return Err(failure),
    }
    let admin = context.key_of(SLUG)?;
    let agent_file = agent_key(&context.data_dir);
    if !agent_file.is_file() {
        let id = match user::create(client, &admin, AGENT, "Service agent", &["agent".to_owned()]).await {
            Ok(created) => created["user_id"].as_str().unwrap_or_default().to_owned(),
            Err(failure) if failure.exit == Exit::Conflict => user::id_of(client, &admin, AGENT).await?,
            Err(failure) => return Err(failure),
        };
        let key = client.post("/v1/keys", &admin, &json!({ "name": "demo", "user_id": id })).await?;
        tenant::save_key(&agent_file, &Secret::new(key["key"].as_str().unwrap_or_default()))?;
    }
    Ok((admin, super::context::read_key(&agent_file)?))
}

fn agent_key(data_dir: &Path) -> PathBuf {
    data_dir.join("keys").join(format!("{SLUG}.agent.key"))
}

async fn take_in(context: &Context, client: &Client, key: &Secret, as_of: Date, seed: u64) -> Result<Report, Failure> {
    let folder = context.data_dir.join("company");
    let target_folder = folder.clone();
    let write = move || write_files(&target_folder, &demo::generate(as_of, seed).files());
    let written = tokio::task::spawn_blocking(write).await;
    let files = written.map_err(|error| Failure::failed(format!("writing the company broke off: {error}")))??;
    context.output.note(format!("{files} files of the company as of {as_of} in {}", folder.display()));
    let (source, reading) = ingest::read(context, &folder, None, None).await?;
    let mut progress = Progress::start(context.output, &context.environment, "items", reading.items.len() as u64);
    let stop = CancellationToken::new();
    let target = Target { client, key, source: &source, partial: false, batch_bytes: BATCH_BYTES, stop: &stop };
    let report = push::push(&target, reading, &mut progress).await?;
    progress.finish();
    let text = format!(
        "taken in: {} created, {} changed, {} unchanged, {} removed, {} refused",
        report.created, report.changed, report.unchanged, report.removed, report.rejected
    );
    context.output.note(text);
    Ok(report)
}

fn write_files(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<usize, Failure> {
    for (path, bytes) in files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, bytes))
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    }
    Ok(files.len())
}

async fn serve_it(context: &Context, app: &App, mut summary: Value) -> Result<Exit, Failure> {
    // The configured port may be taken by another service: a demo is content with any.
    let wanted = context.config.server.listen;
    let listener = match serve::listen(wanted).await {
        Ok(listener) => listener,
        Err(_) => serve::listen((wanted.ip(), 0).into()).await?,
    };
    let stop = serve::stop_on_signal();
    let url = serve::url_of(&listener)?;
    let key_file = agent_key(&context.data_dir);
    let mut text = format!("\nlistening at {url} (API documentation: {url}/docs); Ctrl-C stops\n");
    let _ = writeln!(text, "key of the agent: {}", key_file.display());
    let _ = writeln!(text, "ask from another terminal:");
    let question = "ask \"How long after delivery may a consumer return an item?\"";
    let _ = writeln!(text, "  {}", context.command(question));
    let _ = writeln!(
        text,
        "  curl -s {url}/v1/answers -H \"Authorization: Bearer $(cat {})\" -H 'Content-Type: application/json' \\\n    -d '{{\"question\": \"What is the status of order SO-105500?\"}}'",
        key_file.display()
    );
    summary["url"] = json!(url);
    context.output.result(&summary, text);
    serve::until_stopped(app, listener, &context.data_dir, stop).await
}
