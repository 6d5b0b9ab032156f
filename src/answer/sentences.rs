//! Cutting a passage into units that can be quoted: sentences, list items, table rows. Spans are exact; what is shown is cleaned.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

/// One quotable unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Bytes in the text that was cut; never empty, no white space at its ends.
    pub span: Range<usize>,
    pub kind: UnitKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind {
    Sentence,
    /// An item of a bulleted list.
    Item,
    /// A row of a table, its header row included.
    Row,
    /// An item of a numbered list.
    Step,
}

/// The quotable units of Markdown or plain text, in order. Headings and rules are none.
pub fn units(text: &str) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut block: Option<(Range<usize>, UnitKind)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let range = at..at + line.len();
        at += line.len();
        let trimmed = line.trim();
        let starts = if trimmed.is_empty() || trimmed.starts_with('#') || is_rule(trimmed) {
            flush(text, block.take(), &mut units);
            continue;
        } else if let Some(marker) = list_marker(trimmed) {
            let kind = if trimmed.starts_with(|c: char| c.is_ascii_digit()) { UnitKind::Step } else { UnitKind::Item };
            Some((range.start + (line.len() - line.trim_start().len()) + marker, kind))
        } else if trimmed.starts_with('|') {
            Some((range.start, UnitKind::Row))
        } else {
            None
        };
        match (starts, block.as_mut()) {
            (Some((start, kind)), _) => {
                flush(text, block.take(), &mut units);
                block = Some((start..range.end, kind));
            }
            (None, Some((open, _))) => open.end = range.end,
            (None, None) => block = Some((range, UnitKind::Sentence)),
        }
    }
    flush(text, block, &mut units);
    units
}

fn is_rule(line: &str) -> bool {
    line.len() >= 3 && line.chars().all(|c| matches!(c, '-' | '=' | '*' | '_' | '|' | ':' | ' ' | '`'))
}

/// Bytes of a list marker and the space after it.
fn list_marker(line: &str) -> Option<usize> {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = line.len() - rest.len();
    let mark = if digits > 0 { rest.strip_prefix(['.', ')']) } else { rest.strip_prefix(['-', '*', '+', '•']) }?;
    let text = mark.strip_prefix(' ')?;
    Some(line.len() - text.len())
}

/// The rows of the table that `row` stands in, header first; `units` as they came from [`units`].
pub fn table_of<'a>(units: &'a [Unit], text: &str, row: usize) -> &'a [Unit] {
    let joined = |a: &Unit, b: &Unit| {
        let between = &text[a.span.end..b.span.start];
        a.kind == UnitKind::Row
            && b.kind == UnitKind::Row
            && between.matches('\n').count() <= 2
            && !between.contains("\n\n")
    };
    let mut from = row;
    while from > 0 && joined(&units[from - 1], &units[from]) {
        from -= 1;
    }
    let mut to = row + 1;
    while to < units.len() && joined(&units[to - 1], &units[to]) {
        to += 1;
    }
    &units[from..to]
}

/// A list item stays whole; a paragraph is cut into sentences.
fn flush(text: &str, block: Option<(Range<usize>, UnitKind)>, units: &mut Vec<Unit>) {
    let Some((range, kind)) = block else { return };
    if kind != UnitKind::Sentence {
        units.extend(trimmed(text, range).map(|span| Unit { span, kind }));
        return;
    }
    let mut sentence = range.start..range.start;
    for (offset, part) in text[range.clone()].split_sentence_bound_indices() {
        let end = range.start + offset + part.len();
        sentence.end = end;
        if !goes_on(&text[sentence.clone()]) {
            units.extend(trimmed(text, sentence.clone()).map(|span| Unit { span, kind }));
            sentence = end..end;
        }
    }
    units.extend(trimmed(text, sentence).map(|span| Unit { span, kind }));
}

/// Unicode's rule ends a sentence at a line break, and after "no. 5" or "e.g. a refund".
fn goes_on(sentence: &str) -> bool {
    const ABBREVIATIONS: [&str; 12] =
        ["e.g.", "i.e.", "no.", "nr.", "approx.", "incl.", "excl.", "max.", "min.", "art.", "sec.", "vs."];
    let last = sentence.trim_end().rsplit(char::is_whitespace).next().unwrap_or("").to_lowercase();
    let wrapped = sentence.ends_with('\n') && !sentence.trim_end().ends_with(['.', '!', '?', '…', ':', '"', ')', '”']);
    wrapped || ABBREVIATIONS.contains(&last.trim_start_matches('('))
}

fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start().len());
    let end = start + part.trim().len();
    (start < end).then_some(start..end)
}

static LINK: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"!?\[([^\]]*)\]\([^)\s]*\)").ok());

/// A single star or underscore where a word begins or ends.
static EMPHASIS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(^|[\s(])[*_]|[*_]([\s).,;:!?]|$)").ok());

/// A quote as it is shown: Markdown marks, link targets and line breaks removed. The quote itself stays verbatim in the citation.
pub fn shown(quote: &str) -> String {
    let text = LINK.as_ref().map_or_else(|| quote.into(), |link| link.replace_all(quote, "$1"));
    let text = text.replace("**", "").replace("__", "").replace('`', "");
    let text = EMPHASIS.as_ref().map_or_else(|| text.as_str().into(), |mark| mark.replace_all(&text, "$1$2"));
    let cells = text.trim().trim_matches('|').trim();
    let mut out = String::with_capacity(cells.len());
    for word in cells.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    ingest::text::visible_marks(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        units(text).into_iter().map(|unit| &text[unit.span]).collect()
    }

    #[test]
    fn sentences_items_and_rows_are_units_and_headings_are_not() {
        let text = "# Refunds\n\nUp to EUR 50, e.g. shoes, one person. More\nneeds two.\n\n1. Open it.\n2) Close\n   it.\n- a\n\n| x | y |\n|---|---|\n| 1 | 2 |\n";
        assert_eq!(
            cut(text),
            [
                "Up to EUR 50, e.g. shoes, one person.",
                "More\nneeds two.",
                "Open it.",
                "Close\n   it.",
                "a",
                "| x | y |",
                "| 1 | 2 |"
            ]
        );
        assert_eq!(units(text)[2].kind, UnitKind::Step);
    }

    #[test]
    fn what_is_shown_has_no_markup_and_no_link_target() {
        assert_eq!(shown("See **the**\n [form](https://evil.example/x) ![p](http://e/x.png)"), "See the form p");
        assert_eq!(shown("| a | b |"), "a | b");
        assert_eq!(shown("*The* later 2 * 3 snake_case (_x_)."), "The later 2  3 snake_case (x).".replace("  ", " "));
    }

    proptest! {
        #[test]
        fn units_are_ordered_spans_that_lose_no_word(text in "[a-z0-9#|*. \n-]{0,200}") {
            let units = units(&text);
            prop_assert!(units.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start));
            prop_assert!(units.iter().all(|unit| !text[unit.span.clone()].trim().is_empty()));
        }
    }
}
