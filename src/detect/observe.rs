//! Findings against what is stored: new exceptions open, known ones are kept up to date, those whose cause is gone close themselves.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::finding::{Cause, Finding};
use super::lifecycle::{Command, State, Weight};
use super::rules::{Rule, RuleSet};
use super::settings::Settings;
use super::stored::{self, Stored};
use super::view::Entry;
use super::{Domain, Kind};
use crate::audit::{self, Action, Actor, ActorKind, Event};
use crate::ids::{ExceptionId, TenantId};
use crate::store::TenantTx;
use crate::webhook;

/// What was found on one record by the rules that were run over it.
pub struct Observed {
    pub subject: Arc<Entry>,
    pub rules: RuleSet,
    pub findings: Vec<Finding>,
}

/// What happened to an exception that others are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    Opened,
    Reopened,
    Resolved,
    Escalated,
    Woken,
}

impl Happened {
    fn action(self) -> Action {
        match self {
            Self::Opened => Action::ExceptionOpened,
            Self::Reopened => Action::ExceptionReopened,
            Self::Resolved => Action::ExceptionResolved,
            Self::Escalated => Action::ExceptionEscalated,
            Self::Woken => Action::ExceptionWoken,
        }
    }

    /// The webhook's event; `None`: nobody outside is told.
    fn event(self) -> Option<&'static str> {
        match self {
            Self::Opened | Self::Reopened => Some("exception.opened"),
            Self::Resolved => Some("exception.resolved"),
            Self::Escalated => Some("exception.escalated"),
            Self::Woken => None,
        }
    }
}

pub(super) fn worker() -> Actor {
    Actor { kind: ActorKind::Worker, id: "detect".into() }
}

/// The group of all exceptions of a kind with one cause.
pub fn group_id(tenant: TenantId, kind: &str, cause: &Cause) -> String {
    uuid::Uuid::new_v5(&tenant.0, format!("group\n{kind}\n{}\n{}", cause.what, cause.id).as_bytes()).to_string()
}

/// Who may see an exception: those who may see every record it tells of. Nobody when no name is in all of them.
fn common_audience(audiences: &[Vec<String>]) -> Vec<String> {
    let narrow = audiences.iter().filter(|names| !names.iter().any(|name| name == "everyone"));
    let mut common: Option<BTreeSet<&String>> = None;
    for names in narrow {
        let names: BTreeSet<&String> = names.iter().collect();
        common = Some(match common {
            None => names,
            Some(common) => common.intersection(&names).copied().collect(),
        });
    }
    match common {
        None => vec!["everyone".into()],
        Some(common) if common.is_empty() => vec!["nobody".into()],
        Some(common) => common.into_iter().cloned().collect(),
    }
}

/// Applies what was seen; `gone`: records that no longer exist, whose exceptions close.
pub async fn apply(
    tx: &mut TenantTx,
    settings: &Settings,
    observed: Vec<Observed>,
    gone: &[String],
    now: Timestamp,
) -> sqlx::Result<()> {
    let ids: Vec<String> =
        observed.iter().map(|one| one.subject.record_id.clone()).chain(gone.iter().cloned()).collect();
    let mut known: HashMap<String, Vec<Stored>> = HashMap::new();
    for one in stored::of_records(tx, &ids).await? {
        known.entry(one.record_id.clone()).or_default().push(one);
    }
    let (mut save, mut seen, mut happened) = (Vec::new(), Vec::new(), Vec::new());
    for one in observed {
        let before = known.remove(&one.subject.record_id).unwrap_or_default();
        let tenant = tx.tenant();
        for change in compare(tenant, settings, one, before, now) {
            match change {
                Change::Same(id) => seen.push(id),
                Change::To(stored, what) => {
                    happened.extend(what.map(|what| (save.len(), what)));
                    save.push(*stored);
                }
            }
        }
    }
    for before in gone.iter().filter_map(|id| known.remove(id)).flatten() {
        if let Some((after, what)) = closed(before, now) {
            happened.extend(what.map(|what| (save.len(), what)));
            save.push(after);
        }
    }
    stored::save(tx, &save).await?;
    stored::seen(tx, &seen, now.as_microsecond()).await?;
    for (at, what) in happened {
        tell(tx, &save[at], what, now).await?;
    }
    Ok(())
}

enum Change {
    /// Seen again as it was.
    Same(String),
    To(Box<Stored>, Option<Happened>),
}

/// Whether the rules that were run decide about a kind.
fn decided(rules: RuleSet, kind: &str) -> bool {
    if kind.starts_with("custom:") {
        return rules.has(Rule::Custom);
    }
    let Some(kind) = Kind::parse(kind) else { return false };
    Rule::ALL.into_iter().any(|rule| rules.has(rule) && rule.decides().contains(&kind))
}

fn compare(
    tenant: TenantId,
    settings: &Settings,
    observed: Observed,
    before: Vec<Stored>,
    now: Timestamp,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut before: HashMap<String, Stored> = before
        .into_iter()
        .filter(|one| decided(observed.rules, &one.kind))
        .map(|one| (one.kind.clone(), one))
        .collect();
    for finding in observed.findings {
        let old = before.remove(&finding.kind);
        changes.push(present(tenant, settings, &observed.subject, finding, old, now));
    }
    let closing = before.into_values().filter_map(|old| closed(old, now));
    changes.extend(closing.map(|(after, what)| Change::To(Box::new(after), what)));
    changes
}

/// The cause is there.
fn present(
    tenant: TenantId,
    settings: &Settings,
    subject: &Entry,
    finding: Finding,
    old: Option<Stored>,
    now: Timestamp,
) -> Change {
    let now_us = now.as_microsecond();
    let due = |severity| now_us + i64::from(settings.service_level_hours.hours(severity)) * 3_600_000_000;
    let domain = Kind::parse(&finding.kind).map_or(Domain::Custom, |kind| kind.spec().domain);
    let group_id = finding.cause.as_ref().map(|cause| group_id(tenant, &finding.kind, cause));
    let mut new = Stored {
        id: ExceptionId::mint(),
        record_id: subject.record_id.clone(),
        domain: domain.as_str().into(),
        subject_kind: subject.record.kind.as_str().into(),
        subject_external_id: subject.record.external_id.clone(),
        severity: finding.severity,
        at_stake: finding.at_stake,
        facts: finding.facts,
        involved: finding.involved,
        group_id,
        cause: finding.cause,
        audience: common_audience(&finding.audiences),
        state: State::Open,
        present: true,
        owner_id: None,
        ticket: None,
        first_seen_us: now_us,
        opened_at_us: now_us,
        last_seen_us: now_us,
        reopened: 0,
        due_at_us: due(finding.severity),
        escalated_at_us: None,
        kind: finding.kind,
    };
    let Some(old) = old else { return Change::To(Box::new(new), Some(Happened::Opened)) };
    let weight = Weight { severity: new.severity as i64, amount: new.at_stake.map(|money| money.millionths()) };
    let command = Command::CauseSeen { was_there: old.present, weight };
    // Every state takes this command.
    let state = old.state.apply(&command, now_us).unwrap_or_else(|_| old.state.clone());
    let again = state == State::Open && !old.state.is_active();
    (new.id, new.first_seen_us, new.ticket) = (old.id, old.first_seen_us, old.ticket.clone());
    if again {
        new.reopened = old.reopened + 1;
        return Change::To(Box::new(new), Some(Happened::Reopened));
    }
    new.state = state;
    (new.owner_id, new.opened_at_us, new.reopened) = (old.owner_id.clone(), old.opened_at_us, old.reopened);
    (new.due_at_us, new.escalated_at_us) = (old.due_at_us, old.escalated_at_us);
    if new.severity != old.severity {
        // The clock runs from when it opened, at the pace of what it is now.
        let hours = settings.service_level_hours.hours(new.severity);
        new.due_at_us = new.opened_at_us + i64::from(hours) * 3_600_000_000;
    }
    let same = new.facts_digest() == old.facts_digest()
        && new.audience == old.audience
        && new.state == old.state
        && old.present;
    if same { Change::Same(old.id.to_string()) } else { Change::To(Box::new(new), None) }
}

/// The cause is gone; `None` when that was known.
fn closed(mut old: Stored, now: Timestamp) -> Option<(Stored, Option<Happened>)> {
    if !old.present {
        return None;
    }
    let was_active = old.state.is_active();
    old.state = old.state.apply(&Command::CauseGone, now.as_microsecond()).ok()?;
    old.present = false;
    Some((old, was_active.then_some(Happened::Resolved)))
}

/// Wakes what slept long enough and escalates what nobody settled in time.
pub async fn time_passed(tx: &mut TenantTx, now: Timestamp, limit: i64) -> sqlx::Result<usize> {
    let now_us = now.as_microsecond();
    let due = stored::timed_out(tx, now_us, limit).await?;
    let (mut save, mut happened) = (Vec::new(), Vec::new());
    for mut one in due {
        if let State::Waiting { until_us } = one.state
            && until_us <= now_us
        {
            one.state = one.state.apply(&Command::Wake, now_us).unwrap_or(State::Open);
            happened.push((save.len(), Happened::Woken));
        }
        if one.due_at_us <= now_us && one.escalated_at_us.is_none() && one.state.is_active() {
            one.escalated_at_us = Some(now_us);
            happened.push((save.len(), Happened::Escalated));
        }
        save.push(one);
    }
    stored::save(tx, &save).await?;
    for (at, what) in happened {
        tell(tx, &save[at], what, now).await?;
    }
    Ok(save.len())
}

/// The audit event and, for those outside, the webhook: in the transaction of the change.
async fn tell(tx: &mut TenantTx, one: &Stored, what: Happened, now: Timestamp) -> sqlx::Result<()> {
    let actor = worker();
    let event = Event {
        actor: &actor,
        action: what.action(),
        resource: format!("exception:{}", one.id),
        state_sha256: Some(one.digest()),
        details: json!({ "kind": one.kind, "record": one.record_id, "facts_sha256": one.facts_digest() }),
    };
    audit::append(tx, event, now).await?;
    metrics::counter!("countersign_exceptions_total", "what" => what.action().as_str()).increment(1);
    if let Some(event) = what.event() {
        webhook::enqueue(tx, event, webhook_data(one), now).await?;
    }
    Ok(())
}

/// What leaves: ids, kinds and amounts. No names, no addresses, no text of records.
pub(super) fn webhook_data(one: &Stored) -> serde_json::Value {
    json!({
        "exception_id": one.id,
        "kind": one.kind,
        "domain": one.domain,
        "severity": one.severity,
        "state": one.state.name(),
        "record": { "record_id": one.record_id, "kind": one.subject_kind, "external_id": one.subject_external_id },
        "at_stake": one.at_stake,
        "due_at_us": one.due_at_us,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_for_those_who_may_see_all_of_it() {
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let (all, some, other) = (names(&["everyone"]), names(&["admin", "agent"]), names(&["admin", "approver"]));
        assert_eq!(common_audience(std::slice::from_ref(&all)), all);
        assert_eq!(common_audience(&[all.clone(), some.clone()]), some);
        assert_eq!(common_audience(&[all, some.clone(), other]), ["admin"]);
        assert_eq!(common_audience(&[some, names(&["auditor"])]), ["nobody"]);
    }
}
