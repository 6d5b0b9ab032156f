//! Rank metrics, pure.

use std::collections::HashMap;

/// Normalised discounted cumulative gain of the first `k`, 0 to 1.
///
/// - `ranked`: document ids, best first; - `gains`: judged documents with a gain above 0. Without a judged document: 0.
///
/// Source: Järvelin, Kekäläinen, ACM TOIS 2002; gain itself (not 2^gain), discount log2(rank + 1), as trec_eval's `ndcg_cut`.
pub fn ndcg_at(k: usize, ranked: &[String], gains: &HashMap<String, f64>) -> f64 {
    let discounted = |gains: &mut dyn Iterator<Item = f64>| -> f64 {
        gains.take(k).zip(1..).map(|(gain, rank): (f64, i32)| gain / f64::from(rank + 1).log2()).sum()
    };
    let mut best: Vec<f64> = gains.values().copied().collect();
    best.sort_by(|a, b| b.total_cmp(a));
    let ideal = discounted(&mut best.into_iter());
    if ideal == 0.0 {
        return 0.0;
    }
    discounted(&mut ranked.iter().map(|id| gains.get(id).copied().unwrap_or(0.0))) / ideal
}

/// Share of the judged documents among the first `k`, 0 to 1.
pub fn recall_at(k: usize, ranked: &[String], gains: &HashMap<String, f64>) -> f64 {
    if gains.is_empty() {
        return 0.0;
    }
    ranked.iter().take(k).filter(|id| gains.contains_key(*id)).count() as f64 / gains.len() as f64
}

/// Reciprocal rank of the first judged document among the first `k`; 0 when there is none.
pub fn mrr_at(k: usize, ranked: &[String], gains: &HashMap<String, f64>) -> f64 {
    ranked.iter().take(k).position(|id| gains.contains_key(id)).map_or(0.0, |at| 1.0 / (at as f64 + 1.0))
}

/// Area under the receiver operating characteristic: how often a positive scores above a negative, ties counting half. 0 to 1; 0.5 is
/// chance, and what comes back when one of the classes is empty. NaN scores sort last.
pub fn auroc(scored: &[(f64, bool)]) -> f64 {
    let of = |class: bool| scored.iter().filter(move |(_, positive)| *positive == class).map(|(score, _)| *score);
    let pairs = of(true).count() * of(false).count();
    if pairs == 0 {
        return 0.5;
    }
    let won: f64 = of(true)
        .flat_map(|good| {
            of(false).map(move |bad| {
                if good > bad {
                    1.0
                } else if good == bad {
                    0.5
                } else {
                    0.0
                }
            })
        })
        .sum();
    won / pairs as f64
}

/// Points (false positive rate, true positive rate) for falling thresholds, from (0, 0) to (1, 1).
pub fn roc(scored: &[(f64, bool)]) -> Vec<(f64, f64)> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = (sorted.iter().filter(|(_, positive)| *positive).count() as f64).max(1.0);
    let negatives = (sorted.iter().filter(|(_, positive)| !*positive).count() as f64).max(1.0);
    let (mut points, mut hits, mut alarms) = (vec![(0.0, 0.0)], 0.0, 0.0);
    for (at, (score, positive)) in sorted.iter().enumerate() {
        if *positive {
            hits += 1.0;
        } else {
            alarms += 1.0;
        }
        // Equal scores are one threshold.
        if sorted.get(at + 1).is_none_or(|(next, _)| next != score) {
            points.push((alarms / negatives, hits / positives));
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(list: &[&str]) -> Vec<String> {
        list.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn figures_agree_with_a_calculation_by_hand() {
        let gains = HashMap::from([("a".to_owned(), 1.0), ("b".to_owned(), 1.0)]);
        let ranked = ids(&["x", "a", "y", "b"]);
        let dcg = 1.0 / 3f64.log2() + 1.0 / 5f64.log2();
        let ideal = 1.0 + 1.0 / 3f64.log2();
        assert!((ndcg_at(10, &ranked, &gains) - dcg / ideal).abs() < 1e-12);
        assert!((ndcg_at(2, &ranked, &gains) - (1.0 / 3f64.log2()) / ideal).abs() < 1e-12);
        assert_eq!(recall_at(2, &ranked, &gains), 0.5);
        assert_eq!(mrr_at(10, &ranked, &gains), 0.5);
        assert_eq!(ndcg_at(10, &ids(&["a", "b"]), &gains), 1.0);
        assert_eq!(ndcg_at(10, &ranked, &HashMap::new()), 0.0);
    }

    #[test]
    fn auroc_counts_pairs_and_ties() {
        assert_eq!(auroc(&[(0.9, true), (0.8, false), (0.7, true), (0.1, false)]), 0.75);
        assert_eq!(auroc(&[(0.5, true), (0.5, false)]), 0.5);
        assert_eq!(auroc(&[(0.5, true)]), 0.5);
        assert_eq!(roc(&[(0.9, true), (0.5, true), (0.5, false)]), [(0.0, 0.0), (0.0, 0.5), (1.0, 1.0)]);
    }
}
