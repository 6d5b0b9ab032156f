//! Identifier newtypes, and the one place that mints random ones. Base module: every stage may use it, it uses none.
//!
//! Ids that must be the same when the same content comes again (records, documents, chunks) are derived in `ingest::ids`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new, time-ordered id (UUIDv7).
            #[expect(clippy::disallowed_methods, reason = "the one place that mints ids")]
            pub fn mint() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            /// Accepts the canonical hyphenated lower-case form only, so that one id has one spelling.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let id: Uuid = text.parse()?;
                if id.as_hyphenated().to_string() == text { Ok(Self(id)) } else { "not canonical".parse().map(Self) }
            }
        }
    };
}

id!(
    /// A client company. It comes from the credential alone (see `access`).
    TenantId
);
id!(UserId);
id!(KeyId);
id!(SourceId);
id!(RunId);
id!(
    /// One push or file batch that was committed as one transaction and audited as one event.
    BatchId
);
id!(RecordId);
id!(DocumentId);
id!(ChunkId);
id!(AnswerId);
id!(ConversationId);
id!(ExceptionId);
id!(EndpointId);
id!(DeliveryId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = TenantId::mint();
        assert_eq!(id.to_string().parse::<TenantId>().unwrap(), id);
        assert!(id.to_string().to_uppercase().parse::<TenantId>().is_err());
        assert!(id.0.simple().to_string().parse::<TenantId>().is_err());
    }
}
