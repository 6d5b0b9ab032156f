//! Follow-ups, the history of answers, and who sees them (reliability 61, 63, 64).

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::seed::{order, policy};
use crate::harness::{Engine, Setup, TestApp};

async fn open(app: &TestApp, key: &str) -> String {
    let opened = app.call("POST", "/v1/conversations").key(key).once().json(&json!({})).send().await.ok().json();
    opened["conversation_id"].as_str().unwrap().to_owned()
}

async fn ask(app: &TestApp, key: &str, conversation: &str, question: &str) -> Value {
    app.post(key, "/v1/answers", &json!({ "question": question, "conversation_id": conversation })).await.ok().json()
}

fn text(answer: &Value) -> &str {
    answer["text"].as_str().unwrap()
}

async fn two_orders(app: &TestApp) {
    let mut second = order(&app.a.marker, 1043, "open");
    second["fields"]["promised_date"] = json!("2026-03-20");
    second["fields"]["total"] = json!("129.50 EUR");
    app.push_records(app.a.key("integration"), &app.a.source, &[second]).await.ok();
}

#[rstest]
#[tokio::test]
async fn a_follow_up_is_understood_from_the_turns_before_and_says_how(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    two_orders(&app).await;
    let key = app.a.key("agent");
    let conversation = open(&app, key).await;
    let first = ask(&app, key, &conversation, "What is the status of SO-1042?").await;
    assert!(text(&first).contains("shipped") && first["understood"].get("question").is_none(), "{first}");
    let total = ask(&app, key, &conversation, "and the total?").await;
    assert!(text(&total).contains("84.00 EUR"), "{}", text(&total));
    assert_eq!(total["understood"]["question"], "the total (SO-1042)?");
    let other = ask(&app, key, &conversation, "what about SO-1043?").await;
    assert!(text(&other).contains("129.50 EUR") && !text(&other).contains("84.00"), "{}", text(&other));
    let back = ask(&app, key, &conversation, "and what is the status of the other one?").await;
    assert!(text(&back).contains("shipped"), "{}", text(&back));
    let fresh = ask(&app, key, &conversation, "Who decides about refunds above 100.00 EUR today?").await;
    assert!(fresh["understood"].get("question").is_none() && fresh["abstained"] == false, "{fresh}");
    let shown = app.get(key, &format!("/v1/conversations/{conversation}")).await.ok().json();
    let turns: Vec<i64> =
        shown["answers"].as_array().unwrap().iter().map(|one| one["turn"].as_i64().unwrap()).collect();
    assert_eq!(turns, [1, 2, 3, 4, 5]);
    assert_eq!(shown["answers"][1]["answer"], total, "shown again as it was sent");
}

#[tokio::test]
async fn a_chat_client_keeps_its_own_conversation() {
    let Some(app) = TestApp::new(Engine::Sqlite).await else { return };
    two_orders(&app).await;
    let messages = json!([
        { "role": "system", "content": "Be brief about SO-9." },
        { "role": "user", "content": "What is the status of SO-1042?" },
        { "role": "assistant", "content": "Shipped. SO-1043 is of the same customer." },
        { "role": "user", "content": "and its total?" },
    ]);
    let body = json!({ "model": "countersign", "messages": messages });
    let reply = app.post(app.a.key("agent"), "/v1/chat/completions", &body).await.ok().json();
    assert!(reply["choices"][0]["message"]["content"].as_str().unwrap().contains("84.00 EUR"), "{reply}");
    assert_eq!(reply["countersign"]["understood"]["question"], "its total (SO-1042)?");
    let mut other = messages.clone();
    other[3]["content"] = json!("what is the total of the other one?");
    let body = json!({ "model": "countersign", "messages": other });
    let reply = app.post(app.a.key("agent"), "/v1/chat/completions", &body).await.ok().json();
    assert!(reply["choices"][0]["message"]["content"].as_str().unwrap().contains("129.50 EUR"), "{reply}");
}

#[rstest]
#[tokio::test]
async fn a_conversation_belongs_to_whoever_opened_it(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let (agent, admin) = (app.a.key("agent"), app.a.key("admin"));
    let conversation = open(&app, agent).await;
    let answer = ask(&app, agent, &conversation, "What is the status of SO-1042?").await;
    let id = answer["answer_id"].as_str().unwrap();
    for stranger in [admin, app.a.key("auditor"), app.a.key("integration"), app.b.key("agent")] {
        for path in [
            format!("/v1/conversations/{conversation}"),
            format!("/v1/answers/{id}"),
            format!("/v1/answers/{id}/events"),
        ] {
            app.get(stranger, &path).await.refused(404, "/problems/not-found");
        }
        let body = json!({ "question": "and the total?", "conversation_id": conversation });
        app.post(stranger, "/v1/answers", &body).await.refused(404, "/problems/not-found");
        let path = format!("/v1/answers/{id}/feedback");
        app.call("POST", &path)
            .key(stranger)
            .once()
            .json(&json!({ "helpful": true }))
            .send()
            .await
            .refused(404, "/problems/not-found");
        let path = format!("/v1/conversations/{conversation}");
        app.call("DELETE", &path).key(stranger).once().send().await.refused(404, "/problems/not-found");
        let listed = app.get(stranger, "/v1/conversations").await.ok().text;
        assert!(!listed.contains(&conversation));
        assert!(!app.get(stranger, "/v1/answers").await.ok().text.contains(id));
    }
    assert!(app.get(agent, "/v1/answers").await.ok().text.contains(id));
    let path = format!("/v1/conversations/{conversation}");
    app.call("DELETE", &path).key(agent).once().send().await.ok();
    app.get(agent, &path).await.refused(404, "/problems/not-found");
    app.get(agent, &format!("/v1/answers/{id}")).await.refused(404, "/problems/not-found");
    let left = "SELECT count(*) FROM answer WHERE tenant_id = $1 AND conversation_id IS NOT NULL";
    assert_eq!(app.count(app.a.id(), left).await, 1, "the administrator's own stays");
    let events = app.get(app.a.key("auditor"), "/v1/audit/events?limit=200").await.ok().text;
    for told in ["answer.given", "conversation.deleted", id] {
        assert!(events.contains(told), "{told}");
    }
    assert!(!events.contains("status of SO-1042"), "the trail holds hashes, no questions");
}

#[rstest]
#[tokio::test]
async fn what_a_role_lost_or_a_source_took_back_is_not_shown_again(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let (approver, user) = (app.a.key("approver"), app.a.users["approver"].clone());
    let conversation = open(&app, approver).await;
    let cost = ask(&app, approver, &conversation, "What is the standard cost of SKU-7?").await;
    assert!(text(&cost).contains("4137.77") || text(&cost).contains("4,137.77"), "{}", text(&cost));
    let id = cost["answer_id"].as_str().unwrap();
    let change = json!({ "roles": ["agent"] });
    app.call("PATCH", &format!("/v1/users/{user}")).key(app.a.key("admin")).once().json(&change).send().await.ok();
    for path in [
        format!("/v1/answers/{id}"),
        format!("/v1/conversations/{conversation}"),
        "/v1/answers".to_owned(),
        format!("/v1/answers/{id}/events"),
    ] {
        let shown = app.get(approver, &path).await.ok().text;
        assert!(!shown.contains("137.77"), "{path}: {shown}");
        assert!(shown.contains("withdrawn"), "{path}: {shown}");
    }
    // The follow-up is answered with the eyes of now.
    let again = ask(&app, approver, &conversation, "and its standard cost again?").await;
    assert!(!again.to_string().contains("137.77"), "{again}");

    let agent = app.a.key("agent");
    let conversation = open(&app, agent).await;
    let told = ask(&app, agent, &conversation, "Who decides about refunds?").await;
    assert!(text(&told).contains("desk of"), "{}", text(&told));
    app.call("DELETE", &format!("/v1/sources/{}", app.a.source)).key(app.a.key("admin")).once().send().await.ok();
    let shown = app.get(agent, &format!("/v1/conversations/{conversation}")).await.ok().text;
    assert!(!shown.contains("desk of") && shown.contains("withdrawn"), "{shown}");
    let again = ask(&app, agent, &conversation, "and who decides that?").await;
    assert_eq!(again["abstained"], true, "{again}");
}

#[rstest]
#[tokio::test]
async fn feedback_becomes_cases_to_measure_with(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let agent = app.a.key("agent");
    let conversation = open(&app, agent).await;
    ask(&app, agent, &conversation, "What is the status of SO-1042?").await;
    let answer = ask(&app, agent, &conversation, "and the total?").await;
    let path = format!("/v1/answers/{}/feedback", answer["answer_id"].as_str().unwrap());
    let give = |opinion: Value| app.call("POST", &path).key(agent).once().json(&opinion).send();
    give(json!({ "helpful": true })).await.ok();
    give(json!({ "helpful": false, "reason": "incomplete", "comment": "without tax?" })).await.ok();
    give(json!({ "helpful": false, "reason": "unheard_of" })).await.refused(422, "/problems/body");
    give(json!({ "helpful": true, "comment": "x".repeat(2_001) })).await.refused(422, "/problems/invalid");
    app.get(agent, "/v1/feedback").await.refused(403, "/problems/forbidden");
    let cases = app.get(app.a.key("admin"), "/v1/feedback").await.ok().json();
    let case = cases["cases"].as_array().unwrap().iter().find(|case| case["id"] == answer["answer_id"]).unwrap();
    assert_eq!(case["question"], "the total (SO-1042)?", "it stands alone");
    assert_eq!((&case["helpful"], &case["reason"]), (&json!(false), &json!("incomplete")));
    assert_eq!(case["records"], json!(["order/SO-1042"]));
}

#[rstest]
#[tokio::test]
async fn answers_end_with_their_retention(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let agent = app.a.key("agent");
    let conversation = open(&app, agent).await;
    let answer = ask(&app, agent, &conversation, "What is the status of SO-1042?").await;
    let path = format!("/v1/answers/{}", answer["answer_id"].as_str().unwrap());
    app.app.clock.advance(SignedDuration::from_hours(24 * 89));
    app.get(agent, &path).await.ok();
    app.app.clock.advance(SignedDuration::from_hours(48));
    app.get(agent, &path).await.refused(404, "/problems/not-found");
    app.get(agent, &format!("/v1/conversations/{conversation}")).await.refused(404, "/problems/not-found");
    assert_eq!(app.get(agent, "/v1/answers").await.ok().json()["answers"], json!([]));
    let now = app.app.clock.now();
    let swept = countersign::conversation::retention::sweep(&app.app.store, app.a.id(), 90, now).await.unwrap();
    assert_eq!(swept, 2, "the agent's and the seeded one of the administrator");
    for table in ["answer", "conversation", "answer_feedback"] {
        let rows = |tenant| {
            app.count(
                tenant,
                match table {
                    "answer" => "SELECT count(*) FROM answer WHERE tenant_id = $1",
                    "conversation" => "SELECT count(*) FROM conversation WHERE tenant_id = $1",
                    _ => "SELECT count(*) FROM answer_feedback WHERE tenant_id = $1",
                },
            )
        };
        assert_eq!((rows(app.a.id()).await, rows(app.b.id()).await), (0, 1), "{table}");
    }
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
}

#[tokio::test]
async fn with_history_off_nothing_is_kept() {
    let mut setup = Setup::default();
    setup.config.history.retention_days = 0;
    let Some(app) = TestApp::with(Engine::Sqlite, setup).await else { return };
    let agent = app.a.key("agent");
    app.call("POST", "/v1/conversations")
        .key(agent)
        .once()
        .json(&json!({}))
        .send()
        .await
        .refused(409, "/problems/no-history");
    let body = json!({ "question": "What is the status of SO-1042?" });
    app.post(agent, "/v1/answers", &body).await.ok();
    let streamed =
        app.call("POST", "/v1/answers").key(agent).header("accept", "text/event-stream").json(&body).send().await.ok();
    assert!(streamed.text.contains("event: done"), "{}", streamed.text);
    assert_eq!(app.count(app.a.id(), "SELECT count(*) FROM answer WHERE tenant_id = $1").await, 0);
}

#[rstest]
#[tokio::test]
async fn a_conversation_is_bounded(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let agent = app.a.key("agent");
    let conversation = open(&app, agent).await;
    let mut tx = app.tx(&app.a).await;
    sqlx::query("UPDATE conversation SET turns = $2 WHERE tenant_id = $1 AND conversation_id = $3")
        .bind(tx.tenant_text())
        .bind(countersign::conversation::TURNS_MAX)
        .bind(conversation.clone())
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let body = json!({ "question": "What is the status of SO-1042?", "conversation_id": conversation });
    app.post(agent, "/v1/answers", &body).await.refused(409, "/problems/conversation-full");
    let title = json!({ "title": "x".repeat(201) });
    app.call("POST", "/v1/conversations").key(agent).once().json(&title).send().await.refused(422, "/problems/invalid");
}

#[rstest]
#[tokio::test]
async fn two_live_sources_that_disagree_are_both_stated(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let (agent, push) = (app.a.key("agent"), app.a.key("integration"));
    let mut other = order(&app.a.marker, 1042, "cancelled");
    other["fields"].as_object_mut().unwrap().remove("total");
    app.push_records(push, "shop", &[other]).await.ok();
    let ask = async |question: &str| app.post(agent, "/v1/answers", &json!({ "question": question })).await.ok().json();
    let answer = ask("What is the status and total of SO-1042?").await;
    assert!(text(&answer).contains("shipped") && text(&answer).contains("cancelled"), "{}", text(&answer));
    assert_eq!(answer["conflicts"].as_array().unwrap().len(), 1, "{answer}");
    assert!(text(&answer).contains("do not agree"), "{}", text(&answer));

    let clause = |days: u32| format!("Goods may be sent back within {days} days of delivery.");
    for (source, id, days) in [("rules", "WIN-1", 30), ("handbook", "WIN-A", 45)] {
        let document = policy(&app.a.marker, id, "2025-01-01", &[], &clause(days));
        app.push_documents(push, source, &[document]).await.ok();
    }
    assert!(app.settle(app.a.id()).await);
    let question = "Within how many days of delivery may goods be sent back?";
    let answer = ask(question).await;
    assert!(text(&answer).contains("30 days") && text(&answer).contains("45 days"), "{}", text(&answer));
    assert_eq!(answer["conflicts"][0]["claims"].as_array().unwrap().len(), 2, "{answer}");
    // One of them goes: nothing disagrees any more.
    app.call("DELETE", "/v1/sources/handbook").key(app.a.key("admin")).once().send().await.ok();
    let answer = ask(question).await;
    assert!(text(&answer).contains("30 days") && !text(&answer).contains("45 days"), "{}", text(&answer));
    assert_eq!(answer["conflicts"], json!([]));
}
