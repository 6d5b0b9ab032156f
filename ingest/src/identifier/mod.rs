//! Identifiers: how a record's numbers and a question's mentions of them meet.
//!
//! `of_record` says what is stored for a record, `identifiers_in` what a question may mean; both reduce to
//! `(scheme, normal)`. Which records exist is not known here: a question yields candidates, best first, and the lookup
//! decides.

mod mention;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::text::{is_hidden, unconfuse};

pub use mention::identifiers_in;

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

/// The characters an identifier is compared by: NFKC, nothing hidden, look-alikes as Latin letters, upper case.
pub(crate) fn folded(c: char) -> impl Iterator<Item = char> {
    let visible = (!is_hidden(c)).then_some(c);
    visible.into_iter().nfkc().filter(|c| !is_hidden(*c)).map(unconfuse).flat_map(char::to_uppercase).map(unconfuse)
}

/// The normal form that is stored and looked up: folded, letters and digits only, leading zeros of its first number
/// dropped. `#SO-001042` → `SO1042`, `W2378156` → `W2378156`, `007` → `7`. An e-mail address keeps its punctuation.
pub fn normal(shown: &str) -> String {
    let folded: String = shown.chars().flat_map(folded).collect();
    if folded.contains('@') {
        return folded.chars().filter(|c| !c.is_whitespace()).collect();
    }
    let bare: String = folded.chars().filter(|c| c.is_alphanumeric()).collect();
    let Some(first_digit) = bare.find(|c: char| c.is_ascii_digit()) else { return bare };
    let (prefix, number) = bare.split_at(first_digit);
    let stripped = number.trim_start_matches('0');
    // A number of zeros only keeps one of them.
    let starts_with_digit = stripped.starts_with(|c: char| c.is_ascii_digit());
    let number = if starts_with_digit { stripped } else { &number[number.len() - stripped.len() - 1..] };
    format!("{prefix}{number}")
}

/// Letters before the digits when the rest is digits only: `SO1042` → `("SO", "1042")`.
pub(crate) fn prefix_and_number(normal: &str) -> Option<(&str, &str)> {
    let (prefix, number) = normal.split_at(normal.find(|c: char| c.is_ascii_digit())?);
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some((prefix, number))
}

/// Appends what to store for an identifier of a record, so that any usual spelling in a question finds it: under its
/// own scheme and under `Any`, and for document numbers with a short letter prefix also the number alone.
pub fn of_record(scheme: IdentifierScheme, shown: &str, into: &mut Vec<Identifier>) {
    use IdentifierScheme as S;
    let normal = normal(shown);
    if normal.is_empty() {
        return;
    }
    let number = prefix_and_number(&normal)
        .filter(|(prefix, _)| (1..=5).contains(&prefix.len()))
        .filter(|_| !matches!(scheme, S::Sku | S::Tracking | S::Email | S::Other | S::Any))
        .map(|(_, number)| number.to_owned());
    let mut add = |scheme, normal: String| into.push(Identifier { scheme, normal, shown: shown.to_owned() });
    add(scheme, normal.clone());
    if scheme != S::Any {
        add(S::Any, normal);
    }
    if let Some(number) = number {
        add(scheme, number);
    }
}
