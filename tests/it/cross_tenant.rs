//! Two tenants that never meet: every id of the other tenant is a missing id, and no word of one reaches the other (reliability 56, 57,
//! 60, 61, 62).

use countersign::vector::{Filter, VectorStore};
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::seed::{order, policy};
use crate::harness::{Engine, Reply, TestApp};
use crate::samples::{MARKS, missing, own, samples};

/// Where a foreign id is not 404 but, like a missing one, something else, and why.
const NOT_404: &[(&str, &str, &str)] = &[
    ("POST /v1/records:batch", "$run", "409: no run that goes on has this id"),
    ("POST /v1/files", "$run", "409: no run that goes on has this id"),
    ("POST /v1/files", "$source", "a name in the caller's own tenant, made when missing"),
    ("POST /v1/sources/{name}/offers", "$run", "409: no run that goes on has this id"),
    ("POST /v1/sources/{name}/offers", "$source", "409: no run of that source goes on"),
    ("POST /v1/documents", "$run", "409: no run that goes on has this id"),
    ("POST /v1/records:batch", "$source", "a name in the caller's own tenant, made when missing"),
    ("POST /v1/documents", "$source", "a name in the caller's own tenant, made when missing"),
    ("POST /v1/sources/{name}/runs", "$source", "a name in the caller's own tenant, made when missing"),
    ("GET /v1/audit/events", "$user", "a filter: an empty page"),
    ("GET /v1/runs/{run_id}/rejections", "$run", "a filter: an empty page"),
    ("GET /v1/exceptions", "$group", "a filter: an empty page"),
    ("GET /v1/exceptions", "$record", "a filter: an empty page"),
    ("POST /v1/exceptions/{exception_id}/assign", "$user", "422: nobody of the caller's tenant"),
    ("POST /v1/audit:verify", "$tenant", "422: the anchor is another tenant's"),
];

/// The body without what differs between any two requests.
fn comparable(reply: &Reply) -> String {
    let Ok(mut json) = serde_json::from_str::<Value>(&reply.text) else { return reply.text.clone() };
    for name in ["run_id", "key_id", "key"] {
        if let Some(value) = json.get_mut(name) {
            *value = Value::Null;
        }
    }
    json.to_string()
}

#[rstest]
#[tokio::test]
async fn an_id_of_another_tenant_is_answered_like_one_that_does_not_exist(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let before = fingerprint(&app).await;
    let mut compared = 0;
    for sample in samples() {
        if sample.route.contains("/v1/operator") {
            continue;
        }
        for mark in MARKS {
            if !sample.uses(mark) {
                continue;
            }
            // Every id that B has, in the place of this one: also ids of another type.
            let foreign: Vec<String> = if mark == "$source" {
                vec![app.b.source.clone()]
            } else {
                app.b.all_ids().into_iter().cloned().collect()
            };
            let with = |value: String| -> Vec<(&'static str, String)> {
                own(&app.a)
                    .into_iter()
                    .map(|(name, own)| (name, if name == mark { value.clone() } else { own }))
                    .collect()
            };
            let key = app.a.key("admin");
            let absent = sample.send(&app, key, &with(missing(mark))).await;
            for id in foreign {
                let reply = sample.send(&app, key, &with(id)).await;
                assert_eq!(reply.status, absent.status, "{} {mark}: {}", sample.route, reply.text);
                let (theirs, nobodys) = (comparable(&reply), comparable(&absent));
                assert_eq!(theirs, nobodys, "{} {mark}", sample.route);
                assert!(!reply.text.contains(&app.b.marker) || mark == "$source", "{} {mark}", sample.route);
                compared += 1;
            }
            let listed = NOT_404.iter().any(|(route, place, _)| *route == sample.route && *place == mark);
            assert!(listed || absent.status == 404, "{} {mark}: {} {}", sample.route, absent.status, absent.text);
        }
    }
    assert!(compared > 200, "{compared}");
    assert_eq!(fingerprint(&app).await, before, "something of the other tenant was changed");
}

/// What B has, as B sees it.
async fn fingerprint(app: &TestApp) -> Vec<String> {
    let mut seen = Vec::new();
    for path in ["/v1/users", "/v1/keys", "/v1/sources", "/v1/documents", "/v1/audit/events"] {
        seen.push(app.get(app.b.key("admin"), path).await.ok().text);
    }
    seen
}

#[rstest]
#[tokio::test]
async fn no_word_of_one_tenant_reaches_the_other_the_logs_or_the_metrics(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let mut own_words = 0;
    for (tenant, other) in [(&app.a, &app.b), (&app.b, &app.a)] {
        for role in ["agent", "reviewer", "approver", "admin", "auditor", "integration"] {
            for sample in samples() {
                if sample.route.contains("/v1/operator") || sample.method == "DELETE" {
                    continue;
                }
                let call = sample.call(&app, tenant.key(role), &own(tenant));
                let streamed = sample.call(&app, tenant.key(role), &own(tenant)).header("accept", "text/event-stream");
                let broken =
                    app.call(&sample.method, &format!("/v1/{}/{}", tenant.marker, tenant.source)).key(tenant.key(role));
                for reply in [call.send().await, streamed.send().await, broken.send().await] {
                    let all = format!("{:?} {}", reply.headers, reply.text);
                    assert!(reply.status < 500, "{}: {all}", sample.route);
                    let theirs =
                        other.all_ids().into_iter().chain([&other.marker]).find(|word| all.contains(word.as_str()));
                    assert!(theirs.is_none(), "{} as {role}: {theirs:?} in {all}", sample.route);
                    own_words += usize::from(all.contains(&tenant.marker));
                }
            }
        }
    }
    assert!(own_words > 100, "the sweep sees content at all: {own_words}");
    refused_input(&app).await;
    let metrics = app.call("GET", "/metrics").send().await.ok().text;
    let logs = app.logs.text();
    assert!(logs.contains("request"), "the logs are captured");
    for tenant in [&app.a, &app.b] {
        for (place, text) in [("metrics", &metrics), ("logs", &logs)] {
            let line = text.lines().find(|line| line.contains(&tenant.marker));
            assert!(line.is_none(), "{place}: {line:?}");
        }
        assert!(!metrics.contains(&tenant.id().to_string()), "metrics name no tenant");
    }
}

/// Bodies that are wrong in every way, full of the tenant's word: what is wrong is said without quoting it.
async fn refused_input(app: &TestApp) {
    let (key, marker) = (app.a.key("admin"), &app.a.marker);
    for sample in samples() {
        for body in [
            json!({ marker: marker }),
            json!(marker),
            json!([marker]),
            json!({ "records": marker, "documents": marker, "question": [marker] }),
        ] {
            let reply = app.call(&sample.method, "/v1/records:batch").key(key).once().json(&body).send().await;
            assert!(reply.status < 500, "{}", reply.text);
            let call = sample.call(app, key, &own(&app.a));
            let _ = call.header("x-request-id", marker).send().await;
        }
        if sample.body.is_none() {
            continue;
        }
        let bytes = format!("{{\"{marker}").into_bytes();
        let reply = app
            .call(&sample.method, &sample.path.replace('$', ""))
            .key(key)
            .once()
            .header("content-type", "application/json")
            .bytes(bytes)
            .send()
            .await;
        assert!(reply.status < 500 && !reply.text.contains(marker), "{}: {}", sample.route, reply.text);
    }
    let wrong = json!({ "source": app.a.source, "records": [{ "kind": "order", "external_id": "x", "fields": { "total": marker } }] });
    let reply = app.call("POST", "/v1/records:batch").key(key).once().json(&wrong).send().await.ok();
    assert!(
        reply.json()["rejected"][0]["reason"].is_string() && !reply.text.contains(marker.as_str()),
        "{}",
        reply.text
    );
}

#[rstest]
#[tokio::test]
async fn a_search_sees_its_own_tenant_only_even_for_the_others_very_words(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(mut app) = TestApp::new(engine).await else { return };
    for query in [app.a.marker.clone(), format!("Customer {}", app.a.marker), "refund lamp parcel carrier".to_owned()] {
        let hits = app.search(app.a.key("agent"), &query).await;
        assert!(!hits.is_empty(), "{query}");
        for hit in app.search(app.b.key("agent"), &query).await {
            assert!(!hit.to_string().contains(&app.a.marker), "{hit}");
        }
    }
    // Straight at the store, with B's tenant and A's chunks: other points, and A's directory stays shut.
    app.restart().await;
    let filter = Filter::for_audience(["everyone".to_owned(), "admin".to_owned()]).unwrap();
    let found = app.vectors.search_sparse(app.b.id().0, &app.a.marker, &filter, 100).await.unwrap();
    let in_a = chunk_ids(&app).await;
    assert!(found.iter().all(|hit| !in_a.contains(&hit.chunk_id.to_string())));
    app.search(app.b.key("agent"), "refund").await;
    let open = open_files();
    if !open.is_empty() {
        assert!(open.contains(&app.b.id().to_string()), "B's shard is open");
        assert!(!open.contains(&app.a.id().to_string()), "A's shard was opened by a search of B");
    }
}

async fn chunk_ids(app: &TestApp) -> Vec<String> {
    use sqlx::Row;
    let mut tx = app.app.store.begin_read(app.a.id()).await.unwrap();
    let rows = sqlx::query("SELECT chunk_id FROM chunk WHERE tenant_id = $1").bind(tx.tenant_text());
    rows.fetch_all(tx.conn()).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Files and mappings of this process, where the system shows them.
fn open_files() -> String {
    let mut open = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        open.push_str(&std::fs::read_link(entry.path()).unwrap_or_default().display().to_string());
        open.push('\n');
    }
    open
}

#[rstest]
#[tokio::test]
async fn the_embedding_cache_is_not_shared_between_tenants(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let document = policy("same", "SAME", "2026-01-01", &[], "Word for word the same in both tenants.");
    for tenant in [&app.a, &app.b] {
        let before = app.embedder.count();
        app.push_documents(tenant.key("integration"), "shared", std::slice::from_ref(&document)).await.ok();
        assert!(app.settle(tenant.id()).await);
        assert!(app.embedder.count() > before, "embedded for this tenant too: whether another has it stays unknown");
    }
    let statement = "SELECT count(*) FROM embedding_cache WHERE tenant_id = $1";
    let (a, b) = (app.count(app.a.id(), statement).await, app.count(app.b.id(), statement).await);
    assert_eq!(a, b);
    assert!(a > 0);
}

#[rstest]
#[tokio::test]
async fn the_index_worker_does_each_tenants_work_inside_that_tenant(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(mut app) = TestApp::new(engine).await else { return };
    // Work is left behind for both, nobody wakes the worker, and the service starts again.
    app.app.shutdown.cancel();
    for tenant in [&app.a, &app.b] {
        let records: Vec<Value> = (0..5).map(|n| order(&tenant.marker, 3000 + n, "open")).collect();
        app.push_records(tenant.key("integration"), &tenant.source, &records).await.ok();
        let pending = "SELECT count(*) FROM chunk WHERE tenant_id = $1 AND sparse_state = 0";
        assert!(app.count(tenant.id(), pending).await >= 5);
    }
    app.restart().await;
    for tenant in [&app.a, &app.b] {
        assert!(app.settle(tenant.id()).await);
        let chunks = app.count(tenant.id(), "SELECT count(*) FROM chunk WHERE tenant_id = $1").await;
        let counts = app.vectors.count(tenant.id().0).await.unwrap();
        assert_eq!((counts.points as i64, counts.with_dense as i64), (chunks, chunks));
        let hits = app.search(tenant.key("agent"), &format!("order SO-3001 {}", tenant.marker)).await;
        assert!(hits.iter().any(|hit| hit.to_string().contains("SO-3001")), "{hits:?}");
    }
}
