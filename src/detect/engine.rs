//! One turn: takes what is left to look at, brings projections up to date, runs the rules, applies what they say. One transaction, so that
//! work is never lost and never done twice by halves.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::calendar::Calendar;
use super::custom::Compiled;
use super::finding::Out;
use super::observe::{self, Observed};
use super::rules::{Rule, RuleSet};
use super::settings::Settings;
use super::view::{Entry, Scene, View};
use super::{load, queue, settings_store, stored};
use crate::ids::TenantId;
use crate::store::{Dialect, Store, TenantTx};

/// Records per turn: small enough that a push never waits long for the writer.
const PORTION: i64 = 400;

/// A tenant's settings with their rules compiled.
pub struct Active {
    pub settings: Settings,
    pub calendar: Calendar,
    pub rules: Vec<Compiled>,
}

impl Active {
    pub fn new(settings: Settings) -> Self {
        let calendar = settings.calendar();
        // What is stored was checked; a rule that no longer compiles is left out and said.
        let rules = settings.rules.iter().filter_map(|rule| match rule.compile() {
            Ok(compiled) => Some(compiled),
            Err(error) => {
                tracing::warn!(rule = %rule.id, %error, "a stored rule does not compile and is left out");
                None
            }
        });
        let rules = rules.collect();
        Self { calendar, rules, settings }
    }

    pub fn scene(&self, now: Timestamp) -> Scene<'_> {
        Scene { settings: &self.settings, calendar: &self.calendar, rules: &self.rules, today: self.calendar.day(now) }
    }
}

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Records looked at, exceptions woken or escalated.
    pub done: usize,
    /// When there is something to do again by time alone.
    pub next_due_us: Option<i64>,
    pub told: bool,
}

/// Does one portion of a tenant's work. Returns nothing done when there is none.
pub async fn turn(store: &Store, tenant: TenantId, now: Timestamp) -> sqlx::Result<Turn> {
    let now_us = now.as_microsecond();
    let mut tx = store.begin_write(tenant).await?;
    one_at_a_time(&mut tx).await?;
    let (_, settings) = settings_store::current(&mut tx).await?;
    let active = Active::new(settings);
    queue::queue_due(&mut tx, now_us, PORTION).await?;
    let jobs = queue::take(&mut tx, PORTION).await?;
    let mut done = jobs.len();
    if !jobs.is_empty() {
        look_at(&mut tx, &active, &jobs, now).await?;
        let oldest = jobs.iter().filter(|job| job.changed).map(|job| job.queued_at_us).min();
        if let Some(queued) = oldest.filter(|queued| *queued > 0) {
            metrics::gauge!("countersign_detect_lag_seconds").set((now_us - queued) as f64 / 1e6);
        }
    }
    done += observe::time_passed(&mut tx, now, PORTION).await?;
    let next_due_us = stored::next_due(&mut tx).await?;
    if done == 0 {
        tx.rollback().await?;
    } else {
        tx.commit().await?;
    }
    Ok(Turn { done, next_due_us, told: done > 0 })
}

async fn look_at(tx: &mut TenantTx, active: &Active, jobs: &[queue::Job], now: Timestamp) -> sqlx::Result<()> {
    let changed: Vec<String> = jobs.iter().filter(|job| job.changed).map(|job| job.record_id.clone()).collect();
    let gone = queue::follow(tx, &changed, &active.calendar, now.as_microsecond()).await?;
    let mut rules: BTreeMap<String, RuleSet> = BTreeMap::new();
    for job in jobs {
        rules.insert(job.record_id.clone(), if job.changed { RuleSet(i64::MAX) } else { job.rules });
    }
    for id in &gone {
        rules.remove(id);
    }
    let ids: Vec<String> = rules.keys().cloned().collect();
    let mut work: Vec<(Arc<Entry>, RuleSet)> = Vec::with_capacity(ids.len());
    for entry in load::entries(tx, &ids, None).await? {
        let about = RuleSet::about(entry.record.kind);
        let wanted = rules.get(&entry.record_id).copied().unwrap_or_default();
        work.push((entry, RuleSet(wanted.0 & about.0)));
    }
    let scene = active.scene(now);
    let view = load::view(tx, &work, scene.today, None).await?;
    let (mut observed, mut due) = (Vec::with_capacity(work.len()), BTreeMap::<i64, Vec<String>>::new());
    for (subject, rules) in work {
        let (one, again) = evaluate(&scene, &view, subject, rules);
        if let Some(at) = again.and_then(|day| active.calendar.start(day)) {
            due.entry(at.as_microsecond()).or_default().push(one.subject.record_id.clone());
        }
        observed.push(one);
    }
    queue::note_due(tx, due).await?;
    observe::apply(tx, &active.settings, observed, &gone, now).await
}

/// Runs rules over one record. Pure.
pub fn evaluate(
    scene: &Scene<'_>,
    view: &View,
    subject: Arc<Entry>,
    rules: RuleSet,
) -> (Observed, Option<jiff::civil::Date>) {
    let mut out = Out::new(scene, &subject);
    for rule in Rule::ALL.into_iter().filter(|rule| rules.has(*rule)) {
        rule.run(&mut out, view);
    }
    let (findings, again) = (out.findings, out.again);
    (Observed { subject, rules, findings }, again)
}

/// The lock that writers of a tenant's content take (`source`): a turn sees whole pushes, and two replicas never take one portion.
async fn one_at_a_time(tx: &mut TenantTx) -> sqlx::Result<()> {
    if tx.dialect() == Dialect::Postgres {
        sqlx::query("SELECT count(*) FROM (SELECT pg_advisory_xact_lock(hashtextextended($1, 0))) AS held")
            .bind(format!("content of {}", tx.tenant_text()))
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}
