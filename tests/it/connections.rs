//! Slow clients are cut off and cost little (reliability 7); a request under way survives SIGTERM (30 is in `cli/load.rs`).

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use countersign::config::Config;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Engine, Setup, TestApp};

const HEADER_MS: u32 = 600;
const BODY_MS: u32 = 900;
const WRITE_MS: u32 = 700;

async fn impatient(max_connections: u32) -> (TestApp, SocketAddr) {
    let mut config = Config::default();
    let ms = |n| NonZeroU32::new(n).unwrap();
    config.server.header_timeout_ms = ms(HEADER_MS);
    config.server.body_timeout_ms = ms(BODY_MS);
    config.server.write_timeout_ms = ms(WRITE_MS);
    config.server.max_connections = ms(max_connections);
    let setup = Setup { config, ..Setup::default() };
    let app = TestApp::with(Engine::Sqlite, setup).await.expect("SQLite is always there");
    let address = app.serve().await;
    (app, address)
}

/// Everything until the server hangs up, and how long that took; `None` when it does not within 10 s.
async fn until_closed(socket: &mut TcpStream) -> Option<(String, Duration)> {
    let started = Instant::now();
    let mut text = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut text)).await.ok()?;
    // A reset is as good as an end.
    let _ = read;
    Some((String::from_utf8_lossy(&text).into_owned(), started.elapsed()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_do_not_come_are_not_waited_for() {
    let (_app, address) = impatient(100).await;
    // Nothing at all; a part; a byte now and then.
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert!(until_closed(&mut silent).await.is_some(), "a connection on which nothing comes");
    let mut part = TcpStream::connect(address).await.unwrap();
    part.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    assert!(until_closed(&mut part).await.is_some(), "half of the headers");
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    let drip = tokio::spawn(async move {
        for byte in b"GET /healthz HTTP/1.1\r\nhost: a-very-slow-host.example\r\n\r\n" {
            if write.write_all(&[*byte]).await.is_err() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(u64::from(HEADER_MS) / 10)).await;
        }
        false
    });
    let mut text = String::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), read.read_to_string(&mut text)).await.expect("it is cut off");
    assert!(!text.contains("200 OK"), "{text}");
    drip.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_kept_open_is_closed_when_nothing_more_comes() {
    let (_app, address) = impatient(100).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut part = [0; 4096];
        let n = socket.read(&mut part).await.unwrap();
        assert!(part[..n].starts_with(b"HTTP/1.1 200"), "kept open between requests");
        tokio::time::sleep(Duration::from_millis(u64::from(HEADER_MS) / 3)).await;
    }
    assert!(until_closed(&mut socket).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_one_byte_now_and_then_is_cut_by_its_deadline() {
    let (app, address) = impatient(100).await;
    let head = format!(
        "POST /v1/search HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n",
        app.a.key("agent")
    );
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    write.write_all(head.as_bytes()).await.unwrap();
    let drip = tokio::spawn(async move {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(u64::from(BODY_MS) / 12)).await;
        }
    });
    let mut text = Vec::new();
    let started = Instant::now();
    let _ = tokio::time::timeout(Duration::from_secs(10), read.read_to_end(&mut text)).await.expect("it is cut off");
    let text = String::from_utf8_lossy(&text);
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("/problems/slow-body"), "{text}");
    assert!(started.elapsed() >= Duration::from_millis(u64::from(BODY_MS) / 2));
    drip.abort();
    app.get(app.a.key("agent"), "/v1/me").await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_read_their_answers_are_cut_off_and_memory_does_not_follow_them() {
    let (app, address) = impatient(100).await;
    // Answers far larger than a socket's buffers.
    let text: String = (0..60_000).map(|n| format!("Paragraph {n} of the desk of {}.\n\n", app.a.marker)).collect();
    let document = json!({ "external_id": "long", "kind": "page", "title": "Long", "content": text });
    app.push_documents(app.a.key("integration"), &app.a.source, &[document]).await.ok();
    let listed = app.get(app.a.key("agent"), "/v1/documents?kind=page").await.ok().json();
    let id = listed["documents"][0]["document_id"].as_str().unwrap().to_owned();
    let request = format!(
        "GET /v1/documents/{id}/text HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        app.a.key("agent")
    );
    let mut readers = Vec::new();
    for _ in 0..8 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut socket = socket.connect(address).await.unwrap();
        // Again and again on one connection, so that kernel buffers cannot hold it all.
        for _ in 0..20 {
            socket.write_all(request.as_bytes()).await.unwrap();
        }
        readers.push(socket);
    }
    tokio::time::sleep(Duration::from_millis(u64::from(WRITE_MS) * 3)).await;
    for mut socket in readers {
        let (text, _) = until_closed(&mut socket).await.expect("it was cut off, so what is buffered ends");
        assert!(
            text.matches("HTTP/1.1 200").count() < 20,
            "not all answers were written to somebody who does not read"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit_wait_for_a_free_place() {
    let (app, address) = impatient(3).await;
    let idle: Vec<TcpStream> = futures::future::join_all((0..3).map(|_| TcpStream::connect(address)))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut waiting = TcpStream::connect(address).await.unwrap();
    waiting.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut part = [0; 16];
    let early = tokio::time::timeout(Duration::from_millis(150), waiting.read(&mut part)).await;
    assert!(early.is_err(), "served although the places are taken");
    // The idle ones are cut off, and whoever waits has a turn.
    let (text, _) = until_closed(&mut waiting).await.expect("answered");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    drop((idle, app));
}
