//! Executes a checked query and checks the outcome against the records themselves.

use std::collections::BTreeSet;

use ingest::{Decimal, RecordKind, display_value};
use serde::Serialize;
use utoipa::ToSchema;

use super::evaluate::{self, Targets};
use super::query::{Aggregate, Checked, Grouping, Place, Quantity, Query};
use super::sql::{self, Tally};
use crate::document;
use crate::record::layout::Slot;
use crate::record::{self, Found};
use crate::store::TenantTx;

/// Up to so many records every number is derived again from all of them; above, from the first ones only as far as they go.
pub const REDERIVED_MAX: i64 = 2_000;

/// One number, with its unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Figure {
    /// Exact decimal, or a day as YYYY-MM-DD; averages rounded to 2 decimals, half away from zero. Absent: no record has the value.
    pub value: Option<String>,
    /// Amounts only: sums are never taken over two currencies.
    pub currency: Option<String>,
    /// Records that have the value.
    pub rows: i64,
}

/// The records of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GroupFigures {
    /// Absent: records without the value grouped by.
    pub key: Option<String>,
    /// The name of the record that the key refers to.
    pub label: Option<String>,
    /// One list a measure, as in the query.
    pub figures: Vec<Vec<Figure>>,
}

/// A record behind a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RowRef {
    pub record_id: String,
    pub kind: String,
    pub external_id: String,
    pub version: i64,
    pub title: String,
    /// The fields the query reads, as a card prints them.
    #[schema(value_type = Object)]
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// What a query found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct QueryResult {
    /// As it was run; post it again to page through the rows.
    pub query: Query,
    /// The day that `today` is, UTC.
    pub as_of: String,
    /// Records that match.
    pub total: i64,
    /// Without groups: one list a measure, one figure a currency.
    pub figures: Vec<Vec<Figure>>,
    pub groups: Vec<GroupFigures>,
    pub rows: Vec<RowRef>,
    pub offset: i64,
}

/// Runs a query and returns a page of its rows.
pub async fn run(
    tx: &mut TenantTx,
    checked: &Checked,
    callers_audiences: &[String],
    limit: i64,
    offset: i64,
) -> sqlx::Result<QueryResult> {
    let audiences = visible_audiences(tx, callers_audiences).await?;
    let total = sql::count(tx, checked, &audiences).await?;
    let mut result = QueryResult {
        query: checked.query.clone(),
        as_of: document::day_of(checked.today).map(|day| day.to_string()).unwrap_or_default(),
        total,
        figures: Vec::new(),
        groups: Vec::new(),
        rows: Vec::new(),
        offset,
    };
    if checked.grouping.is_none() {
        for measure in 0..checked.measures.len() {
            let tallies = sql::tally(tx, checked, measure, &audiences, None).await?;
            result.figures.push(figures(checked, measure, &tallies));
        }
    } else {
        result.groups = groups(tx, checked, &audiences, callers_audiences).await?;
    }
    let ids = sql::rows(tx, checked, &audiences, None, limit, offset).await?;
    let found = record::many(tx, &ids, callers_audiences).await?;
    result.rows = rows(tx, checked, &found, callers_audiences).await?;
    Ok(result)
}

/// The audiences of records, as stored, that the caller is in.
pub async fn visible_audiences(tx: &mut TenantTx, own: &[String]) -> sqlx::Result<Vec<String>> {
    let mut seen = super::vocabulary::values(tx, &[""]).await?;
    seen.retain(|value| value.field == "audience" && document::visible_to(&value.value, own));
    let mut audiences: Vec<String> = seen.into_iter().map(|value| value.value).collect();
    if audiences.is_empty() {
        // No audience is visible: a list that nothing is in.
        audiences.push(String::new());
    }
    Ok(audiences)
}

/// The page of rows with the fields that the query reads.
async fn rows(
    tx: &mut TenantTx,
    checked: &Checked,
    found: &[Found],
    audiences: &[String],
) -> sqlx::Result<Vec<RowRef>> {
    let targets = targets(tx, checked, found, audiences).await?;
    let places = checked.places();
    Ok(found
        .iter()
        .map(|one| {
            let mut fields = serde_json::Map::new();
            for place in &places {
                let (name, value) = match place.via {
                    None => (place.column.name(), printed(&one.record, *place)),
                    Some((via, kind)) => {
                        let id = one.record.text(via.spec.name).map(str::trim);
                        let target = id.and_then(|id| targets.of(one, kind, id));
                        let name = format!("{}.{}", via.name(), place.column.name());
                        (name, target.and_then(|target| printed(&target.record, *place)))
                    }
                };
                if let Some(value) = value {
                    fields.insert(name, value.into());
                }
            }
            RowRef {
                record_id: one.id.to_string(),
                kind: one.record.kind.as_str().to_owned(),
                external_id: one.record.external_id.clone(),
                version: one.version,
                title: ingest::card::title(&one.record),
                fields,
            }
        })
        .collect())
}

fn printed(record: &ingest::Record, place: Place) -> Option<String> {
    if place.column.of_lines {
        return match place.column.value_of(record)? {
            record::layout::Cell::Number(number) => Some(ingest::money::from_millionths(number).to_string()),
            _ => None,
        };
    }
    record.fields.get(place.column.spec.name).map(display_value)
}

/// The records that the query reads through links of these rows.
pub async fn targets(
    tx: &mut TenantTx,
    checked: &Checked,
    rows: &[Found],
    audiences: &[String],
) -> sqlx::Result<Targets> {
    let mut wanted: BTreeSet<(RecordKind, String)> = BTreeSet::new();
    for place in checked.places() {
        let Some((via, kind)) = place.via else { continue };
        wanted.extend(rows.iter().filter_map(|row| Some((kind, row.record.text(via.spec.name)?.trim().to_owned()))));
    }
    let mut targets = Targets::default();
    for kind in wanted.iter().map(|(kind, _)| *kind).collect::<BTreeSet<_>>() {
        let ids: Vec<String> = wanted.iter().filter(|(own, _)| *own == kind).map(|(_, id)| id.clone()).collect();
        for found in record::named(tx, kind.as_str(), &ids, audiences).await? {
            targets.add(found);
        }
    }
    Ok(targets)
}

async fn groups(
    tx: &mut TenantTx,
    checked: &Checked,
    audiences: &[String],
    callers: &[String],
) -> sqlx::Result<Vec<GroupFigures>> {
    let first = sql::tally(tx, checked, 0, audiences, None).await?;
    let mut keys: Vec<Option<String>> = Vec::new();
    for tally in &first {
        if !keys.contains(&tally.key) {
            keys.push(tally.key.clone());
        }
    }
    let known: Vec<String> = keys.iter().flatten().cloned().collect();
    let mut all = vec![first];
    for measure in 1..checked.measures.len() {
        all.push(if known.is_empty() {
            Vec::new()
        } else {
            // Every key of the first measure may have several currencies of another.
            let mut wide = checked.clone();
            wide.limit = super::query::LIMIT_MAX * 8;
            sql::tally(tx, &wide, measure, audiences, Some(&known)).await?
        });
    }
    let labels = labels(tx, checked, &known, callers).await?;
    let groups = keys
        .into_iter()
        .map(|key| GroupFigures {
            label: key.as_ref().and_then(|key| labels.iter().find(|(id, _)| id == key)).map(|(_, label)| label.clone()),
            figures: all
                .iter()
                .enumerate()
                .map(|(measure, tallies)| {
                    let own: Vec<Tally> = tallies.iter().filter(|tally| tally.key == key).cloned().collect();
                    figures(checked, measure, &own)
                })
                .collect(),
            key,
        })
        .collect();
    Ok(groups)
}

/// Names of the records that the keys refer to.
async fn labels(
    tx: &mut TenantTx,
    checked: &Checked,
    keys: &[String],
    callers: &[String],
) -> sqlx::Result<Vec<(String, String)>> {
    let kind = match checked.grouping {
        Some(Grouping::Linked(kind)) => Some(kind),
        Some(Grouping::Text(place)) => place.column.spec.link,
        Some(Grouping::Day(..)) | None => None,
    };
    let Some(kind) = kind else { return Ok(Vec::new()) };
    let found = record::named(tx, kind.as_str(), keys, callers).await?;
    Ok(found
        .into_iter()
        .filter_map(|one| Some((one.record.external_id.clone(), one.record.text("name")?.to_owned())))
        .collect())
}

/// Tallies as figures.
pub fn figures(checked: &Checked, measure: usize, tallies: &[Tally]) -> Vec<Figure> {
    let mut figures: Vec<Figure> = tallies
        .iter()
        .map(|tally| Figure {
            value: value(checked, measure, tally),
            currency: tally.currency.clone(),
            rows: tally.rows,
        })
        .collect();
    figures.sort_by(|a, b| a.currency.cmp(&b.currency));
    if figures.is_empty() {
        let counts = matches!(checked.measures[measure].of, Quantity::Records);
        figures.push(Figure { value: counts.then(|| "0".to_owned()), currency: None, rows: 0 });
    }
    figures
}

fn value(checked: &Checked, measure: usize, tally: &Tally) -> Option<String> {
    let one = checked.measures[measure];
    let (is_day, scale) = match one.of {
        Quantity::Records => return Some(tally.rows.to_string()),
        Quantity::Days(..) => (false, 0),
        Quantity::Field(place) => match place.column.slot {
            Slot::Day(_) => (true, 0),
            Slot::Number(_) | Slot::Amount(_) | Slot::Text(_) => (false, 6),
        },
    };
    if tally.rows == 0 {
        return None;
    }
    let raw = match one.aggregate {
        Aggregate::Count => return Some(tally.rows.to_string()),
        Aggregate::Sum | Aggregate::Average => tally.sum,
        Aggregate::Min => i128::from(tally.min?),
        Aggregate::Max => i128::from(tally.max?),
    };
    if is_day {
        return document::day_of(i64::try_from(raw).ok()?).map(|day| day.to_string());
    }
    let mut decimal = Decimal::try_from_i128_with_scale(raw, scale).ok()?;
    if one.aggregate == Aggregate::Average {
        let rounding = rust_decimal::RoundingStrategy::MidpointAwayFromZero;
        decimal = decimal.checked_div(Decimal::from(tally.rows))?.round_dp_with_strategy(2, rounding);
    }
    let mut decimal = decimal.normalize();
    let decimals = tally.currency.as_ref().and_then(|code| code.parse::<ingest::Currency>().ok());
    if let Some(currency) = decimals
        && decimal.scale() < currency.decimals()
    {
        decimal.rescale(currency.decimals());
    }
    Some(decimal.to_string())
}

/// What re-deriving a result from the records said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rederived {
    /// Records whose values were read again.
    pub rows: usize,
    /// Whether these were all that match.
    pub all: bool,
    /// Whether everything agreed.
    pub agrees: bool,
}

/// Reads the records behind a result and derives its numbers again, without the SQL that produced them. With more than [`REDERIVED_MAX`]
/// records, each of the first ones must still meet every condition.
pub async fn rederive(
    tx: &mut TenantTx,
    checked: &Checked,
    callers: &[String],
    result: &QueryResult,
) -> sqlx::Result<Rederived> {
    let audiences = visible_audiences(tx, callers).await?;
    let all = result.total <= REDERIVED_MAX;
    let ids = sql::rows(tx, checked, &audiences, None, if all { REDERIVED_MAX } else { 200 }, 0).await?;
    let rows = record::many(tx, &ids, callers).await?;
    let targets = targets(tx, checked, &rows, callers).await?;
    let mut agrees = rows.len() == ids.len() && rows.iter().all(|row| evaluate::matches(checked, row, &targets));
    if all && agrees {
        agrees = i64::try_from(rows.len()).is_ok_and(|n| n == result.total);
        for measure in 0..checked.measures.len() {
            let tallies = evaluate::tallies(checked, measure, &rows, &targets);
            let of = |key: &Option<String>| -> Vec<Figure> {
                let own: Vec<Tally> =
                    tallies.iter().filter(|tally| tally.key == *key && (tally.rows > 0)).cloned().collect();
                figures(checked, measure, &own)
            };
            let same = |stated: &[Figure], key: &Option<String>| {
                let derived = of(key);
                stated.iter().all(|one| one.rows == 0 || derived.contains(one))
                    && derived.iter().all(|one| one.rows == 0 || stated.contains(one))
            };
            agrees &= if checked.grouping.is_none() {
                same(&result.figures[measure], &None)
            } else {
                result.groups.iter().all(|group| same(&group.figures[measure], &group.key))
            };
        }
    }
    Ok(Rederived { rows: rows.len(), all, agrees })
}
