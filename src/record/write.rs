//! Taking records in: one version per change, late arrivals recorded as stale, identifiers and links of the current version.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ingest::{Card, CardPart, Chunk, DocumentMeta, Record, cards, chunk_card};
use jiff::Timestamp;
use sqlx::Row;

use super::facts;
use crate::access::{COSTS, Role};
use crate::canonical::sha256_hex;
use crate::document;
use crate::ids::{BatchId, DocumentId, RecordId, RunId, SourceId};
use crate::store::TenantTx;
use crate::store::bulk::{self, Bind};

/// A record on its way in, with who may see it and its cards, cut into chunks.
#[derive(Debug, Clone)]
pub struct IncomingRecord {
    record: Record,
    audience: Vec<String>,
    body: String,
    sha256: String,
    cards: Vec<(Card, Vec<Chunk>)>,
}

impl IncomingRecord {
    /// Does the work that needs no database (text, tokens, hashes), so that no transaction waits for it. CPU-bound: call it off the
    /// async threads for more than a few records. An empty `audience` means everyone.
    pub fn prepare(record: Record, mut audience: Vec<String>) -> Self {
        if audience.is_empty() {
            audience.push("everyone".to_owned());
        }
        let body = record.canonical_json();
        let sha256 = digest(&body, &audience);
        let cards = cards(&record)
            .into_iter()
            .map(|card| {
                let chunks = chunk_card(&card, ingest::MAX_TOKENS);
                (card, chunks)
            })
            .collect();
        Self { record, audience, body, sha256, cards }
    }
}

/// Of everything whose change makes a new version: the canonical JSON and who may see it (empty: everyone).
pub fn digest(canonical_json: &str, audience: &[String]) -> String {
    let everyone = [String::from("everyone")];
    let audience = if audience.is_empty() { &everyone } else { audience };
    sha256_hex(format!("{canonical_json}\n{}", audience.join(",")))
}

/// What a push did, in records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Applied {
    pub created: u64,
    pub changed: u64,
    pub unchanged: u64,
    /// Older than what is stored; kept in no version, since the source's own time says that it is past.
    pub stale: u64,
}

struct Present {
    version: i64,
    body_sha256: String,
    source_time_us: Option<i64>,
    live: bool,
}

struct Next {
    id: RecordId,
    version: i64,
    incoming: IncomingRecord,
}

/// Writes records of one source. Of two with one id in the same call the newer (by source time, else the later in order) wins.
pub async fn upsert(
    tx: &mut TenantTx,
    source: SourceId,
    run: RunId,
    batch: BatchId,
    incoming: Vec<IncomingRecord>,
    now: Timestamp,
) -> sqlx::Result<Applied> {
    let mut applied = Applied::default();
    let newest = newest_of_each(tx, source, incoming, &mut applied);
    let ids: Vec<String> = newest.keys().map(RecordId::to_string).collect();
    let present = present(tx, &ids).await?;
    let (mut unchanged, mut next) = (Vec::new(), Vec::new());
    for (id, incoming) in newest {
        let time_us = incoming.record.source_time.map(Timestamp::as_microsecond);
        let version = match present.get(&id.to_string()) {
            Some(old) if old.live && old.body_sha256 == incoming.sha256 => {
                applied.unchanged += 1;
                unchanged.push(id);
                continue;
            }
            Some(old) if old.live && older(time_us, old.source_time_us) => {
                applied.stale += 1;
                unchanged.push(id);
                continue;
            }
            Some(old) => {
                applied.changed += 1;
                old.version + 1
            }
            None => {
                applied.created += 1;
                1
            }
        };
        next.push(Next { id, version, incoming });
    }
    let unchanged: Vec<String> = unchanged.iter().map(RecordId::to_string).collect();
    touch(tx, run, &unchanged).await?;
    write(tx, source, run, batch, next, now).await?;
    Ok(applied)
}

/// Whether an arrival is past by the source's own clock. Equal times: the arrival counts (the content differs).
fn older(arrival_us: Option<i64>, stored_us: Option<i64>) -> bool {
    matches!((arrival_us, stored_us), (Some(arrival), Some(stored)) if arrival < stored)
}

fn newest_of_each(
    tx: &TenantTx,
    source: SourceId,
    incoming: Vec<IncomingRecord>,
    applied: &mut Applied,
) -> BTreeMap<RecordId, IncomingRecord> {
    let mut newest: BTreeMap<RecordId, IncomingRecord> = BTreeMap::new();
    for one in incoming {
        let id = RecordId(ingest::record_id(tx.tenant().0, source.0, one.record.kind, &one.record.external_id));
        match newest.get(&id) {
            Some(other) if one.record.source_time < other.record.source_time => applied.stale += 1,
            _ => {
                if newest.insert(id, one).is_some() {
                    applied.stale += 1;
                }
            }
        }
    }
    newest
}

async fn present(tx: &mut TenantTx, ids: &[String]) -> sqlx::Result<HashMap<String, Present>> {
    let head = "SELECT record_id, version, body_sha256, source_time_us, deleted_at_us FROM record WHERE tenant_id = $1 AND record_id IN";
    let rows = bulk::select_in(tx, head, &[], ids, "").await?;
    rows.iter()
        .map(|row| {
            let present = Present {
                version: row.try_get(1)?,
                body_sha256: row.try_get(2)?,
                source_time_us: row.try_get(3)?,
                live: row.try_get::<Option<i64>, _>(4)?.is_none(),
            };
            Ok((row.try_get(0)?, present))
        })
        .collect()
}

/// Marks records and their cards as seen in a run, so that its end does not tombstone them.
pub async fn touch(tx: &mut TenantTx, run: RunId, ids: &[String]) -> sqlx::Result<()> {
    let first = [Bind::from(run.to_string())];
    let head = "UPDATE record SET seen_run_id = $2 WHERE tenant_id = $1 AND record_id IN";
    bulk::execute_in(tx, head, &first, ids, "").await?;
    let head = "UPDATE document SET seen_run_id = $2 WHERE tenant_id = $1 AND deleted_at_us IS NULL AND record_id IN";
    bulk::execute_in(tx, head, &first, ids, "").await.map(drop)
}

async fn write(
    tx: &mut TenantTx,
    source: SourceId,
    run: RunId,
    batch: BatchId,
    next: Vec<Next>,
    now: Timestamp,
) -> sqlx::Result<()> {
    if next.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = next.iter().map(|next| next.id.to_string()).collect();
    insert_records(tx, source, run, &next).await?;
    insert_versions(tx, batch, &next, now).await?;
    replace_identifiers(tx, &ids, &next).await?;
    queue_detection(tx, &ids, now).await?;
    write_facts(tx, source, &next).await?;
    write_cards(tx, source, run, batch, &ids, next, now).await
}

async fn insert_records(tx: &mut TenantTx, source: SourceId, run: RunId, next: &[Next]) -> sqlx::Result<()> {
    let rows = next.iter().map(|next| {
        let record = &next.incoming.record;
        vec![
            next.id.to_string().into(),
            source.to_string().into(),
            record.kind.as_str().into(),
            record.external_id.clone().into(),
            next.version.into(),
            next.incoming.sha256.clone().into(),
            record.source_time.map(Timestamp::as_microsecond).into(),
            run.to_string().into(),
        ]
    });
    let head = "INSERT INTO record (tenant_id, record_id, source_id, kind, external_id, version, body_sha256, source_time_us, seen_run_id)";
    let tail = "ON CONFLICT (tenant_id, record_id) DO UPDATE SET version = excluded.version, body_sha256 = excluded.body_sha256, \
                source_time_us = excluded.source_time_us, seen_run_id = excluded.seen_run_id, deleted_at_us = NULL";
    bulk::insert(tx, head, tail, rows.collect()).await
}

async fn insert_versions(tx: &mut TenantTx, batch: BatchId, next: &[Next], now: Timestamp) -> sqlx::Result<()> {
    let rows = next.iter().map(|next| {
        vec![
            next.id.to_string().into(),
            next.version.into(),
            next.incoming.body.clone().into(),
            sha256_hex(&next.incoming.body).into(),
            next.incoming.record.source_time.map(Timestamp::as_microsecond).into(),
            now.as_microsecond().into(),
            batch.to_string().into(),
        ]
    });
    let head = "INSERT INTO record_version (tenant_id, record_id, version, body, body_sha256, source_time_us, seen_at_us, batch_id)";
    bulk::insert(tx, head, "", rows.collect()).await
}

async fn replace_identifiers(tx: &mut TenantTx, ids: &[String], next: &[Next]) -> sqlx::Result<()> {
    bulk::execute_in(tx, "DELETE FROM record_identifier WHERE tenant_id = $1 AND record_id IN", &[], ids, "").await?;
    bulk::execute_in(tx, "DELETE FROM record_link WHERE tenant_id = $1 AND record_id IN", &[], ids, "").await?;
    let (mut identifiers, mut links) = (BTreeSet::new(), BTreeSet::new());
    for next in next {
        let id = next.id.to_string();
        for identifier in next.incoming.record.identifiers() {
            identifiers.insert((identifier.scheme.as_str(), identifier.normal, id.clone()));
        }
        for link in next.incoming.record.links() {
            links.insert((id.clone(), link.field, link.kind.as_str(), link.external_id));
        }
    }
    let rows = identifiers.into_iter().map(|(scheme, normal, id)| vec![scheme.into(), normal.into(), id.into()]);
    bulk::insert(tx, "INSERT INTO record_identifier (tenant_id, scheme, normal, record_id)", "", rows.collect())
        .await?;
    let rows =
        links.into_iter().map(|(id, field, kind, target)| vec![id.into(), field.into(), kind.into(), target.into()]);
    let head = "INSERT INTO record_link (tenant_id, record_id, field, target_kind, target_external_id)";
    bulk::insert(tx, head, "", rows.collect()).await
}

/// Says that somebody has to look at these records: they have a new version, or are gone. Read by `detect`.
async fn queue_detection(tx: &mut TenantTx, ids: &[String], now: Timestamp) -> sqlx::Result<()> {
    let rows = ids.iter().map(|id| vec![id.clone().into(), 1.into(), 0.into(), now.as_microsecond().into()]);
    let head = "INSERT INTO detect_work (tenant_id, record_id, changed, rules, queued_at_us)";
    bulk::insert(tx, head, "ON CONFLICT (tenant_id, record_id) DO UPDATE SET changed = 1", rows.collect()).await
}

/// Typed values for counting; see `facts`.
async fn write_facts(tx: &mut TenantTx, source: SourceId, next: &[Next]) -> sqlx::Result<()> {
    let audience = |names: &[String]| serde_json::to_string(names).unwrap_or_default();
    let rows: Vec<facts::Facts<'_>> = next
        .iter()
        .map(|next| facts::Facts {
            id: next.id.to_string(),
            source_id: source.to_string(),
            record: &next.incoming.record,
            main_audience: audience(&next.incoming.audience),
            cost_audience: audience(&cost_audience(&next.incoming.audience)),
        })
        .collect();
    facts::replace(tx, &rows).await
}

/// The cards of the new versions as documents; a cost card that is no longer there is tombstoned.
async fn write_cards(
    tx: &mut TenantTx,
    source: SourceId,
    run: RunId,
    batch: BatchId,
    ids: &[String],
    next: Vec<Next>,
    now: Timestamp,
) -> sqlx::Result<()> {
    let mut documents = Vec::new();
    for next in next {
        let record = next.incoming.record;
        for (card, chunks) in next.incoming.cards {
            let (part, audience) = match card.part {
                CardPart::Main => ("main", next.incoming.audience.clone()),
                CardPart::Cost => ("cost", cost_audience(&next.incoming.audience)),
            };
            let external_id = format!("record:{}:{}:{part}", record.kind.as_str(), record.external_id);
            documents.push(document::Incoming {
                document: DocumentId(ingest::document_id(tx.tenant().0, source.0, &external_id)),
                external_id,
                kind: record.kind.as_str().to_owned(),
                title: card.title,
                text: card.text,
                spans: Some(card.spans),
                record: Some((next.id, next.version)),
                meta: DocumentMeta::default(),
                audience,
                chunks,
            });
        }
    }
    let written: BTreeSet<String> = documents.iter().map(|document| document.document.to_string()).collect();
    document::upsert(tx, source, run, batch, documents, now).await?;
    let head = "SELECT document_id FROM document WHERE tenant_id = $1 AND deleted_at_us IS NULL AND record_id IN";
    let gone: Vec<String> = bulk::select_in(tx, head, &[], ids, "")
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<sqlx::Result<Vec<String>>>()?
        .into_iter()
        .filter(|id| !written.contains(id))
        .collect();
    document::delete(tx, &gone, now).await
}

/// Who may see a record's costs: roles that see costs, and of those only the ones the record is for.
pub(super) fn cost_audience(audience: &[String]) -> Vec<String> {
    if audience.iter().any(|name| name == "everyone") {
        return vec![COSTS.to_owned()];
    }
    let sees = |name: &&String| Role::parse(name).is_some_and(Role::sees_costs);
    let narrowed: Vec<String> = audience.iter().filter(sees).cloned().collect();
    if narrowed.is_empty() { vec!["nobody".to_owned()] } else { narrowed }
}

/// Tombstones records with their cards: from the commit on they answer nothing. Versions stay for the audit.
pub async fn delete(tx: &mut TenantTx, ids: &[String], now: Timestamp) -> sqlx::Result<()> {
    let first = [Bind::from(now.as_microsecond())];
    let head = "UPDATE record SET deleted_at_us = $2 WHERE tenant_id = $1 AND deleted_at_us IS NULL AND record_id IN";
    bulk::execute_in(tx, head, &first, ids, "").await?;
    queue_detection(tx, ids, now).await?;
    bulk::execute_in(tx, "DELETE FROM record_identifier WHERE tenant_id = $1 AND record_id IN", &[], ids, "").await?;
    bulk::execute_in(tx, "DELETE FROM record_link WHERE tenant_id = $1 AND record_id IN", &[], ids, "").await?;
    facts::remove(tx, ids, true).await?;
    let head = "SELECT document_id FROM document WHERE tenant_id = $1 AND deleted_at_us IS NULL AND record_id IN";
    let rows = bulk::select_in(tx, head, &[], ids, "").await?;
    let cards = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<String>>>()?;
    document::delete(tx, &cards, now).await
}
