//! The command line as its users meet it: the real program, its streams and its exit codes.

mod bench;
mod configuration;
mod imports;
mod load;
mod readme;
mod service;

use assert_cmd::prelude::*;
use bench::{Bench, ok_json};
use serde_json::{Value, json};

const COMMANDS: [&str; 15] = [
    "init",
    "serve",
    "ingest",
    "ask",
    "search",
    "index",
    "tenant",
    "user",
    "key",
    "audit",
    "doctor",
    "config",
    "completions",
    "demo",
    "openapi",
];

#[test]
fn every_command_has_help_that_begins_with_examples() {
    let bench = Bench::new();
    for command in COMMANDS {
        let output = bench.run(&[command, "--help"]);
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{command}");
        let (examples, usage) = (help.find("Examples:\n  "), help.find("Usage:"));
        assert!(examples.is_some() && examples < usage, "{command}: {help}");
        assert!(help.contains("--json") && help.contains("--data-dir"), "{command}: {help}");
    }
    let output = bench.run(&["--help"]);
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(
        help.contains("Exit codes:") && COMMANDS.iter().all(|command| help.contains(&format!("\n  {command} "))),
        "{help}"
    );
}

#[test]
fn wrong_usage_ends_with_2_and_guesses_the_command_that_was_meant() {
    let bench = Bench::new();
    let output = bench.run(&["ingst"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("'ingest'"));
    assert_eq!(bench.run(&["search"]).status.code(), Some(2));
    assert_eq!(bench.run(&["ask", "x", "--as-of", "soon"]).status.code(), Some(2));
}

#[test]
fn without_a_data_directory_a_command_ends_with_4_and_says_how_to_make_one() {
    let bench = Bench::new();
    let output = bench.run(&["ask", "where is order 1?"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(output.stdout.is_empty(), "results only on standard output");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("countersign init"), "{told}");
    let output = bench.run(&["--json", "tenant", "list"]);
    let told: Value = serde_json::from_slice(&output.stderr).expect("a failure is JSON too");
    assert_eq!(told.pointer("/error/exit"), Some(&json!(4)));
}

#[test]
fn init_can_be_repeated_and_leaves_files_that_only_their_owner_can_read() {
    let bench = Bench::new();
    let first = ok_json(&bench.run(&["--json", "init", "acme"]));
    assert_eq!(first["created"], json!(true));
    let again = ok_json(&bench.run(&["--json", "init", "acme"]));
    assert_eq!(again["created"], json!(false));
    for file in ["operator.key", "audit.key", "keys/acme.key"] {
        assert_eq!(bench.mode(file), 0o600, "{file}");
    }
    assert_eq!(bench.mode(""), 0o700);
}

#[test]
fn init_refuses_a_folder_that_holds_something_else() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.data_dir()).unwrap();
    std::fs::write(bench.data_dir().join("thesis.txt"), "mine").unwrap();
    assert_eq!(bench.run(&["init"]).status.code(), Some(6));
    assert!(!bench.data_dir().join("operator.key").exists());
}

#[test]
fn refusals_have_the_documented_exit_codes() {
    let bench = Bench::with_tenant();
    let run = |arguments: &[&str]| bench.run(arguments).status.code();
    assert_eq!(run(&["user", "create", "kim@acme.example", "--name", "Kim", "--role", "agent"]), Some(0));
    assert_eq!(run(&["user", "create", "kim@acme.example", "--name", "Kim", "--role", "agent"]), Some(6), "taken");
    assert_eq!(run(&["user", "create", "nobody", "--name", "Kim", "--role", "agent"]), Some(2), "not an address");
    assert_eq!(run(&["user", "suspend", "who@acme.example"]), Some(4), "no such user");
    let key = bench.path("kim.key");
    assert_eq!(run(&["key", "create", "--user", "kim@acme.example", "--save", &key]), Some(0));
    assert_eq!(run(&["--key-file", &key, "user", "list"]), Some(5), "an agent may not list users");
    assert_eq!(run(&["tenant", "suspend", "acme"]), Some(0));
    assert_eq!(run(&["index", "status"]), Some(5), "a suspended tenant's keys do not work");
    assert_eq!(run(&["tenant", "resume", "acme"]), Some(0));
    assert_eq!(run(&["index", "status"]), Some(0));
}

#[test]
fn a_key_file_wins_over_the_environment_and_that_over_the_data_directory() {
    let bench = Bench::with_tenant();
    let kim_key = bench.user("kim@acme.example");
    let lee_key = bench.user("lee@acme.example");
    let text_of = |path: &str| std::fs::read_to_string(path).unwrap().trim().to_owned();
    // `audit list` is for admins and auditors: who is acting shows in whether it may.
    let may_list = |arguments: &[&str], variables: &[(&str, &str)]| {
        bench.command(arguments).envs(variables.iter().copied()).output().unwrap().status.code()
    };
    let admin = bench.data_dir().join("keys/acme.key");
    let admin = admin.to_str().unwrap();
    assert_eq!(may_list(&["audit", "list"], &[]), Some(0), "the data directory has the administrator's key");
    assert_eq!(may_list(&["audit", "list"], &[("COUNTERSIGN_KEY", &text_of(&kim_key))]), Some(5));
    assert_eq!(may_list(&["audit", "list"], &[("COUNTERSIGN_KEY_FILE", &lee_key)]), Some(5));
    assert_eq!(may_list(&["--key-file", admin, "audit", "list"], &[("COUNTERSIGN_KEY", &text_of(&kim_key))]), Some(0));
    assert_eq!(may_list(&["--tenant", "acme", "audit", "list"], &[("COUNTERSIGN_KEY_FILE", &lee_key)]), Some(0));
}

#[cfg(unix)]
#[test]
fn a_key_that_other_users_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::with_tenant();
    let key = bench.data_dir().join("keys/acme.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let output = bench.run(&["index", "status"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains("chmod 600"));
    let doctor = bench.run(&["--json", "doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    let checks: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let keys = checks["checks"].as_array().unwrap().iter().find(|check| check["check"] == json!("keys"));
    assert_eq!(keys.unwrap()["status"], json!("fail"));
    let operator = bench.data_dir().join("operator.key");
    std::fs::set_permissions(&operator, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(bench.run(&["serve", "--listen", "127.0.0.1:0"]).status.code(), Some(2));
}

#[test]
fn no_command_prints_a_key_that_it_did_not_make() {
    let bench = Bench::with_tenant();
    let secrets: Vec<String> = ["operator.key", "audit.key", "keys/acme.key"]
        .map(|file| std::fs::read_to_string(bench.data_dir().join(file)).unwrap().trim().to_owned())
        .to_vec();
    let commands: [&[&str]; 9] = [
        &["-vv", "tenant", "list"],
        &["-vv", "user", "list"],
        &["-vv", "key", "list"],
        &["-vv", "--json", "audit", "list"],
        &["-vv", "audit", "head"],
        &["-vv", "doctor"],
        &["-vv", "config", "show", "--origin"],
        &["-vv", "init", "acme"],
        &["-vv", "index", "status"],
    ];
    for command in commands {
        let output = bench.run(command);
        let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        for secret in &secrets {
            assert!(!shown.contains(secret.as_str()), "{command:?} printed a key");
        }
    }
}

#[test]
fn a_trail_that_was_tampered_with_ends_verification_with_8() {
    let bench = Bench::with_tenant();
    let report = ok_json(&bench.run(&["--json", "audit", "verify"]));
    assert_eq!(report["ok"], json!(true));
    bench.sql("UPDATE user_role SET role = 'auditor' WHERE role = 'agent'");
    let output = bench.run(&["--json", "audit", "verify"]);
    assert_eq!(output.status.code(), Some(8));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["findings"][0]["problem"].as_str().unwrap().contains("outside the audited path"), "{report}");
}

#[test]
fn doctor_finds_a_sound_installation_sound() {
    let bench = Bench::with_tenant();
    let report = ok_json(&bench.run(&["--json", "doctor"]));
    assert_eq!(report["ok"], json!(true));
    let checked: Vec<&str> =
        report["checks"].as_array().unwrap().iter().filter_map(|one| one["check"].as_str()).collect();
    for wanted in [
        "configuration",
        "data directory",
        "keys",
        "embedding model",
        "service",
        "database",
        "tenants",
        "index",
        "chat model",
    ] {
        assert!(checked.contains(&wanted), "{wanted} is not among {checked:?}");
    }
}

#[test]
fn the_openapi_document_needs_no_installation_and_names_the_routes_the_commands_use() {
    let bench = Bench::new();
    let api = ok_json(&bench.run(&["openapi"]));
    for path in ["/v1/answers", "/v1/search", "/v1/records:batch", "/v1/operator/tenants", "/v1/audit:verify"] {
        assert!(api["paths"].get(path).is_some(), "{path}");
    }
    bench.command(&["completions", "bash"]).assert().success();
}
