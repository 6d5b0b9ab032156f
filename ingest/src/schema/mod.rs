//! The canonical fields of each record kind: name, type, label, the words a question uses, who may see them.
//!
//! The one list that mappings are checked against, cards are printed from, links and identifiers are read from, and
//! questions are matched with. Sources never appear here; rules over the fields (limits, deadlines) belong to `detect`.

mod finance;
mod fulfilment;
mod partners;
mod purchasing;
mod sales;
mod stock;

use crate::identifier::IdentifierScheme;
use crate::record::RecordKind;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    Text,
    Integer,
    Quantity,
    Money,
    /// A calendar day.
    Date,
    /// An instant, or only the day when the source has no more: `Value::Time` or `Value::Date`.
    Moment,
    Flag,
}

impl FieldType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Quantity => "quantity",
            Self::Money => "money",
            Self::Date => "date",
            Self::Moment => "date or time",
            Self::Flag => "flag",
        }
    }
}

/// Who may see a field: `Cost` only roles that may see what the company pays or earns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Public,
    Cost,
}

/// One canonical field.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    /// snake_case; the key in `Record::fields`.
    pub name: &'static str,
    /// As people read it on a card: "Promised date".
    pub label: &'static str,
    pub kind: FieldType,
    pub class: Class,
    /// Lower-case words and phrases with which a question asks for it, the label and name aside.
    pub synonyms: &'static [&'static str],
    /// The kind of record the value refers to.
    pub link: Option<RecordKind>,
    /// Set when the value identifies this record (a question that names it means this record).
    pub scheme: Option<IdentifierScheme>,
}

/// The fields of one kind. Order is the order on the card.
#[derive(Debug)]
pub struct KindSchema {
    pub kind: RecordKind,
    /// "Purchase order"
    pub label: &'static str,
    /// Lower-case words for the kind itself, plural included.
    pub synonyms: &'static [&'static str],
    /// Of the external id.
    pub scheme: IdentifierScheme,
    /// Field that titles the card besides the kind ("name" of a product); "" for none.
    pub title_field: &'static str,
    pub fields: &'static [FieldSpec],
    /// "Lines", "Items", "Parcels": heading of the lines on the card; "" when the kind has none.
    pub lines_label: &'static str,
    pub lines: &'static [FieldSpec],
}

impl KindSchema {
    pub fn field(&self, name: &str) -> Option<&'static FieldSpec> {
        self.fields.iter().find(|spec| spec.name == name)
    }

    pub fn line_field(&self, name: &str) -> Option<&'static FieldSpec> {
        self.lines.iter().find(|spec| spec.name == name)
    }

    /// The spec of a path as `Record::field` takes it: `total`, `lines.2.sku`.
    pub fn by_path(&self, path: &str) -> Option<&'static FieldSpec> {
        match path.strip_prefix("lines.") {
            Some(rest) => self.line_field(rest.split_once('.')?.1),
            None => self.field(path),
        }
    }
}

/// The schema of a kind.
pub fn schema(kind: RecordKind) -> &'static KindSchema {
    use RecordKind as K;
    match kind {
        K::Customer => &partners::CUSTOMER,
        K::Supplier => &partners::SUPPLIER,
        K::Product => &stock::PRODUCT,
        K::StockLevel => &stock::STOCK_LEVEL,
        K::Reservation => &stock::RESERVATION,
        K::StockCount => &stock::STOCK_COUNT,
        K::ChannelListing => &stock::CHANNEL_LISTING,
        K::Price => &stock::PRICE,
        K::Order => &sales::ORDER,
        K::Return => &sales::RETURN,
        K::Ticket => &sales::TICKET,
        K::Shipment => &fulfilment::SHIPMENT,
        K::TrackingEvent => &fulfilment::TRACKING_EVENT,
        K::PurchaseOrder => &purchasing::PURCHASE_ORDER,
        K::Receipt => &purchasing::RECEIPT,
        K::PurchaseOrderAcknowledgement => &purchasing::ACKNOWLEDGEMENT,
        K::SupplierInvoice => &purchasing::SUPPLIER_INVOICE,
        K::CustomerInvoice => &finance::CUSTOMER_INVOICE,
        K::CreditNote => &finance::CREDIT_NOTE,
        K::Payment => &finance::PAYMENT,
        K::Refund => &finance::REFUND,
        K::Remittance => &finance::REMITTANCE,
    }
}

/// Fields of a kind that a question's words ask for, best match first: the longest phrase found wins, then card order.
///
/// `words` is lower case with single spaces (`text::for_matching`). Line fields come after fields of equal length.
pub fn fields_asked(kind: RecordKind, words: &str) -> Vec<&'static FieldSpec> {
    let schema = schema(kind);
    let mut found: Vec<(usize, &'static FieldSpec)> = schema
        .fields
        .iter()
        .chain(schema.lines)
        .filter_map(|spec| Some((spec.longest_phrase_in(words)?, spec)))
        .collect();
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, spec)| spec).collect()
}

impl FieldSpec {
    const fn new(name: &'static str, label: &'static str, kind: FieldType, synonyms: &'static [&'static str]) -> Self {
        Self { name, label, kind, class: Class::Public, synonyms, link: None, scheme: None }
    }

    const fn cost(mut self) -> Self {
        self.class = Class::Cost;
        self
    }

    const fn links(mut self, kind: RecordKind) -> Self {
        self.link = Some(kind);
        self
    }

    const fn id(mut self, scheme: IdentifierScheme) -> Self {
        self.scheme = Some(scheme);
        self
    }

    /// Length in bytes of the longest of label, name and synonyms that occurs as whole words; `None` when none does.
    fn longest_phrase_in(&self, words: &str) -> Option<usize> {
        let label = self.label.to_lowercase();
        let name = self.name.replace('_', " ");
        let own = [label.as_str(), name.as_str()];
        own.into_iter()
            .chain(self.synonyms.iter().copied())
            .filter(|phrase| contains_phrase(words, phrase))
            .map(str::len)
            .max()
    }
}

/// Whether `phrase` occurs in `words` with no letter or digit directly before or after it.
pub fn contains_phrase(words: &str, phrase: &str) -> bool {
    words.match_indices(phrase).any(|(at, _)| {
        let before = words[..at].chars().next_back();
        let after = words[at + phrase.len()..].chars().next();
        !phrase.is_empty() && !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// The name closest to a misspelt one, if any is close enough to suggest (edit distance at most a third of its length).
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.get(..64).unwrap_or(wrong);
    names
        .into_iter()
        .map(|name| (edit_distance(wrong, name), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3)
        .map(|(_, name)| name)
}

/// Levenshtein distance in bytes, one row at a time.
fn edit_distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

const fn text(name: &'static str, label: &'static str, synonyms: &'static [&'static str]) -> FieldSpec {
    FieldSpec::new(name, label, FieldType::Text, synonyms)
}
const fn integer(name: &'static str, label: &'static str, synonyms: &'static [&'static str]) -> FieldSpec {
    FieldSpec::new(name, label, FieldType::Integer, synonyms)
}
const fn quantity(name: &'static str, label: &'static str, synonyms: &'static [&'static str]) -> FieldSpec {
    FieldSpec::new(name, label, FieldType::Quantity, synonyms)
}
const fn money(name: &'static str, label: &'static str, synonyms: &'static [&'static str]) -> FieldSpec {
    FieldSpec::new(name, label, FieldType::Money, synonyms)
}
const fn date(name: &'static str, label: &'static str, synonyms: &'static [&'static str]) -> FieldSpec {
    FieldSpec::new(name, label, FieldType::Date, synonyms)
}
const fn moment(name: &'static str, label: &'static str, synonyms: &'static [&'static str]) -> FieldSpec {
    FieldSpec::new(name, label, FieldType::Moment, synonyms)
}
const fn flag(name: &'static str, label: &'static str, synonyms: &'static [&'static str]) -> FieldSpec {
    FieldSpec::new(name, label, FieldType::Flag, synonyms)
}
