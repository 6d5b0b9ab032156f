//! The model rung: the model words claims from evidence that code found sufficient, and code checks each of them.

use std::collections::HashSet;
use std::ops::Range;

use serde::Deserialize;
use serde_json::json;

use super::check::{Refused, check};
use super::evidence::{Cite, Claimed, Evidence};
use super::sentences::{shown, units};
use super::words::{stem_set, stems};
use crate::canonical::sha256_hex;
use crate::llm::{ChatModel, ChatRequest, LlmError, Message, complete_json};

const PROMPT: &str = include_str!("../../prompts/answer.md");
/// Claims taken from one answer.
const CLAIMS_MAX: usize = 8;
/// Words in a row shared with the prompt's rules that make a claim a leak of it.
const LEAK_WORDS: usize = 7;

/// What the model said, checked.
#[derive(Debug, Default)]
pub struct Worded {
    pub claims: Vec<Claimed>,
    pub refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Output {
    claims: Vec<OutputClaim>,
}

#[derive(Deserialize)]
struct OutputClaim {
    text: String,
    evidence: Vec<String>,
}

/// The prompt's version: the first 12 hexadecimal digits of its SHA-256.
pub fn prompt_version() -> String {
    format!("answer-{}", &sha256_hex(PROMPT)[..12])
}

/// Asks the model. `evidence` is given in order until `context_tokens` are used up; ids are E1, E2, ….
pub async fn word(
    model: &dyn ChatModel,
    question: &str,
    as_of: &str,
    evidence: &[Evidence],
    context_tokens: usize,
    answer_tokens: u32,
) -> Result<Worded, LlmError> {
    let canary = format!("K{}", crate::ids::RunId::mint().0.simple());
    let given = evidence_block(evidence, context_tokens);
    let rules = PROMPT.split_once("-->").map_or(PROMPT, |(_, rest)| rest.trim_start());
    let (system, user) = rules.split_once("Evidence:\n").unwrap_or((rules, ""));
    let system = system.replace("{{as_of}}", as_of).replace("{{canary}}", &canary);
    // One pass, so that a placeholder inside evidence or question is never filled.
    let user = format!("Evidence:\n{}", fill(user, &given.text, question));
    let request = ChatRequest {
        messages: vec![Message::system(system), Message::user(user)],
        max_tokens: answer_tokens,
        json_schema: Some(("claims".to_owned(), schema())),
    };
    let (output, _usage): (Output, _) = complete_json(model, request).await?;
    let mut worded = Worded::default();
    for claim in output.claims.into_iter().take(CLAIMS_MAX) {
        match checked(claim, evidence, given.count, &canary) {
            Ok(claim) => worded.claims.push(claim),
            Err(reason) => worded.refused.push(reason),
        }
    }
    Ok(worded)
}

struct Given {
    text: String,
    count: usize,
}

/// Evidence as quoted material: `<` is escaped, so that no text closes its own block.
fn evidence_block(evidence: &[Evidence], context_tokens: usize) -> Given {
    let mut given = Given { text: String::new(), count: 0 };
    let mut left = context_tokens;
    for (position, one) in evidence.iter().enumerate() {
        let body = one.text.replace('<', "&lt;");
        let dates = match (&one.effective_from, &one.effective_to) {
            (None, None) => String::new(),
            (from, to) => format!(
                " in force from {} to {}",
                from.as_deref().unwrap_or("ever"),
                to.as_deref().unwrap_or("further notice")
            ),
        };
        let title = one.title.replace(['<', '"', '\n'], " ");
        let block = format!(
            "<evidence id=\"E{}\" kind=\"{}\" title=\"{title}\"{dates}>\n{body}\n</evidence>\n",
            position + 1,
            one.kind
        );
        let tokens = ingest::count_tokens(&block);
        if tokens > left {
            break;
        }
        left -= tokens;
        given.text.push_str(&block);
        given.count += 1;
    }
    given
}

fn fill(template: &str, evidence: &str, question: &str) -> String {
    let (before, rest) = template.split_once("{{evidence}}").unwrap_or((template, ""));
    let (between, after) = rest.split_once("{{question}}").unwrap_or((rest, ""));
    format!("{before}{evidence}{between}{}{after}", question.replace('<', "&lt;"))
}

fn schema() -> serde_json::Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["claims"],
        "properties": { "claims": { "type": "array", "items": {
            "type": "object",
            "additionalProperties": false,
            "required": ["text", "evidence"],
            "properties": { "text": { "type": "string" }, "evidence": { "type": "array", "items": { "type": "string" } } }
        } } }
    })
}

/// A claim whose every id was given and whose every value stands there, cited at the unit that supports it best.
fn checked(claim: OutputClaim, evidence: &[Evidence], given: usize, canary: &str) -> Result<Claimed, Refused> {
    let mut ids = Vec::new();
    for id in &claim.evidence {
        let number: usize = id.trim().strip_prefix('E').and_then(|n| n.parse().ok()).ok_or(Refused::UnknownEvidence)?;
        if number == 0 || number > given {
            return Err(Refused::UnknownEvidence);
        }
        if !ids.contains(&(number - 1)) {
            ids.push(number - 1);
        }
    }
    let text = shown(&claim.text);
    if claim.text.contains(canary) || leaks_prompt(&text) {
        tracing::warn!("a model repeated its prompt; the claim was taken out");
        metrics::counter!("countersign_prompt_leaks_total").increment(1);
        return Err(Refused::Forbidden);
    }
    if super::check::forbidden(&claim.text) {
        return Err(Refused::Forbidden);
    }
    let cited: Vec<String> = ids.iter().map(|id| format!("{}\n{}", evidence[*id].title, evidence[*id].text)).collect();
    check(&text, &cited.iter().map(String::as_str).collect::<Vec<_>>())?;
    let cites = smallest_support(&text, evidence, &ids)?;
    Ok(Claimed { text, cites })
}

/// Quotes of one claim beyond the first of each piece of evidence.
const MORE_QUOTES: usize = 3;

/// The quotes a claim is cited at: the best unit of each piece of evidence, more units while the quotes alone do not support it, and the
/// fields of a record that hold what no quote holds yet. What a reader of the quotes cannot check does not leave.
fn smallest_support(claim: &str, evidence: &[Evidence], ids: &[usize]) -> Result<Vec<Cite>, Refused> {
    let mut rest: Vec<Cite> = Vec::new();
    let mut cites: Vec<Cite> = Vec::new();
    for id in ids {
        let mut ranked = ranked_units(claim, &evidence[*id], *id).into_iter();
        cites.extend(ranked.next());
        rest.extend(ranked);
    }
    let mut missing = stem_set(claim);
    for cite in &cites {
        let held = stem_set(&format!("{} {}", evidence[cite.evidence].title, quote(evidence, cite)));
        missing.retain(|word| !held.contains(word));
    }
    for _ in 0..MORE_QUOTES {
        let supported = check_quotes(claim, evidence, &cites).is_ok();
        // The unit that adds most of what is missing; once the claim is supported, a field only.
        let adds = |cite: &Cite| stem_set(quote(evidence, cite)).intersection(&missing).count();
        let may = |cite: &Cite| (!supported || cite.field.is_some()) && adds(cite) > 0;
        let best = (0..rest.len()).rev().filter(|at| may(&rest[*at])).max_by_key(|at| adds(&rest[*at]));
        let Some(best) = best else { break };
        let cite = rest.remove(best);
        let held = stem_set(quote(evidence, &cite));
        missing.retain(|word| !held.contains(word));
        cites.push(cite);
    }
    check_quotes(claim, evidence, &cites).map(|()| cites)
}

fn quote<'a>(evidence: &'a [Evidence], cite: &Cite) -> &'a str {
    &evidence[cite.evidence].text[cite.span.clone()]
}

fn check_quotes(claim: &str, evidence: &[Evidence], cites: &[Cite]) -> Result<(), Refused> {
    let quoted: Vec<String> =
        cites.iter().map(|cite| format!("{}\n{}", evidence[cite.evidence].title, quote(evidence, cite))).collect();
    check(claim, &quoted.iter().map(String::as_str).collect::<Vec<_>>())
}

fn leaks_prompt(text: &str) -> bool {
    let rules: Vec<String> = stems(PROMPT);
    let claim = stems(text);
    claim.windows(LEAK_WORDS).any(|window| rules.windows(LEAK_WORDS).any(|rule| rule == window))
}

/// The fields or units of a piece of evidence, those that share most words with the claim first. Never empty.
fn ranked_units(claim: &str, evidence: &Evidence, index: usize) -> Vec<Cite> {
    let words = stem_set(claim);
    let shared = |text: &str| {
        let unit: HashSet<String> = stem_set(text);
        let both = unit.intersection(&words).count() as f64;
        both / (words.len() + unit.len()).max(1) as f64
    };
    let fields = evidence.spans.iter().map(|span| (span.start..span.end, Some(span.path.clone())));
    let texts = units(&evidence.text).into_iter().map(|unit| (unit.span, None));
    let mut candidates: Vec<(Range<usize>, Option<String>)> =
        if evidence.spans.is_empty() { texts.collect() } else { fields.collect() };
    if candidates.is_empty() {
        candidates.push((0..evidence.text.len(), None));
    }
    candidates.sort_by(|a, b| shared(&evidence.text[b.0.clone()]).total_cmp(&shared(&evidence.text[a.0.clone()])));
    candidates.into_iter().map(|(span, field)| Cite { evidence: index, span, field }).collect()
}
