//! "Within 30 calendar days after delivery", for a record whose delivery is known: the last day, and how far it is from today.

use std::sync::LazyLock;

use ingest::{FieldType, schema};
use jiff::ToSpan;
use jiff::civil::Date;
use regex::Regex;

use super::words::stem_set;
use crate::document::day_number;
use crate::record::Found;

static WITHIN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(\d{1,3}) (?:calendar )?days?(?: at most)? (?:after|since|from|of) (?:the |its |their )?([a-z' -]{3,60})").ok()
});
/// A term that a policy sets and a record has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    pub field: &'static str,
    pub label: &'static str,
    pub begun: Date,
    pub days: i64,
    pub last: Date,
}

impl Deadline {
    /// "30 days after Delivered 2026-10-10 end on 2026-11-09, 7 days from 2026-11-02".
    pub fn says(&self, title: &str, today: Date) -> String {
        let distance = day_number(self.last) - day_number(today);
        let when = match distance {
            0 => format!("which is today ({today})"),
            1.. => format!("{distance} days after {today}"),
            _ => format!("{} days before {today}", -distance),
        };
        format!("{title}: {} days after {} {} end on {}, {when}.", self.days, self.label, self.begun, self.last)
    }
}

/// The terms that a quoted rule sets for the days these records have. A rule counts for a day when what stands after "after" shares a word
/// with the day's field: "after delivery" with "Delivered".
pub fn deadlines(rule: &str, records: &[Found]) -> Vec<(usize, Deadline)> {
    let mut found: Vec<(usize, Deadline)> = Vec::new();
    for captures in WITHIN.as_ref().into_iter().flat_map(|pattern| pattern.captures_iter(rule)) {
        let Ok(days) = captures[1].parse::<i64>() else { continue };
        // The first words after "after" name the event; what follows is another thought.
        let event: String = captures[2].split(' ').take(6).collect::<Vec<_>>().join(" ");
        let event = stem_set(&event);
        let best = records.iter().enumerate().find_map(|(position, record)| {
            schema(record.record.kind)
                .fields
                .iter()
                .filter(|spec| matches!(spec.kind, FieldType::Date | FieldType::Moment))
                .filter(|spec| names_event(spec.label, &event))
                .find_map(|spec| Some((position, spec, record.record.fields.get(spec.name)?.as_date()?)))
        });
        let Some((position, spec, begun)) = best else { continue };
        let Ok(last) = begun.checked_add(days.days()) else { continue };
        let deadline = Deadline { field: spec.name, label: spec.label, begun, days, last };
        if !found.iter().any(|(_, other)| *other == deadline) {
            found.push((position, deadline));
        }
    }
    found
}

/// Whether a rule says within how many days after what.
pub fn states_a_term(rule: &str) -> bool {
    WITHIN.as_ref().is_some_and(|pattern| pattern.is_match(rule))
}

/// "delivery" and "Delivered" have different stems: the first five letters decide.
fn names_event(label: &str, event: &std::collections::HashSet<String>) -> bool {
    let head = |word: &str| word.chars().take(5).collect::<String>();
    stem_set(label).iter().any(|stem| event.iter().any(|word| head(word) == head(stem)))
}

#[cfg(test)]
mod tests {
    use ingest::{Record, RecordKind, Value};

    use super::*;

    #[test]
    fn a_term_is_counted_from_the_day_it_names() {
        let mut record = Record::new(RecordKind::Order, "SO-1");
        record.fields.insert("ordered_at".into(), Value::Date("2026-10-01".parse().unwrap()));
        record.fields.insert("delivered_at".into(), Value::Time("2026-10-10T12:00:00Z".parse().unwrap()));
        let found = Found {
            id: "0190a5c5-0000-7000-8000-000000000000".parse().unwrap(),
            source: "erp".into(),
            source_id: String::new(),
            version: 1,
            record,
            seen_at_us: 0,
            synced_at_us: None,
        };
        let rule = "A consumer may return an item within 30 calendar days after delivery. The goods may arrive up to 14 days later.";
        let today = "2026-11-02".parse().unwrap();
        let said: Vec<String> =
            deadlines(rule, &[found]).iter().map(|(_, one)| one.says("Order SO-1", today)).collect();
        assert_eq!(
            said,
            ["Order SO-1: 30 days after Delivered 2026-10-10 end on 2026-11-09, 7 days after 2026-11-02."]
        );
    }
}
