//! Planted fulfilment cases: late, stuck, picked and forgotten, partial, split too often, delivered without an invoice.

use std::collections::BTreeMap;

use super::super::DemoCompany;
use super::super::customers::CONSUMERS;
use super::super::dice::Dice;
use super::super::fulfilment::{Leg, dispatch, pick};
use super::super::orders::{compose, release, ship, trade_customer};
use super::super::slots::Slots;
use super::super::value::{at, day};
use super::super::words::{CARRIERS, HUBS};
use super::orders::draft;

const STUCK_CARRIER: usize = 1;
const STUCK_HUB: usize = 2;
const STUCK_GROUP: &str = "carrier_stuck";

pub(in super::super) fn stage(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    late(company, slots, dice);
    stalled(company, slots, dice);
    picked(company, slots, dice);
    partial(company, slots, dice);
    split(company, slots, dice);
    uninvoiced(company, slots, dice);
}

/// Still moving, but past the promise.
fn late(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for _ in 0..5 {
        let slot = slots.take(11, 16, dice);
        let customer = dice.below(CONSUMERS);
        let mut order = draft(company, slot, customer, dice);
        let promised_ago = slot.ago - 7;
        order.promised_on = day(company.as_of, promised_ago);
        ship(company, &mut order, slot.ago - 2, None);
        company.orders.push(order);
        let index = company.orders.len() - 1;
        let mut leg = Leg::whole(&company.orders[index], dice);
        leg.carrier = 2;
        leg.last_scan_ago = 1;
        dispatch(company, index, &leg, dice);
        let order_id = company.orders[index].order_id.clone();
        let why = format!("promised {promised_ago} days ago and not delivered; one day of grace");
        company.planted.add("late_against_promise", "order", &[&order_id], why).fact(
            "promised_date",
            day(company.as_of, promised_ago),
            "1 day",
        );
    }
}

/// Six parcels of one carrier stuck in one hub, two of other carriers elsewhere.
fn stalled(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for number in 0..8 {
        let grouped = number < 6;
        let slot = slots.take(10, 14, dice);
        let customer = dice.below(CONSUMERS);
        let mut order = draft(company, slot, customer, dice);
        ship(company, &mut order, slot.ago - 1, None);
        company.orders.push(order);
        let index = company.orders.len() - 1;
        let mut leg = Leg::whole(&company.orders[index], dice);
        leg.carrier = if grouped { STUCK_CARRIER } else { 0 };
        leg.hub = if grouped { STUCK_HUB } else { 4 };
        leg.last_scan_ago = slot.ago - 2;
        let shipment = dispatch(company, index, &leg, dice);
        let shipment_id = company.shipments[shipment].shipment_id.clone();
        let why = format!("no scan for {} days; the last one at {}", leg.last_scan_ago, HUBS[leg.hub]);
        let case = company.planted.add("tracking_stalled", "shipment", &[&shipment_id], why).fact(
            "last_event_at",
            day(company.as_of, leg.last_scan_ago),
            "5 days",
        );
        if grouped {
            case.in_group(STUCK_GROUP);
        }
    }
    let shared =
        BTreeMap::from([("carrier", CARRIERS[STUCK_CARRIER].to_owned()), ("location", HUBS[STUCK_HUB].to_owned())]);
    let cause = format!("{} has a backlog at {}", CARRIERS[STUCK_CARRIER], HUBS[STUCK_HUB]);
    company.planted.close_group(STUCK_GROUP, cause, shared);
}

fn picked(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for _ in 0..5 {
        let slot = slots.take(7, 12, dice);
        let customer = dice.below(CONSUMERS);
        let mut order = draft(company, slot, customer, dice);
        release(company, &mut order, slot.ago - 1);
        order.status = "picked";
        company.orders.push(order);
        pick(company, company.orders.len() - 1, slot.ago - 2, dice);
        let shipment_id = company.shipments[company.shipments.len() - 1].shipment_id.clone();
        let why = format!("picked {} days ago and not handed over; the limit is 2", slot.ago - 2);
        company.planted.add("picked_not_shipped", "shipment", &[&shipment_id], why).fact(
            "picked_at",
            day(company.as_of, slot.ago - 2),
            "2 days",
        );
    }
}

/// Half of the first line left, the remainder stands open although it is not back-ordered.
fn partial(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for _ in 0..4 {
        let slot = slots.take(13, 20, dice);
        let customer = trade_customer(dice);
        let mut order = draft(company, slot, customer, dice);
        let first_ago = slot.ago - 2;
        ship(company, &mut order, first_ago, None);
        order.status = "part_shipped";
        let half = order.lines[0].quantity / 2;
        order.lines[0].shipped_quantity = half;
        let mut leg = Leg::whole(&order, dice);
        leg.lines[0].1 = half;
        leg.delivered_ago = Some(first_ago - 2);
        let (order_id, quantity) = (order.order_id.clone(), order.lines[0].quantity);
        company.orders.push(order);
        dispatch(company, company.orders.len() - 1, &leg, dice);
        let why =
            format!("{half} of {quantity} units left {first_ago} days ago, the rest has not followed within 7 days");
        company
            .planted
            .add("partial_shipment_overdue", "order", &[&order_id], why)
            .fact("shipped_at", day(company.as_of, first_ago), "7 days")
            .fact("lines.0.quantity_shipped", half, quantity);
    }
}

/// One line in four shipments on four days.
fn split(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for number in 0..3 {
        let slot = slots.take(14, 18, dice);
        let product = 9 + number * 7;
        let customer = dice.below(CONSUMERS);
        let mut order = compose(company, slot, customer, &[(product, 4)], dice);
        order.staged = true;
        ship(company, &mut order, slot.ago - 1, Some(slot.ago - 7));
        order.promised_on = day(company.as_of, slot.ago - 7);
        let order_id = order.order_id.clone();
        company.orders.push(order);
        let index = company.orders.len() - 1;
        for part in 0..4 {
            let mut leg = Leg::whole(&company.orders[index], dice);
            leg.lines = vec![(1, 1)];
            leg.shipped_ago = slot.ago - 1 - part;
            leg.delivered_ago = Some(slot.ago - 4 - part);
            dispatch(company, index, &leg, dice);
        }
        company
            .planted
            .add("split_beyond_policy", "order", &[&order_id], "4 shipments; consumers' orders go out in at most 2")
            .fact("shipments", 4, 2);
    }
}

fn uninvoiced(company: &mut DemoCompany, slots: &mut Slots, dice: &mut Dice) {
    for _ in 0..5 {
        let slot = slots.take(10, 20, dice);
        let customer = trade_customer(dice);
        let mut order = draft(company, slot, customer, dice);
        order.promised_on = day(company.as_of, slot.ago - 7);
        let delivered_ago = slot.ago - 4;
        ship(company, &mut order, slot.ago - 2, Some(delivered_ago));
        order.uninvoiced = true;
        order.delivered_at = Some(at(company.as_of, delivered_ago, 14, 20));
        let order_id = order.order_id.clone();
        company.orders.push(order);
        let index = company.orders.len() - 1;
        let leg = Leg::whole(&company.orders[index], dice);
        dispatch(company, index, &leg, dice);
        let why = format!("delivered {delivered_ago} days ago without an invoice; the limit is 2 days");
        company.planted.add("delivered_not_invoiced", "order", &[&order_id], why).fact(
            "delivered_at",
            day(company.as_of, delivered_ago),
            "2 days",
        );
    }
}
