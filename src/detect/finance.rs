//! Finance exceptions: the three-way match, duplicate bills, receivables, payments, refunds. Pure.

use std::sync::Arc;

use ingest::{Decimal, Fields, Money, Record, RecordKind as K, Value};

use super::Kind;
use super::finding::{Out, days};
use super::orders::{line_money, money, number, worth};
use super::project::{self, word};
use super::view::{Entry, Need, Only, View};

fn referring(kind: K, target: K, id: &str) -> Need {
    Need::Referring { kind, target, id: id.to_owned(), only: Only::All }
}

pub fn duplicate_needs(invoice: &Record) -> Vec<Need> {
    project::match_key(invoice).map(|key| Need::SameKey(invoice.kind, key)).into_iter().collect()
}

pub fn match_needs(invoice: &Record) -> Vec<Need> {
    let mut needs = duplicate_needs(invoice);
    if let Some(po) = invoice.text("purchase_order_number") {
        needs.push(Need::One(K::PurchaseOrder, po.to_owned()));
        needs.push(referring(K::SupplierInvoice, K::PurchaseOrder, po));
    }
    needs
}

/// Which of two invoices came first: by its own date, then by id.
fn order_of(invoice: &Record) -> (Option<jiff::civil::Date>, &str) {
    let day = invoice.fields.get("received_date").or_else(|| invoice.fields.get("invoice_date"));
    (day.and_then(Value::as_date), invoice.external_id.as_str())
}

/// The invoice entered before that this one repeats: the ids tell which was entered first.
fn original<'v>(invoice: &Entry, view: &'v View) -> Option<&'v Arc<Entry>> {
    let key = project::match_key(&invoice.record)?;
    let same = view.all(&Need::SameKey(K::SupplierInvoice, key.clone())).iter();
    same.filter(|other| {
        other.record_id != invoice.record_id && project::match_key(&other.record).as_ref() == Some(&key)
    })
    .filter(|other| entered_before(&other.record, &invoice.record))
    .min_by(|a, b| a.record.external_id.cmp(&b.record.external_id))
}

/// Ids of one source rise; a longer number is the later one.
fn entered_before(first: &Record, second: &Record) -> bool {
    let rank = |id: &str| (id.len(), id.to_owned());
    rank(&first.external_id) < rank(&second.external_id)
}

pub fn duplicate(out: &mut Out<'_>, view: &View) {
    let (invoice, subject) = (out.record(), out.subject);
    let Some(original) = original(subject, view) else { return };
    if let Some(finding) = out.report(Kind::DuplicateSupplierInvoice) {
        let theirs = original.record.text("supplier_reference").unwrap_or_default();
        finding.field(subject, "supplier_reference", theirs).involve(original).stake(money(invoice, "total"));
        finding.because_of("supplier", invoice.text("supplier_id"));
    }
}

/// Invoice against purchase order and receipt. A duplicate is one case, not five.
pub fn three_way(out: &mut Out<'_>, view: &View) {
    let (invoice, subject) = (out.record(), out.subject);
    let Some(number) = invoice.text("purchase_order_number") else { return };
    let Some(po) = view.one(subject, K::PurchaseOrder, number) else { return };
    if original(subject, view).is_some() || word(invoice.text("status").unwrap_or("")).starts_with("cancel") {
        return;
    }
    quantities(out, view, po);
    unit_prices(out, po);
    tax(out, po);
    freight(out, po);
}

/// The line of the order that a line bills: by its number, else the only one of that product.
fn ordered_line<'p>(po: &'p Record, billed: &Fields) -> Option<(usize, &'p Fields)> {
    let same = |name: &str, line: &Fields| billed.get(name).is_some() && billed.get(name) == line.get(name);
    let by_number = po.lines.iter().enumerate().find(|(_, line)| same("line_number", line));
    let by_number = by_number.filter(|(_, line)| billed.get("sku").is_none() || same("sku", line));
    by_number.or_else(|| po.lines.iter().enumerate().find(|(_, line)| same("sku", line)))
}

fn quantities(out: &mut Out<'_>, view: &View, po: &Entry) {
    let (invoice, subject) = (out.record(), out.subject);
    let siblings =
        view.all(&referring(K::SupplierInvoice, K::PurchaseOrder, invoice.text("purchase_order_number").unwrap_or("")));
    let keys: Vec<(Option<String>, &Arc<Entry>)> =
        siblings.iter().map(|sibling| (project::match_key(&sibling.record), sibling)).collect();
    // Earlier invoices of the order count, repeated ones once.
    let repeats = |key: &Option<String>, sibling: &Entry| {
        key.is_some()
            && keys.iter().any(|(other, first)| other == key && entered_before(&first.record, &sibling.record))
    };
    let earlier: Vec<&Record> = keys
        .iter()
        .filter(|(key, sibling)| {
            sibling.record_id != subject.record_id
                && order_of(&sibling.record) < order_of(invoice)
                && !word(sibling.record.text("status").unwrap_or("")).starts_with("cancel")
                && !repeats(key, sibling)
        })
        .map(|(_, sibling)| &sibling.record)
        .collect();
    let mut over = Vec::new();
    for (at, billed) in invoice.lines.iter().enumerate() {
        let Some((position, ordered)) = ordered_line(&po.record, billed) else { continue };
        let accepted = number(ordered, "quantity_received") - number(ordered, "quantity_rejected");
        let before: Decimal = earlier
            .iter()
            .flat_map(|other| &other.lines)
            .filter(|line| ordered_line(&po.record, line).is_some_and(|(other, _)| other == position))
            .map(|line| number(line, "quantity"))
            .sum();
        let quantity = number(billed, "quantity");
        if quantity > (accepted - before).max(Decimal::ZERO) {
            over.push((at, (accepted - before).max(Decimal::ZERO), quantity));
        }
    }
    if over.is_empty() {
        return;
    }
    if let Some(finding) = out.report(Kind::MatchQuantity) {
        for (at, accepted, quantity) in over {
            finding.field(subject, &format!("lines.{at}.quantity"), accepted.normalize());
            finding.add_stake(worth(&invoice.lines[at], quantity - accepted));
        }
        finding.involve(po).because_of("supplier", invoice.text("supplier_id"));
    }
}

fn unit_prices(out: &mut Out<'_>, po: &Entry) {
    let (invoice, subject) = (out.record(), out.subject);
    let most = Decimal::ONE_HUNDRED + out.scene.settings.limits.match_price_percent.0;
    let mut dear = Vec::new();
    for (at, billed) in invoice.lines.iter().enumerate() {
        let ordered = ordered_line(&po.record, billed).and_then(|(_, line)| line_money(line, "unit_price"));
        let (Some(ordered), Some(price)) = (ordered, line_money(billed, "unit_price")) else { continue };
        let same = ordered.currency() == price.currency();
        if same && price.amount() * Decimal::ONE_HUNDRED > ordered.amount() * most {
            dear.push((at, ordered, price));
        }
    }
    if dear.is_empty() {
        return;
    }
    if let Some(finding) = out.report(Kind::MatchPrice) {
        for (at, ordered, price) in dear {
            let gap = price.checked_sub(&ordered).ok();
            finding.field(subject, &format!("lines.{at}.unit_price"), ordered);
            finding.add_stake(gap.and_then(|gap| gap.checked_mul(number(&invoice.lines[at], "quantity")).ok()));
        }
        finding.involve(po).because_of("supplier", invoice.text("supplier_id"));
    }
}

/// Tax at the rate of the purchase order, on goods and freight.
fn tax(out: &mut Out<'_>, po: &Entry) {
    let (invoice, subject) = (out.record(), out.subject);
    let Some(billed) = money(invoice, "tax") else { return };
    let base = |record: &Record| {
        let goods = money(record, "subtotal")?;
        let freight = money(record, "freight").map_or(Decimal::ZERO, |freight| freight.amount());
        Some(goods.amount() + freight)
    };
    let (Some(ordered_tax), Some(ordered_base), Some(billed_base)) =
        (money(&po.record, "tax"), base(&po.record), base(invoice))
    else {
        return;
    };
    if ordered_base <= Decimal::ZERO || ordered_tax.currency() != billed.currency() {
        return;
    }
    let Some(expected) = (ordered_tax.amount() * billed_base).checked_div(ordered_base) else { return };
    let Ok(expected) = Money::new(expected.round_dp(billed.currency().decimals()), billed.currency()) else { return };
    let differs = (billed.amount() - expected.amount()).abs();
    if differs > out.scene.settings.limits.match_tax_amount.0
        && let Some(finding) = out.report(Kind::MatchTax)
    {
        finding.field(subject, "tax", expected).involve(po).stake(Money::new(differs, billed.currency()).ok());
        finding.because_of("supplier", invoice.text("supplier_id"));
    }
}

fn freight(out: &mut Out<'_>, po: &Entry) {
    let (invoice, subject) = (out.record(), out.subject);
    let Some(billed) = money(invoice, "freight") else { return };
    let ordered = money(&po.record, "freight").map_or(Decimal::ZERO, |freight| freight.amount());
    let limits = &out.scene.settings.limits;
    let over = billed.amount() - ordered;
    let beyond_share = over * Decimal::ONE_HUNDRED > ordered * limits.match_freight_percent.0;
    if over > limits.match_freight_amount.0
        && beyond_share
        && let Some(finding) = out.report(Kind::MatchFreight)
    {
        let limit = format!("{ordered} {}", billed.currency());
        finding.field(subject, "freight", limit).involve(po).stake(Money::new(over, billed.currency()).ok());
        finding.because_of("supplier", invoice.text("supplier_id"));
    }
}

/// What a customer invoice itself tells: overdue, with its age.
pub fn receivable(out: &mut Out<'_>) {
    let (invoice, subject) = (out.record(), out.subject);
    let due = invoice.fields.get("due_date").and_then(|value| out.scene.calendar.day_of(value));
    let open = money(invoice, "balance_due").filter(|open| open.amount() > Decimal::ZERO);
    let (Some(due), Some(open)) = (due, open) else { return };
    let limit = out.scene.settings.limits.receivable_days;
    if out.older_than(due, limit)
        && let Some(finding) = out.report(Kind::ReceivableOverdue)
    {
        finding.field(subject, "due_date", days(limit)).field(subject, "balance_due", "0").stake(Some(open));
        finding.because_of("customer", invoice.text("customer_id"));
    }
}

/// What a payment itself tells: money that nobody applied.
pub fn unapplied(out: &mut Out<'_>) {
    let (payment, subject) = (out.record(), out.subject);
    let paid = payment.fields.get("paid_at").and_then(|value| out.scene.calendar.day_of(value));
    let left = money(payment, "unapplied").filter(|left| left.amount() > Decimal::ZERO);
    let (Some(paid), Some(left)) = (paid, left) else { return };
    let limit = out.scene.settings.limits.unapplied_days;
    if out.older_than(paid, limit)
        && let Some(finding) = out.report(Kind::PaymentUnapplied)
    {
        finding.field(subject, "unapplied", "0").field(subject, "paid_at", days(limit)).stake(Some(left));
        finding.because_of("customer", payment.text("customer_id"));
    }
}

pub fn remittance_needs(payment: &Record) -> Vec<Need> {
    payment.text("remittance_number").map(|id| Need::One(K::Remittance, id.to_owned())).into_iter().collect()
}

/// A payment against what was announced.
pub fn short(out: &mut Out<'_>, view: &View) {
    let (payment, subject) = (out.record(), out.subject);
    let advice = payment.text("remittance_number").and_then(|id| view.one(subject, K::Remittance, id));
    let Some((advice, announced)) = advice.and_then(|advice| Some((advice, money(&advice.record, "amount")?))) else {
        return;
    };
    let missing = money(payment, "amount").and_then(|paid| announced.checked_sub(&paid).ok());
    let Some(missing) = missing.filter(|gap| gap.amount() > out.scene.settings.limits.short_payment_amount.0) else {
        return;
    };
    if let Some(finding) = out.report(Kind::PaymentShort) {
        finding.field(subject, "amount", announced).involve(advice).stake(Some(missing));
        finding.because_of("customer", payment.text("customer_id"));
    }
}

pub fn refund_needs(refund: &Record) -> Vec<Need> {
    let Some(order) = refund.text("order_number") else { return Vec::new() };
    vec![referring(K::Payment, K::Order, order), referring(K::Refund, K::Order, order)]
}

/// All refunds of an order against all payments for it.
pub fn refund_above_paid(out: &mut Out<'_>, view: &View) {
    let (refund, subject) = (out.record(), out.subject);
    let (Some(order), Some(own)) = (refund.text("order_number"), money(refund, "amount")) else { return };
    let stopped = |record: &Record| {
        let status = word(record.text("status").unwrap_or(""));
        matches!(status.as_str(), "cancelled" | "canceled" | "failed" | "void" | "rejected" | "bounced")
    };
    let sum = |entries: &[Arc<Entry>], incoming: bool| -> Decimal {
        entries
            .iter()
            .filter(|entry| !stopped(&entry.record))
            .filter(|entry| !incoming || entry.record.text("direction").map(word).as_deref() != Some("outgoing"))
            .filter_map(|entry| money(&entry.record, "amount"))
            .filter(|amount| amount.currency() == own.currency())
            .map(|amount| amount.amount())
            .sum()
    };
    let payments = view.all(&referring(K::Payment, K::Order, order));
    let refunds = view.all(&referring(K::Refund, K::Order, order));
    let (paid, refunded) = (sum(payments, true), sum(refunds, false));
    if stopped(refund) || refunded <= paid {
        return;
    }
    if let Some(finding) = out.report(Kind::RefundAbovePaid) {
        finding.field(
            subject,
            "amount",
            Money::new(paid, own.currency()).map_or(String::new(), |paid| paid.to_string()),
        );
        for entry in payments.iter().chain(refunds) {
            finding.involve(entry);
        }
        finding.stake(Money::new(refunded - paid, own.currency()).ok());
        finding.because_of("customer", refund.text("customer_id"));
    }
}
