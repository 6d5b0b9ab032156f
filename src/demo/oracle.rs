//! A second, deliberately plain reading of `thresholds.md`: every exception in the company, found by looping over rows.
//!
//! It exists to prove that what is not planted is clean. It shares no code with the service's detectors.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::DemoCompany;
use super::customers::CONSUMERS;
use super::rows::*;
use super::value::{Cents, days_ago};

/// Kind and external id of the first record of a case.
pub(super) type Found = BTreeSet<(String, String)>;

const OPEN: [&str; 5] = ["pending", "on_hold", "released", "picked", "part_shipped"];

pub(super) fn exceptions(c: &DemoCompany) -> Found {
    let mut found = Found::new();
    let mut report = |kind: &str, id: &str| {
        found.insert((kind.to_owned(), id.to_owned()));
    };
    orders(c, &mut report);
    duplicates_and_oversells(c, &mut report);
    fulfilment(c, &mut report);
    stock(c, &mut report);
    procurement(c, &mut report);
    match_bills(c, &mut report);
    money(c, &mut report);
    returns(c, &mut report);
    found
}

type Report<'a> = dyn FnMut(&str, &str) + 'a;

fn ago(c: &DemoCompany, date: Date) -> i64 {
    days_ago(c.as_of, date)
}

fn orders(c: &DemoCompany, report: &mut Report<'_>) {
    for order in c.orders.iter().filter(|order| order.status != "cancelled") {
        let id = &order.order_id;
        if let Some(since) = order.hold_since.filter(|_| order.status == "on_hold") {
            let (kind, limit) = match order.hold_type {
                "payment" => ("payment_hold_overdue", 3),
                "fraud" => ("fraud_hold_overdue", 2),
                _ => ("credit_hold_overdue", 4),
            };
            if ago(c, since.date()) > limit {
                report(kind, id);
            }
        }
        let missing =
            [&order.ship_street, &order.ship_postal_code, &order.ship_city].iter().any(|part| part.is_empty());
        if missing {
            report("address_incomplete", id);
        } else if order.address_valid == Some(false) {
            report("address_undeliverable", id);
        }
        // Two working days are at least two calendar days; planted cases are older than any weekend makes them.
        if order.status == "pending" && ago(c, order.ordered_at.date()) > 2 {
            report("order_unreleased", id);
        }
        if OPEN.contains(&order.status) && order.lines.iter().any(|line| line.backordered_quantity > 0) {
            report("line_backordered", id);
        }
        if order.delivered_at.is_none() && ago(c, order.promised_on) > 1 {
            report("late_against_promise", id);
        }
        if let Some(shipped) = order.shipped_at.filter(|_| order.status == "part_shipped")
            && ago(c, shipped.date()) > 7
        {
            report("partial_shipment_overdue", id);
        }
        prices(c, order, report);
    }
}

fn prices(c: &DemoCompany, order: &Order, report: &mut Report<'_>) {
    let list = c.customers[order.customer].customer_group;
    let on = order.ordered_at.date();
    for line in &order.lines {
        let price = c
            .prices
            .iter()
            .find(|p| {
                p.sku == line.sku && p.price_list == list && p.valid_from <= on && p.valid_to.is_none_or(|to| on <= to)
            })
            .expect("a price in force");
        if line.unit_price < price.floor_price {
            report("price_below_floor", &order.order_id);
        } else if line.unit_price < price.unit_price.percent(98) && line.price_override_ref.is_empty() {
            report("price_below_list", &order.order_id);
        }
    }
}

fn duplicates_and_oversells(c: &DemoCompany, report: &mut Report<'_>) {
    let basket =
        |order: &Order| order.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect::<BTreeSet<_>>();
    for later in c.orders.iter().filter(|order| order.status != "cancelled") {
        let copy = c.orders.iter().filter(|order| order.status != "cancelled").any(|earlier| {
            earlier.customer == later.customer
                && earlier.order_id < later.order_id
                && (earlier.ago - later.ago).abs() <= 1
                && basket(earlier) == basket(later)
        });
        if copy {
            report("duplicate_order", &later.order_id);
        }
    }
    for level in &c.stock_levels {
        let mut wanting: Vec<(&str, i64)> = Vec::new();
        for order in c.orders.iter().filter(|order| OPEN.contains(&order.status) && order.warehouse == level.warehouse)
        {
            for line in order.lines.iter().filter(|line| line.sku == level.sku) {
                wanting.push((&order.order_id, line.quantity - line.shipped_quantity - line.backordered_quantity));
            }
        }
        if !wanting.is_empty() && wanting.iter().map(|(_, quantity)| quantity).sum::<i64>() > level.on_hand {
            wanting.iter().for_each(|(order_id, _)| report("oversell", order_id));
        }
    }
}

fn fulfilment(c: &DemoCompany, report: &mut Report<'_>) {
    let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
    for shipment in &c.shipments {
        *parts.entry(&shipment.order_id).or_default() += 1;
        let last = shipment.last_event_at.map_or(0, |at| ago(c, at.date()));
        if shipment.status == "in_transit" && last > 5 {
            report("tracking_stalled", &shipment.shipment_id);
        }
        if shipment.status == "picked" && ago(c, shipment.picked_at.date()) > 2 {
            report("picked_not_shipped", &shipment.shipment_id);
        }
    }
    let invoiced: BTreeSet<&str> = c.customer_invoices.iter().map(|invoice| invoice.order_id.as_str()).collect();
    for order in &c.orders {
        let allowed = if order.customer < CONSUMERS { 2 } else { 3 };
        if parts.get(order.order_id.as_str()).copied().unwrap_or(0) > allowed {
            report("split_beyond_policy", &order.order_id);
        }
        let delivered = order.delivered_at.map_or(0, |at| ago(c, at.date()));
        if order.status == "delivered" && delivered > 2 && !invoiced.contains(order.order_id.as_str()) {
            report("delivered_not_invoiced", &order.order_id);
        }
    }
}

fn stock(c: &DemoCompany, report: &mut Report<'_>) {
    for level in &c.stock_levels {
        let id = format!("{}/{}", level.sku, level.warehouse);
        if level.on_hand < 0 {
            report("negative_stock", &id);
        }
        if level.quarantined > 0 && level.quarantined_since.is_some_and(|since| ago(c, since) > 14) {
            report("quarantine_overdue", &id);
        }
        if level.return_pending > 0 && level.return_pending_since.is_some_and(|since| ago(c, since) > 7) {
            report("return_pending_overdue", &id);
        }
    }
    for product in &c.products {
        let levels = c.stock_levels.iter().filter(|level| level.sku == product.sku);
        let on_hand: i64 = levels.map(|level| level.on_hand).sum();
        if on_hand < product.safety_stock {
            report("below_safety_stock", &product.sku);
        } else if on_hand < product.reorder_point {
            report("below_reorder_point", &product.sku);
        }
    }
    for listing in &c.channel_listings {
        let levels = c.stock_levels.iter().filter(|level| level.sku == listing.sku);
        if listing.listed_quantity > levels.map(|level| level.available).sum::<i64>() {
            report("channel_above_available", &listing.listing_id);
        }
    }
    for reservation in &c.reservations {
        let order = c.orders.iter().find(|order| order.order_id == reservation.order_id);
        if !order.is_some_and(|order| OPEN.contains(&order.status)) {
            report("reservation_without_order", &reservation.reservation_id);
        }
    }
    for count in c.stock_counts.iter().filter(|count| count.status == "open") {
        if count.variance.abs() >= 3 && count.variance.abs() * 100 > 2 * count.expected_quantity {
            report("count_variance", &count.count_id);
        }
    }
}

fn procurement(c: &DemoCompany, report: &mut Report<'_>) {
    for po in &c.purchase_orders {
        let id = &po.po_number;
        let open = matches!(po.status, "sent" | "acknowledged");
        let answered = c.acknowledgements.iter().any(|ack| ack.po_number == *id);
        if open && !answered && ago(c, po.ordered_on) > 3 {
            report("po_unacknowledged", id);
        }
        if open && ago(c, po.expected_on) > 2 {
            report("po_late", id);
        }
        if po.status == "rejected" {
            report("po_rejected", id);
        }
        let supplier = c.suppliers.iter().find(|s| s.supplier_id == po.supplier_id).expect("a supplier");
        match supplier.status {
            "inactive" => report("po_inactive_supplier", id),
            "blocked" => report("po_blocked_supplier", id),
            _ if supplier.credit_rating >= 4 => report("po_low_credit_supplier", id),
            _ => {}
        }
        for line in &po.lines {
            if let Some(received) = line.received_quantity {
                if received < line.quantity {
                    report("po_short_received", id);
                } else if received * 100 > line.quantity * 105 {
                    report("po_over_received", id);
                }
            }
            if line.rejected_quantity.unwrap_or(0) > 0 {
                report("receipt_rejected", id);
            }
            if line.unit_price > c.products[line.product].unit_cost.percent(102) {
                report("po_price_variance", id);
            }
        }
    }
}

fn match_bills(c: &DemoCompany, report: &mut Report<'_>) {
    let normal = |bill: &SupplierInvoice| {
        let digits = bill.supplier_invoice_number.chars().filter(|letter| letter.is_alphanumeric());
        (bill.supplier_id.clone(), digits.collect::<String>().to_uppercase(), bill.total)
    };
    let mut seen = BTreeSet::new();
    for bill in &c.supplier_invoices {
        let id = &bill.invoice_id;
        if !seen.insert(normal(bill)) {
            report("duplicate_supplier_invoice", id);
            continue;
        }
        let po = c.purchase_orders.iter().find(|po| po.po_number == bill.po_number).expect("a purchase order");
        for (billed, ordered) in bill.lines.iter().zip(&po.lines) {
            let accepted = ordered.received_quantity.unwrap_or(0) - ordered.rejected_quantity.unwrap_or(0);
            if billed.quantity > accepted {
                report("match_quantity", id);
            }
            if billed.unit_price > ordered.unit_price.percent(101) {
                report("match_price", id);
            }
        }
        let tax = (bill.subtotal + bill.freight).percent(21);
        if (bill.tax.0 - tax.0).abs() > 50 {
            report("match_tax", id);
        }
        let over = bill.freight - po.freight;
        if over > Cents(1_000) && over > po.freight.percent(10) {
            report("match_freight", id);
        }
    }
}

fn money(c: &DemoCompany, report: &mut Report<'_>) {
    for invoice in &c.customer_invoices {
        if invoice.open_amount > Cents(0) && ago(c, invoice.due_on) > 7 {
            report("receivable_overdue", &invoice.invoice_number);
        }
    }
    for payment in &c.payments {
        if payment.unapplied_amount > Cents(0) && ago(c, payment.received_on) > 3 {
            report("payment_unapplied", &payment.payment_id);
        }
        let advice = c.remittances.iter().find(|advice| advice.remittance_id == payment.remittance_id);
        if advice.is_some_and(|advice| advice.amount - payment.amount > Cents(100)) {
            report("payment_short", &payment.payment_id);
        }
    }
    for refund in &c.refunds {
        let paid: Cents = c.payments.iter().filter(|p| p.order_id == refund.order_id).map(|p| p.amount).sum();
        let refunded: Cents = c.refunds.iter().filter(|r| r.order_id == refund.order_id).map(|r| r.amount).sum();
        if refunded > paid {
            report("refund_above_paid", &refund.refund_id);
        }
    }
}

fn returns(c: &DemoCompany, report: &mut Report<'_>) {
    let mut recent: BTreeMap<&str, i64> = BTreeMap::new();
    let mut before: BTreeMap<&str, i64> = BTreeMap::new();
    for rma in &c.returns {
        let trade = c
            .customers
            .iter()
            .find(|customer| customer.customer_id == rma.customer_id)
            .is_some_and(|x| x.customer_type == "trade");
        let waited = days_ago(rma.requested_on, rma.delivered_on);
        if waited > if trade { 14 } else { 30 } {
            report("return_past_window", &rma.return_id);
        }
        let settled = c.refunds.iter().any(|refund| refund.return_id == rma.return_id)
            || c.credit_notes.iter().any(|note| note.return_id == rma.return_id);
        if !settled && rma.received_on.is_some_and(|received| ago(c, received) > 5) {
            report("refund_not_issued", &rma.return_id);
        }
        let age = ago(c, rma.requested_on);
        let bucket = if age <= 14 { &mut recent } else { &mut before };
        if age <= 98 {
            *bucket.entry(rma.lines[0].sku.as_str()).or_default() += 1;
        }
    }
    for (sku, count) in recent {
        // Six earlier fortnights: count >= 3 x their mean.
        if count >= 5 && count * 6 >= 3 * before.get(sku).copied().unwrap_or(0) {
            report("return_surge", sku);
        }
    }
}
