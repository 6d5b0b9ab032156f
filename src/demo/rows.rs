//! The rows of the demo company's exports; a struct is a file, a field is a column (`mapping.toml` names them again).
//!
//! Facts only: how they come about is in one file per domain beside this one. `#[serde(skip)]` fields are the
//! generator's own notes and leave with no export.

use jiff::civil::{Date, DateTime};
use serde::Serialize;

use super::value::Cents;

#[derive(Clone, Debug, Serialize)]
pub struct Customer {
    pub customer_id: String,
    pub name: String,
    /// `consumer` or `trade`.
    pub customer_type: &'static str,
    /// The price list: `retail`, `trade` or `wholesale`.
    pub customer_group: &'static str,
    pub email: String,
    pub phone: String,
    pub street: String,
    pub postal_code: String,
    pub city: String,
    pub country: &'static str,
    pub vat_id: String,
    pub account_status: &'static str,
    /// Trade only. What may be owed in unpaid invoices and open orders together.
    pub credit_limit: Option<Cents>,
    /// Sum of the unpaid invoices.
    pub open_balance: Option<Cents>,
    pub payment_terms_days: i64,
    pub customer_since: Date,
    pub updated_at: DateTime,
}

#[derive(Clone, Debug, Serialize)]
pub struct Supplier {
    pub supplier_id: String,
    pub name: String,
    pub contact: String,
    pub email: String,
    pub phone: String,
    pub city: String,
    pub country: &'static str,
    /// `active`, `inactive` or `blocked`.
    pub status: &'static str,
    /// 1 best to 5 worst.
    pub credit_rating: i64,
    pub lead_time_days: i64,
    pub payment_terms_days: i64,
    pub updated_at: DateTime,
}

#[derive(Clone, Debug, Serialize)]
pub struct Product {
    pub sku: String,
    pub name: String,
    pub category: &'static str,
    pub brand: &'static str,
    pub supplier_id: String,
    /// Agreed purchase price; not for every reader.
    pub unit_cost: Cents,
    pub list_price: Cents,
    pub weight_grams: i64,
    pub safety_stock: i64,
    pub reorder_point: i64,
    pub warranty_months: i64,
    pub barcode: String,
    pub status: &'static str,
    pub launched_on: Date,
    pub updated_at: DateTime,
}

#[derive(Clone, Debug, Serialize)]
pub struct Price {
    pub price_id: String,
    pub sku: String,
    pub price_list: &'static str,
    pub unit_price: Cents,
    pub floor_price: Cents,
    pub valid_from: Date,
    pub valid_to: Option<Date>,
}

#[derive(Clone, Debug, Serialize)]
pub struct StockLevel {
    pub sku: String,
    pub warehouse: &'static str,
    /// Sellable units on the shelf; the buckets below are not part of it.
    pub on_hand: i64,
    pub reserved: i64,
    /// `on_hand - reserved`.
    pub available: i64,
    /// Outstanding on open purchase orders for this warehouse.
    pub in_transit: i64,
    pub quarantined: i64,
    pub quarantined_since: Option<Date>,
    pub damaged: i64,
    /// Returned, received, not yet inspected.
    pub return_pending: i64,
    pub return_pending_since: Option<Date>,
    pub updated_at: DateTime,
}

#[derive(Clone, Debug, Serialize)]
pub struct ChannelListing {
    pub listing_id: String,
    pub channel: &'static str,
    pub sku: String,
    pub listed_quantity: i64,
    pub listed_price: Cents,
    pub status: &'static str,
    pub updated_at: DateTime,
}

#[derive(Clone, Debug, Serialize)]
pub struct Reservation {
    pub reservation_id: String,
    pub order_id: String,
    pub sku: String,
    pub warehouse: &'static str,
    pub quantity: i64,
    pub status: &'static str,
    pub created_at: DateTime,
}

#[derive(Clone, Debug, Serialize)]
pub struct StockCount {
    pub count_id: String,
    pub sku: String,
    pub warehouse: &'static str,
    pub counted_on: Date,
    pub expected_quantity: i64,
    pub counted_quantity: i64,
    pub variance: i64,
    /// `open` until the variance is posted, then `posted`.
    pub status: &'static str,
    pub counted_by: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct Order {
    pub order_id: String,
    pub customer_id: String,
    pub customer_name: String,
    pub email: String,
    pub channel: &'static str,
    pub ordered_at: DateTime,
    /// `pending`, `on_hold`, `released`, `picked`, `part_shipped`, `shipped`, `delivered` or `cancelled`.
    pub status: &'static str,
    /// `payment`, `fraud`, `credit` or empty.
    pub hold_type: &'static str,
    pub hold_since: Option<DateTime>,
    pub payment_method: &'static str,
    pub payment_status: &'static str,
    pub warehouse: &'static str,
    pub promised_on: Date,
    pub released_at: Option<DateTime>,
    pub shipped_at: Option<DateTime>,
    pub delivered_at: Option<DateTime>,
    pub ship_to_name: String,
    pub ship_street: String,
    pub ship_postal_code: String,
    pub ship_city: String,
    pub ship_country: &'static str,
    /// The carrier address service's verdict; empty when parts are missing, so that it was not asked.
    pub address_valid: Option<bool>,
    pub customer_reference: String,
    pub subtotal: Cents,
    pub shipping: Cents,
    pub tax: Cents,
    pub total: Cents,
    pub currency: &'static str,
    pub updated_at: DateTime,
    #[serde(skip)]
    pub lines: Vec<OrderLine>,
    #[serde(skip)]
    pub customer: usize,
    #[serde(skip)]
    pub ago: i64,
    #[serde(skip)]
    pub shipped_ago: Option<i64>,
    #[serde(skip)]
    pub delivered_ago: Option<i64>,
    /// Belongs to a planted exception: later steps leave it alone.
    #[serde(skip)]
    pub staged: bool,
    /// Nobody wrote the invoice.
    #[serde(skip)]
    pub uninvoiced: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct OrderLine {
    pub order_id: String,
    pub line_no: i64,
    pub sku: String,
    pub description: String,
    pub quantity: i64,
    pub unit_price: Cents,
    pub line_total: Cents,
    pub price_override_ref: String,
    pub shipped_quantity: i64,
    pub backordered_quantity: i64,
    #[serde(skip)]
    pub product: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct Shipment {
    pub shipment_id: String,
    pub order_id: String,
    pub warehouse: &'static str,
    pub carrier: &'static str,
    pub tracking_number: String,
    /// `picked`, `in_transit` or `delivered`.
    pub status: &'static str,
    pub picked_at: DateTime,
    pub shipped_at: Option<DateTime>,
    pub promised_on: Date,
    pub delivered_at: Option<DateTime>,
    pub last_event_at: Option<DateTime>,
    /// What the carrier reported last, and where.
    pub last_event: String,
    pub parcels: i64,
    pub weight_grams: i64,
    pub freight_cost: Cents,
    #[serde(skip)]
    pub lines: Vec<ShipmentLine>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ShipmentLine {
    pub shipment_id: String,
    pub order_line_no: i64,
    pub sku: String,
    pub quantity: i64,
}

#[derive(Clone, Debug, Serialize)]
pub struct TrackingEvent {
    pub event_id: String,
    pub tracking_number: String,
    pub shipment_id: String,
    pub carrier: &'static str,
    pub status: &'static str,
    pub location: String,
    pub occurred_at: DateTime,
    pub message: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct PurchaseOrder {
    pub po_number: String,
    pub supplier_id: String,
    pub supplier_name: String,
    pub warehouse: &'static str,
    pub ordered_on: Date,
    pub expected_on: Date,
    /// `sent`, `acknowledged`, `received` or `rejected`.
    pub status: &'static str,
    pub subtotal: Cents,
    pub tax: Cents,
    pub freight: Cents,
    pub total: Cents,
    pub currency: &'static str,
    pub buyer: &'static str,
    pub updated_at: DateTime,
    #[serde(skip)]
    pub lines: Vec<PurchaseOrderLine>,
    #[serde(skip)]
    pub received_ago: Option<i64>,
    #[serde(skip)]
    pub staged: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct PurchaseOrderLine {
    pub po_number: String,
    pub line_no: i64,
    pub sku: String,
    pub description: String,
    pub quantity: i64,
    pub unit_price: Cents,
    pub line_total: Cents,
    /// Empty until something of the order was received.
    pub received_quantity: Option<i64>,
    pub rejected_quantity: Option<i64>,
    #[serde(skip)]
    pub product: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct Acknowledgement {
    pub ack_id: String,
    pub po_number: String,
    pub supplier_id: String,
    pub acknowledged_on: Date,
    /// `accepted` or `rejected`.
    pub status: &'static str,
    pub confirmed_on: Option<Date>,
    pub note: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    pub receipt_id: String,
    pub po_number: String,
    pub supplier_id: String,
    pub warehouse: &'static str,
    pub received_on: Date,
    pub delivery_note: String,
    #[serde(skip)]
    pub lines: Vec<ReceiptLine>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ReceiptLine {
    pub receipt_id: String,
    pub po_line_no: i64,
    pub sku: String,
    pub received_quantity: i64,
    pub rejected_quantity: i64,
    pub reject_reason: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct CustomerInvoice {
    pub invoice_number: String,
    pub order_id: String,
    pub customer_id: String,
    pub invoiced_on: Date,
    pub due_on: Date,
    pub subtotal: Cents,
    pub shipping: Cents,
    pub tax: Cents,
    pub total: Cents,
    pub paid_amount: Cents,
    pub credited_amount: Cents,
    pub open_amount: Cents,
    /// `paid` or `open`.
    pub status: &'static str,
    pub currency: &'static str,
    pub updated_at: DateTime,
    /// Stays unpaid whatever its due date.
    #[serde(skip)]
    pub left_open: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct SupplierInvoice {
    pub invoice_id: String,
    /// The number the supplier printed on it.
    pub supplier_invoice_number: String,
    pub supplier_id: String,
    pub po_number: String,
    /// Day.month.year, as this export writes it.
    pub invoiced_on: String,
    pub due_on: String,
    pub subtotal: Cents,
    pub tax: Cents,
    pub freight: Cents,
    pub total: Cents,
    /// `matched`, `paid` or `received`.
    pub status: &'static str,
    pub currency: &'static str,
    #[serde(skip)]
    pub lines: Vec<SupplierInvoiceLine>,
    #[serde(skip)]
    pub invoiced_ago: i64,
}

#[derive(Clone, Debug, Serialize)]
pub struct SupplierInvoiceLine {
    pub invoice_id: String,
    pub line_no: i64,
    pub po_line_no: i64,
    pub sku: String,
    pub quantity: i64,
    pub unit_price: Cents,
    pub line_total: Cents,
}

#[derive(Clone, Debug, Serialize)]
pub struct CreditNote {
    pub credit_note_number: String,
    pub customer_id: String,
    pub invoice_number: String,
    pub return_id: String,
    pub issued_on: Date,
    pub amount: Cents,
    pub currency: &'static str,
    pub reason: &'static str,
    pub status: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct Payment {
    pub payment_id: String,
    pub customer_id: String,
    pub order_id: String,
    pub invoice_number: String,
    pub remittance_id: String,
    pub method: &'static str,
    pub received_on: Date,
    pub amount: Cents,
    pub applied_amount: Cents,
    pub unapplied_amount: Cents,
    pub status: &'static str,
    pub bank_reference: String,
    pub currency: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct Refund {
    pub refund_id: String,
    pub order_id: String,
    pub customer_id: String,
    pub return_id: String,
    pub payment_id: String,
    pub amount: Cents,
    pub method: &'static str,
    pub reason: &'static str,
    pub status: &'static str,
    pub issued_on: Date,
    pub currency: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct Remittance {
    pub remittance_id: String,
    pub customer_id: String,
    pub advised_on: Date,
    pub amount: Cents,
    pub currency: &'static str,
    #[serde(skip)]
    pub lines: Vec<RemittanceLine>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RemittanceLine {
    pub remittance_id: String,
    pub invoice_number: String,
    pub amount: Cents,
}

#[derive(Clone, Debug, Serialize)]
pub struct Return {
    pub return_id: String,
    pub order_id: String,
    pub customer_id: String,
    pub delivered_on: Date,
    pub requested_on: Date,
    /// Last day of the window.
    pub return_by: Date,
    pub received_on: Option<Date>,
    pub inspected_on: Option<Date>,
    /// `requested`, `received`, `inspected` or `settled`.
    pub status: &'static str,
    pub reason: &'static str,
    pub disposition: &'static str,
    pub warehouse: &'static str,
    /// The refund or, for trade customers, the credit note that settled it.
    pub refund_id: String,
    pub credit_note_number: String,
    /// What the goods cost the customer, tax included.
    pub value: Cents,
    pub currency: &'static str,
    #[serde(skip)]
    pub lines: Vec<ReturnLine>,
    /// When the refund or credit note is written, in days ago; `None` for not yet.
    #[serde(skip)]
    pub settled_ago: Option<i64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ReturnLine {
    pub return_id: String,
    pub sku: String,
    pub quantity: i64,
    pub unit_price: Cents,
}

#[derive(Clone, Debug, Serialize)]
pub struct Ticket {
    pub ticket_id: String,
    pub customer_id: String,
    pub order_id: Option<String>,
    pub created_at: DateTime,
    pub channel: &'static str,
    pub category: &'static str,
    pub priority: &'static str,
    /// `open`, `waiting` or `closed`.
    pub status: &'static str,
    pub subject: String,
    pub body: String,
}
