//! The text layer of a PDF, page by page.
//!
//! Pages are read one at a time so that one broken page costs itself and is named; a page whose text is only a picture
//! has no text layer, and that is said rather than guessed at.

mod text;

use std::panic::{AssertUnwindSafe, catch_unwind};

use lopdf::{Document, LoadOptions};

use self::text::Page;
use super::Prose;
use crate::document::Markup;
use crate::reject::Limits;

/// Refused: encrypted with a password, more than `limits.pages`, no text on any page, more than
/// `limits.document_bytes` of text.
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Prose, String> {
    let options =
        || LoadOptions::with_max_decompressed_size(usize::try_from(limits.inflated_bytes / 2).unwrap_or(usize::MAX));
    let mut pdf = match guarded(|| Document::load_mem_with_options(bytes, options())) {
        Some(pdf) => pdf,
        None if holds_encryption(bytes) => return Err("is encrypted with a password".into()),
        None => return Err("is a damaged PDF".into()),
    };
    if pdf.is_encrypted() && guarded(|| pdf.decrypt("")).is_none() {
        return Err("is encrypted with a password".into());
    }
    let pages = pdf.get_pages();
    if pages.is_empty() {
        return Err("is a PDF without pages".into());
    }
    if pages.len() > limits.pages {
        return Err(format!("has more than {} pages", limits.pages));
    }
    let (mut text, mut starts) = (String::new(), Vec::with_capacity(pages.len()));
    let (mut broken, mut silent) = (Vec::new(), 0_usize);
    for (number, page) in &pages {
        starts.push(text.len());
        let Some(read) = guarded(|| Page::read(&pdf, *page, limits)) else {
            broken.push(number.to_string());
            continue;
        };
        let tidy = tidied(&read);
        if tidy.is_empty() {
            silent += 1;
            continue;
        }
        text.push_str(&tidy);
        text.push_str("\n\n");
        if text.len() > limits.document_bytes {
            return Err(format!("is a document of more than {} bytes", limits.document_bytes));
        }
    }
    if text.is_empty() && !broken.is_empty() {
        return Err("is a PDF none of whose pages can be read".into());
    }
    if text.is_empty() && super::sniff::find(&bytes[bytes.len().saturating_sub(2048)..], b"startxref").is_none() {
        return Err("is a damaged PDF".into());
    }
    if text.is_empty() {
        return Err("is a PDF without a text layer (scanned pages or images): run text recognition on it first".into());
    }
    let end = text.trim_end().len() + 1;
    text.truncate(end);
    for start in &mut starts {
        *start = (*start).min(text.len());
    }
    let mut notices = Vec::new();
    if silent > 0 {
        notices.push(format!("{silent} of {} pages have no text layer (images)", pages.len()));
    }
    if !broken.is_empty() {
        notices.push(format!("page {} cannot be read", broken.join(", ")));
    }
    Ok(Prose { title: title(&pdf), text, markup: Markup::Plain, pages: starts, notices })
}

/// Whether the trailer speaks of encryption: loading fails where the empty password does not open the file.
fn holds_encryption(bytes: &[u8]) -> bool {
    super::sniff::find(bytes, b"/Encrypt").is_some()
}

/// A library that reads foreign files may panic on some of them.
fn guarded<T, E>(work: impl FnOnce() -> Result<T, E>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()?.ok()
}

/// Lines without trailing space, at most one blank line in a row, no control characters.
fn tidied(page: &str) -> String {
    let mut tidy = String::with_capacity(page.len());
    let mut blank = true;
    for line in page.lines() {
        let line: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        let line = line.trim();
        if line.is_empty() && blank {
            continue;
        }
        blank = line.is_empty();
        tidy.push_str(line);
        tidy.push('\n');
    }
    tidy.truncate(tidy.trim_end().len());
    tidy
}

fn title(pdf: &Document) -> Option<String> {
    let information = pdf.trailer.get(b"Info").ok()?;
    let (_, object) = pdf.dereference(information).ok()?;
    let bytes = object.as_dict().ok()?.get(b"Title").ok()?.as_str().ok()?;
    let title = match bytes {
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] => crate::text::decode(bytes).text.into_owned(),
        bytes => String::from_utf8(bytes.to_vec()).ok().filter(|title| title.is_ascii())?,
    };
    let title: String = title.chars().filter(|c| !c.is_control()).collect();
    Some(title.trim().to_owned()).filter(|title| !title.is_empty())
}
