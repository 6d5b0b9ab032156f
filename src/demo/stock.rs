//! Stock levels, reservations, channel listings and counts, derived from open orders, purchase orders and returns.

use std::collections::BTreeMap;

use super::DemoCompany;
use super::dice::Dice;
use super::rows::{ChannelListing, Reservation, StockCount, StockLevel};
use super::value::{at, day};
use super::words::{COUNTERS, WAREHOUSES};

const CHANNELS: [&str; 2] = ["webshop", "marketplace"];
/// Share of what is available that each channel may show, in percent.
const CHANNEL_SHARE: i64 = 40;
const OPEN_STATES: [&str; 5] = ["pending", "on_hold", "released", "picked", "part_shipped"];

type Place = (String, &'static str);

/// Reservations of open orders, then a stock level per product and warehouse that carries them.
pub(super) fn fill_levels(company: &mut DemoCompany, dice: &mut Dice) {
    reserve(company);
    let mut reserved: BTreeMap<Place, i64> = BTreeMap::new();
    for reservation in &company.reservations {
        *reserved.entry((reservation.sku.clone(), reservation.warehouse)).or_default() += reservation.quantity;
    }
    let inbound = outstanding(company);
    let pending = awaiting_inspection(company);
    for product in &company.products {
        for warehouse in WAREHOUSES {
            let place = (product.sku.clone(), warehouse);
            let reserved = reserved.get(&place).copied().unwrap_or(0);
            let on_hand = reserved + product.reorder_point / 2 + dice.between(5, 70);
            let quarantined = if dice.chance(6) { dice.between(1, 6) } else { 0 };
            let waiting = pending.get(&place);
            company.stock_levels.push(StockLevel {
                sku: product.sku.clone(),
                warehouse,
                on_hand,
                reserved,
                available: on_hand - reserved,
                in_transit: inbound.get(&place).copied().unwrap_or(0),
                quarantined,
                quarantined_since: (quarantined > 0).then(|| day(company.as_of, dice.between(1, 10))),
                damaged: if dice.chance(8) { dice.between(1, 3) } else { 0 },
                return_pending: waiting.map_or(0, |(quantity, _)| *quantity),
                return_pending_since: waiting.map(|(_, since)| *since),
                updated_at: at(company.as_of, 1, 23, 30),
            });
        }
    }
}

fn reserve(company: &mut DemoCompany) {
    let mut rows = Vec::new();
    for order in company.orders.iter().filter(|order| OPEN_STATES.contains(&order.status)) {
        for line in &order.lines {
            let quantity = line.quantity - line.shipped_quantity - line.backordered_quantity;
            if quantity > 0 {
                rows.push(Reservation {
                    reservation_id: format!("RS-{}", 41_001 + rows.len()),
                    order_id: order.order_id.clone(),
                    sku: line.sku.clone(),
                    warehouse: order.warehouse,
                    quantity,
                    status: "active",
                    created_at: order.ordered_at,
                });
            }
        }
    }
    company.reservations = rows;
}

/// Units on purchase orders that are sent or acknowledged and not received.
fn outstanding(company: &DemoCompany) -> BTreeMap<Place, i64> {
    let mut units: BTreeMap<Place, i64> = BTreeMap::new();
    for po in company.purchase_orders.iter().filter(|po| matches!(po.status, "sent" | "acknowledged")) {
        for line in &po.lines {
            *units.entry((line.sku.clone(), po.warehouse)).or_default() += line.quantity;
        }
    }
    units
}

/// Units of returns that are received and not inspected, with the day of the oldest.
fn awaiting_inspection(company: &DemoCompany) -> BTreeMap<Place, (i64, jiff::civil::Date)> {
    let mut units: BTreeMap<Place, (i64, jiff::civil::Date)> = BTreeMap::new();
    for rma in &company.returns {
        let Some(received_on) = rma.received_on.filter(|_| rma.inspected_on.is_none()) else { continue };
        for line in &rma.lines {
            let entry = units.entry((line.sku.clone(), rma.warehouse)).or_insert((0, received_on));
            entry.0 += line.quantity;
            entry.1 = entry.1.min(received_on);
        }
    }
    units
}

/// Sellable units of a product over all warehouses that are not reserved.
pub(super) fn available(company: &DemoCompany, sku: &str) -> i64 {
    company.stock_levels.iter().filter(|level| level.sku == sku).map(|level| level.available).sum()
}

pub(super) fn fill_listings(company: &mut DemoCompany, dice: &mut Dice) {
    for product in &company.products {
        let available = available(company, &product.sku);
        for channel in CHANNELS {
            company.channel_listings.push(ChannelListing {
                listing_id: format!("CL-{}", 8_001 + company.channel_listings.len()),
                channel,
                sku: product.sku.clone(),
                listed_quantity: available.max(0) * CHANNEL_SHARE / 100,
                listed_price: product.list_price,
                status: "live",
                updated_at: at(company.as_of, 1, 23, dice.between(31, 59)),
            });
        }
    }
}

/// A count of every product in one of the warehouses within the last 60 days; a single unit is missing now and then.
pub(super) fn fill_counts(company: &mut DemoCompany, dice: &mut Dice) {
    let mut counts = Vec::new();
    for (index, level) in company.stock_levels.iter().enumerate().filter(|(index, _)| index % 2 == (index / 2) % 2) {
        let ago = dice.between(1, 60);
        let expected = level.on_hand.max(0) + if ago > 5 { dice.between(0, 20) } else { 0 };
        let variance = if expected >= 80 && dice.chance(20) { -1 } else { 0 };
        counts.push((
            ago,
            index,
            StockCount {
                count_id: String::new(),
                sku: level.sku.clone(),
                warehouse: level.warehouse,
                counted_on: day(company.as_of, ago),
                expected_quantity: expected,
                counted_quantity: expected + variance,
                variance,
                status: if ago > 5 { "posted" } else { "open" },
                counted_by: dice.pick(&COUNTERS),
            },
        ));
    }
    counts.sort_by_key(|(ago, index, _)| (-*ago, *index));
    for (number, (_, _, mut count)) in counts.into_iter().enumerate() {
        count.count_id = format!("SC-{}", 6_001 + number);
        company.stock_counts.push(count);
    }
}
