//! Planted finance cases: receivables, payments, refunds and supplier invoices.

use std::collections::BTreeMap;

use super::super::DemoCompany;
use super::super::customers::CONSUMERS;
use super::super::dice::Dice;
use super::super::finance::blank_payment;
use super::super::orders::VAT_PERCENT;
use super::super::procurement::{dotted, rename};
use super::super::rows::SupplierInvoice;
use super::super::value::{Cents, day, days_ago};

const SLOW_PAYER_GROUP: &str = "customer_stopped_paying";

/// Chooses the invoices that nobody pays: one per age bucket, and three of one customer.
pub(in super::super) fn leave_open(company: &mut DemoCompany) {
    let slow = slow_payer(company);
    let overdue =
        |company: &DemoCompany, index: usize| days_ago(company.as_of, company.customer_invoices[index].due_on);
    let mut chosen: Vec<(usize, bool)> = Vec::new();
    for (low, high) in [(10, 28), (35, 55), (64, 85), (95, 130)] {
        let found = (0..company.customer_invoices.len()).find(|&index| {
            let customer_id = &company.customer_invoices[index].customer_id;
            let days = overdue(company, index);
            is_trade(company, index) && *customer_id != slow && (low..=high).contains(&days)
        });
        chosen.extend(found.map(|index| (index, false)));
    }
    let of_slow = (0..company.customer_invoices.len())
        .rev()
        .filter(|&index| company.customer_invoices[index].customer_id == slow && overdue(company, index) >= 10);
    chosen.extend(of_slow.take(3).map(|index| (index, true)));
    for (index, grouped) in chosen {
        let days = overdue(company, index);
        let invoice = &mut company.customer_invoices[index];
        invoice.left_open = true;
        let why = format!("{} open, due {days} days ago; reported from 7 days", invoice.open_amount);
        let case = company
            .planted
            .add("receivable_overdue", "customer_invoice", &[&invoice.invoice_number], why)
            .fact("due_date", invoice.due_on, "7 days")
            .fact("balance_due", invoice.open_amount, "0.00");
        if grouped {
            case.in_group(SLOW_PAYER_GROUP);
        }
    }
    let shared = BTreeMap::from([("customer_id", slow.clone())]);
    company.planted.close_group(SLOW_PAYER_GROUP, format!("customer {slow} has stopped paying"), shared);
}

fn is_trade(company: &DemoCompany, index: usize) -> bool {
    company.customers[CONSUMERS..]
        .iter()
        .any(|customer| customer.customer_id == company.customer_invoices[index].customer_id)
}

/// The trade customer with the most invoices due for at least ten days.
fn slow_payer(company: &DemoCompany) -> String {
    let due = |customer_id: &str| {
        let own = company.customer_invoices.iter().filter(|invoice| invoice.customer_id == customer_id);
        own.filter(|invoice| days_ago(company.as_of, invoice.due_on) >= 10).count()
    };
    let ids = company.customers[CONSUMERS..].iter().map(|customer| customer.customer_id.clone());
    ids.max_by_key(|id| due(id)).unwrap_or_default()
}

pub(in super::super) fn spoil(company: &mut DemoCompany, dice: &mut Dice) {
    unapplied(company, dice);
    short_payments(company);
    refunds_above_paid(company);
    mismatches(company);
    duplicate_bills(company);
}

/// Transfers without a usable reference; the last one is fresh and no case yet.
fn unapplied(company: &mut DemoCompany, dice: &mut Dice) {
    for ago in [18, 12, 9, 6, 1] {
        let customer_id = company.customers[CONSUMERS + dice.below(30)].customer_id.clone();
        let amount = Cents(dice.between(18_000, 240_000));
        let mut payment = blank_payment(&customer_id, "bank transfer", day(company.as_of, ago), amount);
        payment.payment_id = format!("PAY-{}", 610_001 + company.payments.len());
        payment.bank_reference = format!("SCT{:08}", dice.below(100_000_000));
        payment.applied_amount = Cents(0);
        payment.unapplied_amount = amount;
        payment.status = "unapplied";
        if ago > 3 {
            let why = format!("{amount} received {ago} days ago and not applied to an invoice; the limit is 3 days");
            company
                .planted
                .add("payment_unapplied", "payment", &[&payment.payment_id], why)
                .fact("unapplied", amount, "0.00")
                .fact("paid_at", payment.received_on, "3 days");
        }
        company.payments.push(payment);
    }
}

/// Less money than the remittance announced, on invoices that are not due yet.
fn short_payments(company: &mut DemoCompany) {
    let mut left = 4;
    for index in 0..company.payments.len() {
        let invoice_number = company.payments[index].invoice_number.clone();
        let Some(remittance) =
            company.remittances.iter().find(|r| r.remittance_id == company.payments[index].remittance_id)
        else {
            continue;
        };
        let not_due = company.customer_invoices.iter().position(|invoice| {
            invoice.invoice_number == invoice_number
                && days_ago(company.as_of, invoice.due_on) < 0
                && invoice.total > Cents(20_000)
        });
        let Some(invoice) = not_due.filter(|_| left > 0) else { continue };
        left -= 1;
        let announced = remittance.amount;
        let missing = announced.percent(8);
        let remittance_id = remittance.remittance_id.clone();
        let payment = &mut company.payments[index];
        payment.amount = announced - missing;
        payment.applied_amount = payment.amount;
        let invoice = &mut company.customer_invoices[invoice];
        invoice.paid_amount = payment.amount;
        invoice.open_amount = invoice.total - invoice.paid_amount - invoice.credited_amount;
        invoice.status = "open";
        let why =
            format!("{} received, {remittance_id} announced {announced}; up to 1.00 is tolerated", payment.amount);
        company.planted.add("payment_short", "payment", &[&payment.payment_id], why).fact(
            "amount",
            payment.amount,
            announced,
        );
    }
}

/// Refunds of cancelled orders, paid out with too much on top.
fn refunds_above_paid(company: &mut DemoCompany) {
    let last = company.refunds.len();
    let mut left = 4;
    for index in (0..last).rev() {
        if left == 0 || company.refunds[index].reason != "order cancelled" {
            continue;
        }
        left -= 1;
        let paid = company.refunds[index].amount;
        let refund = &mut company.refunds[index];
        refund.amount = paid + Cents(995 + left * 1_000);
        let why = format!("{} refunded on {}, for which {paid} was paid", refund.amount, refund.order_id);
        company.planted.add("refund_above_paid", "refund", &[&refund.refund_id], why).fact(
            "amount",
            refund.amount,
            paid,
        );
    }
}

/// Four invoices each with too many units, a higher price, wrong tax, wrong freight.
fn mismatches(company: &mut DemoCompany) {
    let count = company.supplier_invoices.len();
    let kinds = ["match_quantity", "match_price", "match_tax", "match_freight"];
    for number in 0..16 {
        let bill = &mut company.supplier_invoices[count - 2 - number * 2];
        let before = (bill.lines[0].quantity, bill.lines[0].unit_price, bill.tax, bill.freight);
        bill.status = "received";
        let kind = kinds[number % 4];
        let (field, value, limit, why) = match kind {
            "match_quantity" => {
                bill.lines[0].quantity += 5;
                recount(bill);
                let why = format!("line 1 bills {} units, {} were received", bill.lines[0].quantity, before.0);
                ("lines.0.quantity", bill.lines[0].quantity.to_string(), before.0.to_string(), why)
            }
            "match_price" => {
                bill.lines[0].unit_price = before.1.percent(106);
                recount(bill);
                let why =
                    format!("line 1 bills {}, ordered at {}; the tolerance is 1 %", bill.lines[0].unit_price, before.1);
                ("lines.0.unit_price", bill.lines[0].unit_price.to_string(), before.1.to_string(), why)
            }
            "match_tax" => {
                bill.tax += Cents(1_850);
                let why = format!("tax {} billed, {VAT_PERCENT} % make {}; the tolerance is 0.50", bill.tax, before.2);
                ("tax", bill.tax.to_string(), before.2.to_string(), why)
            }
            _ => {
                bill.freight += Cents(4_500);
                bill.tax = (bill.subtotal + bill.freight).percent(VAT_PERCENT);
                let why = format!(
                    "freight {} billed, {} ordered; tolerated are 10 % and at least 10.00",
                    bill.freight, before.3
                );
                ("freight", bill.freight.to_string(), before.3.to_string(), why)
            }
        };
        bill.total = bill.subtotal + bill.freight + bill.tax;
        let id = bill.invoice_id.clone();
        company.planted.add(kind, "supplier_invoice", &[&id], why).fact(field, value, limit);
    }
}

fn recount(bill: &mut SupplierInvoice) {
    for line in &mut bill.lines {
        line.line_total = line.unit_price.times(line.quantity);
    }
    bill.subtotal = bill.lines.iter().map(|line| line.line_total).sum();
    bill.tax = (bill.subtotal + bill.freight).percent(VAT_PERCENT);
}

/// The same invoice again, its number spelt differently.
fn duplicate_bills(company: &mut DemoCompany) {
    let count = company.supplier_invoices.len();
    let spellings: [fn(&str) -> String; 4] =
        [|n| n.replace('-', " "), |n| n.to_lowercase(), |n| n.replace('-', "/"), |n| n.to_owned()];
    for (number, respell) in spellings.into_iter().enumerate() {
        let original = company.supplier_invoices[count - 1 - number * 2].clone();
        let mut copy = original.clone();
        rename(&mut copy, format!("SI-{}", 90_001 + count + number));
        copy.supplier_invoice_number = respell(&original.supplier_invoice_number);
        copy.invoiced_on = dotted(company, (original.invoiced_ago - 2).max(0));
        copy.status = "received";
        let why = format!(
            "{} of {} was already entered as {} with the same total {}",
            copy.supplier_invoice_number, copy.supplier_id, original.invoice_id, copy.total
        );
        company
            .planted
            .add("duplicate_supplier_invoice", "supplier_invoice", &[&copy.invoice_id, &original.invoice_id], why)
            .fact("supplier_reference", &copy.supplier_invoice_number, &original.supplier_invoice_number);
        company.supplier_invoices.push(copy);
    }
}
