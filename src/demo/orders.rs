//! Customer orders: who ordered what, and how far each order has come.

use super::DemoCompany;
use super::catalogue::price_of;
use super::customers::{CONSUMERS, TRADE};
use super::dice::Dice;
use super::rows::{Order, OrderLine};
use super::slots::{Slot, Slots};
use super::value::{Cents, at, day};
use super::words::WAREHOUSES;

/// Net order value from which consumers and trade customers pay no shipping, and what they pay below it.
const FREE_SHIPPING: [(Cents, Cents); 2] = [(Cents(5_000), Cents(495)), (Cents(50_000), Cents(1_900))];
pub(super) const VAT_PERCENT: i64 = 21;
/// Products that planted oversells use; no other order of the last `SCARCE_DAYS` days has them.
pub(super) const OVERSOLD_PRODUCTS: [usize; 4] = [5, 37, 66, 98];
const SCARCE_DAYS: i64 = 40;
/// Days from order to promised delivery.
pub(super) const PROMISE_DAYS: i64 = 7;

/// Fills every place that no planted case took.
pub(super) fn fill(company: &mut DemoCompany, slots: Slots, dice: &mut Dice) {
    for slot in slots.rest() {
        let customer = any_customer(dice);
        let lines = basket(company, customer, slot.ago, dice);
        let mut order = compose(company, slot, customer, &lines, dice);
        if slot.ago > 3 && dice.chance(3) {
            order.status = "cancelled";
            order.payment_status = if customer < CONSUMERS { "refunded" } else { "none" };
        } else if slot.ago == 1 && dice.chance(25) {
            let kind = dice.pick(if customer < CONSUMERS { &["payment", "fraud"] } else { &["credit", "credit"] });
            hold(company, &mut order, kind, 1);
        } else {
            advance(company, &mut order, dice);
        }
        if order.status == "delivered" && dice.chance(1) {
            agree_override(company, &mut order);
        }
        company.orders.push(order);
    }
    company.orders.sort_by(|a, b| a.order_id.cmp(&b.order_id));
}

/// Mostly consumers.
pub(super) fn any_customer(dice: &mut Dice) -> usize {
    if dice.chance(74) { dice.below(CONSUMERS) } else { trade_customer(dice) }
}

pub(super) fn trade_customer(dice: &mut Dice) -> usize {
    CONSUMERS + dice.below(TRADE)
}

/// Products and quantities as this customer buys them. Products of planted oversells stay out of other open orders.
pub(super) fn basket(company: &DemoCompany, customer: usize, ago: i64, dice: &mut Dice) -> Vec<(usize, i64)> {
    let count = dice.between(1, 4) as usize;
    let trade = customer >= CONSUMERS;
    let products = dice.distinct(count, company.products.len());
    products
        .into_iter()
        .map(|product| if ago <= SCARCE_DAYS && OVERSOLD_PRODUCTS.contains(&product) { product + 1 } else { product })
        .map(|product| (product, if trade { dice.between(2, 8) * 2 } else { dice.between(1, 2) }))
        .collect()
}

/// A pending order with prices from the list in force on its day, paid up front by consumers.
pub(super) fn compose(
    company: &DemoCompany,
    slot: Slot,
    customer: usize,
    basket: &[(usize, i64)],
    dice: &mut Dice,
) -> Order {
    let buyer = &company.customers[customer];
    let trade = customer >= CONSUMERS;
    let order_id = format!("SO-{}", slot.number);
    let lines: Vec<OrderLine> = basket
        .iter()
        .enumerate()
        .map(|(index, &(product, quantity))| {
            let unit_price = price_of(company, product, buyer.customer_group, slot.ago);
            OrderLine {
                order_id: order_id.clone(),
                line_no: index as i64 + 1,
                sku: company.products[product].sku.clone(),
                description: company.products[product].name.clone(),
                quantity,
                unit_price,
                line_total: unit_price.times(quantity),
                price_override_ref: String::new(),
                shipped_quantity: 0,
                backordered_quantity: 0,
                product,
            }
        })
        .collect();
    let mut order = Order {
        order_id,
        customer_id: buyer.customer_id.clone(),
        customer_name: buyer.name.clone(),
        email: buyer.email.clone(),
        channel: if trade {
            dice.pick(&["trade portal", "phone"])
        } else {
            dice.pick(&["webshop", "webshop", "marketplace"])
        },
        ordered_at: at(company.as_of, slot.ago, slot.hour, slot.minute),
        status: "pending",
        hold_type: "",
        hold_since: None,
        payment_method: if trade { "on account" } else { dice.pick(&["card", "bank transfer", "wallet"]) },
        payment_status: if trade { "on account" } else { "captured" },
        warehouse: dice.pick(&WAREHOUSES),
        promised_on: day(company.as_of, slot.ago - PROMISE_DAYS),
        released_at: None,
        shipped_at: None,
        delivered_at: None,
        ship_to_name: buyer.name.clone(),
        ship_street: buyer.street.clone(),
        ship_postal_code: buyer.postal_code.clone(),
        ship_city: buyer.city.clone(),
        ship_country: buyer.country,
        address_valid: Some(true),
        customer_reference: if trade { format!("BST-{}", dice.between(20_000, 99_999)) } else { String::new() },
        subtotal: Cents(0),
        shipping: Cents(0),
        tax: Cents(0),
        total: Cents(0),
        currency: "EUR",
        updated_at: at(company.as_of, slot.ago, slot.hour, slot.minute),
        lines,
        customer,
        ago: slot.ago,
        shipped_ago: None,
        delivered_ago: None,
        staged: false,
        uninvoiced: false,
    };
    total_up(&mut order);
    order
}

/// Line totals, shipping, tax and total from quantities and unit prices.
pub(super) fn total_up(order: &mut Order) {
    for line in &mut order.lines {
        line.line_total = line.unit_price.times(line.quantity);
    }
    order.subtotal = order.lines.iter().map(|line| line.line_total).sum();
    let (free_from, fee) = FREE_SHIPPING[usize::from(order.customer >= CONSUMERS)];
    order.shipping = if order.subtotal >= free_from { Cents(0) } else { fee };
    order.tax = (order.subtotal + order.shipping).percent(VAT_PERCENT);
    order.total = order.subtotal + order.shipping + order.tax;
}

/// Puts the order on hold since `ago` days; a payment hold means that nothing was captured.
pub(super) fn hold(company: &DemoCompany, order: &mut Order, kind: &'static str, ago: i64) {
    order.status = "on_hold";
    order.hold_type = kind;
    order.hold_since = Some(at(company.as_of, ago, 22, 5));
    order.updated_at = at(company.as_of, ago, 22, 5);
    if kind == "payment" {
        order.payment_status = "failed";
    }
}

pub(super) fn release(company: &DemoCompany, order: &mut Order, ago: i64) {
    order.status = "released";
    order.released_at = Some(at(company.as_of, ago, 22, 30));
    order.updated_at = at(company.as_of, ago, 22, 30);
}

/// Marks the whole order as shipped and, if given, delivered; `fulfilment` writes the shipment from this.
pub(super) fn ship(company: &DemoCompany, order: &mut Order, shipped_ago: i64, delivered_ago: Option<i64>) {
    release(company, order, shipped_ago + 1);
    order.status = if delivered_ago.is_some() { "delivered" } else { "shipped" };
    order.shipped_ago = Some(shipped_ago);
    order.shipped_at = Some(at(company.as_of, shipped_ago, 16, 10));
    order.delivered_ago = delivered_ago;
    order.delivered_at = delivered_ago.map(|ago| at(company.as_of, ago, 14, 20));
    order.updated_at = order.delivered_at.or(order.shipped_at).unwrap_or(order.updated_at);
    for line in &mut order.lines {
        line.shipped_quantity = line.quantity;
    }
}

/// As far as an order of this age comes in ordinary business: out after one or two days, there one to three days later.
fn advance(company: &DemoCompany, order: &mut Order, dice: &mut Dice) {
    let shipped_ago = order.ago - dice.between(1, 2);
    let transit = dice.between(1, 3);
    if shipped_ago >= 1 {
        let delivered_ago = Some(shipped_ago - transit).filter(|&ago| ago >= 1);
        ship(company, order, shipped_ago, delivered_ago);
    } else if order.ago >= 2 {
        release(company, order, 1);
        if dice.chance(50) {
            order.status = "picked";
        }
    } else if dice.chance(40) {
        release(company, order, 1);
    }
}

/// An ordinary, documented price override: 5 % off the first line, well above the floor.
fn agree_override(company: &DemoCompany, order: &mut Order) {
    let number = 100 + company.orders.len();
    let line = &mut order.lines[0];
    line.unit_price = line.unit_price.percent(95);
    line.price_override_ref = format!("OVR-{number}");
    total_up(order);
}
