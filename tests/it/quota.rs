//! Requests a minute per key and tenant (reliability 5, 6), guessed keys (67), and whose address counts (68).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::config::Config;
use countersign::ids::KeyId;
use countersign::quota::rate::{Allowance, RateLimiter, Taken};
use countersign::quota::{Limits, TenantQuota};
use countersign::store::Store;
use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Engine, Reply, Setup, Tenant, TestApp};

async fn set(app: &TestApp, tenant: &Tenant, quota: &Value) {
    let path = format!("/v1/operator/tenants/{}/quota", tenant.id());
    app.call("PUT", &path).key(&app.operator_key).json(quota).send().await.ok();
}

async fn me(app: &TestApp, key: &str) -> Reply {
    app.get(key, "/v1/me").await
}

fn header(reply: &Reply, name: &str) -> String {
    reply.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[rstest]
#[tokio::test]
async fn exactly_the_limit_passes_and_the_next_is_told_when_to_come_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let agent = app.a.key("agent");
    // One request is earned back in 20 s: nothing is while this runs.
    set(&app, &app.a, &json!({ "key_per_minute": 3 })).await;
    for left in [2, 1, 0] {
        let reply = me(&app, agent).await.ok();
        assert_eq!(header(&reply, "ratelimit-policy"), r#""key";q=3;w=60, "tenant";q=60000;w=60"#);
        assert!(header(&reply, "ratelimit").starts_with(&format!("\"key\";r={left};t=")), "{:?}", reply.headers);
    }
    for _ in 0..3 {
        let reply = me(&app, agent).await.refused(429, "/problems/rate-limited");
        assert_eq!(header(&reply, "content-type"), "application/problem+json");
        let wait: u32 = header(&reply, "retry-after").parse().unwrap();
        assert!((1..=20).contains(&wait), "{wait}");
        assert!(header(&reply, "ratelimit").starts_with("\"key\";r=0;t="));
    }
    // Another key of the tenant, and another tenant, have their own.
    me(&app, app.a.key("reviewer")).await.ok();
    me(&app, app.b.key("agent")).await.ok();
    // OpenAI's clients get OpenAI's error object.
    let chat = json!({ "messages": [{ "role": "user", "content": "Who decides about refunds?" }] });
    let refused = app.post(agent, "/v1/chat/completions", &chat).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (429, Some("rate-limited")));
    assert!(refused.headers.contains_key("retry-after"));
    // A new value counts at once; 0 is no limit.
    set(&app, &app.a, &json!({ "key_per_minute": 0, "tenant_per_minute": 0 })).await;
    let reply = me(&app, agent).await.ok();
    assert_eq!(header(&reply, "ratelimit"), "");
}

#[rstest]
#[tokio::test]
async fn the_keys_of_a_tenant_share_its_limit(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    set(&app, &app.a, &json!({ "tenant_per_minute": 4 })).await;
    for key in ["agent", "reviewer", "approver", "admin"] {
        me(&app, app.a.key(key)).await.ok();
    }
    let refused = me(&app, app.a.key("auditor")).await.refused(429, "/problems/rate-limited");
    assert!(refused.json()["detail"].as_str().unwrap().contains("tenant"));
    me(&app, app.b.key("agent")).await.ok();
}

#[tokio::test]
async fn what_was_used_is_earned_back_as_time_passes() {
    let Some(app) = TestApp::new(Engine::Sqlite).await else { return };
    let agent = app.a.key("agent");
    set(&app, &app.a, &json!({ "key_per_minute": 6 })).await;
    let passed = async |app: &TestApp| {
        let mut passed = 0;
        while me(app, agent).await.status == 200 {
            passed += 1;
        }
        passed
    };
    assert_eq!(passed(&app).await, 6);
    app.app.clock.advance(SignedDuration::from_millis(9_999));
    assert_eq!(passed(&app).await, 0);
    app.app.clock.advance(SignedDuration::from_millis(1));
    assert_eq!(passed(&app).await, 1);
    app.app.clock.advance(SignedDuration::from_secs(60));
    assert_eq!(passed(&app).await, 6);
    // A clock put back by an hour locks nobody out.
    app.app.clock.advance(SignedDuration::from_hours(-1));
    assert_eq!(passed(&app).await, 6);
}

#[rstest]
#[tokio::test]
async fn a_restart_gives_nothing_back_on_postgresql(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(mut app) = TestApp::new(engine).await else { return };
    let agent = app.a.key("agent").to_owned();
    set(&app, &app.a, &json!({ "key_per_minute": 2 })).await;
    me(&app, &agent).await.ok();
    me(&app, &agent).await.ok();
    me(&app, &agent).await.refused(429, "/problems/rate-limited");
    app.restart().await;
    // With SQLite the count is the process's own.
    let expected = if engine == Engine::Postgres { 429 } else { 200 };
    assert_eq!(me(&app, &agent).await.status, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_replicas_let_exactly_the_limit_through_together() {
    let Some(app) = TestApp::new(Engine::Postgres).await else { return };
    let quota = TenantQuota { key_per_minute: Some(40), tenant_per_minute: Some(60), ..TenantQuota::default() };
    let limits = Limits::new(&Config::default().quota, &quota);
    let keys = [KeyId::mint(), KeyId::mint()];
    let (tenant, now) = (app.a.id(), app.app.clock.now());
    let mut replicas = Vec::new();
    for _ in 0..2 {
        replicas.push((Store::open(&app.options()).await.unwrap(), Arc::new(RateLimiter::default())));
    }
    let mut calls = Vec::new();
    for call in 0..200 {
        let (store, limiter) = replicas[call % 2].clone();
        let key = keys[call / 100];
        calls.push(tokio::spawn(async move {
            let taken = limiter.take(&store, tenant, key, &limits, now).await.unwrap();
            (key, matches!(taken, Taken::Yes(_)))
        }));
    }
    let mut passed = [0, 0];
    for call in calls {
        let (key, yes) = call.await.unwrap();
        passed[usize::from(key == keys[1])] += u32::from(yes);
    }
    // 40 of each key at most, 60 together. One is earned back a second: allow for a slow machine, never for a doubled count.
    assert!((60..=66).contains(&(passed[0] + passed[1])), "{passed:?}");
    assert!(passed.iter().all(|one| *one <= 46), "{passed:?}");
}

#[tokio::test]
async fn the_window_rolls_on_postgresql_by_the_databases_clock() {
    let Some(app) = TestApp::new(Engine::Postgres).await else { return };
    let allowance = Allowance::per_minute(NonZeroU32::new(60).unwrap());
    let limits = Limits { key: Some(allowance), tenant: None, tokens: None, period: Default::default() };
    let (limiter, key) = (RateLimiter::default(), KeyId::mint());
    // A service whose own clock is a year off: it does not count.
    let now = app.app.clock.now();
    let take = async || limiter.take(&app.app.store, app.a.id(), key, &limits, now).await.unwrap();
    let mut passed = 0;
    let wait = loop {
        match take().await {
            Taken::Yes(_) => passed += 1,
            Taken::No { retry_after_s, .. } => break retry_after_s,
        }
    };
    assert!((60..=63).contains(&passed), "{passed}");
    assert_eq!(wait, 1);
    tokio::time::sleep(Duration::from_secs(wait.into())).await;
    assert!(matches!(take().await, Taken::Yes(_)));
    // A count far ahead (the database's clock was put back) is no lock-out.
    let mut tx = app.tx(&app.a).await;
    sqlx::query("UPDATE rate_count SET whole_at_us = whole_at_us + 3600000000 WHERE tenant_id = $1")
        .bind(tx.tenant_text())
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(take().await, Taken::Yes(_)));
}

/// One request over a connection of its own; status and the time it took.
async fn over_the_wire(address: std::net::SocketAddr, key: &str, forwarded_for: Option<&str>) -> (u16, Duration) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let forwarded = forwarded_for.map_or_else(String::new, |value| format!("x-forwarded-for: {value}\r\n"));
    let request = format!(
        "GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{forwarded}connection: close\r\n\r\n"
    );
    let started = Instant::now();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    (text.split(' ').nth(1).unwrap().parse().unwrap(), started.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_are_slowed_down_by_address_and_a_valid_key_never_is() {
    let mut config = Config::default();
    for proxies in ["", "127.0.0.1"] {
        config.server.trusted_proxies = proxies.parse().unwrap();
        let setup = Setup { config: config.clone(), ..Setup::default() };
        let app = TestApp::with(Engine::Sqlite, setup).await.expect("SQLite is always there");
        let address = app.serve().await;
        let wrong = format!("csk_{}_{}", app.a.id().0.as_simple(), "x".repeat(32));
        let mut statuses = Vec::new();
        for n in 0..22 {
            // A new address in the header each time.
            let (status, _) = over_the_wire(address, &wrong, Some(&format!("192.0.2.{n}"))).await;
            statuses.push(status);
        }
        let slowed = statuses.iter().filter(|status| **status == 429).count();
        // Without a listed proxy the header is a claim, and all of them are one client; with it they are 22.
        assert_eq!(slowed, if proxies.is_empty() { 2 } else { 0 }, "{proxies:?} {statuses:?}");
        let (status, took) = over_the_wire(address, app.a.key("agent"), None).await;
        assert_eq!(status, 200);
        assert!(took < Duration::from_secs(1), "a valid key waits for nobody");
    }
}

#[rstest]
#[tokio::test]
async fn a_quota_is_set_by_the_operator_seen_by_the_tenant_and_written_to_its_trail(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let quota = json!({ "key_per_minute": 500, "token_limit": 1000, "token_period": "day" });
    set(&app, &app.a, &quota).await;
    let seen = app.get(app.a.key("admin"), "/v1/usage").await.ok().json();
    assert_eq!(seen["key_per_minute"], 500);
    assert_eq!(seen["tenant_per_minute"], 60_000);
    let period = json!({ "kind": "day", "from": "2026-03-02", "resets": "2026-03-03", "tokens": 0, "limit": 1000 });
    assert_eq!(seen["period"], period);
    let operator = app.call("GET", &format!("/v1/operator/tenants/{}/usage", app.a.id())).key(&app.operator_key);
    assert_eq!(operator.send().await.ok().json(), seen);
    let other = app.get(app.b.key("admin"), "/v1/usage").await.ok().json();
    assert_eq!(other["period"]["limit"], Value::Null);
    let events = app.get(app.a.key("auditor"), "/v1/audit/events?limit=1").await.ok().json();
    assert_eq!(events["events"][0]["action"], "tenant.quota_changed");
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
    let path = format!("/v1/operator/tenants/{}/quota", app.a.id());
    for wrong in [
        json!({ "token_limit": -1 }),
        json!({ "token_limit": 1_000_000_000_000_001_u64 }),
        json!({ "token_period": "week" }),
        json!({ "key_per_minute": 1.5 }),
        json!({ "tokens": 5 }),
    ] {
        let reply = app.call("PUT", &path).key(&app.operator_key).json(&wrong).send().await;
        assert_eq!(reply.status, 422, "{wrong}: {}", reply.text);
    }
    let missing = format!("/v1/operator/tenants/{}/quota", uuid::Uuid::from_u128(7));
    app.call("PUT", &missing).key(&app.operator_key).json(&quota).send().await.refused(404, "/problems/not-found");
}
