//! Prose files to documents, by their extension; and the prose that was extracted from other formats.
//!
//! Dispatch, titles and the checks all prose shares; each format has its own module. Chunking comes after.

use crate::document::{Document, DocumentKind, DocumentMeta, Markup};
use crate::extract::{Prose, sniff};
use crate::reject::{Limits, Rejection};
use crate::{chunk, front_matter, html};

/// Whether a path is prose by its extension: Markdown, HTML, plain text, PDF, Word or mail.
pub fn is_prose(path: &str) -> bool {
    format_of(path).is_some() || sniff::is_extracted_prose(path)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Markdown,
    Html,
    Plain,
}

fn format_of(path: &str) -> Option<Format> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.')?.1.to_ascii_lowercase();
    match extension.as_str() {
        "md" | "markdown" => Some(Format::Markdown),
        "html" | "htm" | "xhtml" => Some(Format::Html),
        "txt" | "text" => Some(Format::Plain),
        _ => None,
    }
}

/// The document of a file's decoded text; a path without a known extension is read as plain text.
///
/// `external_id` is the path; `kind` comes from the front matter, else it is a page. The text of Markdown and plain
/// files is the file's own, byte for byte, after the front matter. Refused: nothing but white space, NUL characters,
/// more than `limits.document_bytes`, front matter that cannot be read (who may see it would be a guess).
pub fn parse(path: &str, text: &str, limits: &Limits) -> Result<Document, Rejection> {
    if text.len() > limits.document_bytes {
        return Err(Rejection::file(path, format!("is a document of more than {} bytes", limits.document_bytes)));
    }
    if text.contains('\0') {
        return Err(Rejection::file(path, "holds a NUL character"));
    }
    let document = match format_of(path) {
        Some(Format::Markdown) => markdown(path, text, limits)?,
        Some(Format::Html) => {
            let page = html::to_markdown(path, text, limits)?;
            let title = page.title.or_else(|| first_heading(&page.markdown));
            document(path, title, page.markdown, Markup::Markdown)
        }
        Some(Format::Plain) | None => document(path, None, text.to_owned(), Markup::Plain),
    };
    if document.text.trim().is_empty() {
        return Err(Rejection::file(path, "has no text"));
    }
    Ok(document)
}

/// The document of extracted prose. Refused as in [`parse`].
pub fn of_extract(path: &str, prose: &Prose, kind: DocumentKind, limits: &Limits) -> Result<Document, Rejection> {
    if prose.text.len() > limits.document_bytes {
        return Err(Rejection::file(path, format!("is a document of more than {} bytes", limits.document_bytes)));
    }
    let text = prose.text.replace('\0', " ");
    if text.trim().is_empty() {
        return Err(Rejection::file(path, "has no text"));
    }
    let heading = || if prose.markup == Markup::Markdown { first_heading(&text) } else { None };
    let title = prose.title.clone().or_else(heading);
    let mut document = document(path, title, text, prose.markup);
    document.kind = kind;
    document.meta.pages.clone_from(&prose.pages);
    Ok(document)
}

fn markdown(path: &str, text: &str, limits: &Limits) -> Result<Document, Rejection> {
    let (front, body) = front_matter::read(path, text, limits)?;
    let title = front.title.or_else(|| first_heading(body));
    let mut document = document(path, title, body.to_owned(), Markup::Markdown);
    document.kind = front.kind.unwrap_or(DocumentKind::Page);
    document.meta = front.meta;
    Ok(document)
}

fn document(path: &str, title: Option<String>, text: String, markup: Markup) -> Document {
    Document {
        external_id: path.to_owned(),
        kind: DocumentKind::Page,
        title: title.filter(|title| !title.is_empty()).unwrap_or_else(|| title_from_path(path)),
        text,
        markup,
        meta: DocumentMeta::default(),
    }
}

fn first_heading(markdown: &str) -> Option<String> {
    chunk::headings(markdown).into_iter().map(|heading| heading.text).find(|text| !text.is_empty())
}

/// `policies/refund-window.md` → `refund window`
fn title_from_path(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.replace(['-', '_'], " ").trim().to_owned()
}
