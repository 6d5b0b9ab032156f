//! Measures retrieval and answers with the very code that serves: the same crate, the same router, a store in a temporary directory.
//!
//! `cargo run -p eval` (or `make eval`) runs every set that can be had; sets over data that is not in the repository are skipped by name
//! when `--shared` does not exist. Results go to standard output and, as JSON, to `--report`; `--check` fails on a regression against
//! `eval/baseline.json`.

mod bench_app;
mod demo;
mod facts;
mod metrics;
mod reingest;
mod report;
mod scifact;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use report::Report;

#[derive(Parser)]
#[command(about = "Measures retrieval and answers with the code that serves them")]
struct Arguments {
    /// Sets to run; default: all.
    #[arg(value_enum)]
    sets: Vec<Set>,
    /// Folder with open data sets.
    #[arg(long, default_value = "../shared/data", env = "COUNTERSIGN_SHARED_DATA")]
    shared: PathBuf,
    /// Directory with the local embedding model; default: the cache, then a download.
    #[arg(long, env = "COUNTERSIGN_EMBEDDING__MODEL_DIR")]
    model_dir: Option<PathBuf>,
    /// Never fetch the model.
    #[arg(long)]
    offline: bool,
    /// Where the JSON report goes.
    #[arg(long, default_value = "target/eval.json")]
    report: PathBuf,
    /// Compare with this baseline and fail when a figure fell.
    #[arg(long)]
    check: Option<PathBuf>,
    /// Print every case that failed.
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Set {
    /// Questions over the demo company.
    Demo,
    /// Status, total and items of 1,000 orders.
    Tau,
    /// Status, total and vendor of 4,012 purchase orders.
    Adventureworks,
    /// Scientific claims against abstracts: each leg and both.
    Scifact,
    /// Embeddings caused by unchanged documents.
    Reingest,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let sets = if arguments.sets.is_empty() { Set::value_variants().to_vec() } else { arguments.sets.clone() };
    let embedder = bench_app::embedder(arguments.model_dir.as_deref(), arguments.offline).await;
    let mut report = Report::default();
    for set in sets {
        match set {
            Set::Demo => demo::run(&mut report, embedder.clone(), arguments.verbose).await?,
            Set::Tau => facts::tau(&mut report, &arguments.shared, arguments.verbose).await?,
            Set::Adventureworks => facts::adventureworks(&mut report, &arguments.shared, arguments.verbose).await?,
            Set::Scifact => scifact::run(&mut report, &arguments.shared, embedder.clone()).await?,
            Set::Reingest => reingest::run(&mut report).await?,
        }
    }
    report.write(&arguments.report)?;
    if let Some(baseline) = &arguments.check {
        report.check(baseline)?;
    }
    Ok(())
}
