//! How well a sentence is supported by passages, beyond shared words: what of it is new, where, and how far it means what they say.
//!
//! After `check` (values and names one by one), for a model's sentences. Evidence is lexical (words, word pairs and numbers that the
//! passages do not hold, how much of the sentence one window of two sentences covers), contradicting (a negation or an opposite against the
//! window that is closest in words), and by embedding (cosine to the closest window). A logistic model with few weights joins them;
//! `eval ragtruth` fits and cross-validates it, and [`WEIGHTS`] is what it printed. Nothing here is about one data set's words.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

use super::evidence::{Claimed, Evidence};
use super::sentences::{shown, units};
use super::words::stems;
use crate::embed::{Embedder, minilm};

/// Features of a sentence, in the order of [`WEIGHTS`].
pub const FEATURES: usize = 11;

/// What makes a sentence look unsupported; each grows with doubt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features {
    /// Share of its content words that stand in no passage, 0 to 1.
    pub unknown_share: f64,
    /// ln(1 + number of such words).
    pub unknown_words: f64,
    /// ln(1 + longest run of them).
    pub unknown_run: f64,
    /// Share of its content words outside the window that holds most of them, 0 to 1.
    pub outside_window: f64,
    /// Share of its word pairs that stand in no passage, 0 to 1.
    pub unknown_pairs: f64,
    /// 1: a number of it stands in no passage.
    pub unknown_number: f64,
    /// 1: a negation or an opposite against the window closest in words.
    pub contradicts: f64,
    /// 1: it says that something is not known, which no passage can support.
    pub says_unknown: f64,
    /// ln of the number of content words, at least 0.
    pub length: f64,
    /// 1 - cosine to the closest window; the mean of supported sentences when there is no embedder.
    pub distance: f64,
    /// Distance weighted by the share of unknown words.
    pub distant_unknown: f64,
}

impl Features {
    pub fn as_array(&self) -> [f64; FEATURES] {
        [
            self.unknown_share,
            self.unknown_words,
            self.unknown_run,
            self.outside_window,
            self.unknown_pairs,
            self.unknown_number,
            self.contradicts,
            self.says_unknown,
            self.length,
            self.distance,
            self.distant_unknown,
        ]
    }
}

/// A logistic model: probability that a sentence is not supported is `1 / (1 + exp(-(bias + Σ wᵢ xᵢ)))`.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub bias: f64,
    pub weights: [f64; FEATURES],
    /// From this probability on a sentence counts as not supported.
    pub threshold: f64,
}

/// As fitted by `eval ragtruth` on all of its responses; the figure to trust is the cross-validated one, see ARCHITECTURE.md.
pub const WEIGHTS: Model = Model {
    bias: -2.735_8,
    weights: [0.0, 0.369_0, 0.441_8, 2.426_4, 1.263_4, 2.493_5, 0.0, -2.061_0, -0.024_6, 0.006_7, 0.0],
    threshold: 0.782,
};

/// Windows a sentence's meaning is compared with.
const WINDOWS_MAX: usize = 64;

/// Distance assumed when nothing can be embedded.
pub const USUAL_DISTANCE: f64 = 0.3;

impl Model {
    /// Probability that a sentence with these features is not supported, 0 to 1.
    pub fn doubt(&self, features: &Features) -> f64 {
        let sum: f64 = self.weights.iter().zip(features.as_array()).map(|(weight, x)| weight * x).sum();
        1.0 / (1.0 + (-(self.bias + sum)).exp())
    }
}

/// Passages as sentences are compared with them. Built once for all sentences of an answer.
pub struct Grounds {
    known: HashSet<String>,
    pairs: HashSet<(String, String)>,
    numbers: HashSet<String>,
    windows: Vec<Window>,
}

struct Window {
    text: String,
    words: HashSet<String>,
}

static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\p{N}+(?:[.,]\p{N}+)*").ok());

fn numbers(text: &str) -> Vec<String> {
    let Some(pattern) = NUMBER.as_ref() else { return Vec::new() };
    pattern.find_iter(text).map(|found| found.as_str().replace(',', "")).collect()
}

impl Grounds {
    /// - `question`: its words count as known: repeating them claims nothing.
    pub fn new(passages: &[&str], question: &str) -> Self {
        let mut grounds = Self {
            known: stems(question).into_iter().collect(),
            pairs: HashSet::new(),
            numbers: numbers(question).into_iter().collect(),
            windows: Vec::new(),
        };
        for passage in passages {
            let all = stems(passage);
            grounds.pairs.extend(all.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())));
            grounds.known.extend(all);
            grounds.numbers.extend(numbers(passage));
            let sentences: Vec<String> = units(passage).into_iter().map(|unit| shown(&passage[unit.span])).collect();
            for (at, sentence) in sentences.iter().enumerate() {
                grounds.windows.push(Window::new(sentence.clone()));
                if let Some(next) = sentences.get(at + 1) {
                    grounds.windows.push(Window::new(format!("{sentence} {next}")));
                }
            }
        }
        grounds
    }

    /// The texts that a sentence's meaning is compared with, to be embedded by the caller in this order.
    pub fn windows(&self) -> impl Iterator<Item = &str> {
        self.windows.iter().map(|window| window.text.as_str())
    }

    /// Features of a sentence; `None`: it has no content words, so it claims nothing.
    ///
    /// - `closest`: cosine to the closest window, -1 to 1, if there is an embedder.
    pub fn features(&self, sentence: &str, closest: Option<f32>) -> Option<Features> {
        let mut words = stems(&without_references(sentence));
        words.retain(|word| !ABOUT_EVIDENCE.contains(&word.as_str()));
        if words.is_empty() {
            return None;
        }
        let all = words.len() as f64;
        let unknown: Vec<bool> = words.iter().map(|word| !self.known.contains(word)).collect();
        let count = unknown.iter().filter(|unknown| **unknown).count() as f64;
        let own: HashSet<&String> = words.iter().collect();
        let held = |window: &Window| own.iter().filter(|word| window.words.contains(**word)).count();
        let best = self.windows.iter().max_by_key(|window| held(window));
        let in_window = best.map_or(0.0, |window| held(window) as f64 / own.len() as f64);
        let pairs = words.windows(2).filter(|pair| self.pairs.contains(&(pair[0].clone(), pair[1].clone()))).count();
        let unknown_share = count / all;
        let distance = closest.map_or(USUAL_DISTANCE, |cosine| 1.0 - f64::from(cosine));
        Some(Features {
            unknown_share,
            unknown_words: count.ln_1p(),
            unknown_run: longest_run(&unknown).ln_1p(),
            outside_window: 1.0 - in_window,
            unknown_pairs: if words.len() < 2 { 0.0 } else { 1.0 - pairs as f64 / (words.len() - 1) as f64 },
            unknown_number: flag(numbers(&without_references(sentence)).iter().any(|n| !self.numbers.contains(n))),
            contradicts: flag(best.is_some_and(|best| in_window >= 0.5 && contradicts(sentence, &best.text))),
            says_unknown: flag(says_unknown(sentence)),
            length: all.ln(),
            distance,
            distant_unknown: distance * unknown_share,
        })
    }
}

impl Window {
    fn new(text: String) -> Self {
        let words = stems(&text).into_iter().collect();
        Self { text, words }
    }
}

fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

fn longest_run(flags: &[bool]) -> f64 {
    let (mut run, mut best) = (0_u32, 0_u32);
    for flag in flags {
        run = if *flag { run + 1 } else { 0 };
        best = best.max(run);
    }
    f64::from(best)
}

static REFERENCE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\(?\b(?:passages?|sources?|documents?|evidence) E?\d+(?:(?:,| and|, and) (?:passage )?E?\d+)*\)?")
        .ok()
});

/// Stems of words about the evidence itself. A sentence that says what it rests on claims nothing by it.
const ABOUT_EVIDENCE: [&str; 12] = [
    "passag", "sourc", "context", "provid", "given", "base", "accord", "mention", "answer", "question", "inform",
    "evid",
];

/// "As passage 2 says": where something is said is not what is said.
fn without_references(sentence: &str) -> String {
    REFERENCE.as_ref().map_or_else(|| sentence.to_owned(), |pattern| pattern.replace_all(sentence, " ").into_owned())
}

static UNKNOWN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:not (?:mention|provide|contain|include|specif|state|give|enough|explicit|clear)|unable to|cannot (?:answer|provide|be (?:answered|determined))|no (?:information|mention|specific)|does not (?:say|answer)|do not (?:say|answer)|insufficient)",
    )
    .ok()
});

/// Whether a sentence says that something is not known.
pub fn says_unknown(sentence: &str) -> bool {
    UNKNOWN.as_ref().is_some_and(|pattern| pattern.is_match(sentence))
}

const NEGATIONS: [&str; 12] =
    ["not", "no", "never", "cannot", "without", "neither", "nor", "none", "nothing", "don't", "doesn't", "can't"];

/// Words that cannot both be true of one thing.
const OPPOSITES: [(&str, &str); 24] = [
    ("increase", "decrease"),
    ("increases", "decreases"),
    ("higher", "lower"),
    ("more", "less"),
    ("more", "fewer"),
    ("minimum", "maximum"),
    ("least", "most"),
    ("before", "after"),
    ("above", "below"),
    ("over", "under"),
    ("allowed", "forbidden"),
    ("allowed", "prohibited"),
    ("accepted", "refused"),
    ("approved", "rejected"),
    ("always", "never"),
    ("required", "optional"),
    ("included", "excluded"),
    ("open", "closed"),
    ("paid", "unpaid"),
    ("early", "late"),
    ("first", "last"),
    ("hot", "cold"),
    ("with", "without"),
    ("safe", "dangerous"),
];

/// A negation on one side only, or opposites on the two sides.
fn contradicts(sentence: &str, window: &str) -> bool {
    let words = |text: &str| -> HashSet<String> {
        let folded = ingest::text::for_matching(text).replace('’', "'");
        folded
            .split(|c: char| !c.is_alphanumeric() && c != '\'')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (own, other) = (words(sentence), words(window));
    let negated = |words: &HashSet<String>| {
        NEGATIONS.iter().any(|negation| words.contains(*negation)) || words.iter().any(|word| word.ends_with("n't"))
    };
    let opposite = OPPOSITES.iter().any(|(a, b)| {
        let across = |a: &str, b: &str| own.contains(a) && !own.contains(b) && other.contains(b) && !other.contains(a);
        across(a, b) || across(b, a)
    });
    negated(&own) != negated(&other) || opposite
}

/// The claims that what they cite supports, and how many were not. Their words are a model's, so they are judged; quotes need no judging.
///
/// - `embedder`: its cosines count only when the weights were fitted with that model's.
pub(super) async fn supported(
    claims: Vec<Claimed>,
    evidence: &[Evidence],
    question: &str,
    embedder: Option<&dyn Embedder>,
) -> (Vec<Claimed>, usize) {
    let embedder = embedder.filter(|embedder| embedder.model_id() == minilm::MODEL_ID);
    let all = claims.len();
    let mut kept = Vec::with_capacity(all);
    for claim in claims {
        let mut cited: Vec<usize> = claim.cites.iter().map(|cite| cite.evidence).collect();
        cited.dedup();
        let texts: Vec<&str> =
            cited.iter().flat_map(|at| [evidence[*at].title.as_str(), evidence[*at].text.as_str()]).collect();
        let grounds = Grounds::new(&texts, question);
        let near = match embedder {
            Some(embedder) => nearest(embedder, &claim.text, &grounds).await,
            None => None,
        };
        let doubt = grounds.features(&claim.text, near).map_or(0.0, |features| WEIGHTS.doubt(&features));
        if doubt < WEIGHTS.threshold {
            kept.push(claim);
        }
    }
    let refused = all - kept.len();
    (kept, refused)
}

/// Cosine of a sentence to the closest window; `None` when the embedder fails: the words then decide alone.
async fn nearest(embedder: &dyn Embedder, sentence: &str, grounds: &Grounds) -> Option<f32> {
    let texts: Vec<String> =
        std::iter::once(sentence).chain(grounds.windows().take(WINDOWS_MAX)).map(str::to_owned).collect();
    let vectors = embedder.embed_passages(texts).await.ok()?;
    closest(&vectors, 1).first().copied()
}

/// Cosine of two vectors, -1 to 1; 0 when one of them is zero or they differ in length.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    let both = norm(a) * norm(b);
    if both > 0.0 { dot / both } else { 0.0 }
}

/// Cosine of each sentence to the closest window; `vectors` has the sentences first, then the windows.
pub fn closest(vectors: &[Vec<f32>], sentences: usize) -> Vec<f32> {
    let (own, windows) = vectors.split_at(sentences.min(vectors.len()));
    own.iter().map(|one| windows.iter().map(|window| cosine(one, window)).fold(-1.0, f32::max)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSAGE: &str = "Goods may be sent back within 30 days of delivery. Return shipping of EUR 4.95 is deducted. Vouchers are not refunds.";

    fn features(sentence: &str) -> Features {
        Grounds::new(&[PASSAGE], "How long may goods be sent back?").features(sentence, None).unwrap()
    }

    #[test]
    fn what_stands_there_has_nothing_new() {
        let same = features("Goods may be sent back within 30 days of delivery.");
        assert_eq!(
            (same.unknown_share, same.outside_window, same.unknown_number, same.contradicts),
            (0.0, 0.0, 0.0, 0.0)
        );
    }

    #[test]
    fn new_words_numbers_and_denials_are_seen() {
        let new = features("Goods may be sent back within 45 days if the original receipt is enclosed.");
        assert!(new.unknown_share > 0.3 && new.unknown_number == 1.0 && new.unknown_run > 0.6, "{new:?}");
        assert_eq!(features("Goods may not be sent back within 30 days of delivery.").contradicts, 1.0);
        assert_eq!(features("Vouchers are refunds.").contradicts, 1.0);
        assert_eq!(features("The passages do not mention the price.").says_unknown, 1.0);
        assert_eq!(features("Goods may be sent back within 30 days (passage 2).").unknown_number, 0.0);
    }

    #[test]
    fn cosines_are_of_the_closest_window() {
        let vectors = vec![vec![1.0, 0.0], vec![0.0, 1.0], vec![1.0, 1.0]];
        let found = closest(&vectors, 1);
        assert!((found[0] - 0.707).abs() < 0.001, "{found:?}");
        assert_eq!(cosine(&[0.0], &[1.0]), 0.0);
        assert_eq!(cosine(&[1.0], &[1.0, 2.0]), 0.0);
    }
}
