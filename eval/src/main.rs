//! Measures retrieval and answers with the very code that serves: the same crate, the same router, a store in a temporary directory.
//!
//! `cargo run -p eval` (or `make eval`) runs every set in `eval/sets` that can be had ([`manifest`]); sets over data that is not in the
//! repository are skipped by name when `--shared` does not exist. Results go to standard output, as JSON to `--report`, and beside it as
//! a page with plots. `--check` fails on a regression against `eval/baseline.json`.

mod bench_app;
mod cases;
mod corpus;
mod embedder;
mod json_path;
mod manifest;
mod measure;
mod metrics;
mod ragtruth;
mod report;
mod truth;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Parser;
use countersign::clock::Clock;

use bench_app::BenchApp;
use embedder::{Choice, SharedEmbedder};
use manifest::{Corpus, Manifest, Roots};
use measure::Run;
use report::{Baseline, Report, SetReport};

const OWN: &str = env!("CARGO_MANIFEST_DIR");

#[derive(Parser)]
#[command(about = "Measures retrieval and answers with the code that serves them")]
struct Arguments {
    /// Sets to run, by name; default: all.
    sets: Vec<String>,
    /// List the sets and end.
    #[arg(long)]
    list: bool,
    /// Folder with open data sets.
    #[arg(long, default_value = "../shared/data", env = "COUNTERSIGN_SHARED_DATA")]
    shared: PathBuf,
    /// What makes dense vectors; hashed words know no meaning but are the same everywhere, for gates.
    #[arg(long, value_enum, default_value = "minilm")]
    embedder: Choice,
    /// Directory with the local embedding model; default: the cache, then a download.
    #[arg(long, env = "COUNTERSIGN_EMBEDDING__MODEL_DIR")]
    model_dir: Option<PathBuf>,
    /// Never fetch the model.
    #[arg(long)]
    offline: bool,
    /// Keep vectors in this directory and take them from there the next time.
    #[arg(long)]
    vectors: Option<PathBuf>,
    /// Where the JSON report goes; the page goes beside it.
    #[arg(long, default_value = "target/eval.json")]
    report: PathBuf,
    /// Figures reached before.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.json"))]
    baseline: PathBuf,
    /// Fail when a figure fell below the baseline.
    #[arg(long)]
    check: bool,
    /// Make this run's figures the baseline of its sets.
    #[arg(long, conflicts_with = "check")]
    update: bool,
    /// Print every case that failed.
    #[arg(long, short)]
    verbose: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let roots = Roots { own: OWN.into(), shared: arguments.shared.clone() };
    let sets = chosen(&arguments, &roots)?;
    if arguments.list {
        sets.iter().for_each(|set| println!("{:<16} {}", set.name, set.about));
        println!("{:<16} {}", ragtruth::NAME, ragtruth::ABOUT);
        return Ok(());
    }
    let embedder = embedder::choose(&arguments).await?;
    let measured_at = Clock::System.now().strftime("%Y-%m-%d %H:%M UTC").to_string();
    let mut report = Report::new(embedder.name, measured_at);
    let run = Run { roots: &roots, verbose: arguments.verbose, meaning: arguments.embedder == Choice::Minilm };
    for set in &sets {
        match set.absent(&roots) {
            Some(path) => report.skip(format!("{}: {} is absent", set.name, path.display())),
            None => report.sets.push(measured(&run, set, embedder.shared.clone()).await?),
        }
    }
    if arguments.sets.is_empty() || arguments.sets.iter().any(|name| name == ragtruth::NAME) {
        match ragtruth::run(&arguments.shared, embedder.shared.clone()).await? {
            Some(set) => report.sets.push(set),
            None => report.skip(format!("{}: its data is absent", ragtruth::NAME)),
        }
    }
    let mut baseline = Baseline::read(&arguments.baseline)?;
    report.write(&arguments.report, &baseline)?;
    if arguments.update {
        baseline.update(&report);
        baseline.write(&arguments.baseline)?;
    }
    if arguments.check { baseline.check(&report) } else { Ok(()) }
}

fn chosen(arguments: &Arguments, roots: &Roots) -> Result<Vec<Manifest>> {
    let mut sets = Manifest::all(&roots.own.join("sets"))?;
    let known = |name: &str| name == ragtruth::NAME || sets.iter().any(|set| set.name == name);
    if let Some(unknown) = arguments.sets.iter().find(|name| !known(name)) {
        let known: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
        bail!("there is no set {unknown}; there are: {}", known.join(", "));
    }
    if !arguments.sets.is_empty() {
        sets.retain(|set| arguments.sets.contains(&set.name));
    }
    Ok(sets)
}

async fn measured(run: &Run<'_>, set: &Manifest, embedder: SharedEmbedder) -> Result<SetReport> {
    let started = Instant::now();
    let mut report = SetReport::new(&set.name, &set.about, set.bars.clone());
    let clock = match &set.corpus {
        Corpus::Demo { as_of, .. } => {
            Clock::fixed(as_of.at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC)?.timestamp())
        }
        Corpus::Jsonl { .. } | Corpus::Folders { .. } | Corpus::Notes { .. } => Clock::System,
    };
    // Cards of records by the ten thousand are measured by word and identifier: embedding them takes longer than everything else.
    let records_only = matches!(&set.corpus, Corpus::Folders { records_only: true, .. });
    let bench = BenchApp::start(embedder.filter(|_| !records_only), clock).await?;
    measure::set(run, set, &bench, &mut report).await?;
    bench.app.close().await;
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}
