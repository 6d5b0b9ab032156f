//! What a file is by its own bytes, and whether that is what its name says.
//!
//! The first look at a file, before anything parses it. A name and a content that disagree are refused with both named:
//! guessing which of them is right is how a program gets read as a policy.

/// How a file has to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Text: CSV, JSON, Markdown, HTML, plain. Read where it is.
    Text,
    /// PDF, office file or mail: read by [`super::extract`], in a process of its own.
    Extract,
}

/// What the name of a file promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Text,
    Pdf,
    Word,
    Workbook,
    Mail,
    /// Packed files; never read.
    Archive,
}

/// What the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Empty,
    Text,
    Pdf,
    Zip,
    /// OLE2: Excel and Word before 2007, and encrypted office files since.
    Compound,
    Rtf,
    Program,
    Image,
    Archive,
    Binary,
}

/// Bytes that are looked at where a magic number alone is not proof.
const HEAD: usize = 4096;

pub(super) fn named(path: &str) -> Option<Named> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.')?.1.to_ascii_lowercase();
    Some(match extension.as_str() {
        "md" | "markdown" | "html" | "htm" | "xhtml" | "txt" | "text" => Named::Text,
        "csv" | "tsv" | "tab" | "json" | "ndjson" | "jsonl" => Named::Text,
        "pdf" => Named::Pdf,
        "docx" | "docm" => Named::Word,
        "xlsx" | "xlsm" | "xlsb" | "xls" | "ods" => Named::Workbook,
        "eml" => Named::Mail,
        "zip" | "7z" | "rar" | "gz" | "tgz" | "bz2" | "xz" | "zst" | "tar" => Named::Archive,
        _ => return None,
    })
}

/// Whether a path names a PDF, word-processor file or mail: prose that is extracted.
pub(crate) fn is_extracted_prose(path: &str) -> bool {
    matches!(named(path), Some(Named::Pdf | Named::Word | Named::Mail))
}

/// Whether a path names a spreadsheet.
pub fn is_workbook(path: &str) -> bool {
    named(path) == Some(Named::Workbook)
}

/// How to read a file, or why it is not read: always a named outcome, never the content.
///
/// A path without a known extension goes by its bytes alone.
pub fn route(path: &str, bytes: &[u8]) -> Result<Route, String> {
    let found = found(bytes);
    let Some(named) = named(path) else { return by_content(found, bytes) };
    match (named, found) {
        (Named::Archive, _) => Err("is an archive; unpack it and take the files in".into()),
        (Named::Text, Found::Empty | Found::Text | Found::Binary | Found::Rtf) => Ok(Route::Text),
        (_, Found::Empty) => Err("is empty".into()),
        (Named::Pdf, Found::Pdf) => whole_pdf(bytes),
        (Named::Word | Named::Workbook, Found::Zip | Found::Compound) => Ok(Route::Extract),
        (Named::Mail, Found::Text) if has_headers(bytes) => Ok(Route::Extract),
        (Named::Mail, Found::Text) => Err("is named .eml and does not begin with mail headers".into()),
        (_, found) => Err(format!("is named .{} and holds {}", extension(path), found.as_str())),
    }
}

fn by_content(found: Found, bytes: &[u8]) -> Result<Route, String> {
    match found {
        Found::Pdf => whole_pdf(bytes),
        Found::Zip | Found::Compound => Ok(Route::Extract),
        Found::Text | Found::Empty => Ok(Route::Text),
        Found::Rtf | Found::Program | Found::Image | Found::Archive | Found::Binary => {
            Err(format!("holds {}, which is not read", found.as_str()))
        }
    }
}

/// A file that is a PDF from its front and an archive from its back is read differently by each program.
fn whole_pdf(bytes: &[u8]) -> Result<Route, String> {
    let tail = &bytes[bytes.len().saturating_sub(66_000)..];
    if find(tail, b"PK\x05\x06").is_some() && find(bytes, b"PK\x03\x04").is_some() {
        return Err("is a PDF and an archive at once".into());
    }
    Ok(Route::Extract)
}

impl Found {
    fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "nothing",
            Self::Text => "text",
            Self::Pdf => "a PDF",
            Self::Zip => "an office file or archive",
            Self::Compound => "an office file of the old format",
            Self::Rtf => "rich text (RTF)",
            Self::Program => "a program",
            Self::Image => "an image",
            Self::Archive => "an archive",
            Self::Binary => "binary data of no known format",
        }
    }
}

fn found(bytes: &[u8]) -> Found {
    let head = &bytes[..bytes.len().min(HEAD)];
    let front = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
    let starts = |magics: &[&[u8]]| magics.iter().any(|magic| bytes.starts_with(magic));
    if front.is_empty() {
        return Found::Empty;
    }
    if front.starts_with(b"%PDF-") {
        return Found::Pdf;
    }
    if starts(&[b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"]) {
        return Found::Zip;
    }
    if starts(&[b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"]) {
        return Found::Compound;
    }
    if starts(&[b"\x89PNG\r\n", b"\xFF\xD8\xFF", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*"]) {
        return Found::Image;
    }
    if starts(&[b"\x1F\x8B", b"7z\xBC\xAF\x27\x1C", b"Rar!\x1A\x07", b"\xFD7zXZ\0", b"\x28\xB5\x2F\xFD"]) {
        return Found::Archive;
    }
    if bytes.get(257..262) == Some(b"ustar".as_slice()) && head.contains(&0) {
        return Found::Archive;
    }
    if starts(&[b"\x7FELF", b"\xFE\xED\xFA\xCE", b"\xFE\xED\xFA\xCF", b"\xCF\xFA\xED\xFE", b"\xCA\xFE\xBA\xBE"]) {
        return Found::Program;
    }
    // Two letters begin many a text; with NULs behind them they are what they seem.
    if head.contains(&0) && starts(&[b"MZ"]) {
        return Found::Program;
    }
    if head.contains(&0) && starts(&[b"BM", b"RIFF", b"BZh"]) {
        return Found::Binary;
    }
    if front.starts_with(b"{\\rtf") {
        return Found::Rtf;
    }
    let utf16 = starts(&[b"\xFF\xFE", b"\xFE\xFF"]);
    if head.contains(&0) && !utf16 { Found::Binary } else { Found::Text }
}

/// `Name: value` in the first line that is not blank (an mbox line before it is passed over).
fn has_headers(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut line = lines.next().unwrap_or_default();
    if line.starts_with(b"From ") || line.starts_with(b">From ") {
        line = lines.next().unwrap_or_default();
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
    colon > 0 && colon <= 76 && line[..colon].iter().all(|byte| byte.is_ascii_graphic())
}

fn extension(path: &str) -> String {
    path.rsplit_once('.').map_or_else(String::new, |(_, extension)| extension.to_ascii_lowercase())
}

pub(super) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
