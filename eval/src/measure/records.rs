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
    // As it was written; and with the identifiers gone, so that names and descriptions alone have to lead there.
    let mut recalls: [Vec<[f64; CUTS.len()]>; 2] = Default::default();
    for line in &lines {
        let mut expected: Vec<String> = values(line, &records.expected).into_iter().map(text).collect();
        expected.sort();
        expected.dedup();
        let Some(question) = values(line, &records.text).first().map(|one| text(one)) else { continue };
        if expected.is_empty() {
            continue;
        }
        let blanked = without(&question, &expected);
        for (question, recalls) in [question, blanked].into_iter().zip(&mut recalls) {
            let body = json!({ "query": question, "kinds": [records.kind], "linked": true, "limit": 20 });
            let found = ranked(&bench.call("POST", "/v1/search", Some(body)).await?);
            let among = |k: usize| expected.iter().filter(|one| found.iter().take(k).any(|id| id == *one)).count();
            let recall = |k: usize| among(k) as f64 / expected.len() as f64;
            if run.verbose && recall(5) < 1.0 {
                println!("  {expected:?} not in {:?}: {question}", found.iter().take(5).collect::<Vec<_>>());
            }
            recalls.push(CUTS.map(recall));
        }
    }
    report.count("texts about records", recalls[0].len());
    let mut series = Vec::new();
    for (name, recalls) in ["records", "records by name"].into_iter().zip(&recalls) {
        let mean = |at: usize| recalls.iter().map(|one| one[at]).sum::<f64>() / (recalls.len() as f64).max(1.0);
        for (at, k) in CUTS.iter().enumerate() {
            report.figure(&format!("{name} recall_at_{k}"), mean(at));
        }
        let points = CUTS.iter().enumerate().map(|(at, k)| (*k as f64, mean(at))).collect();
        series.push(Series { name: name.into(), points });
    }
    report.plot(Plot::Lines {
        title: "Records that a text is about".into(),
        x: "records looked at".into(),
        y: "recall".into(),
        series,
    });
    Ok(())
}

/// External ids of the records found, best first.
fn ranked(answer: &Value) -> Vec<String> {
    answer["records"].as_array().into_iter().flatten().map(|one| text(&one["record"]["external_id"])).collect()
}

/// `question` without any of the identifiers it is expected to lead to.
fn without(question: &str, expected: &[String]) -> String {
    expected
        .iter()
        .fold(question.to_owned(), |text, id| text.replace(id.as_str(), " ").replace(id.trim_start_matches('#'), " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_in_order_and_identifiers_taken_out() {
        let answer =
            json!({ "records": [{ "record": { "external_id": "#W2" } }, { "record": { "external_id": "#W1" } }] });
        assert_eq!(ranked(&answer), ["#W2", "#W1"]);
        let left = without("my orders #W2 and W1", &["#W2".to_owned(), "#W1".to_owned()]);
        assert!(!left.contains('W'), "{left}");
    }
}
