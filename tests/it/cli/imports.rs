//! `ingest`: what goes in, what is refused, what an interruption leaves.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use super::bench::{Bench, ok_json, signal};
use crate::files::build;

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
    assert_eq!(again["sent"], json!(6_001 - created), "what is in does not travel again");
}

#[test]
fn a_workbook_a_pdf_and_a_mail_of_a_folder_go_in_and_a_scan_is_named() {
    let bench = Bench::with_tenant();
    let folder = bench.folder(&[]);
    let write = |name: &str, bytes: &[u8]| std::fs::write(std::path::Path::new(&folder).join(name), bytes).unwrap();
    std::fs::remove_file(std::path::Path::new(&folder).join("orders.csv")).unwrap();
    let mapping = std::fs::read_to_string(std::path::Path::new(&folder).join("mapping.toml")).unwrap();
    write("mapping.toml", mapping.replace("orders*.csv", "orders.xlsx").as_bytes());
    let rows = [build::text_row(1, &["number", "total", "status"]), build::text_row(2, &["SO-1", "10.00", "open"])];
    let bad = build::text_row(3, &["SO-2", "ten", "open"]);
    write("orders.xlsx", &build::xlsx(&[("March", &format!("{}{bad}", rows.concat()))]));
    write("hire.pdf", &build::pdf(&[&["Scaffold hire"], &["Hire above EUR 900 needs the site director."]]));
    write("scan.pdf", &build::pdf(&[&[]]));
    write("in.eml", build::MAIL.as_bytes());
    let output = bench.run(&["--json", "ingest", &folder]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(counts(&report), [5, 0, 0, 0, 2], "an order, a policy, a PDF, a mail and its note: {report}");
    let told = report["rejections"].to_string();
    assert!(told.contains("orders.xlsx!March") && told.contains("total (B3)"), "{told}");
    assert!(told.contains("scan.pdf") && told.contains("without a text layer"), "{told}");
    let output = bench.run(&["ask", "Who is needed for a hire above EUR 900?"]);
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(answer.contains("page 2"), "{answer}");
}

#[test]
fn a_watched_folder_takes_in_what_changes_and_removes_what_is_gone() {
    let bench = Bench::with_tenant();
    let folder = bench.folder(&["SO-1,10.00,open", "SO-2,11.00,open"]);
    let mut child =
        bench.command(&["ingest", &folder, "--watch"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut report = |wanted: &str| {
        let line = told.by_ref().map(Result::unwrap).find(|line| line.contains("created")).unwrap();
        assert!(line.contains(wanted), "{line}");
    };
    report("3 created");
    // Half a file, then the rest of it: one look at the whole.
    let path = std::path::Path::new(&folder).join("orders.csv");
    std::fs::write(&path, "number,total,status\nSO-1,10.00,shipped\nSO-2,11").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(400));
    std::fs::write(&path, "number,total,status\nSO-1,10.00,shipped\nSO-3,12.00,open\n").unwrap();
    report("1 created, 1 changed, 0 unchanged, 0 removed, 0 refused");
    // What is gone goes later, when nobody writes.
    report("0 created, 0 changed, 3 unchanged, 1 removed, 0 refused");
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let answer = ok_json(&bench.run(&["--json", "ask", "What is the status of SO-1?"]));
    assert!(answer["text"].as_str().unwrap().contains("shipped"), "{answer}");
}

#[test]
fn a_suggested_mapping_is_one_that_reads_the_file() {
    let bench = Bench::with_tenant();
    let folder = bench.folder(&[]);
    let file = std::path::Path::new(&folder).join("purchase_orders.csv");
    let rows = "PO Number,Vendor ID,Order Date,Status,Total Amount,Currency\nPO-1,V-7,02.03.2026,Open,\"1.250,00\",EUR\nPO-2,V-7,15.03.2026,Closed,\"80,50\",EUR\n";
    std::fs::write(&file, rows).unwrap();
    let output = bench.run(&["--json", "ingest", "--suggest-mapping", file.to_str().unwrap(), "--dry-run"]);
    let suggestion = ok_json(&output);
    assert_eq!(suggestion["kind"], json!("purchase_order"), "{suggestion}");
    assert_eq!(suggestion["dry_run"]["kinds"], json!({ "purchase_order": 2 }), "{suggestion}");
    assert_eq!(suggestion["dry_run"]["rejected"], json!(0), "{suggestion}");
    let plain = bench.run(&["ingest", "--suggest-mapping", file.to_str().unwrap()]);
    let toml = String::from_utf8_lossy(&plain.stdout);
    assert!(toml.contains("decimal = \",\"") && toml.contains("%d.%m.%Y"), "{toml}");
    assert_eq!(ok_json(&bench.run(&["--json", "index", "status"]))["chunks"], json!(0), "a proposal changes nothing");
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
