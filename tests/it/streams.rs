//! Streams that break off and go on: by event id, in another process, and only for whoever asked.

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Engine, Reply, TestApp};

const QUESTION: &str = "What is the status and the total of SO-1042?";

async fn stream(app: &TestApp, key: &str, after: Option<&str>) -> Reply {
    let mut call = app.call("POST", "/v1/answers").key(key).header("accept", "text/event-stream");
    if let Some(after) = after {
        call = call.header("last-event-id", after);
    }
    call.json(&json!({ "question": QUESTION })).send().await
}

/// Id, name and data of the events that a client would dispatch.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let field = |event: &str, name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    text.split("\n\n")
        .filter_map(|event| {
            let data = field(event, "data: ")?;
            Some((field(event, "id: ")?, field(event, "event: ")?, serde_json::from_str(&data).unwrap()))
        })
        .collect()
}

#[rstest]
#[tokio::test]
async fn a_stream_goes_on_where_it_broke_off_also_after_a_restart(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(mut app) = TestApp::new(engine).await else { return };
    let key = app.a.key("agent").to_owned();
    let whole = events(&stream(&app, &key, None).await.ok().text);
    let names: Vec<&str> = whole.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names, ["claim", "claim", "answer", "done"]);
    let answer = whole[2].2["answer_id"].as_str().unwrap().to_owned();
    assert_eq!(whole[0].0, format!("{answer}.1"));
    let asked = app.count(app.a.id(), "SELECT count(*) FROM answer WHERE tenant_id = $1").await;
    for round in 0..2 {
        for seen in 0..4 {
            let after = format!("{answer}.{seen}");
            let rest = events(&stream(&app, &key, Some(&after)).await.ok().text);
            assert_eq!(rest, whole[seen..], "round {round}, by POST after {seen}");
            let path = format!("/v1/answers/{answer}/events");
            let rest = app.call("GET", &path).key(&key).header("last-event-id", &after).send().await.ok();
            assert_eq!(events(&rest.text), whole[seen..], "round {round}, by GET after {seen}");
        }
        let done = stream(&app, &key, Some(&format!("{answer}.4"))).await;
        assert_eq!(done.status, 204, "nothing is left: a client must not ask again");
        let now = app.count(app.a.id(), "SELECT count(*) FROM answer WHERE tenant_id = $1").await;
        assert_eq!(now, asked, "going on asks nothing again");
        app.restart().await;
    }
    for (id, status) in [("nonsense", 400), (&format!("{}.1", uuid::Uuid::from_u128(7)) as &str, 404)] {
        assert_eq!(stream(&app, &key, Some(id)).await.status, status);
    }
    let stranger = app.a.key("admin").to_owned();
    assert_eq!(stream(&app, &stranger, Some(&format!("{answer}.1"))).await.status, 404);
}

#[rstest]
#[tokio::test]
async fn an_answer_whose_process_died_ends_its_stream_with_an_error(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("agent");
    let answer = app.post(key, "/v1/answers", &json!({ "question": QUESTION })).await.ok().json();
    let id = answer["answer_id"].as_str().unwrap();
    let mut tx = app.tx(&app.a).await;
    sqlx::query(
        "UPDATE answer SET state = 'pending', body = NULL, instance = 'gone' WHERE tenant_id = $1 AND answer_id = $2",
    )
    .bind(tx.tenant_text())
    .bind(id.to_owned())
    .execute(tx.conn())
    .await
    .unwrap();
    tx.commit().await.unwrap();
    if engine == Engine::Postgres {
        // Another replica may still be at it, until it must have given up.
        app.app.clock.advance(jiff::SignedDuration::from_mins(5));
    }
    let text = app.get(key, &format!("/v1/answers/{id}/events")).await.ok().text;
    let events = events(&text);
    assert_eq!(events.len(), 1, "{text}");
    assert_eq!((events[0].1.as_str(), &events[0].2["type"]), ("error", &json!("/problems/interrupted")));
}

#[tokio::test]
async fn access_taken_away_ends_a_stream_in_progress() {
    let Some(app) = TestApp::new(Engine::Sqlite).await else { return };
    let address = app.serve().await;
    let key = app.a.key("agent");
    let answer = app.post(key, "/v1/answers", &json!({ "question": QUESTION })).await.ok().json();
    let id = answer["answer_id"].as_str().unwrap();
    let mut tx = app.tx(&app.a).await;
    sqlx::query("UPDATE answer SET state = 'pending' WHERE tenant_id = $1 AND answer_id = $2")
        .bind(tx.tenant_text())
        .bind(id.to_owned())
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let pending = "UPDATE answer SET instance = $3 WHERE tenant_id = $1 AND answer_id = $2";
    let mut tx = app.tx(&app.a).await;
    sqlx::query(pending)
        .bind(tx.tenant_text())
        .bind(id.to_owned())
        .bind(app.app.instance.to_string())
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let url = format!("http://{address}/v1/answers/{id}/events");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut response = client.get(url).bearer_auth(key).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let path = format!("/v1/keys/{}", app.a.key_ids["agent"]);
    app.call("DELETE", &path).key(app.a.key("admin")).once().send().await.ok();
    let mut text = String::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    let events = events(&text);
    assert_eq!(events.last().unwrap().1, "error", "{text}");
    assert_eq!(events.last().unwrap().2["type"], "/problems/unauthenticated");
    assert!(!text.contains("84.00"), "{text}");
}
