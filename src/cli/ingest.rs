//! `countersign ingest`: takes a folder in.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use ingest::{Limits, Mapping, Rejection};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::index;
use super::progress::Progress;
use super::push::{self, BATCH_BYTES, Reading, Report, Target};
use super::{suggest, watch};
use crate::config::EmbeddingProvider;
use crate::source::{Extractor, folder};
use crate::start::Model;

/// Take a folder of exports, policies and runbooks in
#[derive(Debug, clap::Args)]
#[command(help_template = super::TEMPLATE, before_help = "Examples:\n  countersign ingest ./exports                       uses ./exports/mapping.toml\n  countersign ingest ./shop --mapping tau_retail     a built-in mapping\n  countersign ingest ./new-rows --source erp --partial\n  countersign ingest ./exports --dry-run             read and report, change nothing\n  countersign ingest ./exports --watch               go on taking in what changes\n  countersign ingest --suggest-mapping orders.xlsx > mapping.toml\n\n")]
pub struct Args {
    /// Folder with the files; its mapping.toml says how to read tables, workbooks, JSON and mails
    #[arg(required_unless_present = "suggest_mapping", default_value = ".", hide_default_value = true)]
    pub(super) folder: PathBuf,
    /// Name of the source; default: the mapping's name, else the folder's
    #[arg(long, value_name = "NAME")]
    pub(super) source: Option<String>,
    /// Mapping file, or the name of a built-in one
    #[arg(long, value_name = "FILE|NAME")]
    pub(super) mapping: Option<String>,
    /// The folder is not everything the source has: keep what is not in it
    #[arg(long)]
    pub(super) partial: bool,
    /// Read and report, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Return only when everything can be found by meaning too
    #[arg(long)]
    wait: bool,
    /// Stay, and take in what changes in the folder; Ctrl-C ends it
    #[arg(long, conflicts_with_all = ["dry_run", "wait"])]
    watch: bool,
    /// Propose a mapping from the headers and first rows of a table or workbook, on standard output; with --dry-run, say what it would read
    #[arg(long, value_name = "FILE", conflicts_with_all = ["folder", "watch", "mapping", "partial", "wait"])]
    suggest_mapping: Option<PathBuf>,
}

pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    if let Some(file) = &args.suggest_mapping {
        return suggest::run(context, file, args.dry_run).await;
    }
    if args.watch {
        return watched(context, &args).await;
    }
    let (source, reading) = read(context, &args.folder, args.mapping.as_deref(), args.source.as_deref()).await?;
    for notice in &reading.notices {
        context.output.note(format!("note: {notice}"));
    }
    if args.dry_run {
        return Ok(dry_run(context, &source, &reading));
    }
    let model = if args.wait { Model::Cached } else { Model::Skip };
    let client = Client::open(context, model).await?;
    let outcome = take_in(context, &client, &source, reading, &args).await;
    client.close().await;
    outcome
}

async fn watched(context: &Context, args: &Args) -> Result<Exit, Failure> {
    is_folder(&args.folder)?;
    let client = Client::open(context, Model::Skip).await?;
    let outcome = match context.tenant_key() {
        Ok(key) => watch::run(context, &client, &key, args).await,
        Err(failure) => Err(failure),
    };
    client.close().await;
    outcome
}

fn is_folder(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(Failure::new(Exit::NotFound, format!("{} is not a folder", folder.display())))
}

/// Reads a folder: mappings off the async threads, files that are no text in processes of their own. Returns the name of its source, too.
pub async fn read(
    context: &Context,
    folder: &Path,
    mapping: Option<&str>,
    source: Option<&str>,
) -> Result<(String, Reading), Failure> {
    is_folder(folder)?;
    let limits = Limits::default();
    let mapping = mapping_of(folder, mapping)?;
    let source = source.map_or_else(|| source_name(&mapping.name), str::to_owned);
    let (folder, listing) = (folder.to_owned(), mapping.clone());
    let files = off_threads(move || folder::files(&folder, &listing, &limits)).await?;
    let (files, too_large) = files?;
    let extractor = Extractor::new(&context.config.ingest);
    let files = extractor.prepare_all(files, &limits).await.map_err(|error| Failure::failed(error.to_string()))?;
    let mut reading = off_threads(move || Reading::of_files(&mapping, &files, &limits)).await?;
    let reason = format!("is larger than {} bytes", limits.file_bytes);
    reading.rejections.extend(too_large.iter().map(|path| Rejection::file(path, reason.clone())));
    Ok((source, reading))
}

async fn off_threads<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::failed(format!("reading broke off: {error}")))
}

fn mapping_of(folder: &Path, wanted: Option<&str>) -> Result<Mapping, Failure> {
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let own_name = source_name(&absolute.file_name().unwrap_or_default().to_string_lossy());
    Ok(folder::mapping_for(folder, wanted, &own_name)?)
}

/// The name of the source that the arguments mean.
pub(super) fn source_of(args: &Args) -> Result<String, Failure> {
    match &args.source {
        Some(source) => Ok(source.clone()),
        None => Ok(source_name(&mapping_of(&args.folder, args.mapping.as_deref())?.name)),
    }
}

/// Bytes of a request's items: well below what the service takes.
pub(super) fn batch_bytes(context: &Context) -> usize {
    BATCH_BYTES.min(context.config.server.body_max_bytes.get() / 2)
}

/// A name as the service takes it: lower case, and `-` for what it does not take.
fn source_name(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let name: String = text.to_lowercase().chars().map(|c| if allowed(c) { c } else { '-' }).take(80).collect();
    if name.is_empty() { "folder".to_owned() } else { name }
}

fn dry_run(context: &Context, source: &str, reading: &Reading) -> Exit {
    let mut text = format!("{source}: nothing was changed (--dry-run)\n");
    for (kind, count) in &reading.kinds {
        let _ = writeln!(text, "  {count:>8}  {kind}");
    }
    let _ = write!(text, "  {:>8}  refused", reading.rejections.len());
    let shown: Vec<&Rejection> = reading.rejections.iter().take(20).collect();
    for rejection in &shown {
        let _ = write!(text, "\n    {}", place(rejection));
    }
    let result = json!({
        "source": source, "dry_run": true, "kinds": reading.kinds, "rejected": reading.rejections.len(), "rejections": shown,
        "notices": reading.notices,
    });
    context.output.result(&result, text);
    if reading.rejections.is_empty() { Exit::Ok } else { Exit::Partly }
}

async fn take_in(
    context: &Context,
    client: &Client,
    source: &str,
    reading: Reading,
    args: &Args,
) -> Result<Exit, Failure> {
    let key = context.tenant_key()?;
    let stop = CancellationToken::new();
    let listening = tokio::spawn(stop_on_ctrl_c(context.output, stop.clone()));
    let mut progress = Progress::start(context.output, &context.environment, "items", reading.items.len() as u64);
    let target =
        Target { client, key: &key, source, partial: args.partial, batch_bytes: batch_bytes(context), stop: &stop };
    let report = push::push(&target, reading, &mut progress).await;
    progress.finish();
    listening.abort();
    let report = report?;
    if !report.interrupted {
        index::wait(client, &key, args.wait, index::PATIENCE).await?;
    }
    let status = client.get("/v1/index", &key).await?;
    let mut result = json!(report);
    result["index"] = status.clone();
    context.output.result(&result, describe(context, &report, &status, &args.folder));
    if !args.wait && client.app().is_some() && context.config.embedding.provider != EmbeddingProvider::None {
        context.output.note("findable by keyword and identifier now; by meaning once `countersign serve` or `countersign index status --wait` ran");
    }
    Ok(match (report.interrupted, report.rejected) {
        (true, _) => Exit::Interrupted,
        (false, 0) => Exit::Ok,
        (false, _) => Exit::Partly,
    })
}

/// Once: finish the batch in hand. Twice: stop.
pub(super) async fn stop_on_ctrl_c(output: super::output::Output, stop: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_err() {
        return;
    }
    output.note("stopping after the batch in hand; Ctrl-C again to stop at once");
    stop.cancel();
    let _ = tokio::signal::ctrl_c().await;
    std::process::exit(i32::from(Exit::Interrupted as u8));
}

/// What a run did, as text.
pub(super) fn summary(report: &Report) -> String {
    let mut text = format!(
        "{}: {} created, {} changed, {} unchanged, {} removed, {} refused",
        report.source, report.created, report.changed, report.unchanged, report.removed, report.rejected
    );
    if report.stale > 0 {
        let _ = write!(text, ", {} older than what is there", report.stale);
    }
    for rejection in &report.rejections {
        let _ = write!(text, "\n  {}", place(rejection));
    }
    let shown = report.rejections.len() as u64;
    if report.rejected > shown {
        let _ = write!(text, "\n  ... and {} more", report.rejected - shown);
    }
    text
}

/// The report as text, with what to do next.
fn describe(context: &Context, report: &Report, index: &Value, folder: &Path) -> String {
    let mut text = summary(report);
    if report.interrupted {
        let _ = write!(
            text,
            "\nstopped before the end; nothing was removed. Go on with the same command: {}",
            context.command(&format!("ingest {}", folder.display()))
        );
        return text;
    }
    if report.state == "partial" {
        text.push_str("\nnothing was removed: not everything of the source was read");
    }
    let waiting = index["dense_pending"].as_i64().unwrap_or(0);
    if waiting > 0 {
        let _ = write!(text, "\nfindable by keyword now; {waiting} chunks wait for their vectors (index status)");
    }
    let _ = write!(text, "\nnext: {}", context.command("ask \"...\""));
    text
}

/// `file:row:column reason`, as compilers write places.
pub(super) fn place(rejection: &Rejection) -> String {
    let mut place = rejection.file.clone();
    if let Some(row) = rejection.row {
        let _ = write!(place, ":{row}");
    }
    if let Some(column) = &rejection.column {
        let _ = write!(place, ":{column}");
    }
    format!("{place} {}", rejection.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_name_becomes_a_source_name() {
        assert_eq!(source_name("ERP Exports (März)"), "erp-exports--m-rz-");
        assert_eq!(source_name(""), "folder");
    }

    #[test]
    fn places_read_like_a_compiler_s() {
        let rejection = Rejection::cell("orders.csv", 17, "total", "is not a decimal number");
        assert_eq!(place(&rejection), "orders.csv:17:total is not a decimal number");
    }
}
