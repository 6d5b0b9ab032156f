//! The date that matters: which day's policies a question is about.

use std::sync::LazyLock;

use jiff::civil::Date;
use regex::Regex;

use crate::record::Found;

/// Why that day was taken; shown in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The caller said so (`as_of`).
    Asked,
    /// The question names a day.
    Question,
    /// The record the question is about was ordered on that day.
    Record,
    Today,
}

/// The day whose policies apply: what the caller asked for, else a day named in the question, else the day the record in question was
/// ordered, else today.
pub fn policy_day(asked: Option<Date>, question: &str, records: &[&Found], today: Date) -> (Date, Because) {
    if let Some(day) = asked {
        return (day, Because::Asked);
    }
    if let Some(day) = day_in(question) {
        return (day, Because::Question);
    }
    let ordered = records.iter().find_map(|found| {
        ["ordered_at", "order_date"].iter().find_map(|name| found.record.fields.get(*name)?.as_date())
    });
    ordered.map_or((today, Because::Today), |day| (day, Because::Record))
}

static ISO: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b(\d{4})-(\d{2})-(\d{2})\b").ok());
static DOTTED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b").ok());
static WORDED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?,?\s+(\d{4})\b").ok()
});
static MONTH_FIRST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})\b",
    )
    .ok()
});

/// The first full calendar day written in a text; ambiguous forms such as 03/04/2026 are not read.
pub fn day_in(text: &str) -> Option<Date> {
    let number = |text: &str| text.parse::<i16>().ok();
    let day = |year: &str, month: i8, day: &str| Date::new(number(year)?, month, i8::try_from(number(day)?).ok()?).ok();
    let month = |text: &str| i8::try_from(number(text)?).ok();
    if let Some(found) = ISO.as_ref()?.captures(text) {
        return day(&found[1], month(&found[2])?, &found[3]);
    }
    if let Some(found) = DOTTED.as_ref()?.captures(text) {
        return day(&found[3], month(&found[2])?, &found[1]);
    }
    if let Some(found) = WORDED.as_ref()?.captures(text) {
        return day(&found[3], month_named(&found[2])?, &found[1]);
    }
    let found = MONTH_FIRST.as_ref()?.captures(text)?;
    day(&found[3], month_named(&found[1])?, &found[2])
}

fn month_named(text: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let wanted = text.to_lowercase();
    MONTHS.iter().zip(1..).find(|(name, _)| **name == wanted).map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_days_are_read_in_the_usual_spellings() {
        let expected: Date = "2026-03-04".parse().unwrap();
        for text in
            ["ordered on 2026-03-04?", "am 4.3.2026", "on 4 March 2026", "the 4th of March, 2026", "Mar 4, 2026"]
        {
            assert_eq!(day_in(text), Some(expected), "{text}");
        }
        for text in ["03/04/2026", "in 2026", "30.2.2026", "order 20260304", "2026-13-01"] {
            assert_eq!(day_in(text), None, "{text}");
        }
    }
}
