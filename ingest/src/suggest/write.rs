//! The proposal as a mapping file, each line with why.

use std::fmt::Write;

use super::fields::{format_of, is_currency};
use super::shape::Marks;
use super::{Column, Sample};
use crate::record::RecordKind;
use crate::schema::{FieldSpec, FieldType};

/// A column taken for a field.
pub(super) struct Taken<'s> {
    pub spec: &'static FieldSpec,
    pub column: &'s Column,
    /// 0 to 1.
    pub score: f64,
}

/// What is proposed for one file.
pub(super) struct Proposal<'s> {
    pub kind: RecordKind,
    pub id: Vec<&'s Column>,
    pub fields: Vec<Taken<'s>>,
    pub lines: Vec<Taken<'s>>,
    pub same_rows: bool,
}

impl Proposal<'_> {
    pub(super) fn uses(&self, column: &str) -> bool {
        self.id.iter().any(|id| id.name == column)
            || self.fields.iter().chain(&self.lines).any(|one| one.column.name == column)
    }

    fn taken(&self) -> impl Iterator<Item = &Taken<'_>> {
        self.fields.iter().chain(&self.lines)
    }
}

pub(super) fn toml(sample: &Sample, proposal: &Proposal<'_>, confidence: f64) -> String {
    let mut out = String::new();
    let stem = sample.file.rsplit_once('.').map_or(sample.file.as_str(), |(stem, _)| stem);
    let _ = writeln!(
        out,
        "# Proposed from {} rows of {}. Read it before it is used: the number at the end of",
        sample.row_count,
        comment(&sample.file)
    );
    let _ = writeln!(out, "# a line is how sure the guess is, from 0 to 1.");
    let _ = writeln!(out, "name = {}", quoted(&source_name(stem)));
    let currency = sample.columns.iter().find(|column| is_currency(column));
    let has_money = proposal.taken().any(|one| one.spec.kind == FieldType::Money);
    if has_money && currency.is_none() {
        out.push_str("# currency = \"EUR\"   # no column says it, and amounts need one: set it here\n");
    }
    notation(&mut out, proposal);
    let _ = writeln!(out, "\n[[records]]\nkind = {} # {confidence:.2}", quoted(proposal.kind.as_str()));
    let _ = writeln!(out, "files = {}", quoted(&sample.file));
    if let Some(sheet) = &sample.sheet {
        let _ = writeln!(out, "sheet = {} # the sheet with the most rows", quoted(sheet));
    }
    match &sample.rows {
        Some(rows) => drop(writeln!(out, "rows = {}", quoted(rows))),
        None if sample.json => out.push_str("rows = \"*\"\n"),
        None => {}
    }
    id(&mut out, proposal);
    if let Some(updated) =
        proposal.fields.iter().find(|one| one.spec.name == "updated_at" && one.column.shape.date.is_some())
    {
        // A source's own time is read with the formats of the whole mapping.
        if format_of(updated.spec, &updated.column.shape).is_none() {
            let _ = writeln!(
                out,
                "source_time = {} # an older row never replaces a newer one",
                quoted(&updated.column.name)
            );
        }
    }
    out.push_str("[records.fields]\n");
    for one in &proposal.fields {
        field(&mut out, one, currency.map(|column| column.name.clone()));
    }
    if proposal.same_rows {
        out.push_str("[records.lines]\nsame_rows = true # rows of one id follow each other, and differ in these columns\n[records.lines.fields]\n");
        for one in &proposal.lines {
            // The currency stands on the first row of the record.
            field(&mut out, one, currency.map(|column| format!("^.{}", column.name)));
        }
    }
    let unknown: Vec<&str> =
        sample.columns.iter().map(|column| column.name.as_str()).filter(|name| !proposal.uses(name)).collect();
    if !unknown.is_empty() {
        out.push_str("\n# Not recognised, and kept with the record as extra:\n");
        for name in unknown {
            let _ = writeln!(out, "#   {}", comment(name));
        }
    }
    out
}

/// Marks of numbers that are text, when they are not the usual ones.
fn notation(out: &mut String, proposal: &Proposal<'_>) {
    let numbers =
        proposal.taken().filter(|one| !matches!(one.spec.kind, FieldType::Text | FieldType::Date | FieldType::Moment));
    let marks: Vec<Marks> = numbers.filter_map(|one| one.column.shape.number.flatten()).collect();
    if marks.iter().any(|(decimal, _)| *decimal == ',') {
        out.push_str("decimal = \",\"\n");
    }
    if let Some(mark) = marks.iter().find_map(|(_, thousands)| *thousands) {
        let _ = writeln!(out, "thousands = {}", quoted(&mark.to_string()));
    }
}

fn id(out: &mut String, proposal: &Proposal<'_>) {
    match proposal.id.as_slice() {
        [] => out.push_str("id = \"\" # no column is filled and unique: name one\n"),
        [one] if one.name.contains('{') => {
            let _ = writeln!(out, "id = \"\" # {}: a name with braces cannot be an id here", comment(&one.name));
        }
        [one] => {
            let why = if proposal.same_rows {
                "rows with the same one follow each other"
            } else {
                "filled, and never the same twice"
            };
            let _ = writeln!(out, "id = {} # {why}", quoted(&one.name));
        }
        several => {
            let parts: Vec<String> = several.iter().map(|column| format!("{{{}}}", column.name)).collect();
            let _ = writeln!(out, "id = {} # unique together", quoted(&parts.join("/")));
        }
    }
}

fn field(out: &mut String, one: &Taken<'_>, currency: Option<String>) {
    let mut rule = vec![format!("from = {}", quoted(&one.column.name))];
    if let Some(format) = format_of(one.spec, &one.column.shape) {
        rule.push(format!("format = {}", quoted(&format)));
    }
    if let Some(currency) = currency.filter(|_| one.spec.kind == FieldType::Money) {
        rule.push(format!("currency = {}", quoted(&currency)));
    }
    if one.spec.name.ends_with("status") && one.column.shape.is_code() {
        let values = one
            .column
            .shape
            .distinct
            .iter()
            .map(|value| format!("{} = {}", quoted(value), quoted(&value.to_lowercase())));
        rule.push(format!("values = {{ {} }}, other = \"keep\"", values.collect::<Vec<_>>().join(", ")));
    }
    let rule = match rule.as_slice() {
        [_] => quoted(&one.column.name),
        several => format!("{{ {} }}", several.join(", ")),
    };
    let _ = write!(out, "{} = {rule} # {:.2}", one.spec.name, one.score);
    if one.column.shape.date_ambiguous && matches!(one.spec.kind, FieldType::Date | FieldType::Moment) {
        out.push_str("; CHECK: day and month could be the other way round");
    }
    if one.column.shape.filled == 0 {
        out.push_str("; every cell looked at is empty");
    }
    out.push('\n');
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Text of the file in a comment of ours: on one line.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn source_name(stem: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c.to_ascii_lowercase() } else { '-' };
    let name: String = stem.chars().map(allowed).take(80).collect();
    if name.is_empty() { "source".to_owned() } else { name }
}
