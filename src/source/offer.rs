//! Offers: what a source has, by digest, so that only what is new or changed has to travel.
//!
//! The step before a push within a run: what is there already in these very words is marked as seen and not asked for. This is how an
//! import that broke off goes on where it stopped, and how a watched folder costs what changed and no more.

use ingest::{Document, Record, RecordKind};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use utoipa::ToSchema;

use super::batch::settled;
use super::runs::run_for;
use super::{SourceError, by_name, one_at_a_time};
use crate::document;
use crate::ids::{DocumentId, RunId};
use crate::record;
use crate::store::TenantTx;
use crate::store::bulk;

/// One item on offer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// A record's kind; absent for a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    pub external_id: String,
    /// Of everything the item says, as the service computes it.
    pub sha256: String,
}

/// The digest of a record as it is stored.
pub fn record_digest(record: &Record, audience: &[String]) -> String {
    record::digest(&record.canonical_json(), audience)
}

/// The digest of a document as it is stored.
pub fn document_digest(document: Document, audience: Vec<String>) -> String {
    let (document, audience) = settled(document, audience);
    document::digest(&document::Digested {
        kind: document.kind.as_str(),
        title: &document.title,
        text: &document.text,
        meta: &document.meta,
        audience: &audience,
        record_version: None,
    })
}

/// Marks what is there unchanged as seen in the run. Returns the positions of the offers that have to be pushed.
pub async fn offer(tx: &mut TenantTx, source: &str, run: RunId, offers: &[Offer]) -> Result<Vec<usize>, SourceError> {
    one_at_a_time(tx).await?;
    // A source that is not there has no run that goes on.
    let Some((source, true)) = by_name(tx, source).await? else { return Err(SourceError::RunOver) };
    let run = run_for(tx, source, Some(run)).await?;
    let tenant = tx.tenant().0;
    let (mut records, mut documents, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
    for (position, offer) in offers.iter().enumerate() {
        match offer.kind.as_deref().map(str::parse::<RecordKind>) {
            None => {
                let id = DocumentId(ingest::document_id(tenant, source.0, &offer.external_id)).to_string();
                documents.push((position, id));
            }
            Some(Ok(kind)) => {
                let id = ingest::record_id(tenant, source.0, kind, &offer.external_id).to_string();
                records.push((position, id));
            }
            // The push says what is wrong with it.
            Some(Err(_)) => wanted.push(position),
        }
    }
    let head =
        "SELECT record_id, body_sha256 FROM record WHERE tenant_id = $1 AND deleted_at_us IS NULL AND record_id IN";
    let seen = known(tx, head, offers, records, &mut wanted).await?;
    record::touch(tx, run, &seen).await?;
    let head = "SELECT document_id, content_sha256 FROM document WHERE tenant_id = $1 AND deleted_at_us IS NULL AND document_id IN";
    let seen = known(tx, head, offers, documents, &mut wanted).await?;
    document::touch(tx, run, &seen).await?;
    wanted.sort_unstable();
    Ok(wanted)
}

/// Ids that are stored with the offered digest; the positions of the others go to `wanted`.
async fn known(
    tx: &mut TenantTx,
    head: &'static str,
    offers: &[Offer],
    items: Vec<(usize, String)>,
    wanted: &mut Vec<usize>,
) -> sqlx::Result<Vec<String>> {
    let ids: Vec<String> = items.iter().map(|(_, id)| id.clone()).collect();
    let mut stored = std::collections::HashMap::new();
    for row in bulk::select_in(tx, head, &[], &ids, "").await? {
        stored.insert(row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?);
    }
    let mut seen = Vec::new();
    for (position, id) in items {
        if stored.get(&id).is_some_and(|sha256| *sha256 == offers[position].sha256) {
            seen.push(id);
        } else {
            wanted.push(position);
        }
    }
    Ok(seen)
}
