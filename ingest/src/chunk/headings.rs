//! Headings of a Markdown text and where they hold.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// One heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heading {
    /// Bytes of the heading with its marks.
    pub span: Range<usize>,
    /// 1 to 6.
    pub level: u8,
    pub text: String,
}

/// Headings in text order. Linear in the text.
pub(crate) fn headings(markdown: &str) -> Vec<Heading> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_HEADING_ATTRIBUTES;
    let mut found = Vec::new();
    let mut open: Option<Heading> = None;
    for (event, span) in Parser::new_ext(markdown, options).into_offset_iter() {
        match (event, &mut open) {
            (Event::Start(Tag::Heading { level, .. }), _) => {
                open = Some(Heading { span, level: level as u8, text: String::new() });
            }
            (Event::End(TagEnd::Heading(_)), Some(_)) => found.extend(open.take()),
            (Event::Text(text) | Event::Code(text), Some(heading)) => heading.text.push_str(&text),
            (Event::SoftBreak | Event::HardBreak, Some(heading)) => heading.text.push(' '),
            _ => {}
        }
    }
    for heading in &mut found {
        let text = heading.text.trim();
        heading.text = text[..crate::card::floor_boundary(text, crate::chunk::HEADING_BYTES)].to_owned();
    }
    found
}

/// Walks down a text handing out the heading path at ascending offsets.
pub(super) struct Paths<'h> {
    headings: std::iter::Peekable<std::slice::Iter<'h, Heading>>,
    stack: Vec<&'h Heading>,
}

impl<'h> Paths<'h> {
    pub(super) fn new(headings: &'h [Heading]) -> Self {
        Self { headings: headings.iter().peekable(), stack: Vec::new() }
    }

    /// The headings that hold at `offset`, outermost first; one that starts exactly there counts.
    pub(super) fn at(&mut self, offset: usize) -> Vec<String> {
        while let Some(heading) = self.headings.next_if(|heading| heading.span.start <= offset) {
            while self.stack.last().is_some_and(|above| above.level >= heading.level) {
                self.stack.pop();
            }
            self.stack.push(heading);
        }
        self.stack.iter().filter(|heading| !heading.text.is_empty()).map(|heading| heading.text.clone()).collect()
    }
}
