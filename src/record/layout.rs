//! Which canonical field of a kind stands in which column of `record_fact`. Derived from the schema, so that it cannot lag behind it.
//!
//! Free text, contact data and identifiers of no use for counting stay out. Quantities of lines are kept as their sum over the lines
//! (`lines.quantity_backordered`). The hash of all layouts is stored per tenant: rows of another layout are written again.

use std::collections::HashMap;
use std::sync::LazyLock;

use ingest::{Class, FieldSpec, FieldType, Record, RecordKind, Value, schema};

use crate::canonical::sha256_hex;

/// Columns of each type, as in migration 0007.
const TEXTS: usize = 24;
const DAYS: usize = 12;
const NUMBERS: usize = 20;
const AMOUNTS: usize = 10;
/// Bytes of a text that are kept; longer ones name nothing that is counted by.
const TEXT_BYTES: usize = 200;
/// Longest value that becomes a word a question may use, bytes.
const VALUE_BYTES: usize = 60;

/// Texts that nobody counts by: prose, addresses, contact data.
const LEFT_OUT: &[&str] = &[
    "note",
    "body",
    "subject",
    "description",
    "resolution",
    "options",
    "address",
    "delivery_address",
    "billing_address",
    "delivery_street",
    "street",
    "delivery_phone",
    "phone",
    "email",
    "contact_name",
    "contact_email",
    "customer_email",
    "customer_reference",
    "delivery_name",
    "billing_name",
    "iban",
    "website",
];

/// Where a field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    Text(usize),
    /// Days since 1970-01-01.
    Day(usize),
    /// Millionths; a flag is 0 or 1,000,000.
    Number(usize),
    /// Millionths, with the currency in the column of the same number.
    Amount(usize),
}

/// One field of a kind as it can be counted by.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub spec: &'static FieldSpec,
    /// The sum of this field over the record's lines.
    pub of_lines: bool,
    pub slot: Slot,
}

impl Column {
    /// As a query names it: `total`, `lines.quantity`.
    pub fn name(&self) -> String {
        if self.of_lines { format!("lines.{}", self.spec.name) } else { self.spec.name.to_owned() }
    }

    pub fn is_cost(&self) -> bool {
        self.spec.class == Class::Cost
    }

    /// A text with few values, whose values are words of questions: no identifier, no name.
    pub fn is_categorical(&self) -> bool {
        let name = self.spec.name;
        matches!(self.slot, Slot::Text(_))
            && self.spec.link.is_none()
            && self.spec.scheme.is_none()
            && !["name", "number", "reference", "postal", "city", "created_by", "bin", "lot"]
                .iter()
                .any(|part| name.contains(part))
    }

    /// The value of a record in the form that is stored: text, or a number with its currency. `None`: the record has none.
    pub fn value_of(&self, record: &Record) -> Option<Cell> {
        if self.of_lines {
            let numbers: Vec<i64> = record
                .lines
                .iter()
                .filter_map(|line| line.get(self.spec.name)?.as_decimal())
                .filter_map(|decimal| ingest::money::to_millionths(decimal).ok())
                .collect();
            let sum = numbers.iter().try_fold(0_i64, |sum, number| sum.checked_add(*number))?;
            return (!numbers.is_empty()).then_some(Cell::Number(sum));
        }
        let value = record.fields.get(self.spec.name)?;
        match self.slot {
            Slot::Text(_) => value.as_text().map(str::trim).filter(|text| !text.is_empty()).map(|text| {
                let cut = (0..=TEXT_BYTES.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                Cell::Text(text[..cut].to_owned())
            }),
            Slot::Day(_) => value.as_date().map(|date| Cell::Day(crate::document::day_number(date))),
            Slot::Number(_) => match value {
                Value::Flag(flag) => Some(Cell::Number(i64::from(*flag) * 1_000_000)),
                other => ingest::money::to_millionths(other.as_decimal()?).ok().map(Cell::Number),
            },
            Slot::Amount(_) => value.as_money().map(|money| Cell::Amount(money.millionths(), money.currency())),
        }
    }
}

/// A value as it is stored in `record_fact`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Text(String),
    Day(i64),
    Number(i64),
    Amount(i64, ingest::Currency),
}

/// The columns of a kind.
#[derive(Debug)]
pub struct Layout {
    pub kind: RecordKind,
    pub columns: Vec<Column>,
}

impl Layout {
    pub fn column(&self, name: &str) -> Option<&Column> {
        let (bare, of_lines) = name.strip_prefix("lines.").map_or((name, false), |bare| (bare, true));
        self.columns.iter().find(|column| column.spec.name == bare && column.of_lines == of_lines)
    }

    /// Words that questions may use about this record: (field, value), an empty value for "the field occurs".
    pub fn values_of(&self, record: &Record) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for column in &self.columns {
            let Some(cell) = column.value_of(record) else { continue };
            found.push((column.name(), String::new()));
            match cell {
                Cell::Text(text) if column.is_categorical() && text.len() <= VALUE_BYTES => {
                    found.push((column.name(), text));
                }
                Cell::Amount(_, currency) => found.push((column.name(), currency.as_str().to_owned())),
                Cell::Text(_) | Cell::Day(_) | Cell::Number(_) => {}
            }
        }
        found
    }
}

static LAYOUTS: LazyLock<HashMap<RecordKind, Layout>> =
    LazyLock::new(|| RecordKind::ALL.into_iter().map(|kind| (kind, build(kind))).collect());

/// The layout of a kind.
pub fn layout(kind: RecordKind) -> &'static Layout {
    // Every kind is in the map: it is made from the list of all kinds.
    &LAYOUTS[&kind]
}

/// Names the layout of all kinds: another one means that stored rows do not mean what they say.
pub static LAYOUT_HASH: LazyLock<String> = LazyLock::new(|| {
    let mut text = String::new();
    for kind in RecordKind::ALL {
        for column in &layout(kind).columns {
            text.push_str(&format!("{kind}.{}:{:?}:{}\n", column.name(), column.slot, column.is_cost()));
        }
    }
    sha256_hex(text)[..16].to_owned()
});

fn build(kind: RecordKind) -> Layout {
    let schema = schema(kind);
    // Column t0 is the status of every kind.
    let (mut text, mut day, mut number, mut amount) = (1, 0, 0, 0);
    let mut columns = Vec::new();
    let next = |counter: &mut usize, most: usize| {
        let at = *counter;
        *counter += 1;
        (at < most).then_some(at)
    };
    for spec in schema.fields {
        let slot = match spec.kind {
            FieldType::Text if LEFT_OUT.contains(&spec.name) => None,
            FieldType::Text if spec.name == "status" => Some(Slot::Text(0)),
            FieldType::Text => next(&mut text, TEXTS).map(Slot::Text),
            FieldType::Date | FieldType::Moment => next(&mut day, DAYS).map(Slot::Day),
            FieldType::Integer | FieldType::Quantity | FieldType::Flag => next(&mut number, NUMBERS).map(Slot::Number),
            FieldType::Money => next(&mut amount, AMOUNTS).map(Slot::Amount),
        };
        columns.extend(slot.map(|slot| Column { spec, of_lines: false, slot }));
    }
    for spec in schema.lines.iter().filter(|spec| spec.kind == FieldType::Quantity) {
        let slot = next(&mut number, NUMBERS).map(Slot::Number);
        columns.extend(slot.map(|slot| Column { spec, of_lines: true, slot }));
    }
    Layout { kind, columns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_can_be_counted_by_has_a_column_of_its_own() {
        for kind in RecordKind::ALL {
            let layout = layout(kind);
            let wanted = schema(kind).fields.iter().filter(|spec| !LEFT_OUT.contains(&spec.name)).count();
            let own = layout.columns.iter().filter(|column| !column.of_lines).count();
            assert_eq!(own, wanted, "{kind}: widen record_fact");
            for (position, column) in layout.columns.iter().enumerate() {
                let twice = layout.columns[..position].iter().any(|other| other.slot == column.slot);
                assert!(!twice, "{kind}: {} shares a column", column.name());
            }
        }
    }

    #[test]
    fn lines_are_summed_and_costs_are_marked() {
        let mut record = Record::new(RecordKind::Order, "SO-1");
        for quantity in ["1.5", "2"] {
            let quantity = Value::quantity(quantity.parse().unwrap());
            record.lines.push(ingest::Fields::from([("quantity".to_owned(), quantity)]));
        }
        let sum = layout(RecordKind::Order).column("lines.quantity").unwrap();
        assert_eq!(sum.value_of(&record), Some(Cell::Number(3_500_000)));
        assert!(layout(RecordKind::Product).column("standard_cost").unwrap().is_cost());
        assert!(layout(RecordKind::Order).column("note").is_none());
    }
}
