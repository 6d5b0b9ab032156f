//! What the values of a column look like: dates and how they are written, numbers, currency codes, flags.

use std::collections::BTreeSet;

use jiff::fmt::strtime;

use crate::money::Currency;
use crate::schema::FieldType;
use crate::table::CellKind;

/// Formats besides ISO, tried in this order; the first that reads every value wins.
const DATE_FORMATS: &[&str] = &[
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%Y%m%d",
];
const TIMES: &[&str] = &["", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", " %I:%M %p", " %H:%M:%S %z", "T%H:%M:%S%:z"];

/// Decimal mark and, where one is used, the mark of thousands.
pub(super) type Marks = (char, Option<char>);

#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    /// Cells that hold something.
    pub filled: usize,
    pub distinct: BTreeSet<String>,
    /// All filled cells are numbers, written so; `None` in it: typed by a sheet or JSON.
    pub number: Option<Option<Marks>>,
    pub whole: bool,
    /// At least one number has exactly two digits behind the mark.
    pub cents: bool,
    /// All filled cells are dates: the format, or `None` for ISO.
    pub date: Option<Option<String>>,
    /// Day and month could be the other way round.
    pub date_ambiguous: bool,
    pub flag: bool,
    pub currency: bool,
    pub longest: usize,
}

impl Shape {
    pub(super) fn of(cells: &[(CellKind, String)]) -> Self {
        let filled: Vec<&(CellKind, String)> = cells.iter().filter(|(_, text)| !text.is_empty()).collect();
        let texts: Vec<&str> = filled.iter().map(|(_, text)| text.as_str()).collect();
        if texts.is_empty() {
            return Self::default();
        }
        let typed = |wanted: CellKind| filled.iter().all(|(kind, _)| *kind == wanted);
        let number = if typed(CellKind::Number) { Some(None) } else { marks(&texts).map(Some) };
        let decimal = number.flatten().map_or('.', |(decimal, _)| decimal);
        let fraction = |text: &str| text.rsplit_once(decimal).map_or(0, |(_, digits)| digits.len());
        let date = if typed(CellKind::Moment) { Some(None) } else { date_format(&texts) };
        let flags = ["true", "false", "yes", "no", "y", "n", "t", "f", "0", "1"];
        Self {
            filled: texts.len(),
            distinct: texts.iter().map(|text| (*text).to_owned()).collect(),
            whole: number.is_some() && texts.iter().all(|text| fraction(text) == 0 || text.ends_with(".0")),
            cents: number.is_some() && texts.iter().any(|text| fraction(text) == 2),
            date_ambiguous: date.as_ref().is_some_and(|format| ambiguous(format.as_deref(), &texts)),
            flag: typed(CellKind::Flag) || texts.iter().all(|text| flags.contains(&text.to_ascii_lowercase().as_str())),
            currency: texts.iter().all(|text| text.len() == 3 && text.parse::<Currency>().is_ok()),
            longest: texts.iter().map(|text| text.len()).max().unwrap_or(0),
            number,
            date,
        }
    }

    /// How well the values fit a type of field: 0 (they cannot be read as it) to 1.
    pub(super) fn fits(&self, kind: FieldType) -> f64 {
        if self.filled == 0 {
            return 0.6; // nothing speaks against it
        }
        match kind {
            FieldType::Date | FieldType::Moment => f64::from(u8::from(self.date.is_some())),
            FieldType::Money => match (self.number.is_some(), self.cents || !self.whole) {
                (true, true) => 1.0,
                (true, false) => 0.8,
                (false, _) => 0.0,
            },
            FieldType::Quantity => f64::from(u8::from(self.number.is_some())),
            FieldType::Integer => f64::from(u8::from(self.number.is_some() && self.whole)),
            FieldType::Flag => f64::from(u8::from(self.flag)),
            // A date or an amount can be kept as text, but that is not what it is.
            FieldType::Text if self.date.is_some() && self.number.is_none() => 0.3,
            FieldType::Text if self.number.is_some() && !self.whole => 0.4,
            FieldType::Text => 1.0,
        }
    }

    /// Few values that come again and again.
    pub(super) fn is_code(&self) -> bool {
        self.filled > 0
            && self.distinct.len() <= 20
            && self.longest <= 40
            && self.number.is_none()
            && self.date.is_none()
    }
}

/// The marks with which every text is a number.
fn marks(texts: &[&str]) -> Option<Marks> {
    let candidates = [('.', None), ('.', Some(',')), (',', None), (',', Some('.')), ('.', Some(' ')), (',', Some(' '))];
    candidates.into_iter().find(|marks| texts.iter().all(|text| is_number(text, *marks)))
}

fn is_number(text: &str, (decimal, thousands): Marks) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = text.split_once(decimal).map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A leading zero is a sign of a code (postal, phone), unless it stands alone.
    let coded = whole.len() > 1 && whole.starts_with('0');
    let whole_ok = match thousands {
        Some(mark) if whole.contains(mark) => {
            let groups: Vec<&str> = whole.split(mark).collect();
            digits(groups[0])
                && groups[0].len() <= 3
                && groups[1..].iter().all(|group| digits(group) && group.len() == 3)
        }
        _ => digits(whole) || (whole.is_empty() && fraction.is_some()),
    };
    whole_ok && !coded && fraction.is_none_or(digits)
}

/// The format that reads every text; `Some(None)` is ISO.
fn date_format(texts: &[&str]) -> Option<Option<String>> {
    if texts.iter().all(|text| is_iso(text)) {
        return Some(None);
    }
    let formats = DATE_FORMATS.iter().flat_map(|date| TIMES.iter().map(move |time| format!("{date}{time}")));
    let iso_times = [" %H:%M:%S %z", " %H:%M:%S%z"].into_iter().map(|time| format!("%Y-%m-%d{time}"));
    iso_times
        .chain(formats)
        .find(|format| texts.iter().all(|text| strtime::parse(format, text).is_ok_and(|read| read.to_date().is_ok())))
        .map(Some)
}

fn is_iso(text: &str) -> bool {
    let day = text.get(..10).is_some_and(|day| day.as_bytes()[4] == b'-' && day.parse::<jiff::civil::Date>().is_ok());
    day && (text.len() == 10
        || text.parse::<jiff::Timestamp>().is_ok()
        || text.parse::<jiff::civil::DateTime>().is_ok())
}

/// Whether days and months would also read when exchanged.
fn ambiguous(format: Option<&str>, texts: &[&str]) -> bool {
    let Some(format) = format else { return false };
    let exchanged = match (format.find("%d"), format.find("%m")) {
        (Some(_), Some(_)) => format.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m"),
        _ => return false,
    };
    texts.iter().all(|text| strtime::parse(&exchanged, text).is_ok_and(|read| read.to_date().is_ok()))
}
