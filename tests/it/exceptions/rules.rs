//! Rules that look beside their record, limits and own rules as tenant data.

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Engine, TestApp};

use super::held;

fn record(kind: &str, id: &str, fields: Value) -> Value {
    json!({ "kind": kind, "external_id": id, "fields": fields })
}

impl TestApp {
    /// Kinds of the active exceptions of a record, sorted.
    async fn kinds_of(&self, external_id: &str) -> Vec<String> {
        let found = self.exceptions("?limit=200").await;
        let own = found.iter().filter(|one| one["subject"]["external_id"] == external_id);
        let mut kinds: Vec<String> = own.map(|one| one["kind"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        kinds
    }
}

#[rstest]
#[tokio::test]
async fn what_changes_elsewhere_is_noticed_on_the_record_it_concerns(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let supplier =
        |blocked: bool| record("supplier", "S-1", json!({ "name": "Kiln", "active": true, "blocked": blocked }));
    let mut po = record(
        "purchase_order",
        "PO-1",
        json!({ "status": "acknowledged", "supplier_id": "S-1", "total": "500.00 EUR",
        "subtotal": "400.00 EUR", "tax": "84.00 EUR", "freight": "0.00 EUR" }),
    );
    po["lines"] = json!([{ "line_number": "1", "sku": "SKU-9", "quantity": 10, "unit_price": "40.00 EUR", "quantity_received": 10 }]);
    app.push(&[supplier(false), po.clone()]).await;
    assert!(app.kinds_of("PO-1").await.is_empty());
    app.push(&[supplier(true)]).await;
    assert_eq!(app.kinds_of("PO-1").await, ["po_blocked_supplier"]);
    app.push(&[supplier(false)]).await;
    assert!(app.kinds_of("PO-1").await.is_empty());

    // Three-way match: the invoice is judged again when the receipt changes, and a second invoice for the same goods is.
    let bill = |id: &str, reference: &str, date: &str| {
        let mut bill = record(
            "supplier_invoice",
            id,
            json!({ "supplier_id": "S-1", "supplier_reference": reference,
            "purchase_order_number": "PO-1", "invoice_date": date, "subtotal": "400.00 EUR", "tax": "84.00 EUR",
            "freight": "0.00 EUR", "total": "484.00 EUR" }),
        );
        bill["lines"] = json!([{ "line_number": "1", "sku": "SKU-9", "quantity": 10, "unit_price": "40.00 EUR" }]);
        bill
    };
    app.push(&[bill("SI-1", "R-100", "2026-02-01")]).await;
    assert!(app.kinds_of("SI-1").await.is_empty());
    let mut short = po.clone();
    short["lines"][0]["quantity_rejected"] = json!(2);
    app.push(&[short]).await;
    assert_eq!(app.kinds_of("SI-1").await, ["match_quantity"]);
    assert_eq!(app.kinds_of("PO-1").await, ["receipt_rejected"]);
    app.push(&[po]).await;
    assert!(app.kinds_of("SI-1").await.is_empty());
    app.push(&[bill("SI-2", "r 100", "2026-02-03"), bill("SI-3", "R-101", "2026-02-04")]).await;
    assert_eq!(app.kinds_of("SI-2").await, ["duplicate_supplier_invoice"], "the same number, spelt differently");
    assert_eq!(app.kinds_of("SI-3").await, ["match_quantity"], "the goods were billed already");
    assert!(app.kinds_of("SI-1").await.is_empty());
}

#[rstest]
#[tokio::test]
async fn stock_orders_and_reservations_are_judged_together(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let order = |id: &str, quantity: i64, status: &str| {
        let mut order =
            record("order", id, json!({ "status": status, "warehouse": "W1", "released_at": "2026-03-01T08:00:00Z" }));
        order["lines"] = json!([{ "sku": "SKU-9", "quantity": quantity, "unit_price": "3.00 EUR" }]);
        order
    };
    let stock = |on_hand: i64| {
        record("stock_level", "SKU-9/W1", json!({ "sku": "SKU-9", "location": "W1", "on_hand": on_hand }))
    };
    let reserved = record(
        "reservation",
        "RS-1",
        json!({ "sku": "SKU-9", "order_number": "SO-A", "quantity": 5, "status": "active" }),
    );
    app.push(&[stock(10), order("SO-A", 5, "released"), order("SO-B", 5, "released"), reserved]).await;
    assert!(app.kinds_of("SO-A").await.is_empty() && app.kinds_of("RS-1").await.is_empty());
    app.push(&[order("SO-C", 1, "released")]).await;
    for id in ["SO-A", "SO-B", "SO-C"] {
        assert_eq!(app.kinds_of(id).await, ["oversell"], "{id}");
    }
    app.push(&[stock(11)]).await;
    for id in ["SO-A", "SO-B", "SO-C"] {
        assert!(app.kinds_of(id).await.is_empty(), "{id}");
    }
    app.push(&[order("SO-A", 5, "shipped")]).await;
    assert_eq!(app.kinds_of("RS-1").await, ["reservation_without_order"]);
    // A record that is gone has no exceptions, and what was linked to it is judged without it.
    app.call("DELETE", "/v1/sources/erp-x").key(app.a.key("admin")).send().await.ok();
    app.looked_at().await;
    assert!(app.kinds_of("RS-1").await.is_empty());
    let all = app.exceptions("?state=resolved&kind=reservation_without_order").await;
    assert_eq!(all.len(), 1);
}

#[rstest]
#[tokio::test]
async fn limits_and_severities_are_the_tenants_own(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let admin = app.a.key("admin");
    app.push(&[held(1, "2026-02-25", "100.00 EUR")]).await;
    assert_eq!(app.kinds_of("SO-1").await, ["credit_hold_overdue"]);
    let put = |settings: Value, replaces: Option<i64>| {
        app.call("PUT", "/v1/detection/settings")
            .key(admin)
            .json(&json!({ "settings": settings, "replaces": replaces }))
            .send()
    };
    let set = put(json!({ "limits": { "credit_hold_days": 6 } }), Some(0)).await.ok().json();
    assert_eq!(set["version"], 1);
    app.looked_at().await;
    assert!(app.kinds_of("SO-1").await.is_empty(), "it is within the new limit");
    put(json!({}), Some(0)).await.refused(409, "/problems/stale");
    put(json!({ "limits": { "credit_hold_days": -1 } }), None).await.refused(422, "/problems/invalid");
    put(json!({ "kinds": { "credit_hold_overdue": { "severity": "critical" } } }), Some(1)).await.ok();
    app.looked_at().await;
    let one = app.exception_of("SO-1").await;
    assert_eq!((&one["severity"], &one["state"]["state"]), (&json!("critical"), &json!("open")));
    put(json!({ "kinds": { "credit_hold_overdue": { "disabled": true } } }), None).await.ok();
    app.looked_at().await;
    assert!(app.kinds_of("SO-1").await.is_empty());
    // The other tenant has its own.
    let theirs = app.get(app.b.key("admin"), "/v1/detection/settings").await.ok().json();
    assert_eq!((&theirs["version"], &theirs["settings"]), (&json!(0), &theirs["defaults"]));
    let report = app.verify(&app.a, None).await;
    assert_eq!(report["ok"], true, "{report}");
    let mut tx = app.tx(&app.a).await;
    sqlx::query("UPDATE detect_setting SET body = '{}' WHERE tenant_id = $1 AND version = 3")
        .bind(tx.tenant_text())
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(app.verify(&app.a, None).await["ok"], false, "a limit changed past the audit");
}

#[rstest]
#[tokio::test]
async fn a_tenants_own_rule_finds_what_it_says_and_costs_little(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let rule = |expression: &str| {
        json!({ "rules": [{ "id": "big_without_reference", "title": "Large order without a reference", "record_kind": "order",
            "expression": expression, "severity": "high", "money_field": "total" }] })
    };
    let put = |settings: Value| {
        app.call("PUT", "/v1/detection/settings").key(app.a.key("admin")).json(&json!({ "settings": settings })).send()
    };
    put(rule("record.total > 5000.0 && record.total_currency == 'EUR' && !has(record.customer_reference)")).await.ok();
    let order = |id: &str, fields: Value| record("order", id, fields);
    app.push(&[
        order("SO-1", json!({ "total": "5000.01 EUR", "status": "shipped" })),
        order("SO-2", json!({ "total": "5000.00 EUR", "status": "shipped" })),
        order("SO-3", json!({ "total": "9000.00 EUR", "status": "shipped", "customer_reference": "PO 7" })),
        order("SO-4", json!({ "status": "shipped" })),
    ])
    .await;
    let found = app.exceptions("?domain=custom").await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(
        (&found[0]["kind"], &found[0]["subject"]["external_id"]),
        (&json!("custom:big_without_reference"), &json!("SO-1"))
    );
    assert_eq!(found[0]["at_stake"]["amount"], "5000.01");
    // Lines, and time.
    put(rule("record.lines.exists(line, line.quantity > 100.0) && days_ago.ordered_at > 2")).await.ok();
    let mut many = order(
        "SO-5",
        json!({ "ordered_at": "2026-02-28T10:00:00Z", "status": "pending", "released_at": "2026-02-28T10:00:00Z" }),
    );
    many["lines"] = json!([{ "sku": "A", "quantity": 101 }]);
    app.push(&[many]).await;
    assert!(app.exceptions("?domain=custom").await.is_empty(), "two days ago");
    app.later(jiff::SignedDuration::from_hours(24)).await;
    assert_eq!(app.exceptions("?domain=custom").await.len(), 1);
    let long = format!("record.total > 1.0 {}", "|| record.total > 1.0 ".repeat(200));
    for bad in [
        "record.total >",
        "tenant.id == 'x'",
        "record.lines.all(a, record.lines.all(b, a.quantity > b.quantity))",
        &format!("{}1{} > 0", "(".repeat(40), ")".repeat(40)),
        &long,
    ] {
        put(rule(bad)).await.refused(422, "/problems/invalid");
    }
    let wrong_field = json!({ "rules": [{ "id": "x", "title": "X", "record_kind": "order", "expression": "true", "severity": "low", "money_field": "status" }] });
    put(wrong_field).await.refused(422, "/problems/invalid");
    // A rule that is taken away takes its exceptions with it.
    put(json!({})).await.ok();
    app.looked_at().await;
    assert!(app.exceptions("?domain=custom").await.is_empty());
}
