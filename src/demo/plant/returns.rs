//! Planted return cases: past the window, refund forgotten, inspection forgotten, and products that surge.

use std::collections::BTreeMap;

use super::super::DemoCompany;
use super::super::customers::CONSUMERS;
use super::super::dice::Dice;
use super::super::orders::trade_customer;
use super::super::returns::{arrive, inspect, request};
use super::super::slots::Slots;
use super::super::value::day;
use super::orders::delivered;

/// Products with their number of returns in the last two weeks.
const SURGING: [(usize, usize); 3] = [(52, 8), (14, 6), (88, 6)];
const SURGE_GROUP: &str = "product_surge";

pub(in super::super) fn stage_orders(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    past_window(company, slots, dice);
    refund_missing(company, slots, dice);
    uninspected(company, slots, dice);
    surges(company, slots, dice);
}

/// An order of one product, delivered four days after it was placed; its index.
fn sold(
    company: &mut DemoCompany,
    slots: &mut Slots,
    ages: (i64, i64),
    customer: usize,
    product: usize,
    dice: &mut Dice,
) -> (usize, i64) {
    let slot = slots.take(ages.0, ages.1, dice);
    let quantity = if customer >= CONSUMERS { 8 } else { 1 };
    let days = (slot.ago - 1, slot.ago - 4);
    let order = delivered(company, slot, customer, &[(product, quantity)], days, dice);
    company.orders.push(order);
    (company.orders.len() - 1, slot.ago - 4)
}

fn past_window(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for number in 0..5 {
        let trade = number >= 3;
        let customer = if trade { trade_customer(dice) } else { dice.below(CONSUMERS) };
        let ages = if trade { (36, 46) } else { (56, 70) };
        let (order, delivered_ago) = sold(company, slots, ages, customer, 20 + number * 11, dice);
        let requested_ago = dice.between(1, 3);
        let rma = request(company, order, 0, 1, requested_ago, "changed my mind");
        let window = if trade { 14 } else { 30 };
        let why =
            format!("asked for {} days after delivery; the window is {window} days", delivered_ago - requested_ago);
        company.planted.add("return_past_window", "return", &[&rma.return_id], why).fact(
            "requested_at",
            rma.requested_on,
            rma.return_by,
        );
        company.returns.push(rma);
    }
}

fn refund_missing(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for number in 0..5 {
        let customer = dice.below(CONSUMERS);
        let (order, delivered_ago) = sold(company, slots, (24, 34), customer, 4 + number * 17, dice);
        let mut rma = request(company, order, 0, 1, delivered_ago - 5, "not as described");
        let received_ago = delivered_ago - 8;
        arrive(company, &mut rma, received_ago);
        inspect(company, &mut rma, received_ago - 1);
        let why = format!("received {received_ago} days ago, {} not refunded; the limit is 5 days", rma.value);
        company
            .planted
            .add("refund_not_issued", "return", &[&rma.return_id], why)
            .fact("received_at", day(company.as_of, received_ago), "5 days")
            .fact("amount", rma.value, "0.00");
        company.returns.push(rma);
    }
}

/// Refunded in advance and never inspected; `plant::stock` writes the case, which is one of the stock level.
fn uninspected(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for number in 0..4 {
        let customer = dice.below(CONSUMERS);
        let (order, delivered_ago) = sold(company, slots, (26, 36), customer, 7 + number * 23, dice);
        let mut rma = request(company, order, 0, 1, delivered_ago - 4, "wrong item sent");
        arrive(company, &mut rma, delivered_ago - 7);
        rma.settled_ago = Some(delivered_ago - 8);
        company.returns.push(rma);
    }
}

fn surges(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for (product, count) in SURGING {
        let sku = company.products[product].sku.clone();
        let mut members = Vec::new();
        for customer in dice.distinct(count, CONSUMERS) {
            let (order, delivered_ago) = sold(company, slots, (17, 25), customer, product, dice);
            let requested_ago = dice.between(8, 12).min(delivered_ago - 1);
            let mut rma = request(company, order, 0, 1, requested_ago, "defective");
            arrive(company, &mut rma, requested_ago - 3);
            inspect(company, &mut rma, requested_ago - 4);
            rma.settled_ago = Some(requested_ago - 5);
            members.push(rma.return_id.clone());
            company.returns.push(rma);
        }
        let why = format!("{count} returns in 14 days, at least 5 and three times the product's own baseline");
        company.planted.add("return_surge", "product", &[&sku], why).fact(
            "returns_last_14_days",
            count,
            "5 and 3 x baseline",
        );
        if product == SURGING[0].0 {
            let cause = format!("a defective batch of {sku}");
            let group = BTreeMap::from([("sku", sku), ("reason", "defective".to_owned())]);
            company.planted.close_group(SURGE_GROUP, cause, group);
            let last = company.planted.groups.len() - 1;
            company.planted.groups[last].members = members;
        }
    }
}
