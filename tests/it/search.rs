//! Searching: records that a text is about without naming them.

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Engine, TestApp};

fn customer(id: &str, name: &str, postal_code: &str) -> Value {
    json!({ "kind": "customer", "external_id": id, "fields": { "name": name, "postal_code": postal_code } })
}

fn order(id: &str, customer: &str, item: &str) -> Value {
    json!({ "kind": "order", "external_id": id, "fields": { "number": id, "customer_id": customer, "status": "delivered" },
            "lines": [{ "name": item, "quantity": 1 }] })
}

/// External ids of the records that a search says the text is about.
async fn about(app: &TestApp, key: &str, text: &str) -> Vec<String> {
    let body = json!({ "query": text, "linked": true, "limit": 20 });
    let found = app.post(key, "/v1/search", &body).await.ok().json();
    let records = found["records"].as_array().unwrap();
    records.iter().map(|one| one["record"]["external_id"].as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[tokio::test]
async fn a_customer_named_in_a_text_leads_to_the_orders_it_describes(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let records = [
        customer("C-901", "Mira Holt", "19031"),
        customer("C-902", "Mira Holt", "77002"),
        customer("C-903", "Jonas Pell", "19031"),
        order("SO-90101", "C-901", "Wall clock"),
        order("SO-90102", "C-901", "Copper kettle"),
        order("SO-90201", "C-902", "Copper kettle"),
        order("SO-90301", "C-903", "Copper kettle"),
    ];
    app.push_records(app.a.key("integration"), &app.a.source, &records).await.ok();
    assert!(app.settle(app.a.id()).await);
    let key = app.a.key("agent");
    let found = about(&app, key, "mira holt here, zip 19031 - the kettle leaks, i want to return it").await;
    assert_eq!(found, ["C-901", "SO-90102", "SO-90101"], "her own orders, the kettle first, and nobody else's");
    let found = about(&app, key, "Mira Holt asks about a clock").await;
    assert!(found.contains(&"C-901".to_owned()) && found.contains(&"C-902".to_owned()), "two of that name: {found:?}");
    assert_eq!(about(&app, key, "Mira wants a kettle in 19031").await, Vec::<String>::new(), "half a name is nobody");
    let found = about(&app, key, "SO-90301 of Mira Holt, 77002").await;
    assert_eq!(found, ["SO-90301", "C-902", "SO-90201"], "an identifier comes first");
    assert_eq!(about(&app, app.b.key("agent"), "Mira Holt 19031 kettle").await, Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn records_are_listed_only_on_request(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let found = app.post(app.a.key("agent"), "/v1/search", &json!({ "query": "refund" })).await.ok().json();
    assert!(found.get("records").is_none(), "{found}");
}
