//! The shape of a mapping file, and the checks that need no source data.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use toml::Spanned;

use super::MappingError;
use super::path::Path;
use crate::document::DocumentKind;
use crate::money::Currency;
use crate::record::RecordKind;
use crate::schema::{self, FieldSpec, nearest};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MappingFile {
    pub name: String,
    #[serde(default)]
    pub currency: Option<Currency>,
    #[serde(default)]
    pub timezone: Option<Spanned<String>>,
    #[serde(default)]
    pub local_time: LocalTime,
    #[serde(default)]
    pub date_formats: Vec<String>,
    #[serde(default = "point")]
    pub decimal: char,
    #[serde(default)]
    pub thousands: Option<char>,
    #[serde(default)]
    pub delimiter: Option<char>,
    /// Cell texts that mean "nothing here" besides the empty one.
    #[serde(default)]
    pub null_values: Vec<String>,
    #[serde(default)]
    pub on_bad_row: OnBadRow,
    /// Files that are passed over, whatever they hold.
    #[serde(default)]
    pub ignore: Vec<String>,
    #[serde(default)]
    pub documents: Vec<DocumentRule>,
    #[serde(default)]
    pub records: Vec<RecordRule>,
}

impl MappingFile {
    /// Without rules.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            currency: None,
            timezone: None,
            local_time: LocalTime::Refuse,
            date_formats: Vec::new(),
            decimal: point(),
            thousands: None,
            delimiter: None,
            null_values: Vec::new(),
            on_bad_row: OnBadRow::Skip,
            ignore: Vec::new(),
            documents: Vec::new(),
            records: Vec::new(),
        }
    }
}

fn point() -> char {
    '.'
}

/// What to do with a local time that does not exist or exists twice (daylight saving).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LocalTime {
    #[default]
    Refuse,
    Earlier,
    Later,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnBadRow {
    /// Good rows go in, bad rows are reported.
    #[default]
    Skip,
    /// One bad row and nothing of the file goes in.
    RefuseFile,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentRule {
    pub files: String,
    #[serde(default)]
    pub kind: Option<DocumentKind>,
    #[serde(default)]
    pub audience: Vec<String>,
    /// What front matter says where there is one; for formats without it (PDF, Word, mail).
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub effective_from: Option<Date>,
    #[serde(default)]
    pub effective_to: Option<Date>,
    #[serde(default)]
    pub supersedes: Vec<String>,
    #[serde(default)]
    pub scope: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordRule {
    #[serde(deserialize_with = "kind")]
    pub kind: RecordKind,
    pub files: String,
    /// Of a workbook; default: the first that is shown and holds something.
    #[serde(default)]
    pub sheet: Option<String>,
    /// Of a sheet, counted as it shows them; default: the first row that holds something.
    #[serde(default)]
    pub header_row: Option<u64>,
    #[serde(default)]
    pub rows: Option<Path>,
    pub id: Template,
    #[serde(default)]
    pub source_time: Option<Path>,
    #[serde(default)]
    pub audience: Vec<String>,
    /// Only rows in which each path holds one of its texts.
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub on_bad_row: Option<OnBadRow>,
    /// Columns or keys that are dropped instead of being kept as extra.
    #[serde(default)]
    pub ignore: Vec<String>,
    pub fields: BTreeMap<Spanned<String>, FieldRule>,
    #[serde(default)]
    pub lines: Option<LinesRule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinesRule {
    #[serde(default)]
    pub rows: Option<Path>,
    /// Each row of the table is a line: rows that follow each other with the same id are one record.
    #[serde(default)]
    pub same_rows: bool,
    #[serde(default)]
    pub files: Option<String>,
    #[serde(default)]
    pub sheet: Option<String>,
    #[serde(default)]
    pub header_row: Option<u64>,
    /// Column of the lines file that holds the id of the parent.
    #[serde(default)]
    pub parent: Option<String>,
    pub fields: BTreeMap<Spanned<String>, FieldRule>,
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RecordKind, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|error| de::Error::custom(format!("kind {error}")))
}

/// Where a field comes from.
#[derive(Debug, Clone, Default)]
pub(super) struct FieldRule {
    pub from: Vec<Path>,
    pub join: Option<String>,
    pub value: Option<String>,
    pub values: Option<BTreeMap<String, String>>,
    pub keep_other: bool,
    pub currency: Option<Path>,
    pub currency_code: Option<Currency>,
    pub combine: Option<Combine>,
    pub format: Option<String>,
    /// Decimals that a number is rounded to (halves away from zero): for sources that keep amounts as binary fractions.
    pub round: Option<u32>,
    pub required: bool,
    pub optional: bool,
    pub lookup: Option<Lookup>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Combine {
    First,
    Last,
    Sum,
    Join,
    Count,
}

/// A value found in another file of the source by a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lookup {
    pub files: String,
    #[serde(default)]
    pub sheet: Option<String>,
    #[serde(default)]
    pub header_row: Option<u64>,
    pub key: String,
    pub value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullRule {
    #[serde(default)]
    from: Option<OneOrMany>,
    #[serde(default)]
    join: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    values: Option<BTreeMap<String, String>>,
    #[serde(default)]
    other: Option<Other>,
    #[serde(default)]
    currency: Option<Path>,
    #[serde(default)]
    currency_code: Option<Currency>,
    #[serde(default)]
    combine: Option<Combine>,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    round: Option<u32>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    lookup: Option<Lookup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Other {
    Keep,
    Refuse,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Path),
    Many(Vec<Path>),
}

impl<'de> Deserialize<'de> for FieldRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RuleVisitor;
        impl<'de> Visitor<'de> for RuleVisitor {
            type Value = FieldRule;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a column, or a table such as { from = \"column\" }")
            }

            fn visit_str<E: de::Error>(self, column: &str) -> Result<FieldRule, E> {
                Ok(FieldRule { from: vec![Path::parse(column)], ..FieldRule::default() })
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<FieldRule, M::Error> {
                let full = FullRule::deserialize(de::value::MapAccessDeserializer::new(map))?;
                full.try_into().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(RuleVisitor)
    }
}

impl TryFrom<FullRule> for FieldRule {
    type Error = &'static str;

    fn try_from(full: FullRule) -> Result<Self, Self::Error> {
        let from = match full.from {
            None => Vec::new(),
            Some(OneOrMany::One(path)) => vec![path],
            Some(OneOrMany::Many(paths)) => paths,
        };
        if from.is_empty() == full.value.is_none() {
            return Err("needs either `from` (a column or path) or `value` (a constant)");
        }
        if full.round.is_some_and(|places| places > 6) {
            return Err("rounds to at most 6 decimals");
        }
        if full.required && full.optional {
            return Err("cannot be both required and optional");
        }
        Ok(Self {
            from,
            join: full.join,
            value: full.value,
            values: full.values,
            keep_other: matches!(full.other, Some(Other::Keep)),
            currency: full.currency,
            currency_code: full.currency_code,
            combine: full.combine,
            format: full.format,
            round: full.round,
            required: full.required,
            optional: full.optional,
            lookup: full.lookup,
        })
    }
}

/// An id made of columns: `po_number`, `{product}/{warehouse}`.
#[derive(Debug, Clone)]
pub(super) struct Template(pub Vec<Part>);

#[derive(Debug, Clone)]
pub(super) enum Part {
    Text(String),
    From(Path),
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !text.contains('{') {
            return Ok(Self(vec![Part::From(Path::parse(&text))]));
        }
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some(open) = rest.find('{') {
            let Some(close) = rest[open..].find('}') else {
                return Err(de::Error::custom("id opens a brace and never closes it"));
            };
            parts.push(Part::Text(rest[..open].to_owned()));
            parts.push(Part::From(Path::parse(&rest[open + 1..open + close])));
            rest = &rest[open + close + 1..];
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }
}

/// Parses the TOML and checks every name in it.
pub(super) fn parse(toml_text: &str) -> Result<MappingFile, MappingError> {
    let file: MappingFile = toml::from_str(toml_text).map_err(|error| MappingError {
        line: error.span().map(|span| line_of(toml_text, span.start)),
        message: with_suggestion(error.message()),
    })?;
    for rule in &file.records {
        let schema = schema::schema(rule.kind);
        check_fields(toml_text, rule.kind, "field", &rule.fields, schema.fields)?;
        if let Some(lines) = &rule.lines {
            check_fields(toml_text, rule.kind, "line field", &lines.fields, schema.lines)?;
            check_lines(lines)?;
        }
    }
    if file.thousands == Some(file.decimal) {
        return Err(MappingError { line: None, message: "decimal and thousands are the same mark".into() });
    }
    if file.delimiter.is_some_and(|delimiter| !delimiter.is_ascii()) {
        return Err(MappingError { line: None, message: "delimiter is not an ASCII character".into() });
    }
    Ok(file)
}

fn check_fields(
    toml_text: &str,
    kind: RecordKind,
    what: &str,
    rules: &BTreeMap<Spanned<String>, FieldRule>,
    specs: &'static [FieldSpec],
) -> Result<(), MappingError> {
    for name in rules.keys() {
        if specs.iter().any(|spec| spec.name == name.get_ref()) {
            continue;
        }
        let hint = nearest(name.get_ref(), specs.iter().map(|spec| spec.name))
            .map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"));
        return Err(MappingError {
            line: Some(line_of(toml_text, name.span().start)),
            message: format!("{kind} has no {what} \"{}\"{hint}", name.get_ref()),
        });
    }
    Ok(())
}

fn check_lines(lines: &LinesRule) -> Result<(), MappingError> {
    if lines.same_rows {
        let alone = lines.rows.is_none() && lines.files.is_none() && lines.parent.is_none();
        let message = "lines with `same_rows` are in the table itself: leave `rows`, `files` and `parent` out".into();
        return if alone { Ok(()) } else { Err(MappingError { line: None, message }) };
    }
    let complaint = match (&lines.rows, &lines.files, &lines.parent) {
        (_, Some(_), Some(_)) | (Some(_), None, None) => return Ok(()),
        (_, Some(_), None) => "lines from another file need `parent`, the column that holds the parent's id",
        (_, None, Some(_)) => "lines with `parent` need `files`, the file they are in",
        (None, None, None) => "lines need `rows` (a JSON path), `same_rows`, or `files` and `parent`",
    };
    Err(MappingError { line: None, message: complaint.into() })
}

pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Adds the nearest known key to serde's "unknown field `x`, expected one of `a`, `b`".
fn with_suggestion(message: &str) -> String {
    let message = message.trim();
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown") {
        return message.to_owned();
    }
    let Some(wrong) = quoted.next() else { return message.to_owned() };
    match nearest(wrong, quoted) {
        Some(name) => format!("{message}; did you mean \"{name}\"?"),
        None => message.to_owned(),
    }
}
