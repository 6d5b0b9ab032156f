//! The words with which a question leans on the one before it. Pure text; every list is closed and lower case.

use std::ops::Range;
use std::sync::LazyLock;

use ingest::{RecordKind, schema};
use regex::Regex;

/// How a follow-up begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// "And", "also", "but": it goes on.
    And,
    /// "What about", "same for": the question before, of something else.
    About,
}

/// One thing or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    One,
    Many,
}

/// Which of several things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Other,
    /// From 0.
    Nth(usize),
    Last,
}

type Pattern = LazyLock<Option<Regex>>;

static FILLER: Pattern = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:ok(?:ay)?|so|then|thanks|thank you|great|now|well|hm+|please|right|yes|no)\b[\s,.!:;-]*").ok()
});
static AND: Pattern = LazyLock::new(|| Regex::new(r"(?i)^(?:and|also|but|plus|or)\b[\s,.:;-]*").ok());
static ABOUT: Pattern = LazyLock::new(|| {
    Regex::new(
        r"(?i)^(?:(?:what|how)\s*(?:'s)?\s+about|same(?:\s+(?:thing|question))?\s+(?:for|with|goes for)|likewise for)\b[\s,.:;-]*",
    )
    .ok()
});

/// The question without the words that only say that it goes on, and which kind of them there were.
pub fn without_lead(text: &str) -> (Option<Lead>, &str) {
    let (mut rest, mut lead) = (text.trim(), None);
    // Each round takes words away; five are more than anybody writes.
    for _ in 0..5 {
        let cut = |pattern: &Pattern| pattern.as_ref().and_then(|pattern| pattern.find(rest)).map(|found| found.end());
        let (end, found) = match (cut(&ABOUT), cut(&AND), cut(&FILLER)) {
            (Some(end), _, _) => (end, Some(Lead::About)),
            (None, Some(end), _) => (end, lead.or(Some(Lead::And))),
            (None, None, Some(end)) => (end, lead),
            (None, None, None) => break,
        };
        rest = &rest[end..];
        lead = found;
    }
    (lead, rest.trim())
}

/// Text and its closing question mark or stop.
pub fn without_end_mark(text: &str) -> (&str, &str) {
    let body = text.trim_end_matches(|c: char| matches!(c, '?' | '.' | '!') || c.is_whitespace());
    let mark = if text[body.len()..].contains('?') { "?" } else { "" };
    (body, mark)
}

fn words_of(text: &str) -> Vec<String> {
    let folded = ingest::text::for_matching(text);
    folded
        .split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

const QUESTION_WORDS: [&str; 12] =
    ["what", "how", "when", "who", "where", "which", "why", "whose", "whom", "since", "within", "until"];
const AUXILIARIES: [&str; 22] = [
    "is", "are", "was", "were", "do", "does", "did", "may", "can", "could", "must", "should", "will", "would", "has",
    "have", "had", "might", "shall", "am", "need", "needs",
];
const PREPOSITIONS: [&str; 20] = [
    "for", "with", "without", "in", "on", "by", "to", "from", "after", "before", "if", "over", "above", "below",
    "under", "at", "as", "during", "than", "only",
];

/// Whether a text begins like a whole question or request of its own.
pub fn asks_whole(text: &str) -> bool {
    let words = words_of(text);
    let Some(first) = words.first().map(String::as_str) else { return false };
    QUESTION_WORDS.contains(&first)
        || AUXILIARIES.contains(&first)
        || ["list", "show", "tell", "give", "find", "count", "explain", "summarise", "summarize", "compare"]
            .contains(&first)
}

pub fn begins_with_question_word(text: &str) -> bool {
    words_of(text)
        .first()
        .is_some_and(|word| QUESTION_WORDS.contains(&word.as_str()) || AUXILIARIES.contains(&word.as_str()))
}

pub fn begins_with_preposition(text: &str) -> bool {
    words_of(text).first().is_some_and(|word| PREPOSITIONS.contains(&word.as_str()))
}

static OTHER: Pattern = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:the\s+)?(?:(other|first|second|third|fourth|last|latter|former)(?:\s+(?:one|of\s+(?:them|these|those|the\s+two)))|other\b|(?:latter|former)\b|one\s+before)",
    )
    .ok()
});

/// "The other one", "the second one".
pub fn other_one(text: &str) -> Option<Which> {
    let found = OTHER.as_ref()?.captures(text)?;
    let word = found.get(1).map_or_else(|| found[0].to_lowercase(), |word| word.as_str().to_lowercase());
    Some(match word.trim_start_matches("the ") {
        "first" | "former" => Which::Nth(0),
        "second" | "latter" => Which::Nth(1),
        "third" => Which::Nth(2),
        "fourth" => Which::Nth(3),
        "last" => Which::Last,
        _ => Which::Other,
    })
}

pub fn without_other_one(text: &str) -> String {
    OTHER.as_ref().map_or_else(|| text.to_owned(), |pattern| pattern.replace(text, " ").into_owned())
}

static OF_THOSE: Pattern =
    LazyLock::new(|| Regex::new(r"(?i)\b(?:out\s+)?of\s+(?:those|these|them|the\s+(?:above|list))\b").ok());

/// Where a question says "of those".
pub fn of_those(text: &str) -> Option<Range<usize>> {
    OF_THOSE.as_ref()?.find(text).map(|found| found.range())
}

static LISTING: Pattern = LazyLock::new(|| {
    Regex::new(
        r"(?i)^(?:please\s+)?(?:(?:can|could)\s+you\s+)?(?:(?:show|list|give|tell|find|count)\s+(?:me\s+|us\s+)?(?:all\s+)?(?:of\s+)?(?:the\s+)?|which\s+(?:of\s+the\s+)?|what\s+|how\s+many\s+(?:of\s+the\s+)?|(?:are|is)\s+there\s+(?:any\s+)?|do\s+we\s+have\s+(?:any\s+)?)",
    )
    .ok()
});
static THERE: Pattern = LazyLock::new(|| Regex::new(r"(?i)\s+(?:do we have|are there|have we got)\b").ok());

/// What a listing question lists, as a noun phrase: "Which orders are on hold?" lists "orders that are on hold". `None` when the question
/// lists no records.
pub fn listed(question: &str) -> Option<String> {
    let (body, _) = without_end_mark(question);
    let start = LISTING.as_ref()?.find(body)?.end();
    let phrase = THERE.as_ref()?.replace(&body[start..], "").into_owned();
    let words: Vec<&str> = phrase.split_whitespace().collect();
    let is_kind =
        |count: usize| words.get(..count).is_some_and(|part| kind_named(&part.join(" ").to_lowercase()).is_some());
    // The kind may stand behind one or two adjectives: "overdue supplier invoices".
    let about_records = (0..words.len().min(4)).any(|skip| {
        (1..=3).any(|len| {
            words.get(skip..skip + len).is_some_and(|part| kind_named(&part.join(" ").to_lowercase()).is_some())
        })
    });
    if !about_records {
        return None;
    }
    let noun = (1..=3).rev().find(|count| is_kind(*count)).unwrap_or(0);
    let verb = words.get(noun).is_some_and(|word| AUXILIARIES.contains(&word.to_lowercase().as_str()));
    if noun > 0 && verb {
        return Some(format!("{} that {}", words[..noun].join(" "), words[noun..].join(" ")));
    }
    Some(phrase)
}

/// The kind a word or phrase stands for.
fn kind_named(phrase: &str) -> Option<RecordKind> {
    let phrase = phrase.trim_end_matches(',');
    // "Order" is a customer's order; "so" and "po" are too short to be nouns in a sentence.
    RecordKind::ALL.into_iter().find(|kind| phrase.len() > 2 && schema(*kind).synonyms.contains(&phrase))
}

/// Text without words that only name a kind of record.
pub fn without_kinds(text: &str) -> String {
    words_of(text).into_iter().filter(|word| kind_named(word).is_none()).collect::<Vec<_>>().join(" ")
}

/// Kinds that a text points at with "the", "that" or "this" before them, in order.
pub fn kinds_referred_to(text: &str) -> Vec<RecordKind> {
    let words = words_of(text);
    let mut kinds = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if !["the", "that", "this", "its", "their", "said"].contains(&word.as_str()) {
            continue;
        }
        let two = words.get(at + 1..at + 3).and_then(|pair| kind_named(&pair.join(" ")));
        let one = words.get(at + 1).and_then(|noun| kind_named(noun));
        let singular = words.get(at + 1).is_some_and(|noun| !noun.ends_with('s'));
        // "Its customer" is a field of the record in focus, not another record spoken of.
        if let Some(kind) = two.or(one).filter(|_| singular && !["its", "their"].contains(&word.as_str())) {
            kinds.push(kind);
        }
    }
    kinds
}

/// Whether a text points back with a pronoun.
pub fn pronoun(text: &str) -> Option<Number> {
    const ONE: [&str; 12] = ["it", "its", "it's", "he", "she", "him", "her", "his", "hers", "itself", "one", "same"];
    const MANY: [&str; 8] = ["they", "them", "their", "theirs", "these", "those", "both", "ones"];
    let words = words_of(text);
    for (at, word) in words.iter().enumerate() {
        if MANY.contains(&word.as_str()) {
            return Some(Number::Many);
        }
        let pointed = match word.as_str() {
            // "One" and "the same" point back only behind a determiner: "that one", but "one of the policies".
            "one" => {
                at > 0
                    && ["that", "this", "which", "the"].contains(&words[at - 1].as_str())
                    && words.get(at + 1).is_none_or(|next| next != "of")
            }
            "same" => at > 0 && words[at - 1] == "the" && words.get(at + 1).is_none(),
            "that" | "this" => points(&words, at),
            other => ONE.contains(&other),
        };
        if pointed {
            return Some(Number::One);
        }
    }
    None
}

/// "That" and "this" point back when they are the subject or object themselves: "does that include", "who decides this?"; not in
/// "a refund that exceeds" or "that order", which is looked for by its noun.
fn points(words: &[String], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| words.get(before)).map(String::as_str);
    let after = words.get(at + 1).map(String::as_str);
    let subject = before.is_none_or(|word| {
        AUXILIARIES.contains(&word) || PREPOSITIONS.contains(&word) || word == "of" || word == "about"
    });
    after.is_none() || subject
}

/// What a question is about, without the words that ask: "Who has to approve a refund above EUR 100?" is about "approve a refund above
/// EUR 100".
pub fn topic(question: &str) -> String {
    const ASKING: [&str; 20] = [
        "please", "tell", "me", "us", "show", "list", "give", "long", "many", "much", "often", "soon", "to", "we", "i",
        "you", "there", "days", "one", "the",
    ];
    let (body, _) = without_end_mark(question);
    let mut rest = body.trim();
    while let Some((word, after)) = rest.split_once(char::is_whitespace) {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        let asks = QUESTION_WORDS.contains(&bare.as_str())
            || AUXILIARIES.contains(&bare.as_str())
            || ASKING.contains(&bare.as_str());
        if !asks {
            break;
        }
        rest = after.trim_start();
    }
    rest.to_owned()
}

/// A question with its topic behind it, in one clause, so that it is searched with it: "how long does that take, for a refund?"
pub fn about(question: &str, topic: &str) -> String {
    let (body, _) = without_end_mark(question);
    if topic.is_empty() { question.to_owned() } else { format!("{body}, for {topic}?") }
}

static DAY: Pattern = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:\d{4}-\d{2}-\d{2}|\d{1,2}\.\d{1,2}\.\d{4}|\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?[a-z]{3,9}\.?,?\s+\d{4}|[a-z]{3,9}\.?\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4})\b",
    )
    .ok()
});

/// The calendar day that a fragment consists of: "and on 2025-06-01?".
pub fn only_a_day(text: &str) -> Option<String> {
    crate::retrieve::when::day_in(text)?;
    let found = DAY.as_ref()?.find(text)?;
    let around = format!("{} {}", &text[..found.start()], &text[found.end()..]);
    let bare = words_of(&around);
    const AROUND: [&str; 9] = ["it", "was", "they", "were", "ordered", "placed", "bought", "delivered", "received"];
    bare.iter()
        .all(|word| PREPOSITIONS.contains(&word.as_str()) || AROUND.contains(&word.as_str()))
        .then(|| found.as_str().to_owned())
}

/// A question with its day replaced, or with one when it had none.
pub fn on_another_day(question: &str, day: &str) -> String {
    let old = DAY
        .as_ref()
        .and_then(|pattern| pattern.find(question))
        .filter(|found| crate::retrieve::when::day_in(found.as_str()).is_some());
    match old {
        Some(found) => format!("{}{day}{}", &question[..found.start()], &question[found.end()..]),
        None => {
            let (body, mark) = without_end_mark(question);
            format!("{body} on {day}{mark}")
        }
    }
}

static THEY: Pattern = LazyLock::new(|| Regex::new(r"(?i)\b(?:they|them|those|these)\b").ok());

/// A question with a description where it says "they": "what are the orders that are on hold worth?"
pub fn instead_of_pronoun(question: &str, described: &str) -> Option<String> {
    let found = THEY.as_ref()?.find(question)?;
    Some(format!("{}the {described}{}", &question[..found.start()], &question[found.end()..]))
}

static AMOUNT: Pattern = LazyLock::new(|| {
    Regex::new(r"(?i)(?:\b(?:EUR|USD|GBP|CHF)|[€$£])\s?\d[\d.,]*\d|(?:\b(?:EUR|USD|GBP|CHF)|[€$£])\s?\d|\b\d[\d.,]*\s?(?:EUR|USD|GBP|CHF|[€$£])").ok()
});
static NUMBER: Pattern = LazyLock::new(|| Regex::new(r"\b\d+\b").ok());

/// The question before with one part of it exchanged for a fragment that has the same form: another amount, another number of the same
/// thing, another phrase behind the same preposition. `None`: nothing of it has that form.
pub fn in_place_of(question: &str, fragment: &str) -> Option<String> {
    let (fragment, _) = without_end_mark(fragment);
    other_amount(question, fragment)
        .or_else(|| other_number(question, fragment))
        .or_else(|| other_phrase(question, fragment))
}

fn other_amount(question: &str, fragment: &str) -> Option<String> {
    let pattern = AMOUNT.as_ref()?;
    let (old, new) = (pattern.find(question)?, pattern.find(fragment)?);
    Some(format!("{}{}{}", &question[..old.start()], new.as_str(), &question[old.end()..]))
}

/// "The top 5" for "the top 3", "after 10 days" for "after 5 days": a word beside the number is the same.
fn other_number(question: &str, fragment: &str) -> Option<String> {
    let pattern = NUMBER.as_ref()?;
    for new in pattern.find_iter(fragment) {
        for old in pattern.find_iter(question) {
            let (before, after) = (&question[..old.start()], &question[old.end()..]);
            let beside = |text: Option<&str>| text.map(str::to_lowercase).filter(|word| word.len() > 1);
            let last = |text: &str| beside(text.split_whitespace().next_back());
            let next =
                |text: &str| beside(text.split_whitespace().next().map(|word| word.trim_end_matches(['?', ','])));
            let same_before = last(before).is_some() && last(before) == last(&fragment[..new.start()]);
            let same_after = next(after).is_some() && next(after) == next(&fragment[new.end()..]);
            if same_before || same_after {
                return Some(format!("{before}{}{after}", new.as_str()));
            }
        }
    }
    None
}

/// "On fraud hold" for "on credit hold", "for trade customers" for "for consumers": the same preposition, and the phrases end alike or are
/// the last of their question.
fn other_phrase(question: &str, fragment: &str) -> Option<String> {
    let (body, mark) = without_end_mark(question);
    let first = fragment.split_whitespace().next()?.to_lowercase();
    let last = fragment.split_whitespace().next_back()?.to_lowercase();
    if !PREPOSITIONS.contains(&first.as_str()) {
        return None;
    }
    let words: Vec<(usize, &str)> =
        body.split_whitespace().map(|word| (word.as_ptr() as usize - body.as_ptr() as usize, word)).collect();
    let start = words.iter().rposition(|(_, word)| word.eq_ignore_ascii_case(&first))?;
    let next = words[start + 1..].iter().position(|(_, word)| PREPOSITIONS.contains(&word.to_lowercase().as_str()));
    let end = next.map_or(words.len(), |next| start + 1 + next);
    let has_number = |text: &str| text.contains(|c: char| c.is_ascii_digit());
    let (from, to) = (words[start].0, words[end - 1].0 + words[end - 1].1.len());
    let old = &body[from..to];
    let ends_alike = words[end - 1].1.to_lowercase() == last;
    let is_last = end == words.len() && end - start <= 4;
    let alike = has_number(old) == has_number(fragment) && end > start + 1;
    (alike && (ends_alike || is_last)).then(|| format!("{}{fragment}{}{mark}", &body[..from], &body[to..]))
}
