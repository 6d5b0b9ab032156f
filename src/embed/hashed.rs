//! A deterministic embedder without weights, for tests and for CI: a bag of hashed words.
//!
//! Texts that share words are near each other, and that is all: it knows no meaning. Not for serving people.

use sha2::{Digest, Sha256};

use super::{EmbedFuture, Embedder};

/// Length of its vectors.
pub const DIM: usize = 64;

/// Each lower-cased word adds 1 or -1 to one of [`DIM`] places, chosen by its SHA-256; the sum is L2-normalised.
#[derive(Debug, Clone, Copy, Default)]
pub struct HashEmbedder;

impl HashEmbedder {
    pub fn new() -> Self {
        Self
    }
}

/// The vector of `text`: unit length, or all zeros but the first place for a text without words.
fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; DIM];
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    for word in words {
        let digest = Sha256::digest(word.to_lowercase().as_bytes());
        let sign = if digest[1] & 1 == 0 { 1.0 } else { -1.0 };
        vector[usize::from(digest[0]) % DIM] += sign;
    }
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x /= norm);
    } else {
        vector[0] = 1.0;
    }
    vector
}

impl Embedder for HashEmbedder {
    fn model_id(&self) -> &str {
        "hashed-words"
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn embed_queries(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        self.embed_passages(texts)
    }

    fn embed_passages(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        Box::pin(async move { Ok(texts.iter().map(|text| embed(text)).collect()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_words_are_nearer_than_none() {
        let cosine = |a: &str, b: &str| embed(a).iter().zip(embed(b)).map(|(x, y)| x * y).sum::<f32>();
        assert_eq!(embed("Late shipment"), embed("late SHIPMENT"));
        assert!(
            cosine("late shipment of order", "order shipment is late")
                > cosine("late shipment of order", "tone of voice")
        );
        assert!((cosine("", "") - 1.0).abs() < 1e-6);
    }
}
