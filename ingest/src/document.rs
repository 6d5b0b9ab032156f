//! A document: one piece of prose with its exact text, and what its front matter says about it.
//!
//! Citations are byte spans into `text`, so it is never reformatted after this point. Which version of a document is
//! current, and who may read it, is decided by later stages from `meta`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    Policy,
    Runbook,
    Page,
    Note,
}

impl DocumentKind {
    pub const ALL: [Self; 4] = [Self::Policy, Self::Runbook, Self::Page, Self::Note];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Runbook => "runbook",
            Self::Page => "page",
            Self::Note => "note",
        }
    }
}

impl std::str::FromStr for DocumentKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.trim();
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(wanted))
            .ok_or_else(|| "is not one of policy, runbook, page, note".to_owned())
    }
}

/// How `Document::text` is written; HTML has become Markdown by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Markup {
    Markdown,
    Plain,
}

/// What the front matter says. Absent keys are empty; keys without a meaning here are kept in `extra`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DocumentMeta {
    /// `id` of the front matter: what `supersedes` of a later version refers to.
    pub policy_id: Option<String>,
    /// First day on which it holds, inclusive.
    pub effective_from: Option<Date>,
    /// Last day on which it holds, inclusive.
    pub effective_to: Option<Date>,
    /// Ids of what it replaces.
    pub supersedes: Vec<String>,
    /// What it applies to, e.g. `region: [EU, UK]`.
    pub scope: BTreeMap<String, Vec<String>>,
    /// Roles that may read it; empty: not said here (the mapping's default holds).
    pub audience: Vec<String>,
    /// Byte offset of the text at which each page begins; empty for formats without pages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<usize>,
    pub extra: BTreeMap<String, serde_json::Value>,
}

impl DocumentMeta {
    /// The page, from 1, on which a byte of the text stands; `None` for formats without pages.
    pub fn page_at(&self, byte: usize) -> Option<usize> {
        page_at(&self.pages, byte)
    }
}

/// The page, from 1, on which a byte stands, by the offsets at which pages begin; `None` without pages.
pub fn page_at(pages: &[usize], byte: usize) -> Option<usize> {
    Some(pages.partition_point(|start| *start <= byte)).filter(|page| *page > 0)
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Stable within its source: the path relative to the folder, or the id it was pushed under.
    pub external_id: String,
    pub kind: DocumentKind,
    pub title: String,
    /// What citations point into: for Markdown the body after the front matter, byte for byte.
    pub text: String,
    pub markup: Markup,
    pub meta: DocumentMeta,
}

/// Namespace of all content-derived ids (a fixed random UUID; changing it re-indexes everything).
const NAMESPACE: Uuid = Uuid::from_u128(0x6c0f_58b2_7d0e_4a58_9f0b_3c1d_6a7e_2b94);

/// UUIDv5 over length-prefixed parts, so that `("a", "bc")` and `("ab", "c")` differ.
fn derived(label: &str, parts: &[&[u8]]) -> Uuid {
    let mut name = Vec::from(label.as_bytes());
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part);
    }
    Uuid::new_v5(&NAMESPACE, &name)
}

/// The id of a document: the same for the same tenant, source and external id, whatever its content.
pub fn document_id(tenant: Uuid, source: Uuid, external_id: &str) -> Uuid {
    derived("document", &[tenant.as_bytes(), source.as_bytes(), external_id.as_bytes()])
}

/// The id of a record; two kinds may share an external id.
pub fn record_id(tenant: Uuid, source: Uuid, kind: crate::record::RecordKind, external_id: &str) -> Uuid {
    derived("record", &[tenant.as_bytes(), source.as_bytes(), kind.as_str().as_bytes(), external_id.as_bytes()])
}

/// The id of a chunk: its document, its text's hash, and which occurrence of that text in the document it is (from 0).
pub fn chunk_id(tenant: Uuid, document_id: Uuid, content_sha256: &[u8; 32], occurrence: u32) -> Uuid {
    derived("chunk", &[tenant.as_bytes(), document_id.as_bytes(), content_sha256, &occurrence.to_be_bytes()])
}

/// Lower-case hexadecimal SHA-256, 64 characters.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(sha256(bytes))
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}
