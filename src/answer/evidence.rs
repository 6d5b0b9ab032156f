//! What an answer may rest on: passages and record cards, numbered for one request.

use std::ops::Range;

use ingest::FieldSpan;
use serde::Serialize;
use utoipa::ToSchema;

use crate::document::passage::{CardText, PassageText};
use crate::record::Found;

/// The record behind a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RecordRef {
    pub record_id: String,
    pub kind: String,
    pub external_id: String,
    pub version: i64,
    /// Canonical field path (`total`, `lines.2.sku`), when one field is cited.
    pub field: Option<String>,
}

/// One piece of evidence: `text` stands at `start` of that version of that document.
#[derive(Debug, Clone)]
pub struct Evidence {
    pub document_id: String,
    pub version: i64,
    pub title: String,
    pub kind: String,
    pub source: String,
    pub external_id: String,
    pub policy_id: Option<String>,
    pub heading_path: Vec<String>,
    pub effective_from: Option<String>,
    pub effective_to: Option<String>,
    pub start: usize,
    pub text: String,
    pub record: Option<RecordRef>,
    /// Cards only.
    pub spans: Vec<FieldSpan>,
    /// Byte offset of the document's text at which each page begins; empty for formats without pages.
    pub pages: Vec<usize>,
    pub synced_at_us: Option<i64>,
}

impl Evidence {
    pub fn of_card(found: &Found, card: CardText) -> Self {
        Self {
            document_id: card.document_id,
            version: card.version,
            title: card.title,
            kind: found.record.kind.as_str().to_owned(),
            source: card.source,
            external_id: found.record.external_id.clone(),
            policy_id: None,
            heading_path: Vec::new(),
            effective_from: None,
            effective_to: None,
            start: 0,
            text: card.text,
            record: Some(RecordRef {
                record_id: found.id.to_string(),
                kind: found.record.kind.as_str().to_owned(),
                external_id: found.record.external_id.clone(),
                version: card.record_version.unwrap_or(found.version),
                field: None,
            }),
            spans: card.spans,
            pages: Vec::new(),
            synced_at_us: card.synced_at_us,
        }
    }

    pub fn of_passage(passage: &PassageText) -> Self {
        Self {
            document_id: passage.document_id.clone(),
            version: passage.version,
            title: passage.title.clone(),
            kind: passage.kind.clone(),
            source: passage.source.clone(),
            external_id: passage.external_id.clone(),
            policy_id: passage.policy_id.clone(),
            heading_path: passage.heading_path.clone(),
            effective_from: passage.effective_from.clone(),
            effective_to: passage.effective_to.clone(),
            start: usize::try_from(passage.start).unwrap_or(0),
            text: passage.text.clone(),
            record: passage.record_id.as_ref().map(|record_id| RecordRef {
                record_id: record_id.clone(),
                kind: passage.kind.clone(),
                external_id: passage.external_id.split(':').nth(2).unwrap_or_default().to_owned(),
                version: passage.version,
                field: None,
            }),
            spans: Vec::new(),
            pages: passage.pages.clone(),
            synced_at_us: passage.synced_at_us,
        }
    }
}

/// A span of one piece of evidence, before numbers are given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cite {
    /// Index into the evidence of the request.
    pub evidence: usize,
    /// Bytes of the evidence's `text`.
    pub span: Range<usize>,
    pub field: Option<String>,
}

/// A claim with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub text: String,
    /// Never empty in an answer that leaves.
    pub cites: Vec<Cite>,
}
