//! Personal data out of a text before it leaves, and back into what returns. Base module; used by `ladder` and `embed`.
//!
//! Found by form: e-mail addresses, telephone numbers, card numbers (Luhn, ISO/IEC 7812) and IBANs (length of the country and checksum, ISO
//! 13616). Names and postal addresses have no form and stay. Each value gets a placeholder, the same one wherever it stands in one
//! request, so that a model can tell two customers apart; what returns has the values again before anything is checked or cited.
//! Patterns do not backtrack: the time is linear in the text.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Email,
    Phone,
    Card,
    Iban,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Email, Self::Phone, Self::Card, Self::Iban];

    fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
        }
    }
}

/// Every value in `text`, in order and apart from each other.
pub fn find(text: &str) -> Vec<(Range<usize>, Kind)> {
    let (Some(email), Some(iban_start), Some(number), Some(phone)) =
        (EMAIL.as_ref(), IBAN_START.as_ref(), NUMBER.as_ref(), PHONE.as_ref())
    else {
        // A pattern that does not compile would let everything out: then nothing leaves.
        return vec![(0..text.len(), Kind::Email)];
    };
    let mut found: Vec<(Range<usize>, Kind)> = email.find_iter(text).map(|one| (one.range(), Kind::Email)).collect();
    found.extend(iban_start.find_iter(text).filter_map(|one| Some((iban(text, one.start())?, Kind::Iban))));
    for run in number.find_iter(text).filter(|run| alone(text, &run.range())) {
        found.extend(
            cards(run.as_str()).into_iter().map(|one| (run.start() + one.start..run.start() + one.end, Kind::Card)),
        );
    }
    let phones = phone.find_iter(text).filter(|one| is_phone(one.as_str()) && alone(text, &one.range()));
    found.extend(phones.map(|one| (one.range(), Kind::Phone)));
    // Where two readings overlap, the one that begins first stays; of those, the one that was looked for first.
    found.sort_by_key(|(range, _)| range.start);
    let mut end = 0;
    found.retain(|(range, _)| {
        let apart = range.start >= end;
        if apart {
            end = range.end;
        }
        apart
    });
    found
}

static EMAIL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[\p{L}\p{N}._%+'-]+@(?:[\p{L}\p{N}-]+\.)+\p{L}{2,}").ok());

/// Country and check digits.
static IBAN_START: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b[A-Za-z]{2}[0-9]{2}").ok());

/// Groups of digits.
static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[0-9]+(?:[ -][0-9]+)*").ok());

/// International with `+` or `00`; national with an area code in brackets or a leading 0; mobile numbers in one piece; North American 3-3-4.
static PHONE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern = r"(?x)
        (?: \+ | \b00 ) [1-9] (?: [\ ./()-]{0,3} [0-9] ){6,14}
      | \( 0? [0-9]{2,5} \) (?: [\ ./-]{0,2} [0-9] ){5,9}
      | \b 0 [1-9] [0-9]{0,4} [\ /-] [0-9] (?: [\ /-]? [0-9] ){4,8}
      | \b 0 1 [5-7] [0-9]{7,9} \b
      | \b [2-9] [0-9]{2} [\ .-] [2-9] [0-9]{2} [\ .-] [0-9]{4} \b";
    Regex::new(pattern).ok()
});

/// Whether a number stands by itself: not inside a longer number, an identifier or a decimal.
fn alone(text: &str, range: &Range<usize>) -> bool {
    let joins = |c: char| c.is_alphanumeric() || matches!(c, '_' | '#');
    let before = text[..range.start].chars().next_back().is_none_or(|c| !joins(c));
    let mut after = text[range.end..].chars();
    let next = after.next();
    let decimal = next == Some('.') && after.next().is_some_and(|c| c.is_ascii_digit());
    (before || text[range.start..].starts_with('+')) && next.is_none_or(|c| !joins(c)) && !decimal
}

/// Card numbers in groups of digits: from the beginning of one group to the end of another.
fn cards(run: &str) -> Vec<Range<usize>> {
    let bytes = run.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let (mut found, mut start) = (Vec::new(), 0);
    while start < bytes.len() {
        let begins = digit(start) && (start == 0 || !digit(start - 1)) && (b'2'..=b'6').contains(&bytes[start]);
        let card = begins.then(|| card_at(run, start)).flatten();
        match card {
            Some(end) => {
                found.push(start..end);
                start = end;
            }
            None => start += 1,
        }
    }
    found
}

/// The end of the longest card number that begins at `start`.
fn card_at(run: &str, start: usize) -> Option<usize> {
    let (mut count, mut end) = (0, None);
    for (at, byte) in run.bytes().enumerate().skip(start) {
        count += usize::from(byte.is_ascii_digit());
        if count > 19 {
            break;
        }
        let group_ends = byte.is_ascii_digit() && !run.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit);
        if group_ends && count >= 13 && is_card(&run[start..=at]) {
            end = Some(at + 1);
        }
    }
    end
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> + '_ {
    text.chars().filter_map(|c| c.to_digit(10))
}

fn is_card(text: &str) -> bool {
    let sum: u32 = digits(text)
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    sum.is_multiple_of(10)
}

fn is_phone(text: &str) -> bool {
    (8..=15).contains(&digits(text).count())
}

/// Lengths by country (ISO 13616 registry).
const IBAN_LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BI", 27),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HN", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("SO", 23),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
    ("YE", 30),
];

/// The IBAN that begins at `start`, with single spaces or hyphens inside.
fn iban(text: &str, start: usize) -> Option<Range<usize>> {
    let country = text.get(start..start + 2)?.to_ascii_uppercase();
    let length = IBAN_LENGTHS.iter().find(|(code, _)| *code == country)?.1;
    let (mut value, mut end, mut separated) = (Vec::with_capacity(length), start, false);
    for (at, c) in text[start..].char_indices() {
        if value.len() == length {
            break;
        }
        match c {
            ' ' | '-' if !separated => separated = true,
            c if c.is_ascii_alphanumeric() => {
                value.push(c as u8);
                separated = false;
                end = start + at + 1;
            }
            _ => break,
        }
    }
    let whole = text[end..].chars().next().is_none_or(|c| !c.is_alphanumeric());
    (value.len() == length && whole && mod_97(value) == 1).then_some(start..end)
}

/// ISO 7064: the first four characters last, letters as 10 to 35.
fn mod_97(mut value: Vec<u8>) -> u32 {
    let length = value.len();
    value.rotate_left(length.min(4));
    value.iter().filter_map(|byte| char::from(*byte).to_digit(36)).fold(0, |rest, digit| {
        let shift = if digit > 9 { 100 } else { 10 };
        (rest * shift + digit) % 97
    })
}

/// The values of one request and their placeholders. `Debug` shows counts only.
#[derive(Default)]
pub struct Redactor {
    /// Set apart from whatever the texts hold that looks like a placeholder already.
    mark: String,
    /// By kind and number; numbers of each kind begin at 1.
    values: HashMap<(Kind, usize), String>,
    numbers: HashMap<(Kind, String), usize>,
    counts: HashMap<Kind, usize>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

impl Redactor {
    /// For texts that will be redacted together.
    pub fn for_texts<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Self {
        let taken = |mark: &str| {
            Kind::ALL.iter().any(|kind| texts.clone().any(|text| text.contains(&format!("[{}{mark}-", kind.as_str()))))
        };
        let mark = if taken("") { ('a'..='z').map(String::from).find(|mark| !taken(mark)) } else { None };
        Self { mark: mark.unwrap_or_default(), ..Self::default() }
    }

    /// `text` with placeholders such as `[email-1]`.
    pub fn redact(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (range, kind) in find(text) {
            out.push_str(&text[at..range.start]);
            let number = self.number(kind, &text[range.clone()]);
            out.push_str(&format!("[{}{}-{number}]", kind.as_str(), self.mark));
            at = range.end;
        }
        out.push_str(&text[at..]);
        out
    }

    fn number(&mut self, kind: Kind, value: &str) -> usize {
        if let Some(number) = self.numbers.get(&(kind, value.to_owned())) {
            return *number;
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let number = *count;
        self.numbers.insert((kind, value.to_owned()), number);
        self.values.insert((kind, number), value.to_owned());
        number
    }

    /// Distinct values so far.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// The value behind a placeholder without its brackets.
    fn value(&self, inside: &str) -> Option<&str> {
        let (name, number) = inside.rsplit_once('-')?;
        let name = name.strip_suffix(self.mark.as_str())?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == name)?;
        let number: usize = number.parse().ok().filter(|n: &usize| n.to_string() == number)?;
        self.values.get(&(kind, number)).map(String::as_str)
    }

    /// The values in the places of their placeholders; a placeholder that was never given stays as it is. The values hold no character
    /// that JSON escapes.
    pub fn restore(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find('[') {
            let (before, from) = rest.split_at(open);
            out.push_str(before);
            // Only as far as a placeholder can reach: a search to the end for each bracket would be quadratic.
            let close = from.bytes().take(PLACEHOLDER_MAX).position(|byte| byte == b']');
            match close.and_then(|close| Some((self.value(&from[1..close])?, close))) {
                Some((value, close)) => {
                    out.push_str(value);
                    rest = &from[close + 1..];
                }
                None => {
                    out.push('[');
                    rest = &from[1..];
                }
            }
        }
        out.push_str(rest);
        out
    }
}

/// Bytes of the longest placeholder.
const PLACEHOLDER_MAX: usize = 40;

/// `text` with a bare kind in the place of each value: for embeddings, where nothing returns.
pub fn without_values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (range, kind) in find(text) {
        out.push_str(&text[at..range.start]);
        out.push_str(kind.as_str());
        at = range.end;
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Vec<(&str, Kind)> {
        find(text).into_iter().map(|(range, kind)| (&text[range], kind)).collect()
    }

    #[test]
    fn each_kind_is_found_in_its_usual_spellings() {
        for email in ["jane.doe+x@mail.example.co.uk", "o'neil@example.com", "jürgen@müller.example"] {
            assert_eq!(values(&format!("Write to <{email}>, please.")), [(email, Kind::Email)]);
        }
        for phone in [
            "+49 151 23456789",
            "+1 (212) 555-0187",
            "0049 30 901820",
            "(0251) 12 34 56",
            "030/901820",
            "01512 3456789",
            "212-555-0187",
            "+44-20-7946-0958",
            "015123456789",
        ] {
            assert_eq!(values(&format!("Call {phone}, then wait.")), [(phone, Kind::Phone)], "{phone}");
        }
        for card in ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005"] {
            assert_eq!(values(&format!("Card {card}.")), [(card, Kind::Card)]);
        }
        for iban in [
            "DE89 3704 0044 0532 0130 00",
            "DE89370400440532013000",
            "GB29NWBK60161331926819",
            "NO93 8601 1117 947",
            "nl91abna0417164300",
        ] {
            assert_eq!(values(&format!("Pay to {iban} FOR the invoice")), [(iban, Kind::Iban)]);
        }
    }

    #[test]
    fn what_only_looks_like_it_stays() {
        for text in [
            "Order SO-001042 of 2026-03-04 09:30:00 for 1,790.60 EUR",
            "4111111111111112",
            "DE88370400440532013000",
            "tracking 1Z999AA10123456784",
            "SKU-48290 and SKU-48291, 12 x 0.333333",
            "W2378156 at 10.0.0.1:8080",
            "9780306406157 pieces",
            "INV-2026-0001042, EAN 00012345600012",
            "@everyone and a@b",
            "2026-03-04/2026-03-05",
            "order 4111111111111111x",
        ] {
            assert_eq!(values(text), [], "{text}");
        }
    }

    #[test]
    fn the_same_value_has_one_placeholder_and_comes_back() {
        let texts = ["From a@example.com to b@example.com, cc a@example.com, card 4111 1111 1111 1111"];
        let mut redactor = Redactor::for_texts(texts.iter().copied());
        let redacted = redactor.redact(texts[0]);
        assert_eq!(redacted, "From [email-1] to [email-2], cc [email-1], card [card-1]");
        assert_eq!(redactor.restore(&redacted), texts[0]);
        assert_eq!(redactor.restore("[email-9] [card-2] [email-1"), "[email-9] [card-2] [email-1");
        assert!(!format!("{redactor:?}").contains("example"));
    }

    #[test]
    fn a_placeholder_in_the_text_is_not_filled_with_somebodys_address() {
        let text = "Ignore [email-1] and write to a@example.com";
        let mut redactor = Redactor::for_texts([text].into_iter());
        let redacted = redactor.redact(text);
        assert_eq!(redacted, "Ignore [email-1] and write to [emaila-1]");
        assert_eq!(redactor.restore(&redacted), text);
    }

    proptest! {
        #[test]
        fn whatever_was_redacted_comes_back(text in "(\\PC|[\\[\\]@+0-9 .-]|a@b\\.example|\\[email-1\\]|4111111111111111|\\+49 30 1234567){0,40}") {
            let mut redactor = Redactor::for_texts([text.as_str()].into_iter());
            let redacted = redactor.redact(&text);
            prop_assert_eq!(redactor.restore(&redacted), text);
        }
    }

    #[test]
    fn a_megabyte_of_any_kind_is_read_in_one_go() {
        // Linear patterns: a quadratic one would take minutes here.
        for unit in ["1", "+1", "a@", "a.", "[email-", "4111 ", "DE89 ", "0 ", "(0", "é"] {
            let text = unit.repeat((1 << 20) / unit.len());
            let mut redactor = Redactor::for_texts([text.as_str()].into_iter());
            let redacted = redactor.redact(&text);
            assert_eq!(redactor.restore(&redacted).len(), text.len());
        }
    }
}
