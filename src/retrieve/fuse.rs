//! Fusion of the dense and sparse legs; after the legs, before the check in SQL.
//!
//! Done here rather than in the store, so that embedded and remote Qdrant rank alike. Weighted min-max fusion and not reciprocal rank
//! fusion: ranks alone throw away that one leg is sure and the other is not. How far each leg is trusted depends on the question
//! ([`dense_weight`]). `eval` measures both legs and the fusion on every set (`make eval`).

use std::collections::{HashMap, HashSet};

use crate::ids::ChunkId;

/// What a question shows about how far each leg can be trusted with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust {
    /// Words that the embedding model has to spell out; `None`: it cannot tell.
    pub spelled_out: Option<usize>,
    /// Different words of the question that the best passage of the sparse leg holds.
    pub matched: usize,
}

/// Rows: 0, 1, 2 or more words spelled out. Columns: up to 2, 3, 4, 5 or more words matched.
const DENSE_WEIGHTS: [[f64; 4]; 3] = [[0.90, 0.75, 0.65, 0.60], [0.85, 0.75, 0.60, 0.60], [0.50, 0.45, 0.40, 0.40]];

/// Share of the dense leg for a question, 0 to 1.
///
/// A model reads ordinary words well, and a passage that happens to hold two of them says little; a word the model does not know is
/// exactly what keywords are for, and so is a passage that holds most of a long question. Neither depends on the size of the corpus or
/// the scale of scores. The table was chosen on all sets of `eval` together; ARCHITECTURE has what each cell is worth. A model that
/// cannot tell its vocabulary is taken to spell out one word.
pub fn dense_weight(trust: Trust) -> f64 {
    let row = trust.spelled_out.unwrap_or(1).min(2);
    let column = trust.matched.clamp(2, 5) - 2;
    DENSE_WEIGHTS[row][column]
}

/// Fuses two scored lists into one, best first.
///
/// - `dense`, `sparse`: best first, no duplicates within a list; lengths may differ or be 0.
/// - `dense_weight`: 0 to 1; the sparse leg has the rest. A leg with no hits gives its weight to the other.
///
/// - `waits`: whether an item has no vector yet. Its keyword score then counts in full: the dense leg could not have found it, and a
///   half-built index must not push it behind whatever was embedded first.
///
/// Each leg is scaled to 0..1 by its own minimum and maximum (a leg whose scores are all equal counts 1 for each). An item that a leg did
/// not return counts 0 there. Returns each distinct item once, `0 <= score <= 1`; ties go to the lower id. No errors; NaN scores count 0.
///
/// Source: convex combination of min-max normalised scores, Bruch, Gai, Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval",
/// ACM TOIS 2023.
pub fn min_max(
    dense: &[(ChunkId, f32)],
    sparse: &[(ChunkId, f32)],
    dense_weight: f64,
    waits: impl Fn(&ChunkId) -> bool,
) -> Vec<(ChunkId, f64)> {
    let dense_weight = match (dense.is_empty(), sparse.is_empty()) {
        (true, _) => 0.0,
        (false, true) => 1.0,
        (false, false) => dense_weight.clamp(0.0, 1.0),
    };
    let mut scores: HashMap<ChunkId, f64> = HashMap::new();
    for (leg, weight) in [(dense, dense_weight), (sparse, 1.0 - dense_weight)] {
        for (id, scaled) in scaled(leg) {
            let weight = if waits(&id) { 1.0 } else { weight };
            *scores.entry(id).or_insert(0.0) += weight * scaled;
        }
    }
    let mut fused: Vec<_> = scores.into_iter().collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    fused
}

/// The first `limit` of a fused list, in its order, among them the first few of each leg (a sixth of `limit`, at least one).
///
/// A share near 1 would push everything that only the other leg found off the list. What rests on the list looks for more than its head:
/// an answer weighs words, and a passage that no leg may speak for cannot be quoted.
pub fn head(fused: Vec<(ChunkId, f64)>, legs: [&[(ChunkId, f32)]; 2], limit: usize) -> Vec<(ChunkId, f64)> {
    let seats = (limit / 6).max(1);
    let seated: HashSet<ChunkId> = legs.iter().flat_map(|leg| leg.iter().take(seats)).map(|(id, _)| *id).collect();
    let mut open = limit.saturating_sub(seated.len());
    let mut head: Vec<(ChunkId, f64)> = Vec::with_capacity(limit.min(fused.len()));
    for (id, score) in fused {
        let has_seat = seated.contains(&id);
        if has_seat || open > 0 {
            open -= usize::from(!has_seat);
            head.push((id, score));
        }
    }
    head.truncate(limit);
    head
}

fn scaled(leg: &[(ChunkId, f32)]) -> impl Iterator<Item = (ChunkId, f64)> {
    let finite = leg.iter().map(|(_, score)| f64::from(*score)).filter(|score| score.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), s| (low.min(s), high.max(s)));
    leg.iter().map(move |(id, score)| {
        let score = f64::from(*score);
        let scaled = match (score.is_finite(), high > low) {
            (false, _) => 0.0,
            (true, false) => 1.0,
            (true, true) => (score - low) / (high - low),
        };
        (*id, scaled)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn id(n: u128) -> ChunkId {
        ChunkId(Uuid::from_u128(n))
    }

    #[test]
    fn the_dense_leg_weighs_less_the_more_is_spelled_out_or_matched() {
        let weight = |spelled_out, matched| dense_weight(Trust { spelled_out, matched });
        for matched in 0..8 {
            for spelled_out in 0..4 {
                let here = weight(Some(spelled_out), matched);
                assert!((0.0..=1.0).contains(&here));
                assert!(weight(Some(spelled_out + 1), matched) <= here);
                assert!(weight(Some(spelled_out), matched + 1) <= here);
            }
            assert_eq!(weight(None, matched), weight(Some(1), matched));
        }
        assert!(weight(Some(2), 6) < 0.5 && weight(Some(0), 1) > 0.5, "each leg leads where it is the better one");
    }

    #[test]
    fn agreement_of_both_legs_beats_one_leg_alone() {
        let dense = [(id(1), 0.9), (id(2), 0.8), (id(3), 0.1)];
        let sparse = [(id(4), 9.0), (id(2), 8.5), (id(3), 1.0)];
        assert_eq!(min_max(&dense, &sparse, 0.5, |_| false)[0].0, id(2));
    }

    #[test]
    fn what_has_no_vector_yet_competes_with_its_keyword_score() {
        let dense = [(id(1), 0.9), (id(3), 0.1)];
        let sparse = [(id(4), 9.0), (id(1), 2.0), (id(3), 1.0)];
        assert_eq!(min_max(&dense, &sparse, 0.5, |_| false)[0].0, id(1));
        assert_eq!(min_max(&dense, &sparse, 0.5, |one| *one == id(4))[0].0, id(4));
    }

    #[test]
    fn the_best_of_each_leg_stays_on_the_list_whatever_the_share() {
        let dense: Vec<_> = (0..30u8).map(|n| (id(n.into()), 0.9 - f32::from(n) / 100.0)).collect();
        let sparse = [(id(100), 9.0), (id(101), 8.0), (id(0), 1.0)];
        let fused = min_max(&dense, &sparse, 0.95, |_| false);
        assert!(!fused[..12].iter().any(|(one, _)| *one == id(100)));
        let head = head(fused, [&dense, &sparse], 12);
        assert_eq!(head.len(), 12);
        assert!(head.iter().any(|(one, _)| *one == id(100)) && head[0].0 == id(0));
        assert!(head.windows(2).all(|pair| pair[0].1 >= pair[1].1), "the order is the fusion's");
    }

    #[test]
    fn an_absent_leg_leaves_the_other_leg_as_it_is() {
        let sparse = [(id(4), 9.0), (id(2), 8.5), (id(3), 1.0)];
        let order: Vec<ChunkId> = min_max(&[], &sparse, 0.5, |_| false).into_iter().map(|(id, _)| id).collect();
        assert_eq!(order, [id(4), id(2), id(3)]);
        assert!(min_max(&[], &[], 0.5, |_| false).is_empty());
    }

    fn leg() -> impl Strategy<Value = Vec<(ChunkId, f32)>> {
        prop::collection::btree_map(0u128..40, prop_oneof![-1e6f32..1e6, Just(f32::NAN), Just(0.0)], 0..20).prop_map(
            |scores| {
                let mut leg: Vec<_> = scores.into_iter().map(|(n, score)| (id(n), score)).collect();
                leg.sort_by(|a, b| b.1.total_cmp(&a.1));
                leg
            },
        )
    }

    proptest! {
        #[test]
        fn every_item_comes_once_with_a_score_from_0_to_1(dense in leg(), sparse in leg(), weight in 0.0f64..=1.0) {
            let fused = min_max(&dense, &sparse, weight, |_| false);
            let mut ids: Vec<_> = dense.iter().chain(&sparse).map(|(id, _)| *id).collect();
            ids.sort();
            ids.dedup();
            prop_assert_eq!(fused.len(), ids.len());
            prop_assert!(fused.iter().all(|(_, score)| (0.0..=1.000_001).contains(score)));
            prop_assert!(fused.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        }

        #[test]
        fn scale_and_shift_of_a_leg_change_nothing(dense in leg(), sparse in leg()) {
            let finite = |leg: &[(ChunkId, f32)]| leg.iter().filter(|(_, s)| s.is_finite()).copied().collect::<Vec<_>>();
            let (dense, sparse) = (finite(&dense), finite(&sparse));
            let moved: Vec<_> = sparse.iter().map(|(id, s)| (*id, s * 2.0 + 8.0)).collect();
            let (a, b) = (min_max(&dense, &sparse, 0.5, |_| false), min_max(&dense, &moved, 0.5, |_| false));
            for (id, score) in a {
                let other = b.iter().find(|(other, _)| *other == id).map_or(9.0, |(_, score)| *score);
                prop_assert!((score - other).abs() < 1e-2, "{} {}", score, other);
            }
        }
    }
}
