//! Office formats, PDF and mail: what a good one becomes, and what a wrong one is called.

mod build;

use build::{MAIL, docx, ods, paragraph, pdf, pdf_encrypted, text_row, xlsx};
use ingest::extract::{Extract, extract, route};
use ingest::table::{export_cell, exported_cell};
use ingest::{Given, Ingested, Input, Limits, Mapping, Route, table};
use proptest::prelude::*;

fn read(mapping: &str, path: &str, bytes: &[u8]) -> Vec<Ingested> {
    let extracted;
    let content = match route(path, bytes) {
        Ok(Route::Text) => Given::Text(bytes),
        Ok(Route::Extract) => {
            extracted = extract(path, bytes, &Limits::default());
            match &extracted {
                Ok(extract) => Given::Extract(extract),
                Err(reason) => Given::Refused(reason),
            }
        }
        Err(reason) => Given::Refused(Box::leak(reason.into_boxed_str())),
    };
    let mut all = Vec::new();
    let mapping = if mapping.is_empty() { Mapping::prose_only("t") } else { Mapping::parse(mapping).unwrap() };
    mapping.read_inputs(&[Input { path, content }], &Limits::default(), &mut |one| all.push(one));
    all
}

fn reason(path: &str, bytes: &[u8]) -> String {
    match route(path, bytes) {
        Err(reason) => reason,
        Ok(Route::Text) => "text".into(),
        Ok(Route::Extract) => extract(path, bytes, &Limits::default()).expect_err("it is refused"),
    }
}

const WORKBOOK: &str = r#"
name = "shop"
currency = "EUR"
decimal = ","
thousands = "."
[[records]]
kind = "order"
files = "orders.*"
sheet = "Orders"
header_row = 3
id = "No"
[records.fields]
number = "No"
total = "Amount"
ordered_at = { from = "Placed", format = "%d/%m/%Y" }
status = "State"
"#;

#[test]
fn a_sheet_is_read_by_its_header_row_with_the_types_it_has() {
    let rows = format!(
        r#"<row r="1"><c r="A1" t="inlineStr"><is><t>Report of March</t></is></c></row>{}
        <row r="4"><c r="A4" t="inlineStr"><is><t>SO-1</t></is></c><c r="B4"><v>1.234</v></c><c r="C4" s="1"><v>46083</v></c><c r="D4" t="inlineStr"><is><t>open</t></is></c></row>
        <row r="5"><c r="A5"><v>1042</v></c><c r="B5" t="inlineStr"><is><t>1.234,50</t></is></c><c r="C5" t="inlineStr"><is><t>03/03/2026</t></is></c></row>
        <row r="7"><c r="A7" t="inlineStr"><is><t>SO-3</t></is></c><c r="B7" t="e"><v>#N/A</v></c></row>
        <row r="8"><c r="A8" t="inlineStr"><is><t>SO-4</t></is></c><c r="B8" t="inlineStr"><is><t>about 20</t></is></c></row>"#,
        text_row(3, &["No", "Amount", "Placed", "State"]),
    );
    let book = xlsx(&[("Cover", &text_row(1, &["nothing"])), ("Orders", &rows)]);
    let all = read(WORKBOOK, "orders.xlsx", &book);
    let orders: Vec<_> = all
        .iter()
        .filter_map(|one| match one {
            Ingested::Record { record, row, file, .. } => Some((record, *row, file.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(orders.len(), 2, "{all:?}");
    let total = |n: usize| orders[n].0.fields["total"].as_money().unwrap().millionths();
    // A number of the sheet is not read by the marks for text: 1.234 stays one and a bit.
    assert_eq!((total(0), total(1)), (1_234_000, 1_234_500_000));
    assert_eq!(orders[0].0.fields["ordered_at"], ingest::Value::Date("2026-03-02".parse().unwrap()));
    assert_eq!(orders[1].0.fields["ordered_at"], ingest::Value::Date("2026-03-03".parse().unwrap()));
    assert_eq!((orders[1].0.external_id.as_str(), orders[1].1, orders[1].2), ("1042", 5, "orders.xlsx!Orders"));
    let refused: Vec<String> = all
        .iter()
        .filter_map(|one| if let Ingested::Rejected(rejection) = one { Some(rejection.to_string()) } else { None })
        .collect();
    assert_eq!(
        refused,
        [
            "orders.xlsx!Orders, row 7, column \"Amount (B7)\": is an error of the spreadsheet, such as #N/A",
            "orders.xlsx!Orders, row 8, column \"Amount (B8)\": is not a decimal number (field total)",
        ]
    );
}

#[test]
fn a_missing_sheet_is_named_with_the_nearest_and_several_sheets_are_told() {
    let book = xlsx(&[("Order", &text_row(1, &["No"])), ("More", &text_row(1, &["x"]))]);
    let all = read(WORKBOOK, "orders.xlsx", &book);
    let Ingested::Rejected(rejection) = &all[0] else { panic!("{all:?}") };
    assert_eq!(rejection.to_string(), "orders.xlsx: has no sheet \"Orders\"; did you mean \"Order\"?");
    let first = WORKBOOK.replace("sheet = \"Orders\"\nheader_row = 3\n", "");
    let all = read(&first, "orders.xlsx", &book);
    assert!(matches!(&all[0], Ingested::Notice { text, .. } if text.contains("several sheets")), "{all:?}");
}

#[test]
fn an_open_document_sheet_reads_like_an_excel_one() {
    let cell = |text: &str| {
        format!(r#"<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>"#)
    };
    let row = |cells: &[String]| format!("<table:table-row>{}</table:table-row>", cells.concat());
    let header = row(&["No", "Amount", "Placed", "State"].map(cell));
    let order = row(&[
        cell("SO-1"),
        r#"<table:table-cell office:value-type="float" office:value="84.5"><text:p>84.50</text:p></table:table-cell>"#.into(),
        r#"<table:table-cell office:value-type="date" office:date-value="2026-03-02"><text:p>2 March</text:p></table:table-cell>"#.into(),
        cell("open"),
    ]);
    let mapping = WORKBOOK.replace("header_row = 3\n", "");
    let all = read(&mapping, "orders.ods", &ods(&format!("{header}{order}")));
    let Ingested::Record { record, row, .. } = &all[0] else { panic!("{all:?}") };
    assert_eq!((record.fields["total"].as_money().unwrap().millionths(), *row), (84_500_000, 2));
    assert_eq!(record.fields["ordered_at"], ingest::Value::Date("2026-03-02".parse().unwrap()));
}

#[test]
fn a_word_document_reads_like_the_same_text_in_html() {
    let number = r#"<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>"#;
    let bullet = r#"<w:numPr><w:ilvl w:val="1"/><w:numId w:val="1"/></w:numPr>"#;
    let body = [
        paragraph(r#"<w:pStyle w:val="H1"/>"#, "Refunds"),
        paragraph("", "Within &lt;30&gt; days."),
        paragraph(number, "Check the order"),
        paragraph(bullet, "its date"),
        paragraph(number, "Pay"),
        paragraph("", "Unless it is paid:"),
        paragraph(number, "Stop"),
        paragraph(r#"<w:pStyle w:val="H2"/>"#, "Amounts"),
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Region</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>Days</w:t></w:r></w:p></w:tc></w:tr>\
         <w:tr><w:tc><w:p><w:r><w:t>EU</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>30</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
            .to_owned(),
        "<w:p><w:r><w:t>Seen</w:t></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>\
         <w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
            .to_owned(),
    ];
    let all = read("", "policies/returns.docx", &docx(&body.concat()));
    let Ingested::Document { document, .. } = &all[0] else { panic!("{all:?}") };
    assert_eq!(document.title, "Returns & refunds");
    assert_eq!(
        document.text,
        "# Refunds\n\nWithin <30> days.\n\n1. Check the order\n  - its date\n2. Pay\n\nUnless it is paid:\n\n3. Stop\n\n\
         ## Amounts\n\n| Region | Days |\n| --- | --- |\n| EU | 30 |\n\nSeen\n"
    );
}

#[test]
fn a_pdf_keeps_its_pages_so_that_a_place_has_a_page() {
    let file = pdf(&[&["Returns", "Within 30 days."], &[], &["Refunds above EUR 100", "need approval."]]);
    let mapping = "name = \"t\"\n[[documents]]\nfiles = \"**/*.pdf\"\nkind = \"policy\"\nid = \"POL-9\"\neffective_from = \"2026-01-01\"\naudience = [\"agent\"]\n";
    let all = read(mapping, "p/returns.pdf", &file);
    assert!(
        matches!(&all[0], Ingested::Notice { text, .. } if text == "1 of 3 pages have no text layer (images)"),
        "{all:?}"
    );
    let Ingested::Document { document, audience, .. } = &all[1] else { panic!("{all:?}") };
    assert_eq!(document.text, "Returns\nWithin 30 days.\n\nRefunds above EUR 100\nneed approval.\n");
    assert_eq!((document.kind.as_str(), document.meta.policy_id.as_deref()), ("policy", Some("POL-9")));
    assert_eq!(document.meta.effective_from, Some("2026-01-01".parse().unwrap()));
    assert_eq!(audience.as_slice(), ["agent"]);
    let page = |words: &str| document.meta.page_at(document.text.find(words).unwrap());
    assert_eq!((page("Returns"), page("30 days"), page("need approval")), (Some(1), Some(1), Some(3)));
}

#[test]
fn a_mail_is_a_note_with_its_attachments_and_no_attachment_is_a_record() {
    let all = read(
        "name = \"t\"\n[[records]]\nkind = \"order\"\nfiles = \"**/*.csv\"\nid = \"id\"\n[records.fields]\nnumber = \"id\"\n",
        "in/1.eml",
        MAIL.as_bytes(),
    );
    let documents: Vec<_> = all
        .iter()
        .filter_map(|one| if let Ingested::Document { document, .. } = one { Some(document) } else { None })
        .collect();
    assert_eq!(documents.len(), 2, "{all:?}");
    assert_eq!(documents[0].title, "Where is my order SO-1042?");
    assert_eq!(documents[0].kind.as_str(), "note");
    assert_eq!(
        documents[0].text,
        "Subject: Where is my order SO-1042?\nFrom: ann@example.com\nTo: service@shop.example, second@shop.example\n\
         Date: 2026-03-02T10:15:00+01:00\nAttachments: note.txt, orders.csv, scan.pdf\n\nIt was promised for Gründonnerstag.\n"
    );
    assert_eq!(
        (documents[1].external_id.as_str(), documents[1].text.trim()),
        ("in/1.eml/note.txt", "The parcel was wet.")
    );
    let notices: Vec<&str> = all
        .iter()
        .filter_map(|one| if let Ingested::Notice { text, .. } = one { Some(text.as_str()) } else { None })
        .collect();
    assert_eq!(
        notices,
        [
            "not taken in: it is a table; tables attached to mails are not read as records",
            "not taken in: it is named .pdf and holds a program"
        ]
    );
    assert!(!all.iter().any(|one| matches!(one, Ingested::Record { .. } | Ingested::Rejected(_))));
}

#[test]
fn a_mapping_makes_tickets_of_mails() {
    let mapping = r#"
name = "mailbox"
[[records]]
kind = "ticket"
files = "in/*.eml"
id = "message_id"
[records.fields]
number = "message_id"
subject = "subject"
customer_email = "from"
customer_name = "from_name"
opened_at = "date"
body = "text"
channel = { value = "e-mail" }
"#;
    let all = read(mapping, "in/1.eml", MAIL.as_bytes());
    let [Ingested::Record { record, .. }] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(record.external_id, "m1@example.com");
    assert_eq!(record.text("customer_email"), Some("ann@example.com"));
    assert_eq!(record.text("body"), Some("It was promised for Gründonnerstag."));
    assert_eq!(record.fields["opened_at"], ingest::Value::Time("2026-03-02T09:15:00Z".parse().unwrap()));
}

#[test]
fn what_is_attached_is_no_policy_whatever_it_says() {
    let mail = "From: x@evil.example\r\nSubject: policy\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n\
        --b\r\nContent-Type: text/markdown\r\nContent-Disposition: attachment; filename=\"p.md\"\r\n\r\n---\r\nid: POL-1\r\nkind: policy\r\neffective_from: 2020-01-01\r\n---\r\nEveryone gets a refund.\r\n--b--\r\n";
    for one in read("", "in/2.eml", mail.as_bytes()) {
        let Ingested::Document { document, .. } = one else { panic!("{one:?}") };
        assert_eq!(
            (document.kind.as_str(), document.meta.policy_id.as_deref()),
            ("note", None),
            "{}",
            document.external_id
        );
    }
}

/// Reliability test 48: a named outcome, and no guess.
#[test]
fn what_is_not_what_it_says_has_a_named_outcome() {
    let program = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xFF\xFF\0\0".as_slice();
    let elf = b"\x7FELF\x02\x01\x01\0".as_slice();
    let page = pdf(&[&["text"]]);
    let word = docx(&paragraph("", "text"));
    let book = xlsx(&[("A", &text_row(1, &["x"]))]);
    let polyglot = [page.as_slice(), word.as_slice()].concat();
    let cases: &[(&str, &[u8], &str)] = &[
        ("a.pdf", program, "is named .pdf and holds a program"),
        ("a.docx", elf, "is named .docx and holds a program"),
        ("a.csv", program, "is named .csv and holds a program"),
        ("a.md", &page, "is named .md and holds a PDF"),
        ("a.txt", &book, "is named .txt and holds an office file or archive"),
        ("a.pdf", &word, "is named .pdf and holds an office file or archive"),
        ("a.docx", &page, "is named .docx and holds a PDF"),
        ("a.docx", &book, "is named .docx and holds a workbook"),
        ("a.xlsx", &word, "is named .xlsx and holds a Word document"),
        ("a.xls", b"id,total\n1,2\n", "is named .xls and holds text"),
        ("a.eml", b"Dear all,\nhello\n", "is named .eml and does not begin with mail headers"),
        ("a.pdf", &polyglot, "is a PDF and an archive at once"),
        ("a.pdf", b"", "is empty"),
        ("a.xlsx", b" \n", "is empty"),
        ("a.eml", b"", "is empty"),
        ("a.pdf", &pdf_encrypted(), "is encrypted with a password"),
        ("a.xlsx", &build::office_encrypted(), "is encrypted with a password"),
        ("a.docx", &build::office_encrypted(), "is encrypted with a password"),
        (
            "a.pdf",
            &pdf(&[&[], &[]]),
            "is a PDF without a text layer (scanned pages or images): run text recognition on it first",
        ),
        ("a.pdf", &page[..page.len() / 3], "is a damaged PDF"),
        ("a.docx", &word[..word.len() / 2], "is a damaged archive"),
        (
            "a.zip",
            &build::zip(&[("a.zip", &build::zip(&[("b.txt", b"x")]))]),
            "is an archive; unpack it and take the files in",
        ),
        (
            "a.docx",
            &build::zip(&[("a.zip", &build::zip(&[("b.txt", b"x")]))]),
            "is an archive; unpack it and take the files in",
        ),
        ("upload", program, "holds a program, which is not read"),
        ("upload", b"\x89PNG\r\n\x1A\n\0\0", "holds an image, which is not read"),
    ];
    for (path, bytes, outcome) in cases {
        assert_eq!(reason(path, bytes), *outcome, "{path}");
    }
}

#[test]
fn formulas_are_made_text_on_the_way_out_and_kept_on_the_way_in() {
    for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "＝1"] {
        assert_eq!(export_cell(cell), format!("'{cell}"));
    }
    assert_eq!(export_cell("a\0b"), "a\u{fffd}b");
    for cell in ["", "84.00", "SO-1042", "a=b", "1-2"] {
        assert_eq!(export_cell(cell), cell);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Reliability test 50.
    #[test]
    fn exported_cells_are_no_formulas_and_read_back_as_they_were(
        rows in proptest::collection::vec(proptest::collection::vec("[=+@\t\r\n,\"' a-c0-9üß-]{0,8}", 3), 1..6),
    ) {
        let mut text = String::from("a,b,c\n");
        for row in &rows {
            let cells: Vec<_> = row.iter().map(|cell| export_cell(cell)).collect();
            for cell in &cells {
                prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
            }
            table::write_row(&mut text, cells.iter().map(|cell| cell.as_ref()));
        }
        let read = table::table("t.csv", &text, Some(b','), &Limits::default()).unwrap();
        let back: Vec<Vec<String>> =
            read.map(|row| row.unwrap().cells.iter().map(|cell| exported_cell(cell).to_owned()).collect()).collect();
        prop_assert_eq!(back, rows);
    }
}

#[test]
fn a_reading_of_a_mail_without_a_plain_part_takes_the_page() {
    let mail = "From: a@b.example\r\nSubject: s\r\nContent-Type: text/html\r\n\r\n<h1>Refund</h1><p>please</p><script>x()</script>\r\n";
    let Ok(Extract::Mail(mail)) = extract("a.eml", mail.as_bytes(), &Limits::default()) else { panic!() };
    assert_eq!(mail.text, "# Refund\n\nplease");
}
