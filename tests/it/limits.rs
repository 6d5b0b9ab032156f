//! Input that is too large, too deep or not text: refused early, with a problem document, and the service stays up (reliability 8, 46).

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use countersign::config::Config;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Engine, Setup, TestApp};

const LIMIT: usize = 64 * 1024;

async fn limited() -> TestApp {
    let mut config = Config::default();
    config.server.body_max_bytes = NonZeroUsize::new(LIMIT).unwrap();
    TestApp::with(Engine::Sqlite, Setup { config, ..Setup::default() }).await.expect("SQLite is always there")
}

fn head(address: SocketAddr, key: &str, more: &str) -> String {
    format!(
        "POST /v1/records:batch HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\nidempotency-key: k\r\n\
         content-type: application/json\r\n{more}\r\n\r\n"
    )
}

/// What the server says, as far as it comes within five seconds.
async fn answer(socket: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    let read = async {
        while let Ok(n @ 1..) = socket.read(&mut part).await {
            bytes.extend_from_slice(&part[..n]);
            if bytes.ends_with(b"}") || bytes.ends_with(b"0\r\n\r\n") {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

fn resident_bytes() -> Option<usize> {
    let pages: usize = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let app = limited().await;
    let address = app.serve().await;
    let key = app.a.key("integration");
    // By its length: no byte of it was sent.
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(head(address, key, "content-length: 10000000000").as_bytes()).await.unwrap();
    let said = answer(&mut socket).await;
    assert!(said.starts_with("HTTP/1.1 413") && said.contains("/problems/too-large"), "{said}");
    // In chunks, without a length: cut off at the limit, and memory does not follow what is sent.
    let before = resident_bytes();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(head(address, key, "transfer-encoding: chunked").as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    for _ in 0..1_000 {
        // 64 MB, unless the server hangs up, which is as good.
        if socket.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let said = answer(&mut socket).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 413") && said.contains("/problems/too-large"), "{said}");
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        assert!(after.saturating_sub(before) < 16 << 20, "{before} -> {after}");
    }
    app.get(key, "/v1/me").await.ok();
}

#[tokio::test]
async fn over_the_limit_is_a_problem_document_and_at_the_limit_is_read() {
    let app = limited().await;
    let key = app.a.key("integration");
    for size in [LIMIT - 1, LIMIT] {
        let reply = app
            .call("POST", "/v1/search")
            .key(key)
            .header("content-type", "application/json")
            .bytes(vec![b' '; size])
            .send()
            .await;
        assert_eq!(reply.problem(), "/problems/json", "{size}");
    }
    let call = || {
        app.call("POST", "/v1/search").key(key).header("content-type", "application/json").bytes(vec![b' '; LIMIT + 1])
    };
    call().send().await.refused(413, "/problems/too-large");
    call().header("content-length", &(LIMIT + 1).to_string()).send().await.refused(413, "/problems/too-large");
}

#[tokio::test]
async fn every_refusal_is_a_problem_document_whoever_refuses() {
    let mut config = Config::default();
    config.server.request_timeout_ms = std::num::NonZeroU32::new(6_000).unwrap();
    let setup = Setup { config, max_connections: Some(1), ..Setup::default() };
    let app = TestApp::with(Engine::Sqlite, setup).await.expect("SQLite is always there");
    let key = app.a.key("admin");
    for (method, path, status) in [
        ("GET", "/v1/users?limit=many", 400),
        ("GET", "/v1/users?no_such_parameter=1", 400),
        ("GET", "/v1/users/%FF", 400),
        ("GET", "/v1/no/such/path", 404),
        ("PATCH", "/v1/me", 405),
    ] {
        let reply = app.call(method, path).key(key).send().await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
        assert_eq!(reply.headers.get("content-type").unwrap(), "application/problem+json", "{method} {path}");
        assert_eq!(reply.json()["status"], status);
        assert!(!reply.text.contains("no_such_parameter"), "what was sent is not repeated");
    }
    // The writer is taken for longer than a request may last.
    let held = app.tx(&app.a).await;
    let reply = app.call("POST", "/v1/audit:head").key(key).send().await.refused(503, "/problems/timeout");
    assert!(reply.headers.contains_key("retry-after"));
    drop(held);
}

#[tokio::test]
async fn a_compressed_body_is_not_unpacked() {
    let app = limited().await;
    for encoding in ["gzip", "br", "deflate", "zstd", "gzip, identity", "GZIP"] {
        let call = app.call("POST", "/v1/search").key(app.a.key("agent")).header("content-encoding", encoding);
        let reply = call.header("content-type", "application/json").bytes(vec![0x1f, 0x8b, 8, 0]).send().await;
        reply.refused(415, "/problems/content-encoding");
    }
}

#[rstest]
#[tokio::test]
async fn json_that_means_harm_is_refused_and_the_service_goes_on(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let key = app.a.key("integration");
    let order = |fields: &str, extra: &str| {
        format!(
            r#"{{"source":"shop","records":[{{"kind":"order","external_id":"X","fields":{{{fields}}},"extra":{{{extra}}}}}]}}"#
        )
    };
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let refused = [
        "[".repeat(1_000_000),
        deep(1_000_000),
        r#"{"a":"#.repeat(200_000),
        objects.clone(),
        order("", &format!("\"deep\":{}", deep(100_000))),
        order("", &format!("\"deep\":{objects}")),
        order(r#""note":"\ud800""#, ""),
        "\"\\ud800".to_owned(),
        "nul".to_owned(),
        String::new(),
        order("", "") + "x",
    ];
    for body in refused {
        let call = app.call("POST", "/v1/records:batch").key(key).once().header("content-type", "application/json");
        let start: String = body.chars().take(60).collect();
        let reply = call.bytes(body.into_bytes()).send().await;
        assert!((400..500).contains(&reply.status), "{start}: {} {}", reply.status, reply.text);
        assert!(reply.problem().starts_with("/problems/"), "{start}: {}", reply.text);
    }
    // Taken in or refused item by item, but never guessed and never an error of the server.
    for (fields, extra) in [
        (r#""total":1e999999"#, ""),
        (r#""total":"1e400 EUR""#, ""),
        (r#""paid":"99999999999999999999999999999999.99 EUR""#, ""),
        (r#""status":"a","status":"b""#, ""),
        ("", r#""n":123456789012345678901234567890.123456789"#),
        ("", r#""n":1e308"#),
        (r#""note":"\u202eabc\u200b\u0301\udb40\udc41""#, ""),
    ] {
        let call = app.call("POST", "/v1/records:batch").key(key).once().header("content-type", "application/json");
        let reply = call.bytes(order(fields, extra).into_bytes()).send().await;
        assert!(reply.status < 500, "{fields} {extra}: {}", reply.text);
    }
    app.get(key, "/v1/me").await.ok();
}

/// PostgreSQL stores no NUL in a text; SQLite does. Either way it is the client's mistake, in whatever field it stands.
#[rstest]
#[tokio::test]
async fn a_nul_in_any_text_is_the_clients_error_on_both_engines(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let admin = app.a.key("admin");
    let nul = "a\u{0}b";
    let order = |fields: Value, extra: Value| json!({ "source": "shop", "records": [{ "kind": "order", "external_id": "X", "fields": fields, "extra": extra }] });
    let document = |value: Value| json!({ "source": "shop", "documents": [value] });
    let bodies = [
        ("POST", "/v1/records:batch", order(json!({ "note": nul }), json!({}))),
        ("POST", "/v1/records:batch", order(json!({}), json!({ "note": nul, nul: 1 }))),
        (
            "POST",
            "/v1/records:batch",
            json!({ "source": nul, "records": [{ "kind": "order", "external_id": "X", "fields": {} }] }),
        ),
        (
            "POST",
            "/v1/records:batch",
            json!({ "source": "shop", "records": [{ "kind": "order", "external_id": nul, "fields": {} }] }),
        ),
        (
            "POST",
            "/v1/records:batch",
            json!({ "source": "shop", "records": [{ "kind": "order", "external_id": "X", "fields": {}, "audience": [nul] }] }),
        ),
        ("POST", "/v1/documents", document(json!({ "external_id": "x", "content": nul }))),
        ("POST", "/v1/documents", document(json!({ "external_id": "x", "content": nul, "format": "html" }))),
        ("POST", "/v1/documents", document(json!({ "external_id": "x", "content": nul, "format": "text" }))),
        ("POST", "/v1/documents", document(json!({ "external_id": "x", "content": "text", "title": nul }))),
        (
            "POST",
            "/v1/documents",
            document(
                json!({ "external_id": "x", "content": "text", "meta": { "policy_id": nul, "effective_from": null,
            "effective_to": null, "supersedes": [nul], "scope": {}, "audience": [nul], "extra": { nul: nul } } }),
            ),
        ),
        ("POST", "/v1/users", json!({ "email": format!("{nul}@example.com"), "name": nul, "roles": ["agent"] })),
        ("POST", "/v1/users", json!({ "email": "x@example.com", "name": nul, "roles": ["agent"] })),
        ("POST", "/v1/keys", json!({ "name": nul })),
        ("POST", "/v1/search", json!({ "query": nul })),
        ("POST", "/v1/search", json!({ "query": "SO-10\u{0}42 x", "kinds": [nul], "sources": [nul] })),
        ("POST", "/v1/answers", json!({ "question": "Where is order SO-10\u{0}42?" })),
    ];
    for (method, path, body) in &bodies {
        let reply = app.call(method, path).key(admin).once().json(body).send().await;
        assert!(reply.status < 500, "{path} {body}: {}", reply.text);
    }
    let run = app.call("POST", "/v1/sources/shop/runs").key(admin).send().await.ok().json();
    let finish = json!({ "complete": false, "rejections": [{ "file": nul, "row": 1, "column": nul, "reason": nul }] });
    let path = format!("/v1/runs/{}/finish", run["run_id"].as_str().unwrap());
    let reply = app.post(admin, &path, &finish).await;
    assert!(reply.status < 500, "{path}: {}", reply.text);
    for path in [
        "/v1/records?kind=order&external_id=%00",
        "/v1/records?kind=%00&external_id=x",
        "/v1/documents?after=%00&kind=%00",
        "/v1/users?after=%00",
        "/v1/keys?after=%00",
        "/v1/audit/events?resource=%00",
        "/v1/users/%00",
        "/v1/sources/%00",
    ] {
        let method = if path.starts_with("/v1/sources") { "DELETE" } else { "GET" };
        let reply = app.call(method, path).key(admin).send().await;
        assert!(reply.status < 500, "{path}: {}", reply.text);
    }
}
