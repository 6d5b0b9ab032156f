//! One source row to one record.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use rust_decimal::RoundingStrategy;
use toml::Spanned;

use super::file::{Combine, FieldRule, Part, RecordRule};
use super::group::Group;
use super::join::{Lines, Lookups};
use super::path::{Cell, Content, Path, Selected, SourceRow, rows_below};
use super::used_keys;
use super::value::{Notation, Scalar};
use crate::money::{Currency, Decimal};
use crate::record::{Fields, Record, Value};
use crate::reject::Rejection;
use crate::schema::{self, FieldSpec};
use crate::table::CellKind;

/// Bytes of an external id; longer ones are a mapping mistake.
const ID_BYTES: usize = 256;

/// A rule ready to be applied to rows.
pub(super) struct RowMapper<'a> {
    rule: &'a RecordRule,
    notation: &'a Notation,
    currency: Option<Currency>,
    lookups: &'a Lookups,
    used: HashSet<&'a str>,
    used_in_lines: HashSet<&'a str>,
    /// Columns that the record itself (not its lines) reads.
    of_head: HashSet<&'a str>,
}

/// What is wrong, and with which column.
struct Fault {
    column: String,
    reason: String,
}

impl Fault {
    fn new(column: &str, reason: impl Into<String>) -> Self {
        Self { column: column.to_owned(), reason: reason.into() }
    }

    fn at(self, file: &str, row: &SourceRow<'_>) -> Rejection {
        let column = match &row.content {
            Content::Table { header, .. } => header.shown(&self.column, row.number),
            Content::Json(_) => self.column,
        };
        Rejection::cell(file, row.number, &column, self.reason)
    }
}

impl<'a> RowMapper<'a> {
    pub(super) fn new(
        rule: &'a RecordRule,
        notation: &'a Notation,
        currency: Option<Currency>,
        lookups: &'a Lookups,
    ) -> Self {
        let field_paths = |fields: &'a BTreeMap<Spanned<String>, FieldRule>| {
            fields.values().flat_map(|field| field.from.iter().chain(&field.currency))
        };
        let id_paths = rule.id.0.iter().filter_map(|part| match part {
            Part::From(path) => Some(path),
            Part::Text(_) => None,
        });
        let line_rows = rule.lines.as_ref().and_then(|lines| lines.rows.as_ref());
        let mut used = used_keys(field_paths(&rule.fields).chain(id_paths).chain(&rule.source_time).chain(line_rows));
        let of_head = used.clone();
        let mut used_in_lines = HashSet::new();
        let ignored = rule.ignore.iter().map(String::as_str);
        used.extend(ignored.clone());
        if let Some(lines) = &rule.lines {
            used_in_lines = used_keys(field_paths(&lines.fields));
            used_in_lines.extend(lines.parent.as_deref());
            used_in_lines.extend(ignored);
            if lines.same_rows {
                used.extend(used_in_lines.iter().copied());
                used_in_lines.extend(used.iter().copied());
            }
        }
        Self { rule, notation, currency, lookups, used, used_in_lines, of_head }
    }

    /// The record of a row and the row's number; `None` when the rule's `where` leaves the row out.
    pub(super) fn record(
        &self,
        file: &str,
        row: &SourceRow<'_>,
        lines: &mut Lines<'_>,
    ) -> Result<Option<(Record, u64)>, Rejection> {
        self.record_with(file, row, lines, None)
    }

    /// The record of rows with one id: its own fields from the first row that has them, each row a line.
    pub(super) fn grouped(
        &self,
        file: &str,
        group: &Group,
        lines: &mut Lines<'_>,
    ) -> Result<Option<(Record, u64)>, Rejection> {
        if let Some((column, row)) = group.conflict(|column| self.of_head.contains(column)) {
            let reason =
                format!("differs from the other rows of its record, which begins at row {}", group.first_row());
            return Err(Rejection::cell(file, row, &group.header.shown(column, row), reason));
        }
        let merged = group.merged();
        let head = group.row(group.first_row(), &merged);
        self.record_with(file, &head, lines, Some(group))
    }

    fn record_with(
        &self,
        file: &str,
        row: &SourceRow<'_>,
        lines: &mut Lines<'_>,
        group: Option<&Group>,
    ) -> Result<Option<(Record, u64)>, Rejection> {
        if !self.wanted(row).map_err(|fault| fault.at(file, row))? {
            return Ok(None);
        }
        let record = self.head(row).map_err(|fault| fault.at(file, row));
        // Lines of a refused parent have been seen, and are not orphans.
        let id = self.external_id(row);
        let mut found = Vec::new();
        let mut extras = Vec::new();
        let mut take = |file: &str, line: &SourceRow<'_>| -> Result<(), Rejection> {
            let fields = self.line(line).map_err(|fault| fault.at(file, line))?;
            let mut extra = unused(line, &self.used_in_lines);
            extra.retain(|column, _| group.is_none_or(|group| group.varies(column)));
            // A row of a group may carry something of the record alone.
            if group.is_none() || !fields.is_empty() {
                found.push(fields);
                extras.push(serde_json::Value::Object(extra.into_iter().collect()));
            }
            Ok(())
        };
        let mut taken = Ok(());
        if let Some(rule) = &self.rule.lines {
            if let Some(rows) = &rule.rows {
                rows_below(row, rows, &mut None, &mut |line| {
                    if taken.is_ok() {
                        taken = take(file, line);
                    }
                });
            }
            for (number, cells) in group.iter().flat_map(|group| &group.rows) {
                let cells: Vec<Cow<'_, str>> = cells.iter().map(|cell| Cow::Borrowed(cell.as_str())).collect();
                if let (Content::Table { header, .. }, true) = (&row.content, taken.is_ok()) {
                    let content = Content::Table { header, cells: &cells };
                    taken = take(file, &SourceRow { number: *number, content, key: None, parent: Some(row) });
                }
            }
            if let Ok(id) = &id {
                taken = taken.and(lines.of_parent(id, row, &mut take));
            }
        }
        let mut record = record?;
        taken?;
        record.lines = found;
        if let Some(group) = group {
            record.extra.retain(|column, _| !group.varies(column));
        }
        if extras.iter().any(|extra| extra.as_object().is_some_and(|entries| !entries.is_empty())) {
            record.extra.insert("lines".to_owned(), serde_json::Value::Array(extras));
        }
        Ok(Some((record, row.number)))
    }

    /// The id of a row, for grouping; `None` when it has none (the row is then a record of its own, and refused).
    pub(super) fn id_of(&self, row: &SourceRow<'_>) -> Option<String> {
        self.external_id(row).ok()
    }

    /// Whether rows with one id are one record.
    pub(super) fn groups(&self) -> bool {
        self.rule.lines.as_ref().is_some_and(|lines| lines.same_rows)
    }

    fn wanted(&self, row: &SourceRow<'_>) -> Result<bool, Fault> {
        for (path, allowed) in &self.rule.only {
            let path = Path::parse(path);
            let text = self.single(row, &path, false)?.into_text().unwrap_or_default();
            if !allowed.contains(&text) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The record without its lines.
    fn head(&self, row: &SourceRow<'_>) -> Result<Record, Fault> {
        let schema = schema::schema(self.rule.kind);
        let mut record = Record::new(self.rule.kind, self.external_id(row)?);
        record.fields = self.fields(row, &self.rule.fields, schema.fields)?;
        record.extra = unused(row, &self.used);
        if let Some(path) = &self.rule.source_time {
            let scalar = self.single(row, path, false)?;
            record.source_time = self.notation.instant(scalar).map_err(|reason| Fault::new(&path.text, reason))?;
        }
        Ok(record)
    }

    fn line(&self, row: &SourceRow<'_>) -> Result<Fields, Fault> {
        let rules = self.rule.lines.as_ref().map(|lines| &lines.fields);
        let schema = schema::schema(self.rule.kind);
        rules.map_or_else(|| Ok(Fields::new()), |rules| self.fields(row, rules, schema.lines))
    }

    fn external_id(&self, row: &SourceRow<'_>) -> Result<String, Fault> {
        let mut id = String::new();
        for part in &self.rule.id.0 {
            match part {
                Part::Text(text) => id.push_str(text),
                Part::From(path) => {
                    let text = self.single(row, path, false)?.into_text();
                    id.push_str(&text.ok_or_else(|| Fault::new(&path.text, "is empty, and it is the id"))?);
                }
            }
        }
        let column = || {
            self.rule.id.0.iter().find_map(|part| match part {
                Part::From(path) => Some(path.text.clone()),
                Part::Text(_) => None,
            })
        };
        if id.len() > ID_BYTES {
            return Err(Fault::new(&column().unwrap_or_default(), format!("is an id over {ID_BYTES} bytes")));
        }
        if id.chars().any(char::is_control) {
            return Err(Fault::new(&column().unwrap_or_default(), "is an id with a control character"));
        }
        Ok(id)
    }

    fn fields(
        &self,
        row: &SourceRow<'_>,
        rules: &BTreeMap<Spanned<String>, FieldRule>,
        specs: &'static [FieldSpec],
    ) -> Result<Fields, Fault> {
        let mut fields = Fields::new();
        for (name, rule) in rules {
            let Some(spec) = specs.iter().find(|spec| spec.name == name.get_ref()) else { continue };
            if let Some(value) = self.field(row, rule, spec)? {
                fields.insert(spec.name.to_owned(), value);
            }
        }
        Ok(fields)
    }

    fn field(&self, row: &SourceRow<'_>, rule: &FieldRule, spec: &FieldSpec) -> Result<Option<Value>, Fault> {
        let column = rule.from.first().map_or(spec.name, |path| path.text.as_str());
        let fault = |reason: String| Fault::new(column, format!("{reason} (field {})", spec.name));
        let mut scalar = match &rule.value {
            Some(constant) => Scalar::Text(constant.clone()),
            None => self.gather(row, rule)?,
        };
        if let Some(lookup) = &rule.lookup {
            let found = scalar.into_text().and_then(|key| self.lookups.get(lookup, &key));
            scalar = found.map_or(Scalar::Absent, |text| self.notation.text(text));
        }
        if let Some(values) = &rule.values
            && let Some(text) = scalar.clone().into_text()
        {
            match values.get(&text) {
                Some(mapped) => scalar = Scalar::Text(mapped.clone()),
                None if rule.keep_other => {}
                None => return Err(fault("is not in the mapping's value table".into())),
            }
        }
        if let Some(places) = rule.round
            && scalar != Scalar::Absent
        {
            let number = self.notation.decimal(&scalar).map_err(fault)?;
            let rounded = number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
            scalar = Scalar::Number(rounded.to_string());
        }
        let currency = match &rule.currency {
            Some(path) => self.currency(row, path)?,
            None => None,
        };
        let currency = currency.or(rule.currency_code).or(self.currency);
        let value = self.notation.value(scalar, spec.kind, currency, rule.format.as_deref()).map_err(fault)?;
        if value.is_none() && rule.required {
            return Err(fault("is empty, and the mapping requires it".into()));
        }
        Ok(value)
    }

    fn currency(&self, row: &SourceRow<'_>, path: &Path) -> Result<Option<Currency>, Fault> {
        match self.single(row, path, false)?.into_text() {
            None => Ok(None),
            Some(code) => code.parse().map(Some).map_err(|error| Fault::new(&path.text, format!("{error}"))),
        }
    }

    /// The one value of a path.
    fn single(&self, row: &SourceRow<'_>, path: &Path, optional: bool) -> Result<Scalar, Fault> {
        match self.selected(row, path, optional)?.as_slice() {
            [] => Ok(Scalar::Absent),
            [cell] => self.scalar(*cell, path),
            _ => Err(Fault::new(&path.text, "holds several values where one is needed")),
        }
    }

    fn selected<'r>(&self, row: &'r SourceRow<'r>, path: &Path, optional: bool) -> Result<Vec<Cell<'r>>, Fault> {
        match row.select(path) {
            Selected::Cells(cells) => Ok(cells),
            Selected::Absent if optional => Ok(Vec::new()),
            Selected::Absent => Err(Fault::new(&path.text, "is not there: the mapping needs it, or `optional = true`")),
        }
    }

    fn scalar(&self, cell: Cell<'_>, path: &Path) -> Result<Scalar, Fault> {
        match cell {
            Cell::Text(text) => Ok(self.notation.text(text)),
            Cell::Typed(CellKind::Number, text) => Ok(Scalar::Number(text.to_owned())),
            Cell::Typed(CellKind::Moment, text) => Ok(Scalar::Moment(text.to_owned())),
            Cell::Typed(CellKind::Flag, text) => Ok(Scalar::Flag(text == "true")),
            Cell::Typed(CellKind::Error, _) => {
                Err(Fault::new(&path.text, "is an error of the spreadsheet, such as #N/A"))
            }
            Cell::Typed(CellKind::Text, text) => Ok(self.notation.text(text)),
            Cell::Json(json) => self.notation.json(json).map_err(|reason| Fault::new(&path.text, reason)),
        }
    }

    /// The value of all the paths of a field, combined as its rule says.
    fn gather(&self, row: &SourceRow<'_>, rule: &FieldRule) -> Result<Scalar, Fault> {
        let mut scalars = Vec::new();
        for path in &rule.from {
            for cell in self.selected(row, path, rule.optional)? {
                scalars.push(self.scalar(cell, path)?);
            }
        }
        let column = rule.from.first().map_or("", |path| path.text.as_str());
        scalars.retain(|scalar| *scalar != Scalar::Absent);
        let joined = |scalars: Vec<Scalar>, mark: &str| {
            let texts: Vec<String> = scalars.into_iter().filter_map(Scalar::into_text).collect();
            if texts.is_empty() { Scalar::Absent } else { Scalar::Text(texts.join(mark)) }
        };
        Ok(match rule.combine {
            Some(Combine::First) => scalars.into_iter().next().unwrap_or(Scalar::Absent),
            Some(Combine::Last) => scalars.pop().unwrap_or(Scalar::Absent),
            Some(Combine::Count) => Scalar::Number(scalars.len().to_string()),
            Some(Combine::Join) => joined(scalars, rule.join.as_deref().unwrap_or(", ")),
            Some(Combine::Sum) if scalars.is_empty() => Scalar::Absent,
            Some(Combine::Sum) => {
                let mut sum = Decimal::ZERO;
                for scalar in &scalars {
                    let term = self.notation.decimal(scalar).map_err(|reason| Fault::new(column, reason))?;
                    sum = sum.checked_add(term).ok_or_else(|| Fault::new(column, "adds up to too large a number"))?;
                }
                Scalar::Number(sum.to_string())
            }
            None if rule.from.len() > 1 || rule.join.is_some() => joined(scalars, rule.join.as_deref().unwrap_or(" ")),
            None if scalars.len() > 1 => {
                return Err(Fault::new(column, "holds several values; say `combine` in the mapping"));
            }
            None => scalars.pop().unwrap_or(Scalar::Absent),
        })
    }
}

/// Columns or keys that no rule reads, as they came; empty cells are left out.
fn unused(row: &SourceRow<'_>, used: &HashSet<&str>) -> BTreeMap<String, serde_json::Value> {
    match &row.content {
        Content::Table { header, cells } => header
            .columns
            .iter()
            .zip(cells.iter())
            .map(|(column, cell)| (column, header.text(cell)))
            .filter(|(column, cell)| !used.contains(column.as_str()) && !cell.trim().is_empty())
            .map(|(column, cell)| (column.clone(), serde_json::Value::String(cell.to_owned())))
            .collect(),
        Content::Json(crate::json::Json::Object(entries)) => entries
            .iter()
            .filter(|(key, value)| !used.contains(key.as_str()) && *value != crate::json::Json::Null)
            .map(|(key, value)| (key.clone(), value.to_serde()))
            .collect(),
        Content::Json(_) => BTreeMap::new(),
    }
}
