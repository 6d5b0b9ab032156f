//! Reading records: by identifier, by kind and id, by link, through time.

use std::collections::{BTreeMap, HashSet};

use ingest::{Class, Identifier, IdentifierScheme, Record, schema};
use serde_json::json;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::RecordView;
use crate::document::visible_to;
use crate::ids::{RecordId, SourceId};
use crate::store::TenantTx;
use crate::store::bulk;

/// A live record the caller may see, at its current version.
#[derive(Debug, Clone)]
pub struct Found {
    pub id: RecordId,
    pub source: String,
    pub source_id: String,
    pub version: i64,
    pub record: Record,
    pub seen_at_us: i64,
    pub synced_at_us: Option<i64>,
}

const SELECT: &str = "SELECT r.record_id, s.name, r.version, v.body, v.seen_at_us, s.synced_at_us, d.audience, s.source_id \
    FROM record r JOIN record_version v ON v.tenant_id = r.tenant_id AND v.record_id = r.record_id AND v.version = r.version \
    JOIN source s ON s.tenant_id = r.tenant_id AND s.source_id = r.source_id \
    JOIN document d ON d.tenant_id = r.tenant_id AND d.record_id = r.record_id AND d.deleted_at_us IS NULL \
    AND d.external_id LIKE '%:main' \
    WHERE r.tenant_id = $1 AND r.deleted_at_us IS NULL AND s.deleted_at_us IS NULL";

fn found(row: &AnyRow, audiences: &[String]) -> sqlx::Result<Option<Found>> {
    if !visible_to(&row.try_get::<String, _>(6)?, audiences) {
        return Ok(None);
    }
    let (Ok(id), Ok(record)) =
        (row.try_get::<String, _>(0)?.parse(), Record::from_canonical_json(&row.try_get::<String, _>(3)?))
    else {
        return Ok(None);
    };
    Ok(Some(Found {
        id,
        source: row.try_get(1)?,
        source_id: row.try_get(7)?,
        version: row.try_get(2)?,
        record,
        seen_at_us: row.try_get(4)?,
        synced_at_us: row.try_get(5)?,
    }))
}

fn all_found(rows: &[AnyRow], audiences: &[String]) -> sqlx::Result<Vec<Found>> {
    rows.iter().filter_map(|row| found(row, audiences).transpose()).collect()
}

/// Records that carry any of the identifiers, in the order of `candidates` (best first), each record once.
pub async fn identified(
    tx: &mut TenantTx,
    candidates: &[Identifier],
    audiences: &[String],
) -> sqlx::Result<Vec<(Identifier, Found)>> {
    let normals: Vec<String> = candidates.iter().map(|candidate| candidate.normal.clone()).collect();
    let head = "SELECT scheme, normal, record_id FROM record_identifier WHERE tenant_id = $1 AND normal IN";
    let rows = bulk::select_in(tx, head, &[], &normals, "").await?;
    let mut owners: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for row in &rows {
        owners.entry((row.try_get(0)?, row.try_get(1)?)).or_default().push(row.try_get(2)?);
    }
    let mut order: Vec<(Identifier, String)> = Vec::new();
    for candidate in candidates {
        let hits = owners.iter().filter(|((scheme, normal), _)| {
            *normal == candidate.normal
                && (candidate.scheme == IdentifierScheme::Any || scheme == candidate.scheme.as_str())
        });
        for id in hits.flat_map(|(_, ids)| ids) {
            if !order.iter().any(|(_, seen)| seen == id) {
                order.push((candidate.clone(), id.clone()));
            }
        }
    }
    order.truncate(50);
    let ids: Vec<String> = order.iter().map(|(_, id)| id.clone()).collect();
    let head = format!("{SELECT} AND r.record_id IN");
    let found = all_found(&bulk::select_in(tx, &head, &[], &ids, "").await?, audiences)?;
    let mut by_id: BTreeMap<String, Found> = found.into_iter().map(|found| (found.id.to_string(), found)).collect();
    Ok(order.into_iter().filter_map(|(candidate, id)| Some((candidate, by_id.remove(&id)?))).collect())
}

pub async fn get(tx: &mut TenantTx, id: RecordId, audiences: &[String]) -> sqlx::Result<Option<Found>> {
    let head = format!("{SELECT} AND r.record_id IN");
    let rows = bulk::select_in(tx, &head, &[], &[id.to_string()], "").await?;
    Ok(all_found(&rows, audiences)?.into_iter().next())
}

/// Whether the tenant has any live record of a kind.
pub async fn any_of_kind(tx: &mut TenantTx, kind: &str) -> sqlx::Result<bool> {
    let row = sqlx::query(
        "SELECT record_id FROM record WHERE tenant_id = $1 AND kind = $2 AND deleted_at_us IS NULL LIMIT 1",
    )
    .bind(tx.tenant_text())
    .bind(kind.to_owned())
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.is_some())
}

/// Which of these record ids are of live records that may be seen.
pub async fn visible(tx: &mut TenantTx, ids: &[String], audiences: &[String]) -> sqlx::Result<HashSet<String>> {
    let head = format!("{SELECT} AND r.record_id IN");
    let found = all_found(&bulk::select_in(tx, &head, &[], ids, "").await?, audiences)?;
    Ok(found.into_iter().map(|found| found.id.to_string()).collect())
}

/// Live, visible records in the order of `ids`.
pub async fn many(tx: &mut TenantTx, ids: &[String], audiences: &[String]) -> sqlx::Result<Vec<Found>> {
    let head = format!("{SELECT} AND r.record_id IN");
    let found = all_found(&bulk::select_in(tx, &head, &[], ids, "").await?, audiences)?;
    let mut by_id: BTreeMap<String, Found> = found.into_iter().map(|found| (found.id.to_string(), found)).collect();
    Ok(ids.iter().filter_map(|id| by_id.remove(id)).collect())
}

/// Records of a kind with exactly this external id, one per source at most.
pub async fn find(tx: &mut TenantTx, kind: &str, external_id: &str, audiences: &[String]) -> sqlx::Result<Vec<Found>> {
    let head = format!("{SELECT} AND r.kind = $2 AND r.external_id IN");
    let rows = bulk::select_in(tx, &head, &[kind.into()], &[external_id.to_owned()], "").await?;
    all_found(&rows, audiences)
}

/// Records of a kind with these external ids.
pub async fn named(
    tx: &mut TenantTx,
    kind: &str,
    external_ids: &[String],
    audiences: &[String],
) -> sqlx::Result<Vec<Found>> {
    let head = format!("{SELECT} AND r.kind = $2 AND r.external_id IN");
    all_found(&bulk::select_in(tx, &head, &[kind.into()], external_ids, "").await?, audiences)
}

/// Records that refer to this one (`orders` of a customer, `shipments` of an order), newest first, at most `limit`.
pub async fn linked(
    tx: &mut TenantTx,
    target_kind: &str,
    target_external_id: &str,
    audiences: &[String],
    limit: usize,
) -> sqlx::Result<Vec<Found>> {
    let rows = sqlx::query(
        "SELECT DISTINCT record_id FROM record_link WHERE tenant_id = $1 AND target_kind = $2 AND target_external_id = $3 LIMIT 500",
    )
    .bind(tx.tenant_text())
    .bind(target_kind.to_owned())
    .bind(target_external_id.to_owned())
    .fetch_all(tx.conn())
    .await?;
    let ids = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<String>>>()?;
    let head = format!("{SELECT} AND r.record_id IN");
    let mut found = all_found(&bulk::select_in(tx, &head, &[], &ids, "").await?, audiences)?;
    found.sort_by(|a, b| {
        (b.record.source_time, &b.record.external_id).cmp(&(a.record.source_time, &a.record.external_id))
    });
    found.truncate(limit);
    Ok(found)
}

/// Whether a field of a record, or of its lines, is one that only some roles see.
pub(super) fn is_cost(record: &Record, field: &str) -> bool {
    let specs = schema(record.kind);
    specs.fields.iter().chain(specs.lines.iter()).any(|spec| spec.name == field && spec.class == Class::Cost)
}

impl Found {
    /// Whether it is of one of the kinds and one of the sources asked for; `None` is all of them.
    pub fn is_among(&self, kinds: Option<&[String]>, sources: Option<&[SourceId]>) -> bool {
        kinds.is_none_or(|kinds| kinds.iter().any(|kind| kind == self.record.kind.as_str()))
            && sources.is_none_or(|sources| sources.iter().any(|source| source.to_string() == self.source_id))
    }

    /// A value of `extra` without whatever in it is named like a cost. Depth is bounded by the parser.
    fn without_costs(&self, value: &serde_json::Value, costs: bool) -> serde_json::Value {
        use serde_json::Value as Json;
        match value {
            Json::Object(map) if !costs => map
                .iter()
                .filter(|(name, _)| !ingest::card::is_cost_extra(self.record.kind, name))
                .map(|(name, value)| (name.clone(), self.without_costs(value, costs)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Json::Array(items) if !costs => items.iter().map(|item| self.without_costs(item, costs)).collect(),
            other => other.clone(),
        }
    }

    /// What the API shows; `costs`: whether fields of class Cost are included.
    pub fn view(&self, costs: bool) -> RecordView {
        let shown = |fields: &ingest::Fields| -> serde_json::Value {
            fields
                .iter()
                .filter(|(name, _)| costs || !is_cost(&self.record, name))
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        RecordView {
            record_id: self.id.to_string(),
            source: self.source.clone(),
            kind: self.record.kind.as_str().into(),
            external_id: self.record.external_id.clone(),
            version: self.version,
            fields: shown(&self.record.fields),
            lines: self.record.lines.iter().map(shown).collect(),
            extra: self
                .record
                .extra
                .iter()
                .filter(|(name, _)| costs || !ingest::card::is_cost_extra(self.record.kind, name))
                .map(|(name, value)| (name.clone(), self.without_costs(value, costs)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            source_time_us: self.record.source_time.map(jiff::Timestamp::as_microsecond),
            seen_at_us: self.seen_at_us,
            synced_at_us: self.synced_at_us,
        }
    }
}
