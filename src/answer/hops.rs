//! Questions over links: "the supplier of the product on PO-1", "may the order with tracking 1Z… still be returned". From the record that a
//! question names, along links, to the record it asks about; and whom the record belongs to, which decides whose policies apply.

use ingest::{RecordKind, schema};

use crate::access::Principal;
use crate::compute::{lexicon, tokens};
use crate::record::{self, Found};
use crate::store::TenantTx;

/// Records that one step may lead to.
const FRONTIER_MAX: usize = 4;
/// Steps of one chain.
const STEPS_MAX: usize = 3;

/// One step along a link.
#[derive(Debug, Clone)]
pub struct Step {
    pub from: Found,
    pub to: Found,
    /// The field that refers, and whether it stands on `from` (else on `to`).
    pub field: String,
    pub forward: bool,
}

/// Where the words of a question lead from one record.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    pub steps: Vec<Step>,
    /// The records the question asks about; empty when it names no other kind, or nothing is linked.
    pub ends: Vec<Found>,
}

/// Kinds that a question's words name, in order, without a kind that only introduces the identifier (`§` marks it).
///
/// In "the customer's order §" the last of neighbouring nouns counts for the identifier.
pub fn kinds_named(words: &[String]) -> Vec<(usize, RecordKind)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let noun = lexicon::PROFILES
            .iter()
            .flat_map(|profile| {
                profile.nouns.iter().map(move |noun| (profile.kind, noun.split(' ').collect::<Vec<_>>()))
            })
            .filter(|(_, parts)| {
                words.len() >= at + parts.len() && parts.iter().zip(&words[at..]).all(|(part, word)| part == word)
            })
            .max_by_key(|(_, parts)| parts.len());
        let Some((kind, parts)) = noun else {
            at += 1;
            continue;
        };
        at += parts.len();
        // "Return window", "order date": the noun only says which window or date.
        const COMPOUNDS: [&str; 14] = [
            "window",
            "policy",
            "rule",
            "fee",
            "desk",
            "label",
            "date",
            "status",
            "terms",
            "limit",
            "hold",
            "value",
            "reference",
            "number",
        ];
        let compound = words.get(at).is_some_and(|word| COMPOUNDS.contains(&word.as_str()));
        let introduces = words.get(at).is_some_and(|word| word == "§")
            || (words.get(at).is_some_and(|word| matches!(word.as_str(), "no" | "number" | "nr" | "id"))
                && words.get(at + 1).is_some_and(|word| word == "§"));
        if !introduces && !compound {
            found.push((at - 1, kind));
        }
    }
    found
}

/// Words of a question with `§` for what it names.
pub fn marked_words(blanked: &str) -> Vec<String> {
    tokens::corrected(tokens::words(&ingest::text::for_matching(blanked)), &[])
}

/// Follows the kinds a question names from `start`: the nearest before the identifier first.
pub async fn follow(tx: &mut TenantTx, caller: &Principal, start: &Found, words: &[String]) -> sqlx::Result<Chain> {
    let mark = words.iter().position(|word| word == "§").unwrap_or(words.len());
    let kinds = kinds_named(words);
    let mut order: Vec<RecordKind> = kinds.iter().filter(|(at, _)| *at < mark).rev().map(|(_, kind)| *kind).collect();
    order.extend(kinds.iter().filter(|(at, _)| *at > mark).map(|(_, kind)| *kind));
    order.dedup();
    let mut chain = Chain::default();
    let mut frontier = vec![start.clone()];
    for kind in order.into_iter().filter(|kind| *kind != start.record.kind).take(STEPS_MAX) {
        let mut steps = Vec::new();
        for from in &frontier {
            steps.extend(step(tx, caller, from, kind).await?);
        }
        if steps.is_empty() && frontier.iter().any(|one| one.id != start.id) {
            steps = step(tx, caller, start, kind).await?;
        }
        if steps.is_empty() {
            continue;
        }
        let ends: Vec<Found> =
            steps.iter().filter(|step| step.to.record.kind == kind).map(|step| step.to.clone()).collect();
        frontier = unique(ends);
        chain.steps.extend(steps);
    }
    if !chain.steps.is_empty() {
        chain.ends = frontier;
    }
    Ok(chain)
}

fn unique(found: Vec<Found>) -> Vec<Found> {
    let mut kept: Vec<Found> = Vec::new();
    for one in found {
        if !kept.iter().any(|other| other.id == one.id) {
            kept.push(one);
        }
    }
    kept.truncate(FRONTIER_MAX);
    kept
}

/// The records of `kind` one link away, in either direction; else two links away through what `from` refers to.
pub async fn step(tx: &mut TenantTx, caller: &Principal, from: &Found, kind: RecordKind) -> sqlx::Result<Vec<Step>> {
    let audiences = caller.audiences();
    let mut steps = direct(tx, caller, from, kind).await?;
    if steps.is_empty() {
        let back = record::linked(tx, from.record.kind.as_str(), &from.record.external_id, &audiences, 50).await?;
        for to in back.into_iter().filter(|one| one.record.kind == kind).take(FRONTIER_MAX) {
            let links = to.record.links();
            let field =
                links.into_iter().find(|link| link.external_id == from.record.external_id).map(|link| link.field);
            steps.push(Step { from: from.clone(), to, field: field.unwrap_or_default(), forward: false });
        }
    }
    if !steps.is_empty() {
        return Ok(steps);
    }
    let mut between: Vec<RecordKind> = from.record.links().into_iter().map(|link| link.kind).collect();
    between.dedup();
    for middle in between {
        let refers = schema(middle).fields.iter().any(|spec| spec.link == Some(kind));
        if !refers {
            continue;
        }
        for first in direct(tx, caller, from, middle).await?.into_iter().take(FRONTIER_MAX) {
            let second = direct(tx, caller, &first.to, kind).await?;
            if !second.is_empty() {
                steps.push(first);
                steps.extend(second);
            }
        }
        if !steps.is_empty() {
            break;
        }
    }
    Ok(steps)
}

/// What `from` itself refers to.
async fn direct(tx: &mut TenantTx, caller: &Principal, from: &Found, kind: RecordKind) -> sqlx::Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for link in from.record.links().into_iter().filter(|link| link.kind == kind) {
        if steps.len() >= FRONTIER_MAX || steps.iter().any(|step| step.to.record.external_id == link.external_id) {
            continue;
        }
        for to in record::find(tx, kind.as_str(), &link.external_id, &caller.audiences()).await?.into_iter().take(1) {
            steps.push(Step { from: from.clone(), to, field: link.field.clone(), forward: true });
        }
    }
    Ok(steps)
}

/// The records whose traits say which policies apply: what the question names, where it leads, and the customer or supplier behind each.
pub async fn involved(
    tx: &mut TenantTx,
    caller: &Principal,
    named: &[&Found],
    chains: &[Chain],
) -> sqlx::Result<(Vec<Found>, Vec<Step>)> {
    let mut all: Vec<Found> = named.iter().map(|found| (*found).clone()).collect();
    all.extend(chains.iter().flat_map(|chain| chain.steps.iter().map(|step| step.to.clone())));
    let mut all = unique_all(all);
    let mut steps = Vec::new();
    for kind in [RecordKind::Order, RecordKind::Customer] {
        if all.iter().any(|one| one.record.kind == kind) {
            continue;
        }
        for from in all.clone() {
            let found = step(tx, caller, &from, kind).await?;
            let forward: Vec<Step> = found.into_iter().filter(|step| step.forward).collect();
            if !forward.is_empty() {
                all.extend(forward.iter().map(|step| step.to.clone()));
                steps.extend(forward);
                break;
            }
        }
    }
    Ok((unique_all(all), steps))
}

fn unique_all(found: Vec<Found>) -> Vec<Found> {
    let mut kept: Vec<Found> = Vec::new();
    for one in found {
        if !kept.iter().any(|other| other.id == one.id) {
            kept.push(one);
        }
    }
    kept
}
