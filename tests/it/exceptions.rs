//! Exceptions from the record that makes one to the person who settles it: they open, close themselves, come back, wait, escalate; only
//! those who may see every record see them, and the audit trail has every step.

mod past;
mod rules;
mod views;

use std::time::Duration;

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Engine, Reply, TestApp};

/// The harness's clock stands at 2026-03-02T09:00Z.
fn held(number: u32, since: &str, total: &str) -> Value {
    json!({
        "kind": "order", "external_id": format!("SO-{number}"),
        "fields": { "number": format!("SO-{number}"), "status": "on_hold", "hold_kind": "credit", "hold_since": since,
            "customer_id": "C-7", "total": total },
    })
}

impl TestApp {
    /// Pushes records of tenant A and waits until they were looked at.
    async fn push(&self, records: &[Value]) {
        let reply = self.push_records(self.a.key("integration"), "erp-x", records).await.ok().json();
        assert_eq!(reply["rejected"], json!([]), "{reply}");
        self.looked_at().await;
    }

    async fn looked_at(&self) {
        let done = self.app.detect.settle(self.a.id(), Duration::from_secs(30)).await.expect("the database answers");
        assert!(done, "detection settles");
    }

    /// Time passes, and whatever is due by it is looked at.
    async fn later(&self, by: SignedDuration) {
        self.app.clock.advance(by);
        self.looked_at().await;
    }

    async fn exceptions(&self, query: &str) -> Vec<Value> {
        let page = self.get(self.a.key("admin"), &format!("/v1/exceptions{query}")).await.ok().json();
        page["exceptions"].as_array().expect("a list").clone()
    }

    /// The only exception of a record, in whatever state.
    async fn exception_of(&self, external_id: &str) -> Value {
        let all = "?state=open,waiting,drafted,in_review,resolved,dismissed&limit=200";
        let mut found = self.exceptions(all).await;
        found.retain(|one| one["subject"]["external_id"] == external_id);
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    }

    async fn act(&self, role: &str, one: &Value, what: &str, body: &Value) -> Reply {
        let id = one["exception_id"].as_str().expect("an id");
        self.post(self.a.key(role), &format!("/v1/exceptions/{id}/{what}"), body).await
    }

    async fn audited(&self, one: &Value) -> Vec<String> {
        let id = one["exception_id"].as_str().expect("an id");
        let path = format!("/v1/audit/events?limit=200&resource=exception:{id}");
        let page = self.get(self.a.key("auditor"), &path).await.ok().json();
        let mut actions: Vec<String> = page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["action"].as_str().unwrap().to_owned())
            .collect();
        actions.reverse();
        actions
    }
}

#[rstest]
#[tokio::test]
async fn an_exception_opens_with_its_facts_closes_itself_and_comes_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    app.push(&[held(1, "2026-02-25", "2100.00 EUR"), held(2, "2026-02-27", "90.00 EUR")]).await;
    let one = app.exception_of("SO-1").await;
    assert_eq!(one["kind"], "credit_hold_overdue");
    assert_eq!(one["facts"][0]["field"], "hold_since");
    assert_eq!((&one["facts"][0]["value"], &one["facts"][0]["limit"]), (&json!("2026-02-25"), &json!("4 days")));
    assert_eq!(one["at_stake"], json!({ "amount": "2100.00", "currency": "EUR" }));
    assert_eq!(one["cause"], json!({ "what": "customer", "id": "C-7" }));
    assert_eq!(one["state"]["state"], "open");
    let points: i64 =
        one["priority_parts"].as_array().unwrap().iter().map(|part| part["points"].as_i64().unwrap()).sum();
    assert_eq!((one["priority"].as_i64(), points), (Some(60), 60), "high severity and four digits of money");
    assert!(app.exceptions("").await.iter().all(|one| one["subject"]["external_id"] != "SO-2"), "within its limit");

    let mut released = held(1, "2026-02-25", "2100.00 EUR");
    released["fields"]["status"] = json!("released");
    app.push(&[released]).await;
    let closed = app.exception_of("SO-1").await;
    assert_eq!((&closed["state"]["state"], &closed["present"]), (&json!("resolved"), &json!(false)));
    assert!(app.exceptions("?kind=credit_hold_overdue").await.is_empty());

    app.push(&[held(1, "2026-02-24", "2100.00 EUR")]).await;
    let again = app.exception_of("SO-1").await;
    assert_eq!(again["exception_id"], one["exception_id"], "the same case");
    assert_eq!((&again["state"]["state"], &again["reopened"]), (&json!("open"), &json!(1)));
    assert_eq!(again["first_seen_us"], one["first_seen_us"]);
    assert_eq!(app.audited(&one).await, ["exception.opened", "exception.resolved", "exception.reopened"]);
    let report = app.verify(&app.a, None).await;
    assert_eq!(report["ok"], true, "{report}");
    assert!(report["states_checked"].as_i64().unwrap() >= 2);
    // Nothing of it is the other tenant's.
    let other = app.get(app.b.key("admin"), "/v1/exceptions").await.ok().json();
    assert!(!other.to_string().contains("SO-1\""), "{other}");
}

#[rstest]
#[tokio::test]
async fn a_tampered_decision_is_found(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    app.push(&[held(1, "2026-02-20", "100.00 EUR")]).await;
    let mut tx = app.tx(&app.a).await;
    sqlx::query("UPDATE exception SET ticket = 'FORGED' WHERE tenant_id = $1 AND subject_external_id = 'SO-1'")
        .bind(tx.tenant_text())
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(app.verify(&app.a, None).await["ok"], false);
}

#[rstest]
#[tokio::test]
async fn time_alone_opens_wakes_and_escalates(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    app.push(&[held(1, "2026-02-28", "100.00 EUR")]).await;
    assert!(app.exceptions("?kind=credit_hold_overdue").await.is_empty());
    app.later(SignedDuration::from_hours(24 * 2)).await;
    assert!(app.exceptions("?kind=credit_hold_overdue").await.is_empty(), "the fourth day");
    app.later(SignedDuration::from_hours(16)).await;
    let one = app.exception_of("SO-1").await;
    assert_eq!(one["state"]["state"], "open");

    let until = app.app.clock.now() + SignedDuration::from_hours(30);
    let waiting = app.act("agent", &one, "snooze", &json!({ "until": until.to_string() })).await.ok().json();
    assert_eq!(waiting["state"]["state"], "waiting");
    // Its clock goes on while it waits: high severity has 24 hours.
    app.later(SignedDuration::from_hours(25)).await;
    let late = app.exception_of("SO-1").await;
    assert_eq!(late["state"]["state"], "waiting");
    assert!(late["escalated_at_us"].is_i64(), "{late}");
    assert_eq!(late["priority"].as_i64().unwrap() - one["priority"].as_i64().unwrap(), 15);
    assert_eq!(app.exceptions("?escalated=true&kind=credit_hold_overdue").await.len(), 1);
    app.later(SignedDuration::from_hours(6)).await;
    assert_eq!(app.exception_of("SO-1").await["state"]["state"], "open");
    let steps = ["exception.opened", "exception.snoozed", "exception.escalated", "exception.woken"];
    assert_eq!(app.audited(&one).await, steps);
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
}

#[rstest]
#[tokio::test]
async fn a_dismissed_case_stays_away_until_it_gets_worse(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    app.push(&[held(1, "2026-02-20", "100.00 EUR")]).await;
    let one = app.exception_of("SO-1").await;
    let why = json!({ "reason": "acceptable", "text": "paid by phone" });
    app.act("auditor", &one, "dismiss", &why).await.refused(403, "/problems/forbidden");
    app.act("integration", &one, "dismiss", &why).await.refused(403, "/problems/forbidden");
    app.act("agent", &one, "dismiss", &json!({ "reason": "acceptable", "text": " " }))
        .await
        .refused(422, "/problems/invalid");
    app.act("agent", &one, "dismiss", &why).await.ok();
    app.act("agent", &one, "dismiss", &why).await.refused(409, "/problems/exception-state");
    let mut noted = held(1, "2026-02-20", "100.00 EUR");
    noted["fields"]["note"] = json!("changed");
    app.push(&[noted]).await;
    let still = app.exception_of("SO-1").await;
    assert_eq!(still["state"]["state"], "dismissed");
    assert_eq!(still["state"]["text"], "paid by phone");
    app.push(&[held(1, "2026-02-20", "100.01 EUR")]).await;
    assert_eq!(app.exception_of("SO-1").await["state"]["state"], "open", "more money");
    // Dismissed, the cause goes, and comes back.
    app.act("reviewer", &one, "dismiss", &why).await.ok();
    let mut released = held(1, "2026-02-20", "100.01 EUR");
    released["fields"]["status"] = json!("released");
    app.push(&[released]).await;
    assert_eq!(app.exception_of("SO-1").await["state"]["state"], "dismissed");
    app.act("agent", &one, "reopen", &json!(null)).await.refused(409, "/problems/exception-state");
    app.push(&[held(1, "2026-02-20", "100.01 EUR")]).await;
    assert_eq!(app.exception_of("SO-1").await["state"]["state"], "open");
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
}

#[rstest]
#[tokio::test]
async fn people_take_link_and_put_off_exceptions(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    app.push(&[held(1, "2026-02-20", "100.00 EUR")]).await;
    let one = app.exception_of("SO-1").await;
    let agent = app.a.users["agent"].clone();
    let owned = app.act("reviewer", &one, "assign", &json!({ "user_id": agent })).await.ok().json();
    assert_eq!(owned["owner_id"], json!(agent));
    let mine = app.get(app.a.key("agent"), "/v1/exceptions?owner=me").await.ok().json();
    assert_eq!(mine["total"], 1);
    assert!(app.exceptions("?owner=nobody&kind=credit_hold_overdue").await.is_empty());
    let linked = app.act("agent", &one, "link", &json!({ "ticket": " T-77 " })).await.ok().json();
    assert_eq!(linked["ticket"], "T-77");
    // The owner stays when the record changes.
    app.push(&[held(1, "2026-02-20", "150.00 EUR")]).await;
    let after = app.exception_of("SO-1").await;
    assert_eq!((&after["owner_id"], &after["ticket"]), (&json!(agent), &json!("T-77")));
    for (what, body) in [
        ("assign", json!({ "user_id": app.b.users["agent"] })),
        ("assign", json!({ "user_id": app.a.users["suspended"] })),
        ("assign", json!({ "user_id": "nonsense" })),
        ("snooze", json!({ "until": "2026-03-01T00:00:00Z" })),
        ("snooze", json!({ "until": "2027-03-01T00:00:00Z" })),
        ("snooze", json!({ "until": "tomorrow" })),
        ("link", json!({ "ticket": "x".repeat(201) })),
    ] {
        app.act("agent", &one, what, &body).await.refused(422, "/problems/invalid");
    }
    // Of another tenant it does not exist.
    let path = format!("/v1/exceptions/{}", one["exception_id"].as_str().unwrap());
    for call in ["", "/summary"] {
        app.get(app.b.key("admin"), &format!("{path}{call}")).await.refused(404, "/problems/not-found");
    }
    app.post(app.b.key("admin"), &format!("{path}/assign"), &json!({ "user_id": null }))
        .await
        .refused(404, "/problems/not-found");
}

#[rstest]
#[tokio::test]
async fn a_change_is_looked_at_after_a_restart_too(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(mut app) = TestApp::new(engine).await else { return };
    app.looked_at().await;
    // The worker is gone, the push is not.
    app.app.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let key = app.a.key("integration").to_owned();
    app.push_records(&key, "erp-x", &[held(1, "2026-02-20", "100.00 EUR")]).await.ok();
    let page = app.get(app.a.key("admin"), "/v1/exceptions?kind=credit_hold_overdue").await.ok().json();
    assert_eq!((&page["total"], page["pending"].as_i64()), (&json!(0), Some(1)), "it says that something is pending");
    app.restart().await;
    app.looked_at().await;
    assert_eq!(app.exception_of("SO-1").await["state"]["state"], "open");
}
