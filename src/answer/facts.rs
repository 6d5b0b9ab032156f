//! Record facts: which fields a question asks for, and claims that state them from the card, span by span. No model involved.

use std::ops::Range;

use ingest::schema::{FieldSpec, contains_phrase};
use ingest::{KindSchema, RecordKind, schema};

use super::evidence::{Cite, Claimed, Evidence};
use crate::record::Found;

/// Most lines of a record that an answer lists.
const LINES_MAX: usize = 50;

/// Fields that say what a record is about, when nothing particular is asked.
const SUMMARY: &[&str] = &[
    "name",
    "supplier_reference",
    "status",
    "last_event",
    "hold_kind",
    "hold_since",
    "hold_reason",
    "customer_id",
    "supplier_id",
    "ordered_at",
    "order_date",
    "promised_date",
    "expected_date",
    "shipped_at",
    "delivered_at",
    "total",
    "amount",
    "balance_due",
    "payment_status",
    "carrier",
    "reason",
    "subject",
    "on_hand",
    "available",
    "due_date",
];

/// What a question asks of one record.
#[derive(Debug, Default)]
pub struct Asked {
    /// Field names in order of the card; the record's lines are asked for as a whole by `lines`.
    pub fields: Vec<&'static FieldSpec>,
    pub lines: bool,
    /// Phrases of the question that name a field the record does not have, with that field's label.
    pub missing: Vec<(String, &'static str)>,
    /// Bytes of `words` that were understood as field names.
    pub understood: Vec<Range<usize>>,
}

struct Match {
    at: Range<usize>,
    spec: &'static FieldSpec,
    of_line: bool,
}

/// What separates the parts of a question: a field found in one part does not answer for another part.
fn clause_of(words: &str, at: usize) -> usize {
    let before = &words[..at];
    before.matches([',', '.', '?', ';', '!']).count() + before.matches(" and ").count()
}

/// Matches the question's words (lower case, single spaces, identifiers blanked) against the schema of the record's kind.
///
/// A phrase inside a longer matched one does not count ("status" in "payment status"). A phrase that names several fields is satisfied by
/// any of them that the record has.
pub fn asked(found: &Found, words: &str) -> Asked {
    let schema = schema(found.record.kind);
    let mut matches = matches(schema, words);
    let all: Vec<Range<usize>> = matches.iter().map(|one| one.at.clone()).collect();
    matches.retain(|one| {
        !all.iter().any(|other| other.len() > one.at.len() && other.start <= one.at.start && one.at.end <= other.end)
    });
    let has = |one: &Match| match one.of_line {
        true => found.record.lines.iter().any(|line| line.contains_key(one.spec.name)),
        false => found.record.fields.contains_key(one.spec.name),
    };
    let mut asked = Asked { lines: lines_asked(schema, words), ..Asked::default() };
    for one in &matches {
        asked.understood.push(one.at.clone());
        if has(one) {
            let there = asked.fields.iter().any(|spec| spec.name == one.spec.name);
            let with_its_line = one.of_line && asked.lines;
            if !there && !with_its_line {
                asked.fields.push(one.spec);
            }
        } else if !matches
            .iter()
            .any(|other| clause_of(words, other.at.start) == clause_of(words, one.at.start) && has(other))
        {
            let phrase = words[one.at.clone()].to_owned();
            if !asked.missing.iter().any(|(known, _)| *known == phrase) {
                asked.missing.push((phrase, one.spec.label));
            }
        }
    }
    let position =
        |spec: &FieldSpec| schema.fields.iter().position(|other| other.name == spec.name).unwrap_or(usize::MAX);
    asked.fields.sort_by_key(|spec| position(spec));
    asked
}

/// Where the question names fields that the record has: bytes of `words`, and the field; a phrase inside a longer one does not count.
pub fn places(found: &Found, words: &str) -> Vec<(Range<usize>, &'static FieldSpec)> {
    let matches = matches(schema(found.record.kind), words);
    let inside = |one: &Match| {
        matches
            .iter()
            .any(|other| other.at.len() > one.at.len() && other.at.start <= one.at.start && one.at.end <= other.at.end)
    };
    matches
        .iter()
        .filter(|one| !one.of_line && !inside(one) && found.record.fields.contains_key(one.spec.name))
        .map(|one| (one.at.clone(), one.spec))
        .collect()
}

fn matches(schema: &'static KindSchema, words: &str) -> Vec<Match> {
    let mut found = Vec::new();
    for (specs, of_line) in [(schema.fields, false), (schema.lines, true)] {
        for spec in specs {
            let label = spec.label.to_lowercase();
            let name = spec.name.replace('_', " ");
            // "supplier's" is typed without its apostrophe, too.
            let typed = label.replace("'s", "s");
            let own = [label.as_str(), name.as_str(), typed.as_str()];
            for phrase in own.into_iter().chain(spec.synonyms.iter().copied()) {
                // "Order" on a return names the kind of record; "on hand" is also what the field is called.
                let kind_only =
                    schema.synonyms.contains(&phrase) && (of_line || !phrase.contains(' ') || !own.contains(&phrase));
                if kind_only || !contains_phrase(words, phrase) {
                    continue;
                }
                found.extend(
                    words
                        .match_indices(phrase)
                        .filter(|(at, _)| whole(words, *at, phrase.len()))
                        .map(|(at, _)| Match { at: at..at + phrase.len(), spec, of_line }),
                );
            }
        }
    }
    found.extend(labels_in_other_order(schema, words));
    found
}

/// "Since when is it held" names "Held since": every word of a label of two or more stands in one part of the question.
fn labels_in_other_order(schema: &'static KindSchema, words: &str) -> Vec<Match> {
    let mut found = Vec::new();
    let mut start = 0;
    for clause in words.split_inclusive([',', '.', '?', ';', '!']) {
        let own: Vec<&str> = clause.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        for spec in schema.fields {
            let label = spec.label.to_lowercase();
            let parts: Vec<&str> = label.split(' ').collect();
            if parts.len() < 2 || !parts.iter().all(|part| own.contains(part)) || contains_phrase(clause, &label) {
                continue;
            }
            let places = parts.iter().filter_map(|part| clause.find(part).map(|at| (at, at + part.len())));
            let (from, to) = places.fold((clause.len(), 0), |(from, to), (a, b)| (from.min(a), to.max(b)));
            found.push(Match { at: start + from..start + to, spec, of_line: false });
        }
        start += clause.len();
    }
    found
}

fn whole(words: &str, at: usize, len: usize) -> bool {
    let before = words[..at].chars().next_back();
    let after = words[at + len..].chars().next();
    !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
}

fn lines_asked(schema: &KindSchema, words: &str) -> bool {
    const WORDS: [&str; 12] = [
        "items",
        "item",
        "lines",
        "products",
        "contents",
        "articles",
        "what was ordered",
        "what is in",
        "what did",
        "contain",
        "contains",
        "positions",
    ];
    !schema.lines.is_empty() && WORDS.iter().any(|phrase| contains_phrase(words, phrase))
}

/// Claims for the asked fields of a record, each citing the field's place on its card. `card` is its index in the evidence.
pub fn claims(evidence: &[Evidence], cards: &[usize], asked: &Asked) -> Vec<Claimed> {
    let mut claims = Vec::new();
    for &card in cards {
        let title = &evidence[card].title;
        for spec in &asked.fields {
            for span in evidence[card].spans.iter().filter(|span| leaf(&span.path) == spec.name) {
                let of_line = span.path.starts_with("lines.");
                let value = &evidence[card].text[span.value_start..span.value_end];
                let position = line_number(&span.path).map_or_else(String::new, |n| format!(", line {}", n + 1));
                let text = visible(&format!("{title}{position}: {}: {value}", spec.label));
                let cited = if of_line { span.value_start..span.value_end } else { span.start..span.end };
                claims.push(Claimed {
                    text,
                    cites: vec![Cite { evidence: card, span: cited, field: Some(span.path.clone()) }],
                });
            }
        }
        if asked.lines {
            claims.extend(line_claims(&evidence[card], card));
        }
    }
    claims
}

/// One claim a line, citing the whole line.
fn line_claims(evidence: &Evidence, card: usize) -> Vec<Claimed> {
    let mut lines: Vec<(usize, Range<usize>)> = Vec::new();
    for span in &evidence.spans {
        let Some(number) = line_number(&span.path) else { continue };
        match lines.last_mut() {
            Some((last, range)) if *last == number => range.end = range.end.max(span.end),
            _ => lines.push((number, span.start..span.end)),
        }
    }
    lines
        .into_iter()
        .take(LINES_MAX)
        .map(|(number, span)| Claimed {
            text: visible(&format!("{}, line {}: {}", evidence.title, number + 1, &evidence.text[span.clone()])),
            cites: vec![Cite { evidence: card, span, field: Some(format!("lines.{number}")) }],
        })
        .collect()
}

/// The fields that sum a record up, at most `fields` each, when the question names it and asks for none.
pub fn summary(evidence: &[Evidence], cards: &[usize], fields: usize) -> Vec<Claimed> {
    let mut claims = Vec::new();
    for &card in cards {
        let before = claims.len();
        for name in SUMMARY {
            if claims.len() - before >= fields {
                break;
            }
            if let Some(span) = evidence[card].spans.iter().find(|span| span.path == *name) {
                let quote = &evidence[card].text[span.start..span.end];
                let text = visible(&format!("{}: {quote}", evidence[card].title));
                claims.push(Claimed {
                    text,
                    cites: vec![Cite { evidence: card, span: span.start..span.end, field: Some(span.path.clone()) }],
                });
            }
        }
    }
    claims
}

/// The name of a record (its title field), as a claim.
pub fn named(evidence: &[Evidence], card: usize, kind: RecordKind) -> Option<Claimed> {
    let field = schema(kind).title_field;
    let span = evidence[card].spans.iter().find(|span| span.path == field)?;
    let text = visible(&format!("{}: {}", evidence[card].title, &evidence[card].text[span.start..span.end]));
    Some(Claimed {
        text,
        cites: vec![Cite { evidence: card, span: span.start..span.end, field: Some(span.path.clone()) }],
    })
}

/// Hidden and direction-changing characters as marks: what a person reads is what is there.
fn visible(text: &str) -> String {
    ingest::text::visible_marks(text).into_owned()
}

fn leaf(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn line_number(path: &str) -> Option<usize> {
    path.strip_prefix("lines.")?.split('.').next()?.parse().ok()
}
