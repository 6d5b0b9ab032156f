//! Mappings: a TOML file that turns a source's columns or JSON paths into canonical records and documents.
//!
//! The step between bytes and typed records. A mapping never guesses: a column that is gone, a value of another type, a
//! status that is not in its table is a rejection with a reason, and columns that no field uses are kept in
//! `Record::extra`. Fetching the files and storing the results belong to `source` and `record`.

mod file;
mod glob;
mod group;
mod join;
mod path;
mod row;
mod source;
mod value;

use std::collections::{HashMap, HashSet};

use jiff::tz::{TimeZone, TimeZoneDatabase};

use self::file::{DocumentRule, LinesRule, MappingFile, OnBadRow, RecordRule};
use self::group::Group;
use self::join::{Lines, Lookups};
use self::path::Path;
use self::row::RowMapper;
use self::source::{Body, Rows, Source};
use self::value::Notation;
use crate::document::{Document, DocumentKind, DocumentMeta};
use crate::extract::{self, Attachment, Extract, Mail, Prose, Route};
use crate::prose;
use crate::record::Record;
use crate::reject::{Limits, Rejection};
use crate::schema::nearest;
use crate::text::{Decoded, Encoding, decode};

/// One file of a source: path relative to its folder, with `/`, and its bytes.
#[derive(Debug, Clone, Copy)]
pub struct SourceFile<'a> {
    pub path: &'a str,
    pub bytes: &'a [u8],
}

/// A file of a source, read or extracted.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    pub path: &'a str,
    pub content: Given<'a>,
}

/// What there is of a file.
#[derive(Debug, Clone, Copy)]
pub enum Given<'a> {
    /// Text, by [`extract::route`].
    Text(&'a [u8]),
    Extract(&'a Extract),
    /// Why it was not read.
    Refused(&'a str),
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
        !self.file.ignore.iter().any(|pattern| glob::matches(pattern, path))
            && (prose::is_prose(path)
                || self.file.documents.iter().any(|rule| glob::matches(&rule.files, path))
                || self.file.records.iter().any(|rule| rule.names(path)))
    }

    /// Everything the files of one source hold, in file order then row order. Lines and lookup tables are found among
    /// `files` too, so all files of a source belong in one call. `each` is called once per row, document or complaint.
    ///
    /// Files that need extraction are refused; [`Mapping::read_inputs`] takes them extracted.
    pub fn read(&self, files: &[SourceFile<'_>], limits: &Limits, each: &mut dyn FnMut(Ingested)) {
        let reasons: Vec<Option<String>> = files
            .iter()
            .map(|file| match extract::route(file.path, file.bytes) {
                Ok(Route::Text) => None,
                Ok(Route::Extract) => Some("is no text, and was not extracted".to_owned()),
                Err(reason) => Some(reason),
            })
            .collect();
        let inputs: Vec<Input<'_>> = files
            .iter()
            .zip(&reasons)
            .map(|(file, reason)| Input {
                path: file.path,
                content: reason.as_deref().map_or(Given::Text(file.bytes), Given::Refused),
            })
            .collect();
        self.read_inputs(&inputs, limits, each);
    }

    /// As [`Mapping::read`], of files that were extracted where they are no text.
    pub fn read_inputs(&self, inputs: &[Input<'_>], limits: &Limits, each: &mut dyn FnMut(Ingested)) {
        let mut bodies: Vec<Option<Body<'_>>> = Vec::with_capacity(inputs.len());
        for input in inputs {
            let body = if self.uses(input.path) { body(input, limits) } else { Ok(None) };
            bodies.push(body.unwrap_or_else(|reason| {
                each(Ingested::Rejected(Rejection::file(input.path, reason)));
                None
            }));
        }
        let pairs = || inputs.iter().zip(&bodies);
        let sources: Vec<Source<'_>> =
            pairs().filter_map(|(input, body)| body.as_ref().map(|body| Source { path: input.path, body })).collect();
        for source in &sources {
            if let Some(text) = notice(source.body) {
                each(Ingested::Notice { file: source.path.to_owned(), text });
            }
        }
        for rule in &self.file.records {
            self.read_records(rule, &sources, limits, each);
        }
        for (input, body) in pairs() {
            match body {
                None if !self.uses(input.path) => each(Ingested::Unused { file: input.path.to_owned() }),
                None => {}
                Some(body) => self.read_document(input.path, body, limits, each),
            }
        }
    }

    fn delimiter(&self) -> Option<u8> {
        self.file.delimiter.and_then(|mark| u8::try_from(mark).ok())
    }

    fn read_document(&self, path: &str, body: &Body<'_>, limits: &Limits, each: &mut dyn FnMut(Ingested)) {
        let rule = self.file.documents.iter().find(|rule| glob::matches(&rule.files, path));
        if rule.is_none() && (!prose::is_prose(path) || self.file.records.iter().any(|rule| rule.names(path))) {
            return;
        }
        let read = match body {
            Body::Text(text) => prose::parse(path, &text.text, limits),
            Body::Prose(prose) => prose::of_extract(path, prose, DocumentKind::Page, limits),
            Body::Mail(mail, _) => prose::of_extract(path, &mail.prose(), DocumentKind::Note, limits),
            Body::Sheets(_) => Err(Rejection::file(path, "is a workbook: only a rule for records can read it")),
        };
        match read {
            Err(rejection) => each(Ingested::Rejected(rejection)),
            Ok(document) => {
                each(ruled(document, path, rule));
                if let Body::Mail(mail, _) = body {
                    attachments(path, mail, rule, limits, each);
                }
            }
        }
    }

    fn read_records(&self, rule: &RecordRule, sources: &[Source<'_>], limits: &Limits, each: &mut dyn FnMut(Ingested)) {
        let mine: Vec<&Source<'_>> = sources.iter().filter(|source| glob::matches(&rule.files, source.path)).collect();
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
        let rows = Rows {
            sheet: rule.sheet.as_deref(),
            header_row: rule.header_row,
            path: rule.rows.as_ref(),
            delimiter: self.delimiter(),
        };
        let mut seen: HashMap<String, (String, u64)> = HashMap::new();
        for source in mine {
            if rule.sheet.is_none() && source.sheets_shown() > 1 {
                let text =
                    "has several sheets; only the first was read: name one with `sheet` in the mapping".to_owned();
                each(Ingested::Notice { file: source.path.to_owned(), text });
            }
            let mut held = Vec::new();
            let mut bad = 0_u64;
            read_rows(source, &rows, &mapper, &mut lines, limits, &mut |file, outcome| {
                let outcome = match outcome {
                    Ok((record, number)) => accept(record, file, number, &audience, &mut seen),
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

/// Hears of each record with its file and row, or of why there is none.
type EachRow<'a> = dyn FnMut(&str, Result<(Record, u64), Rejection>) + 'a;

/// Calls `each` for every record of a file, good or bad, in order, with the name of the file (and sheet) it is in.
fn read_rows(
    source: &Source<'_>,
    rows: &Rows<'_>,
    mapper: &RowMapper<'_>,
    lines: &mut Lines<'_>,
    limits: &Limits,
    each: &mut EachRow,
) {
    if !mapper.groups() {
        source.rows(rows, limits, &mut |file, row| {
            if let Some(outcome) = row.and_then(|row| mapper.record(file, row, lines)).transpose() {
                each(file, outcome);
            }
        });
        return;
    }
    let mut open: Option<(String, Group)> = None;
    let mut end = |open: &mut Option<(String, Group)>, each: &mut EachRow| {
        if let Some((file, group)) = open.take()
            && let Some(outcome) = mapper.grouped(&file, &group, lines).transpose()
        {
            each(&file, outcome);
        }
    };
    source.rows(rows, limits, &mut |file, row| match row {
        Err(rejection) => {
            end(&mut open, each);
            each(file, Err(rejection));
        }
        Ok(row) => {
            let id = mapper.id_of(row);
            if let Some((_, group)) = &mut open
                && group.id.is_some()
                && group.id == id
            {
                group.add(row);
                return;
            }
            end(&mut open, each);
            match Group::begin(id, row) {
                Some(group) => open = Some((file.to_owned(), group)),
                None => each(file, Err(Rejection::file(file, "is no table: `same_rows` groups rows of a table"))),
            }
        }
    });
    end(&mut open, each);
}

/// What a file holds, ready to be read; `Ok(None)` never for a file that is used.
fn body<'a>(input: &Input<'a>, limits: &Limits) -> Result<Option<Body<'a>>, String> {
    match input.content {
        Given::Refused(reason) => Err(reason.to_owned()),
        Given::Text(bytes) if bytes.len() as u64 > limits.file_bytes => {
            Err(format!("is larger than {} bytes", limits.file_bytes))
        }
        Given::Text(bytes) => Ok(Some(Body::Text(decode(bytes)))),
        Given::Extract(extract) => Ok(Some(Body::of(extract))),
    }
}

/// A document with what its rule says of it: kind and audience, and where it has no front matter the rest too.
fn ruled(mut document: Document, path: &str, rule: Option<&DocumentRule>) -> Ingested {
    let mut audience = document.meta.audience.clone();
    if let Some(rule) = rule {
        document.kind = rule.kind.unwrap_or(document.kind);
        if audience.is_empty() {
            audience = rule.audience.clone();
        }
        let meta = &mut document.meta;
        meta.policy_id = meta.policy_id.take().or_else(|| rule.id.clone());
        meta.effective_from = meta.effective_from.or(rule.effective_from);
        meta.effective_to = meta.effective_to.or(rule.effective_to);
        if meta.supersedes.is_empty() {
            meta.supersedes.clone_from(&rule.supersedes);
        }
        if meta.scope.is_empty() {
            meta.scope.clone_from(&rule.scope);
        }
        if let Some(title) = &rule.title {
            document.title.clone_from(title);
        }
    }
    Ingested::Document { document: Box::new(document), file: path.to_owned(), audience: or_everyone(audience) }
}

/// What is attached to a mail, as notes for the mail's readers, whatever the attachment says of itself. What cannot be
/// read is a notice: a logo must not make a sync incomplete.
fn attachments(path: &str, mail: &Mail, rule: Option<&DocumentRule>, limits: &Limits, each: &mut dyn FnMut(Ingested)) {
    for Attachment { name, content } in &mail.attachments {
        let file = format!("{path}/{name}");
        let prose: Result<(Prose, Option<&Mail>), String> = match content {
            Ok(Extract::Prose(prose)) => Ok((prose.clone(), None)),
            Ok(Extract::Mail(inner)) => Ok((inner.prose(), Some(inner))),
            Ok(Extract::Workbook(_)) => Err("is a table; tables attached to mails are not read as records".into()),
            Err(reason) => Err(reason.clone()),
        };
        let document = prose.and_then(|(prose, inner)| {
            let document = prose::of_extract(&file, &prose, DocumentKind::Note, limits);
            document.map(|document| (document, inner)).map_err(|refused| refused.reason)
        });
        match document {
            Err(text) => each(Ingested::Notice { file, text: format!("not taken in: it {text}") }),
            Ok((mut document, inner)) => {
                document.meta = DocumentMeta { pages: document.meta.pages, ..DocumentMeta::default() };
                let audience = or_everyone(rule.map(|rule| rule.audience.clone()).unwrap_or_default());
                each(Ingested::Document { document: Box::new(document), file: file.clone(), audience });
                if let Some(inner) = inner {
                    attachments(&file, inner, rule, limits, each);
                }
            }
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

fn notice(body: &Body<'_>) -> Option<String> {
    match body {
        Body::Text(Decoded { encoding: Encoding::Windows1252Guess, .. }) => {
            Some("is not UTF-8; read as windows-1252".into())
        }
        Body::Text(Decoded { encoding: Encoding::Utf16Le | Encoding::Utf16Be, replaced: true, .. }) => {
            Some("has unpaired UTF-16 units; they became U+FFFD".into())
        }
        Body::Prose(prose) if !prose.notices.is_empty() => Some(prose.notices.join("; ")),
        Body::Text(_) | Body::Prose(_) | Body::Sheets(_) | Body::Mail(..) => None,
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
    ("northwind", include_str!("../../mappings/northwind.toml")),
    ("shopify_orders", include_str!("../../mappings/shopify_orders.toml")),
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
