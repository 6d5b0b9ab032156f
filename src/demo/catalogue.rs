//! Suppliers, products and price lists.

use super::DemoCompany;
use super::dice::Dice;
use super::rows::{Price, Product, Supplier};
use super::value::{Cents, at, day};
use super::words::{NOUN_SUPPLIERS, NOUNS, SUPPLIERS};

/// Suppliers in good standing come first; then one each: inactive, blocked, poor credit rating.
pub(super) const GOOD_SUPPLIERS: usize = 21;
pub(super) const INACTIVE_SUPPLIER: usize = 21;
pub(super) const BLOCKED_SUPPLIER: usize = 22;
pub(super) const POOR_SUPPLIER: usize = 23;
/// Price lists with their share of the retail price in percent.
const PRICE_LISTS: [(&str, i64); 3] = [("retail", 100), ("trade", 88), ("wholesale", 80)];
/// Every n-th product had another retail price until `REPRICED_AGO` days ago.
const REPRICED_EVERY: usize = 12;
const REPRICED_AGO: i64 = 60;

pub(super) fn fill(company: &mut DemoCompany, dice: &mut Dice) {
    suppliers(company, dice);
    products(company, dice);
    prices(company);
}

fn suppliers(company: &mut DemoCompany, dice: &mut Dice) {
    for (index, (name, city, country)) in SUPPLIERS.into_iter().enumerate() {
        let (status, credit_rating) = match index {
            INACTIVE_SUPPLIER => ("inactive", 3),
            BLOCKED_SUPPLIER => ("blocked", 3),
            POOR_SUPPLIER => ("active", 5),
            _ => ("active", dice.between(1, 3)),
        };
        let number = 501 + index;
        company.suppliers.push(Supplier {
            supplier_id: format!("S-{number}"),
            name: name.to_owned(),
            contact: format!("Order desk {name}"),
            email: format!("orders@supplier{number}.example.com"),
            phone: format!("+31 20 555 {:04}", 500 + index),
            city: city.to_owned(),
            country,
            status,
            credit_rating,
            lead_time_days: dice.between(10, 20),
            payment_terms_days: dice.pick(&[14, 30, 30, 45]),
            updated_at: at(company.as_of, dice.between(20, 90), 9, 0),
        });
    }
}

fn products(company: &mut DemoCompany, dice: &mut Dice) {
    for (noun_index, (category, brand, noun, variants, base, grams)) in NOUNS.into_iter().enumerate() {
        let supplier = NOUN_SUPPLIERS[noun_index];
        for (step, variant) in variants.into_iter().enumerate() {
            let index = company.products.len();
            let list_price = Cents(base + base * step as i64 * 30 / 100);
            let safety_stock = dice.between(2, 6) * 5;
            company.products.push(Product {
                sku: format!("QH-{}-{}", category[..3].to_uppercase(), 1001 + index),
                name: format!("{brand} {noun}, {variant}"),
                category,
                brand,
                supplier_id: company.suppliers[supplier].supplier_id.clone(),
                unit_cost: list_price.percent(dice.between(46, 58)),
                list_price,
                weight_grams: grams + grams * step as i64 * 25 / 100,
                safety_stock,
                reorder_point: safety_stock * 2,
                warranty_months: if matches!(category, "kitchen" | "workshop" | "lighting") { 36 } else { 24 },
                barcode: format!("2900000{:06}", 1001 + index),
                status: "active",
                launched_on: day(company.as_of, dice.between(420, 1400)),
                updated_at: at(company.as_of, dice.between(10, 58), 8, 30),
            });
        }
    }
}

fn prices(company: &mut DemoCompany) {
    for (index, product) in company.products.iter().enumerate() {
        let floor_price = product.unit_cost.percent(115);
        for (price_list, share) in PRICE_LISTS {
            let unit_price = product.list_price.percent(share);
            let repriced = price_list == "retail" && index % REPRICED_EVERY == 0;
            let mut push = |unit_price, valid_from, valid_to| {
                let price_id = format!("PR-{:05}", 1 + company.prices.len());
                let sku = product.sku.clone();
                company.prices.push(Price { price_id, sku, price_list, unit_price, floor_price, valid_from, valid_to });
            };
            if repriced {
                let (last, first) = (day(company.as_of, REPRICED_AGO + 1), day(company.as_of, REPRICED_AGO));
                push(unit_price.percent(94), day(company.as_of, 420), Some(last));
                push(unit_price, first, None);
            } else {
                push(unit_price, day(company.as_of, 420), None);
            }
        }
    }
}

/// The unit price of product `index` in `price_list` for an order placed `ago` days ago.
pub(super) fn price_of(company: &DemoCompany, index: usize, price_list: &str, ago: i64) -> Cents {
    let share = PRICE_LISTS.iter().find(|(name, _)| *name == price_list).map_or(100, |(_, share)| *share);
    let current = company.products[index].list_price.percent(share);
    if price_list == "retail" && index.is_multiple_of(REPRICED_EVERY) && ago > REPRICED_AGO {
        current.percent(94)
    } else {
        current
    }
}
