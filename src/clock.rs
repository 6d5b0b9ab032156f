//! The time, as an argument. Base module.
//!
//! Stages take a `Timestamp`; faces and workers ask a `Clock`, which tests replace.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// Where the time comes from: the machine, or a test.
#[derive(Debug, Clone)]
pub enum Clock {
    System,
    /// Microseconds UTC, moved by hand.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    pub fn fixed(at: Timestamp) -> Self {
        Self::Fixed(Arc::new(AtomicI64::new(at.as_microsecond())))
    }

    /// The time, cut to whole microseconds: what is hashed must be what is stored.
    pub fn now(&self) -> Timestamp {
        match self {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
            Self::System => from_us(Timestamp::now().as_microsecond()),
            Self::Fixed(at_us) => from_us(at_us.load(Ordering::SeqCst)),
        }
    }

    /// Moves a fixed clock; the system clock ignores it.
    pub fn advance(&self, by: SignedDuration) {
        if let Self::Fixed(at_us) = self {
            at_us.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

/// A time from stored microseconds; values outside jiff's range (year -9999 to 9999) are held at its ends.
pub fn from_us(us: i64) -> Timestamp {
    let edge = if us < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(us).unwrap_or(edge)
}
