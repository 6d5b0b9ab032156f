//! Bytes to text, text to what people see, text to what matching sees.
//!
//! Stored text is exact. `visible_marks` is for showing it to a person who decides on it, `for_matching` for comparing;
//! neither result is ever stored as the text itself.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Combining marks in a row that are shown as they are; the rest is shown as a count.
const COMBINING_SHOWN: usize = 8;

/// How bytes were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    /// Not valid UTF-8 and without a mark: read as windows-1252 (a superset of Latin-1), which never fails, so the
    /// caller should say that it was a guess.
    Windows1252Guess,
}

/// Text from bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Without its byte order mark.
    pub text: Cow<'a, str>,
    pub encoding: Encoding,
    /// Some UTF-16 units were unpaired and became U+FFFD.
    pub replaced: bool,
}

/// Reads UTF-8 (with or without mark), UTF-16 with a mark, or else windows-1252. Never fails.
pub fn decode(bytes: &[u8]) -> Decoded<'_> {
    let utf16 = match bytes {
        [0xFF, 0xFE, ..] => Some((encoding_rs::UTF_16LE, Encoding::Utf16Le)),
        [0xFE, 0xFF, ..] => Some((encoding_rs::UTF_16BE, Encoding::Utf16Be)),
        _ => None,
    };
    if let Some((decoder, encoding)) = utf16 {
        let (text, replaced) = decoder.decode_without_bom_handling(&bytes[2..]);
        return Decoded { text, encoding, replaced };
    }
    let body = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if let Ok(text) = std::str::from_utf8(body) {
        return Decoded { text: Cow::Borrowed(text), encoding: Encoding::Utf8, replaced: false };
    }
    let (text, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(body);
    Decoded { text, encoding: Encoding::Windows1252Guess, replaced: false }
}

/// Characters that change how other text reads without being seen: bidi controls, zero width, tags, other controls.
pub fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\r' | '\t' => false,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' => true,
        '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' => true,
        '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' => true,
        '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}' => true,
        c => c.is_control(),
    }
}

/// The text with everything hidden made visible: `⟦U+202E⟧` for each hidden character, and `⟦+992 combining marks⟧`
/// where more than 8 follow each other. Ordinary text comes back unchanged.
pub fn visible_marks(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_hidden(c) || is_combining_mark(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut combining = 0;
    for c in text.chars() {
        if is_combining_mark(c) {
            combining += 1;
            if combining <= COMBINING_SHOWN {
                shown.push(c);
            }
            continue;
        }
        close_combining(&mut shown, combining);
        combining = 0;
        if is_hidden(c) {
            shown.push_str(&format!("⟦U+{:04X}⟧", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    close_combining(&mut shown, combining);
    Cow::Owned(shown)
}

fn close_combining(shown: &mut String, combining: usize) {
    if combining > COMBINING_SHOWN {
        shown.push_str(&format!("⟦+{} combining marks⟧", combining - COMBINING_SHOWN));
    }
}

/// The text as comparisons see it: NFKC, hidden characters removed, lower case, runs of white space as one space,
/// none at the ends. Never shown, never stored as the text.
pub fn for_matching(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut space_due = false;
    for c in text.chars().filter(|c| !is_hidden(*c)).nfkc().flat_map(char::to_lowercase) {
        if c.is_whitespace() {
            space_due = !folded.is_empty();
        } else if !is_hidden(c) {
            if space_due {
                folded.push(' ');
                space_due = false;
            }
            folded.push(c);
        }
    }
    folded
}

/// The ASCII letter a look-alike stands for, in upper case; other characters unchanged.
///
/// Covers the Cyrillic, Greek and Armenian letters that are drawn like Latin capitals or small letters (Unicode
/// confusables.txt, single-character targets), which is what forged order numbers are made of. Call after NFKC, which
/// deals with full-width and mathematical forms.
pub fn unconfuse(c: char) -> char {
    match c {
        'а' | 'А' | 'Α' | 'α' => 'A',
        'В' | 'в' | 'Β' | 'β' => 'B',
        'с' | 'С' | 'ϲ' | 'Ϲ' => 'C',
        'ԁ' | 'Ԁ' => 'D',
        'е' | 'Е' | 'Ε' | 'ε' | 'є' => 'E',
        'ғ' | 'Ғ' | 'ϝ' => 'F',
        'ԍ' | 'Ԍ' => 'G',
        'Н' | 'н' | 'Η' | 'η' | 'һ' | 'Һ' => 'H',
        'і' | 'І' | 'Ι' | 'ι' | 'ӏ' | 'Ӏ' | 'ı' => 'I',
        'ј' | 'Ј' | 'ϳ' => 'J',
        'К' | 'к' | 'Κ' | 'κ' | 'Қ' | 'қ' => 'K',
        'ⅼ' => 'L',
        'М' | 'м' | 'Μ' | 'Ϻ' => 'M',
        'Ν' | 'ν' | 'Ո' | 'ո' => 'N',
        'о' | 'О' | 'Ο' | 'ο' | 'օ' | 'Օ' => 'O',
        'р' | 'Р' | 'Ρ' | 'ρ' => 'P',
        'ԛ' | 'Ԛ' => 'Q',
        'ѕ' | 'Ѕ' | 'Տ' => 'S',
        'Т' | 'т' | 'Τ' | 'τ' => 'T',
        'Ս' | 'ս' | 'υ' => 'U',
        'ѵ' | 'Ѵ' => 'V',
        'ԝ' | 'Ԝ' | 'ѡ' => 'W',
        'х' | 'Х' | 'Χ' | 'χ' => 'X',
        'у' | 'У' | 'Υ' | 'ү' | 'Ү' => 'Y',
        'Ζ' | 'ζ' => 'Z',
        c => c,
    }
}
