//! Unchanged content costs nothing: 10,000 documents pushed twice.

use std::sync::Arc;

use anyhow::Result;
use countersign::clock::Clock;
use countersign::embed::Embedder;
use countersign::embed::hashed::HashEmbedder;
use ingest::{Document, DocumentKind, DocumentMeta, Markup};

use crate::bench_app::BenchApp;
use crate::report::Report;

const DOCUMENTS: usize = 10_000;

pub async fn run(report: &mut Report) -> Result<()> {
    let embedder: Arc<dyn Embedder> = Arc::new(HashEmbedder::new());
    let bench = BenchApp::start(Some(embedder), Clock::System).await?;
    let Some(counter) = bench.counter.clone() else { return Ok(()) };
    bench.push_documents("notes", documents()).await?;
    bench.settle(true).await?;
    let first = counter.passages();
    bench.push_documents("notes", documents()).await?;
    bench.settle(true).await?;
    report.figure("reingest", "documents", DOCUMENTS as f64, None);
    report.figure("reingest", "embeddings first time", first as f64, None);
    // As a share that is not embedded again, so that more is better for every figure.
    let again = (counter.passages() - first) as f64;
    report.figure("reingest", "share not embedded again", 1.0 - again / first as f64, Some(1.0));
    bench.app.close().await;
    Ok(())
}

fn documents() -> Vec<Document> {
    (0..DOCUMENTS)
        .map(|n| Document {
            external_id: format!("note-{n}"),
            kind: DocumentKind::Note,
            title: format!("Note {n}"),
            text: format!("Pallet {n} was counted in aisle {}. Its label reads {}.", n % 97, n * 31),
            markup: Markup::Plain,
            meta: DocumentMeta::default(),
        })
        .collect()
}
