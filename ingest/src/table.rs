//! Rows of CSV and TSV text, and of sheets turned into it, one at a time; and writing them.
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
    /// A sheet's: cells carry their type ([`CellKind`]).
    pub typed: bool,
}

/// How a cell of a sheet is typed. The first character of its text says so, a control character that no sheet holds:
/// what a sheet has as a number is not read by the marks that a mapping names for text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    Text,
    /// With a decimal point.
    Number,
    /// `2026-03-01` or `2026-03-01 14:00:00`.
    Moment,
    /// `true` or `false`.
    Flag,
    /// `#N/A` and its like.
    Error,
}

const MARKS: [(char, CellKind); 4] = [
    ('\u{91}', CellKind::Number),
    ('\u{92}', CellKind::Moment),
    ('\u{93}', CellKind::Flag),
    ('\u{94}', CellKind::Error),
];

impl CellKind {
    /// The text with its mark; a mark that a text brings along is removed.
    pub fn marked(self, text: &str) -> String {
        let text = text.trim_start_matches(MARKS.map(|(mark, _)| mark));
        MARKS
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or_else(|| text.to_owned(), |(mark, _)| format!("{mark}{text}"))
    }

    /// The kind of a marked text, and the text without its mark.
    pub fn of(cell: &str) -> (Self, &str) {
        let marked = cell.chars().next().and_then(|first| MARKS.iter().find(|(mark, _)| *mark == first));
        marked.map_or((Self::Text, cell), |(mark, kind)| (*kind, &cell[mark.len_utf8()..]))
    }
}

impl Header {
    /// A cell's text, whether typed or not.
    pub fn text<'c>(&self, cell: &'c str) -> &'c str {
        if self.typed { CellKind::of(cell).1 } else { cell }
    }

    /// A column as rejections name it: with its letter on a sheet, `total (D)`.
    pub fn shown(&self, column: &str, row: u64) -> String {
        match self.position(column).filter(|_| self.typed) {
            Some(index) => format!("{column} ({}{row})", letters(index)),
            None => column.to_owned(),
        }
    }

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
    file: String,
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
pub fn table<'a>(file: &str, text: &'a str, delimiter: Option<u8>, limits: &Limits) -> Result<Table<'a>, Rejection> {
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
    let header = Header { columns: unique(file, 1, names.iter().map(|name| name.as_ref()))?, typed: false };
    Ok(Table { header, file: file.to_owned(), scanner, limits: *limits, rows: 0 })
}

/// Opens the text of a sheet: comma-separated, each row led by its number in the sheet, cells typed by [`CellKind`].
///
/// - `header_row`: as the sheet numbers it, from 1; `None`: the first row that holds something. Rows before it are
///   passed over.
///
/// Refused as in [`table`]. Rows that end early are filled with empty cells.
pub fn numbered<'a>(
    file: &str,
    text: &'a str,
    header_row: Option<u64>,
    limits: &Limits,
) -> Result<Table<'a>, Rejection> {
    let (cell_bytes, cells) = (limits.cell_bytes, limits.columns + 1);
    let mut scanner = Scanner { text, at: 0, line: 1, delimiter: b',', cell_bytes, cells };
    loop {
        let (row, names) = match scanner.next() {
            None => break,
            Some(Err((_, reason))) => return Err(Rejection::file(file, reason)),
            Some(Ok((_, cells))) => numbered_row(cells),
        };
        if header_row.is_some_and(|wanted| row < wanted) {
            continue;
        }
        if header_row.is_some_and(|wanted| row > wanted) {
            break;
        }
        let columns = unique(file, row, names.iter().map(|name| CellKind::of(name).1))?;
        let header = Header { columns, typed: true };
        return Ok(Table { header, file: file.to_owned(), scanner, limits: *limits, rows: 0 });
    }
    Err(match header_row {
        Some(row) => Rejection::row(file, row, "is empty, and the mapping says that the header is there"),
        None => Rejection::file(file, "is empty: a table needs a header row"),
    })
}

/// The row's own number and the cells behind it.
fn numbered_row(mut cells: Vec<Cow<'_, str>>) -> (u64, Vec<Cow<'_, str>>) {
    let row = cells.first().and_then(|number| number.parse().ok()).unwrap_or(0);
    if !cells.is_empty() {
        cells.remove(0);
    }
    (row, cells)
}

/// Column names: trimmed, not empty, none twice.
fn unique<'n>(file: &str, row: u64, names: impl Iterator<Item = &'n str>) -> Result<Vec<String>, Rejection> {
    let mut columns = Vec::new();
    let mut seen = HashSet::new();
    for (index, name) in names.enumerate() {
        let name = match name.trim() {
            "" => format!("column_{}", index + 1),
            name => name.to_owned(),
        };
        if !seen.insert(name.clone()) {
            return Err(Rejection { file: file.into(), row: Some(row), column: Some(name), reason: TWICE.into() });
        }
        columns.push(name);
    }
    Ok(columns)
}

/// Letters of a column as a spreadsheet shows them: 0 is A, 26 is AA.
fn letters(index: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = index + 1;
    while rest > 0 {
        letters.push(b'A' + u8::try_from((rest - 1) % 26).unwrap_or(0));
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().map(|letter| char::from(*letter)).collect()
}

/// Appends one row of CSV: cells quoted where they must be, LF at the end.
pub fn write_row<'c>(out: &mut String, cells: impl Iterator<Item = &'c str>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(',');
        }
        if cell.contains([',', '"', '\r', '\n']) {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(cell);
        }
    }
    out.push('\n');
}

/// A text as a cell of a table that people open in a spreadsheet: what would run as a formula there is made text with
/// an apostrophe in front (ASVS 1.2.10), and NUL, which ends a cell early in some programs, becomes U+FFFD.
///
/// Every exporter of CSV or XLSX passes every cell through here; imports keep what they are given.
pub fn export_cell(text: &str) -> Cow<'_, str> {
    let text = if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) };
    let dangerous =
        |c: char| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '\'' | '＝' | '＋' | '－' | '＠');
    if text.starts_with(dangerous) { Cow::Owned(format!("'{text}")) } else { text }
}

/// What [`export_cell`] was given, NULs aside.
pub fn exported_cell(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
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
                Err((line, reason)) => return Some(Err(Rejection::row(&self.file, line, reason))),
                Ok((_, cells)) if self.header.typed => {
                    let (row, mut cells) = numbered_row(cells);
                    let width = self.header.columns.len().max(cells.len());
                    cells.resize(width, Cow::Borrowed(""));
                    (row, cells)
                }
                Ok((_, cells)) if is_blank(&cells) && self.header.columns.len() > 1 => continue,
                Ok((_, cells)) if matches!(cells.as_slice(), [only] if only.is_empty()) => continue,
                Ok(row) => row,
            };
            self.rows += 1;
            if self.rows > self.limits.rows {
                self.scanner.at = self.scanner.text.len();
                let reason = format!("has more than {} rows; the rest was not read", self.limits.rows);
                return Some(Err(Rejection::file(&self.file, reason)));
            }
            let expected = self.header.columns.len();
            if cells.len() != expected {
                let reason = format!("has {} cells where the header has {expected}", cells.len());
                return Some(Err(Rejection::row(&self.file, line, reason)));
            }
            if let Some(index) = cells.iter().position(|cell| cell.contains('\0')) {
                let column = &self.header.columns[index];
                return Some(Err(Rejection::cell(&self.file, line, column, "holds a NUL character")));
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
