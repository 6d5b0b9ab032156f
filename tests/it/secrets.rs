//! Secrets stay where they are kept, and a start that would not be safe is refused (reliability 93, 94).

use std::os::unix::fs::PermissionsExt;

use countersign::access::keys::KeyText;
use countersign::app::{DataDir, DataDirError};
use countersign::config::{Config, Layers};
use countersign::store::{PoolOptions, Store, StoreError};
use rstest::rstest;
use serde_json::json;

use crate::harness::{Engine, TestApp, unique};
use crate::samples::{own, samples};

fn env(pairs: &[(&str, &str)]) -> Layers {
    let mut layers = Layers::default();
    layers.environment(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    layers
}

#[test]
fn a_configuration_that_is_not_safe_is_refused_with_a_reason() {
    let with_model = [("COUNTERSIGN_LLM__BASE_URL", "https://models.example/v1"), ("COUNTERSIGN_LLM__MODEL", "m")];
    for key in ["", "changeme", "CHANGEME", "secret", "password", "your-api-key", "sk-xxx"] {
        for name in ["COUNTERSIGN_LLM__API_KEY", "COUNTERSIGN_EMBEDDING__API_KEY"] {
            let error = env(&[with_model[0], with_model[1], (name, key)]).finish().unwrap_err().to_string();
            assert!(error.contains("api_key"), "{name}={key}: {error}");
        }
    }
    for (name, value, says) in [
        ("COUNTERSIGN_SERVER__LISTEN", "0.0.0.0:8080", "TLS"),
        ("COUNTERSIGN_SERVER__LISTEN", "[::]:8080", "TLS"),
        ("COUNTERSIGN_SERVER__LISTEN", "192.168.1.4:80", "TLS"),
        ("COUNTERSIGN_SERVER__BODY_MAX_BYTES", "0", ""),
        ("COUNTERSIGN_SERVER__NO_SUCH_KEY", "1", "unknown"),
        ("COUNTERSIGN_NO_SUCH_SECTION__KEY", "1", "unknown"),
    ] {
        let error = env(&[(name, value)]).finish().expect_err(name).to_string();
        assert!(error.contains(says), "{name}={value}: {error}");
    }
    env(&[("COUNTERSIGN_SERVER__LISTEN", "0.0.0.0:8080"), ("COUNTERSIGN_SERVER__BEHIND_TLS_PROXY", "true")])
        .finish()
        .unwrap();
}

#[test]
fn no_secret_is_in_the_debug_output_the_settings_or_an_error() {
    // Also one that looks like a number or a flag.
    for secret in ["sk-live-51Hq9Zt", "918273645546372819", "-7766554433221100"] {
        let url = format!("postgres://app:{secret}@db.example/countersign");
        let layers = env(&[
            ("COUNTERSIGN_LLM__API_KEY", secret),
            ("COUNTERSIGN_EMBEDDING__API_KEY", secret),
            ("COUNTERSIGN_STORAGE__DATABASE_URL", &url),
            ("COUNTERSIGN_STORAGE__MIGRATE_URL", &url),
        ]);
        let config: Config = layers.finish().unwrap();
        assert_eq!(config.llm.api_key.as_ref().unwrap().expose(), secret);
        let shown = format!("{config:?} {config:#?} {:?} {layers:?}", layers.settings());
        assert!(!shown.contains(secret), "{shown}");
        let broken = env(&[("COUNTERSIGN_LLM__API_KEY", secret), ("COUNTERSIGN_SERVER__LISTEN", "nowhere")]);
        assert!(!broken.finish().unwrap_err().to_string().contains(secret));
    }
    let key = KeyText::mint(countersign::ids::TenantId::mint());
    assert!(!format!("{key:?} {key:#?}").contains(&key.reveal()[37..]));
}

#[tokio::test]
async fn a_database_error_carries_no_password() {
    let mut options = PoolOptions::new("postgres://app:hunter2hunter2@127.0.0.1:1/none");
    options.acquire_timeout = std::time::Duration::from_secs(2);
    let error = Store::open(&options).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    let error = Store::open(&PoolOptions::new("mysql://app:hunter2@x/y")).await.unwrap_err();
    assert!(matches!(error, StoreError::Scheme) && !format!("{error}").contains("hunter2"));
}

#[test]
fn the_data_directory_is_its_owners_and_belongs_to_one_process() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("data");
    let dir = DataDir::open(&path).unwrap();
    let (audit, operator) = (dir.audit_key().unwrap(), dir.operator_key().unwrap());
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for file in ["audit.key", "operator.key"] {
        assert_eq!(mode(&path.join(file)), 0o600, "{file}");
    }
    assert!(operator.len() >= 40);
    assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse(_))));
    drop(dir);
    let again = DataDir::open(&path).unwrap();
    assert_eq!((again.audit_key().unwrap().to_bytes(), again.operator_key().unwrap()), (audit.to_bytes(), operator));
    // A key that is not one is refused, not used, and not quoted.
    std::fs::write(path.join("audit.key"), "deadbeefdeadbeef").unwrap();
    let error = again.audit_key().unwrap_err().to_string();
    assert!(error.contains("audit.key") && !error.contains("deadbeef"), "{error}");
}

#[rstest]
#[tokio::test]
async fn a_database_of_a_newer_program_is_refused(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(app) = TestApp::new(engine).await else { return };
    let mut raw = app.database.raw().await;
    sqlx::query("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1").execute(&mut raw).await.unwrap();
    let error = Store::open(&app.options()).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 9999, .. }), "{error}");
}

#[rstest]
#[tokio::test]
async fn no_key_reaches_logs_or_metrics_and_no_client_can_forge_a_log_line(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(app) = TestApp::new(engine).await else { return };
    let forged = format!("FORGED{}", unique());
    let keys: Vec<String> = app.a.keys.values().chain([&app.operator_key]).cloned().collect();
    for key in &keys {
        for sample in samples().into_iter().filter(|sample| !sample.writes) {
            let reply = sample.send(&app, key, &own(&app.a)).await;
            assert!(reply.status < 500, "{}", reply.text);
        }
        // Wrong by one character, in the wrong header, in the address, twice.
        app.get(&format!("{key}x"), "/v1/me").await;
        app.call("GET", "/v1/me").header("authorization", key).send().await;
        app.call("GET", "/v1/me").key(key).header("x-api-key", key).send().await;
        app.call("GET", &format!("/v1/{key}?key={key}")).key(key).send().await;
        app.post(key, "/v1/users", &json!({ "email": key, "name": key, "roles": [key] })).await;
    }
    let admin = app.a.key("admin");
    for text in
        [format!("a\r\n2026-03-02T09:00:00Z ERROR {forged}"), format!("\u{1b}[2K\n{forged}"), format!("%0d%0a{forged}")]
    {
        app.post(admin, "/v1/users", &json!({ "email": text, "name": text, "roles": ["agent"] })).await;
        app.post(admin, "/v1/keys", &json!({ "name": text })).await;
        app.post(admin, "/v1/search", &json!({ "query": text, "kinds": [text], "sources": [text] })).await;
        app.push_records(admin, &text, &[json!({ "kind": text, "external_id": text, "fields": {} })]).await;
        app.push_documents(admin, "s", &[json!({ "external_id": "x", "content": text, "kind": text, "format": text })])
            .await;
    }
    app.get(admin, &format!("/v1/users/%0d%0a{forged}")).await;
    app.call("GET", "/v1/me").key(admin).header("x-request-id", &forged).header("user-agent", &forged).send().await;
    let reply = app.call("GET", "/v1/me").header("x-request-id", &forged).send().await;
    assert_ne!(reply.headers.get("x-request-id").unwrap(), forged.as_str(), "the id in the log is the server's own");
    let (logs, metrics) = (app.logs.text(), app.call("GET", "/metrics").send().await.ok().text);
    assert!(logs.lines().count() > 20, "the logs are captured");
    for key in &keys {
        for secret in [key.clone(), key[key.len() - 20..].to_owned(), countersign::canonical::sha256_hex(key)] {
            let line = logs.lines().chain(metrics.lines()).find(|line| line.contains(&secret));
            assert!(line.is_none(), "{line:?}");
        }
    }
    let line = logs.lines().chain(metrics.lines()).find(|line| line.contains(&forged));
    assert!(line.is_none(), "{line:?}");
}
