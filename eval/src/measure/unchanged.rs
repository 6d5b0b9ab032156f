//! Unchanged content costs nothing: the same notes pushed a second time.

use anyhow::{Result, bail};

use super::Run;
use crate::bench_app::BenchApp;
use crate::corpus::notes;
use crate::manifest::Corpus;
use crate::report::SetReport;

pub async fn measure(_run: &Run<'_>, bench: &BenchApp, corpus: &Corpus, report: &mut SetReport) -> Result<()> {
    let Corpus::Notes { count } = corpus else { bail!("`unchanged` is measured over notes") };
    let Some(counter) = bench.counter.clone() else {
        report.skip("unchanged content: no embedder");
        return Ok(());
    };
    let first = counter.passages();
    bench.push_documents("notes", notes(*count)).await?;
    bench.settle(true).await?;
    let again = counter.passages() - first;
    report.count("embeddings first time", usize::try_from(first)?);
    // As a share that is not embedded again, so that more is better for every figure.
    report.figure("share not embedded again", 1.0 - again as f64 / (first as f64).max(1.0));
    Ok(())
}
