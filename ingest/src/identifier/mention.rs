//! Mentions of identifiers in a question.
//!
//! Works on words of the folded text: a word with a digit in it is a candidate, the words and marks around it say what
//! it is a number of, or that it is a quantity, an amount or a date and no identifier at all.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::{Identifier, IdentifierScheme as S, folded, normal, prefix_and_number};

/// Mentions looked for in one text; a question has a few, a pasted report is cut off here.
const MENTIONS: usize = 64;

/// Words that say what the next number is, and how sure that makes it.
struct Keyword {
    words: &'static [&'static str],
    scheme: S,
    strength: Strength,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strength {
    /// "PO 7": whatever number follows.
    Noun,
    /// "order 1042", but "order 3 chairs": a bare number must not read as a quantity.
    AlsoVerb,
    /// "refund 250": usually an amount, so a bare number needs five digits or a mark such as `#` or "no.".
    AmountLikely,
}

const KEYWORDS: &[Keyword] = &[
    Keyword {
        words: &["PURCHASE ORDER", "PURCHASE ORDERS", "PO", "POS", "P.O"],
        scheme: S::PurchaseOrder,
        strength: Strength::Noun,
    },
    Keyword {
        words: &["ORDER", "ORDERS", "SALES ORDER", "SALES ORDERS", "PURCHASE", "PURCHASES", "SO", "ORD"],
        scheme: S::Order,
        strength: Strength::AlsoVerb,
    },
    Keyword { words: &["INVOICE", "INVOICES", "INV", "BILL", "BILLS"], scheme: S::Invoice, strength: Strength::Noun },
    Keyword {
        words: &["CREDIT NOTE", "CREDIT NOTES", "CREDIT MEMO", "CREDIT MEMOS", "CN"],
        scheme: S::CreditNote,
        strength: Strength::Noun,
    },
    Keyword {
        words: &["SHIPMENT", "SHIPMENTS", "SHP", "DELIVERY", "DELIVERY NOTE"],
        scheme: S::Shipment,
        strength: Strength::Noun,
    },
    Keyword {
        words: &["TRACKING", "PARCEL", "PARCELS", "PACKAGE", "TRACK", "TRK"],
        scheme: S::Tracking,
        strength: Strength::AlsoVerb,
    },
    Keyword { words: &["RECEIPT", "RECEIPTS", "GOODS RECEIPT", "GRN"], scheme: S::Receipt, strength: Strength::Noun },
    Keyword { words: &["RMA", "RMAS"], scheme: S::Return, strength: Strength::Noun },
    Keyword { words: &["RETURN", "RETURNS", "RET"], scheme: S::Return, strength: Strength::AlsoVerb },
    Keyword { words: &["PAYMENT", "PAYMENTS", "PAY", "PMT"], scheme: S::Payment, strength: Strength::AmountLikely },
    Keyword { words: &["REFUND", "REFUNDS", "RFD"], scheme: S::Refund, strength: Strength::AmountLikely },
    Keyword { words: &["REMITTANCE", "REMITTANCES", "REM"], scheme: S::Remittance, strength: Strength::AmountLikely },
    Keyword { words: &["TICKET", "TICKETS", "TKT", "CASE", "CASES"], scheme: S::Ticket, strength: Strength::AlsoVerb },
    Keyword {
        words: &["CUSTOMER", "CUSTOMERS", "CLIENT", "USER", "ACCOUNT", "CUST"],
        scheme: S::Customer,
        strength: Strength::AlsoVerb,
    },
    Keyword {
        words: &["SUPPLIER", "SUPPLIERS", "VENDOR", "VENDORS", "SUP"],
        scheme: S::Supplier,
        strength: Strength::AlsoVerb,
    },
    Keyword { words: &["SKU", "SKUS"], scheme: S::Sku, strength: Strength::Noun },
    Keyword {
        words: &["ITEM", "ITEMS", "PRODUCT", "PRODUCTS", "PART", "PARTS", "ARTICLE"],
        scheme: S::Sku,
        strength: Strength::AlsoVerb,
    },
];

/// Prefixes written together with the number, besides the one-word keywords: `SHIP-12`, `C0042`.
const PREFIXES: &[(&str, S)] = &[
    ("PUR", S::PurchaseOrder),
    ("SI", S::Invoice),
    ("VINV", S::Invoice),
    ("PINV", S::Invoice),
    ("CM", S::CreditNote),
    ("SHIP", S::Shipment),
    ("DN", S::Shipment),
    ("DEL", S::Shipment),
    ("GR", S::Receipt),
    ("RCV", S::Receipt),
    ("RCPT", S::Receipt),
    ("REF", S::Refund),
    ("TCK", S::Ticket),
    ("CUS", S::Customer),
    ("C", S::Customer),
    ("VEN", S::Supplier),
    ("V", S::Supplier),
];

/// Words between a keyword and its number: "order number 1042", "invoice no. 7".
const NUMBER_WORDS: &[&str] =
    &["NUMBER", "NUMBERS", "NUM", "NO", "NOS", "NR", "ID", "IDS", "REF", "REFERENCE", "CODE", "NUMMER"];

/// Words after a number that make it a quantity or an amount.
const UNITS: &[&str] = &[
    "DAY", "DAYS", "WEEK", "WEEKS", "MONTH", "MONTHS", "YEAR", "YEARS", "HOUR", "HOURS", "MINUTE", "MINUTES", "UNIT",
    "UNITS", "PIECE", "PIECES", "PCS", "PC", "ITEM", "ITEMS", "BOX", "BOXES", "PALLET", "PALLETS", "CASE", "CASES",
    "PERCENT", "EUR", "USD", "GBP", "CHF", "JPY", "CAD", "AUD", "EURO", "EUROS", "DOLLAR", "DOLLARS", "POUNDS",
    "CENTS", "KG", "G", "LB", "LBS", "TIMES", "X", "MORE", "KM", "CM", "MM", "LITRES", "LITERS", "ML", "GB",
    "BUSINESS", "WORKING", "OF",
];

/// Endings that make a number with letters a measure: `30D`, `5KG`, `2ND`, `16GB`, `10AM`.
const MEASURES: &[&str] = &[
    "ST", "ND", "RD", "TH", "D", "H", "X", "KG", "G", "MG", "LB", "LBS", "KM", "CM", "MM", "M", "ML", "L", "GB", "MB",
    "TB", "V", "W", "AM", "PM", "K", "MIN", "HRS", "S", "PCS", "EUR", "USD", "GBP", "IN", "FT", "MAH", "OZ", "INCH",
    "MP", "P", "HZ", "GHZ", "PACK", "PIECE", "FOLD", "WAY", "STAR", "COUNT",
];

/// Words ending in S that may follow an order number without making it a quantity.
const NOT_PLURAL: &[&str] = &["IS", "WAS", "HAS", "DOES", "STATUS", "THIS", "ITS", "AS", "S", "ADDRESS", "US", "PLUS"];

/// Words after which a short bare number still reads as an order's: "order 12 is late".
const AFTER_SHORT: &[&str] = &[
    "IS",
    "WAS",
    "HAS",
    "STATUS",
    "SHIP",
    "SHIPPED",
    "ARRIVE",
    "ARRIVED",
    "DELIVERED",
    "AND",
    "OR",
    "S",
    "LATE",
    "TOTAL",
    "CONTAIN",
    "COST",
    "STILL",
    "GET",
    "BE",
    "CANCELLED",
];

static EMAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"[A-Z0-9._%+\-]+@[A-Z0-9\-]+(?:\.[A-Z0-9\-]+)+"));
static UPS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b1Z(?:[ \-]?[A-Z0-9]){16}\b"));
static WORD: LazyLock<Regex> = LazyLock::new(|| pattern(r"[A-Z0-9]+(?:[-_/.][A-Z0-9]+)*"));
static DATE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2}(?:T\d{2})?)?|\d{1,2}[-/.]\d{1,2}(?:[-/.](?:\d{2}|\d{4}))?|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))$",
    )
});
static POSTAL_TRACKING: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Z]{2}\d{9}[A-Z]{2}$"));

fn pattern(text: &str) -> Regex {
    // Fixed patterns; every one of them is compiled by the tests.
    Regex::new(text).expect("a valid pattern")
}

/// The folded text with, for each of its bytes, the range of the original character.
struct Folded {
    text: String,
    origin: Vec<(u32, u32)>,
}

impl Folded {
    fn new(original: &str) -> Self {
        let (mut text, mut origin) = (String::with_capacity(original.len()), Vec::with_capacity(original.len()));
        for (start, c) in original.char_indices() {
            let range = (start as u32, (start + c.len_utf8()) as u32);
            for folded in folded(c) {
                text.push(folded);
                origin.resize(text.len(), range);
            }
        }
        Self { text, origin }
    }

    fn range(&self, span: &Range<usize>) -> Range<usize> {
        self.origin[span.start].0 as usize..self.origin[span.end - 1].1 as usize
    }
}

/// Where in the folded text, and `(scheme, normal)` of what it may mean.
type Found = (Range<usize>, Vec<(S, String)>);

/// Bytes of a question that are looked at.
const LOOKED_AT: usize = 64 << 10;

/// Mentions of identifiers in a question: byte range in `text`, and what each may mean, best first.
///
/// Numbers that read as quantities, amounts, dates, times or years are not mentions. At most 64 mentions in text order,
/// from the first 64 KiB; ranges do not overlap.
pub fn identifiers_in(text: &str) -> Vec<(Range<usize>, Vec<Identifier>)> {
    let text = &text[..crate::card::floor_boundary(text, LOOKED_AT)];
    let folded = Folded::new(text);
    let mut found: Vec<Found> = Vec::new();
    let mut parcels = Vec::new();
    for span in EMAIL.find_iter(&folded.text).map(|m| m.range()) {
        let normal = normal(&folded.text[span.clone()]);
        found.push((span, vec![(S::Email, normal.clone()), (S::Any, normal)]));
    }
    for span in UPS.find_iter(&folded.text).map(|m| m.range()) {
        // Both lists are in text order, so the mail that could hold this one is the last to start before its end.
        let mails = found.partition_point(|(mail, _)| mail.start < span.end);
        if found[..mails].last().is_some_and(|(mail, _)| mail.end > span.start) {
            continue;
        }
        let normal = normal(&folded.text[span.clone()]);
        parcels.push((span, vec![(S::Tracking, normal.clone()), (S::Any, normal)]));
    }
    found.append(&mut parcels);
    let mut claimed: Vec<Range<usize>> = found.iter().map(|(span, _)| span.clone()).collect();
    claimed.sort_by_key(|span| span.start);
    let spans: Vec<Range<usize>> = WORD.find_iter(&folded.text).map(|m| m.range()).collect();
    let words = Words { text: &folded.text, spans };
    let mut previous: Option<(usize, S)> = None;
    for index in 0..words.spans.len() {
        let span = words.spans[index].clone();
        let before_its_end = claimed.partition_point(|other| other.start < span.end);
        if claimed[..before_its_end].last().is_some_and(|other| other.end > span.start) {
            continue;
        }
        if let Some((scheme, candidates)) = words.candidates(index, previous) {
            previous = Some((index, scheme));
            found.push((span, candidates));
        }
    }
    found.sort_by_key(|(span, _)| span.start);
    found.truncate(MENTIONS);
    found.into_iter().map(|(span, candidates)| shown(text, folded.range(&span), candidates)).collect()
}

fn shown(text: &str, range: Range<usize>, candidates: Vec<(S, String)>) -> (Range<usize>, Vec<Identifier>) {
    let shown = text[range.clone()].to_owned();
    let mut identifiers: Vec<Identifier> = Vec::new();
    for (scheme, normal) in candidates {
        if !identifiers.iter().any(|known| known.scheme == scheme && known.normal == normal) {
            identifiers.push(Identifier { scheme, normal, shown: shown.clone() });
        }
    }
    (range, identifiers)
}

struct Words<'a> {
    text: &'a str,
    spans: Vec<Range<usize>>,
}

impl Words<'_> {
    fn word(&self, index: usize) -> &str {
        self.spans.get(index).map_or("", |span| &self.text[span.clone()])
    }

    /// The text between a word and the one before it.
    fn gap(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.spans[index - 1].end };
        self.spans.get(index).map_or("", |span| &self.text[start..span.start])
    }

    /// The text between a word and the next one, or the end.
    fn gap_after(&self, index: usize) -> &str {
        let end = self.spans.get(index + 1).map_or(self.text.len(), |span| span.start);
        &self.text[self.spans[index].end..end]
    }

    /// What the word may identify, best first, and the scheme a list goes on with; `None` when it is no identifier.
    fn candidates(&self, index: usize, previous: Option<(usize, S)>) -> Option<(S, Vec<(S, String)>)> {
        let word = self.word(index);
        if !word.bytes().any(|byte| byte.is_ascii_digit()) || self.is_measure(index) {
            return None;
        }
        let numeric = word.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'/' | b'.'));
        let marked = self.gap(index).trim_end().ends_with(['#', '№']);
        let normal = normal(word);
        if let Some((keyword, explicit)) = self.keyword_before(index) {
            let sure = marked || explicit || !numeric || self.reads_as_number_of(index, keyword.strength);
            return sure.then(|| (keyword.scheme, self.with_scheme(keyword.scheme, normal)));
        }
        if let Some(scheme) = self.continues_list(index, previous) {
            return Some((scheme, self.with_scheme(scheme, normal)));
        }
        if let Some(scheme) = prefix_scheme(word) {
            return Some((scheme, self.with_scheme(scheme, normal)));
        }
        if marked {
            return Some((S::Order, vec![(S::Order, normal.clone()), (S::Any, normal)]));
        }
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        if numeric {
            let round = normal.ends_with("000");
            let plausible = word.len() == digits && (digits >= 8 || (digits >= 6 && !round));
            return (plausible && !self.is_phone(index)).then(|| {
                let first = if digits >= 8 { S::Tracking } else { S::Order };
                (S::Any, vec![(S::Any, normal.clone()), (first, normal)])
            });
        }
        if POSTAL_TRACKING.is_match(&normal) {
            return Some((S::Tracking, vec![(S::Tracking, normal.clone()), (S::Any, normal)]));
        }
        if word.contains('_') {
            return Some((S::Customer, vec![(S::Customer, normal.clone()), (S::Any, normal)]));
        }
        (normal.len() >= 4 && digits >= 2).then(|| (S::Any, vec![(S::Any, normal)]))
    }

    /// Under its scheme as written; under any scheme as written; under its scheme without a prefix that only names it.
    fn with_scheme(&self, scheme: S, normal: String) -> Vec<(S, String)> {
        let mut candidates = vec![(scheme, normal.clone()), (S::Any, normal.clone())];
        if let Some((prefix, number)) = prefix_and_number(&normal)
            && scheme_of_prefix(prefix) == Some(scheme)
        {
            candidates.push((scheme, number.to_owned()));
        }
        candidates
    }

    /// The keyword directly before a word, and whether a number word or mark stands between them.
    fn keyword_before(&self, index: usize) -> Option<(&'static Keyword, bool)> {
        let joins = |gap: &str| gap.chars().all(|c| c.is_whitespace() || ".:#№-(\"'".contains(c)) && gap.len() < 16;
        let mut at = index;
        let mut explicit = false;
        for _ in 0..3 {
            if at == 0 || !joins(self.gap(at)) {
                return None;
            }
            explicit |= self.gap(at).contains([':', '#', '№']);
            at -= 1;
            let word = self.word(at);
            if NUMBER_WORDS.contains(&word) {
                explicit = true;
            } else if !(word == "IS" && at > 0 && NUMBER_WORDS.contains(&self.word(at - 1))) {
                break;
            }
        }
        let two_words = (at > 0).then(|| format!("{} {}", self.word(at - 1), self.word(at)));
        let find = |phrase: &str| KEYWORDS.iter().find(|keyword| keyword.words.contains(&phrase));
        let keyword = two_words.as_deref().and_then(find).or_else(|| find(self.word(at)))?;
        Some((keyword, explicit))
    }

    /// "orders 1042, 1043 and 1044": the second and later numbers.
    fn continues_list(&self, index: usize, previous: Option<(usize, S)>) -> Option<S> {
        let (last, scheme) = previous?;
        let gap = self.gap(index).trim();
        let by_comma = last + 1 == index && matches!(gap, "," | "&" | "/" | ";" | "#" | ", #");
        let by_word = last + 2 == index && matches!(self.word(index - 1), "AND" | "OR") && matches!(gap, "" | "#");
        let same_shape = prefix_and_number(&normal(self.word(index))).is_some();
        let quantity = self.next_is_plural(index) && self.word(index).len() < 4;
        ((by_comma || by_word) && same_shape && !quantity && scheme != S::Any).then_some(scheme)
    }

    /// Whether the number reads as a quantity, amount, date or time.
    fn is_measure(&self, index: usize) -> bool {
        let word = self.word(index);
        let (before, after) = (self.gap(index), self.gap_after(index));
        if DATE.is_match(word)
            || before.trim_end().ends_with(['$', '€', '£', '¥'])
            || after.starts_with(['%', '€', '$'])
        {
            return true;
        }
        let digits_end = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
        let after_number = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let measure = after_number.strip_prefix('-').unwrap_or(after_number);
        if digits_end > 0 && (MEASURES.contains(&measure) || UNITS.contains(&measure)) {
            return true;
        }
        let decimal = word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let digits_only = digits_end == word.len();
        let neighbour_digit = |text: Option<char>| text.is_some_and(|c| c.is_ascii_digit());
        let clock_or_thousands = digits_only
            && ((matches!(before, ":" | ",")
                && index > 0
                && neighbour_digit(self.word(index - 1).chars().next_back()))
                || (matches!(after, ":" | ",") && neighbour_digit(self.word(index + 1).chars().next())));
        let unit = digits_only && after.trim().is_empty() && UNITS.contains(&self.word(index + 1));
        let code_before = digits_only && index > 0 && matches!(self.word(index - 1), "EUR" | "USD" | "GBP" | "CHF");
        decimal || clock_or_thousands || unit || code_before
    }

    /// Whether the number ends a run of digits that began with a plus: `+49 30 12345678`.
    fn is_phone(&self, index: usize) -> bool {
        let digits = |at: usize| self.word(at).bytes().all(|byte| !byte.is_ascii_alphabetic());
        let run = (index.saturating_sub(4)..=index).rev().take_while(|at| digits(*at));
        run.into_iter().any(|at| self.gap(at).ends_with('+'))
    }

    fn next_is_plural(&self, index: usize) -> bool {
        let next = self.word(index + 1);
        self.gap_after(index).trim().is_empty()
            && next.len() > 3
            && next.ends_with('S')
            && !NOT_PLURAL.contains(&next)
            && next.bytes().all(|byte| byte.is_ascii_uppercase())
    }

    /// Whether a bare number after a keyword is a number of that thing.
    fn reads_as_number_of(&self, index: usize, strength: Strength) -> bool {
        let digits = self.word(index).len();
        let next = self.word(index + 1);
        let ends = next.is_empty() || !self.gap_after(index).trim().is_empty();
        match strength {
            Strength::Noun => true,
            Strength::AmountLikely => digits >= 5,
            Strength::AlsoVerb if digits <= 2 => ends || AFTER_SHORT.contains(&next),
            Strength::AlsoVerb => !self.next_is_plural(index),
        }
    }
}

/// The scheme that a letter prefix names: `SO` and `ORDER` an order.
fn scheme_of_prefix(prefix: &str) -> Option<S> {
    let keyword = KEYWORDS.iter().find(|keyword| keyword.words.contains(&prefix)).map(|keyword| keyword.scheme);
    keyword.or_else(|| PREFIXES.iter().find(|(known, _)| *known == prefix).map(|(_, scheme)| *scheme))
}

fn prefix_scheme(word: &str) -> Option<S> {
    let normal = normal(word);
    let (prefix, _) = prefix_and_number(&normal)?;
    scheme_of_prefix(prefix)
}
