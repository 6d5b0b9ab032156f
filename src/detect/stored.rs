//! Exceptions as stored: reading rows, writing them, the digest that the audit trail vouches for.

use ingest::{Currency, Money};
use serde_json::json;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::finding::{Cause, Fact, Involved};
use super::lifecycle::{State, Weight};
use super::priority::Weighed;
use super::{Severity, priority};
use crate::canonical;
use crate::ids::ExceptionId;
use crate::store::TenantTx;
use crate::store::bulk;

/// An exception with everything that is kept of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub id: ExceptionId,
    pub record_id: String,
    pub kind: String,
    pub domain: String,
    pub subject_kind: String,
    pub subject_external_id: String,
    pub severity: Severity,
    pub at_stake: Option<Money>,
    pub facts: Vec<Fact>,
    pub involved: Vec<Involved>,
    pub cause: Option<Cause>,
    pub group_id: Option<String>,
    /// Names of who may see all of it.
    pub audience: Vec<String>,
    pub state: State,
    pub present: bool,
    pub owner_id: Option<String>,
    pub ticket: Option<String>,
    pub first_seen_us: i64,
    pub opened_at_us: i64,
    pub last_seen_us: i64,
    pub reopened: i64,
    pub due_at_us: i64,
    pub escalated_at_us: Option<i64>,
}

pub const COLUMNS: &str = "e.exception_id, e.record_id, e.kind, e.domain, e.subject_kind, e.subject_external_id, e.severity, e.amount, \
    e.currency, e.facts, e.involved, e.cause_what, e.cause_id, e.group_id, e.audience, e.detail, e.present, e.owner_id, e.ticket, \
    e.first_seen_us, e.opened_at_us, e.last_seen_us, e.reopened, e.due_at_us, e.escalated_at_us";

fn json_of<T: serde::de::DeserializeOwned>(row: &AnyRow, column: usize) -> sqlx::Result<T> {
    serde_json::from_str(&row.try_get::<String, _>(column)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// A row of [`COLUMNS`].
pub fn read(row: &AnyRow) -> sqlx::Result<Stored> {
    let id: String = row.try_get(0)?;
    let rank = usize::try_from(row.try_get::<i64, _>(6)?).unwrap_or(0);
    let currency: Option<String> = row.try_get(8)?;
    let amount: Option<i64> = row.try_get(7)?;
    let currency = currency.and_then(|code| code.parse::<Currency>().ok());
    let (what, cause): (Option<String>, Option<String>) = (row.try_get(11)?, row.try_get(12)?);
    Ok(Stored {
        id: id.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        record_id: row.try_get(1)?,
        kind: row.try_get(2)?,
        domain: row.try_get(3)?,
        subject_kind: row.try_get(4)?,
        subject_external_id: row.try_get(5)?,
        severity: Severity::ALL[rank.min(3)],
        at_stake: amount.zip(currency).map(|(amount, currency)| Money::from_millionths(amount, currency)),
        facts: json_of(row, 9)?,
        involved: json_of(row, 10)?,
        cause: what.zip(cause).map(|(what, id)| Cause { what, id }),
        group_id: row.try_get(13)?,
        audience: json_of(row, 14)?,
        state: json_of(row, 15)?,
        present: row.try_get::<i64, _>(16)? == 1,
        owner_id: row.try_get(17)?,
        ticket: row.try_get(18)?,
        first_seen_us: row.try_get(19)?,
        opened_at_us: row.try_get(20)?,
        last_seen_us: row.try_get(21)?,
        reopened: row.try_get(22)?,
        due_at_us: row.try_get(23)?,
        escalated_at_us: row.try_get(24)?,
    })
}

impl Stored {
    pub fn weight(&self) -> Weight {
        Weight { severity: self.severity as i64, amount: self.at_stake.map(|money| money.millionths()) }
    }

    pub fn weighed(&self) -> Weighed {
        Weighed {
            severity: self.severity,
            at_stake: self.at_stake,
            escalated: self.escalated_at_us.is_some(),
            reopened: self.reopened,
        }
    }

    /// What people and rules decided about it, as one hash: it changes with an audit event only.
    pub fn digest(&self) -> String {
        let decided = json!({
            "state": self.state,
            "owner": self.owner_id,
            "ticket": self.ticket,
            "opened_at_us": self.opened_at_us,
            "escalated_at_us": self.escalated_at_us,
        });
        canonical::sha256_hex(canonical::to_text(&decided))
    }

    /// What was seen, as one hash.
    pub fn facts_digest(&self) -> String {
        canonical::sha256_hex(canonical::to_text(&json!({
            "facts": self.facts, "involved": self.involved, "severity": self.severity, "at_stake": self.at_stake, "cause": self.cause,
        })))
    }
}

/// Exceptions of these records.
pub async fn of_records(tx: &mut TenantTx, record_ids: &[String]) -> sqlx::Result<Vec<Stored>> {
    let head = format!("SELECT {COLUMNS} FROM exception e WHERE e.tenant_id = $1 AND e.record_id IN");
    bulk::select_in(tx, &head, &[], record_ids, "").await?.iter().map(read).collect()
}

/// One exception, locked until the transaction ends.
pub async fn lock(tx: &mut TenantTx, id: ExceptionId) -> sqlx::Result<Option<Stored>> {
    let lock = match tx.dialect() {
        crate::store::Dialect::Sqlite => "",
        crate::store::Dialect::Postgres => "FOR UPDATE",
    };
    let head = format!("SELECT {COLUMNS} FROM exception e WHERE e.tenant_id = $1 AND e.exception_id IN");
    let rows = bulk::select_in(tx, &head, &[], &[id.to_string()], lock).await?;
    rows.first().map(read).transpose()
}

/// Writes exceptions, new or changed.
pub async fn save(tx: &mut TenantTx, all: &[Stored]) -> sqlx::Result<()> {
    let rows = all.iter().map(|one| {
        let wake = if let State::Waiting { until_us } = one.state { Some(until_us) } else { None };
        vec![
            one.id.to_string().into(),
            one.record_id.clone().into(),
            one.kind.clone().into(),
            one.domain.clone().into(),
            one.subject_kind.clone().into(),
            one.subject_external_id.clone().into(),
            (one.severity as i64).into(),
            priority::score(&one.weighed()).into(),
            one.at_stake.map(|money| money.millionths()).into(),
            one.at_stake.map(|money| money.currency().to_string()).into(),
            canonical::to_text(&json!(one.facts)).into(),
            canonical::to_text(&json!(one.involved)).into(),
            one.facts_digest().into(),
            one.cause.as_ref().map(|cause| cause.what.clone()).into(),
            one.cause.as_ref().map(|cause| cause.id.clone()).into(),
            one.group_id.clone().into(),
            json!(one.audience).to_string().into(),
            one.state.name().into(),
            canonical::to_text(&json!(one.state)).into(),
            i64::from(one.present).into(),
            one.owner_id.clone().into(),
            one.ticket.clone().into(),
            one.first_seen_us.into(),
            one.opened_at_us.into(),
            one.last_seen_us.into(),
            one.reopened.into(),
            one.due_at_us.into(),
            one.escalated_at_us.into(),
            wake.into(),
        ]
    });
    let head = "INSERT INTO exception (tenant_id, exception_id, record_id, kind, domain, subject_kind, subject_external_id, severity, score, \
                amount, currency, facts, involved, facts_sha256, cause_what, cause_id, group_id, audience, state, detail, present, \
                owner_id, ticket, first_seen_us, opened_at_us, last_seen_us, reopened, due_at_us, escalated_at_us, wake_at_us)";
    let tail = "ON CONFLICT (tenant_id, exception_id) DO UPDATE SET severity = excluded.severity, score = excluded.score, \
                amount = excluded.amount, currency = excluded.currency, facts = excluded.facts, involved = excluded.involved, \
                facts_sha256 = excluded.facts_sha256, cause_what = excluded.cause_what, cause_id = excluded.cause_id, \
                group_id = excluded.group_id, audience = excluded.audience, state = excluded.state, detail = excluded.detail, \
                present = excluded.present, owner_id = excluded.owner_id, ticket = excluded.ticket, \
                opened_at_us = excluded.opened_at_us, last_seen_us = excluded.last_seen_us, reopened = excluded.reopened, \
                due_at_us = excluded.due_at_us, escalated_at_us = excluded.escalated_at_us, wake_at_us = excluded.wake_at_us";
    bulk::insert(tx, head, tail, rows.collect()).await
}

/// Notes that exceptions were seen again as they were.
pub async fn seen(tx: &mut TenantTx, ids: &[String], now_us: i64) -> sqlx::Result<()> {
    let head = "UPDATE exception SET last_seen_us = $2 WHERE tenant_id = $1 AND exception_id IN";
    bulk::execute_in(tx, head, &[now_us.into()], ids, "").await.map(drop)
}

/// For audit verification: the digest recomputed from the row.
pub async fn state(tx: &mut TenantTx, id: &str) -> sqlx::Result<Option<String>> {
    let head = format!("SELECT {COLUMNS} FROM exception e WHERE e.tenant_id = $1 AND e.exception_id IN");
    let rows = bulk::select_in(tx, &head, &[], &[id.to_owned()], "").await?;
    rows.first().map(|row| Ok(read(row)?.digest())).transpose()
}

/// Exceptions whose time has come: a snooze is over, or a service level has passed. At most `limit` of each.
pub async fn timed_out(tx: &mut TenantTx, now_us: i64, limit: i64) -> sqlx::Result<Vec<Stored>> {
    let mut found: Vec<Stored> = Vec::new();
    for clause in [
        "e.wake_at_us <= $2 ORDER BY e.wake_at_us LIMIT $3",
        "e.due_at_us <= $2 AND e.escalated_at_us IS NULL AND e.state IN ('open', 'waiting', 'drafted', 'in_review') \
         ORDER BY e.due_at_us LIMIT $3",
    ] {
        let statement = format!("SELECT {COLUMNS} FROM exception e WHERE e.tenant_id = $1 AND {clause}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(tx.tenant_text())
            .bind(now_us)
            .bind(limit)
            .fetch_all(tx.conn())
            .await?;
        for row in &rows {
            let one = read(row)?;
            if !found.iter().any(|other| other.id == one.id) {
                found.push(one);
            }
        }
    }
    Ok(found)
}

/// The next time at which anything of the tenant has to be looked at.
pub async fn next_due(tx: &mut TenantTx) -> sqlx::Result<Option<i64>> {
    let statements = [
        "SELECT min(due_at_us) FROM detect_state WHERE tenant_id = $1 AND due_at_us IS NOT NULL",
        "SELECT min(wake_at_us) FROM exception WHERE tenant_id = $1 AND wake_at_us IS NOT NULL",
        "SELECT min(due_at_us) FROM exception WHERE tenant_id = $1 AND escalated_at_us IS NULL AND state IN ('open', 'waiting', 'drafted', 'in_review')",
    ];
    let mut next: Option<i64> = None;
    for statement in statements {
        let row = sqlx::query(statement).bind(tx.tenant_text()).fetch_one(tx.conn()).await?;
        next = [next, row.try_get(0)?].into_iter().flatten().min();
    }
    Ok(next)
}
