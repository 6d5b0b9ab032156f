//! What an exception, or a group of them, comes to: what happened, why it is one, what the policy says, how similar cases ended, what could
//! be done. Extractive: fields and sentences verbatim, with the place each stands at; complete without a model.

use ingest::{Record, RecordKind, schema};
use jiff::civil::Date;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Row};
use utoipa::ToSchema;

use super::finding::{Fact, kind_label};
use super::lifecycle::State;
use super::list::{Filter, Group, groups, list};
use super::stored::{COLUMNS, Stored, read};
use super::{DetectError, Kind, Sort, project, settings_store};
use crate::access::Principal;
use crate::answer::{UnitKind, shown, stem_set, units};
use crate::config::RetrieveConfig;
use crate::document::{self, visible_to};
use crate::ids::RecordId;
use crate::index::Index;
use crate::record;
use crate::retrieve::{self, Query, RetrieveError};
use crate::store::{Store, TenantTx};

/// Sentences quoted of policies, steps of a runbook, similar cases, members of a group.
const QUOTES_MAX: usize = 4;
const STEPS_MAX: usize = 12;
const SIMILAR_MAX: i64 = 3;
const MEMBERS_MAX: i64 = 20;

/// A sentence about the case and where what it says stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Statement {
    pub text: String,
    /// Absent for a computed value.
    pub citation: Option<Place>,
}

/// Bytes `start..end` of that version of that document; `quote` are those bytes.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Place {
    pub document_id: String,
    pub version: i64,
    pub start: usize,
    pub end: usize,
    pub quote: String,
    pub title: String,
    /// The record and field, when the document is a record's card.
    pub record_id: Option<String>,
    pub field: Option<String>,
    /// Of a policy: from when and until when it holds.
    pub policy_id: Option<String>,
    pub effective_from: Option<String>,
    pub effective_to: Option<String>,
}

/// How another case of the kind ended.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Similar {
    pub exception_id: String,
    pub subject: String,
    pub state: String,
    /// Same supplier, carrier, product or customer.
    pub same_cause: bool,
    pub reason: Option<String>,
    pub open_hours: i64,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Summary {
    pub title: String,
    pub what_happened: Vec<Statement>,
    /// The rule with the limit in force.
    pub why: String,
    /// The day whose policies are quoted.
    pub policy_day: String,
    pub policy: Vec<Place>,
    pub similar: Vec<Similar>,
    pub options: Vec<String>,
    /// Steps of the runbook about it.
    pub steps: Vec<Place>,
    /// Members, for a group.
    pub members: Vec<String>,
    /// `extractive`: nothing here was worded by a model.
    pub rung: &'static str,
}

/// What a summary is made with.
pub struct Sources<'a> {
    pub store: &'a Store,
    pub index: &'a Index,
    pub config: &'a RetrieveConfig,
    pub caller: &'a Principal,
    pub today: Date,
}

impl From<RetrieveError> for DetectError {
    fn from(error: RetrieveError) -> Self {
        match error {
            RetrieveError::Db(cause) => Self::Db(cause),
        }
    }
}

/// Title, rule, topic and options of a kind, built in or a tenant's own.
struct About {
    title: String,
    rule: String,
    topic: String,
    options: Vec<String>,
}

async fn about(tx: &mut TenantTx, kind: &str) -> sqlx::Result<About> {
    let (_, settings) = settings_store::current(tx).await?;
    if let Some(kind) = Kind::parse(kind) {
        let spec = kind.spec();
        return Ok(About {
            title: spec.title.to_owned(),
            rule: spec.rule.replace("{limit}", &settings.limits.words(kind).unwrap_or_default()),
            topic: spec.topic.to_owned(),
            options: spec.options.iter().map(ToString::to_string).collect(),
        });
    }
    let rule = settings.rules.into_iter().find(|rule| rule.kind() == kind);
    let (title, expression) = rule.map_or((kind.to_owned(), String::new()), |rule| (rule.title, rule.expression));
    Ok(About { topic: title.clone(), title, rule: format!("Own rule: {expression}"), options: Vec::new() })
}

/// The summary of one exception.
pub async fn of_exception(sources: &Sources<'_>, one: &Stored) -> Result<Summary, DetectError> {
    let costs = sources.caller.roles.iter().any(|role| role.sees_costs());
    let mut tx = sources.store.begin_read(sources.caller.tenant).await?;
    let about = about(&mut tx, &one.kind).await?;
    let what_happened = statements(&mut tx, sources.caller, one, costs).await?;
    let similar = similar(&mut tx, sources.caller, one).await?;
    let day = policy_day(&mut tx, sources, one).await?;
    drop(tx);
    let policy = quotes(sources, &about, "policy", day).await?;
    let steps = quotes(sources, &about, "runbook", day).await?;
    Ok(Summary {
        title: format!("{}: {} {}", about.title, one.subject_kind.replace('_', " "), one.subject_external_id),
        what_happened,
        why: about.rule,
        policy_day: day.to_string(),
        policy,
        similar,
        options: about.options,
        steps,
        members: Vec::new(),
        rung: "extractive",
    })
}

/// The summary of the active exceptions of a group.
pub async fn of_group(sources: &Sources<'_>, group_id: &str) -> Result<Summary, DetectError> {
    let costs = sources.caller.roles.iter().any(|role| role.sees_costs());
    let filter = Filter { group_id: Some(group_id.to_owned()), ..Filter::default() };
    let mut tx = sources.store.begin_read(sources.caller.tenant).await?;
    let group = groups(&mut tx, sources.caller, &filter, 1).await?.into_iter().next().ok_or(DetectError::NotFound)?;
    let (members, _) = list(&mut tx, sources.caller, &filter, Sort::Priority, None, MEMBERS_MAX).await?;
    let first = members.first().ok_or(DetectError::NotFound)?;
    let about = about(&mut tx, &group.kind).await?;
    let mut what_happened = vec![Statement { text: in_one_sentence(&about, &group), citation: None }];
    for member in &members {
        what_happened.extend(statements(&mut tx, sources.caller, member, costs).await?.into_iter().take(1));
    }
    let similar = similar(&mut tx, sources.caller, first).await?;
    let day = policy_day(&mut tx, sources, first).await?;
    drop(tx);
    let policy = quotes(sources, &about, "policy", day).await?;
    let steps = quotes(sources, &about, "runbook", day).await?;
    Ok(Summary {
        title: format!("{}: {} {}", about.title, group.cause.what, group.cause.id),
        what_happened,
        why: about.rule,
        policy_day: day.to_string(),
        policy,
        similar,
        options: about.options,
        steps,
        members: members.iter().map(|member| member.id.to_string()).collect(),
        rung: "extractive",
    })
}

fn in_one_sentence(about: &About, group: &Group) -> String {
    let stake: Vec<String> = group.at_stake.iter().map(ToString::to_string).collect();
    let stake = if stake.is_empty() { String::new() } else { format!(", {} at stake", stake.join(" and ")) };
    format!(
        "{} cases of \"{}\" have the {} {} in common{stake}.",
        group.count, about.title, group.cause.what, group.cause.id
    )
}

/// One sentence per fact, with the place of the field on the record's card.
async fn statements(
    tx: &mut TenantTx,
    caller: &Principal,
    one: &Stored,
    costs: bool,
) -> Result<Vec<Statement>, DetectError> {
    let mut all = Vec::new();
    for fact in &one.facts {
        let involved = one
            .involved
            .iter()
            .find(|record| record.kind == fact.record_kind && record.external_id == fact.external_id);
        let citation = match involved.and_then(|record| record.record_id.parse::<RecordId>().ok()) {
            Some(id) => place_of(tx, caller, id, fact).await?,
            None => None,
        };
        all.push(Statement { text: sentence(fact, costs), citation });
    }
    if let Some(stake) = one.at_stake {
        all.push(Statement { text: format!("{stake} is at stake."), citation: None });
    }
    Ok(all)
}

/// "Order SO-1042: Held since is 2026-03-01; the limit is 4 days."
fn sentence(fact: &Fact, costs: bool) -> String {
    let kind: Option<RecordKind> = fact.record_kind.parse().ok();
    let label = kind.and_then(|kind| schema(kind).by_path(&fact.field)).map(|spec| spec.label);
    let line = fact.field.strip_prefix("lines.").and_then(|rest| rest.split_once('.')?.0.parse::<usize>().ok());
    let line = line.map(|at| format!(" of line {}", at + 1)).unwrap_or_default();
    let label = label.map_or_else(|| fact.field.replace('_', " "), str::to_owned);
    let subject = kind.map(kind_label).unwrap_or_default();
    let value = if fact.value.is_empty() { "empty" } else { &fact.value };
    let limit = if fact.cost && !costs { "not shown to your role" } else { &fact.limit };
    let limit = if limit.is_empty() { String::new() } else { format!("; the limit is {limit}") };
    format!("{subject} {}: {label}{line} is {value}{limit}.", fact.external_id)
}

async fn place_of(tx: &mut TenantTx, caller: &Principal, id: RecordId, fact: &Fact) -> sqlx::Result<Option<Place>> {
    for card in document::cards_of(tx, id, &caller.audiences()).await? {
        let Some(span) = card.spans.iter().find(|span| span.path == fact.field) else { continue };
        let Some(quote) = card.text.get(span.start..span.end) else { continue };
        return Ok(Some(Place {
            document_id: card.document_id,
            version: card.version,
            start: span.start,
            end: span.end,
            quote: quote.to_owned(),
            title: card.title,
            record_id: Some(id.to_string()),
            field: Some(fact.field.clone()),
            policy_id: None,
            effective_from: None,
            effective_to: None,
        }));
    }
    Ok(None)
}

/// The day that matters: of the order where there is one, else the record's own, else when it opened.
async fn policy_day(tx: &mut TenantTx, sources: &Sources<'_>, one: &Stored) -> Result<Date, DetectError> {
    let (_, settings) = settings_store::current(tx).await?;
    let zone = settings.calendar();
    let audiences = sources.caller.audiences();
    let mut days: Vec<Date> = Vec::new();
    if let Some(found) = find(tx, &one.record_id, &audiences).await? {
        if let Some(number) = found.text("order_number") {
            let orders = record::find(tx, "order", number, &audiences).await?;
            days.extend(orders.iter().filter_map(|order| project::own_day(&order.record, &zone)));
        }
        days.extend(project::own_day(&found, &zone));
    }
    Ok(days.first().copied().unwrap_or_else(|| zone.day(crate::clock::from_us(one.opened_at_us))).min(sources.today))
}

async fn find(tx: &mut TenantTx, record_id: &str, audiences: &[String]) -> sqlx::Result<Option<Record>> {
    let Ok(id) = record_id.parse::<RecordId>() else { return Ok(None) };
    Ok(record::get(tx, id, audiences).await?.map(|found| found.record))
}

/// Sentences of policies, or steps of a runbook, that are about it; verbatim, from what holds on `day`.
async fn quotes(sources: &Sources<'_>, about: &About, kind: &str, day: Date) -> Result<Vec<Place>, DetectError> {
    let steps = kind == "runbook";
    // Runbooks are instructions of today.
    let on = if steps { sources.today } else { day };
    let query = Query {
        text: format!("{} {}", about.title, about.topic),
        kinds: Some(vec![kind.to_owned()]),
        sources: None,
        on: Some(on),
        limit: 8,
        ..Query::default()
    };
    let found = retrieve::search(sources.store, sources.index, sources.config, sources.caller, &query).await?;
    let wanted = stem_set(&format!("{} {} {}", about.title, about.topic, about.rule));
    let Some(best) = found.hits.first().map(|hit| hit.passage.document_id.clone()) else { return Ok(Vec::new()) };
    let mut ranked: Vec<(usize, usize, Place)> = Vec::new();
    for (rank, hit) in found.hits.iter().enumerate() {
        let passage = &hit.passage;
        if steps && passage.document_id != best {
            continue;
        }
        for unit in units(&passage.text) {
            let text = &passage.text[unit.span.clone()];
            let overlap = stem_set(text).intersection(&wanted).count();
            let fits = if steps { unit.kind == UnitKind::Step } else { overlap >= 2 && unit.kind != UnitKind::Row };
            if !fits {
                continue;
            }
            let start = usize::try_from(passage.start).unwrap_or(0);
            let place = Place {
                document_id: passage.document_id.clone(),
                version: passage.version,
                start: start + unit.span.start,
                end: start + unit.span.end,
                quote: text.to_owned(),
                title: passage.title.clone(),
                record_id: None,
                field: None,
                policy_id: passage.policy_id.clone(),
                effective_from: passage.effective_from.clone(),
                effective_to: passage.effective_to.clone(),
            };
            ranked.push((overlap, rank, place));
        }
    }
    if steps {
        ranked.sort_by_key(|(_, _, place)| place.start);
        ranked.dedup_by(|a, b| a.2.start == b.2.start);
        ranked.truncate(STEPS_MAX);
    } else {
        ranked.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        ranked.truncate(QUOTES_MAX);
    }
    Ok(ranked.into_iter().map(|(_, _, place)| place).collect())
}

/// The cases of the kind that were settled last, those of the same cause first.
async fn similar(tx: &mut TenantTx, caller: &Principal, one: &Stored) -> sqlx::Result<Vec<Similar>> {
    let statement = format!(
        "SELECT {COLUMNS} FROM exception e WHERE e.tenant_id = $1 AND e.kind = $2 AND e.exception_id <> $3 \
         AND e.state IN ('resolved', 'dismissed') \
         ORDER BY CASE WHEN e.group_id = $4 THEN 0 ELSE 1 END, e.last_seen_us DESC, e.exception_id LIMIT $5"
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .bind(tx.tenant_text())
        .bind(one.kind.clone())
        .bind(one.id.to_string())
        .bind(one.group_id.clone().unwrap_or_default())
        .bind(SIMILAR_MAX * 4)
        .fetch_all(tx.conn())
        .await?;
    let mut all = Vec::new();
    for row in &rows {
        let audience: String = row.try_get(14)?;
        let other = read(row)?;
        if !visible_to(&audience, &caller.audiences()) {
            continue;
        }
        let (reason, ended_us) = match &other.state {
            State::Dismissed { text, at_us, .. } => (Some(shown(text)), *at_us),
            State::Resolved { at_us } => (None, *at_us),
            State::Open | State::Waiting { .. } | State::Drafted { .. } | State::InReview { .. } => continue,
        };
        all.push(Similar {
            exception_id: other.id.to_string(),
            subject: format!("{} {}", other.subject_kind.replace('_', " "), other.subject_external_id),
            state: other.state.name().to_owned(),
            same_cause: one.group_id.is_some() && other.group_id == one.group_id,
            reason,
            open_hours: (ended_us - other.opened_at_us) / 3_600_000_000,
        });
        if all.len() >= SIMILAR_MAX as usize {
            break;
        }
    }
    Ok(all)
}
