//! A question as words the rules can match: folded, possessives and hyphens resolved, typing errors in known words corrected.

use std::sync::LazyLock;

use regex::Regex;

use super::{dates, lexicon};

static WORD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"§\d*(?:['’]s)?|[\p{L}\p{N}]+(?:['’.,_-][\p{L}\p{N}]+)*|[€$£<>≥≤]=?|&").ok());

/// The words of a folded question. `§3` stands for the fourth entity.
pub fn words(folded: &str) -> Vec<String> {
    let Some(pattern) = WORD.as_ref() else { return Vec::new() };
    let mut words = Vec::new();
    for found in pattern.find_iter(folded) {
        let word = found.as_str();
        let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
        let letters = word.chars().all(|c| c.is_alphabetic() || matches!(c, '-' | '_'));
        if letters && word.contains(['-', '_']) {
            words.extend(word.split(['-', '_']).map(str::to_owned));
        } else if let Some((number, unit)) = glued(word) {
            words.extend([number.to_owned(), unit.to_owned()]);
        } else {
            words.push(word.to_owned());
        }
    }
    words
}

/// "30d", "1000eur", "5k": a number and what it counts.
fn glued(word: &str) -> Option<(&str, &str)> {
    let at = word.find(|c: char| c.is_alphabetic())?;
    let (number, unit) = word.split_at(at);
    let digits = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ','));
    (digits && matches!(unit, "d" | "eur" | "usd" | "gbp" | "k" | "days" | "weeks")).then_some((number, unit))
}

/// Corrects words that are one typing error (two in long ones) away from exactly one known word. `known` are further words, of the data.
pub fn corrected(words: Vec<String>, known: &[String]) -> Vec<String> {
    let is_known = |word: &str| STATIC.iter().any(|one| one == word) || known.iter().any(|one| one == word);
    words
        .into_iter()
        .map(|word| {
            let plain = word.chars().count() >= 5 && word.chars().all(char::is_alphabetic);
            if !plain || is_known(&word) {
                return word;
            }
            let most = if word.chars().count() >= 9 { 2 } else { 1 };
            // Never into a word that says nothing: that would lose a condition.
            let says_something = |one: &&String| one.chars().count() >= 4 && !lexicon::FILLERS.contains(&one.as_str());
            let candidates = STATIC.iter().chain(known).filter(says_something);
            let mut best: Vec<(usize, &String)> =
                candidates.map(|one| (distance(&word, one), one)).filter(|(distance, _)| *distance <= most).collect();
            best.sort();
            best.dedup();
            match best[..] {
                [(_, one)] => one.clone(),
                [(first, one), (second, _), ..] if first < second => one.clone(),
                _ => word,
            }
        })
        .collect()
}

/// As [`corrected`], for a folded text: everything but the corrected words stays as it is.
pub fn corrected_text(folded: &str, known: &[String]) -> String {
    let Some(pattern) = WORD.as_ref() else { return folded.to_owned() };
    let mut out = String::with_capacity(folded.len());
    let mut end = 0;
    for found in pattern.find_iter(folded) {
        out.push_str(&folded[end..found.start()]);
        end = found.end();
        let fixed = corrected(vec![found.as_str().to_owned()], known);
        out.push_str(fixed.first().map_or(found.as_str(), String::as_str));
    }
    out.push_str(&folded[end..]);
    out
}

/// Every single word of the lexicon that is worth correcting to.
static STATIC: LazyLock<Vec<String>> = LazyLock::new(|| {
    let lists = [
        lexicon::COUNT,
        lexicon::SUM,
        lexicon::AVERAGE,
        lexicon::LIST,
        lexicon::MOST,
        lexicon::LEAST,
        lexicon::OLDEST,
        lexicon::NEWEST,
    ];
    let phrases = lists.into_iter().flatten().copied();
    let phrases = phrases.chain(lexicon::PROFILES.iter().flat_map(|profile| profile.nouns.iter().copied()));
    let phrases =
        phrases.chain(lexicon::PROFILES.iter().flat_map(|profile| profile.verbs.iter().map(|(verb, _)| *verb)));
    let phrases = phrases
        .chain(lexicon::FILLERS.iter().copied())
        .chain(lexicon::RULES.iter().copied())
        .chain(dates::WORDS.iter().copied());
    let phrases = phrases.chain(super::concepts::WORDS.iter().copied());
    let mut words: Vec<String> = phrases.flat_map(|phrase| phrase.split(' ')).map(str::to_owned).collect();
    words.sort();
    words.dedup();
    words
});

/// Whether a word has a meaning of its own, so that it alone is nobody's name.
pub fn is_lexical(word: &str) -> bool {
    STATIC.iter().any(|one| one == word)
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
fn distance(left: &str, right: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if a.len().abs_diff(b.len()) > 2 {
        return 3;
    }
    let mut rows = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_and_typing_errors_in_known_words_corrected() {
        assert_eq!(
            words("back-ordered §0's po_late 30d >1,000.50 €"),
            ["back", "ordered", "§0", "po", "late", "30", "d", ">", "1,000.50", "€"]
        );
        let typed = ["invocies", "ordres", "overdeu", "zeppelin", "hold"].map(str::to_owned).to_vec();
        assert_eq!(corrected(typed, &[]), ["invoices", "orders", "overdue", "zeppelin", "hold"]);
    }
}
