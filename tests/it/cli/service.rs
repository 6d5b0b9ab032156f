//! `serve`, and commands beside it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

use super::bench::{Bench, ok_json, wait_until};
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
    // Each answer that is kept is an entry of the trail: then the second round would read another one.
    bench.configure("[history]\nretention_days = 0\n");
    let folder = bench.folder(&["SO-1,10.00,open"]);
    ok_json(&bench.run(&["--json", "ingest", &folder, "--wait"]));
    let alone = readings(&bench);
    let served = bench.serve();
    let beside = readings(&bench);
    let doctor = ok_json(&bench.run(&["--json", "doctor"]));
    assert!(doctor.to_string().contains(&format!("running at {}", served.url)), "the second round went over HTTP");
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

#[cfg(target_os = "linux")]
#[test]
fn a_running_service_leaves_no_core_dump() {
    let bench = Bench::with_tenant();
    let served = bench.serve();
    let file: Value = serde_json::from_slice(&std::fs::read(&served.file).unwrap()).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", file["pid"])).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
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

/// The request line and body of one HTTP request, answered with 200.
fn receive(mut stream: TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0);
    }
    let length =
        head.to_lowercase().split_once("content-length: ").map(|(_, rest)| rest.lines().next().unwrap().to_owned());
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body)
}

#[test]
fn traces_go_to_the_configured_endpoint_and_carry_no_question() {
    let bench = Bench::with_tenant();
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/traces", collector.local_addr().unwrap());
    let received = std::thread::spawn(move || receive(collector.accept().unwrap().0));
    let served = bench.serve_with(&[("COUNTERSIGN_TELEMETRY__OTLP_ENDPOINT", &endpoint)]);
    ok_json(&bench.run(&["--json", "ask", "Where is jane.doe@example.org's parcel?"]));
    assert_eq!(served.terminate(), Some(0), "what is waiting is sent at the end");
    wait_until(|| received.is_finished());
    let (line, body) = received.join().unwrap();
    assert_eq!(line, "POST /v1/traces HTTP/1.1");
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("countersign") && text.contains("request"), "{text}");
    assert!(!text.contains("jane.doe"), "personal data left in a trace");
}
