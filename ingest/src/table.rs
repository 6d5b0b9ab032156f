//! Rows of CSV and TSV text, one at a time.
//!
//! Our own reader rather than a crate's, for two things reports need: a quote that is never closed costs the row in
//! which it opened (reading goes on at the next line) instead of swallowing the rest of the file, and a cell over the
//! limit is noticed before it is copied. Types and columns are the mapping's business.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::reject::{Limits, Rejection};

/// Column names of a table, unique and not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub columns: Vec<String>,
}

impl Header {
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }
}

/// One row: as many cells as the header has columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// Line of the file on which it starts, from 1.
    pub line: u64,
    pub cells: Vec<Cow<'a, str>>,
}

/// Rows of a table, in order; a bad row is an `Err` and reading goes on after it.
pub struct Table<'a> {
    pub header: Header,
    file: &'a str,
    scanner: Scanner<'a>,
    limits: Limits,
    rows: u64,
}

/// Opens a table: reads its header line.
///
/// - `delimiter`: `None` takes a tab for `.tsv` and `.tab` files, else whichever of `,` `;` tab `|` the header has most
///   of (a comma when it has none).
///
/// Refused: an empty file, too many columns, a column name twice. Columns without a name are called `column_3`.
pub fn table<'a>(file: &'a str, text: &'a str, delimiter: Option<u8>, limits: &Limits) -> Result<Table<'a>, Rejection> {
    let delimiter = delimiter.unwrap_or_else(|| guess_delimiter(file, text));
    let mut scanner = Scanner { text, at: 0, line: 1, delimiter, cell_bytes: limits.cell_bytes, cells: limits.columns };
    let names = loop {
        match scanner.next() {
            None => return Err(Rejection::file(file, "is empty: a table needs a header line")),
            Some(Err((_, reason))) => return Err(Rejection::row(file, 1, format!("header: {reason}"))),
            Some(Ok((_, cells))) if is_blank(&cells) => {}
            Some(Ok((_, cells))) => break cells,
        }
    };
    let mut columns = Vec::with_capacity(names.len());
    let mut seen = HashSet::new();
    for (index, name) in names.iter().enumerate() {
        let name = match name.trim() {
            "" => format!("column_{}", index + 1),
            name => name.to_owned(),
        };
        if !seen.insert(name.clone()) {
            return Err(Rejection { file: file.into(), row: Some(1), column: Some(name), reason: TWICE.into() });
        }
        columns.push(name);
    }
    Ok(Table { header: Header { columns }, file, scanner, limits: *limits, rows: 0 })
}

const TWICE: &str = "is the name of two columns";

fn is_blank(cells: &[Cow<'_, str>]) -> bool {
    matches!(cells, [only] if only.trim().is_empty())
}

fn guess_delimiter(file: &str, text: &str) -> u8 {
    let name = file.to_ascii_lowercase();
    if name.ends_with(".tsv") || name.ends_with(".tab") {
        return b'\t';
    }
    let header = text.trim_start_matches(['\r', '\n']).split(['\r', '\n']).next().unwrap_or_default();
    let count = |delimiter: u8| header.bytes().filter(|byte| *byte == delimiter).count();
    // max_by_key keeps the last of equals, so the comma stands last.
    [b'|', b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

impl<'a> Iterator for Table<'a> {
    type Item = Result<Row<'a>, Rejection>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (line, cells) = match self.scanner.next()? {
                Err((line, reason)) => return Some(Err(Rejection::row(self.file, line, reason))),
                Ok((_, cells)) if is_blank(&cells) && self.header.columns.len() > 1 => continue,
                Ok((_, cells)) if matches!(cells.as_slice(), [only] if only.is_empty()) => continue,
                Ok(row) => row,
            };
            self.rows += 1;
            if self.rows > self.limits.rows {
                self.scanner.at = self.scanner.text.len();
                let reason = format!("has more than {} rows; the rest was not read", self.limits.rows);
                return Some(Err(Rejection::file(self.file, reason)));
            }
            let expected = self.header.columns.len();
            if cells.len() != expected {
                let reason = format!("has {} cells where the header has {expected}", cells.len());
                return Some(Err(Rejection::row(self.file, line, reason)));
            }
            if let Some(index) = cells.iter().position(|cell| cell.contains('\0')) {
                let column = &self.header.columns[index];
                return Some(Err(Rejection::cell(self.file, line, column, "holds a NUL character")));
            }
            return Some(Ok(Row { line, cells }));
        }
    }
}

/// Splits text into records of cells. RFC 4180, and: any mix of LF, CRLF and CR ends a line; a quote inside an unquoted
/// cell is an ordinary character.
struct Scanner<'a> {
    text: &'a str,
    /// Byte offset of the next record.
    at: usize,
    /// Its line, from 1.
    line: u64,
    delimiter: u8,
    cell_bytes: usize,
    cells: usize,
}

type Scanned<'a> = Result<(u64, Vec<Cow<'a, str>>), (u64, String)>;

impl<'a> Scanner<'a> {
    fn next(&mut self) -> Option<Scanned<'a>> {
        if self.at >= self.text.len() {
            return None;
        }
        let (start, line) = (self.at, self.line);
        let mut cells = Vec::new();
        loop {
            let cell = if self.byte() == Some(b'"') { self.quoted() } else { Ok(self.unquoted()) };
            let cell = match cell {
                Ok(cell) if cell.len() <= self.cell_bytes => cell,
                Ok(_) => return Some(self.skip_row(start, line, format!("has a cell over {} bytes", self.cell_bytes))),
                Err(reason) => return Some(self.skip_row(start, line, reason)),
            };
            cells.push(cell);
            if cells.len() > self.cells {
                return Some(self.skip_row(start, line, format!("has more than {} columns", self.cells)));
            }
            if self.byte() == Some(self.delimiter) {
                self.at += 1;
                continue;
            }
            self.end_of_line();
            return Some(Ok((line, cells)));
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Gives the row up: reading goes on at the line after the one on which it started.
    fn skip_row(&mut self, start: usize, line: u64, reason: String) -> Scanned<'a> {
        let rest = &self.text.as_bytes()[start..];
        self.at = start + rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        self.line = line;
        self.end_of_line();
        Err((line, reason))
    }

    fn end_of_line(&mut self) {
        match (self.byte(), self.text.as_bytes().get(self.at + 1)) {
            (Some(b'\r'), Some(b'\n')) => self.at += 2,
            (Some(_), _) => self.at += 1,
            (None, _) => return,
        }
        self.line += 1;
    }

    fn unquoted(&mut self) -> Cow<'a, str> {
        let rest = &self.text.as_bytes()[self.at..];
        let delimiter = self.delimiter;
        let stop = |byte: &u8| *byte == delimiter || matches!(byte, b'\r' | b'\n');
        let end = self.at + rest.iter().position(stop).unwrap_or(rest.len());
        let cell = &self.text[self.at..end];
        self.at = end;
        Cow::Borrowed(cell)
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>, String> {
        let open = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = open;
        let mut doubled = false;
        loop {
            match bytes.get(at) {
                None => return Err("opens a quote that is never closed".to_owned()),
                Some(b'"') if bytes.get(at + 1) == Some(&b'"') => {
                    doubled = true;
                    at += 2;
                }
                Some(b'"') => break,
                Some(_) => at += 1,
            }
            if at - open > 2 * self.cell_bytes {
                return Err(format!("has a cell over {} bytes", self.cell_bytes));
            }
        }
        let cell = &self.text[open..at];
        self.line += line_ends(cell.as_bytes());
        self.at = at + 1;
        match self.byte() {
            None | Some(b'\r' | b'\n') => {}
            Some(byte) if byte == self.delimiter => {}
            Some(_) => return Err("has text after a closing quote".to_owned()),
        }
        Ok(if doubled { Cow::Owned(cell.replace("\"\"", "\"")) } else { Cow::Borrowed(cell) })
    }
}

/// LF, CRLF and CR each end one line.
fn line_ends(bytes: &[u8]) -> u64 {
    let mut ends = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' || (*byte == b'\r' && bytes.get(index + 1) != Some(&b'\n')) {
            ends += 1;
        }
    }
    ends
}
