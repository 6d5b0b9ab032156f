//! Words as evidence is compared by: folded, without stop words, stemmed.

use std::collections::HashSet;
use std::sync::LazyLock;

use qdrant_rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

static STEMMER: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));

/// Words that say nothing about what is asked.
static STOP: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    "a an and any are as at be been but by can could did do does for from had has have he her his how i if in into is it its may me \
     might must my no not of off on or our please shall she should so some than that the their them then there these they this those to \
     too us was we were what when where which while who whom whose why will with within without would you your \
     about after again all also am before being between both during each few further here just more most other out over own same such \
     eur usd gbp chf step steps procedure runbook \
     still rule rules policy policies apply applies applied stuff thing things something anything under until up very now today tell show give get got let know need want happen happens long many much said say says"
        .split_whitespace()
        .collect()
});

/// Whether a word only says which form of answer is wanted.
pub fn is_form(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    ["step", "steps", "procedure", "runbook"].iter().any(|form| bare.eq_ignore_ascii_case(form))
}

/// The stems of the content words of a text, in order, repeats included.
pub fn stems(text: &str) -> Vec<String> {
    let folded = ingest::text::for_matching(text);
    folded.unicode_words().flat_map(plain).filter(|word| !STOP.contains(word)).map(stem).collect()
}

/// What agents write for what policies write.
fn plain(word: &str) -> Vec<&str> {
    match word {
        "po" | "pos" => vec!["purchase", "order"],
        "rma" | "rmas" => vec!["return"],
        "sign" | "signs" | "signed" | "signing" => vec!["countersign"],
        "private" => vec!["consumer"],
        "signature" => vec!["countersignature"],
        word => vec![word],
    }
}

/// As [`stems`], as a set.
pub fn stem_set(text: &str) -> HashSet<String> {
    stems(text).into_iter().collect()
}

fn stem(word: &str) -> String {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    STEMMER.stem(word).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_meet_and_stop_words_go() {
        assert_eq!(stems("Refunds of the refunded customer's orders"), ["refund", "refund", "custom", "order"]);
        assert!(stems("what is it").is_empty());
        assert_eq!(stems("who signed the PO"), ["countersign", "purchas", "order"]);
    }
}
