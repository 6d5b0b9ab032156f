//! The answer object: one shape feeds every transport.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::check::Refused;
use super::computed::Computed;
use super::evidence::{Claimed, Evidence, RecordRef};
use super::scope::Trait;
use super::{Dossier, ModelCall, Place, Rung, model};
use crate::ids::AnswerId;
use crate::ladder::{Cost, total_cost};
use crate::retrieve::{Identified, Mode, when::Because};

/// An answer, or an abstention that says what was searched.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Answer {
    pub answer_id: String,
    pub rung: Rung,
    /// True: the evidence does not answer the question; there are no claims.
    pub abstained: bool,
    /// The claims as one text with `[n]` after each, n as in `citations`.
    pub text: String,
    pub claims: Vec<Claim>,
    /// Only what a claim rests on.
    pub citations: Vec<Citation>,
    /// The numbers among the claims, each with the query behind it and its first rows.
    pub computed: Vec<Computed>,
    /// What was asked for and is not on record.
    pub not_found: Vec<String>,
    /// Where two live sources disagree: both sides stand among the claims.
    pub conflicts: Vec<Conflict>,
    pub understood: Understood,
    pub retrieval: Mode,
    pub searched: Searched,
    /// How fresh each cited source is.
    pub as_of: Vec<SourceAsOf>,
    /// Version of the prompt (model rung only).
    pub prompt_version: Option<String>,
    /// What worded the claims, and its provider's host (model rungs only).
    pub model: Option<String>,
    pub provider: Option<String>,
    /// Of all calls made for this answer, also those that failed; absent without configured prices.
    pub cost: Option<Cost>,
    pub checks: Checks,
}

/// Claims that cannot all be true. None of them was preferred.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Conflict {
    /// Positions among the claims, from 0.
    pub claims: Vec<usize>,
    /// The citations of all of them.
    pub citations: Vec<usize>,
}

/// One checkable sentence and the numbers of its citations.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Claim {
    pub text: String,
    pub citations: Vec<usize>,
    pub how: How,
}

/// Where a claim comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// From a field of a record.
    LookedUp,
    /// Derived by code from several records or days.
    Computed,
    /// Quoted from a document that search found.
    Retrieved,
}

/// A span of one version of one document: `quote` stands there byte for byte.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Citation {
    /// From 1.
    pub n: usize,
    pub document_id: String,
    pub version: i64,
    pub start: usize,
    pub end: usize,
    pub quote: String,
    pub title: String,
    pub kind: String,
    pub source: String,
    pub external_id: String,
    pub policy_id: Option<String>,
    pub effective_from: Option<String>,
    pub effective_to: Option<String>,
    pub heading_path: Vec<String>,
    /// From 1; absent for formats without pages.
    pub page: Option<usize>,
    /// Where to read it: the exact text of that version.
    pub href: String,
    pub record: Option<RecordRef>,
}

/// A citation without the words it quotes: where to read them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CitedPlace {
    /// From 1.
    pub n: usize,
    pub document_id: String,
    pub version: i64,
    pub start: usize,
    pub end: usize,
    pub kind: String,
    pub source: String,
    pub policy_id: Option<String>,
    /// The exact text of that version, on this service.
    pub href: String,
    pub record: Option<RecordRef>,
}

impl CitedPlace {
    pub(super) fn of(citation: Citation) -> Self {
        let Citation { n, document_id, version, start, end, kind, source, policy_id, href, record, .. } = citation;
        Self { n, document_id, version, start, end, kind, source, policy_id, href, record }
    }
}

/// How the question was read.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Understood {
    /// Identifiers as written, with the records they name.
    pub identifiers: Vec<NamedRecords>,
    /// Policies in force on this day were used.
    pub policies_on: String,
    pub because: Because,
    /// Share of the question's weighted words that the best passage holds, 0 to 1.
    pub coverage: f64,
    /// The question as it stands alone, when its conversation was needed to understand it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// What the records say about whom policies apply to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traits: Vec<Trait>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NamedRecords {
    pub shown: String,
    /// As `order/SO-1042`.
    pub records: Vec<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Searched {
    /// Passages that competed.
    pub passages: usize,
    /// Sources they came from.
    pub sources: Vec<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SourceAsOf {
    pub source: String,
    /// End of its last complete sync, microseconds UTC; absent: it is pushed to, not synced.
    pub synced_at_us: Option<i64>,
}

/// What the checks did.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Checks {
    /// Claims checked before any model ran.
    pub checked: usize,
    /// Why claims were taken out.
    pub refused: Vec<Refused>,
    /// Set when a configured model did not answer.
    pub fell_back_because: Option<String>,
    /// Sums over `calls`.
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// Every call to a model for this answer, in order.
    pub calls: Vec<ModelCall>,
}

impl Checks {
    pub(super) fn count(&mut self, calls: Vec<ModelCall>) {
        self.prompt_tokens = calls.iter().map(|call| call.prompt_tokens).sum();
        self.completion_tokens = calls.iter().map(|call| call.completion_tokens).sum();
        self.calls = calls;
    }
}

impl Understood {
    pub(super) fn new(identified: &[Identified], day: Date, because: Because) -> Self {
        let identifiers = identified
            .iter()
            .map(|one| NamedRecords {
                shown: one.shown.clone(),
                records: one
                    .records
                    .iter()
                    .map(|found| format!("{}/{}", found.record.kind.as_str(), found.record.external_id))
                    .collect(),
            })
            .collect();
        Self { identifiers, policies_on: day.to_string(), because, coverage: 0.0, question: None, traits: Vec::new() }
    }
}

impl Answer {
    pub fn rung_label(&self) -> &'static str {
        match self.rung {
            Rung::Model => "model",
            Rung::SecondModel => "second_model",
            Rung::Extractive => "extractive",
        }
    }
}

/// What rendering needs of a dossier.
pub(super) struct Findings {
    evidence: Vec<Evidence>,
    /// What code derived stands first.
    claims: Vec<Claimed>,
    derived: Vec<How>,
    computed: Vec<Computed>,
    not_found: Vec<String>,
    understood: Understood,
    mode: Mode,
    passages: usize,
    conflicts: Vec<super::conflict::Group>,
}

impl Dossier {
    pub(super) fn into_findings(self) -> Findings {
        let (mut claims, derived): (Vec<Claimed>, Vec<How>) = self.derived.into_iter().unzip();
        claims.extend(self.claims);
        Findings {
            evidence: self.evidence,
            claims,
            derived,
            computed: self.computed,
            not_found: self.not_found,
            understood: self.understood,
            mode: self.mode,
            passages: self.passages,
            conflicts: self.conflicts,
        }
    }
}

pub(super) fn answer(findings: Findings, worded_by: Option<ModelCall>, checks: Checks) -> Answer {
    let rung = match worded_by.as_ref().map(|call| call.place) {
        Some(Place::First) => Rung::Model,
        Some(Place::Second) => Rung::SecondModel,
        None => Rung::Extractive,
    };
    let (model_id, provider) = worded_by.map(|call| (call.model, call.provider)).unzip();
    let Findings { evidence, claims: claimed, derived, computed, not_found, understood, mode, passages, conflicts } =
        findings;
    let mut citations: Vec<Citation> = Vec::new();
    let mut as_of: BTreeMap<String, Option<i64>> = BTreeMap::new();
    let mut claims = cite(&claimed, &evidence, &mut citations, &mut as_of);
    claims.iter_mut().zip(derived).for_each(|(claim, how)| claim.how = how);
    let conflicts = conflicts_among(&conflicts, &claimed, &claims);
    let abstained = claims.is_empty();
    let mut sources: Vec<String> = evidence.iter().map(|one| one.source.clone()).collect();
    sources.sort();
    sources.dedup();
    let text = text(&claims, &conflicts, &not_found, passages, &sources, mode);
    Answer {
        answer_id: AnswerId::mint().to_string(),
        rung,
        abstained,
        text,
        claims,
        citations,
        computed,
        not_found,
        conflicts,
        understood,
        retrieval: mode,
        searched: Searched { passages, sources },
        as_of: as_of.into_iter().map(|(source, synced_at_us)| SourceAsOf { source, synced_at_us }).collect(),
        prompt_version: model_id.is_some().then(model::prompt_version),
        model: model_id,
        provider,
        cost: total_cost(&checks.calls),
        checks,
    }
}

/// Gives the claims' places numbers, one per place however often it is cited, and notes how fresh their sources are.
pub(super) fn cite(
    claimed: &[Claimed],
    evidence: &[Evidence],
    citations: &mut Vec<Citation>,
    as_of: &mut BTreeMap<String, Option<i64>>,
) -> Vec<Claim> {
    let mut claims = Vec::new();
    for claim in claimed {
        let mut numbers = Vec::new();
        for cite in &claim.cites {
            let one = &evidence[cite.evidence];
            as_of.insert(one.source.clone(), one.synced_at_us);
            let (start, end) = (one.start + cite.span.start, one.start + cite.span.end);
            let known = citations.iter().find(|known| {
                (known.document_id.as_str(), known.version, known.start, known.end)
                    == (one.document_id.as_str(), one.version, start, end)
            });
            let n = known.map(|known| known.n).unwrap_or_else(|| {
                citations.push(citation(citations.len() + 1, one, cite, start, end));
                citations.len()
            });
            if !numbers.contains(&n) {
                numbers.push(n);
            }
        }
        let card = |cite: &super::Cite| evidence.get(cite.evidence).is_some_and(|one| !one.spans.is_empty());
        let how = if claim.cites.iter().all(card) { How::LookedUp } else { How::Retrieved };
        claims.push(Claim { text: claim.text.clone(), citations: numbers, how });
    }
    claims
}

fn citation(n: usize, evidence: &Evidence, cite: &super::Cite, start: usize, end: usize) -> Citation {
    Citation {
        n,
        document_id: evidence.document_id.clone(),
        version: evidence.version,
        start,
        end,
        quote: evidence.text[cite.span.clone()].to_owned(),
        title: evidence.title.clone(),
        kind: evidence.kind.clone(),
        source: evidence.source.clone(),
        external_id: evidence.external_id.clone(),
        policy_id: evidence.policy_id.clone(),
        effective_from: evidence.effective_from.clone(),
        effective_to: evidence.effective_to.clone(),
        heading_path: evidence.heading_path.clone(),
        page: ingest::document::page_at(&evidence.pages, start),
        href: format!("/v1/documents/{}/text?version={}", evidence.document_id, evidence.version),
        record: evidence.record.clone().map(|record| RecordRef { field: cite.field.clone(), ..record }),
    }
}

/// Conflicts by the claims that state them; one of whose sides did not pass the checks is none.
fn conflicts_among(groups: &[super::conflict::Group], claimed: &[Claimed], claims: &[Claim]) -> Vec<Conflict> {
    let place = |one: &Claimed| claimed.iter().position(|claim| claim.cites == one.cites);
    groups
        .iter()
        .map(|group| group.iter().filter_map(place).collect::<Vec<usize>>())
        .filter(|places| places.len() > 1)
        .map(|places| {
            let citations = places.iter().flat_map(|at| claims[*at].citations.clone()).collect();
            Conflict { claims: places, citations }
        })
        .collect()
}

fn text(
    claims: &[Claim],
    conflicts: &[Conflict],
    not_found: &[String],
    passages: usize,
    sources: &[String],
    mode: Mode,
) -> String {
    let mut lines: Vec<String> = claims
        .iter()
        .map(|claim| {
            let marks: String = claim.citations.iter().map(|n| format!(" [{n}]")).collect();
            format!("{}{marks}", claim.text)
        })
        .collect();
    if claims.is_empty() {
        let searched =
            if sources.is_empty() { "nothing that you may see matched".to_owned() } else { sources.join(", ") };
        lines.push(format!("I found nothing that answers this. Searched: {passages} passages ({searched})."));
    }
    for conflict in conflicts {
        let sides: Vec<String> = conflict.citations.iter().map(|n| format!("[{n}]")).collect();
        lines.push(format!("Conflict: {} do not agree; both are on record.", sides.join(" and ")));
    }
    lines.extend(not_found.iter().map(|one| format!("{one}.")));
    if mode == Mode::Degraded {
        lines.push("Part of the search was not available; there may be more.".to_owned());
    }
    lines.join("\n")
}
