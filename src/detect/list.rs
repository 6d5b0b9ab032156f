//! Exceptions as they are asked for: filtered, sorted, counted, grouped; only those whose every record the caller may see.

use ingest::{Currency, Money};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Row};
use utoipa::ToSchema;

use super::finding::Cause;
use super::stored::{COLUMNS, Stored, read};
use super::{DetectError, Severity};
use crate::access::Principal;
use crate::ids::ExceptionId;
use crate::store::TenantTx;
use crate::store::bulk::{self, Bind};

/// In which order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Highest score first.
    #[default]
    Priority,
    /// Latest opened first.
    Newest,
    /// Longest open first.
    Oldest,
    /// Whose service level passes first.
    ServiceLevel,
    /// Most money first, whatever the currency; none at stake last.
    Money,
}

impl Sort {
    /// The value sorted by, and whether high values come first.
    fn key(self) -> (&'static str, bool) {
        match self {
            Self::Priority => ("e.score", true),
            Self::Newest => ("e.opened_at_us", true),
            Self::Oldest => ("e.opened_at_us", false),
            Self::ServiceLevel => ("e.due_at_us", false),
            Self::Money => ("coalesce(e.amount, -1)", true),
        }
    }
}

/// Which exceptions.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Any of these; empty: all.
    pub kinds: Vec<String>,
    pub domains: Vec<String>,
    /// Names of states; empty: those somebody still has to do something about.
    pub states: Vec<String>,
    pub severity_at_least: Option<Severity>,
    /// A user's id; `Some("")`: nobody's.
    pub owner: Option<String>,
    pub group_id: Option<String>,
    pub record_id: Option<String>,
    pub escalated: Option<bool>,
}

/// A count with the money at stake in each currency.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KindCount {
    pub kind: String,
    pub count: i64,
    #[schema(value_type = Vec<Object>)]
    pub at_stake: Vec<Money>,
}

/// Exceptions of one kind with one cause.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Group {
    pub group_id: String,
    pub kind: String,
    pub cause: Cause,
    pub count: i64,
    pub highest_score: i64,
    pub first_opened_us: i64,
    #[schema(value_type = Vec<Object>)]
    pub at_stake: Vec<Money>,
}

/// Conditions with their values; `$1` is the tenant.
struct Where {
    text: String,
    values: Vec<Bind>,
}

impl Where {
    fn new(filter: &Filter, caller: &Principal) -> Self {
        let mut all = Self { text: String::new(), values: Vec::new() };
        let seen: Vec<String> = caller
            .audiences()
            .into_iter()
            .map(|name| format!("e.audience LIKE {}", all.bind(format!("%\"{name}\"%"))))
            .collect();
        all.and(format!("({})", seen.join(" OR ")));
        all.any("e.kind", &filter.kinds);
        all.any("e.domain", &filter.domains);
        match filter.states.as_slice() {
            [] => all.and("e.state IN ('open', 'waiting', 'drafted', 'in_review')".into()),
            states => all.any("e.state", states),
        }
        if let Some(severity) = filter.severity_at_least {
            let place = all.bind(severity as i64);
            all.and(format!("e.severity >= {place}"));
        }
        match filter.owner.as_deref() {
            None => {}
            Some("") => all.and("e.owner_id IS NULL".into()),
            Some(owner) => all.any("e.owner_id", &[owner.to_owned()]),
        }
        for (column, value) in [("e.group_id", &filter.group_id), ("e.record_id", &filter.record_id)] {
            if let Some(value) = value {
                all.any(column, std::slice::from_ref(value));
            }
        }
        match filter.escalated {
            None => {}
            Some(true) => all.and("e.escalated_at_us IS NOT NULL".into()),
            Some(false) => all.and("e.escalated_at_us IS NULL".into()),
        }
        all
    }

    fn bind(&mut self, value: impl Into<Bind>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len() + 1)
    }

    fn and(&mut self, condition: String) {
        self.text = format!("{} AND {condition}", self.text);
    }

    fn any(&mut self, column: &str, values: &[String]) {
        if values.is_empty() {
            return;
        }
        let places: Vec<String> = values.iter().map(|value| self.bind(value.clone())).collect();
        self.and(format!("{column} IN ({})", places.join(", ")));
    }

    async fn rows(self, tx: &mut TenantTx, columns: &str, tail: &str) -> sqlx::Result<Vec<sqlx::any::AnyRow>> {
        let statement = format!("SELECT {columns} FROM exception e WHERE e.tenant_id = $1{} {tail}", self.text);
        let query = sqlx::query(AssertSqlSafe(statement)).bind(tx.tenant_text());
        let query = self.values.into_iter().fold(query, bulk::bind);
        query.fetch_all(tx.conn()).await
    }
}

/// A page in order of `sort`; ties by id. `after`: the cursor of the page before. Returns the page and the next cursor.
pub async fn list(
    tx: &mut TenantTx,
    caller: &Principal,
    filter: &Filter,
    sort: Sort,
    after: Option<&str>,
    limit: i64,
) -> Result<(Vec<Stored>, Option<String>), DetectError> {
    let mut all = Where::new(filter, caller);
    let (key, high_first) = sort.key();
    let (order, beyond) = if high_first { ("DESC", "<") } else { ("ASC", ">") };
    if let Some(after) = after {
        let cursor = after.split_once('_').and_then(|(value, id)| Some((value.parse::<i64>().ok()?, id)));
        let Some((value, id)) = cursor else {
            return Err(DetectError::Invalid("after is the next of the page before"));
        };
        let (value, id) = (all.bind(value), all.bind(id.to_owned()));
        all.and(format!("({key} {beyond} {value} OR ({key} = {value} AND e.exception_id > {id}))"));
    }
    let limit_place = all.bind(limit + 1);
    let columns = format!("{COLUMNS}, {key}");
    let tail = format!("ORDER BY {key} {order}, e.exception_id LIMIT {limit_place}");
    let rows = all.rows(tx, &columns, &tail).await?;
    let mut page = Vec::with_capacity(rows.len());
    let mut last = None;
    for row in rows.iter().take(usize::try_from(limit).unwrap_or(0)) {
        let one = read(row)?;
        last = Some(format!("{}_{}", row.try_get::<i64, _>(25)?, one.id));
        page.push(one);
    }
    let next = last.filter(|_| rows.len() > page.len());
    Ok((page, next))
}

/// One exception.
pub async fn get(tx: &mut TenantTx, caller: &Principal, id: ExceptionId) -> Result<Stored, DetectError> {
    let mut all = Where::new(&Filter { states: every_state(), ..Filter::default() }, caller);
    let place = all.bind(id.to_string());
    all.and(format!("e.exception_id = {place}"));
    let rows = all.rows(tx, COLUMNS, "").await?;
    rows.first().map(read).transpose()?.ok_or(DetectError::NotFound)
}

fn every_state() -> Vec<String> {
    ["open", "waiting", "drafted", "in_review", "resolved", "dismissed"].map(str::to_owned).to_vec()
}

/// How many of each kind, and what is at stake; kinds in order of name.
pub async fn counts(tx: &mut TenantTx, caller: &Principal, filter: &Filter) -> sqlx::Result<Vec<KindCount>> {
    let columns = "e.kind, e.currency, count(*), CAST(sum(e.amount) AS BIGINT)";
    let rows =
        Where::new(filter, caller).rows(tx, columns, "GROUP BY e.kind, e.currency ORDER BY e.kind, e.currency").await?;
    let mut counts: Vec<KindCount> = Vec::new();
    for row in &rows {
        let kind: String = row.try_get(0)?;
        if counts.last().is_none_or(|last| last.kind != kind) {
            counts.push(KindCount { kind, count: 0, at_stake: Vec::new() });
        }
        if let Some(last) = counts.last_mut() {
            last.count += row.try_get::<i64, _>(2)?;
            last.at_stake.extend(sum_of(row, 1, 3)?);
        }
    }
    Ok(counts)
}

fn sum_of(row: &sqlx::any::AnyRow, currency: usize, sum: usize) -> sqlx::Result<Option<Money>> {
    let code: Option<String> = row.try_get(currency)?;
    let sum: Option<i64> = row.try_get(sum)?;
    let code = code.and_then(|code| code.parse::<Currency>().ok());
    Ok(sum.zip(code).map(|(sum, currency)| Money::from_millionths(sum, currency)))
}

/// Exceptions of one kind and cause, where there are at least `from` of them; highest score first, at most 200. With `filter.group_id` that
/// group, however small.
pub async fn groups(tx: &mut TenantTx, caller: &Principal, filter: &Filter, from: i64) -> sqlx::Result<Vec<Group>> {
    let mut all = Where::new(filter, caller);
    all.and("e.group_id IS NOT NULL".into());
    let place = all.bind(if filter.group_id.is_some() { 1 } else { from });
    let columns = "e.group_id, e.kind, e.cause_what, e.cause_id, count(*), max(e.score), min(e.opened_at_us), min(e.currency), \
                max(e.currency), CAST(sum(e.amount) AS BIGINT)";
    let tail = format!(
        "GROUP BY e.group_id, e.kind, e.cause_what, e.cause_id HAVING count(*) >= {place} ORDER BY max(e.score) DESC, e.group_id LIMIT 200"
    );
    let rows = all.rows(tx, columns, &tail).await?;
    rows.iter()
        .map(|row| {
            let one_currency = row.try_get::<Option<String>, _>(7)? == row.try_get::<Option<String>, _>(8)?;
            Ok(Group {
                group_id: row.try_get(0)?,
                kind: row.try_get(1)?,
                cause: Cause { what: row.try_get(2)?, id: row.try_get(3)? },
                count: row.try_get(4)?,
                highest_score: row.try_get(5)?,
                first_opened_us: row.try_get(6)?,
                // Amounts of two currencies do not add up to anything.
                at_stake: if one_currency { sum_of(row, 7, 9)?.into_iter().collect() } else { Vec::new() },
            })
        })
        .collect()
}
