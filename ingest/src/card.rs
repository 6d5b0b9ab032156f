//! Cards: a record as a short readable text, with the exact span of every value, so that records can be cited.

use serde::{Deserialize, Serialize};

use crate::record::{Record, Value};

/// Who a card is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardPart {
    /// Everyone in the record's audience.
    Main,
    /// Only roles that may see cost.
    Cost,
}

/// Where a field stands on a card. `text[value_start..value_end]` is the printed value, `text[start..end]` the value
/// with its label ("Status: delivered").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSpan {
    /// As `Record::field` takes it.
    pub path: String,
    pub start: usize,
    pub end: usize,
    pub value_start: usize,
    pub value_end: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    pub part: CardPart,
    pub title: String,
    pub text: String,
    pub spans: Vec<FieldSpan>,
}

/// The cards of a record: the main card, and a cost card when it has cost fields. Deterministic.
pub fn cards(record: &Record) -> Vec<Card> {
    let _ = record;
    Vec::new()
}

/// How a value is printed, everywhere.
pub fn display_value(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(integer) => integer.to_string(),
        Value::Quantity(decimal) => decimal.to_string(),
        Value::Money(money) => money.to_string(),
        Value::Date(date) => date.to_string(),
        Value::Time(time) => time.to_string(),
        Value::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
    }
}
