//! Planted order cases: holds, addresses, unreleased, back-ordered, oversold, under-priced and duplicate orders.

use super::super::DemoCompany;
use super::super::catalogue::price_of;
use super::super::customers::CONSUMERS;
use super::super::dice::Dice;
use super::super::orders::{OVERSOLD_PRODUCTS, basket, compose, hold, release, ship, total_up, trade_customer};
use super::super::rows::Order;
use super::super::slots::{Slot, Slots};
use super::super::value::{at, day};

pub(in super::super) fn stage(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    holds(company, slots, dice);
    addresses(company, slots, dice);
    unreleased(company, slots, dice);
    back_orders(company, slots, dice);
    oversold(company, slots, dice);
    prices(company, slots, dice);
    duplicates(company, slots, dice);
}

/// A pending staged order, promised a few days from now so that it is not late as well.
pub(super) fn draft(company: &DemoCompany, slot: Slot, customer: usize, dice: &mut Dice) -> Order {
    let lines = basket(company, customer, slot.ago, dice);
    let mut order = compose(company, slot, customer, &lines, dice);
    order.staged = true;
    order.promised_on = day(company.as_of, -dice.between(3, 8));
    order
}

fn holds(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    let kinds: [(&str, &str, i64, usize); 3] = [
        ("payment", "payment_hold_overdue", 3, 5),
        ("fraud", "fraud_hold_overdue", 2, 4),
        ("credit", "credit_hold_overdue", 4, 4),
    ];
    for (hold_type, kind, limit, count) in kinds {
        for _ in 0..count {
            let slot = slots.take(7, 16, dice);
            let customer = if hold_type == "credit" { trade_customer(dice) } else { dice.below(CONSUMERS) };
            let mut order = draft(company, slot, customer, dice);
            hold(company, &mut order, hold_type, slot.ago);
            let why = format!("on {hold_type} hold for {} days; the limit is {limit}", slot.ago);
            company.planted.add(kind, "order", &[&order.order_id], why).fact(
                "hold_since",
                day(company.as_of, slot.ago),
                format!("{limit} days"),
            );
            company.orders.push(order);
        }
    }
}

fn addresses(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    let incomplete: [&[&str]; 4] = [&["street"], &["postal_code"], &["city"], &["street", "postal_code"]];
    for missing in incomplete {
        let slot = slots.take(1, 2, dice);
        let mut order = draft(company, slot, dice.below(CONSUMERS), dice);
        let mut why = "the delivery address lacks".to_owned();
        order.address_valid = None;
        for part in missing {
            match *part {
                "street" => order.ship_street.clear(),
                "postal_code" => order.ship_postal_code.clear(),
                _ => order.ship_city.clear(),
            }
            why = format!("{why} {}", part.replace('_', " "));
        }
        let case = company.planted.add("address_incomplete", "order", &[&order.order_id], why);
        for part in missing {
            case.fact(format!("delivery_{part}"), "", "required");
        }
        company.orders.push(order);
    }
    for (street, city) in
        [("Klokkenveld 999", "Hoogbroek"), ("Postbus 0", "Maasbrink"), ("Veerdam 12", "Nergenshuizen")]
    {
        let slot = slots.take(1, 2, dice);
        let mut order = draft(company, slot, dice.below(CONSUMERS), dice);
        order.ship_street = street.to_owned();
        order.ship_city = city.to_owned();
        order.address_valid = Some(false);
        company
            .planted
            .add(
                "address_undeliverable",
                "order",
                &[&order.order_id],
                "the carrier's address service refuses the address",
            )
            .fact("address_valid", "false", "true");
        company.orders.push(order);
    }
}

fn unreleased(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for _ in 0..5 {
        let slot = slots.take(6, 12, dice);
        let customer = if dice.chance(60) { dice.below(CONSUMERS) } else { trade_customer(dice) };
        let order = draft(company, slot, customer, dice);
        let why = format!("pending without a hold for {} days; orders are released within 2 working days", slot.ago);
        company.planted.add("order_unreleased", "order", &[&order.order_id], why).fact(
            "ordered_at",
            day(company.as_of, slot.ago),
            "2 working days",
        );
        company.orders.push(order);
    }
}

/// Released orders of which one line waits for goods.
fn back_orders(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for _ in 0..5 {
        let slot = slots.take(2, 2, dice);
        let customer = trade_customer(dice);
        let mut order = draft(company, slot, customer, dice);
        release(company, &mut order, 1);
        let line = dice.below(order.lines.len());
        order.lines[line].backordered_quantity = (order.lines[line].quantity / 2).max(1);
        let (line_no, quantity) = (line + 1, order.lines[line].backordered_quantity);
        let why = format!("{quantity} of {} units of line {line_no} are back-ordered", order.lines[line].quantity);
        company.planted.add("line_backordered", "order", &[&order.order_id], why).fact(
            format!("lines.{line}.quantity_backordered"),
            quantity,
            0,
        );
        company.orders.push(order);
    }
}

/// `plant::stock` gives the product less stock than this one order wants.
fn oversold(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for product in OVERSOLD_PRODUCTS {
        let slot = slots.take(1, 1, dice);
        let quantity = dice.between(15, 24) * 6;
        let customer = trade_customer(dice);
        let mut order = compose(company, slot, customer, &[(product, quantity)], dice);
        order.staged = true;
        company.orders.push(order);
    }
}

fn prices(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for (kind, percent) in [("price_below_floor", 50), ("price_below_list", 93)] {
        for _ in 0..4 {
            let slot = slots.take(1, 2, dice);
            let customer = trade_customer(dice);
            let mut order = draft(company, slot, customer, dice);
            let product = order.lines[0].product;
            let list = price_of(company, product, company.customers[customer].customer_group, slot.ago);
            let floor = company.products[product].unit_cost.percent(115);
            // A wholesale price can be so close to the floor that 7 % off would break it: stay above it.
            let below_list =
                list.percent(percent).max(if kind == "price_below_list" { floor } else { list.percent(1) });
            order.lines[0].unit_price = below_list;
            total_up(&mut order);
            let (limit, against) = if kind == "price_below_floor" { (floor, "floor") } else { (list, "list") };
            let why =
                format!("line 1 sells at {below_list}, the {against} price is {limit}, and no override is recorded");
            company.planted.add(kind, "order", &[&order.order_id], why).fact("lines.0.unit_price", below_list, limit);
            company.orders.push(order);
        }
    }
}

/// The same basket again a few minutes later.
fn duplicates(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for _ in 0..4 {
        let first = slots.take(1, 1, dice);
        let second = slots.take(1, 1, dice);
        let customer = dice.below(CONSUMERS);
        let original = draft(company, first, customer, dice);
        let mut copy = original.clone();
        copy.order_id = format!("SO-{}", second.number);
        for line in &mut copy.lines {
            line.order_id.clone_from(&copy.order_id);
        }
        copy.ordered_at = at(company.as_of, second.ago, second.hour, second.minute);
        copy.updated_at = copy.ordered_at;
        let mut pair = [original, copy];
        pair.sort_by(|a, b| a.order_id.cmp(&b.order_id));
        company
            .planted
            .add(
                "duplicate_order",
                "order",
                &[&pair[1].order_id, &pair[0].order_id],
                "same customer and same lines within 24 hours",
            )
            .fact("duplicate_of", &pair[0].order_id, "24 hours");
        company.orders.extend(pair);
    }
}

/// Adds the customers' limits to the credit hold cases, once limits are known.
pub(in super::super) fn describe_credit_holds(company: &mut DemoCompany) {
    for case in company.planted.exceptions.iter_mut().filter(|case| case.kind == "credit_hold_overdue") {
        let Some(order) = company.orders.iter().find(|order| order.order_id == case.ids[0]) else { continue };
        let customer = &company.customers[order.customer];
        let (owed, limit) = (customer.open_balance.unwrap_or_default(), customer.credit_limit.unwrap_or_default());
        case.fact("customer.credit_used", owed, limit);
    }
}

/// A delivered order, as later domains need one; `ship` dates are days ago.
pub(super) fn delivered(
    company: &DemoCompany,
    slot: Slot,
    customer: usize,
    basket: &[(usize, i64)],
    days: (i64, i64),
    dice: &mut Dice,
) -> Order {
    let mut order = compose(company, slot, customer, basket, dice);
    ship(company, &mut order, days.0, Some(days.1));
    order
}
