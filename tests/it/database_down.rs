//! The database goes away and comes back; the pool is used up (reliability 21, 22 in part). PostgreSQL only.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use countersign::config::Config;
use serde_json::json;

use crate::harness::{Engine, Setup, TestApp};

/// Long enough that every pooled connection was tried; `COUNTERSIGN_OUTAGE_S=60` for the whole of reliability 21.
fn outage() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the switch of the tests, not of the service")]
    let seconds = std::env::var("COUNTERSIGN_OUTAGE_S").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    Duration::from_secs(seconds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_down_requests_are_told_to_come_back_and_then_everything_works_again() {
    let patience = Duration::from_secs(1);
    let setup = Setup { own_server: true, acquire_timeout: Some(patience), ..Setup::default() };
    let Some(app) = TestApp::with(Engine::Postgres, setup).await else { return };
    let agent = app.a.key("agent").to_owned();
    let question = json!({ "question": "What is the status of SO-1042?" });
    app.post(&agent, "/v1/answers", &question).await.ok();

    let cluster = app.database.postgres().unwrap().cluster.clone();
    cluster.stop();
    let down = Instant::now();
    let mut rounds = 0;
    while down.elapsed() < outage() || rounds == 0 {
        for (method, path, key) in [
            ("POST", "/v1/answers", agent.as_str()),
            ("GET", "/v1/me", agent.as_str()),
            ("POST", "/v1/sources/erp/runs", app.a.key("integration")),
            ("GET", "/v1/operator/tenants", app.operator_key.as_str()),
        ] {
            let asked = Instant::now();
            let call = app.call(method, path).key(key);
            let call = if path == "/v1/answers" { call.json(&question) } else { call };
            let reply = call.send().await.refused(503, "/problems/unavailable");
            assert!(reply.headers.contains_key("retry-after"), "{path}");
            assert!(asked.elapsed() < patience * 4, "{path}: {:?}", asked.elapsed());
        }
        app.call("GET", "/healthz").send().await.ok();
        app.call("GET", "/readyz").send().await.refused(503, "/problems/unavailable");
        rounds += 1;
    }

    cluster.start_again();
    let back = Instant::now();
    while app.call("GET", "/readyz").send().await.status != 200 {
        assert!(back.elapsed() < Duration::from_secs(20), "it does not recover");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = app.post(&agent, "/v1/answers", &question).await.ok().json();
    assert_eq!(answer["citations"][0]["quote"], "Status: shipped");
    // The workers go on too: what is pushed now is found by its words.
    let record = crate::harness::seed::order("afterwards", 7, "open");
    app.push_records(app.a.key("integration"), &app.a.source, &[record]).await.ok();
    assert!(app.settle(app.a.id()).await);
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_is_used_up_is_a_bounded_wait_and_no_write_is_acknowledged_without_its_commit() {
    let patience = Duration::from_millis(700);
    let mut config = Config::default();
    config.server.request_timeout_ms = NonZeroU32::new(10_000).unwrap();
    let setup = Setup { config, max_connections: Some(2), acquire_timeout: Some(patience), ..Setup::default() };
    let Some(app) = TestApp::with(Engine::Postgres, setup).await else { return };
    let admin = app.a.key("admin").to_owned();
    let held =
        [app.app.store.begin_read(app.a.id()).await.unwrap(), app.app.store.begin_read(app.a.id()).await.unwrap()];
    let user = json!({ "email": "late@example.com", "name": "Late", "roles": ["agent"] });
    let asked = Instant::now();
    let reply = app.post(&admin, "/v1/users", &user).await.refused(503, "/problems/unavailable");
    assert!(reply.headers.contains_key("retry-after"));
    assert!(asked.elapsed() < patience * 3, "{:?}", asked.elapsed());
    drop(held);
    let users = app.get(&admin, "/v1/users").await.ok().text;
    assert!(!users.contains("late@example.com"));
    app.post(&admin, "/v1/users", &user).await.ok();
}
