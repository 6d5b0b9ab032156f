//! Order exceptions: holds, addresses, release, back-orders, oversell, prices, duplicates. Pure.

use ingest::{Decimal, Fields, Money, Record, RecordKind as K, Value};
use jiff::civil::Date;

use super::Kind;
use super::calendar::days_between;
use super::finding::{Out, days};
use super::project::{self, Phase, phase};
use super::view::{Entry, Need, Only, View};

/// What the order itself tells: holds, address, release, back-orders.
pub fn itself(out: &mut Out<'_>) {
    let order = out.record();
    let phase = phase(order);
    hold(out, phase);
    if phase != Phase::Cancelled {
        address(out);
    }
    unreleased(out, phase);
    if phase.is_open() {
        backordered(out);
    }
}

fn hold(out: &mut Out<'_>, phase: Phase) {
    let limits = &out.scene.settings.limits;
    let order = out.record();
    let (kind, limit) = match order.text("hold_kind").map(project::word).as_deref() {
        Some("payment") => (Kind::PaymentHold, limits.payment_hold_days),
        Some("fraud") => (Kind::FraudHold, limits.fraud_hold_days),
        Some("credit") => (Kind::CreditHold, limits.credit_hold_days),
        _ => return,
    };
    let since = order.fields.get("hold_since").and_then(|value| out.scene.calendar.day_of(value));
    let Some(since) = since.filter(|_| phase == Phase::OnHold) else { return };
    if !out.older_than(since, limit) {
        return;
    }
    let (subject, total) = (out.subject, money(order, "total"));
    if let Some(finding) = out.report(kind) {
        finding.field(subject, "hold_since", days(limit)).stake(total);
        finding.because_of("customer", order.text("customer_id"));
    }
}

const ADDRESS: [&str; 3] = ["delivery_street", "delivery_postal_code", "delivery_city"];

/// An address that the source gives in parts; one in a single text is not judged.
fn address(out: &mut Out<'_>) {
    let (order, subject) = (out.record(), out.subject);
    let there = |name: &str| order.text(name).is_some_and(|text| !text.trim().is_empty());
    let in_parts = ADDRESS.iter().chain(&["delivery_country", "delivery_name"]).any(|name| there(name));
    let missing: Vec<&str> = ADDRESS.into_iter().filter(|name| !there(name)).collect();
    let total = money(order, "total");
    if in_parts && !there("delivery_address") && !missing.is_empty() {
        if let Some(finding) = out.report(Kind::AddressIncomplete) {
            for part in missing {
                finding.fact(subject, part, "", "required");
            }
            finding.stake(total).because_of("customer", order.text("customer_id"));
        }
    } else if order.fields.get("address_valid").and_then(Value::as_flag) == Some(false)
        && let Some(finding) = out.report(Kind::AddressUndeliverable)
    {
        finding.field(subject, "address_valid", "true").stake(total);
        finding.because_of("customer", order.text("customer_id"));
    }
}

fn unreleased(out: &mut Out<'_>, phase: Phase) {
    let (order, subject) = (out.record(), out.subject);
    let ordered = order.fields.get("ordered_at").and_then(|value| out.scene.calendar.day_of(value));
    let Some(ordered) = ordered.filter(|_| phase == Phase::Pending && !order.fields.contains_key("released_at")) else {
        return;
    };
    let limit = out.scene.settings.limits.release_working_days;
    let last = out.scene.calendar.add_working_days(ordered, limit);
    if days_between(last, out.scene.today) <= 0 {
        return out.look_again(super::calendar::add_days(last, 1));
    }
    let total = money(order, "total");
    if let Some(finding) = out.report(Kind::OrderUnreleased) {
        finding.field(subject, "ordered_at", format!("{limit} working days")).stake(total);
    }
}

fn backordered(out: &mut Out<'_>) {
    let (order, subject) = (out.record(), out.subject);
    let waiting: Vec<(usize, Decimal)> = order
        .lines
        .iter()
        .enumerate()
        .map(|(at, line)| (at, number(line, "quantity_backordered")))
        .filter(|(_, quantity)| *quantity > Decimal::ZERO)
        .collect();
    if waiting.is_empty() {
        return;
    }
    if let Some(finding) = out.report(Kind::LineBackordered) {
        for (at, quantity) in waiting {
            finding.field(subject, &format!("lines.{at}.quantity_backordered"), 0);
            finding.add_stake(worth(&order.lines[at], quantity));
            finding.because_of("product", order.lines[at].get("sku").and_then(Value::as_text));
        }
    }
}

pub fn price_needs(order: &Record) -> Vec<Need> {
    let mut needs: Vec<Need> = skus(order).map(prices_of).collect();
    needs.extend(customer_of(order));
    needs
}

fn prices_of(sku: &str) -> Need {
    Need::Referring { kind: K::Price, target: K::Product, id: sku.to_owned(), only: Only::All }
}

pub fn customer_of(record: &Record) -> Option<Need> {
    record.text("customer_id").map(|id| Need::One(K::Customer, id.to_owned()))
}

/// Lines against the price row in force on the day of the order, in the customer's list.
pub fn prices(out: &mut Out<'_>, view: &View) {
    let (order, subject) = (out.record(), out.subject);
    let Some(on) = project::own_day(order, out.scene.calendar).filter(|_| phase(order) != Phase::Cancelled) else {
        return;
    };
    let customer = order.text("customer_id").and_then(|id| view.one(subject, K::Customer, id));
    let list = order.text("price_list").or_else(|| customer.and_then(|customer| customer.record.text("group")));
    let tolerance = Decimal::ONE_HUNDRED - out.scene.settings.limits.list_price_percent.0;
    for (at, line) in order.lines.iter().enumerate() {
        let (Some(sku), Some(price)) = (line.get("sku").and_then(Value::as_text), line_money(line, "unit_price"))
        else {
            continue;
        };
        let rows =
            view.all(&prices_of(sku)).iter().filter(|row| in_force(&row.record, list, order.text("customer_id"), on));
        // The customer's own price comes before the list's.
        let Some(row) = rows.max_by_key(|row| (row.record.text("customer_id").is_some(), row.record_id.as_str()))
        else {
            continue;
        };
        let same = |name: &str| money(&row.record, name).filter(|money| money.currency() == price.currency());
        let path = format!("lines.{at}.unit_price");
        let overridden = line.get("note").and_then(Value::as_text).is_some_and(|note| !note.trim().is_empty());
        let (kind, limit) = match (same("floor_price"), same("unit_price")) {
            (Some(floor), _) if price.amount() < floor.amount() => (Kind::PriceBelowFloor, floor),
            (_, Some(listed)) if !overridden && price.amount() * Decimal::ONE_HUNDRED < listed.amount() * tolerance => {
                (Kind::PriceBelowList, listed)
            }
            _ => continue,
        };
        let short = limit.checked_sub(&price).ok().and_then(|gap| gap.checked_mul(number(line, "quantity")).ok());
        let finding = match out.findings.iter_mut().find(|finding| finding.kind == kind.as_str()) {
            Some(finding) => Some(finding),
            None => out.report(kind),
        };
        if let Some(finding) = finding {
            finding.field(subject, &path, limit).involve(row).add_stake(short);
            finding.because_of("customer", order.text("customer_id"));
        }
    }
}

/// Whether a sales price row applies to that list or customer on that day.
fn in_force(row: &Record, list: Option<&str>, customer: Option<&str>, on: Date) -> bool {
    let sells = row.text("price_type").is_none_or(|kind| project::word(kind) == "sales");
    let own = row.text("customer_id");
    let listed = match own {
        Some(own) => customer == Some(own),
        None => row.text("price_list").is_some() && row.text("price_list") == list,
    };
    let day = |name: &str| row.fields.get(name).and_then(Value::as_date);
    sells && listed && day("valid_from").is_none_or(|from| from <= on) && day("valid_to").is_none_or(|to| on <= to)
}

pub fn oversell_needs(order: &Record) -> Vec<Need> {
    if !phase(order).is_open() {
        return Vec::new();
    }
    skus(order).flat_map(|sku| [stock_of(sku), wanting(sku)]).collect()
}

pub fn stock_of(sku: &str) -> Need {
    Need::Referring { kind: K::StockLevel, target: K::Product, id: sku.to_owned(), only: Only::All }
}

fn wanting(sku: &str) -> Need {
    Need::Referring { kind: K::Order, target: K::Product, id: sku.to_owned(), only: Only::Open }
}

/// All open orders for a product from a warehouse against what lies there.
pub fn oversell(out: &mut Out<'_>, view: &View) {
    let (order, subject) = (out.record(), out.subject);
    if !phase(order).is_open() {
        return;
    }
    let mut over = Vec::new();
    for (at, line) in order.lines.iter().enumerate() {
        let Some(sku) = line.get("sku").and_then(Value::as_text) else { continue };
        let Some(place) = warehouse(order, line).filter(|_| wanted(line) > Decimal::ZERO) else { continue };
        let level = view.all(&stock_of(sku)).iter().find(|level| level.record.text("location") == Some(place));
        let Some(level) = level else { continue };
        let Some(on_hand) = level.record.fields.get("on_hand").and_then(Value::as_decimal) else { continue };
        let demand: Decimal = view.all(&wanting(sku)).iter().map(|other| demand(&other.record, sku, place)).sum();
        if demand > on_hand {
            over.push((at, sku, on_hand, level));
        }
    }
    let Some(first) = over.first().map(|(_, sku, ..)| (*sku).to_owned()) else { return };
    if let Some(finding) = out.report(Kind::Oversell) {
        for (at, _, on_hand, level) in over {
            finding.field(subject, &format!("lines.{at}.quantity"), on_hand.normalize());
            finding.involve(level).add_stake(worth(&order.lines[at], wanted(&order.lines[at])));
        }
        finding.because_of("product", Some(&first));
    }
}

/// Units of a product that an open order still wants from a place.
fn demand(order: &Record, sku: &str, place: &str) -> Decimal {
    let lines = order
        .lines
        .iter()
        .filter(|line| line.get("sku").and_then(Value::as_text) == Some(sku) && warehouse(order, line) == Some(place));
    if phase(order).is_open() { lines.map(wanted).sum() } else { Decimal::ZERO }
}

fn warehouse<'a>(order: &'a Record, line: &'a Fields) -> Option<&'a str> {
    line.get("warehouse").and_then(Value::as_text).or_else(|| order.text("warehouse"))
}

fn wanted(line: &Fields) -> Decimal {
    let gone = number(line, "quantity_shipped") + number(line, "quantity_cancelled");
    (number(line, "quantity") - gone - number(line, "quantity_backordered")).max(Decimal::ZERO)
}

pub fn duplicate_needs(order: &Record) -> Vec<Need> {
    project::match_key(order).map(|key| Need::SameKey(order.kind, key)).into_iter().collect()
}

/// The same basket of the same customer a short time before.
pub fn duplicate(out: &mut Out<'_>, view: &View) {
    let (order, subject) = (out.record(), out.subject);
    let Some(key) = project::match_key(order) else { return };
    let Some(at) = order.fields.get("ordered_at").and_then(Value::as_time) else { return };
    let limit_hours = out.scene.settings.limits.duplicate_order_hours;
    let before = |other: &&std::sync::Arc<Entry>| {
        let Some(then) = other.record.fields.get("ordered_at").and_then(Value::as_time) else { return false };
        let apart_s = at.as_second() - then.as_second();
        let earlier = (then, &other.record.external_id) < (at, &order.external_id);
        earlier
            && other.record_id != subject.record_id
            && apart_s <= limit_hours.saturating_mul(3_600)
            && project::match_key(&other.record).as_ref() == Some(&key)
    };
    let first = view.all(&Need::SameKey(order.kind, key.clone())).iter().filter(before).min_by_key(|other| {
        (other.record.fields.get("ordered_at").and_then(Value::as_time), other.record.external_id.clone())
    });
    let (Some(first), total) = (first, money(order, "total")) else { return };
    if let Some(finding) = out.report(Kind::DuplicateOrder) {
        finding.fact(subject, "duplicate_of", &first.record.external_id, format!("{limit_hours} hours"));
        finding.involve(first).stake(total).because_of("customer", order.text("customer_id"));
    }
}

pub fn skus(record: &Record) -> impl Iterator<Item = &str> {
    record.lines.iter().filter_map(|line| line.get("sku")?.as_text())
}

pub fn money(record: &Record, name: &str) -> Option<Money> {
    record.fields.get(name)?.as_money()
}

pub fn line_money(line: &Fields, name: &str) -> Option<Money> {
    line.get(name)?.as_money()
}

/// A quantity; 0 when absent.
pub fn number(fields: &Fields, name: &str) -> Decimal {
    fields.get(name).and_then(Value::as_decimal).unwrap_or_default()
}

/// What units of a line are worth; rounded to the millionth when the product is longer.
pub fn worth(line: &Fields, quantity: Decimal) -> Option<Money> {
    let price = line_money(line, "unit_price")?;
    Money::new((price.amount().checked_mul(quantity)?).round_dp(6), price.currency()).ok()
}
