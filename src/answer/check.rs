//! Claim checks, in code, on every rung: what a claim says must stand in the evidence it names.
//!
//! Numbers, dates, amounts, identifiers and names are compared one by one; the rest of the sentence must share most of its words with the
//! evidence. A claim that fails is taken out before anything leaves the process. Linear in the text: no pattern backtracks.

use std::collections::HashSet;
use std::sync::LazyLock;

use ingest::Decimal;
use regex::Regex;

use super::words::stem_set;

/// Share of a model claim's content words that its evidence must hold.
const SUPPORT_MIN: f64 = 0.6;
/// Longest claim, bytes.
const CLAIM_MAX: usize = 1_200;

/// Why a claim was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// It names no evidence, or evidence that was not given.
    UnknownEvidence,
    /// A number, date, amount or identifier does not occur in its evidence.
    UnsupportedValue,
    /// A name does not occur in its evidence.
    UnsupportedName,
    /// Too few of its words occur in its evidence.
    UnsupportedText,
    /// It carries a link, markup, a secret, or words of the prompt.
    Forbidden,
}

/// Checks `claim` against the texts it cites.
pub fn check(claim: &str, cited: &[&str]) -> Result<(), Refused> {
    if cited.is_empty() {
        return Err(Refused::UnknownEvidence);
    }
    if claim.is_empty() || claim.len() > CLAIM_MAX || forbidden(claim) {
        return Err(Refused::Forbidden);
    }
    let evidence = cited.join("\n");
    if !values_occur(claim, &evidence) {
        return Err(Refused::UnsupportedValue);
    }
    let known = stem_set(&evidence);
    if !names_occur(claim, &known) {
        return Err(Refused::UnsupportedName);
    }
    let words = stem_set(claim);
    let held = words.iter().filter(|word| known.contains(*word)).count();
    if !words.is_empty() && (held as f64) < SUPPORT_MIN * words.len() as f64 {
        return Err(Refused::UnsupportedText);
    }
    Ok(())
}

static FORBIDDEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(https?:|www\.|javascript:|data:[a-z]+/|mailto:|\]\(|\]\[|!\[|<[a-z/!]|\bcs[ko]_[a-z0-9]|\bsk-[a-z0-9_-]{8}|\bbearer\s+[a-z0-9_-]{12}|-----begin)").ok()
});

/// Whether a text carries something that must not leave: links, markup, keys.
pub fn forbidden(text: &str) -> bool {
    // A pattern that does not compile would let everything pass: then nothing passes.
    FORBIDDEN.as_ref().is_none_or(|pattern| pattern.is_match(text))
}

static VALUE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[\p{L}\p{N}#@._/:+-]*\p{N}[\p{L}\p{N}@._/:,'’-]*").ok());

/// Every token with a digit in `claim` occurs in `evidence`, as the same text, the same number, or inside the same identifier.
fn values_occur(claim: &str, evidence: &str) -> bool {
    let Some(pattern) = VALUE.as_ref() else { return false };
    let known: HashSet<String> = pattern.find_iter(evidence).flat_map(|found| readings(found.as_str())).collect();
    pattern.find_iter(claim).all(|found| readings(found.as_str()).iter().any(|reading| known.contains(reading)))
}

/// The forms under which a value is compared: its folded text, and its number without thousands marks and trailing zeros.
fn readings(token: &str) -> Vec<String> {
    let token = ingest::text::for_matching(token.trim_matches(|c: char| !c.is_alphanumeric()));
    let mut readings = Vec::new();
    let bare = token.trim_end_matches(['%', '€', '$']);
    if let Some(number) = number(bare) {
        readings.push(format!("={}", number.normalize()));
    }
    let joined: String = token.chars().filter(|c| c.is_alphanumeric()).collect();
    let letters = joined.chars().any(char::is_alphabetic);
    if readings.is_empty() || letters {
        readings.push(joined);
    }
    readings
}

/// `1,000`, `1 000.50`, `12.50`: a comma counts as a thousands mark before exactly three digits, else as a decimal mark.
pub(super) fn number(text: &str) -> Option<Decimal> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '\'' | '’')) {
        return None;
    }
    let mut plain = text.replace(['\'', '’'], "");
    if let Some((_, after)) = plain.rsplit_once(',') {
        plain = if after.len() == 3 || plain.contains('.') { plain.replace(',', "") } else { plain.replace(',', ".") };
    }
    Decimal::from_str_exact(&plain).ok()
}

/// Capitalised words inside a sentence, and words all in capitals, occur in the evidence.
fn names_occur(claim: &str, known: &HashSet<String>) -> bool {
    let mut sentence_start = true;
    for word in claim.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let name = !sentence_start && bare.chars().next().is_some_and(char::is_uppercase);
        if name && !bare.chars().any(|c| c.is_ascii_digit()) && !stem_set(bare).iter().all(|stem| known.contains(stem))
        {
            return false;
        }
        sentence_start = word.ends_with(['.', '!', '?', ':']);
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVIDENCE: &str =
        "Order SO-001042\nStatus: delivered\nTotal: 1,790.60 EUR\nDelivered: 2026-03-04\nCustomer: Maren Holt";

    fn verdict(claim: &str) -> Result<(), Refused> {
        check(claim, &[EVIDENCE])
    }

    #[test]
    fn what_the_evidence_says_passes() {
        assert_eq!(verdict("Order SO-001042 was delivered on 2026-03-04."), Ok(()));
        assert_eq!(verdict("The total of order SO-001042 is 1790.6 EUR for customer Maren Holt."), Ok(()));
    }

    #[test]
    fn a_wrong_value_name_or_sentence_does_not() {
        assert_eq!(verdict("Order SO-001043 was delivered."), Err(Refused::UnsupportedValue));
        assert_eq!(verdict("The total of the order is 1,790.61 EUR."), Err(Refused::UnsupportedValue));
        assert_eq!(verdict("Order SO-001042 was delivered on 2026-03-05."), Err(Refused::UnsupportedValue));
        assert_eq!(verdict("The customer is Joran Holt."), Err(Refused::UnsupportedName));
        assert_eq!(verdict("The parcel contained spoiled fish and broken glass."), Err(Refused::UnsupportedText));
        assert_eq!(check("Order SO-001042 was delivered.", &[]), Err(Refused::UnknownEvidence));
    }

    #[test]
    fn links_markup_and_keys_never_pass() {
        for bad in [
            "Order delivered, see https://evil.example/SO-001042",
            "Order delivered ![x](y)",
            "Order [delivered][1]",
            "Order <img src=x> delivered",
            "Order delivered csk_abcdef",
            "Order delivered javascript:alert(1)",
        ] {
            assert_eq!(verdict(bad), Err(Refused::Forbidden), "{bad}");
        }
    }

    #[test]
    fn a_megabyte_is_checked_quickly() {
        let long = "1.2.3-".repeat(200_000);
        assert_eq!(verdict(&long), Err(Refused::Forbidden));
        let evidence = "a1 ".repeat(300_000);
        assert_eq!(check("a1 a1", &[&evidence]), Ok(()));
    }

    proptest! {
        #[test]
        fn any_other_number_is_refused(n in 0u32..1_000_000) {
            prop_assume!(![1042, 2026, 3, 4].contains(&n) && n != 1790);
            let claim = format!("The total is {n} EUR.");
            prop_assert_eq!(verdict(&claim), Err(Refused::UnsupportedValue));
        }

        #[test]
        fn no_text_panics(claim in ".{0,300}", evidence in ".{0,300}") {
            let _ = check(&claim, &[&evidence]);
        }
    }
}
