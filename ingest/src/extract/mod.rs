//! Binary formats to text: PDF, Word, spreadsheets, mails.
//!
//! Before mappings and prose, for files that are no text. The parsers behind this read hostile bytes with libraries that
//! allocate, panic and loop on some of them; so `source` calls [`extract`] in a process of its own with limits on memory
//! and time, and only the result, which is plain text, comes back. Limits are checked here first, to give a reason
//! that a person can act on; the process's limits are what holds.
//!
//! Outcomes are named and never guesses: a file is text, or it is refused with the one reason why.

mod mail;
mod package;
mod pdf;
pub(crate) mod sniff;
mod word;
mod workbook;

use serde::{Deserialize, Serialize};

pub use mail::{Attachment, Mail};
pub use sniff::{Route, is_workbook, route};
pub use workbook::Sheet;

use crate::document::Markup;
use crate::reject::Limits;

/// What a file was turned into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extract {
    Prose(Prose),
    Workbook(Vec<Sheet>),
    Mail(Box<Mail>),
}

/// The text of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prose {
    pub title: Option<String>,
    pub text: String,
    pub markup: Markup,
    /// Byte offset in `text` at which each page begins; empty for formats without pages.
    pub pages: Vec<usize>,
    /// What a person should know although it went in.
    pub notices: Vec<String>,
}

impl Default for Prose {
    fn default() -> Self {
        Self { title: None, text: String::new(), markup: Markup::Plain, pages: Vec::new(), notices: Vec::new() }
    }
}

/// Turns a file into text, or says why not; the reason never repeats what the file holds.
///
/// Call it only for files of which [`route`] says so, and away from anything that must not die: on hostile input it
/// may run out of memory, stack or time.
pub fn extract(path: &str, bytes: &[u8], limits: &Limits) -> Result<Extract, String> {
    use sniff::Named;
    if bytes.len() > limits.extract_bytes {
        return Err(format!("is larger than {} bytes", limits.extract_bytes));
    }
    if route(path, bytes)? == Route::Text {
        return Err("is text, which is read as it is".into());
    }
    let named = sniff::named(path);
    if named == Some(Named::Mail) {
        return mail::read(bytes, limits).map(|mail| Extract::Mail(Box::new(mail)));
    }
    if bytes.starts_with(b"\xD0\xCF\x11\xE0") {
        return compound(named, bytes, limits);
    }
    if !bytes.starts_with(b"PK") {
        return pdf::read(bytes, limits).map(Extract::Prose);
    }
    let mut package = package::open(bytes, limits)?;
    let found = contents(&mut package)?;
    let (is, kind) = match &found {
        Office::Word => (Named::Word, "a Word document"),
        Office::Sheet(_) => (Named::Workbook, "a workbook"),
    };
    if named.is_some_and(|named| named != is) {
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        return Err(format!("is named .{extension} and holds {kind}"));
    }
    match found {
        Office::Word => word::read(&mut package, limits).map(Extract::Prose),
        Office::Sheet(kind) => workbook::read(&kind, bytes, limits).map(Extract::Workbook),
    }
}

enum Office {
    Word,
    Sheet(workbook::Kind),
}

/// What a package holds, by the parts that must be there.
fn contents(package: &mut package::Package<'_>) -> Result<Office, String> {
    if package.has("word/document.xml") {
        return Ok(Office::Word);
    }
    if package.has("xl/workbook.xml") {
        return Ok(Office::Sheet(workbook::Kind::Xlsx));
    }
    if package.has("xl/workbook.bin") {
        return Ok(Office::Sheet(workbook::Kind::Xlsb));
    }
    let kind = package.text("mimetype").unwrap_or_default();
    if kind.trim() == "application/vnd.oasis.opendocument.spreadsheet" {
        return Ok(Office::Sheet(workbook::Kind::Ods));
    }
    if package.has_below("ppt/") || kind.contains("opendocument") {
        return Err("is an office file of a kind that is not read".into());
    }
    Err("is an archive; unpack it and take the files in".into())
}

/// OLE2: Excel before 2007, or the wrapping of an encrypted office file.
fn compound(named: Option<sniff::Named>, bytes: &[u8], limits: &Limits) -> Result<Extract, String> {
    let wide = |name: &str| name.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let holds = |name: &str| sniff::find(bytes, &wide(name)).is_some();
    if holds("EncryptedPackage") {
        return Err("is encrypted with a password".into());
    }
    if holds("WordDocument") {
        return Err("is a Word document of the old format; save it as .docx".into());
    }
    if named.is_some_and(|named| named != sniff::Named::Workbook) || !(holds("Workbook") || holds("Book")) {
        return Err("is an office file of the old format that is not read".into());
    }
    workbook::read(&workbook::Kind::Xls, bytes, limits).map(Extract::Workbook)
}
