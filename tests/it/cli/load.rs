//! SIGTERM under load: no new connections, what was begun is answered, nothing that was acknowledged is lost (reliability 30).

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::bench::{Bench, ok_json};

/// One push over a connection of its own; the status, or `None` when it was not taken (refused, or closed before an answer began).
fn push(address: &str, key: &str, number: usize) -> Option<u16> {
    let record = json!({ "kind": "order", "external_id": format!("SO-{number}"), "fields": { "status": "open" } });
    let body = json!({ "source": "load", "records": [record] }).to_string();
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let head = format!(
        "POST /v1/records:batch HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\nidempotency-key: n{number}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).ok()?;
    socket.write_all(body.as_bytes()).ok()?;
    let mut text = String::new();
    let _ = socket.read_to_string(&mut text);
    text.split(' ').nth(1)?.parse().ok()
}

#[test]
fn sigterm_under_load_answers_what_was_begun_and_loses_nothing() {
    let bench = Bench::with_tenant();
    let served = bench.serve();
    let address = served.url.trim_start_matches("http://").to_owned();
    let key = std::fs::read_to_string(bench.data_dir().join("keys/acme.key")).unwrap().trim().to_owned();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (address, key, stop) = (address.clone(), key.clone(), stop.clone());
            std::thread::spawn(move || {
                let (mut acknowledged, mut other) = (Vec::new(), Vec::new());
                for n in 0..100_000 {
                    let number = writer * 100_000 + n;
                    match push(&address, &key, number) {
                        Some(200) => acknowledged.push(number),
                        Some(status) => other.push(status),
                        None if stop.load(Ordering::SeqCst) => break,
                        None => other.push(0),
                    }
                }
                (acknowledged, other)
            })
        })
        .collect();
    std::thread::sleep(Duration::from_secs(2));
    stop.store(true, Ordering::SeqCst);
    let told = Instant::now();
    assert_eq!(served.terminate(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(25), "drains within its deadline");
    let mut acknowledged = Vec::new();
    for writer in writers {
        let (mut numbers, other) = writer.join().unwrap();
        assert_eq!(other, [] as [u16; 0], "before the signal every push is answered with 200");
        acknowledged.append(&mut numbers);
    }
    assert!(acknowledged.len() > 20, "there was load: {}", acknowledged.len());
    let report = ok_json(&bench.run(&["--json", "audit", "verify"]));
    assert_eq!(report["ok"], true, "{report}");
    let stored: HashSet<String> =
        bench.texts("SELECT external_id FROM record WHERE deleted_at_us IS NULL").into_iter().collect();
    for number in &acknowledged {
        assert!(stored.contains(&format!("SO-{number}")), "SO-{number} was acknowledged and is gone");
    }
    let open = bench.texts("SELECT idem_key FROM idempotency WHERE status IS NULL");
    assert_eq!(open, [] as [String; 0], "no request was broken off between its claim and its answer");
}
