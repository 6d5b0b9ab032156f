//! Purchasing exceptions: unanswered, late, short, over, rejected, bad suppliers, prices. Pure.

use ingest::{Decimal, Fields, Money, Record, RecordKind as K, Value};

use super::Kind;
use super::finding::{Finding, Out, days};
use super::orders::{line_money, money, number, skus, worth};
use super::project::{po_is_open, word};
use super::view::{Entry, Need, Only, View};

/// What the purchase order itself tells: its promise, its receipts, its refusal.
pub fn itself(out: &mut Out<'_>) {
    late(out);
    rejected(out);
    lines(out, Kind::PoShortReceived, |line| {
        let (received, ordered) = (line.get("quantity_received")?.as_decimal()?, number(line, "quantity"));
        (received < ordered)
            .then(|| ("quantity_received", ordered.normalize().to_string(), worth(line, ordered - received)))
    });
    let percent = out.scene.settings.limits.over_receipt_percent.0;
    lines(out, Kind::PoOverReceived, |line| {
        let (received, ordered) = (line.get("quantity_received")?.as_decimal()?, number(line, "quantity"));
        let most = ordered * (Decimal::ONE_HUNDRED + percent);
        let limit = || format!("{} + {} %", ordered.normalize(), percent.normalize());
        (received * Decimal::ONE_HUNDRED > most)
            .then(|| ("quantity_received", limit(), worth(line, received - ordered)))
    });
    lines(out, Kind::ReceiptRejected, |line| {
        let rejected = number(line, "quantity_rejected");
        (rejected > Decimal::ZERO).then(|| ("quantity_rejected", "0".to_owned(), worth(line, rejected)))
    });
    lines(out, Kind::PoStockMismatch, |line| {
        let stocked = line.get("quantity_stocked")?.as_decimal()?;
        let expected = line.get("quantity_received")?.as_decimal()? - number(line, "quantity_rejected");
        let differs = (stocked - expected).abs() > Decimal::new(1, 6);
        differs.then(|| ("quantity_stocked", expected.normalize().to_string(), worth(line, (stocked - expected).abs())))
    });
    shipped_after_due(out);
}

/// One finding for all lines that break a rule. `rule` gives the field, the limit and what is at stake.
fn lines(out: &mut Out<'_>, kind: Kind, rule: impl Fn(&Fields) -> Option<(&'static str, String, Option<Money>)>) {
    let (po, subject) = (out.record(), out.subject);
    let broken: Vec<_> = po.lines.iter().enumerate().filter_map(|(at, line)| Some((at, rule(line)?))).collect();
    if broken.is_empty() {
        return;
    }
    if let Some(finding) = out.report(kind) {
        for (at, (field, limit, stake)) in broken {
            finding.field(subject, &format!("lines.{at}.{field}"), limit).add_stake(stake);
        }
        finding.because_of("supplier", po.text("supplier_id"));
    }
}

fn supplier_finding(finding: &mut Finding, po: &Record) {
    finding.stake(money(po, "total")).because_of("supplier", po.text("supplier_id"));
}

fn late(out: &mut Out<'_>) {
    let (po, subject) = (out.record(), out.subject);
    let day = po.fields.get("promised_date").and_then(|value| out.scene.calendar.day_of(value));
    let Some(promised) = day.filter(|_| po_is_open(po)) else { return };
    let limit = out.scene.settings.limits.supplier_grace_days;
    if out.older_than(promised, limit)
        && let Some(finding) = out.report(Kind::PoLate)
    {
        finding.field(subject, "promised_date", days(limit));
        supplier_finding(finding, po);
    }
}

fn rejected(out: &mut Out<'_>) {
    let (po, subject) = (out.record(), out.subject);
    if word(po.text("status").unwrap_or("")) == "rejected"
        && let Some(finding) = out.report(Kind::PoRejected)
    {
        finding.field(subject, "status", "not rejected");
        supplier_finding(finding, po);
    }
}

/// The order left later than its last line was due.
fn shipped_after_due(out: &mut Out<'_>) {
    let (po, subject) = (out.record(), out.subject);
    let shipped = po.fields.get("ship_date").and_then(Value::as_date);
    let due = po.lines.iter().filter_map(|line| line.get("due_date")?.as_date()).max();
    let (Some(shipped), Some(due)) = (shipped, due) else { return };
    if shipped > due
        && let Some(finding) = out.report(Kind::PoShippedAfterDue)
    {
        finding.field(subject, "ship_date", due);
        supplier_finding(finding, po);
    }
}

fn acknowledgements(po: &Record) -> Need {
    let id = po.external_id.clone();
    Need::Referring { kind: K::PurchaseOrderAcknowledgement, target: K::PurchaseOrder, id, only: Only::All }
}

pub fn acknowledgement_needs(po: &Record) -> Vec<Need> {
    if po_is_open(po) { vec![acknowledgements(po)] } else { Vec::new() }
}

pub fn unacknowledged(out: &mut Out<'_>, view: &View) {
    let (po, subject) = (out.record(), out.subject);
    let status = word(po.text("status").unwrap_or(""));
    let answered = matches!(status.as_str(), "acknowledged" | "confirmed")
        || po.fields.contains_key("acknowledged_at")
        || !view.all(&acknowledgements(po)).is_empty();
    let day = po.fields.get("order_date").and_then(|value| out.scene.calendar.day_of(value));
    let sent = matches!(status.as_str(), "sent" | "open" | "ordered");
    let Some(ordered) = day.filter(|_| sent && !answered) else { return };
    let limit = out.scene.settings.limits.acknowledge_days;
    if out.older_than(ordered, limit)
        && let Some(finding) = out.report(Kind::PoUnacknowledged)
    {
        finding.field(subject, "order_date", days(limit));
        supplier_finding(finding, po);
    }
}

pub fn supplier_needs(po: &Record) -> Vec<Need> {
    po.text("supplier_id").map(|id| Need::One(K::Supplier, id.to_owned())).into_iter().collect()
}

/// Orders with suppliers that are inactive, blocked or poorly rated, whatever the order's status.
pub fn supplier(out: &mut Out<'_>, view: &View) {
    let (po, subject) = (out.record(), out.subject);
    let Some(supplier) = po.text("supplier_id").and_then(|id| view.one(subject, K::Supplier, id)) else { return };
    let flag = |name: &str| supplier.record.fields.get(name).and_then(Value::as_flag);
    let worst = out.scene.settings.limits.supplier_credit_rating;
    let rating = supplier.record.fields.get("credit_rating").and_then(Value::as_integer);
    let checks = [
        (flag("active") == Some(false), Kind::PoInactiveSupplier, "active", "true".to_owned()),
        (flag("blocked") == Some(true), Kind::PoBlockedSupplier, "blocked", "false".to_owned()),
        (rating.is_some_and(|rating| rating > worst), Kind::PoLowCreditSupplier, "credit_rating", worst.to_string()),
    ];
    for (_, kind, field, limit) in checks.into_iter().filter(|(bad, ..)| *bad) {
        if let Some(finding) = out.report(kind) {
            finding.field(supplier, field, limit);
            supplier_finding(finding, po);
        }
    }
}

fn prices_of(sku: &str) -> Need {
    Need::Referring { kind: K::Price, target: K::Product, id: sku.to_owned(), only: Only::All }
}

pub fn price_needs(po: &Record) -> Vec<Need> {
    skus(po).flat_map(|sku| [prices_of(sku), Need::One(K::Product, sku.to_owned())]).collect()
}

/// A line's price against what this supplier was last paid for the product; where no purchase price of the two is kept, against the
/// product's standard cost.
pub fn price(out: &mut Out<'_>, view: &View) {
    let (po, subject) = (out.record(), out.subject);
    let most = Decimal::ONE_HUNDRED + out.scene.settings.limits.purchase_price_percent.0;
    let mut dear: Vec<(usize, Money, &Entry)> = Vec::new();
    for (at, line) in po.lines.iter().enumerate() {
        let (Some(sku), Some(price)) = (line.get("sku").and_then(Value::as_text), line_money(line, "unit_price"))
        else {
            continue;
        };
        let bought = view.all(&prices_of(sku)).iter().find(|row| {
            row.record.text("price_type").map(word).as_deref() == Some("purchase")
                && row.record.text("supplier_id") == po.text("supplier_id")
        });
        let reference = match bought {
            Some(row) => money(&row.record, "last_cost").map(|cost| (cost, row)),
            None => view
                .one(subject, K::Product, sku)
                .and_then(|product| Some((money(&product.record, "standard_cost")?, product))),
        };
        let Some((cost, entry)) = reference else { continue };
        let comparable = cost.currency() == price.currency() && cost.amount() > Decimal::ZERO;
        if comparable && price.amount() * Decimal::ONE_HUNDRED > cost.amount() * most {
            dear.push((at, cost, entry));
        }
    }
    if dear.is_empty() {
        return;
    }
    if let Some(finding) = out.report(Kind::PoPriceVariance) {
        for (at, cost, entry) in dear {
            // The limit is a cost; what is at stake is the line as ordered, which tells nothing about it.
            finding.field(subject, &format!("lines.{at}.unit_price"), cost).costly().involve(entry);
            finding.add_stake(worth(&po.lines[at], number(&po.lines[at], "quantity")));
        }
        finding.because_of("supplier", po.text("supplier_id"));
    }
}
