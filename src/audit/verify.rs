//! Verification: re-reads every event and what it refers to, in constant memory, and names the first bad entry.

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use sqlx::Row;
use utoipa::ToSchema;

use super::anchor::Anchor;
use super::read::{EventRow, event_row};
use super::{genesis, head};
use crate::canonical;
use crate::store::TenantTx;

const PAGE: i64 = 500;

/// Recomputes the digest of a resource's present state. Each stage that puts a `state_sha256` into its events supplies one.
///
/// `None`: the resource is gone or has no checkable state.
pub type StateOf = for<'a> fn(&'a mut TenantTx, &'a str) -> BoxFuture<'a, sqlx::Result<Option<String>>>;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// The entry it was found at, from 1; 0 when it concerns the chain as a whole.
    pub seq: i64,
    pub problem: String,
}

/// The result of a verification.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Report {
    pub ok: bool,
    /// Entries read.
    pub entries: i64,
    pub head_seq: i64,
    pub head_hash: String,
    /// Resources whose present state was compared with the digest in their newest event.
    pub states_checked: i64,
    /// Which signed head the chain was held against; `None`: truncation and full rewrites cannot be seen.
    pub anchor: Option<String>,
    pub first_bad: Option<Finding>,
    /// At most 100.
    pub findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, seq: i64, problem: impl Into<String>) {
        let finding = Finding { seq, problem: problem.into() };
        if self.first_bad.as_ref().is_none_or(|first| finding.seq < first.seq) {
            self.first_bad = Some(finding.clone());
        }
        if self.findings.len() < 100 {
            self.findings.push(finding);
        }
        self.ok = false;
    }
}

/// Walks the whole chain of the transaction's tenant.
///
/// - `states`: by resource type (`"user"` for `user:<id>`), how to recompute the state an event's digest stands for.
/// - `anchor`: a head exported earlier, its signature already checked; the chain must still contain it.
pub async fn verify(
    tx: &mut TenantTx,
    states: &[(&'static str, StateOf)],
    anchor: Option<&Anchor>,
) -> sqlx::Result<Report> {
    let (head_seq, head_hash) = head(tx).await?;
    let mut report = Report {
        ok: true,
        entries: 0,
        head_seq,
        head_hash,
        states_checked: 0,
        anchor: anchor.map(Anchor::describe),
        first_bad: None,
        findings: Vec::new(),
    };
    let mut prev = (0, genesis(tx.tenant()));
    loop {
        let page = page_after(tx, prev.0).await?;
        if page.is_empty() {
            break;
        }
        for event in page {
            report.entries += 1;
            check_event(&mut report, tx.tenant_text(), &prev, &event);
            check_state(&mut report, tx, states, &event).await?;
            if let Some(anchor) = anchor
                && anchor.seq == event.seq
                && anchor.hash != event.hash
            {
                report.add(event.seq, "differs from the anchored head: the chain was rewritten");
            }
            prev = (event.seq, event.hash);
        }
    }
    if (prev.0, &prev.1) != (report.head_seq, &report.head_hash) {
        let message = format!("the head row names entry {}, the chain ends at {}", report.head_seq, prev.0);
        report.add(prev.0, message);
    }
    if let Some(anchor) = anchor
        && anchor.seq > prev.0
    {
        let message =
            format!("the anchored entry {} is missing: the chain was cut or an old copy restored", anchor.seq);
        report.add(prev.0 + 1, message);
    }
    Ok(report)
}

async fn page_after(tx: &mut TenantTx, seq: i64) -> sqlx::Result<Vec<EventRow>> {
    let rows = sqlx::query(
        "SELECT seq, at_us, actor_id, action, resource, prev_hash, hash, body FROM audit_event \
         WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    )
    .bind(tx.tenant_text())
    .bind(seq)
    .bind(PAGE)
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(event_row).collect()
}

fn check_event(report: &mut Report, tenant: String, prev: &(i64, String), event: &EventRow) {
    let seq = event.seq;
    if seq != prev.0 + 1 {
        report.add(prev.0 + 1, "entry missing");
    }
    if event.prev_hash != prev.1 {
        report.add(seq, "does not follow the entry before it");
    }
    if canonical::sha256_hex(&event.body) != event.hash {
        report.add(seq, "its text does not have its hash");
    }
    let Ok(body) = serde_json::from_str::<Value>(&event.body) else {
        return report.add(seq, "its text is not JSON");
    };
    let repeated = [
        ("tenant", Value::from(tenant)),
        ("seq", seq.into()),
        ("prev", event.prev_hash.as_str().into()),
        ("at_us", event.at_us.into()),
        ("action", event.action.as_str().into()),
        ("resource", event.resource.as_str().into()),
    ];
    for (name, column) in repeated {
        if body.get(name) != Some(&column) {
            report.add(seq, format!("column {name} differs from the hashed text"));
        }
    }
    if body.pointer("/actor/id").and_then(Value::as_str) != Some(event.actor_id.as_str()) {
        report.add(seq, "column actor_id differs from the hashed text");
    }
}

async fn check_state(
    report: &mut Report,
    tx: &mut TenantTx,
    states: &[(&'static str, StateOf)],
    event: &EventRow,
) -> sqlx::Result<()> {
    let Some(expected) = serde_json::from_str::<Value>(&event.body)
        .ok()
        .and_then(|body| body.get("state_sha256").and_then(Value::as_str).map(str::to_owned))
    else {
        return Ok(());
    };
    let Some((kind, id)) = event.resource.split_once(':') else { return Ok(()) };
    let Some((_, state_of)) = states.iter().find(|(name, _)| *name == kind) else { return Ok(()) };
    if changed_later(tx, event).await? {
        return Ok(());
    }
    report.states_checked += 1;
    match state_of(tx, id).await? {
        Some(present) if present == expected => {}
        Some(_) => report.add(event.seq, format!("{kind} was changed outside the audited path")),
        None => report.add(event.seq, format!("{kind} is missing")),
    }
    Ok(())
}

async fn changed_later(tx: &mut TenantTx, event: &EventRow) -> sqlx::Result<bool> {
    let row = sqlx::query("SELECT count(*) FROM audit_event WHERE tenant_id = $1 AND resource = $2 AND seq > $3")
        .bind(tx.tenant_text())
        .bind(event.resource.clone())
        .bind(event.seq)
        .fetch_one(tx.conn())
        .await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}
