//! Documents in SQL: whatever can be cited, with every version of its exact text, and the chunks of the current one.
//!
//! After `ingest` (which made text, spans and chunks), before `index` (which carries chunks into the vector store). Records bring their
//! cards here too, so that every citation is a byte span into one version of one document.

pub mod passage;
mod queries;
mod supersede;
mod write;

pub use write::{Change, Digested, Incoming, delete, digest, touch, upsert};

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use sqlx::Row;
use utoipa::ToSchema;

use crate::ids::{DocumentId, RecordId};
use crate::store::TenantTx;

/// A document as listed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DocumentRow {
    pub document_id: String,
    pub source: String,
    pub external_id: String,
    /// `policy`, `runbook`, `page`, `note`, or the kind of the record whose card it is.
    pub kind: String,
    pub title: String,
    pub policy_id: Option<String>,
    /// First and last day it holds, YYYY-MM-DD, inclusive; a superseded policy ends the day before its successor begins.
    pub effective_from: Option<String>,
    pub effective_to: Option<String>,
    pub audience: Vec<String>,
    pub version: i64,
}

/// One version of a document: the text that citations point into.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DocumentText {
    pub document_id: String,
    pub version: i64,
    pub title: String,
    pub text: String,
    pub text_sha256: String,
    pub seen_at_us: i64,
}

/// Whether a principal with `audiences` may see a document for `audience`. An audience that cannot be read is nobody's.
pub fn visible_to(audience_json: &str, audiences: &[String]) -> bool {
    serde_json::from_str::<Vec<String>>(audience_json)
        .is_ok_and(|wanted| wanted.iter().any(|one| audiences.contains(one)))
}

/// A version's text, if the document lives and may be seen. Old versions stay readable: citations of earlier answers point at them.
pub async fn text(
    tx: &mut TenantTx,
    id: DocumentId,
    version: Option<i64>,
    audiences: &[String],
) -> sqlx::Result<Option<DocumentText>> {
    let Some(row) = queries::version(tx, id, version).await? else { return Ok(None) };
    let now_for: String = row.try_get("now_audience")?;
    let then_for: String = row.try_get("then_audience")?;
    if !visible_to(&now_for, audiences) || !visible_to(&then_for, audiences) {
        return Ok(None);
    }
    Ok(Some(DocumentText {
        document_id: id.to_string(),
        version: row.try_get("version")?,
        title: row.try_get("title")?,
        text: row.try_get("body")?,
        text_sha256: row.try_get("body_sha256")?,
        seen_at_us: row.try_get("seen_at_us")?,
    }))
}

/// A live document that may be seen.
pub async fn get(tx: &mut TenantTx, id: DocumentId, audiences: &[String]) -> sqlx::Result<Option<DocumentRow>> {
    let found = queries::list(tx, &id.to_string(), "", None, audiences, 1).await?;
    Ok(found.into_iter().next())
}

/// Live documents that may be seen, by id; record cards only when asked for by kind.
pub async fn list(
    tx: &mut TenantTx,
    after: &str,
    kind: Option<&str>,
    audiences: &[String],
    limit: i64,
) -> sqlx::Result<Vec<DocumentRow>> {
    queries::list(tx, "", after, kind, audiences, limit).await
}

/// What documents are restricted to (`customer_type: [consumer]`), by document id; those without a restriction are left out.
pub async fn scopes(tx: &mut TenantTx, ids: &[String]) -> sqlx::Result<HashMap<String, BTreeMap<String, Vec<String>>>> {
    queries::scopes(tx, ids).await
}

/// The cards of a record as they were at one of its versions.
pub async fn cards_at(
    tx: &mut TenantTx,
    record: RecordId,
    record_version: i64,
    audiences: &[String],
) -> sqlx::Result<Vec<passage::CardText>> {
    queries::cards_at(tx, record, record_version, audiences).await
}

/// Which versions of these documents may be cited to somebody with `audiences`: document and source live, the version's audience and the
/// document's both open to them.
pub async fn citable(tx: &mut TenantTx, ids: &[String], audiences: &[String]) -> sqlx::Result<HashSet<(String, i64)>> {
    queries::citable(tx, ids, audiences).await
}

/// The cards of a record at its current version.
pub async fn cards_of(
    tx: &mut TenantTx,
    record: RecordId,
    audiences: &[String],
) -> sqlx::Result<Vec<passage::CardText>> {
    queries::cards(tx, record, audiences).await
}

/// Days since 1970-01-01 of a calendar day.
pub fn day_number(date: jiff::civil::Date) -> i64 {
    let epoch = jiff::civil::date(1970, 1, 1);
    i64::from(epoch.until(date).map_or(0, |span| span.get_days()))
}

/// The calendar day of a day number; `None` outside years -9999 to 9999.
pub fn day_of(number: i64) -> Option<jiff::civil::Date> {
    jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(number).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_from_1970_both_ways() {
        for text in ["1970-01-01", "1969-12-31", "2024-02-29", "9999-12-31", "0001-01-01"] {
            let date: jiff::civil::Date = text.parse().unwrap();
            assert_eq!(day_of(day_number(date)), Some(date));
        }
        assert_eq!(day_number("1970-01-02".parse().unwrap()), 1);
    }

    #[test]
    fn an_unreadable_audience_is_nobodys() {
        let me = vec!["everyone".to_owned(), "agent".to_owned()];
        assert!(visible_to(r#"["agent"]"#, &me));
        for bad in ["", "[]", "null", "everyone", r#"["admin"]"#] {
            assert!(!visible_to(bad, &me), "{bad}");
        }
    }
}
