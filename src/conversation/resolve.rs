//! Follow-ups by rules: what a question leaves out is taken from the turns before it. Pure; what exists and who may see it was decided before.
//!
//! The result is a question that stands alone, in words the asker used: identifiers, topic and filters come from the conversation and from
//! nowhere else. Pronouns and ellipsis carry over, a new identifier replaces the old one, a whole question of its own starts afresh.

use std::ops::Range;

use ingest::{RecordKind, schema};

use super::phrases;
use crate::answer::words::stems;

/// A mention in a question, and the kinds of the records it names for the one who asks now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Bytes in the turn's question; empty for what only the answer told.
    pub range: Range<usize>,
    /// As written there.
    pub shown: String,
    pub kinds: Vec<RecordKind>,
}

/// One turn of the conversation so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// As it was understood: it stands alone.
    pub question: String,
    pub named: Vec<Named>,
    /// Records that the answer spoke of and the question did not name, in the order of the answer.
    pub told: Vec<Named>,
}

/// What was done to a question so that it stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It stood alone.
    AsAsked,
    /// The question before, about what this one names.
    SameQuestion,
    /// What it refers to was added.
    Reference,
    /// It goes on with the topic of the question before.
    Topic,
    /// It narrows or counts what the question before listed.
    Narrowed,
}

/// A question that needs no conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standalone {
    pub text: String,
    pub rule: Rule,
}

/// Content words from which a question without any reference counts as one of its own.
const WHOLE_QUESTION: usize = 4;
/// Content words up to which a fragment is read as going on.
const FRAGMENT: usize = 3;
/// References added at most.
const REFERENCES_MAX: usize = 3;

/// `text` as it is meant after `turns` (oldest first); `own`: what it names itself.
pub fn resolve(turns: &[Turn], text: &str, own: &[Named]) -> Standalone {
    let as_asked = Standalone { text: text.trim().to_owned(), rule: Rule::AsAsked };
    let Some(last) = turns.last() else { return as_asked };
    let (lead, rest) = phrases::without_lead(text);
    if rest.is_empty() {
        return as_asked;
    }
    if !own.is_empty() {
        return same_question(last, text, own, lead.is_some()).unwrap_or(as_asked);
    }
    let content = stems(&phrases::without_kinds(rest));
    if let Some(which) = phrases::other_one(rest)
        && let Some(target) = pick(turns, which)
    {
        let asks_nothing = stems(&phrases::without_kinds(&phrases::without_other_one(rest))).is_empty();
        let of_last = asks_nothing.then(|| replaced(last, std::slice::from_ref(&target))).flatten();
        return match of_last {
            Some(text) => Standalone { text, rule: Rule::SameQuestion },
            None => Standalone { text: with_references(rest, &[target]), rule: Rule::Reference },
        };
    }
    if let Some(text) = narrowed(last, rest) {
        return Standalone { text, rule: Rule::Narrowed };
    }
    if let Some(named) = noun_referred_to(turns, rest) {
        return Standalone { text: with_references(rest, &[named]), rule: Rule::Reference };
    }
    if let Some(day) = phrases::only_a_day(rest) {
        return Standalone { text: phrases::on_another_day(&last.question, &day), rule: Rule::SameQuestion };
    }
    let pronoun = phrases::pronoun(rest);
    // "What are they worth?" after a list is about the list, not about the few of it that the answer named.
    if let (Some(phrases::Number::Many), true) = (pronoun, last.named.is_empty())
        && let Some(text) =
            phrases::listed(&last.question).and_then(|listed| phrases::instead_of_pronoun(rest, &listed))
    {
        return Standalone { text, rule: Rule::Narrowed };
    }
    let focus = focus(last, pronoun == Some(phrases::Number::Many));
    if pronoun.is_some() {
        return if focus.is_empty() {
            Standalone { text: phrases::about(rest, &phrases::topic(&last.question)), rule: Rule::Topic }
        } else {
            Standalone { text: with_references(rest, &focus), rule: Rule::Reference }
        };
    }
    elliptical(last, lead, rest, &content, &focus).unwrap_or(as_asked)
}

/// "And SO-1043?", "what about SO-1043": nothing is asked but the name, so it is the question before that is asked of it.
fn same_question(last: &Turn, text: &str, own: &[Named], lead: bool) -> Option<Standalone> {
    let mut bare = text.to_owned();
    for one in own.iter().rev() {
        if bare.get(one.range.clone()).is_some() {
            bare.replace_range(one.range.clone(), " ");
        }
    }
    let (_, bare) = phrases::without_lead(&bare);
    let asks_nothing = stems(&phrases::without_kinds(bare)).is_empty();
    if !asks_nothing || (!lead && phrases::asks_whole(bare)) {
        return None;
    }
    let text = replaced(last, own).unwrap_or_else(|| with_references(&last.question, own));
    Some(Standalone { text, rule: Rule::SameQuestion })
}

/// The last question with its identifiers replaced by `others`; `None` when it names nothing.
fn replaced(last: &Turn, others: &[Named]) -> Option<String> {
    let places: Vec<&Named> = last.named.iter().filter(|named| !named.range.is_empty()).collect();
    let first = places.first()?.range.start;
    let end = places.last()?.range.end;
    let (before, after) = (last.question.get(..first)?, last.question.get(end..)?);
    let names: Vec<String> = others.iter().take(REFERENCES_MAX).map(|other| reference(other, before)).collect();
    Some(format!("{before}{}{after}", names.join(" and ")))
}

/// How a record is written into a question, so that the identifier router reads it as the same one. A bare number needs its kind, unless
/// that stands before it already.
fn reference(named: &Named, before: &str) -> String {
    let bare = !named.shown.chars().any(char::is_alphabetic) && !named.shown.starts_with('#');
    match named.kinds.first() {
        Some(kind) if bare => {
            let label = schema(*kind).label.to_lowercase();
            let there = before.to_lowercase().trim_end().ends_with(&label);
            if there { named.shown.clone() } else { format!("{label} {}", named.shown) }
        }
        _ => named.shown.clone(),
    }
}

/// `question` with what it refers to behind it: "when does it ship (SO-1042)?"
fn with_references(question: &str, named: &[Named]) -> String {
    let names: Vec<String> = named.iter().take(REFERENCES_MAX).map(|one| reference(one, "")).collect();
    let (body, mark) = phrases::without_end_mark(question);
    format!("{body} ({}){mark}", names.join(", "))
}

/// "The other one", "the second one": which of the things spoken of.
fn pick(turns: &[Turn], which: phrases::Which) -> Option<Named> {
    let last = turns.last()?;
    let list = |turn: &Turn| if turn.named.len() > 1 { turn.named.clone() } else { turn.told.clone() };
    let lists = || turns.iter().rev().map(list).find(|list| list.len() > 1);
    match which {
        phrases::Which::Nth(n) => lists()?.get(n).cloned(),
        phrases::Which::Last => lists()?.last().cloned(),
        phrases::Which::Other => {
            let now = focus(last, false);
            // Two in one question and nothing singled out since: "the other one" is the second.
            if now.len() != 1 {
                return lists()?.get(1).cloned();
            }
            let same = |one: &Named| now.iter().any(|two| two.shown.eq_ignore_ascii_case(&one.shown));
            let kinds = now.first().map(|one| one.kinds.clone()).unwrap_or_default();
            let all = turns.iter().rev().flat_map(|turn| turn.named.iter().chain(&turn.told));
            let others: Vec<&Named> = all.filter(|one| !same(one)).collect();
            let alike = others.iter().find(|one| one.kinds.first() == kinds.first());
            alike.or(others.first()).map(|one| (*one).clone())
        }
    }
}

/// What "it" can mean after a turn: what its question named; else the one record its answer spoke of (for "they": all of them).
fn focus(last: &Turn, many: bool) -> Vec<Named> {
    match (&last.named[..], &last.told[..]) {
        ([], told) if told.len() == 1 || many => told.iter().take(REFERENCES_MAX).cloned().collect(),
        ([], _) => Vec::new(),
        (named, _) => named.iter().take(REFERENCES_MAX).cloned().collect(),
    }
}

/// "That invoice", "the order": the record of that kind spoken of last.
fn noun_referred_to(turns: &[Turn], rest: &str) -> Option<Named> {
    let kind_of = |named: &Named, kind: RecordKind| named.kinds.contains(&kind);
    phrases::kinds_referred_to(rest).into_iter().find_map(|kind| {
        turns.iter().rev().find_map(|turn| turn.named.iter().chain(&turn.told).find(|one| kind_of(one, kind)).cloned())
    })
}

/// "How many of those are late": the list of the question before, described instead of pointed at.
fn narrowed(last: &Turn, rest: &str) -> Option<String> {
    let place = phrases::of_those(rest)?;
    let listed = phrases::listed(&last.question)?;
    Some(format!("{}of the {listed}{}", &rest[..place.start], &rest[place.end..]))
}

fn elliptical(
    last: &Turn,
    lead: Option<phrases::Lead>,
    rest: &str,
    content: &[String],
    focus: &[Named],
) -> Option<Standalone> {
    let whole = phrases::asks_whole(rest) && content.len() >= WHOLE_QUESTION;
    if whole || content.len() > 2 * FRAGMENT {
        return None;
    }
    let asks_fields = !focus.is_empty() && asks_only_fields(focus, rest, content);
    if asks_fields {
        return Some(Standalone { text: with_references(rest, focus), rule: Rule::Reference });
    }
    let short = content.len() <= FRAGMENT;
    if let Some(text) = phrases::in_place_of(&last.question, rest).filter(|_| content.len() <= FRAGMENT) {
        return Some(Standalone { text, rule: Rule::SameQuestion });
    }
    let goes_on = lead.is_some() || phrases::begins_with_preposition(rest) || content.len() < 2;
    if !goes_on || !short {
        return None;
    }
    let text = if phrases::begins_with_question_word(rest) {
        phrases::about(rest, &phrases::topic(&last.question))
    } else {
        let (body, _) = phrases::without_end_mark(&last.question);
        let (fragment, _) = phrases::without_end_mark(rest);
        let joint =
            if lead == Some(phrases::Lead::About) && !phrases::begins_with_preposition(rest) { ", for " } else { ", " };
        format!("{body}{joint}{fragment}?")
    };
    Some(Standalone { text, rule: Rule::Topic })
}

/// "And the total?": what is asked are fields of the record in focus, and nothing else.
fn asks_only_fields(focus: &[Named], rest: &str, content: &[String]) -> bool {
    let words = ingest::text::for_matching(rest);
    focus.iter().flat_map(|one| &one.kinds).any(|kind| {
        let fields = ingest::schema::fields_asked(*kind, &words);
        let phrases = fields.iter().flat_map(|spec| {
            let own = [spec.label.to_lowercase(), spec.name.replace('_', " ")];
            own.into_iter().chain(spec.synonyms.iter().map(|one| (*one).to_owned()))
        });
        let known: Vec<String> = phrases.flat_map(|phrase| stems(&phrase)).collect();
        !fields.is_empty() && content.iter().all(|word| known.contains(word))
    })
}

#[cfg(test)]
mod tests;
