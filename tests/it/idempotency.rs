//! `Idempotency-Key`: one effect, one answer, per key and principal (reliability 37).

use countersign::http::{Access, idempotency};
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

/// Routes with another method than GET that take no key, and why.
const WITHOUT_KEY: [(&str, &str); 11] = [
    ("POST /v1/answers", "keeps an answer: asked twice, answered twice; a broken stream goes on by event id"),
    ("POST /v1/chat/completions", "keeps an answer: asked twice, answered twice"),
    ("POST /v1/search", "changes nothing"),
    ("POST /v1/queries", "changes nothing"),
    ("POST /v1/audit:verify", "changes nothing"),
    ("POST /v1/detection:backtest", "changes nothing"),
    ("POST /v1/sources/{name}/offers", "marks as seen what is there, however often"),
    ("POST /v1/index:reconcile", "brings the index to what the database says, however often"),
    ("POST /v1/operator/tenants", "the slug is the key: a repeat is refused as taken"),
    ("PATCH /v1/operator/tenants/{tenant_id}", "sets a state, however often"),
    ("PUT /v1/operator/tenants/{tenant_id}/quota", "sets a state, however often"),
];

#[tokio::test]
async fn every_route_that_changes_something_takes_a_key_or_is_listed_with_its_reason() {
    let Some(app) = TestApp::new(Engine::Sqlite).await else { return };
    let document: Value = serde_json::from_str(&countersign::http::openapi_json(&app.app)).unwrap();
    let mut listed = 0;
    for row in crate::access_matrix::rows().iter().filter(|row| row.method != "GET" && row.access != Access::Public) {
        let name = format!("{} {}", row.method, row.path);
        let operation = &document["paths"][&row.path][row.method.to_lowercase()];
        let takes_key = operation["parameters"].to_string().contains("Idempotency-Key");
        let excused = WITHOUT_KEY.iter().any(|(route, _)| *route == name);
        assert!(takes_key != excused, "{name}: takes a key: {takes_key}, listed: {excused}");
        listed += usize::from(excused);
    }
    assert_eq!(listed, WITHOUT_KEY.len(), "a listed route is gone");
}

/// Sends a request twice under one key and once changed; the first answer, which the second repeats.
async fn twice(app: &TestApp, method: &str, path: &str, body: Option<&Value>, other: Option<&Value>) -> (Reply, Reply) {
    let key = crate::harness::unique();
    let send = async |body: Option<&Value>| {
        let call = app.call(method, path).key(app.a.key("admin")).header("idempotency-key", &key);
        match body {
            Some(body) => call.json(body).send().await,
            None => call.send().await,
        }
    };
    let events = "SELECT count(*) FROM audit_event WHERE tenant_id = $1";
    let first = send(body).await.ok();
    assert!(first.headers.get("idempotency-replayed").is_none(), "{path}");
    // What was changed is looked at for exceptions in the background, which has audit events of its own.
    assert!(app.app.detect.settle(app.a.id(), std::time::Duration::from_secs(20)).await.unwrap(), "detection settles");
    let written = app.count(app.a.id(), events).await;
    let second = send(body).await;
    assert_eq!(second.status, first.status, "{path}: {}", second.text);
    assert!(second.headers.contains_key("idempotency-replayed"), "{path}");
    assert_eq!(second.headers.get("content-type"), first.headers.get("content-type"), "{path}");
    if let Some(other) = other {
        send(Some(other)).await.refused(422, "/problems/idempotency-mismatch");
    }
    assert_eq!(app.count(app.a.id(), events).await, written, "{path}: nothing was done a second time");
    (first, second)
}

#[rstest]
#[tokio::test]
async fn every_change_under_a_key_happens_once(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let same = |(first, second): (Reply, Reply)| {
        assert_eq!(first.text, second.text);
        first
    };
    let user = |name: &str| json!({ "email": "new@example.com", "name": name, "roles": ["agent"] });
    let created = same(twice(&app, "POST", "/v1/users", Some(&user("New")), Some(&user("Other"))).await).json();
    let id = created["user_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/users/{id}");
    same(
        twice(&app, "PATCH", &path, Some(&json!({ "roles": ["auditor"] })), Some(&json!({ "suspended": true }))).await,
    );
    // A key's text is stored nowhere, so that a repeat cannot give it again.
    let body = json!({ "name": "of the new one", "user_id": id });
    let (first, second) = twice(&app, "POST", "/v1/keys", Some(&body), Some(&json!({ "name": "service" }))).await;
    let text = first.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(second.json(), json!({ "key_id": first.json()["key_id"] }));
    let statement = format!("SELECT count(*) FROM idempotency WHERE tenant_id = $1 AND body LIKE '%{text}%'");
    assert_eq!(app.count(app.a.id(), &statement).await, 0);
    same(twice(&app, "DELETE", &format!("/v1/keys/{}", first.json()["key_id"].as_str().unwrap()), None, None).await);
    same(twice(&app, "DELETE", &format!("/v1/documents/{}", app.a.documents["lost-parcel"]), None, None).await);
    let run = same(twice(&app, "POST", "/v1/sources/erp/runs", None, None).await).json();
    let finish = |complete: bool| json!({ "complete": complete });
    let path = format!("/v1/runs/{}/finish", run["run_id"].as_str().unwrap());
    same(twice(&app, "POST", &path, Some(&finish(false)), Some(&finish(true))).await);
    same(twice(&app, "POST", "/v1/index:rebuild", None, None).await);
    same(twice(&app, "POST", "/v1/audit:head", None, None).await);
    same(twice(&app, "DELETE", &format!("/v1/sources/{}", app.a.source), None, None).await);
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
    // The path is part of the request: one key cannot stand for two of them.
    let call = |path: &str| app.call("DELETE", path).key(app.a.key("admin")).header("idempotency-key", "one");
    call("/v1/sources/erp").send().await.ok();
    call("/v1/sources/other").send().await.refused(422, "/problems/idempotency-mismatch");
    // Without a key everything is as ever; a malformed one is refused.
    app.call("POST", "/v1/audit:head").key(app.a.key("admin")).send().await.ok();
    let empty = app.call("POST", "/v1/audit:head").key(app.a.key("admin")).header("idempotency-key", " ");
    empty.send().await.refused(400, "/problems/idempotency-key");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_of_a_creation_at_once_make_one_user(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let body = json!({ "email": "once@example.com", "name": "Once", "roles": ["agent"] });
    let send =
        || app.call("POST", "/v1/users").key(app.a.key("admin")).header("idempotency-key", "u1").json(&body).send();
    let replies = futures::future::join_all((0..20).map(|_| send())).await;
    let made: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert!(!made.is_empty() && made.iter().all(|reply| reply.text == made[0].text));
    assert!(replies.iter().all(|reply| [201, 409].contains(&reply.status)), "{replies:?}");
    let users = "SELECT count(*) FROM app_user WHERE tenant_id = $1 AND email = 'once@example.com'";
    assert_eq!(app.count(app.a.id(), users).await, 1);
    // A refusal keeps nothing: the key is free for the corrected request.
    let call = |roles: Value| {
        let body = json!({ "email": "two@example.com", "name": "Two", "roles": roles });
        app.call("POST", "/v1/users").key(app.a.key("admin")).header("idempotency-key", "u2").json(&body).send()
    };
    assert_eq!(call(json!([])).await.status, 422);
    call(json!(["agent"])).await.ok();
}

#[rstest]
#[tokio::test]
async fn answers_are_kept_for_a_week_and_then_swept(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("integration");
    push(&app, key, "old", &body("open")).await.ok();
    app.app.clock.advance(idempotency::KEPT_FOR);
    push(&app, key, "new", &body("shipped")).await.ok();
    idempotency::sweep_all(&app.app).await.unwrap();
    assert!(push(&app, key, "old", &body("open")).await.ok().headers.contains_key("idempotency-replayed"), "a week");
    app.app.clock.advance(SignedDuration::from_micros(1));
    let all = "SELECT count(*) FROM idempotency WHERE tenant_id = $1";
    let before = app.count(app.a.id(), all).await;
    let others = app.count(app.b.id(), all).await;
    let removed = idempotency::sweep(&app.app.store, app.a.id(), app.app.clock.now()).await.unwrap();
    assert!(removed >= 1);
    assert_eq!(app.count(app.a.id(), all).await, before - i64::try_from(removed).unwrap());
    assert_eq!(app.count(app.b.id(), all).await, others, "each tenant by itself");
    let again = push(&app, key, "old", &body("open")).await.ok();
    assert!(!again.headers.contains_key("idempotency-replayed"), "the key is new again");
    assert!(push(&app, key, "new", &body("shipped")).await.ok().headers.contains_key("idempotency-replayed"));
}
