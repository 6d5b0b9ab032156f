//! Columns and JSON paths, and what they select from a row.
//!
//! `a.b.0.c` goes down, `*` takes every value, `@key` is the key under which the row stands, a leading `^.` goes to the
//! parent row. On a table the whole path is one column name.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use crate::json::Json;
use crate::table::{CellKind, Header};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    pub text: String,
    /// Leading `^` steps.
    ups: usize,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Each,
    OwnKey,
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

impl Path {
    pub(super) fn parse(text: &str) -> Self {
        let mut rest = text;
        let mut ups = 0;
        while let Some(up) = rest.strip_prefix('^') {
            ups += 1;
            rest = up.strip_prefix('.').unwrap_or(up);
        }
        let step = |part: &str| match part {
            "*" => Step::Each,
            "@key" => Step::OwnKey,
            key => Step::Key(key.to_owned()),
        };
        let steps = if rest.is_empty() { Vec::new() } else { rest.split('.').map(step).collect() };
        Self { text: text.to_owned(), ups, steps }
    }

    /// The key of the row object that this path enters first, if it enters one: it is "used".
    pub(super) fn first_key(&self) -> Option<&str> {
        match self.steps.first() {
            Some(Step::Key(key)) if self.ups == 0 => Some(key),
            _ => None,
        }
    }
}

/// One row of a source, with the row it stands in.
pub(super) struct SourceRow<'a> {
    /// As `Rejection::row` counts.
    pub number: u64,
    pub content: Content<'a>,
    /// Its key or index in its parent.
    pub key: Option<Cow<'a, str>>,
    pub parent: Option<&'a SourceRow<'a>>,
}

pub(super) enum Content<'a> {
    Table { header: &'a Header, cells: &'a [Cow<'a, str>] },
    Json(&'a Json),
}

/// One selected value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'a> {
    /// A table's cell, a key, or a JSON text.
    Text(&'a str),
    /// A sheet's cell that is no text.
    Typed(CellKind, &'a str),
    Json(&'a Json),
}

impl<'a> Cell<'a> {
    fn of(header: &Header, cell: &'a str) -> Self {
        match CellKind::of(cell) {
            (kind, text) if header.typed && kind != CellKind::Text => Self::Typed(kind, text),
            _ => Self::Text(cell),
        }
    }
}

/// What a path selects. `Absent`: a column or key on the way does not exist.
#[derive(Debug, PartialEq)]
pub(super) enum Selected<'a> {
    Absent,
    Cells(Vec<Cell<'a>>),
}

impl<'a> SourceRow<'a> {
    pub(super) fn select(&'a self, path: &Path) -> Selected<'a> {
        if let Content::Table { header, cells } = &self.content {
            // A column may itself be called "^.x", so the header is asked first.
            if let Some(index) = header.position(&path.text) {
                return Selected::Cells(cells.get(index).map(|cell| Cell::of(header, cell)).into_iter().collect());
            }
        }
        let mut row = self;
        for _ in 0..path.ups {
            match row.parent {
                Some(parent) => row = parent,
                None => return Selected::Absent,
            }
        }
        match &row.content {
            Content::Table { .. } if path.ups == 0 => Selected::Absent,
            Content::Table { header, cells } => {
                let column = path.text.trim_start_matches(['^', '.']);
                match header.position(column).and_then(|index| cells.get(index)) {
                    Some(cell) => Selected::Cells(vec![Cell::of(header, cell)]),
                    None => Selected::Absent,
                }
            }
            Content::Json(json) => descend(json, row.key.as_deref(), &path.steps),
        }
    }
}

fn descend<'a>(json: &'a Json, key: Option<&'a str>, steps: &[Step]) -> Selected<'a> {
    if let [Step::OwnKey] = steps {
        return key.map_or(Selected::Absent, |key| Selected::Cells(vec![Cell::Text(key)]));
    }
    let mut current: Vec<&Json> = vec![json];
    let mut wildcard = false;
    for step in steps {
        let mut next = Vec::new();
        for value in current {
            match step {
                Step::Each => next.extend(children(value).into_iter().map(|(_, child)| child)),
                Step::Key(name) => match child(value, name) {
                    Some(child) => next.push(child),
                    None if wildcard => {}
                    // null stands for an object that is not there
                    None if matches!(value, Json::Null) => next.push(value),
                    None => return Selected::Absent,
                },
                Step::OwnKey => return Selected::Absent,
            }
        }
        wildcard |= *step == Step::Each;
        current = next;
    }
    Selected::Cells(current.into_iter().map(Cell::Json).collect())
}

fn child<'a>(value: &'a Json, name: &str) -> Option<&'a Json> {
    match value {
        Json::Object(_) => value.get(name),
        Json::List(items) => items.get(name.parse::<usize>().ok()?),
        Json::Null | Json::Flag(_) | Json::Number(_) | Json::Text(_) => None,
    }
}

fn children(value: &Json) -> Vec<(Cow<'_, str>, &Json)> {
    match value {
        Json::Object(entries) => entries.iter().map(|(key, value)| (Cow::Borrowed(key.as_str()), value)).collect(),
        Json::List(items) => {
            items.iter().enumerate().map(|(index, value)| (Cow::Owned(index.to_string()), value)).collect()
        }
        Json::Null | Json::Flag(_) | Json::Number(_) | Json::Text(_) => Vec::new(),
    }
}

/// Calls `each` for every row that a rows path selects below `row`: each `*` opens one level of rows, so that `^` of
/// `*.variants.*` is the product. Numbers count from 1 through `counter`, or stay the parent's without one.
pub(super) fn rows_below(
    row: &SourceRow<'_>,
    rows: &Path,
    counter: &mut Option<u64>,
    each: &mut dyn FnMut(&SourceRow<'_>),
) {
    if let Content::Json(json) = &row.content {
        walk(row, json, &rows.steps, counter, each);
    }
}

fn walk(
    parent: &SourceRow<'_>,
    json: &Json,
    steps: &[Step],
    counter: &mut Option<u64>,
    each: &mut dyn FnMut(&SourceRow<'_>),
) {
    match steps {
        [Step::Key(name), rest @ ..] => {
            if let Some(value) = child(json, name) {
                walk(parent, value, rest, counter, each);
            }
        }
        [Step::Each, rest @ ..] => {
            for (key, value) in children(json) {
                if rest.is_empty()
                    && let Some(count) = counter
                {
                    *count += 1;
                }
                let number = counter.unwrap_or(parent.number);
                let row = SourceRow { number, content: Content::Json(value), key: Some(key), parent: Some(parent) };
                if rest.is_empty() {
                    each(&row);
                } else {
                    walk(&row, value, rest, counter, each);
                }
            }
        }
        [Step::OwnKey, ..] => {}
        [] => each(&SourceRow { number: parent.number, content: Content::Json(json), key: None, parent: Some(parent) }),
    }
}
