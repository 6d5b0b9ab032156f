//! Record summaries for support tools: complete without a model, cited, and safe to show (reliability 87).

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::seed::order;
use crate::harness::{Engine, TestApp};

const PATH: &str = "/v1/records/order/SO-1042/summary";

fn sentences(summary: &Value, section: &str) -> Vec<String> {
    summary[section].as_array().unwrap().iter().map(|claim| claim["text"].as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[tokio::test]
async fn a_summary_tells_state_changes_what_is_unusual_and_what_is_next(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let mut held = order(&app.a.marker, 1042, "on_hold");
    held["fields"]["ordered_at"] = json!("2026-02-15");
    held["fields"]["hold_kind"] = json!("payment");
    held["fields"]["hold_since"] = json!("2026-02-20");
    held["fields"]["promised_date"] = json!("2026-02-27");
    held["fields"]["invoice_numbers"] = json!("INV-1042");
    let invoice = json!({ "kind": "customer_invoice", "external_id": "INV-1", "fields": {
        "number": "INV-1", "order_number": "SO-1042", "total": "99.00 EUR", "status": "open" } });
    app.push_records(app.a.key("integration"), &app.a.source, &[held, invoice]).await.ok();
    let agent = app.a.key("agent");
    let summary = app.get(agent, PATH).await.ok().json();
    assert!(sentences(&summary, "state").contains(&"Status: on_hold".to_owned()), "{summary}");
    assert!(
        sentences(&summary, "changed").iter().any(|one| one == "Status: on_hold, before that shipped."),
        "{summary}"
    );
    let unusual = sentences(&summary, "unusual");
    for expected in [
        "On hold (payment) since 2026-02-20: 10 days.",
        "It was promised for 2026-02-27, 3 days ago, and is not delivered.",
        "Its total is 84.00 EUR; the invoice says 99.00 EUR.",
        "It refers to invoice INV-1042, which is not on record.",
    ] {
        assert!(unusual.iter().any(|one| one == expected), "{expected}: {unusual:?}");
    }
    assert_eq!(summary["because"], "record");
    for section in ["state", "changed", "unusual", "applies", "next"] {
        for claim in summary[section].as_array().unwrap() {
            let cites = claim["citations"].as_array().unwrap();
            assert!(!cites.is_empty(), "{section}: {claim}");
            for n in cites {
                let place = &summary["citations"][n.as_u64().unwrap() as usize - 1];
                let document = app.get(agent, place["href"].as_str().unwrap()).await.ok().json();
                let (start, end) = (place["start"].as_u64().unwrap() as usize, place["end"].as_u64().unwrap() as usize);
                assert!(document["text"].as_str().unwrap().get(start..end).is_some_and(|quote| !quote.is_empty()));
            }
        }
    }
    app.get(agent, "/v1/records/order/SO-9/summary").await.refused(404, "/problems/not-found");
    app.get(agent, "/v1/records/nothing/SO-1042/summary").await.refused(404, "/problems/not-found");
    assert!(!app.get(app.b.key("agent"), PATH).await.ok().text.contains(&app.a.marker));
}

#[tokio::test]
async fn a_summary_that_did_not_change_is_not_sent_again() {
    let Some(app) = TestApp::new(Engine::Sqlite).await else { return };
    let agent = app.a.key("agent");
    let first = app.get(agent, PATH).await.ok();
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(first.headers["cache-control"], "private, no-cache");
    for sent in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let again = app.call("GET", PATH).key(agent).header("if-none-match", &sent).send().await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{sent}");
        assert_eq!(again.headers["etag"], tag.as_str());
    }
    app.push_records(app.a.key("integration"), &app.a.source, &[order(&app.a.marker, 1042, "delivered")]).await.ok();
    let changed = app.call("GET", PATH).key(agent).header("if-none-match", &tag).send().await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.headers["etag"], tag.as_str());
}

#[tokio::test]
async fn a_summary_of_hostile_data_has_no_markup_no_links_and_a_bound() {
    let Some(app) = TestApp::new(Engine::Sqlite).await else { return };
    let mut hostile = order(&app.a.marker, 7005, "<b>open</b>");
    hostile["fields"]["hold_kind"] = json!("</script><script>alert(1)</script> https://evil.example/?k=1");
    hostile["fields"]["hold_since"] = json!("2026-02-20");
    hostile["fields"]["hold_reason"] = json!(format!("[pay](javascript:alert(1)) {}", "very long ".repeat(400)));
    app.push_records(app.a.key("integration"), &app.a.source, &[hostile]).await.ok();
    let summary = app.get(app.a.key("agent"), "/v1/records/order/SO-7005/summary").await.ok().json();
    let all = summary.to_string();
    for bad in ["<", ">", "evil.example", "javascript:", "](", "https:"] {
        assert!(!all.contains(bad), "{bad} in {all}");
    }
    for section in ["state", "unusual"] {
        for sentence in sentences(&summary, section) {
            assert!(sentence.chars().count() <= 300, "{sentence}");
        }
    }
    assert!(sentences(&summary, "unusual").iter().any(|one| one.contains("10 days")), "{all}");
}
