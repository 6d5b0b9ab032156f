//! Chunks: the stored units of a document, each a verbatim byte span of its text.
//!
//! Last step of this crate. Embedding, ids in the index and retrieval come later and never change a span.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::card::Card;
use crate::document::Document;

/// Tokens of a chunk at most, counted with o200k_base; stays below 256 word pieces of the local embedder.
pub const MAX_TOKENS: usize = 180;

/// One chunk. Its text is `&text[span]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// From 0, in text order.
    pub ordinal: u32,
    /// Byte span into the document's (or card's) text.
    pub span: Range<usize>,
    /// Headings above its start, outermost first; of a card: its title.
    pub heading_path: Vec<String>,
    pub tokens: u32,
}

/// Chunks of a document of at most `max_tokens` tokens each.
pub fn chunk_document(document: &Document, max_tokens: usize) -> Vec<Chunk> {
    let _ = (document, max_tokens);
    Vec::new()
}

/// Chunks of a card: the whole card when it fits, else its header and groups of lines.
pub fn chunk_card(card: &Card, max_tokens: usize) -> Vec<Chunk> {
    let _ = (card, max_tokens);
    Vec::new()
}

/// Tokens of a text (o200k_base).
pub fn count_tokens(text: &str) -> usize {
    text.len()
}
