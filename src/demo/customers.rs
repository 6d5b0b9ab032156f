//! Consumers and trade customers, and at the end what the trade customers may owe.

use super::DemoCompany;
use super::dice::Dice;
use super::rows::Customer;
use super::value::{Cents, at, day};
use super::words::{FIRST_NAMES, LAST_NAMES, STREETS, TOWNS, TRADE_NAMES};

pub(super) const CONSUMERS: usize = 340;
pub(super) const TRADE: usize = TRADE_NAMES.len();
/// Smallest credit limit granted.
const LIMIT_MIN: Cents = Cents(500_000);
const LIMIT_STEP: i64 = 50_000;

pub(super) fn fill(company: &mut DemoCompany, dice: &mut Dice) {
    for index in 0..CONSUMERS {
        let first = FIRST_NAMES[index % FIRST_NAMES.len()];
        let last = LAST_NAMES[(index * 7 + index / FIRST_NAMES.len()) % LAST_NAMES.len()];
        let mut customer = address(company, dice, index);
        customer.name = format!("{first} {last}");
        let local = format!("{first}.{last}").to_lowercase().replace(' ', "");
        customer.email = format!("{local}{}@example.org", index + 1);
        company.customers.push(customer);
    }
    for (index, name) in TRADE_NAMES.into_iter().enumerate() {
        let mut customer = address(company, dice, CONSUMERS + index);
        customer.name = name.to_owned();
        customer.customer_type = "trade";
        customer.customer_group = if index % 3 == 2 { "wholesale" } else { "trade" };
        customer.email = format!("inkoop@trade{:02}.example.com", index + 1);
        customer.vat_id = format!("{}000{:06}B01", customer.country, 410_000 + index * 37);
        customer.payment_terms_days = if index % 2 == 0 { 30 } else { 14 };
        customer.credit_limit = Some(LIMIT_MIN);
        company.customers.push(customer);
    }
}

/// A consumer without a name at some address.
fn address(company: &DemoCompany, dice: &mut Dice, index: usize) -> Customer {
    let (city, code, country) = dice.pick(&TOWNS);
    let letters = ["AB", "CK", "HD", "LN", "PR", "TX"];
    let postal_code = if country == "NL" { format!("{code} {}", dice.pick(&letters)) } else { code.to_owned() };
    Customer {
        customer_id: format!("C-{}", 10_001 + index),
        name: String::new(),
        customer_type: "consumer",
        customer_group: "retail",
        email: String::new(),
        phone: format!("+31 20 555 {:04}", 1000 + index),
        street: format!("{} {}", dice.pick(&STREETS), dice.between(1, 180)),
        postal_code,
        city: city.to_owned(),
        country,
        vat_id: String::new(),
        account_status: "active",
        credit_limit: None,
        open_balance: None,
        payment_terms_days: 0,
        customer_since: day(company.as_of, dice.between(260, 1600)),
        updated_at: at(company.as_of, dice.between(5, 250), 12, 15),
    }
}

/// Sets what each trade customer owes, and a limit that fits it.
///
/// A customer whose order is on credit hold gets a limit that the order breaks; every other limit leaves room for half
/// as much again. Runs last, when invoices and orders are final.
pub(super) fn settle_limits(company: &mut DemoCompany) {
    for index in CONSUMERS..company.customers.len() {
        let customer_id = company.customers[index].customer_id.clone();
        let owed: Cents = company
            .customer_invoices
            .iter()
            .filter(|invoice| invoice.customer_id == customer_id)
            .map(|invoice| invoice.open_amount)
            .sum();
        let open_orders = company.orders.iter().filter(|order| order.customer == index && order.shipped_ago.is_none());
        let (mut waiting, mut held) = (Cents(0), Cents(0));
        for order in open_orders.filter(|order| order.status != "cancelled") {
            if order.hold_type == "credit" {
                held += order.total;
            } else {
                waiting += order.total;
            }
        }
        let exposure = owed + waiting;
        let limit = if held > Cents(0) {
            Cents((exposure.0 + held.0 / 2) / LIMIT_STEP * LIMIT_STEP).max(exposure)
        } else {
            Cents((exposure.0 * 3 / 2 / LIMIT_STEP + 1) * LIMIT_STEP).max(LIMIT_MIN)
        };
        let customer = &mut company.customers[index];
        customer.open_balance = Some(owed);
        customer.credit_limit = Some(limit);
    }
}
