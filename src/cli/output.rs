//! Results on standard output, everything else on standard error.

use std::io::Write;

use serde_json::Value;

use super::failure::Failure;

/// How results are printed.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// A result: the object with `--json`, else the text. A reader that went away is not an error.
    pub fn result(self, value: &Value, text: impl AsRef<str>) {
        let shown =
            if self.json { serde_json::to_string_pretty(value).unwrap_or_default() } else { printable(text.as_ref()) };
        let _ = writeln!(std::io::stdout().lock(), "{}", shown.trim_end());
    }

    /// Something for the person at the terminal.
    pub fn note(self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr().lock(), "{}", printable(text.as_ref()));
    }

    pub fn failure(self, failure: &Failure) {
        if self.json {
            let _ = writeln!(std::io::stderr().lock(), "{}", failure.to_json());
            return;
        }
        self.note(format!("countersign: {}", failure.message));
        if let Some(next) = &failure.next {
            self.note(format!("  {next}"));
        }
    }
}

/// Text that came from documents must not steer the terminal: control characters become U+FFFD, except line breaks and tabs.
pub fn printable(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// Rows in columns, two spaces apart; the first row is the heading.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The text at a JSON pointer, or a dash.
pub fn text_at(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Stored microseconds as a time of day in UTC, whole seconds.
pub fn moment(value: &Value, pointer: &str) -> String {
    let Some(us) = value.pointer(pointer).and_then(Value::as_i64) else { return "-".to_owned() };
    crate::clock::from_us(us - us.rem_euclid(1_000_000)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_documents_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\r"), "a\u{fffd}[2Jb\nc\u{fffd}");
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a", "bb"], ["ccc", "d"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "a    bb\nccc  d");
    }
}
