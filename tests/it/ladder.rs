//! The ladder of models as a tenant may use it: second provider, tokens counted before they are spent (reliability 10, 25), personal data
//! taken out of what is sent (86).

use std::sync::Arc;
use std::time::Duration;

use countersign::config::Prices;
use countersign::embed::Embedder;
use countersign::embed::openai::OpenAiEmbedder;
use countersign::ladder::{Ladder, Place, Step};
use countersign::llm::openai::{OpenAiChat, ProviderConfig};
use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::seed::order;
use crate::harness::{Engine, Setup, Tenant, TestApp};
use crate::stub_llm::{Script, StubLlm};

const QUESTION: &str = "What is the status of SO-1042?";

fn provider(stub: &StubLlm) -> ProviderConfig {
    ProviderConfig {
        allow_private_network: true,
        first_token_timeout: Duration::from_millis(500),
        total_timeout: Duration::from_millis(1500),
        retries: 0,
        ..ProviderConfig::new(&stub.base_url)
    }
}

fn step(place: Place, stub: &StubLlm, redact: bool) -> Step {
    let name = if place == Place::First { "first-model" } else { "second-model" };
    let prices = Prices { prompt: "3".parse().unwrap(), answer: "15".parse().unwrap(), currency: "USD".into() };
    Step {
        place,
        provider: format!("{name}.example"),
        model: Arc::new(OpenAiChat::new(provider(stub), name, false).unwrap()),
        prices: Some(prices),
        redact,
    }
}

async fn with(engine: Engine, steps: Vec<Step>) -> Option<TestApp> {
    let app = TestApp::with(engine, Setup { llm: Ladder::new(steps), ..Setup::default() }).await?;
    assert!(app.settle(app.a.id()).await);
    Some(app)
}

fn claims(text: &str) -> Script {
    let said = json!({ "claims": [{ "text": text, "evidence": ["E1"] }] }).to_string();
    Script::Text(Box::leak(said.into_boxed_str()))
}

fn shipped() -> Script {
    claims("The status of the order is shipped.")
}

async fn ask(app: &TestApp, tenant: &Tenant, question: &str) -> Value {
    app.post(tenant.key("agent"), "/v1/answers", &json!({ "question": question })).await.ok().json()
}

async fn set_tokens(app: &TestApp, tenant: &Tenant, limit: u64, period: &str) {
    let path = format!("/v1/operator/tenants/{}/quota", tenant.id());
    let quota = json!({ "token_limit": limit, "token_period": period });
    app.call("PUT", &path).key(&app.operator_key).json(&quota).send().await.ok();
}

#[tokio::test]
async fn the_answer_says_which_model_answered_what_it_used_and_what_it_cost() {
    let (first, second) = (StubLlm::start([shipped()]).await, StubLlm::start([shipped()]).await);
    let steps = vec![step(Place::First, &first, false), step(Place::Second, &second, false)];
    let Some(app) = with(Engine::Sqlite, steps).await else { return };
    let answer = ask(&app, &app.a, QUESTION).await;
    assert_eq!((&answer["rung"], &answer["model"]), (&json!("model"), &json!("first-model")));
    assert_eq!(answer["provider"], "first-model.example");
    // The stub counts 7 + 3 tokens: 7 x 3 + 3 x 15 millionths.
    assert_eq!(answer["cost"], json!({ "amount": "0.000066", "currency": "USD" }));
    assert_eq!((&answer["checks"]["prompt_tokens"], &answer["checks"]["completion_tokens"]), (&json!(7), &json!(3)));
    assert_eq!(answer["checks"]["calls"].as_array().unwrap().len(), 1);
    assert!(second.seen().is_empty(), "the second provider is for when the first fails");
}

#[rstest]
#[case::down(Script::Status(500, None))]
#[case::limited(Script::Status(429, None))]
#[case::refused(Script::Status(401, None))]
#[case::slow(Script::SlowFirst(Duration::from_secs(3)))]
#[case::cut(Script::Cut)]
#[case::empty(Script::Empty)]
#[case::malformed(Script::Text("I would say it is shipped."))]
#[tokio::test]
async fn when_the_first_provider_fails_the_second_answers_and_the_answer_says_so(#[case] script: Script) {
    let (first, second) = (StubLlm::start([script]).await, StubLlm::start([shipped()]).await);
    let steps = vec![step(Place::First, &first, false), step(Place::Second, &second, false)];
    let Some(app) = with(Engine::Sqlite, steps).await else { return };
    let answer = ask(&app, &app.a, QUESTION).await;
    assert_eq!((&answer["rung"], &answer["model"]), (&json!("second_model"), &json!("second-model")));
    assert!(answer["prompt_version"].is_string());
    let calls = answer["checks"]["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 2);
    assert!(calls[0]["failed"].is_string() && calls[1]["failed"].is_null(), "{calls:?}");
    assert_eq!(answer["citations"][0]["quote"], "Status: shipped");
}

#[tokio::test]
async fn when_both_fail_the_extractive_rung_answers_and_a_resting_provider_is_not_asked() {
    let failing = || std::iter::repeat_n(Script::Status(500, None), 20);
    let (first, second) = (StubLlm::start(failing()).await, StubLlm::start(failing()).await);
    let steps = vec![step(Place::First, &first, false), step(Place::Second, &second, false)];
    let Some(app) = with(Engine::Sqlite, steps).await else { return };
    for _ in 0..5 {
        let answer = ask(&app, &app.a, QUESTION).await;
        assert_eq!(answer["rung"], "extractive");
        assert!(answer["checks"]["fell_back_because"].as_str().unwrap().contains("failed (status 500)"));
    }
    assert_eq!((first.seen().len(), second.seen().len()), (5, 5));
    // Five failures in a row open a provider's breaker; each has its own.
    let answer = ask(&app, &app.a, QUESTION).await;
    assert_eq!(answer["rung"], "extractive");
    assert_eq!((first.seen().len(), second.seen().len()), (5, 5), "both rest");
    assert_eq!(answer["cost"], json!({ "amount": "0", "currency": "USD" }), "what was not answered costs nothing");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_stops_at_the_tenants_tokens_and_a_new_period_begins_afresh(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let stub = StubLlm::start(std::iter::repeat_n(shipped(), 100)).await;
    let Some(app) = with(engine, vec![step(Place::First, &stub, false)]).await else { return };
    // What one call reserves: learnt from a first one, whose tokens are then settled to 10.
    ask(&app, &app.a, QUESTION).await;
    let prompt: usize = stub.seen()[0].body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| ingest::count_tokens(message["content"].as_str().unwrap()))
        .sum();
    let call = prompt as u64 + 800;
    // Room for some calls at once, reserved, and for more one after the other, as each settles to 10.
    set_tokens(&app, &app.a, call * 4, "day").await;
    let burst = futures::future::join_all((0..30).map(|_| ask(&app, &app.a, QUESTION))).await;
    let by_model = burst.iter().filter(|answer| answer["rung"] == "model").count();
    assert!(by_model >= 1);
    let usage = app.get(app.a.key("admin"), "/v1/usage").await.ok().json();
    let tokens = usage["period"]["tokens"].as_u64().unwrap();
    assert!(tokens <= call * 4, "{tokens} of {}", call * 4);
    assert_eq!(tokens, 10 * (1 + by_model as u64), "every call was settled");
    assert_eq!(stub.seen().len(), 1 + by_model, "a call that is not paid for is not made");

    // Used up: no call, the answer comes from the last rung and says why and until when.
    let mut tx = app.tx(&app.a).await;
    sqlx::query("UPDATE token_use SET completion_tokens = completion_tokens + $2 WHERE tenant_id = $1")
        .bind(tx.tenant_text())
        .bind(i64::try_from(call * 4).unwrap())
        .execute(tx.conn())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let before = stub.seen().len();
    for _ in 0..5 {
        let answer = ask(&app, &app.a, QUESTION).await;
        assert_eq!(answer["rung"], "extractive");
        assert_eq!(answer["citations"][0]["quote"], "Status: shipped");
        let why = answer["checks"]["fell_back_because"].as_str().unwrap();
        assert!(why.contains("used up") && why.contains("2026-03-03"), "{why}");
        assert_eq!(answer["checks"]["calls"], json!([]));
    }
    assert_eq!(stub.seen().len(), before);
    assert_eq!(ask(&app, &app.b, QUESTION).await["rung"], "model", "another tenant's tokens are its own");
    app.app.clock.advance(SignedDuration::from_hours(24));
    assert_eq!(ask(&app, &app.a, QUESTION).await["rung"], "model");
    // The days before still count in a month.
    set_tokens(&app, &app.a, call * 4, "month").await;
    assert_eq!(ask(&app, &app.a, QUESTION).await["rung"], "extractive");
    // Tokens set to 0: no model at all.
    set_tokens(&app, &app.b, 0, "month").await;
    assert_eq!(ask(&app, &app.b, QUESTION).await["rung"], "extractive");

    let usage = app.get(app.a.key("auditor"), "/v1/usage?from=2026-03-01").await.ok().json();
    let days: Vec<&str> = usage["used"].as_array().unwrap().iter().map(|one| one["day"].as_str().unwrap()).collect();
    assert_eq!(days, ["2026-03-03", "2026-03-02"]);
    let first_day = &usage["used"][1];
    let calls = first_day["calls"].as_u64().unwrap();
    assert_eq!(calls, 1 + by_model as u64);
    assert_eq!(first_day["prompt_tokens"], calls * 7);
    assert_eq!(first_day["reserved_tokens"], 0);
    assert_eq!(first_day["cost"], format!("{}", rust_decimal::Decimal::new(66 * calls as i64, 6).normalize()));
    assert_eq!(first_day["provider"], "first-model.example");
}

#[tokio::test]
async fn a_call_that_began_and_failed_is_counted_in_full() {
    let stub =
        StubLlm::start([Script::Cut, Script::Status(500, None), Script::SlowFirst(Duration::from_secs(3))]).await;
    let Some(app) = with(Engine::Sqlite, vec![step(Place::First, &stub, false)]).await else { return };
    let mut counted = Vec::new();
    for _ in 0..3 {
        ask(&app, &app.a, QUESTION).await;
        let usage = app.get(app.a.key("admin"), "/v1/usage").await.ok().json();
        counted.push(usage["period"]["tokens"].as_u64().unwrap());
    }
    assert!(counted[0] > 800, "a cut answer may have been billed: {counted:?}");
    assert_eq!(counted[0], counted[1], "an error of the server is not");
    assert!(counted[2] > counted[0] + 800, "nor can anybody say that a slow one was not: {counted:?}");
}

/// Values of every kind, with the word around which the sweep looks for them.
const PERSONAL: [&str; 4] =
    ["quinn.abara@example.org", "+49 151 23456789", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00"];

fn personal(app: &TestApp) -> Value {
    let mut record = order(&app.a.marker, 8001, "shipped");
    record["fields"]["customer_email"] = json!(PERSONAL[0]);
    record["fields"]["note"] = json!(format!("call {}, card {}, account {}", PERSONAL[1], PERSONAL[2], PERSONAL[3]));
    record
}

#[tokio::test]
async fn personal_data_is_not_sent_and_stands_in_the_answer_all_the_same() {
    let said = claims("The customer email of the order is [email-1].");
    let (first, second) =
        (StubLlm::start([Script::Status(500, None), said.clone()]).await, StubLlm::start([said]).await);
    let steps = vec![step(Place::First, &first, true), step(Place::Second, &second, true)];
    let Some(app) = with(Engine::Sqlite, steps).await else { return };
    app.push_records(app.a.key("integration"), &app.a.source, &[personal(&app)]).await.ok();
    let question = format!("What is the customer email of SO-8001? We think it is {}", PERSONAL[0]);
    for rung in ["second_model", "model"] {
        let answer = ask(&app, &app.a, &question).await;
        assert_eq!(answer["rung"], rung, "{}", answer["checks"]);
        let claim = answer["claims"][0]["text"].as_str().unwrap();
        assert_eq!(claim, format!("The customer email of the order is {}.", PERSONAL[0]));
        assert!(answer["citations"][0]["quote"].as_str().unwrap().contains(PERSONAL[0]), "{}", answer["citations"]);
        assert!(answer["checks"]["calls"][0]["redacted"].as_u64().unwrap() >= 4, "{}", answer["checks"]);
    }
    let mut swept = app.logs.text();
    for stub in [&first, &second] {
        for seen in stub.seen() {
            assert!(seen.body.to_string().contains("[email-"), "the record was sent");
            swept.push_str(&seen.body.to_string());
        }
    }
    for value in PERSONAL {
        let digits: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
        assert!(!swept.contains(value), "{value} was sent or logged");
        assert!(!swept.replace([' ', '-'], "").contains(&digits) || value.contains('@'), "{value} in another spelling");
    }
}

#[tokio::test]
async fn a_placeholder_that_the_model_made_up_is_a_value_that_nothing_supports() {
    let said = claims("The customer email of the order is [email-7].");
    let stub = StubLlm::start([said]).await;
    let Some(app) = with(Engine::Sqlite, vec![step(Place::First, &stub, true)]).await else { return };
    app.push_records(app.a.key("integration"), &app.a.source, &[personal(&app)]).await.ok();
    let answer = ask(&app, &app.a, "What is the customer email of SO-8001?").await;
    assert_eq!(answer["rung"], "extractive");
    assert_eq!(answer["checks"]["refused"], json!(["unsupported_value"]));
    assert!(answer["text"].as_str().unwrap().contains(PERSONAL[0]));
}

#[tokio::test]
async fn an_embedding_provider_gets_no_personal_data_either() {
    let stub = StubLlm::start([Script::Vectors(4), Script::Vectors(4)]).await;
    let embedder = OpenAiEmbedder::new(provider(&stub), "stub-embedder", 4).unwrap().redacting(true);
    assert_eq!(embedder.model_id(), "stub-embedder+redacted", "other vectors, another index");
    let text = format!("Write to {} or call {} about {}, {}", PERSONAL[0], PERSONAL[1], PERSONAL[2], PERSONAL[3]);
    embedder.embed_passages(vec![text.clone()]).await.unwrap();
    embedder.embed_queries(vec![text]).await.unwrap();
    for seen in stub.seen() {
        assert_eq!(seen.body["input"], json!(["Write to email or call phone about card, iban"]));
        assert_eq!(seen.body["model"], "stub-embedder");
    }
}
