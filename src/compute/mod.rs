//! Numbers over records: a question becomes a typed query, SQL computes it, and the records behind it prove it. After `retrieve`, before
//! `answer`, which words the outcome.
//!
//! Rules (`plan`) read the question with words of the schema, of English business (`lexicon`, `concepts`) and of the tenant's own data
//! (`vocabulary`). Where they understand it all, no model is asked; where they do not, a configured model may fill the same typed query
//! (`model`), and code checks it like anybody's. Nothing that a question or a model says reaches SQL: names are looked up in the schema,
//! values are bound.

pub mod concepts;
pub mod dates;
mod evaluate;
pub mod lexicon;
mod model;
pub mod plan;
pub mod query;
mod run;
mod sql;
pub mod tokens;
pub mod vocabulary;

pub use query::{Checked, Query, QueryError};
pub use run::{Figure, GroupFigures, QueryResult, Rederived, RowRef, rederive, run};

use ingest::RecordKind;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Principal;
use crate::llm::ChatModel;
use crate::record;
use crate::retrieve::Identified;
use crate::store::{Store, TenantTx};

use self::plan::{Entity, Plan, Reading};

/// Rows that stand with an answer; the rest is paged through with the query.
pub const ROWS: i64 = 20;

/// Who filled in the typed query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlannedBy {
    Rules,
    Model,
}

/// A computed outcome.
#[derive(Debug, Clone)]
pub struct Computation {
    pub plan: Plan,
    pub checked: Checked,
    pub result: QueryResult,
    pub rederived: Rederived,
    pub planned_by: PlannedBy,
    /// Records that the question named as conditions, as the answer says them.
    pub entities: Vec<Entity>,
}

/// What became of a question.
#[derive(Debug)]
pub enum Outcome {
    /// It asks for nothing that is computed.
    None,
    /// `strong`: it can ask for nothing else, so that searching prose would answer another question.
    NotUnderstood {
        words: Vec<String>,
        kind: RecordKind,
        strong: bool,
    },
    Computed(Box<Computation>),
}

pub fn sees_costs(caller: &Principal) -> bool {
    caller.roles.iter().any(|role| role.sees_costs())
}

/// Reads a question as a query and runs it. `identified`: what the question names; a question about one record of the counted kind is none
/// for this stage.
pub async fn consider(
    store: &Store,
    llm: Option<&dyn ChatModel>,
    caller: &Principal,
    question: &str,
    identified: &[Identified],
    today: Date,
) -> sqlx::Result<Outcome> {
    let named: Vec<&Identified> = identified.iter().filter(|one| !one.records.is_empty()).collect();
    let text = with_marks(question, &named);
    let plain_words = tokens::corrected(tokens::words(&ingest::text::for_matching(&text)), &[]);
    let kinds: Vec<Vec<RecordKind>> = named.iter().map(|one| kinds_of(one)).collect();
    let Some(kind) = plan::outline(&plain_words, &kinds) else { return Ok(Outcome::None) };
    if kinds.iter().any(|kinds| kinds.first() == Some(&kind)) {
        return Ok(Outcome::None);
    }
    record::facts::ensure(store, caller.tenant).await?;
    let mut tx = store.begin_read(caller.tenant).await?;
    let related = vocabulary::related(kind);
    let names: Vec<&str> = related.iter().map(|kind| kind.as_str()).collect();
    let values = vocabulary::values(&mut tx, &names).await?;
    let mut known: Vec<String> = values.iter().flat_map(|value| value_words(&value.value)).collect();
    for column in &record::layout::layout(kind).columns {
        let names = [column.spec.label.to_lowercase(), column.spec.name.replace('_', " ")];
        known.extend(names.iter().flat_map(|name| name.split(' ').map(str::to_owned)));
    }
    known.sort();
    known.dedup();
    let mut words = tokens::corrected(tokens::words(&ingest::text::for_matching(&text)), &known);
    let mut entities: Vec<Entity> = named.iter().map(|one| entity(one, kind)).collect();
    name_entities(&mut tx, caller, &mut words, &mut entities, &known).await?;
    let (plan, planned_by) = match plan::read(&words, &entities, kind, &values, today) {
        Reading::Other => return Ok(Outcome::None),
        Reading::Plan(plan) => (plan, PlannedBy::Rules),
        Reading::NotUnderstood { words, kind, strong } => {
            let asked = match llm {
                Some(model) => model::ask(model, question, kind, &values, &entities, sees_costs(caller), today).await,
                None => None,
            };
            match asked {
                Some(query) => (
                    Plan { list: query.group_by.is_none() && query.measures.is_empty(), top: query.limit, query },
                    PlannedBy::Model,
                ),
                None => return Ok(Outcome::NotUnderstood { words, kind, strong }),
            }
        }
    };
    let Ok(checked) = plan.query.check(sees_costs(caller), today) else { return Ok(Outcome::None) };
    let audiences = caller.audiences();
    let result = run(&mut tx, &checked, &audiences, ROWS, 0).await?;
    let rederived = rederive(&mut tx, &checked, &audiences, &result).await?;
    let computation = Computation { plan, checked, result, rederived, planned_by, entities };
    Ok(Outcome::Computed(Box::new(computation)))
}

/// The question with `§n` in the place of the n-th thing it names.
fn with_marks(question: &str, named: &[&Identified]) -> String {
    let mut text = question.to_owned();
    for (position, one) in named.iter().enumerate().rev() {
        text.replace_range(one.range.clone(), &format!(" §{position} "));
    }
    text
}

fn kinds_of(one: &Identified) -> Vec<RecordKind> {
    one.records.iter().map(|found| found.record.kind).collect()
}

/// What a mention means as a condition on records of `kind`: of all records under that identifier the best reading's kind.
fn entity(one: &Identified, kind: RecordKind) -> Entity {
    let linked = |target: RecordKind| vocabulary::related(kind).contains(&target);
    let best = one
        .records
        .iter()
        .find(|found| linked(found.record.kind) && found.record.kind != kind)
        .or(one.records.first())
        .map(|found| found.record.kind)
        .unwrap_or(kind);
    let own: Vec<_> = one.records.iter().filter(|found| found.record.kind == best).collect();
    let shown = match own.first() {
        Some(found) if found.record.text("name").is_some() => {
            format!("{} ({})", found.record.text("name").unwrap_or_default(), found.record.external_id)
        }
        _ => one.shown.clone(),
    };
    Entity { kind: best, ids: own.iter().map(|found| found.record.external_id.clone()).collect(), shown }
}

fn value_words(value: &str) -> Vec<String> {
    plan::plain(value).split(' ').filter(|word| word.len() >= 4).map(str::to_owned).collect()
}

/// Replaces the names of customers, suppliers and products in `words` by marks of further entities.
async fn name_entities(
    tx: &mut TenantTx,
    caller: &Principal,
    words: &mut Vec<String>,
    entities: &mut Vec<Entity>,
    known: &[String],
) -> sqlx::Result<()> {
    let named = vocabulary::names(tx, words, &caller.audiences()).await?;
    let mut places: Vec<(Vec<usize>, Entity)> = Vec::new();
    for one in named {
        // A word that means something by itself, alone, is no name.
        let alone = match one.words[..] {
            [at] => tokens::is_lexical(&words[at]) || known.contains(&words[at]),
            _ => one.words.iter().all(|at| tokens::is_lexical(&words[*at])),
        };
        if alone {
            continue;
        }
        let name = one.found.record.text("name").unwrap_or_default();
        let id = one.found.record.external_id.clone();
        match places.iter_mut().find(|(at, _)| *at == one.words) {
            Some((_, entity)) if entity.kind == one.found.record.kind && !entity.ids.contains(&id) => {
                entity.shown = format!("{name} ({}, {id})", entity.ids.join(", "));
                entity.ids.push(id);
            }
            // The words name something of another kind already.
            Some(_) => {}
            None => {
                let shown = format!("{name} ({id})");
                places.push((one.words.clone(), Entity { kind: one.found.record.kind, ids: vec![id], shown }));
            }
        }
    }
    places.sort_by_key(|(at, _)| std::cmp::Reverse(at.first().copied()));
    for (at, entity) in places {
        let (Some(first), Some(last)) = (at.first(), at.last()) else { continue };
        let mark = format!("§{}", entities.len());
        entities.push(entity);
        // Legal forms behind a name ("GmbH", "Ltd") belong to it.
        let mut end = last + 1;
        while words.get(end).is_some_and(|word| {
            vocabulary::LEGAL.contains(&word.as_str()) && word.len() > 2 && word != "the" && word != "and"
        }) {
            end += 1;
        }
        words.splice(*first..end, [mark]);
    }
    Ok(())
}
