//! The catalogue of exception kinds: what each is called, which record carries it, how bad it is by default, and the words with which
//! policies and runbooks about it are looked for. Pure; limits are tenant data and stand in `settings`.

use std::fmt;

use ingest::RecordKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How bad. The order is the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == text)
    }
}

/// Which desk an exception belongs to; one file of detectors each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    Orders,
    Fulfilment,
    Stock,
    Procurement,
    Finance,
    Returns,
    /// A tenant's own rule.
    Custom,
}

impl Domain {
    pub const ALL: [Self; 7] =
        [Self::Orders, Self::Fulfilment, Self::Stock, Self::Procurement, Self::Finance, Self::Returns, Self::Custom];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Fulfilment => "fulfilment",
            Self::Stock => "stock",
            Self::Procurement => "procurement",
            Self::Finance => "finance",
            Self::Returns => "returns",
            Self::Custom => "custom",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|domain| domain.as_str() == text)
    }
}

/// What the catalogue knows of a kind.
#[derive(Debug, Clone, Copy)]
pub struct KindSpec {
    pub name: &'static str,
    pub domain: Domain,
    /// Kind of the record that carries the exception.
    pub subject: RecordKind,
    pub severity: Severity,
    /// A noun phrase for lists: "Credit hold too old".
    pub title: &'static str,
    /// The rule in one sentence; `{limit}` stands for the limit in force.
    pub rule: &'static str,
    /// Words to search policies and runbooks with.
    pub topic: &'static str,
    /// What a person could do about it, most usual first.
    pub options: &'static [&'static str],
}

macro_rules! kinds {
    ($($variant:ident $name:literal $domain:ident $subject:ident $severity:ident $title:literal $rule:literal $topic:literal [$($option:literal),*];)+) => {
        /// A built-in kind of exception. The list only grows; names are part of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($variant),+ }

        impl Kind {
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            pub fn spec(self) -> &'static KindSpec {
                match self {
                    $(Self::$variant => const {
                        &KindSpec {
                            name: $name, domain: Domain::$domain, subject: RecordKind::$subject, severity: Severity::$severity,
                            title: $title, rule: $rule, topic: $topic, options: &[$($option),*],
                        }
                    }),+
                }
            }
        }
    };
}

kinds! {
    PaymentHold "payment_hold_overdue" Orders Order Medium "Payment hold too old"
        "An order may stand on payment hold for {limit}." "payment hold on an order, authorisation failed"
        ["ask the customer for another payment method", "release the hold", "cancel the order"];
    FraudHold "fraud_hold_overdue" Orders Order High "Fraud review too old"
        "An order may wait for fraud review for {limit}." "fraud review of an order"
        ["finish the review", "release the hold", "cancel the order"];
    CreditHold "credit_hold_overdue" Orders Order High "Credit hold too old"
        "An order may stand on credit hold for {limit}." "credit hold release, credit limit"
        ["release the hold after approval", "collect open invoices first", "cancel the order"];
    AddressIncomplete "address_incomplete" Orders Order Medium "Delivery address incomplete"
        "A delivery address has street, postal code and city." "incomplete delivery address, address change"
        ["ask the customer for the missing part", "change the address"];
    AddressUndeliverable "address_undeliverable" Orders Order Medium "Delivery address undeliverable"
        "A delivery address must pass the carrier's check." "undeliverable address, address change"
        ["ask the customer for a valid address", "change the address"];
    OrderUnreleased "order_unreleased" Orders Order Medium "Order not released"
        "An order without a hold is released within {limit}." "unreleased order, release within service level"
        ["release the order", "put it on hold with a reason"];
    LineBackordered "line_backordered" Orders Order Medium "Line back-ordered"
        "An open order has no back-ordered units." "back order, partial delivery"
        ["ship what is there", "offer a substitute", "change the promised date"];
    Oversell "oversell" Orders Order High "Ordered more than there is"
        "Open orders want no more of a product than its warehouse has." "oversell, ordered more than available stock"
        ["transfer stock", "split the order", "change the promised date", "offer a substitute"];
    PriceBelowFloor "price_below_floor" Orders Order High "Price below floor"
        "A line sells at no less than the floor price in force." "price floor, margin, price override"
        ["correct the price", "have the override approved"];
    PriceBelowList "price_below_list" Orders Order Low "Price below price list"
        "A line sells at no more than {limit} below the customer's list without an override reference." "price override, discount below list price"
        ["correct the price", "record the override"];
    DuplicateOrder "duplicate_order" Orders Order Medium "Order placed twice"
        "The same customer does not order the same lines twice within {limit}." "duplicate order, cancellation"
        ["ask the customer", "cancel the later order"];
    LateAgainstPromise "late_against_promise" Fulfilment Order High "Late against promise"
        "An order is delivered at most {limit} after the promised date." "late delivery, delivery promise"
        ["ask the carrier", "tell the customer", "change the promised date", "reship"];
    TrackingStalled "tracking_stalled" Fulfilment Shipment High "No movement"
        "A shipment in transit is scanned at least every {limit}." "tracking without movement, lost parcel, carrier claim"
        ["open a trace with the carrier", "reship", "refund"];
    PickedNotShipped "picked_not_shipped" Fulfilment Shipment Medium "Picked but not shipped"
        "A picked shipment leaves within {limit}." "picked but not shipped, handover to carrier"
        ["hand it over to the carrier", "find out what blocks it"];
    PartialOverdue "partial_shipment_overdue" Fulfilment Order Medium "Rest of the order overdue"
        "The rest of a part-shipped order follows within {limit}." "partial delivery, back order, rest of the order"
        ["ship the rest", "cancel the rest", "change the promised date"];
    SplitBeyondPolicy "split_beyond_policy" Fulfilment Order Low "Split too often"
        "An order goes out in at most {limit}." "split shipments, back orders and splits"
        ["find out why it was split", "credit the extra freight"];
    DeliveredNotInvoiced "delivered_not_invoiced" Fulfilment Order High "Delivered, not invoiced"
        "A delivered order is invoiced within {limit}." "invoice after delivery"
        ["create the invoice"];
    NegativeStock "negative_stock" Stock StockLevel High "Negative stock"
        "No location holds less than nothing." "negative stock, stock mismatch, stock count"
        ["count the location", "adjust the stock"];
    ChannelAboveAvailable "channel_above_available" Stock ChannelListing High "Channel shows too much"
        "A sales channel shows no more units than are available." "channel quantity above available stock, oversell"
        ["lower the listed quantity"];
    BelowSafetyStock "below_safety_stock" Stock Product High "Below safety stock"
        "Stock on hand is at least the product's safety stock." "safety stock, replenishment"
        ["create a purchase order", "transfer stock", "expedite what is on order"];
    ReservationWithoutOrder "reservation_without_order" Stock Reservation Low "Reservation without an order"
        "A reservation belongs to an open order." "stock reservation, release reserved stock"
        ["release the reservation"];
    CountVariance "count_variance" Stock StockCount Medium "Count differs"
        "A count differs from the books by at most {limit}." "stock count variance, recount, adjustment"
        ["recount", "adjust the stock"];
    QuarantineOverdue "quarantine_overdue" Stock StockLevel Medium "In quarantine too long"
        "Goods leave quarantine within {limit}." "quarantine, quality hold, returned stock"
        ["inspect and release", "scrap", "return to the supplier"];
    ReturnPendingOverdue "return_pending_overdue" Stock StockLevel Medium "Returned goods not inspected"
        "Returned goods are inspected within {limit}." "returned stock waiting for inspection, quarantine"
        ["inspect the goods"];
    PoUnacknowledged "po_unacknowledged" Procurement PurchaseOrder Medium "Not acknowledged"
        "A supplier acknowledges an order within {limit}." "purchase order not acknowledged, supplier escalation"
        ["remind the supplier", "order elsewhere"];
    PoLate "po_late" Procurement PurchaseOrder High "Supplier late"
        "Goods arrive at most {limit} after the promised date." "late supplier delivery, supplier escalation"
        ["expedite", "tell affected customers", "order elsewhere"];
    PoShortReceived "po_short_received" Procurement PurchaseOrder Medium "Short received"
        "What is received is what was ordered." "short delivery, receipt, supplier"
        ["ask for the rest", "close the line short and dispute the invoice"];
    PoOverReceived "po_over_received" Procurement PurchaseOrder Low "Over received"
        "At most {limit} more than ordered is received." "over delivery, receipt, supplier"
        ["return the surplus", "accept it and adjust the order"];
    ReceiptRejected "receipt_rejected" Procurement PurchaseOrder Medium "Rejected on receipt"
        "Nothing is rejected on receipt." "goods rejected on receipt, quality, supplier"
        ["claim a replacement or credit", "return the goods"];
    PoStockMismatch "po_stock_mismatch" Procurement PurchaseOrder Medium "Put away differs from accepted"
        "What is put away is what was received less what was rejected." "receipt and put away differ, stock mismatch"
        ["count what was put away", "correct the receipt"];
    PoRejected "po_rejected" Procurement PurchaseOrder High "Order rejected"
        "A purchase order is not rejected." "purchase order rejected, supplier escalation"
        ["order elsewhere", "change the order"];
    PoInactiveSupplier "po_inactive_supplier" Procurement PurchaseOrder Medium "Supplier inactive"
        "Orders go to active suppliers." "inactive supplier, purchase approval"
        ["cancel the order", "reactivate the supplier"];
    PoBlockedSupplier "po_blocked_supplier" Procurement PurchaseOrder High "Supplier blocked"
        "Orders go to suppliers that are not blocked." "blocked supplier, purchase approval"
        ["cancel the order", "have the block lifted"];
    PoLowCreditSupplier "po_low_credit_supplier" Procurement PurchaseOrder Medium "Supplier's credit is poor"
        "A supplier's credit rating (1 best) is at most {limit}." "supplier credit rating, purchase approval"
        ["ask for security", "order elsewhere"];
    PoShippedAfterDue "po_shipped_after_due" Procurement PurchaseOrder Medium "Shipped after due"
        "A supplier ships no later than the latest due date of the lines." "late supplier delivery, due date"
        ["claim the delay", "update the promised date"];
    PoPriceVariance "po_price_variance" Procurement PurchaseOrder Medium "Price above cost"
        "A line costs at most {limit} more than the supplier's last receipt, or than the standard cost where there is none." "purchase price variance, purchase approval limits"
        ["dispute the price", "have it approved"];
    BelowReorderPoint "below_reorder_point" Procurement Product Low "Below reorder point"
        "Stock on hand is at least the product's reorder point." "reorder point, replenishment"
        ["create a purchase order"];
    MatchQuantity "match_quantity" Finance SupplierInvoice High "Billed more than accepted"
        "A supplier bills no more units than were received and not rejected." "three-way match quantity"
        ["dispute the invoice", "wait for the goods", "ask for a credit note"];
    MatchPrice "match_price" Finance SupplierInvoice High "Billed at a higher price"
        "A billed price exceeds the ordered price by at most {limit}." "three-way match price tolerance"
        ["dispute the invoice", "have the price approved"];
    MatchTax "match_tax" Finance SupplierInvoice Medium "Tax differs"
        "Billed tax differs from the order's rate by at most {limit}." "three-way match tax"
        ["ask for a corrected invoice"];
    MatchFreight "match_freight" Finance SupplierInvoice Medium "Freight above the order"
        "Billed freight exceeds the ordered freight by at most {limit}." "three-way match freight tolerance"
        ["dispute the invoice", "have the freight approved"];
    DuplicateSupplierInvoice "duplicate_supplier_invoice" Finance SupplierInvoice Critical "Billed twice"
        "A supplier's invoice number and total come once." "duplicate supplier invoice"
        ["reject the later invoice"];
    ReceivableOverdue "receivable_overdue" Finance CustomerInvoice Medium "Receivable overdue"
        "A customer pays at most {limit} after the due date." "overdue invoice, dunning"
        ["send a reminder", "call the customer", "put the customer on credit hold"];
    PaymentUnapplied "payment_unapplied" Finance Payment Medium "Payment not applied"
        "A payment is applied within {limit}." "unapplied cash, unapplied payment"
        ["apply the payment", "ask the customer what it is for"];
    PaymentShort "payment_short" Finance Payment Medium "Paid less than announced"
        "A payment falls short of its remittance by at most {limit}." "short payment, remittance, deduction, write-off"
        ["ask for the rest", "write off a small difference"];
    RefundAbovePaid "refund_above_paid" Finance Refund Critical "Refunded more than paid"
        "Refunds of an order do not exceed what was paid for it." "refund amount above payment, refund approval"
        ["recover the difference", "correct the refund"];
    RefundNotIssued "refund_not_issued" Finance Return High "Refund missing"
        "A refund or credit note follows within {limit} of the goods." "refund after return received, missing refund"
        ["issue the refund", "reject the return with a reason"];
    ReturnPastWindow "return_past_window" Returns Return Low "Return past the window"
        "A return is asked for within {limit}." "return window"
        ["decline the return", "accept as goodwill"];
    ReturnSurge "return_surge" Returns Product High "Returns surge"
        "Returns of a product stay below {limit}." "return surge, defective batch, quality"
        ["stop selling the batch", "inspect stock", "tell the supplier"];
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        self.spec().name
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_of_the_demo_companys_table_is_in_the_catalogue_on_that_record() {
        let mut named = BTreeSet::new();
        for line in crate::demo::THRESHOLDS.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let kind = Kind::parse(cells[1].trim_matches('`')).expect(cells[1]);
            assert_eq!(kind.spec().subject.as_str(), cells[2], "{kind}");
            named.insert(kind);
        }
        let unnamed: Vec<&str> =
            Kind::ALL.iter().filter(|kind| !named.contains(kind)).map(|kind| kind.as_str()).collect();
        assert_eq!(unnamed, ["po_stock_mismatch", "po_shipped_after_due"]);
    }
}
