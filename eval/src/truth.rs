//! The right answers to questions for numbers over the demo company: each a plain loop over the generator's rows, by other means than the
//! service (no schema, no SQL, no mapping).

use std::collections::BTreeMap;

use countersign::demo::{Cents, DemoCompany, Order};
use jiff::ToSpan;
use jiff::civil::Date;

/// What an answer to the named truth says, each text verbatim. `None`: there is no such truth.
pub fn says(name: &str, c: &DemoCompany) -> Option<Vec<String>> {
    let t = Truth { c };
    let (name, argument) = name.split_once(':').unwrap_or((name, ""));
    Some(match name {
        "orders_on_hold_over" => {
            t.orders(|o| o.status == "on_hold" && o.hold_since.is_some_and(|d| t.ago(d.date()) > num(argument)))
        }
        "orders_with_status" => t.orders(|o| o.status == argument),
        "orders_on_hold_kind" => t.orders(|o| o.status == "on_hold" && o.hold_type == argument),
        "orders_within" => t.orders(|o| t.within(o.ordered_at.date(), argument)),
        "orders_cancelled_within" => t.orders(|o| o.status == "cancelled" && t.within(o.ordered_at.date(), argument)),
        "orders_from" => t.orders(|o| o.channel == argument && t.within(o.ordered_at.date(), "month:0")),
        "orders_to" => t.orders(|o| o.ship_country == argument && t.within(o.ordered_at.date(), "month:1")),
        "orders_of_group_within_month" => {
            t.orders(|o| t.group(&o.customer_id) == argument && t.within(o.ordered_at.date(), "month:1"))
        }
        "orders_of" => t.orders(|o| o.customer_id == argument),
        "orders_open_of" => t.orders(|o| o.customer_id == argument && open(o)),
        "orders_open_above" => t.orders(|o| open(o) && o.total > Cents(num(argument) * 100)),
        "orders_pending_above" => t.orders(|o| o.status == "pending" && o.total > Cents(num(argument) * 100)),
        "orders_late" => t.orders(|o| o.delivered_at.is_none() && o.status != "cancelled" && o.promised_on < c.as_of),
        "orders_delivered_late_within" => {
            t.orders(|o| o.delivered_at.is_some_and(|d| d.date() > o.promised_on && t.within(d.date(), argument)))
        }
        "orders_backordered" => t.orders(|o| o.lines.iter().map(|l| l.backordered_quantity).sum::<i64>() > 0),
        "orders_delivered_not_invoiced" => {
            t.orders(|o| o.status == "delivered" && !c.customer_invoices.iter().any(|i| i.order_id == o.order_id))
        }
        "orders_shipped_within" => t.orders(|o| o.shipped_at.is_some_and(|d| t.within(d.date(), argument))),
        "orders_in_warehouse_open" => t.orders(|o| open(o) && o.warehouse == argument),
        "orders_paid_by" => t.orders(|o| o.payment_method == argument && t.within(o.ordered_at.date(), "month:1")),
        "orders_undeliverable_address" => t.orders(|o| o.address_valid == Some(false)),
        "orders_with_product" => t.orders(|o| open(o) && o.lines.iter().any(|l| l.sku == argument)),
        "average_order" => {
            let own: Vec<i64> =
                c.orders.iter().filter(|o| t.group(&o.customer_id) == argument).map(|o| o.total.0).collect();
            vec![average(&own)]
        }
        "largest_order" => {
            let most = c.orders.iter().max_by(|a, b| a.total.cmp(&b.total).then(b.order_id.cmp(&a.order_id)))?;
            vec![most.order_id.clone(), most.total.to_string()]
        }
        "oldest_open_orders" => {
            let mut own: Vec<&Order> = c.orders.iter().filter(|o| open(o)).collect();
            own.sort_by_key(|order| order.ordered_at.date());
            own.iter().take(1).map(|o| o.order_id.clone()).collect()
        }
        "orders_by_status" => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            c.orders.iter().for_each(|o| *counts.entry(o.status).or_default() += 1);
            counts.iter().map(|(status, n)| format!("{status}: {n} orders")).collect()
        }
        "invoices_overdue" => t.invoices(|i| t.ago(i.due_on) > 0),
        "invoices_overdue_over" => t.invoices(|i| t.ago(i.due_on) > num(argument)),
        "invoices_open" => t.invoices(|_| true),
        "invoices_overdue_of" => {
            let mut own: Vec<_> = c
                .customer_invoices
                .iter()
                .filter(|i| i.customer_id == argument && i.open_amount > Cents(0) && t.ago(i.due_on) > 0)
                .collect();
            own.sort_by_key(|i| i.due_on);
            own.iter().map(|i| i.invoice_number.clone()).chain([format!("{} invoices", own.len())]).collect()
        }
        "owed_by" => {
            let own = c.customer_invoices.iter().filter(|i| i.customer_id == argument);
            vec![format!("{} EUR", own.map(|i| i.open_amount).sum::<Cents>())]
        }
        "top_receivables" => {
            let mut owed: BTreeMap<&str, Cents> = BTreeMap::new();
            for i in c.customer_invoices.iter().filter(|i| i.open_amount > Cents(0)) {
                *owed.entry(&i.customer_id).or_default() += i.open_amount;
            }
            ranked(
                owed.into_iter().map(|(id, sum)| (sum, format!("({id})"), format!("{sum} EUR"))).collect(),
                num(argument),
            )
        }
        "invoices_within" => {
            let own: Vec<_> = c.customer_invoices.iter().filter(|i| t.within(i.invoiced_on, argument)).collect();
            counted("invoices", own.len(), own.iter().map(|i| i.total).sum())
        }
        "bills_unpaid_of_above" => {
            let (supplier, above) = argument.split_once('/')?;
            let own: Vec<_> = c
                .supplier_invoices
                .iter()
                .filter(|b| b.status != "paid" && b.supplier_id == supplier && b.total > Cents(num(above) * 100))
                .collect();
            own.iter().map(|b| b.invoice_id.clone()).chain([format!("{} supplier invoices", own.len())]).collect()
        }
        "bills_unpaid" => {
            let own: Vec<_> = c.supplier_invoices.iter().filter(|b| b.status != "paid").collect();
            counted("supplier invoices", own.len(), own.iter().map(|b| b.total).sum())
        }
        "bills_with_status" => {
            let own: Vec<_> = c.supplier_invoices.iter().filter(|b| b.status == argument).collect();
            counted("supplier invoices", own.len(), own.iter().map(|b| b.total).sum())
        }
        "owed_to" => {
            let own = c.supplier_invoices.iter().filter(|b| b.status != "paid" && b.supplier_id == argument);
            vec![format!("{} EUR", own.map(|b| b.total).sum::<Cents>())]
        }
        "suppliers_late_quarter" => {
            let mut late: BTreeMap<&str, i64> = BTreeMap::new();
            for receipt in c.receipts.iter().filter(|r| t.within(r.received_on, argument)) {
                let po = c.purchase_orders.iter().find(|po| po.po_number == receipt.po_number)?;
                if receipt.received_on > po.expected_on {
                    *late.entry(&receipt.supplier_id).or_default() += 1;
                }
            }
            if late.is_empty() {
                return Some(vec!["0 receipts".to_owned()]);
            }
            ranked(late.into_iter().map(|(id, n)| (n, format!("({id})"), format!("{n} receipts"))).collect(), 1)
        }
        "pos_open" => t.pos(|po| matches!(po.status, "sent" | "acknowledged")),
        "pos_open_of" => t.pos(|po| matches!(po.status, "sent" | "acknowledged") && po.supplier_id == argument),
        "pos_late" => t.pos(|po| matches!(po.status, "sent" | "acknowledged") && po.expected_on < c.as_of),
        "pos_with_status" => t.pos(|po| po.status == argument),
        "pos_within" => t.pos(|po| t.within(po.ordered_on, argument)),
        "pos_above" => t.pos(|po| po.total > Cents(num(argument) * 100)),
        "pos_unacknowledged" => t.pos(|po| {
            matches!(po.status, "sent" | "acknowledged")
                && !c.acknowledgements.iter().any(|ack| ack.po_number == po.po_number)
        }),
        "pos_by_buyer" => t.pos(|po| po.buyer == argument),
        "shipments_with_status" => {
            vec![count("shipments", c.shipments.iter().filter(|s| s.status == argument).count())]
        }
        "shipments_moving_with" => {
            vec![count(
                "shipments",
                c.shipments.iter().filter(|s| s.status == "in_transit" && s.carrier == argument).count(),
            )]
        }
        "shipments_by_carrier" => {
            let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
            for s in c.shipments.iter().filter(|s| s.status == "delivered") {
                *counts.entry(s.carrier).or_default() += 1;
            }
            counts.iter().map(|(carrier, n)| format!("{carrier}: {n} shipments")).collect()
        }
        "returns_within" => {
            vec![count("returns", c.returns.iter().filter(|r| t.within(r.requested_on, argument)).count())]
        }
        "returns_with_status" => vec![count("returns", c.returns.iter().filter(|r| r.status == argument).count())],
        "returns_for_reason" => vec![count("returns", c.returns.iter().filter(|r| r.reason == argument).count())],
        "returns_by_reason" => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            c.returns.iter().for_each(|r| *counts.entry(r.reason).or_default() += 1);
            counts.iter().map(|(reason, n)| format!("{reason}: {n} returns")).collect()
        }
        "product_returned_most" => {
            let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
            for r in &c.returns {
                let mut skus: Vec<&str> = r.lines.iter().map(|l| l.sku.as_str()).collect();
                skus.sort_unstable();
                skus.dedup();
                skus.into_iter().for_each(|sku| *counts.entry(sku).or_default() += 1);
            }
            ranked(counts.into_iter().map(|(sku, n)| (n, sku.to_owned(), format!("{n} returns"))).collect(), 1)
        }
        "refunds_within" => {
            let own: Vec<_> = c.refunds.iter().filter(|r| t.within(r.issued_on, argument)).collect();
            counted("refunds", own.len(), own.iter().map(|r| r.amount).sum())
        }
        "credit_notes_within" => {
            let own: Vec<_> = c.credit_notes.iter().filter(|n| t.within(n.issued_on, argument)).collect();
            counted("credit notes", own.len(), own.iter().map(|n| n.amount).sum())
        }
        "payments_unapplied" => {
            let own: Vec<_> = c.payments.iter().filter(|p| p.unapplied_amount > Cents(0)).collect();
            counted("payments", own.len(), own.iter().map(|p| p.unapplied_amount).sum())
        }
        "payments_within" => {
            let own: Vec<_> = c.payments.iter().filter(|p| t.within(p.received_on, argument)).collect();
            counted("payments", own.len(), own.iter().map(|p| p.amount).sum())
        }
        "tickets_with_status" => vec![count("tickets", c.tickets.iter().filter(|k| k.status == argument).count())],
        "tickets_open_with_priority" => {
            vec![count("tickets", c.tickets.iter().filter(|k| k.status == "open" && k.priority == argument).count())]
        }
        "tickets_within" => {
            vec![count("tickets", c.tickets.iter().filter(|k| t.within(k.created_at.date(), argument)).count())]
        }
        "tickets_by_category" => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            c.tickets.iter().for_each(|k| *counts.entry(k.category).or_default() += 1);
            counts.iter().map(|(category, n)| format!("{category}: {n} tickets")).collect()
        }
        "suppliers_with_status" => {
            c.suppliers.iter().filter(|s| s.status == argument).map(|s| s.name.clone()).collect()
        }
        "suppliers_in" => vec![count("suppliers", c.suppliers.iter().filter(|s| s.country == argument).count())],
        "customers_in_group" => {
            vec![count("customers", c.customers.iter().filter(|x| x.customer_group == argument).count())]
        }
        "products_of" => vec![count("products", c.products.iter().filter(|p| p.supplier_id == argument).count())],
        "products_in" => vec![count("products", c.products.iter().filter(|p| p.category == argument).count())],
        "stock_of" => {
            let own = c.stock_levels.iter().filter(|l| l.sku == argument);
            vec![format!("{}", own.map(|l| l.on_hand).sum::<i64>())]
        }
        "stock_negative" => c.stock_levels.iter().filter(|l| l.on_hand < 0).map(|l| l.sku.clone()).collect(),
        "stock_counts_open" => {
            vec![count("stock counts", c.stock_counts.iter().filter(|k| k.status == "open").count())]
        }
        "quarantined_over" => {
            let own = c
                .stock_levels
                .iter()
                .filter(|l| l.quarantined > 0 && l.quarantined_since.is_some_and(|d| t.ago(d) > num(argument)));
            vec![count("stock levels", own.count())]
        }
        _ => return None,
    })
}

struct Truth<'a> {
    c: &'a DemoCompany,
}

impl Truth<'_> {
    fn ago(&self, date: Date) -> i64 {
        date.until(self.c.as_of).map_or(0, |span| i64::from(span.get_days()))
    }

    /// `month:0` this month, `month:1` the last one; the same for `week`, `quarter`; `days:30` the last 30 days; `day:1` yesterday;
    /// `since:2026-10-05`; `in:2026-09`.
    fn within(&self, date: Date, span: &str) -> bool {
        let as_of = self.c.as_of;
        let (unit, count) = span.split_once(':').unwrap_or((span, "0"));
        let back: i64 = count.parse().unwrap_or(0);
        let index = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month()) - 1;
        match unit {
            "day" => self.ago(date) == back,
            "days" => (0..=back).contains(&self.ago(date)),
            "month" => index(as_of) - index(date) == back,
            "quarter" => index(as_of) / 3 - index(date) / 3 == back,
            "week" => {
                let monday = |date: Date| date.saturating_sub(i64::from(date.weekday().to_monday_zero_offset()).days());
                monday(date) == monday(as_of).saturating_sub((7 * back).days())
            }
            "since" => date >= count.parse().unwrap_or(as_of),
            "in" => date.to_string().starts_with(count),
            _ => false,
        }
    }

    fn group(&self, customer_id: &str) -> &str {
        self.c.customers.iter().find(|x| x.customer_id == customer_id).map_or("", |x| x.customer_group)
    }

    fn orders(&self, wanted: impl Fn(&Order) -> bool) -> Vec<String> {
        let own: Vec<&Order> = self.c.orders.iter().filter(|order| wanted(order)).collect();
        counted("orders", own.len(), own.iter().map(|order| order.total).sum())
    }

    fn invoices(&self, wanted: impl Fn(&countersign::demo::CustomerInvoice) -> bool) -> Vec<String> {
        let own: Vec<_> = self.c.customer_invoices.iter().filter(|i| i.open_amount > Cents(0) && wanted(i)).collect();
        counted("invoices", own.len(), own.iter().map(|i| i.open_amount).sum())
    }

    fn pos(&self, wanted: impl Fn(&countersign::demo::PurchaseOrder) -> bool) -> Vec<String> {
        let own: Vec<_> = self.c.purchase_orders.iter().filter(|po| wanted(po)).collect();
        counted("purchase orders", own.len(), own.iter().map(|po| po.total).sum())
    }
}

fn open(order: &Order) -> bool {
    !matches!(order.status, "shipped" | "delivered" | "cancelled")
}

fn num(text: &str) -> i64 {
    text.parse().unwrap_or(0)
}

fn count(plural: &str, n: usize) -> String {
    format!("{n} {plural}")
}

/// The number, then the sum; a case that asks for one of them only keeps that one (`#count`, `#sum` behind the truth's name).
fn counted(plural: &str, n: usize, sum: Cents) -> Vec<String> {
    vec![count(plural, n), format!("{sum} EUR")]
}

fn average(cents: &[i64]) -> String {
    let (sum, n) = (cents.iter().sum::<i64>(), cents.len().max(1) as i64);
    let rounded = (2 * sum + n) / (2 * n);
    format!("{}.{:02} EUR", rounded / 100, rounded % 100)
}

/// The first `n` of a ranking: name and number of each; of those that tie with the next one only the number, for any of them may be named.
fn ranked<K: Ord + Copy>(mut all: Vec<(K, String, String)>, n: i64) -> Vec<String> {
    all.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let n = usize::try_from(n).unwrap_or(0);
    let tied = match (n.checked_sub(1).and_then(|last| all.get(last)), all.get(n)) {
        (Some(last), Some(next)) if last.0 == next.0 => Some(last.0),
        _ => None,
    };
    all.into_iter()
        .take(n)
        .flat_map(|(value, name, number)| if tied == Some(value) { vec![number] } else { vec![name, number] })
        .collect()
}
