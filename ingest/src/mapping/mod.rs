//! Mappings: a TOML file that turns a source's columns or JSON paths into canonical records and documents.
//!
//! The step between bytes and typed records. A mapping never guesses: a column that is gone, a value of another type, a
//! status that is not in its table is a rejection with a reason, and columns that no field uses are kept in
//! `Record::extra`. Fetching the files and storing the results belong to `source` and `record`.

mod file;
mod glob;
mod join;
mod path;
mod row;
mod value;

use std::collections::{HashMap, HashSet};

use jiff::tz::{TimeZone, TimeZoneDatabase};

use self::file::{LinesRule, MappingFile, OnBadRow, RecordRule};
use self::join::{Lines, Lookups};
use self::path::{Content, Path, SourceRow, rows_below};
use self::row::RowMapper;
use self::value::Notation;
use crate::document::Document;
use crate::record::Record;
use crate::reject::{Limits, Rejection};
use crate::schema::nearest;
use crate::text::{Decoded, Encoding, decode};
use crate::{json, prose, table};

/// One file of a source: path relative to its folder, with `/`, and its bytes.
#[derive(Debug, Clone, Copy)]
pub struct SourceFile<'a> {
    pub path: &'a str,
    pub bytes: &'a [u8],
}

/// Why a mapping was refused; `line` counts from 1 in the TOML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct MappingError {
    pub line: Option<usize>,
    pub message: String,
}

/// A checked mapping.
#[derive(Debug, Clone)]
pub struct Mapping {
    pub name: String,
    file: MappingFile,
    notation: Notation,
}

/// What one row or file became.
#[derive(Debug, Clone, PartialEq)]
pub enum Ingested {
    /// `row` as `Rejection::row` counts; `audience` is never empty.
    Record {
        record: Box<Record>,
        file: String,
        row: u64,
        audience: Vec<String>,
    },
    Document {
        document: Box<Document>,
        file: String,
        audience: Vec<String>,
    },
    Rejected(Rejection),
    /// Taken in, but a person should know: e.g. the encoding was guessed.
    Notice {
        file: String,
        text: String,
    },
    /// No rule names the file and it is not prose.
    Unused {
        file: String,
    },
}

/// Who may read what a mapping says nothing about.
const EVERYONE: &str = "everyone";

impl Mapping {
    /// Reads and checks a mapping: unknown keys, kinds and fields are refused with the nearest known name.
    pub fn parse(toml: &str) -> Result<Self, MappingError> {
        let file = file::parse(toml)?;
        let timezone = match &file.timezone {
            None => TimeZone::UTC,
            Some(name) => TimeZoneDatabase::bundled().get(name.get_ref()).map_err(|_| MappingError {
                line: Some(file::line_of(toml, name.span().start)),
                message: format!("\"{}\" is not an IANA time zone such as Europe/Berlin", name.get_ref()),
            })?,
        };
        let notation = Notation {
            decimal: file.decimal,
            thousands: file.thousands,
            date_formats: file.date_formats.clone(),
            timezone,
            local_time: file.local_time,
            null_values: file.null_values.clone(),
        };
        Ok(Self { name: file.name.clone(), file, notation })
    }

    /// A mapping without records: prose only, kinds from front matter.
    pub fn prose_only(name: &str) -> Self {
        let notation = Notation {
            decimal: '.',
            thousands: None,
            date_formats: Vec::new(),
            timezone: TimeZone::UTC,
            local_time: file::LocalTime::Refuse,
            null_values: Vec::new(),
        };
        let file = MappingFile::named(name);
        Self { name: name.to_owned(), file, notation }
    }

    /// Whether a file of that path takes part: as records, lines, lookup table or prose.
    pub fn uses(&self, path: &str) -> bool {
        prose::is_prose(path)
            || self.file.documents.iter().any(|rule| glob::matches(&rule.files, path))
            || self.file.records.iter().any(|rule| {
                glob::matches(&rule.files, path) || rule.side_files().any(|pattern| glob::matches(pattern, path))
            })
    }

    /// Everything the files of one source hold, in file order then row order. Lines and lookup tables are found among
    /// `files` too, so all files of a source belong in one call. `each` is called once per row, document or complaint.
    pub fn read(&self, files: &[SourceFile<'_>], limits: &Limits, each: &mut dyn FnMut(Ingested)) {
        let mut texts: Vec<Option<Decoded<'_>>> = Vec::with_capacity(files.len());
        for file in files {
            let wanted = self.uses(file.path);
            if wanted && file.bytes.len() as u64 > limits.file_bytes {
                let reason = format!("is larger than {} bytes", limits.file_bytes);
                each(Ingested::Rejected(Rejection::file(file.path, reason)));
            }
            let wanted = wanted && file.bytes.len() as u64 <= limits.file_bytes;
            texts.push(wanted.then(|| decode(file.bytes)));
        }
        let sources: Vec<Text<'_>> = files
            .iter()
            .zip(&texts)
            .filter_map(|(file, text)| text.as_ref().map(|text| Text { path: file.path, text: &text.text }))
            .collect();
        for (file, text) in files.iter().zip(&texts) {
            if let Some(notice) = text.as_ref().and_then(notice) {
                each(Ingested::Notice { file: file.path.to_owned(), text: notice });
            }
        }
        for rule in &self.file.records {
            self.read_records(rule, &sources, limits, each);
        }
        for (file, text) in files.iter().zip(&texts) {
            match text {
                None if !self.uses(file.path) => each(Ingested::Unused { file: file.path.to_owned() }),
                None => {}
                Some(text) => self.read_document(file.path, text, limits, each),
            }
        }
    }

    fn delimiter(&self) -> Option<u8> {
        self.file.delimiter.and_then(|mark| u8::try_from(mark).ok())
    }

    fn read_document(&self, path: &str, text: &Decoded<'_>, limits: &Limits, each: &mut dyn FnMut(Ingested)) {
        let rule = self.file.documents.iter().find(|rule| glob::matches(&rule.files, path));
        if rule.is_none() && (!prose::is_prose(path) || self.file.records.iter().any(|rule| rule.names(path))) {
            return;
        }
        match prose::parse(path, &text.text, limits) {
            Err(rejection) => each(Ingested::Rejected(rejection)),
            Ok(mut document) => {
                if let Some(kind) = rule.and_then(|rule| rule.kind) {
                    document.kind = kind;
                }
                let mut audience = document.meta.audience.clone();
                if audience.is_empty() {
                    audience = rule.map(|rule| rule.audience.clone()).unwrap_or_default();
                }
                each(Ingested::Document {
                    document: Box::new(document),
                    file: path.to_owned(),
                    audience: or_everyone(audience),
                });
            }
        }
    }

    fn read_records(&self, rule: &RecordRule, sources: &[Text<'_>], limits: &Limits, each: &mut dyn FnMut(Ingested)) {
        let mine: Vec<&Text<'_>> = sources.iter().filter(|text| glob::matches(&rule.files, text.path)).collect();
        if mine.is_empty() {
            return;
        }
        let mut complaints = Vec::new();
        let lookups = Lookups::read(rule, sources, self.delimiter(), limits, &mut complaints);
        let mut lines = Lines::read(rule.lines.as_ref(), sources, self.delimiter(), limits, &mut complaints);
        complaints.into_iter().for_each(|rejection| each(Ingested::Rejected(rejection)));
        let mapper = RowMapper::new(rule, &self.notation, self.file.currency, &lookups);
        let audience = or_everyone(rule.audience.clone());
        let refuse_file = rule.on_bad_row.unwrap_or(self.file.on_bad_row) == OnBadRow::RefuseFile;
        let mut seen: HashMap<String, (String, u64)> = HashMap::new();
        for source in mine {
            let mut held = Vec::new();
            let mut bad = 0_u64;
            rows_of(source, rule.rows.as_ref(), self.delimiter(), limits, &mut |row| {
                let outcome = match row.and_then(|row| mapper.record(source.path, row, &mut lines)) {
                    Ok(None) => return,
                    Ok(Some((record, number))) => accept(record, source.path, number, &audience, &mut seen),
                    Err(rejection) => Ingested::Rejected(rejection),
                };
                bad += u64::from(matches!(outcome, Ingested::Rejected(_)));
                if refuse_file { held.push(outcome) } else { each(outcome) }
            });
            if refuse_file && bad > 0 {
                held.retain(|outcome| matches!(outcome, Ingested::Rejected(_)));
                let reason = format!("nothing was taken in: {bad} bad rows and the mapping says refuse_file");
                held.push(Ingested::Rejected(Rejection::file(source.path, reason)));
            }
            held.into_iter().for_each(&mut *each);
        }
        for rejection in lines.orphans(rule.kind) {
            each(Ingested::Rejected(rejection));
        }
    }
}

/// Refuses the second of two rows with one id: which of them is right is not ours to say.
fn accept(
    record: Record,
    file: &str,
    row: u64,
    audience: &[String],
    seen: &mut HashMap<String, (String, u64)>,
) -> Ingested {
    if let Some((first_file, first_row)) = seen.get(&record.external_id) {
        let reason = format!("has the same id as row {first_row} of {first_file}");
        return Ingested::Rejected(Rejection::row(file, row, reason));
    }
    seen.insert(record.external_id.clone(), (file.to_owned(), row));
    Ingested::Record { record: Box::new(record), file: file.to_owned(), row, audience: audience.to_vec() }
}

fn or_everyone(audience: Vec<String>) -> Vec<String> {
    if audience.is_empty() { vec![EVERYONE.to_owned()] } else { audience }
}

fn notice(decoded: &Decoded<'_>) -> Option<String> {
    match decoded.encoding {
        Encoding::Windows1252Guess => Some("is not UTF-8; read as windows-1252".into()),
        Encoding::Utf16Le | Encoding::Utf16Be if decoded.replaced => {
            Some("has unpaired UTF-16 units; they became U+FFFD".into())
        }
        Encoding::Utf8 | Encoding::Utf16Le | Encoding::Utf16Be => None,
    }
}

/// A decoded file.
#[derive(Clone, Copy)]
struct Text<'a> {
    path: &'a str,
    text: &'a str,
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

/// Calls `each` for every row of a file, good or bad, in order.
fn rows_of(
    source: &Text<'_>,
    rows: Option<&Path>,
    delimiter: Option<u8>,
    limits: &Limits,
    each: &mut dyn FnMut(Result<&SourceRow<'_>, Rejection>),
) {
    match format_of(source.path) {
        None => each(Err(Rejection::file(source.path, "is not a .csv, .tsv, .json, .ndjson or .jsonl file"))),
        Some(Format::Table) => match table::table(source.path, source.text, delimiter, limits) {
            Err(rejection) => each(Err(rejection)),
            Ok(mut table) => {
                let header = table.header.clone();
                for row in &mut table {
                    match row {
                        Err(rejection) => each(Err(rejection)),
                        Ok(row) => each(Ok(&SourceRow {
                            number: row.line,
                            content: Content::Table { header: &header, cells: &row.cells },
                            key: None,
                            parent: None,
                        })),
                    }
                }
            }
        },
        Some(Format::Json) => match json::parse(source.text, limits) {
            Err(error) => each(Err(Rejection::file(source.path, error.to_string()))),
            Ok(value) => {
                let root = SourceRow { number: 0, content: Content::Json(&value), key: None, parent: None };
                let each_value = Path::parse("*");
                let mut counter = Some(0);
                rows_below(&root, rows.unwrap_or(&each_value), &mut counter, &mut |row| each(Ok(row)));
            }
        },
        Some(Format::JsonLines) => {
            for line in json::lines(source.path, source.text, limits) {
                match line {
                    Err(rejection) => each(Err(rejection)),
                    Ok((number, value)) => {
                        let row = SourceRow { number, content: Content::Json(&value), key: None, parent: None };
                        match rows {
                            None => each(Ok(&row)),
                            Some(rows) => rows_below(&row, rows, &mut None, &mut |row| each(Ok(row))),
                        }
                    }
                }
            }
        }
    }
}

impl RecordRule {
    fn names(&self, path: &str) -> bool {
        glob::matches(&self.files, path) || self.side_files().any(|pattern| glob::matches(pattern, path))
    }

    /// Patterns of the files its lines and lookups are in.
    fn side_files(&self) -> impl Iterator<Item = &str> {
        let lookups = self.all_fields().filter_map(|rule| rule.lookup.as_ref()).map(|lookup| lookup.files.as_str());
        self.lines.as_ref().and_then(|lines| lines.files.as_deref()).into_iter().chain(lookups)
    }

    fn all_fields(&self) -> impl Iterator<Item = &file::FieldRule> {
        self.fields.values().chain(self.lines.iter().flat_map(|lines: &LinesRule| lines.fields.values()))
    }
}

/// The columns or first keys that some rule reads, so that the rest is kept as extra.
fn used_keys<'a>(paths: impl Iterator<Item = &'a Path>) -> HashSet<&'a str> {
    paths.flat_map(|path| [Some(path.text.as_str()), path.first_key()]).flatten().collect()
}

const BUILTIN: &[(&str, &str)] = &[
    ("adventureworks", include_str!("../../mappings/adventureworks.toml")),
    ("tau_retail", include_str!("../../mappings/tau_retail.toml")),
];

/// The text of a mapping that ships with the crate.
pub fn builtin(name: &str) -> Option<&'static str> {
    BUILTIN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names `builtin` knows, and the one closest to a misspelt name.
pub fn builtin_names(wrong: &str) -> (Vec<&'static str>, Option<&'static str>) {
    let names: Vec<&'static str> = BUILTIN.iter().map(|(name, _)| *name).collect();
    let close = nearest(wrong, names.iter().copied());
    (names, close)
}
