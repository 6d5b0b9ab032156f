//! The support check against marked answers: RAGTruth's questions, with the spans that their passages do not support.
//!
//! A response is flagged when any of its sentences is judged unsupported; it should be when any span of it is marked. Weights and threshold
//! are fitted on four fifths of the questions and tried on the rest, five times over, so that no response is judged by what it taught; that
//! figure counts. The figure of the shipped weights, which saw all of them, is printed beside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use countersign::answer::sentences::{shown, units};
use countersign::answer::support::{FEATURES, Features, Grounds, Model, WEIGHTS, closest};
use countersign::embed::Embedder;
use serde::Deserialize;

use crate::report::SetReport;

pub const NAME: &str = "ragtruth";
pub const ABOUT: &str = "Answers with unsupported spans marked: does the support check flag those, and only those?";

/// What the share of shared words alone reaches, and what is asked of the check.
const BAR: f64 = 0.66;
const FOLDS: usize = 5;
/// Splits into folds whose figures are averaged.
const SPLITS: u64 = 5;
const ROUNDS: usize = 400;
const RATE: f64 = 0.5;
/// Places of `says_unknown` and `length` among the features.
const MAY_BE_NEGATIVE: [usize; 2] = [7, 8];
/// Weight of the penalty on large weights, per sentence.
const RIDGE: f64 = 0.002;

#[derive(Deserialize)]
struct Line {
    source_id: serde_json::Value,
    source: Source,
    responses: Vec<Response>,
}

#[derive(Deserialize)]
struct Source {
    question: String,
    passages: String,
}

#[derive(Deserialize)]
struct Response {
    response: String,
    labels: Vec<Label>,
}

/// A marked span, in characters.
#[derive(Deserialize)]
struct Label {
    start: usize,
    end: usize,
}

/// One sentence: its features and whether a mark touches it.
struct Sentence {
    features: Features,
    marked: bool,
}

/// One response of one question.
struct Case {
    question: u64,
    sentences: Vec<Sentence>,
    marked: bool,
}

/// `None`: the data is absent.
pub async fn run(shared: &Path, embedder: Option<Arc<dyn Embedder>>) -> Result<Option<SetReport>> {
    let file = shared.join("grounding/ragtruth_test/qa.even.jsonl");
    if !file.is_file() {
        return Ok(None);
    }
    let started = Instant::now();
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let mut cases = Vec::new();
    for line in text.lines() {
        cases.extend(read(serde_json::from_str(line)?, embedder.as_deref()).await?);
    }
    let splits: Vec<f64> = (0..SPLITS).map(|split| cross_validated(&cases, split)).collect();
    let shared_words = cross_validated_by(&cases, |sentence| sentence.features.unknown_share);
    let fitted = fit(&cases.iter().collect::<Vec<_>>());
    println!("{NAME:<16} fitted on all: {fitted:?}");
    let bars = BTreeMap::from([("f1 cross-validated".to_owned(), BAR)]);
    let mut report = SetReport::new(NAME, ABOUT, bars);
    report.count("responses", cases.len());
    report.count("marked", cases.iter().filter(|case| case.marked).count());
    report.note("f1 by shared words, cross-validated", shared_words);
    report.figure("f1 cross-validated", splits.iter().sum::<f64>() / splits.len() as f64);
    report.note("f1 of the shipped weights", f1(&cases, &WEIGHTS));
    report.seconds = started.elapsed().as_secs_f64();
    Ok(Some(report))
}

async fn read(line: Line, embedder: Option<&dyn Embedder>) -> Result<Vec<Case>> {
    let passages: Vec<&str> = line.source.passages.split("\n\n").map(without_number).collect();
    let grounds = Grounds::new(&passages, &line.source.question);
    let windows: Vec<String> = grounds.windows().map(str::to_owned).collect();
    let question = line.source_id.as_u64().or_else(|| line.source_id.as_str()?.parse().ok()).context("source_id")?;
    let around = match embedder {
        Some(embedder) => embedder.embed_passages(windows).await?,
        None => Vec::new(),
    };
    let mut cases = Vec::new();
    for response in line.responses {
        let spans: Vec<_> = units(&response.response).into_iter().map(|unit| unit.span).collect();
        let texts: Vec<String> = spans.iter().map(|span| shown(&response.response[span.clone()])).collect();
        let near = match embedder {
            Some(embedder) => {
                let mut vectors = embedder.embed_passages(texts.clone()).await?;
                vectors.extend(around.iter().cloned());
                closest(&vectors, texts.len()).into_iter().map(Some).collect()
            }
            None => vec![None; texts.len()],
        };
        let chars = |byte: usize| response.response[..byte].chars().count();
        let mut sentences = Vec::new();
        for ((span, text), near) in spans.iter().zip(&texts).zip(near) {
            let Some(features) = grounds.features(text, near) else { continue };
            let (start, end) = (chars(span.start), chars(span.end));
            let marked = response.labels.iter().any(|label| label.start < end && start < label.end);
            sentences.push(Sentence { features, marked });
        }
        cases.push(Case { question, sentences, marked: !response.labels.is_empty() });
    }
    Ok(cases)
}

/// "passage 1:" says where a passage begins and is not part of it.
fn without_number(passage: &str) -> &str {
    passage.split_once(':').filter(|(before, _)| before.starts_with("passage ")).map_or(passage, |(_, rest)| rest)
}

/// The fold of a question: by a hash of its id, so that it does not depend on the order of the file.
fn fold(question: u64, split: u64) -> usize {
    let mut hash = (question ^ (split << 32)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((hash ^ (hash >> 31)) % FOLDS as u64) as usize
}

fn cross_validated(cases: &[Case], split: u64) -> f64 {
    let mut counts = Counts::default();
    for held_out in 0..FOLDS {
        let (test, train): (Vec<&Case>, Vec<&Case>) =
            cases.iter().partition(|case| fold(case.question, split) == held_out);
        let model = fit(&train);
        test.iter().for_each(|case| counts.add(case.marked, doubt(case, &model) >= model.threshold));
    }
    counts.f1()
}

/// The same with one score and only its threshold fitted.
fn cross_validated_by(cases: &[Case], score: impl Fn(&Sentence) -> f64) -> f64 {
    let of = |case: &Case| case.sentences.iter().map(&score).fold(0.0, f64::max);
    let mut counts = Counts::default();
    for held_out in 0..FOLDS {
        let (test, train): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| fold(case.question, 0) == held_out);
        let threshold = best_threshold(&train.iter().map(|case| (of(case), case.marked)).collect::<Vec<_>>());
        test.iter().for_each(|case| counts.add(case.marked, of(case) >= threshold));
    }
    counts.f1()
}

fn f1(cases: &[Case], model: &Model) -> f64 {
    let mut counts = Counts::default();
    cases.iter().for_each(|case| counts.add(case.marked, doubt(case, model) >= model.threshold));
    counts.f1()
}

/// A response is as doubtful as its most doubtful sentence.
fn doubt(case: &Case, model: &Model) -> f64 {
    case.sentences.iter().map(|sentence| model.doubt(&sentence.features)).fold(0.0, f64::max)
}

/// Logistic regression over sentences, both classes with the same total weight, by gradient descent on standardised features; then the
/// threshold that is best for whole responses.
fn fit(cases: &[&Case]) -> Model {
    let rows: Vec<([f64; FEATURES], f64)> = cases
        .iter()
        .flat_map(|case| &case.sentences)
        .map(|sentence| (sentence.features.as_array(), if sentence.marked { 1.0 } else { 0.0 }))
        .collect();
    let n = rows.len().max(1) as f64;
    let mean: [f64; FEATURES] = std::array::from_fn(|i| rows.iter().map(|(x, _)| x[i]).sum::<f64>() / n);
    let deviation: [f64; FEATURES] = std::array::from_fn(|i| {
        let variance = rows.iter().map(|(x, _)| (x[i] - mean[i]).powi(2)).sum::<f64>() / n;
        if variance > 1e-12 { variance.sqrt() } else { 1.0 }
    });
    let positive = rows.iter().map(|(_, y)| y).sum::<f64>().max(1.0);
    let balance = |y: f64| if y > 0.5 { 0.5 / positive } else { 0.5 / (n - positive).max(1.0) };
    let (mut bias, mut weights) = (0.0, [0.0; FEATURES]);
    for _ in 0..ROUNDS {
        let (mut bias_slope, mut slopes) = (0.0, [0.0; FEATURES]);
        for (x, y) in &rows {
            let standard: [f64; FEATURES] = std::array::from_fn(|i| (x[i] - mean[i]) / deviation[i]);
            let sum: f64 = bias + weights.iter().zip(standard).map(|(w, x)| w * x).sum::<f64>();
            let error = (1.0 / (1.0 + (-sum).exp()) - y) * balance(*y);
            bias_slope += error;
            (0..FEATURES).for_each(|i| slopes[i] += error * standard[i]);
        }
        bias -= RATE * bias_slope;
        for i in 0..FEATURES {
            weights[i] -= RATE * (slopes[i] + RIDGE * weights[i]);
            // What grows with doubt may not speak for a sentence; a denial of knowledge and mere length may.
            if !MAY_BE_NEGATIVE.contains(&i) {
                weights[i] = f64::max(weights[i], 0.0);
            }
        }
    }
    let raw: [f64; FEATURES] = std::array::from_fn(|i| weights[i] / deviation[i]);
    let bias = bias - raw.iter().zip(mean).map(|(w, mean)| w * mean).sum::<f64>();
    let mut model = Model { bias, weights: raw, threshold: 0.5 };
    model.threshold = best_threshold(&cases.iter().map(|case| (doubt(case, &model), case.marked)).collect::<Vec<_>>());
    model
}

/// The score from which flagging gives the best F1; between two scores that were seen.
fn best_threshold(scored: &[(f64, bool)]) -> f64 {
    let mut sorted: Vec<(f64, bool)> = scored.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let marked = sorted.iter().filter(|(_, marked)| *marked).count();
    let (mut best, mut threshold, mut found) = (0.0, 1.0, 0);
    for (at, (score, is_marked)) in sorted.iter().enumerate() {
        found += usize::from(*is_marked);
        let next = sorted.get(at + 1).map_or(0.0, |next| next.0);
        let f1 = 2.0 * found as f64 / (at + 1 + marked).max(1) as f64;
        if f1 > best && next < *score {
            (best, threshold) = (f1, (score + next) / 2.0);
        }
    }
    threshold
}

#[derive(Default)]
struct Counts {
    right: f64,
    wrong: f64,
    missed: f64,
}

impl Counts {
    fn add(&mut self, marked: bool, flagged: bool) {
        match (marked, flagged) {
            (true, true) => self.right += 1.0,
            (false, true) => self.wrong += 1.0,
            (true, false) => self.missed += 1.0,
            (false, false) => {}
        }
    }

    fn f1(&self) -> f64 {
        2.0 * self.right / (2.0 * self.right + self.wrong + self.missed).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_threshold_separates_and_ties_stay_together() {
        let scored = [(0.9, true), (0.8, true), (0.3, false), (0.2, false)];
        let threshold = best_threshold(&scored);
        assert!(threshold > 0.3 && threshold < 0.8, "{threshold}");
        let tied = [(0.5, true), (0.5, false), (0.1, false)];
        assert!(best_threshold(&tied) < 0.5);
    }

    #[test]
    fn a_question_is_in_one_fold_whatever_the_order() {
        let folds: Vec<usize> = (0..1_000).map(|question| fold(question * 2, 3)).collect();
        assert!((0..FOLDS).all(|wanted| folds.iter().filter(|fold| **fold == wanted).count() > 120));
    }
}
