//! Two live sources that disagree on what was asked: both are stated, marked, and never blended. Before a model words anything.
//!
//! Records: the same record from two sources with different values of one field. Policies: two clauses in force on the same day, of
//! different documents, about the same subject, with different numbers. What only looks alike (another customer group, another scope) is no
//! conflict; so a clause counts as the same subject only when next to nothing but its numbers differs, or when it means the same.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ingest::Decimal;

use super::Context;
use super::evidence::{Cite, Claimed, Evidence};
use super::sentences::{UnitKind, shown, units};
use super::words::stem_set;
use crate::access::Principal;
use crate::document;
use crate::embed::Embedder;
use crate::retrieve::RetrieveError;

/// Share of the words of two clauses (numbers aside) that they have in common when they are about the same subject.
const SAME_WORDS: f64 = 0.75;
/// The same when all words of one stand in the other.
const CONTAINED_WORDS: f64 = 0.6;
/// Cosine of two clauses with their numbers masked from which they mean the same.
const SAME_MEANING: f32 = 0.86;
/// Words two clauses share at least before their meaning is compared.
const SHARED_MIN: usize = 2;
/// Pairs of clauses whose meaning is compared for one answer.
const PAIRS_MAX: usize = 8;
/// Conflicts told in one answer.
const CONFLICTS_MAX: usize = 4;

/// Words that say for whom or what a rule holds. One clause with and one without is no conflict.
const QUALIFIERS: [&str; 36] = [
    "trade",
    "consumer",
    "wholesal",
    "retail",
    "busi",
    "privat",
    "marketplac",
    "domest",
    "intern",
    "european",
    "express",
    "standard",
    "gift",
    "digit",
    "sale",
    "clearanc",
    "perish",
    "overs",
    "bulk",
    "vip",
    "gold",
    "silver",
    "platinum",
    "faulti",
    "damag",
    "defect",
    "partial",
    "first",
    "second",
    "third",
    "former",
    "employe",
    "supplier",
    "minor",
    "urgent",
    "custom-mad",
];

/// Claims that contradict each other; at least two.
pub type Group = Vec<Claimed>;

/// What a document's scope restricts it to, by document id.
pub type Scopes = HashMap<String, BTreeMap<String, Vec<String>>>;

/// Everything on which two sources that the evidence holds disagree, as far as the claims touch it.
pub(super) async fn find(
    context: Context<'_>,
    caller: &Principal,
    claims: &[Claimed],
    evidence: &[Evidence],
) -> Result<Vec<Group>, RetrieveError> {
    let mut groups = of_records(claims, evidence);
    let policies: BTreeSet<String> =
        evidence.iter().filter(|one| one.kind == "policy").map(|one| one.document_id.clone()).collect();
    let quotes_one = claims.iter().flat_map(|claim| &claim.cites).any(|cite| evidence[cite.evidence].kind == "policy");
    if policies.len() > 1 && quotes_one {
        let ids: Vec<String> = policies.into_iter().collect();
        let mut tx = context.store.begin_read(caller.tenant).await?;
        let scopes = document::scopes(&mut tx, &ids).await?;
        drop(tx);
        let embedder = context.index.embedder().map(AsRef::as_ref);
        groups.extend(of_policies(claims, evidence, &scopes, embedder).await);
    }
    Ok(groups)
}

/// A claim, the source it cites, and the value it gives.
type Stated<'a> = (&'a Claimed, &'a str, String);

/// The same field of the same record, stated from different sources with different values.
pub fn of_records(claims: &[Claimed], evidence: &[Evidence]) -> Vec<Group> {
    let mut stated: BTreeMap<(String, String, String), Vec<Stated>> = BTreeMap::new();
    for claim in claims {
        let [cite] = &claim.cites[..] else { continue };
        let (one, Some(field)) = (&evidence[cite.evidence], &cite.field) else { continue };
        let Some(record) = &one.record else { continue };
        let value = one.spans.iter().find(|span| span.path == *field);
        let value = value.map(|span| ingest::text::for_matching(&one.text[span.value_start..span.value_end]));
        let key = (record.kind.clone(), record.external_id.clone(), field.clone());
        stated.entry(key).or_default().push((claim, &one.source, value.unwrap_or_default()));
    }
    let groups = stated.into_values().filter_map(|same| {
        let sources: BTreeSet<&str> = same.iter().map(|(_, source, _)| *source).collect();
        let values: BTreeSet<&str> = same.iter().map(|(_, _, value)| value.as_str()).collect();
        (sources.len() > 1 && values.len() > 1).then(|| same.iter().map(|(claim, ..)| (*claim).clone()).collect())
    });
    groups.take(CONFLICTS_MAX).collect()
}

/// Clauses of other policies, among the evidence, that disagree with a quoted one.
///
/// - `embedder`: compares what differently worded clauses mean; without one only the words count.
pub async fn of_policies(
    claims: &[Claimed],
    evidence: &[Evidence],
    scopes: &Scopes,
    embedder: Option<&dyn Embedder>,
) -> Vec<Group> {
    let clauses = clauses(evidence);
    let mut groups: Vec<Group> = Vec::new();
    let mut unsure: Vec<(Claimed, &Clause)> = Vec::new();
    for claim in claims {
        let Some(own) = clauses.iter().find(|clause| is_of(claim, clause)) else { continue };
        for other in clauses.iter().filter(|other| comparable(own, other, evidence, scopes)) {
            match subject(own, other) {
                Subject::Same => add(&mut groups, claim, other),
                Subject::Unsure if unsure.len() < PAIRS_MAX => unsure.push((claim.clone(), other)),
                Subject::Unsure | Subject::Other => {}
            }
        }
    }
    if let (Some(embedder), false) = (embedder, unsure.is_empty()) {
        let texts = unsure.iter().flat_map(|(claim, other)| [masked(&claim.text), masked(&other.text)]).collect();
        // A failing embedder leaves the words to decide, as without one.
        let vectors = embedder.embed_passages(texts).await.unwrap_or_default();
        for ((claim, other), pair) in unsure.iter().zip(vectors.chunks_exact(2)) {
            if super::support::cosine(&pair[0], &pair[1]) >= SAME_MEANING {
                add(&mut groups, claim, other);
            }
        }
    }
    groups.truncate(CONFLICTS_MAX);
    groups
}

/// A sentence or list item of a policy with a number in it.
struct Clause {
    evidence: usize,
    cite: Cite,
    text: String,
    words: HashSet<String>,
    qualifiers: BTreeSet<String>,
    values: Vec<(Decimal, String)>,
}

fn clauses(evidence: &[Evidence]) -> Vec<Clause> {
    let mut clauses: Vec<Clause> = Vec::new();
    for (at, one) in evidence.iter().enumerate().filter(|(_, one)| one.kind == "policy" && one.record.is_none()) {
        for unit in units(&one.text).into_iter().filter(|unit| matches!(unit.kind, UnitKind::Sentence | UnitKind::Item))
        {
            let text = shown(&one.text[unit.span.clone()]);
            let values = values(&text);
            if values.is_empty() {
                continue;
            }
            let words: HashSet<String> =
                stem_set(&text).into_iter().filter(|word| !word.starts_with(|c: char| c.is_ascii_digit())).collect();
            let around = stem_set(&format!("{text} {} {}", one.title, one.heading_path.join(" ")));
            let qualifiers = around.into_iter().filter(|word| QUALIFIERS.contains(&word.as_str())).collect();
            let cite = Cite { evidence: at, span: unit.span, field: None };
            clauses.push(Clause { evidence: at, cite, text, words, qualifiers, values });
        }
    }
    clauses
}

fn is_of(claim: &Claimed, clause: &Clause) -> bool {
    matches!(&claim.cites[..], [cite] if cite.evidence == clause.evidence && cite.span == clause.cite.span)
}

/// Whether two clauses could contradict each other at all: of different documents, for the same scope, with as many numbers of the same
/// things, not all equal.
fn comparable(own: &Clause, other: &Clause, evidence: &[Evidence], scopes: &Scopes) -> bool {
    let (a, b) = (&evidence[own.evidence], &evidence[other.evidence]);
    let units = |clause: &Clause| clause.values.iter().map(|(_, unit)| unit.clone()).collect::<Vec<_>>();
    a.document_id != b.document_id
        && own.qualifiers == other.qualifiers
        && scopes.get(&a.document_id) == scopes.get(&b.document_id)
        && units(own) == units(other)
        && own.values != other.values
}

#[derive(Debug, PartialEq, Eq)]
enum Subject {
    Same,
    /// Its meaning has to be compared.
    Unsure,
    Other,
}

fn subject(own: &Clause, other: &Clause) -> Subject {
    let shared = own.words.intersection(&other.words).count();
    let all = own.words.union(&other.words).count();
    if shared < SHARED_MIN || all == 0 {
        return Subject::Other;
    }
    let share = shared as f64 / all as f64;
    let contained = shared == own.words.len().min(other.words.len());
    if share >= SAME_WORDS || (contained && share >= CONTAINED_WORDS) { Subject::Same } else { Subject::Unsure }
}

/// Numbers of a clause with the word that says of what: "30 calendar days" and "EUR 100".
fn values(text: &str) -> Vec<(Decimal, String)> {
    const CURRENCIES: [&str; 6] = ["eur", "usd", "gbp", "chf", "€", "$"];
    const SKIPPED: [&str; 5] = ["calendar", "working", "business", "full", "consecutive"];
    let folded = ingest::text::for_matching(text).replace('%', " percent ").replace('€', " eur ");
    let words: Vec<&str> = folded
        .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ';' | ':'))
        .map(|word| word.trim_matches(|c: char| matches!(c, ',' | '.' | '!' | '?' | '"' | '*')))
        .filter(|word| !word.is_empty())
        .collect();
    let mut values = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some(number) = super::check::number(word) else { continue };
        // "3.2 Return shipping": the number of the clause itself.
        if at == 0 {
            continue;
        }
        let before = words.get(at - 1).filter(|before| CURRENCIES.contains(before));
        let after = words[at + 1..].iter().find(|after| !SKIPPED.contains(after));
        let unit = before.or(after).copied().unwrap_or("");
        values.push((number.normalize(), unit.trim_end_matches('s').to_owned()));
    }
    values
}

fn masked(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect()
}

fn add(groups: &mut Vec<Group>, claim: &Claimed, other: &Clause) {
    let against = Claimed { text: other.text.clone(), cites: vec![other.cite.clone()] };
    let known = |group: &Group, one: &Claimed| group.iter().any(|claim| claim.cites == one.cites);
    match groups.iter_mut().find(|group| known(group, claim) || known(group, &against)) {
        Some(group) => {
            for one in [claim.clone(), against] {
                if !known(group, &one) {
                    group.push(one);
                }
            }
        }
        None => groups.push(vec![claim.clone(), against]),
    }
}

/// `claims` with every claim of a conflict in it, the two sides next to each other.
pub fn stated(mut claims: Vec<Claimed>, groups: &[Group]) -> Vec<Claimed> {
    for group in groups {
        let first = claims.iter().position(|claim| group.iter().any(|one| one.cites == claim.cites));
        let at = first.unwrap_or(claims.len());
        claims.retain(|claim| !group.iter().any(|one| one.cites == claim.cites));
        let at = at.min(claims.len());
        claims.splice(at..at, group.iter().cloned());
    }
    claims
}

/// A model's claims without those that rest on either side of a conflict: what two sources disagree on is quoted, not worded.
pub fn unblended(claims: Vec<Claimed>, groups: &[Group]) -> Vec<Claimed> {
    let touches = |claim: &Claimed| {
        groups.iter().flatten().flat_map(|one| &one.cites).any(|side| {
            claim.cites.iter().any(|cite| {
                cite.evidence == side.evidence && cite.span.start < side.span.end && side.span.start < cite.span.end
            })
        })
    };
    claims.into_iter().filter(|claim| !touches(claim)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(id: &str, title: &str, text: &str) -> Evidence {
        Evidence {
            document_id: id.into(),
            version: 1,
            title: title.into(),
            kind: "policy".into(),
            source: "erp".into(),
            external_id: id.into(),
            policy_id: Some(id.into()),
            heading_path: vec![title.into()],
            effective_from: None,
            effective_to: None,
            start: 0,
            text: text.into(),
            record: None,
            spans: Vec::new(),
            pages: Vec::new(),
            synced_at_us: None,
        }
    }

    async fn conflicts(evidence: &[Evidence]) -> Vec<Vec<String>> {
        let unit = units(&evidence[0].text).remove(0);
        let text = shown(&evidence[0].text[unit.span.clone()]);
        let claim = Claimed { text, cites: vec![Cite { evidence: 0, span: unit.span, field: None }] };
        let groups = of_policies(&[claim], evidence, &Scopes::new(), None).await;
        groups.into_iter().map(|group| group.into_iter().map(|claim| claim.text).collect()).collect()
    }

    #[tokio::test]
    async fn two_clauses_that_differ_in_their_number_are_a_conflict() {
        let evidence = [
            policy("A", "Returns", "Goods may be sent back within 30 days of delivery."),
            policy("B", "Returns", "Goods may be sent back within 45 days of delivery. Labels cost EUR 5."),
        ];
        let both = vec![
            "Goods may be sent back within 30 days of delivery.".to_owned(),
            "Goods may be sent back within 45 days of delivery.".to_owned(),
        ];
        assert_eq!(conflicts(&evidence).await, [both]);
    }

    #[tokio::test]
    async fn another_group_another_subject_and_the_same_number_are_none() {
        let own = policy("A", "Returns", "Goods may be sent back within 30 days of delivery.");
        for other in [
            policy("B", "Trade returns", "Goods may be sent back within 14 days of delivery."),
            policy("B", "Returns", "Goods may be sent back within 30 days of delivery."),
            policy("B", "Lost parcels", "An enquiry with the carrier is opened after 5 days without movement."),
            policy("B", "Returns", "Goods may be sent back by anybody, whatever the price."),
        ] {
            assert!(conflicts(&[own.clone(), other.clone()]).await.is_empty(), "{}", other.text);
        }
        let same_document = [own.clone(), policy("A", "Returns", "Goods may be sent back within 45 days of delivery.")];
        assert!(conflicts(&same_document).await.is_empty());
    }

    #[test]
    fn what_a_model_said_about_a_conflict_is_replaced_by_both_sides() {
        let claim = |evidence: usize, text: &str| Claimed {
            text: text.into(),
            cites: vec![Cite { evidence, span: 0..10, field: None }],
        };
        let groups = vec![vec![claim(0, "30 days"), claim(1, "45 days")]];
        let worded = vec![claim(2, "fine"), claim(1, "between 30 and 45 days")];
        let texts: Vec<String> =
            stated(unblended(worded, &groups), &groups).into_iter().map(|claim| claim.text).collect();
        assert_eq!(texts, ["fine", "30 days", "45 days"]);
    }
}
