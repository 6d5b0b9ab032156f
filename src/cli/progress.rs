//! Progress on standard error: a bar on a terminal, a line per tenth or half a minute elsewhere, so that a long import never looks dead.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::environment::Environment;
use super::output::Output;
use crate::embed::weights::Progress as ModelProgress;

/// Without a terminal, something is printed at least this often while work goes on.
const SILENCE: Duration = Duration::from_secs(30);

/// Shows how far a piece of work is.
pub enum Progress {
    Bar(ProgressBar),
    /// What is counted, the total, and the last tenth that was printed.
    Lines {
        output: Output,
        what: &'static str,
        total: u64,
        done: u64,
        tenth: u64,
        /// When something was printed last.
        last: Instant,
    },
}

impl Progress {
    /// - `what`: what is counted, as `rows`.
    pub fn start(output: Output, environment: &Environment, what: &'static str, total: u64) -> Self {
        let plain = environment.get("NO_COLOR").is_some() || environment.get("TERM") == Some("dumb");
        if plain || !std::io::stderr().is_terminal() {
            return Self::Lines { output, what, total, done: 0, tenth: 0, last: Instant::now() };
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let template = format!("{{bar:32}} {{human_pos}}/{{human_len}} {what}  {{per_sec}}  {{eta}} left  {{msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    /// - `errors`: refused so far, in total.
    pub fn advance(&mut self, by: u64, errors: u64) {
        match self {
            Self::Bar(bar) => {
                bar.inc(by);
                if errors > 0 {
                    bar.set_message(format!("{errors} refused"));
                }
            }
            Self::Lines { output, what, total, done, tenth, last } => {
                *done += by;
                let reached = (*done * 10).checked_div(*total).unwrap_or(10);
                if reached > *tenth || last.elapsed() >= SILENCE {
                    *tenth = reached;
                    *last = Instant::now();
                    output.note(format!("  {done} of {total} {what}, {errors} refused"));
                }
            }
        }
    }

    pub fn finish(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Says that a model is being fetched, and every tenth of it.
pub fn of_model(output: Output) -> impl Fn(ModelProgress) + Send + Sync {
    let tenth = Mutex::new(0);
    move |progress| match progress {
        ModelProgress::Trying(source) => {
            output.note(format!("fetching the embedding model (90 MB, once) from {source} ..."))
        }
        ModelProgress::Bytes { done, total: Some(total) } if total > 10_000_000 => {
            let reached = done * 10 / total;
            let Ok(mut last) = tenth.lock() else { return };
            if reached > *last {
                *last = reached;
                output.note(format!("  {} of {} MB", done / 1_000_000, total / 1_000_000));
            }
        }
        ModelProgress::Bytes { .. } => {}
    }
}
