//! Configuration: the documented file, origins, refusals at the start.

use std::collections::BTreeSet;

use countersign::config::Config;
use serde_json::{Value, json};

use super::bench::{Bench, ok_json};

const EXAMPLE: &str = include_str!("../../../deploy/countersign.example.toml");

/// The names serde accepts at a place, from its complaint about one that it does not.
fn accepted(toml_text: &str) -> BTreeSet<String> {
    let error = toml::from_str::<Config>(toml_text).unwrap_err().message().to_owned();
    let expected = error.split_once("expected").unwrap().1.to_owned();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The example with every setting switched on.
fn switched_on() -> String {
    let setting = |line: &str| {
        line.strip_prefix("# ")
            .filter(|rest| rest.split_once(" = ").is_some_and(|(key, _)| is_key(key)))
            .map(str::to_owned)
    };
    EXAMPLE.lines().map(|line| setting(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[test]
fn the_example_file_lists_every_setting_and_nothing_else() {
    let text = switched_on();
    toml::from_str::<Config>(&text).expect("the example is a configuration");
    let table: toml::Table = toml::from_str(&text).unwrap();
    let sections = accepted("nothing = 1");
    assert_eq!(table.keys().cloned().collect::<BTreeSet<_>>(), sections);
    for section in sections {
        let listed: BTreeSet<String> = table[&section].as_table().unwrap().keys().cloned().collect();
        assert_eq!(listed, accepted(&format!("[{section}]\nno_such_setting = 1\n")), "[{section}]");
    }
}

#[test]
fn the_defaults_in_the_example_are_the_defaults() {
    let given: toml::Table = toml::from_str(&switched_on()).unwrap();
    let real = toml::Table::try_from(Config::default()).unwrap();
    for (section, settings) in &real {
        for (key, value) in settings.as_table().unwrap() {
            assert_eq!(given[section].get(key), Some(value), "{section}.{key}");
        }
    }
}

#[test]
fn settings_are_shown_with_their_origin_and_secrets_masked() {
    let bench = Bench::new();
    let output = bench
        .command(&["--json", "config", "show", "--origin"])
        .env("COUNTERSIGN_LLM__API_KEY", "sk-very-secret-1")
        .env("COUNTERSIGN_SERVER__LISTEN", "127.0.0.1:9999")
        .output()
        .unwrap();
    let shown = ok_json(&output);
    assert!(!shown.to_string().contains("very-secret"));
    let find =
        |key: &str| shown["settings"].as_array().unwrap().iter().find(|one| one["key"] == json!(key)).cloned().unwrap();
    assert_eq!(find("llm.api_key")["value"], json!("***"));
    assert_eq!(find("server.listen")["origin"], json!("$COUNTERSIGN_SERVER__LISTEN"));
    assert_eq!(find("server.body_max_bytes")["origin"], json!("default"));
}

#[test]
fn a_service_does_not_start_on_a_configuration_it_cannot_use() {
    let bench = Bench::with_tenant();
    let refused = |arguments: &[&str], variables: &[(&str, &str)], why: &str| {
        let output = bench.command(arguments).envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{why}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(why), "{told}");
    };
    refused(&["serve", "--listen", "0.0.0.0:0"], &[], "TLS");
    refused(&["serve"], &[("COUNTERSIGN_SERVER__LISTEN", "0.0.0.0:80")], "TLS");
    refused(&["serve"], &[("COUNTERSIGN_LLM__API_KEY", "changeme")], "placeholder");
    refused(&["serve"], &[("COUNTERSIGN_SERVER__LISTN", "x")], "listn");
    let local_model = [("COUNTERSIGN_LLM__BASE_URL", "http://127.0.0.1:11434/v1"), ("COUNTERSIGN_LLM__MODEL", "m")];
    refused(&["serve", "--listen", "127.0.0.1:0"], &local_model, "llm");
    let file = bench.path("open.toml");
    std::fs::write(&file, "[llm]\napi_key = \"k-123456\"\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        refused(&["--config", &file, "serve"], &[], "chmod 600");
    }
}

#[test]
fn config_check_says_whether_it_can_be_used() {
    let bench = Bench::new();
    assert_eq!(ok_json(&bench.run(&["--json", "config", "check"])), json!({ "ok": true }));
    let output = bench.command(&["--json", "config", "check"]).env("COUNTERSIGN_LLM__MODEL", "m").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(told.pointer("/error/message").unwrap().as_str().unwrap().contains("go together"), "{told}");
}
