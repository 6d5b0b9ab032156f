//! Circuit breaker: after repeated failures a provider is left alone for a while, so that callers fall to their next rung at
//! once instead of each waiting for a timeout. The time is passed in.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// When it opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row that open it, at least 1.
    pub failures: u32,
    /// How long it stays open; after that one call is let through to try.
    pub rest: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 5, rest: Duration::from_secs(30) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// One call is trying; the others are refused until it is known how it went, or until `until` if it never says.
    Trying {
        until: Instant,
    },
}

/// Shared by all calls to one provider.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: Mutex<State>,
}

impl Breaker {
    pub fn new(config: BreakerConfig) -> Self {
        Self { config, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Whether a call may be made at `now`. A caller who got `true` reports how it went.
    pub fn allow(&self, now: Instant) -> bool {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => true,
            State::Open { until } | State::Trying { until } if now < until => false,
            State::Open { .. } | State::Trying { .. } => {
                *state = State::Trying { until: now + self.config.rest };
                true
            }
        }
    }

    /// The call worked.
    pub fn succeeded(&self) {
        *self.state() = State::Closed { failures: 0 };
    }

    /// The call failed at `now` in a way that says something about the provider.
    pub fn failed(&self, now: Instant) {
        let mut state = self.state();
        let opened = State::Open { until: now + self.config.rest };
        *state = match *state {
            State::Closed { failures } if failures + 1 < self.config.failures => {
                State::Closed { failures: failures + 1 }
            }
            State::Open { until } => State::Open { until },
            State::Closed { .. } | State::Trying { .. } => opened,
        };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(30);

    fn open_breaker(now: Instant) -> Breaker {
        let breaker = Breaker::new(BreakerConfig { failures: 3, rest: REST });
        (0..3).for_each(|_| breaker.failed(now));
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_rests() {
        let start = Instant::now();
        let breaker = Breaker::new(BreakerConfig { failures: 3, rest: REST });
        breaker.failed(start);
        breaker.failed(start);
        breaker.succeeded();
        breaker.failed(start);
        breaker.failed(start);
        assert!(breaker.allow(start), "a success in between starts the count again");
        breaker.failed(start);
        assert!(!breaker.allow(start + REST - Duration::from_millis(1)));
        assert!(breaker.allow(start + REST));
    }

    #[test]
    fn after_the_rest_one_call_tries_and_decides() {
        let start = Instant::now();
        let breaker = open_breaker(start);
        assert!(breaker.allow(start + REST));
        assert!(!breaker.allow(start + REST), "only one call tries");
        breaker.failed(start + REST);
        assert!(!breaker.allow(start + REST + REST / 2), "it failed: rest again");
        assert!(breaker.allow(start + REST + REST));
        breaker.succeeded();
        assert!(breaker.allow(start + REST + REST) && breaker.allow(start + REST + REST));
    }

    #[test]
    fn a_try_that_never_reports_does_not_block_for_ever() {
        let start = Instant::now();
        let breaker = open_breaker(start);
        assert!(breaker.allow(start + REST));
        assert!(breaker.allow(start + REST + REST));
    }
}
