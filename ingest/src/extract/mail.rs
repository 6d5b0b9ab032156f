//! Mails: headers, the text a person reads, attachments by the rules of files.
//!
//! A mail comes from outside: what is attached to it becomes a document to read and never more. Tables in it are no
//! records, front matter in it makes no policy.

use std::collections::HashSet;

use mail_parser::{Address, HeaderValue, Message, MessageParser, MimeHeaders, PartType};
use serde::{Deserialize, Serialize};

use super::sniff::{self, Route};
use super::{Extract, Prose, extract};
use crate::json::Json;
use crate::reject::Limits;
use crate::text::decode;
use crate::{html, prose};

/// A mail. Times are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    pub message_id: Option<String>,
    pub subject: Option<String>,
    pub from: Option<String>,
    pub from_name: Option<String>,
    pub to: Option<String>,
    pub cc: Option<String>,
    pub date: Option<String>,
    pub in_reply_to: Option<String>,
    /// The plain part, else the HTML part as Markdown.
    pub text: String,
    pub attachments: Vec<Attachment>,
}

/// `content`: prose or a mail, or why it was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Without folders, unique within its mail.
    pub name: String,
    pub content: Result<Extract, String>,
}

/// Refused: no headers. More than `limits.attachments` in all, or mails within mails beyond `limits.mail_depth`, are
/// left out and said.
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Mail, String> {
    let message = MessageParser::default().parse(bytes).ok_or("is a mail without headers")?;
    let mut left = limits.attachments;
    Ok(mail(&message, limits, limits.mail_depth, &mut left))
}

fn mail(message: &Message<'_>, limits: &Limits, depth: usize, left: &mut usize) -> Mail {
    let from = message.from().and_then(Address::first);
    let mut mail = Mail {
        message_id: line(message.message_id()),
        subject: line(message.subject()),
        from: line(from.and_then(|from| from.address())),
        from_name: line(from.and_then(|from| from.name())),
        to: addresses(message.to()),
        cc: addresses(message.cc()),
        date: message.date().filter(|date| date.is_valid()).map(|date| date.to_rfc3339()),
        in_reply_to: match message.in_reply_to() {
            HeaderValue::Text(text) => line(Some(text)),
            HeaderValue::TextList(ids) => line(ids.first().map(|id| id.as_ref())),
            _ => None,
        },
        text: body(message, limits),
        attachments: Vec::new(),
    };
    let mut names = HashSet::new();
    for (number, part) in (1..).zip(message.attachments()) {
        if *left == 0 {
            let reason = format!("and what follows was left out: more than {} attachments", limits.attachments);
            mail.attachments.push(Attachment { name: format!("attachment-{number}"), content: Err(reason) });
            break;
        }
        *left -= 1;
        let mut name = file_name(part.attachment_name(), number);
        if !names.insert(name.clone()) {
            name = format!("{number}-{name}");
            names.insert(name.clone());
        }
        let content = match &part.body {
            PartType::Message(_) if depth == 0 => Err("is a mail within too many mails".to_owned()),
            PartType::Message(inner) => Ok(Extract::Mail(Box::new(self::mail(inner, limits, depth - 1, left)))),
            PartType::Text(text) => attached(&name, text.as_bytes(), limits),
            PartType::Html(text) => attached(&html_name(&name), text.as_bytes(), limits),
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => attached(&name, bytes, limits),
            PartType::Multipart(_) => continue,
        };
        mail.attachments.push(Attachment { name, content });
    }
    mail
}

fn attached(name: &str, bytes: &[u8], limits: &Limits) -> Result<Extract, String> {
    if sniff::named(name) == Some(sniff::Named::Mail) {
        return Err("is a mail saved as a file; take it in as a file".into());
    }
    if sniff::route(name, bytes)? == Route::Extract {
        return match extract(name, bytes, limits)? {
            Extract::Workbook(_) => Err(NO_RECORDS.into()),
            read => Ok(read),
        };
    }
    if sniff::named(name).is_some() && !prose::is_prose(name) {
        return Err(NO_RECORDS.into());
    }
    let document = prose::parse(name, &decode(bytes).text, limits).map_err(|refused| refused.reason)?;
    if !document.meta.audience.is_empty() {
        return Err("names an audience of its own, which a mail cannot grant; take it in as a file".into());
    }
    let title = Some(document.title);
    Ok(Extract::Prose(Prose { title, text: document.text, markup: document.markup, ..Prose::default() }))
}

const NO_RECORDS: &str = "is a table; tables attached to mails are not read as records";

fn html_name(name: &str) -> String {
    if prose::is_prose(name) { name.to_owned() } else { format!("{name}.html") }
}

fn file_name(given: Option<&str>, number: usize) -> String {
    let given = given.unwrap_or_default();
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(120).collect();
    match name.trim().trim_start_matches('.') {
        "" => format!("attachment-{number}"),
        name => name.to_owned(),
    }
}

fn body(message: &Message<'_>, limits: &Limits) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in message.text_bodies() {
        let text = match &part.body {
            PartType::Text(text) => text.trim().to_owned(),
            PartType::Html(text) => html::to_markdown("", text, limits).map(|page| page.markdown).unwrap_or_default(),
            _ => continue,
        };
        if !text.trim().is_empty() {
            parts.push(text.replace("\r\n", "\n").trim().to_owned());
        }
    }
    parts.join("\n\n").replace('\0', "")
}

/// A header on one line, without control characters.
fn line(text: Option<&str>) -> Option<String> {
    let text: String = text?.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(text.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty())
}

fn addresses(list: Option<&Address<'_>>) -> Option<String> {
    let shown = list?.iter().filter_map(|one| line(one.address())).take(100).collect::<Vec<_>>().join(", ");
    Some(shown).filter(|shown| !shown.is_empty())
}

impl Mail {
    /// As a mapping reads it: one row with the names of the fields; `attachments` is the list of names.
    pub(crate) fn row(&self) -> Json {
        let text = |value: &Option<String>| value.clone().map_or(Json::Null, Json::Text);
        let entries = [
            ("message_id", text(&self.message_id)),
            ("subject", text(&self.subject)),
            ("from", text(&self.from)),
            ("from_name", text(&self.from_name)),
            ("to", text(&self.to)),
            ("cc", text(&self.cc)),
            ("date", text(&self.date)),
            ("in_reply_to", text(&self.in_reply_to)),
            ("text", Json::Text(self.text.clone())),
            ("attachments", Json::List(self.attachments.iter().map(|one| Json::Text(one.name.clone())).collect())),
        ];
        Json::Object(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// As a document: the headers a reader sees, then the text.
    pub(crate) fn prose(&self) -> Prose {
        let mut text = String::new();
        let names: Vec<&str> = self.attachments.iter().map(|one| one.name.as_str()).collect();
        let attachments = Some(names.join(", ")).filter(|names| !names.is_empty());
        let headers = [
            ("Subject", &self.subject),
            ("From", &self.from),
            ("To", &self.to),
            ("Cc", &self.cc),
            ("Date", &self.date),
            ("Attachments", &attachments),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                text.push_str(&format!("{name}: {value}\n"));
            }
        }
        text.push('\n');
        text.push_str(&self.text);
        text.push('\n');
        Prose { title: self.subject.clone(), text, ..Prose::default() }
    }
}
