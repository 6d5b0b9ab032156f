//! Chunks: the stored units of a document, each a verbatim byte span of its text.
//!
//! Last step of this crate. Embedding, ids in the index and retrieval come later and never change a span.

mod headings;
mod tokens;

use std::ops::Range;

use serde::{Deserialize, Serialize};
use text_splitter::{ChunkConfig, ChunkSizer, MarkdownSplitter, TextSplitter};

use self::headings::{Heading, Paths};
use self::tokens::{ExactSizer, WindowSizer};
use crate::card::{Card, floor_boundary};
use crate::document::{Document, Markup};

pub(crate) use headings::headings;
pub use tokens::count_tokens;

/// Longest heading or title, bytes: each chunk carries the ones above it.
pub const HEADING_BYTES: usize = 300;

/// Tokens of a chunk at most, counted with o200k_base; stays below 256 word pieces of the local embedder.
pub const MAX_TOKENS: usize = 180;

/// Bytes split in one go. The splitter looks at the rest of its text for each chunk, so long documents are cut into
/// windows first, at headings where possible; no chunk crosses a window.
const WINDOW: usize = 16 << 10;

/// One chunk. Its text is `&text[span]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// From 0, in text order.
    pub ordinal: u32,
    /// Byte span into the document's (or card's) text.
    pub span: Range<usize>,
    /// The document's title and the headings that hold at its start, outermost first; of a card: its title.
    pub heading_path: Vec<String>,
    /// Exact count, at most the `max_tokens` asked for, unless a single character has more.
    pub tokens: u32,
}

/// Chunks of a document, in text order. They do not overlap and together hold every character that is not white space.
/// A heading stands with the text below it whenever both fit. The same text gives the same chunks.
pub fn chunk_document(document: &Document, max_tokens: usize) -> Vec<Chunk> {
    let text = document.text.as_str();
    let headings = match document.markup {
        Markup::Markdown => headings(text),
        Markup::Plain => Vec::new(),
    };
    let spans = split_by_windows(text, &headings, document.markup, max_tokens);
    let spans = with_following_text(text, &headings, max_tokens, spans);
    let mut paths = Paths::new(&headings);
    // What a text is about often stands in its title alone, and the title outside of the text: in front matter, in a field beside it.
    let title = document.title.trim();
    let title = &title[..floor_boundary(title, HEADING_BYTES)];
    let below_title = |path: Vec<String>| match path.first() {
        Some(first) if same_words(first, title) => path,
        _ if title.is_empty() => path,
        _ => [vec![title.to_owned()], path].concat(),
    };
    let numbered = (0..).zip(spans);
    numbered
        .map(|(ordinal, (span, tokens))| {
            // Indentation kept at a chunk's start comes before the heading's own first byte.
            let shown = span.start + text[span.clone()].find(|c: char| !c.is_whitespace()).unwrap_or(0);
            Chunk { ordinal, heading_path: below_title(paths.at(shown)), span, tokens: tokens as u32 }
        })
        .collect()
}

/// Whether two titles differ in case and punctuation at most.
fn same_words(left: &str, right: &str) -> bool {
    let words =
        |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    words(left) == words(right)
}

/// Chunks of a card: the whole card when it fits, else runs of its lines, cut inside a line only where one line is too
/// long by itself. Same promises as `chunk_document`; the heading path is the card's title.
pub fn chunk_card(card: &Card, max_tokens: usize) -> Vec<Chunk> {
    let text = card.text.as_str();
    let whole = count_if_small(text, max_tokens).filter(|tokens| *tokens <= max_tokens);
    let runs = match whole {
        Some(tokens) if !text.trim().is_empty() => vec![(0..text.len(), tokens)],
        Some(_) | None => runs_of_lines(text, max_tokens),
    };
    let chunk = |(ordinal, (span, tokens)): (u32, (Range<usize>, usize))| Chunk {
        ordinal,
        span,
        heading_path: vec![card.title.clone()],
        tokens: tokens as u32,
    };
    (0..).zip(runs).map(chunk).collect()
}

/// The exact count of a text that could fit at all; `None` for one that is far too long to.
fn count_if_small(text: &str, max_tokens: usize) -> Option<usize> {
    // Ordinary text has some four bytes to a token; sixteen are left for repetitive ones.
    (text.len() <= max_tokens.saturating_mul(16)).then(|| count_tokens(text))
}

/// As many lines to a run as fit, with the runs' exact counts.
fn runs_of_lines(text: &str, max_tokens: usize) -> Vec<(Range<usize>, usize)> {
    let lines: Vec<(Range<usize>, usize)> = lines(text).map(|line| (line.clone(), count_tokens(&text[line]))).collect();
    let mut runs = Vec::new();
    let mut rest = lines.as_slice();
    while let Some((first, first_tokens)) = rest.first() {
        if *first_tokens > max_tokens {
            let pieces = split_by_windows(&text[first.clone()], &[], Markup::Plain, max_tokens);
            runs.extend(pieces.into_iter().map(|(p, tokens)| (first.start + p.start..first.start + p.end, tokens)));
            rest = &rest[1..];
            continue;
        }
        // A line end is at most a token more; the sum is checked exactly once the run is chosen.
        let mut sum = 0;
        let fitting = rest.iter().take_while(|(_, tokens)| {
            sum += tokens + 1;
            sum <= max_tokens + 1
        });
        let mut taken = fitting.count().max(1);
        let mut tokens = count_tokens(&text[first.start..rest[taken - 1].0.end]);
        while tokens > max_tokens && taken > 1 {
            taken -= 1;
            tokens = count_tokens(&text[first.start..rest[taken - 1].0.end]);
        }
        runs.push((first.start..rest[taken - 1].0.end, tokens));
        rest = &rest[taken..];
    }
    runs
}

/// Lines of a text that hold something, without their line ends.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    text.split('\n').filter_map(move |line| {
        let span = at..at + line.trim_end().len();
        at += line.len() + 1;
        (!line.trim().is_empty()).then_some(span)
    })
}

/// Spans of at most `max_tokens` with their exact counts, each within one window.
fn split_by_windows(text: &str, headings: &[Heading], markup: Markup, max_tokens: usize) -> Vec<(Range<usize>, usize)> {
    let mut spans = Vec::new();
    for window in windows(text, headings) {
        let sizer = WindowSizer::new(&text[window.clone()]);
        for span in split(&text[window.clone()], markup, max_tokens, &sizer) {
            spans.push(window.start + span.start..window.start + span.end);
        }
    }
    exact(text, markup, max_tokens, spans)
}

/// Trimmed spans of at most `max_tokens` by the sizer's count.
fn split(text: &str, markup: Markup, max_tokens: usize, sizer: &impl ChunkSizer) -> Vec<Range<usize>> {
    let config = ChunkConfig::new(max_tokens).with_sizer(sizer);
    let span = |(start, chunk): (usize, &str)| start..start + chunk.len();
    match markup {
        Markup::Markdown => MarkdownSplitter::new(config).chunk_indices(text).map(span).collect(),
        Markup::Plain => TextSplitter::new(config).chunk_indices(text).map(span).collect(),
    }
}

/// Counts every span exactly and splits again what is over the limit after all.
fn exact(text: &str, markup: Markup, max_tokens: usize, spans: Vec<Range<usize>>) -> Vec<(Range<usize>, usize)> {
    let mut counted = Vec::with_capacity(spans.len());
    for span in spans {
        let tokens = count_tokens(&text[span.clone()]);
        if tokens <= max_tokens {
            counted.push((span, tokens));
            continue;
        }
        for piece in split(&text[span.clone()], markup, max_tokens, &ExactSizer) {
            let piece = span.start + piece.start..span.start + piece.end;
            counted.push((piece.clone(), count_tokens(&text[piece])));
        }
    }
    counted
}

/// Joins a chunk that is nothing but headings with the chunk after it, or with as much of that chunk as fits.
fn with_following_text(
    text: &str,
    headings: &[Heading],
    max_tokens: usize,
    spans: Vec<(Range<usize>, usize)>,
) -> Vec<(Range<usize>, usize)> {
    let mut joined: Vec<(Range<usize>, usize)> = Vec::with_capacity(spans.len());
    let mut first = 0;
    for (span, tokens) in spans {
        let Some((above, above_tokens)) = joined.last().cloned() else {
            joined.push((span, tokens));
            continue;
        };
        while headings.get(first).is_some_and(|heading| heading.span.end <= above.start) {
            first += 1;
        }
        if !only_headings(text, &headings[first..], &above) {
            joined.push((span, tokens));
            continue;
        }
        let both = above.start..span.end;
        let both_tokens = count_tokens(&text[both.clone()]);
        if both_tokens <= max_tokens {
            joined.pop();
            joined.push((both, both_tokens));
            continue;
        }
        match parted(text, max_tokens, &above, above_tokens, &span) {
            Some(parts) => {
                joined.pop();
                joined.extend(parts);
            }
            None => joined.push((span, tokens)),
        }
    }
    joined
}

/// A heading with the beginning of the chunk after it, and the rest of that chunk; `None` where that does not work out.
fn parted(
    text: &str,
    max_tokens: usize,
    above: &Range<usize>,
    above_tokens: usize,
    span: &Range<usize>,
) -> Option<[(Range<usize>, usize); 2]> {
    // A line end between them may cost a token or two.
    let room = max_tokens.checked_sub(above_tokens + 2).filter(|room| *room > 0)?;
    let pieces = split(&text[span.clone()], Markup::Plain, room, &ExactSizer);
    let [head, tail, ..] = pieces.as_slice() else { return None };
    let with_heading = above.start..span.start + head.end;
    let rest = span.start + tail.start..span.end;
    let counted = [with_heading, rest].map(|part| (part.clone(), count_tokens(&text[part])));
    counted.iter().all(|(_, tokens)| *tokens <= max_tokens).then_some(counted)
}

/// Whether a span holds headings and white space alone. `headings` begin at or before the span.
fn only_headings(text: &str, headings: &[Heading], span: &Range<usize>) -> bool {
    let mut at = span.start;
    for heading in headings.iter().take_while(|heading| heading.span.start < span.end) {
        if !text.get(at..heading.span.start.max(at)).is_some_and(|gap| gap.trim().is_empty()) {
            return false;
        }
        at = heading.span.end.max(at);
    }
    at > span.start && text.get(at.min(span.end)..span.end).is_some_and(|rest| rest.trim().is_empty())
}

/// Windows of at most `WINDOW` bytes that cover the text: cut at the last heading that fits, else blank line, line end,
/// white space, or anywhere between characters.
fn windows(text: &str, headings: &[Heading]) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    while text.len() - start > WINDOW {
        let limit = floor_boundary(text, start + WINDOW);
        let within = &text[start..limit];
        let starting = headings.partition_point(|heading| heading.span.start <= limit);
        let heading = headings[..starting].last().map(|heading| heading.span.start).filter(|at| *at > start);
        let found = |at: Option<usize>| at.filter(|at| *at > 0).map(|at| start + at);
        let cut = heading
            .or_else(|| found(within.rfind("\n\n")))
            .or_else(|| found(within.rfind('\n')))
            .or_else(|| found(within.rfind(char::is_whitespace)))
            .unwrap_or(limit);
        windows.push(start..cut);
        start = cut;
    }
    windows.push(start..text.len());
    windows
}
