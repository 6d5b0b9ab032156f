//! Questions over the demo company, which ships with the repository: facts expected in the answer, records and documents expected in its
//! citations, and questions that must not be answered.

use anyhow::Result;
use countersign::clock::Clock;
use countersign::demo;
use countersign::source::folder::FileBytes;
use ingest::mapping::Mapping;
use serde::Deserialize;
use serde_json::Value;

use crate::bench_app::{BenchApp, SharedEmbedder};
use crate::report::Report;

/// Fixed, so that the figures of two runs can be compared.
pub const AS_OF: &str = "2026-11-02";
const UNANSWERABLE: &str = include_str!("../cases/unanswerable.jsonl");

#[derive(Deserialize)]
struct Unanswerable {
    question: String,
}

pub async fn run(report: &mut Report, embedder: SharedEmbedder, verbose: bool) -> Result<()> {
    let as_of: jiff::civil::Date = AS_OF.parse()?;
    let noon = as_of.at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC)?.timestamp();
    let bench = BenchApp::start(embedder, Clock::fixed(noon)).await?;
    let files: Vec<FileBytes> = demo::generate(as_of, demo::DEFAULT_SEED)
        .files()
        .into_iter()
        .map(|(path, bytes)| FileBytes { path, bytes })
        .collect();
    let mapping = files
        .iter()
        .find(|file| file.path == "mapping.toml")
        .map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
    let mapping = Mapping::parse(&mapping.unwrap_or_default())?;
    let files: Vec<FileBytes> = files.into_iter().filter(|file| mapping.uses(&file.path)).collect();
    // Prose first, vectors included; the cards of 11,000 records are searched by word, as in the first minutes of `make demo`.
    let (prose, records): (Vec<FileBytes>, Vec<FileBytes>) =
        files.into_iter().partition(|file| file.path.ends_with(".md"));
    let (_, documents, _) = bench.push_files("demo", &mapping, &prose).await?;
    bench.settle(true).await?;
    let (records, _, rejected) = bench.push_files("demo", &mapping, &records).await?;
    println!("demo: {records} records, {documents} documents, {rejected} rejected");
    bench.settle(false).await?;
    let questions = demo::questions(as_of);
    let (mut right, mut valid, mut citations) = (0, 0, 0);
    for question in &questions {
        let answer = bench.ask(&question.question).await?;
        let (good, all) = bench.check_citations(&answer).await?;
        valid += good;
        citations += all;
        let wrong = shortcomings(question, &answer);
        if wrong.is_empty() {
            right += 1;
        }
        if verbose {
            println!(
                "\n[{}] {}\n  wrong: {wrong:?}\n  {}",
                question.id,
                question.question,
                answer["text"].as_str().unwrap_or_default().replace('\n', "\n  ")
            );
        }
    }
    let mut abstained = 0;
    let unanswerable: Vec<Unanswerable> = UNANSWERABLE.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for case in &unanswerable {
        let answer = bench.ask(&case.question).await?;
        if answer["abstained"] == true {
            abstained += 1;
        } else if verbose {
            println!(
                "\n[not abstained, coverage {}] {}\n  {}",
                answer["understood"]["coverage"],
                case.question,
                answer["text"].as_str().unwrap_or_default()
            );
        }
    }
    report.figure("demo", "questions right", f64::from(right) / questions.len() as f64, None);
    report.figure("demo", "citations verbatim", valid as f64 / (citations as f64).max(1.0), Some(1.0));
    report.figure("demo", "unanswerable abstained", f64::from(abstained) / unanswerable.len() as f64, None);
    bench.app.close().await;
    Ok(())
}

fn shortcomings(question: &demo::Question, answer: &Value) -> Vec<String> {
    let text = answer["text"].as_str().unwrap_or_default();
    let mut wrong: Vec<String> = question
        .expected
        .iter()
        .filter(|one| !text.contains(one.as_str()))
        .map(|one| format!("lacks “{one}”"))
        .collect();
    let citations = || answer["citations"].as_array().into_iter().flatten();
    for record in &question.records {
        let cited = citations().any(|citation| {
            let one = &citation["record"];
            format!("{}/{}", one["kind"].as_str().unwrap_or(""), one["external_id"].as_str().unwrap_or("")) == *record
        });
        if !cited {
            wrong.push(format!("does not cite {record}"));
        }
    }
    let documents_cited = question.documents.is_empty()
        || citations().any(|citation| {
            citation["policy_id"].as_str().is_some_and(|id| question.documents.iter().any(|one| one == id))
        });
    if !documents_cited {
        wrong.push(format!("cites none of {:?}", question.documents));
    }
    wrong
}
