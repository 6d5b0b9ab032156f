//! Tickets: what customers wrote, each about a real order of theirs, filled into hand-written texts.

use super::DemoCompany;
use super::customers::CONSUMERS;
use super::dice::Dice;
use super::rows::{Order, Ticket};
use super::ticket_texts::{About, CLOSINGS, HOSTILE, OPENINGS, TEXTS, Text};
use super::value::{at, day};

const TICKETS: usize = 216;
const FIRST_TICKET: usize = 40_001;
/// Older tickets are closed.
const OPEN_DAYS: i64 = 6;

pub(super) fn fill(company: &mut DemoCompany, dice: &mut Dice) {
    let mut tickets: Vec<(i64, Ticket)> = Vec::new();
    for number in 0..TICKETS {
        let text = &TEXTS[number % TEXTS.len()];
        if let Some(ticket) = write(company, text, dice) {
            tickets.push(ticket);
        }
    }
    let mut hostile = Vec::new();
    for text in &HOSTILE {
        if let Some(ticket) = write(company, text, dice) {
            hostile.push(ticket.1.body.clone());
            tickets.push(ticket);
        }
    }
    tickets.sort_by(|a, b| (-a.0, &a.1.customer_id, &a.1.subject).cmp(&(-b.0, &b.1.customer_id, &b.1.subject)));
    for (number, (_, mut ticket)) in tickets.into_iter().enumerate() {
        ticket.ticket_id = format!("T-{}", FIRST_TICKET + number);
        if hostile.contains(&ticket.body) {
            company.planted.hostile_tickets.push(ticket.ticket_id.clone());
        }
        company.tickets.push(ticket);
    }
}

/// One ticket about an order that fits the text, with its age in days; `None` when no order fits.
fn write(company: &DemoCompany, text: &Text, dice: &mut Dice) -> Option<(i64, Ticket)> {
    let fitting: Vec<&Order> = company.orders.iter().filter(|order| fits(text.about, order)).collect();
    if fitting.is_empty() {
        return None;
    }
    let order = dice.pick(&fitting);
    let earliest = match text.about {
        About::Delivered | About::TradeDelivered => order.delivered_ago.unwrap_or(1),
        About::Moving => order.shipped_ago.unwrap_or(1),
        About::Open | About::Any | About::Trade => order.ago,
    };
    let ago = (earliest - dice.between(0, 4)).max(1);
    let mut body = fill_in(company, text.body, order);
    if !text.complete {
        let (opening, closing) = (dice.pick(&OPENINGS), dice.pick(&CLOSINGS));
        body = format!("{}\n\n{body}\n\n{}\n{}", opening, closing, order.customer_name);
    }
    let status = if ago > OPEN_DAYS { "closed" } else { dice.pick(&["open", "open", "waiting"]) };
    let ticket = Ticket {
        ticket_id: String::new(),
        customer_id: order.customer_id.clone(),
        order_id: Some(order.order_id.clone()),
        created_at: at(company.as_of, ago, dice.between(7, 22), dice.between(0, 59)),
        channel: dice.pick(if order.customer < CONSUMERS {
            &["e-mail", "web form", "chat"]
        } else {
            &["e-mail", "e-mail", "phone note"]
        }),
        category: text.category,
        priority: text.priority,
        status,
        subject: fill_in(company, text.subject, order),
        body,
    };
    Some((ago, ticket))
}

fn fits(about: About, order: &Order) -> bool {
    let consumer = order.customer < CONSUMERS;
    match about {
        About::Delivered => consumer && order.status == "delivered",
        About::TradeDelivered => !consumer && order.status == "delivered",
        About::Moving => order.status == "shipped",
        About::Open => consumer && matches!(order.status, "pending" | "on_hold" | "released"),
        About::Any => consumer,
        About::Trade => !consumer,
    }
}

/// Replaces `{order}`, `{item}`, `{sku}`, `{total}`, `{ordered}`, `{tracking}`, `{invoice}`, `{city}`, `{reference}`.
fn fill_in(company: &DemoCompany, text: &str, order: &Order) -> String {
    let tracking = company.shipments.iter().find(|shipment| shipment.order_id == order.order_id);
    let invoice = company.customer_invoices.iter().find(|invoice| invoice.order_id == order.order_id);
    let unknown = || "(not at hand)".to_owned();
    text.replace("{order}", &order.order_id)
        .replace("{item}", &order.lines[0].description)
        .replace("{sku}", &order.lines[0].sku)
        .replace("{total}", &order.total.to_string())
        .replace("{ordered}", &day(company.as_of, order.ago).to_string())
        .replace("{tracking}", &tracking.map_or_else(unknown, |shipment| shipment.tracking_number.clone()))
        .replace("{invoice}", &invoice.map_or_else(unknown, |invoice| invoice.invoice_number.clone()))
        .replace("{city}", &order.ship_city)
        .replace("{reference}", &order.customer_reference)
}
