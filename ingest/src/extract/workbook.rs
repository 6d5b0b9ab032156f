//! Spreadsheets to numbered tables: XLSX, XLSB, XLS and ODS through calamine.
//!
//! Each sheet becomes CSV text whose first cell is the row's number as the person opening the file sees it, and whose
//! typed cells carry a mark (`table::CellKind`), so that a number written in a sheet is never read by the marks that
//! the mapping names for text.

use std::io::Cursor;

use calamine::{Data, DataRef, ExcelDateTime, Reader, SheetType, SheetVisible, Xlsx};
use serde::{Deserialize, Serialize};

use crate::reject::Limits;
use crate::table::{CellKind, write_row};

/// One sheet. `text`: rows as [`crate::table::numbered`] reads them; blank rows are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    pub name: String,
    pub hidden: bool,
    pub text: String,
}

/// Which reader a package needs.
pub(super) enum Kind {
    Xlsx,
    Xlsb,
    Ods,
    Xls,
}

/// Sheets in their order; charts and macros are left out. Refused: a damaged file, an encrypted one, more cells than
/// `limits.extracted_bytes` of text hold, more columns than `limits.columns`.
pub(super) fn read(kind: &Kind, bytes: &[u8], limits: &Limits) -> Result<Vec<Sheet>, String> {
    match kind {
        Kind::Xlsx => streamed(bytes, limits),
        Kind::Xlsb => whole::<calamine::Xlsb<_>>(bytes, limits),
        Kind::Ods => whole::<calamine::Ods<_>>(bytes, limits),
        Kind::Xls => whole::<calamine::Xls<_>>(bytes, limits),
    }
}

fn damaged(error: impl std::fmt::Display) -> String {
    // The library's words may quote the file; only the one case that people can act on is told apart.
    if error.to_string().to_ascii_lowercase().contains("password") { "is encrypted with a password" } else { DAMAGED }
        .to_owned()
}

const DAMAGED: &str = "is a damaged workbook";

fn tables(book: &[calamine::Sheet]) -> Vec<(String, bool)> {
    let sheets = book.iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    sheets.map(|sheet| (sheet.name.clone(), sheet.visible != SheetVisible::Visible)).collect()
}

/// XLSX cell by cell: no rectangle of empty cells is ever built.
fn streamed(bytes: &[u8], limits: &Limits) -> Result<Vec<Sheet>, String> {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(damaged)?;
    let mut sheets = Vec::new();
    let mut left = limits.extracted_bytes;
    for (name, hidden) in tables(book.sheets_metadata()) {
        let mut writer = Writer::new(left, limits);
        let mut cells = book.worksheet_cells_reader(&name).map_err(damaged)?;
        while let Some(cell) = cells.next_cell().map_err(damaged)? {
            let (row, column) = cell.get_position();
            let (kind, text) = shown(cell.get_value());
            writer.cell(row, column, kind, &text)?;
        }
        let text = writer.finish()?;
        left -= text.len();
        sheets.push(Sheet { name, hidden, text });
    }
    Ok(sheets)
}

fn whole<'a, B: Reader<Cursor<&'a [u8]>>>(bytes: &'a [u8], limits: &Limits) -> Result<Vec<Sheet>, String>
where
    B::Error: std::fmt::Display,
{
    let mut book = B::new(Cursor::new(bytes)).map_err(damaged)?;
    let mut sheets = Vec::new();
    let mut left = limits.extracted_bytes;
    for (name, hidden) in tables(book.sheets_metadata()) {
        let range = book.worksheet_range(&name).map_err(damaged)?;
        let (top, first) = range.start().unwrap_or_default();
        let mut writer = Writer::new(left, limits);
        for (row, column, value) in range.used_cells() {
            let (kind, text) = shown(&borrowed(value));
            let place = |start: u32, offset: usize| start.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX));
            writer.cell(place(top, row), place(first, column), kind, &text)?;
        }
        let text = writer.finish()?;
        left -= text.len();
        sheets.push(Sheet { name, hidden, text });
    }
    Ok(sheets)
}

/// Builds the rows of one sheet.
struct Writer<'a> {
    out: String,
    row: Option<u32>,
    cells: Vec<String>,
    left: usize,
    limits: &'a Limits,
}

impl<'a> Writer<'a> {
    fn new(left: usize, limits: &'a Limits) -> Self {
        Self { out: String::new(), row: None, cells: Vec::new(), left, limits }
    }

    /// `row`, `column`: from 0, in order.
    fn cell(&mut self, row: u32, column: u32, kind: CellKind, text: &str) -> Result<(), String> {
        if kind == CellKind::Text && text.trim().is_empty() {
            return Ok(());
        }
        let column = column as usize;
        if column >= self.limits.columns {
            return Err(format!("has more than {} columns", self.limits.columns));
        }
        if text.len() > self.limits.cell_bytes {
            return Err(format!("has a cell over {} bytes", self.limits.cell_bytes));
        }
        match self.row {
            Some(current) if row < current => return Err(DAMAGED.into()),
            Some(current) if row == current => {}
            Some(_) | None => {
                self.flush()?;
                self.row = Some(row);
            }
        }
        if column < self.cells.len() {
            return Err(DAMAGED.into());
        }
        self.cells.resize(column, String::new());
        self.cells.push(kind.marked(text));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        let Some(row) = self.row else { return Ok(()) };
        let number = (u64::from(row) + 1).to_string();
        write_row(&mut self.out, std::iter::once(number.as_str()).chain(self.cells.iter().map(String::as_str)));
        self.cells.clear();
        if self.out.len() > self.left {
            return Err(format!("holds more than {} bytes of cells", self.limits.extracted_bytes));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<String, String> {
        self.flush()?;
        Ok(self.out)
    }
}

fn borrowed(value: &Data) -> DataRef<'_> {
    match value {
        Data::Empty => DataRef::Empty,
        Data::String(text) => DataRef::SharedString(text),
        Data::Int(number) => DataRef::Int(*number),
        Data::Float(number) => DataRef::Float(*number),
        Data::Bool(flag) => DataRef::Bool(*flag),
        Data::DateTime(moment) => DataRef::DateTime(*moment),
        Data::DateTimeIso(text) => DataRef::DateTimeIso(text.clone()),
        Data::DurationIso(text) => DataRef::DurationIso(text.clone()),
        Data::Error(error) => DataRef::Error(error.clone()),
    }
}

/// A cell as text, with its type.
fn shown(value: &DataRef<'_>) -> (CellKind, String) {
    match value {
        DataRef::Empty => (CellKind::Text, String::new()),
        DataRef::String(text) | DataRef::DurationIso(text) => (CellKind::Text, text.clone()),
        DataRef::SharedString(text) => (CellKind::Text, (*text).to_owned()),
        DataRef::Int(number) => (CellKind::Number, number.to_string()),
        DataRef::Float(number) => match number_text(*number) {
            Some(text) => (CellKind::Number, text),
            None => (CellKind::Error, String::new()),
        },
        DataRef::Bool(flag) => (CellKind::Flag, flag.to_string()),
        DataRef::DateTime(moment) => moment_text(*moment),
        DataRef::DateTimeIso(text) => (CellKind::Moment, text.strip_suffix("T00:00:00").unwrap_or(text).to_owned()),
        DataRef::Error(_) => (CellKind::Error, String::new()),
    }
}

/// A float as a spreadsheet shows it: 15 significant digits, as what lies beyond is binary rounding (0.1 + 0.2).
fn number_text(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let scientific = format!("{value:.14e}");
    let (mantissa, exponent) = scientific.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return Some("0".into());
    }
    let point = exponent + 1;
    let count = i32::try_from(digits.len()).ok()?;
    let plain = match point {
        ..=-30 | 30.. => return Some(format!("{sign}{mantissa}e{exponent}")),
        ..=0 => format!("0.{}{digits}", "0".repeat(usize::try_from(-point).ok()?)),
        point if point >= count => format!("{digits}{}", "0".repeat(usize::try_from(point - count).ok()?)),
        point => {
            let (whole, fraction) = digits.split_at(usize::try_from(point).ok()?);
            format!("{whole}.{fraction}")
        }
    };
    Some(format!("{sign}{plain}"))
}

fn moment_text(moment: ExcelDateTime) -> (CellKind, String) {
    if moment.is_duration() {
        let seconds = (moment.as_f64() * 86_400.0).round();
        let (whole, sign) = (seconds.abs() as u64, if seconds < 0.0 { "-" } else { "" });
        return (CellKind::Text, format!("{sign}{}:{:02}:{:02}", whole / 3_600, whole / 60 % 60, whole % 60));
    }
    let (year, month, day, hour, minute, second, milli) = moment.to_ymd_hms_milli();
    let time = match (hour, minute, second, milli) {
        (0, 0, 0, 0) => String::new(),
        (hour, minute, second, 0) => format!("{hour:02}:{minute:02}:{second:02}"),
        (hour, minute, second, milli) => format!("{hour:02}:{minute:02}:{second:02}.{milli:03}"),
    };
    // A time of day without a date.
    if moment.as_f64() >= 0.0 && moment.as_f64() < 1.0 {
        return (CellKind::Text, if time.is_empty() { "00:00:00".into() } else { time });
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    (CellKind::Moment, if time.is_empty() { date } else { format!("{date} {time}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_a_spreadsheet_shows_them() {
        for (value, text) in [
            (0.1 + 0.2, "0.3"),
            (84.0, "84"),
            (-1_234.560_000_000_000_1, "-1234.56"),
            (12_345_678_901.0, "12345678901"),
            (0.000_012, "0.000012"),
            (1e20, "100000000000000000000"),
            (-0.0, "0"),
        ] {
            assert_eq!(number_text(value).as_deref(), Some(text));
        }
        assert_eq!(number_text(f64::NAN), None);
    }
}
