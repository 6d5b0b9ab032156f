//! Cards: a record as a short readable text, with the exact span of every value, so that records can be cited.
//!
//! After mapping, before chunking. One field per line, one line of the record per row; wording of answers is not done
//! here. Cost fields stand on a card of their own, so that no chunk mixes what different roles may see.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::record::{Fields, Record, Value};
use crate::schema::{self, Class, FieldSpec, KindSchema};

/// Bytes of one value of `extra` on a card.
const EXTRA_BYTES: usize = 512;

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
/// with its label ("Status: delivered"); for a line's field that has no label the two are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSpan {
    /// As `Record::field` takes it; fields of `extra` are not listed.
    pub path: String,
    pub start: usize,
    pub end: usize,
    pub value_start: usize,
    pub value_end: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    pub part: CardPart,
    /// The first line of the text: "Order #W2378156", "Product NG-48291-BLK Lamp".
    pub title: String,
    pub text: String,
    /// In text order; none overlap.
    pub spans: Vec<FieldSpan>,
}

impl Card {
    /// The span of a field.
    pub fn span(&self, path: &str) -> Option<&FieldSpan> {
        self.spans.iter().find(|span| span.path == path)
    }
}

/// The cards of a record: the main card, and a cost card when it has cost fields. Deterministic.
pub fn cards(record: &Record) -> Vec<Card> {
    let mut cards = vec![card(record, CardPart::Main)];
    let schema = schema::schema(record.kind);
    let costs = |fields: &Fields, specs: &'static [FieldSpec]| {
        specs.iter().any(|spec| spec.class == Class::Cost && fields.contains_key(spec.name))
    };
    if costs(&record.fields, schema.fields) || record.lines.iter().any(|line| costs(line, schema.lines)) {
        cards.push(card(record, CardPart::Cost));
    }
    cards
}

/// Title of a record's cards: kind, number (or external id) and name.
pub fn title(record: &Record) -> String {
    let schema = schema::schema(record.kind);
    let number = schema
        .fields
        .iter()
        .find(|spec| spec.scheme == Some(schema.scheme) && matches!(spec.name, "number" | "sku"))
        .and_then(|spec| record.text(spec.name))
        .unwrap_or(&record.external_id);
    let mut title = format!("{} {}", schema.label, one_line(number));
    if let Some(name) = record.text(schema.title_field) {
        title.push(' ');
        title.push_str(&one_line(name));
    }
    title.truncate(floor_boundary(&title, crate::chunk::HEADING_BYTES));
    title
}

fn card(record: &Record, part: CardPart) -> Card {
    let schema = schema::schema(record.kind);
    let title = title(record);
    let mut writer = Writer { text: title.clone(), spans: Vec::new() };
    if part == CardPart::Cost {
        writer.text.push_str("\nCost");
    }
    for spec in shown(schema.fields, part) {
        if let Some(value) = record.fields.get(spec.name) {
            writer.text.push('\n');
            writer.labelled(spec.name, spec.label, value);
        }
    }
    // Lines are told apart by their position, so a cost card repeats what names each line.
    write_lines(&mut writer, record, schema, part);
    if part == CardPart::Main {
        write_extra(&mut writer, record, schema);
    }
    Card { part, title, text: writer.text, spans: writer.spans }
}

fn shown(specs: &'static [FieldSpec], part: CardPart) -> impl Iterator<Item = &'static FieldSpec> {
    let class = if part == CardPart::Main { Class::Public } else { Class::Cost };
    specs.iter().filter(move |spec| spec.class == class)
}

fn write_lines(writer: &mut Writer, record: &Record, schema: &KindSchema, part: CardPart) {
    let has = |line: &Fields| shown(schema.lines, part).any(|spec| line.contains_key(spec.name));
    if !record.lines.iter().any(has) {
        return;
    }
    writer.text.push_str(&format!("\n{}:", schema.lines_label));
    for (index, line) in record.lines.iter().enumerate() {
        if !has(line) {
            continue;
        }
        writer.text.push_str(&format!("\n{}.", index + 1));
        let mut mark = " ";
        // The name leads and needs no label; the rest follows in schema order.
        if let Some(name) = line.get("name") {
            writer.text.push_str(mark);
            writer.bare(&format!("lines.{index}.name"), name);
            mark = " | ";
        }
        for spec in shown(schema.lines, part).filter(|spec| spec.name != "name") {
            if let Some(value) = line.get(spec.name) {
                writer.text.push_str(mark);
                writer.labelled(&format!("lines.{index}.{}", spec.name), spec.label, value);
                mark = " | ";
            }
        }
    }
}

/// Unknown source fields that are single values; lists, objects and field names the schema knows are left out.
fn write_extra(writer: &mut Writer, record: &Record, schema: &KindSchema) {
    let guarded = guarded(schema);
    let mut heading = "\nOther:";
    for (name, value) in &record.extra {
        let Some(text) = plain(value).filter(|_| !is_cost_name(&guarded, name)) else { continue };
        writer.text.push_str(heading);
        heading = "";
        let text = one_line(&text);
        let cut = floor_boundary(&text, EXTRA_BYTES);
        let more = if cut < text.len() { " …" } else { "" };
        writer.text.push_str(&format!("\n{}: {}{more}", one_line(name), &text[..cut]));
    }
}

/// Bare names of a kind's cost fields: a source column called "standard_cost" that the mapping forgot must not be shown to everyone.
fn guarded(schema: &KindSchema) -> HashSet<String> {
    schema
        .fields
        .iter()
        .filter(|spec| spec.class == Class::Cost)
        .flat_map(|spec| [bare_name(spec.name), bare_name(spec.label)])
        .collect()
}

/// Whether a field of `Record::extra` looks like what the company pays or earns, so that it is for roles that may see cost only.
pub fn is_cost_extra(kind: crate::record::RecordKind, name: &str) -> bool {
    is_cost_name(&guarded(schema::schema(kind)), name)
}

/// Letters and digits only: `StandardCost`, `standard_cost` and "Standard cost" are one name.
fn bare_name(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether an unknown column looks like one of the kind's cost fields, or says cost or margin itself.
fn is_cost_name(guarded: &HashSet<String>, name: &str) -> bool {
    let bare = bare_name(name);
    guarded.contains(&bare) || bare.contains("cost") || bare.contains("margin")
}

fn plain(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(flag) => Some(if *flag { "yes" } else { "no" }.to_owned()),
        serde_json::Value::String(_)
        | serde_json::Value::Null
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => None,
    }
}

/// The largest character boundary at or below `at`.
pub(crate) fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Runs of line ends become one space, so that one field stays one line of the card.
fn one_line(text: &str) -> String {
    if !text.contains(['\n', '\r']) {
        return text.to_owned();
    }
    text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

struct Writer {
    text: String,
    spans: Vec<FieldSpan>,
}

impl Writer {
    fn labelled(&mut self, path: &str, label: &str, value: &Value) {
        let start = self.text.len();
        self.text.push_str(label);
        self.text.push_str(": ");
        self.value(path, start, value);
    }

    fn bare(&mut self, path: &str, value: &Value) {
        self.value(path, self.text.len(), value);
    }

    fn value(&mut self, path: &str, start: usize, value: &Value) {
        let value_start = self.text.len();
        self.text.push_str(&display_value(value));
        let end = self.text.len();
        self.spans.push(FieldSpan { path: path.to_owned(), start, end, value_start, value_end: end });
    }
}

/// How a value is printed, everywhere: `84.00 EUR`, `3`, `2026-02-28`, `2026-02-28 14:05 UTC`, `yes`.
///
/// Texts on one line; times in UTC with as many digits of the second as they have.
pub fn display_value(value: &Value) -> String {
    match value {
        Value::Text(text) => one_line(text),
        Value::Integer(integer) => integer.to_string(),
        Value::Quantity(decimal) => crate::money::normalise(*decimal).to_string(),
        Value::Money(money) => money.to_string(),
        Value::Date(date) => date.to_string(),
        Value::Time(time) => {
            let printed = time.to_string(); // 2026-02-28T14:05:00Z
            let printed = printed.trim_end_matches('Z').replacen('T', " ", 1);
            let whole_minute = printed.strip_suffix(":00").filter(|_| !printed.contains('.'));
            format!("{} UTC", whole_minute.unwrap_or(&printed))
        }
        Value::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordKind;

    fn order() -> Record {
        let mut record = Record::new(RecordKind::Order, "#W2378156");
        let money = |text: &str| Value::Money(text.parse().unwrap());
        record.fields.insert("number".into(), Value::text("#W2378156"));
        record.fields.insert("status".into(), Value::text("delivered"));
        record.fields.insert("total".into(), money("536.65 USD"));
        record.fields.insert("shipped_at".into(), Value::Time("2026-02-28T14:05:00Z".parse().unwrap()));
        let line = |name: &str, sku: &str, price: &str| {
            Fields::from([
                ("name".into(), Value::text(name)),
                ("sku".into(), Value::text(sku)),
                ("quantity".into(), Value::quantity("1.0".parse().unwrap())),
                ("unit_price".into(), money(price)),
            ])
        };
        record.lines = vec![line("Bottle", "6469", "47.84 USD"), line("Chair", "8426", "488.81 USD")];
        record.lines[0].insert("unit_cost".into(), money("12.3 USD"));
        record.extra.insert("gift_wrap".into(), serde_json::json!(true));
        record.extra.insert("UnitCost".into(), serde_json::json!("12.30"));
        record.extra.insert("nested".into(), serde_json::json!({"a": 1}));
        record
    }

    #[test]
    fn a_card_reads_as_short_lines_and_leaves_cost_to_its_own_card() {
        let cards = cards(&order());
        assert_eq!(
            cards[0].text,
            "Order #W2378156\nOrder number: #W2378156\nStatus: delivered\nTotal: 536.65 USD\n\
             Shipped: 2026-02-28 14:05 UTC\nLines:\n\
             1. Bottle | SKU: 6469 | Quantity: 1 | Unit price: 47.84 USD\n\
             2. Chair | SKU: 8426 | Quantity: 1 | Unit price: 488.81 USD\nOther:\ngift_wrap: yes"
        );
        assert_eq!(cards[1].part, CardPart::Cost);
        assert_eq!(cards[1].text, "Order #W2378156\nCost\nLines:\n1. Bottle | Unit cost: 12.30 USD");
        assert_eq!(cards.len(), 2);
    }

    #[test]
    fn every_span_of_a_card_is_the_printed_value_of_its_field() {
        let record = order();
        for card in cards(&record) {
            assert!(card.spans.windows(2).all(|pair| pair[0].end <= pair[1].start));
            for span in &card.spans {
                let value = record.field(&span.path).unwrap();
                assert_eq!(card.text[span.value_start..span.value_end], display_value(&value), "{}", span.path);
                assert!(span.start <= span.value_start && span.value_end == span.end);
            }
        }
    }
}
