//! Fields that only some roles see, and secrets that nobody does (reliability 66).

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::seed::{COST, MARGIN, order, product};
use crate::harness::{Engine, TestApp};
use crate::samples::{own, samples};

const SEE_COSTS: [&str; 3] = ["approver", "admin", "auditor"];

/// Everything the role is shown about the product with a cost.
async fn shown(app: &TestApp, role: &str) -> Vec<(String, String)> {
    let (key, id) = (app.a.key(role), &app.a.records["product"]);
    let question = "What are the standard cost and the margin of SKU-7?";
    let mut shown = Vec::new();
    for path in [
        format!("/v1/records/{id}"),
        format!("/v1/records/{id}/versions"),
        "/v1/records?kind=product&external_id=SKU-7".to_owned(),
        "/v1/documents?kind=product&limit=200".to_owned(),
    ] {
        shown.push((path.clone(), app.get(key, &path).await.ok().text));
    }
    for (path, body) in [
        ("/v1/search", json!({ "query": question, "limit": 100, "linked": true })),
        ("/v1/search", json!({ "query": format!("{COST} {MARGIN}"), "limit": 100 })),
        ("/v1/answers", json!({ "question": question })),
        ("/v1/chat/completions", json!({ "messages": [{ "role": "user", "content": question }] })),
        ("/v1/chat/completions", json!({ "messages": [{ "role": "user", "content": question }], "stream": true })),
    ] {
        shown.push((format!("{path} {body}"), app.post(key, path, &body).await.ok().text));
    }
    for document in
        app.get(app.a.key("admin"), "/v1/documents?kind=product").await.ok().json()["documents"].as_array().unwrap()
    {
        let path = format!("/v1/documents/{}/text", document["document_id"].as_str().unwrap());
        shown.push((path.clone(), app.get(key, &path).await.text));
    }
    shown
}

#[rstest]
#[tokio::test]
async fn costs_are_shown_to_the_roles_that_may_see_them_and_to_no_other(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    // A second version whose cost changed: history names no cost field either.
    let mut dearer = product(&app.a.marker);
    dearer["fields"]["last_cost"] = json!("4999.01 EUR");
    app.push_records(app.a.key("integration"), &app.a.source, &[dearer]).await.ok();
    assert!(app.settle(app.a.id()).await);
    for role in ["agent", "reviewer", "approver", "admin", "auditor", "integration"] {
        let mut seen = 0;
        for (place, text) in shown(&app, role).await {
            // The question's own numbers do not count.
            let text = text.replace(&format!("{COST} {MARGIN}"), "");
            let costs = [COST, MARGIN, "4999.01", "4,137.77", "last_cost", "standard_cost", "margin_percent"];
            let found: Vec<&&str> = costs.iter().filter(|cost| text.contains(**cost)).collect();
            assert!(SEE_COSTS.contains(&role) || found.is_empty(), "{role} sees {found:?} at {place}: {text}");
            seen += usize::from(!found.is_empty());
        }
        assert!(!SEE_COSTS.contains(&role) || seen >= 4, "{role} may see costs and saw {seen}");
    }
}

#[rstest]
#[tokio::test]
async fn costs_nested_in_unmapped_fields_and_on_records_for_some_roles_stay_hidden(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let mut nested = product(&app.a.marker);
    nested["external_id"] = json!("SKU-8");
    nested["fields"]["sku"] = json!("SKU-8");
    nested["extra"] = json!({ "lines": [{ "UnitCost": "7777.01" }], "pricing": { "deep": { "unit_cost": "7777.02" } }, "colour": "red" });
    let mut narrow = product(&app.a.marker);
    narrow["external_id"] = json!("SKU-9");
    narrow["fields"]["sku"] = json!("SKU-9");
    narrow["audience"] = json!(["approver"]);
    app.push_records(app.a.key("integration"), &app.a.source, &[nested, narrow]).await.ok();
    assert!(app.settle(app.a.id()).await);
    let record = |role: &'static str, sku: &'static str| {
        let (app, path) = (&app, format!("/v1/records?kind=product&external_id={sku}"));
        async move { app.get(app.a.key(role), &path).await.ok().text }
    };
    let agent = record("agent", "SKU-8").await;
    assert!(agent.contains("red") && !agent.contains("7777"), "{agent}");
    assert!(record("admin", "SKU-8").await.contains("7777.02"));
    for hit in app.search(app.a.key("auditor"), "SKU-9 cost").await {
        assert!(!hit["passage"]["title"].as_str().unwrap().contains("SKU-9"), "{hit}");
    }
    let approver = app.search(app.a.key("approver"), "SKU-9 cost").await;
    assert!(approver.iter().any(|hit| hit["passage"]["title"].as_str().unwrap().contains("SKU-9")));
}

#[tokio::test]
async fn a_blank_audience_is_refused_and_stops_nothing() {
    let Some(app) = TestApp::new(Engine::Sqlite).await else { return };
    let mut blank = product(&app.a.marker);
    (blank["external_id"], blank["audience"]) = (json!("SKU-10"), json!([" "]));
    let pushed = app.push_records(app.a.key("integration"), &app.a.source, &[blank]).await.ok().json();
    assert_eq!(pushed["rejected"][0]["field"], "audience", "{pushed}");
    assert!(app.settle(app.a.id()).await);
}

#[rstest]
#[tokio::test]
async fn a_document_for_some_roles_is_missing_for_the_others(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let id = &app.a.documents["POL-9"];
    let mut order = order(&app.a.marker, 9001, "secret");
    order["audience"] = json!(["approver"]);
    app.push_records(app.a.key("integration"), &app.a.source, &[order]).await.ok();
    assert!(app.settle(app.a.id()).await);
    for (role, sees) in [
        ("approver", true),
        ("admin", true),
        ("agent", false),
        ("reviewer", false),
        ("auditor", false),
        ("integration", false),
    ] {
        let key = app.a.key(role);
        let mut all = Vec::new();
        for path in [
            format!("/v1/documents/{id}"),
            format!("/v1/documents/{id}/text"),
            format!("/v1/documents/{id}/text?version=1"),
        ] {
            let reply = app.get(key, &path).await;
            assert_eq!(reply.status == 200, sees, "{role} {path}");
            all.push(reply.text);
        }
        for (path, body) in [
            ("/v1/search", json!({ "query": "only approvers read this", "limit": 100 })),
            ("/v1/answers", json!({ "question": "What do only approvers read?" })),
        ] {
            all.push(app.post(key, path, &body).await.ok().text);
        }
        all.push(app.get(key, "/v1/documents?limit=200").await.ok().text);
        let told =
            all.iter().filter(|text| text.contains("Only approvers read this") || text.contains(id.as_str())).count();
        assert_eq!(told > 0, sees, "{role}: {all:?}");
        // A record with an audience of its own, by id, by kind and by identifier.
        let may = role == "approver";
        assert_eq!(app.record_id(key, "order", "SO-9001").await.is_some(), may, "{role}");
        let answer =
            app.post(key, "/v1/answers", &json!({ "question": "What is the status of SO-9001?" })).await.ok().text;
        assert!(may || !answer.contains("secret"), "{role}: {answer}");
    }
}

#[rstest]
#[tokio::test]
async fn keys_and_their_hashes_are_in_no_answer(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let secrets: Vec<String> = app
        .a
        .keys
        .values()
        .flat_map(|key| [key.clone(), key[37..].to_owned(), countersign::canonical::sha256_hex(key)])
        .chain([app.operator_key.clone(), countersign::canonical::sha256_hex(&app.operator_key)])
        .collect();
    for role in ["agent", "reviewer", "approver", "admin", "auditor", "integration"] {
        for sample in samples() {
            if sample.method == "DELETE" {
                continue;
            }
            let reply = sample.send(&app, app.a.key(role), &own(&app.a)).await;
            let all = format!("{:?} {}", reply.headers, reply.text);
            let found = secrets.iter().find(|secret| all.contains(secret.as_str()));
            assert!(found.is_none(), "{} as {role}: {all}", sample.route);
        }
    }
    let made: Value = app.post(app.a.key("admin"), "/v1/keys", &json!({ "name": "new" })).await.ok().json();
    let list = app.get(app.a.key("admin"), "/v1/keys?limit=200").await.ok().text;
    let text = made["key"].as_str().unwrap();
    assert!(list.contains(made["key_id"].as_str().unwrap()) && !list.contains(text));
    app.get(text, "/v1/me").await.ok();
}
