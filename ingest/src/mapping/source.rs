//! The files of a source as mappings read them: text, sheets, a mail, prose; and the rows they hold.

use super::path::{Content, Path, SourceRow, rows_below};
use crate::extract::{Extract, Mail, Prose, Sheet};
use crate::json::{self, Json};
use crate::reject::{Limits, Rejection};
use crate::schema::nearest;
use crate::table::{self, Table};
use crate::text::Decoded;

/// What a file holds, decoded or extracted.
pub(super) enum Body<'a> {
    Text(Decoded<'a>),
    Sheets(&'a [Sheet]),
    Prose(&'a Prose),
    Mail(&'a Mail, Json),
}

impl<'a> Body<'a> {
    pub(super) fn of(extract: &'a Extract) -> Self {
        match extract {
            Extract::Prose(prose) => Self::Prose(prose),
            Extract::Workbook(sheets) => Self::Sheets(sheets),
            Extract::Mail(mail) => Self::Mail(mail, mail.row()),
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub path: &'a str,
    pub body: &'a Body<'a>,
}

/// How a file of rows is written, by its extension.
enum Format {
    Table,
    Json,
    JsonLines,
}

fn format_of(path: &str) -> Option<Format> {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase())?;
    match extension.as_str() {
        "csv" | "tsv" | "tab" => Some(Format::Table),
        "json" => Some(Format::Json),
        "ndjson" | "jsonl" => Some(Format::JsonLines),
        _ => None,
    }
}

/// Which rows of a file are meant.
pub(super) struct Rows<'r> {
    pub sheet: Option<&'r str>,
    pub header_row: Option<u64>,
    pub path: Option<&'r Path>,
    pub delimiter: Option<u8>,
}

impl<'a> Source<'a> {
    /// Sheets that a person opening the file sees and that hold something.
    pub(super) fn sheets_shown(&self) -> usize {
        match self.body {
            Body::Sheets(sheets) => sheets.iter().filter(|sheet| !sheet.hidden && !sheet.text.is_empty()).count(),
            Body::Text(_) | Body::Prose(_) | Body::Mail(..) => 0,
        }
    }

    fn sheet(&self, sheets: &'a [Sheet], wanted: Option<&str>) -> Result<&'a Sheet, Rejection> {
        let Some(wanted) = wanted else {
            let first = sheets.iter().find(|sheet| !sheet.hidden && !sheet.text.is_empty());
            return first.ok_or_else(|| Rejection::file(self.path, "is a workbook without a filled sheet"));
        };
        sheets.iter().find(|sheet| sheet.name == wanted).ok_or_else(|| {
            let close = nearest(wanted, sheets.iter().map(|sheet| sheet.name.as_str()));
            let hint = close.map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"));
            Rejection::file(self.path, format!("has no sheet \"{wanted}\"{hint}"))
        })
    }

    /// The table in this file and what it is called: `orders.xlsx!Sheet1` for a sheet. `None` when it holds no table.
    pub(super) fn table(
        &self,
        sheet: Option<&str>,
        header_row: Option<u64>,
        delimiter: Option<u8>,
        limits: &Limits,
    ) -> Result<Option<(String, Table<'a>)>, Rejection> {
        match (self.body, format_of(self.path)) {
            (Body::Sheets(sheets), _) => {
                let sheet = self.sheet(sheets, sheet)?;
                let label = format!("{}!{}", self.path, sheet.name);
                let table = table::numbered(&label, &sheet.text, header_row, limits)?;
                Ok(Some((label, table)))
            }
            (Body::Text(text), Some(Format::Table)) => {
                let table = table::table(self.path, &text.text, delimiter, limits)?;
                Ok(Some((self.path.to_owned(), table)))
            }
            (Body::Text(_) | Body::Prose(_) | Body::Mail(..), _) => Ok(None),
        }
    }

    /// Calls `each` for every row, good or bad, in order, with the name of the file (and sheet) it is in.
    pub(super) fn rows(
        &self,
        rows: &Rows<'_>,
        limits: &Limits,
        each: &mut dyn FnMut(&str, Result<&SourceRow<'_>, Rejection>),
    ) {
        match self.table(rows.sheet, rows.header_row, rows.delimiter, limits) {
            Err(rejection) => return each(self.path, Err(rejection)),
            Ok(Some((label, table))) => return table_rows(&label, table, each),
            Ok(None) => {}
        }
        let mut each = |row: Result<&SourceRow<'_>, Rejection>| each(self.path, row);
        match (self.body, format_of(self.path)) {
            (Body::Mail(_, row), _) => each(Ok(&root(1, row))),
            (Body::Text(text), Some(Format::Json)) => match json::parse(&text.text, limits) {
                Err(error) => each(Err(Rejection::file(self.path, error.to_string()))),
                Ok(value) => {
                    let each_value = Path::parse("*");
                    let mut counter = Some(0);
                    let path = rows.path.unwrap_or(&each_value);
                    rows_below(&root(0, &value), path, &mut counter, &mut |row| each(Ok(row)));
                }
            },
            (Body::Text(text), Some(Format::JsonLines)) => {
                for line in json::lines(self.path, &text.text, limits) {
                    match (line, rows.path) {
                        (Err(rejection), _) => each(Err(rejection)),
                        (Ok((number, value)), None) => each(Ok(&root(number, &value))),
                        (Ok((number, value)), Some(path)) => {
                            rows_below(&root(number, &value), path, &mut None, &mut |row| each(Ok(row)));
                        }
                    }
                }
            }
            (Body::Text(_) | Body::Prose(_) | Body::Sheets(_), _) => {
                each(Err(Rejection::file(self.path, "holds no rows: not a table, workbook, JSON file or mail")));
            }
        }
    }
}

fn root(number: u64, json: &Json) -> SourceRow<'_> {
    SourceRow { number, content: Content::Json(json), key: None, parent: None }
}

fn table_rows(label: &str, mut table: Table<'_>, each: &mut dyn FnMut(&str, Result<&SourceRow<'_>, Rejection>)) {
    let header = table.header.clone();
    for row in &mut table {
        match row {
            Err(rejection) => each(label, Err(rejection)),
            Ok(row) => {
                let content = Content::Table { header: &header, cells: &row.cells };
                each(label, Ok(&SourceRow { number: row.line, content, key: None, parent: None }));
            }
        }
    }
}
