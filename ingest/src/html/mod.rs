//! HTML to Markdown-like text: headings, paragraphs, lists, tables, code; what a reader does not see is dropped.
//!
//! The page is measured before it is parsed (`measure`), because the parser's own work grows with the square of the
//! nesting; the tree is then walked without recursion.

mod measure;
mod write;

use ego_tree::iter::Edge;
use scraper::{Html, Node};

use self::write::Writer;
use crate::reject::{Limits, Rejection};

pub(crate) struct Page {
    pub title: Option<String>,
    pub markdown: String,
}

/// The text of a page. Refused: nesting beyond `limits.html_depth`, more than 1,000 attributes on one element.
pub(crate) fn to_markdown(file: &str, html: &str, limits: &Limits) -> Result<Page, Rejection> {
    measure::measure(html, limits.html_depth).map_err(|reason| Rejection::file(file, reason))?;
    let page = Html::parse_document(html);
    let mut writer = Writer::default();
    let mut title: Option<String> = None;
    let mut skipped = None;
    for edge in page.tree.root().traverse() {
        match edge {
            Edge::Open(node) if skipped.is_none() => match node.value() {
                Node::Element(element) if element.name() == "title" => {
                    let text: String =
                        node.children().filter_map(|child| child.value().as_text()).map(|t| &**t).collect();
                    title.get_or_insert_with(|| text.split_whitespace().collect::<Vec<_>>().join(" "));
                    skipped = Some(node.id());
                }
                Node::Element(element) if is_hidden(element) => skipped = Some(node.id()),
                Node::Element(element) => writer.open(element),
                Node::Text(text) => writer.text(text),
                _ => {}
            },
            Edge::Close(node) if skipped == Some(node.id()) => skipped = None,
            Edge::Close(node) if skipped.is_none() => {
                if let Node::Element(element) = node.value() {
                    writer.close(element.name());
                }
            }
            Edge::Open(_) | Edge::Close(_) => {}
        }
    }
    Ok(Page { title: title.filter(|title| !title.is_empty()), markdown: writer.finish() })
}

/// Elements whose content nobody reads on the page.
fn is_hidden(element: &scraper::node::Element) -> bool {
    const NEVER_SHOWN: &[&str] = &[
        "script", "style", "template", "noscript", "iframe", "object", "embed", "svg", "math", "canvas", "audio",
        "video", "select", "datalist", "dialog",
    ];
    let style = element.attr("style").unwrap_or_default().to_ascii_lowercase().replace([' ', '\t', '\n'], "");
    NEVER_SHOWN.contains(&element.name())
        || element.attr("hidden").is_some()
        || element.attr("aria-hidden").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || style.contains("display:none")
        || style.contains("visibility:hidden")
        || ["font-size:0;", "opacity:0;"].iter().any(|hiding| format!("{style};").contains(hiding))
}
