//! Front matter of Markdown: YAML between `---` lines or TOML between `+++` lines.
//!
//! Says what a document is and who may read it, so it is read strictly: what looks like front matter and cannot be
//! understood refuses the document instead of opening it to everyone.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::document::{DocumentKind, DocumentMeta};
use crate::reject::{Limits, Rejection};

/// Bytes of front matter.
const FRONT_MATTER_BYTES: usize = 64 << 10;

#[derive(Debug, Default)]
pub(crate) struct FrontMatter {
    pub title: Option<String>,
    pub kind: Option<DocumentKind>,
    pub meta: DocumentMeta,
}

/// The front matter, and the body after it: a verbatim tail of `text`.
pub(crate) fn read<'a>(file: &str, text: &'a str, limits: &Limits) -> Result<(FrontMatter, &'a str), Rejection> {
    let Some((fence, block, body)) = block(text) else { return Ok((FrontMatter::default(), text)) };
    if block.len() > FRONT_MATTER_BYTES {
        return Err(Rejection::row(file, 1, format!("has front matter of more than {FRONT_MATTER_BYTES} bytes")));
    }
    let parsed = if fence == "---" { yaml(block, limits) } else { toml_table(block) };
    match parsed {
        Ok(Value::Object(entries)) => Ok((meaning(file, entries)?, body)),
        Ok(Value::Null) => Ok((FrontMatter::default(), body)),
        // A rule at the top of a page and another one below it.
        Ok(_) => Ok((FrontMatter::default(), text)),
        Err(_) if !looks_like_keys(block, fence) => Ok((FrontMatter::default(), text)),
        Err(reason) => Err(Rejection::row(file, 1, reason)),
    }
}

/// Fence, what stands between the fences, and what comes after them.
fn block(text: &str) -> Option<(&'static str, &str, &str)> {
    let mut lines = text.split_inclusive('\n');
    let first = lines.next()?;
    let fence = ["---", "+++"].into_iter().find(|fence| first.trim_end() == *fence)?;
    let start = first.len();
    let mut at = start;
    for line in lines {
        if line.trim_end() == fence || (fence == "---" && line.trim_end() == "...") {
            return Some((fence, &text[start..at], &text[at + line.len()..]));
        }
        at += line.len();
    }
    None
}

/// Whether the first line that is not blank or a comment has the form `key: value` or `key = value`.
fn looks_like_keys(block: &str, fence: &str) -> bool {
    let mark = if fence == "---" { ':' } else { '=' };
    let line = block.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or("");
    line.split_once(mark).is_some_and(|(key, _)| {
        let key = key.trim().trim_matches(['"', '\'']);
        !key.is_empty()
            && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '))
            && key.len() < 40
    })
}

fn yaml(block: &str, limits: &Limits) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits.depth,
            max_nodes: 10_000,
            max_events: 50_000,
            max_aliases: 100,
            max_documents: 1,
        },
    };
    serde_saphyr::from_str_with_options(block, options)
        .map_err(|_| "has front matter that is not valid YAML within the limits".to_owned())
}

fn toml_table(block: &str) -> Result<Value, String> {
    let table: toml::Table = block.parse().map_err(|_| "has front matter that is not valid TOML".to_owned())?;
    Ok(from_toml(toml::Value::Table(table)))
}

/// Recursion is bounded by the TOML parser's own nesting limit.
fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(integer) => Value::from(integer),
        toml::Value::Float(float) => Value::from(float),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => Value::Array(items.into_iter().map(from_toml).collect()),
        toml::Value::Table(table) => Value::Object(table.into_iter().map(|(k, v)| (k, from_toml(v))).collect()),
    }
}

fn meaning(file: &str, entries: Map<String, Value>) -> Result<FrontMatter, Rejection> {
    let mut front = FrontMatter::default();
    for (key, value) in entries {
        let fault = |reason: &str| Rejection::cell(file, 1, &key, reason.to_owned());
        match key.as_str() {
            _ if value.is_null() => {}
            "id" => front.meta.policy_id = Some(scalar(&value).ok_or_else(|| fault("is not a single value"))?),
            "title" => front.title = Some(scalar(&value).ok_or_else(|| fault("is not a single value"))?),
            "kind" => {
                let text = scalar(&value).ok_or_else(|| fault("is not a single value"))?;
                front.kind = Some(text.parse().map_err(|reason: String| fault(&reason))?);
            }
            "effective_from" => front.meta.effective_from = Some(date(&value).map_err(fault)?),
            "effective_to" => front.meta.effective_to = Some(date(&value).map_err(fault)?),
            "supersedes" => front.meta.supersedes = list(&value).ok_or_else(|| fault(NOT_A_LIST))?,
            "audience" => {
                let audience = list(&value).ok_or_else(|| fault(NOT_A_LIST))?;
                if audience.is_empty() {
                    return Err(fault("names nobody"));
                }
                front.meta.audience = audience;
            }
            "scope" => front.meta.scope = scope(&value).ok_or_else(|| fault("is not a table of lists"))?,
            _ => {
                front.meta.extra.insert(key, value);
            }
        }
    }
    let (from, to) = (front.meta.effective_from, front.meta.effective_to);
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        return Err(Rejection::cell(file, 1, "effective_to", "is before effective_from"));
    }
    Ok(front)
}

const NOT_A_LIST: &str = "is neither a text nor a list of texts";

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn list(value: &Value) -> Option<Vec<String>> {
    let texts: Vec<String> = match value {
        Value::Array(items) => items.iter().map(scalar).collect::<Option<_>>()?,
        single => vec![scalar(single)?],
    };
    Some(texts.into_iter().filter(|text| !text.is_empty()).collect())
}

fn scope(value: &Value) -> Option<BTreeMap<String, Vec<String>>> {
    match value {
        Value::Object(entries) => entries.iter().map(|(key, value)| Some((key.clone(), list(value)?))).collect(),
        other => Some(BTreeMap::from([("applies_to".to_owned(), list(other)?)])),
    }
}

fn date(value: &Value) -> Result<Date, &'static str> {
    let text = scalar(value).unwrap_or_default();
    let parsed = text.get(..10).filter(|day| day.len() == text.len()).and_then(|day| day.parse::<Date>().ok());
    parsed.filter(|date| date.year() >= 1).ok_or("is not a date like 2026-03-01")
}
