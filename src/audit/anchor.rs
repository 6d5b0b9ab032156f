//! A signed head: sequence number and hash of the newest event, to be kept outside the database.
//!
//! Ed25519 over the canonical JSON of everything but the signature. The signing key lies in the data directory, not in the database, so
//! that whoever can rewrite the database cannot also sign a new head.

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::canonical;

/// A head as exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    pub tenant: String,
    pub seq: i64,
    pub hash: String,
    pub at_us: i64,
    /// The verifying key, 64 hexadecimal digits.
    pub public_key: String,
    /// Ed25519, 128 hexadecimal digits.
    pub signature: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AnchorError {
    #[error("the anchor belongs to another tenant")]
    OtherTenant,
    #[error("the anchor was signed with another key than this installation's")]
    OtherKey,
    #[error("the anchor's signature is not valid")]
    Signature,
}

impl Anchor {
    pub fn sign(key: &SigningKey, tenant: String, seq: i64, hash: String, at_us: i64) -> Self {
        let public_key = hex::encode(key.verifying_key().as_bytes());
        let mut anchor = Self { tenant, seq, hash, at_us, public_key, signature: String::new() };
        anchor.signature = hex::encode(key.sign(anchor.signed_text().as_bytes()).to_bytes());
        anchor
    }

    /// Checks who signed it and for which tenant.
    pub fn check(&self, key: &VerifyingKey, tenant: &str) -> Result<(), AnchorError> {
        if self.tenant != tenant {
            return Err(AnchorError::OtherTenant);
        }
        if self.public_key != hex::encode(key.as_bytes()) {
            return Err(AnchorError::OtherKey);
        }
        let bytes: [u8; 64] =
            hex::decode(&self.signature).ok().and_then(|b| b.try_into().ok()).ok_or(AnchorError::Signature)?;
        key.verify(self.signed_text().as_bytes(), &Signature::from_bytes(&bytes)).map_err(|_| AnchorError::Signature)
    }

    pub fn describe(&self) -> String {
        format!("entry {} signed at {}", self.seq, crate::clock::from_us(self.at_us))
    }

    fn signed_text(&self) -> String {
        canonical::to_text(&json!({
            "v": 1, "tenant": self.tenant, "seq": self.seq, "hash": self.hash, "at_us": self.at_us,
            "public_key": self.public_key,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_anchor_is_refused() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let anchor = Anchor::sign(&key, "t".into(), 3, "ab".into(), 5);
        assert_eq!(anchor.check(&key.verifying_key(), "t"), Ok(()));
        assert_eq!(anchor.check(&key.verifying_key(), "u"), Err(AnchorError::OtherTenant));
        let moved = Anchor { seq: 2, ..anchor.clone() };
        assert_eq!(moved.check(&key.verifying_key(), "t"), Err(AnchorError::Signature));
        let other = SigningKey::from_bytes(&[8; 32]);
        assert_eq!(anchor.check(&other.verifying_key(), "t"), Err(AnchorError::OtherKey));
    }
}
