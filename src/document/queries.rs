//! Reading documents. Every statement names the tenant; deleted documents and sources are never returned.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::Row;
use sqlx::any::AnyRow;

use super::passage::CardText;
use super::{DocumentRow, day_of, visible_to};
use crate::ids::{DocumentId, RecordId};
use crate::store::{TenantTx, bulk};

/// One version (the current one for `None`) with the audience it had and the audience the document has now.
pub(super) async fn version(tx: &mut TenantTx, id: DocumentId, version: Option<i64>) -> sqlx::Result<Option<AnyRow>> {
    sqlx::query(
        "SELECT v.version AS version, v.title AS title, v.body AS body, v.body_sha256 AS body_sha256, v.seen_at_us AS seen_at_us, \
         v.audience AS then_audience, d.audience AS now_audience \
         FROM document d JOIN document_version v ON v.tenant_id = d.tenant_id AND v.document_id = d.document_id \
         WHERE d.tenant_id = $1 AND d.document_id = $2 AND d.deleted_at_us IS NULL \
         AND v.version = CASE WHEN $3 < 0 THEN d.version ELSE $3 END",
    )
    .bind(tx.tenant_text())
    .bind(id.to_string())
    .bind(version.unwrap_or(-1))
    .fetch_optional(tx.conn())
    .await
}

/// Live, visible documents: exactly `id` when it is not empty, else those after `after`.
pub(super) async fn list(
    tx: &mut TenantTx,
    id: &str,
    after: &str,
    kind: Option<&str>,
    audiences: &[String],
    limit: i64,
) -> sqlx::Result<Vec<DocumentRow>> {
    let mut found = Vec::new();
    let mut after = after.to_owned();
    // The audience is a JSON list: filtered here, page by page, until the page is full.
    loop {
        let rows = sqlx::query(
            "SELECT d.document_id, s.name, d.external_id, d.kind, d.title, d.policy_id, d.effective_from_day, d.effective_to_day, \
             d.superseded_from_day, d.audience, d.version \
             FROM document d JOIN source s ON s.tenant_id = d.tenant_id AND s.source_id = d.source_id \
             WHERE d.tenant_id = $1 AND d.deleted_at_us IS NULL AND d.document_id > $2 AND ($3 = '' OR d.document_id = $3) \
             AND (CASE WHEN $4 = '' THEN (CASE WHEN d.record_id IS NULL OR $3 <> '' THEN 1 ELSE 0 END) \
                  ELSE (CASE WHEN d.kind = $4 THEN 1 ELSE 0 END) END) = 1 \
             ORDER BY d.document_id LIMIT 200",
        )
        .bind(tx.tenant_text())
        .bind(after.clone())
        .bind(id.to_owned())
        .bind(kind.unwrap_or("").to_owned())
        .fetch_all(tx.conn())
        .await?;
        let last_page = rows.len() < 200;
        for row in &rows {
            after = row.try_get(0)?;
            let audience: String = row.try_get(9)?;
            if visible_to(&audience, audiences) {
                found.push(document_row(row, &audience)?);
                if i64::try_from(found.len()).is_ok_and(|n| n >= limit) {
                    return Ok(found);
                }
            }
        }
        if last_page {
            return Ok(found);
        }
    }
}

fn document_row(row: &AnyRow, audience: &str) -> sqlx::Result<DocumentRow> {
    let to: Option<i64> = row.try_get(7)?;
    let superseded: Option<i64> = row.try_get(8)?;
    let ends = [to, superseded.map(|day| day - 1)].into_iter().flatten().min();
    let day = |number: Option<i64>| number.and_then(day_of).map(|date| date.to_string());
    Ok(DocumentRow {
        document_id: row.try_get(0)?,
        source: row.try_get(1)?,
        external_id: row.try_get(2)?,
        kind: row.try_get(3)?,
        title: row.try_get(4)?,
        policy_id: row.try_get(5)?,
        effective_from: day(row.try_get(6)?),
        effective_to: day(ends),
        audience: serde_json::from_str(audience).unwrap_or_default(),
        version: row.try_get(10)?,
    })
}

/// Document ids and versions, among `ids`, that may be cited.
pub(super) async fn citable(
    tx: &mut TenantTx,
    ids: &[String],
    audiences: &[String],
) -> sqlx::Result<HashSet<(String, i64)>> {
    let head = "SELECT d.document_id, v.version, d.audience, v.audience FROM document d \
                JOIN document_version v ON v.tenant_id = d.tenant_id AND v.document_id = d.document_id \
                JOIN source s ON s.tenant_id = d.tenant_id AND s.source_id = d.source_id \
                WHERE d.tenant_id = $1 AND d.deleted_at_us IS NULL AND s.deleted_at_us IS NULL AND d.document_id IN";
    let mut citable = HashSet::new();
    for row in bulk::select_in(tx, head, &[], ids, "").await? {
        let (now_for, then_for): (String, String) = (row.try_get(2)?, row.try_get(3)?);
        if visible_to(&now_for, audiences) && visible_to(&then_for, audiences) {
            citable.insert((row.try_get(0)?, row.try_get(1)?));
        }
    }
    Ok(citable)
}

/// Scopes of live documents, by id.
pub(super) async fn scopes(
    tx: &mut TenantTx,
    ids: &[String],
) -> sqlx::Result<HashMap<String, BTreeMap<String, Vec<String>>>> {
    let head =
        "SELECT document_id, meta FROM document WHERE tenant_id = $1 AND deleted_at_us IS NULL AND document_id IN";
    let mut scopes = HashMap::new();
    for row in bulk::select_in(tx, head, &[], ids, "").await? {
        let meta: serde_json::Value = serde_json::from_str(&row.try_get::<String, _>(1)?).unwrap_or_default();
        let scope: BTreeMap<String, Vec<String>> = serde_json::from_value(meta["scope"].clone()).unwrap_or_default();
        if !scope.is_empty() {
            scopes.insert(row.try_get(0)?, scope);
        }
    }
    Ok(scopes)
}

/// What a card is read from; the condition on its version follows.
macro_rules! cards_where {
    ($condition:literal) => {
        concat!(
            "SELECT d.document_id, v.version, v.title, v.body, v.spans, d.audience, v.record_version, s.name, s.synced_at_us, v.seen_at_us \
             FROM document d JOIN document_version v ON v.tenant_id = d.tenant_id AND v.document_id = d.document_id AND ",
            $condition,
            " JOIN source s ON s.tenant_id = d.tenant_id AND s.source_id = d.source_id \
             WHERE d.tenant_id = $1 AND d.record_id = $2 AND d.deleted_at_us IS NULL AND s.deleted_at_us IS NULL \
             ORDER BY d.external_id"
        )
    };
}

/// The live, visible cards of a record, main card first.
pub(super) async fn cards(tx: &mut TenantTx, record: RecordId, audiences: &[String]) -> sqlx::Result<Vec<CardText>> {
    let rows = sqlx::query(cards_where!("v.version = d.version"))
        .bind(tx.tenant_text())
        .bind(record.to_string())
        .fetch_all(tx.conn())
        .await?;
    visible_cards(&rows, audiences)
}

/// The cards of a live record as they were at `record_version`: a card that did not change with that version is the one of an earlier one.
/// Whoever may not see a card now, or could not then, is not shown it.
pub(super) async fn cards_at(
    tx: &mut TenantTx,
    record: RecordId,
    record_version: i64,
    audiences: &[String],
) -> sqlx::Result<Vec<CardText>> {
    let rows = sqlx::query(
        "SELECT d.document_id, v.version, v.title, v.body, v.spans, v.audience, v.record_version, s.name, s.synced_at_us, v.seen_at_us, d.audience \
         FROM document d JOIN document_version v ON v.tenant_id = d.tenant_id AND v.document_id = d.document_id \
         JOIN source s ON s.tenant_id = d.tenant_id AND s.source_id = d.source_id \
         WHERE d.tenant_id = $1 AND d.record_id = $2 AND v.record_version <= $3 AND d.deleted_at_us IS NULL AND s.deleted_at_us IS NULL \
         ORDER BY d.external_id, v.record_version DESC, v.version DESC",
    )
    .bind(tx.tenant_text())
    .bind(record.to_string())
    .bind(record_version)
    .fetch_all(tx.conn())
    .await?;
    let mut newest: Vec<AnyRow> = Vec::new();
    let mut seen = HashSet::new();
    for row in rows {
        let now_for: String = row.try_get(10)?;
        if seen.insert(row.try_get::<String, _>(0)?) && visible_to(&now_for, audiences) {
            newest.push(row);
        }
    }
    visible_cards(&newest, audiences)
}

fn visible_cards(rows: &[AnyRow], audiences: &[String]) -> sqlx::Result<Vec<CardText>> {
    let mut cards = Vec::new();
    for row in rows {
        if !visible_to(&row.try_get::<String, _>(5)?, audiences) {
            continue;
        }
        let spans: Option<String> = row.try_get(4)?;
        cards.push(CardText {
            document_id: row.try_get(0)?,
            version: row.try_get(1)?,
            title: row.try_get(2)?,
            text: row.try_get(3)?,
            spans: spans.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
            record_version: row.try_get(6)?,
            source: row.try_get(7)?,
            synced_at_us: row.try_get(8)?,
            seen_at_us: row.try_get(9)?,
        });
    }
    Ok(cards)
}
