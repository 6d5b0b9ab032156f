//! Rows of other files: lines joined to their parent, values looked up by key.
//!
//! Both are read once per rule into memory, keyed; only these side tables are held, not the files they are joined to.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::file::{LinesRule, Lookup, RecordRule};
use super::glob;
use super::path::{Content, SourceRow};
use super::source::Source;
use crate::record::RecordKind;
use crate::reject::{Limits, Rejection};
use crate::table::{Header, Table};

/// What a side table is read by.
struct Place<'r> {
    sheet: Option<&'r str>,
    header_row: Option<u64>,
    delimiter: Option<u8>,
}

fn open<'a>(source: &Source<'a>, place: &Place<'_>, limits: &Limits) -> Result<(String, Table<'a>), Rejection> {
    source
        .table(place.sheet, place.header_row, place.delimiter, limits)?
        .ok_or_else(|| Rejection::file(source.path, "is used for lines or a lookup, which must be a table or workbook"))
}

fn column(table: &Table<'_>, file: &str, name: &str) -> Result<usize, Rejection> {
    table.header.position(name).ok_or_else(|| Rejection {
        file: file.to_owned(),
        row: None,
        column: Some(name.to_owned()),
        reason: "is a column the mapping needs and the file does not have".into(),
    })
}

/// Lines of a rule that stand in a file of their own, by the id of their parent.
#[derive(Default)]
pub(super) struct Lines<'a> {
    tables: Vec<(String, Header)>,
    by_parent: HashMap<String, Vec<Line<'a>>>,
    claimed: HashSet<String>,
}

struct Line<'a> {
    table: usize,
    number: u64,
    cells: Vec<Cow<'a, str>>,
}

impl<'a> Lines<'a> {
    pub(super) fn read(
        rule: Option<&LinesRule>,
        sources: &[Source<'a>],
        delimiter: Option<u8>,
        limits: &Limits,
        complaints: &mut Vec<Rejection>,
    ) -> Self {
        let mut lines = Self::default();
        let Some(rule) = rule else { return lines };
        let Some((pattern, parent)) = rule.files.as_ref().zip(rule.parent.as_ref()) else { return lines };
        let place = Place { sheet: rule.sheet.as_deref(), header_row: rule.header_row, delimiter };
        let mine: Vec<&Source<'a>> = sources.iter().filter(|text| glob::matches(pattern, text.path)).collect();
        if mine.is_empty() {
            complaints.push(Rejection::file(pattern, "is the file of the lines and is not there"));
        }
        for source in mine {
            if let Err(rejection) = lines.add(source, parent, &place, limits, complaints) {
                complaints.push(rejection);
            }
        }
        lines
    }

    fn add(
        &mut self,
        source: &Source<'a>,
        parent: &str,
        place: &Place<'_>,
        limits: &Limits,
        complaints: &mut Vec<Rejection>,
    ) -> Result<(), Rejection> {
        let (file, mut table) = open(source, place, limits)?;
        let key = column(&table, &file, parent)?;
        let header = table.header.clone();
        self.tables.push((file, header.clone()));
        let index = self.tables.len() - 1;
        for row in &mut table {
            match row {
                Err(rejection) => complaints.push(rejection),
                Ok(row) => {
                    let parent_id = header.text(&row.cells[key]).trim().to_owned();
                    let line = Line { table: index, number: row.line, cells: row.cells };
                    self.by_parent.entry(parent_id).or_default().push(line);
                }
            }
        }
        Ok(())
    }

    /// Calls `each` with every line of a parent, in file order, and the file it is in. The lines count as claimed.
    pub(super) fn of_parent<E>(
        &mut self,
        parent_id: &str,
        parent: &SourceRow<'_>,
        each: &mut dyn FnMut(&str, &SourceRow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.by_parent.contains_key(parent_id) {
            return Ok(());
        }
        self.claimed.insert(parent_id.to_owned());
        for line in &self.by_parent[parent_id] {
            let (file, header) = &self.tables[line.table];
            let content = Content::Table { header, cells: &line.cells };
            each(file, &SourceRow { number: line.number, content, key: None, parent: Some(parent) })?;
        }
        Ok(())
    }

    /// Lines whose parent never came, one rejection per line, in file order.
    pub(super) fn orphans(&self, kind: RecordKind) -> Vec<Rejection> {
        let unclaimed = self.by_parent.iter().filter(|(parent, _)| !self.claimed.contains(*parent));
        let mut lost: Vec<(usize, u64)> =
            unclaimed.flat_map(|(_, lines)| lines.iter().map(|line| (line.table, line.number))).collect();
        lost.sort_unstable();
        let reason = format!("is a line of a {kind} that is not there");
        lost.into_iter().map(|(table, row)| Rejection::row(&self.tables[table].0, row, reason.clone())).collect()
    }
}

/// Lookup tables of a rule: key to value.
#[derive(Default)]
pub(super) struct Lookups {
    tables: BTreeMap<Lookup, HashMap<String, String>>,
}

impl Lookups {
    pub(super) fn read(
        rule: &RecordRule,
        sources: &[Source<'_>],
        delimiter: Option<u8>,
        limits: &Limits,
        complaints: &mut Vec<Rejection>,
    ) -> Self {
        let mut lookups = Self::default();
        for lookup in rule.all_fields().filter_map(|rule| rule.lookup.as_ref()) {
            if lookups.tables.contains_key(lookup) {
                continue;
            }
            let mut values = HashMap::new();
            let mine: Vec<&Source<'_>> =
                sources.iter().filter(|text| glob::matches(&lookup.files, text.path)).collect();
            if mine.is_empty() {
                complaints.push(Rejection::file(&lookup.files, "is the file of a lookup and is not there"));
            }
            for source in mine {
                if let Err(rejection) = fill(&mut values, lookup, source, delimiter, limits) {
                    complaints.push(rejection);
                }
            }
            lookups.tables.insert(lookup.clone(), values);
        }
        lookups
    }

    pub(super) fn get(&self, lookup: &Lookup, key: &str) -> Option<&str> {
        self.tables.get(lookup)?.get(key).map(String::as_str)
    }
}

fn fill(
    values: &mut HashMap<String, String>,
    lookup: &Lookup,
    source: &Source<'_>,
    delimiter: Option<u8>,
    limits: &Limits,
) -> Result<(), Rejection> {
    let place = Place { sheet: lookup.sheet.as_deref(), header_row: lookup.header_row, delimiter };
    let (file, mut table) = open(source, &place, limits)?;
    let key = column(&table, &file, &lookup.key)?;
    let value = column(&table, &file, &lookup.value)?;
    let header = table.header.clone();
    let text = |cell: &str| header.text(cell).trim().to_owned();
    // Bad rows of the table are reported where it is read as records; here they only mean "not found".
    for row in (&mut table).flatten() {
        values.entry(text(&row.cells[key])).or_insert_with(|| text(&row.cells[value]));
    }
    Ok(())
}
