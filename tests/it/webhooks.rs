//! Signed webhooks: told once per change, at least once per receiver, under one id; to public addresses only (reliability 41, 42, 92).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use countersign::config::Config;
use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::harness::{Engine, Setup, TestApp};

/// A status, and a header with its value.
type Scripted = (u16, Option<(&'static str, &'static str)>);

/// A receiver that answers what it is told to and keeps what it got.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    answers: Arc<Mutex<VecDeque<Scripted>>>,
}

impl Receiver {
    async fn start() -> (Self, String) {
        let receiver = Self::default();
        let state = receiver.clone();
        let router = axum::Router::new().fallback(move |headers: HeaderMap, body: String| {
            let state = state.clone();
            async move {
                state.got.lock().unwrap().push((headers, body));
                let (status, header) = state.answers.lock().unwrap().pop_front().unwrap_or((204, None));
                let mut response = StatusCode::from_u16(status).unwrap().into_response();
                if let Some((name, value)) = header {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                response
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, url)
    }

    fn answer(&self, status: u16, header: Option<(&'static str, &'static str)>) {
        self.answers.lock().unwrap().push_back((status, header));
    }

    fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    /// Waits until so many requests came.
    async fn wait(&self, count: usize) -> Vec<(HeaderMap, String)> {
        for _ in 0..400 {
            if self.count() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let got = self.got.lock().unwrap().clone();
        assert_eq!(got.len(), count, "requests");
        got
    }
}

async fn app(engine: Engine) -> Option<TestApp> {
    let mut config = Config::default();
    config.webhooks.allow_private_network = true;
    TestApp::with(engine, Setup { config, ..Setup::default() }).await
}

const ALL: [&str; 3] = ["exception.opened", "exception.escalated", "exception.resolved"];

impl TestApp {
    async fn hook(&self, url: &str, events: &[&str]) -> Value {
        self.post(self.a.key("admin"), "/v1/webhooks", &json!({ "url": url, "events": events })).await.ok().json()
    }

    async fn stock(&self, on_hand: i64) {
        let level = json!({ "kind": "stock_level", "external_id": "X/W1", "fields": { "sku": "X", "location": "W1", "on_hand": on_hand } });
        self.push_records(self.a.key("integration"), "erp-x", &[level]).await.ok();
        assert!(self.app.detect.settle(self.a.id(), Duration::from_secs(30)).await.unwrap());
    }

    async fn deliveries(&self, hook: &Value) -> Vec<Value> {
        let id = hook["endpoint"]["endpoint_id"].as_str().unwrap();
        let list = self.get(self.a.key("admin"), &format!("/v1/webhooks/{id}/deliveries")).await.ok().json();
        list["deliveries"].as_array().unwrap().clone()
    }

    /// Waits until no message of the hook is in `state`.
    async fn none(&self, hook: &Value, state: &str) -> Vec<Value> {
        for _ in 0..200 {
            let all = self.deliveries(hook).await;
            if all.iter().all(|one| one["state"] != state) {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("still {state}: {:#?}", self.deliveries(hook).await);
    }
}

#[rstest]
#[tokio::test]
async fn opened_escalated_and_resolved_are_told_signed(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = app(engine).await else { return };
    let (receiver, url) = Receiver::start().await;
    let hook = app.hook(&url, &ALL).await;
    let secret = hook["secret"].as_str().unwrap();
    app.stock(-3).await;
    receiver.wait(1).await;
    app.app.clock.advance(SignedDuration::from_hours(30));
    app.stock(-4).await;
    receiver.wait(2).await;
    app.stock(5).await;
    let got = receiver.wait(3).await;
    for ((headers, body), event) in got.iter().zip(ALL) {
        let told: Value = serde_json::from_str(body).unwrap();
        assert_eq!(told["type"], event);
        assert_eq!(
            (&told["data"]["kind"], &told["data"]["record"]["external_id"]),
            (&json!("negative_stock"), &json!("X/W1"))
        );
        let header = |name: &str| headers.get(name).unwrap().to_str().unwrap();
        let at: i64 = header("webhook-timestamp").parse().unwrap();
        let signed = Webhook::new(secret).unwrap().sign(header("webhook-id"), at, body.as_bytes()).unwrap();
        assert_eq!(header("webhook-signature"), signed);
        let forged =
            Webhook::new(secret).unwrap().sign(header("webhook-id"), at, format!("{body} ").as_bytes()).unwrap();
        assert_ne!(header("webhook-signature"), forged);
    }
    let ids: std::collections::BTreeSet<_> =
        got.iter().map(|(headers, _)| headers["webhook-id"].clone().to_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 3);
    app.none(&hook, "waiting").await;
    let shown = app.get(app.a.key("admin"), "/v1/webhooks").await.ok().text;
    assert!(!shown.contains("whsec_"), "the secret is told once");
    assert!(!app.logs.text().contains(secret));
}

#[rstest]
#[tokio::test]
async fn what_does_not_arrive_is_sent_again_under_the_same_id(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = app(engine).await else { return };
    let (receiver, url) = Receiver::start().await;
    let hook = app.hook(&url, &["exception.opened"]).await;
    receiver.answer(500, None);
    receiver.answer(302, Some(("location", "http://127.0.0.1:9/")));
    receiver.answer(429, Some(("retry-after", "4000")));
    app.stock(-3).await;
    receiver.wait(1).await;
    for (wait_s, count) in [(4, 1), (2, 2), (290, 2), (15, 3), (3_900, 3), (110, 4)] {
        app.app.clock.advance(SignedDuration::from_secs(wait_s));
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        receiver.wait(count).await;
    }
    let got = receiver.wait(4).await;
    let ids: std::collections::BTreeSet<_> =
        got.iter().map(|(headers, _)| headers["webhook-id"].to_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 1);
    assert!(got.iter().all(|(_, body)| *body == got[0].1), "the same words");
    let all = app.none(&hook, "waiting").await;
    assert_eq!((&all[0]["state"], &all[0]["attempts"]), (&json!("delivered"), &json!(4)));
}

#[rstest]
#[tokio::test]
async fn a_receiver_that_is_gone_or_dead_hears_no_more(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = app(engine).await else { return };
    let (receiver, url) = Receiver::start().await;
    let gone = app.hook(&url, &["exception.opened", "exception.resolved"]).await;
    receiver.answer(410, None);
    app.stock(-3).await;
    receiver.wait(1).await;
    app.none(&gone, "waiting").await;
    app.stock(3).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(receiver.count(), 1);
    let list = app.get(app.a.key("admin"), "/v1/webhooks").await.ok().json();
    let id = gone["endpoint"]["endpoint_id"].as_str().unwrap();
    let shown = list["webhooks"].as_array().unwrap().iter().find(|hook| hook["endpoint_id"] == id).unwrap();
    assert!(shown["disabled_at_us"].is_i64(), "{list}");
    app.call("DELETE", &format!("/v1/webhooks/{id}")).key(app.a.key("admin")).send().await.ok();
    app.call("DELETE", &format!("/v1/webhooks/{id}"))
        .key(app.a.key("admin"))
        .send()
        .await
        .refused(404, "/problems/not-found");
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
}

#[rstest]
#[tokio::test]
async fn a_message_written_before_a_crash_is_sent_after_it(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(mut app) = app(engine).await else { return };
    let (receiver, url) = Receiver::start().await;
    let hook = app.hook(&url, &["exception.opened"]).await;
    // Everything stops between the commit of the change and the sending: only the rows are there.
    app.app.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(800)).await;
    let level = json!({ "kind": "stock_level", "external_id": "X/W1", "fields": { "sku": "X", "location": "W1", "on_hand": -1 } });
    let key = app.a.key("integration").to_owned();
    app.push_records(&key, "erp-x", &[level]).await.ok();
    assert_eq!(receiver.count(), 0);
    app.restart().await;
    receiver.wait(1).await;
    // A sender that died after sending, before it noted that: the same message again, with the same id.
    app.none(&hook, "waiting").await;
    let mut tx = app.tx(&app.a).await;
    sqlx::query("UPDATE webhook_delivery SET state = 'waiting', next_at_us = 0 WHERE tenant_id = $1")
        .bind(tx.tenant_text())
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let got = receiver.wait(2).await;
    assert_eq!(got[0].0["webhook-id"], got[1].0["webhook-id"]);
}

#[rstest]
#[tokio::test]
async fn private_addresses_are_refused_when_set_and_when_resolved(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    for url in [
        "http://example.com/hook",
        "https://127.0.0.1/hook",
        "https://10.1.2.3/hook",
        "https://[::1]/hook",
        "https://169.254.169.254/latest",
        "https://user:pass@example.com/hook",
        "ftp://example.com",
        "nonsense",
    ] {
        let body = json!({ "url": url, "events": ["exception.opened"] });
        app.post(app.a.key("admin"), "/v1/webhooks", &body).await.refused(422, "/problems/invalid");
    }
    let wrong = json!({ "url": "https://example.com/hook", "events": ["exception.haunted"] });
    app.post(app.a.key("admin"), "/v1/webhooks", &wrong).await.refused(422, "/problems/invalid");
    // A name that leads to this machine passes the form and is refused at the connection.
    let hook = app.hook("https://localhost/hook", &["exception.opened"]).await;
    app.stock(-3).await;
    for _ in 0..200 {
        if app.deliveries(&hook).await.iter().any(|one| one["last_error"].is_string()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let all = app.deliveries(&hook).await;
    assert_eq!(all[0]["state"], "waiting");
    assert_eq!(all[0]["last_error"], "loopback addresses are not allowed");
}
