//! What could not be taken in, and the limits beyond which nothing is tried.
//!
//! A rejection names file, row, column and reason; it never repeats what the cell holds, because reports and logs
//! travel further than the records themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that was refused. `row` counts rows as a person opening the file would: for CSV and NDJSON the line on
/// which the row starts (from 1), for JSON the position of the row object (from 1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Rejection {
    pub file: String,
    pub row: Option<u64>,
    pub column: Option<String>,
    /// Never the cell's content.
    pub reason: String,
}

impl Rejection {
    /// The whole file.
    pub fn file(file: &str, reason: impl Into<String>) -> Self {
        Self { file: file.to_owned(), row: None, column: None, reason: reason.into() }
    }

    pub fn row(file: &str, row: u64, reason: impl Into<String>) -> Self {
        Self { file: file.to_owned(), row: Some(row), column: None, reason: reason.into() }
    }

    pub fn cell(file: &str, row: u64, column: &str, reason: impl Into<String>) -> Self {
        Self { file: file.to_owned(), row: Some(row), column: Some(column.to_owned()), reason: reason.into() }
    }
}

impl fmt::Display for Rejection {
    /// `orders.csv, row 17, column "total": is not a decimal number`
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.file)?;
        if let Some(row) = self.row {
            write!(out, ", row {row}")?;
        }
        if let Some(column) = &self.column {
            write!(out, ", column \"{column}\"")?;
        }
        write!(out, ": {}", self.reason)
    }
}

/// Upper bounds on input. The defaults suit exports of a mid-sized company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Columns of a table or fields of one row object.
    pub columns: usize,
    /// Bytes of one cell or JSON string.
    pub cell_bytes: usize,
    /// Nesting of JSON, YAML and front matter.
    pub depth: usize,
    /// Rows of one file.
    pub rows: u64,
    /// Values of one JSON text, nested ones included (each takes some 50 bytes of memory).
    pub json_values: u64,
    /// Bytes of a document's text.
    pub document_bytes: usize,
    /// Nesting of HTML elements.
    pub html_depth: usize,
    /// Bytes of a PDF, office file or mail before it is unpacked.
    pub extract_bytes: usize,
    /// Bytes of a packed file when unpacked.
    pub inflated_bytes: u64,
    /// Parts of a packed file.
    pub entries: usize,
    /// Bytes of text that one workbook may become.
    pub extracted_bytes: usize,
    /// Pages of a PDF.
    pub pages: usize,
    /// Attachments of a mail, those of mails within it included.
    pub attachments: usize,
    /// Mails within mails.
    pub mail_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 512 << 20,
            columns: 2_000,
            cell_bytes: 1 << 20,
            depth: 64,
            rows: 5_000_000,
            json_values: 20_000_000,
            document_bytes: 8 << 20,
            html_depth: 512,
            extract_bytes: 64 << 20,
            inflated_bytes: 256 << 20,
            entries: 10_000,
            extracted_bytes: 64 << 20,
            pages: 5_000,
            attachments: 50,
            mail_depth: 3,
        }
    }
}
