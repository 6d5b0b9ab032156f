//! A checked query as SQL over `record_fact`. Column names come from the layout, everything else is bound.

use ingest::RecordKind;
use sqlx::{AssertSqlSafe, Row};

use super::query::{Checked, Condition, Each, Grouping, Op, Operand, Place, Quantity};
use crate::record::layout::Slot;
use crate::store::TenantTx;
use crate::store::bulk::Bind;

/// Days, weeks and so on are merged from at most this many days.
const DAYS_MAX: i64 = 20_000;

/// The sums behind one measure for one key and currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub key: Option<String>,
    pub currency: Option<String>,
    /// Records that have the value.
    pub rows: i64,
    /// Millionths; days for days.
    pub sum: i128,
    pub min: Option<i64>,
    pub max: Option<i64>,
}

/// A statement in the making; `$1` is the tenant.
struct Statement {
    binds: Vec<Bind>,
    audiences: String,
}

impl Statement {
    fn place(&mut self, value: impl Into<Bind>) -> String {
        self.binds.push(value.into());
        format!("${}", self.binds.len() + 1)
    }

    fn list(&mut self, values: impl IntoIterator<Item = String>) -> String {
        values.into_iter().map(|value| self.place(value)).collect::<Vec<_>>().join(",")
    }

    fn new(audiences: &[String]) -> Self {
        let mut statement = Self { binds: Vec::new(), audiences: String::new() };
        statement.audiences = statement.list(audiences.iter().cloned());
        statement
    }

    /// The value of a field for the row `f`.
    fn value(&mut self, place: Place) -> String {
        self.read(place, name(place.column.slot))
    }

    fn currency(&mut self, place: Place) -> Option<String> {
        match place.column.slot {
            Slot::Amount(at) => Some(self.read(place, format!("k{at}"))),
            Slot::Text(_) | Slot::Day(_) | Slot::Number(_) => None,
        }
    }

    fn read(&mut self, place: Place, column: String) -> String {
        let cost = place.column.is_cost();
        let live = "SELECT source_id FROM source WHERE tenant_id = $1 AND deleted_at_us IS NULL";
        let audiences = self.audiences.clone();
        let Some((via, kind)) = place.via else {
            if !cost {
                return format!("f.{column}");
            }
            return format!(
                "(SELECT c.{column} FROM record_fact c WHERE c.tenant_id = $1 AND c.record_id = f.record_id AND c.part = 'cost' \
                 AND c.audience IN ({audiences}))"
            );
        };
        // A scalar of one row: a customer that two sources know must not count its orders twice. The record's own source first.
        let kind = self.place(kind.as_str());
        let part = if cost { "cost" } else { "main" };
        let target = format!(
            "SELECT v.{column} FROM record_fact v WHERE v.tenant_id = $1 AND v.kind = {kind} AND v.part = '{part}' \
             AND v.external_id = f.{link} AND v.audience IN ({audiences})",
            link = name(via.slot)
        );
        format!(
            "COALESCE(({target} AND v.source_id = f.source_id), ({target} AND v.source_id IN ({live}) ORDER BY v.record_id LIMIT 1))"
        )
    }

    /// `what` of the records that match.
    fn select(&mut self, what: &str, checked: &Checked) -> String {
        let kind = self.place(checked.query.kind.as_str());
        let mut text = format!(
            "SELECT {what} FROM record_fact f{} WHERE f.tenant_id = $1 AND f.kind = {kind} AND f.part = 'main' AND f.audience IN ({}) \
             AND f.source_id IN (SELECT source_id FROM source WHERE tenant_id = $1 AND deleted_at_us IS NULL)",
            if let Some(Grouping::Linked(_)) = checked.grouping {
                " JOIN record_link l ON l.tenant_id = f.tenant_id AND l.record_id = f.record_id"
            } else {
                ""
            },
            self.audiences
        );
        if let Some(Grouping::Linked(kind)) = checked.grouping {
            let kind = self.place(kind.as_str());
            text.push_str(&format!(" AND l.target_kind = {kind}"));
        }
        for condition in &checked.conditions {
            let condition = self.condition(condition);
            text.push_str(" AND ");
            text.push_str(&condition);
        }
        text
    }

    fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::Referred { kind, by } => self.referred(*kind, *by),
            Condition::RefersTo { kind, ids } => {
                let kind = self.place(kind.as_str());
                let ids = self.list(ids.iter().cloned());
                format!(
                    "EXISTS (SELECT 1 FROM record_link t WHERE t.tenant_id = $1 AND t.record_id = f.record_id \
                     AND t.target_kind = {kind} AND t.target_external_id IN ({ids}))"
                )
            }
            Condition::Compare { place, op, operand } => self.compare(*place, *op, operand),
        }
    }

    fn referred(&mut self, kind: RecordKind, by: bool) -> String {
        let kind = self.place(kind.as_str());
        let not = if by { "" } else { "NOT " };
        format!(
            "{not}EXISTS (SELECT 1 FROM record_link t WHERE t.tenant_id = $1 AND t.target_kind = f.kind \
             AND t.target_external_id = f.external_id AND EXISTS (SELECT 1 FROM record_fact g WHERE g.tenant_id = $1 \
             AND g.record_id = t.record_id AND g.part = 'main' AND g.kind = {kind} AND g.audience IN ({})))",
            self.audiences
        )
    }

    fn compare(&mut self, place: Place, op: Op, operand: &Operand) -> String {
        let value = self.value(place);
        match (op, operand) {
            (Op::Present, _) => format!("{value} IS NOT NULL"),
            (Op::Missing, _) => format!("{value} IS NULL"),
            (_, Operand::Place(other)) => {
                let right = self.value(*other);
                let same = match (self.currency(place), self.currency(*other)) {
                    (Some(one), Some(two)) => format!(" AND {one} = {two}"),
                    _ => String::new(),
                };
                format!("({value} {} {right}{same})", sign(op))
            }
            (_, Operand::Texts(values)) => {
                let list = self.list(values.iter().cloned());
                one_of(&value, op, &list)
            }
            (_, Operand::Days(numbers) | Operand::Numbers(numbers)) => {
                let list = numbers.iter().map(|number| self.place(*number)).collect::<Vec<_>>().join(",");
                match op {
                    Op::Eq | Op::Ne => one_of(&value, op, &list),
                    _ => format!("{value} {} {list}", sign(op)),
                }
            }
            (_, Operand::Amounts(amounts)) => {
                let each: Vec<String> = amounts.iter().map(|amount| self.amount(place, &value, op, *amount)).collect();
                let any = format!("({})", each.join(" OR "));
                if op == Op::Ne { format!("({value} IS NULL OR NOT {any})") } else { any }
            }
            (_, Operand::Nothing) => "1 = 0".to_owned(),
        }
    }

    fn amount(&mut self, place: Place, value: &str, op: Op, (number, code): (i64, Option<ingest::Currency>)) -> String {
        let number = self.place(number);
        let sign = if op == Op::Ne { "=" } else { sign(op) };
        let Some(code) = code else { return format!("{value} {sign} {number}") };
        let column = self.currency(place).unwrap_or_default();
        let code = self.place(code.as_str());
        format!("({value} {sign} {number} AND {column} = {code})")
    }

    fn quantity(&mut self, of: Quantity, today: i64) -> (String, Option<String>) {
        match of {
            Quantity::Records => ("1".to_owned(), None),
            Quantity::Field(place) => (self.value(place), self.currency(place)),
            Quantity::Days(from, to) => {
                let from = self.value(from);
                let to = match to {
                    Some(to) => self.value(to),
                    None => self.place(today),
                };
                (format!("({to} - {from})"), None)
            }
        }
    }

    fn key(&mut self, grouping: Grouping) -> String {
        match grouping {
            Grouping::Text(place) | Grouping::Day(place, _) => self.value(place),
            Grouping::Linked(_) => "l.target_external_id".to_owned(),
        }
    }
}

fn name(slot: Slot) -> String {
    match slot {
        Slot::Text(at) => format!("t{at}"),
        Slot::Day(at) => format!("d{at}"),
        Slot::Number(at) => format!("n{at}"),
        Slot::Amount(at) => format!("m{at}"),
    }
}

fn sign(op: Op) -> &'static str {
    match op {
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Gt => ">",
        Op::Ge => ">=",
        Op::Ne => "<>",
        Op::Eq | Op::Present | Op::Missing | Op::ReferredBy | Op::NotReferredBy | Op::RefersTo => "=",
    }
}

/// A missing value is none of the values.
fn one_of(value: &str, op: Op, list: &str) -> String {
    if op == Op::Eq { format!("{value} IN ({list})") } else { format!("({value} IS NULL OR {value} NOT IN ({list}))") }
}

async fn fetch(tx: &mut TenantTx, text: String, binds: Vec<Bind>) -> sqlx::Result<Vec<sqlx::any::AnyRow>> {
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(tx.tenant_text());
    for bind in binds {
        query = crate::store::bulk::bind(query, bind);
    }
    query.fetch_all(tx.conn()).await
}

/// How many records match.
pub async fn count(tx: &mut TenantTx, checked: &Checked, audiences: &[String]) -> sqlx::Result<i64> {
    let mut ungrouped = checked.clone();
    ungrouped.grouping = None;
    let mut statement = Statement::new(audiences);
    let text = statement.select("count(*)", &ungrouped);
    let rows = fetch(tx, text, statement.binds).await?;
    rows.first().map_or(Ok(0), |row| row.try_get(0))
}

/// The tallies of one measure: one a currency without groups, one a key and currency with them. `keys`: only these.
///
/// Largest first for the measure (latest for `min`, `max` of days), at most the query's limit of them; days in order and all of them.
pub async fn tally(
    tx: &mut TenantTx,
    checked: &Checked,
    measure: usize,
    audiences: &[String],
    keys: Option<&[String]>,
) -> sqlx::Result<Vec<Tally>> {
    let mut statement = Statement::new(audiences);
    let (value, currency) = statement.quantity(checked.measures[measure].of, checked.today);
    let by_day = matches!(checked.grouping, Some(Grouping::Day(..)));
    let key = checked.grouping.map(|grouping| statement.key(grouping));
    let counted = match (checked.measures[measure].of, checked.grouping) {
        (Quantity::Records, Some(Grouping::Linked(_))) => "count(DISTINCT f.record_id)".to_owned(),
        _ => format!("count({value})"),
    };
    // Sums in two halves: neither can overflow 64 bits for any number of records that a database holds.
    let what = format!(
        "{}, {}, {counted}, CAST(sum({value} / 1000000) AS BIGINT), CAST(sum({value} % 1000000) AS BIGINT), min({value}), max({value})",
        key.as_deref().unwrap_or("NULL"),
        currency.as_deref().unwrap_or("NULL"),
    );
    let mut text = statement.select(&what, checked);
    if let (Some(key), Some(keys), false) = (&key, keys, by_day) {
        let list = statement.list(keys.iter().cloned());
        text.push_str(&format!(" AND {key} IN ({list})"));
    }
    // An amount that is not there has no currency either: without it the group of the missing would come first.
    if currency.is_some() {
        text.push_str(&format!(" AND {value} IS NOT NULL"));
    }
    let groups: Vec<&str> =
        [key.is_some().then_some("1"), currency.is_some().then_some("2")].into_iter().flatten().collect();
    if !groups.is_empty() {
        text.push_str(&format!(" GROUP BY {}", groups.join(", ")));
    }
    if key.is_some() {
        let order = if by_day { "1" } else { order_of(checked.measures[measure].aggregate) };
        let limit = if by_day { DAYS_MAX } else { i64::from(checked.limit) };
        text.push_str(&format!(" ORDER BY {order} LIMIT {limit}"));
    }
    let rows = fetch(tx, text, statement.binds).await?;
    let mut tallies = Vec::new();
    for row in &rows {
        let key = match (checked.grouping, key.is_some()) {
            (Some(Grouping::Day(_, each)), _) => row.try_get::<Option<i64>, _>(0)?.and_then(|day| bucket(day, each)),
            (_, true) => row.try_get(0)?,
            (_, false) => None,
        };
        let (whole, part): (Option<i64>, Option<i64>) = (row.try_get(3)?, row.try_get(4)?);
        tallies.push(Tally {
            key,
            currency: if currency.is_some() { row.try_get(1)? } else { None },
            rows: row.try_get(2)?,
            sum: i128::from(whole.unwrap_or(0)) * 1_000_000 + i128::from(part.unwrap_or(0)),
            min: row.try_get(5)?,
            max: row.try_get(6)?,
        });
    }
    Ok(if by_day { merged(tallies) } else { tallies })
}

/// Ties go to the key, so that the same data gives the same answer.
fn order_of(aggregate: super::query::Aggregate) -> &'static str {
    use super::query::Aggregate as A;
    match aggregate {
        A::Count => "3 DESC, 1",
        A::Sum => "4 DESC, 5 DESC, 1",
        A::Average => "4 DESC, 1",
        A::Min => "6, 1",
        A::Max => "7 DESC, 1",
    }
}

/// `2026-03-04`, `2026-03-02` (the week's Monday), `2026-03`, `2026-Q1`, `2026`.
pub fn bucket(day: i64, each: Each) -> Option<String> {
    let date = crate::document::day_of(day)?;
    Some(match each {
        Each::Day => date.to_string(),
        Each::Week => {
            let monday = day - i64::from(date.weekday().to_monday_zero_offset());
            crate::document::day_of(monday)?.to_string()
        }
        Each::Month => format!("{:04}-{:02}", date.year(), date.month()),
        Each::Quarter => format!("{:04}-Q{}", date.year(), (date.month() + 2) / 3),
        Each::Year => format!("{:04}", date.year()),
    })
}

fn merged(tallies: Vec<Tally>) -> Vec<Tally> {
    let mut merged: Vec<Tally> = Vec::new();
    for tally in tallies {
        match merged.iter_mut().find(|one| one.key == tally.key && one.currency == tally.currency) {
            Some(one) => {
                one.rows += tally.rows;
                one.sum += tally.sum;
                one.min = [one.min, tally.min].into_iter().flatten().min();
                one.max = [one.max, tally.max].into_iter().flatten().max();
            }
            None => merged.push(tally),
        }
    }
    merged
}

/// Ids of the matching records, in the query's order, then by id. `key`: only those of this group.
pub async fn rows(
    tx: &mut TenantTx,
    checked: &Checked,
    audiences: &[String],
    key: Option<&str>,
    limit: i64,
    offset: i64,
) -> sqlx::Result<Vec<String>> {
    let mut statement = Statement::new(audiences);
    let mut plain = checked.clone();
    plain.grouping = None;
    if let (Some(Grouping::Linked(kind)), Some(key)) = (checked.grouping, key) {
        plain.conditions.push(Condition::RefersTo { kind, ids: vec![key.to_owned()] });
    }
    let mut text = statement.select("f.record_id", &plain);
    if let (Some(Grouping::Text(place)), Some(key)) = (checked.grouping, key) {
        let value = statement.value(place);
        let key = statement.place(key);
        text.push_str(&format!(" AND {value} = {key}"));
    }
    let order = match checked.order {
        Some((place, descending)) => {
            let value = statement.value(place);
            format!(
                "CASE WHEN {value} IS NULL THEN 1 ELSE 0 END, {value} {}, ",
                if descending { "DESC" } else { "ASC" }
            )
        }
        None => String::new(),
    };
    text.push_str(&format!(" ORDER BY {order}f.record_id LIMIT {limit} OFFSET {offset}"));
    let rows = fetch(tx, text, statement.binds).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}
