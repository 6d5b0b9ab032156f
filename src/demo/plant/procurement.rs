//! Planted procurement cases, and the supplier whose orders are all late.

use std::collections::BTreeMap;

use super::super::DemoCompany;
use super::super::catalogue::{BLOCKED_SUPPLIER, GOOD_SUPPLIERS, INACTIVE_SUPPLIER, POOR_SUPPLIER};
use super::super::dice::Dice;
use super::super::procurement::{acknowledge, compose, receive, total_up};
use super::super::rows::{Acknowledgement, PurchaseOrder};
use super::super::slots::Slots;
use super::super::value::day;

const LATE_SUPPLIER: usize = 7;
const LATE_GROUP: &str = "supplier_late";

pub(in super::super) fn stage(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    unacknowledged(company, slots, dice);
    late(company, slots, dice);
    receipts(company, slots, dice);
    rejected(company, slots, dice);
    bad_suppliers(company, slots, dice);
    dear(company, slots, dice);
}

fn open_order(
    company: &DemoCompany,
    slots: &mut Slots,
    ages: (i64, i64),
    supplier: usize,
    dice: &mut Dice,
) -> (PurchaseOrder, i64) {
    let slot = slots.take(ages.0, ages.1, dice);
    let mut po = compose(company, slot, supplier, dice);
    po.staged = true;
    po.expected_on = day(company.as_of, -dice.between(4, 12));
    (po, slot.ago)
}

fn unacknowledged(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for number in 0..4 {
        let (po, ago) = open_order(company, slots, (6, 12), number * 3, dice);
        let why = format!("sent {ago} days ago and not acknowledged; the limit is 3");
        company.planted.add("po_unacknowledged", "purchase_order", &[&po.po_number], why).fact(
            "order_date",
            day(company.as_of, ago),
            "3 days",
        );
        company.purchase_orders.push(po);
    }
}

fn late(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for number in 0..7 {
        let grouped = number < 5;
        let supplier = if grouped { LATE_SUPPLIER } else { 11 + number };
        let (mut po, ago) = open_order(company, slots, (24, 36), supplier, dice);
        let expected_ago = dice.between(4, 9);
        po.expected_on = day(company.as_of, expected_ago);
        acknowledge(company, &mut po, ago - 1);
        let why = format!("confirmed for {expected_ago} days ago and nothing received; two days of grace");
        let case = company.planted.add("po_late", "purchase_order", &[&po.po_number], why).fact(
            "promised_date",
            po.expected_on,
            "2 days",
        );
        if grouped {
            case.in_group(LATE_GROUP);
        }
        company.purchase_orders.push(po);
    }
    let supplier = &company.suppliers[LATE_SUPPLIER];
    let cause = format!("{} is late with five orders at once", supplier.name);
    let shared = BTreeMap::from([("supplier_id", supplier.supplier_id.clone())]);
    company.planted.close_group(LATE_GROUP, cause, shared);
}

/// Short, over-received and rejected goods of the last days; their invoices have not come yet.
fn receipts(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    let reasons = ["glaze cracked", "rust on the blades", "wrong colour", "cartons crushed"];
    for number in 0..12 {
        let (mut po, ago) = open_order(company, slots, (16, 30), number, dice);
        let received_ago = dice.between(1, 4);
        po.expected_on = day(company.as_of, received_ago);
        acknowledge(company, &mut po, ago - 1);
        let mut outcome: Vec<(i64, i64)> = po.lines.iter().map(|line| (line.quantity, 0)).collect();
        let ordered = outcome[0].0;
        let (kind, field, value, limit, why) = match number % 3 {
            0 => {
                outcome[0].0 = ordered * 3 / 5;
                let why = format!("{} of {ordered} units of line 1 received", outcome[0].0);
                ("po_short_received", "lines.0.quantity_received", outcome[0].0, ordered.to_string(), why)
            }
            1 => {
                outcome[0].0 = ordered + ordered / 5;
                let why = format!("{} units of line 1 received, {ordered} ordered; 5 % more is accepted", outcome[0].0);
                ("po_over_received", "lines.0.quantity_received", outcome[0].0, format!("{ordered} + 5 %"), why)
            }
            _ => {
                outcome[0].1 = ordered / 4;
                let why = format!("{} of {ordered} units of line 1 rejected: {}", outcome[0].1, reasons[number / 3]);
                ("receipt_rejected", "lines.0.quantity_rejected", outcome[0].1, "0".to_owned(), why)
            }
        };
        receive(company, &mut po, received_ago, &outcome, reasons[number / 3]);
        company.planted.add(kind, "purchase_order", &[&po.po_number], why).fact(field, value, limit);
        company.purchase_orders.push(po);
    }
}

/// The supplier declined the order.
fn rejected(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    let notes = ["Article discontinued", "Minimum quantity not reached", "No capacity before next quarter"];
    for (number, note) in notes.into_iter().enumerate() {
        let (mut po, ago) = open_order(company, slots, (4, 12), 2 + number * 5, dice);
        po.status = "rejected";
        company.acknowledgements.push(Acknowledgement {
            ack_id: po.po_number.replace("PO-", "ACK-"),
            po_number: po.po_number.clone(),
            supplier_id: po.supplier_id.clone(),
            acknowledged_on: day(company.as_of, ago - 2),
            status: "rejected",
            confirmed_on: None,
            note,
        });
        let why = format!("the supplier rejected the order: {note}");
        company
            .planted
            .add("po_rejected", "purchase_order", &[&po.po_number], why)
            .fact("status", "rejected", "accepted");
        company.purchase_orders.push(po);
    }
}

fn bad_suppliers(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    let kinds = [
        (INACTIVE_SUPPLIER, "po_inactive_supplier", "supplier.status", "inactive", "active"),
        (BLOCKED_SUPPLIER, "po_blocked_supplier", "supplier.status", "blocked", "active"),
        (POOR_SUPPLIER, "po_low_credit_supplier", "supplier.credit_rating", "5", "3"),
    ];
    for (supplier, kind, field, value, limit) in kinds {
        for _ in 0..3 {
            let (mut po, ago) = open_order(company, slots, (3, 9), supplier, dice);
            acknowledge(company, &mut po, ago - 1);
            let name = company.suppliers[supplier].name.clone();
            let why = format!(
                "open order with {name}, whose {} is {value}",
                field.trim_start_matches("supplier.").replace('_', " ")
            );
            company.planted.add(kind, "purchase_order", &[&po.po_number], why).fact(field, value, limit);
            company.purchase_orders.push(po);
        }
    }
}

/// Ordered above the agreed cost.
fn dear(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for number in 0..4 {
        let (mut po, ago) = open_order(company, slots, (3, 9), GOOD_SUPPLIERS - 2 - number * 2, dice);
        let agreed = po.lines[0].unit_price;
        po.lines[0].unit_price = agreed.percent(109);
        total_up(&mut po);
        acknowledge(company, &mut po, ago - 1);
        let price = po.lines[0].unit_price;
        let why = format!("line 1 costs {price}, agreed are {agreed}; the tolerance is 2 %");
        company.planted.add("po_price_variance", "purchase_order", &[&po.po_number], why).fact(
            "lines.0.unit_price",
            price,
            agreed,
        );
        company.purchase_orders.push(po);
    }
}
