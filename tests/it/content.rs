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

/// Everything a caller can be shown of the tenant's content, as one text.
async fn everything_shown(app: &TestApp, key: &str, words: &str) -> String {
    let mut shown = String::new();
    for path in ["/v1/documents?limit=200", "/v1/documents?kind=order", "/v1/documents?kind=policy"] {
        shown.push_str(&app.get(key, path).await.ok().text);
    }
    let question = format!("What about {words}?");
    for (path, body) in [
        ("/v1/search", json!({ "query": words, "limit": 100 })),
        ("/v1/answers", json!({ "question": question })),
        ("/v1/chat/completions", json!({ "messages": [{ "role": "user", "content": question }] })),
    ] {
        shown.push_str(&app.post(key, path, &body).await.ok().text);
    }
    // The question itself may be repeated.
    shown.replace(words, "").replace(&question, "")
}

fn page(name: &str, text: &str) -> Value {
    json!({ "external_id": name, "kind": "page", "title": format!("Page {name}"), "content": format!("# {name}\n\n{text}\n") })
}

#[rstest]
#[tokio::test]
async fn a_deleted_document_answers_nothing_from_the_reply_on(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("admin");
    app.push_documents(
        key,
        "wiki",
        &[
            page("gone", "The quokka ledger is kept in vault nineteen."),
            page("stays", "The quokka census is kept in vault twenty."),
        ],
    )
    .await
    .ok();
    assert!(app.settle(app.a.id()).await);
    let before = everything_shown(&app, key, "quokka vault").await;
    assert!(before.contains("vault nineteen") && before.contains("vault twenty"));
    let list = app.get(key, "/v1/documents?limit=200").await.json();
    let id =
        list["documents"].as_array().unwrap().iter().find(|one| one["external_id"] == "gone").unwrap()["document_id"]
            .as_str()
            .unwrap()
            .to_owned();
    // The worker is stopped: the index still has the point when the reply comes.
    app.app.shutdown.cancel();
    app.call("DELETE", &format!("/v1/documents/{id}")).key(key).send().await.ok();
    let after = everything_shown(&app, key, "quokka vault").await;
    assert!(!after.contains("nineteen") && !after.contains(&id), "{after}");
    assert!(after.contains("vault twenty"));
    for path in [
        format!("/v1/documents/{id}"),
        format!("/v1/documents/{id}/text"),
        format!("/v1/documents/{id}/text?version=1"),
    ] {
        app.get(key, &path).await.refused(404, "/problems/not-found");
    }
}

#[rstest]
#[tokio::test]
async fn a_deleted_source_answers_nothing_and_may_come_back_empty(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("admin");
    app.push_documents(key, "wiki", &[page("gone", "The quokka ledger is kept in vault nineteen.")]).await.ok();
    let mut record = order("zebra", 5005, "vault nineteen");
    record["lines"] = json!([]);
    app.push_records(key, "wiki", &[record.clone()]).await.ok();
    assert!(app.settle(app.a.id()).await);
    let record_id = app.record_id(key, "order", "SO-5005").await.expect("it is there");
    assert!(everything_shown(&app, key, "SO-5005 quokka").await.contains("nineteen"));
    app.app.shutdown.cancel();
    app.call("DELETE", "/v1/sources/wiki").key(key).send().await.ok();
    let after = everything_shown(&app, key, "SO-5005 quokka").await;
    assert!(!after.contains("nineteen") && !after.contains(&record_id), "{after}");
    assert_eq!(app.record_id(key, "order", "SO-5005").await, None);
    for path in [format!("/v1/records/{record_id}"), format!("/v1/records/{record_id}/versions")] {
        app.get(key, &path).await.refused(404, "/problems/not-found");
    }
    assert!(!app.get(key, "/v1/sources").await.text.contains("wiki"));
    app.call("DELETE", "/v1/sources/wiki").key(key).send().await.refused(404, "/problems/not-found");
    // The name can be used again, and what was deleted stays deleted until it is pushed again.
    app.push_documents(key, "wiki", &[page("new", "Nothing of the old.")]).await.ok();
    assert!(!everything_shown(&app, key, "SO-5005 quokka").await.contains("nineteen"));
    app.push_records(key, "wiki", &[record]).await.ok();
    assert_eq!(app.record_id(key, "order", "SO-5005").await, Some(record_id));
}

#[rstest]
#[tokio::test]
async fn a_complete_run_removes_what_it_did_not_see_and_a_partial_one_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("integration");
    let (records, documents): (Vec<Value>, Vec<Value>) = (
        (1..=4).map(|n| order("m", 6000 + n, "open")).collect(),
        ["one", "two"].map(|name| page(name, "Text.")).to_vec(),
    );
    app.push_records(key, "erp2", &records).await.ok();
    app.push_documents(key, "erp2", &documents).await.ok();
    let live = async || {
        let sources = app.get(key, "/v1/sources").await.ok().json();
        let of = |name: &str| {
            let found = sources.as_array().unwrap().iter().find(|one| one["name"] == name).expect("a source").clone();
            (found["records"].as_i64().unwrap(), found["documents"].as_i64().unwrap(), found["synced_at_us"].is_i64())
        };
        (of("erp2"), of(&app.a.source))
    };
    let (before, other) = live().await;
    assert_eq!(before, (4, 2, false));
    for complete in [false, true] {
        let run = app.call("POST", "/v1/sources/erp2/runs").key(key).send().await.ok().json()["run_id"]
            .as_str()
            .unwrap()
            .to_owned();
        // Two records are pushed again (one unchanged, one changed), one new; one document.
        let body = json!({ "source": "erp2", "run_id": run, "records": [records[0], order("m", 6002, "closed"), order("m", 6009, "new")] });
        app.call("POST", "/v1/records:batch").key(key).once().json(&body).send().await.ok();
        let body = json!({ "source": "erp2", "run_id": run, "documents": [documents[0]] });
        app.call("POST", "/v1/documents").key(key).once().json(&body).send().await.ok();
        let end = app.post(key, &format!("/v1/runs/{run}/finish"), &json!({ "complete": complete })).await.ok().json();
        let expected = if complete { (2, 1) } else { (0, 0) };
        assert_eq!(
            (end["removed_records"].as_i64(), end["removed_documents"].as_i64()),
            (Some(expected.0), Some(expected.1)),
            "{end}"
        );
        let after = live().await;
        assert_eq!(after.0, if complete { (3, 1, true) } else { (5, 2, false) });
        assert_eq!(after.1, other, "another source is not touched");
    }
    assert_eq!(app.record_id(key, "order", "SO-6003").await, None);
    assert!(app.record_id(key, "order", "SO-6001").await.is_some());
    // A run that another one overtook can neither be pushed to nor finished.
    let start = async || {
        app.call("POST", "/v1/sources/erp2/runs").key(key).send().await.ok().json()["run_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (old, _new) = (start().await, start().await);
    let body = json!({ "source": "erp2", "run_id": old, "records": [records[0]] });
    app.call("POST", "/v1/records:batch").key(key).once().json(&body).send().await.refused(409, "/problems/run-over");
    app.post(key, &format!("/v1/runs/{old}/finish"), &json!({ "complete": true }))
        .await
        .refused(409, "/problems/run-over");
}

#[rstest]
#[tokio::test]
async fn of_changes_in_any_order_the_newest_by_the_sources_clock_stays(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("integration");
    let at = |hour: u32, status: &str| {
        let mut record = order("m", 7001, status);
        record["source_time"] = json!(format!("2026-02-01T{hour:02}:00:00Z"));
        record
    };
    let status = async || {
        let id = app.record_id(key, "order", "SO-7001").await.expect("it is there");
        app.get(key, &format!("/v1/records/{id}")).await.ok().json()["fields"]["status"]["text"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (hour, name, outcome, shown) in [
        (10, "packed", "created", "packed"),
        (12, "shipped", "changed", "shipped"),
        (11, "picked", "stale", "shipped"),
        (12, "shipped", "unchanged", "shipped"),
        // Two at the same instant: the later arrival counts.
        (12, "delivered", "changed", "delivered"),
        (9, "open", "stale", "delivered"),
        (13, "returned", "changed", "returned"),
    ] {
        let report = app.push_records(key, "late", &[at(hour, name)]).await.ok().json();
        assert_eq!(report["records"][outcome], 1, "{hour} {name}: {report}");
        assert_eq!(status().await, shown, "{hour} {name}");
    }
    // Inside one push too, whatever the order.
    let report = app
        .push_records(key, "late", &[at(20, "twenty"), at(22, "twenty-two"), at(21, "twenty-one")])
        .await
        .ok()
        .json();
    assert_eq!(
        (report["records"]["changed"].as_u64(), report["records"]["stale"].as_u64()),
        (Some(1), Some(2)),
        "{report}"
    );
    assert_eq!(status().await, "twenty-two");
}

#[rstest]
#[tokio::test]
async fn a_superseded_policy_ends_the_day_before_its_successor_whichever_came_first(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(false, true)] successor_first: bool,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("admin");
    let old = policy("m", "WIN-1", "2026-01-01", &[], "The return window is thirty wombat days.");
    let new = policy("m", "WIN-2", "2026-07-01", &["WIN-1"], "The return window is sixty wombat days.");
    let order = if successor_first { [&new, &old] } else { [&old, &new] };
    for document in order {
        app.push_documents(key, "policies", std::slice::from_ref(document)).await.ok();
        assert!(app.settle(app.a.id()).await);
    }
    let window = async || {
        let list = app.get(key, "/v1/documents?kind=policy&limit=200").await.ok().json();
        let find = |id: &str| {
            let row = list["documents"].as_array().unwrap().iter().find(|one| one["policy_id"] == id).cloned();
            row.map(|row| (row["effective_from"].clone(), row["effective_to"].clone()))
        };
        (find("WIN-1"), find("WIN-2"))
    };
    assert_eq!(
        window().await,
        (Some((json!("2026-01-01"), json!("2026-06-30"))), Some((json!("2026-07-01"), Value::Null)))
    );
    let found = async |day: &str| {
        let body = json!({ "query": "return window wombat days", "as_of": day, "limit": 100 });
        let text = app.post(key, "/v1/search", &body).await.ok().text;
        (text.contains("thirty wombat"), text.contains("sixty wombat"))
    };
    assert_eq!(found("2025-12-31").await, (false, false));
    assert_eq!(found("2026-06-30").await, (true, false));
    assert_eq!(found("2026-07-01").await, (false, true));
    // The successor goes: the old one holds again, in the list and in the index.
    let list = app.get(key, "/v1/documents?kind=policy&limit=200").await.json();
    let id =
        list["documents"].as_array().unwrap().iter().find(|one| one["policy_id"] == "WIN-2").unwrap()["document_id"]
            .as_str()
            .unwrap()
            .to_owned();
    app.call("DELETE", &format!("/v1/documents/{id}")).key(key).send().await.ok();
    assert!(app.settle(app.a.id()).await);
    assert_eq!(window().await, (Some((json!("2026-01-01"), Value::Null)), None));
    assert_eq!(found("2026-07-01").await, (true, false));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_document_pushed_many_times_at_once_has_one_set_of_chunks(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("integration");
    let (text, other) = ([page("same", "One and the same.")], [page("same", "Another text.")]);
    let pushes = (0..12).map(|n| app.push_documents(key, "wiki", if n % 2 == 0 { &text } else { &other }));
    for reply in futures::future::join_all(pushes).await {
        assert!([200, 409].contains(&reply.status), "{} {}", reply.status, reply.text);
    }
    assert!(app.settle(app.a.id()).await);
    let chunks = "SELECT count(*) FROM chunk c JOIN document d ON d.tenant_id = c.tenant_id AND d.document_id = c.document_id \
                  WHERE c.tenant_id = $1 AND d.external_id = 'same'";
    assert_eq!(app.count(app.a.id(), chunks).await, 1);
    let current = format!("{chunks} AND c.version = d.version");
    assert_eq!(app.count(app.a.id(), &current).await, 1);
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
}
