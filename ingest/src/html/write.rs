//! The writing half of HTML to Markdown: what each element adds to the text.

use scraper::node::Element;

/// Markdown under construction. Breaks are owed, not written, so that empty elements leave no blank lines.
#[derive(Default)]
pub(super) struct Writer {
    out: String,
    /// Line ends owed before the next text: 0, 1 or 2.
    owed: u8,
    /// A space owed before the next text.
    space: bool,
    /// Open lists: `Some(n)` numbered with the next number, `None` bulleted.
    lists: Vec<Option<u32>>,
    /// Marks owed at the start of the next text: "## ", "- ", "| ".
    mark: String,
    pre: u32,
    /// Open tables; cells of the inner ones are run together with their outer cell.
    tables: u32,
    cells: usize,
    header_owed: bool,
}

const BLOCKS: &[&str] = &[
    "p",
    "div",
    "section",
    "article",
    "header",
    "footer",
    "main",
    "aside",
    "nav",
    "blockquote",
    "figure",
    "figcaption",
    "form",
    "fieldset",
    "address",
    "details",
    "summary",
    "dl",
    "dt",
    "dd",
    "hr",
    "body",
];

impl Writer {
    pub(super) fn open(&mut self, element: &Element) {
        match element.name() {
            name @ ("h1" | "h2" | "h3" | "h4" | "h5" | "h6") => {
                self.block(2);
                let level = usize::from(name.as_bytes()[1] - b'0');
                if self.tables == 0 {
                    self.mark = format!("{} ", "#".repeat(level));
                }
            }
            "ul" | "menu" => self.list(None),
            "ol" => self.list(Some(element.attr("start").and_then(|start| start.parse().ok()).unwrap_or(1))),
            "li" => self.item(),
            "br" => self.block(1),
            "pre" => {
                self.block(2);
                self.flush();
                if self.tables == 0 {
                    self.out.push_str("```\n");
                }
                self.pre += 1;
            }
            "table" => {
                self.block(2);
                self.tables += 1;
                self.header_owed = self.tables == 1;
            }
            "tr" if self.tables == 1 => {
                self.owed = self.owed.max(u8::from(!self.out.is_empty()));
                self.mark = "| ".to_owned();
                self.cells = 0;
            }
            "img" => {
                if let Some(alt) = element.attr("alt") {
                    self.text(alt);
                }
            }
            name if BLOCKS.contains(&name) => self.block(2),
            _ => {}
        }
    }

    pub(super) fn close(&mut self, name: &str) {
        match name {
            "ul" | "ol" | "menu" => {
                self.lists.pop();
                self.block(if self.lists.is_empty() { 2 } else { 1 });
            }
            "li" => {
                self.mark.clear();
                self.block(1);
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.mark.clear();
                self.block(2);
            }
            "pre" => {
                self.pre = self.pre.saturating_sub(1);
                if self.tables == 0 {
                    let line_end = if self.out.ends_with('\n') { "" } else { "\n" };
                    self.out.push_str(line_end);
                    self.out.push_str("```");
                }
                self.block(2);
            }
            "td" | "th" if self.tables == 1 => {
                self.flush_mark();
                self.space = false;
                self.out.push_str(" | ");
                self.cells += 1;
            }
            "tr" if self.tables == 1 => self.end_row(),
            "table" => {
                self.tables = self.tables.saturating_sub(1);
                self.block(2);
            }
            name if BLOCKS.contains(&name) => self.block(2),
            _ => {}
        }
    }

    fn end_row(&mut self) {
        self.mark.clear();
        let kept = self.out.trim_end_matches(' ').len();
        self.out.truncate(kept);
        if self.header_owed && self.cells > 0 {
            self.out.push_str("\n|");
            self.out.push_str(&" --- |".repeat(self.cells));
            self.header_owed = false;
        }
        self.owed = 1;
    }

    pub(super) fn text(&mut self, text: &str) {
        if self.pre > 0 && self.tables == 0 {
            self.out.push_str(text);
            return;
        }
        for (index, word) in text.split(|c: char| c.is_whitespace() && c != '\u{a0}').enumerate() {
            self.space |= index > 0;
            if !word.is_empty() {
                self.flush();
                self.out.push_str(word);
            }
        }
    }

    /// Owes line ends; within a table they are only a space.
    fn block(&mut self, line_ends: u8) {
        if self.tables > 0 {
            self.space = true;
        } else {
            self.owed = self.owed.max(line_ends);
        }
    }

    fn list(&mut self, start: Option<u32>) {
        self.block(if self.lists.is_empty() { 2 } else { 1 });
        self.lists.push(start);
    }

    fn item(&mut self) {
        self.block(1);
        let depth = self.lists.len().saturating_sub(1).min(8);
        let bullet = match self.lists.last_mut() {
            Some(Some(number)) => {
                let bullet = format!("{number}. ");
                *number = number.saturating_add(1);
                bullet
            }
            Some(None) | None => "- ".to_owned(),
        };
        if self.tables == 0 {
            self.mark = format!("{}{bullet}", "  ".repeat(depth));
        }
    }

    /// Writes what is owed before a text.
    fn flush(&mut self) {
        if self.owed > 0 && !self.out.is_empty() {
            for _ in 0..self.owed {
                self.out.push('\n');
            }
        } else if self.space && self.mark.is_empty() && !self.out.ends_with([' ', '\n']) && !self.out.is_empty() {
            self.out.push(' ');
        }
        self.owed = 0;
        self.space = false;
        self.out.push_str(&std::mem::take(&mut self.mark));
    }

    /// Writes an owed mark for a cell without text.
    fn flush_mark(&mut self) {
        if !self.mark.is_empty() {
            self.flush();
        }
    }

    pub(super) fn finish(mut self) -> String {
        let end = self.out.trim_end().len();
        self.out.truncate(end);
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }
}
