//! Figures by set and name: printed, written as JSON, compared with a baseline.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// How far a figure may fall below its baseline before `--check` fails.
const TOLERANCE: f64 = 0.005;

#[derive(Debug, Default)]
pub struct Report {
    figures: BTreeMap<String, f64>,
}

impl Report {
    /// Records and prints a figure; `bar` is what it is held to, if anything.
    pub fn figure(&mut self, set: &str, name: &str, value: f64, bar: Option<f64>) {
        let against = match bar {
            Some(bar) if value >= bar => format!("   bar {bar:.4}: met"),
            Some(bar) => format!("   bar {bar:.4}: NOT MET"),
            None => String::new(),
        };
        println!("{set:<16} {name:<34} {value:>9.4}{against}");
        self.figures.insert(format!("{set}/{name}"), value);
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_string_pretty(&self.figures)?).context("the report could not be written")
    }

    /// Fails when a figure of the baseline that was measured now fell by more than the tolerance.
    pub fn check(&self, baseline: &Path) -> Result<()> {
        let text = std::fs::read_to_string(baseline).context("the baseline could not be read")?;
        let baseline: BTreeMap<String, f64> = serde_json::from_str(&text)?;
        let fell: Vec<String> = baseline
            .iter()
            .filter_map(|(name, was)| {
                let now = self.figures.get(name)?;
                (*now < was - TOLERANCE).then(|| format!("{name}: {now:.4}, was {was:.4}"))
            })
            .collect();
        if fell.is_empty() { Ok(()) } else { bail!("worse than the baseline:\n  {}", fell.join("\n  ")) }
    }
}
