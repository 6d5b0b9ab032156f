//! Many rows in few statements: multi-row VALUES and IN lists, portable to both engines.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};

use super::TenantTx;

/// Parameters of one statement; SQLite takes 32,766, PostgreSQL 65,535.
const BINDS_MAX: usize = 4_000;

/// One value to bind.
#[derive(Debug, Clone)]
pub enum Bind {
    Text(String),
    OptText(Option<String>),
    Int(i64),
    OptInt(Option<i64>),
    Bytes(Vec<u8>),
}

impl From<String> for Bind {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Bind {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Option<String>> for Bind {
    fn from(text: Option<String>) -> Self {
        Self::OptText(text)
    }
}

impl From<i64> for Bind {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<Option<i64>> for Bind {
    fn from(number: Option<i64>) -> Self {
        Self::OptInt(number)
    }
}

pub(crate) type AnyQuery<'q> = Query<'q, Any, AnyArguments>;

/// Binds one value.
pub(crate) fn bind(query: AnyQuery<'_>, value: Bind) -> AnyQuery<'_> {
    match value {
        Bind::Text(text) => query.bind(text),
        Bind::OptText(text) => query.bind(text),
        Bind::Int(number) => query.bind(number),
        Bind::OptInt(number) => query.bind(number),
        Bind::Bytes(bytes) => query.bind(bytes),
    }
}

/// `head VALUES (…), (…) tail` for all rows; each row starts with the tenant, which is added here.
///
/// - `head`: `INSERT INTO t (tenant_id, a, b)`; - `tail`: an `ON CONFLICT` clause or nothing. Rows must be equally long.
pub async fn insert(tx: &mut TenantTx, head: &str, tail: &str, rows: Vec<Vec<Bind>>) -> sqlx::Result<()> {
    let Some(width) = rows.first().map(|row| row.len() + 1) else { return Ok(()) };
    let per_statement = (BINDS_MAX / width).max(1);
    let tenant = tx.tenant_text();
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let part: Vec<Vec<Bind>> = rows.by_ref().take(per_statement).collect();
        let mut next = 0;
        let tuples: Vec<String> = part
            .iter()
            .map(|row| {
                let places: Vec<String> = (0..=row.len()).map(|i| format!("${}", next + i + 1)).collect();
                next += row.len() + 1;
                format!("({})", places.join(","))
            })
            .collect();
        let statement = format!("{head} VALUES {} {tail}", tuples.join(","));
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for row in part {
            query = query.bind(tenant.clone());
            for value in row {
                query = bind(query, value);
            }
        }
        query.execute(tx.conn()).await?;
    }
    Ok(())
}

/// Runs `head ($n, …) tail` for the ids in portions; `$1` is the tenant, `$2…` the `first` values, the ids follow. Returns the rows found.
pub async fn select_in(
    tx: &mut TenantTx,
    head: &str,
    first: &[Bind],
    ids: &[String],
    tail: &str,
) -> sqlx::Result<Vec<AnyRow>> {
    let mut found = Vec::new();
    for part in ids.chunks(BINDS_MAX / 2) {
        let statement = in_statement(head, first.len(), part.len(), tail);
        let query = bind_in(sqlx::query(AssertSqlSafe(statement)), tx.tenant_text(), first, part);
        found.extend(query.fetch_all(tx.conn()).await?);
    }
    Ok(found)
}

/// As [`select_in`], for statements that return no rows. Returns the number of rows affected.
pub async fn execute_in(
    tx: &mut TenantTx,
    head: &str,
    first: &[Bind],
    ids: &[String],
    tail: &str,
) -> sqlx::Result<u64> {
    let mut affected = 0;
    for part in ids.chunks(BINDS_MAX / 2) {
        let statement = in_statement(head, first.len(), part.len(), tail);
        let query = bind_in(sqlx::query(AssertSqlSafe(statement)), tx.tenant_text(), first, part);
        affected += query.execute(tx.conn()).await?.rows_affected();
    }
    Ok(affected)
}

fn in_statement(head: &str, first: usize, ids: usize, tail: &str) -> String {
    let places: Vec<String> = (0..ids).map(|i| format!("${}", first + i + 2)).collect();
    format!("{head} ({}) {tail}", places.join(","))
}

fn bind_in<'q>(query: AnyQuery<'q>, tenant: String, first: &[Bind], ids: &[String]) -> AnyQuery<'q> {
    let query = first.iter().cloned().fold(query.bind(tenant), bind);
    ids.iter().fold(query, |query, id| query.bind(id.clone()))
}
