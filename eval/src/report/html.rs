//! The report as one page: no script, nothing fetched, readable when printed.

use super::{Baseline, Figure, Report, SetReport, svg};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}\
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem;border-top:1px solid #d0d7de;padding-top:1rem}\
table{border-collapse:collapse;margin:1rem 0}th,td{text-align:left;padding:.2rem 1rem .2rem 0;border-bottom:1px solid #eaeef2}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.met{color:#116329}.not{color:#a40e26;font-weight:600}\
.plots{display:flex;flex-wrap:wrap;gap:1rem}svg{background:#fff;border:1px solid #eaeef2;max-width:100%;height:auto}\
p.about{max-width:48rem}small{color:#57606a}";

pub fn page(report: &Report, baseline: &Baseline) -> String {
    let sets: String = report.sets.iter().map(|set| section(report, set, baseline)).collect();
    let skipped = match report.skipped.as_slice() {
        [] => String::new(),
        skipped => format!("<p>Skipped: {}</p>", escaped(&skipped.join("; "))),
    };
    let contents: Vec<String> =
        report.sets.iter().map(|set| format!("<a href=\"#{0}\">{0}</a>", escaped(&set.name))).collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>countersign: measured</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\
         <h1>countersign: measured</h1><p>{} · embedder: {} · {}</p>{skipped}{sets}</body></html>\n",
        escaped(&report.measured_at),
        escaped(&report.embedder),
        contents.join(" · "),
    )
}

fn section(report: &Report, set: &SetReport, baseline: &Baseline) -> String {
    let rows: String =
        set.figures.iter().map(|figure| row(figure, baseline.of(&report.embedder, &set.name, &figure.name))).collect();
    let counts: Vec<String> = set.counts.iter().map(|(name, count)| format!("{count} {}", escaped(name))).collect();
    let plots: String = set.plots.iter().map(svg::draw).collect();
    let skipped: String = set.skipped.iter().map(|what| format!("<p>Skipped: {}</p>", escaped(what))).collect();
    format!(
        "<h2 id=\"{0}\">{0}</h2><p class=\"about\">{1}</p><small>{2} · {3:.0} s</small>{skipped}\
         <table><thead><tr><th>figure</th><th class=\"n\">value</th><th class=\"n\">bar</th><th class=\"n\">before</th><th></th></tr></thead>\
         <tbody>{rows}</tbody></table><div class=\"plots\">{plots}</div>",
        escaped(&set.name),
        escaped(&set.about),
        counts.join(" · "),
        set.seconds,
    )
}

fn row(figure: &Figure, before: Option<f64>) -> String {
    let number = |value: Option<f64>| value.map(|value| format!("{value:.4}")).unwrap_or_default();
    let (class, verdict) = match figure.met() {
        Some(true) => ("met", "met"),
        Some(false) => ("not", "not met"),
        None => ("", ""),
    };
    format!(
        "<tr><td>{}</td><td class=\"n\">{:.4}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"{class}\">{verdict}</td></tr>",
        escaped(&figure.name),
        figure.value,
        number(figure.bar),
        number(before),
    )
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Plot, Series};
    use super::*;

    #[test]
    fn the_page_stands_alone_and_escapes_what_it_shows() {
        let mut report = Report::new("hashed", "2026-01-01".into());
        let mut set = SetReport::new("a", "<b> & \"c\"", BTreeMap::from([("x".to_owned(), 0.5)]));
        set.figure("x", 0.4);
        let series = vec!["one <".to_owned(), "two".to_owned()];
        set.plot(Plot::Bars { title: "t".into(), series, bars: vec![("g".into(), vec![0.5, 1.0])], upper: 1.0 });
        let points = vec![(0.0, -0.5), (1.0, f64::NAN), (2.0, 0.5)];
        let lines = vec![Series { name: "l".into(), points }];
        set.plot(Plot::Lines { title: "t".into(), x: "x".into(), y: "y".into(), series: lines });
        report.sets.push(set);
        let page = page(&report, &Baseline::default());
        assert!(
            page.contains("&lt;b&gt; &amp; &quot;c&quot;") && page.contains("one &lt;") && page.contains("not met")
        );
        assert_eq!(page.matches("<svg").count(), 2);
        for foreign in ["<script", "http:", "https:", "NaN", "url(", "src="] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}
