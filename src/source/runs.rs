//! Runs: one pass over a source. A run that ends complete tombstones what it did not see; one that breaks off removes nothing.

use ingest::Rejection;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::Row;
use utoipa::ToSchema;

use super::{SourceError, ensure, one_at_a_time, tombstone_except};
use crate::audit::{self, Action, Actor, Event};
use crate::ids::{RunId, SourceId};
use crate::store::TenantTx;
use crate::store::bulk;

/// Most rejections kept per run; the count goes on.
pub const REJECTIONS_MAX: usize = 1_000;

/// A run as shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RunRow {
    pub run_id: String,
    /// `running`, `complete`, `partial`.
    pub state: String,
    pub removed_records: u64,
    pub removed_documents: u64,
    pub rejected: u64,
}

/// Begins a run; an earlier run of the source that still runs becomes partial.
pub async fn start_run(tx: &mut TenantTx, actor: &Actor, source: &str, now: Timestamp) -> Result<RunId, SourceError> {
    let source = ensure(tx, actor, source, now).await?;
    sqlx::query(
        "UPDATE ingest_run SET state = 'partial', finished_at_us = $3 WHERE tenant_id = $1 AND source_id = $2 AND state = 'running'",
    )
    .bind(tx.tenant_text())
    .bind(source.to_string())
    .bind(now.as_microsecond())
    .execute(tx.conn())
    .await?;
    let run = RunId::mint();
    sqlx::query(
        "INSERT INTO ingest_run (tenant_id, run_id, source_id, started_at_us, state, counts) VALUES ($1, $2, $3, $4, 'running', '{}')",
    )
    .bind(tx.tenant_text())
    .bind(run.to_string())
    .bind(source.to_string())
    .bind(now.as_microsecond())
    .execute(tx.conn())
    .await?;
    append(tx, actor, Action::RunStarted, run, json!({ "source": source }), now).await?;
    Ok(run)
}

/// The run that a push to `source` counts for: the given one if it still runs, else the one that runs, else none (the nil id).
pub(super) async fn run_for(tx: &mut TenantTx, source: SourceId, wanted: Option<RunId>) -> Result<RunId, SourceError> {
    let row = sqlx::query(
        "SELECT run_id FROM ingest_run WHERE tenant_id = $1 AND source_id = $2 AND state = 'running' ORDER BY run_id DESC LIMIT 1",
    )
    .bind(tx.tenant_text())
    .bind(source.to_string())
    .fetch_optional(tx.conn())
    .await?;
    let running: Option<RunId> = row.and_then(|row| row.try_get::<String, _>(0).ok()).and_then(|id| id.parse().ok());
    match (wanted, running) {
        (Some(wanted), Some(running)) if wanted == running => Ok(running),
        (Some(_), _) => Err(SourceError::RunOver),
        (None, running) => Ok(running.unwrap_or(RunId(uuid::Uuid::nil()))),
    }
}

/// Ends a run. `complete`: everything the source has was pushed, so the rest of it is gone. `rejected` counts all rejections, of which
/// `rejections` are kept.
pub async fn finish_run(
    tx: &mut TenantTx,
    actor: &Actor,
    run: RunId,
    complete: bool,
    rejected: u64,
    rejections: &[Rejection],
    now: Timestamp,
) -> Result<RunRow, SourceError> {
    one_at_a_time(tx).await?;
    let row = sqlx::query("SELECT source_id, state FROM ingest_run WHERE tenant_id = $1 AND run_id = $2")
        .bind(tx.tenant_text())
        .bind(run.to_string())
        .fetch_optional(tx.conn())
        .await?
        .ok_or(SourceError::NotFound)?;
    if row.try_get::<String, _>(1)? != "running" {
        return Err(SourceError::RunOver);
    }
    let source: SourceId = row.try_get::<String, _>(0)?.parse().map_err(|_| SourceError::NotFound)?;
    let (records, documents) = if complete { tombstone_except(tx, source, Some(run), now).await? } else { (0, 0) };
    let state = if complete { "complete" } else { "partial" };
    let counts = json!({ "removed_records": records, "removed_documents": documents, "rejected": rejected });
    sqlx::query(
        "UPDATE ingest_run SET state = $3, finished_at_us = $4, counts = $5 WHERE tenant_id = $1 AND run_id = $2",
    )
    .bind(tx.tenant_text())
    .bind(run.to_string())
    .bind(state)
    .bind(now.as_microsecond())
    .bind(counts.to_string())
    .execute(tx.conn())
    .await?;
    if complete {
        sqlx::query("UPDATE source SET synced_at_us = $3 WHERE tenant_id = $1 AND source_id = $2")
            .bind(tx.tenant_text())
            .bind(source.to_string())
            .bind(now.as_microsecond())
            .execute(tx.conn())
            .await?;
    }
    keep_rejections(tx, run, rejections).await?;
    append(tx, actor, Action::RunFinished, run, counts, now).await?;
    Ok(RunRow {
        run_id: run.to_string(),
        state: state.into(),
        removed_records: records as u64,
        removed_documents: documents as u64,
        rejected,
    })
}

/// A column's name may be any text of the input; PostgreSQL stores no NUL.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

async fn keep_rejections(tx: &mut TenantTx, run: RunId, rejections: &[Rejection]) -> sqlx::Result<()> {
    let rows = rejections.iter().take(REJECTIONS_MAX).zip(1i64..).map(|(rejection, seq)| {
        vec![
            run.to_string().into(),
            seq.into(),
            without_nul(&rejection.file).into(),
            rejection.row.and_then(|row| i64::try_from(row).ok()).into(),
            rejection.column.as_deref().map(without_nul).into(),
            without_nul(&rejection.reason).into(),
        ]
    });
    let head = "INSERT INTO ingest_rejection (tenant_id, run_id, seq, file, row_number, column_name, reason)";
    bulk::insert(tx, head, "", rows.collect()).await
}

/// What a run refused, in order, after position `after`.
pub async fn rejections(tx: &mut TenantTx, run: RunId, after: i64, limit: i64) -> sqlx::Result<Vec<(i64, Rejection)>> {
    let rows = sqlx::query(
        "SELECT seq, file, row_number, column_name, reason FROM ingest_rejection \
         WHERE tenant_id = $1 AND run_id = $2 AND seq > $3 ORDER BY seq LIMIT $4",
    )
    .bind(tx.tenant_text())
    .bind(run.to_string())
    .bind(after)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.iter()
        .map(|row| {
            let rejection = Rejection {
                file: row.try_get(1)?,
                row: row.try_get::<Option<i64>, _>(2)?.and_then(|row| u64::try_from(row).ok()),
                column: row.try_get(3)?,
                reason: row.try_get(4)?,
            };
            Ok((row.try_get(0)?, rejection))
        })
        .collect()
}

async fn append(
    tx: &mut TenantTx,
    actor: &Actor,
    action: Action,
    run: RunId,
    details: serde_json::Value,
    now: Timestamp,
) -> sqlx::Result<()> {
    let event = Event { actor, action, resource: format!("run:{run}"), state_sha256: None, details };
    audit::append(tx, event, now).await.map(drop)
}
