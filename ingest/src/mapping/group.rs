//! Rows that are one record: exports that write an order over several rows, one per line, with the order's own columns on
//! the first of them only (Shopify's order export).
//!
//! Only rows that follow each other are grouped, so that nothing but the group in hand is held; an id that comes again
//! later is refused as the second of two.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::path::{Content, SourceRow};
use crate::table::Header;

/// The rows of one id, in order. Never empty once handed out.
pub(super) struct Group {
    pub id: Option<String>,
    pub header: Header,
    /// Number and cells of each row.
    pub rows: Vec<(u64, Vec<String>)>,
    /// Columns with several values, by what they are called.
    varying: BTreeMap<String, u64>,
}

impl Group {
    /// Begins a group with its first row. `None` for a row that is not of a table.
    pub(super) fn begin(id: Option<String>, row: &SourceRow<'_>) -> Option<Self> {
        let Content::Table { header, .. } = &row.content else { return None };
        let mut group = Self { id, header: (*header).clone(), rows: Vec::new(), varying: BTreeMap::new() };
        group.add(row);
        Some(group)
    }

    pub(super) fn add(&mut self, row: &SourceRow<'_>) {
        let Content::Table { cells, .. } = &row.content else { return };
        let cells: Vec<String> = cells.iter().map(|cell| cell.to_string()).collect();
        for (index, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.trim().is_empty()) {
            let first = self.rows.iter().filter_map(|(_, cells)| cells.get(index)).find(|cell| !cell.trim().is_empty());
            if first.is_some_and(|first| first != cell)
                && let Some(column) = self.header.columns.get(index)
            {
                self.varying.entry(column.clone()).or_insert(row.number);
            }
        }
        self.rows.push((row.number, cells));
    }

    pub(super) fn first_row(&self) -> u64 {
        self.rows.first().map_or(0, |(number, _)| *number)
    }

    pub(super) fn varies(&self, column: &str) -> bool {
        self.varying.contains_key(column)
    }

    /// A column of the record's own that has two values, and the row of the second.
    pub(super) fn conflict(&self, of_head: impl Fn(&str) -> bool) -> Option<(&str, u64)> {
        self.varying.iter().find(|(column, _)| of_head(column)).map(|(column, row)| (column.as_str(), *row))
    }

    /// The first value of each column.
    pub(super) fn merged(&self) -> Vec<Cow<'_, str>> {
        let value = |index: usize| {
            let cells = self.rows.iter().filter_map(|(_, cells)| cells.get(index));
            cells.map(String::as_str).find(|cell| !cell.trim().is_empty()).unwrap_or_default()
        };
        (0..self.header.columns.len()).map(|index| Cow::Borrowed(value(index))).collect()
    }

    pub(super) fn row<'r>(&'r self, number: u64, cells: &'r [Cow<'r, str>]) -> SourceRow<'r> {
        SourceRow { number, content: Content::Table { header: &self.header, cells }, key: None, parent: None }
    }
}
