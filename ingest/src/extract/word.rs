//! DOCX to the Markdown that HTML becomes: headings, lists, tables.
//!
//! The document is written out as plain HTML elements and goes through `html`, so that a policy reads and chunks alike
//! whichever of the two it was saved as. Left out: what a reader does not see (hidden text, deleted text, field codes),
//! headers, footers and notes.

use std::collections::HashMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::Prose;
use super::package::Package;
use crate::document::Markup;
use crate::html;
use crate::reject::Limits;

const DAMAGED: &str = "is a damaged Word document";

/// Refused: damaged XML, no text, more than `limits.document_bytes` of text.
pub(super) fn read(package: &mut Package<'_>, limits: &Limits) -> Result<Prose, String> {
    let styles = package.text("word/styles.xml").map(|xml| Styles::read(&xml)).unwrap_or_default();
    let numbering = package.text("word/numbering.xml").map(|xml| Numbering::read(&xml)).unwrap_or_default();
    let title = package.text("docProps/core.xml").and_then(|xml| element_text(&xml, "title"));
    let body = package.text("word/document.xml").ok_or(DAMAGED)?;
    let mut writer = Writer::new(&styles, &numbering, limits);
    writer.read(&body)?;
    let page = html::to_markdown("", &writer.out, limits).map_err(|refused| refused.reason)?;
    if page.markdown.trim().is_empty() {
        return Err("is a Word document without text".into());
    }
    let mut notices = Vec::new();
    if writer.pictures > 0 {
        notices.push(format!("{} pictures are not read", writer.pictures));
    }
    Ok(Prose { title, text: page.markdown, markup: Markup::Markdown, pages: Vec::new(), notices })
}

/// The value of an attribute by its local name.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.attributes().with_checks(false).flatten().find(|one| one.key.local_name().as_ref() == name)?;
    found.normalized_value(XmlVersion::Implicit1_0).ok().map(|value| value.into_owned())
}

/// Whether an on/off property is on: `<w:vanish/>`, not `<w:vanish w:val="0"/>`.
fn is_on(element: &BytesStart<'_>) -> bool {
    !matches!(attribute(element, "val").as_deref(), Some("0" | "false" | "off"))
}

/// The text of the first element of that local name.
fn element_text(xml: &str, name: &str) -> Option<String> {
    let mut reader = Reader::from_str(xml);
    let mut inside = false;
    let mut text = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) if element.local_name().as_ref() == name => inside = true,
            Event::Text(part) if inside => text.push_str(&part.xml10_content()),
            Event::GeneralRef(part) if inside => text.push_str(&resolved(&part)),
            Event::End(_) if inside => return Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// A character or one of XML's five own entities; nothing that a document could declare.
fn resolved(reference: &quick_xml::events::BytesRef<'_>) -> String {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return c.to_string();
    }
    match reference.xml10_content().as_ref() {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => "",
    }
    .to_owned()
}

/// Heading levels (1 to 6) by style id.
#[derive(Default)]
struct Styles(HashMap<String, u8>);

impl Styles {
    fn read(xml: &str) -> Self {
        let mut styles = Self::default();
        let mut reader = Reader::from_str(xml);
        let mut current = None;
        while let Ok(event) = reader.read_event() {
            match event {
                Event::Eof => break,
                Event::Start(element) if element.local_name().as_ref() == "style" => {
                    current = attribute(&element, "styleId");
                }
                Event::Start(element) | Event::Empty(element) => {
                    let level = match element.local_name().as_ref() {
                        "name" => attribute(&element, "val").and_then(|name| heading_level(&name)),
                        "outlineLvl" => outline_level(&element),
                        _ => None,
                    };
                    if let (Some(style), Some(level)) = (&current, level) {
                        styles.0.entry(style.clone()).or_insert(level);
                    }
                }
                _ => {}
            }
        }
        styles
    }
}

/// `heading 2` → 2, `Title` → 1.
fn heading_level(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    if name == "title" {
        return Some(1);
    }
    let level = name.strip_prefix("heading ")?.trim().parse().ok()?;
    (1..=6).contains(&level).then_some(level)
}

fn outline_level(element: &BytesStart<'_>) -> Option<u8> {
    let level: u8 = attribute(element, "val")?.parse().ok()?;
    (level < 6).then_some(level + 1)
}

/// Whether each level of a list is numbered, and from what number.
#[derive(Default)]
struct Numbering {
    /// By abstract id and level; `None`: bullets.
    levels: HashMap<(String, u8), Option<u32>>,
    /// Number id to abstract id.
    lists: HashMap<String, String>,
}

impl Numbering {
    fn read(xml: &str) -> Self {
        let mut numbering = Self::default();
        let mut reader = Reader::from_str(xml);
        let (mut list, mut number, mut level, mut start) = (None, None, 0, 1);
        while let Ok(event) = reader.read_event() {
            let (Event::Start(element) | Event::Empty(element)) = &event else {
                if event == Event::Eof {
                    break;
                }
                continue;
            };
            let value = || attribute(element, "val");
            match element.local_name().as_ref() {
                "abstractNum" => list = attribute(element, "abstractNumId"),
                "num" => number = attribute(element, "numId"),
                "abstractNumId" => {
                    if let (Some(number), Some(list)) = (&number, value()) {
                        numbering.lists.insert(number.clone(), list);
                    }
                }
                "lvl" => {
                    level = attribute(element, "ilvl").and_then(|level| level.parse().ok()).unwrap_or(0);
                    start = 1;
                }
                "start" => start = value().and_then(|start| start.parse().ok()).unwrap_or(1),
                "numFmt" => {
                    if let Some(list) = &list {
                        let numbered = !matches!(value().as_deref(), Some("bullet" | "none"));
                        numbering.levels.insert((list.clone(), level), numbered.then_some(start));
                    }
                }
                _ => {}
            }
        }
        numbering
    }

    /// The first number of a level, or `None` for bullets.
    fn start(&self, number: &str, level: u8) -> Option<u32> {
        let list = self.lists.get(number)?;
        self.levels.get(&(list.clone(), level)).copied().flatten()
    }
}

/// A paragraph being read.
#[derive(Default)]
struct Paragraph {
    html: String,
    heading: Option<u8>,
    /// List and level.
    number: Option<String>,
    level: u8,
}

struct Writer<'a> {
    styles: &'a Styles,
    numbering: &'a Numbering,
    out: String,
    bytes_max: usize,
    /// A text box has paragraphs within a paragraph.
    paragraphs: Vec<Paragraph>,
    /// Open lists, whether numbered.
    lists: Vec<bool>,
    /// How many items of each list and level there were.
    counters: HashMap<(String, u8), u32>,
    tables: usize,
    hidden_run: bool,
    in_text: bool,
    pictures: usize,
}

/// Elements whose content is not what the reader sees.
const SKIPPED: &[&str] = &["del", "moveFrom", "Fallback", "instrText", "delText", "footnote", "endnote", "sectPr"];

impl<'a> Writer<'a> {
    fn new(styles: &'a Styles, numbering: &'a Numbering, limits: &Limits) -> Self {
        Self {
            styles,
            numbering,
            out: String::new(),
            // Elements around the text; the Markdown is measured again.
            bytes_max: limits.document_bytes.saturating_mul(2),
            paragraphs: Vec::new(),
            lists: Vec::new(),
            counters: HashMap::new(),
            tables: 0,
            hidden_run: false,
            in_text: false,
            pictures: 0,
        }
    }

    fn read(&mut self, xml: &str) -> Result<(), String> {
        let mut reader = Reader::from_str(xml);
        loop {
            match reader.read_event().map_err(|_| DAMAGED)? {
                Event::Eof => break,
                Event::DocType(_) => return Err("declares a document type or entities".into()),
                Event::Start(element) if SKIPPED.contains(&element.local_name().as_ref()) => {
                    reader.read_to_end(element.name()).map_err(|_| DAMAGED)?;
                }
                Event::Start(element) => self.open(&element, false),
                Event::Empty(element) => self.open(&element, true),
                Event::End(element) => self.close(element.local_name().as_ref()),
                Event::Text(text) if self.in_text => self.text(&text.xml10_content()),
                Event::CData(text) if self.in_text => self.text(&text.xml10_content()),
                Event::GeneralRef(reference) if self.in_text => self.text(&resolved(&reference)),
                _ => {}
            }
            if self.out.len() > self.bytes_max {
                return Err(format!("is a document of more than {} bytes", self.bytes_max / 2));
            }
        }
        self.end_lists(0);
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if self.hidden_run {
            return;
        }
        if let Some(paragraph) = self.paragraphs.last_mut() {
            for c in text.chars() {
                match c {
                    '&' => paragraph.html.push_str("&amp;"),
                    '<' => paragraph.html.push_str("&lt;"),
                    '>' => paragraph.html.push_str("&gt;"),
                    c => paragraph.html.push(c),
                }
            }
        }
    }

    fn open(&mut self, element: &BytesStart<'_>, empty: bool) {
        match element.local_name().as_ref() {
            // An empty paragraph is a gap.
            "p" if !empty => self.paragraphs.push(Paragraph::default()),
            "r" => self.hidden_run = false,
            "vanish" | "webHidden" => self.hidden_run |= is_on(element),
            "t" => self.in_text = !empty,
            "tab" | "ptab" => self.mark(" "),
            "br" | "cr" => self.mark("<br>"),
            "noBreakHyphen" => self.mark("-"),
            "blip" | "imagedata" => self.pictures += 1,
            "tbl" => {
                self.end_lists(0);
                self.tables += 1;
                self.out.push_str("<table>");
            }
            "tr" if self.tables > 0 => self.out.push_str("<tr>"),
            "tc" if self.tables > 0 => self.out.push_str("<td>"),
            name => self.property(name, element),
        }
    }

    fn property(&mut self, name: &str, element: &BytesStart<'_>) {
        let Some(paragraph) = self.paragraphs.last_mut() else { return };
        match name {
            "pStyle" => {
                let style = attribute(element, "val").unwrap_or_default();
                paragraph.heading = paragraph.heading.or(self.styles.0.get(&style).copied());
            }
            "outlineLvl" => paragraph.heading = outline_level(element).or(paragraph.heading),
            "numId" => paragraph.number = attribute(element, "val").filter(|number| number != "0"),
            "ilvl" => {
                let level = attribute(element, "val").and_then(|level| level.parse().ok()).unwrap_or(0);
                paragraph.level = u8::min(level, 8);
            }
            _ => {}
        }
    }

    /// White space within a run; the tab stops of a paragraph's properties are none.
    fn mark(&mut self, html: &str) {
        if let Some(paragraph) = self.paragraphs.last_mut()
            && !self.hidden_run
            && !paragraph.html.is_empty()
        {
            paragraph.html.push_str(html);
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "t" => self.in_text = false,
            "r" => self.hidden_run = false,
            "p" => {
                if let Some(paragraph) = self.paragraphs.pop() {
                    self.write(paragraph);
                }
            }
            "tc" if self.tables > 0 => {
                self.end_lists(0);
                self.out.push_str("</td>");
            }
            "tr" if self.tables > 0 => self.out.push_str("</tr>"),
            "tbl" => {
                self.tables = self.tables.saturating_sub(1);
                self.out.push_str("</table>");
            }
            _ => {}
        }
    }

    fn write(&mut self, paragraph: Paragraph) {
        if paragraph.html.trim().is_empty() {
            return;
        }
        match (&paragraph.number, paragraph.heading) {
            (_, Some(level)) => {
                self.end_lists(0);
                self.out.push_str(&format!("<h{level}>{}</h{level}>", paragraph.html));
            }
            (Some(number), None) => {
                self.item(number, paragraph.level);
                self.out.push_str(&paragraph.html);
            }
            (None, None) => {
                self.end_lists(0);
                self.out.push_str(&format!("<p>{}</p>", paragraph.html));
            }
        }
    }

    /// Opens and closes lists until an item of that level can stand; numbers go on where the list was left.
    fn item(&mut self, number: &str, level: u8) {
        let start = self.numbering.start(number, level);
        let depth = usize::from(level) + 1;
        self.end_lists(depth);
        if self.lists.len() == depth && self.lists.last() != Some(&start.is_some()) {
            self.end_lists(depth - 1);
        }
        let count = self.counters.entry((number.to_owned(), level)).or_default();
        let next = start.unwrap_or(1).saturating_add(*count);
        *count = count.saturating_add(1);
        self.counters.retain(|(list, deeper), _| list != number || *deeper <= level);
        while self.lists.len() < depth {
            let numbered = start.is_some() && self.lists.len() + 1 == depth;
            self.out.push_str(&if numbered { format!("<ol start=\"{next}\">") } else { "<ul>".to_owned() });
            self.lists.push(numbered);
        }
        self.out.push_str("<li>");
    }

    fn end_lists(&mut self, depth: usize) {
        while self.lists.len() > depth {
            let numbered = self.lists.pop() == Some(true);
            self.out.push_str(if numbered { "</ol>" } else { "</ul>" });
        }
    }
}
