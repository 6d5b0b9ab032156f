//! `serve`, and commands beside it.

use serde_json::{Value, json};

use super::bench::{Bench, ok_json};
use countersign::app::DataDir;

/// Results of commands that change nothing, without what differs from one asking to the next.
fn readings(bench: &Bench) -> Vec<Value> {
    let commands: [&[&str]; 8] = [
        &["tenant", "list"],
        &["user", "list"],
        &["key", "list"],
        &["index", "status"],
        &["audit", "verify"],
        &["audit", "list"],
        &["search", "SO-1 refund approver"],
        &["ask", "What is the total of order SO-1?"],
    ];
    let read = |command: &&[&str]| {
        let mut value = ok_json(&bench.run(&[&["--json"], *command].concat()));
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|name, _| name != "answer_id" && name != "anchor");
        }
        value
    };
    commands.iter().map(read).collect()
}

#[test]
fn commands_give_the_same_results_beside_a_running_service_as_without_one() {
    let bench = Bench::with_tenant();
    let folder = bench.folder(&["SO-1,10.00,open"]);
    ok_json(&bench.run(&["--json", "ingest", &folder, "--wait"]));
    let alone = readings(&bench);
    let served = bench.serve();
    let beside = readings(&bench);
    assert_eq!(served.terminate(), Some(0));
    for (alone, beside) in alone.iter().zip(&beside) {
        assert_eq!(alone, beside);
    }
    assert!(alone[7]["text"].as_str().unwrap().contains("10.00"), "{}", alone[7]);
}

#[test]
fn an_import_beside_a_running_service_goes_through_it() {
    let bench = Bench::with_tenant();
    let folder = bench.folder(&["SO-1,10.00,open", "SO-2,x,open"]);
    let served = bench.serve();
    let output = bench.run(&["--json", "ingest", &folder, "--wait"]);
    assert_eq!(output.status.code(), Some(3));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["created"], &report["rejected"]), (&json!(2), &json!(1)), "{report}");
    assert_eq!(report.pointer("/index/dense_pending"), Some(&json!(0)));
    drop(served);
}

#[test]
fn sigterm_ends_serve_with_0_leaves_an_anchor_and_takes_its_address_away() {
    let bench = Bench::with_tenant();
    let served = bench.serve();
    assert!(served.url.starts_with("http://127.0.0.1:"));
    let file = served.file.clone();
    assert_eq!(served.terminate(), Some(0));
    assert!(!file.exists());
    let report = ok_json(&bench.run(&["--json", "audit", "verify"]));
    assert!(report["anchor"].as_str().unwrap().starts_with("entry "), "{report}");
}

#[test]
fn an_anchor_that_the_trail_no_longer_contains_is_kept_as_evidence() {
    let bench = Bench::with_tenant();
    assert_eq!(bench.serve().terminate(), Some(0));
    let file = bench.data_dir().join("anchors/acme.json");
    let mut anchor: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    anchor["hash"] = json!("00".repeat(32));
    std::fs::write(&file, anchor.to_string()).unwrap();
    ok_json(&bench.run(&["--json", "audit", "head"]));
    assert_eq!(bench.serve().terminate(), Some(0));
    let kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(kept, anchor);
}

#[test]
fn a_data_directory_in_use_by_a_command_is_said_to_be() {
    let bench = Bench::with_tenant();
    let held = DataDir::open(&bench.data_dir()).unwrap();
    let output = bench.run(&["tenant", "list"]);
    assert_eq!(output.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use by another countersign process"));
    assert_eq!(bench.run(&["serve", "--listen", "127.0.0.1:0"]).status.code(), Some(6));
    drop(held);
    ok_json(&bench.run(&["--json", "tenant", "list"]));
}

#[test]
fn an_address_left_behind_by_a_killed_service_is_not_believed() {
    let bench = Bench::with_tenant();
    let served = bench.serve();
    let file = served.file.clone();
    drop(served); // SIGKILL
    assert!(file.exists());
    ok_json(&bench.run(&["--json", "tenant", "list"]));
}

#[test]
fn a_port_that_is_taken_is_a_conflict_with_advice() {
    let bench = Bench::with_tenant();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = bench.run(&["serve", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(output.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--listen"));
}
