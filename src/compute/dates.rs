//! Days as questions say them: "last week", "since 4 March", "in Q3", "in the past 30 days", always relative to a given today.

use jiff::ToSpan;
use jiff::civil::{Date, date};

/// Days from `from` to `to`, both inclusive; an open end is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    pub from: Option<Date>,
    pub to: Option<Date>,
}

impl Days {
    fn on(from: Date, to: Date) -> Self {
        Self { from: Some(from), to: Some(to) }
    }
}

const MONTHS: [[&str; 3]; 12] = [
    ["january", "jan", "januar"],
    ["february", "feb", "februar"],
    ["march", "mar", "märz"],
    ["april", "apr", "april"],
    ["may", "may", "mai"],
    ["june", "jun", "juni"],
    ["july", "jul", "juli"],
    ["august", "aug", "august"],
    ["september", "sep", "sept"],
    ["october", "oct", "oktober"],
    ["november", "nov", "november"],
    ["december", "dec", "dezember"],
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Words of this grammar, for the correction of typing errors.
pub const WORDS: &[&str] = &[
    "today",
    "yesterday",
    "week",
    "weeks",
    "month",
    "months",
    "quarter",
    "year",
    "years",
    "days",
    "day",
    "last",
    "this",
    "since",
    "before",
    "after",
    "between",
    "until",
    "during",
    "past",
    "previous",
    "current",
    "january",
    "february",
    "march",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// Days of a unit of time; months count 30.
pub fn unit_days(word: &str) -> Option<i64> {
    match word {
        "day" | "days" | "tag" | "tage" | "tagen" => Some(1),
        "week" | "weeks" | "woche" | "wochen" => Some(7),
        "month" | "months" | "monat" | "monate" | "monaten" => Some(30),
        "year" | "years" => Some(365),
        _ => None,
    }
}

/// A small number, in digits or as a word.
pub fn number(word: &str) -> Option<i64> {
    const WORDS: [&str; 13] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    if let Some(found) = WORDS.iter().position(|name| *name == word) {
        return i64::try_from(found).ok();
    }
    if word == "a" || word == "an" {
        return Some(1);
    }
    word.parse().ok().filter(|number: &i64| *number < 100_000)
}

/// A span of days that begins at `words[at]`, prepositions included: how many words, and which days.
pub fn read(words: &[&str], at: usize, today: Date) -> Option<(usize, Days)> {
    let word = |offset: usize| words.get(at + offset).copied().unwrap_or("");
    let skip_the = |offset: usize| offset + usize::from(matches!(word(offset), "the" | "der" | "den" | "dem"));
    match word(0) {
        "since" | "from" | "seit" | "starting" | "after" | "before" | "until" | "till" | "by" | "vor" | "bis" => {
            let start = skip_the(1);
            let (len, days) = plain(words, at + start, today)?;
            let days = match word(0) {
                "after" => Days { from: Some(days.to?.checked_add(1.days()).ok()?), to: None },
                "before" | "vor" => Days { from: None, to: Some(days.from?.checked_sub(1.days()).ok()?) },
                "until" | "till" | "by" | "bis" => Days { from: None, to: days.to },
                // "from 1 March to 5 March"
                _ => {
                    let next = start + len;
                    if matches!(word(next), "to" | "until" | "till" | "bis")
                        && let Some((more, end)) = plain(words, at + next + 1, today)
                    {
                        return Some((next + 1 + more, Days { from: days.from, to: end.to }));
                    }
                    Days { from: days.from, to: None }
                }
            };
            Some((start + len, days))
        }
        "between" => {
            let (len, from) = plain(words, at + 1, today)?;
            if word(1 + len) != "and" {
                return None;
            }
            let (more, to) = plain(words, at + 2 + len, today)?;
            Some((2 + len + more, Days { from: from.from, to: to.to }))
        }
        "in" | "on" | "during" | "over" | "within" | "of" | "im" | "am" | "for" => {
            let start = skip_the(1);
            let (len, days) = plain(words, at + start, today)?;
            Some((start + len, days))
        }
        _ => plain(words, at, today),
    }
}

fn plain(words: &[&str], at: usize, today: Date) -> Option<(usize, Days)> {
    let word = |offset: usize| words.get(at + offset).copied().unwrap_or("");
    let ago = |days: i64| today.checked_sub(days.days()).ok();
    match word(0) {
        "today" | "heute" => return Some((1, Days::on(today, today))),
        "yesterday" | "gestern" => return Some((1, Days::on(ago(1)?, ago(1)?))),
        "this" | "current" | "last" | "previous" | "past" | "diese" | "dieser" | "diesen" | "letzte" | "letzten"
        | "letzter" => {
            return relative(words, at, today);
        }
        _ => {}
    }
    if let (Some(count), Some(unit), "ago") = (number(word(0)), unit_days(word(1)), word(2)) {
        return Some((3, Days::on(ago(count * unit)?, ago(count * unit)?)));
    }
    if let Some(found) = weekday(word(0), today) {
        return Some((1, Days::on(found, found)));
    }
    full_date(words, at, today).or_else(|| period(words, at, today))
}

/// "this week", "last quarter", "last 30 days", "last monday".
fn relative(words: &[&str], at: usize, today: Date) -> Option<(usize, Days)> {
    let word = |offset: usize| words.get(at + offset).copied().unwrap_or("");
    if let (Some(count), Some(unit)) = (number(word(1)).filter(|_| word(1) != "a"), unit_days(word(2))) {
        return Some((3, Days::on(today.checked_sub((count * unit).days()).ok()?, today)));
    }
    let this = matches!(word(0), "this" | "current" | "diese" | "dieser" | "diesen");
    let back = |start: Date, span: jiff::Span| if this { Some(start) } else { start.checked_sub(span).ok() };
    let (start, length) = match word(1) {
        "week" | "woche" => {
            let monday = today.checked_sub(i64::from(today.weekday().to_monday_zero_offset()).days()).ok()?;
            (back(monday, 1.week())?, 1.week())
        }
        "month" | "monat" => (back(today.first_of_month(), 1.month())?, 1.month()),
        "quarter" | "quartal" => (back(quarter_start(today.year(), (today.month() + 2) / 3)?, 3.months())?, 3.months()),
        "year" | "jahr" => (back(date(today.year(), 1, 1), 1.year())?, 1.year()),
        other if !this => return weekday(other, today).map(|day| (2, Days::on(day, day))),
        _ => return None,
    };
    Some((2, Days::on(start, start.checked_add(length).ok()?.checked_sub(1.days()).ok()?)))
}

/// The last such weekday before today.
fn weekday(word: &str, today: Date) -> Option<Date> {
    let wanted = WEEKDAYS.iter().position(|name| *name == word)?;
    let here = usize::try_from(today.weekday().to_monday_zero_offset()).ok()?;
    let back = (here + 7 - wanted) % 7;
    today.checked_sub(i64::try_from(if back == 0 { 7 } else { back }).ok()?.days()).ok()
}

fn quarter_start(year: i16, quarter: i8) -> Option<Date> {
    (1..=4).contains(&quarter).then(|| Date::new(year, quarter * 3 - 2, 1).ok())?
}

fn month(word: &str) -> Option<i8> {
    let found = MONTHS.iter().position(|names| names.contains(&word))?;
    i8::try_from(found + 1).ok()
}

fn year(word: &str) -> Option<i16> {
    word.parse().ok().filter(|year: &i16| (1990..2100).contains(year))
}

fn day(word: &str) -> Option<i8> {
    let digits = word.trim_end_matches(['s', 't', 'n', 'd', 'r', 'h', '.']);
    digits.parse().ok().filter(|day: &i8| (1..=31).contains(day))
}

/// 2026-03-04, 4.3.2026, 4 March [2026], March 4 [2026]; without a year the last one that is not in the future.
fn full_date(words: &[&str], at: usize, today: Date) -> Option<(usize, Days)> {
    let word = |offset: usize| words.get(at + offset).copied().unwrap_or("");
    let one = |found: Date, len: usize| Some((len, Days::on(found, found)));
    if let Ok(found) = word(0).parse::<Date>() {
        return one(found, 1);
    }
    let dotted: Vec<&str> = word(0).split('.').filter(|part| !part.is_empty()).collect();
    if let [d, m, y] = dotted[..]
        && let (Some(d), Ok(m), Some(y)) = (day(d), m.parse(), year(y))
    {
        return one(Date::new(y, m, d).ok()?, 1);
    }
    let of = usize::from(word(1) == "of");
    let (d, m, len) = if let (Some(d), Some(m)) = (day(word(0)), month(word(1 + of))) {
        (d, m, 2 + of)
    } else if let (Some(m), Some(d)) = (month(word(0)), day(word(1)).filter(|_| year(word(1)).is_none())) {
        (d, m, 2)
    } else {
        return None;
    };
    if let Some(y) = year(word(len)) {
        return one(Date::new(y, m, d).ok()?, len + 1);
    }
    let this = Date::new(today.year(), m, d).ok()?;
    one(if this > today { Date::new(today.year() - 1, m, d).ok()? } else { this }, len)
}

/// "march", "march 2026", "q3", "q3 2026", "2026".
fn period(words: &[&str], at: usize, today: Date) -> Option<(usize, Days)> {
    let word = |offset: usize| words.get(at + offset).copied().unwrap_or("");
    let whole = |start: Date, span: jiff::Span, len: usize| {
        Some((len, Days::on(start, start.checked_add(span).ok()?.checked_sub(1.days()).ok()?)))
    };
    let with_year = |start: &dyn Fn(i16) -> Option<Date>| -> Option<(Date, usize)> {
        if let Some(y) = year(word(1)) {
            return Some((start(y)?, 2));
        }
        let this = start(today.year())?;
        Some((if this > today { start(today.year() - 1)? } else { this }, 1))
    };
    if let Some(m) = month(word(0)) {
        let (start, len) = with_year(&|y| Date::new(y, m, 1).ok())?;
        return whole(start, 1.month(), len);
    }
    if let Some(q) = word(0).strip_prefix('q').and_then(|q| q.parse::<i8>().ok()) {
        let (start, len) = with_year(&|y| quarter_start(y, q))?;
        return whole(start, 3.months(), len);
    }
    let y = year(word(0))?;
    whole(Date::new(y, 1, 1).ok()?, 1.year(), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<(usize, String)> {
        let words: Vec<&str> = text.split(' ').collect();
        let (len, days) = read(&words, 0, "2026-11-02".parse().unwrap())?;
        let show = |day: Option<Date>| day.map_or("…".to_owned(), |day| day.to_string());
        Some((len, format!("{} {}", show(days.from), show(days.to))))
    }

    #[test]
    fn spans_of_days_are_read_relative_to_today() {
        // 2026-11-02 is a Monday.
        for (text, len, expected) in [
            ("today", 1, "2026-11-02 2026-11-02"),
            ("yesterday", 1, "2026-11-01 2026-11-01"),
            ("this week", 2, "2026-11-02 2026-11-08"),
            ("last week", 2, "2026-10-26 2026-11-01"),
            ("last month", 2, "2026-10-01 2026-10-31"),
            ("this quarter", 2, "2026-10-01 2026-12-31"),
            ("last quarter", 2, "2026-07-01 2026-09-30"),
            ("in the last 30 days", 5, "2026-10-03 2026-11-02"),
            ("since 4 march 2026", 4, "2026-03-04 …"),
            ("since monday", 2, "2026-10-26 …"),
            ("before 2026-10-01", 2, "… 2026-09-30"),
            ("between 1 september and 15 september", 6, "2026-09-01 2026-09-15"),
            ("from 1.9.2026 to 15.9.2026", 4, "2026-09-01 2026-09-15"),
            ("in october", 2, "2026-10-01 2026-10-31"),
            ("in december", 2, "2025-12-01 2025-12-31"),
            ("in q3", 2, "2026-07-01 2026-09-30"),
            ("in 2026", 2, "2026-01-01 2026-12-31"),
            ("3 days ago", 3, "2026-10-30 2026-10-30"),
            ("on the 12th of october", 5, "2026-10-12 2026-10-12"),
        ] {
            assert_eq!(said(text), Some((len, expected.to_owned())), "{text}");
        }
        for text in ["on hold", "in transit", "by customer", "for more", "this order", "from acme", "42"] {
            assert_eq!(said(text), None, "{text}");
        }
    }
}
