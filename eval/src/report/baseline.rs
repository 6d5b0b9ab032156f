//! What was reached before: figures by embedder and name, and the gate against falling behind them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{Report, SetReport};

/// How far a figure may fall below its baseline before the gate closes.
const TOLERANCE: f64 = 0.005;

/// `{"minilm": {"scifact/bm25 ndcg_at_10": 0.67}}`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Baseline(BTreeMap<String, BTreeMap<String, f64>>);

impl Baseline {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    pub fn of(&self, embedder: &str, set: &str, figure: &str) -> Option<f64> {
        self.0.get(embedder)?.get(&format!("{set}/{figure}")).copied()
    }

    /// Takes over every figure of the sets that ran; those of other sets and embedders stay.
    pub fn update(&mut self, report: &Report) {
        let figures = self.0.entry(report.embedder.clone()).or_default();
        for set in &report.sets {
            figures.retain(|name, _| !name.starts_with(&format!("{}/", set.name)));
            for figure in set.figures.iter().filter(|figure| figure.gated) {
                // Four digits: what is beyond differs between processors.
                figures.insert(format!("{}/{}", set.name, figure.name), (figure.value * 1e4).round() / 1e4);
            }
        }
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n").with_context(|| path.display().to_string())
    }

    /// Fails when a figure of a set that ran fell by more than the tolerance, or is gone, or a margin is negative.
    pub fn check(&self, report: &Report) -> Result<()> {
        let fell: Vec<String> = report.sets.iter().flat_map(|set| self.fell(&report.embedder, set)).collect();
        if fell.is_empty() { Ok(()) } else { bail!("worse than the baseline:\n  {}", fell.join("\n  ")) }
    }

    fn fell(&self, embedder: &str, set: &SetReport) -> Vec<String> {
        let mut fell = Vec::new();
        let prefix = format!("{}/", set.name);
        for (name, was) in self.0.get(embedder).into_iter().flatten() {
            let Some(name) = name.strip_prefix(&prefix) else { continue };
            match set.figures.iter().find(|figure| figure.name == name) {
                Some(figure) if figure.value < was - TOLERANCE => {
                    fell.push(format!("{prefix}{name}: {:.4}, was {was:.4}", figure.value));
                }
                Some(_) => {}
                None => fell.push(format!("{prefix}{name}: not measured, was {was:.4}")),
            }
        }
        let margins = set.figures.iter().filter(|figure| !figure.gated && figure.met() == Some(false));
        fell.extend(margins.map(|figure| format!("{prefix}{}: {:.4}", figure.name, figure.value)));
        fell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(embedder: &str, value: f64) -> Report {
        let mut report = Report::new(embedder, String::new());
        let mut set = SetReport::new("a", "", BTreeMap::new());
        set.figure("x", value);
        report.sets.push(set);
        report
    }

    #[test]
    fn the_gate_closes_on_a_figure_that_fell_or_is_gone() {
        let mut baseline = Baseline::default();
        baseline.update(&report("hashed", 0.7));
        assert_eq!(baseline.of("hashed", "a", "x"), Some(0.7));
        assert!(baseline.check(&report("hashed", 0.697)).is_ok());
        assert!(baseline.check(&report("hashed", 0.69)).is_err());
        assert!(baseline.check(&report("minilm", 0.1)).is_ok(), "another embedder's figures are not compared");
        let mut gone = report("hashed", 0.7);
        gone.sets[0].figures.clear();
        assert!(baseline.check(&gone).unwrap_err().to_string().contains("not measured"));
        let mut behind = report("hashed", 0.7);
        behind.sets[0].margin("hybrid over its best leg", -0.001);
        assert!(baseline.check(&behind).is_err());
    }

    #[test]
    fn an_update_replaces_the_figures_of_its_sets_only() {
        let mut baseline: Baseline =
            serde_json::from_str(r#"{"hashed": {"a/old": 1.0, "b/y": 0.5}, "minilm": {"a/x": 0.9}}"#).unwrap();
        baseline.update(&report("hashed", 0.12345));
        let expected = r#"{"hashed": {"a/x": 0.1235, "b/y": 0.5}, "minilm": {"a/x": 0.9}}"#;
        assert_eq!(baseline, serde_json::from_str(expected).unwrap());
    }
}
