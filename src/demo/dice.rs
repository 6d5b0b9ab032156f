//! Seeded random choices for the demo generator, one independent stream per domain.
//!
//! A stream is named, so that one more draw in `tickets` does not change a single order. The arithmetic on top of the
//! generator is written out here instead of taken from a distribution crate: same seed, same company, in every version.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of choices that depends on the seed and the stream's name only.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream `name` (at most 24 bytes count) of `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        for (slot, byte) in key[8..].iter_mut().zip(name.bytes()) {
            *slot = byte;
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number in `0..n`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        // Multiply-shift: the bias is below 2^-40 for the few hundred values drawn from here.
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).max(1) as usize) as i64
    }

    /// True in `percent` of 100 draws.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `items`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// `count` different indices below `n`, in drawing order; all of them when `count >= n`.
    pub fn distinct(&mut self, count: usize, n: usize) -> Vec<usize> {
        let mut indices: Vec<usize> = (0..n).collect();
        let taken = count.min(n);
        for position in 0..taken {
            let other = position + self.below(n - position);
            indices.swap(position, other);
        }
        indices.truncate(taken);
        indices
    }
}
