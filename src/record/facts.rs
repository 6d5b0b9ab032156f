//! Typed values of records in `record_fact`, so that they can be counted and summed in SQL; written in the transaction of the version.
//!
//! One row a record and audience part: costs stand in rows of their own, which only a query of somebody who may see costs touches. Beside
//! them the words questions may use: values that occur, and words of names.

use std::collections::{BTreeMap, BTreeSet};

use ingest::{Record, RecordKind};
use sqlx::Row;
use unicode_segmentation::UnicodeSegmentation;

use super::layout::{Cell, Column, LAYOUT_HASH, Slot, layout};
use crate::ids::TenantId;
use crate::store::bulk::{self, Bind};
use crate::store::{Store, TenantTx};

/// Kinds whose names a question may use.
pub const NAMED: [RecordKind; 3] = [RecordKind::Customer, RecordKind::Supplier, RecordKind::Product];
/// Words of a name that are looked up.
const NAME_WORDS: usize = 12;
/// Records written again in one transaction.
const PORTION: i64 = 500;

/// One record whose facts are to be written.
pub(super) struct Facts<'a> {
    pub id: String,
    pub source_id: String,
    pub record: &'a Record,
    pub main_audience: String,
    pub cost_audience: String,
}

/// Replaces the facts of these records.
pub(super) async fn replace(tx: &mut TenantTx, facts: &[Facts<'_>]) -> sqlx::Result<()> {
    let ids: Vec<String> = facts.iter().map(|one| one.id.clone()).collect();
    remove(tx, &ids, facts.iter().any(|one| NAMED.contains(&one.record.kind))).await?;
    let mut values: BTreeSet<(String, String, String)> = BTreeSet::new();
    let mut kinds: BTreeMap<RecordKind, Vec<&Facts<'_>>> = BTreeMap::new();
    for one in facts {
        kinds.entry(one.record.kind).or_default().push(one);
    }
    for (kind, facts) in &kinds {
        for (part, costs) in [("main", false), ("cost", true)] {
            insert_rows(tx, *kind, part, costs, facts, &mut values).await?;
        }
        for one in facts {
            let found = layout(*kind).values_of(one.record);
            values.extend(found.into_iter().map(|(field, value)| (kind.as_str().to_owned(), field, value)));
        }
    }
    let rows = values.into_iter().map(|(kind, field, value)| vec![kind.into(), field.into(), value.into()]);
    let head = "INSERT INTO record_value (tenant_id, kind, field, value)";
    bulk::insert(tx, head, "ON CONFLICT (tenant_id, kind, field, value) DO NOTHING", rows.collect()).await?;
    let names: BTreeSet<(String, &str, String)> = facts
        .iter()
        .filter(|one| NAMED.contains(&one.record.kind))
        .flat_map(|one| {
            let words = name_words(one.record.text("name").unwrap_or_default());
            words.into_iter().map(|word| (word, one.record.kind.as_str(), one.id.clone()))
        })
        .collect();
    let rows = names.into_iter().map(|(word, kind, id)| vec![word.into(), kind.into(), id.into()]);
    bulk::insert(tx, "INSERT INTO record_name (tenant_id, word, kind, record_id)", "", rows.collect()).await
}

/// Takes the facts of records away; `named`: some of them may have a name that is looked up.
pub(super) async fn remove(tx: &mut TenantTx, ids: &[String], named: bool) -> sqlx::Result<()> {
    bulk::execute_in(tx, "DELETE FROM record_fact WHERE tenant_id = $1 AND record_id IN", &[], ids, "").await?;
    if named {
        bulk::execute_in(tx, "DELETE FROM record_name WHERE tenant_id = $1 AND record_id IN", &[], ids, "").await?;
    }
    Ok(())
}

/// Lower-case words of a name, as they are looked up.
pub fn name_words(name: &str) -> Vec<String> {
    let folded = ingest::text::for_matching(name);
    folded.unicode_words().take(NAME_WORDS).map(str::to_owned).collect()
}

async fn insert_rows(
    tx: &mut TenantTx,
    kind: RecordKind,
    part: &'static str,
    costs: bool,
    facts: &[&Facts<'_>],
    values: &mut BTreeSet<(String, String, String)>,
) -> sqlx::Result<()> {
    let columns: Vec<&Column> = layout(kind).columns.iter().filter(|column| column.is_cost() == costs).collect();
    if columns.is_empty() && costs {
        return Ok(());
    }
    let mut rows = Vec::new();
    for one in facts {
        let cells: Vec<Option<Cell>> = columns.iter().map(|column| column.value_of(one.record)).collect();
        if costs && cells.iter().all(Option::is_none) {
            continue;
        }
        let audience = if costs { &one.cost_audience } else { &one.main_audience };
        values.insert((String::new(), "audience".to_owned(), audience.clone()));
        let mut row: Vec<Bind> = vec![
            one.id.clone().into(),
            part.into(),
            kind.as_str().into(),
            one.record.external_id.clone().into(),
            one.source_id.clone().into(),
            audience.clone().into(),
        ];
        for (column, cell) in columns.iter().zip(cells) {
            bind_cell(column.slot, cell, &mut row);
        }
        rows.push(row);
    }
    let mut names = Vec::new();
    for column in &columns {
        match column.slot {
            Slot::Text(at) => names.push(format!("t{at}")),
            Slot::Day(at) => names.push(format!("d{at}")),
            Slot::Number(at) => names.push(format!("n{at}")),
            Slot::Amount(at) => names.extend([format!("m{at}"), format!("k{at}")]),
        }
    }
    let list = names.iter().map(|name| format!(", {name}")).collect::<String>();
    let head =
        format!("INSERT INTO record_fact (tenant_id, record_id, part, kind, external_id, source_id, audience{list})");
    bulk::insert(tx, &head, "", rows).await
}

fn bind_cell(slot: Slot, cell: Option<Cell>, row: &mut Vec<Bind>) {
    match (slot, cell) {
        (Slot::Text(_), Some(Cell::Text(text))) => row.push(Some(text).into()),
        (Slot::Text(_), _) => row.push(Bind::OptText(None)),
        (Slot::Day(_), Some(Cell::Day(number))) | (Slot::Number(_), Some(Cell::Number(number))) => {
            row.push(Some(number).into());
        }
        (Slot::Day(_) | Slot::Number(_), _) => row.push(Bind::OptInt(None)),
        (Slot::Amount(_), Some(Cell::Amount(number, currency))) => {
            row.push(Some(number).into());
            row.push(Some(currency.as_str().to_owned()).into());
        }
        (Slot::Amount(_), _) => row.extend([Bind::OptInt(None), Bind::OptText(None)]),
    }
}

/// Makes sure that a tenant's facts follow the layout of this program; records taken in by an earlier one are written again, portion by
/// portion, going on where an interrupted pass stopped.
pub async fn ensure(store: &Store, tenant: TenantId) -> sqlx::Result<()> {
    let mut cursor = {
        let mut tx = store.begin_read(tenant).await?;
        match state(&mut tx).await? {
            None => return Ok(()),
            Some(cursor) => cursor,
        }
    };
    // A portion advances the cursor; records do not get more while it runs, because pushes write facts themselves.
    loop {
        let mut tx = store.begin_write(tenant).await?;
        tx.lock_content().await?;
        let last = portion(&mut tx, &cursor).await?;
        let done = last.is_none();
        let mark = last.as_ref().map_or_else(|| LAYOUT_HASH.clone(), |last| format!("{}@{last}", *LAYOUT_HASH));
        sqlx::query("UPDATE tenant SET facts_layout = $2 WHERE tenant_id = $1")
            .bind(tx.tenant_text())
            .bind(mark)
            .execute(tx.conn())
            .await?;
        tx.commit().await?;
        if done {
            return Ok(());
        }
        cursor = last.unwrap_or_default();
    }
}

/// `None`: complete; else the record id after which to go on, empty for the beginning.
async fn state(tx: &mut TenantTx) -> sqlx::Result<Option<String>> {
    let row = sqlx::query("SELECT facts_layout FROM tenant WHERE tenant_id = $1")
        .bind(tx.tenant_text())
        .fetch_one(tx.conn())
        .await?;
    let mark: Option<String> = row.try_get(0)?;
    Ok(match mark.as_deref().map(|mark| mark.split_once('@').unwrap_or((mark, ""))) {
        Some((hash, "")) if hash == *LAYOUT_HASH => None,
        Some((hash, cursor)) if hash == *LAYOUT_HASH => Some(cursor.to_owned()),
        Some(_) | None => Some(String::new()),
    })
}

/// Writes the facts of the next records after `cursor`; returns the last one's id, `None` when there was none.
async fn portion(tx: &mut TenantTx, cursor: &str) -> sqlx::Result<Option<String>> {
    let rows = sqlx::query(
        "SELECT r.record_id, r.source_id, v.body, d.audience FROM record r \
         JOIN record_version v ON v.tenant_id = r.tenant_id AND v.record_id = r.record_id AND v.version = r.version \
         JOIN document d ON d.tenant_id = r.tenant_id AND d.record_id = r.record_id AND d.deleted_at_us IS NULL \
         AND d.external_id LIKE '%:main' \
         WHERE r.tenant_id = $1 AND r.deleted_at_us IS NULL AND r.record_id > $2 ORDER BY r.record_id LIMIT $3",
    )
    .bind(tx.tenant_text())
    .bind(cursor.to_owned())
    .bind(PORTION)
    .fetch_all(tx.conn())
    .await?;
    let mut read = Vec::new();
    for row in &rows {
        let audience: String = row.try_get(3)?;
        let Ok(record) = Record::from_canonical_json(&row.try_get::<String, _>(2)?) else { continue };
        let names: Vec<String> = serde_json::from_str(&audience).unwrap_or_default();
        let costs = serde_json::to_string(&super::write::cost_audience(&names)).unwrap_or_default();
        read.push((row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?, record, audience, costs));
    }
    let facts: Vec<Facts<'_>> = read
        .iter()
        .map(|(id, source_id, record, audience, costs)| Facts {
            id: id.clone(),
            source_id: source_id.clone(),
            record,
            main_audience: audience.clone(),
            cost_audience: costs.clone(),
        })
        .collect();
    replace(tx, &facts).await?;
    rows.last().map(|row| row.try_get(0)).transpose()
}
