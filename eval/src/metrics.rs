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
}
