//! Judged queries through the shipped retrieval: each leg alone and both, by document.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use countersign::retrieve::{self, Legs, Query, Retrieval};
use serde::Deserialize;
use serde_json::Value;

use super::Run;
use crate::bench_app::BenchApp;
use crate::cases;
use crate::json_path::{text, values};
use crate::manifest::{Corpus, Passages};
use crate::metrics::{mrr_at, ndcg_at, recall_at};
use crate::report::{Plot, Series, SetReport};

/// Passages fetched per query; several of one document count once.
const HITS: usize = 100;
/// Names of what is compared, in the order of the report.
const LEGS: [(&str, Legs); 3] = [("bm25", Legs::Keywords), ("dense", Legs::Vectors), ("hybrid", Legs::Both)];
/// Cut-offs of the recall curve.
const CURVE: [usize; 8] = [1, 2, 3, 5, 10, 20, 50, 100];

/// An own question with the documents that answer it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    pub id: String,
    /// Part of the set that figures are also given for.
    #[serde(default)]
    pub part: String,
    pub question: String,
    /// As `source/path.md`.
    pub documents: Vec<String>,
    /// Heading under which the answer stands; empty: anywhere in the document.
    #[serde(default)]
    pub heading: String,
}

/// A query as it is measured.
struct Asked {
    id: String,
    part: String,
    question: String,
    /// Gain by `source/external id`.
    gains: HashMap<String, f64>,
    heading: String,
}

/// Figures of one query under one leg.
#[derive(Debug, Clone, Copy)]
struct Scores {
    ndcg: f64,
    recall: [f64; CURVE.len()],
    mrr: f64,
    /// Whether a passage below the judged heading is among the first five; `None`: no heading was judged.
    section: Option<f64>,
}

pub async fn measure(
    run: &Run<'_>,
    bench: &BenchApp,
    passages: &Passages,
    corpus: &Corpus,
    report: &mut SetReport,
) -> Result<()> {
    // Of the demo's policies only those in force are right.
    let on = if let Corpus::Demo { as_of, .. } = corpus { Some(*as_of) } else { None };
    let asked = read(run, passages)?;
    report.count("judged queries", asked.len());
    let legs: Vec<(&str, Legs)> =
        LEGS.into_iter().filter(|(_, legs)| bench.counter.is_some() || *legs == Legs::Keywords).collect();
    let mut scores: BTreeMap<&str, Vec<Scores>> = BTreeMap::new();
    for one in &asked {
        for (name, legs) in &legs {
            let query = Query { text: one.question.clone(), limit: HITS, legs: *legs, on, ..Query::default() };
            let app = &bench.app;
            let found = retrieve::search(&app.store, &app.index, &app.config.retrieve, &bench.caller, &query).await?;
            scores.entry(name).or_default().push(score(&found, one));
        }
        if run.verbose {
            print_misses(one, &legs, &scores);
        }
    }
    let all: Vec<usize> = (0..asked.len()).collect();
    figures(report, run.meaning, &legs, &scores, &all);
    let mut parts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, one) in asked.iter().enumerate().filter(|(_, one)| !one.part.is_empty()) {
        parts.entry(&one.part).or_default().push(position);
    }
    for (part, positions) in &parts {
        for (name, _) in &legs {
            report.note(&format!("{part}: {name} ndcg_at_10"), mean(&scores[name], positions, |one| one.ndcg));
        }
    }
    plots(report, &legs, &scores, &all);
    Ok(())
}

fn read(run: &Run<'_>, passages: &Passages) -> Result<Vec<Asked>> {
    match passages {
        Passages::Trec { queries, id, text: path, judgements } => {
            let mut judged = judgements_by_query(&judgements.read(run.roots)?)?;
            let lines: Vec<Value> = cases::read(queries, run.roots)?;
            let field = |line: &Value, path: &str| values(line, path).first().map(|one| text(one)).unwrap_or_default();
            let asked = lines.iter().filter_map(|line| {
                let gains = judged.remove(&field(line, id))?;
                Some(Asked {
                    id: field(line, id),
                    part: String::new(),
                    question: field(line, path),
                    gains,
                    heading: String::new(),
                })
            });
            Ok(asked.collect())
        }
        Passages::Cases { files } => {
            let mut asked = Vec::new();
            for file in files {
                asked.extend(cases::read::<Judged>(file, run.roots)?.into_iter().map(|one| Asked {
                    id: one.id,
                    part: one.part,
                    question: one.question,
                    gains: one.documents.into_iter().map(|document| (document, 1.0)).collect(),
                    heading: one.heading,
                }));
            }
            Ok(asked)
        }
    }
}

fn judgements_by_query(text: &str) -> Result<HashMap<String, HashMap<String, f64>>> {
    let mut judged: HashMap<String, HashMap<String, f64>> = HashMap::new();
    for line in text.lines().skip(1) {
        let mut cells = line.split('\t');
        let (Some(query), Some(document), Some(gain)) = (cells.next(), cells.next(), cells.next()) else { continue };
        judged.entry(query.to_owned()).or_default().insert(format!("documents/{document}"), gain.trim().parse()?);
    }
    Ok(judged)
}

fn score(found: &Retrieval, asked: &Asked) -> Scores {
    let document = |hit: &retrieve::Hit| format!("{}/{}", hit.passage.source, hit.passage.external_id);
    let mut ranked: Vec<String> = Vec::new();
    for hit in &found.hits {
        let document = document(hit);
        if !ranked.contains(&document) {
            ranked.push(document);
        }
    }
    let below = |hit: &retrieve::Hit| {
        asked.gains.contains_key(&document(hit))
            && hit.passage.heading_path.iter().any(|heading| heading.eq_ignore_ascii_case(&asked.heading))
    };
    let section = (!asked.heading.is_empty()).then(|| f64::from(found.hits.iter().take(5).any(below)));
    Scores {
        ndcg: ndcg_at(10, &ranked, &asked.gains),
        recall: CURVE.map(|k| recall_at(k, &ranked, &asked.gains)),
        mrr: mrr_at(10, &ranked, &asked.gains),
        section,
    }
}

fn mean(scores: &[Scores], positions: &[usize], of: impl Fn(&Scores) -> f64) -> f64 {
    positions.iter().map(|position| of(&scores[*position])).sum::<f64>() / (positions.len() as f64).max(1.0)
}

fn figures(
    report: &mut SetReport,
    meaning: bool,
    legs: &[(&str, Legs)],
    scores: &BTreeMap<&str, Vec<Scores>>,
    positions: &[usize],
) {
    for (name, _) in legs {
        let scores = &scores[name];
        report.figure(&format!("{name} ndcg_at_10"), mean(scores, positions, |one| one.ndcg));
        for (at, k) in CURVE.iter().enumerate().filter(|(_, k)| [5, 10].contains(*k)) {
            report.figure(&format!("{name} recall_at_{k}"), mean(scores, positions, |one| one.recall[at]));
        }
        report.figure(&format!("{name} mrr_at_10"), mean(scores, positions, |one| one.mrr));
        let sections: Vec<f64> = scores.iter().filter_map(|one| one.section).collect();
        if !sections.is_empty() {
            let found = sections.iter().sum::<f64>() / sections.len() as f64;
            report.figure(&format!("{name} section_recall_at_5"), found);
        }
    }
    if legs.len() == LEGS.len() && meaning {
        let ndcg = |name: &str| mean(&scores[name], positions, |one| one.ndcg);
        report.margin("hybrid over its best leg ndcg_at_10", ndcg("hybrid") - ndcg("bm25").max(ndcg("dense")));
    }
}

fn plots(report: &mut SetReport, legs: &[(&str, Legs)], scores: &BTreeMap<&str, Vec<Scores>>, all: &[usize]) {
    let names: Vec<String> = legs.iter().map(|(name, _)| (*name).to_owned()).collect();
    let row = |of: &dyn Fn(&Scores) -> f64| names.iter().map(|name| mean(&scores[name.as_str()], all, of)).collect();
    let bars = vec![
        ("nDCG@10".to_owned(), row(&|one| one.ndcg)),
        ("recall@5".to_owned(), row(&|one| one.recall[3])),
        ("recall@10".to_owned(), row(&|one| one.recall[4])),
        ("MRR@10".to_owned(), row(&|one| one.mrr)),
    ];
    report.plot(Plot::Bars { title: "Each leg and both".into(), series: names.clone(), bars, upper: 1.0 });
    let series = names.iter().map(|name| {
        let scores = &scores[name.as_str()];
        let points =
            CURVE.iter().enumerate().map(|(at, k)| ((*k as f64).log10(), mean(scores, all, |one| one.recall[at])));
        Series { name: name.clone(), points: points.collect() }
    });
    report.plot(Plot::Lines {
        title: "Recall by documents looked at".into(),
        x: "documents, log10".into(),
        y: "recall".into(),
        series: series.collect(),
    });
    if legs.len() == LEGS.len() {
        let best = |at: usize| scores["bm25"][at].ndcg.max(scores["dense"][at].ndcg);
        let mut gained: Vec<f64> = all.iter().map(|at| scores["hybrid"][*at].ndcg - best(*at)).collect();
        gained.sort_by(f64::total_cmp);
        let points = gained.into_iter().zip(0u32..).map(|(gain, at)| (f64::from(at), gain)).collect();
        report.plot(Plot::Lines {
            title: "Hybrid against the better leg of each query".into(),
            x: "queries, worst first".into(),
            y: "difference in nDCG@10".into(),
            series: vec![Series { name: "hybrid".into(), points }],
        });
    }
}

fn print_misses(asked: &Asked, legs: &[(&str, Legs)], scores: &BTreeMap<&str, Vec<Scores>>) {
    let last: Vec<String> =
        legs.iter().filter_map(|(name, _)| Some(format!("{name} {:.2}", scores[name].last()?.ndcg))).collect();
    let perfect = legs.iter().all(|(name, _)| scores[name].last().is_none_or(|one| one.ndcg > 0.999));
    if !perfect {
        println!("  {} {}: {}", asked.id, last.join(", "), asked.question);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judgements_are_grouped_by_query() {
        let judged = judgements_by_query("query\tcorpus\tscore\n1\t31\t1\n1\t14\t2\n3\t14\t1\n").unwrap();
        assert_eq!(judged["1"]["documents/14"], 2.0);
        assert_eq!(judged.len(), 2);
    }
}
