//! Shipments and the carriers' tracking events.

use std::collections::BTreeMap;

use serde::Serialize;

use super::DemoCompany;
use super::customers::CONSUMERS;
use super::dice::Dice;
use super::rows::{Order, Shipment, ShipmentLine, TrackingEvent};
use super::value::{Cents, at};
use super::words::{CARRIER_CODES, CARRIERS, HUBS};

/// The carriers' feeds reach back this far.
const TRACKING_DAYS: i64 = 30;
const FIRST_SHIPMENT: usize = 204_001;

/// What one shipment carries and how far it is; days ago.
pub(super) struct Leg {
    pub carrier: usize,
    /// Order line numbers with quantities.
    pub lines: Vec<(i64, i64)>,
    pub shipped_ago: i64,
    pub delivered_ago: Option<i64>,
    /// Day of the last scan of a shipment that is not delivered.
    pub last_scan_ago: i64,
    /// Index into the hubs where it was scanned last.
    pub hub: usize,
}

impl Leg {
    /// The whole order in one shipment, as its dates say.
    pub fn whole(order: &Order, dice: &mut Dice) -> Self {
        let shipped_ago = order.shipped_ago.unwrap_or(1);
        Self {
            carrier: if order.customer >= CONSUMERS { 3 } else { dice.below(3) },
            lines: order.lines.iter().map(|line| (line.line_no, line.quantity)).collect(),
            shipped_ago,
            delivered_ago: order.delivered_ago,
            last_scan_ago: (shipped_ago - 1).max(1),
            hub: dice.below(HUBS.len()),
        }
    }
}

/// Writes the shipments of every order that has left, or is picked, and has none yet; then numbers all of them by day.
pub(super) fn fill(company: &mut DemoCompany, dice: &mut Dice) {
    for index in 0..company.orders.len() {
        if company.orders[index].staged {
            continue;
        }
        if company.orders[index].shipped_ago.is_some() {
            let leg = Leg::whole(&company.orders[index], dice);
            dispatch(company, index, &leg, dice);
        } else if company.orders[index].status == "picked" {
            pick(company, index, 1, dice);
        }
    }
    renumber(company);
}

/// A shipment that was picked `ago` days ago and stands in the warehouse.
pub(super) fn pick(company: &mut DemoCompany, order: usize, ago: i64, dice: &mut Dice) {
    let mut leg = Leg::whole(&company.orders[order], dice);
    leg.shipped_ago = ago;
    let mut shipment = shipment(company, order, &leg, dice);
    shipment.status = "picked";
    shipment.picked_at = at(company.as_of, ago, 23, 10);
    shipment.shipped_at = None;
    shipment.last_event_at = None;
    shipment.tracking_number = String::new();
    company.shipments.push(shipment);
}

/// A shipment on its way or delivered, with its scans; returns its index.
pub(super) fn dispatch(company: &mut DemoCompany, order: usize, leg: &Leg, dice: &mut Dice) -> usize {
    let mut shipment = shipment(company, order, leg, dice);
    let scans = scans(company, leg);
    if let Some((_, location, occurred_at, message)) = scans.last() {
        shipment.last_event_at = Some(*occurred_at);
        shipment.last_event = format!("{message} ({location})");
    }
    if leg.shipped_ago <= TRACKING_DAYS {
        for (number, (status, location, occurred_at, message)) in scans.into_iter().enumerate() {
            company.tracking_events.push(TrackingEvent {
                event_id: format!("{}-{}", shipment.tracking_number, number + 1),
                tracking_number: shipment.tracking_number.clone(),
                shipment_id: shipment.shipment_id.clone(),
                carrier: shipment.carrier,
                status,
                location,
                occurred_at,
                message,
            });
        }
    }
    company.shipments.push(shipment);
    company.shipments.len() - 1
}

fn shipment(company: &DemoCompany, order: usize, leg: &Leg, dice: &mut Dice) -> Shipment {
    let order = &company.orders[order];
    // Provisional: `renumber` replaces it once all shipments are known.
    let shipment_id = format!("SHP{}", company.shipments.len());
    let lines: Vec<ShipmentLine> = leg
        .lines
        .iter()
        .map(|&(line_no, quantity)| ShipmentLine {
            shipment_id: shipment_id.clone(),
            order_line_no: line_no,
            sku: order.lines[line_no as usize - 1].sku.clone(),
            quantity,
        })
        .collect();
    let weight_grams: i64 = leg
        .lines
        .iter()
        .map(|&(line_no, quantity)| company.products[order.lines[line_no as usize - 1].product].weight_grams * quantity)
        .sum();
    Shipment {
        shipment_id,
        order_id: order.order_id.clone(),
        warehouse: order.warehouse,
        carrier: CARRIERS[leg.carrier],
        tracking_number: format!(
            "{}{:07}{:03}",
            CARRIER_CODES[leg.carrier],
            dice.below(10_000_000),
            company.shipments.len() % 1000
        ),
        status: if leg.delivered_ago.is_some() { "delivered" } else { "in_transit" },
        picked_at: at(company.as_of, leg.shipped_ago, 10, 40),
        shipped_at: Some(at(company.as_of, leg.shipped_ago, 16, 10)),
        promised_on: order.promised_on,
        delivered_at: leg.delivered_ago.map(|ago| at(company.as_of, ago, 14, 20)),
        last_event_at: None,
        last_event: String::new(),
        parcels: 1 + weight_grams / 25_000,
        weight_grams,
        freight_cost: Cents(420 + weight_grams / 40),
        lines,
    }
}

type Scan = (&'static str, String, jiff::civil::DateTime, String);

/// Handed over, hub, out for delivery, delivered; the part of it that has happened.
fn scans(company: &DemoCompany, leg: &Leg) -> Vec<Scan> {
    let hub = HUBS[leg.hub].to_owned();
    let depot = HUBS[(leg.hub + 1) % HUBS.len()].to_owned();
    let mut scans = vec![(
        "accepted",
        "Warehouse collection".to_owned(),
        at(company.as_of, leg.shipped_ago, 16, 40),
        "Parcel handed over to the carrier".to_owned(),
    )];
    match leg.delivered_ago {
        Some(ago) => {
            scans.push(("in_transit", hub, at(company.as_of, leg.shipped_ago, 23, 15), "Sorted at hub".to_owned()));
            scans.push(("out_for_delivery", depot, at(company.as_of, ago, 7, 50), "On the van".to_owned()));
            let message = "Handed to the recipient".to_owned();
            scans.push(("delivered", "Recipient's address".to_owned(), at(company.as_of, ago, 14, 20), message));
        }
        None if leg.last_scan_ago < leg.shipped_ago => {
            scans.push(("in_transit", hub, at(company.as_of, leg.last_scan_ago, 5, 35), "Arrived at hub".to_owned()));
        }
        None => {}
    }
    scans
}

/// Shipment numbers that rise with the day of picking, in shipments, lines and scans alike.
fn renumber(company: &mut DemoCompany) {
    company
        .shipments
        .sort_by(|a, b| (a.picked_at, &a.order_id, &a.shipment_id).cmp(&(b.picked_at, &b.order_id, &b.shipment_id)));
    let mut numbers = BTreeMap::new();
    for (index, shipment) in company.shipments.iter_mut().enumerate() {
        let number = format!("SH-{}", FIRST_SHIPMENT + index);
        numbers.insert(shipment.shipment_id.clone(), number.clone());
        for line in &mut shipment.lines {
            line.shipment_id.clone_from(&number);
        }
        shipment.shipment_id = number;
    }
    for event in &mut company.tracking_events {
        event.shipment_id.clone_from(&numbers[&event.shipment_id]);
    }
    company.tracking_events.sort_by(|a, b| (a.occurred_at, &a.event_id).cmp(&(b.occurred_at, &b.event_id)));
    let cases = company.planted.exceptions.iter_mut().flat_map(|case| &mut case.ids);
    let members = company.planted.groups.iter_mut().flat_map(|group| &mut group.members);
    for id in cases.chain(members) {
        if let Some(number) = numbers.get(id.as_str()) {
            id.clone_from(number);
        }
    }
}

#[derive(Serialize)]
struct Feed<'a> {
    generated_for: &'static str,
    parcels: BTreeMap<&'a str, Parcel<'a>>,
}

#[derive(Serialize)]
struct Parcel<'a> {
    carrier: &'static str,
    events: Vec<&'a TrackingEvent>,
}

/// The carriers' feed: one object per parcel with its events, as an aggregator delivers it.
pub(super) fn tracking_json(company: &DemoCompany) -> Vec<u8> {
    let mut parcels: BTreeMap<&str, Parcel<'_>> = BTreeMap::new();
    for event in &company.tracking_events {
        let parcel = parcels
            .entry(event.tracking_number.as_str())
            .or_insert_with(|| Parcel { carrier: event.carrier, events: Vec::new() });
        parcel.events.push(event);
    }
    serde_json::to_vec_pretty(&Feed { generated_for: super::words::COMPANY, parcels }).expect("plain structs serialise")
}
