//! A first mapping from a file's headers and samples: a proposal for a person to read, never applied by itself.
//!
//! Deterministic and without a model: the words of the canonical schema against the words of the headers, the shapes of
//! the values against the types of the fields. Every guess is written with its reason and confidence; what was not
//! recognised is listed and kept as extra. Uses `table`, `json` and `schema`; mappings do not know it.

mod fields;
mod shape;
mod write;

use crate::extract::{Extract, Sheet};
use crate::json::{self, Json};
use crate::mapping::Given;
use crate::record::RecordKind;
use crate::reject::{Limits, Rejection};
use crate::table::{self, CellKind, Table};
use crate::text::decode;

use self::shape::Shape;

/// Rows that are looked at.
const SAMPLE: usize = 500;

/// A proposed mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// The mapping file, with comments.
    pub toml: String,
    pub kind: RecordKind,
    /// 0 to 1: share of what was weighed that speaks for the kind, over the next best.
    pub confidence: f64,
    /// Canonical field and column, in the order of the columns; lines are `lines.<field>`.
    pub fields: Vec<(String, String)>,
    /// Columns that no field was found for.
    pub unknown: Vec<String>,
}

/// The columns of a file with their sampled cells.
struct Sample {
    /// `orders.csv`
    file: String,
    /// A sheet that is not the first.
    sheet: Option<String>,
    /// JSON paths rather than columns.
    json: bool,
    /// `rows` of a JSON file whose rows are not its top level.
    rows: Option<String>,
    columns: Vec<Column>,
    row_count: usize,
}

struct Column {
    name: String,
    /// One per row sampled.
    cells: Vec<String>,
    shape: Shape,
}

/// Proposes a mapping for one file (and its name in the folder). Refused: no rows to look at, no kind that fits.
pub fn suggest(path: &str, given: &Given<'_>, limits: &Limits) -> Result<Suggestion, Rejection> {
    let sample = sample(path, given, limits)?;
    if sample.row_count == 0 {
        return Err(Rejection::file(path, "has no rows to look at"));
    }
    fields::suggest(&sample).ok_or_else(|| Rejection::file(path, "has columns that fit no kind of record"))
}

fn sample(path: &str, given: &Given<'_>, limits: &Limits) -> Result<Sample, Rejection> {
    let file = path.rsplit('/').next().unwrap_or(path).to_owned();
    match given {
        Given::Refused(reason) => Err(Rejection::file(path, *reason)),
        Given::Extract(Extract::Workbook(sheets)) => of_sheets(path, &file, sheets, limits),
        Given::Extract(Extract::Prose(_) | Extract::Mail(_)) => {
            Err(Rejection::file(path, "is prose, which needs no mapping: name its kind under [[documents]]"))
        }
        Given::Text(bytes) => {
            let text = decode(bytes).text;
            let lower = path.to_ascii_lowercase();
            if lower.ends_with(".json") {
                let value = json::parse(&text, limits).map_err(|error| Rejection::file(path, error.to_string()))?;
                return Ok(of_json(file, &value));
            }
            if lower.ends_with(".ndjson") || lower.ends_with(".jsonl") {
                let rows = json::lines(path, &text, limits).flatten().map(|(_, row)| row).take(SAMPLE).collect();
                return Ok(of_json(file, &Json::List(rows)));
            }
            Ok(of_table(file, None, table::table(path, &text, None, limits)?))
        }
    }
}

/// The sheet with the most rows; its name is given when it is not the one that is read anyway.
fn of_sheets(path: &str, file: &str, sheets: &[Sheet], limits: &Limits) -> Result<Sample, Rejection> {
    let shown: Vec<&Sheet> = sheets.iter().filter(|sheet| !sheet.hidden && !sheet.text.is_empty()).collect();
    let longest = shown.iter().max_by_key(|sheet| sheet.text.len()).ok_or_else(|| Rejection::file(path, "is empty"))?;
    let named = (longest.name != shown[0].name).then(|| longest.name.clone());
    let table = table::numbered(path, &longest.text, None, limits)?;
    Ok(of_table(file.to_owned(), named, table))
}

fn of_table(file: String, sheet: Option<String>, table: Table<'_>) -> Sample {
    let header = table.header.clone();
    let mut cells: Vec<Vec<(CellKind, String)>> = vec![Vec::new(); header.columns.len()];
    let mut row_count = 0;
    for row in table.flatten().take(SAMPLE) {
        row_count += 1;
        for (index, cell) in row.cells.iter().enumerate().take(cells.len()) {
            let (kind, text) = if header.typed { CellKind::of(cell) } else { (CellKind::Text, cell.as_ref()) };
            cells[index].push((kind, text.trim().to_owned()));
        }
    }
    let columns = header.columns.into_iter().zip(cells).map(|(name, cells)| Column::new(name, cells)).collect();
    Sample { file, sheet, json: false, rows: None, columns, row_count }
}

/// Rows of a list, or of an object whose values are the rows; objects within a row give paths such as `address.city`.
fn of_json(file: String, value: &Json) -> Sample {
    let (rows, path): (Vec<&Json>, Option<String>) = match value {
        Json::List(items) => (items.iter().collect(), None),
        Json::Object(entries) => {
            match entries.iter().find(|(_, value)| matches!(value, Json::List(items) if items.iter().any(is_object))) {
                // {"orders": [...]}
                Some((key, Json::List(items))) if !entries.iter().all(|(_, value)| is_object(value)) => {
                    (items.iter().collect(), Some(format!("{key}.*")))
                }
                _ => (entries.iter().map(|(_, value)| value).collect(), None),
            }
        }
        Json::Null | Json::Flag(_) | Json::Number(_) | Json::Text(_) => (Vec::new(), None),
    };
    let rows: Vec<&Json> = rows.into_iter().filter(|row| is_object(row)).take(SAMPLE).collect();
    let mut names: Vec<String> = Vec::new();
    for row in &rows {
        scalars(row, "", &mut |name, _| {
            if !names.iter().any(|known| known == name) && names.len() < 500 {
                names.push(name.to_owned());
            }
        });
    }
    let mut cells: Vec<Vec<(CellKind, String)>> = vec![Vec::new(); names.len()];
    for row in &rows {
        let mut found = vec![(CellKind::Text, String::new()); names.len()];
        scalars(row, "", &mut |name, cell| {
            if let Some(index) = names.iter().position(|known| known == name) {
                found[index] = cell;
            }
        });
        for (column, cell) in cells.iter_mut().zip(found) {
            column.push(cell);
        }
    }
    let columns = names.into_iter().zip(cells).map(|(name, cells)| Column::new(name, cells)).collect();
    Sample { file, sheet: None, json: true, rows: path, columns, row_count: rows.len() }
}

fn is_object(value: &Json) -> bool {
    matches!(value, Json::Object(_))
}

/// Scalars of a row object and of the objects directly in it.
fn scalars(row: &Json, prefix: &str, each: &mut dyn FnMut(&str, (CellKind, String))) {
    let Json::Object(entries) = row else { return };
    for (key, value) in entries {
        let name = format!("{prefix}{key}");
        match value {
            Json::Text(text) => each(&name, (CellKind::Text, text.trim().to_owned())),
            Json::Number(text) => each(&name, (CellKind::Number, text.clone())),
            Json::Flag(flag) => each(&name, (CellKind::Flag, flag.to_string())),
            Json::Object(_) if prefix.is_empty() => scalars(value, &format!("{name}."), each),
            Json::Null | Json::List(_) | Json::Object(_) => {}
        }
    }
}

impl Column {
    fn new(name: String, cells: Vec<(CellKind, String)>) -> Self {
        let shape = Shape::of(&cells);
        Self { name, cells: cells.into_iter().map(|(_, text)| text).collect(), shape }
    }
}
