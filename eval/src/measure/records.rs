//! Texts about records that name them only in passing: are those records among the first found?

use anyhow::Result;
use serde_json::{Value, json};

use super::Run;
use crate::bench_app::BenchApp;
use crate::cases;
use crate::json_path::{text, values};
use crate::manifest::Records;
use crate::report::{Plot, Series, SetReport};

const CUTS: [usize; 5] = [1, 3, 5, 10, 20];

pub async fn measure(run: &Run<'_>, bench: &BenchApp, records: &Records, report: &mut SetReport) -> Result<()> {
    let lines: Vec<Value> = cases::read(&records.file, run.roots)?;
    let mut recalls: Vec<[f64; CUTS.len()]> = Vec::new();
    for line in &lines {
        let mut expected: Vec<String> = values(line, &records.expected).into_iter().map(text).collect();
        expected.sort();
        expected.dedup();
        let Some(question) = values(line, &records.text).first().map(|one| text(one)) else { continue };
        if expected.is_empty() {
            continue;
        }
        let answer = bench.call("POST", "/v1/search", Some(json!({ "query": question, "limit": 50 }))).await?;
        let found = ranked(&answer, &records.kind);
        let recall = |k: usize| {
            expected.iter().filter(|one| found.iter().take(k).any(|id| id == *one)).count() as f64
                / expected.len() as f64
        };
        if run.verbose && recall(5) < 1.0 {
            println!("  {expected:?} not in {:?}: {question}", found.iter().take(5).collect::<Vec<_>>());
        }
        recalls.push(CUTS.map(recall));
    }
    let mean = |at: usize| recalls.iter().map(|one| one[at]).sum::<f64>() / (recalls.len() as f64).max(1.0);
    report.count("texts about records", recalls.len());
    for (at, k) in CUTS.iter().enumerate() {
        report.figure(&format!("records recall_at_{k}"), mean(at));
    }
    let points = CUTS.iter().enumerate().map(|(at, k)| (*k as f64, mean(at))).collect();
    report.plot(Plot::Lines {
        title: "Records that a text is about".into(),
        x: "records looked at".into(),
        y: "recall".into(),
        series: vec![Series { name: "records".into(), points }],
    });
    Ok(())
}

/// External ids of one kind, best first: what the text names, then what was found for it.
fn ranked(answer: &Value, kind: &str) -> Vec<String> {
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    let named = list("identified").into_iter().flat_map(|one| one["records"].as_array().cloned().unwrap_or_default());
    let named = named.filter(|record| record["kind"] == kind).map(|record| text(&record["external_id"]));
    let found = list("hits").into_iter().filter_map(|hit| {
        let id = hit["passage"]["external_id"].as_str()?.strip_prefix(&format!("record:{kind}:"))?.to_owned();
        Some(id.rsplit_once(':')?.0.to_owned())
    });
    let mut ranked: Vec<String> = Vec::new();
    for id in named.chain(found) {
        if !ranked.contains(&id) {
            ranked.push(id);
        }
    }
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_records_come_before_found_ones_and_each_once() {
        let answer = json!({
            "identified": [{ "records": [{ "kind": "order", "external_id": "2" }, { "kind": "customer", "external_id": "9" }] }],
            "hits": [{ "passage": { "external_id": "record:order:1:main" } }, { "passage": { "external_id": "record:order:2:cost" } },
                     { "passage": { "external_id": "pages/a.md" } }] });
        assert_eq!(ranked(&answer, "order"), ["2", "1"]);
    }
}
