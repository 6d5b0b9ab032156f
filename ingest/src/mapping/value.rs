//! One cell to one typed value, exactly or not at all.
//!
//! Every refusal is a reason without the cell's content. There are no defaults here: what is absent stays absent.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::file::LocalTime;
use crate::json::Json;
use crate::money::{Currency, Decimal, Money, MoneyError, parse_decimal, to_millionths};
use crate::record::Value;
use crate::schema::FieldType;

/// How a source writes numbers, dates and absent values.
#[derive(Debug, Clone)]
pub(super) struct Notation {
    pub decimal: char,
    pub thousands: Option<char>,
    pub date_formats: Vec<String>,
    pub timezone: TimeZone,
    pub local_time: LocalTime,
    pub null_values: Vec<String>,
}

/// A cell reduced to one scalar: a text, and whether it was a JSON number (always written with a point).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar {
    Absent,
    Text(String),
    Number(String),
    Flag(bool),
    /// A sheet's date or time, in ISO form: read as that whatever formats the mapping names for text.
    Moment(String),
}

impl Scalar {
    /// The text that ids, value tables and joins see.
    pub(super) fn into_text(self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Text(text) | Self::Number(text) | Self::Moment(text) => Some(text),
            Self::Flag(flag) => Some(flag.to_string()),
        }
    }
}

impl Notation {
    /// A table's cell or JSON text: trimmed; empty and the mapping's null values are absent.
    pub(super) fn text(&self, text: &str) -> Scalar {
        let text = text.trim_matches([' ', '\t', '\r', '\n', '\u{a0}']);
        if text.is_empty() || self.null_values.iter().any(|null| null == text) {
            return Scalar::Absent;
        }
        Scalar::Text(text.to_owned())
    }

    /// A JSON value; lists and objects of scalars become one line of text ("color: red, size: M").
    pub(super) fn json(&self, json: &Json) -> Result<Scalar, String> {
        Ok(match json {
            Json::Null => Scalar::Absent,
            Json::Flag(flag) => Scalar::Flag(*flag),
            Json::Number(text) => Scalar::Number(text.clone()),
            Json::Text(text) => self.text(text),
            Json::List(items) => self.listed(items.iter().map(|item| (None, item)))?,
            Json::Object(entries) => self.listed(entries.iter().map(|(key, item)| (Some(key.as_str()), item)))?,
        })
    }

    fn listed<'a>(&self, items: impl Iterator<Item = (Option<&'a str>, &'a Json)>) -> Result<Scalar, String> {
        let mut parts = Vec::new();
        for (key, item) in items {
            if matches!(item, Json::List(_) | Json::Object(_)) {
                return Err("is a nested object or list, not a single value".into());
            }
            let Some(text) = self.json(item)?.into_text() else { continue };
            parts.push(key.map_or_else(|| text.clone(), |key| format!("{key}: {text}")));
        }
        Ok(if parts.is_empty() { Scalar::Absent } else { Scalar::Text(parts.join(", ")) })
    }

    /// The typed value of a scalar; `None` when it is absent.
    pub(super) fn value(
        &self,
        scalar: Scalar,
        kind: FieldType,
        currency: Option<Currency>,
        format: Option<&str>,
    ) -> Result<Option<Value>, String> {
        if scalar == Scalar::Absent {
            return Ok(None);
        }
        let value = match kind {
            FieldType::Text => match scalar {
                Scalar::Flag(_) => return Err("is true or false where a text should be".into()),
                other => Value::Text(other.into_text().unwrap_or_default()),
            },
            FieldType::Flag => Value::Flag(flag(&scalar)?),
            FieldType::Integer => Value::Integer(whole(self.decimal(&scalar)?)?),
            FieldType::Quantity => {
                let decimal = self.decimal(&scalar)?;
                to_millionths(decimal).map_err(|error| error.to_string())?;
                Value::quantity(decimal)
            }
            FieldType::Money => Value::Money(self.money(&scalar, currency)?),
            FieldType::Date => Value::Date(self.moment(&scalar, format)?.date(&self.timezone)),
            FieldType::Moment => self.moment(&scalar, format)?.value(self)?,
        };
        Ok(Some(value))
    }

    pub(super) fn decimal(&self, scalar: &Scalar) -> Result<Decimal, String> {
        let parsed = match scalar {
            Scalar::Number(text) => parse_decimal(text),
            Scalar::Text(text) => self.plain_number(text).and_then(|plain| parse_decimal(&plain)),
            Scalar::Flag(_) | Scalar::Moment(_) | Scalar::Absent => Err(MoneyError::NotANumber),
        };
        parsed.map_err(|error| error.to_string())
    }

    /// A number in the source's marks, rewritten with a point. Thousands marks must stand where they belong.
    fn plain_number(&self, text: &str) -> Result<String, MoneyError> {
        let (whole, fraction) = match text.split_once(self.decimal) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        let whole = match self.thousands {
            Some(mark) if whole.contains(mark) => {
                let unsigned = whole.trim_start_matches(['-', '+']);
                let groups: Vec<&str> = unsigned.split(mark).collect();
                let well_placed = groups[0].len() <= 3
                    && !groups[0].is_empty()
                    && groups[1..].iter().all(|group| group.chars().count() == 3);
                if !well_placed {
                    return Err(MoneyError::NotANumber);
                }
                whole.replace(mark, "")
            }
            _ => whole.to_owned(),
        };
        if self.decimal != '.' && (whole.contains('.') || fraction.is_some_and(|digits| digits.contains('.'))) {
            return Err(MoneyError::NotANumber);
        }
        Ok(fraction.map_or(whole.clone(), |fraction| format!("{whole}.{fraction}")))
    }

    /// `84.00`, `84.00 EUR` or `EUR 84.00`; a code in the cell must agree with the one the mapping names.
    fn money(&self, scalar: &Scalar, currency: Option<Currency>) -> Result<Money, String> {
        let (amount, written) = match scalar {
            Scalar::Text(text) => match split_currency(text) {
                Some((amount, code)) => (Scalar::Text(amount.to_owned()), Some(code)),
                None => (scalar.clone(), None),
            },
            other => (other.clone(), None),
        };
        let currency = match (written, currency) {
            (Some(written), Some(named)) if written != named => {
                return Err("is in another currency than its row".into());
            }
            (Some(code), _) | (None, Some(code)) => code,
            (None, None) => return Err("has no currency: name one in the mapping".into()),
        };
        Money::new(self.decimal(&amount)?, currency).map_err(|error| error.to_string())
    }

    fn moment(&self, scalar: &Scalar, format: Option<&str>) -> Result<Moment, String> {
        let Some(text) = scalar.clone().into_text().filter(|_| !matches!(scalar, Scalar::Flag(_))) else {
            return Err(NOT_A_DATE.into());
        };
        if let Scalar::Moment(written) = scalar {
            return iso(written).filter(|moment| moment.date(&self.timezone).year() >= 1).ok_or(NOT_A_DATE.into());
        }
        let formats = format.into_iter().chain(self.date_formats.iter().map(String::as_str));
        let moment = formats
            .into_iter()
            .find_map(|format| by_format(&text, format))
            .or_else(|| (format.is_none()).then(|| iso(&text)).flatten())
            .ok_or(NOT_A_DATE)?;
        let date = moment.date(&self.timezone);
        if date.year() < 1 { Err("is a date before the year 1".into()) } else { Ok(moment) }
    }

    /// An instant of a source time column.
    pub(super) fn instant(&self, scalar: Scalar) -> Result<Option<Timestamp>, String> {
        if scalar == Scalar::Absent {
            return Ok(None);
        }
        match self.moment(&scalar, None)? {
            Moment::Instant(instant) => Ok(Some(whole_microseconds(instant))),
            Moment::Day(day) => self.at_local(day.to_datetime(Time::midnight())).map(Some),
            Moment::Local(local) => self.at_local(local).map(Some),
        }
    }

    fn at_local(&self, local: DateTime) -> Result<Timestamp, String> {
        let ambiguous = self.timezone.to_ambiguous_timestamp(local);
        let resolved = match self.local_time {
            LocalTime::Earlier => ambiguous.earlier(),
            LocalTime::Later => ambiguous.later(),
            LocalTime::Refuse if ambiguous.is_ambiguous() => {
                return Err("is a local time that does not exist or exists twice (clock change); \
                            set local_time in the mapping"
                    .into());
            }
            LocalTime::Refuse => ambiguous.unambiguous(),
        };
        resolved.map(whole_microseconds).map_err(|_| "is a time outside the years 1 to 9999".into())
    }
}

const NOT_A_DATE: &str = "is not a date or time in a known format";

/// A date or time as it was written, before the time zone of the source is applied.
enum Moment {
    Day(Date),
    Local(DateTime),
    Instant(Timestamp),
}

impl Moment {
    fn date(&self, timezone: &TimeZone) -> Date {
        match self {
            Self::Day(date) => *date,
            Self::Local(local) => local.date(),
            Self::Instant(instant) => instant.to_zoned(timezone.clone()).date(),
        }
    }

    /// A local midnight is how many exports write a day, so it stays a day.
    fn value(self, notation: &Notation) -> Result<Value, String> {
        Ok(match self {
            Self::Day(date) => Value::Date(date),
            Self::Local(local) if local.time() == Time::midnight() => Value::Date(local.date()),
            Self::Local(local) => Value::Time(notation.at_local(local)?),
            Self::Instant(instant) => Value::Time(whole_microseconds(instant)),
        })
    }
}

/// Times are stored in microseconds; finer digits are dropped towards the past.
fn whole_microseconds(instant: Timestamp) -> Timestamp {
    let floor = instant.as_nanosecond().div_euclid(1_000);
    i64::try_from(floor).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok()).unwrap_or(instant)
}

fn by_format(text: &str, format: &str) -> Option<Moment> {
    match format {
        "epoch_seconds" => return Timestamp::from_second(text.parse().ok()?).ok().map(Moment::Instant),
        "epoch_milliseconds" => return Timestamp::from_millisecond(text.parse().ok()?).ok().map(Moment::Instant),
        _ => {}
    }
    let parsed = strtime::parse(format, text).ok()?;
    if parsed.offset().is_some() {
        return parsed.to_timestamp().ok().map(Moment::Instant);
    }
    if parsed.hour().is_some() {
        return parsed.to_datetime().ok().map(Moment::Local);
    }
    parsed.to_date().ok().map(Moment::Day)
}

/// RFC 3339, `2026-03-01`, `2026-03-01 14:00[:00[.fff]]`, with `T` or a space.
fn iso(text: &str) -> Option<Moment> {
    if !text.contains(':') {
        let shape = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
        return shape.then(|| text.parse::<Date>().ok()).flatten().map(Moment::Day);
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(Moment::Instant(instant));
    }
    text.parse::<DateTime>().ok().map(Moment::Local)
}

fn flag(scalar: &Scalar) -> Result<bool, String> {
    let text = match scalar {
        Scalar::Flag(flag) => return Ok(*flag),
        Scalar::Text(text) | Scalar::Number(text) | Scalar::Moment(text) => text.to_ascii_lowercase(),
        Scalar::Absent => String::new(),
    };
    match text.as_str() {
        "true" | "yes" | "y" | "t" | "1" => Ok(true),
        "false" | "no" | "n" | "f" | "0" => Ok(false),
        _ => Err("is not yes or no".into()),
    }
}

fn whole(decimal: Decimal) -> Result<i64, String> {
    let decimal = decimal.normalize();
    if decimal.scale() > 0 {
        return Err("is not a whole number".into());
    }
    i64::try_from(decimal.mantissa()).map_err(|_| "is a whole number out of range".into())
}

fn split_currency(text: &str) -> Option<(&str, Currency)> {
    let (first, last) = (text.split_once(' '), text.rsplit_once(' '));
    if let Some((amount, code)) = last
        && let Ok(code) = code.parse()
    {
        return Some((amount.trim_end(), code));
    }
    let (code, amount) = first?;
    Some((amount.trim_start(), code.parse().ok()?))
}
