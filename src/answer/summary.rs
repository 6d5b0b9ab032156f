//! A record in a few cited sentences, for support tools: state, what changed, what is unusual, what applies, what is next.
//!
//! Complete without a model. Facts and lateness come from fields by rules (`observe`), rules and procedures from the policies and runbooks
//! in force on the day that matters. Text of records is data: markup and links in it are taken out, and every sentence has a limit.

mod observe;

use std::collections::{BTreeMap, BTreeSet};

use ingest::{Record, RecordKind, schema};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use self::observe::{Observation, Scene};
use super::evidence::{Cite, Claimed, Evidence};
use super::prose::{self, Candidate};
use super::render::{self, CitedPlace, Claim, SourceAsOf};
use super::{Context, facts};
use crate::access::Principal;
use crate::document;
use crate::record::{self, Found};
use crate::retrieve::{self, Mode, Query, RetrieveError, when, when::Because};
use crate::store::TenantTx;

/// Longest sentence, characters.
const SENTENCE_MAX: usize = 300;
/// Facts that say how a record stands.
const STATE_MAX: usize = 8;
/// Changes told, newest first.
const CHANGES_MAX: usize = 5;
/// Versions looked back at.
const VERSIONS_MAX: i64 = 3;
/// Unusual things told.
const UNUSUAL_MAX: usize = 6;
/// Records looked at around this one.
const LINKED_MAX: usize = 12;
/// Topics that rules and procedures are looked up for.
const TOPICS_MAX: usize = 2;
/// Steps of a procedure told.
const STEPS_MAX: usize = 3;

/// A record in a few sentences; each names its citations.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Summary {
    pub kind: String,
    pub external_id: String,
    pub record_id: String,
    pub version: i64,
    pub title: String,
    /// How it stands, field by field.
    pub state: Vec<Claim>,
    /// Fields that differ from earlier versions, newest change first.
    pub changed: Vec<Claim>,
    /// Late, held, overdue, unequal, missing.
    pub unusual: Vec<Claim>,
    /// Rules in force on `policies_on`.
    pub applies: Vec<Claim>,
    /// The next expected event, and the first steps of the procedure for what is unusual.
    pub next: Vec<Claim>,
    /// Where each sentence stands; without the quoted words, which are data.
    pub citations: Vec<CitedPlace>,
    pub policies_on: String,
    pub because: Because,
    pub retrieval: Mode,
    pub as_of: Vec<SourceAsOf>,
}

/// The parts while they are gathered.
#[derive(Default)]
struct Parts {
    evidence: Vec<Evidence>,
    state: Vec<Claimed>,
    changed: Vec<Claimed>,
    unusual: Vec<Claimed>,
    applies: Vec<Claimed>,
    next: Vec<Claimed>,
}

/// The summary of the record of that kind with that external id; `None`: there is none that `caller` may see. Of several sources the first
/// by name counts.
pub async fn summarise(
    context: Context<'_>,
    caller: &Principal,
    kind: RecordKind,
    external_id: &str,
    now: Timestamp,
) -> Result<Option<Summary>, RetrieveError> {
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut parts = Parts::default();
    let mut tx = context.store.begin_read(caller.tenant).await?;
    let mut found = record::find(&mut tx, kind.as_str(), external_id, &caller.audiences()).await?;
    found.sort_by(|a, b| a.source.cmp(&b.source));
    let Some(main) = found.into_iter().next() else { return Ok(None) };
    let (linked, dangling) = around(&mut tx, caller, &main).await?;
    let mut cards: Vec<Vec<usize>> = Vec::new();
    for one in std::iter::once(&main).chain(&linked) {
        let first = parts.evidence.len();
        let own = document::cards_of(&mut tx, one.id, &caller.audiences()).await?;
        parts.evidence.extend(own.into_iter().map(|card| Evidence::of_card(one, card)));
        cards.push((first..parts.evidence.len()).collect());
    }
    parts.state = state(&parts.evidence, &cards[0]);
    parts.changed = changed(&mut tx, caller, &main, &mut parts.evidence).await?;
    drop(tx);
    let records: Vec<Record> = std::iter::once(&main).chain(&linked).map(|found| found.record.clone()).collect();
    let scene = Scene { records: &records, dangling: &dangling, today };
    let observed = observe::unusual(&scene);
    parts.unusual = observed.iter().filter_map(|one| cited(one, &cards, &parts.evidence)).take(UNUSUAL_MAX).collect();
    parts.next = observe::expected(&scene).iter().filter_map(|one| cited(one, &cards, &parts.evidence)).collect();
    let (day, because) = when::policy_day(None, "", &[&main], today);
    let mode = rules_and_steps(context, caller, &main, &observed, day, &mut parts).await?;
    Ok(Some(shaped(&main, parts, day, because, mode)))
}

/// Records that refer to this one and those it refers to; and its references that lead nowhere although there are records of that kind.
async fn around(
    tx: &mut TenantTx,
    caller: &Principal,
    main: &Found,
) -> sqlx::Result<(Vec<Found>, Vec<(String, &'static str)>)> {
    let audiences = caller.audiences();
    let (kind, id) = (main.record.kind.as_str(), &main.record.external_id);
    let mut linked = record::linked(tx, kind, id, &audiences, LINKED_MAX).await?;
    let mut dangling = Vec::new();
    let own: Vec<ingest::Link> =
        main.record.links().into_iter().filter(|link| !link.field.starts_with("lines.")).collect();
    for link in own.into_iter().take(LINKED_MAX) {
        let identifier = ingest::Identifier::new(schema(link.kind).scheme, &link.external_id);
        let mut targets = record::find(tx, link.kind.as_str(), &link.external_id, &audiences).await?;
        if targets.is_empty() {
            let named = record::identified(tx, &[identifier], &audiences).await?;
            targets =
                named.into_iter().map(|(_, found)| found).filter(|found| found.record.kind == link.kind).collect();
        }
        match targets.into_iter().next() {
            Some(target) if !linked.iter().any(|other| other.id == target.id) => linked.push(target),
            Some(_) => {}
            None if record::any_of_kind(tx, link.kind.as_str()).await? => {
                dangling.push((link.field, schema(link.kind).label));
            }
            None => {}
        }
    }
    linked.truncate(2 * LINKED_MAX);
    Ok((linked, dangling))
}

/// The fields that sum a record up, without its title before each.
fn state(evidence: &[Evidence], cards: &[usize]) -> Vec<Claimed> {
    let mut claims = facts::summary(evidence, cards, STATE_MAX);
    for claim in &mut claims {
        let cite = &claim.cites[0];
        claim.text = evidence[cite.evidence].text[cite.span.clone()].to_owned();
    }
    claims
}

/// Fields whose value differs from the version before, each citing both versions of the card.
async fn changed(
    tx: &mut TenantTx,
    caller: &Principal,
    main: &Found,
    evidence: &mut Vec<Evidence>,
) -> sqlx::Result<Vec<Claimed>> {
    let mut claims = Vec::new();
    let oldest = (main.version - VERSIONS_MAX).max(1);
    let mut newer: Option<Vec<usize>> = None;
    for version in (oldest..=main.version).rev() {
        let first = evidence.len();
        let cards = document::cards_at(tx, main.id, version, &caller.audiences()).await?;
        evidence.extend(cards.into_iter().map(|card| Evidence::of_card(main, card)));
        let these: Vec<usize> = (first..evidence.len()).collect();
        if let Some(newer) = &newer {
            for (new, old) in newer.iter().zip(&these) {
                claims.extend(differences(evidence, *new, *old));
            }
        }
        newer = Some(these);
        if claims.len() >= CHANGES_MAX {
            break;
        }
    }
    claims.truncate(CHANGES_MAX);
    Ok(claims)
}

fn differences(evidence: &[Evidence], new: usize, old: usize) -> Vec<Claimed> {
    const NOT_NEWS: [&str; 2] = ["updated_at", "days_overdue"];
    let (new_card, old_card) = (&evidence[new], &evidence[old]);
    let kind = new_card.record.as_ref().and_then(|record| record.kind.parse::<RecordKind>().ok());
    let mut claims = Vec::new();
    for span in
        new_card.spans.iter().filter(|span| !span.path.starts_with("lines.") && !NOT_NEWS.contains(&span.path.as_str()))
    {
        let value = &new_card.text[span.value_start..span.value_end];
        let before = old_card.spans.iter().find(|other| other.path == span.path);
        let was = before.map(|before| &old_card.text[before.value_start..before.value_end]);
        if was == Some(value) {
            continue;
        }
        let label =
            kind.and_then(|kind| schema(kind).by_path(&span.path)).map_or(span.path.as_str(), |spec| spec.label);
        let mut cites = vec![Cite { evidence: new, span: span.start..span.end, field: Some(span.path.clone()) }];
        let text = match (before, was) {
            (Some(before), Some(was)) => {
                cites.push(Cite { evidence: old, span: before.start..before.end, field: Some(before.path.clone()) });
                format!("{label}: {value}, before that {was}.")
            }
            _ => format!("{label}: {value}, not set before."),
        };
        claims.push(Claimed { text, cites });
    }
    claims
}

/// An observation with the places of its fields; without any of them it is not told.
fn cited(observation: &Observation, cards: &[Vec<usize>], evidence: &[Evidence]) -> Option<Claimed> {
    let cites: Vec<Cite> = observation
        .fields
        .iter()
        .filter_map(|(at, path)| {
            cards.get(*at)?.iter().find_map(|card| {
                let span = evidence[*card].spans.iter().find(|span| span.path == *path)?;
                Some(Cite { evidence: *card, span: span.start..span.end, field: Some(span.path.clone()) })
            })
        })
        .collect();
    (!cites.is_empty()).then(|| Claimed { text: observation.text.clone(), cites })
}

/// Looks up what the policies say about the topics, and what the runbooks say to do about what is unusual.
async fn rules_and_steps(
    context: Context<'_>,
    caller: &Principal,
    main: &Found,
    observed: &[Observation],
    day: jiff::civil::Date,
    parts: &mut Parts,
) -> Result<Mode, RetrieveError> {
    let mut topics: Vec<&str> =
        observed.iter().map(|one| one.topic.as_str()).filter(|topic| !topic.is_empty()).collect();
    topics.dedup();
    topics.truncate(TOPICS_MAX);
    let unusual = !topics.is_empty();
    if !unusual {
        topics.push(observe::usual_topic(&main.record));
    }
    let mut mode = Mode::Lookup;
    for topic in topics.into_iter().filter(|topic| !topic.is_empty()) {
        let label = schema(main.record.kind).label.to_lowercase();
        let asked = format!("{label} {topic}");
        let policies = search(context, caller, &asked, "policy", day, parts).await?;
        mode = policies.0;
        let told = prose::answer(&asked, &asked, &parts.evidence, &policies.1, &|_| false).claims;
        parts.applies.extend(told.into_iter().take(1));
        if unusual && parts.next.len() < STEPS_MAX {
            let runbooks = search(context, caller, &asked, "runbook", day, parts).await?;
            let steps =
                prose::answer(&format!("{asked} steps"), &asked, &parts.evidence, &runbooks.1, &|_| false).claims;
            let room = STEPS_MAX.saturating_sub(parts.next.len());
            parts.next.extend(steps.into_iter().take(room));
        }
    }
    Ok(mode)
}

async fn search(
    context: Context<'_>,
    caller: &Principal,
    text: &str,
    kind: &str,
    day: jiff::civil::Date,
    parts: &mut Parts,
) -> Result<(Mode, Vec<Candidate>), RetrieveError> {
    let query = Query {
        text: text.to_owned(),
        kinds: Some(vec![kind.to_owned()]),
        sources: None,
        on: Some(day),
        limit: usize::from(context.config.retrieve.passages_max.get()),
        ..Query::default()
    };
    let found = retrieve::search(context.store, context.index, &context.config.retrieve, caller, &query).await?;
    let first = parts.evidence.len();
    parts.evidence.extend(found.hits.iter().map(|hit| Evidence::of_passage(&hit.passage)));
    let candidates = found.hits.iter().zip(first..).map(|(hit, evidence)| Candidate {
        evidence,
        score: hit.score,
        cosine: hit.dense.map(|dense| dense.score),
        scoped: false,
    });
    Ok((found.mode, candidates.collect()))
}

fn shaped(main: &Found, parts: Parts, day: jiff::civil::Date, because: Because, retrieval: Mode) -> Summary {
    let mut citations = Vec::new();
    let mut as_of: BTreeMap<String, Option<i64>> = BTreeMap::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut section = |claims: &[Claimed]| -> Vec<Claim> {
        let mut claims = render::cite(claims, &parts.evidence, &mut citations, &mut as_of);
        for claim in &mut claims {
            claim.text = plain(&claim.text);
        }
        claims.retain(|claim| !claim.text.is_empty() && seen.insert(claim.text.clone()));
        claims
    };
    let (state, changed, unusual) = (section(&parts.state), section(&parts.changed), section(&parts.unusual));
    let (applies, next) = (section(&parts.applies), section(&parts.next));
    Summary {
        kind: main.record.kind.as_str().to_owned(),
        external_id: main.record.external_id.clone(),
        record_id: main.id.to_string(),
        version: main.version,
        title: plain(&ingest::card::title(&main.record)),
        state,
        changed,
        unusual,
        applies,
        next,
        citations: citations.into_iter().map(CitedPlace::of).collect(),
        policies_on: day.to_string(),
        because,
        retrieval,
        as_of: as_of.into_iter().map(|(source, synced_at_us)| SourceAsOf { source, synced_at_us }).collect(),
    }
}

/// Text as it may stand on somebody else's page: one line, no markup, no address that a viewer could turn into a link, a bounded length.
pub fn plain(text: &str) -> String {
    let shown = super::sentences::shown(text);
    let mut out = String::with_capacity(shown.len());
    for word in shown.split(' ') {
        if !out.is_empty() {
            out.push(' ');
        }
        let bare = word.to_lowercase();
        let address =
            ["://", "www.", "javascript:", "data:", "mailto:", "vbscript:"].iter().any(|part| bare.contains(part));
        if address { out.push_str("(link removed)") } else { out.push_str(word) }
    }
    let safe: String =
        out.replace('<', "‹").replace('>', "›").replace('&', "＆").replace(['\u{2028}', '\u{2029}'], " ");
    if safe.chars().count() <= SENTENCE_MAX {
        return safe;
    }
    let mut cut: String = safe.chars().take(SENTENCE_MAX - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_addresses_of_data_do_not_leave() {
        let hostile = "<img src=x onerror=alert(1)> see [here](https://evil.example/?q=1) or HTTPS://evil.example, **now** javascript:alert(1)";
        let text = plain(hostile);
        for bad in ["<", ">", "evil.example", "javascript:", "**", "]("] {
            assert!(!text.contains(bad), "{bad} in {text}");
        }
        assert!(text.contains("here") && text.contains("now"), "{text}");
        assert_eq!(plain(&"a".repeat(1_000)).chars().count(), SENTENCE_MAX);
        assert_eq!(plain("a\u{202e}b"), "a⟦U+202E⟧b");
    }
}
