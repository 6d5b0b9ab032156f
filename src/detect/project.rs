//! What is kept of each record for finding others quickly: whether it is finished, its own day, a key that equal cases share. Pure.

use ingest::{Decimal, Record, RecordKind, Value};
use jiff::civil::Date;

use super::calendar::Calendar;

/// How far an order, or what looks like one, is. Words of many systems, one meaning each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Pending,
    OnHold,
    Released,
    Picked,
    PartShipped,
    Shipped,
    Delivered,
    Cancelled,
    /// A word that is not known: no rule about phases applies.
    Unknown,
}

impl Phase {
    /// Not finished: goods are still to leave.
    pub fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::OnHold | Self::Released | Self::Picked | Self::PartShipped => true,
            Self::Shipped | Self::Delivered | Self::Cancelled | Self::Unknown => false,
        }
    }
}

/// A status word in its one spelling: lower case, `_` between words.
pub fn word(status: &str) -> String {
    status.trim().to_lowercase().replace([' ', '-'], "_")
}

/// The phase of an order; its dates decide where the word does not.
pub fn phase(order: &Record) -> Phase {
    let named = match word(order.text("status").unwrap_or("")).as_str() {
        "pending" | "open" | "new" | "placed" | "confirmed" => Phase::Pending,
        "on_hold" | "hold" | "held" | "blocked" => Phase::OnHold,
        "released" | "processing" | "in_process" => Phase::Released,
        "picked" | "packed" => Phase::Picked,
        "part_shipped" | "partially_shipped" | "partial" => Phase::PartShipped,
        "shipped" | "dispatched" | "in_transit" => Phase::Shipped,
        "delivered" | "complete" | "completed" | "done" | "closed" => Phase::Delivered,
        "cancelled" | "canceled" | "void" => Phase::Cancelled,
        _ => Phase::Unknown,
    };
    let there = |name: &str| order.fields.contains_key(name);
    match named {
        Phase::Unknown if there("cancelled_at") => Phase::Cancelled,
        Phase::Unknown if there("delivered_at") => Phase::Delivered,
        Phase::Unknown if there("shipped_at") => Phase::Shipped,
        known => known,
    }
}

/// Whether a purchase order waits for its supplier.
pub fn po_is_open(po: &Record) -> bool {
    matches!(
        word(po.text("status").unwrap_or("")).as_str(),
        "sent" | "acknowledged" | "open" | "pending" | "approved" | "confirmed" | "ordered"
    )
}

/// Whether a record can still change what others are judged by.
pub fn is_open(record: &Record) -> bool {
    match record.kind {
        RecordKind::Order => phase(record).is_open(),
        RecordKind::PurchaseOrder => po_is_open(record),
        RecordKind::Customer
        | RecordKind::Supplier
        | RecordKind::Product
        | RecordKind::StockLevel
        | RecordKind::Shipment
        | RecordKind::Receipt
        | RecordKind::CustomerInvoice
        | RecordKind::SupplierInvoice
        | RecordKind::CreditNote
        | RecordKind::Payment
        | RecordKind::Refund
        | RecordKind::Remittance
        | RecordKind::Return
        | RecordKind::Ticket
        | RecordKind::Price
        | RecordKind::Reservation
        | RecordKind::StockCount
        | RecordKind::ChannelListing
        | RecordKind::TrackingEvent
        | RecordKind::PurchaseOrderAcknowledgement => true,
    }
}

/// The day a record belongs to.
pub fn own_day(record: &Record, calendar: &Calendar) -> Option<Date> {
    let names: &[&str] = match record.kind {
        RecordKind::Order => &["ordered_at"],
        RecordKind::Return => &["requested_at", "received_at"],
        RecordKind::SupplierInvoice | RecordKind::CustomerInvoice => &["invoice_date"],
        RecordKind::PurchaseOrder => &["order_date"],
        _ => &[],
    };
    names.iter().find_map(|name| calendar.day_of(record.fields.get(*name)?))
}

/// The key that possible duplicates share. `None`: the record cannot be one.
pub fn match_key(record: &Record) -> Option<String> {
    match record.kind {
        RecordKind::Order => order_key(record),
        RecordKind::SupplierInvoice => invoice_key(record),
        _ => None,
    }
}

/// Customer and basket: which units of what, in no order.
fn order_key(order: &Record) -> Option<String> {
    let customer = order.text("customer_id").filter(|id| !id.is_empty())?;
    if order.lines.is_empty() || phase(order) == Phase::Cancelled {
        return None;
    }
    let mut basket = Vec::with_capacity(order.lines.len());
    for line in &order.lines {
        let quantity = line.get("quantity").and_then(Value::as_decimal).unwrap_or(Decimal::ONE);
        basket.push(format!("{}x{}", quantity.normalize(), line.get("sku").and_then(Value::as_text)?));
    }
    basket.sort();
    Some(digest(&format!("order\n{customer}\n{}", basket.join("\n"))))
}

/// Supplier, the invoice number's letters and digits, the total.
fn invoice_key(invoice: &Record) -> Option<String> {
    let supplier = invoice.text("supplier_id").filter(|id| !id.is_empty())?;
    let number: String = invoice.text("supplier_reference")?.chars().filter(|c| c.is_alphanumeric()).collect();
    let total = invoice.fields.get("total")?.as_money()?;
    if number.is_empty()
        || matches!(word(invoice.text("status").unwrap_or("")).as_str(), "cancelled" | "canceled" | "void")
    {
        return None;
    }
    Some(digest(&format!("invoice\n{supplier}\n{}\n{total}", number.to_uppercase())))
}

/// Half of a SHA-256: keys are compared, and candidates are compared again by whoever asked.
fn digest(text: &str) -> String {
    crate::canonical::sha256_hex(text)[..32].to_owned()
}

/// Names under which other records refer to this one: its id, then its own number.
pub fn own_names(record: &Record) -> Vec<String> {
    let mut names = vec![record.external_id.clone()];
    let number = own_number(record);
    names.extend(number.filter(|number| *number != record.external_id));
    names
}

/// The number a record goes by beside its id.
pub fn own_number(record: &Record) -> Option<String> {
    let name = if record.kind == RecordKind::Product { "sku" } else { "number" };
    let links = record.kind != RecordKind::StockLevel;
    record.text(name).filter(|text| links && !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(lines: &[(&str, i64)], status: &str) -> Record {
        let mut order = Record::new(RecordKind::Order, "SO-1");
        order.fields.insert("customer_id".into(), Value::text("C-1"));
        order.fields.insert("status".into(), Value::text(status));
        for (sku, quantity) in lines {
            let quantity = Value::quantity((*quantity).into());
            order.lines.push([("sku".to_owned(), Value::text(*sku)), ("quantity".to_owned(), quantity)].into());
        }
        order
    }

    #[test]
    fn a_basket_has_no_order_and_a_cancelled_one_is_no_duplicate() {
        let one = match_key(&order(&[("A", 2), ("B", 1)], "pending"));
        assert_eq!(one, match_key(&order(&[("B", 1), ("A", 2)], "shipped")));
        assert_ne!(one, match_key(&order(&[("A", 1), ("B", 1)], "pending")));
        assert_eq!(match_key(&order(&[("A", 2)], "Cancelled")), None);
        assert_eq!(match_key(&order(&[], "pending")), None);
    }

    #[test]
    fn an_unknown_word_has_no_phase_unless_a_date_tells() {
        assert_eq!(phase(&order(&[], "frobnicated")), Phase::Unknown);
        let mut shipped = order(&[], "frobnicated");
        shipped.fields.insert("shipped_at".into(), Value::Date(jiff::civil::date(2026, 3, 1)));
        assert_eq!(phase(&shipped), Phase::Shipped);
        assert_eq!(phase(&order(&[], "On Hold")), Phase::OnHold);
    }
}
