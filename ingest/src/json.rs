//! JSON and NDJSON with exact numbers.
//!
//! A reader of our own because a record must not lose what serde_json loses without its `arbitrary_precision` feature
//! (which would change `Number` for the whole workspace): the digits of a number as written, and the second of two
//! equal keys. It recurses to `Limits::depth` and no deeper.

use std::fmt;

use crate::reject::{Limits, Rejection};

/// A JSON value; numbers are their exact text, objects keep their order and have no key twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    Null,
    Flag(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value of a key of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            Self::Null | Self::Flag(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// For what is kept as it came. A number that serde_json would round is kept as its text.
    pub fn to_serde(&self) -> serde_json::Value {
        use serde_json::Value as V;
        match self {
            Self::Null => V::Null,
            Self::Flag(flag) => V::Bool(*flag),
            Self::Number(text) => exact_number(text).map_or_else(|| V::String(text.clone()), V::Number),
            Self::Text(text) => V::String(text.clone()),
            Self::List(items) => V::Array(items.iter().map(Self::to_serde).collect()),
            Self::Object(entries) => V::Object(entries.iter().map(|(k, v)| (k.clone(), v.to_serde())).collect()),
        }
    }
}

/// The serde_json number that prints as `text`, if there is one.
fn exact_number(text: &str) -> Option<serde_json::Number> {
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    (number.to_string() == text).then_some(number)
}

/// Why a text is not JSON we take. `offset` is a byte offset; nothing of the text is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct JsonError {
    pub line: u64,
    pub offset: usize,
    pub reason: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.reason)
    }
}

/// Parses one JSON text. Refused: nesting beyond `limits.depth`, a key twice in an object, unpaired surrogates, NUL in
/// a string, strings over `limits.cell_bytes`, more than `limits.json_values` values, anything after the value.
pub fn parse(text: &str, limits: &Limits) -> Result<Json, JsonError> {
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, limits, values: 0 };
    let parsed = parser.value(0).and_then(|value| {
        parser.space();
        if parser.at == parser.bytes.len() { Ok(value) } else { Err("has text after the end of the value".into()) }
    });
    parsed.map_err(|reason| {
        let offset = parser.at.min(parser.bytes.len());
        let line = 1 + parser.bytes[..offset].iter().filter(|byte| **byte == b'\n').count() as u64;
        JsonError { line, offset, reason }
    })
}

/// Values of newline-delimited JSON, one per line that is not blank, with the line's number; a bad line is an `Err` and
/// reading goes on after it.
pub fn lines<'a>(
    file: &'a str,
    text: &'a str,
    limits: &'a Limits,
) -> impl Iterator<Item = Result<(u64, Json), Rejection>> + 'a {
    let numbered = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    (1..).zip(numbered).take_while(|(row, _)| *row <= limits.rows.saturating_add(1)).map(
        move |(row, (number, line))| {
            if row > limits.rows {
                let reason = format!("has more than {} rows; the rest was not read", limits.rows);
                return Err(Rejection::file(file, reason));
            }
            parse(line, limits).map(|value| (number, value)).map_err(|error| Rejection::row(file, number, error.reason))
        },
    )
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    limits: &'a Limits,
    values: u64,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A value, white space before it included. `depth` is the number of lists and objects around it.
    fn value(&mut self, depth: usize) -> Result<Json, String> {
        self.space();
        self.values += 1;
        if self.values > self.limits.json_values {
            return Err(format!("holds more than {} values", self.limits.json_values));
        }
        match self.peek() {
            None => Err("ends where a value should be".into()),
            Some(b'{' | b'[') if depth >= self.limits.depth => {
                Err(format!("is nested deeper than {}", self.limits.depth))
            }
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.list(depth + 1),
            Some(b'"') => self.string().map(Json::Text),
            Some(b't') => self.word("true", Json::Flag(true)),
            Some(b'f') => self.word("false", Json::Flag(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err("has a character where a value should be".into()),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, String> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        Err("has an unknown word where a value should be".into())
    }

    fn list(&mut self, depth: usize) -> Result<Json, String> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.eat(b']') {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.space();
            if self.eat(b']') {
                return Ok(Json::List(items));
            }
            if !self.eat(b',') {
                return Err("has a list without a comma or end".into());
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, String> {
        self.at += 1;
        let mut entries: Vec<(String, Json)> = Vec::new();
        self.space();
        if self.eat(b'}') {
            return Ok(Json::Object(entries));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err("has an object key without quotes".into());
            }
            let key = self.string()?;
            self.space();
            if !self.eat(b':') {
                return Err("has an object key without a colon".into());
            }
            let value = self.value(depth)?;
            entries.push((key, value));
            self.space();
            if self.eat(b'}') {
                break;
            }
            if !self.eat(b',') {
                return Err("has an object without a comma or end".into());
            }
        }
        let mut keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("has a key twice in one object".into());
        }
        Ok(Json::Object(entries))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Json, String> {
        let malformed = || Err("has a malformed number".to_owned());
        let start = self.at;
        self.eat(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (leading_zero && whole > 1) {
            return malformed();
        }
        if self.eat(b'.') && self.digits() == 0 {
            return malformed();
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            if self.digits() == 0 {
                return malformed();
            }
        }
        if self.at - start > self.limits.cell_bytes {
            return Err(format!("has a number over {} bytes", self.limits.cell_bytes));
        }
        Ok(Json::Number(self.text[start..self.at].to_owned()))
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1F)) {
                self.at += 1;
            }
            out.push_str(&self.text[start..self.at]);
            if out.len() > self.limits.cell_bytes {
                return Err(format!("has a text over {} bytes", self.limits.cell_bytes));
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                Some(_) => return Err("has a control character in a text".into()),
                None => return Err("has a text that is never closed".into()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let escaped = self.peek().ok_or("has a text that is never closed")?;
        self.at += 1;
        Ok(match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err("has an unknown escape in a text".into()),
        })
    }

    fn unicode_escape(&mut self) -> Result<char, String> {
        const LONE: &str = "has an unpaired surrogate in a text";
        let first = self.hex4()?;
        let code = match first {
            0 => return Err("has a NUL character in a text".into()),
            0xD800..=0xDBFF => {
                if !self.eat(b'\\') || !self.eat(b'u') {
                    return Err(LONE.into());
                }
                let second = self.hex4()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(LONE.into());
                }
                0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| LONE.to_owned())
    }

    fn hex4(&mut self) -> Result<u32, String> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or("has a text that is never closed")?;
        let mut code = 0;
        for digit in digits {
            code = code * 16 + char::from(*digit).to_digit(16).ok_or("has a malformed \\u escape in a text")?;
        }
        self.at += 4;
        Ok(code)
    }
}
