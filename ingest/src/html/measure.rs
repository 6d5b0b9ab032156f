//! How deep and wide a page is, before a parser is let near it.

/// Elements without content, and those whose end tag is implied by a sibling: they add no depth of their own.
const FLAT: &[&str] = &[
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr", "p",
    "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "optgroup", "colgroup", "html", "head",
    "body",
];

/// Elements whose content is text up to their end tag.
const RAW: &[&str] = &["script", "style", "textarea", "title", "xmp", "noembed", "noframes"];

/// Elements a parser opens again in each later block while they are not closed.
const FORMATTING: &[&str] =
    &["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];

/// Elements that reopening may add in all: a few bytes of unclosed formatting must not become gigabytes of tree.
const REOPENED: usize = 1_000_000;

const ATTRIBUTES: usize = 1_000;

/// Refuses pages nested deeper than `depth`, whose unclosed formatting would multiply, or with an element of more than 1,000 attributes. Reads each byte once,
/// and looks at no more than `depth` open elements per end tag.
pub(super) fn measure(html: &str, depth: usize) -> Result<(), String> {
    let bytes = html.as_bytes();
    let mut open: Vec<String> = Vec::new();
    let mut unclosed = Unclosed::default();
    let mut at = 0;
    while let Some(next) = find(bytes, at, b'<') {
        at = next + 1;
        if bytes[at..].starts_with(b"!--") {
            at = find_text(bytes, at + 3, b"-->").map_or(bytes.len(), |end| end + 3);
            continue;
        }
        let closing = bytes.get(at) == Some(&b'/');
        at += usize::from(closing);
        let name_end =
            bytes[at..].iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'-').map_or(bytes.len(), |n| at + n);
        if !bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
            continue;
        }
        let name = html[at..name_end].to_ascii_lowercase();
        let (end, attributes) = tag_end(bytes, name_end);
        let tag = html.get(at..end).unwrap_or_default();
        at = end;
        if unclosed.after(&name, tag, closing) > REOPENED {
            return Err("leaves too many formatting elements unclosed".into());
        }
        if attributes > ATTRIBUTES {
            return Err(format!("has an element with more than {ATTRIBUTES} attributes"));
        }
        if FLAT.contains(&name.as_str()) {
            continue;
        }
        if closing {
            if let Some(position) = open.iter().rposition(|other| *other == name) {
                open.truncate(position);
            }
            continue;
        }
        if RAW.contains(&name.as_str()) {
            at = find_close(bytes, at, name.as_bytes());
            continue;
        }
        open.push(name);
        if open.len() > depth {
            return Err(format!("is nested deeper than {depth} elements"));
        }
    }
    Ok(())
}

/// Formatting elements that are open, and what reopening them has cost so far.
#[derive(Default)]
struct Unclosed<'h> {
    /// Name and whole tag; a parser keeps at most three that are alike.
    tags: Vec<(String, &'h str)>,
    reopened: usize,
}

impl<'h> Unclosed<'h> {
    /// Counts one more tag; returns how many elements may have been reopened up to it.
    fn after(&mut self, name: &str, tag: &'h str, closing: bool) -> usize {
        self.reopened += self.tags.len();
        if FORMATTING.contains(&name) {
            let alike = self.tags.iter().filter(|(_, other)| *other == tag).count();
            if !closing && alike < 3 {
                self.tags.push((name.to_owned(), tag));
            } else if closing && let Some(last) = self.tags.iter().rposition(|(other, _)| other == name) {
                self.tags.remove(last);
            }
        }
        self.reopened
    }
}

fn find(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    bytes.get(from..)?.iter().position(|byte| *byte == wanted).map(|at| from + at)
}

fn find_text(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    bytes.get(from..)?.windows(wanted.len()).position(|window| window == wanted).map(|at| from + at)
}

/// Offset of `</name`, or the end.
fn find_close(bytes: &[u8], from: usize, name: &[u8]) -> usize {
    let mut at = from;
    while let Some(next) = find(bytes, at, b'<') {
        let tail = &bytes[next + 1..];
        if tail.first() == Some(&b'/') && tail.get(1..=name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name)) {
            return next;
        }
        at = next + 1;
    }
    bytes.len()
}

/// Offset after the `>` of a tag and how many attributes it has, at most (words outside quotes).
fn tag_end(bytes: &[u8], from: usize) -> (usize, usize) {
    let (mut at, mut attributes) = (from, 0);
    let mut quote: Option<u8> = None;
    let mut in_word = false;
    let mut after_equals = false;
    while let Some(byte) = bytes.get(at).copied() {
        at += 1;
        match (quote, byte) {
            (Some(open), byte) if open == byte => {
                quote = None;
                in_word = false;
            }
            (Some(_), _) => {}
            (None, b'>') => return (at, attributes),
            (None, b'"' | b'\'') if after_equals => {
                quote = Some(byte);
                after_equals = false;
            }
            (None, b'=') => after_equals = true,
            (None, byte) if byte.is_ascii_whitespace() || byte == b'/' => in_word = false,
            (None, _) => {
                attributes += usize::from(!in_word);
                in_word = true;
                after_equals = false;
            }
        }
    }
    (at, attributes)
}
