//! The extractive rung over prose: which units of which passages answer a question, by words and by rank. No model involved.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;

use super::evidence::{Cite, Claimed, Evidence};
use super::sentences::{Unit, UnitKind, shown, table_of, units};
use super::words::{stem_set, stems};

/// Units an answer quotes at most.
const QUOTES_MAX: usize = 3;
/// Steps of a procedure an answer quotes at most.
const STEPS_MAX: usize = 12;
/// A further quote scores at least this share of the best one.
const EXTRA_QUOTE: f64 = 0.86;
/// Weight of what the passage holds of the whole question beside what the unit holds of the part.
const ABOUT_WEIGHT: f64 = 0.2;
/// Rules stand in policies; a runbook repeats them in passing.
const POLICY_BONUS: f64 = 0.06;
/// A row of a table is quoted alone when it holds so much more of the question than the next one.
const ROW_MARGIN: f64 = 0.08;
/// Rows of a table quoted together.
const ROWS_MAX: usize = 8;
/// Share of the question's weighted words that a quoted unit and its headings must hold.
const DIRECT_MIN: f64 = 0.3;
/// Weight of a word that stands in a heading above the unit and not in it.
const HEADING_WEIGHT: f64 = 0.7;
/// Weight of the passage's fused score beside the word coverage of the unit.
const RANK_WEIGHT: f64 = 0.35;
/// Share of the question's weighted words that the best passage must hold; below it the answer abstains.
pub const COVERAGE_MIN: f64 = 0.5;
/// With vectors a passage as near as this may hold fewer of them.
pub const COSINE_NEAR: f32 = 0.5;
pub const COVERAGE_MIN_NEAR: f64 = 0.34;

/// A policy that is made for the customer in question.
const SCOPE_BONUS: f64 = 0.12;
/// A row whose range holds the amount or the days asked about.
const VALUE_BONUS: f64 = 0.25;
/// A section called "Rule", and a sentence that says within how many days after what.
const RULE_BONUS: f64 = 0.1;
/// A term that begins on a day that the record in question has.
const ANCHORED_BONUS: f64 = 0.35;
/// What stands under "Example" illustrates a rule that stands elsewhere.
const EXAMPLE_PENALTY: f64 = 0.2;
/// A unit without a span of time, when one is asked for.
const NO_TIME_FACTOR: f64 = 0.65;

static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:\d+|one|two|three|five|ten)\s+(?:calendar |working )?(?:minutes?|hours?|days?|weeks?|months?)\b|\bday \d+\b").ok()
});

/// Whether a question asks for a span of time or its end.
pub fn asks_for_time(question: &str) -> bool {
    const PHRASES: [&str; 22] = [
        "how long",
        "how many days",
        "how many weeks",
        "how many months",
        "how many hours",
        "how many calendar days",
        "how many working days",
        "until when",
        "till when",
        "by when",
        "last day",
        "deadline",
        "how fast",
        "how soon",
        "how quickly",
        "window",
        "still be returned",
        "still be sent back",
        "still return",
        "within what time",
        "in time",
        "days to",
    ];
    let words = ingest::text::for_matching(question).replace('\u{b7}', "");
    PHRASES.iter().any(|phrase| ingest::schema::contains_phrase(&words, phrase))
}

/// "How long may it last at most": these words ask for the time and say nothing about what it is of.
pub fn without_duration_words(part: &str, whole: &str) -> String {
    const WORDS: [&str; 8] = ["last", "lasts", "take", "takes", "most", "day", "days", "long"];
    let left: Vec<&str> = part
        .split_whitespace()
        .filter(|word| !WORDS.contains(&word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase().as_str()))
        .collect();
    let left = left.join(" ");
    if stems(&left).is_empty() { whole.to_owned() } else { left }
}

/// A passage as it competes: index into the evidence, fused score (0 to 1), cosine if the dense leg found it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Whether it applies to exactly the customer or supplier in question.
    pub scoped: bool,
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
        // Days and amounts decide which policy applies, not what it is about.
        for word in stems(question).into_iter().filter(|word| !word.starts_with(|c: char| c.is_ascii_digit())) {
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

/// Quotes that answer `part` of the question `whole` (identifiers already taken out), best passages first given.
///
/// What a passage holds of the whole question says whether it is about the matter at all; the part decides which of its units is quoted.
///
/// `anchored`: whether a unit sets a term that begins on a day known from the records in question.
pub fn answer(
    part: &str,
    whole: &str,
    evidence: &[Evidence],
    candidates: &[Candidate],
    anchored: &dyn Fn(&str) -> bool,
) -> Prose {
    let texts: Vec<(HashSet<String>, HashSet<String>)> = candidates
        .iter()
        .map(|candidate| {
            let evidence = &evidence[candidate.evidence];
            (stem_set(&evidence.text), stem_set(&format!("{} {}", evidence.title, evidence.heading_path.join(" "))))
        })
        .collect();
    let all: Vec<HashSet<String>> = texts.iter().map(|(own, above)| own | above).collect();
    let matter = Weights::new(whole, &all);
    // "What are the steps?" names nothing itself.
    let weights = if stems(part).is_empty() { Weights::new(whole, &all) } else { Weights::new(part, &all) };
    let covered: Vec<f64> = texts.iter().map(|(own, above)| weights.coverage(own, above)).collect();
    let about: Vec<f64> = texts.iter().map(|(own, above)| matter.coverage(own, above)).collect();
    let sufficient = |(candidate, covered): (&Candidate, &f64)| {
        *covered >= COVERAGE_MIN
            || (*covered >= COVERAGE_MIN_NEAR && candidate.cosine.is_some_and(|cosine| cosine >= COSINE_NEAR))
    };
    let coverage = covered.iter().copied().fold(0.0, f64::max);
    if !candidates.iter().zip(&covered).any(sufficient) {
        return Prose { coverage, ..Prose::default() };
    }
    // "Which rule applies?" asks what the rest of the question is about.
    let time = asks_for_time(part) || (stems(part).is_empty() && asks_for_time(whole));
    let weights = if time { Weights::new(&without_duration_words(part, whole), &all) } else { weights };
    let asks = Asks { part, whole, rule: !asks_for_steps(part), time, anchored };
    let mut claims = quotes(&asks, &weights, evidence, candidates, &texts, &about);
    if let Some(steps) = asks_for_steps(part)
        .then(|| steps(evidence, candidates, &of_documents(evidence, candidates, &all, &matter)))
        .flatten()
    {
        // The rule first, if a policy has one, then what to do.
        claims.retain(|claim| evidence[claim.cites[0].evidence].kind == "policy");
        claims.truncate(1);
        claims.extend(steps);
    }
    Prose { claims, coverage, sufficient: true }
}

pub fn asks_for_steps(question: &str) -> bool {
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

/// What each candidate's whole document holds of the question, as far as it was found: a runbook says at its top what it is for, and its
/// steps stand in another chunk.
fn of_documents(
    evidence: &[Evidence],
    candidates: &[Candidate],
    words: &[HashSet<String>],
    matter: &Weights,
) -> Vec<f64> {
    let nothing = HashSet::new();
    let mut documents: HashMap<&str, HashSet<String>> = HashMap::new();
    for (candidate, words) in candidates.iter().zip(words) {
        documents.entry(&evidence[candidate.evidence].document_id).or_default().extend(words.iter().cloned());
    }
    candidates
        .iter()
        .map(|candidate| {
            let own = documents.get(evidence[candidate.evidence].document_id.as_str()).unwrap_or(&nothing);
            matter.coverage(own, &nothing)
        })
        .collect()
}

/// The numbered steps of the best passage that has some, passages of runbooks first.
fn steps(evidence: &[Evidence], candidates: &[Candidate], about: &[f64]) -> Option<Vec<Claimed>> {
    let value = |position: usize| {
        let candidate = &candidates[position];
        let runbook = if evidence[candidate.evidence].kind == "runbook" { 0.3 } else { 0.0 };
        about[position] + RANK_WEIGHT * candidate.score + runbook
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

/// A unit that competes: its score, its evidence, and the rows to quote with it when it is a table.
struct Quote {
    score: f64,
    part: usize,
    units: Vec<Unit>,
}

/// What a quote has to answer.
struct Asks<'a> {
    part: &'a str,
    whole: &'a str,
    /// A rule is asked for rather than a procedure.
    rule: bool,
    /// A span of time is asked for.
    time: bool,
    anchored: &'a dyn Fn(&str) -> bool,
}

fn quotes(
    asks: &Asks<'_>,
    weights: &Weights,
    evidence: &[Evidence],
    candidates: &[Candidate],
    texts: &[(HashSet<String>, HashSet<String>)],
    about: &[f64],
) -> Vec<Claimed> {
    let mut scored: Vec<Quote> = Vec::new();
    for ((candidate, (own, above)), about) in candidates.iter().zip(texts).zip(about) {
        // What stands around a unit counts for it as a heading does, a little less.
        let around: HashSet<String> = own | above;
        let text = &evidence[candidate.evidence].text;
        for quoted in quotable(text) {
            let section = section_of(text, quoted[0].span.start);
            let above = &(above | &stem_set(section));
            let whole_table = quoted.len();
            let (quoted, words) = if quoted.len() > 1 {
                about_rows(asks, weights, text, quoted, above)
            } else {
                let words = quoted.iter().flat_map(|unit| stems(&text[unit.span.clone()])).collect();
                (quoted, words)
            };
            let direct = weights.coverage(&words, above);
            if words.len() < 3 || direct < DIRECT_MIN {
                continue;
            }
            let context = weights.coverage(&words, &around);
            let one = &evidence[candidate.evidence];
            let mut score = 0.7 * direct + 0.3 * context + RANK_WEIGHT * candidate.score + ABOUT_WEIGHT * about;
            if asks.rule && one.kind == "policy" {
                score += POLICY_BONUS;
            }
            if candidate.scoped {
                score += SCOPE_BONUS;
            }
            let heading = one.heading_path.last().map_or("", String::as_str);
            if [section, heading].iter().any(|heading| heading.to_lowercase().contains("example")) {
                score -= EXAMPLE_PENALTY;
            }
            let chosen_by_value = quoted.len() == 2
                && whole_table > 2
                && [asks.part, asks.whole].iter().any(|asked| super::tables::row_for(&quoted, text, asked) == Some(1));
            if chosen_by_value {
                score += VALUE_BONUS;
            }
            if asks.rule && section.to_lowercase().contains("rule") {
                score += RULE_BONUS;
            }
            if asks.time && super::deadline::states_a_term(&text[quoted[0].span.clone()]) {
                score += RULE_BONUS;
            }
            if asks.time && (asks.anchored)(&text[quoted[0].span.clone()]) {
                score += ANCHORED_BONUS;
            }
            let timed = |unit: &Unit| TIME.as_ref().is_some_and(|time| time.is_match(&text[unit.span.clone()]));
            if asks.time && !quoted.iter().any(timed) {
                score *= NO_TIME_FACTOR;
            }
            scored.push(Quote { score, part: candidate.evidence, units: quoted });
        }
    }
    scored.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.part.cmp(&b.part)));
    let Some(best) = scored.first().map(|quote| quote.score) else { return Vec::new() };
    let mut claims: Vec<Claimed> = Vec::new();
    for quote in scored.iter().take_while(|quote| quote.score >= EXTRA_QUOTE * best).take(QUOTES_MAX) {
        for unit in &quote.units {
            let claim = claimed(evidence, quote.part, unit);
            if !claims.iter().any(|other| other.text == claim.text) {
                claims.push(claim);
            }
        }
    }
    claims
}

/// The rows of a table that a question is about, header first, and the words by which they compete: of one row and the header, since a whole
/// table holds some of every question's words.
fn about_rows(
    asks: &Asks<'_>,
    weights: &Weights,
    text: &str,
    rows: Vec<Unit>,
    above: &HashSet<String>,
) -> (Vec<Unit>, HashSet<String>) {
    let words_of = |unit: &Unit| -> HashSet<String> { stem_set(&text[unit.span.clone()]) };
    let header = words_of(&rows[0]);
    let with_header: Vec<HashSet<String>> = rows.iter().map(|row| &words_of(row) | &header).collect();
    let by_value =
        super::tables::row_for(&rows, text, asks.part).or_else(|| super::tables::row_for(&rows, text, asks.whole));
    if let Some(row) = by_value {
        let words = with_header[row].clone();
        return (vec![rows[0].clone(), rows[row].clone()], words);
    }
    let mut ranked: Vec<(f64, usize)> =
        with_header.iter().enumerate().skip(1).map(|(at, words)| (weights.coverage(words, above), at)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let Some((best, at)) = ranked.first().copied() else { return (rows, header) };
    let words = with_header[at].clone();
    let clear = ranked.get(1).is_none_or(|(second, _)| best >= second + ROW_MARGIN);
    if clear {
        return (vec![rows[0].clone(), rows[at].clone()], words);
    }
    (rows, with_header.into_iter().flatten().collect())
}

/// The last heading before a place in a passage, which may hold several sections; empty: none stands in it.
fn section_of(text: &str, at: usize) -> &str {
    text[..at].lines().rev().find(|line| line.starts_with('#')).unwrap_or("")
}

/// Whether a part asks for the rule itself, whatever record fields said before.
pub fn asks_for_rule(part: &str) -> bool {
    let words = ingest::text::for_matching(part);
    ["rule", "rules", "policy", "policies", "applies", "still"]
        .iter()
        .any(|word| ingest::schema::contains_phrase(&words, word))
}

/// What can be quoted of a passage: each sentence and item by itself, a small table as a whole: its rows mean little alone.
fn quotable(text: &str) -> Vec<Vec<Unit>> {
    let units = units(text);
    let mut quotable = Vec::new();
    let mut at = 0;
    while at < units.len() {
        if units[at].kind == UnitKind::Row {
            let table = table_of(&units, text, at);
            at += table.len();
            quotable.extend(table.chunks(ROWS_MAX).map(<[Unit]>::to_vec));
        } else {
            quotable.push(vec![units[at].clone()]);
            at += 1;
        }
    }
    quotable
}
