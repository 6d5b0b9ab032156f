//! Token counts with o200k_base.
//!
//! A splitter asks for the size of thousands of overlapping slices. A window is therefore tokenised once, and the size
//! of a slice is the number of tokens that start in it; that is within a token or two of the truth, so the finished
//! chunks are counted exactly.

use text_splitter::ChunkSizer;
use tiktoken_rs::{CoreBPE, o200k_base_singleton};

use crate::card::floor_boundary;

/// Bytes tokenised in one go. Bounds the tokenizer's work on text without white space, which is one word to it.
const STRIDE: usize = 8 << 10;

fn bpe() -> &'static CoreBPE {
    o200k_base_singleton()
}

/// Tokens of a text. Exact up to 8 KiB; longer texts are counted in pieces, which may add a token per piece.
pub fn count_tokens(text: &str) -> usize {
    strides(text).map(|piece| bpe().count_ordinary(piece)).sum()
}

/// Pieces of at most `STRIDE` bytes, cut after white space where there is some.
fn strides(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = floor_boundary(rest, STRIDE);
        if end < rest.len() {
            // Before the space, as tokens take the space before a word with it.
            end = rest[..end].rfind([' ', '\n']).filter(|at| *at > 0).unwrap_or(end);
        }
        let (piece, later) = rest.split_at(end);
        rest = later;
        Some(piece)
    })
}

/// Sizes of slices of one window.
pub(super) struct WindowSizer<'t> {
    window: &'t str,
    /// Byte offset in the window at which each token starts, ascending.
    starts: Vec<usize>,
}

impl<'t> WindowSizer<'t> {
    pub(super) fn new(window: &'t str) -> Self {
        let mut starts = Vec::with_capacity(window.len() / 3);
        let mut at = 0;
        for piece in strides(window) {
            let tokens = bpe().encode_ordinary(piece);
            for token in bpe()._decode_native_and_split(tokens) {
                starts.push(at);
                at += token.len();
            }
        }
        Self { window, starts }
    }

    /// Offset of a slice in the window, if it is one.
    fn offset(&self, slice: &str) -> Option<usize> {
        let offset = (slice.as_ptr() as usize).checked_sub(self.window.as_ptr() as usize)?;
        (offset + slice.len() <= self.window.len()).then_some(offset)
    }
}

impl ChunkSizer for WindowSizer<'_> {
    fn size(&self, chunk: &str) -> usize {
        let Some(start) = self.offset(chunk) else { return count_tokens(chunk) };
        let first = self.starts.partition_point(|at| *at < start);
        let end = self.starts.partition_point(|at| *at < start + chunk.len());
        let cut = self.starts.get(first) != Some(&start) && !chunk.is_empty();
        end - first + usize::from(cut)
    }
}

/// Exact sizes; slow, for the few chunks whose estimate was too low.
pub(super) struct ExactSizer;

impl ChunkSizer for ExactSizer {
    fn size(&self, chunk: &str) -> usize {
        count_tokens(chunk)
    }
}
