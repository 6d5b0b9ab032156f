//! Answers: claims with citations, or an honest abstention. After `retrieve`; faces only shape what comes from here.
//!
//! Code decides, the model words. What a question names is looked up (`facts`), what it asks is searched and quoted (`prose`), and whether
//! that suffices is decided before any model runs. A configured model may then word the claims (`model`); with none, or when it fails or
//! nothing of it survives the checks, the extractive rung answers. Every answer names its rung.

pub mod check;
mod computed;
mod conflict;
mod deadline;
mod evidence;
mod facts;
mod history;
mod hops;
mod investigate;
mod model;
mod prose;
mod render;
mod scope;
pub mod sentences;
pub mod summary;
pub mod support;
mod tables;
pub mod words;

pub use computed::Computed;
pub use evidence::{Cite, Claimed, Evidence, RecordRef};
pub use render::{Answer, Checks, Citation, Claim, Conflict, How, Understood};
pub use sentences::{UnitKind, shown, units};
pub use words::stem_set;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use ingest::schema;
use jiff::Timestamp;
use jiff::civil::Date;
use regex::Regex;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Principal;
use crate::config::Config;
use crate::document;
use crate::ids::SourceId;
use crate::index::Index;
use crate::ladder::{ModelCall, OptionalTenantModel, Place};
use crate::record::{self, Found};
use crate::retrieve::{self, Identified, Mode, Query, RetrieveError};
use crate::store::Store;

use self::prose::Candidate;

/// Longest question, bytes.
pub const QUESTION_MAX: usize = 8_000;
/// Kinds of prose.
pub const PROSE_KINDS: [&str; 4] = ["policy", "runbook", "page", "note"];
/// Records whose facts one answer states.
const RECORDS_MAX: usize = 3;
/// Parts of a question that are answered.
const PARTS_MAX: usize = 6;

/// Which rung of the ladder answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Worded by the configured model, each claim checked.
    Model,
    /// Worded by the second model, because the first one failed; each claim checked.
    SecondModel,
    /// Quoted verbatim from records and documents.
    Extractive,
}

/// A question with its conditions.
#[derive(Debug, Clone, Default)]
pub struct Question {
    pub text: String,
    /// Policies as of this day.
    pub as_of: Option<Date>,
    pub kinds: Option<Vec<String>>,
    pub sources: Option<Vec<SourceId>>,
}

impl Question {
    /// Whether a record may be cited.
    fn admits(&self, found: &Found) -> bool {
        found.is_among(self.kinds.as_deref(), self.sources.as_deref())
    }
}

/// What answering needs.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub store: &'a Store,
    pub index: &'a Index,
    /// The models as the caller's tenant may use them, for this request.
    pub llm: &'a OptionalTenantModel,
    pub config: &'a Config,
}

/// Everything that was found for a question, before it is worded.
struct Dossier {
    evidence: Vec<Evidence>,
    claims: Vec<Claimed>,
    /// Claims that code derived (numbers over records, changes, terms) and checked where it derived them; they stand first and no model
    /// words them.
    derived: Vec<(Claimed, How)>,
    computed: Vec<Computed>,
    not_found: Vec<String>,
    /// Fields that were asked for and are not on record; said unless prose answers instead.
    missing: Vec<String>,
    understood: Understood,
    mode: Mode,
    passages: usize,
    sufficient: bool,
    /// Claims on which two sources disagree.
    conflicts: Vec<conflict::Group>,
}

/// What prose is searched for.
struct Matter<'a> {
    /// The question without identifiers.
    text: &'a str,
    /// The same with the kinds of the records it names before it.
    asked: &'a str,
    /// Words for these kinds: they say where to look, not what is asked.
    nouns: &'a [&'a str],
    /// Its words that no record field answered; a part that has none of them is answered already.
    rest: &'a str,
    day: Date,
    /// The records the question is about, and whose they are.
    involved: &'a [Found],
}

/// Answers `question` for `caller`, or abstains.
pub async fn answer(
    context: Context<'_>,
    caller: &Principal,
    question: &Question,
    now: Timestamp,
) -> Result<Answer, RetrieveError> {
    let mut dossier = investigate::investigate(context, caller, question, now).await?;
    let mut checks = Checks::default();
    dossier.conflicts = conflict::find(context, caller, &dossier.claims, &dossier.evidence).await?;
    dossier.claims = conflict::stated(dossier.claims, &dossier.conflicts);
    dossier.claims.retain(|claim| keeps(claim, &dossier.evidence, &mut checks));
    let mut worded_by: Option<ModelCall> = None;
    if let (Some(model), true) = (context.llm, dossier.sufficient && !dossier.claims.is_empty()) {
        let day = dossier.understood.policies_on.clone();
        let llm = &context.config.llm;
        let tokens = llm.context_tokens.get() as usize;
        match model::word(model.as_ref(), &question.text, &day, &dossier.evidence, tokens, llm.answer_tokens.get())
            .await
        {
            Ok(mut worded) => {
                checks.refused.extend(worded.refused);
                let embedder = context.index.embedder().map(AsRef::as_ref);
                let (claims, refused) =
                    support::supported(worded.claims, &dossier.evidence, &question.text, embedder).await;
                worded.claims = claims;
                checks.refused.extend(std::iter::repeat_n(check::Refused::UnsupportedText, refused));
                if worded.claims.is_empty() {
                    checks.fell_back_because = Some("no claim of the model passed the checks".into());
                } else {
                    worded_by = model.answered();
                    let worded = conflict::unblended(worded.claims, &dossier.conflicts);
                    dossier.claims = conflict::stated(worded, &dossier.conflicts);
                }
            }
            Err(error) => {
                tracing::info!(%error, "no model answered; the extractive rung does");
                checks.fell_back_because = Some(error.to_string());
            }
        }
    }
    checks.count(context.llm.as_ref().map(|model| model.calls()).unwrap_or_default());
    let answer = render::answer(dossier.into_findings(), worded_by, checks);
    let label = if answer.abstained { "abstained" } else { answer.rung_label() };
    metrics::counter!("countersign_answers_total", "outcome" => label).increment(1);
    Ok(answer)
}

/// The check every claim passes, on either rung: its citations are spans of evidence that was given, and hold what it says.
fn keeps(claim: &Claimed, evidence: &[Evidence], checks: &mut Checks) -> bool {
    let cited: Option<Vec<String>> = claim
        .cites
        .iter()
        .map(|cite| {
            let evidence = evidence.get(cite.evidence)?;
            Some(format!("{}\n{}", evidence.title, evidence.text.get(cite.span.clone())?))
        })
        .collect();
    let verdict = cited.ok_or(check::Refused::UnknownEvidence).and_then(|cited| verbatim(claim, &cited));
    checks.checked += 1;
    verdict.map_err(|reason| checks.refused.push(reason)).is_ok()
}

/// An extractive claim is a quote with the record's title and field label before it: its values must occur, its words do by construction.
fn verbatim(claim: &Claimed, cited: &[String]) -> Result<(), check::Refused> {
    if cited.is_empty() {
        return Err(check::Refused::UnknownEvidence);
    }
    let quotes: Vec<String> = cited.iter().map(|text| sentences::shown(text)).collect();
    let body = claim.text.rsplit(": ").next().unwrap_or(&claim.text);
    if quotes.iter().any(|quote| quote.contains(&sentences::shown(body))) {
        Ok(())
    } else {
        Err(check::Refused::UnsupportedText)
    }
}

/// The question without the identifiers in it.
fn blank(question: &str, identified: &[Identified]) -> String {
    let mut text = question.to_owned();
    for one in identified.iter().rev() {
        text.replace_range(one.range.clone(), " ");
    }
    text
}

/// States what the question asks of the records it names; `answered`: linked records said something already, so that a question that asks
/// nothing of these needs no summary of them. Returns the words that were not understood as fields.
async fn record_facts(
    context: Context<'_>,
    caller: &Principal,
    question: &Question,
    identified: &[Identified],
    words: &str,
    answered: bool,
    dossier: &mut Dossier,
) -> Result<String, RetrieveError> {
    let mut understood: Vec<Range<usize>> = Vec::new();
    let mut tx = context.store.begin_read(caller.tenant).await?;
    for one in identified.iter().take(RECORDS_MAX) {
        if one.records.is_empty() {
            let why = if one.outside {
                "What is stored under {} is of a kind or source not asked for"
            } else {
                "Nothing is stored under {}"
            };
            dossier.not_found.push(why.replace("{}", &one.shown));
            continue;
        }
        // Of several records with that identifier, the ones that can answer; none of them can: the best reading.
        let mut asked: Vec<(&Found, facts::Asked)> =
            one.records.iter().take(4).map(|found| (found, facts::asked(found, words))).collect();
        let best = asked.iter().map(|(_, asked)| asked.fields.len() + usize::from(asked.lines)).max().unwrap_or(0);
        // The same record from another source stays even if it has less of what is asked: where it differs is worth saying.
        let best_ids: Vec<String> = asked
            .iter()
            .filter(|(_, asked)| asked.fields.len() + usize::from(asked.lines) == best)
            .map(|(found, _)| found.record.external_id.clone())
            .collect();
        asked.retain(|(found, asked)| {
            let count = asked.fields.len() + usize::from(asked.lines);
            best == 0 || count == best || (count > 0 && best_ids.contains(&found.record.external_id))
        });
        let same_kind = asked.first().map(|(found, _)| found.record.kind);
        asked.retain(|(found, _)| Some(found.record.kind) == same_kind);
        asked.truncate(if best == 0 { 2 } else { 4 });
        for (found, asked) in asked {
            understood.extend(asked.understood.iter().cloned());
            let cards = add_cards(&mut tx, caller, found, dossier).await?;
            if best == 0 && answered {
                continue;
            }
            if best == 0 {
                let fields = if identified.len() == 1 && words::stems(words).len() < 2 { 10 } else { 3 };
                dossier.claims.extend(facts::summary(&dossier.evidence, &cards, fields));
                continue;
            }
            dossier.claims.extend(facts::claims(&dossier.evidence, &cards, &asked));
            linked_names(&mut tx, caller, question, found, &asked, dossier).await?;
            missing_facts(&mut tx, caller, question, found, &asked, words, dossier).await?;
        }
    }
    Ok(without(words, &understood))
}

async fn add_cards(
    tx: &mut crate::store::TenantTx,
    caller: &Principal,
    found: &Found,
    dossier: &mut Dossier,
) -> sqlx::Result<Vec<usize>> {
    let cards = document::cards_of(tx, found.id, &caller.audiences()).await?;
    let first = dossier.evidence.len();
    dossier.evidence.extend(cards.into_iter().map(|card| Evidence::of_card(found, card)));
    Ok((first..dossier.evidence.len()).collect())
}

/// "Which supplier is it with": the field holds an id; the name stands on the other record.
async fn linked_names(
    tx: &mut crate::store::TenantTx,
    caller: &Principal,
    question: &Question,
    found: &Found,
    asked: &facts::Asked,
    dossier: &mut Dossier,
) -> sqlx::Result<()> {
    for spec in &asked.fields {
        let (Some(kind), Some(id)) = (spec.link, found.record.fields.get(spec.name).and_then(ingest::Value::as_text))
        else {
            continue;
        };
        let others = record::find(tx, kind.as_str(), id, &caller.audiences()).await?;
        let Some(other) = others.iter().find(|other| question.admits(other)) else { continue };
        for card in add_cards(tx, caller, other, dossier).await? {
            dossier.claims.extend(facts::named(&dossier.evidence, card, kind));
        }
    }
    Ok(())
}

/// A field that was asked for and is not on the record may stand on a record that refers to it (a shipment of the order); else the answer
/// says that it is missing.
async fn missing_facts(
    tx: &mut crate::store::TenantTx,
    caller: &Principal,
    question: &Question,
    found: &Found,
    asked: &facts::Asked,
    words: &str,
    dossier: &mut Dossier,
) -> sqlx::Result<()> {
    if asked.missing.is_empty() {
        return Ok(());
    }
    let kind = found.record.kind.as_str();
    let linked = record::linked(tx, kind, &found.record.external_id, &caller.audiences(), 10).await?;
    let mut answered = false;
    for other in linked.iter().filter(|other| question.admits(other)) {
        let also = facts::asked(other, words);
        let fields: Vec<_> = also
            .fields
            .iter()
            .copied()
            .filter(|spec| asked.missing.iter().any(|(phrase, _)| names(spec, phrase)))
            .collect();
        if fields.is_empty() {
            continue;
        }
        let only = facts::Asked { fields, ..facts::Asked::default() };
        let cards = add_cards(tx, caller, other, dossier).await?;
        dossier.claims.extend(facts::claims(&dossier.evidence, &cards, &only));
        answered = true;
    }
    if !answered {
        for (_, label) in &asked.missing {
            dossier.missing.push(format!("{} has no “{label}” on record", schema(found.record.kind).label));
        }
    }
    Ok(())
}

fn names(spec: &ingest::FieldSpec, phrase: &str) -> bool {
    spec.label.to_lowercase() == phrase || spec.name.replace('_', " ") == phrase || spec.synonyms.contains(&phrase)
}

/// Searches and quotes prose for what the records did not answer. Returns whether it was found.
async fn prose_facts(
    context: Context<'_>,
    caller: &Principal,
    question: &Question,
    matter: &Matter<'_>,
    dossier: &mut Dossier,
) -> Result<bool, RetrieveError> {
    let Matter { text, asked, nouns, rest, day, involved } = *matter;
    let kinds = question.kinds.clone().unwrap_or_else(|| PROSE_KINDS.map(str::to_owned).to_vec());
    let searched =
        if prose::asks_for_time(text) { prose::without_duration_words(asked, asked) } else { asked.to_owned() };
    let mut query = Query {
        // "Steps" stands over every procedure: it says what form the answer has, not where it is.
        text: searched.split(' ').filter(|word| !words::is_form(word)).collect::<Vec<_>>().join(" "),
        kinds: Some(kinds),
        sources: question.sources.clone(),
        on: Some(day),
        // A term that begins on a day of the record is recognised among many; a short question names it badly.
        limit: usize::from(context.config.retrieve.passages_max.get())
            * if !involved.is_empty() && prose::asks_for_time(text) { 4 } else { 2 },
        ..Query::default()
    };
    let mut found = retrieve::search(context.store, context.index, &context.config.retrieve, caller, &query).await?;
    let mut scoped = keep_applicable(context, caller, question, involved, &mut found, dossier).await?;
    let rule = prose::asks_for_time(text) || prose::asks_for_rule(text);
    if rule && !dossier.understood.traits.is_empty() {
        // Whose record it is belongs to a question for a rule: "trade" finds the trade policy, beside what was found without it.
        for one in &dossier.understood.traits {
            query.text.push(' ');
            query.text.push_str(&one.value);
        }
        let mut more = retrieve::search(context.store, context.index, &context.config.retrieve, caller, &query).await?;
        scoped.extend(keep_applicable(context, caller, question, involved, &mut more, dossier).await?);
        let known: HashSet<String> = found.hits.iter().map(|hit| hit.passage.chunk_id.clone()).collect();
        found.hits.extend(more.hits.into_iter().filter(|hit| !known.contains(&hit.passage.chunk_id)));
    }
    dossier.mode = found.mode;
    dossier.passages = found.hits.len();
    let first = dossier.evidence.len();
    dossier.evidence.extend(found.hits.iter().map(|hit| Evidence::of_passage(&hit.passage)));
    let candidates: Vec<Candidate> = found
        .hits
        .iter()
        .zip(first..)
        .map(|(hit, evidence)| Candidate {
            evidence,
            score: hit.score,
            cosine: hit.dense.map(|dense| dense.score),
            scoped: scoped.contains(&hit.passage.document_id),
        })
        .collect();
    let mut sufficient = false;
    let open = words::stem_set(rest);
    // What a record field answered does not say which procedure is wanted; the kind of the record does.
    let kind = asked.split(' ').next().unwrap_or_default();
    let whole = if open.is_empty() { asked.to_owned() } else { format!("{kind} {rest}") };
    // Split with the kind before it, so that "Shipment § has not moved" is a part of its own; the kind itself is not asked for.
    let mut parts: Vec<String> = parts(asked).iter().map(|part| without_words(part, nouns)).collect();
    parts.truncate(PARTS_MAX);
    // "It has not moved. What are the steps?": the first part says what it is about, the second asks.
    let any_asks = parts.iter().any(|part| asks(part));
    for part in parts.iter().filter(|part| !any_asks || asks(part)) {
        let asked_anyway = prose::asks_for_steps(part) || prose::asks_for_rule(part) || prose::asks_for_time(part);
        if !asked_anyway && !words::stems(part).iter().any(|stem| open.contains(stem)) {
            continue;
        }
        let whole = if prose::asks_for_steps(part) { whole.as_str() } else { asked };
        let anchored = |unit: &str| !deadline::deadlines(unit, involved).is_empty();
        let prose = prose::answer(part, whole, &dossier.evidence, &candidates, &anchored);
        dossier.understood.coverage = dossier.understood.coverage.max(prose.coverage);
        sufficient |= prose.sufficient;
        for claim in prose.claims {
            if !dossier.claims.iter().any(|other| other.text == claim.text) {
                dossier.claims.push(claim);
            }
        }
    }
    Ok(sufficient)
}

/// `part` without these words, whatever their case.
fn without_words(part: &str, words: &[&str]) -> String {
    let said = |word: &&str| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        words.iter().any(|one| bare.eq_ignore_ascii_case(one))
    };
    part.split(' ').filter(|word| !said(word)).collect::<Vec<_>>().join(" ")
}

/// Leaves out policies whose scope excludes the records in question, or those the question's words exclude. Returns the documents whose scope
/// the records meet.
async fn keep_applicable(
    context: Context<'_>,
    caller: &Principal,
    question: &Question,
    involved: &[Found],
    found: &mut retrieve::Retrieval,
    dossier: &mut Dossier,
) -> Result<HashSet<String>, RetrieveError> {
    let mut ids: Vec<String> = found.hits.iter().map(|hit| hit.passage.document_id.clone()).collect();
    ids.sort();
    ids.dedup();
    let mut tx = context.store.begin_read(caller.tenant).await?;
    let scopes: HashMap<String, scope::Scope> = document::scopes(&mut tx, &ids).await?.into_iter().collect();
    let all: Vec<&scope::Scope> = scopes.values().collect();
    let traits = scope::traits(&all, involved);
    found.hits.retain(|hit| {
        let own = scopes.get(&hit.passage.document_id);
        own.is_none_or(|own| scope::applies(own, &all, &traits, &question.text))
    });
    let kept: HashSet<&String> = found.hits.iter().map(|hit| &hit.passage.document_id).collect();
    let decided = |own: &scope::Scope| own.keys().any(|key| traits.iter().any(|one| one.key == *key));
    let scoped =
        scopes.iter().filter(|(id, own)| kept.contains(id) && decided(own)).map(|(id, _)| id.clone()).collect();
    dossier.understood.traits = traits;
    Ok(scoped)
}

static PART: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)[?;]\s|[.!]\s+|,?\s+and\s+(?:(?:what|how|when|who|where|which|since|within|may|can|must|is|are|do|does)\b)").ok()
});

/// The parts of a question that are answered each by itself: "how long may it last, and who decides?" is two. What is too short to be
/// looked for alone stays with the part before it.
fn parts(question: &str) -> Vec<String> {
    let Some(pattern) = PART.as_ref() else { return vec![question.to_owned()] };
    let mut parts: Vec<String> = Vec::new();
    let mut start = 0;
    let ends = pattern.find_iter(question).map(|found| found.start()).chain([question.len()]);
    for end in ends {
        let part = question.get(start..end).unwrap_or_default();
        start = end;
        match parts.last_mut() {
            Some(last) if words::stems(part).len() < 2 => last.push_str(part),
            _ => parts.push(part.to_owned()),
        }
    }
    parts
}

/// Whether a part of a question asks something, rather than telling what it is about.
fn asks(part: &str) -> bool {
    const ANYWHERE: [&str; 10] = ["what", "how", "when", "who", "where", "which", "why", "whose", "whom", "steps"];
    const FIRST: [&str; 16] = [
        "may", "can", "could", "must", "is", "are", "was", "were", "do", "does", "did", "should", "will", "has",
        "have", "within",
    ];
    let folded = ingest::text::for_matching(part);
    let mut words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty() && *word != "and");
    words.next().is_some_and(|first| FIRST.contains(&first) || ANYWHERE.contains(&first))
        || words.any(|word| ANYWHERE.contains(&word))
}

/// `words` without the given byte ranges.
fn without(words: &str, ranges: &[Range<usize>]) -> String {
    words.char_indices().map(|(at, c)| if ranges.iter().any(|range| range.contains(&at)) { ' ' } else { c }).collect()
}
