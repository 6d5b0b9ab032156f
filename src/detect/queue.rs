//! What is left to look at: taking work, keeping each record's projection, and queueing whom a change concerns.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ingest::{Record, RecordKind};
use sqlx::Row;

use super::calendar::Calendar;
use super::load::referred;
use super::project;
use super::rules::{Reach, Rule, RuleSet, reaches};
use crate::document::day_number;
use crate::store::TenantTx;
use crate::store::bulk::{self, Bind};

/// One record to look at.
#[derive(Debug, Clone)]
pub struct Job {
    pub record_id: String,
    pub changed: bool,
    pub rules: RuleSet,
    pub queued_at_us: i64,
}

/// Queues records whose time has come; at most `limit`.
pub async fn queue_due(tx: &mut TenantTx, now_us: i64, limit: i64) -> sqlx::Result<()> {
    let rows = sqlx::query(
        "SELECT record_id FROM detect_state WHERE tenant_id = $1 AND due_at_us <= $2 ORDER BY due_at_us LIMIT $3",
    )
    .bind(tx.tenant_text())
    .bind(now_us)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    let ids = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<String>>>()?;
    let due: Vec<Vec<Bind>> =
        ids.iter().map(|id| vec![id.clone().into(), 0.into(), ALL_RULES.into(), now_us.into()]).collect();
    bulk::insert(tx, INSERT, CONFLICT, due).await?;
    let head = "UPDATE detect_state SET due_at_us = NULL WHERE tenant_id = $1 AND record_id IN";
    bulk::execute_in(tx, head, &[], &ids, "").await.map(drop)
}

/// Every rule there is; what does not concern a kind is left out when it is run.
const ALL_RULES: i64 = i64::MAX;
const INSERT: &str = "INSERT INTO detect_work (tenant_id, record_id, changed, rules, queued_at_us)";
const CONFLICT: &str = "ON CONFLICT (tenant_id, record_id) DO UPDATE SET rules = detect_work.rules | excluded.rules";

/// Takes up to `portion` jobs, changes first, oldest first; a quarter of the portion is kept for what changes concern.
pub async fn take(tx: &mut TenantTx, portion: i64) -> sqlx::Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for changed in [1, 0] {
        let taken = i64::try_from(jobs.len()).unwrap_or(portion);
        let limit = if changed == 1 { portion - portion / 4 } else { portion - taken };
        let rows = sqlx::query(
            "SELECT record_id, rules, queued_at_us FROM detect_work WHERE tenant_id = $1 AND changed = $2 ORDER BY queued_at_us LIMIT $3",
        )
        .bind(tx.tenant_text())
        .bind(changed)
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
        for row in &rows {
            jobs.push(Job {
                record_id: row.try_get(0)?,
                changed: changed == 1,
                rules: RuleSet(row.try_get(1)?),
                queued_at_us: row.try_get(2)?,
            });
        }
    }
    let ids: Vec<String> = jobs.iter().map(|job| job.record_id.clone()).collect();
    let head = "DELETE FROM detect_work WHERE tenant_id = $1 AND record_id IN";
    bulk::execute_in(tx, head, &[], &ids, "").await?;
    Ok(jobs)
}

/// How much is left, and since when.
pub async fn backlog(tx: &mut TenantTx) -> sqlx::Result<(i64, Option<i64>)> {
    let row = sqlx::query("SELECT count(*), min(queued_at_us) FROM detect_work WHERE tenant_id = $1")
        .bind(tx.tenant_text())
        .fetch_one(tx.conn())
        .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Has every live record looked at again, as after a change of limits.
pub async fn queue_all(tx: &mut TenantTx, now_us: i64) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "INSERT INTO detect_work (tenant_id, record_id, changed, rules, queued_at_us) \
         SELECT tenant_id, record_id, 0, $2, $3 FROM detect_state WHERE tenant_id = $1 \
         ON CONFLICT (tenant_id, record_id) DO UPDATE SET rules = excluded.rules",
    )
    .bind(tx.tenant_text())
    .bind(ALL_RULES)
    .bind(now_us)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

/// A changed record as it is stored now.
struct Current {
    record: Record,
    version: i64,
    seen_at_us: i64,
    audience: String,
}

/// Brings the projections of changed records up to date and queues whom the changes concern. Returns the records that are gone.
pub async fn follow(tx: &mut TenantTx, ids: &[String], calendar: &Calendar, now_us: i64) -> sqlx::Result<Vec<String>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let before = before(tx, ids).await?;
    let current = current(tx, ids).await?;
    let gone: Vec<String> = ids.iter().filter(|id| !current.contains_key(*id)).cloned().collect();
    let mut reached = Reached::default();
    for record in before.values().chain(current.values().map(|current| &current.record)) {
        reached.add(record);
    }
    let head = "DELETE FROM detect_state WHERE tenant_id = $1 AND record_id IN";
    bulk::execute_in(tx, head, &[], &gone, "").await?;
    project(tx, &current, calendar).await?;
    reached.queue(tx, now_us).await?;
    Ok(gone)
}

/// The bodies that were looked at last.
async fn before(tx: &mut TenantTx, ids: &[String]) -> sqlx::Result<HashMap<String, Record>> {
    let head = "SELECT s.record_id, v.body FROM detect_state s JOIN record_version v \
                ON v.tenant_id = s.tenant_id AND v.record_id = s.record_id AND v.version = s.version \
                WHERE s.tenant_id = $1 AND s.record_id IN";
    let mut found = HashMap::new();
    for row in bulk::select_in(tx, head, &[], ids, "").await? {
        if let Ok(record) = Record::from_canonical_json(&row.try_get::<String, _>(1)?) {
            found.insert(row.try_get(0)?, record);
        }
    }
    Ok(found)
}

/// The live ones among the records.
async fn current(tx: &mut TenantTx, ids: &[String]) -> sqlx::Result<HashMap<String, Current>> {
    let head = "SELECT r.record_id, r.version, v.body, v.seen_at_us, d.audience FROM record r \
                JOIN record_version v ON v.tenant_id = r.tenant_id AND v.record_id = r.record_id AND v.version = r.version \
                JOIN source s ON s.tenant_id = r.tenant_id AND s.source_id = r.source_id \
                JOIN document d ON d.tenant_id = r.tenant_id AND d.record_id = r.record_id AND d.deleted_at_us IS NULL \
                AND d.external_id LIKE '%:main' \
                WHERE r.tenant_id = $1 AND r.deleted_at_us IS NULL AND s.deleted_at_us IS NULL AND r.record_id IN";
    let mut found = HashMap::new();
    for row in bulk::select_in(tx, head, &[], ids, "").await? {
        let Ok(record) = Record::from_canonical_json(&row.try_get::<String, _>(2)?) else { continue };
        let current =
            Current { record, version: row.try_get(1)?, seen_at_us: row.try_get(3)?, audience: row.try_get(4)? };
        found.insert(row.try_get(0)?, current);
    }
    Ok(found)
}

async fn project(tx: &mut TenantTx, current: &HashMap<String, Current>, calendar: &Calendar) -> sqlx::Result<()> {
    let rows = current.iter().map(|(id, current)| {
        let record = &current.record;
        vec![
            id.clone().into(),
            record.kind.as_str().into(),
            record.external_id.clone().into(),
            project::own_number(record).into(),
            current.version.into(),
            current.seen_at_us.into(),
            current.audience.clone().into(),
            i64::from(project::is_open(record)).into(),
            project::own_day(record, calendar).map(day_number).into(),
            project::match_key(record).into(),
        ]
    });
    let head = "INSERT INTO detect_state (tenant_id, record_id, kind, external_id, number, version, seen_at_us, audience, is_open, own_day, match_key)";
    let tail = "ON CONFLICT (tenant_id, record_id) DO UPDATE SET number = excluded.number, version = excluded.version, \
                seen_at_us = excluded.seen_at_us, audience = excluded.audience, is_open = excluded.is_open, \
                own_day = excluded.own_day, match_key = excluded.match_key, due_at_us = NULL";
    bulk::insert(tx, head, tail, rows.collect()).await
}

/// Whom a portion of changes concerns, gathered so that each way is one statement.
#[derive(Default)]
struct Reached {
    /// (kind of the records concerned, rules) to their names.
    referred: BTreeMap<(RecordKind, i64), BTreeSet<String>>,
    /// (kind they refer to, kind of the records concerned, rules) to the ids referred to.
    referring: BTreeMap<(RecordKind, RecordKind, i64), BTreeSet<String>>,
    keys: BTreeMap<i64, BTreeSet<String>>,
}

impl Reached {
    fn add(&mut self, changed: &Record) {
        for (reach, rules) in reaches(changed.kind) {
            let rules = RuleSet::of(rules).0;
            match *reach {
                Reach::RefersTo(kind) => {
                    self.referred.entry((kind, rules)).or_default().extend(referred(changed, kind));
                }
                Reach::ReferredBy(kind) => {
                    let names = project::own_names(changed);
                    self.referring.entry((changed.kind, kind, rules)).or_default().extend(names);
                }
                Reach::Beside(through, kind) => {
                    let ids = referred(changed, through);
                    self.referring.entry((through, kind, rules)).or_default().extend(ids);
                }
                Reach::SameKey => self.keys.entry(rules).or_default().extend(project::match_key(changed)),
            }
        }
    }

    async fn queue(self, tx: &mut TenantTx, now_us: i64) -> sqlx::Result<()> {
        let list = |ids: BTreeSet<String>| ids.into_iter().collect::<Vec<String>>();
        for ((kind, rules), ids) in self.referred {
            let first = [kind.as_str().into(), rules.into(), now_us.into()];
            let ids = list(ids);
            for head in [
                "INSERT INTO detect_work (tenant_id, record_id, changed, rules, queued_at_us) \
                 SELECT s.tenant_id, s.record_id, 0, $3, $4 FROM detect_state s WHERE s.tenant_id = $1 AND s.kind = $2 AND s.external_id IN",
                "INSERT INTO detect_work (tenant_id, record_id, changed, rules, queued_at_us) \
                 SELECT s.tenant_id, s.record_id, 0, $3, $4 FROM detect_state s WHERE s.tenant_id = $1 AND s.kind = $2 AND s.number IN",
            ] {
                bulk::execute_in(tx, head, &first, &ids, CONFLICT).await?;
            }
        }
        for ((target, kind, rules), ids) in self.referring {
            let first = [target.as_str().into(), kind.as_str().into(), rules.into(), now_us.into()];
            let open = if rules == RuleSet::of(&[Rule::Oversell]).0 { " AND s.is_open = 1" } else { "" };
            let head = format!(
                "INSERT INTO detect_work (tenant_id, record_id, changed, rules, queued_at_us) \
                 SELECT DISTINCT s.tenant_id, s.record_id, 0, $4, $5 FROM record_link l JOIN detect_state s \
                 ON s.tenant_id = l.tenant_id AND s.record_id = l.record_id AND s.kind = $3{open} \
                 WHERE l.tenant_id = $1 AND l.target_kind = $2 AND l.target_external_id IN"
            );
            bulk::execute_in(tx, &head, &first, &list(ids), CONFLICT).await?;
        }
        for (rules, keys) in self.keys {
            let head = "INSERT INTO detect_work (tenant_id, record_id, changed, rules, queued_at_us) \
                        SELECT s.tenant_id, s.record_id, 0, $2, $3 FROM detect_state s WHERE s.tenant_id = $1 AND s.match_key IN";
            bulk::execute_in(tx, head, &[rules.into(), now_us.into()], &list(keys), CONFLICT).await?;
        }
        Ok(())
    }
}

/// Notes when records have to be looked at again; an earlier time that is noted already stays.
pub async fn note_due(tx: &mut TenantTx, due: BTreeMap<i64, Vec<String>>) -> sqlx::Result<()> {
    for (at_us, ids) in due {
        let head = "UPDATE detect_state SET due_at_us = $2 WHERE tenant_id = $1 AND (due_at_us IS NULL OR due_at_us > $2) AND record_id IN";
        bulk::execute_in(tx, head, &[at_us.into()], &ids, "").await?;
    }
    Ok(())
}
