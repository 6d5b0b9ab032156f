//! Numbers over records: typed queries against plain loops, costs and audiences, answers that state, cite and re-derive them, and say what
//! they did not understand. Both engines.

use std::sync::Arc;
use std::time::Duration;

use countersign::llm::openai::{OpenAiChat, ProviderConfig};
use countersign::secret::Secret;
use rstest::rstest;
use serde_json::{Value, json};
use sqlx::Row;

use crate::harness::{Engine, Setup, TestApp};
use crate::stub_llm::{Script, StubLlm};

/// number, status, held since, customer, ordered, total, promised, delivered
type OrderRow = (
    u32,
    &'static str,
    Option<&'static str>,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

const ORDERS: &[OrderRow] = &[
    (1, "on_hold", Some("2026-02-20"), "C-1", "2026-02-19", "100.10 EUR", "2026-03-10", None),
    (2, "on_hold", Some("2026-03-01"), "C-2", "2026-02-27", "50.00 EUR", "2026-03-10", None),
    (3, "on_hold", Some("2026-02-25"), "C-2", "2026-02-24", "30.05 USD", "2026-03-10", None),
    (4, "delivered", None, "C-1", "2026-01-10", "20.00 EUR", "2026-01-15", Some("2026-01-17")),
    (5, "delivered", None, "C-3", "2026-01-11", "70.00 EUR", "2026-01-15", Some("2026-01-14")),
    (6, "shipped", None, "C-3", "2026-02-01", "80.00 EUR", "2026-02-10", None),
    (7, "cancelled", None, "C-1", "2026-02-02", "90.00 EUR", "2026-02-12", None),
];

async fn shop(engine: Engine, setup: Setup) -> Option<TestApp> {
    let app = TestApp::with(engine, setup).await?;
    let mut records: Vec<Value> = ORDERS
        .iter()
        .map(|(number, status, held, customer, ordered, total, promised, delivered)| {
            let mut fields = json!({ "number": format!("X-{number}"), "status": status, "customer_id": customer, "ordered_at": ordered,
                "total": total, "promised_date": promised });
            if let Some(held) = held {
                fields["hold_since"] = json!(held);
                fields["hold_kind"] = json!("credit");
            }
            if let Some(delivered) = delivered {
                fields["delivered_at"] = json!(delivered);
            }
            json!({ "kind": "order", "external_id": format!("X-{number}"), "fields": fields,
                "lines": [{ "sku": format!("P-{}", number % 2), "quantity": number }] })
        })
        .collect();
    for (id, name, group) in
        [("C-1", "Nordlicht Cafe", "trade"), ("C-2", "Ostwind Hotels", "wholesale"), ("C-3", "Ada Brandt", "retail")]
    {
        let fields = json!({ "number": id, "name": name, "group": group, "payment_terms": "30 days", "email": format!("{id}@example.com") });
        records.push(json!({ "kind": "customer", "external_id": id, "fields": fields, "extra": { "customer_type": if group == "retail" { "consumer" } else { "trade" } } }));
    }
    for (id, order) in [("INV-3005", "X-5"), ("INV-3006", "X-6")] {
        records.push(json!({ "kind": "customer_invoice", "external_id": id, "fields": { "number": id, "order_number": order, "customer_id": "C-3",
            "due_date": "2026-02-20", "total": "70.00 EUR", "balance_due": "70.00 EUR", "status": "open" } }));
    }
    app.push_records(app.a.key("integration"), "shop", &records).await.ok();
    Some(app)
}

async fn query(app: &TestApp, role: &str, query: Value) -> Value {
    app.post(app.a.key(role), "/v1/queries", &json!({ "query": query, "rows": 50 })).await.ok().json()
}

async fn ask(app: &TestApp, role: &str, question: &str) -> Value {
    app.post(app.a.key(role), "/v1/answers", &json!({ "question": question })).await.ok().json()
}

fn ids(result: &Value) -> Vec<&str> {
    let mut ids: Vec<&str> =
        result["rows"].as_array().unwrap().iter().map(|row| row["external_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

fn figures(figures: &Value) -> Vec<String> {
    let own = figures.as_array().unwrap().iter();
    own.map(|one| {
        format!("{} {}", one["value"].as_str().unwrap_or("-"), one["currency"].as_str().unwrap_or("")).trim().to_owned()
    })
    .collect()
}

#[rstest]
#[case::status(json!([{ "field": "status", "op": "eq", "values": ["on_hold"] }]), &["X-1", "X-2", "X-3"])]
#[case::several_values(json!([{ "field": "status", "op": "eq", "values": ["shipped", "cancelled"] }]), &["SO-1042", "X-6", "X-7"])]
#[case::not_a_value(json!([{ "field": "hold_kind", "op": "ne", "values": ["credit"] }]), &["SO-1042", "X-4", "X-5", "X-6", "X-7"])]
#[case::before_a_day(json!([{ "field": "hold_since", "op": "lt", "values": ["today-3d"] }]), &["X-1", "X-3"])]
#[case::amount_of_a_currency(json!([{ "field": "total", "op": "gt", "values": ["30 USD"] }]), &["X-3"])]
#[case::amount_of_any(json!([{ "field": "total", "op": "ge", "values": ["90"] }]), &["X-1", "X-7"])]
#[case::two_fields(json!([{ "field": "delivered_at", "op": "gt", "than": "promised_date" }]), &["X-4"])]
#[case::missing(json!([{ "field": "ordered_at", "op": "missing" }]), &["SO-1042"])]
#[case::over_a_link(json!([{ "field": "customer_id.group", "op": "eq", "values": ["retail"] }]), &["X-5", "X-6"])]
#[case::referred_by(json!([{ "field": "customer_invoice", "op": "referred_by" }]), &["X-5", "X-6"])]
#[case::not_referred_by(json!([{ "field": "customer_invoice", "op": "not_referred_by" }, { "field": "status", "op": "eq", "values": ["delivered"] }]), &["X-4"])]
#[case::refers_to(json!([{ "field": "product", "op": "refers_to", "values": ["P-0"] }]), &["X-2", "X-4", "X-6"])]
#[case::sum_over_lines(json!([{ "field": "lines.quantity", "op": "gt", "values": ["5"] }]), &["X-6", "X-7"])]
#[tokio::test]
async fn each_condition_finds_exactly_the_records_that_meet_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[case] filters: Value,
    #[case] expected: &[&str],
) {
    let Some(app) = shop(engine, Setup::default()).await else { return };
    let result = query(&app, "agent", json!({ "kind": "order", "filters": filters })).await;
    assert_eq!(ids(&result), expected);
    assert_eq!(result["total"], expected.len(), "{result}");
}

#[rstest]
#[tokio::test]
async fn sums_are_exact_and_never_taken_over_two_currencies(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = shop(engine, Setup::default()).await else { return };
    let held = json!([{ "field": "status", "op": "eq", "values": ["on_hold"] }]);
    let measures = json!([{ "measure": "count" }, { "measure": "sum", "field": "total" }, { "measure": "average", "field": "total" },
        { "measure": "max", "since": "hold_since" }]);
    let result = query(&app, "agent", json!({ "kind": "order", "filters": held, "measures": measures })).await;
    assert_eq!(figures(&result["figures"][0]), ["3"]);
    assert_eq!(figures(&result["figures"][1]), ["150.10 EUR", "30.05 USD"]);
    assert_eq!(figures(&result["figures"][2]), ["75.05 EUR", "30.05 USD"]);
    assert_eq!(figures(&result["figures"][3]), ["10"]);

    let by_customer = json!({ "kind": "order", "group_by": { "field": "customer_id" }, "measures": [{ "measure": "count" }, { "measure": "sum", "field": "total" }],
        "filters": [{ "field": "ordered_at", "op": "present" }] });
    let result = query(&app, "agent", by_customer).await;
    let groups: Vec<(&str, &str, Vec<String>)> = result["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (group["key"].as_str().unwrap(), group["label"].as_str().unwrap(), figures(&group["figures"][1])))
        .collect();
    assert_eq!(groups[0], ("C-1", "Nordlicht Cafe", vec!["210.10 EUR".to_owned()]));
    assert_eq!(groups[1].2, ["50.00 EUR", "30.05 USD"]);

    let by_month = json!({ "kind": "order", "group_by": { "field": "ordered_at", "each": "month" }, "filters": [{ "field": "ordered_at", "op": "present" }] });
    let result = query(&app, "agent", by_month).await;
    let months: Vec<String> = result["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| format!("{} {}", group["key"].as_str().unwrap(), figures(&group["figures"][0])[0]))
        .collect();
    assert_eq!(months, ["2026-01 2", "2026-02 5"]);

    let by_product = json!({ "kind": "order", "group_by": { "linked": "product" }, "filters": [{ "field": "ordered_at", "op": "present" }] });
    let result = query(&app, "agent", by_product).await;
    assert_eq!(
        (result["groups"][0]["key"].as_str(), figures(&result["groups"][0]["figures"][0])),
        (Some("P-1"), vec!["4".to_owned()])
    );
}

#[rstest]
#[tokio::test]
async fn rows_are_paged_in_a_fixed_order(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = shop(engine, Setup::default()).await else { return };
    let query = json!({ "kind": "order", "order_by": { "field": "total", "descending": true }, "filters": [{ "field": "ordered_at", "op": "present" }] });
    let mut seen = Vec::new();
    for offset in [0, 3, 6, 9] {
        let body = json!({ "query": query, "rows": 3, "offset": offset });
        let page = app.post(app.a.key("agent"), "/v1/queries", &body).await.ok().json();
        assert_eq!(page["total"], 7);
        seen.extend(page["rows"].as_array().unwrap().iter().map(|row| row["external_id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(seen, ["X-1", "X-7", "X-6", "X-5", "X-2", "X-3", "X-4"]);
    app.post(app.a.key("agent"), "/v1/queries", &json!({ "query": query, "rows": 201 }))
        .await
        .refused(422, "/problems/page");
}

#[rstest]
#[tokio::test]
async fn costs_other_audiences_and_what_is_gone_are_not_counted(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = shop(engine, Setup::default()).await else { return };
    let cost = json!({ "kind": "product", "measures": [{ "measure": "sum", "field": "standard_cost" }] });
    for role in ["agent", "reviewer", "integration"] {
        for query in [
            cost.clone(),
            json!({ "kind": "product", "filters": [{ "field": "standard_cost", "op": "gt", "values": ["1"] }] }),
            json!({ "kind": "product", "order_by": { "field": "standard_cost" } }),
            json!({ "kind": "stock_level", "filters": [{ "field": "sku.standard_cost", "op": "gt", "values": ["1"] }] }),
        ] {
            let reply = app.post(app.a.key(role), "/v1/queries", &json!({ "query": query })).await;
            assert_eq!(reply.status, 422, "{role}: {}", reply.text);
            assert!(!reply.text.contains("4137.77"));
        }
    }
    assert_eq!(figures(&query(&app, "admin", cost).await["figures"][0]), ["4137.77 EUR"]);

    let secret = json!({ "kind": "order", "external_id": "X-99", "audience": ["approver"], "fields": { "number": "X-99", "status": "on_hold", "total": "5.00 EUR" } });
    app.push_records(app.a.key("integration"), "shop", &[secret]).await.ok();
    let held = json!({ "kind": "order", "filters": [{ "field": "status", "op": "eq", "values": ["on_hold"] }] });
    assert_eq!(query(&app, "approver", held.clone()).await["total"], 4);
    assert_eq!(query(&app, "agent", held.clone()).await["total"], 3);
    let foreign = app.post(app.b.key("admin"), "/v1/queries", &json!({ "query": held })).await.ok().json();
    assert_eq!(foreign["total"], 0);

    // A new version replaces the old one's facts; a deleted source's are gone.
    let released = json!({ "kind": "order", "external_id": "X-1", "fields": { "number": "X-1", "status": "released", "total": "100.10 EUR" } });
    app.push_records(app.a.key("integration"), "shop", &[released]).await.ok();
    assert_eq!(query(&app, "agent", held.clone()).await["total"], 2);
    app.call("DELETE", "/v1/sources/shop").key(app.a.key("admin")).send().await.ok();
    assert_eq!(query(&app, "agent", held).await["total"], 0);
}

#[rstest]
#[tokio::test]
async fn records_of_an_earlier_program_are_counted_after_their_facts_were_written(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = shop(engine, Setup::default()).await else { return };
    let all = json!({ "kind": "order" });
    assert_eq!(query(&app, "agent", all.clone()).await["total"], 8);
    let mut tx = app.tx(&app.a).await;
    for statement in [
        "DELETE FROM record_fact WHERE tenant_id = $1",
        "DELETE FROM record_value WHERE tenant_id = $1",
        "DELETE FROM record_name WHERE tenant_id = $1",
        "UPDATE tenant SET facts_layout = 'older' WHERE tenant_id = $1",
    ] {
        sqlx::query(statement).bind(tx.tenant_text()).execute(tx.conn()).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(query(&app, "agent", all).await["total"], 8);
    let answer = ask(&app, "agent", "how many orders of Nordlicht Cafe are on hold?").await;
    assert!(answer["text"].as_str().unwrap().starts_with("1 orders"), "{}", answer["text"]);
}

#[rstest]
#[tokio::test]
async fn a_number_is_stated_with_its_conditions_its_rows_and_its_query(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = shop(engine, Setup::default()).await else { return };
    let answer = ask(&app, "agent", "How many ordres are on hold for more than 3 days, and what are they worth?").await;
    let text = answer["text"].as_str().unwrap();
    assert_eq!(answer["abstained"], false, "{text}");
    assert!(text.contains("2 orders with Status on hold, Held since before 2026-02-27, as of 2026-03-02."), "{text}");
    assert!(text.contains("100.10 EUR and 30.05 USD"), "{text}");
    assert_eq!(answer["claims"][0]["how"], "computed");
    let cited: Vec<&str> =
        answer["citations"].as_array().unwrap().iter().map(|one| one["quote"].as_str().unwrap()).collect();
    assert!(cited.contains(&"Held since: 2026-02-20") && cited.contains(&"Total: 30.05 USD"), "{cited:?}");
    let computed = &answer["computed"][0];
    assert_eq!((computed["total"].as_i64(), computed["rederived_all"].as_bool()), (Some(2), Some(true)));
    let again = query(&app, "agent", computed["query"].clone()).await;
    assert_eq!(
        (again["total"].clone(), again["figures"].clone()),
        (computed["total"].clone(), computed["figures"].clone())
    );
    assert_eq!(ids(&again), ["X-1", "X-3"]);
}

#[rstest]
#[tokio::test]
async fn a_number_that_its_records_do_not_confirm_is_not_stated(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = shop(engine, Setup::default()).await else { return };
    let question = "How many orders are on hold and what are they worth?";
    assert_eq!(ask(&app, "agent", question).await["abstained"], false);
    let mut tx = app.tx(&app.a).await;
    let row =
        sqlx::query("SELECT count(*) FROM record_fact WHERE tenant_id = $1 AND kind = 'order' AND external_id = 'X-1'")
            .bind(tx.tenant_text())
            .fetch_one(tx.conn())
            .await
            .unwrap();
    assert_eq!(row.get::<i64, _>(0), 1);
    // Every amount of the row, whichever column the total has.
    for column in 0..10 {
        let statement = format!(
            "UPDATE record_fact SET m{column} = m{column} + 1000000 WHERE tenant_id = $1 AND external_id = 'X-1'"
        );
        sqlx::query(sqlx::AssertSqlSafe(statement)).bind(tx.tenant_text()).execute(tx.conn()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let answer = ask(&app, "agent", question).await;
    assert_eq!(answer["abstained"], true, "{}", answer["text"]);
    assert!(answer["text"].as_str().unwrap().contains("could not be confirmed"), "{}", answer["text"]);
}

#[rstest]
#[case("how many purple orders are on hold?", "purple")]
#[case("how many orders are on hold except those of Ostwind Hotels?", "except")]
#[case("list the orders on hold that were gift wrapped", "gift")]
#[tokio::test]
async fn a_condition_that_is_not_understood_is_named_and_nothing_is_computed(
    #[case] question: &str,
    #[case] word: &str,
) {
    let Some(app) = shop(Engine::Sqlite, Setup::default()).await else { return };
    let answer = ask(&app, "agent", question).await;
    assert_eq!(answer["abstained"], true, "{}", answer["text"]);
    assert!(answer["text"].as_str().unwrap().contains(&format!("“{word}”")), "{}", answer["text"]);
    assert_eq!(answer["computed"], json!([]));
}

#[rstest]
#[tokio::test]
async fn a_question_over_links_names_the_chain_and_the_field_at_its_end(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = shop(engine, Setup::default()).await else { return };
    let answer = ask(&app, "agent", "Which payment terms apply to the customer of INV-3005?").await;
    let text = answer["text"].as_str().unwrap();
    assert!(text.contains("30 days"), "{text}");
    let cited: Vec<&str> = answer["citations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["record"]["external_id"].as_str().unwrap())
        .collect();
    assert!(cited.contains(&"C-3") && cited.contains(&"INV-3005"), "{cited:?} {text}");
}

#[rstest]
#[tokio::test]
async fn whose_record_it_is_decides_whose_policy_is_quoted_and_the_term_is_counted(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = shop(engine, Setup::default()).await else { return };
    let policy = |id: &str, who: &str, days: u32| {
        json!({ "external_id": format!("policies/{id}"), "kind": "policy", "title": format!("Returns of {who} customers"),
            "content": format!("# Returns\n\nAn order may be returned within {days} calendar days after delivery.\n"),
            "meta": { "policy_id": id, "effective_from": "2025-01-01", "effective_to": null, "supersedes": [], "scope": { "customer_type": [who] }, "audience": [], "extra": {} } })
    };
    app.push_documents(
        app.a.key("integration"),
        "rules",
        &[policy("RET-C", "consumer", 60), policy("RET-T", "trade", 14)],
    )
    .await
    .ok();
    assert!(app.settle(app.a.id()).await);
    let consumer = ask(&app, "agent", "May order X-5 still be returned?").await;
    let text = consumer["text"].as_str().unwrap();
    assert!(text.contains("60 calendar days") && !text.contains("14 calendar days"), "{text}");
    assert!(text.contains("customer_type: consumer"), "{text}");
    assert!(text.contains("60 days after Delivered 2026-01-14 end on 2026-03-15, 13 days after 2026-03-02."), "{text}");
    let trade = ask(&app, "agent", "May order X-4 still be returned?").await;
    let text = trade["text"].as_str().unwrap();
    assert!(text.contains("14 calendar days") && !text.contains("60 calendar days"), "{text}");
}

#[rstest]
#[tokio::test]
async fn what_changed_is_answered_from_both_versions(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = shop(engine, Setup::default()).await else { return };
    let changed = json!({ "kind": "order", "external_id": "X-6", "fields": { "number": "X-6", "status": "delivered", "customer_id": "C-3", "ordered_at": "2026-02-01",
        "total": "80.00 EUR", "promised_date": "2026-02-10", "delivered_at": "2026-03-02" }, "lines": [{ "sku": "P-0", "quantity": 6 }] });
    app.push_records(app.a.key("integration"), "shop", &[changed]).await.ok();
    let answer = ask(&app, "agent", "When did the status of order X-6 change?").await;
    let text = answer["text"].as_str().unwrap();
    assert!(
        text.contains("Status changed from shipped to delivered in version 2") && text.contains("from shop"),
        "{text}"
    );
    let versions: Vec<(i64, &str)> = answer["citations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["record"]["version"].as_i64().unwrap(), one["quote"].as_str().unwrap()))
        .collect();
    assert!(versions.contains(&(1, "Status: shipped")) && versions.contains(&(2, "Status: delivered")), "{versions:?}");
    let before = ask(&app, "agent", "What changed on order X-6 before 2026-02-01?").await;
    assert_eq!(before["abstained"], true, "{}", before["text"]);
    let id = app.record_id(app.a.key("agent"), "order", "X-6").await.unwrap();
    let history = app.get(app.a.key("agent"), &format!("/v1/records/{id}/versions")).await.ok().json();
    let change =
        history[0]["changes"].as_array().unwrap().iter().find(|change| change["field"] == "status").unwrap().clone();
    assert_eq!((change["from"].as_str(), change["to"].as_str()), (Some("shipped"), Some("delivered")));
    assert_eq!(history[0]["source"], "shop");
}

#[tokio::test]
async fn old_and_new_costs_are_in_no_history_of_roles_that_do_not_see_them() {
    let Some(app) = TestApp::new(Engine::Sqlite).await else { return };
    let mut dearer = crate::harness::seed::product(&app.a.marker);
    dearer["fields"]["standard_cost"] = json!("4999.01 EUR");
    app.push_records(app.a.key("integration"), &app.a.source, &[dearer]).await.ok();
    for (role, sees) in [("agent", false), ("approver", true)] {
        let history =
            app.get(app.a.key(role), &format!("/v1/records/{}/versions", app.a.records["product"])).await.ok().text;
        let answer = ask(&app, role, "What changed on SKU-7?").await.to_string();
        for text in [history, answer] {
            assert_eq!(text.contains("4999.01"), sees, "{role}: {text}");
            assert_eq!(text.contains("4137.77"), sees, "{role}: {text}");
        }
    }
}

async fn with_model(scripts: Vec<Script>) -> (TestApp, StubLlm) {
    let stub = StubLlm::start(scripts).await;
    let provider = ProviderConfig {
        key: Some(Secret::new("sk-test-provider-key-0002")),
        allow_private_network: true,
        total_timeout: Duration::from_millis(1500),
        retries: 0,
        ..ProviderConfig::new(&stub.base_url)
    };
    let model = OpenAiChat::new(provider, "stub-model", false).unwrap();
    let setup = Setup { llm: Some(Arc::new(model) as _).into(), ..Setup::default() };
    (shop(Engine::Sqlite, setup).await.expect("SQLite is always there"), stub)
}

fn said(value: Value) -> Script {
    Script::Text(Box::leak(value.to_string().into_boxed_str()))
}

const ODD: &str = "how many orders are parked on hold?";

#[tokio::test]
async fn a_model_may_fill_the_query_that_the_rules_did_not_understand() {
    let query =
        json!({ "query": { "kind": "order", "filters": [{ "field": "status", "op": "eq", "values": ["on_hold"] }] } });
    let (app, stub) = with_model(vec![said(query)]).await;
    let answer = ask(&app, "agent", ODD).await;
    assert!(answer["text"].as_str().unwrap().starts_with("3 orders with Status on hold"), "{}", answer["text"]);
    assert_eq!(answer["computed"][0]["planned_by"], "model");
    assert_eq!(answer["checks"]["calls"].as_array().map(Vec::len), Some(1), "{}", answer["checks"]);
    assert_eq!(stub.seen().len(), 1);
    // Understood by the rules: nobody is asked.
    ask(&app, "agent", "how many orders are on hold?").await;
    assert_eq!(stub.seen().len(), 1);
}

#[rstest]
#[case::not_json(Script::Text("SELECT count(*) FROM record"))]
#[case::another_shape(Script::Text("{\"query\": \"all orders\"}"))]
#[case::declined(Script::Text("{\"query\": null}"))]
#[case::an_unknown_field(Script::Text(
    "{\"query\": {\"kind\": \"order\", \"filters\": [{\"field\": \"status'; DROP TABLE record; --\", \"op\": \"eq\", \"values\": [\"x\"]}]}}"
))]
#[case::a_made_up_value(Script::Text(
    "{\"query\": {\"kind\": \"order\", \"filters\": [{\"field\": \"status\", \"op\": \"eq\", \"values\": [\"parked\"]}]}}"
))]
#[case::a_number_nobody_said(Script::Text(
    "{\"query\": {\"kind\": \"order\", \"filters\": [{\"field\": \"total\", \"op\": \"gt\", \"values\": [\"777\"]}]}}"
))]
#[case::a_cost(Script::Text(
    "{\"query\": {\"kind\": \"product\", \"measures\": [{\"measure\": \"sum\", \"field\": \"standard_cost\"}]}}"
))]
#[case::down(Script::Status(500, None))]
#[tokio::test]
async fn a_query_that_does_not_pass_is_not_run(#[case] script: Script) {
    let (app, _stub) = with_model(vec![script]).await;
    let answer = ask(&app, "agent", ODD).await;
    assert_eq!(answer["abstained"], true, "{}", answer["text"]);
    assert!(answer["text"].as_str().unwrap().contains("“parked”"), "{}", answer["text"]);
    assert_eq!(answer["computed"], json!([]));
}
