//! Records pushed in canonical names: JSON objects whose keys are already fields of the schema.
//!
//! The same reading of cells as for files, without a mapping file: `{"status": "open", "total": "84.00 EUR"}`.

use jiff::tz::TimeZone;
use serde_json::{Map, Value as Plain};

use super::file::LocalTime;
use super::value::Notation;
use crate::json::Json;
use crate::money::Currency;
use crate::record::{Fields, Record, RecordKind};
use crate::reject::Rejection;
use crate::schema::{self, FieldSpec};

/// A record from plain JSON, or everything that is wrong with it.
///
/// - `place`: what rejections name as their file, e.g. `records[3]`.
/// - `fields`, `lines`: keys are canonical names; numbers and texts are read by the field's type, money as a number
///   with `currency`, or as `"84.00 EUR"`; times need an offset or are UTC. Keys the schema does not know are kept in
///   `Record::extra` (those of lines under `lines`, one object per line).
pub fn plain_record(
    place: &str,
    kind: RecordKind,
    external_id: &str,
    fields: &Map<String, Plain>,
    lines: &[Map<String, Plain>],
    currency: Option<Currency>,
) -> Result<Record, Vec<Rejection>> {
    let schema = schema::schema(kind);
    let mut faults = Vec::new();
    if external_id.trim().is_empty() || external_id.len() > 256 || external_id.chars().any(char::is_control) {
        let reason = "is empty, over 256 bytes or has a control character".to_owned();
        faults.push(Rejection { file: place.into(), row: None, column: Some("external_id".into()), reason });
    }
    let mut record = Record::new(kind, external_id.trim());
    let reader = Reader { place, notation: notation(), currency };
    let (known, unknown) = reader.read(fields, schema.fields, None, &mut faults);
    record.fields = known;
    record.extra = unknown.into_iter().collect();
    let mut unknown_of_lines = Vec::new();
    for (row, line) in (1..).zip(lines) {
        let (known, unknown) = reader.read(line, schema.lines, Some(row), &mut faults);
        record.lines.push(known);
        unknown_of_lines.push(unknown);
    }
    if unknown_of_lines.iter().any(|unknown| !unknown.is_empty()) {
        let objects = unknown_of_lines.into_iter().map(Plain::Object).collect();
        record.extra.insert("lines".to_owned(), Plain::Array(objects));
    }
    if faults.is_empty() { Ok(record) } else { Err(faults) }
}

fn notation() -> Notation {
    Notation {
        decimal: '.',
        thousands: None,
        date_formats: Vec::new(),
        timezone: TimeZone::UTC,
        local_time: LocalTime::Refuse,
        null_values: Vec::new(),
    }
}

struct Reader<'a> {
    place: &'a str,
    notation: Notation,
    currency: Option<Currency>,
}

impl Reader<'_> {
    fn read(
        &self,
        object: &Map<String, Plain>,
        specs: &'static [FieldSpec],
        row: Option<u64>,
        faults: &mut Vec<Rejection>,
    ) -> (Fields, Map<String, Plain>) {
        let (mut known, mut unknown) = (Fields::new(), Map::new());
        for (name, plain) in object {
            let Some(spec) = specs.iter().find(|spec| spec.name == name) else {
                unknown.insert(name.clone(), plain.clone());
                continue;
            };
            let read = self
                .notation
                .json(&Json::from_serde(plain))
                .and_then(|scalar| self.notation.value(scalar, spec.kind, self.currency, None));
            match read {
                Ok(Some(value)) => {
                    known.insert(spec.name.to_owned(), value);
                }
                Ok(None) => {}
                Err(reason) => {
                    let column = Some(name.clone());
                    faults.push(Rejection { file: self.place.into(), row, column, reason });
                }
            }
        }
        (known, unknown)
    }
}
