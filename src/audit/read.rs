//! Reading the trail, newest first.

use serde::Serialize;
use sqlx::Row;
use utoipa::ToSchema;

use crate::store::TenantTx;

/// An event as listed. `body` is the exact stored text that `hash` covers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventRow {
    pub seq: i64,
    pub at_us: i64,
    pub actor_id: String,
    pub action: String,
    pub resource: String,
    pub prev_hash: String,
    pub hash: String,
    pub body: String,
}

/// Up to `limit` events with `seq < before`, newest first; `resource` restricts to one resource (`<type>:<id>`).
pub async fn list(tx: &mut TenantTx, before: i64, resource: Option<&str>, limit: i64) -> sqlx::Result<Vec<EventRow>> {
    let rows = sqlx::query(
        "SELECT seq, at_us, actor_id, action, resource, prev_hash, hash, body FROM audit_event \
         WHERE tenant_id = $1 AND seq < $2 AND ($3 = '' OR resource = $3) ORDER BY seq DESC LIMIT $4",
    )
    .bind(tx.tenant_text())
    .bind(before)
    .bind(resource.unwrap_or("").to_owned())
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(event_row).collect()
}

pub(super) fn event_row(row: &sqlx::any::AnyRow) -> sqlx::Result<EventRow> {
    Ok(EventRow {
        seq: row.try_get(0)?,
        at_us: row.try_get(1)?,
        actor_id: row.try_get(2)?,
        action: row.try_get(3)?,
        resource: row.try_get(4)?,
        prev_hash: row.try_get(5)?,
        hash: row.try_get(6)?,
        body: row.try_get(7)?,
    })
}
