//! Returns of delivered orders, and the refunds and credit notes that settle them.

use std::collections::BTreeSet;

use super::DemoCompany;
use super::customers::CONSUMERS;
use super::dice::Dice;
use super::orders::VAT_PERCENT;
use super::rows::{CreditNote, Refund, Return, ReturnLine};
use super::value::{Cents, day};

/// Days after delivery in which a return may be asked for: consumers, trade.
pub(super) const WINDOW_DAYS: [i64; 2] = [30, 14];
const REASONS: [&str; 6] =
    ["changed my mind", "wrong size", "damaged on arrival", "not as described", "wrong item sent", "defective"];
const FIRST_RETURN: usize = 2_001;
const FIRST_REFUND: usize = 7_001;
const FIRST_CREDIT_NOTE: usize = 5_001;

/// Ordinary returns: asked for within the window, received three days later, settled two days after that.
pub(super) fn fill(company: &mut DemoCompany, dice: &mut Dice) {
    let returned: BTreeSet<String> = company.returns.iter().map(|rma| rma.order_id.clone()).collect();
    for index in 0..company.orders.len() {
        let order = &company.orders[index];
        let Some(delivered_ago) = order.delivered_ago.filter(|_| !order.staged && !returned.contains(&order.order_id))
        else {
            continue;
        };
        let share = if order.customer < CONSUMERS { 6 } else { 3 };
        let requested_ago = delivered_ago - dice.between(2, 10);
        if !dice.chance(share) || requested_ago < 1 {
            continue;
        }
        let line = dice.below(order.lines.len());
        let quantity = dice.between(1, (order.lines[line].quantity / 2).max(1));
        let reason = dice.pick(&REASONS);
        let mut rma = request(company, index, line, quantity, requested_ago, reason);
        let received_ago = requested_ago - 3;
        if received_ago >= 1 {
            arrive(company, &mut rma, received_ago);
        }
        if received_ago >= 3 {
            inspect(company, &mut rma, received_ago - 1);
            rma.settled_ago = Some(received_ago - 2);
        }
        company.returns.push(rma);
    }
    number(company);
}

/// A return of one line of a delivered order, authorised and on its way.
pub(super) fn request(
    company: &DemoCompany,
    order: usize,
    line: usize,
    quantity: i64,
    ago: i64,
    reason: &'static str,
) -> Return {
    let order = &company.orders[order];
    let delivered_ago = order.delivered_ago.unwrap_or(ago);
    let unit_price = order.lines[line].unit_price;
    let window = WINDOW_DAYS[usize::from(order.customer >= CONSUMERS)];
    Return {
        // Provisional; `number` replaces it.
        return_id: format!("RMA{}", company.returns.len()),
        order_id: order.order_id.clone(),
        customer_id: order.customer_id.clone(),
        delivered_on: day(company.as_of, delivered_ago),
        requested_on: day(company.as_of, ago),
        return_by: day(company.as_of, delivered_ago - window),
        received_on: None,
        inspected_on: None,
        status: "requested",
        reason,
        disposition: "",
        warehouse: order.warehouse,
        refund_id: String::new(),
        credit_note_number: String::new(),
        value: unit_price.times(quantity).percent(100 + VAT_PERCENT),
        currency: "EUR",
        lines: vec![ReturnLine { return_id: String::new(), sku: order.lines[line].sku.clone(), quantity, unit_price }],
        settled_ago: None,
    }
}

/// The goods are back and wait for inspection: they count as return pending.
pub(super) fn arrive(company: &DemoCompany, rma: &mut Return, ago: i64) {
    rma.received_on = Some(day(company.as_of, ago));
    rma.status = "received";
}

pub(super) fn inspect(company: &DemoCompany, rma: &mut Return, ago: i64) {
    rma.inspected_on = Some(day(company.as_of, ago));
    rma.status = "inspected";
    rma.disposition = if matches!(rma.reason, "damaged on arrival" | "defective") { "scrapped" } else { "restocked" };
}

/// Numbers all returns by the day they were asked for, here and in the answer key.
fn number(company: &mut DemoCompany) {
    company.returns.sort_by(|a, b| (a.requested_on, &a.order_id).cmp(&(b.requested_on, &b.order_id)));
    let mut renamed = std::collections::BTreeMap::new();
    for (index, rma) in company.returns.iter_mut().enumerate() {
        let number = format!("RMA-{}", FIRST_RETURN + index);
        renamed.insert(rma.return_id.clone(), number.clone());
        for line in &mut rma.lines {
            line.return_id.clone_from(&number);
        }
        rma.return_id = number;
    }
    let cases = company.planted.exceptions.iter_mut().flat_map(|case| &mut case.ids);
    let members = company.planted.groups.iter_mut().flat_map(|group| &mut group.members);
    for id in cases.chain(members) {
        if let Some(number) = renamed.get(id.as_str()) {
            id.clone_from(number);
        }
    }
}

/// Writes the refunds (consumers, also for cancelled orders) and credit notes (trade), in date order.
pub(super) fn settle(company: &mut DemoCompany) {
    let mut refunds: Vec<(i64, Refund)> = cancellations(company);
    let mut notes: Vec<(i64, CreditNote)> = Vec::new();
    for rma in company.returns.iter_mut() {
        let Some(ago) = rma.settled_ago else { continue };
        if rma.inspected_on.is_some() {
            rma.status = "settled";
        }
        let issued_on = day(company.as_of, ago);
        if let Some(payment) = company.payments.iter().find(|payment| payment.order_id == rma.order_id) {
            let refund = Refund {
                refund_id: String::new(),
                order_id: rma.order_id.clone(),
                customer_id: rma.customer_id.clone(),
                return_id: rma.return_id.clone(),
                payment_id: payment.payment_id.clone(),
                amount: rma.value,
                method: payment.method,
                reason: rma.reason,
                status: "issued",
                issued_on,
                currency: "EUR",
            };
            refunds.push((ago, refund));
        } else if let Some(invoice) =
            company.customer_invoices.iter_mut().find(|invoice| invoice.order_id == rma.order_id)
        {
            let applied = invoice.open_amount >= rma.value;
            if applied {
                invoice.credited_amount += rma.value;
                invoice.open_amount = invoice.open_amount - rma.value;
            }
            let note = CreditNote {
                credit_note_number: String::new(),
                customer_id: rma.customer_id.clone(),
                invoice_number: invoice.invoice_number.clone(),
                return_id: rma.return_id.clone(),
                issued_on,
                amount: rma.value,
                currency: "EUR",
                reason: rma.reason,
                status: if applied { "applied" } else { "on account" },
            };
            notes.push((ago, note));
        }
    }
    refunds.sort_by(|a, b| (-a.0, &a.1.order_id).cmp(&(-b.0, &b.1.order_id)));
    notes.sort_by(|a, b| (-a.0, &a.1.return_id).cmp(&(-b.0, &b.1.return_id)));
    for (index, (_, mut refund)) in refunds.into_iter().enumerate() {
        refund.refund_id = format!("RF-{}", FIRST_REFUND + index);
        if let Some(rma) = company.returns.iter_mut().find(|rma| rma.return_id == refund.return_id) {
            rma.refund_id.clone_from(&refund.refund_id);
        }
        company.refunds.push(refund);
    }
    for (index, (_, mut note)) in notes.into_iter().enumerate() {
        note.credit_note_number = format!("CN-{}", FIRST_CREDIT_NOTE + index);
        if let Some(rma) = company.returns.iter_mut().find(|rma| rma.return_id == note.return_id) {
            rma.credit_note_number.clone_from(&note.credit_note_number);
        }
        company.credit_notes.push(note);
    }
}

/// Full refunds of cancelled orders that were paid up front, the day after the order.
fn cancellations(company: &DemoCompany) -> Vec<(i64, Refund)> {
    let cancelled =
        company.orders.iter().filter(|order| order.status == "cancelled" && order.payment_status == "refunded");
    cancelled
        .filter_map(|order| {
            let payment = company.payments.iter().find(|payment| payment.order_id == order.order_id)?;
            let refund = Refund {
                refund_id: String::new(),
                order_id: order.order_id.clone(),
                customer_id: order.customer_id.clone(),
                return_id: String::new(),
                payment_id: payment.payment_id.clone(),
                amount: Cents(order.total.0),
                method: payment.method,
                reason: "order cancelled",
                status: "issued",
                issued_on: day(company.as_of, order.ago - 1),
                currency: "EUR",
            };
            Some((order.ago - 1, refund))
        })
        .collect()
}
