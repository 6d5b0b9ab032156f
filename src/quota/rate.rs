//! Requests a minute, by the generic cell rate algorithm: a full minute's allowance at once, then evenly as time passes.
//!
//! One process counts in memory. On PostgreSQL the count is a row, so that it holds for all replicas and outlives a restart; there the
//! database's clock counts, as those of replicas differ. ITU-T I.371; one number is kept, the time at which the allowance is whole again.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row};

use super::Limits;
use crate::ids::{KeyId, TenantId};
use crate::store::{Dialect, Store, TenantTx};

const MINUTE_US: i64 = 60_000_000;
/// Counts kept in memory before those that are whole again are dropped.
const COUNTS_MAX: usize = 10_000;

/// So many requests a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance(NonZeroU32);

impl Allowance {
    pub const fn per_minute(limit: NonZeroU32) -> Self {
        Self(limit)
    }

    pub fn limit(self) -> u32 {
        self.0.get()
    }

    /// Microseconds in which one request is earned back, at least 1.
    fn earned_us(self) -> i64 {
        (MINUTE_US / i64::from(self.0.get())).max(1)
    }

    /// From nothing left to whole: exactly `limit` requests fit into it.
    fn window_us(self) -> i64 {
        self.earned_us() * i64::from(self.0.get())
    }

    /// One request at `now_us`, when the allowance is whole at `whole_at_us`: the new time at which it is whole, or how long to wait.
    ///
    /// A time more than a window away can only come from a clock that was put back: by a little, and the allowance counts as empty; by more,
    /// and it counts as whole, so that nobody waits for the clock to catch up.
    fn take(self, whole_at_us: i64, now_us: i64) -> Result<i64, i64> {
        let window = self.window_us();
        let from = if whole_at_us > now_us + 2 * window { now_us } else { whole_at_us.clamp(now_us, now_us + window) };
        let whole = from + self.earned_us();
        let over = whole - now_us - window;
        if over > 0 { Err(over) } else { Ok(whole) }
    }
}

/// How one limit stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// `key` or `tenant`.
    pub name: &'static str,
    pub limit: u32,
    pub remaining: u32,
    /// Seconds until it is whole again, rounded up.
    pub reset_s: u32,
}

impl Standing {
    fn new(name: &'static str, allowance: Allowance, whole_in_us: i64) -> Self {
        let left = (allowance.window_us() - whole_in_us).max(0) / allowance.earned_us();
        Self {
            name,
            limit: allowance.limit(),
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset_s: seconds_up(whole_in_us),
        }
    }
}

fn seconds_up(us: i64) -> u32 {
    u32::try_from((us.max(0).saturating_add(999_999)) / 1_000_000).unwrap_or(u32::MAX)
}

/// The outcome for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It may run.
    Yes(Vec<Standing>),
    /// It may not; nothing was taken.
    No { standing: Standing, retry_after_s: u32 },
}

/// Counts requests. One per process.
#[derive(Debug, Default)]
pub struct RateLimiter {
    whole_at_us: Mutex<HashMap<(TenantId, Option<KeyId>), i64>>,
}

impl RateLimiter {
    /// Takes one request of `key` and of its tenant, both or neither.
    pub async fn take(
        &self,
        store: &Store,
        tenant: TenantId,
        key: KeyId,
        limits: &Limits,
        now: Timestamp,
    ) -> sqlx::Result<Taken> {
        let scopes: Vec<(Option<KeyId>, Allowance)> =
            [(Some(key), limits.key), (None, limits.tenant)].into_iter().filter_map(|(k, a)| Some((k, a?))).collect();
        if scopes.is_empty() {
            return Ok(Taken::Yes(Vec::new()));
        }
        match store.dialect() {
            Dialect::Sqlite => Ok(self.take_here(tenant, &scopes, now.as_microsecond())),
            Dialect::Postgres => {
                let mut tx = store.begin_write(tenant).await?;
                let taken = take_shared(&mut tx, &scopes).await?;
                match taken {
                    Taken::Yes(_) => tx.commit().await?,
                    Taken::No { .. } => tx.rollback().await?,
                }
                Ok(taken)
            }
        }
    }

    fn take_here(&self, tenant: TenantId, scopes: &[(Option<KeyId>, Allowance)], now_us: i64) -> Taken {
        let mut counts = self.whole_at_us.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() > COUNTS_MAX {
            counts.retain(|_, whole| *whole > now_us);
        }
        let mut taken = Vec::new();
        for (key, allowance) in scopes {
            let whole = counts.get(&(tenant, *key)).copied().unwrap_or(now_us);
            match allowance.take(whole, now_us) {
                Ok(whole) => taken.push((*key, *allowance, whole)),
                Err(wait) => return refused(*key, *allowance, wait),
            }
        }
        let standings = taken.iter().map(|(key, allowance, whole)| {
            counts.insert((tenant, *key), *whole);
            Standing::new(name(*key), *allowance, whole - now_us)
        });
        Taken::Yes(standings.collect())
    }
}

fn name(key: Option<KeyId>) -> &'static str {
    if key.is_some() { "key" } else { "tenant" }
}

fn refused(key: Option<KeyId>, allowance: Allowance, wait_us: i64) -> Taken {
    let standing = Standing {
        remaining: 0,
        ..Standing::new(name(key), allowance, allowance.window_us() - allowance.earned_us() + wait_us)
    };
    Taken::No { standing, retry_after_s: seconds_up(wait_us).max(1) }
}

/// [`Allowance::take`] in SQL: `$3` is what one request costs, `$4` the window, `excluded.whole_at_us - $3` now.
const WHOLE: &str = "CASE WHEN rate_count.whole_at_us > excluded.whole_at_us - $3 + 2 * $4 THEN excluded.whole_at_us \
    ELSE least(greatest(rate_count.whole_at_us, excluded.whole_at_us - $3), excluded.whole_at_us - $3 + $4) + $3 END";

/// The same in PostgreSQL; rows stay locked until the transaction ends. The key's row before the tenant's, so that two requests never wait for each other.
async fn take_shared(tx: &mut TenantTx, scopes: &[(Option<KeyId>, Allowance)]) -> sqlx::Result<Taken> {
    let mut standings = Vec::new();
    for (key, allowance) in scopes {
        let scope = key.map_or_else(|| "tenant".to_owned(), |key| format!("key:{key}"));
        let row = sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO rate_count (tenant_id, scope, whole_at_us) \
             VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $3) \
             ON CONFLICT (tenant_id, scope) DO UPDATE SET whole_at_us = {WHOLE} WHERE {WHOLE} <= excluded.whole_at_us - $3 + $4 \
             RETURNING whole_at_us - (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
        )))
        .bind(tx.tenant_text())
        .bind(scope.clone())
        .bind(allowance.earned_us())
        .bind(allowance.window_us())
        .fetch_optional(tx.conn())
        .await?;
        match row {
            Some(row) => standings.push(Standing::new(name(*key), *allowance, row.try_get(0)?)),
            None => {
                let row = sqlx::query(
                    "SELECT whole_at_us - (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM rate_count \
                     WHERE tenant_id = $1 AND scope = $2",
                )
                .bind(tx.tenant_text())
                .bind(scope)
                .fetch_one(tx.conn())
                .await?;
                let whole_in: i64 = row.try_get(0)?;
                let wait = whole_in.min(allowance.window_us()) + allowance.earned_us() - allowance.window_us();
                return Ok(refused(*key, *allowance, wait.max(0)));
            }
        }
    }
    Ok(Taken::Yes(standings))
}

/// Slows down what comes again and again from somewhere, as failed attempts to guess a key. In memory, for this process only.
#[derive(Debug)]
pub struct Slowdown<K> {
    allowance: Allowance,
    whole_at_us: Mutex<HashMap<K, i64>>,
}

impl<K: std::hash::Hash + Eq> Slowdown<K> {
    pub fn new(allowance: Allowance) -> Self {
        Self { allowance, whole_at_us: Mutex::default() }
    }

    /// Counts one attempt; seconds to wait when there were too many.
    pub fn count(&self, from: K, now: Timestamp) -> Option<u32> {
        let now_us = now.as_microsecond();
        let mut counts = self.whole_at_us.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() > COUNTS_MAX {
            counts.retain(|_, whole| *whole > now_us);
        }
        let whole = counts.get(&from).copied().unwrap_or(now_us);
        match self.allowance.take(whole, now_us) {
            Ok(whole) => {
                counts.insert(from, whole);
                None
            }
            Err(wait) => Some(seconds_up(wait).max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowance(limit: u32) -> Allowance {
        Allowance::per_minute(NonZeroU32::new(limit).unwrap())
    }

    /// Requests that pass at once at `now`, at most `tries`; and the state after them.
    fn burst(allowance: Allowance, mut whole: i64, now: i64, tries: u32) -> (u32, i64) {
        let mut passed = 0;
        for _ in 0..tries {
            if let Ok(next) = allowance.take(whole, now) {
                (passed, whole) = (passed + 1, next);
            }
        }
        (passed, whole)
    }

    proptest! {
        #[test]
        fn exactly_the_limit_passes_and_again_after_a_minute(limit in 1u32..5_000, now in 0i64..1_000_000_000) {
            let a = allowance(limit);
            let (passed, whole) = burst(a, now, now, limit + 3);
            prop_assert_eq!(passed, limit);
            let wait = a.take(whole, now).unwrap_err();
            prop_assert!(a.take(whole, now + wait - 1).is_err());
            prop_assert!(a.take(whole, now + wait).is_ok());
            prop_assert_eq!(burst(a, whole, now + MINUTE_US, limit + 3).0, limit);
        }

        #[test]
        fn no_window_lets_more_than_twice_the_limit_through(limit in 1u32..200, gaps in prop::collection::vec(0i64..2_000_000, 1..400)) {
            let a = allowance(limit);
            let (mut now, mut whole, mut times) = (0, 0, Vec::new());
            for gap in gaps {
                now += gap;
                if let Ok(next) = a.take(whole, now) {
                    whole = next;
                    times.push(now);
                }
            }
            for (at, start) in times.iter().enumerate() {
                let inside = times[at..].iter().take_while(|time| **time < start + MINUTE_US).count();
                prop_assert!(inside <= 2 * limit as usize);
            }
        }

        #[test]
        fn a_clock_put_back_costs_two_windows_at_most(limit in 1u32..1_000, back in 0i64..10_000_000_000) {
            let a = allowance(limit);
            let now = 20_000_000_000;
            let (_, whole) = burst(a, now, now, limit);
            let again = (0..=121).find(|s| a.take(whole, now - back + s * 1_000_000).is_ok());
            prop_assert!(again.is_some());
            if let Err(wait) = a.take(whole, now - back) {
                prop_assert!(wait <= a.earned_us());
            }
        }
    }

    #[test]
    fn a_refused_tenant_costs_the_key_nothing() {
        let (tenant, key) = (TenantId::mint(), KeyId::mint());
        let limiter = RateLimiter::default();
        let scopes = [(Some(key), allowance(10)), (None, allowance(2))];
        let left = |taken: Taken| match taken {
            Taken::Yes(standings) => standings.iter().map(|one| one.remaining).collect::<Vec<_>>(),
            Taken::No { standing, .. } => vec![standing.limit],
        };
        assert_eq!(left(limiter.take_here(tenant, &scopes, 0)), [9, 1]);
        assert_eq!(left(limiter.take_here(tenant, &scopes, 0)), [8, 0]);
        assert_eq!(left(limiter.take_here(tenant, &scopes, 0)), [2]);
        assert_eq!(left(limiter.take_here(tenant, &scopes, MINUTE_US / 2)), [9, 0]);
        let other = [(Some(KeyId::mint()), allowance(10)), (None, allowance(2))];
        assert!(matches!(limiter.take_here(tenant, &other, MINUTE_US / 2), Taken::No { .. }), "all keys of the tenant");
        assert!(matches!(limiter.take_here(TenantId::mint(), &scopes, 0), Taken::Yes(_)), "another tenant");
    }

    #[test]
    fn attempts_are_counted_by_where_they_come_from() {
        let slow = Slowdown::new(allowance(3));
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!([(); 4].map(|()| slow.count("a", now)), [None, None, None, Some(20)]);
        assert_eq!(slow.count("b", now), None);
    }
}
