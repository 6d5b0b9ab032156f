//! The register of detectors: which record each is about, what it looks at beside it, and which changes elsewhere concern it. Pure.
//!
//! Work is queued per record as a set of rules (`RuleSet`), so that a changed price runs the price rule of the orders it concerns and
//! nothing else of them.

use ingest::{Record, RecordKind as K};
use jiff::civil::Date;

use super::finding::Out;
use super::view::{Need, View};
use super::{Kind, custom, finance, fulfilment, orders, procurement, returns, stock};

/// Which rules are to be run, one bit each in the order of [`Rule::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuleSet(pub i64);

impl RuleSet {
    pub fn has(self, rule: Rule) -> bool {
        self.0 & rule.bit() != 0
    }

    pub fn of(rules: &[Rule]) -> Self {
        Self(rules.iter().map(|rule| rule.bit()).sum())
    }

    /// Every rule about records of a kind.
    pub fn about(kind: K) -> Self {
        Self(
            Rule::ALL
                .iter()
                .filter(|rule| rule.subject().is_none_or(|subject| subject == kind))
                .map(|rule| rule.bit())
                .sum(),
        )
    }
}

/// A group of kinds that are decided together from the same records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Order,
    OrderDelivery,
    OrderPrices,
    Oversell,
    DuplicateOrder,
    Split,
    Uninvoiced,
    Shipment,
    StockLevel,
    Scarce,
    Listing,
    Reservation,
    StockCount,
    PurchaseOrder,
    Unacknowledged,
    Supplier,
    PurchasePrice,
    DuplicateInvoice,
    ThreeWayMatch,
    Receivable,
    Unapplied,
    ShortPayment,
    RefundAbovePaid,
    NotRefunded,
    ReturnWindow,
    ReturnSurge,
    Custom,
}

/// Which records of another kind a change concerns.
#[derive(Debug, Clone, Copy)]
pub enum Reach {
    /// Those the changed record refers to.
    RefersTo(K),
    /// Those that refer to the changed record.
    ReferredBy(K),
    /// Those that refer to a record of the first kind which the changed one refers to: orders for the product of a price.
    Beside(K, K),
    /// Those with the changed record's match key, before or after the change.
    SameKey,
}

impl Rule {
    pub const ALL: [Self; 27] = [
        Self::Order,
        Self::OrderDelivery,
        Self::OrderPrices,
        Self::Oversell,
        Self::DuplicateOrder,
        Self::Split,
        Self::Uninvoiced,
        Self::Shipment,
        Self::StockLevel,
        Self::Scarce,
        Self::Listing,
        Self::Reservation,
        Self::StockCount,
        Self::PurchaseOrder,
        Self::Unacknowledged,
        Self::Supplier,
        Self::PurchasePrice,
        Self::DuplicateInvoice,
        Self::ThreeWayMatch,
        Self::Receivable,
        Self::Unapplied,
        Self::ShortPayment,
        Self::RefundAbovePaid,
        Self::NotRefunded,
        Self::ReturnWindow,
        Self::ReturnSurge,
        Self::Custom,
    ];

    fn bit(self) -> i64 {
        1 << (self as u32)
    }

    /// The kind of record it is about; `None`: any.
    pub fn subject(self) -> Option<K> {
        Some(match self {
            Self::Order
            | Self::OrderDelivery
            | Self::OrderPrices
            | Self::Oversell
            | Self::DuplicateOrder
            | Self::Split
            | Self::Uninvoiced => K::Order,
            Self::Shipment => K::Shipment,
            Self::StockLevel => K::StockLevel,
            Self::Scarce | Self::ReturnSurge => K::Product,
            Self::Listing => K::ChannelListing,
            Self::Reservation => K::Reservation,
            Self::StockCount => K::StockCount,
            Self::PurchaseOrder | Self::Unacknowledged | Self::Supplier | Self::PurchasePrice => K::PurchaseOrder,
            Self::DuplicateInvoice | Self::ThreeWayMatch => K::SupplierInvoice,
            Self::Receivable => K::CustomerInvoice,
            Self::Unapplied | Self::ShortPayment => K::Payment,
            Self::RefundAbovePaid => K::Refund,
            Self::NotRefunded | Self::ReturnWindow => K::Return,
            Self::Custom => return None,
        })
    }

    /// The built-in kinds it decides; what it does not report of these is not so.
    pub fn decides(self) -> &'static [Kind] {
        use Kind as D;
        match self {
            Self::Order => &[
                D::PaymentHold,
                D::FraudHold,
                D::CreditHold,
                D::AddressIncomplete,
                D::AddressUndeliverable,
                D::OrderUnreleased,
                D::LineBackordered,
            ],
            Self::OrderDelivery => &[D::LateAgainstPromise, D::PartialOverdue],
            Self::OrderPrices => &[D::PriceBelowFloor, D::PriceBelowList],
            Self::Oversell => &[D::Oversell],
            Self::DuplicateOrder => &[D::DuplicateOrder],
            Self::Split => &[D::SplitBeyondPolicy],
            Self::Uninvoiced => &[D::DeliveredNotInvoiced],
            Self::Shipment => &[D::TrackingStalled, D::PickedNotShipped],
            Self::StockLevel => &[D::NegativeStock, D::QuarantineOverdue, D::ReturnPendingOverdue],
            Self::Scarce => &[D::BelowSafetyStock, D::BelowReorderPoint],
            Self::Listing => &[D::ChannelAboveAvailable],
            Self::Reservation => &[D::ReservationWithoutOrder],
            Self::StockCount => &[D::CountVariance],
            Self::PurchaseOrder => &[
                D::PoLate,
                D::PoRejected,
                D::PoShortReceived,
                D::PoOverReceived,
                D::ReceiptRejected,
                D::PoStockMismatch,
                D::PoShippedAfterDue,
            ],
            Self::Unacknowledged => &[D::PoUnacknowledged],
            Self::Supplier => &[D::PoInactiveSupplier, D::PoBlockedSupplier, D::PoLowCreditSupplier],
            Self::PurchasePrice => &[D::PoPriceVariance],
            Self::DuplicateInvoice => &[D::DuplicateSupplierInvoice],
            Self::ThreeWayMatch => &[D::MatchQuantity, D::MatchPrice, D::MatchTax, D::MatchFreight],
            Self::Receivable => &[D::ReceivableOverdue],
            Self::Unapplied => &[D::PaymentUnapplied],
            Self::ShortPayment => &[D::PaymentShort],
            Self::RefundAbovePaid => &[D::RefundAbovePaid],
            Self::NotRefunded => &[D::RefundNotIssued],
            Self::ReturnWindow => &[D::ReturnPastWindow],
            Self::ReturnSurge => &[D::ReturnSurge],
            Self::Custom => &[],
        }
    }

    /// What it looks at beside the record.
    pub fn needs(self, record: &Record, today: Date) -> Vec<Need> {
        match self {
            Self::OrderPrices => orders::price_needs(record),
            Self::Oversell => orders::oversell_needs(record),
            Self::DuplicateOrder => orders::duplicate_needs(record),
            Self::Split => fulfilment::split_needs(record),
            Self::Uninvoiced => fulfilment::invoice_needs(record),
            Self::Scarce => stock::product_needs(record),
            Self::Listing => stock::listing_needs(record),
            Self::Reservation => stock::reservation_needs(record),
            Self::Unacknowledged => procurement::acknowledgement_needs(record),
            Self::Supplier => procurement::supplier_needs(record),
            Self::PurchasePrice => procurement::price_needs(record),
            Self::DuplicateInvoice => finance::duplicate_needs(record),
            Self::ThreeWayMatch => finance::match_needs(record),
            Self::ShortPayment => finance::remittance_needs(record),
            Self::RefundAbovePaid => finance::refund_needs(record),
            Self::NotRefunded => returns::settled_needs(record),
            Self::ReturnWindow => returns::window_needs(record),
            Self::ReturnSurge => returns::surge_needs(record, today),
            Self::Order
            | Self::OrderDelivery
            | Self::Shipment
            | Self::StockLevel
            | Self::StockCount
            | Self::PurchaseOrder
            | Self::Receivable
            | Self::Unapplied
            | Self::Custom => Vec::new(),
        }
    }

    pub fn run(self, out: &mut Out<'_>, view: &View) {
        match self {
            Self::Order => orders::itself(out),
            Self::OrderDelivery => fulfilment::order(out),
            Self::OrderPrices => orders::prices(out, view),
            Self::Oversell => orders::oversell(out, view),
            Self::DuplicateOrder => orders::duplicate(out, view),
            Self::Split => fulfilment::split(out, view),
            Self::Uninvoiced => fulfilment::uninvoiced(out, view),
            Self::Shipment => fulfilment::shipment(out),
            Self::StockLevel => stock::level(out),
            Self::Scarce => stock::scarce(out, view),
            Self::Listing => stock::listing(out, view),
            Self::Reservation => stock::reservation(out, view),
            Self::StockCount => stock::count(out),
            Self::PurchaseOrder => procurement::itself(out),
            Self::Unacknowledged => procurement::unacknowledged(out, view),
            Self::Supplier => procurement::supplier(out, view),
            Self::PurchasePrice => procurement::price(out, view),
            Self::DuplicateInvoice => finance::duplicate(out, view),
            Self::ThreeWayMatch => finance::three_way(out, view),
            Self::Receivable => finance::receivable(out),
            Self::Unapplied => finance::unapplied(out),
            Self::ShortPayment => finance::short(out, view),
            Self::RefundAbovePaid => finance::refund_above_paid(out, view),
            Self::NotRefunded => returns::not_refunded(out, view),
            Self::ReturnWindow => returns::past_window(out, view),
            Self::ReturnSurge => returns::surge(out, view),
            Self::Custom => custom::run(out),
        }
    }
}

/// Whom a change of a record of that kind concerns beside itself.
pub fn reaches(changed: K) -> &'static [(Reach, &'static [Rule])] {
    match changed {
        K::Order => &[
            (Reach::SameKey, &[Rule::DuplicateOrder]),
            (Reach::Beside(K::Product, K::Order), &[Rule::Oversell]),
            (Reach::ReferredBy(K::Reservation), &[Rule::Reservation]),
            (Reach::ReferredBy(K::Return), &[Rule::ReturnWindow]),
        ],
        K::Customer => &[
            (Reach::ReferredBy(K::Order), &[Rule::OrderPrices, Rule::Split]),
            (Reach::ReferredBy(K::Return), &[Rule::ReturnWindow]),
        ],
        K::Price => &[
            (Reach::Beside(K::Product, K::Order), &[Rule::OrderPrices]),
            (Reach::Beside(K::Product, K::PurchaseOrder), &[Rule::PurchasePrice]),
        ],
        K::Product => &[(Reach::ReferredBy(K::PurchaseOrder), &[Rule::PurchasePrice])],
        K::StockLevel => &[
            (Reach::RefersTo(K::Product), &[Rule::Scarce]),
            (Reach::Beside(K::Product, K::ChannelListing), &[Rule::Listing]),
            (Reach::Beside(K::Product, K::Order), &[Rule::Oversell]),
        ],
        K::Shipment => &[(Reach::RefersTo(K::Order), &[Rule::Split])],
        K::CustomerInvoice => &[(Reach::RefersTo(K::Order), &[Rule::Uninvoiced])],
        K::PurchaseOrderAcknowledgement => &[(Reach::RefersTo(K::PurchaseOrder), &[Rule::Unacknowledged])],
        K::Supplier => &[(Reach::ReferredBy(K::PurchaseOrder), &[Rule::Supplier])],
        K::PurchaseOrder => &[(Reach::ReferredBy(K::SupplierInvoice), &[Rule::ThreeWayMatch])],
        K::SupplierInvoice => &[
            (Reach::SameKey, &[Rule::DuplicateInvoice, Rule::ThreeWayMatch]),
            (Reach::Beside(K::PurchaseOrder, K::SupplierInvoice), &[Rule::ThreeWayMatch]),
        ],
        K::Remittance => &[(Reach::ReferredBy(K::Payment), &[Rule::ShortPayment])],
        K::Payment => &[(Reach::Beside(K::Order, K::Refund), &[Rule::RefundAbovePaid])],
        K::Refund => &[
            (Reach::Beside(K::Order, K::Refund), &[Rule::RefundAbovePaid]),
            (Reach::RefersTo(K::Return), &[Rule::NotRefunded]),
        ],
        K::CreditNote => &[(Reach::RefersTo(K::Return), &[Rule::NotRefunded])],
        K::Return => &[(Reach::RefersTo(K::Product), &[Rule::ReturnSurge])],
        K::Receipt | K::Ticket | K::Reservation | K::StockCount | K::ChannelListing | K::TrackingEvent => &[],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_is_decided_by_exactly_one_rule_about_its_record() {
        let mut seen = BTreeSet::new();
        for (position, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule.bit(), 1 << position, "{rule:?}");
            for kind in rule.decides() {
                assert!(seen.insert(*kind), "{kind} twice");
                assert_eq!(rule.subject(), Some(kind.spec().subject), "{kind}");
            }
        }
        assert_eq!(seen.len(), Kind::ALL.len());
    }

    #[test]
    fn what_a_change_concerns_is_about_records_of_that_kind() {
        for changed in K::ALL {
            for (reach, rules) in reaches(changed) {
                let subject = match reach {
                    Reach::RefersTo(kind) | Reach::ReferredBy(kind) | Reach::Beside(_, kind) => *kind,
                    Reach::SameKey => changed,
                };
                assert!(rules.iter().all(|rule| rule.subject() == Some(subject)), "{changed} {reach:?}");
            }
        }
    }
}
