//! `ingest`: what goes in, what is refused, what an interruption leaves.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use super::bench::{Bench, ok_json, signal};

fn counts(report: &Value) -> [u64; 5] {
    ["created", "changed", "unchanged", "removed", "rejected"].map(|name| report[name].as_u64().unwrap())
}

#[test]
fn an_import_names_what_it_refused_by_file_row_and_column_and_ends_with_3() {
    let bench = Bench::with_tenant();
    let folder = bench.folder(&["SO-1,10.00,open", "SO-2,ten,open", "SO-3,12.50,lost"]);
    let output = bench.run(&["ingest", &folder]);
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("2 created") && told.contains("2 refused"), "{told}");
    assert!(told.contains("orders.csv:3:total is not a decimal number"), "{told}");
    assert!(told.contains("orders.csv:4:status"), "{told}");
    assert!(!told.contains("ten") || !told.contains("\"ten\""), "a cell's content is not repeated: {told}");
}

#[test]
fn a_dry_run_reports_and_changes_nothing() {
    let bench = Bench::with_tenant();
    let folder = bench.folder(&["SO-1,10.00,open"]);
    let report = ok_json(&bench.run(&["--json", "ingest", &folder, "--dry-run"]));
    assert_eq!(report["kinds"], json!({ "order": 1, "policy": 1 }));
    assert_eq!(ok_json(&bench.run(&["--json", "index", "status"]))["chunks"], json!(0));
}

#[test]
fn importing_again_changes_only_what_changed_and_removes_what_is_gone_unless_partial() {
    let bench = Bench::with_tenant();
    let folder = bench.folder(&["SO-1,10.00,open", "SO-2,11.00,open"]);
    let import = |flags: &[&str]| ok_json(&bench.run(&[&["--json", "ingest", &folder], flags].concat()));
    assert_eq!(counts(&import(&[])), [3, 0, 0, 0, 0]);
    assert_eq!(counts(&import(&[])), [0, 0, 3, 0, 0]);
    bench.folder(&["SO-1,10.00,shipped"]);
    assert_eq!(counts(&import(&["--partial"])), [0, 1, 1, 0, 0]);
    assert_eq!(counts(&import(&[])), [0, 0, 2, 1, 0]);
}

#[test]
fn a_renamed_column_refuses_every_row_and_removes_nothing() {
    let bench = Bench::with_tenant();
    let folder = bench.folder(&["SO-1,10.00,open", "SO-2,11.00,open"]);
    ok_json(&bench.run(&["--json", "ingest", &folder]));
    let path = std::path::Path::new(&folder).join("orders.csv");
    let renamed = std::fs::read_to_string(&path).unwrap();
    let (header, rows) = renamed.split_once('\n').unwrap();
    let last = header.rsplit(',').next().unwrap();
    std::fs::write(&path, format!("{}\n{rows}", header.replace(last, "Renamed"))).unwrap();
    let output = bench.run(&["--json", "ingest", &folder]);
    assert_eq!(output.status.code(), Some(3));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["state"].as_str(), counts(&report)[3], counts(&report)[4]), (Some("partial"), 0, 2), "{report}");
    let answer = ok_json(&bench.run(&["--json", "ask", "What is the total of SO-1?"]));
    assert_eq!(answer["abstained"], false, "{answer}");
}

#[test]
fn a_missing_folder_and_an_unknown_mapping_are_told_apart() {
    let bench = Bench::with_tenant();
    assert_eq!(bench.run(&["ingest", "nowhere"]).status.code(), Some(4));
    let folder = bench.folder(&[]);
    let output = bench.run(&["ingest", &folder, "--mapping", "tau_retial"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("tau_retail"));
}

#[test]
fn ctrl_c_finishes_the_batch_removes_nothing_and_the_same_command_goes_on() {
    let bench = Bench::with_tenant();
    let rows: Vec<String> = (0..6_000).map(|n| format!("SO-{n},{n}.00,open")).collect();
    let folder = bench.folder(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let mut child =
        bench.command(&["--json", "ingest", &folder]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut progress = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = progress.next().unwrap().unwrap();
    assert!(first.contains("of 6001 items"), "{first}");
    signal(&child, "INT");
    let rest = std::thread::spawn(move || progress.map_while(Result::ok).collect::<Vec<_>>().join("\n"));
    let output = child.wait_with_output().unwrap();
    assert!(rest.join().unwrap().contains("Ctrl-C again"));
    assert_eq!(output.status.code(), Some(130));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["interrupted"], &report["state"]), (&json!(true), &json!("partial")), "{report}");
    let [created, _, _, removed, _] = counts(&report);
    assert!(created > 0 && created < 6_001 && removed == 0, "{report}");
    let again = ok_json(&bench.run(&["--json", "ingest", &folder]));
    assert_eq!(counts(&again), [6_001 - created, 0, created, 0, 0]);
}

#[test]
fn the_demo_company_goes_in_whole_and_its_questions_are_asked() {
    let bench = Bench::new();
    let dir = bench.path("demo");
    let summary = ok_json(&bench.run(&["--json", "demo", "--no-serve", "--dir", &dir, "--as-of", "2026-03-10"]));
    assert_eq!(summary.pointer("/ingest/rejected"), Some(&json!(0)));
    assert!(summary.pointer("/ingest/created").and_then(Value::as_u64).unwrap() > 10_000);
    let answers = summary["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 3);
    let fact = &answers[0];
    assert!(fact["text"].as_str().unwrap().contains("790.60"), "{fact}");
    assert_eq!(fact.pointer("/citations/0/record/external_id"), Some(&json!("SO-105500")), "{fact}");
}
