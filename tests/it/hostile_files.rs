//! Files made to kill their reader: refused within 5 s and 256 MB with a reason, while the service answers (reliability 47).

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ingest::Limits;
use serde_json::{Value, json};

use crate::files::build;
use crate::harness::{Engine, TestApp, unique};

const MEMORY: u64 = 256 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// What one reading process did.
struct Reading {
    outcome: Option<Value>,
    took: Duration,
    /// Most memory that was resident at once, bytes; 0 where the system does not say.
    peak: u64,
}

/// Runs the program's reading process on a file, as the service does, and looks at its memory all the while.
fn read_in_child(path: &str, bytes: &[u8]) -> Reading {
    let job = json!({ "memory_bytes": MEMORY, "cpu_s": 5, "path": path, "limits": Limits::default() }).to_string();
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .arg("extract-one")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let bytes = bytes.to_vec();
    let giving = std::thread::spawn(move || {
        let length = u32::try_from(job.len()).unwrap().to_le_bytes();
        let _ = stdin
            .write_all(&length)
            .and_then(|()| stdin.write_all(job.as_bytes()))
            .and_then(|()| stdin.write_all(&bytes));
    });
    let hearing = std::thread::spawn({
        let mut stdout = child.stdout.take().unwrap();
        move || {
            let mut answer = Vec::new();
            let _ = std::io::Read::read_to_end(&mut stdout, &mut answer);
            answer
        }
    });
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(peak_resident(&status));
        if started.elapsed() > 4 * PATIENCE {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    giving.join().unwrap();
    let answer = hearing.join().unwrap();
    Reading { outcome: serde_json::from_slice(&answer).ok(), took: started.elapsed(), peak }
}

/// `VmHWM`: the high-water mark of the resident set, the program's own pages included.
fn peak_resident(status: &str) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

fn bombs() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let book = build::xlsx_parts(&["Orders"]);
    let parts: Vec<(&str, &[u8])> = book.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let sheet = "xl/worksheets/sheet1.xml";
    let word_parts: &[(&str, &[u8])] = &[("[Content_Types].xml", b"<Types/>")];
    let many_attributes: String = (0..800_000).map(|n| format!(" a{n}=\"\"")).collect();
    let entities = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE w [<!ENTITY a \"{}\">{}]><w:document xmlns:w=\"w\"><w:body><w:p><w:r><w:t>&z;</w:t></w:r></w:p></w:body></w:document>",
        "x".repeat(1000),
        ('b'..='z')
            .map(|c| format!("<!ENTITY {c} \"{}\">", format!("&{};", char::from(c as u8 - 1)).repeat(10)))
            .collect::<String>()
    );
    let nested_tables =
        format!("<w:document xmlns:w=\"w\"><w:body>{}</w:body></w:document>", "<w:tbl><w:tr><w:tc>".repeat(100_000));
    let repeated = r#"<table:table-row table:number-rows-repeated="1048576"><table:table-cell office:value-type="string" table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell></table:table-row>"#;
    let far = r#"<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>"#;
    let files: Vec<(String, &[u8])> = (0..60_000).map(|n| (format!("{n}.xml"), b"".as_slice())).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let inner = build::zip_bomb(&[], "a.zip", "", "0", 64 << 20, "");
    vec![
        ("PDF nested 10,380 deep", "a.pdf", build::pdf_nested(10_380)),
        ("PDF nested 1,000,000 deep", "a.pdf", build::pdf_nested(1_000_000)),
        (
            "XLSX of 512 MiB",
            "a.xlsx",
            build::zip_bomb(
                &parts,
                sheet,
                "<worksheet><sheetData>",
                "<row><c><v>1</v></c></row>",
                512 << 20,
                "</sheetData></worksheet>",
            ),
        ),
        (
            "XLSX of 512 MiB in one shared text",
            "a.xlsx",
            build::zip_bomb(&parts, "xl/sharedStrings.xml", "<sst><si><t>", "x", 512 << 20, "</t></si></sst>"),
        ),
        (
            "DOCX of 2 GiB",
            "a.docx",
            build::zip_bomb(
                word_parts,
                "word/document.xml",
                "<w:document xmlns:w=\"w\"><w:body>",
                "<w:p><w:r><w:t>x</w:t></w:r></w:p>",
                2 << 30,
                "</w:body></w:document>",
            ),
        ),
        ("ODS of 17 billion cells", "a.ods", build::ods(repeated)),
        ("XLSX with a cell in the last corner", "a.xlsx", build::xlsx(&[("Orders", far)])),
        ("ZIP of ZIPs", "a.docx", build::zip(&[("a.zip", &inner), ("b.zip", &inner)])),
        ("60,000 parts", "a.docx", build::zip(&files)),
        ("a link as a part", "a.xlsx", build::zip_with_link()),
        ("a part named ../", "a.docx", build::zip(&[("../../etc/cron.d/x", b"x"), ("word/document.xml", b"<x/>")])),
        (
            "800,000 attributes",
            "a.docx",
            build::docx_of(format!("<w:document xmlns:w=\"w\"{many_attributes}/>").as_bytes()),
        ),
        ("entities that multiply", "a.docx", build::docx_of(entities.as_bytes())),
        ("tables nested 100,000 deep", "a.docx", build::docx_of(nested_tables.as_bytes())),
        ("a mail of nested parts", "a.eml", nested_mail(5_000)),
        ("a mail of 20,000 attachments", "a.eml", many_attachments(20_000)),
    ]
}

fn nested_mail(depth: usize) -> Vec<u8> {
    let mut mail = String::from("From: a@b.example\r\nSubject: s\r\nMIME-Version: 1.0\r\n");
    for level in 0..depth {
        mail.push_str(&format!("Content-Type: multipart/mixed; boundary=\"b{level}\"\r\n\r\n--b{level}\r\n"));
    }
    mail.push_str("Content-Type: text/plain\r\n\r\nfound\r\n");
    mail.into_bytes()
}

fn many_attachments(count: usize) -> Vec<u8> {
    let mut mail = String::from(
        "From: a@b.example\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n",
    );
    for n in 0..count {
        mail.push_str(&format!(
            "--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=\"{n}.txt\"\r\n\r\nx\r\n"
        ));
    }
    mail.push_str("--b--\r\n");
    mail.into_bytes()
}

/// Two of the mails are odd but readable; everything else is refused by name.
fn may_be_read(what: &str) -> bool {
    what.starts_with("a mail")
}

#[test]
fn no_file_takes_its_reader_past_five_seconds_or_256_megabytes() {
    for (what, path, bytes) in bombs() {
        let packed = bytes.len();
        let reading = read_in_child(path, &bytes);
        println!(
            "{what}: {packed} bytes, {:?}, peak {} MB: {:?}",
            reading.took,
            reading.peak >> 20,
            reading.outcome.as_ref().map(|o| o.to_string().chars().take(120).collect::<String>())
        );
        assert!(reading.took < PATIENCE, "{what} took {:?}", reading.took);
        assert!(reading.peak <= MEMORY, "{what} held {} MB", reading.peak >> 20);
        // A reader that died says nothing; the service names that outcome, as the next test sees.
        if let Some(outcome) = reading.outcome {
            assert!(outcome.get("Err").is_some() || may_be_read(what), "{what} was read");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_refuses_each_with_a_reason_and_goes_on_answering() {
    let app = TestApp::new(Engine::Sqlite).await.expect("SQLite is always there");
    let instance = std::process::id();
    for (what, path, bytes) in bombs() {
        if may_be_read(what) || bytes.len() > 8 << 20 {
            continue;
        }
        let query = format!("/v1/files?source=hostile&external_id={path}");
        let call =
            app.call("POST", &query).key(app.a.key("integration")).header("idempotency-key", &unique()).bytes(bytes);
        let (reply, alive) = tokio::join!(call.send(), app.get("", "/healthz"));
        let detail = reply.json()["detail"].as_str().unwrap_or_default().to_owned();
        reply.refused(422, "/problems/file-refused");
        println!("{what}: {detail}");
        assert!(detail.len() > "the file is ".len() && detail != "the file ended its reader", "{what}: {detail}");
        alive.ok();
    }
    assert_eq!(instance, std::process::id());
    assert!(!app.get(app.a.key("admin"), "/v1/sources").await.ok().text.contains("hostile"));
}
