//! States that are derived: "overdue", "late", "open". Each is a list of filters over canonical fields, said out loud in the answer.

use ingest::RecordKind as K;
use ingest::RecordKind;

use super::lexicon::profile;
use super::query::{Filter, Op};
use super::vocabulary::Value;

/// Words of the phrases below, for the correction of typing errors.
pub const WORDS: &[&str] = &[
    "open",
    "unpaid",
    "overdue",
    "late",
    "delayed",
    "outstanding",
    "unshipped",
    "undelivered",
    "unacknowledged",
    "uninvoiced",
    "backordered",
    "back",
    "negative",
    "quarantine",
    "quarantined",
    "damaged",
    "unapplied",
    "consumer",
    "consumers",
    "hold",
    "owe",
    "owes",
    "owed",
    "credit",
    "fraud",
    "without",
    "blocked",
    "inactive",
    "unsettled",
    "undeliverable",
    "older",
    "newer",
    "than",
    "above",
    "below",
    "under",
    "over",
    "more",
    "less",
    "least",
    "ordered",
    "time",
    "acknowledged",
    "confirmed",
];

/// A derived state as it was found in a question.
#[derive(Debug, Clone)]
pub struct Concept {
    pub filters: Vec<Filter>,
    /// The day from which its age counts ("overdue by more than 30 days").
    pub since: Option<&'static str>,
    /// What adds up for it, when it is not the kind's own value.
    pub value: Option<&'static str>,
}

pub fn filter(field: &str, op: Op, values: &[&str]) -> Filter {
    Filter { field: field.to_owned(), op, values: values.iter().map(|value| (*value).to_owned()).collect(), than: None }
}

fn than(field: &str, op: Op, other: &str) -> Filter {
    Filter { field: field.to_owned(), op, values: Vec::new(), than: Some(other.to_owned()) }
}

/// What the data of a tenant has, as far as concepts depend on it.
pub struct Known<'a> {
    pub values: &'a [Value],
}

impl Known<'_> {
    pub fn has_field(&self, kind: RecordKind, field: &str) -> bool {
        self.values.iter().any(|value| value.kind == kind.as_str() && value.field == field)
    }

    /// The stored forms of a value of a field, compared without case, `_` and `-`.
    pub fn forms(&self, kind: RecordKind, field: &str, wanted: &[&str]) -> Vec<String> {
        self.values
            .iter()
            .filter(|value| value.kind == kind.as_str() && value.field == field)
            .filter(|value| wanted.contains(&super::plan::plain(&value.value).as_str()))
            .map(|value| value.value.clone())
            .collect()
    }

    /// Status not among what is done; states the data never had are not named.
    fn not_done(&self, kind: RecordKind) -> Option<Filter> {
        let done = self.forms(kind, "status", profile(kind).done);
        self.has_field(kind, "status")
            .then(|| Filter { field: "status".into(), op: Op::Ne, values: done, than: None })
            .filter(|filter| !filter.values.is_empty())
    }

    fn not_cancelled(&self, kind: RecordKind) -> Option<Filter> {
        let gone = self.forms(kind, "status", &["cancelled", "canceled", "void"]);
        (!gone.is_empty()).then(|| Filter { field: "status".into(), op: Op::Ne, values: gone, than: None })
    }

    fn unpaid(&self, kind: RecordKind) -> Option<Concept> {
        if self.has_field(kind, "balance_due") {
            return Some(Concept {
                filters: vec![filter("balance_due", Op::Gt, &["0"])],
                since: None,
                value: Some("balance_due"),
            });
        }
        self.not_done(kind).map(|filter| Concept { filters: vec![filter], since: None, value: None })
    }
}

fn plain(filters: Vec<Filter>) -> Option<Concept> {
    Some(Concept { filters, since: None, value: None })
}

/// The concept that a phrase names for a kind, if it is one.
pub fn concept(kind: RecordKind, phrase: &str, known: &Known<'_>) -> Option<Concept> {
    match phrase {
        "open" | "still open" | "not closed" | "not yet closed" | "unfinished" | "offene" | "offenen"
        | "pending completion" => open(kind, known),
        "unpaid" | "not paid" | "not yet paid" | "not been paid" | "outstanding" | "unsettled" | "unbezahlte"
        | "unbezahlten" | "yet to be paid" | "still to be paid" => match kind {
            K::CustomerInvoice | K::SupplierInvoice => known.unpaid(kind),
            _ => None,
        },
        "overdue" | "past due" | "past their due date" | "überfällig" | "überfälligen" | "überfällige" => {
            overdue(kind, known)
        }
        "late"
        | "delayed"
        | "running late"
        | "behind schedule"
        | "past their promised date"
        | "past the promised date"
        | "verspätet" => late(kind, known),
        "delivered late" | "arrived late" | "late deliveries" | "deliver late" | "delivering late" | "were late"
        | "late delivery" => delivered(kind, Op::Gt),
        "delivered on time" | "on time" | "arrived on time" => delivered(kind, Op::Le),
        "unshipped" | "not shipped" | "not yet shipped" | "not been shipped" | "not shipped yet" => {
            without_day(kind, "shipped_at", known)
        }
        "undelivered" | "not delivered" | "not yet delivered" | "not been delivered" => {
            without_day(kind, "delivered_at", known)
        }
        "unacknowledged"
        | "not acknowledged"
        | "without acknowledgement"
        | "not confirmed"
        | "unconfirmed"
        | "without an acknowledgement"
        | "without confirmation"
        | "not been acknowledged" => match kind {
            K::PurchaseOrder => {
                let mut filters = vec![filter("purchase_order_acknowledgement", Op::NotReferredBy, &[])];
                filters.extend(known.not_done(kind));
                plain(filters)
            }
            _ => None,
        },
        "uninvoiced" | "not invoiced" | "without invoice" | "without an invoice" | "not yet invoiced"
        | "no invoice" | "not been invoiced" => {
            matches!(kind, K::Order).then(|| plain(vec![filter("customer_invoice", Op::NotReferredBy, &[])]))?
        }
        "without refund" | "without a refund" | "not refunded" | "no refund" | "not yet refunded" => {
            matches!(kind, K::Return).then(|| plain(vec![filter("refund", Op::NotReferredBy, &[])]))?
        }
        "without refund or credit note" | "without a refund or credit note" | "without a refund or a credit note" => {
            let filters = vec![filter("refund", Op::NotReferredBy, &[]), filter("credit_note", Op::NotReferredBy, &[])];
            matches!(kind, K::Return).then(|| plain(filters))?
        }
        "back ordered"
        | "backordered"
        | "on back order"
        | "with back orders"
        | "on backorder"
        | "with backorders"
        | "back ordered lines"
        | "backordered lines"
        | "with back ordered lines" => {
            let concept = plain(vec![filter("lines.quantity_backordered", Op::Gt, &["0"])]);
            matches!(kind, K::Order).then_some(concept)?
        }
        "negative" => matches!(kind, K::StockLevel).then(|| plain(vec![filter("on_hand", Op::Lt, &["0"])]))?,
        "out of stock" => matches!(kind, K::StockLevel).then(|| plain(vec![filter("available", Op::Le, &["0"])]))?,
        "in quarantine" | "quarantined" => {
            let mut concept = plain(vec![filter("quarantined", Op::Gt, &["0"])])?;
            (concept.since, concept.value) = (Some("quarantined_since"), Some("quarantined"));
            matches!(kind, K::StockLevel).then_some(concept)
        }
        "waiting for inspection" | "return pending" | "awaiting inspection" => {
            let mut concept = plain(vec![filter("return_pending", Op::Gt, &["0"])])?;
            (concept.since, concept.value) = (Some("return_pending_since"), Some("return_pending"));
            matches!(kind, K::StockLevel).then_some(concept)
        }
        "unapplied" | "not applied" | "not fully applied" | "with unapplied money" => {
            let mut concept = plain(vec![filter("unapplied", Op::Gt, &["0"])])?;
            concept.value = Some("unapplied");
            matches!(kind, K::Payment).then_some(concept)
        }
        "undeliverable address"
        | "invalid address"
        | "an undeliverable address"
        | "an invalid address"
        | "undeliverable addresses"
        | "invalid addresses"
        | "bad address"
        | "undeliverable" => matches!(kind, K::Order).then(|| plain(vec![filter("address_valid", Op::Eq, &["no"])]))?,
        "credit hold" | "on credit hold" | "credit holds" => hold(kind, "credit", known),
        "payment hold" | "on payment hold" | "payment holds" => hold(kind, "payment", known),
        "fraud hold" | "on fraud hold" | "fraud holds" | "held for fraud" | "fraud review" | "in fraud review" => {
            hold(kind, "fraud", known)
        }
        "on hold" | "held" | "on hold orders" | "holds" | "hold" | "blocked orders" => on_hold(kind, known),
        "consumer" | "consumers" | "consumer customers" | "private customers" | "b2c" => consumers(kind, known),
        _ => None,
    }
}

/// Longest phrase above, words.
pub const PHRASE_WORDS: usize = 6;

fn open(kind: RecordKind, known: &Known<'_>) -> Option<Concept> {
    if matches!(kind, K::CustomerInvoice | K::SupplierInvoice) {
        return known.unpaid(kind);
    }
    let literal = known.forms(kind, "status", &["open"]);
    if !literal.is_empty() {
        return plain(vec![Filter { field: "status".into(), op: Op::Eq, values: literal, than: None }]);
    }
    known.not_done(kind).and_then(|filter| plain(vec![filter]))
}

fn overdue(kind: RecordKind, known: &Known<'_>) -> Option<Concept> {
    match kind {
        K::CustomerInvoice | K::SupplierInvoice => {
            let mut concept = known.unpaid(kind)?;
            concept.filters.push(filter("due_date", Op::Lt, &["today"]));
            concept.since = Some("due_date");
            Some(concept)
        }
        _ => late(kind, known),
    }
}

fn late(kind: RecordKind, known: &Known<'_>) -> Option<Concept> {
    let mut filters = match kind {
        K::Order | K::Shipment => vec![filter("delivered_at", Op::Missing, &[])],
        K::PurchaseOrder => known.not_done(kind).into_iter().collect(),
        K::Receipt => return delivered(kind, Op::Gt),
        _ => return None,
    };
    if kind != K::PurchaseOrder {
        filters.extend(known.not_cancelled(kind));
    }
    filters.push(filter("promised_date", Op::Lt, &["today"]));
    Some(Concept { filters, since: Some("promised_date"), value: None })
}

/// Delivered after (or by) the day that was promised; of suppliers' receipts, the day promised on the purchase order.
fn delivered(kind: RecordKind, op: Op) -> Option<Concept> {
    match kind {
        K::Order | K::Shipment => plain(vec![than("delivered_at", op, "promised_date")]),
        K::Receipt => plain(vec![than("received_at", op, "purchase_order_number.promised_date")]),
        _ => None,
    }
}

fn without_day(kind: RecordKind, field: &str, known: &Known<'_>) -> Option<Concept> {
    if !matches!(kind, K::Order | K::Shipment) {
        return None;
    }
    let mut filters = vec![filter(field, Op::Missing, &[])];
    filters.extend(known.not_cancelled(kind));
    plain(filters)
}

fn on_hold(kind: RecordKind, known: &Known<'_>) -> Option<Concept> {
    let literal = known.forms(kind, "status", &["on hold", "held", "hold"]);
    let filter = if !literal.is_empty() {
        Filter { field: "status".into(), op: Op::Eq, values: literal, than: None }
    } else if known.has_field(kind, "hold_kind") {
        filter("hold_kind", Op::Present, &[])
    } else {
        return None;
    };
    Some(Concept { filters: vec![filter], since: Some("hold_since"), value: None })
}

/// The kind of hold stays on a record after its release: the state says whether it is held now.
fn hold(kind: RecordKind, what: &str, known: &Known<'_>) -> Option<Concept> {
    let forms = known.forms(kind, "hold_kind", &[what]);
    if forms.is_empty() {
        return None;
    }
    let mut concept = on_hold(kind, known)?;
    concept.filters.push(Filter { field: "hold_kind".into(), op: Op::Eq, values: forms, than: None });
    Some(concept)
}

fn consumers(kind: RecordKind, known: &Known<'_>) -> Option<Concept> {
    let forms = known.forms(K::Customer, "group", &["consumer", "consumers", "retail", "private", "b2c"]);
    let field = if kind == K::Customer { "group" } else { "customer_id.group" };
    let links = kind == K::Customer || crate::record::layout::layout(kind).column("customer_id").is_some();
    (links && !forms.is_empty())
        .then(|| plain(vec![Filter { field: field.into(), op: Op::Eq, values: forms, than: None }]))?
}
