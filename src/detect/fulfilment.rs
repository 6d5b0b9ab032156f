//! Fulfilment exceptions: late, stuck, picked and left, partial, split, delivered without an invoice. Pure.

use ingest::{Record, RecordKind as K};

use super::Kind;
use super::finding::{Finding, Out, days};
use super::orders::{customer_of, money};
use super::project::{self, Phase, phase};
use super::settings::CONSUMER_GROUPS;
use super::view::{Entry, Need, Only, View};

/// What the order itself tells: the promise, the rest of a part shipment.
pub fn order(out: &mut Out<'_>) {
    let (order, subject) = (out.record(), out.subject);
    let day = |name: &str| order.fields.get(name).and_then(|value| out.scene.calendar.day_of(value));
    let (promised, shipped) = (day("promised_date"), day("shipped_at"));
    let limits = &out.scene.settings.limits;
    let (phase, total) = (phase(order), money(order, "total"));
    let arrived = phase == Phase::Delivered || order.fields.contains_key("delivered_at");
    if let Some(promised) = promised.filter(|_| !arrived && phase != Phase::Cancelled && phase != Phase::Unknown)
        && out.older_than(promised, limits.late_grace_days)
        && let Some(finding) = out.report(Kind::LateAgainstPromise)
    {
        finding.field(subject, "promised_date", days(limits.late_grace_days)).stake(total);
        finding.because_of("carrier", order.text("carrier"));
    }
    if let Some(shipped) = shipped.filter(|_| phase == Phase::PartShipped)
        && out.older_than(shipped, limits.partial_days)
        && let Some(finding) = out.report(Kind::PartialOverdue)
    {
        finding.field(subject, "shipped_at", days(limits.partial_days));
        unshipped_lines(finding, subject);
    }
}

fn unshipped_lines(finding: &mut Finding, order: &Entry) {
    for (at, line) in order.record.lines.iter().enumerate() {
        let (ordered, shipped) =
            (super::orders::number(line, "quantity"), super::orders::number(line, "quantity_shipped"));
        if shipped < ordered {
            finding.field(order, &format!("lines.{at}.quantity_shipped"), ordered.normalize());
            finding.add_stake(super::orders::worth(line, ordered - shipped));
        }
    }
}

/// What the shipment itself tells: no movement, picked and left.
pub fn shipment(out: &mut Out<'_>) {
    let (shipment, subject) = (out.record(), out.subject);
    let day = |name: &str| shipment.fields.get(name).and_then(|value| out.scene.calendar.day_of(value));
    let limits = &out.scene.settings.limits;
    let status = project::word(shipment.text("status").unwrap_or(""));
    let moving = matches!(status.as_str(), "in_transit" | "shipped" | "dispatched" | "out_for_delivery");
    let last = day("last_event_at").or_else(|| day("shipped_at"));
    if let Some(last) = last.filter(|_| moving && !shipment.fields.contains_key("delivered_at"))
        && out.older_than(last, limits.tracking_days)
        && let Some(finding) = out.report(Kind::TrackingStalled)
    {
        let field = if shipment.fields.contains_key("last_event_at") { "last_event_at" } else { "shipped_at" };
        finding.field(subject, field, days(limits.tracking_days)).because_of("carrier", shipment.text("carrier"));
    }
    if let Some(picked) = day("picked_at").filter(|_| status == "picked" && !shipment.fields.contains_key("shipped_at"))
        && out.older_than(picked, limits.picked_days)
        && let Some(finding) = out.report(Kind::PickedNotShipped)
    {
        finding.field(subject, "picked_at", days(limits.picked_days));
        finding.because_of("carrier", shipment.text("carrier"));
    }
}

fn of_order(kind: K, order: &Record) -> Need {
    Need::Referring { kind, target: K::Order, id: order.external_id.clone(), only: Only::All }
}

pub fn split_needs(order: &Record) -> Vec<Need> {
    if phase(order) == Phase::Cancelled {
        return Vec::new();
    }
    [of_order(K::Shipment, order)].into_iter().chain(customer_of(order)).collect()
}

/// Shipments of one order against what the kind of customer allows.
pub fn split(out: &mut Out<'_>, view: &View) {
    let (order, subject) = (out.record(), out.subject);
    let shipments = view.all(&of_order(K::Shipment, order));
    let cancelled = |entry: &Entry| project::word(entry.record.text("status").unwrap_or("")).starts_with("cancel");
    let parts = shipments.iter().filter(|entry| !cancelled(entry)).count();
    let limits = &out.scene.settings.limits;
    let customer = order.text("customer_id").and_then(|id| view.one(subject, K::Customer, id));
    let allowed = if is_consumer(customer.map(|customer| &customer.record)) {
        limits.shipments_consumer
    } else {
        limits.shipments_trade
    };
    if i64::try_from(parts).is_ok_and(|parts| parts <= allowed) {
        return;
    }
    if let Some(finding) = out.report(Kind::SplitBeyondPolicy) {
        finding.fact(subject, "shipments", parts, allowed);
        for shipment in shipments {
            finding.involve(shipment);
        }
        if let Some(customer) = customer {
            finding.involve(customer);
        }
    }
}

/// Whether a customer is a consumer: by its group; one that is not known is taken for trade.
pub fn is_consumer(customer: Option<&Record>) -> bool {
    let group = customer.and_then(|customer| customer.text("group")).map(project::word);
    group.is_some_and(|group| CONSUMER_GROUPS.contains(&group.as_str()))
}

pub fn invoice_needs(order: &Record) -> Vec<Need> {
    if phase(order) == Phase::Delivered { vec![of_order(K::CustomerInvoice, order)] } else { Vec::new() }
}

/// Delivered, and no invoice for it.
pub fn uninvoiced(out: &mut Out<'_>, view: &View) {
    let (order, subject) = (out.record(), out.subject);
    let delivered = order.fields.get("delivered_at").and_then(|value| out.scene.calendar.day_of(value));
    let Some(delivered) = delivered.filter(|_| phase(order) == Phase::Delivered) else { return };
    let limit = out.scene.settings.limits.invoice_days;
    let named = order.text("invoice_numbers").is_some_and(|numbers| !numbers.trim().is_empty());
    if named || !view.all(&of_order(K::CustomerInvoice, order)).is_empty() || !out.older_than(delivered, limit) {
        return;
    }
    let total = money(order, "total");
    if let Some(finding) = out.report(Kind::DeliveredNotInvoiced) {
        finding.field(subject, "delivered_at", days(limit)).stake(total);
        finding.because_of("customer", order.text("customer_id"));
    }
}
