//! A canonical record: what an ERP row became after its mapping, typed and exact.
//!
//! The canonical JSON of a record is what is stored, hashed and cited, so its bytes are a function of its content
//! alone. What the fields of each kind are is in `schema`; how a record reads as text is in `card`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::identifier::{Identifier, IdentifierScheme};
use crate::money::{Decimal, Money, normalise};
use crate::schema;

macro_rules! record_kinds {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// The closed set of things an ERP can tell us about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum RecordKind { $($variant),+ }

        impl RecordKind {
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The stable snake_case name, as in SQL, JSON and mappings.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

record_kinds! {
    Customer = "customer",
    Supplier = "supplier",
    Product = "product",
    StockLevel = "stock_level",
    Order = "order",
    Shipment = "shipment",
    PurchaseOrder = "purchase_order",
    Receipt = "receipt",
    CustomerInvoice = "customer_invoice",
    SupplierInvoice = "supplier_invoice",
    CreditNote = "credit_note",
    Payment = "payment",
    Refund = "refund",
    Remittance = "remittance",
    Return = "return",
    Ticket = "ticket",
    Price = "price",
    Reservation = "reservation",
    StockCount = "stock_count",
    ChannelListing = "channel_listing",
    TrackingEvent = "tracking_event",
    PurchaseOrderAcknowledgement = "purchase_order_acknowledgement",
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a record kind{}", .nearest.map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default())]
pub struct UnknownKind {
    pub nearest: Option<&'static str>,
}

impl FromStr for RecordKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownKind { nearest: schema::nearest(text, Self::ALL.map(Self::as_str)) })
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One typed value. Serialised as `{"money":{"amount":"84.00","currency":"EUR"}}`: the tag says the type, numbers that
/// must stay exact are texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    Text(String),
    Integer(i64),
    /// A number that counts or measures; trailing zeros carry no meaning (`Value::quantity` drops them).
    Quantity(#[serde(with = "exact")] Decimal),
    Money(Money),
    Date(Date),
    Time(Timestamp),
    Flag(bool),
}

impl Value {
    /// A quantity in its one canonical form: no trailing zeros, no negative zero.
    pub fn quantity(decimal: Decimal) -> Self {
        Self::Quantity(normalise(decimal))
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub fn as_money(&self) -> Option<Money> {
        if let Self::Money(money) = self { Some(*money) } else { None }
    }

    /// The number of a quantity or an integer.
    pub fn as_decimal(&self) -> Option<Decimal> {
        match self {
            Self::Quantity(decimal) => Some(*decimal),
            Self::Integer(integer) => Some(Decimal::from(*integer)),
            Self::Text(_) | Self::Money(_) | Self::Date(_) | Self::Time(_) | Self::Flag(_) => None,
        }
    }

    pub fn as_integer(&self) -> Option<i64> {
        if let Self::Integer(integer) = self { Some(*integer) } else { None }
    }

    pub fn as_flag(&self) -> Option<bool> {
        if let Self::Flag(flag) = self { Some(*flag) } else { None }
    }

    /// The calendar day of a date, or of a time in UTC.
    pub fn as_date(&self) -> Option<Date> {
        match self {
            Self::Date(date) => Some(*date),
            Self::Time(time) => Some(time.to_zoned(jiff::tz::TimeZone::UTC).date()),
            Self::Text(_) | Self::Integer(_) | Self::Quantity(_) | Self::Money(_) | Self::Flag(_) => None,
        }
    }

    /// The instant of a time, or of the start of a date in UTC.
    pub fn as_time(&self) -> Option<Timestamp> {
        match self {
            Self::Time(time) => Some(*time),
            Self::Date(date) => date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp()),
            Self::Text(_) | Self::Integer(_) | Self::Quantity(_) | Self::Money(_) | Self::Flag(_) => None,
        }
    }
}

/// A quantity as text, in its one canonical form both ways.
mod exact {
    use super::Decimal;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(decimal: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&super::normalise(*decimal))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let text = String::deserialize(deserializer)?;
        crate::money::parse_decimal(&text).map_err(serde::de::Error::custom)
    }
}

/// Fields by canonical name.
pub type Fields = BTreeMap<String, Value>;

/// One record at one version. Two records with the same content are equal and have the same canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub kind: RecordKind,
    /// The source's own key; unique per source and kind.
    pub external_id: String,
    pub fields: Fields,
    /// Order lines, receipt lines, ...: in the source's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Fields>,
    /// Columns no mapping names, kept as they came.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, serde_json::Value>,
    /// When the source says this version was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_time: Option<Timestamp>,
}

/// A reference from a field to another record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// `customer_id`, `lines.2.sku`.
    pub field: String,
    pub kind: RecordKind,
    /// What the field holds: the other record's external id or another of its identifiers.
    pub external_id: String,
}

/// Why stored bytes are not a record.
#[derive(Debug, thiserror::Error)]
#[error("not a canonical record: {0}")]
pub struct RecordJsonError(#[from] serde_json::Error);

impl Record {
    pub fn new(kind: RecordKind, external_id: impl Into<String>) -> Self {
        Self {
            kind,
            external_id: external_id.into(),
            fields: Fields::new(),
            lines: Vec::new(),
            extra: BTreeMap::new(),
            source_time: None,
        }
    }

    /// The bytes that are stored and hashed: keys sorted at every level, no white space, UTF-8 unescaped.
    pub fn canonical_json(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or(serde_json::Value::Null);
        canonical_text(&value)
    }

    pub fn from_canonical_json(text: &str) -> Result<Self, RecordJsonError> {
        Ok(serde_json::from_str(text)?)
    }

    /// SHA-256 of the canonical JSON, 64 hexadecimal digits.
    pub fn content_sha256(&self) -> String {
        crate::document::sha256_hex(self.canonical_json().as_bytes())
    }

    /// A field by its path: `total`, or `lines.2.sku` (lines from 0). `external_id` and `kind` are fields too.
    pub fn field(&self, path: &str) -> Option<Cow<'_, Value>> {
        if let Some(rest) = path.strip_prefix("lines.") {
            let (index, name) = rest.split_once('.')?;
            return self.lines.get(index.parse::<usize>().ok()?)?.get(name).map(Cow::Borrowed);
        }
        match path {
            "external_id" => Some(Cow::Owned(Value::Text(self.external_id.clone()))),
            "kind" => Some(Cow::Owned(Value::text(self.kind.as_str()))),
            name => self.fields.get(name).map(Cow::Borrowed),
        }
    }

    /// The text of a text field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_text)
    }

    /// Every identifier under which this record should be found, without duplicates, the external id first.
    pub fn identifiers(&self) -> Vec<Identifier> {
        let mut found = Vec::new();
        let own = schema::schema(self.kind).scheme;
        // A composed key such as "product/location" is nothing anyone asks for, and would collide without its mark.
        if own != IdentifierScheme::Other || !self.external_id.contains('/') {
            crate::identifier::of_record(own, &self.external_id, &mut found);
        }
        for (_, spec, value) in self.specified_fields() {
            let Some(scheme) = spec.scheme else { continue };
            for shown in texts(value) {
                crate::identifier::of_record(scheme, &shown, &mut found);
            }
        }
        dedup_keep_first(&mut found);
        found
    }

    /// Every reference this record makes, in field order, then line order; a record does not link to itself.
    pub fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for (path, spec, value) in self.specified_fields() {
            let Some(kind) = spec.link else { continue };
            for external_id in texts(value) {
                if kind != self.kind || external_id != self.external_id {
                    links.push(Link { field: path.clone(), kind, external_id });
                }
            }
        }
        links
    }

    /// Fields and line fields that the schema knows, with their path.
    fn specified_fields(&self) -> Vec<(String, &'static schema::FieldSpec, &Value)> {
        let schema = schema::schema(self.kind);
        let mut found = Vec::new();
        for spec in schema.fields {
            if let Some(value) = self.fields.get(spec.name) {
                found.push((spec.name.to_owned(), spec, value));
            }
        }
        for (index, line) in self.lines.iter().enumerate() {
            for spec in schema.lines {
                if let Some(value) = line.get(spec.name) {
                    found.push((format!("lines.{index}.{}", spec.name), spec, value));
                }
            }
        }
        found
    }
}

/// The identifiers a value holds: a text may list several, separated by comma or semicolon.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) => {
            text.split([',', ';']).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        }
        Value::Integer(integer) => vec![integer.to_string()],
        Value::Quantity(_) | Value::Money(_) | Value::Date(_) | Value::Time(_) | Value::Flag(_) => Vec::new(),
    }
}

fn dedup_keep_first(found: &mut Vec<Identifier>) {
    let mut seen = std::collections::HashSet::new();
    found.retain(|identifier| seen.insert((identifier.scheme, identifier.normal.clone())));
}

/// JSON with keys sorted at every level and no white space.
///
/// Numbers are printed as serde_json prints them; exact numbers are texts in our own types.
pub fn canonical_text(value: &serde_json::Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    sorted.to_string()
}

impl Identifier {
    /// Shorthand for tests and lookups.
    pub fn new(scheme: IdentifierScheme, shown: &str) -> Self {
        Self { scheme, normal: crate::identifier::normal(shown), shown: shown.to_owned() }
    }
}
