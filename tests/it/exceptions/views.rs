//! Who sees what of exceptions, in which order, in which groups, and what a summary says.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Engine, TestApp};

use super::held;

#[rstest]
#[tokio::test]
async fn an_exception_is_seen_by_those_who_see_every_record_of_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let mut secret = held(1, "2026-02-20", "100.00 EUR");
    secret["audience"] = json!(["approver", "admin"]);
    // The purchase order is for everyone, the supplier that makes it an exception is not.
    let supplier = json!({ "kind": "supplier", "external_id": "S-1", "audience": ["approver", "admin"],
        "fields": { "name": "Kiln", "blocked": true } });
    let po = json!({ "kind": "purchase_order", "external_id": "PO-1", "fields": { "status": "acknowledged", "supplier_id": "S-1" } });
    app.push(&[secret, supplier, po]).await;
    for (role, sees) in [("approver", true), ("admin", true), ("agent", false), ("reviewer", false), ("auditor", false)]
    {
        let page = app.get(app.a.key(role), "/v1/exceptions?limit=200").await.ok();
        assert_eq!(page.text.contains("\"SO-1\""), sees, "{role}");
        assert_eq!(page.text.contains("po_blocked_supplier"), sees, "{role}: not in the counts either");
    }
    let one = app.exception_of("SO-1").await;
    let path = format!("/v1/exceptions/{}", one["exception_id"].as_str().unwrap());
    app.get(app.a.key("agent"), &path).await.refused(404, "/problems/not-found");
    app.get(app.a.key("agent"), &format!("{path}/summary")).await.refused(404, "/problems/not-found");
    app.act("agent", &one, "assign", &json!({ "user_id": null })).await.refused(404, "/problems/not-found");
    // The record is opened to everyone: so is the exception.
    app.push(&[held(1, "2026-02-20", "100.00 EUR")]).await;
    app.get(app.a.key("agent"), &path).await.ok();
}

#[rstest]
#[tokio::test]
async fn what_the_company_pays_is_shown_to_roles_that_see_costs(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let product = json!({ "kind": "product", "external_id": "SKU-9", "fields": { "sku": "SKU-9", "standard_cost": "37.41 EUR" } });
    let po = json!({ "kind": "purchase_order", "external_id": "PO-1", "fields": { "status": "acknowledged", "supplier_id": "S-1" },
        "lines": [{ "line_number": "1", "sku": "SKU-9", "quantity": 10, "unit_price": "40.00 EUR" }] });
    app.push(&[product, po]).await;
    let one = app.exception_of("PO-1").await;
    assert_eq!(one["kind"], "po_price_variance");
    let path = format!("/v1/exceptions/{}", one["exception_id"].as_str().unwrap());
    for (role, sees) in [
        ("admin", true),
        ("approver", true),
        ("auditor", true),
        ("agent", false),
        ("reviewer", false),
        ("integration", false),
    ] {
        for path in ["/v1/exceptions".to_owned(), path.clone(), format!("{path}/summary")] {
            let text = app.get(app.a.key(role), &path).await.ok().text;
            assert_eq!(text.contains("37.41"), sees, "{role} {path}: {text}");
        }
    }
    assert_eq!(one["at_stake"]["amount"], "400.00", "the line, not the difference to the cost");
}

#[rstest]
#[tokio::test]
async fn lists_are_sorted_counted_and_paged(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let mut records: Vec<Value> = (1..=7).map(|n| held(n, "2026-02-20", &format!("{}.50 EUR", n * 100))).collect();
    for (n, currency) in [(8, "USD"), (9, "JPY")] {
        records.push(held(n, "2026-02-20", &format!("9000 {currency}")));
    }
    records.push(json!({ "kind": "stock_level", "external_id": "X/W1", "fields": { "sku": "X", "location": "W1", "on_hand": -1 } }));
    app.push(&records).await;
    let all = app.get(app.a.key("agent"), "/v1/exceptions?limit=200").await.ok().json();
    let counts: Vec<(&str, i64)> = all["counts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| (kind["kind"].as_str().unwrap(), kind["count"].as_i64().unwrap()))
        .collect();
    assert!(counts.contains(&("credit_hold_overdue", 9)) && counts.contains(&("negative_stock", 1)), "{counts:?}");
    let held_count =
        all["counts"].as_array().unwrap().iter().find(|kind| kind["kind"] == "credit_hold_overdue").unwrap();
    let mut stakes: Vec<String> = held_count["at_stake"]
        .as_array()
        .unwrap()
        .iter()
        .map(|money| format!("{} {}", money["amount"].as_str().unwrap(), money["currency"].as_str().unwrap()))
        .collect();
    stakes.sort();
    assert_eq!(stakes, ["2803.50 EUR", "9000 JPY", "9000.00 USD"]);
    for sort in ["priority", "newest", "oldest", "service_level", "money"] {
        let (mut seen, mut keys, mut after) = (Vec::new(), Vec::new(), String::new());
        loop {
            let path = format!("/v1/exceptions?kind=credit_hold_overdue&limit=2&sort={sort}{after}");
            let page = app.get(app.a.key("agent"), &path).await.ok().json();
            assert_eq!(page["total"], 9, "the counts are of all pages");
            for one in page["exceptions"].as_array().unwrap() {
                seen.push(one["exception_id"].as_str().unwrap().to_owned());
                keys.push(one["priority"].as_i64().unwrap());
            }
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 9, "{sort}: each once");
        assert!(sort != "priority" || keys.windows(2).all(|pair| pair[0] >= pair[1]), "{keys:?}");
    }
    for bad in ["state=lost", "domain=kitchen", "severity=awful", "sort=random", "after=x", "limit=none", "colour=red"]
    {
        let status = app.get(app.a.key("agent"), &format!("/v1/exceptions?{bad}")).await.status;
        assert!([400, 422].contains(&status), "{bad}: {status}");
    }
    assert_eq!(app.exceptions("?severity=critical").await.len(), 0);
    assert_eq!(app.exceptions("?domain=stock&state=open").await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn cases_with_one_cause_are_a_group_with_a_summary(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let po = |n: usize, supplier: &str| {
        json!({ "kind": "purchase_order", "external_id": format!("PO-{n}"),
            "fields": { "status": "acknowledged", "supplier_id": supplier, "promised_date": "2026-02-20", "total": "100.00 EUR" } })
    };
    let mut records: Vec<Value> = (0..4).map(|n| po(n, "S-LATE")).collect();
    records.extend((4..6).map(|n| po(n, "S-OTHER")));
    app.push(&records).await;
    let groups = app.get(app.a.key("agent"), "/v1/exception-groups").await.ok().json();
    let groups = groups["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1, "two are none yet: {groups:#?}");
    assert_eq!(
        (&groups[0]["count"], &groups[0]["cause"]["id"], &groups[0]["kind"]),
        (&json!(4), &json!("S-LATE"), &json!("po_late"))
    );
    assert_eq!(groups[0]["at_stake"][0]["amount"], "400.00");
    let id = groups[0]["group_id"].as_str().unwrap();
    let members = app.exceptions(&format!("?group_id={id}")).await;
    assert_eq!(members.len(), 4);
    let summary = app.get(app.a.key("agent"), &format!("/v1/exception-groups/{id}/summary")).await.ok().json();
    assert_eq!(summary["members"].as_array().unwrap().len(), 4);
    let first = summary["what_happened"][0]["text"].as_str().unwrap();
    assert!(first.contains('4') && first.contains("S-LATE") && first.contains("400.00 EUR"), "{first}");
    app.get(app.b.key("agent"), &format!("/v1/exception-groups/{id}/summary"))
        .await
        .refused(404, "/problems/not-found");
    // One is delivered: the group is smaller.
    let mut done = po(0, "S-LATE");
    done["fields"]["status"] = json!("received");
    app.push(&[done]).await;
    let groups = app.get(app.a.key("agent"), "/v1/exception-groups").await.ok().json();
    assert_eq!(groups["groups"][0]["count"], 3);
}

#[rstest]
#[tokio::test]
async fn a_summary_quotes_the_policy_of_the_orders_day_and_how_similar_cases_ended(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let policy = |id: &str, from: &str, to: Value, days: u32| {
        json!({ "external_id": format!("policies/{id}"), "kind": "policy", "title": "Credit holds",
            "content": format!("# Credit holds\n\nEvery credit hold of an order is decided within {days} calendar days of the hold.\n"),
            "meta": { "policy_id": id, "effective_from": from, "effective_to": to, "supersedes": [], "scope": {}, "audience": [], "extra": {} } })
    };
    let runbook = json!({ "external_id": "runbooks/credit", "kind": "runbook", "title": "Releasing a credit hold",
        "content": "# Releasing a credit hold\n\n1. Compute the excess over the credit limit.\n2. Ask for the release of the hold.\n" });
    let documents =
        [policy("OLD", "2025-01-01", json!("2026-02-14"), 9), policy("NEW", "2026-02-15", json!(null), 4), runbook];
    app.push_documents(app.a.key("integration"), "docs", &documents).await.ok();
    let ordered = |number: u32, day: &str| {
        let mut order = held(number, "2026-02-20", "100.00 EUR");
        order["fields"]["ordered_at"] = json!(day);
        order
    };
    app.push(&[ordered(1, "2026-02-10"), ordered(2, "2026-02-18")]).await;
    assert!(app.settle(app.a.id()).await, "the index settles");
    let why = json!({ "reason": "acceptable", "text": "Agreed with finance." });
    let (one, two) = (app.exception_of("SO-1").await, app.exception_of("SO-2").await);
    app.act("agent", &two, "dismiss", &why).await.ok();
    let path = |one: &Value| format!("/v1/exceptions/{}/summary", one["exception_id"].as_str().unwrap());
    for (one, policy, days, day) in
        [(&one, "OLD", "within 9 calendar days", "2026-02-10"), (&two, "NEW", "within 4 calendar days", "2026-02-18")]
    {
        let summary = app.get(app.a.key("agent"), &path(one)).await.ok().json();
        assert_eq!((&summary["policy_day"], &summary["rung"]), (&json!(day), &json!("extractive")));
        let quotes = summary["policy"].as_array().unwrap();
        assert!(!quotes.is_empty() && quotes.iter().all(|quote| quote["policy_id"] == policy), "{quotes:#?}");
        assert!(quotes[0]["quote"].as_str().unwrap().contains(days), "{quotes:#?}");
        assert_eq!(summary["steps"].as_array().unwrap().len(), 2, "{summary:#}");
        assert!(summary["why"].as_str().unwrap().contains("4 days"));
        assert!(!summary["options"].as_array().unwrap().is_empty());
        // Everything that is quoted stands where it says, byte for byte.
        let facts =
            summary["what_happened"].as_array().unwrap().iter().filter_map(|statement| statement.get("citation"));
        let places: Vec<&Value> =
            facts.filter(|place| !place.is_null()).chain(quotes).chain(summary["steps"].as_array().unwrap()).collect();
        assert!(places.len() >= 4);
        for place in places {
            let document = place["document_id"].as_str().unwrap();
            let text = app
                .get(app.a.key("agent"), &format!("/v1/documents/{document}/text?version={}", place["version"]))
                .await
                .ok()
                .json();
            let (start, end) = (place["start"].as_u64().unwrap() as usize, place["end"].as_u64().unwrap() as usize);
            assert_eq!(&text["text"].as_str().unwrap()[start..end], place["quote"].as_str().unwrap());
        }
    }
    let summary = app.get(app.a.key("agent"), &path(&one)).await.ok().json();
    assert_eq!(summary["similar"][0]["reason"], "Agreed with finance.");
    assert_eq!(summary["similar"][0]["same_cause"], true);
}
