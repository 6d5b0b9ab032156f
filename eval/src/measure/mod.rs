//! What can be measured over a corpus, each by the code that serves.

pub mod answers;
pub mod facts;
pub mod passages;
pub mod records;
pub mod unchanged;

use anyhow::Result;

use crate::bench_app::BenchApp;
use crate::corpus;
use crate::manifest::{Manifest, Roots};
use crate::report::SetReport;

/// What every measurement is given.
pub struct Run<'a> {
    pub roots: &'a Roots,
    pub verbose: bool,
    /// Whether vectors hold meaning, so that the fusion has to be at least as good as each leg.
    pub meaning: bool,
}

/// Takes the set's corpus in and measures everything its manifest names.
pub async fn set(run: &Run<'_>, set: &Manifest, bench: &BenchApp, report: &mut SetReport) -> Result<()> {
    let taken = corpus::load(run, bench, &set.corpus).await?;
    report.count("records", taken.records);
    report.count("documents", taken.documents);
    report.count("rejected", taken.rejected);
    if let Some(passages) = &set.passages {
        self::passages::measure(run, bench, passages, &set.corpus, report).await?;
    }
    if let Some(records) = &set.records {
        self::records::measure(run, bench, records, report).await?;
    }
    if let Some(facts) = &set.facts {
        self::facts::measure(run, bench, facts, report).await?;
    }
    if let Some(answers) = &set.answers {
        self::answers::measure(run, bench, answers, &set.corpus, report).await?;
    }
    if set.unchanged {
        self::unchanged::measure(run, bench, &set.corpus, report).await?;
    }
    Ok(())
}
