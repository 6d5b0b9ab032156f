//! The typed query read a second time, in Rust over the records themselves: what a computed claim is checked with before it leaves.
//!
//! Shares the reading of single values with the stored facts (`record::layout`) and nothing with the SQL.

use std::collections::HashMap;

use ingest::RecordKind;

use super::query::{Checked, Condition, Grouping, Op, Operand, Place, Quantity};
use super::sql::{Tally, bucket};
use crate::record::Found;
use crate::record::layout::Cell;

/// Records that others refer to, by kind and external id, as far as a query needs them.
#[derive(Debug, Default)]
pub struct Targets(HashMap<(RecordKind, String), Vec<Found>>);

impl Targets {
    pub fn add(&mut self, found: Found) {
        let own = self.0.entry((found.record.kind, found.record.external_id.clone())).or_default();
        own.push(found);
        own.sort_by_key(|found| found.id.to_string());
    }

    /// The record of that kind and id that `from` refers to: of several sources' its own first, as the SQL does.
    pub fn of(&self, from: &Found, kind: RecordKind, id: &str) -> Option<&Found> {
        let candidates = self.0.get(&(kind, id.to_owned()))?;
        candidates.iter().find(|found| found.source == from.source).or(candidates.first())
    }
}

/// The value of a field for a record.
pub fn cell(found: &Found, place: Place, targets: &Targets) -> Option<Cell> {
    match place.via {
        None => place.column.value_of(&found.record),
        Some((link, kind)) => {
            let Some(Cell::Text(id)) = link.value_of(&found.record) else { return None };
            let candidates = targets.0.get(&(kind, id))?;
            let own = candidates.iter().find(|one| one.source == found.source);
            own.and_then(|one| place.column.value_of(&one.record))
                .or_else(|| place.column.value_of(&candidates.first()?.record))
        }
    }
}

fn ordering(cell: &Cell, number: i64) -> Option<std::cmp::Ordering> {
    match cell {
        Cell::Day(own) | Cell::Number(own) | Cell::Amount(own, _) => Some(own.cmp(&number)),
        Cell::Text(_) => None,
    }
}

fn holds(op: Op, ordering: std::cmp::Ordering) -> bool {
    match op {
        Op::Lt => ordering.is_lt(),
        Op::Le => ordering.is_le(),
        Op::Gt => ordering.is_gt(),
        Op::Ge => ordering.is_ge(),
        Op::Eq => ordering.is_eq(),
        Op::Ne => ordering.is_ne(),
        Op::Present | Op::Missing | Op::ReferredBy | Op::NotReferredBy | Op::RefersTo => false,
    }
}

/// Whether a record meets the conditions that can be read from it and its targets; conditions about records that refer to it are SQL's alone.
pub fn matches(checked: &Checked, row: &Found, targets: &Targets) -> bool {
    checked.conditions.iter().all(|condition| match condition {
        Condition::Referred { .. } => true,
        Condition::RefersTo { kind, ids } => {
            row.record.links().iter().any(|link| link.kind == *kind && ids.contains(&link.external_id))
        }
        Condition::Compare { place, op, operand } => compare(cell(row, *place, targets), *op, operand, row, targets),
    })
}

fn compare(cell_here: Option<Cell>, op: Op, operand: &Operand, row: &Found, targets: &Targets) -> bool {
    let Some(here) = cell_here else {
        return matches!(op, Op::Missing) || (op == Op::Ne && !matches!(operand, Operand::Place(_)));
    };
    let any = |each: Vec<bool>| each.contains(&true) != (op == Op::Ne);
    let asked = if op == Op::Ne { Op::Eq } else { op };
    match operand {
        Operand::Nothing => op == Op::Present,
        Operand::Texts(values) => match &here {
            Cell::Text(text) => any(values.iter().map(|value| value == text).collect()),
            Cell::Day(_) | Cell::Number(_) | Cell::Amount(..) => false,
        },
        Operand::Days(numbers) | Operand::Numbers(numbers) => any(numbers
            .iter()
            .map(|number| ordering(&here, *number).is_some_and(|ordering| holds(asked, ordering)))
            .collect()),
        Operand::Amounts(amounts) => any(amounts
            .iter()
            .map(|(number, code)| {
                let Cell::Amount(_, currency) = &here else { return false };
                code.is_none_or(|code| code == *currency)
                    && ordering(&here, *number).is_some_and(|ordering| holds(asked, ordering))
            })
            .collect()),
        Operand::Place(other) => match (here, cell(row, *other, targets)) {
            (Cell::Day(a), Some(Cell::Day(b))) | (Cell::Number(a), Some(Cell::Number(b))) => holds(op, a.cmp(&b)),
            (Cell::Amount(a, one), Some(Cell::Amount(b, two))) => one == two && holds(op, a.cmp(&b)),
            (Cell::Text(a), Some(Cell::Text(b))) => (a == b) == (op == Op::Eq),
            _ => false,
        },
    }
}

/// The tallies of one measure over records that match, in no particular order.
pub fn tallies(checked: &Checked, measure: usize, rows: &[Found], targets: &Targets) -> Vec<Tally> {
    let mut found: Vec<Tally> = Vec::new();
    for row in rows {
        let (value, currency) = match checked.measures[measure].of {
            Quantity::Records => (Some(1), None),
            Quantity::Field(place) => match cell(row, place, targets) {
                Some(Cell::Day(number) | Cell::Number(number)) => (Some(number), None),
                Some(Cell::Amount(number, currency)) => (Some(number), Some(currency.as_str().to_owned())),
                Some(Cell::Text(_)) | None => (None, None),
            },
            Quantity::Days(from, to) => {
                let day = |place: Place| match cell(row, place, targets) {
                    Some(Cell::Day(day)) => Some(day),
                    _ => None,
                };
                let to = match to {
                    Some(place) => day(place),
                    None => Some(checked.today),
                };
                (day(from).and_then(|from| Some(to? - from)), None)
            }
        };
        let keys: Vec<Option<String>> = match checked.grouping {
            None => vec![None],
            Some(Grouping::Text(place)) => vec![match cell(row, place, targets) {
                Some(Cell::Text(text)) => Some(text),
                _ => None,
            }],
            Some(Grouping::Day(place, each)) => vec![match cell(row, place, targets) {
                Some(Cell::Day(day)) => bucket(day, each),
                _ => None,
            }],
            Some(Grouping::Linked(kind)) => {
                let mut keys: Vec<Option<String>> = row
                    .record
                    .links()
                    .into_iter()
                    .filter(|link| link.kind == kind)
                    .map(|link| Some(link.external_id))
                    .collect();
                keys.sort();
                keys.dedup();
                keys
            }
        };
        for key in keys {
            add(&mut found, key, currency.clone(), value);
        }
    }
    found
}

fn add(found: &mut Vec<Tally>, key: Option<String>, currency: Option<String>, value: Option<i64>) {
    let position = found.iter().position(|one| one.key == key && one.currency == currency).unwrap_or_else(|| {
        found.push(Tally { key, currency, ..Tally::default() });
        found.len() - 1
    });
    let one = &mut found[position];
    let Some(value) = value else { return };
    one.rows += 1;
    one.sum += i128::from(value);
    one.min = Some(one.min.map_or(value, |min| min.min(value)));
    one.max = Some(one.max.map_or(value, |max| max.max(value)));
}
