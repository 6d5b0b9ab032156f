//! What arrives broken, and what arrives to break us: every case is a report, none is a crash.

mod build;

use std::time::{Duration, Instant};

use ingest::text::{Encoding, decode, for_matching, visible_marks};
use ingest::{Document, Ingested, Limits, Mapping, Record, Rejection, SourceFile, Value, json, prose, table};
use proptest::prelude::*;

const ORDERS: &str = r##"
name = "test"
currency = "EUR"
[[records]]
kind = "order"
files = "orders.*"
id = "id"
[records.fields]
status = "state"
total = "total"
"##;

struct Read {
    records: Vec<Record>,
    documents: Vec<Document>,
    rejected: Vec<Rejection>,
    notices: usize,
}

fn read(mapping: &str, path: &str, bytes: &[u8]) -> Read {
    let mut read = Read { records: Vec::new(), documents: Vec::new(), rejected: Vec::new(), notices: 0 };
    let mapping = Mapping::parse(mapping).unwrap();
    mapping.read(&[SourceFile { path, bytes }], &Limits::default(), &mut |outcome| match outcome {
        Ingested::Record { record, .. } => read.records.push(*record),
        Ingested::Document { document, .. } => read.documents.push(*document),
        Ingested::Rejected(rejection) => read.rejected.push(rejection),
        Ingested::Notice { .. } => read.notices += 1,
        Ingested::Unused { .. } => {}
    });
    read
}

fn csv(bytes: &[u8]) -> Read {
    read(ORDERS, "orders.csv", bytes)
}

fn ids(read: &Read) -> Vec<&str> {
    read.records.iter().map(|record| record.external_id.as_str()).collect()
}

fn reasons(read: &Read) -> Vec<String> {
    read.rejected.iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_csv_is_refused_and_a_header_alone_has_no_rows() {
    assert_eq!(reasons(&csv(b"")), ["orders.csv: is empty: a table needs a header line"]);
    assert_eq!(reasons(&csv(b"\r\n\r\n")), ["orders.csv: is empty: a table needs a header line"]);
    let header_only = csv(b"id,state,total\r\n");
    assert!(header_only.rejected.is_empty() && header_only.records.is_empty());
}

#[test]
fn ragged_rows_are_reported_by_line_and_the_others_go_in() {
    let read = csv(b"id,state,total\n1,open,5\n2,open\n3,open,5,x\n4,open,5\n");
    assert_eq!(ids(&read), ["1", "4"]);
    assert_eq!(
        reasons(&read),
        [
            "orders.csv, row 3: has 2 cells where the header has 3",
            "orders.csv, row 4: has 4 cells where the header has 3"
        ]
    );
}

#[test]
fn an_unclosed_quote_costs_its_own_row_only() {
    let read = csv(b"id,state,total\n1,open,5\n2,\"open,5\n3,open,5\n4,open,5\n");
    assert_eq!(ids(&read), ["1", "3", "4"]);
    assert_eq!(reasons(&read), ["orders.csv, row 3: opens a quote that is never closed"]);
    let read = csv(b"id,state,total\n1,\"open\"x,5\n2,\"o\"\"p\nen\",5\n3,open,5");
    assert_eq!(ids(&read), ["2", "3"]);
    assert_eq!(read.records[0].text("status"), Some("o\"p\nen"));
    assert_eq!(reasons(&read), ["orders.csv, row 2: has text after a closing quote"]);
}

#[test]
fn byte_order_marks_utf16_and_latin1_read_the_same() {
    let text = "id,state,total\n1,Grün,5\n";
    let with_bom = [b"\xEF\xBB\xBF".as_slice(), text.as_bytes()].concat();
    let utf16: Vec<u16> = text.encode_utf16().collect();
    let little: Vec<u8> = [0xFF, 0xFE].into_iter().chain(utf16.iter().flat_map(|unit| unit.to_le_bytes())).collect();
    let big: Vec<u8> = [0xFE, 0xFF].into_iter().chain(utf16.iter().flat_map(|unit| unit.to_be_bytes())).collect();
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    for (bytes, notices) in [(with_bom, 0), (little, 0), (big, 0), (latin, 1)] {
        let read = csv(&bytes);
        assert_eq!(read.records[0].text("status"), Some("Grün"));
        assert_eq!(read.notices, notices, "a guessed encoding is said, a known one is not");
    }
    assert_eq!(decode(b"caf\xE9 \x80").text, "café €");
    assert_eq!(decode(b"caf\xE9").encoding, Encoding::Windows1252Guess);
    assert!(decode(b"\xFF\xFE\x00\xD8").replaced);
}

#[test]
fn a_nul_costs_its_row() {
    let read = csv(b"id,state,total\n1,op\0en,5\n2,open,5\n");
    assert_eq!(ids(&read), ["2"]);
    assert_eq!(reasons(&read), ["orders.csv, row 2, column \"state\": holds a NUL character"]);
    assert_eq!(read_document("a.txt", b"a\0b").unwrap_err().reason, "holds a NUL character");
}

#[test]
fn any_mix_of_line_ends_gives_the_same_rows_and_lines() {
    let read = csv(b"id,state,total\r\n1,open,5\n2,open,5\r3,open,5\r\n\r\n4,open,x\r\n");
    assert_eq!(ids(&read), ["1", "2", "3"]);
    assert_eq!(read.rejected[0].row, Some(6));
}

#[test]
fn duplicate_headers_and_ids_are_refused() {
    assert_eq!(
        reasons(&csv(b"id,state,total,state\n1,a,5,b\n")),
        ["orders.csv, row 1, column \"state\": is the name of two columns"]
    );
    let read = csv(b"id,state,total\n1,open,5\n1,closed,6\n");
    assert_eq!(ids(&read), ["1"]);
    assert_eq!(reasons(&read), ["orders.csv, row 3: has the same id as row 2 of orders.csv"]);
}

#[test]
fn ten_thousand_columns_and_huge_cells_are_refused_quickly() {
    let started = Instant::now();
    let header: Vec<String> = (0..10_000).map(|n| format!("c{n}")).collect();
    let read = csv(header.join(",").as_bytes());
    assert_eq!(reasons(&read), ["orders.csv, row 1: header: has more than 2000 columns"]);
    let huge = "x".repeat(100 << 20);
    let read = csv(format!("id,state,total\n1,{huge},5\n2,open,5\n").as_bytes());
    assert_eq!(ids(&read), ["2"]);
    assert_eq!(reasons(&read), ["orders.csv, row 2: has a cell over 1048576 bytes"]);
    let read = csv(format!("id,state,total\n1,\"{huge}\",5\n2,open,5\n").as_bytes());
    assert_eq!(ids(&read), ["2"]);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn json_nested_a_million_deep_is_refused_without_a_stack() {
    for text in ["[".repeat(1_000_000), "{\"a\":".repeat(1_000_000), "[{\"a\":".repeat(500_000)] {
        let error = json::parse(&text, &Limits::default()).unwrap_err();
        assert_eq!(error.reason, "is nested deeper than 64");
        let read = read(ORDERS, "orders.json", text.as_bytes());
        assert_eq!(reasons(&read), ["orders.json: line 1: is nested deeper than 64"]);
    }
}

#[test]
fn json_keys_twice_lone_surrogates_and_trailing_text_are_refused() {
    let reason = |text: &str| json::parse(text, &Limits::default()).unwrap_err().reason;
    assert_eq!(reason(r#"{"total": 1, "total": 2}"#), "has a key twice in one object");
    assert_eq!(reason(r#"{"a": 1, "\u0061": 2}"#), "has a key twice in one object");
    assert_eq!(reason(r#"["\ud800"]"#), "has an unpaired surrogate in a text");
    assert_eq!(reason(r#"["\udc00"]"#), "has an unpaired surrogate in a text");
    assert_eq!(reason(r#"["\ud800\u0041"]"#), "has an unpaired surrogate in a text");
    assert_eq!(reason(r#"["\u0000"]"#), "has a NUL character in a text");
    assert_eq!(reason("[1] x"), "has text after the end of the value");
    assert_eq!(reason("[01]"), "has a malformed number".to_owned());
    assert_eq!(reason(""), "ends where a value should be");
    assert_eq!(json::parse(r#""\ud83d\ude00""#, &Limits::default()).unwrap(), json::Json::Text("😀".into()));
}

#[test]
fn huge_numbers_keep_their_digits_and_are_refused_only_where_they_do_not_fit() {
    let rows = r#"{"id": 12345678901234567890123, "state": "a", "total": 1e400}
{"id": 2, "state": "a", "total": 9223372036854.775807, "far": 0.1234567890123456789}
{"id": 3, "state": "a", "total": 9223372036854.775808}
{"id": 4, "state": "a", "total": 0.1e1}
{"id": 5, "state": "a", "total": 0.0000001}"#;
    let read = read(ORDERS, "orders.ndjson", rows.as_bytes());
    assert_eq!(ids(&read), ["2", "4"]);
    assert_eq!(read.records[0].fields["total"].as_money().unwrap().millionths(), i64::MAX);
    assert_eq!(read.records[0].extra["far"], serde_json::json!("0.1234567890123456789"));
    assert_eq!(read.rejected.iter().map(|r| r.row.unwrap()).collect::<Vec<_>>(), [1, 3, 5]);
}

#[test]
fn a_huge_json_array_is_refused_by_its_number_of_values() {
    let text = format!("[{}0]", "0,".repeat(3_000_000));
    let limits = Limits { json_values: 1_000_000, ..Limits::default() };
    assert_eq!(json::parse(&text, &limits).unwrap_err().reason, "holds more than 1000000 values");
}

#[test]
fn reasons_never_repeat_what_a_cell_holds() {
    let secret = "4111-1111-secret";
    let files = [
        format!("id,state,total\n1,open,{secret}\n"),
        format!("id,state,total\n1,open,5\n1,{secret},5\n2,\"{secret}"),
        format!("{{\"id\": 1, \"state\": [[\"{secret}\"]], \"total\": \"{secret}\"}}"),
    ];
    for (file, path) in files.iter().zip(["orders.csv", "orders.csv", "orders.ndjson"]) {
        let read = read(ORDERS, path, file.as_bytes());
        assert!(!read.rejected.is_empty());
        assert!(!reasons(&read).join("\n").contains("secret"), "{:?}", reasons(&read));
    }
}

/// Reliability test 53: eight times the text takes about eight times as long, whatever the text is made to provoke.
#[test]
fn identifiers_are_found_in_linear_time() {
    let provocations = [
        "SO-",
        "order number ",
        "1-",
        "0",
        "a@",
        "INV ",
        "-/",
        "#1 ",
        "SO-1042 and ",
        "no. ",
        "1Z999",
        "é",
        " ",
        "x.y.",
    ];
    for unit in provocations {
        let took = |bytes: usize| {
            let text = unit.repeat(bytes / unit.len());
            let once = || {
                let started = Instant::now();
                let found = ingest::identifiers_in(&text).len();
                (started.elapsed(), found)
            };
            (0..3).map(|_| once().0).min().unwrap_or_default()
        };
        let (small, large) = (took(128 << 10), took(1 << 20));
        println!("{unit:?}: 1 MiB in {large:?}");
        // Twice the linear cost and what a busy machine adds: the square would be eight times that.
        assert!(
            large <= small * 24 + Duration::from_millis(200),
            "{unit:?}: {small:?} for 128 KiB, {large:?} for 1 MiB"
        );
    }
}

fn read_document(path: &str, bytes: &[u8]) -> Result<Document, Rejection> {
    prose::parse(path, &decode(bytes).text, &Limits::default())
}

#[test]
fn html_nested_a_million_deep_is_refused_within_seconds() {
    let started = Instant::now();
    for page in [
        "<div>".repeat(1_000_000),
        "<div></b>".repeat(300_000),
        "<b>".repeat(1_000_000) + &"</b>".repeat(1_000_000),
        "<ul><li>".repeat(300_000),
        "<table><tr><td>".repeat(100_000),
        "<svg><g>".repeat(100_000),
    ] {
        let refused = read_document("a.html", page.as_bytes()).unwrap_err();
        assert_eq!(refused.reason, "is nested deeper than 512 elements");
    }
    let wide = format!("<p {}>x</p>", (0..500_000).map(|n| format!("a{n}=1 ")).collect::<String>());
    assert!(read_document("a.html", wide.as_bytes()).unwrap_err().reason.contains("attributes"));
    // A hundred unclosed elements, opened again in each of a million paragraphs, or after each block that held them.
    let unclosed: String = (0..100).map(|n| format!("<b id={n}>")).collect();
    for page in [
        format!("<p>{unclosed}{}", "<p>x".repeat(1_000_000)),
        format!("<div>{unclosed}</div>{}", "<i>x</i>".repeat(500_000)),
    ] {
        let refused = read_document("a.html", page.as_bytes()).unwrap_err();
        assert_eq!(refused.reason, "leaves too many formatting elements unclosed");
    }
    // Flat pages are not deep, however long, closed or not.
    let flat = "<p>text <b>bold</b><br>".repeat(50_000);
    assert!(read_document("a.html", flat.as_bytes()).is_ok());
    let flat = "<!-- <div> --><li>text".repeat(50_000);
    assert!(read_document("a.html", flat.as_bytes()).is_ok());
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn html_keeps_what_a_reader_sees_and_drops_the_rest() {
    let page = "<html><head><title>Refund  policy</title><style>p{}</style></head><body>\
        <h1>Refunds</h1><script>alert(1)</script><p>Within <b>30</b> days,\n see <a href='/x'>terms</a>.</p>\
        <p hidden>secret1</p><div style='display: none'>secret2</div><span aria-hidden=true>secret3</span>\
        <ul><li>one<ul><li>inner</li></ul></li><li>two</li></ul><ol start=3><li>three</li></ol>\
        <table><tr><th>Region</th><th>Days</th></tr><tr><td>EU</td><td>30<br>(thirty)</td></tr></table>\
        <pre>a  b\n  c</pre><p>end</p></body></html>";
    let document = read_document("refund-policy.html", page.as_bytes()).unwrap();
    assert_eq!(document.title, "Refund policy");
    assert_eq!(
        document.text,
        "# Refunds\n\nWithin 30 days, see terms.\n\n- one\n  - inner\n- two\n\n3. three\n\n\
         | Region | Days |\n| --- | --- |\n| EU | 30 (thirty) |\n\n```\na  b\n  c\n```\n\nend\n"
    );
}

#[test]
fn hidden_characters_are_shown_to_reviewers_and_ignored_by_matching() {
    let text = "pay \u{202E}txet\u{202C} zero\u{200B}width \u{E0041}tag";
    assert_eq!(visible_marks(text), "pay ⟦U+202E⟧txet⟦U+202C⟧ zero⟦U+200B⟧width ⟦U+E0041⟧tag");
    let zalgo = format!("o{}rder", "\u{0301}".repeat(1_000));
    let shown = visible_marks(&zalgo).into_owned();
    assert_eq!(shown, format!("o{}⟦+992 combining marks⟧rder", "\u{0301}".repeat(8)));
    assert_eq!(visible_marks("Plain text, naïve café\n"), "Plain text, naïve café\n");
    assert_eq!(for_matching("  Ｏrder\u{200B}  №\u{a0}１２ "), "order no 12");
    // Stored exactly: the document's text is the file's.
    let document = read_document("a.md", text.as_bytes()).unwrap();
    assert_eq!(document.text, text);
}

#[test]
fn cells_that_look_like_formulas_keep_their_raw_value() {
    let read = csv(b"id,state,total\n1,=1+1,5\n2,@SUM(A1),5\n3,-x,5\n");
    let states: Vec<_> = read.records.iter().map(|record| record.fields["status"].clone()).collect();
    assert_eq!(states, [Value::text("=1+1"), Value::text("@SUM(A1)"), Value::text("-x")]);
}

#[test]
fn a_delimiter_other_than_the_comma_is_seen_in_the_header() {
    for (path, mark) in [("orders.csv", ';'), ("orders.csv", '\t'), ("orders.tsv", '\t'), ("orders.csv", '|')] {
        let text = "id,state,total\n1,open,5\n".replace(',', &mark.to_string());
        assert_eq!(ids(&read(ORDERS, path, text.as_bytes())), ["1"]);
    }
}

#[test]
fn front_matter_is_read_strictly_and_the_body_stays_verbatim() {
    let text = "---\nid: REF-1\ntitle: Refunds\nkind: policy\neffective_from: 2026-01-01\nsupersedes: [REF-0]\n\
                scope:\n  region: [EU, UK]\naudience: agent\nowner: ops\n---\r\n# Body\r\n\r\ntext\n";
    let document = read_document("p/refunds.md", text.as_bytes()).unwrap();
    assert_eq!(document.text, "# Body\r\n\r\ntext\n");
    assert_eq!(document.title, "Refunds");
    assert_eq!(document.kind.as_str(), "policy");
    assert_eq!(document.meta.policy_id.as_deref(), Some("REF-1"));
    assert_eq!(document.meta.effective_from, Some("2026-01-01".parse().unwrap()));
    assert_eq!(document.meta.supersedes, ["REF-0"]);
    assert_eq!(document.meta.scope["region"], ["EU", "UK"]);
    assert_eq!(document.meta.audience, ["agent"]);
    assert_eq!(document.meta.extra["owner"], "ops");
    let toml = "+++\nid = \"R\"\neffective_to = 2026-12-31\naudience = [\"admin\"]\n+++\nbody";
    let document = read_document("a.md", toml.as_bytes()).unwrap();
    assert_eq!(document.meta.effective_to, Some("2026-12-31".parse().unwrap()));
    assert_eq!(document.text, "body");
    let wrong = [
        "---\naudience: [agent\n---\nsecret",
        "---\naudience: []\n---\nx",
        "---\neffective_from: soon\n---\nx",
        "---\nkind: memo\n---\nx",
        "---\ntitle: a\ntitle: b\n---\nx",
        "---\neffective_from: 2026-02-01\neffective_to: 2026-01-01\n---\nx",
        "+++\naudience = \n+++\nx",
    ];
    for text in wrong {
        assert!(read_document("a.md", text.as_bytes()).is_err(), "{text}");
    }
    // A rule between paragraphs is not front matter.
    assert_eq!(read_document("a.md", b"---\nHello there.\n---\nmore").unwrap().meta.audience, Vec::<String>::new());
    let bomb = format!("---\na: {}1\n---\nx", "[".repeat(100_000));
    assert!(read_document("a.md", bomb.as_bytes()).is_err());
    let laughs = "---\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                  d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n---\nx";
    assert!(read_document("a.md", laughs.as_bytes()).is_err());
}

#[test]
fn titles_come_from_front_matter_then_heading_then_file_name() {
    assert_eq!(read_document("x/tone-of_voice.md", b"plain body").unwrap().title, "tone of voice");
    assert_eq!(read_document("x/a.md", b"text\n\n## Second *level*\n").unwrap().title, "Second level");
    assert_eq!(read_document("x/a.md", b" \n ").unwrap_err().reason, "has no text");
}

/// Whether two readings of one JSON text agree; numbers as near as a float can tell.
fn same(ours: &json::Json, theirs: &serde_json::Value) -> bool {
    use json::Json as J;
    use serde_json::Value as V;
    match (ours, theirs) {
        (J::Null, V::Null) => true,
        (J::Flag(a), V::Bool(b)) => a == b,
        (J::Number(a), V::Number(b)) => a.parse::<f64>().ok() == b.as_f64(),
        (J::Text(a), V::String(b)) => a == b,
        (J::List(a), V::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (J::Object(a), V::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, a)| b.get(k).is_some_and(|b| same(a, b)))
        }
        _ => false,
    }
}

/// One good file of each extracted format.
fn seeds() -> &'static [(&'static str, Vec<u8>); 6] {
    static SEEDS: std::sync::OnceLock<[(&str, Vec<u8>); 6]> = std::sync::OnceLock::new();
    SEEDS.get_or_init(|| {
        let row = build::text_row(1, &["id", "state", "total"]);
        [
            ("a.pdf", build::pdf(&[&["one", "two"], &["three"]])),
            ("a.docx", build::docx(&build::paragraph("<w:pStyle w:val=\"H1\"/>", "Refunds"))),
            ("a.xlsx", build::xlsx(&[("A", &row)])),
            ("a.ods", build::ods("<table:table-row><table:table-cell office:value-type=\"string\"><text:p>x</text:p></table:table-cell></table:table-row>")),
            ("a.eml", build::MAIL.as_bytes().to_vec()),
            ("a.xls", build::office_encrypted()),
        ]
    })
}

/// Cases of each property: 256, or what `COUNTERSIGN_FUZZ_CASES` says (`make fuzz`).
#[expect(clippy::disallowed_methods, reason = "how long to try is the caller's choice, not the product's")]
fn cases() -> u32 {
    std::env::var("COUNTERSIGN_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for path in ["orders.csv", "orders.tsv", "orders.json", "orders.ndjson", "a.md", "a.html", "a.txt"] {
            read(ORDERS, path, &bytes);
        }
    }

    #[test]
    fn no_markup_like_text_makes_a_parser_panic(text in "[-+<>/!a-dpbtrhl \"'=,;:\\[\\]{}#*|`~&\\\\\n\r\tü0-9]{0,300}") {
        for path in ["orders.csv", "orders.json", "orders.ndjson", "a.md", "a.html"] {
            read(ORDERS, path, text.as_bytes());
        }
        let _ = Mapping::parse(&text);
        read_document("a.md", format!("---\n{text}\n---\nbody").as_bytes()).ok();
        read_document("a.md", format!("+++\n{text}\n+++\nbody").as_bytes()).ok();
    }

    #[test]
    fn no_office_file_makes_a_parser_panic(
        at in 0_usize..10_000, bytes in proptest::collection::vec(any::<u8>(), 1..12), which in 0_usize..6, cut in 0_usize..10_000,
    ) {
        let (path, good) = &seeds()[which];
        let mut damaged = good.clone();
        let place = at % damaged.len();
        for (offset, byte) in bytes.iter().enumerate() {
            if let Some(old) = damaged.get_mut(place + offset) {
                *old = *byte;
            }
        }
        if cut % 3 == 0 {
            damaged.truncate(cut % good.len());
        }
        let _ = ingest::extract::extract(path, &damaged, &Limits::default());
    }

    #[test]
    fn no_mail_like_text_makes_a_parser_panic(text in "[A-Za-z0-9:;=\"<>@/?_. \r\n-]{0,400}") {
        let mail = format!("From: a@b.example\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n{text}\r\n\r\n--b\r\n{text}\r\n--b--");
        let _ = ingest::extract::extract("a.eml", mail.as_bytes(), &Limits::default());
        let _ = ingest::suggest::suggest("a.csv", &ingest::Given::Text(text.as_bytes()), &Limits::default());
        let _ = ingest::suggest::suggest("a.json", &ingest::Given::Text(text.as_bytes()), &Limits::default());
    }

    #[test]
    fn a_table_written_by_the_rules_reads_back(
        rows in proptest::collection::vec(proptest::collection::vec("[ -~\n\r\"]{0,12}", 3), 0..8),
    ) {
        let quote = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let body: String = rows.iter().map(|row| row.iter().map(quote).collect::<Vec<_>>().join(",") + "\n").collect();
        let text = format!("a,b,c\n{body}");
        let table = table::table("t.csv", &text, None, &Limits::default()).unwrap();
        let back: Vec<Vec<String>> =
            table.map(|row| row.unwrap().cells.into_iter().map(|cell| cell.into_owned()).collect()).collect();
        prop_assert_eq!(back, rows);
    }

    #[test]
    fn our_json_agrees_with_serde_json(text in "[\\[\\]{}\":,0-9a-fu\\\\ .eE+tru-]{0,40}") {
        let ours = json::parse(&text, &Limits::default());
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => prop_assert!(same(ours, theirs), "{} {:?}", text, ours),
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{} {}", text, error),
            (Err(error), Ok(_)) => prop_assert!(error.reason.contains("twice") || error.reason.contains("NUL"), "{} {}", text, error),
            (Err(_), Err(_)) => {}
        }
    }
}
