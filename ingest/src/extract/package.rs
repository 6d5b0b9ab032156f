//! ZIP packages (office files), measured before any parser is let near them.
//!
//! Every entry is inflated once into nothing and counted; a package is refused for what it would become, not for what
//! its directory claims. XML parts are watched for document type declarations (entities) and monstrous tags on the way.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use crate::reject::Limits;

/// Inflated bytes from which a suspicious ratio counts: small parts may well be all zeros.
const RATIO_FROM: u64 = 8 << 20;
/// Inflated to packed bytes. Repetitive sheets reach 50; deflate itself ends at 1,032.
const RATIO: u64 = 200;
/// Bytes of one XML tag with its attributes.
const TAG_BYTES: usize = 64 << 10;

/// A measured package.
pub(super) struct Package<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    names: Vec<String>,
}

/// Opens and measures. Refused: too many entries, names that lead outside, links, encryption, too many inflated bytes or
/// too high a ratio, XML with a document type or a tag over 64 KiB.
pub(super) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Package<'a>, String> {
    let entries = entries_claimed(bytes).ok_or("is a damaged archive")?;
    let too_many = || format!("has more than {} parts", limits.entries);
    if entries > limits.entries {
        return Err(too_many());
    }
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|_| "is a damaged archive")?;
    if zip.len() > limits.entries {
        return Err(too_many());
    }
    let mut names = Vec::with_capacity(zip.len());
    let mut left = limits.inflated_bytes;
    for index in 0..zip.len() {
        let part = zip.by_index_raw(index).map_err(|_| "is a damaged archive")?;
        let name = part.name().map_err(|_| "has a part whose name is not text")?.into_owned();
        if part.encrypted() {
            return Err("is encrypted".into());
        }
        if part.is_symlink() {
            return Err("has a part that is a link".into());
        }
        if part.enclosed_name().is_none() || name.contains('\\') {
            return Err("has a part whose name leads outside of it".into());
        }
        let packed = part.compressed_size();
        drop(part);
        left -= measure(&mut zip, index, &name, packed, left, limits)?;
        names.push(name);
    }
    Ok(Package { zip, names })
}

/// Entries by the end-of-directory record, which is the last thing in the file but for a comment. 64-bit archives
/// (which say 65,535 there) are beyond any limit of ours.
fn entries_claimed(bytes: &[u8]) -> Option<usize> {
    let from = bytes.len().saturating_sub(65_557);
    let at = bytes[from..].windows(4).rposition(|window| window == b"PK\x05\x06")? + from;
    let count = bytes.get(at + 10..at + 12)?;
    Some(usize::from(u16::from_le_bytes([count[0], count[1]])))
}

/// Inflated bytes of one entry.
fn measure(
    zip: &mut ZipArchive<Cursor<&[u8]>>,
    index: usize,
    name: &str,
    packed: u64,
    left: u64,
    limits: &Limits,
) -> Result<u64, String> {
    let mut part = zip.by_index(index).map_err(|_| "has a part packed in a way that is not read")?;
    let lower = name.to_ascii_lowercase();
    let mut guard = [".xml", ".rels", ".vml"].iter().any(|end| lower.ends_with(end)).then(XmlGuard::default);
    let mut buffer = vec![0; 64 << 10];
    let mut inflated = 0_u64;
    loop {
        let read = part.read(&mut buffer).map_err(|_| "is a damaged archive")?;
        if read == 0 {
            return Ok(inflated);
        }
        inflated += read as u64;
        if inflated > left {
            return Err(format!("unpacks to more than {} bytes", limits.inflated_bytes));
        }
        if inflated > RATIO_FROM && inflated / packed.max(1) > RATIO {
            return Err(format!("unpacks to more than {RATIO} times its size"));
        }
        if let Some(guard) = &mut guard {
            guard.feed(&buffer[..read])?;
        }
    }
}

/// Looks at XML as it streams by.
#[derive(Default)]
struct XmlGuard {
    /// Bytes since the last `<` that is not closed yet.
    tag: Option<usize>,
    /// The first bytes of the tag.
    start: Vec<u8>,
}

impl XmlGuard {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        for byte in bytes {
            match (self.tag, byte) {
                (_, b'<') => {
                    self.tag = Some(0);
                    self.start.clear();
                }
                (Some(_), b'>') => self.tag = None,
                (Some(length), byte) => {
                    if length > TAG_BYTES && !self.start.starts_with(b"!") {
                        return Err(format!("has an XML tag of more than {TAG_BYTES} bytes"));
                    }
                    if self.start.len() < 8 {
                        self.start.push(byte.to_ascii_uppercase());
                    }
                    if self.start == b"!DOCTYPE" || self.start.starts_with(b"!ENTITY") {
                        return Err("declares a document type or entities".into());
                    }
                    self.tag = Some(length + 1);
                }
                (None, _) => {}
            }
        }
        Ok(())
    }
}

impl Package<'_> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    pub(super) fn has_below(&self, folder: &str) -> bool {
        self.names.iter().any(|known| known.starts_with(folder))
    }

    /// The text of a part; `None` when it is not there or not UTF-8.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        if !self.has(name) {
            return None;
        }
        let mut text = String::new();
        self.zip.by_name(name).ok()?.read_to_string(&mut text).ok()?;
        Some(text)
    }
}
