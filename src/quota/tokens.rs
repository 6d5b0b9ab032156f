//! Tokens of chat models: reserved before a call, settled after it, summed over the period.
//!
//! A call that would go past the limit is not made. What a call may use at most (prompt and longest answer) is taken before it, in a
//! transaction that other calls of the tenant wait for, so that no number of calls at once gets past the limit together. Settling puts
//! what was used in its place. A call that nobody settles stays taken: the provider may have counted it.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::Row;
use utoipa::ToSchema;

use super::{Limits, TOKENS_MAX, period_of};
use crate::ids::TenantId;
use crate::store::{Dialect, Store, TenantTx};

/// Who is paid, and in which currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub provider: String,
    pub model: String,
    /// ISO 4217; empty without prices.
    pub currency: String,
}

/// Tokens taken for a call that runs.
#[derive(Debug)]
#[must_use = "a reservation that is not settled stays taken"]
pub struct Reservation {
    account: Account,
    day: Date,
    tokens: u64,
}

/// The outcome of asking for tokens.
#[derive(Debug)]
pub enum Reserved {
    Yes(Reservation),
    /// It would go past `limit`.
    No {
        used: u64,
        limit: u64,
        resets: Date,
    },
}

/// What a call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// Millionths of the account's currency.
    pub cost_micros: i64,
}

/// As SQL has it.
pub(super) fn as_sql(tokens: u64) -> i64 {
    i64::try_from(tokens.min(TOKENS_MAX)).unwrap_or(i64::MAX)
}

/// Takes `tokens` (the most that the call can use) for a call to `account`, if the period's limit allows.
pub async fn reserve(
    store: &Store,
    tenant: TenantId,
    limits: &Limits,
    account: &Account,
    tokens: u64,
    now: Timestamp,
) -> sqlx::Result<Reserved> {
    let (first, next) = period_of(limits.period, now);
    let day = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut tx = store.begin_write(tenant).await?;
    if let Some(limit) = limits.tokens {
        one_at_a_time(&mut tx).await?;
        let used = taken_since(&mut tx, first).await?;
        if used.saturating_add(tokens) > limit {
            tx.rollback().await?;
            return Ok(Reserved::No { used, limit, resets: next });
        }
    }
    sqlx::query(
        "INSERT INTO token_use (tenant_id, day, provider, model, currency, reserved_tokens) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (tenant_id, day, provider, model, currency) \
         DO UPDATE SET reserved_tokens = token_use.reserved_tokens + excluded.reserved_tokens",
    )
    .bind(tx.tenant_text())
    .bind(day.to_string())
    .bind(account.provider.clone())
    .bind(account.model.clone())
    .bind(account.currency.clone())
    .bind(as_sql(tokens))
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(Reserved::Yes(Reservation { account: account.clone(), day, tokens }))
}

/// Puts what was used in the place of what was taken.
pub async fn settle(store: &Store, tenant: TenantId, reservation: Reservation, spent: Spent) -> sqlx::Result<()> {
    let Reservation { account, day, tokens } = reservation;
    let mut tx = store.begin_write(tenant).await?;
    sqlx::query(
        "UPDATE token_use SET reserved_tokens = reserved_tokens - $6, calls = calls + 1, prompt_tokens = prompt_tokens + $7, \
         completion_tokens = completion_tokens + $8, cost_micros = cost_micros + $9 \
         WHERE tenant_id = $1 AND day = $2 AND provider = $3 AND model = $4 AND currency = $5",
    )
    .bind(tx.tenant_text())
    .bind(day.to_string())
    .bind(account.provider)
    .bind(account.model)
    .bind(account.currency)
    .bind(as_sql(tokens))
    .bind(as_sql(spent.prompt_tokens))
    .bind(as_sql(spent.completion_tokens))
    .bind(spent.cost_micros)
    .execute(tx.conn())
    .await?;
    tx.commit().await
}

/// Lets one call of a tenant at a time look at the sum and add to it. SQLite has one writer anyway.
async fn one_at_a_time(tx: &mut TenantTx) -> sqlx::Result<()> {
    if tx.dialect() == Dialect::Postgres {
        sqlx::query("SELECT count(*) FROM (SELECT pg_advisory_xact_lock(hashtextextended($1, 0))) AS held")
            .bind(format!("tokens of {}", tx.tenant_text()))
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// Tokens used and taken since a day, that day included.
pub async fn taken_since(tx: &mut TenantTx, first: Date) -> sqlx::Result<u64> {
    let row = sqlx::query(
        "SELECT CAST(coalesce(sum(prompt_tokens + completion_tokens + reserved_tokens), 0) AS BIGINT) FROM token_use \
         WHERE tenant_id = $1 AND day >= $2",
    )
    .bind(tx.tenant_text())
    .bind(first.to_string())
    .fetch_one(tx.conn())
    .await?;
    Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0))
}

/// What one model used on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TokenUse {
    /// UTC.
    pub day: String,
    /// Host of the provider.
    pub provider: String,
    pub model: String,
    pub calls: i64,
    pub prompt_tokens: i64,
    pub completion_tokens: i64,
    /// Taken by calls that run, or that ended with their process.
    pub reserved_tokens: i64,
    /// In `currency`; absent when the provider has no configured prices.
    pub cost: Option<String>,
    pub currency: Option<String>,
}

/// Use by day and model from `first` to `last`, newest day first; at most 1,000 rows.
pub async fn used(tx: &mut TenantTx, first: Date, last: Date) -> sqlx::Result<Vec<TokenUse>> {
    let rows = sqlx::query(
        "SELECT day, provider, model, currency, calls, prompt_tokens, completion_tokens, reserved_tokens, cost_micros \
         FROM token_use WHERE tenant_id = $1 AND day >= $2 AND day <= $3 ORDER BY day DESC, provider, model LIMIT 1000",
    )
    .bind(tx.tenant_text())
    .bind(first.to_string())
    .bind(last.to_string())
    .fetch_all(tx.conn())
    .await?;
    rows.iter()
        .map(|row| {
            let currency = Some(row.try_get::<String, _>(3)?).filter(|currency| !currency.is_empty());
            let micros: i64 = row.try_get(8)?;
            Ok(TokenUse {
                day: row.try_get(0)?,
                provider: row.try_get(1)?,
                model: row.try_get(2)?,
                calls: row.try_get(4)?,
                prompt_tokens: row.try_get(5)?,
                completion_tokens: row.try_get(6)?,
                reserved_tokens: row.try_get(7)?,
                cost: currency.as_ref().map(|_| amount(micros)),
                currency,
            })
        })
        .collect()
}

/// Millionths as a decimal text without trailing zeros.
pub fn amount(micros: i64) -> String {
    Decimal::new(micros, 6).normalize().to_string()
}
