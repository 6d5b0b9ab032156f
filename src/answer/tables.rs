//! Which row of a table a question is about: the one whose range holds the amount or the number of days asked about, else the one that shares
//! most with the question. Pure.

use std::sync::LazyLock;

use ingest::Decimal;
use regex::Regex;

use super::sentences::Unit;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Money,
    Days,
    Percent,
    Plain,
}

static QUANTITY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?:\b(up to|at most|below|under|less than|above|more than|over)\s+)?(eur |€ ?)?(\d[\d,]*(?:\.\d+)?)(?:\s*(?:to|-|–)\s*(?:eur |€ ?)?(\d[\d,]*(?:\.\d+)?))?\s*(%|(?:calendar |working )?days?\b|eur\b|euros?\b)?",
    )
    .ok()
});
static DATE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}\.\d{1,2}\.\d{2,4}\b|\bpol-\d+").ok());

#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    counts: Counts,
    low: Decimal,
    /// Whether `low` itself is outside.
    above: bool,
    high: Option<Decimal>,
}

fn ranges(text: &str) -> Vec<Range> {
    let folded = ingest::text::for_matching(text);
    let folded = match DATE.as_ref() {
        Some(date) => date.replace_all(&folded, " ").into_owned(),
        None => folded,
    };
    let Some(pattern) = QUANTITY.as_ref() else { return Vec::new() };
    pattern
        .captures_iter(&folded)
        .filter_map(|found| {
            let number = |at: usize| ingest::money::parse_decimal(&found.get(at)?.as_str().replace(',', "")).ok();
            let first = number(3)?;
            let unit = found.get(5).map_or("", |unit| unit.as_str());
            let counts = if found.get(2).is_some() || unit.starts_with("eur") {
                Counts::Money
            } else if unit.ends_with("day") || unit.ends_with("days") {
                Counts::Days
            } else if unit == "%" {
                Counts::Percent
            } else {
                Counts::Plain
            };
            let (low, above, high) = match (found.get(1).map(|word| word.as_str()), number(4)) {
                (_, Some(second)) => (first, false, Some(second)),
                (Some("up to" | "at most" | "below" | "under" | "less than"), None) => {
                    (Decimal::ZERO, false, Some(first))
                }
                (Some(_), None) => (first, true, None),
                (None, None) => (first, false, Some(first)),
            };
            Some(Range { counts, low, above, high })
        })
        .collect()
}

/// The row (position in `rows`, header first) whose range holds a quantity of the question. `None`: no row's does, or it names none.
///
/// Of several that hold it the one that begins highest. A column of bare numbers under a header about days is a ladder: each holds until the
/// next.
pub fn row_for(rows: &[Unit], text: &str, question: &str) -> Option<usize> {
    let header = ingest::text::for_matching(&text[rows.first()?.span.clone()]);
    // "More than 7 days" is just beyond 7.
    let beyond = Decimal::new(1, 6);
    let value = |one: &Range| if one.above { one.low + beyond } else { one.low.max(one.high.unwrap_or(one.low)) };
    let asked: Vec<(Counts, Decimal)> = ranges(question).iter().map(|one| (one.counts, value(one))).collect();
    let mut best: Option<(Decimal, usize)> = None;
    for (position, row) in rows.iter().enumerate().skip(1) {
        let line = &text[row.span.clone()];
        let mut own = ranges(line);
        let first_cell = line.trim_start_matches('|').split('|').next().unwrap_or_default().trim();
        if first_cell.chars().all(|c| c.is_ascii_digit()) && header.contains("day") && !first_cell.is_empty() {
            own = vec![Range { counts: Counts::Days, low: first_cell.parse().ok()?, above: false, high: None }];
        }
        for range in own {
            let holds = asked.iter().any(|(counts, value)| {
                *counts == range.counts
                    && (if range.above { *value > range.low } else { *value >= range.low })
                    && range.high.is_none_or(|high| *value <= high)
            });
            if holds && best.is_none_or(|(low, _)| range.low >= low) {
                best = Some((range.low, position));
            }
        }
    }
    best.map(|(_, position)| position)
}

#[cfg(test)]
mod tests {
    use super::super::sentences::units;
    use super::*;

    fn row(table: &str, question: &str) -> Option<String> {
        let rows = units(table);
        row_for(&rows, table, question).map(|at| table[rows[at].span.clone()].to_owned())
    }

    #[test]
    fn the_row_of_the_amount_or_the_days_asked_about_is_found() {
        let limits = "| Amount | By |\n|---|---|\n| up to EUR 250 | one |\n| EUR 250.01 to EUR 1,000 | two |\n| above EUR 1,000 | three |\n";
        assert!(row(limits, "a refund of EUR 600 on 2026-03-04").unwrap().contains("two"));
        assert!(row(limits, "a refund of 250 euros").unwrap().contains("one"));
        assert!(row(limits, "a refund of EUR 1,200?").unwrap().contains("three"));
        assert_eq!(row(limits, "who countersigns a refund?"), None);
        assert_eq!(row(limits, "within 30 days?"), None);
        let ladder =
            "| Days after the due date | Step |\n|---|---|\n| 7 | friendly |\n| 21 | second |\n| 35 | last |\n";
        assert!(row(ladder, "38 days overdue").unwrap().contains("last"));
        assert!(row(ladder, "21 days after the due date").unwrap().contains("second"));
        let late = "| Situation | Voucher |\n|---|---|\n| Delivery 3 to 7 days late | EUR 5.00 |\n| Delivery more than 7 days late | EUR 10.00 |\n";
        assert!(row(late, "it came 5 days late").unwrap().contains("5.00"));
        assert!(row(late, "more than 7 days late").unwrap().contains("10.00"));
        assert!(row(late, "it came 9 days late").unwrap().contains("10.00"));
    }
}
