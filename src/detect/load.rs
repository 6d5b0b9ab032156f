//! From SQL to what detectors see: records by id, number, reference or match key, as they are now or as they were at a past time.
//!
//! Past: the version of each record that was current then. Who refers to whom is read from today's links and checked against the past body;
//! a record that was deleted since is not found, one that has changed what it refers to is not found beside another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ingest::{Record, RecordKind};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::project;
use super::rules::{Rule, RuleSet};
use super::view::{Entry, Need, Only, View};
use crate::store::TenantTx;
use crate::store::bulk::{self, Bind};

/// The time at which the records are looked at; `None`: as they are.
pub type AsOf = Option<i64>;

/// Columns of an entry: 0 to 5; `s` is `detect_state`, `r` is `record`.
fn select(as_of: AsOf, more: &str) -> String {
    let version = match as_of {
        None => "v.version = s.version".to_owned(),
        Some(at_us) => format!(
            "v.version = (SELECT max(p.version) FROM record_version p WHERE p.tenant_id = s.tenant_id AND p.record_id = s.record_id \
             AND p.seen_at_us <= {at_us})"
        ),
    };
    format!(
        "SELECT s.record_id, r.source_id, v.version, s.audience, v.body{more} FROM detect_state s \
         JOIN record r ON r.tenant_id = s.tenant_id AND r.record_id = s.record_id \
         JOIN record_version v ON v.tenant_id = s.tenant_id AND v.record_id = s.record_id AND {version}"
    )
}

fn entry(row: &AnyRow) -> sqlx::Result<Option<Entry>> {
    let body: String = row.try_get(4)?;
    let Ok(record) = Record::from_canonical_json(&body) else { return Ok(None) };
    Ok(Some(Entry {
        record_id: row.try_get(0)?,
        source_id: row.try_get(1)?,
        version: row.try_get(2)?,
        audience: serde_json::from_str(&row.try_get::<String, _>(3)?).unwrap_or_default(),
        record,
    }))
}

/// The records with these ids, in the order of the ids.
pub async fn entries(tx: &mut TenantTx, ids: &[String], as_of: AsOf) -> sqlx::Result<Vec<Arc<Entry>>> {
    let head = format!("{} WHERE s.tenant_id = $1 AND s.record_id IN", select(as_of, ""));
    let mut found = Vec::with_capacity(ids.len());
    for row in bulk::select_in(tx, &head, &[], ids, "").await? {
        found.extend(entry(&row)?.map(Arc::new));
    }
    let place: HashMap<&str, usize> = ids.iter().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
    found.sort_by_key(|entry| place.get(entry.record_id.as_str()).copied());
    Ok(found)
}

/// Everything the rules want to look at beside their records.
pub async fn view(
    tx: &mut TenantTx,
    work: &[(Arc<Entry>, RuleSet)],
    today: jiff::civil::Date,
    as_of: AsOf,
) -> sqlx::Result<View> {
    let mut needs = BTreeSet::new();
    for (entry, rules) in work {
        for rule in Rule::ALL.into_iter().filter(|rule| rules.has(*rule)) {
            needs.extend(rule.needs(&entry.record, today));
        }
    }
    let mut view = View::default();
    let (mut ones, mut keys) = (BTreeMap::<RecordKind, Vec<String>>::new(), Vec::new());
    let mut referring = BTreeMap::<(RecordKind, RecordKind, Only), Vec<String>>::new();
    for need in needs {
        match need {
            Need::One(kind, id) => ones.entry(kind).or_default().push(id),
            Need::Referring { kind, target, id, only } => referring.entry((kind, target, only)).or_default().push(id),
            Need::SameKey(kind, key) => keys.push((kind, key)),
        }
    }
    for (kind, ids) in ones {
        load_ones(tx, &mut view, kind, &ids, as_of).await?;
    }
    for ((kind, target, only), ids) in referring {
        load_referring(tx, &mut view, (kind, target, only), &ids, as_of).await?;
    }
    load_keys(tx, &mut view, keys, as_of).await?;
    Ok(view)
}

/// Sorts found entries under what was asked for, in order of record id. What was not found is there with nothing.
fn fill(view: &mut View, asked: impl Iterator<Item = (String, Need)>, mut found: HashMap<String, Vec<Arc<Entry>>>) {
    for (key, need) in asked {
        let mut entries = found.remove(&key).unwrap_or_default();
        entries.sort_by(|a, b| a.record_id.cmp(&b.record_id));
        entries.dedup_by(|a, b| a.record_id == b.record_id);
        view.insert(need, entries);
    }
}

async fn load_ones(
    tx: &mut TenantTx,
    view: &mut View,
    kind: RecordKind,
    ids: &[String],
    as_of: AsOf,
) -> sqlx::Result<()> {
    let first = [Bind::from(kind.as_str())];
    let mut found: HashMap<String, Vec<Arc<Entry>>> = HashMap::new();
    // By id; whatever has none of that id, by number.
    for column in ["external_id", "number"] {
        let left: Vec<String> = ids.iter().filter(|id| !found.contains_key(*id)).cloned().collect();
        let head = format!(
            "{} WHERE s.tenant_id = $1 AND s.kind = $2 AND s.{column} IN",
            select(as_of, &format!(", s.{column}"))
        );
        for row in bulk::select_in(tx, &head, &first, &left, "").await? {
            if let Some(entry) = entry(&row)? {
                found.entry(row.try_get(5)?).or_default().push(Arc::new(entry));
            }
        }
    }
    fill(view, ids.iter().map(|id| (id.clone(), Need::One(kind, id.clone()))), found);
    Ok(())
}

async fn load_referring(
    tx: &mut TenantTx,
    view: &mut View,
    (kind, target, only): (RecordKind, RecordKind, Only),
    ids: &[String],
    as_of: AsOf,
) -> sqlx::Result<()> {
    let narrowed = match (only, as_of) {
        (Only::All, _) => String::new(),
        (Only::Open, None) => " AND s.is_open = 1".to_owned(),
        // What is finished now may have been open then: if it has changed since.
        (Only::Open, Some(at_us)) => format!(" AND (s.is_open = 1 OR s.seen_at_us > {at_us})"),
        (Only::Since(day), _) => format!(" AND s.own_day >= {day}"),
    };
    // From the reference to the record: the list of referring records is the short side.
    let head = format!(
        "SELECT l.target_external_id, l.record_id FROM record_link l JOIN detect_state s \
         ON s.tenant_id = l.tenant_id AND s.record_id = l.record_id AND s.kind = $3{narrowed} \
         WHERE l.tenant_id = $1 AND l.target_kind = $2 AND l.target_external_id IN"
    );
    let first = [Bind::from(target.as_str()), Bind::from(kind.as_str())];
    let mut targets: HashMap<String, BTreeSet<String>> = HashMap::new();
    for row in bulk::select_in(tx, &head, &first, ids, "").await? {
        targets.entry(row.try_get(1)?).or_default().insert(row.try_get(0)?);
    }
    let record_ids: Vec<String> = targets.keys().cloned().collect();
    let mut found: HashMap<String, Vec<Arc<Entry>>> = HashMap::new();
    for entry in entries(tx, &record_ids, as_of).await? {
        let then = as_of.map(|_| referred(&entry.record, target));
        for id in targets.remove(&entry.record_id).unwrap_or_default() {
            if then.as_ref().is_none_or(|then| then.contains(&id)) {
                found.entry(id).or_default().push(entry.clone());
            }
        }
    }
    let need = |id: &String| Need::Referring { kind, target, id: id.clone(), only };
    fill(view, ids.iter().map(|id| (id.clone(), need(id))), found);
    Ok(())
}

/// Ids of a kind that a record refers to.
pub fn referred(record: &Record, kind: RecordKind) -> BTreeSet<String> {
    record.links().into_iter().filter(|link| link.kind == kind).map(|link| link.external_id).collect()
}

async fn load_keys(
    tx: &mut TenantTx,
    view: &mut View,
    keys: Vec<(RecordKind, String)>,
    as_of: AsOf,
) -> sqlx::Result<()> {
    let ids: Vec<String> = keys.iter().map(|(_, key)| key.clone()).collect();
    let head = format!("{} WHERE s.tenant_id = $1 AND s.match_key IN", select(as_of, ", s.match_key"));
    let mut found: HashMap<String, Vec<Arc<Entry>>> = HashMap::new();
    for row in bulk::select_in(tx, &head, &[], &ids, "").await? {
        let Some(entry) = entry(&row)? else { continue };
        let key: String = row.try_get(5)?;
        // In the past the body may have had another key.
        if as_of.is_none() || project::match_key(&entry.record).as_ref() == Some(&key) {
            found.entry(key).or_default().push(Arc::new(entry));
        }
    }
    fill(view, keys.into_iter().map(|(kind, key)| (key.clone(), Need::SameKey(kind, key))), found);
    Ok(())
}
