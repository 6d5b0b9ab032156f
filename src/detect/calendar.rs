//! Which day it is for a tenant, and how many days lie between two. Pure: the time is an argument.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use ingest::Value;

/// A tenant's days: its time zone and which weekdays are no working days.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    weekend: Vec<Weekday>,
}

impl Calendar {
    pub fn new(zone: TimeZone, weekend: Vec<Weekday>) -> Self {
        Self { zone, weekend }
    }

    pub fn day(&self, at: Timestamp) -> Date {
        at.to_zoned(self.zone.clone()).date()
    }

    /// The first instant of a day; `None` at the edges of the calendar.
    pub fn start(&self, day: Date) -> Option<Timestamp> {
        Some(day.to_zoned(self.zone.clone()).ok()?.timestamp())
    }

    /// The day of a date, or of an instant in the tenant's zone.
    pub fn day_of(&self, value: &Value) -> Option<Date> {
        match value {
            Value::Time(at) => Some(self.day(*at)),
            Value::Date(day) => Some(*day),
            Value::Text(_) | Value::Integer(_) | Value::Quantity(_) | Value::Money(_) | Value::Flag(_) => None,
        }
    }

    pub fn works_on(&self, day: Date) -> bool {
        !self.weekend.contains(&day.weekday())
    }

    /// The working day `count` working days after `from`; `from` itself when `count` is 0. At most 3,650 days on.
    pub fn add_working_days(&self, from: Date, count: i64) -> Date {
        let (mut day, mut left) = (from, count);
        for _ in 0..3_650 {
            if left <= 0 {
                break;
            }
            day = add_days(day, 1);
            left -= i64::from(self.works_on(day));
        }
        day
    }
}

/// Calendar days from `from` to `to`; negative when `to` is before.
pub fn days_between(from: Date, to: Date) -> i64 {
    i64::from(from.until(to).map_or(0, |span| span.get_days()))
}

/// Held at the calendar's ends.
pub fn add_days(day: Date, days: i64) -> Date {
    Span::new().try_days(days).map_or(day, |span| day.saturating_add(span))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_weekend_is_no_time() {
        let calendar = Calendar::new(TimeZone::UTC, vec![Weekday::Saturday, Weekday::Sunday]);
        let friday = date(2026, 3, 6);
        assert_eq!(calendar.add_working_days(friday, 0), friday);
        assert_eq!(calendar.add_working_days(friday, 1), date(2026, 3, 9));
        assert_eq!(calendar.add_working_days(friday, 6), date(2026, 3, 16));
        let seven = Calendar::new(TimeZone::UTC, vec![]);
        assert_eq!(seven.add_working_days(friday, 2), date(2026, 3, 8));
    }

    #[test]
    fn the_day_is_the_tenants_own() {
        let at: Timestamp = "2026-03-06T23:30:00Z".parse().unwrap();
        let amsterdam = Calendar::new(TimeZone::fixed(jiff::tz::offset(1)), vec![]);
        assert_eq!(amsterdam.day(at), date(2026, 3, 7));
        assert_eq!(days_between(date(2026, 3, 7), date(2026, 2, 28)), -7);
    }
}
