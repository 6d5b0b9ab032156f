//! One page's text from its drawing operators: words and lines by where glyphs are put.
//!
//! Text comes in drawing order, which is reading order in what office programs write. A step down begins a line, a gap
//! wider than a fifth of the font's size a word. Forms (XObjects) are entered, because some programs put whole pages into
//! one; pictures are not looked at.

use std::collections::BTreeMap;

use lopdf::content::Content;
use lopdf::{Dictionary, Document, Encoding, Error, Object, ObjectId};

use crate::reject::Limits;

/// Forms within forms.
const FORMS: usize = 8;
/// Steps of a page, forms included.
const OPERATIONS: usize = 5_000_000;
/// A gap this many times the font's size is a space.
const GAP: f32 = 0.2;

struct Font<'d> {
    encoding: Option<Encoding<'d>>,
    /// Width of a code, in thousandths of the font's size.
    widths: BTreeMap<u32, f32>,
    default_width: f32,
    /// Codes are two bytes.
    wide: bool,
}

/// A page being read.
pub(super) struct Page<'d> {
    pdf: &'d Document,
    text: String,
    bytes_max: usize,
    steps: usize,
    /// Line matrix: a, b, c, d, e, f.
    line: [f32; 6],
    /// How far the text has come on its line, unscaled.
    along: f32,
    size: f32,
    leading: f32,
    spacing: f32,
    /// Where the last glyphs ended and how tall they were.
    last: Option<(f32, f32, f32)>,
}

impl<'d> Page<'d> {
    pub(super) fn read(pdf: &'d Document, page: ObjectId, limits: &Limits) -> Result<String, Error> {
        let most = usize::try_from(limits.inflated_bytes).unwrap_or(usize::MAX) / 8;
        let content = pdf.get_page_content_with_limit(page, most)?;
        let fonts = fonts(pdf, pdf.get_page_fonts(page).unwrap_or_default(), most);
        let (own, inherited) = pdf.get_page_resources(page)?;
        let resources: Vec<&Dictionary> =
            own.into_iter().chain(inherited.into_iter().filter_map(|id| pdf.get_dictionary(id).ok())).collect();
        let mut reader = Self {
            pdf,
            text: String::new(),
            bytes_max: limits.document_bytes,
            steps: 0,
            line: [1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
            along: 0.0,
            size: 1.0,
            leading: 0.0,
            spacing: 0.0,
            last: None,
        };
        reader.content(&content, &fonts, &resources, FORMS, most)?;
        Ok(reader.text)
    }

    fn content(
        &mut self,
        content: &[u8],
        fonts: &BTreeMap<Vec<u8>, Font<'d>>,
        resources: &[&'d Dictionary],
        forms_left: usize,
        most: usize,
    ) -> Result<(), Error> {
        let mut font: Option<&Font<'d>> = None;
        for operation in &Content::decode(content)?.operations {
            self.steps += 1;
            if self.steps > OPERATIONS || self.text.len() > self.bytes_max {
                return Ok(());
            }
            let operands = operation.operands.as_slice();
            let number = |index: usize| operands.get(index).and_then(|one| one.as_float().ok()).unwrap_or(0.0);
            let operator: &str = operation.operator.as_ref();
            match operator {
                "BT" => self.start([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]),
                "Tf" => {
                    font = operands.first().and_then(|name| name.as_name().ok()).and_then(|name| fonts.get(name));
                    self.size = number(1);
                }
                "TL" => self.leading = number(0),
                "Tc" => self.spacing = number(0),
                "Tm" => self.start([number(0), number(1), number(2), number(3), number(4), number(5)]),
                "Td" => self.step(number(0), number(1)),
                "TD" => {
                    self.leading = -number(1);
                    self.step(number(0), number(1));
                }
                "T*" => self.step(0.0, -self.leading),
                "Tj" => self.show(operands.first(), font),
                "'" => {
                    self.step(0.0, -self.leading);
                    self.show(operands.first(), font);
                }
                "\"" => {
                    self.step(0.0, -self.leading);
                    self.show(operands.get(2), font);
                }
                "TJ" => {
                    for part in operands.first().and_then(|parts| parts.as_array().ok()).into_iter().flatten() {
                        match part.as_float() {
                            Ok(back) => self.along -= back / 1000.0 * self.size,
                            Err(_) => self.show(Some(part), font),
                        }
                    }
                }
                "Do" if forms_left > 0 => {
                    let name = operands.first().and_then(|name| name.as_name().ok()).unwrap_or_default();
                    self.form(name, resources, forms_left - 1, most)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn form(&mut self, name: &[u8], resources: &[&'d Dictionary], left: usize, most: usize) -> Result<(), Error> {
        let pdf = self.pdf;
        let find = |resources: &&'d Dictionary| {
            let forms = resources.get_deref(b"XObject", pdf).ok()?.as_dict().ok()?;
            forms.get_deref(name, pdf).ok()?.as_stream().ok()
        };
        let Some(form) = resources.iter().find_map(find) else { return Ok(()) };
        if form.dict.get(b"Subtype").and_then(Object::as_name).ok() != Some(b"Form".as_slice()) {
            return Ok(());
        }
        let own = form.dict.get_deref(b"Resources", pdf).and_then(Object::as_dict).ok();
        let resources: Vec<&'d Dictionary> = own.into_iter().chain(resources.iter().copied()).collect();
        let mut named: BTreeMap<Vec<u8>, &'d Dictionary> = BTreeMap::new();
        for resources in resources.iter().rev() {
            let Ok(fonts) = resources.get_deref(b"Font", pdf).and_then(Object::as_dict) else { continue };
            for (name, font) in fonts {
                if let Ok((_, Object::Dictionary(font))) = pdf.dereference(font) {
                    named.insert(name.clone(), font);
                }
            }
        }
        let content = form.get_plain_content_with_limit(most)?;
        self.content(&content, &fonts(pdf, named, most), &resources, left, most)
    }

    fn start(&mut self, matrix: [f32; 6]) {
        self.line = matrix;
        self.along = 0.0;
    }

    /// Moves to the start of another line, in the units of the text.
    fn step(&mut self, x: f32, y: f32) {
        let [a, b, c, d, e, f] = self.line;
        self.start([a, b, c, d, a * x + c * y + e, b * x + d * y + f]);
    }

    fn show(&mut self, shown: Option<&Object>, font: Option<&Font<'d>>) {
        let (Some(Ok(bytes)), Some(font)) = (shown.map(Object::as_str), font) else { return };
        let decoded = font.encoding.as_ref().and_then(|encoding| Document::decode_text(encoding, bytes).ok());
        let [a, b, c, d, e, f] = self.line;
        let here = (a * self.along + e, b * self.along + f);
        let height = (c.hypot(d) * self.size).abs().max(0.1);
        if let Some(text) = decoded.filter(|text| !text.is_empty()) {
            self.gap(here, height);
            self.text.push_str(&text);
        }
        self.along += self.width(bytes, font);
        self.last = Some((a * self.along + e, b * self.along + f, height));
    }

    /// The break that stands between the last glyphs and the ones that come.
    fn gap(&mut self, (x, y): (f32, f32), height: f32) {
        let Some((last_x, last_y, last_height)) = self.last else { return };
        let tall = height.max(last_height);
        let (right, down) = (x - last_x, (last_y - y).abs());
        let at_break = self.text.ends_with([' ', '\n']) || self.text.is_empty();
        if down > 1.8 * tall {
            self.text.push_str("\n\n");
        } else if down > 0.4 * tall || right < -2.0 * tall {
            self.text.push('\n');
        } else if right > GAP * height && !at_break {
            self.text.push(' ');
        }
    }

    /// How far a string moves the pen, unscaled.
    fn width(&self, bytes: &[u8], font: &Font<'d>) -> f32 {
        let step = if font.wide { 2 } else { 1 };
        let width = |code: &[u8]| {
            let code = code.iter().fold(0_u32, |code, byte| code << 8 | u32::from(*byte));
            font.widths.get(&code).copied().unwrap_or(font.default_width) / 1000.0 * self.size + self.spacing
        };
        bytes.chunks(step).map(width).sum()
    }
}

fn fonts<'d>(pdf: &'d Document, fonts: BTreeMap<Vec<u8>, &'d Dictionary>, most: usize) -> BTreeMap<Vec<u8>, Font<'d>> {
    fonts.into_iter().map(|(name, font)| (name, self::font(pdf, font, most))).collect()
}

fn font<'d>(pdf: &'d Document, font: &'d Dictionary, most: usize) -> Font<'d> {
    let encoding = font.get_font_encoding_with_limit(pdf, most).ok();
    let wide = font.get(b"Subtype").and_then(Object::as_name).ok() == Some(b"Type0".as_slice());
    let number = |dictionary: &Dictionary, key: &[u8]| dictionary.get_deref(key, pdf).and_then(Object::as_float).ok();
    if wide {
        let below = font.get_deref(b"DescendantFonts", pdf).and_then(Object::as_array).ok();
        let below = below.and_then(|fonts| fonts.first()).and_then(|font| pdf.dereference(font).ok());
        let below = below.and_then(|(_, font)| font.as_dict().ok());
        let default_width = below.and_then(|font| number(font, b"DW")).unwrap_or(1000.0);
        let widths = below.and_then(|font| font.get_deref(b"W", pdf).and_then(Object::as_array).ok());
        return Font { encoding, widths: wide_widths(pdf, widths.map_or(&[], Vec::as_slice)), default_width, wide };
    }
    let first = number(font, b"FirstChar").unwrap_or(0.0).max(0.0) as u32;
    let listed = font.get_deref(b"Widths", pdf).and_then(Object::as_array).ok();
    let widths = listed.into_iter().flatten().take(256).zip(first..);
    let widths = widths.filter_map(|(width, code)| Some((code, pdf.dereference(width).ok()?.1.as_float().ok()?)));
    // What the standard fonts, which list no widths, have on average.
    Font { encoding, widths: widths.collect(), default_width: 500.0, wide }
}

/// `c [w1 w2 …]` and `first last w`.
fn wide_widths(pdf: &Document, list: &[Object]) -> BTreeMap<u32, f32> {
    let mut widths = BTreeMap::new();
    let value = |object: &Object| pdf.dereference(object).ok().and_then(|(_, object)| object.as_float().ok());
    let mut rest = list;
    while let [first, second, more @ ..] = rest {
        let Some(first) = value(first).map(|first| first.max(0.0) as u32) else { break };
        if let Ok((_, Object::Array(each))) = pdf.dereference(second) {
            widths.extend((first..).zip(each).filter_map(|(code, width)| Some((code, value(width)?))));
            rest = more;
            continue;
        }
        let ([width, more @ ..], Some(last)) = (more, value(second)) else { break };
        // Codes are two bytes.
        for code in first..=(last.max(0.0) as u32).min(65_535) {
            widths.extend(value(width).map(|width| (code, width)));
        }
        rest = more;
    }
    widths
}
