//! Prose files to documents, by their extension.

use crate::document::{Document, DocumentKind, DocumentMeta, Markup};
use crate::reject::{Limits, Rejection};

pub fn is_prose(path: &str) -> bool {
    let _ = path;
    false
}

pub fn parse(path: &str, text: &str, limits: &Limits) -> Result<Document, Rejection> {
    let _ = limits;
    Ok(Document {
        external_id: path.to_owned(),
        kind: DocumentKind::Page,
        title: String::new(),
        text: text.to_owned(),
        markup: Markup::Plain,
        meta: DocumentMeta::default(),
    })
}
