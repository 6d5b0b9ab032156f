//! A record through time: what changed from version to version, when it was seen, and which source and push brought it.

use std::collections::BTreeMap;

use ingest::{Record, Value, display_value, schema};
use sqlx::Row;

use super::find::is_cost;
use super::{FieldChange, RecordVersionView};
use crate::ids::RecordId;
use crate::store::TenantTx;

/// Every version, newest first, with what changed. Costs are left out for whoever may not see them.
pub async fn history(tx: &mut TenantTx, id: RecordId, costs: bool) -> sqlx::Result<Vec<RecordVersionView>> {
    let rows = sqlx::query(
        "SELECT v.version, v.seen_at_us, v.source_time_us, v.body_sha256, v.body, v.batch_id, s.name FROM record_version v \
         JOIN record r ON r.tenant_id = v.tenant_id AND r.record_id = v.record_id \
         JOIN source s ON s.tenant_id = r.tenant_id AND s.source_id = r.source_id \
         WHERE v.tenant_id = $1 AND v.record_id = $2 ORDER BY v.version",
    )
    .bind(tx.tenant_text())
    .bind(id.to_string())
    .fetch_all(tx.conn())
    .await?;
    let mut versions = Vec::with_capacity(rows.len());
    let mut before: Option<Record> = None;
    for row in &rows {
        let record = Record::from_canonical_json(&row.try_get::<String, _>(4)?).ok();
        let changes = match (&before, &record) {
            (Some(before), Some(record)) => changes(before, record, costs),
            _ => Vec::new(),
        };
        versions.push(RecordVersionView {
            version: row.try_get(0)?,
            seen_at_us: row.try_get(1)?,
            source_time_us: row.try_get(2)?,
            body_sha256: if costs { Some(row.try_get(3)?) } else { None },
            source: row.try_get(6)?,
            batch_id: row.try_get(5)?,
            changed: changes.iter().map(|change| change.field.clone()).collect(),
            changes,
        });
        before = record;
    }
    versions.reverse();
    Ok(versions)
}

fn flat(record: &Record) -> BTreeMap<String, &Value> {
    let mut paths: BTreeMap<String, &Value> = record.fields.iter().map(|(name, value)| (name.clone(), value)).collect();
    for (position, line) in record.lines.iter().enumerate() {
        paths.extend(line.iter().map(|(name, value)| (format!("lines.{position}.{name}"), value)));
    }
    paths
}

/// Fields that differ, in the order of their paths.
fn changes(before: &Record, after: &Record, costs: bool) -> Vec<FieldChange> {
    let (old, new) = (flat(before), flat(after));
    let mut paths: Vec<&String> =
        old.keys().chain(new.keys()).filter(|path| old.get(*path) != new.get(*path)).collect();
    paths.sort();
    paths.dedup();
    paths.retain(|path| costs || !is_cost(after, path.rsplit('.').next().unwrap_or(path)));
    let schema = schema(after.kind);
    paths
        .into_iter()
        .map(|path| FieldChange {
            field: path.clone(),
            label: schema.by_path(path).map_or_else(|| path.clone(), |spec| spec.label.to_owned()),
            from: old.get(path).map(|value| display_value(value)),
            to: new.get(path).map(|value| display_value(value)),
        })
        .collect()
}
