//! Plots as inline SVG. Colours differ in lightness too, so that a black and white print still tells them apart.

use std::fmt::Write;

use super::html::escaped;
use super::{Plot, Series};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 40.0;
const COLOURS: [&str; 5] = ["#9ecae1", "#4292c6", "#08306b", "#e6842a", "#57606a"];

/// Maps a range of values to a range of pixels.
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        let span = self.high - self.low;
        let share = if span > 0.0 { (value - self.low) / span } else { 0.5 };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Five values over the range, ends included.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        (0..5).map(|step| self.low + f64::from(step) / 4.0 * (self.high - self.low))
    }
}

pub fn draw(plot: &Plot) -> String {
    match plot {
        Plot::Bars { title, series, bars, upper } => draw_bars(title, series, bars, *upper),
        Plot::Lines { title, x, y, series } => draw_lines(title, x, y, series),
    }
}

fn frame(title: &str, names: &[&str], body: &str) -> String {
    let mut legend = String::new();
    if names.len() > 1 {
        let mut at = LEFT;
        for (name, colour) in names.iter().zip(COLOURS.iter().cycle()) {
            let _ = write!(
                legend,
                "<rect x=\"{at:.0}\" y=\"26\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{:.0}\" y=\"35\">{}</text>",
                at + 14.0,
                escaped(name)
            );
            at += 30.0 + 7.0 * name.chars().count() as f64;
        }
    }
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" font-family=\"system-ui,sans-serif\" \
         font-size=\"11\" fill=\"#1b1f24\"><title>{0}</title><text x=\"{LEFT}\" y=\"17\" font-size=\"13\" font-weight=\"600\">{0}</text>\
         {legend}{body}</svg>",
        escaped(title)
    )
}

/// Horizontal lines with their values.
fn grid(y: &Scale) -> String {
    let mut lines = String::new();
    for tick in y.ticks() {
        let at = y.at(tick);
        let _ = write!(
            lines,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#eaeef2\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick:.2}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0
        );
    }
    lines
}

fn draw_bars(title: &str, series: &[String], bars: &[(String, Vec<f64>)], upper: f64) -> String {
    let y = Scale { low: 0.0, high: upper, from: HEIGHT - BOTTOM, to: TOP };
    let mut body = grid(&y);
    let slot = (WIDTH - LEFT - RIGHT) / (bars.len() as f64).max(1.0);
    let width = slot * 0.8 / (series.len() as f64).max(1.0);
    for (group, (name, values)) in bars.iter().enumerate() {
        let start = LEFT + slot * (group as f64 + 0.1);
        for (at, (value, colour)) in values.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let (x, top) = (start + width * at as f64, y.at(*value));
            let _ = write!(
                body,
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"><title>{}: {value:.4}</title></rect>",
                (width - 1.0).max(0.5),
                (HEIGHT - BOTTOM - top).max(0.0),
                escaped(name),
            );
            if width > 22.0 {
                let middle = x + width / 2.0;
                let _ = write!(
                    body,
                    "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"9\">{value:.3}</text>",
                    top - 3.0
                );
            }
        }
        let middle = start + slot * 0.4;
        // Names that would run into each other stand on a slant.
        let slant = if bars.len() > 5 {
            format!(" transform=\"rotate(-20 {middle:.1} {:.1})\"", HEIGHT - 24.0)
        } else {
            String::new()
        };
        let anchor = if bars.len() > 5 { "end" } else { "middle" };
        let _ = write!(
            body,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\"{slant}>{}</text>",
            HEIGHT - 24.0,
            escaped(name)
        );
    }
    frame(title, &series.iter().map(String::as_str).collect::<Vec<_>>(), &body)
}

fn draw_lines(title: &str, x_label: &str, y_label: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|one| &one.points).filter(|(x, y)| x.is_finite() && y.is_finite());
    let range = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), one| (low.min(one), high.max(one)))
    };
    let ((left, right), (low, high)) = (range(|point| point.0), range(|point| point.1));
    if !(left.is_finite() && low.is_finite()) {
        return frame(title, &[], "");
    }
    let x = Scale { low: left, high: right, from: LEFT, to: WIDTH - RIGHT };
    let y = Scale { low: low.min(0.0), high: high.max(low + 0.01), from: HEIGHT - BOTTOM, to: TOP };
    let mut body = grid(&y);
    for tick in x.ticks() {
        let _ = write!(
            body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick:.2}</text>",
            x.at(tick),
            HEIGHT - BOTTOM + 14.0
        );
    }
    for (one, colour) in series.iter().zip(COLOURS[1..].iter().cycle()) {
        let finite = one.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let path: Vec<String> = finite.map(|(px, py)| format!("{:.1},{:.1}", x.at(*px), y.at(*py))).collect();
        let _ = write!(
            body,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
    }
    let zero = y.at(0.0);
    let _ = write!(
        body,
        "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{zero:.1}\" y2=\"{zero:.1}\" stroke=\"#57606a\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
         <text x=\"{}\" y=\"{}\" fill=\"#57606a\" text-anchor=\"end\">{}</text>",
        WIDTH - RIGHT,
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 8.0,
        escaped(x_label),
        WIDTH - RIGHT,
        TOP - 6.0,
        escaped(y_label),
    );
    // The legend's colours have to be those of the lines.
    let names: Vec<&str> = std::iter::once("").chain(series.iter().map(|one| one.name.as_str())).collect();
    let legend = if series.len() > 1 { names } else { Vec::new() };
    frame(title, &legend, &body)
}
