//! Files of the formats that are extracted, built where they are tested: good ones, and ones made to break a reader.
#![allow(dead_code)]

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A ZIP of parts; contents are written piece by piece so that huge ones need no memory.
pub fn zip(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        writer.start_file(*name, options()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).large_file(true)
}

/// A ZIP in which one part repeats `unit` until it is `bytes` long between `before` and `after`.
pub fn zip_bomb(parts: &[(&str, &[u8])], name: &str, before: &str, unit: &str, bytes: u64, after: &str) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        writer.start_file(*name, options()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.start_file(name, options()).unwrap();
    writer.write_all(before.as_bytes()).unwrap();
    let block = unit.repeat((1 << 20) / unit.len());
    let mut written = 0;
    while written < bytes {
        writer.write_all(block.as_bytes()).unwrap();
        written += block.len() as u64;
    }
    writer.write_all(after.as_bytes()).unwrap();
    writer.finish().unwrap().into_inner()
}

/// A ZIP with a part that is a symbolic link, and one with a name that leads outside.
pub fn zip_with_link() -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("xl/workbook.xml", "/etc/passwd", options()).unwrap();
    writer.finish().unwrap().into_inner()
}

const DOCX_TYPES: &str =
    r#"<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#;

/// A Word document with that body (WordprocessingML inside `w:body`), headings 1 and 2 and a numbered and a bulleted list.
pub fn docx(body: &str) -> Vec<u8> {
    let document = format!(r#"<?xml version="1.0"?><w:document xmlns:w="w"><w:body>{body}</w:body></w:document>"#);
    docx_of(document.as_bytes())
}

pub fn docx_of(document: &[u8]) -> Vec<u8> {
    let styles = r#"<w:styles xmlns:w="w"><w:style w:styleId="H1"><w:name w:val="heading 1"/></w:style>
        <w:style w:styleId="H2"><w:name w:val="heading 2"/></w:style></w:styles>"#;
    let numbering = r#"<w:numbering xmlns:w="w">
        <w:abstractNum w:abstractNumId="7"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/></w:lvl>
        <w:lvl w:ilvl="1"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
        <w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num></w:numbering>"#;
    let core = r#"<cp:coreProperties xmlns:cp="c" xmlns:dc="d"><dc:title>Returns &amp; refunds</dc:title></cp:coreProperties>"#;
    zip(&[
        ("[Content_Types].xml", DOCX_TYPES.as_bytes()),
        ("word/document.xml", document),
        ("word/styles.xml", styles.as_bytes()),
        ("word/numbering.xml", numbering.as_bytes()),
        ("docProps/core.xml", core.as_bytes()),
    ])
}

pub fn paragraph(properties: &str, text: &str) -> String {
    format!("<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>")
}

const PACKAGE: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;

/// The parts of a workbook but for its sheets. Style 1 is a date, style 2 a date with time.
pub fn xlsx_parts(sheets: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut workbook = String::from(
        r#"<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>"#,
    );
    let mut relations =
        String::from(r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">"#);
    for (index, name) in sheets.iter().enumerate() {
        let n = index + 1;
        workbook.push_str(&format!(r#"<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>"#));
        relations.push_str(&format!(
            r#"<Relationship Id="rId{n}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet{n}.xml"/>"#
        ));
    }
    workbook.push_str("</sheets></workbook>");
    relations.push_str("</Relationships>");
    let styles = r#"<styleSheet><cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/></cellXfs></styleSheet>"#;
    [
        ("[Content_Types].xml", DOCX_TYPES.to_owned()),
        ("_rels/.rels", PACKAGE.to_owned()),
        ("xl/workbook.xml", workbook),
        ("xl/_rels/workbook.xml.rels", relations),
        ("xl/styles.xml", styles.to_owned()),
    ]
    .map(|(name, text)| (name.to_owned(), text.into_bytes()))
    .to_vec()
}

/// A workbook of sheets given as SpreadsheetML rows.
pub fn xlsx(sheets: &[(&str, &str)]) -> Vec<u8> {
    let names: Vec<&str> = sheets.iter().map(|(name, _)| *name).collect();
    let mut parts = xlsx_parts(&names);
    for (index, (_, rows)) in sheets.iter().enumerate() {
        let sheet = format!("<worksheet><sheetData>{rows}</sheetData></worksheet>");
        parts.push((format!("xl/worksheets/sheet{}.xml", index + 1), sheet.into_bytes()));
    }
    let parts: Vec<(&str, &[u8])> = parts.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    zip(&parts)
}

/// One row of texts, at that row of the sheet.
pub fn text_row(row: u32, cells: &[&str]) -> String {
    let cells = cells
        .iter()
        .zip('A'..)
        .map(|(text, letter)| format!(r#"<c r="{letter}{row}" t="inlineStr"><is><t>{text}</t></is></c>"#));
    format!(r#"<row r="{row}">{}</row>"#, cells.collect::<String>())
}

pub fn ods(rows: &str) -> Vec<u8> {
    let content = format!(
        r#"<office:document-content xmlns:office="o" xmlns:table="t" xmlns:text="x"><office:body><office:spreadsheet><table:table table:name="Orders">{rows}</table:table></office:spreadsheet></office:body></office:document-content>"#
    );
    let manifest = r#"<manifest:manifest xmlns:manifest="m"></manifest:manifest>"#;
    zip(&[
        ("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"),
        ("META-INF/manifest.xml", manifest.as_bytes()),
        ("content.xml", content.as_bytes()),
    ])
}

/// A PDF of pages, each a list of lines; a page without lines has a picture's operators only.
pub fn pdf(pages: &[&[&str]]) -> Vec<u8> {
    let mut objects = vec![String::from("<< /Type /Catalog /Pages 2 0 R >>")];
    let kids: Vec<String> = (0..pages.len()).map(|page| format!("{} 0 R", 4 + 2 * page)).collect();
    objects.push(format!("<< /Type /Pages /Kids [{}] /Count {} >>", kids.join(" "), pages.len()));
    objects.push("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".into());
    for (page, lines) in pages.iter().enumerate() {
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents {} 0 R >>",
            5 + 2 * page
        ));
        let mut content = String::new();
        for (number, line) in lines.iter().enumerate() {
            let y = 720 - 16 * number;
            content.push_str(&format!("BT /F1 12 Tf 72 {y} Td ({line}) Tj ET\n"));
        }
        if lines.is_empty() {
            content.push_str("q 500 0 0 700 50 50 cm Q\n");
        }
        objects.push(format!("<< /Length {} >>\nstream\n{content}endstream", content.len()));
    }
    pdf_of(&objects, "")
}

/// A PDF file of numbered objects; `trailer` is put into the trailer dictionary.
pub fn pdf_of(objects: &[String], trailer: &str) -> Vec<u8> {
    let mut file = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (number, object) in (1..).zip(objects) {
        offsets.push(file.len());
        file.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let table = file.len();
    file.push_str(&format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1));
    for offset in offsets {
        file.push_str(&format!("{offset:010} 00000 n \n"));
    }
    file.push_str(&format!(
        "trailer\n<< /Size {} /Root 1 0 R {trailer} >>\nstartxref\n{table}\n%%EOF\n",
        objects.len() + 1
    ));
    file.into_bytes()
}

/// A PDF whose catalogue holds arrays within arrays.
pub fn pdf_nested(depth: usize) -> Vec<u8> {
    let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = [
        format!("<< /Type /Catalog /Pages 2 0 R /Deep {nested} >>"),
        "<< /Type /Pages /Kids [] /Count 0 >>".to_owned(),
    ];
    pdf_of(&objects, "")
}

/// A PDF that wants a password.
pub fn pdf_encrypted() -> Vec<u8> {
    let hex = "AB".repeat(32);
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [] /Count 0 >>".to_owned(),
        format!("<< /Filter /Standard /V 1 /R 2 /O <{hex}> /U <{hex}> /P -4 >>"),
    ];
    pdf_of(&objects, "/Encrypt 3 0 R /ID [<00112233445566778899AABBCCDDEEFF> <00112233445566778899AABBCCDDEEFF>]")
}

/// What an office program writes when a password is set: the document inside an OLE2 file.
pub fn office_encrypted() -> Vec<u8> {
    let mut file = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1".to_vec();
    file.resize(1024, 0);
    file.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    file.resize(4096, 0);
    file
}

pub const MAIL: &str = "From: Ann Bakker <ann@example.com>\r\nTo: service@shop.example, second@shop.example\r\n\
    Subject: =?utf-8?q?Where_is_my_order_SO-1042=3F?=\r\nDate: Mon, 2 Mar 2026 10:15:00 +0100\r\nMessage-ID: <m1@example.com>\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n\
    --b\r\nContent-Type: multipart/alternative; boundary=\"c\"\r\n\r\n\
    --c\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nIt was promised for Gr=C3=BCndonnerstag.\r\n\
    --c\r\nContent-Type: text/html\r\n\r\n<p>ignored</p>\r\n--c--\r\n\
    --b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=\"../../note.txt\"\r\n\r\nThe parcel was wet.\r\n\
    --b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=\"orders.csv\"\r\n\r\nid,total\r\n1,5\r\n\
    --b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"scan.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nTVqQAAMAAAA=\r\n\
    --b--\r\n";
