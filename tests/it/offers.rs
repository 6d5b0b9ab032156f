//! Offers: what is there already in these words does not travel, and counts as seen.

use countersign::source::offer::{document_digest, record_digest};
use countersign::source::{PushedDocument, PushedRecord};
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::seed::{order, policy};
use crate::harness::{Engine, TestApp};

fn offers(records: &[Value], documents: &[Value]) -> Vec<Value> {
    let of_record = |record: &Value| {
        let pushed: PushedRecord = serde_json::from_value(record.clone()).unwrap();
        let (record, audience) = pushed.into_record().unwrap();
        json!({ "kind": record.kind, "external_id": record.external_id, "sha256": record_digest(&record, &audience) })
    };
    let of_document = |document: &Value| {
        let pushed: PushedDocument = serde_json::from_value(document.clone()).unwrap();
        let (document, audience) = pushed.into_document(&ingest::Limits::default()).unwrap();
        let external_id = document.external_id.clone();
        json!({ "external_id": external_id, "sha256": document_digest(document, audience) })
    };
    records.iter().map(of_record).chain(documents.iter().map(of_document)).collect()
}

#[rstest]
#[tokio::test]
async fn only_what_is_new_or_changed_is_wanted_and_the_rest_outlives_a_complete_run(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("integration");
    let marker = app.a.marker.clone();
    let mut records: Vec<Value> = (1..=3).map(|n| order(&marker, 8000 + n, "open")).collect();
    let documents = [policy(&marker, "OFF-1", "2026-01-01", &[], "Lamps go back within 30 days.")];
    app.push_records(key, "offering", &records).await.ok();
    app.push_documents(key, "offering", &documents).await.ok();
    let run = app.post(key, "/v1/sources/offering/runs", &json!({})).await.ok().json()["run_id"].clone();
    records[1] = order(&marker, 8002, "shipped");
    records.push(order(&marker, 8004, "open"));
    // One of the stored ones is not offered: it is gone from the source.
    let gone = records.remove(2);
    let body = json!({ "run_id": run, "offers": offers(&records, &documents) });
    let wanted = app.post(key, "/v1/sources/offering/offers", &body).await.ok().json();
    assert_eq!(wanted["wanted"], json!([1, 2]), "the changed and the new one");
    let push = json!({ "source": "offering", "run_id": run, "records": records[1..] });
    app.call("POST", "/v1/records:batch").key(key).once().json(&push).send().await.ok();
    let run = run.as_str().unwrap();
    let ended = app.post(key, &format!("/v1/runs/{run}/finish"), &json!({ "complete": true })).await.ok().json();
    assert_eq!((&ended["removed_records"], &ended["removed_documents"]), (&json!(1), &json!(0)));
    for (record, there) in [(&records[0], true), (&records[1], true), (&gone, false)] {
        let id = record["external_id"].as_str().unwrap();
        assert_eq!(app.record_id(key, "order", id).await.is_some(), there, "{id}");
    }
    // The cards of what was only offered are still found.
    assert!(app.settle(app.a.id()).await);
    let hits = app.search(app.a.key("agent"), "SO-8001").await;
    assert!(
        hits.iter().any(|hit| hit["passage"]["external_id"].as_str().is_some_and(|id| id.contains("SO-8001"))),
        "{hits:?}"
    );
}

#[rstest]
#[tokio::test]
async fn an_offer_needs_a_run_of_its_own_source(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("integration");
    let record = [order(&app.a.marker, 8100, "open")];
    app.push_records(key, "offering", &record).await.ok();
    app.push_records(key, "other", &record).await.ok();
    let run = app.post(key, "/v1/sources/other/runs", &json!({})).await.ok().json()["run_id"].clone();
    let body = json!({ "run_id": run, "offers": offers(&record, &[]) });
    app.post(key, "/v1/sources/offering/offers", &body).await.refused(409, "/problems/run-over");
    app.post(key, "/v1/sources/nowhere/offers", &body).await.refused(409, "/problems/run-over");
    let many = json!({ "run_id": run, "offers": [] });
    app.post(key, "/v1/sources/other/offers", &many).await.refused(422, "/problems/too-many");
}
