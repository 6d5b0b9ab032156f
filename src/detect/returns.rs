//! Return exceptions: past the window, not refunded, products that come back in a surge. Pure.

use ingest::{Record, RecordKind as K};
use jiff::civil::Date;

use super::Kind;
use super::calendar::{add_days, days_between};
use super::finding::{Out, days};
use super::fulfilment::is_consumer;
use super::orders::{customer_of, money, skus};
use super::project::word;
use super::view::{Need, Only, View};
use crate::document::day_number;

pub fn window_needs(rma: &Record) -> Vec<Need> {
    if rma.fields.contains_key("return_by") {
        return Vec::new();
    }
    let order = rma.text("order_number").map(|id| Need::One(K::Order, id.to_owned()));
    order.into_iter().chain(customer_of(rma)).collect()
}

/// Asked for after the last day: the return's own, else so many days after the delivery of its order.
pub fn past_window(out: &mut Out<'_>, view: &View) {
    let (rma, subject) = (out.record(), out.subject);
    let day = |record: &Record, name: &str| record.fields.get(name).and_then(|value| out.scene.calendar.day_of(value));
    let Some(requested) = day(rma, "requested_at") else { return };
    let order = rma.text("order_number").and_then(|id| view.one(subject, K::Order, id));
    let last = match day(rma, "return_by") {
        Some(last) => last,
        None => {
            let Some(delivered) = order.and_then(|order| day(&order.record, "delivered_at")) else { return };
            let customer = rma.text("customer_id").and_then(|id| view.one(subject, K::Customer, id));
            let limits = &out.scene.settings.limits;
            let consumer = is_consumer(customer.map(|customer| &customer.record));
            let window = if consumer { limits.return_window_consumer_days } else { limits.return_window_trade_days };
            add_days(delivered, window)
        }
    };
    if requested > last
        && let Some(finding) = out.report(Kind::ReturnPastWindow)
    {
        finding.field(subject, "requested_at", last).stake(money(rma, "amount"));
        if let Some(order) = order {
            finding.involve(order);
        }
        finding.because_of("customer", rma.text("customer_id"));
    }
}

fn of_return(kind: K, rma: &Record) -> Need {
    Need::Referring { kind, target: K::Return, id: rma.external_id.clone(), only: Only::All }
}

pub fn settled_needs(rma: &Record) -> Vec<Need> {
    if rma.fields.contains_key("received_at") {
        vec![of_return(K::Refund, rma), of_return(K::CreditNote, rma)]
    } else {
        Vec::new()
    }
}

/// The goods are back, the money is not.
pub fn not_refunded(out: &mut Out<'_>, view: &View) {
    let (rma, subject) = (out.record(), out.subject);
    let received = rma.fields.get("received_at").and_then(|value| out.scene.calendar.day_of(value));
    let refused =
        matches!(word(rma.text("status").unwrap_or("")).as_str(), "rejected" | "declined" | "cancelled" | "canceled");
    let settled = rma.fields.contains_key("refunded_at")
        || [K::Refund, K::CreditNote].into_iter().any(|kind| !view.all(&of_return(kind, rma)).is_empty());
    let Some(received) = received.filter(|_| !settled && !refused) else { return };
    let limit = out.scene.settings.limits.refund_days;
    if out.older_than(received, limit)
        && let Some(finding) = out.report(Kind::RefundNotIssued)
    {
        finding.field(subject, "received_at", days(limit)).field(subject, "amount", "0").stake(money(rma, "amount"));
        finding.because_of("customer", rma.text("customer_id"));
    }
}

/// Days of a fortnight, and of the baseline before it: six fortnights.
const RECENT_DAYS: i64 = 14;
const BASELINE_DAYS: i64 = 84;

pub fn surge_needs(product: &Record, today: Date) -> Vec<Need> {
    let since = Only::Since(day_number(add_days(today, -(RECENT_DAYS + BASELINE_DAYS))));
    let names = super::project::own_names(product);
    names.into_iter().map(|id| Need::Referring { kind: K::Return, target: K::Product, id, only: since }).collect()
}

/// Returns of a product in the last fortnight against its own mean fortnight before.
pub fn surge(out: &mut Out<'_>, view: &View) {
    let (product, subject, today) = (out.record(), out.subject, out.scene.today);
    let mut returns: Vec<_> = surge_needs(product, today).iter().flat_map(|need| view.all(need)).collect();
    returns.sort_by(|a, b| a.record_id.cmp(&b.record_id));
    returns.dedup_by(|a, b| a.record_id == b.record_id);
    let age = |rma: &Record| {
        let asked = rma.fields.get("requested_at").and_then(|value| out.scene.calendar.day_of(value))?;
        Some(days_between(asked, today)).filter(|age| *age >= 0)
    };
    let recent: Vec<_> =
        returns.iter().filter(|rma| age(&rma.record).is_some_and(|age| age <= RECENT_DAYS)).copied().collect();
    let in_baseline = |age: i64| age > RECENT_DAYS && age <= RECENT_DAYS + BASELINE_DAYS;
    let before = returns.iter().filter(|rma| age(&rma.record).is_some_and(in_baseline)).count();
    let limits = &out.scene.settings.limits;
    let count = i64::try_from(recent.len()).unwrap_or(i64::MAX);
    if count >= limits.surge_returns {
        // Either count shrinks with every day that passes.
        out.look_again(add_days(today, 1));
    }
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let fortnights = BASELINE_DAYS / RECENT_DAYS;
    if count < limits.surge_returns || count * fortnights < limits.surge_times.saturating_mul(before) {
        return;
    }
    let limit =
        format!("{} and {} x baseline ({before} in {BASELINE_DAYS} days)", limits.surge_returns, limits.surge_times);
    if let Some(finding) = out.report(Kind::ReturnSurge) {
        finding.fact(subject, "returns_last_14_days", count, limit);
        for rma in recent {
            let share = skus(&rma.record).count() <= 1;
            finding.involve(rma).add_stake(money(&rma.record, "amount").filter(|_| share));
        }
        finding.because_of("product", Some(&product.external_id));
    }
}
