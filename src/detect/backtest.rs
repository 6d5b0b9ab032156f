//! What the rules would have reported at a past time, over everything that is stored, page by page; writes nothing.
//!
//! Memory stays flat: a page is loaded, judged and forgotten. Records that were deleted since are not in it, and who refers to whom is read
//! from today's references (checked against the past body), see `load`.

use std::sync::Arc;

use ingest::{Money, RecordKind};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;
use utoipa::ToSchema;

use super::engine::{Active, evaluate};
use super::rules::RuleSet;
use super::settings::Settings;
use super::{Severity, load, settings_store};
use crate::ids::TenantId;
use crate::store::Store;

/// Records per page.
const PAGE: i64 = 1_000;

/// Kinds of records that rules are about, in the order a back-test goes through them.
pub const SUBJECT_KINDS: [RecordKind; 13] = [
    RecordKind::Order,
    RecordKind::Shipment,
    RecordKind::StockLevel,
    RecordKind::Product,
    RecordKind::ChannelListing,
    RecordKind::Reservation,
    RecordKind::StockCount,
    RecordKind::PurchaseOrder,
    RecordKind::SupplierInvoice,
    RecordKind::CustomerInvoice,
    RecordKind::Payment,
    RecordKind::Refund,
    RecordKind::Return,
];

/// What to look at.
#[derive(Debug, Clone)]
pub struct Backtest {
    pub as_of: Timestamp,
    pub kind: RecordKind,
    /// The cursor of the page before.
    pub after: Option<String>,
    /// Instead of the settings in force; already checked.
    pub settings: Option<Settings>,
}

/// One case that would have been reported.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WouldReport {
    pub kind: String,
    pub severity: Severity,
    pub record_kind: String,
    pub external_id: String,
    #[schema(value_type = Option<Object>)]
    pub at_stake: Option<Money>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BacktestPage {
    /// Records looked at.
    pub records: usize,
    pub cases: Vec<WouldReport>,
    /// Pass as `after`; absent when the kind is done.
    pub next: Option<String>,
}

/// One page of one kind of record.
pub async fn backtest(store: &Store, tenant: TenantId, wanted: &Backtest) -> sqlx::Result<BacktestPage> {
    let mut tx = store.begin_read(tenant).await?;
    let active = match &wanted.settings {
        Some(settings) => Active::new(settings.clone()),
        None => Active::new(settings_store::current(&mut tx).await?.1),
    };
    let (after_id, after_record) = wanted.after.as_deref().and_then(|after| after.split_once('\n')).unwrap_or(("", ""));
    let rows = sqlx::query(
        "SELECT record_id, external_id FROM detect_state WHERE tenant_id = $1 AND kind = $2 \
         AND (external_id > $3 OR (external_id = $3 AND record_id > $4)) ORDER BY external_id, record_id LIMIT $5",
    )
    .bind(tx.tenant_text())
    .bind(wanted.kind.as_str())
    .bind(after_id.to_owned())
    .bind(after_record.to_owned())
    .bind(PAGE)
    .fetch_all(tx.conn())
    .await?;
    let mut ids = Vec::with_capacity(rows.len());
    let mut next = None;
    for row in &rows {
        let id: String = row.try_get(0)?;
        next = Some(format!("{}\n{id}", row.try_get::<String, _>(1)?));
        ids.push(id);
    }
    let as_of = Some(wanted.as_of.as_microsecond());
    let scene = active.scene(wanted.as_of);
    let rules = RuleSet::about(wanted.kind);
    let entries = load::entries(&mut tx, &ids, as_of).await?;
    let work: Vec<(Arc<_>, RuleSet)> = entries.into_iter().map(|entry| (entry, rules)).collect();
    let view = load::view(&mut tx, &work, scene.today, as_of).await?;
    let mut cases = Vec::new();
    let records = work.len();
    for (subject, rules) in work {
        let (observed, _) = evaluate(&scene, &view, subject, rules);
        let record = &observed.subject.record;
        cases.extend(observed.findings.into_iter().map(|finding| WouldReport {
            kind: finding.kind,
            severity: finding.severity,
            record_kind: record.kind.as_str().to_owned(),
            external_id: record.external_id.clone(),
            at_stake: finding.at_stake,
        }));
    }
    let full = i64::try_from(ids.len()).is_ok_and(|count| count == PAGE);
    Ok(BacktestPage { records, cases, next: next.filter(|_| full) })
}
