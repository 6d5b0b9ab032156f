//! What the API and the CLI push: records and documents as JSON, turned into `ingest`'s types.
//!
//! A field may be given plainly (`"total": "84.00 EUR"`, `"quantity": 2`, `"order_date": "2026-03-01"`) and is then read by the canonical
//! schema's type, or tagged as stored (`{"money": {…}}`). A value of the wrong type refuses that record, never guesses.

use std::collections::BTreeMap;

use ingest::schema::{FieldSpec, FieldType};
use ingest::{
    Currency, Decimal, Document, DocumentKind, DocumentMeta, Fields, Markup, Money, Record, RecordKind, Value, schema,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

/// A record as pushed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushedRecord {
    /// As `order`, `purchase_order`, `customer_invoice`.
    pub kind: String,
    /// Its id in the source.
    pub external_id: String,
    /// Canonical fields by name; names that the kind does not have are kept as extra.
    #[schema(value_type = Object)]
    pub fields: BTreeMap<String, Json>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub lines: Vec<BTreeMap<String, Json>>,
    /// Kept, never interpreted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub extra: BTreeMap<String, Json>,
    /// The source's own time of change, RFC 3339; an older arrival does not replace a newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_time: Option<String>,
    /// Roles that may see it; absent: everyone of the tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
}

/// A document as pushed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushedDocument {
    pub external_id: String,
    /// The document itself.
    pub content: String,
    /// `markdown` (default), `html`, `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// `policy`, `runbook`, `page`, `note`; default: front matter, else `page`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Default: front matter, first heading, external id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Dates, scope and so on; when given, `content` is taken as the body and not searched for front matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub meta: Option<DocumentMeta>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
}

/// Why one item of a push was refused; names the field, never its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", .field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
pub struct WireError {
    pub field: Option<String>,
    pub reason: String,
}

fn refuse(field: &str, reason: impl Into<String>) -> WireError {
    WireError { field: Some(field.to_owned()), reason: reason.into() }
}

/// PostgreSQL stores no NUL in a text: an item with one is refused on both engines, so that both hold the same.
fn refuse_nul(item: &impl Serialize) -> Result<(), WireError> {
    fn found(json: &Json) -> bool {
        match json {
            Json::String(text) => text.contains('\0'),
            Json::Array(items) => items.iter().any(found),
            Json::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || found(value)),
            Json::Null | Json::Bool(_) | Json::Number(_) => false,
        }
    }
    let holds_nul = serde_json::to_value(item).is_ok_and(|json| found(&json));
    if holds_nul {
        return Err(WireError { field: None, reason: "holds a NUL character".into() });
    }
    Ok(())
}

/// A blank audience would be refused by the index, and with it the portion that it came in.
fn check_audience(audience: &[String]) -> Result<(), WireError> {
    let named =
        |name: &String| (1..=80).contains(&name.len()) && !name.chars().any(|c| c.is_whitespace() || c.is_control());
    if audience.len() <= 20 && audience.iter().all(named) {
        return Ok(());
    }
    Err(refuse("audience", "is at most 20 names of 1 to 80 bytes without white space"))
}

impl PushedRecord {
    pub fn from_record(record: Record, audience: Vec<String>) -> Self {
        let tagged = |fields: Fields| -> BTreeMap<String, Json> {
            fields.into_iter().map(|(name, value)| (name, serde_json::json!(value))).collect()
        };
        Self {
            kind: record.kind.as_str().to_owned(),
            external_id: record.external_id,
            fields: tagged(record.fields),
            lines: record.lines.into_iter().map(tagged).collect(),
            extra: record.extra,
            source_time: record.source_time.map(|time| time.to_string()),
            audience,
        }
    }

    /// The typed record and its audience.
    pub fn into_record(self) -> Result<(Record, Vec<String>), WireError> {
        check_audience(&self.audience)?;
        refuse_nul(&self)?;
        let kind: RecordKind =
            self.kind.parse().map_err(|error: ingest::record::UnknownKind| refuse("kind", error.to_string()))?;
        let id_ok = (1..=500).contains(&self.external_id.len()) && !self.external_id.chars().any(char::is_control);
        if !id_ok {
            return Err(refuse("external_id", "is 1 to 500 bytes without control characters"));
        }
        let schema = schema(kind);
        let mut extra = self.extra;
        let fields = typed("", schema.fields, self.fields, &mut extra)?;
        let mut lines = Vec::with_capacity(self.lines.len());
        for (position, line) in self.lines.into_iter().enumerate() {
            let mut unknown = BTreeMap::new();
            lines.push(typed(&format!("lines.{position}."), schema.lines, line, &mut unknown)?);
            extra.extend(unknown.into_iter().map(|(name, value)| (format!("lines.{position}.{name}"), value)));
        }
        let source_time = self
            .source_time
            .map(|text| text.parse::<jiff::Timestamp>().map_err(|_| refuse("source_time", "is not an RFC 3339 time")))
            .transpose()?
            .map(|time| crate::clock::from_us(time.as_microsecond()));
        let record = Record { kind, external_id: self.external_id, fields, lines, extra, source_time };
        Ok((record, self.audience))
    }
}

fn typed(
    prefix: &str,
    specs: &'static [FieldSpec],
    given: BTreeMap<String, Json>,
    extra: &mut BTreeMap<String, Json>,
) -> Result<Fields, WireError> {
    let mut fields = Fields::new();
    for (name, json) in given {
        let Some(spec) = specs.iter().find(|spec| spec.name == name) else {
            extra.insert(name, json);
            continue;
        };
        if json.is_null() {
            continue;
        }
        let path = format!("{prefix}{name}");
        fields.insert(name, value(&path, spec.kind, json)?);
    }
    Ok(fields)
}

fn value(path: &str, kind: FieldType, json: Json) -> Result<Value, WireError> {
    let typed = match &json {
        Json::Object(_) => serde_json::from_value::<Value>(json).map_err(|_| refuse(path, "is not a tagged value"))?,
        Json::Bool(flag) => Value::Flag(*flag),
        Json::Number(number) => plain(path, kind, &number.to_string())?,
        Json::String(text) => plain(path, kind, text)?,
        Json::Null | Json::Array(_) => return Err(refuse(path, format!("is not {}", kind.as_str()))),
    };
    let fits = match (kind, &typed) {
        (FieldType::Text, Value::Text(_))
        | (FieldType::Integer, Value::Integer(_))
        | (FieldType::Quantity, Value::Quantity(_))
        | (FieldType::Money, Value::Money(_))
        | (FieldType::Date, Value::Date(_))
        | (FieldType::Moment, Value::Date(_) | Value::Time(_))
        | (FieldType::Flag, Value::Flag(_)) => true,
        (
            FieldType::Text
            | FieldType::Integer
            | FieldType::Quantity
            | FieldType::Money
            | FieldType::Date
            | FieldType::Moment
            | FieldType::Flag,
            _,
        ) => false,
    };
    if fits { Ok(typed) } else { Err(refuse(path, format!("is not {}", kind.as_str()))) }
}

/// A value written plainly. Numbers arrive as their exact text.
fn plain(path: &str, kind: FieldType, text: &str) -> Result<Value, WireError> {
    let wrong = || refuse(path, format!("is not {}", kind.as_str()));
    match kind {
        FieldType::Text => Ok(Value::text(text)),
        FieldType::Integer => text.parse().map(Value::Integer).map_err(|_| wrong()),
        FieldType::Quantity => Decimal::from_str_exact(text).map(Value::quantity).map_err(|_| wrong()),
        FieldType::Money => {
            money(text).map(Value::Money).ok_or_else(|| refuse(path, "is not money such as \"84.00 EUR\""))
        }
        FieldType::Date => text.parse().map(Value::Date).map_err(|_| wrong()),
        FieldType::Moment if text.len() == 10 => text.parse().map(Value::Date).map_err(|_| wrong()),
        FieldType::Moment => text
            .parse::<jiff::Timestamp>()
            .map(|time| Value::Time(crate::clock::from_us(time.as_microsecond())))
            .map_err(|_| wrong()),
        FieldType::Flag => text.parse().map(Value::Flag).map_err(|_| wrong()),
    }
}

fn money(text: &str) -> Option<Money> {
    let (amount, currency) = text.split_once(' ')?;
    Money::new(Decimal::from_str_exact(amount).ok()?, currency.parse::<Currency>().ok()?).ok()
}

impl PushedDocument {
    pub fn from_document(document: Document, audience: Vec<String>) -> Self {
        let format = match document.markup {
            Markup::Markdown => "markdown",
            Markup::Plain => "text",
        };
        Self {
            external_id: document.external_id,
            content: document.text,
            format: Some(format.to_owned()),
            kind: Some(document.kind.as_str().to_owned()),
            title: Some(document.title),
            meta: Some(document.meta),
            audience,
        }
    }

    /// The parsed document and its audience.
    pub fn into_document(self, limits: &ingest::Limits) -> Result<(Document, Vec<String>), WireError> {
        check_audience(&self.audience)?;
        if let Some(meta) = &self.meta {
            check_audience(&meta.audience)?;
        }
        refuse_nul(&self)?;
        let id_ok = (1..=500).contains(&self.external_id.len()) && !self.external_id.chars().any(char::is_control);
        if !id_ok || self.external_id.starts_with("record:") {
            return Err(refuse(
                "external_id",
                "is 1 to 500 bytes without control characters, not beginning with record:",
            ));
        }
        let extension = match self.format.as_deref().unwrap_or("markdown") {
            "markdown" => "md",
            "html" => "html",
            "text" => "txt",
            _ => return Err(refuse("format", "is not one of markdown, html, text")),
        };
        let mut document = match self.meta {
            Some(meta) if extension != "html" => {
                let markup = if extension == "md" { Markup::Markdown } else { Markup::Plain };
                let title = self.external_id.clone();
                Document {
                    external_id: self.external_id,
                    kind: DocumentKind::Page,
                    title,
                    text: self.content,
                    markup,
                    meta,
                }
            }
            meta => {
                let name = format!("document.{extension}");
                let mut document = ingest::prose::parse(&name, &self.content, limits)
                    .map_err(|refused| refuse("content", refused.reason))?;
                document.external_id = self.external_id;
                if let Some(meta) = meta {
                    document.meta = meta;
                }
                document
            }
        };
        if let Some(kind) = self.kind {
            document.kind = kind.parse().map_err(|reason: String| refuse("kind", reason))?;
        }
        if let Some(title) = self.title {
            document.title = title;
        }
        Ok((document, self.audience))
    }
}
