//! Cases through `/v1/answers`: accuracy by kind of case, citations verbatim, and whether confidence tells what can be answered.

use std::collections::BTreeMap;

use anyhow::Result;
use countersign::demo;
use serde_json::Value;

use super::Run;
use crate::bench_app::BenchApp;
use crate::cases::{self, Case, shortcomings};
use crate::manifest::{Answers, Corpus};
use crate::metrics::{auroc, roc};
use crate::report::{Plot, Series, SetReport, share};

pub async fn measure(
    run: &Run<'_>,
    bench: &BenchApp,
    answers: &Answers,
    corpus: &Corpus,
    report: &mut SetReport,
) -> Result<()> {
    let mut all: Vec<Case> = Vec::new();
    for place in &answers.cases {
        all.extend(cases::read::<Case>(place, run.roots)?);
    }
    if let Corpus::Demo { as_of, .. } = corpus {
        all.iter_mut().for_each(|case| case.date(*as_of));
        let company = demo::generate(*as_of, demo::DEFAULT_SEED);
        let files = company.files();
        for case in &mut all {
            cases::resolve(case, &company, &files)?;
        }
    }
    let mut by_kind: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (mut valid, mut citations) = (0, 0);
    let (mut declined, mut answered) = ((0, 0), (0, 0));
    let mut confidences: Vec<(f64, bool)> = Vec::new();
    for case in &all {
        let answer = ask(bench, case).await?;
        let (good, cited) = bench.check_citations(&answer).await?;
        valid += good;
        citations += cited;
        let wrong = shortcomings(case, &answer);
        let kind = by_kind.entry(case.kind.clone()).or_default();
        kind.0 += usize::from(wrong.is_empty());
        kind.1 += 1;
        let abstained = answer["abstained"] == true;
        let of = if case.abstains { &mut declined } else { &mut answered };
        of.0 += usize::from(abstained == case.abstains);
        of.1 += 1;
        confidences.push((confidence(&answer), !case.abstains));
        if run.verbose && !wrong.is_empty() {
            let text = answer["text"].as_str().unwrap_or_default().replace('\n', "\n  ");
            let coverage = &answer["understood"]["coverage"];
            println!(
                "\n[{} {}] {}\n  wrong: {wrong:?}, coverage {coverage}\n  {text}",
                case.kind, case.id, case.question
            );
        }
    }
    let right: usize = by_kind.values().map(|(right, _)| right).sum();
    report.count("cases", all.len());
    report.figure("cases right", share(right, all.len()));
    for (kind, (right, of)) in &by_kind {
        report.figure(&format!("{kind} right"), share(*right, *of));
    }
    report.figure("citations verbatim", share(valid, citations));
    report.figure("unanswerable abstained", share(declined.0, declined.1));
    report.figure("answerable answered", share(answered.0, answered.1));
    if declined.1 > 0 && answered.1 > 0 {
        report.figure("abstention auroc", auroc(&confidences));
        report.plot(curve(&confidences));
    }
    let bars = by_kind.iter().map(|(kind, (right, of))| (format!("{kind} ({of})"), vec![share(*right, *of)])).collect();
    report.plot(Plot::Bars {
        title: "Right, by kind of case".into(),
        series: vec!["share right".into()],
        bars,
        upper: 1.0,
    });
    Ok(())
}

/// Asks a case. The one place that knows how a kind of case is put to the service.
async fn ask(bench: &BenchApp, case: &Case) -> Result<Value> {
    bench.ask(&case.question).await
}

/// What abstention rests on, 0 to 1: a fact of a record that was named is certain; prose is as good as what it holds of the question.
fn confidence(answer: &Value) -> f64 {
    let record = answer["citations"].as_array().into_iter().flatten().any(|citation| !citation["record"].is_null());
    let coverage = answer["understood"]["coverage"].as_f64().unwrap_or(0.0);
    if record { 1.0 } else { coverage }
}

fn curve(confidences: &[(f64, bool)]) -> Plot {
    Plot::Lines {
        title: "Confidence: answerable against unanswerable".into(),
        x: "unanswerable taken for answerable".into(),
        y: "answerable recognised".into(),
        series: vec![Series { name: "roc".into(), points: roc(confidences) }],
    }
}
