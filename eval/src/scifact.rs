//! SciFact: are both legs of the shipped retrieval as good as they should be, and is the fusion better than either?

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use countersign::clock::Clock;
use countersign::retrieve::{self, Query};
use ingest::{Document, DocumentKind, DocumentMeta, Markup};
use serde_json::Value;

use crate::bench_app::{BenchApp, SharedEmbedder};
use crate::metrics::{mrr_at, ndcg_at, recall_at};
use crate::report::Report;

/// Candidates fetched per query; several chunks of one abstract count once.
const HITS: usize = 100;

pub async fn run(report: &mut Report, shared: &Path, embedder: SharedEmbedder) -> Result<()> {
    let folder = shared.join("retrieval/scifact");
    if !folder.is_dir() {
        println!("skipped: scifact: its data is absent");
        return Ok(());
    }
    let bench = BenchApp::start(embedder, Clock::System).await?;
    bench.push_documents("scifact", corpus(&folder)?).await?;
    bench.settle(true).await?;
    let judged = judgements(&folder)?;
    let mut legs: HashMap<&str, Vec<[f64; 3]>> = HashMap::new();
    for (id, text) in
        lines(&folder.join("queries.test.jsonl"))?.iter().map(|line| (field(line, "_id"), field(line, "text")))
    {
        let Some(gains) = judged.get(&id) else { continue };
        let query = Query { text, limit: HITS, ..Query::default() };
        let app = &bench.app;
        let found = retrieve::search(&app.store, &app.index, &app.config.retrieve, &bench.caller, &query).await?;
        let mut by_leg: HashMap<&str, Vec<(f64, String)>> = HashMap::new();
        for hit in &found.hits {
            let id = hit.passage.external_id.clone();
            by_leg.entry("hybrid").or_default().push((hit.score, id.clone()));
            if let Some(leg) = hit.dense {
                by_leg.entry("dense").or_default().push((leg.score.into(), id.clone()));
            }
            if let Some(leg) = hit.sparse {
                by_leg.entry("bm25").or_default().push((leg.score.into(), id));
            }
        }
        for (leg, mut scored) in by_leg {
            scored.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut ranked: Vec<String> = Vec::new();
            for (_, id) in scored {
                if !ranked.contains(&id) {
                    ranked.push(id);
                }
            }
            let figures = [ndcg_at(10, &ranked, gains), recall_at(10, &ranked, gains), mrr_at(10, &ranked, gains)];
            legs.entry(leg).or_default().push(figures);
        }
    }
    let queries = judged.len() as f64;
    let ndcg = |leg: &str| legs.get(leg).map(|figures| figures.iter().map(|one| one[0]).sum::<f64>() / queries);
    let best_leg = [ndcg("bm25"), ndcg("dense")].into_iter().flatten().reduce(f64::max);
    for (leg, bar) in [("bm25", Some(0.67)), ("dense", Some(0.635)), ("hybrid", best_leg)] {
        let Some(figures) = legs.get(leg) else { continue };
        let mean = |position: usize| figures.iter().map(|one| one[position]).sum::<f64>() / queries;
        report.figure("scifact", &format!("{leg} ndcg_at_10"), mean(0), bar);
        report.figure("scifact", &format!("{leg} recall_at_10"), mean(1), None);
        report.figure("scifact", &format!("{leg} mrr_at_10"), mean(2), None);
    }
    bench.app.close().await;
    Ok(())
}

fn corpus(folder: &Path) -> Result<Vec<Document>> {
    let documents = lines(&folder.join("corpus.jsonl"))?
        .iter()
        .map(|line| Document {
            external_id: field(line, "_id"),
            kind: DocumentKind::Page,
            title: field(line, "title"),
            text: field(line, "text"),
            markup: Markup::Plain,
            meta: DocumentMeta::default(),
        })
        .collect();
    Ok(documents)
}

fn judgements(folder: &Path) -> Result<HashMap<String, HashMap<String, f64>>> {
    let text = std::fs::read_to_string(folder.join("qrels.test.tsv"))?;
    let mut judged: HashMap<String, HashMap<String, f64>> = HashMap::new();
    for line in text.lines().skip(1) {
        let mut cells = line.split('\t');
        let (Some(query), Some(document), Some(gain)) = (cells.next(), cells.next(), cells.next()) else { continue };
        judged.entry(query.to_owned()).or_default().insert(document.to_owned(), gain.trim().parse()?);
    }
    Ok(judged)
}

fn lines(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn field(line: &Value, name: &str) -> String {
    line[name].as_str().unwrap_or_default().to_owned()
}
