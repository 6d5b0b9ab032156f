//! The vector index behind or ahead of the database: it converges, and until then SQL decides what is shown (reliability 24).

use std::time::Duration;

use countersign::vector::{ALWAYS_FROM_DAY, ALWAYS_TO_DAY, Payload, Point, VectorStore};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::faulty_vector::Fault;
use crate::harness::seed::order;
use crate::harness::{Engine, TestApp};

/// Ids in the index and in SQL, each sorted.
async fn both(app: &TestApp) -> (Vec<String>, Vec<String>) {
    use sqlx::Row;
    let mut tx = app.app.store.begin_read(app.a.id()).await.unwrap();
    let rows = sqlx::query("SELECT chunk_id FROM chunk WHERE tenant_id = $1 ORDER BY chunk_id").bind(tx.tenant_text());
    let sql = rows.fetch_all(tx.conn()).await.unwrap().iter().map(|row| row.get(0)).collect();
    let stored = app.vectors.scroll_ids(app.a.id().0, None, 10_000).await.unwrap();
    assert!(stored.iter().all(|stored| stored.has_dense));
    let mut index: Vec<String> = stored.iter().map(|stored| stored.chunk_id.to_string()).collect();
    index.sort();
    (index, sql)
}

async fn reconcile(app: &TestApp) -> Value {
    app.post(app.a.key("admin"), "/v1/index:reconcile", &json!({})).await.ok().json()
}

#[rstest]
#[tokio::test]
async fn points_that_were_lost_or_are_foreign_are_repaired_and_never_shown(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let (tenant, key) = (app.a.id().0, app.a.key("admin"));
    let (index, sql) = both(&app).await;
    assert_eq!(index, sql);
    assert_eq!(reconcile(&app).await, json!({ "foreign_points": 0, "missing_points": 0, "missing_vectors": 0 }));
    // Behind: points are lost. Ahead: a point that SQL knows nothing of, and one without its vector.
    let lost: Vec<Uuid> = sql.iter().take(2).map(|id| id.parse().unwrap()).collect();
    app.vectors.delete(tenant, lost.clone()).await.unwrap();
    let payload = Payload {
        document_id: Uuid::from_u128(1),
        kind: "policy".into(),
        source_id: Uuid::from_u128(2),
        audience: vec!["everyone".into()],
        effective_from_day: ALWAYS_FROM_DAY,
        effective_to_day: ALWAYS_TO_DAY,
    };
    let point =
        |id: Uuid| Point { chunk_id: id, text_for_bm25: "numbat".into(), dense: None, payload: payload.clone() };
    let stripped: Uuid = sql[2].parse().unwrap();
    app.vectors.upsert(tenant, vec![point(Uuid::from_u128(77)), point(stripped)]).await.unwrap();
    for hit in app.search(key, "numbat").await {
        assert!(!hit.to_string().contains(&Uuid::from_u128(77).to_string()), "{hit}");
    }
    assert_eq!(reconcile(&app).await, json!({ "foreign_points": 1, "missing_points": 2, "missing_vectors": 1 }));
    assert!(app.settle(app.a.id()).await);
    assert_eq!(both(&app).await, (sql.clone(), sql));
    assert_eq!(reconcile(&app).await["missing_points"], 0);
}

#[rstest]
#[tokio::test]
async fn what_was_committed_while_the_index_was_down_is_there_after_a_restart(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(mut app) = TestApp::new(engine).await else { return };
    let (key, source) = (app.a.key("admin").to_owned(), app.a.source.clone());
    app.vectors.set(Fault::Down);
    let push = [order("numbat", 8001, "open"), order("numbat", 8002, "open")];
    app.push_records(&key, &source, &push).await.ok();
    // Deleted in SQL; the index cannot be told.
    let policy = app.a.documents["POL-1"].clone();
    app.call("DELETE", &format!("/v1/documents/{policy}")).key(&key).send().await.ok();
    // Reading goes on, labelled, from what SQL says.
    let found =
        app.post(&key, "/v1/search", &json!({ "query": "refund second pair of eyes SO-8001" })).await.ok().json();
    assert_eq!(found["retrieval"], "degraded", "{found}");
    assert!(found["identified"].to_string().contains("SO-8001"), "identifiers need no index: {found}");
    app.vectors.set(Fault::Empty);
    let answer =
        app.post(&key, "/v1/answers", &json!({ "question": "How many wombats fit into a crate?" })).await.ok().json();
    assert_eq!(answer["abstained"], true, "{answer}");
    app.restart().await;
    assert!(app.settle(app.a.id()).await);
    let (index, sql) = both(&app).await;
    assert_eq!(index, sql);
    assert!(app.search(&key, "numbat order open").await.iter().any(|hit| hit.to_string().contains("SO-8002")));
    let hits = app.search(&key, "refund second pair of eyes").await;
    assert!(
        hits.iter().all(|hit| hit["passage"]["document_id"] != json!(policy) && hit["document_id"] != json!(policy)),
        "{hits:?}"
    );
}

#[rstest]
#[tokio::test]
async fn a_slow_index_holds_up_no_push(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    app.vectors.set(Fault::Slow(Duration::from_secs(5)));
    let records = [order("m", 8100, "open")];
    let push = app.push_records(app.a.key("admin"), "erp", &records);
    tokio::time::timeout(Duration::from_secs(3), push).await.expect("the push does not wait for the index").ok();
    app.vectors.set(Fault::None);
}
