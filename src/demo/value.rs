//! Money, days and CSV bytes of the demo company.
//!
//! Everything is dated in *days ago*, counted back from `as_of`, and nothing depends on a weekday or on the length of a
//! month: the same seed gives the same company at any `as_of`, only shifted.

use std::ops::{Add, AddAssign, Sub};

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};
use serde::{Serialize, Serializer};

/// An amount in euro cents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(pub i64);

impl Cents {
    /// `percent` of this amount, rounded half away from zero to a cent.
    pub fn percent(self, percent: i64) -> Self {
        let scaled = self.0 * percent;
        Self((scaled + 50 * scaled.signum()) / 100)
    }

    /// This amount `quantity` times.
    pub fn times(self, quantity: i64) -> Self {
        Self(self.0 * quantity)
    }
}

impl Add for Cents {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Cents {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Cents {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::iter::Sum for Cents {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self(0), Add::add)
    }
}

impl std::fmt::Display for Cents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", self.0.abs() / 100, self.0.abs() % 100)
    }
}

impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The date `ago` days before `as_of`; negative values lie in the future.
pub(super) fn day(as_of: Date, ago: i64) -> Date {
    as_of.saturating_sub(ago.days())
}

/// That day at `hour`:`minute` (0..=23, 0..=59), local time of the company.
pub(super) fn at(as_of: Date, ago: i64, hour: i64, minute: i64) -> DateTime {
    day(as_of, ago).at(hour.clamp(0, 23) as i8, minute.clamp(0, 59) as i8, 0, 0)
}

/// Whole days from `date` to `as_of`; negative when `date` lies after it.
pub(super) fn days_ago(as_of: Date, date: Date) -> i64 {
    date.until(as_of).map_or(0, |span| i64::from(span.get_days()))
}

/// A CSV file with a header line. The rows are flat structs of ours, so that writing to memory cannot fail.
pub(super) fn csv_bytes<T: Serialize>(rows: &[T]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).expect("a flat row serialises");
    }
    writer.into_inner().expect("memory does not refuse bytes")
}

/// One JSON object a line.
pub(super) fn ndjson_bytes<T: Serialize>(rows: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut bytes, row).expect("a flat row serialises");
        bytes.push(b'\n');
    }
    bytes
}
