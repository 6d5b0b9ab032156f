//! Who may call what: every route of the table with every kind of caller, held against a file that a person reviewed (reliability 55).

use std::path::Path;

use axum::http::header;
use countersign::http::{Access, RouteRow};
use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Call, Engine, TestApp, unique};

const CALLERS: [&str; 12] = [
    "nobody",
    "garbage",
    "operator",
    "agent",
    "reviewer",
    "approver",
    "admin",
    "auditor",
    "integration",
    "suspended",
    "revoked",
    "expired",
];

pub fn rows() -> Vec<RouteRow> {
    countersign::http::routes().iter().flat_map(|route| route.rows()).collect()
}

/// A path with ids in it that nobody has.
fn missing(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}').unwrap();
        out.push_str(before);
        out.push_str(&if name == "name" { unique() } else { uuid::Uuid::from_u128(7).to_string() });
        rest = tail;
    }
    out + rest
}

fn as_caller(app: &TestApp, call: Call, caller: &str) -> Call {
    match caller {
        "nobody" => call,
        "garbage" => call.key(&format!("csk_{}_{}", uuid::Uuid::from_u128(1).simple(), "x".repeat(32))),
        "operator" => call.key(&app.operator_key),
        role => call.key(app.a.key(role)),
    }
}

#[rstest]
#[tokio::test]
async fn every_route_admits_exactly_the_callers_of_the_matrix(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let mut matrix = format!("{:44}", "");
    matrix.push_str(&CALLERS.map(|caller| format!("{caller:>12}")).concat());
    for row in rows() {
        matrix.push_str(&format!("\n{:7}{:37}", row.method, row.path));
        for caller in CALLERS {
            let call = app.call(&row.method, &missing(&row.path));
            let reply = as_caller(&app, call, caller).send().await;
            assert!(reply.status < 500, "{} {} as {caller}: {}", row.method, row.path, reply.text);
            let outcome = match reply.status {
                401 => "401",
                403 => "403",
                _ => "yes",
            };
            matrix.push_str(&format!("{outcome:>12}"));
        }
    }
    matrix.push('\n');
    held_against("access_matrix.txt", &matrix);
}

/// Compares with a checked-in file; `COUNTERSIGN_WRITE_SNAPSHOTS=1` writes it instead, for a person to review.
pub fn held_against(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots").join(file);
    #[expect(clippy::disallowed_methods, reason = "the switch of the tests, not of the service")]
    if std::env::var_os("COUNTERSIGN_WRITE_SNAPSHOTS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<String> = text
        .lines()
        .filter(|line| !known.lines().any(|old| old == *line))
        .map(|line| format!("new:  {line}"))
        .chain(known.lines().filter(|old| !text.lines().any(|line| line == *old)).map(|old| format!("gone: {old}")))
        .collect();
    assert!(
        known == text,
        "{file} differs; review it and run with COUNTERSIGN_WRITE_SNAPSHOTS=1:\n{}",
        changed.join("\n")
    );
}

#[tokio::test]
async fn the_api_document_lists_the_routes_of_the_table_and_no_others() {
    let Some(app) = TestApp::new(Engine::Sqlite).await else { return };
    let document: Value = serde_json::from_str(&countersign::http::openapi_json(&app.app)).unwrap();
    let mut documented = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        documented.extend(item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let mut table: Vec<String> = rows().iter().map(|row| format!("{} {}", row.method, row.path)).collect();
    documented.sort();
    table.sort();
    assert_eq!(documented, table);
    // A row that no guard stands before has to say so.
    for row in rows() {
        let open = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"].contains(&row.path.as_str());
        assert_eq!(row.access == Access::Public, open, "{}", row.path);
    }
}

#[rstest]
#[tokio::test]
async fn a_key_works_the_same_through_every_header_and_never_beside_another(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let (agent, admin) = (app.a.key("agent"), app.a.key("admin"));
    let bearer = |scheme: &str, key: &str| ("authorization", format!("{scheme} {key}"));
    let api_key = |key: &str| ("x-api-key", key.to_owned());
    let basic = ("authorization", format!("Basic {admin}"));
    let cases: Vec<(Vec<(&str, String)>, u16)> = vec![
        (vec![bearer("Bearer", agent)], 200),
        (vec![bearer("bearer", agent)], 200),
        (vec![bearer("BEARER", agent)], 200),
        (vec![bearer("Bearer ", agent)], 200),
        (vec![api_key(agent)], 200),
        (vec![bearer("Token", agent)], 401),
        (vec![basic.clone()], 401),
        (vec![("authorization", agent.to_owned())], 401),
        (vec![bearer("Bearer", &format!("{agent}x"))], 401),
        (vec![bearer("Bearer", &agent.to_uppercase())], 401),
        (vec![bearer("Bearer", "")], 401),
        (vec![api_key("")], 401),
        (vec![("cookie", format!("session={admin}"))], 401),
        (vec![bearer("Bearer", agent), api_key(agent)], 400),
        (vec![bearer("Bearer", agent), api_key(admin)], 400),
        (vec![bearer("Bearer", admin), bearer("Bearer", agent)], 400),
        (vec![api_key(agent), api_key(admin)], 400),
        (vec![basic, api_key(agent)], 401),
    ];
    for (headers, expected) in cases {
        let mut call = app.call("GET", "/v1/me");
        for (name, value) in &headers {
            call = call.header(name, value);
        }
        assert_eq!(call.send().await.status, expected, "{headers:?}");
    }
    // A restricted key stays restricted whichever way it comes.
    for (name, value) in [bearer("Bearer", agent), api_key(agent)] {
        let reply = app.call("GET", "/v1/users").header(name, &value).send().await;
        reply.refused(403, "/problems/forbidden");
    }
    // The challenge says how to come back.
    let reply = app.call("GET", "/v1/me").send().await;
    assert_eq!(reply.headers.get(header::WWW_AUTHENTICATE).unwrap(), "Bearer");
}

#[rstest]
#[tokio::test]
async fn lowered_suspended_and_revoked_take_effect_at_once(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let admin = app.a.key("admin");
    let auditor = app.a.key("auditor");
    app.get(auditor, "/v1/users").await.ok();
    let path = format!("/v1/users/{}", app.a.users["auditor"]);
    app.call("PATCH", &path).key(admin).json(&json!({ "roles": ["agent"] })).send().await.ok();
    app.get(auditor, "/v1/users").await.refused(403, "/problems/forbidden");
    app.call("PATCH", &path).key(admin).json(&json!({ "suspended": true })).send().await.ok();
    app.get(auditor, "/v1/me").await.refused(401, "/problems/unauthenticated");
    let key = format!("/v1/keys/{}", app.a.key_ids["integration"]);
    app.call("DELETE", &key).key(admin).send().await.ok();
    app.get(app.a.key("integration"), "/v1/me").await.refused(401, "/problems/unauthenticated");
    let tenant = format!("/v1/operator/tenants/{}", app.a.id());
    app.call("PATCH", &tenant).key(&app.operator_key).json(&json!({ "suspended": true })).send().await.ok();
    app.get(admin, "/v1/me").await.refused(401, "/problems/unauthenticated");
    app.get(app.b.key("admin"), "/v1/me").await.ok();
    app.call("PATCH", &tenant).key(&app.operator_key).json(&json!({ "suspended": false })).send().await.ok();
    app.get(admin, "/v1/me").await.ok();
}
