//! What content does to answers: unchanged costs nothing, deleted never answers, late is stale, superseded ends.

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::seed::{order, policy};
use crate::harness::{Engine, TestApp};

#[rstest]
#[tokio::test]
async fn unchanged_content_is_not_embedded_again(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("integration");
    let documents: Vec<Value> = (0..40)
        .map(|n| policy(&app.a.marker, &format!("P-{n}"), "2026-01-01", &[], &format!("Rule number {n}.")))
        .collect();
    let records: Vec<Value> = (0..40).map(|n| order(&app.a.marker, 2000 + n, "open")).collect();
    for round in 0..3 {
        let before = app.embedder.count();
        let pushed = app.push_documents(key, &app.a.source, &documents).await.ok().json();
        let recorded = app.push_records(key, &app.a.source, &records).await.ok().json();
        assert!(app.settle(app.a.id()).await);
        if round > 0 {
            assert_eq!(pushed["documents"]["unchanged"], 40);
            assert_eq!(recorded["records"]["unchanged"], 40);
            assert_eq!(app.embedder.count(), before, "round {round}");
        } else {
            assert!(app.embedder.count() >= before + 80);
        }
    }
    // A whole rebuild takes the vectors from the cache.
    let before = app.embedder.count();
    app.post(app.a.key("admin"), "/v1/index:rebuild", &json!({})).await.ok();
    assert!(app.settle(app.a.id()).await);
    assert_eq!(app.embedder.count(), before);
}
