//! A configured model fills the typed query where the rules did not understand; code checks every name and value of it.

use std::collections::BTreeSet;

use ingest::{RecordKind, schema};
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::json;

use super::plan::Entity;
use super::query::{Filter, Op, Query};
use super::vocabulary::{self, Value};
use crate::llm::{ChatModel, ChatRequest, Message, Usage, complete_json};
use crate::record::layout::{Slot, layout};

const PROMPT: &str = include_str!("../../prompts/query.md");
/// Values of one field that the prompt names.
const VALUES_SHOWN: usize = 24;
const ANSWER_TOKENS: u32 = 800;

#[derive(Deserialize)]
struct Output {
    query: Option<Query>,
}

/// Asks the model for a query. `None`: it failed, declined, or its query did not pass; the rules' verdict stands.
pub async fn ask(
    model: &dyn ChatModel,
    question: &str,
    kind: RecordKind,
    values: &[Value],
    entities: &[Entity],
    costs: bool,
    today: Date,
) -> Option<Query> {
    let rules = PROMPT.split_once("-->").map_or(PROMPT, |(_, rest)| rest.trim_start());
    let (system, user) = rules.split_once("Question:\n")?;
    let system = system.replace("{{today}}", &today.to_string()).replace("{{fields}}", &fields(kind, values, costs));
    let user = user.replacen("{{question}}", &question.replace('<', "&lt;"), 1);
    let request = ChatRequest {
        messages: vec![Message::system(system), Message::user(format!("Question:\n{user}"))],
        max_tokens: ANSWER_TOKENS,
        json_schema: Some(("query".to_owned(), output_schema())),
    };
    let (output, _): (Output, Usage) = match complete_json(model, request).await {
        Ok(answered) => answered,
        Err(error) => {
            tracing::warn!(%error, "the model gave no query; the rules' reading stands");
            return None;
        }
    };
    output.query.filter(|query| query.check(costs, today).is_ok() && grounded(query, question, values, entities))
}

/// The fields that may be used, one a line, with the values that occur.
fn fields(kind: RecordKind, values: &[Value], costs: bool) -> String {
    let mut text = String::new();
    for kind in vocabulary::related(kind) {
        text.push_str(&format!("{} ({}):\n", kind.as_str(), schema(kind).label));
        for column in layout(kind).columns.iter().filter(|column| costs || !column.is_cost()) {
            let own = |value: &&Value| value.kind == kind.as_str() && value.field == column.name();
            if !values.iter().any(|value| own(&value)) {
                continue;
            }
            let shown: Vec<&str> = values
                .iter()
                .filter(own)
                .map(|value| value.value.as_str())
                .filter(|value| !value.is_empty())
                .take(VALUES_SHOWN)
                .collect();
            let of = match column.slot {
                Slot::Text(_) => "text",
                Slot::Day(_) => "day",
                Slot::Number(_) => "number",
                Slot::Amount(_) => "amount",
            };
            let link = column.spec.link.map(|target| format!(" refers to {target}")).unwrap_or_default();
            text.push_str(&format!("- {} ({of}{link}) {}\n", column.name(), shown.join(", ")));
        }
    }
    text
}

fn output_schema() -> serde_json::Value {
    let text = json!({ "type": "string" });
    let filter = json!({
        "type": "object", "additionalProperties": false, "required": ["field", "op"],
        "properties": {
            "field": text, "than": text, "values": { "type": "array", "items": text },
            "op": { "enum": ["eq", "ne", "lt", "le", "gt", "ge", "present", "missing", "referred_by", "not_referred_by", "refers_to"] }
        }
    });
    let kinds: Vec<&str> = RecordKind::ALL.map(RecordKind::as_str).to_vec();
    json!({
        "type": "object", "additionalProperties": false, "required": ["query"],
        "properties": { "query": { "anyOf": [{ "type": "null" }, {
            "type": "object", "additionalProperties": false, "required": ["kind"],
            "properties": {
                "kind": { "enum": kinds },
                "filters": { "type": "array", "items": filter },
                "group_by": { "type": "object", "additionalProperties": false, "properties": {
                    "field": text, "each": { "enum": ["day", "week", "month", "quarter", "year"] }, "linked": { "enum": kinds } } },
                "measures": { "type": "array", "items": { "type": "object", "additionalProperties": false, "required": ["measure"], "properties": {
                    "measure": { "enum": ["count", "sum", "average", "min", "max"] }, "field": text, "since": text } } },
                "order_by": { "type": "object", "additionalProperties": false, "required": ["field"], "properties": {
                    "field": text, "descending": { "type": "boolean" } } },
                "limit": { "type": "integer", "minimum": 1, "maximum": 200 }
            }
        }] } }
    })
}

/// Whether every value is one that the data or the question has: a model may choose among values, not make one up.
fn grounded(query: &Query, question: &str, values: &[Value], entities: &[Entity]) -> bool {
    let said = ingest::text::for_matching(question);
    let numbers: BTreeSet<String> = super::tokens::words(&said)
        .iter()
        .map(|word| word.replace([',', '\''], ""))
        .filter(|word| word.chars().any(|c| c.is_ascii_digit()))
        .collect();
    query.filters.iter().all(|filter| {
        filter.values.iter().all(|value| held(query.kind, filter, value, &said, &numbers, values, entities))
    })
}

fn held(
    kind: RecordKind,
    filter: &Filter,
    value: &str,
    said: &str,
    numbers: &BTreeSet<String>,
    values: &[Value],
    entities: &[Entity],
) -> bool {
    if filter.op == Op::RefersTo {
        return entities.iter().any(|entity| entity.ids.iter().any(|id| id == value));
    }
    let (owner, field) = match filter.field.split_once('.').filter(|(link, _)| *link != "lines") {
        Some((link, field)) => match layout(kind).column(link).and_then(|column| column.spec.link) {
            Some(target) => (target, field),
            None => return false,
        },
        None => (kind, filter.field.as_str()),
    };
    let Some(column) = layout(owner).column(field) else { return false };
    match column.slot {
        Slot::Text(_) => {
            values.iter().any(|one| one.kind == owner.as_str() && one.field == field && one.value == value)
                || entities.iter().any(|entity| entity.ids.iter().any(|id| id == value))
        }
        // Days follow from words such as "last week"; the answer states them.
        Slot::Day(_) => true,
        Slot::Number(_) if matches!(value, "yes" | "no" | "true" | "false" | "0") => true,
        Slot::Number(_) | Slot::Amount(_) => {
            let number = value.split(' ').next().unwrap_or_default();
            number == "0"
                || numbers.contains(number)
                || numbers.contains(number.trim_end_matches(".00"))
                || said.contains(number)
        }
    }
}
