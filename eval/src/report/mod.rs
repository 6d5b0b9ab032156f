//! Figures by set: printed, written as JSON and as one page, compared with a baseline.

mod baseline;
mod html;
mod svg;

pub use baseline::Baseline;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// Everything one run measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `minilm`, `hashed` or `none`: figures of different embedders are never compared.
    pub embedder: String,
    pub measured_at: String,
    pub sets: Vec<SetReport>,
    /// Sets that could not be run, and why.
    pub skipped: Vec<String>,
}

/// What was measured over one set.
#[derive(Debug, Serialize)]
pub struct SetReport {
    pub name: String,
    pub about: String,
    pub figures: Vec<Figure>,
    pub counts: BTreeMap<String, usize>,
    pub skipped: Vec<String>,
    pub seconds: f64,
    pub plots: Vec<Plot>,
    #[serde(skip)]
    bars: BTreeMap<String, f64>,
}

/// One measured number: more is better.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    /// What it is held to, if anything.
    pub bar: Option<f64>,
    /// Whether a baseline may hold it: parts too small to gate on are shown only.
    pub gated: bool,
}

impl Figure {
    /// Whether it reaches its bar; `None` without one.
    pub fn met(&self) -> Option<bool> {
        self.bar.map(|bar| self.value >= bar - 1e-9)
    }
}

/// A picture of a set, as data; `svg` draws it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Plot {
    /// Groups of bars: for each group a value per series, from 0 to `upper`.
    Bars {
        title: String,
        series: Vec<String>,
        bars: Vec<(String, Vec<f64>)>,
        upper: f64,
    },
    Lines {
        title: String,
        x: String,
        y: String,
        series: Vec<Series>,
    },
}

#[derive(Debug, Clone, Serialize)]
pub struct Series {
    pub name: String,
    /// Ascending in x.
    pub points: Vec<(f64, f64)>,
}

/// `part / of`; of nothing: 1, since nothing was wrong.
pub fn share(part: usize, of: usize) -> f64 {
    if of == 0 { 1.0 } else { part as f64 / of as f64 }
}

impl SetReport {
    pub fn new(name: &str, about: &str, bars: BTreeMap<String, f64>) -> Self {
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            figures: Vec::new(),
            counts: BTreeMap::new(),
            skipped: Vec::new(),
            seconds: 0.0,
            plots: Vec::new(),
            bars,
        }
    }

    /// Records a figure; its bar is the manifest's.
    pub fn figure(&mut self, name: &str, value: f64) {
        let bar = self.bars.get(name).copied();
        self.push(Figure { name: name.to_owned(), value, bar, gated: true });
    }

    /// A difference that may not be negative.
    pub fn margin(&mut self, name: &str, value: f64) {
        self.push(Figure { name: name.to_owned(), value, bar: Some(0.0), gated: false });
    }

    /// A figure that is shown only.
    pub fn note(&mut self, name: &str, value: f64) {
        self.push(Figure { name: name.to_owned(), value, bar: None, gated: false });
    }

    fn push(&mut self, figure: Figure) {
        let against = match (figure.bar, figure.met()) {
            (Some(bar), Some(true)) => format!("   bar {bar:.4}: met"),
            (Some(bar), Some(false)) => format!("   bar {bar:.4}: NOT MET"),
            _ => String::new(),
        };
        println!("{:<16} {:<44} {:>9.4}{against}", self.name, figure.name, figure.value);
        self.figures.push(figure);
    }

    /// How much was measured, for whoever reads the figures.
    pub fn count(&mut self, name: &str, count: usize) {
        if count > 0 {
            println!("{:<16} {name:<44} {count:>9}", self.name);
            self.counts.insert(name.to_owned(), count);
        }
    }

    pub fn skip(&mut self, what: &str) {
        println!("skipped: {}: {what}", self.name);
        self.skipped.push(what.to_owned());
    }

    pub fn plot(&mut self, plot: Plot) {
        self.plots.push(plot);
    }
}

impl Report {
    pub fn new(embedder: &str, measured_at: String) -> Self {
        Self { embedder: embedder.to_owned(), measured_at, sets: Vec::new(), skipped: Vec::new() }
    }

    pub fn skip(&mut self, why: String) {
        println!("skipped: {why}");
        self.skipped.push(why);
    }

    /// Writes `<stem>.json` and `<stem>.html`.
    pub fn write(&self, json: &Path, baseline: &Baseline) -> Result<()> {
        if let Some(folder) = json.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let page = json.with_extension("html");
        std::fs::write(json, serde_json::to_string_pretty(self)?).context("the report could not be written")?;
        std::fs::write(&page, html::page(self, baseline)).context("the page could not be written")?;
        println!("report: {} and {}", json.display(), page.display());
        Ok(())
    }
}
