//! The audit trail: one chain under contention, every tampering found and named, one entry per change (reliability 96, 97, 98).

use countersign::audit::{self, Action, Actor, Event};
use countersign::canonical::sha256_hex;
use countersign::store::Store;
use rstest::rstest;
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use crate::harness::seed::{order, policy};
use crate::harness::{Engine, Setup, Tenant, TestApp};
use crate::samples::{own, samples};

async fn append(store: &Store, tenant: &Tenant, n: usize, ending: Ending) -> sqlx::Result<bool> {
    let mut tx = store.begin_write(tenant.id()).await?;
    let actor = Actor::operator();
    let event = Event {
        actor: &actor,
        action: Action::TenantChanged,
        resource: format!("probe:{n}"),
        state_sha256: None,
        details: json!({ "n": n }),
    };
    audit::append(&mut tx, event, countersign::clock::from_us(n as i64)).await?;
    match ending {
        Ending::Commit => tx.commit().await.map(|()| true),
        Ending::Rollback => tx.rollback().await.map(|()| false),
        Ending::Drop => Ok(false),
    }
}

#[derive(Clone, Copy)]
enum Ending {
    Commit,
    Rollback,
    Drop,
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_appenders_make_one_chain_without_a_gap(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let before = app.verify(&app.a, None).await["entries"].as_i64().unwrap();
    // Two stores are two processes on one database.
    let mut options = app.options();
    (options.max_connections, options.acquire_timeout) = (8, std::time::Duration::from_secs(60));
    let stores = [Store::open(&options).await.unwrap(), Store::open(&options).await.unwrap()];
    let mut appenders = Vec::new();
    for n in 0..64 {
        let (store, tenant) = (stores[n % 2].clone(), app.a.clone());
        appenders.push(tokio::spawn(async move {
            let mut committed = 0;
            for round in 0..6 {
                let ending =
                    [Ending::Commit, Ending::Commit, Ending::Rollback, Ending::Commit, Ending::Drop][(n + round) % 5];
                committed +=
                    i64::from(append(&store, &tenant, n * 10 + round, ending).await.expect("no appender fails"));
            }
            committed
        }));
    }
    // Some are killed on the way.
    for appender in appenders.iter().skip(3).step_by(9) {
        tokio::time::sleep(std::time::Duration::from_millis(7)).await;
        appender.abort();
    }
    let (mut committed, mut killed) = (0, 0);
    for appender in appenders {
        match appender.await {
            Ok(count) => committed += count,
            Err(error) => killed += i64::from(error.is_cancelled()),
        }
    }
    let report = app.verify(&app.a, None).await;
    assert_eq!(report["ok"], true, "{report}");
    let entries = report["entries"].as_i64().unwrap() - before;
    assert!(
        entries >= committed && entries <= committed + killed * 6,
        "{entries} entries, {committed} committed, {killed} killed"
    );
    assert_eq!(report["head_seq"], report["entries"]);
    assert_eq!(app.verify(&app.b, None).await["ok"], true);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_beside_a_busy_writer_raises_no_false_alarm(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let (store, tenant) = (app.app.store.clone(), app.a.clone());
    let writer = tokio::spawn(async move {
        for n in 0..150 {
            append(&store, &tenant, n, Ending::Commit).await.unwrap();
        }
    });
    while !writer.is_finished() {
        let report = app.verify(&app.a, None).await;
        assert_eq!(report["ok"], true, "{report}");
    }
    writer.await.unwrap();
}

/// A connection past the service that may do everything the owner of the tables may, triggers gone.
async fn tamperer(app: &TestApp) -> AnyConnection {
    let mut raw = app.database.raw().await;
    match app.engine {
        Engine::Sqlite => {
            let rows =
                sqlx::query("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetch_all(&mut raw).await.unwrap();
            assert!(!rows.is_empty(), "the trail is append only by trigger");
            assert!(change(&mut raw, "DELETE FROM audit_event").await.is_err(), "the triggers hold");
            for row in rows {
                change(&mut raw, &format!("DROP TRIGGER {}", row.get::<String, _>(0))).await.unwrap();
            }
            change(&mut raw, "PRAGMA foreign_keys = OFF").await.unwrap();
        }
        Engine::Postgres => {
            change(&mut raw, &format!("SELECT set_config('app.tenant', '{}', false)", app.a.id())).await.unwrap();
            assert!(change(&mut raw, "DELETE FROM audit_event").await.is_err(), "the triggers hold");
            change(&mut raw, "ALTER TABLE audit_event DISABLE TRIGGER USER").await.unwrap();
            let keys = "SELECT conrelid::regclass::text, conname::text FROM pg_constraint WHERE contype = 'f'";
            for row in sqlx::query(keys).fetch_all(&mut raw).await.unwrap() {
                let (table, key): (String, String) = (row.get(0), row.get(1));
                change(&mut raw, &format!("ALTER TABLE {table} DROP CONSTRAINT {key}")).await.unwrap();
            }
        }
    }
    raw
}

async fn change(raw: &mut AnyConnection, statement: &str) -> sqlx::Result<u64> {
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(raw).await.map(|done| done.rows_affected())
}

const KEPT: [&str; 8] =
    ["audit_event", "audit_head", "record_version", "document_version", "user_role", "app_user", "api_key", "chunk"];

/// Copies the tables that are tampered with, to put them back after each case.
async fn save(raw: &mut AnyConnection, app: &TestApp, copy: &str) {
    for table in KEPT {
        change(
            raw,
            &format!("CREATE TABLE {copy}_{table} AS SELECT * FROM {table} WHERE tenant_id = '{}'", app.a.id()),
        )
        .await
        .unwrap();
    }
}

async fn restore(raw: &mut AnyConnection, app: &TestApp, copy: &str, tables: &[&str]) {
    for table in tables.iter().rev() {
        change(raw, &format!("DELETE FROM {table} WHERE tenant_id = '{}'", app.a.id())).await.unwrap();
    }
    for table in tables {
        change(raw, &format!("INSERT INTO {table} SELECT * FROM {copy}_{table}")).await.unwrap();
    }
}

/// An event's number and its hash, body, and resource.
async fn events(raw: &mut AnyConnection, app: &TestApp) -> Vec<(i64, String, String, String)> {
    let statement =
        format!("SELECT seq, hash, body, resource FROM audit_event WHERE tenant_id = '{}' ORDER BY seq", app.a.id());
    let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(raw).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect()
}

fn first_bad(report: &Value) -> Option<i64> {
    report["first_bad"]["seq"].as_i64()
}

#[rstest]
#[tokio::test]
async fn each_change_to_the_chain_itself_is_found_at_its_entry(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let mut raw = tamperer(&app).await;
    save(&mut raw, &app, "kept").await;
    let t = format!("tenant_id = '{}'", app.a.id());
    let last = events(&mut raw, &app).await.len() as i64;
    // One in the midst whose resource has no state of its own: else an earlier event of that resource is found first.
    let k =
        app.count(app.a.id(), "SELECT min(seq) FROM audit_event WHERE tenant_id = $1 AND action = 'run.started'").await;
    assert!(k > 1 && k < last - 1);
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
    let mut cases = vec![
        (format!("UPDATE audit_event SET seq = 99999 WHERE {t} AND seq = {k}"), k),
        (format!("DELETE FROM audit_event WHERE {t} AND seq = {k}"), k),
        (format!("DELETE FROM audit_event WHERE {t} AND seq = 1"), 1),
        (format!("UPDATE audit_event SET body = replace(body, '\"v\":1', '\"v\":2') WHERE {t} AND seq = {k}"), k),
        (format!("UPDATE audit_event SET body = body || ' ' WHERE {t} AND seq = {k}"), k),
        (format!("UPDATE audit_event SET body = '' WHERE {t} AND seq = {k}"), k),
        // The head names another end of the chain.
        (format!("UPDATE audit_head SET seq = seq + 1 WHERE {t}"), last),
        (format!("UPDATE audit_head SET hash = 'x' WHERE {t}"), last),
        (format!("DELETE FROM audit_event WHERE {t} AND seq = {last}"), last - 1),
        (
            format!(
                "INSERT INTO audit_event SELECT tenant_id, {last} + 1, 'forged', hash, at_us, actor_id, action, resource, body \
                 FROM audit_event WHERE {t} AND seq = {k}"
            ),
            last + 1,
        ),
    ];
    for column in ["prev_hash", "hash", "actor_id", "action", "resource"] {
        cases.push((format!("UPDATE audit_event SET {column} = {column} || 'x' WHERE {t} AND seq = {k}"), k));
    }
    cases.push((format!("UPDATE audit_event SET at_us = at_us + 1 WHERE {t} AND seq = {k}"), k));
    for (statement, expected) in &cases {
        assert!(change(&mut raw, statement).await.unwrap() > 0, "{statement}");
        let report = app.verify(&app.a, None).await;
        assert_eq!(
            (report["ok"].as_bool(), first_bad(&report)),
            (Some(false), Some(*expected)),
            "{statement}: {report}"
        );
        restore(&mut raw, &app, "kept", &["audit_event", "audit_head"]).await;
    }
    // Two entries in each other's place.
    for statement in [
        format!("UPDATE audit_event SET seq = 99999 WHERE {t} AND seq = {k}"),
        format!("UPDATE audit_event SET seq = {k} WHERE {t} AND seq = {k} + 1"),
        format!("UPDATE audit_event SET seq = {k} + 1 WHERE {t} AND seq = 99999"),
    ] {
        change(&mut raw, &statement).await.unwrap();
    }
    assert_eq!(first_bad(&app.verify(&app.a, None).await), Some(k));
    restore(&mut raw, &app, "kept", &["audit_event", "audit_head"]).await;
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
}

/// Rewrites the chain from entry `from` on as somebody would who knows how it is made.
async fn forge_suffix(raw: &mut AnyConnection, app: &TestApp, from: i64) {
    let t = format!("tenant_id = '{}'", app.a.id());
    let mut prev = String::new();
    let entries = events(raw, app).await;
    change(raw, &format!("DELETE FROM audit_event WHERE {t} AND seq >= {from}")).await.unwrap();
    for (seq, hash, body, _) in entries {
        if seq < from {
            prev = hash;
            continue;
        }
        let mut body: Value = serde_json::from_str(&body).unwrap();
        body["prev"] = json!(prev);
        body["request_id"] = json!("forged");
        let text = countersign::canonical::to_text(&body);
        let hash = sha256_hex(&text);
        let insert = "INSERT INTO audit_event (tenant_id, seq, prev_hash, hash, at_us, actor_id, action, resource, body) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        sqlx::query(insert)
            .bind(app.a.id().to_string())
            .bind(seq)
            .bind(prev.clone())
            .bind(hash.clone())
            .bind(body["at_us"].as_i64().unwrap())
            .bind(body["actor"]["id"].as_str().unwrap().to_owned())
            .bind(body["action"].as_str().unwrap().to_owned())
            .bind(body["resource"].as_str().unwrap().to_owned())
            .bind(text)
            .execute(&mut *raw)
            .await
            .unwrap();
        prev = hash;
    }
    change(raw, &format!("UPDATE audit_head SET hash = '{prev}' WHERE {t}")).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn what_a_chain_cannot_show_by_itself_is_found_with_the_anchor(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let mut raw = tamperer(&app).await;
    save(&mut raw, &app, "old").await;
    // Entries without a checkable state: a cut does not show in what they refer to.
    for _ in 0..3 {
        app.post(app.a.key("auditor"), "/v1/audit:head", &json!({})).await.ok();
    }
    let anchor = app.post(app.a.key("auditor"), "/v1/audit:head", &json!({})).await.ok().json();
    save(&mut raw, &app, "kept").await;
    let t = format!("tenant_id = '{}'", app.a.id());
    let last = anchor["seq"].as_i64().unwrap();
    let clean = app.verify(&app.a, Some(&anchor)).await;
    assert_eq!(clean["ok"], true);
    assert!(
        clean["anchor"].as_str().unwrap().contains(&format!("entry {last} ")),
        "the report names its anchor: {clean}"
    );
    let chain = ["audit_event", "audit_head"];

    // The tail is cut and the head set back.
    change(&mut raw, &format!("DELETE FROM audit_event WHERE {t} AND seq > {}", last - 2)).await.unwrap();
    let head = format!(
        "UPDATE audit_head SET seq = {0}, hash = (SELECT hash FROM audit_event WHERE {t} AND seq = {0}) WHERE {t}",
        last - 2
    );
    change(&mut raw, &head).await.unwrap();
    assert_eq!(app.verify(&app.a, None).await["ok"], true, "unseen without the anchor, as documented");
    assert_eq!(first_bad(&app.verify(&app.a, Some(&anchor)).await), Some(last - 1));
    restore(&mut raw, &app, "kept", &chain).await;

    // Everything is deleted.
    change(&mut raw, &format!("DELETE FROM audit_event WHERE {t}")).await.unwrap();
    let genesis = audit::genesis(app.a.id());
    change(&mut raw, &format!("UPDATE audit_head SET seq = 0, hash = '{genesis}' WHERE {t}")).await.unwrap();
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
    assert_eq!(first_bad(&app.verify(&app.a, Some(&anchor)).await), Some(1));
    restore(&mut raw, &app, "kept", &chain).await;

    // The suffix is rewritten with right hashes.
    forge_suffix(&mut raw, &app, last / 2).await;
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
    assert_eq!(first_bad(&app.verify(&app.a, Some(&anchor)).await), Some(last));
    restore(&mut raw, &app, "kept", &chain).await;

    // An old copy of the whole database is put back.
    restore(&mut raw, &app, "old", &KEPT).await;
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
    assert!(first_bad(&app.verify(&app.a, Some(&anchor)).await).is_some_and(|seq| seq <= last));
    restore(&mut raw, &app, "kept", &KEPT).await;
    assert_eq!(app.verify(&app.a, Some(&anchor)).await["ok"], true);

    // An anchor that was changed, or is another tenant's, is refused.
    let mut moved = anchor.clone();
    moved["seq"] = json!(1);
    app.post(app.a.key("auditor"), "/v1/audit:verify", &json!({ "anchor": moved }))
        .await
        .refused(422, "/problems/anchor");
    app.post(app.b.key("auditor"), "/v1/audit:verify", &json!({ "anchor": anchor }))
        .await
        .refused(422, "/problems/anchor");
}

#[rstest]
#[tokio::test]
async fn a_changed_value_that_an_entry_refers_to_is_found_at_that_entry(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let mut raw = tamperer(&app).await;
    save(&mut raw, &app, "kept").await;
    let t = format!("tenant_id = '{}'", app.a.id());
    let entries = events(&mut raw, &app).await;
    let newest = |resource: String| {
        entries.iter().filter(|event| event.3 == resource).map(|event| event.0).max().expect("an entry")
    };
    let of = |statement: &str| statement.replace("$t", &t);
    let mut batch = async |table: &str, id: &str| -> i64 {
        let statement = format!("SELECT batch_id FROM {table} WHERE {t} AND {id}");
        let row = sqlx::query(AssertSqlSafe(statement)).fetch_one(&mut raw).await.unwrap();
        newest(format!("batch:{}", row.get::<String, _>(0)))
    };
    let record = format!("record_id = '{}'", app.a.records["order"]);
    let document = format!("document_id = '{}'", app.a.documents["POL-1"]);
    let card = format!("document_id = (SELECT document_id FROM document WHERE {t} AND {record})");
    let (record_seq, document_seq) =
        (batch("record_version", &record).await, batch("document_version", &document).await);
    let reviewer = app.a.users["reviewer"].clone();
    let user_seq = newest(format!("user:{reviewer}"));
    let mut cases = vec![
        (
            of(&format!("UPDATE record_version SET body = replace(body, 'shipped', 'open') WHERE $t AND {record}")),
            record_seq,
        ),
        (of(&format!("DELETE FROM record_version WHERE $t AND {record}")), record_seq),
        (
            of(&format!(
                "UPDATE document_version SET body = replace(body, '100.00', '900.00') WHERE $t AND {document}"
            )),
            document_seq,
        ),
        (of(&format!("UPDATE document_version SET title = 'Forged' WHERE $t AND {document}")), document_seq),
        (of(&format!("UPDATE document_version SET audience = '[\"approver\"]' WHERE $t AND {document}")), document_seq),
        (of(&format!("UPDATE document_version SET spans = '[]' WHERE $t AND {card}")), record_seq),
        (of(&format!("UPDATE document_version SET version = 7 WHERE $t AND {document}")), document_seq),
        (of(&format!("UPDATE document_version SET batch_id = 'other' WHERE $t AND {document}")), document_seq),
        (
            of(&format!(
                "INSERT INTO user_role (tenant_id, user_id, role) VALUES ('{}', '{reviewer}', 'approver')",
                app.a.id()
            )),
            user_seq,
        ),
        (of(&format!("UPDATE user_role SET role = 'admin' WHERE $t AND user_id = '{reviewer}'")), user_seq),
        (of(&format!("DELETE FROM user_role WHERE $t AND user_id = '{reviewer}'")), user_seq),
        (
            of(&format!("UPDATE app_user SET suspended = 0 WHERE $t AND user_id = '{}'", app.a.users["suspended"])),
            newest(format!("user:{}", app.a.users["suspended"])),
        ),
        (
            of(&format!(
                "UPDATE api_key SET revoked_at_us = NULL WHERE $t AND key_id = '{}'",
                app.a.key_ids["revoked"]
            )),
            newest(format!("key:{}", app.a.key_ids["revoked"])),
        ),
        (
            of(&format!(
                "UPDATE api_key SET expires_at_us = NULL WHERE $t AND key_id = '{}'",
                app.a.key_ids["expired"]
            )),
            newest(format!("key:{}", app.a.key_ids["expired"])),
        ),
        (
            of(&format!("DELETE FROM api_key WHERE $t AND key_id = '{}'", app.a.key_ids["expired"])),
            newest(format!("key:{}", app.a.key_ids["expired"])),
        ),
    ];
    for (table, column) in [("record_version", "seen_at_us"), ("document_version", "seen_at_us")] {
        let (id, seq) = if table == "record_version" { (&record, record_seq) } else { (&document, document_seq) };
        cases.push((of(&format!("UPDATE {table} SET {column} = {column} + 1 WHERE $t AND {id}")), seq));
        cases.push((of(&format!("UPDATE {table} SET body_sha256 = 'x' WHERE $t AND {id}")), seq));
    }
    cases.push((of(&format!("UPDATE record_version SET source_time_us = 1 WHERE $t AND {record}")), record_seq));
    cases.push((of(&format!("UPDATE document_version SET record_version = 9 WHERE $t AND {card}")), record_seq));
    for (column, value) in [("key_sha256", "'0'"), ("user_id", &format!("'{}'", app.a.users["admin"]))] {
        let key = &app.a.key_ids["agent"];
        cases.push((
            of(&format!("UPDATE api_key SET {column} = {value} WHERE $t AND key_id = '{key}'")),
            newest(format!("key:{key}")),
        ));
    }
    let mut unseen = Vec::new();
    for (statement, expected) in &cases {
        assert!(change(&mut raw, statement).await.unwrap() > 0, "{statement}");
        let report = app.verify(&app.a, None).await;
        if (report["ok"].as_bool(), first_bad(&report)) != (Some(false), Some(*expected)) {
            unseen.push(format!("{statement}: expected {expected}, {report}"));
        }
        restore(&mut raw, &app, "kept", &KEPT).await;
    }
    assert!(unseen.is_empty(), "{unseen:#?}");
    assert_eq!(app.verify(&app.a, None).await["ok"], true);
}

#[rstest]
#[tokio::test]
async fn each_change_of_state_has_exactly_one_entry_and_a_refused_one_has_none(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let (key, marks) = (app.a.key("admin"), own(&app.a));
    let entries = async || app.verify(&app.a, None).await["entries"].as_i64().unwrap();
    for sample in samples() {
        if sample.route.contains("/v1/operator/") {
            continue;
        }
        let before = entries().await;
        let reply = match sample.route.as_str() {
            // The sample's run is over: pushed outside a run.
            "POST /v1/records:batch" => app.push_records(key, &app.a.source, &[order("m", 4001, "open")]).await,
            "POST /v1/documents" => {
                app.push_documents(key, &app.a.source, &[policy("m", "POL-7", "2026-01-01", &[], "New.")]).await
            }
            "DELETE /v1/sources/{name}" => {
                app.push_records(key, "doomed", &[order("m", 4002, "open")]).await.ok();
                let before = entries().await;
                app.call("DELETE", "/v1/sources/doomed").key(key).send().await.ok();
                assert_eq!(entries().await - before, 1);
                continue;
            }
            "POST /v1/runs/{run_id}/finish" => {
                let run = app.call("POST", "/v1/sources/again/runs").key(key).send().await.ok().json();
                let after_start = entries().await;
                assert_eq!(after_start - before, 2, "a new source and its run");
                let path = format!("/v1/runs/{}/finish", run["run_id"].as_str().unwrap());
                let reply = app.post(key, &path, &json!({ "complete": true })).await.ok();
                assert_eq!(entries().await - after_start, 1);
                // Finished once is finished.
                app.post(key, &path, &json!({ "complete": true })).await.refused(409, "/problems/run-over");
                assert_eq!(entries().await - after_start, 1);
                drop(reply);
                continue;
            }
            _ => sample.send(&app, key, &marks).await,
        };
        // Deleting what a later sample needs comes late in the table; by then it may be gone.
        let kept = sample.writes || sample.asks;
        let changed = (200..300).contains(&reply.status) && kept && sample.route != "POST /v1/index:reconcile";
        assert_eq!(entries().await - before, i64::from(changed), "{}: {} {}", sample.route, reply.status, reply.text);
    }
    // The same content again changes nothing and is no entry.
    let before = entries().await;
    app.push_records(key, &app.a.source, &[order("m", 4001, "open")]).await;
    app.push_records(key, &app.a.source, &[order("m", 4001, "open")]).await.ok();
    assert!(entries().await - before <= 2);
    let quiet = entries().await;
    app.push_records(key, &app.a.source, &[order("m", 4001, "open")]).await.ok();
    assert_eq!(entries().await, quiet);
    // Refused for its content after the transaction began.
    let taken = json!({ "email": format!("admin.{}@example.com", app.a.marker), "name": "x", "roles": ["agent"] });
    app.post(key, "/v1/users", &taken).await.refused(409, "/problems/taken");
    assert_eq!(entries().await, quiet);
}

#[rstest]
#[tokio::test]
async fn the_state_tables_and_the_trail_tell_the_same_story(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::with(engine, Setup::default()).await else { return };
    for (state, action) in [
        ("SELECT count(*) FROM app_user WHERE tenant_id = $1", "user.created"),
        ("SELECT count(*) FROM api_key WHERE tenant_id = $1", "key.created"),
        ("SELECT count(*) FROM api_key WHERE tenant_id = $1 AND revoked_at_us IS NOT NULL", "key.revoked"),
        ("SELECT count(*) FROM source WHERE tenant_id = $1", "source.created"),
        ("SELECT count(*) FROM ingest_run WHERE tenant_id = $1", "run.started"),
        ("SELECT count(DISTINCT batch_id) FROM document_version WHERE tenant_id = $1", "batch.ingested"),
    ] {
        let told = format!("SELECT count(*) FROM audit_event WHERE tenant_id = $1 AND action = '{action}'");
        let (state, told) = (app.count(app.a.id(), state).await, app.count(app.a.id(), &told).await);
        assert!(state > 0 && state == told, "{action}: {state} in the tables, {told} in the trail");
    }
}

#[tokio::test]
async fn a_copy_of_the_database_still_verifies() {
    let Some(app) = TestApp::new(Engine::Sqlite).await else { return };
    let report = app.verify(&app.a, None).await;
    let copy = app.vector_directory().with_file_name("copy.db");
    let mut raw = app.database.raw().await;
    change(&mut raw, &format!("VACUUM INTO '{}'", copy.display())).await.unwrap();
    let store = Store::open(&countersign::store::PoolOptions::sqlite(&copy)).await.unwrap();
    let mut tx = store.begin_read(app.a.id()).await.unwrap();
    let copied = audit::verify(&mut tx, countersign::app::AUDITED_STATES, None).await.unwrap();
    assert!(copied.ok);
    assert_eq!(json!(copied.head_hash), report["head_hash"]);
}

/// One of two processes that append to one chain; started by the test below. Reads the database's URL, its owner's, and the tenant from its input.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "a child of another test"]
async fn child_that_appends() {
    let mut lines = std::io::stdin().lines();
    let mut line = || lines.next().unwrap().unwrap();
    let (url, owner, tenant) = (line(), line(), line());
    let mut options = countersign::store::PoolOptions::new(url);
    options.migrate_url = Some(owner).filter(|url| !url.is_empty());
    (options.max_connections, options.acquire_timeout) = (8, std::time::Duration::from_secs(60));
    let store = Store::open(&options).await.unwrap();
    let tenant = Tenant { id: Some(tenant.parse().unwrap()), ..Tenant::default() };
    let appenders = (0..32).map(|n| {
        let (store, tenant) = (store.clone(), tenant.clone());
        tokio::spawn(async move {
            for round in 0..10 {
                let ending = [Ending::Commit, Ending::Rollback, Ending::Commit, Ending::Drop][(n + round) % 4];
                if append(&store, &tenant, n * 100 + round, ending).await.expect("no appender fails") {
                    println!("\nappended");
                }
            }
        })
    });
    for appender in appenders.collect::<Vec<_>>() {
        appender.await.unwrap();
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_one_of_them_killed_make_one_chain(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};
    let Some(app) = TestApp::new(engine).await else { return };
    let before = app.verify(&app.a, None).await["entries"].as_i64().unwrap();
    let start = || {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "audit_trail::child_that_appends", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let options = app.options();
        let owner = options.migrate_url.unwrap_or_default();
        writeln!(child.stdin.take().unwrap(), "{}\n{owner}\n{}", options.url, app.a.id()).unwrap();
        child
    };
    let (mut first, mut second) = (start(), start());
    let lines = |child: &mut std::process::Child| {
        BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).filter(|line| line == "appended")
    };
    let (first_lines, mut second_lines) = (lines(&mut first), lines(&mut second));
    let all = std::thread::spawn(move || first_lines.count());
    // The second one dies in the middle of its work.
    let mut acknowledged = second_lines.by_ref().take(40).count();
    assert_eq!(acknowledged, 40, "the second process works");
    second.kill().unwrap();
    second.wait().unwrap();
    acknowledged += second_lines.count();
    acknowledged += tokio::task::spawn_blocking(move || all.join().unwrap()).await.unwrap();
    assert!(first.wait().unwrap().success());
    let report = app.verify(&app.a, None).await;
    assert_eq!(report["ok"], true, "{report}");
    let entries = report["entries"].as_i64().unwrap() - before;
    let acknowledged = i64::try_from(acknowledged).unwrap();
    // 32 tasks of the killed process may have committed without being heard.
    assert!((acknowledged..=acknowledged + 32).contains(&entries), "{entries} entries, {acknowledged} acknowledged");
}

/// Tables in the order of their foreign keys: that in which the migrations make them.
async fn tables(sqlite: &mut AnyConnection) -> Vec<String> {
    let statement = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
                     AND name <> '_sqlx_migrations' ORDER BY rowid";
    let rows = sqlx::query(statement).fetch_all(sqlite).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Copies every row of one table, value by value.
async fn copy_table(from: &mut AnyConnection, to: &mut AnyConnection, table: &str) -> usize {
    let columns = format!("SELECT name, type FROM pragma_table_info('{table}')");
    let columns: Vec<(String, String)> = sqlx::query(AssertSqlSafe(columns))
        .fetch_all(&mut *from)
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let places: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
    let insert = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), places.join(", "));
    let select = format!("SELECT {} FROM {table}", names.join(", "));
    let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(from).await.unwrap();
    for row in &rows {
        let tenant: String = row.get("tenant_id");
        change(to, &format!("SELECT set_config('app.tenant', '{tenant}', false)")).await.unwrap();
        let mut query = sqlx::query(AssertSqlSafe(insert.clone()));
        for (place, (name, kind)) in columns.iter().enumerate() {
            query = match kind.as_str() {
                "TEXT" => query.bind(row.get::<Option<String>, _>(place)),
                "BIGINT" => query.bind(row.get::<Option<i64>, _>(place)),
                "BLOB" => query.bind(row.get::<Option<Vec<u8>>, _>(place)),
                "DOUBLE PRECISION" => query.bind(row.get::<Option<f64>, _>(place)),
                other => panic!("{table}.{name}: {other}"),
            };
        }
        query.execute(&mut *to).await.unwrap_or_else(|error| panic!("{table}: {error}"));
    }
    rows.len()
}

#[tokio::test]
async fn a_copy_from_sqlite_to_postgresql_still_verifies() {
    let Some(app) = TestApp::new(Engine::Sqlite).await else { return };
    let empty = Setup { empty: true, ..Setup::default() };
    let Some(other) = TestApp::with(Engine::Postgres, empty).await else { return };
    let anchor = app.post(app.a.key("auditor"), "/v1/audit:head", &json!({})).await.ok().json();
    let report = app.verify(&app.a, Some(&anchor)).await;
    let (mut from, mut to) = (app.database.raw().await, other.database.raw().await);
    let mut rows = 0;
    for table in tables(&mut from).await {
        rows += copy_table(&mut from, &mut to, &table).await;
    }
    assert!(rows > 100, "{rows}");
    for tenant in [&app.a, &app.b] {
        let mut tx = other.app.store.begin_read(tenant.id()).await.unwrap();
        let copied = audit::verify(&mut tx, countersign::app::AUDITED_STATES, None).await.unwrap();
        assert!(copied.ok, "{copied:?}");
    }
    // Through the API of the other installation, with the keys and the anchor of the first.
    let copied = other.verify(&app.a, Some(&anchor)).await;
    for field in ["ok", "entries", "head_hash", "anchor"] {
        assert_eq!(copied[field], report[field], "{field}");
    }
    // A changed value is found there too.
    change(&mut to, &format!("SELECT set_config('app.tenant', '{}', false)", app.a.id())).await.unwrap();
    let forged =
        format!("UPDATE record_version SET body = replace(body, 'shipped', 'open') WHERE tenant_id = '{}'", app.a.id());
    assert!(change(&mut to, &forged).await.unwrap() > 0);
    assert_eq!(other.verify(&app.a, None).await["ok"], false);
}

#[tokio::test]
async fn a_dump_restored_in_another_time_zone_still_verifies() {
    let Some(app) = TestApp::new(Engine::Postgres).await else { return };
    let report = app.verify(&app.a, None).await;
    let restored = app.database.postgres().unwrap().dumped_and_restored("Pacific/Kiritimati");
    let mut options = app.options();
    (options.url, options.migrate_url) = (restored.app_url(), Some(restored.owner_url()));
    let store = Store::open(&options).await.unwrap();
    for tenant in [&app.a, &app.b] {
        let mut tx = store.begin_read(tenant.id()).await.unwrap();
        let copied = audit::verify(&mut tx, countersign::app::AUDITED_STATES, None).await.unwrap();
        assert!(copied.ok, "{copied:?}");
        if tenant.id() == app.a.id() {
            assert_eq!(
                (json!(copied.entries), json!(copied.head_hash)),
                (report["entries"].clone(), report["head_hash"].clone())
            );
        }
    }
    store.close().await;
}
