//! Whole companies through the API and SQL, and the rules over the past.

use std::collections::{BTreeMap, BTreeSet};

use countersign::clock::Clock;
use countersign::demo;
use countersign::source::PushedRecord;
use ingest::{Ingested, Limits, Mapping, SourceFile};
use jiff::SignedDuration;
use jiff::civil::Date;
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Engine, TestApp};

use super::held;

impl TestApp {
    /// Kind and record of every case that a back-test reports at a time, over all kinds of records.
    async fn would_report(&self, as_of: &str, settings: &Value) -> BTreeSet<(String, String)> {
        let mut cases = BTreeSet::new();
        for kind in countersign::detect::SUBJECT_KINDS {
            let mut after = Value::Null;
            loop {
                let body =
                    json!({ "as_of": as_of, "record_kind": kind.as_str(), "after": after, "settings": settings });
                let page = self.post(self.a.key("auditor"), "/v1/detection:backtest", &body).await.ok().json();
                for case in page["cases"].as_array().unwrap() {
                    cases.insert((
                        case["kind"].as_str().unwrap().to_owned(),
                        case["external_id"].as_str().unwrap().to_owned(),
                    ));
                }
                after = page["next"].clone();
                if after.is_null() {
                    break;
                }
            }
        }
        cases
    }
}

/// The demo company as `make demo` takes it in, in shuffled portions: orders before the prices they are judged by, shipments before orders.
#[rstest]
#[tokio::test]
async fn the_demo_company_through_the_api_has_the_planted_exceptions_and_no_others(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let as_of: Date = "2026-03-31".parse().unwrap();
    let Clock::Fixed(_) = &app.app.clock else { panic!("the harness has a fixed clock") };
    let noon = as_of.at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    app.app.clock.advance(noon.duration_since(app.app.clock.now()));
    let company = demo::generate(as_of, demo::DEFAULT_SEED);
    let files = company.files();
    let mapping =
        Mapping::parse(std::str::from_utf8(&files.iter().find(|(path, _)| path == "mapping.toml").unwrap().1).unwrap())
            .unwrap();
    let sources: Vec<SourceFile<'_>> = files
        .iter()
        .filter(|(path, _)| {
            mapping.uses(path) && !path.ends_with(".md") && !path.starts_with("ticket") && !path.starts_with("tracking")
        })
        .map(|(path, bytes)| SourceFile { path, bytes })
        .collect();
    let mut records = Vec::new();
    mapping.read(&sources, &Limits::default(), &mut |outcome| {
        if let Ingested::Record { record, .. } = outcome {
            records.push(json!(PushedRecord::from_record(*record, Vec::new())));
        }
    });
    // A fixed shuffle: what refers to what arrives in any order.
    let stride = 7_919;
    let count = records.len();
    let shuffled: Vec<Value> = (0..count).map(|n| records[n * stride % count].clone()).collect();
    assert_eq!(
        shuffled
            .iter()
            .map(|record| record["external_id"].to_string() + &record["kind"].to_string())
            .collect::<BTreeSet<_>>()
            .len(),
        count
    );
    for portion in shuffled.chunks(1_000) {
        let reply = app.push_records(app.a.key("integration"), "demo", portion).await.ok().json();
        assert_eq!(reply["rejected"], json!([]));
    }
    let settled = app.app.detect.settle(app.a.id(), std::time::Duration::from_secs(600)).await.unwrap();
    assert!(settled);
    let mut found = BTreeSet::new();
    let mut after = String::new();
    loop {
        let page =
            app.get(app.a.key("admin"), &format!("/v1/exceptions?limit=200&sort=oldest{after}")).await.ok().json();
        for one in page["exceptions"].as_array().unwrap() {
            found.insert((
                one["kind"].as_str().unwrap().to_owned(),
                one["subject"]["external_id"].as_str().unwrap().to_owned(),
            ));
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let planted: BTreeSet<(String, String)> =
        company.planted.exceptions.iter().map(|case| (case.kind.to_owned(), case.ids[0].clone())).collect();
    let of_seed = [("address_undeliverable".to_owned(), "SO-1042".to_owned())];
    found.retain(|case| !of_seed.contains(case));
    let (missing, wrong): (Vec<_>, Vec<_>) =
        (planted.difference(&found).collect(), found.difference(&planted).collect());
    assert!(missing.is_empty() && wrong.is_empty(), "missing {missing:#?}\nwrong {wrong:#?}");
    // What is planted as a group is one.
    let groups = app.get(app.a.key("admin"), "/v1/exception-groups").await.ok().json();
    for (kind, cause) in [("po_late", "supplier"), ("tracking_stalled", "carrier"), ("receivable_overdue", "customer")]
    {
        let found = groups["groups"]
            .as_array()
            .unwrap()
            .iter()
            .any(|group| group["kind"] == kind && group["cause"]["what"] == cause);
        assert!(found, "{kind}: {groups}");
    }
    // The back-test over the same moment sees the same.
    let mut past = app.would_report("2026-03-31T12:00:00Z", &Value::Null).await;
    past.retain(|case| !of_seed.contains(case));
    assert_eq!(past, found);
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
}

#[rstest]
#[tokio::test]
async fn a_back_test_sees_the_past_as_it_was_known_and_writes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let supplier = |blocked: bool| json!({ "kind": "supplier", "external_id": "S-1", "fields": { "name": "Kiln", "blocked": blocked } });
    let po = json!({ "kind": "purchase_order", "external_id": "PO-1", "fields": { "status": "acknowledged", "supplier_id": "S-1" } });
    app.push(&[held(1, "2026-02-20", "100.00 EUR"), supplier(true), po]).await;
    app.later(SignedDuration::from_hours(24)).await;
    let mut released = held(1, "2026-02-20", "100.00 EUR");
    released["fields"]["status"] = json!("released");
    app.push(&[released, supplier(false)]).await;
    app.later(SignedDuration::from_hours(24)).await;
    app.push(&[held(2, "2026-03-03", "100.00 EUR")]).await;
    let tables = ["exception", "detect_work", "detect_state", "audit_event", "webhook_delivery"];
    let counts = async || {
        let mut counts = BTreeMap::new();
        for table in tables {
            counts.insert(
                table,
                app.count(app.a.id(), &format!("SELECT count(*) FROM {table} WHERE tenant_id = $1")).await,
            );
        }
        counts
    };
    let before = counts().await;
    let case = |kind: &str, id: &str| (kind.to_owned(), id.to_owned());
    let mut seen = BTreeMap::new();
    for (at, settings) in [
        ("2026-03-01T00:00:00Z", Value::Null),
        ("2026-03-02T12:00:00Z", Value::Null),
        ("2026-03-03T12:00:00Z", Value::Null),
        ("2026-03-09T12:00:00Z", Value::Null),
        ("2026-03-09T13:00:00Z", json!({ "limits": { "credit_hold_days": 30 } })),
    ] {
        let mut found = app.would_report(at, &settings).await;
        found.retain(|(_, id)| id != "SO-1042");
        seen.insert(at, found);
    }
    assert_eq!(seen["2026-03-01T00:00:00Z"], BTreeSet::new(), "nothing was known yet");
    let then = BTreeSet::from([case("credit_hold_overdue", "SO-1"), case("po_blocked_supplier", "PO-1")]);
    assert_eq!(seen["2026-03-02T12:00:00Z"], then);
    assert_eq!(seen["2026-03-03T12:00:00Z"], BTreeSet::new());
    assert_eq!(
        seen["2026-03-09T12:00:00Z"],
        BTreeSet::from([case("credit_hold_overdue", "SO-2")]),
        "as time will have it"
    );
    assert_eq!(seen["2026-03-09T13:00:00Z"], BTreeSet::new(), "under proposed limits");
    assert_eq!(counts().await, before);
    for bad in [
        json!({ "as_of": "yesterday", "record_kind": "order" }),
        json!({ "as_of": "2026-03-01T00:00:00Z", "record_kind": "house" }),
    ] {
        app.post(app.a.key("admin"), "/v1/detection:backtest", &bad).await.refused(422, "/problems/invalid");
    }
}
