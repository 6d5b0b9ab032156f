//! Sources: where records and documents come from, passes over them, and what one push contains.
//!
//! After `record` and `document`, which know how to store one; here it is decided what belongs together: a batch is one transaction with
//! one audit event, a *complete* run tombstones whatever of its source it did not see.

pub mod batch;
pub mod extract;
pub mod folder;
pub mod offer;
mod runs;
mod wire;

pub use batch::{Batch, BatchReport, apply, batch_state};
pub use extract::Extractor;
pub use runs::{RunRow, finish_run, rejections, start_run};
pub use wire::{PushedDocument, PushedRecord, WireError};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::Row;
use utoipa::ToSchema;

use crate::audit::{self, Action, Actor, Event};
use crate::ids::SourceId;
use crate::store::TenantTx;
use crate::{document, record};

/// Why a source operation was refused.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("there is no such source or run")]
    NotFound,
    #[error("a source's name is 1 to 80 of a-z, 0-9, '-', '_' and '.'")]
    Name,
    #[error("the run is over, or a newer run of its source has begun")]
    RunOver,
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// A source as listed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SourceRow {
    pub source_id: String,
    pub name: String,
    pub created_at_us: i64,
    /// End of the last complete run; absent: never.
    pub synced_at_us: Option<i64>,
    /// Live records and documents (cards of records not counted).
    pub records: i64,
    pub documents: i64,
}

/// Lets one transaction at a time write a tenant's content: versions are numbered by reading the last one, and a policy's end depends on
/// documents of other sources. SQLite has one writer anyway. Administration of users and keys does not wait for it.
async fn one_at_a_time(tx: &mut TenantTx) -> sqlx::Result<()> {
    tx.lock_content().await
}

/// The live source of that name, created if there is none.
pub async fn ensure(tx: &mut TenantTx, actor: &Actor, name: &str, now: Timestamp) -> Result<SourceId, SourceError> {
    let well_formed = (1..=80).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
    if !well_formed {
        return Err(SourceError::Name);
    }
    one_at_a_time(tx).await?;
    if let Some((id, live)) = by_name(tx, name).await? {
        if !live {
            sqlx::query(
                "UPDATE source SET deleted_at_us = NULL, synced_at_us = NULL WHERE tenant_id = $1 AND source_id = $2",
            )
            .bind(tx.tenant_text())
            .bind(id.to_string())
            .execute(tx.conn())
            .await?;
            append(tx, actor, Action::SourceCreated, id, now).await?;
        }
        return Ok(id);
    }
    let id = SourceId::mint();
    let inserted = sqlx::query(
        "INSERT INTO source (tenant_id, source_id, name, created_at_us) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, name) DO NOTHING",
    )
    .bind(tx.tenant_text())
    .bind(id.to_string())
    .bind(name.to_owned())
    .bind(now.as_microsecond())
    .execute(tx.conn())
    .await?
    .rows_affected();
    if inserted == 0 {
        // Another transaction made it meanwhile (PostgreSQL).
        return by_name(tx, name).await?.map(|(id, _)| id).ok_or(SourceError::NotFound);
    }
    append(tx, actor, Action::SourceCreated, id, now).await?;
    Ok(id)
}

async fn by_name(tx: &mut TenantTx, name: &str) -> sqlx::Result<Option<(SourceId, bool)>> {
    let row = sqlx::query("SELECT source_id, deleted_at_us FROM source WHERE tenant_id = $1 AND name = $2")
        .bind(tx.tenant_text())
        .bind(name.to_owned())
        .fetch_optional(tx.conn())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let live = row.try_get::<Option<i64>, _>(1)?.is_none();
    Ok(row.try_get::<String, _>(0)?.parse().ok().map(|id| (id, live)))
}

/// Live sources by name, with what they hold.
pub async fn list(tx: &mut TenantTx) -> sqlx::Result<Vec<SourceRow>> {
    let rows = sqlx::query(
        "SELECT s.source_id, s.name, s.created_at_us, s.synced_at_us, \
         (SELECT count(*) FROM record r WHERE r.tenant_id = s.tenant_id AND r.source_id = s.source_id AND r.deleted_at_us IS NULL), \
         (SELECT count(*) FROM document d WHERE d.tenant_id = s.tenant_id AND d.source_id = s.source_id \
          AND d.deleted_at_us IS NULL AND d.record_id IS NULL) \
         FROM source s WHERE s.tenant_id = $1 AND s.deleted_at_us IS NULL ORDER BY s.name",
    )
    .bind(tx.tenant_text())
    .fetch_all(tx.conn())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(SourceRow {
                source_id: row.try_get(0)?,
                name: row.try_get(1)?,
                created_at_us: row.try_get(2)?,
                synced_at_us: row.try_get(3)?,
                records: row.try_get(4)?,
                documents: row.try_get(5)?,
            })
        })
        .collect()
}

/// Deletes a source: from the commit on nothing of it answers; its chunks leave the index.
pub async fn delete(tx: &mut TenantTx, actor: &Actor, name: &str, now: Timestamp) -> Result<(), SourceError> {
    one_at_a_time(tx).await?;
    let Some((id, true)) = by_name(tx, name).await? else { return Err(SourceError::NotFound) };
    tombstone_except(tx, id, None, now).await?;
    sqlx::query("UPDATE source SET deleted_at_us = $3 WHERE tenant_id = $1 AND source_id = $2")
        .bind(tx.tenant_text())
        .bind(id.to_string())
        .bind(now.as_microsecond())
        .execute(tx.conn())
        .await?;
    append(tx, actor, Action::SourceDeleted, id, now).await?;
    Ok(())
}

/// Tombstones the live records and documents of a source, except those seen in `run`. Returns how many of each.
async fn tombstone_except(
    tx: &mut TenantTx,
    source: SourceId,
    run: Option<crate::ids::RunId>,
    now: Timestamp,
) -> sqlx::Result<(usize, usize)> {
    let run = run.map(|run| run.to_string()).unwrap_or_default();
    let records = unseen(
        tx,
        "SELECT record_id FROM record WHERE tenant_id = $1 AND source_id = $2 AND deleted_at_us IS NULL AND seen_run_id <> $3",
        source,
        &run,
    )
    .await?;
    record::delete(tx, &records, now).await?;
    let documents = unseen(
        tx,
        "SELECT document_id FROM document WHERE tenant_id = $1 AND source_id = $2 AND deleted_at_us IS NULL AND seen_run_id <> $3",
        source,
        &run,
    )
    .await?;
    document::delete(tx, &documents, now).await?;
    Ok((records.len(), documents.len()))
}

async fn unseen(tx: &mut TenantTx, statement: &'static str, source: SourceId, run: &str) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query(statement)
        .bind(tx.tenant_text())
        .bind(source.to_string())
        .bind(run.to_owned())
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

async fn append(
    tx: &mut TenantTx,
    actor: &Actor,
    action: Action,
    source: SourceId,
    now: Timestamp,
) -> sqlx::Result<()> {
    let event = Event { actor, action, resource: format!("source:{source}"), state_sha256: None, details: json!({}) };
    audit::append(tx, event, now).await.map(drop)
}
