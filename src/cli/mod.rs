//! The command line. A face: parses, calls the JSON API through [`client`], prints. Nothing imports it but `main`.
//!
//! One file per command. Results go to standard output, everything else to standard error; `failure.rs` has the exit codes, and
//! `environment.rs` is the one place that reads the environment. What a command *does* is decided behind the API, never here.

mod anchors;
mod ask;
mod audit;
mod client;
mod completions;
mod config;
mod context;
mod demo;
mod detect;
mod doctor;
mod environment;
mod exceptions;
mod failure;
mod index;
mod ingest;
mod init;
mod key;
mod openapi;
mod output;
mod progress;
mod push;
mod search;
mod serve;
mod suggest;
mod tenant;
mod user;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::context::Context;
use self::environment::Environment;
use self::failure::{EXIT_CODES, Exit, Failure};
use self::output::Output;
use crate::clock::Clock;
use crate::config::Config;

const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// Grounded answers over ERP records and policies, with citations that can be checked.
#[derive(Debug, Parser)]
#[command(
    name = "countersign",
    version,
    help_template = TEMPLATE,
    before_help = "Examples:\n  countersign demo                        try it with an invented company\n  countersign init acme                   make a data directory and a tenant\n  countersign ingest ./exports            take a folder of exports and policies in\n  countersign ask \"Where is order 1042?\"  ask, with citations\n  countersign serve                       listen for HTTP requests\n\n",
    after_help = EXIT_CODES,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Data directory: database, index, keys
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Configuration file instead of ./countersign.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which tenant's key to use, when there are several
    #[arg(long, global = true, value_name = "SLUG")]
    tenant: Option<String>,
    /// File that holds the API key to act with
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Log more: -v info, -vv debug
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Serve(serve::Args),
    Ingest(ingest::Args),
    Ask(ask::Args),
    Search(search::Args),
    #[command(subcommand)]
    Exceptions(exceptions::Command),
    #[command(subcommand)]
    Detect(detect::Command),
    #[command(subcommand)]
    Index(index::Command),
    #[command(subcommand)]
    Tenant(tenant::Command),
    #[command(subcommand)]
    User(user::Command),
    #[command(subcommand)]
    Key(key::Command),
    #[command(subcommand)]
    Audit(audit::Command),
    Doctor(doctor::Args),
    Demo(demo::Args),
    #[command(subcommand)]
    Config(config::Command),
    Completions(completions::Args),
    Openapi(openapi::Args),
    /// The reading process of `source::extract`
    #[command(name = crate::source::extract::COMMAND, hide = true)]
    ExtractOne,
}

/// Runs the command line of this process to its end.
pub fn main() -> ExitCode {
    crate::telemetry::keep_content_in();
    let cli = Cli::parse();
    // Before configuration, runtime and telemetry: a reading process has none of them.
    if let Command::ExtractOne = cli.command {
        return crate::source::extract::child();
    }
    let output = Output { json: cli.global.json };
    let exit = match run(cli, output) {
        Ok(exit) => exit,
        Err(failure) => {
            output.failure(&failure);
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

fn run(cli: Cli, output: Output) -> Result<Exit, Failure> {
    if let Command::Completions(args) = &cli.command {
        return completions::run(args);
    }
    let environment = Environment::read();
    let layers = context::layers(&environment, cli.global.config.as_deref(), cli.global.data_dir.as_deref());
    if let Command::Config(command) = &cli.command {
        return config::run(command, layers, output);
    }
    let layers = layers?;
    let config = layers.finish()?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::failed(format!("runtime: {error}")))?;
    let level = log_level(&cli);
    let telemetry = crate::telemetry::install(&config.telemetry, &level, runtime.handle())
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let context = Context {
        called: called(cli.global.data_dir.as_deref()),
        data_dir: context::data_dir(&config)?,
        config,
        output,
        clock: Clock::System,
        environment,
        tenant: cli.global.tenant,
        key_file: cli.global.key_file,
    };
    let exit = runtime.block_on(dispatch(cli.command, context));
    // The last spans travel on the runtime; embedding threads that still run are not waited for.
    drop(telemetry);
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    exit
}

/// This program as it was called, with `--data-dir` when it was given.
fn called(data_dir: Option<&std::path::Path>) -> String {
    let program = std::env::args_os().next().and_then(|name| name.into_string().ok());
    let program = program.unwrap_or_else(|| "countersign".to_owned());
    match data_dir {
        Some(dir) => format!("{program} --data-dir {}", dir.display()),
        None => program,
    }
}

/// A service says what it does; a command only what went wrong.
fn log_level(cli: &Cli) -> String {
    let serves = matches!(cli.command, Command::Serve(_));
    match (cli.global.verbose, serves) {
        (0, false) => "error".to_owned(),
        (0, true) | (1, _) => format!("info,{}", crate::vector::QUIET),
        _ => "info,countersign=debug".to_owned(),
    }
}

async fn dispatch(command: Command, context: Context) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => init::run(&context, args).await,
        Command::Serve(args) => serve::run(context, args).await,
        Command::Ingest(args) => ingest::run(&context, args).await,
        Command::Ask(args) => ask::run(&context, args).await,
        Command::Search(args) => search::run(&context, args).await,
        Command::Exceptions(command) => exceptions::run(&context, command).await,
        Command::Detect(command) => detect::run(&context, command).await,
        Command::Index(command) => index::run(&context, command).await,
        Command::Tenant(command) => tenant::run(&context, command).await,
        Command::User(command) => user::run(&context, command).await,
        Command::Key(command) => key::run(&context, command).await,
        Command::Audit(command) => audit::run(&context, command).await,
        Command::Doctor(args) => doctor::run(&context, args).await,
        Command::Demo(args) => demo::run(context, args).await,
        Command::Openapi(args) => openapi::run(args).await,
        // Handled before the configuration was needed.
        Command::Config(_) | Command::Completions(_) | Command::ExtractOne => Ok(Exit::Ok),
    }
}

/// The configuration as it is when nothing is set: what `openapi` and tests of help need.
fn defaults() -> Config {
    Config::default()
}
