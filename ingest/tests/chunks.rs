//! Chunking by its properties: verbatim, ordered, complete, within the limit, the same every time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ingest::{
    Chunk, Document, DocumentKind, DocumentMeta, Fields, Limits, MAX_TOKENS, Markup, Record, RecordKind, Value, cards,
    chunk_card, chunk_document, count_tokens, prose,
};
use proptest::prelude::*;

fn document(text: &str, markup: Markup) -> Document {
    Document {
        external_id: "a.md".into(),
        kind: DocumentKind::Page,
        title: "a".into(),
        text: text.into(),
        markup,
        meta: DocumentMeta::default(),
    }
}

/// Everything that must hold for the chunks of a text.
fn check(text: &str, chunks: &[Chunk], max_tokens: usize) {
    let mut end = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk.ordinal as usize, index);
        assert!(chunk.span.start >= end, "chunk {index} overlaps the one before");
        assert!(text[end..chunk.span.start].trim().is_empty(), "text lost before chunk {index}");
        let own = &text[chunk.span.clone()];
        assert!(!own.trim().is_empty());
        assert_eq!(chunk.tokens as usize, count_tokens(own));
        assert!(chunk.tokens as usize <= max_tokens || own.chars().count() == 1, "{} tokens", chunk.tokens);
        end = chunk.span.end;
    }
    assert!(text[end..].trim().is_empty(), "text lost at the end");
}

#[test]
fn headings_make_the_path_and_never_stand_alone() {
    let filler = "The customer keeps the goods until the carrier has confirmed the collection. ".repeat(12);
    let text = format!(
        "# Refunds\n\n## Window\n\n### Europe\n\n{filler}\n\n### Elsewhere\n\n{filler}\n\n## Exceptions\n\n{filler}"
    );
    let document = Document { title: "Refunds.".into(), ..document(&text, Markup::Markdown) };
    let chunks = chunk_document(&document, MAX_TOKENS);
    check(&text, &chunks, MAX_TOKENS);
    for chunk in &chunks {
        let own = &text[chunk.span.clone()];
        assert!(own.lines().any(|line| !line.starts_with('#') && !line.trim().is_empty()), "{own:?}");
    }
    let path_of = |needle: &str| {
        let at = text.find(needle).unwrap();
        chunks.iter().find(|chunk| chunk.span.contains(&at)).unwrap().heading_path.clone()
    };
    assert_eq!(path_of("## Exceptions"), ["Refunds", "Exceptions"]);
    assert_eq!(path_of("### Elsewhere"), ["Refunds", "Window", "Elsewhere"]);
    assert_eq!(chunks.last().unwrap().heading_path, ["Refunds", "Exceptions"]);
}

#[test]
fn a_title_that_stands_outside_of_the_text_heads_every_path() {
    let filler = "The count is repeated by somebody else. ".repeat(60);
    let titled = |text: &str, markup| Document { title: "Stock counts".into(), ..document(text, markup) };
    let plain = chunk_document(&titled(&filler, Markup::Plain), MAX_TOKENS);
    assert!(plain.len() > 1 && plain.iter().all(|chunk| chunk.heading_path == ["Stock counts"]));
    let text = format!("{filler}\n\n## When\n\n{filler}");
    let markdown = chunk_document(&titled(&text, Markup::Markdown), MAX_TOKENS);
    assert_eq!(markdown[0].heading_path, ["Stock counts"]);
    assert_eq!(markdown.last().unwrap().heading_path, ["Stock counts", "When"]);
    let long = Document { title: "é".repeat(400), ..document("Text.", Markup::Plain) };
    assert!(chunk_document(&long, MAX_TOKENS)[0].heading_path[0].len() <= 300);
}

#[test]
fn long_text_without_white_space_finishes_and_is_complete() {
    let started = Instant::now();
    for (text, markup) in [
        ("x".repeat(1 << 20), Markup::Plain),
        ("0123456789abcdef".repeat(1 << 16), Markup::Markdown),
        ("見".repeat(100_000), Markup::Markdown),
        (" ".repeat(1 << 20) + "end", Markup::Plain),
        ("\n".repeat(1 << 20) + "end", Markup::Markdown),
        (">".repeat(100_000), Markup::Markdown),
        ("[".repeat(100_000), Markup::Markdown),
        ("*a ".repeat(100_000), Markup::Markdown),
        ("# h\n".repeat(50_000), Markup::Markdown),
        ("e\u{301}\u{301}\u{301}".repeat(50_000), Markup::Plain),
        ("a".to_owned() + &"\u{301}".repeat(100_000), Markup::Plain),
    ] {
        let began = Instant::now();
        check(&text, &chunk_document(&document(&text, markup), MAX_TOKENS), MAX_TOKENS);
        println!("{:?} for {} bytes of {:?}", began.elapsed(), text.len(), text.chars().next());
    }
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

fn order(lines: usize, note: &str) -> Record {
    let mut record = Record::new(RecordKind::Order, "SO-1");
    record.fields.insert("status".into(), Value::text("open"));
    record.fields.insert("note".into(), Value::text(note));
    for index in 0..lines {
        record.lines.push(Fields::from([
            ("name".into(), Value::text(format!("Desk lamp, black, model {index}"))),
            ("sku".into(), Value::text(format!("NG-{index:05}-BLK"))),
            ("unit_price".into(), Value::Money("19.90 EUR".parse().unwrap())),
        ]));
    }
    record
}

#[test]
fn a_short_card_is_one_chunk_and_a_long_one_is_cut_between_lines() {
    let short = &cards(&order(2, "none"))[0];
    assert_eq!(chunk_card(short, MAX_TOKENS).len(), 1);
    let long = &cards(&order(120, "none"))[0];
    let chunks = chunk_card(long, MAX_TOKENS);
    check(&long.text, &chunks, MAX_TOKENS);
    assert!(chunks.len() > 5);
    for chunk in &chunks {
        assert_eq!(chunk.heading_path, ["Order SO-1"]);
        assert!(chunk.span.start == 0 || long.text.as_bytes()[chunk.span.start - 1] == b'\n');
        assert!(chunk.span.end == long.text.len() || long.text.as_bytes()[chunk.span.end] == b'\n');
    }
    for span in &long.spans {
        assert!(chunks.iter().any(|chunk| chunk.span.start <= span.start && span.end <= chunk.span.end));
    }
}

#[test]
fn a_card_with_one_endless_line_is_still_cut_within_the_limit() {
    let card = &cards(&order(1, &"word ".repeat(5_000)))[0];
    check(&card.text, &chunk_card(card, MAX_TOKENS), MAX_TOKENS);
    let card = &cards(&order(1, &"x".repeat(200_000)))[0];
    check(&card.text, &chunk_card(card, MAX_TOKENS), MAX_TOKENS);
}

#[expect(clippy::disallowed_methods, reason = "where the evaluation data lies is a fact of the machine")]
fn shared_docs() -> Option<PathBuf> {
    let root = std::env::var_os("COUNTERSIGN_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    Some(root.join("data/docs")).filter(|path| path.is_dir())
}

#[test]
fn every_document_of_the_open_corpora_chunks_completely() {
    let Some(root) = shared_docs() else {
        println!("every_document_of_the_open_corpora_chunks_completely: skipped: docs absent");
        return;
    };
    count_tokens("the vocabulary is loaded once");
    let (mut bytes, mut count, mut alone, mut documents) = (0, 0, 0, 0);
    let mut spent = Duration::ZERO;
    for folder in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let document = prose::parse(name, &text, &Limits::default()).unwrap();
            assert!(text.ends_with(&document.text));
            let started = Instant::now();
            let chunks = chunk_document(&document, MAX_TOKENS);
            spent += started.elapsed();
            check(&document.text, &chunks, MAX_TOKENS);
            bytes += document.text.len();
            count += chunks.len();
            documents += 1;
            let heading =
                |chunk: &&Chunk| document.text[chunk.span.clone()].lines().all(|l| l.starts_with('#') || l.is_empty());
            alone += chunks.iter().filter(heading).count();
        }
    }
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{documents} documents, {megabytes:.2} MB, {count} chunks, {alone} of headings alone, {:.2} MB/s",
        megabytes / spent.as_secs_f64()
    );
    // What is left are headings at the very end of a page.
    assert!(alone * 500 < count, "{alone} of {count} chunks are headings alone");
}

fn markdown() -> impl Strategy<Value = String> {
    let block = prop_oneof![
        "#{1,4} [A-Za-z ]{1,30}",
        "([a-zäöü]{1,12} ){1,120}[.!?]",
        "(- [a-z ]{1,40}\n){1,6}",
        "```\n[ a-z(){};\n]{0,200}\n```",
        "\\| a \\| b \\|\n\\|---\\|---\\|\n(\\| [a-z]{1,9} \\| [0-9]{1,5} \\|\n){1,5}",
        "[\\s\\S]{0,200}",
        "[!-~]{1,600}",
        "\\PC{0,80}",
    ];
    proptest::collection::vec(block, 0..12).prop_map(|blocks| blocks.join("\n\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn chunks_of_any_text_are_verbatim_ordered_complete_and_small(text in markdown(), max in 8..200usize) {
        for markup in [Markup::Markdown, Markup::Plain] {
            let document = document(&text, markup);
            let chunks = chunk_document(&document, max);
            check(&text, &chunks, max);
            prop_assert_eq!(chunk_document(&document, max), chunks);
        }
    }
}
