//! Stock exceptions: negative, oversold channels, scarce products, orphaned reservations, counts, goods that wait. Pure.

use ingest::{Decimal, Money, Record, RecordKind as K, Value};

use super::Kind;
use super::finding::{Out, days};
use super::orders::{number, stock_of};
use super::project::phase;
use super::view::{Need, View};

/// What the stock level itself tells.
pub fn level(out: &mut Out<'_>) {
    let (level, subject) = (out.record(), out.subject);
    let sku = level.text("sku");
    if number(&level.fields, "on_hand") < Decimal::ZERO
        && let Some(finding) = out.report(Kind::NegativeStock)
    {
        finding.field(subject, "on_hand", 0).because_of("product", sku);
    }
    let limits = &out.scene.settings.limits;
    for (kind, quantity, since, limit) in [
        (Kind::QuarantineOverdue, "quarantined", "quarantined_since", limits.quarantine_days),
        (Kind::ReturnPendingOverdue, "return_pending", "return_pending_since", limits.return_pending_days),
    ] {
        let day = level.fields.get(since).and_then(|value| out.scene.calendar.day_of(value));
        let Some(day) = day.filter(|_| number(&level.fields, quantity) > Decimal::ZERO) else { continue };
        if out.older_than(day, limit)
            && let Some(finding) = out.report(kind)
        {
            finding.field(subject, quantity, 0).field(subject, since, days(limit)).because_of("product", sku);
        }
    }
}

pub fn product_needs(product: &Record) -> Vec<Need> {
    super::project::own_names(product).iter().map(|name| stock_of(name)).collect()
}

/// A product's stock over all places against its own safety stock and reorder point; one that lies nowhere is not judged.
pub fn scarce(out: &mut Out<'_>, view: &View) {
    let (product, subject) = (out.record(), out.subject);
    let mut levels: Vec<_> = product_needs(product).iter().flat_map(|need| view.all(need)).collect();
    levels.sort_by(|a, b| a.record_id.cmp(&b.record_id));
    levels.dedup_by(|a, b| a.record_id == b.record_id);
    if levels.is_empty() {
        return;
    }
    let on_hand: Decimal = levels.iter().map(|level| number(&level.record.fields, "on_hand")).sum();
    let limit = |name: &str| product.fields.get(name).and_then(Value::as_decimal);
    let below = |limit: Option<Decimal>| limit.filter(|limit| on_hand < *limit);
    let (kind, limit) = match (below(limit("safety_stock")), below(limit("reorder_point"))) {
        (Some(safety), _) => (Kind::BelowSafetyStock, safety),
        (None, Some(reorder)) => (Kind::BelowReorderPoint, reorder),
        (None, None) => return,
    };
    let missing =
        product.fields.get("list_price").and_then(Value::as_money).and_then(|price| value(price, limit - on_hand));
    if let Some(finding) = out.report(kind) {
        finding.fact(subject, "on_hand", on_hand.normalize(), limit.normalize()).stake(missing);
        for level in levels {
            finding.involve(level);
        }
        finding.because_of("supplier", product.text("supplier_id"));
    }
}

fn value(price: Money, quantity: Decimal) -> Option<Money> {
    Money::new(price.amount().checked_mul(quantity)?.round_dp(6), price.currency()).ok()
}

pub fn listing_needs(listing: &Record) -> Vec<Need> {
    listing.text("sku").map(stock_of).into_iter().collect()
}

/// What a channel shows against what is available everywhere.
pub fn listing(out: &mut Out<'_>, view: &View) {
    let (listing, subject) = (out.record(), out.subject);
    let (Some(sku), Some(listed)) = (listing.text("sku"), listing.fields.get("quantity").and_then(Value::as_decimal))
    else {
        return;
    };
    let levels = view.all(&stock_of(sku));
    let available: Decimal = levels
        .iter()
        .map(|level| {
            let fields = &level.record.fields;
            let free = fields.get("available").and_then(Value::as_decimal);
            free.unwrap_or_else(|| number(fields, "on_hand") - number(fields, "reserved"))
        })
        .sum();
    if levels.is_empty() || listed <= available {
        return;
    }
    let price = listing.fields.get("price").and_then(Value::as_money);
    if let Some(finding) = out.report(Kind::ChannelAboveAvailable) {
        finding.field(subject, "quantity", available.normalize());
        finding.stake(price.and_then(|price| value(price, listed - available.max(Decimal::ZERO))));
        for level in levels {
            finding.involve(level);
        }
        finding.because_of("product", Some(sku));
    }
}

pub fn reservation_needs(reservation: &Record) -> Vec<Need> {
    reservation.text("order_number").map(|id| Need::One(K::Order, id.to_owned())).into_iter().collect()
}

/// Stock held for an order that is absent or finished. A reservation that names no order is somebody's own.
pub fn reservation(out: &mut Out<'_>, view: &View) {
    let (reservation, subject) = (out.record(), out.subject);
    let Some(number) = reservation.text("order_number") else { return };
    let status = super::project::word(reservation.text("status").unwrap_or(""));
    let order = view.one(subject, K::Order, number);
    let holds = !matches!(status.as_str(), "released" | "cancelled" | "canceled" | "expired" | "consumed" | "done");
    if !holds || order.is_some_and(|order| phase(&order.record).is_open()) {
        return;
    }
    if let Some(finding) = out.report(Kind::ReservationWithoutOrder) {
        finding.field(subject, "order_number", "an open order");
        if let Some(order) = order {
            finding.field(order, "status", "open");
        }
        finding.because_of("product", reservation.text("sku"));
    }
}

/// A count that differs and is not settled yet.
pub fn count(out: &mut Out<'_>) {
    let (count, subject) = (out.record(), out.subject);
    let status = super::project::word(count.text("status").unwrap_or("open"));
    let (expected, counted) =
        (number(&count.fields, "expected"), count.fields.get("counted").and_then(Value::as_decimal));
    let variance =
        count.fields.get("variance").and_then(Value::as_decimal).or(counted.map(|counted| counted - expected));
    let limits = &out.scene.settings.limits;
    let Some(variance) = variance.filter(|_| !matches!(status.as_str(), "posted" | "closed" | "adjusted" | "done"))
    else {
        return;
    };
    let share = variance.abs() * Decimal::ONE_HUNDRED > limits.count_percent.0 * expected;
    if variance.abs() < Decimal::from(limits.count_units) || !share {
        return;
    }
    let limit = format!("{} % and {} units", limits.count_percent.0.normalize(), limits.count_units);
    if let Some(finding) = out.report(Kind::CountVariance) {
        finding.fact(subject, "variance", variance.normalize(), limit).because_of("product", count.text("sku"));
    }
}
