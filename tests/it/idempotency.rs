//! `Idempotency-Key`: one effect, one answer, per key and principal (reliability 37).

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::harness::seed::order;
use crate::harness::{Engine, Reply, TestApp};

async fn push(app: &TestApp, key: &str, idem: &str, body: &Value) -> Reply {
    app.call("POST", "/v1/records:batch").key(key).header("idempotency-key", idem).json(body).send().await
}

fn body(status: &str) -> Value {
    json!({ "source": "shop", "records": [order("m", 1, status)] })
}

async fn versions(app: &TestApp) -> i64 {
    let statement = "SELECT count(*) FROM record_version v JOIN record r ON r.tenant_id = v.tenant_id AND r.record_id = v.record_id \
                     WHERE v.tenant_id = $1 AND r.external_id = 'SO-1'";
    app.count(app.a.id(), statement).await
}

async fn raw(app: &TestApp, statement: &str) {
    let mut tx = app.tx(&app.a).await;
    sqlx::query(AssertSqlSafe(statement.to_owned())).bind(tx.tenant_text()).execute(tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn the_same_key_and_body_give_the_first_answer_again(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("integration");
    let first = push(&app, key, "k1", &body("open")).await.ok();
    assert!(first.headers.get("idempotency-replayed").is_none());
    let events = app.verify(&app.a, None).await["entries"].clone();
    let again = push(&app, key, "k1", &body("open")).await.ok();
    assert_eq!(again.headers.get("idempotency-replayed").unwrap(), "true");
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.headers.get("content-type"), first.headers.get("content-type"));
    assert_eq!(app.verify(&app.a, None).await["entries"], events, "nothing was done a second time");
    // Another body under the key, and the same body on another route.
    push(&app, key, "k1", &body("shipped")).await.refused(422, "/problems/idempotency-mismatch");
    let documents = json!({ "source": "shop", "documents": [{ "external_id": "x", "content": "y" }] });
    let other =
        app.call("POST", "/v1/documents").key(key).header("idempotency-key", "k1").json(&documents).send().await;
    other.refused(422, "/problems/idempotency-mismatch");
    assert_eq!(versions(&app).await, 1);
    // Another principal of the tenant, and another tenant, are independent.
    let admin = push(&app, app.a.key("admin"), "k1", &body("shipped")).await.ok();
    assert!(admin.headers.get("idempotency-replayed").is_none());
    assert_eq!(versions(&app).await, 2);
    let foreign = push(&app, app.b.key("integration"), "k1", &body("open")).await.ok();
    assert!(foreign.headers.get("idempotency-replayed").is_none());
    assert_eq!(foreign.json()["records"]["created"], 1);
    // The other way of sending the key is the same principal.
    let header = app
        .call("POST", "/v1/records:batch")
        .header("x-api-key", key)
        .header("idempotency-key", "k1")
        .json(&body("open"));
    assert_eq!(header.send().await.ok().headers.get("idempotency-replayed").unwrap(), "true");
}

#[rstest]
#[tokio::test]
async fn a_duplicate_waits_for_the_first_and_takes_over_from_a_dead_process(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("integration");
    push(&app, key, "k1", &body("open")).await.ok();
    // As it stands while the first still runs: claimed, not answered.
    raw(&app, "UPDATE idempotency SET status = NULL, body = NULL WHERE tenant_id = $1 AND idem_key = 'k1'").await;
    let reply = push(&app, key, "k1", &body("open")).await.refused(409, "/problems/in-progress");
    assert_eq!(reply.headers.get("retry-after").unwrap(), "1");
    push(&app, key, "k1", &body("shipped")).await.refused(422, "/problems/idempotency-mismatch");
    // The process that claimed it is gone: the next one runs it, and the effect is still single.
    raw(&app, "UPDATE idempotency SET instance = 'dead' WHERE tenant_id = $1 AND idem_key = 'k1'").await;
    if engine == Engine::Postgres {
        push(&app, key, "k1", &body("open")).await.refused(409, "/problems/in-progress");
        app.app.clock.advance(SignedDuration::from_mins(11));
    }
    let rerun = push(&app, key, "k1", &body("open")).await.ok();
    assert_eq!(rerun.json()["records"]["unchanged"], 1);
    assert_eq!(versions(&app).await, 1);
    assert_eq!(push(&app, key, "k1", &body("open")).await.ok().text, rerun.text);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_duplicates_at_once_have_one_effect(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("integration");
    let same = body("open");
    let replies = futures::future::join_all((0..40).map(|_| push(&app, key, "k1", &same))).await;
    let first: Vec<&Reply> = replies
        .iter()
        .filter(|reply| reply.status == 200 && reply.headers.get("idempotency-replayed").is_none())
        .collect();
    assert_eq!(first.len(), 1);
    for reply in &replies {
        assert!(reply.status == 409 || reply.text == first[0].text, "{} {}", reply.status, reply.text);
    }
    assert_eq!(versions(&app).await, 1);
    let events = "SELECT count(*) FROM audit_event WHERE tenant_id = $1 AND action = 'batch.ingested' AND body LIKE '%\"created\":1,%'";
    assert!(app.count(app.a.id(), events).await >= 1);
}

#[rstest]
#[tokio::test]
async fn a_refused_request_keeps_nothing_and_its_key_can_be_used_again(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("integration");
    let wrong = json!({ "source": "No Such Name!", "records": [order("m", 1, "open")] });
    push(&app, key, "k1", &wrong).await.refused(422, "/problems/source-name");
    push(&app, key, "k1", &json!({ "source": "shop", "records": [] })).await.refused(422, "/problems/too-many");
    push(&app, key, "k1", &body("open")).await.ok();
    let call = || app.call("POST", "/v1/records:batch").key(key).json(&body("open"));
    call().send().await.refused(400, "/problems/idempotency-key");
    call().header("idempotency-key", "").send().await.refused(400, "/problems/idempotency-key");
    call().header("idempotency-key", &"x".repeat(201)).send().await.refused(400, "/problems/idempotency-key");
    let two = call().header("idempotency-key", "a").header("idempotency-key", "b").send().await;
    two.refused(400, "/problems/idempotency-key");
    assert_eq!(
        app.count(app.a.id(), "SELECT count(*) FROM idempotency WHERE tenant_id = $1 AND status IS NULL").await,
        0
    );
}
