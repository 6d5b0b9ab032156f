//! The extractive rung over prose: which units of which passages answer a question, by words and by rank. No model involved.

use std::collections::{HashMap, HashSet};

use super::evidence::{Cite, Claimed, Evidence};
use super::sentences::{Unit, UnitKind, shown, units};
use super::words::{stem_set, stems};

/// Units an answer quotes at most.
const QUOTES_MAX: usize = 4;
/// Steps of a procedure an answer quotes at most.
const STEPS_MAX: usize = 12;
/// Weight of a word that stands in a heading above the unit and not in it.
const HEADING_WEIGHT: f64 = 0.6;
/// Weight of the passage's fused score beside the word coverage of the unit.
const RANK_WEIGHT: f64 = 0.35;
/// Share of the question's weighted words that the best passage must hold; below it the answer abstains.
pub const COVERAGE_MIN: f64 = 0.5;
/// With vectors a passage as near as this may hold fewer of them.
pub const COSINE_NEAR: f32 = 0.5;
pub const COVERAGE_MIN_NEAR: f64 = 0.34;

/// A passage as it competes: index into the evidence, fused score (0 to 1), cosine if the dense leg found it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    pub evidence: usize,
    pub score: f64,
    pub cosine: Option<f32>,
}

/// What the passages hold of the question.
#[derive(Debug, Clone, Default)]
pub struct Prose {
    pub claims: Vec<Claimed>,
    /// Of the best passage, 0 to 1.
    pub coverage: f64,
    pub sufficient: bool,
}

/// Weights of the question's words: rare among the candidates counts more, absent from all of them counts most.
struct Weights {
    words: HashMap<String, f64>,
    total: f64,
}

impl Weights {
    fn new(question: &str, passages: &[HashSet<String>]) -> Self {
        let n = passages.len() as f64;
        let mut words = HashMap::new();
        for word in stems(question) {
            let df = passages.iter().filter(|passage| passage.contains(&word)).count() as f64;
            words.insert(word, (1.0 + (n - df + 0.5) / (df + 0.5)).ln());
        }
        let total = words.values().sum();
        Self { words, total }
    }

    /// Share of the weight that `own` holds, words only in `above` counted in part.
    fn coverage(&self, own: &HashSet<String>, above: &HashSet<String>) -> f64 {
        if self.total <= 0.0 {
            return 0.0;
        }
        let held: f64 = self
            .words
            .iter()
            .map(|(word, weight)| match (own.contains(word), above.contains(word)) {
                (true, _) => *weight,
                (false, true) => weight * HEADING_WEIGHT,
                (false, false) => 0.0,
            })
            .sum();
        held / self.total
    }
}

/// Quotes that answer `question` (identifiers already taken out), best passages first given.
pub fn answer(question: &str, evidence: &[Evidence], candidates: &[Candidate]) -> Prose {
    let texts: Vec<(HashSet<String>, HashSet<String>)> = candidates
        .iter()
        .map(|candidate| {
            let evidence = &evidence[candidate.evidence];
            (stem_set(&evidence.text), stem_set(&format!("{} {}", evidence.title, evidence.heading_path.join(" "))))
        })
        .collect();
    let whole: Vec<HashSet<String>> = texts.iter().map(|(own, above)| own | above).collect();
    let weights = Weights::new(question, &whole);
    let covered: Vec<f64> = texts.iter().map(|(own, above)| weights.coverage(own, above)).collect();
    let sufficient = |(candidate, covered): (&Candidate, &f64)| {
        *covered >= COVERAGE_MIN
            || (*covered >= COVERAGE_MIN_NEAR && candidate.cosine.is_some_and(|cosine| cosine >= COSINE_NEAR))
    };
    let coverage = covered.iter().copied().fold(0.0, f64::max);
    if !candidates.iter().zip(&covered).any(sufficient) {
        return Prose { coverage, ..Prose::default() };
    }
    let claims = match asks_for_steps(question).then(|| steps(evidence, candidates, &covered)).flatten() {
        Some(claims) => claims,
        None => quotes(&weights, evidence, candidates, &texts, &covered),
    };
    Prose { claims, coverage, sufficient: true }
}

fn asks_for_steps(question: &str) -> bool {
    const PHRASES: [&str; 9] = [
        "steps",
        "step by step",
        "how do i",
        "how do we",
        "how to",
        "procedure",
        "what do i do",
        "what do we do",
        "runbook",
    ];
    let words = ingest::text::for_matching(question);
    PHRASES.iter().any(|phrase| ingest::schema::contains_phrase(&words, phrase))
}

/// The numbered steps of the best passage that has some, passages of runbooks first.
fn steps(evidence: &[Evidence], candidates: &[Candidate], covered: &[f64]) -> Option<Vec<Claimed>> {
    let value = |position: usize| {
        let candidate = &candidates[position];
        let runbook = if evidence[candidate.evidence].kind == "runbook" { 0.3 } else { 0.0 };
        covered[position] + RANK_WEIGHT * candidate.score + runbook
    };
    let has_steps = |position: &usize| {
        units(&evidence[candidates[*position].evidence].text).iter().filter(|unit| unit.kind == UnitKind::Step).count()
            >= 2
    };
    let best = (0..candidates.len()).filter(has_steps).max_by(|a, b| value(*a).total_cmp(&value(*b)))?;
    let document = &evidence[candidates[best].evidence].document_id;
    // A procedure may be cut into several chunks: the same document's other candidates continue it.
    let mut parts: Vec<usize> = candidates
        .iter()
        .map(|candidate| candidate.evidence)
        .filter(|part| evidence[*part].document_id == *document)
        .collect();
    parts.sort_by_key(|part| evidence[*part].start);
    parts.dedup();
    let claims = parts
        .into_iter()
        .flat_map(|part| {
            units(&evidence[part].text)
                .into_iter()
                .filter(|unit| unit.kind == UnitKind::Step)
                .map(move |unit| (part, unit))
        })
        .take(STEPS_MAX)
        .map(|(part, unit)| claimed(evidence, part, &unit))
        .collect();
    Some(claims)
}

fn claimed(evidence: &[Evidence], part: usize, unit: &Unit) -> Claimed {
    let text = shown(&evidence[part].text[unit.span.clone()]);
    Claimed { text, cites: vec![Cite { evidence: part, span: unit.span.clone(), field: None }] }
}

fn quotes(
    weights: &Weights,
    evidence: &[Evidence],
    candidates: &[Candidate],
    texts: &[(HashSet<String>, HashSet<String>)],
    covered: &[f64],
) -> Vec<Claimed> {
    let mut scored: Vec<(f64, usize, Unit)> = Vec::new();
    for ((candidate, (own, above)), covered) in candidates.iter().zip(texts).zip(covered) {
        // What stands around a unit counts for it as a heading does, a little less.
        let around: HashSet<String> = own | above;
        for unit in units(&evidence[candidate.evidence].text) {
            let words = stem_set(&evidence[candidate.evidence].text[unit.span.clone()]);
            if words.len() < 3 {
                continue;
            }
            let direct = weights.coverage(&words, above);
            let context = weights.coverage(&words, &around);
            let score = 0.7 * direct + 0.3 * context + RANK_WEIGHT * candidate.score + 0.15 * covered;
            scored.push((score, candidate.evidence, unit));
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.span.start.cmp(&b.2.span.start)));
    let Some(best) = scored.first().map(|(score, ..)| *score) else { return Vec::new() };
    let mut chosen: Vec<(f64, usize, Unit)> = Vec::new();
    for (score, part, unit) in scored {
        if chosen.len() >= QUOTES_MAX || score < 0.72 * best {
            break;
        }
        let text = shown(&evidence[part].text[unit.span.clone()]);
        let repeated = chosen.iter().any(|(_, other, unit)| shown(&evidence[*other].text[unit.span.clone()]) == text);
        if !repeated {
            chosen.push((score, part, unit));
        }
    }
    chosen.iter().map(|(_, part, unit)| claimed(evidence, *part, unit)).collect()
}
