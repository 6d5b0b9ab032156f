//! What a tenant may use: requests per minute ([`rate`]) and model tokens per period ([`tokens`]). Base module: knows no stage.
//!
//! The configuration has the defaults; a row of `tenant_quota` replaces them for one tenant and counts from its commit on, because it is
//! read with the key of each request. Nothing here sleeps or refuses: it says what is allowed, the callers act.

pub mod rate;
pub mod tokens;

use std::num::NonZeroU32;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::Row;
use sqlx::any::AnyRow;
use utoipa::ToSchema;

use crate::audit::{self, Action, Actor, Event};
use crate::config::{QuotaConfig, TokenPeriod};
use crate::store::TenantTx;

use self::rate::Allowance;

/// Most tokens that can be set, far beyond any bill: sums of them stay within 64 bits.
pub const TOKENS_MAX: u64 = 1_000_000_000_000_000;

/// What is set for one tenant; absent values follow the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantQuota {
    /// Requests a minute of one API key; 0: no limit.
    pub key_per_minute: Option<u32>,
    /// Requests a minute of all keys of the tenant together; 0: no limit.
    pub tenant_per_minute: Option<u32>,
    /// Tokens of chat models in a period, prompts and answers together; 0: no model is asked.
    pub token_limit: Option<u64>,
    pub token_period: Option<TokenPeriod>,
}

impl TenantQuota {
    /// From a row in which the columns `key_per_minute` to `token_period` begin at `from`; all NULL when the tenant has no row.
    pub fn read(row: &AnyRow, from: usize) -> sqlx::Result<Self> {
        let per_minute = |number: Option<i64>| number.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        Ok(Self {
            key_per_minute: per_minute(row.try_get(from)?),
            tenant_per_minute: per_minute(row.try_get(from + 1)?),
            token_limit: row.try_get::<Option<i64>, _>(from + 2)?.map(|limit| u64::try_from(limit).unwrap_or(0)),
            token_period: row.try_get::<Option<String>, _>(from + 3)?.and_then(|period| match period.as_str() {
                "day" => Some(TokenPeriod::Day),
                "month" => Some(TokenPeriod::Month),
                _ => None,
            }),
        })
    }
}

/// What counts for a request: the tenant's own values over the configuration's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `None`: no limit.
    pub key: Option<Allowance>,
    pub tenant: Option<Allowance>,
    /// `None`: no limit.
    pub tokens: Option<u64>,
    pub period: TokenPeriod,
}

impl Limits {
    pub fn new(config: &QuotaConfig, own: &TenantQuota) -> Self {
        let allowance =
            |own: Option<u32>, default: u32| NonZeroU32::new(own.unwrap_or(default)).map(Allowance::per_minute);
        Self {
            key: allowance(own.key_per_minute, config.key_per_minute),
            tenant: allowance(own.tenant_per_minute, config.tenant_per_minute),
            tokens: own.token_limit.or(config.token_limit),
            period: own.token_period.unwrap_or(config.token_period),
        }
    }
}

/// The first day (UTC) of the period that `now` lies in, and the first of the next.
pub fn period_of(period: TokenPeriod, now: Timestamp) -> (Date, Date) {
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    match period {
        TokenPeriod::Day => (today, today.tomorrow().unwrap_or(Date::MAX)),
        TokenPeriod::Month => (today.first_of_month(), today.last_of_month().tomorrow().unwrap_or(Date::MAX)),
    }
}

/// The tenant's own values.
pub async fn get(tx: &mut TenantTx) -> sqlx::Result<TenantQuota> {
    let row = sqlx::query(
        "SELECT key_per_minute, tenant_per_minute, token_limit, token_period FROM tenant_quota WHERE tenant_id = $1",
    )
    .bind(tx.tenant_text())
    .fetch_optional(tx.conn())
    .await?;
    row.map_or_else(|| Ok(TenantQuota::default()), |row| TenantQuota::read(&row, 0))
}

/// Replaces the tenant's own values.
pub async fn set(tx: &mut TenantTx, actor: &Actor, quota: &TenantQuota, now: Timestamp) -> sqlx::Result<()> {
    let period = quota.token_period.map(TokenPeriod::as_str);
    sqlx::query(
        "INSERT INTO tenant_quota (tenant_id, key_per_minute, tenant_per_minute, token_limit, token_period) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id) DO UPDATE SET key_per_minute = excluded.key_per_minute, \
         tenant_per_minute = excluded.tenant_per_minute, token_limit = excluded.token_limit, \
         token_period = excluded.token_period",
    )
    .bind(tx.tenant_text())
    .bind(quota.key_per_minute.map(i64::from))
    .bind(quota.tenant_per_minute.map(i64::from))
    .bind(quota.token_limit.map(tokens::as_sql))
    .bind(period)
    .execute(tx.conn())
    .await?;
    let event = Event {
        actor,
        action: Action::QuotaChanged,
        resource: format!("tenant:{}", tx.tenant()),
        state_sha256: None,
        details: json!(quota),
    };
    audit::append(tx, event, now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_where_the_next_begins() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let days = |period, text: &str| {
            let (from, to) = period_of(period, at(text));
            (from.to_string(), to.to_string())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(days(TokenPeriod::Day, "2026-02-28T23:59:59.999999Z"), pair("2026-02-28", "2026-03-01"));
        assert_eq!(days(TokenPeriod::Month, "2024-02-29T00:00:00Z"), pair("2024-02-01", "2024-03-01"));
        assert_eq!(days(TokenPeriod::Month, "2026-12-31T23:59:59Z"), pair("2026-12-01", "2027-01-01"));
    }

    #[test]
    fn a_tenants_own_values_go_before_the_configurations() {
        let config = QuotaConfig { key_per_minute: 10, token_limit: Some(5), ..QuotaConfig::default() };
        let own = TenantQuota { key_per_minute: Some(0), token_limit: Some(0), ..TenantQuota::default() };
        let limits = Limits::new(&config, &own);
        assert_eq!((limits.key, limits.tokens), (None, Some(0)));
        let limits = Limits::new(&config, &TenantQuota::default());
        assert_eq!((limits.key.map(|key| key.limit()), limits.tokens), (Some(10), Some(5)));
    }
}
