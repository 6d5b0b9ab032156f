//! Planted stock cases; levels are changed before listings and counts are derived from them.

use super::super::DemoCompany;
use super::super::orders::OVERSOLD_PRODUCTS;
use super::super::rows::{Reservation, StockLevel};
use super::super::stock::available;
use super::super::value::{at, day};
use super::super::words::WAREHOUSES;

pub(in super::super) fn spoil_levels(company: &mut DemoCompany) {
    oversell(company);
    uninspected(company);
    let quiet = untouched_products(company);
    let busy =
        (0..company.products.len()).rev().filter(|index| !quiet.contains(index) && !OVERSOLD_PRODUCTS.contains(index));
    let mut busy = busy.collect::<Vec<_>>().into_iter();
    let mut quiet = quiet.into_iter();
    negative(company, &mut quiet);
    scarce(company, &mut quiet);
    orphans(company, &mut busy);
    quarantined(company, &mut busy);
}

/// Key of a stock level: product and warehouse, as the mapping composes it.
fn key(level: &StockLevel) -> String {
    format!("{}/{}", level.sku, level.warehouse)
}

/// Products without reservations, inbound goods or pending returns: their quantities can be bent freely.
fn untouched_products(company: &DemoCompany) -> Vec<usize> {
    let quiet = |sku: &str| {
        let mut levels = company.stock_levels.iter().filter(|level| level.sku == sku);
        levels.all(|level| level.reserved == 0 && level.in_transit == 0 && level.return_pending == 0)
    };
    let free = (0..company.products.len()).filter(|&index| quiet(&company.products[index].sku));
    free.filter(|index| !OVERSOLD_PRODUCTS.contains(index)).collect()
}

fn set_on_hand(level: &mut StockLevel, on_hand: i64) {
    level.on_hand = on_hand;
    level.available = on_hand - level.reserved;
}

/// A third of what the order wants is there; only that is reserved.
fn oversell(company: &mut DemoCompany) {
    for product in OVERSOLD_PRODUCTS {
        let sku = company.products[product].sku.clone();
        let Some(reservation) = company.reservations.iter_mut().find(|reservation| reservation.sku == sku) else {
            continue;
        };
        let wanted = reservation.quantity;
        let there = wanted / 3;
        reservation.quantity = there;
        let (order_id, warehouse) = (reservation.order_id.clone(), reservation.warehouse);
        let place = company.stock_levels.iter_mut().find(|level| level.sku == sku && level.warehouse == warehouse);
        if let Some(level) = place {
            level.reserved = there;
            set_on_hand(level, there);
        }
        let why = format!("{wanted} units of {sku} ordered from {warehouse}, {there} on hand");
        company.planted.add("oversell", "order", &[&order_id], why).fact("lines.0.quantity", wanted, there);
    }
}

fn uninspected(company: &mut DemoCompany) {
    let overdue: Vec<StockLevel> = company
        .stock_levels
        .iter()
        .filter(|level| level.return_pending_since.is_some_and(|since| since < day(company.as_of, 7)))
        .cloned()
        .collect();
    for level in overdue {
        let since = level.return_pending_since.map(|date| date.to_string()).unwrap_or_default();
        let why =
            format!("{} returned units wait for inspection since {since}; the limit is 7 days", level.return_pending);
        company
            .planted
            .add("return_pending_overdue", "stock_level", &[&key(&level)], why)
            .fact("return_pending", level.return_pending, 0)
            .fact("return_pending_since", since, "7 days");
    }
}

/// Below safety stock, and between safety stock and reorder point.
fn scarce(company: &mut DemoCompany, free: &mut impl Iterator<Item = usize>) {
    for (number, product) in free.take(10).enumerate() {
        let (sku, safety, reorder) = {
            let product = &company.products[product];
            (product.sku.clone(), product.safety_stock, product.reorder_point)
        };
        let below_safety = number % 2 == 0;
        let target = if below_safety { safety / 2 } else { safety + safety / 2 };
        for level in company.stock_levels.iter_mut().filter(|level| level.sku == sku) {
            let share = if level.warehouse == WAREHOUSES[0] { target / 2 } else { target - target / 2 };
            set_on_hand(level, share);
        }
        let (kind, limit, named) = if below_safety {
            ("below_safety_stock", safety, "safety stock")
        } else {
            ("below_reorder_point", reorder, "reorder point")
        };
        let why = format!("{target} units in all warehouses, the {named} is {limit}, nothing is on order");
        company.planted.add(kind, "product", &[&sku], why).fact("on_hand", target, limit);
    }
}

fn negative(company: &mut DemoCompany, free: &mut impl Iterator<Item = usize>) {
    for (number, product) in free.take(3).enumerate() {
        let sku = company.products[product].sku.clone();
        let reorder = company.products[product].reorder_point;
        let on_hand = -(number as i64 * 2 + 2);
        for level in company.stock_levels.iter_mut().filter(|level| level.sku == sku) {
            set_on_hand(level, if level.warehouse == WAREHOUSES[0] { on_hand } else { reorder + 40 });
        }
        let id = format!("{sku}/{}", WAREHOUSES[0]);
        let why = format!("{on_hand} units on hand");
        company.planted.add("negative_stock", "stock_level", &[&id], why).fact("on_hand", on_hand, 0);
    }
}

/// Reservations of orders that do not exist, were cancelled or are long delivered.
fn orphans(company: &mut DemoCompany, free: &mut impl Iterator<Item = usize>) {
    let with_status = |status: &str| {
        let found =
            company.orders.iter().rev().filter(|order| order.status == status && order.ago > 8 && !order.staged);
        found.map(|order| order.order_id.clone()).next().unwrap_or_default()
    };
    let owners = [
        ("SO-999001".to_owned(), "does not exist"),
        ("SO-999002".to_owned(), "does not exist"),
        (with_status("cancelled"), "was cancelled"),
        (with_status("delivered"), "is delivered"),
    ];
    for ((order_id, fate), product) in owners.into_iter().zip(free) {
        let sku = company.products[product].sku.clone();
        let warehouse = WAREHOUSES[product % 2];
        let reservation_id = format!("RS-{}", 41_001 + company.reservations.len());
        let place = company.stock_levels.iter_mut().find(|level| level.sku == sku && level.warehouse == warehouse);
        let Some(level) = place else { continue };
        level.reserved += 4;
        level.available -= 4;
        company
            .planted
            .add("reservation_without_order", "reservation", &[&reservation_id], format!("its order {order_id} {fate}"))
            .fact("order_number", &order_id, "an open order");
        company.reservations.push(Reservation {
            reservation_id,
            order_id,
            sku,
            warehouse,
            quantity: 4,
            status: "active",
            created_at: at(company.as_of, 9, 10, 0),
        });
    }
}

fn quarantined(company: &mut DemoCompany, free: &mut impl Iterator<Item = usize>) {
    for (number, product) in free.take(4).enumerate() {
        let sku = company.products[product].sku.clone();
        let ago = 19 + number as i64 * 6;
        let since = day(company.as_of, ago);
        let place =
            company.stock_levels.iter_mut().find(|level| level.sku == sku && level.warehouse == WAREHOUSES[number % 2]);
        let Some(level) = place else { continue };
        level.quarantined = 6 + number as i64;
        level.quarantined_since = Some(since);
        let (id, quantity) = (key(level), level.quarantined);
        let why = format!("{quantity} units in quarantine for {ago} days; the limit is 14");
        company.planted.add("quarantine_overdue", "stock_level", &[&id], why).fact("quarantined", quantity, 0).fact(
            "quarantined_since",
            since,
            "14 days",
        );
    }
}

pub(in super::super) fn spoil_listings_and_counts(company: &mut DemoCompany) {
    for index in [31, 90, 151, 204] {
        let sku = company.channel_listings[index].sku.clone();
        let limit = available(company, &sku);
        let listing = &mut company.channel_listings[index];
        listing.listed_quantity = limit.max(0) + 25;
        let (id, listed) = (listing.listing_id.clone(), listing.listed_quantity);
        let why = format!("the {} shows {listed} units, {limit} are available", listing.channel);
        company.planted.add("channel_above_available", "channel_listing", &[&id], why).fact("quantity", listed, limit);
    }
    let count = company.stock_counts.len();
    for number in 0..5 {
        let row = &mut company.stock_counts[count - 1 - number * 2];
        let difference = (row.expected_quantity / 8).max(4);
        row.counted_quantity = row.expected_quantity - difference;
        row.variance = -difference;
        row.status = "open";
        let (id, counted, expected) = (row.count_id.clone(), row.counted_quantity, row.expected_quantity);
        let why = format!("counted {counted}, expected {expected}; tolerated are 2 % and at least 3 units");
        company.planted.add("count_variance", "stock_count", &[&id], why).fact("variance", -difference, "2 %");
    }
}
