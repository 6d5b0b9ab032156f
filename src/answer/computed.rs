//! Claims over computed numbers: what was counted, under which conditions, as of which day; each checked by deriving it again.

use std::collections::BTreeMap;

use ingest::{FieldType, RecordKind, schema};
use serde::Serialize;
use utoipa::ToSchema;

use super::evidence::{Cite, Claimed, Evidence};
use crate::access::Principal;
use crate::compute::lexicon::profile;
use crate::compute::plan::Entity;
use crate::compute::query::{Aggregate, Checked, Filter, Measure, Op};
use crate::compute::{Computation, Figure, PlannedBy, Query, RowRef};
use crate::document;
use crate::record::layout::layout;
use crate::store::TenantTx;

/// Records cited for one number.
const CITED: usize = 5;
/// Rows that a list states one by one.
const LISTED: usize = 20;

/// A number of the answer with everything needed to check it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Computed {
    /// Positions in `claims`.
    pub claims: Vec<usize>,
    /// The typed query; `POST /v1/queries` with it returns the same numbers and pages through the rows.
    pub query: Query,
    pub as_of: String,
    pub total: i64,
    pub figures: Vec<Vec<Figure>>,
    pub groups: Vec<crate::compute::GroupFigures>,
    /// The first records behind it.
    pub rows: Vec<RowRef>,
    pub planned_by: PlannedBy,
    /// Records from which the numbers were derived a second time, without SQL, and whether these were all.
    pub rederived_rows: usize,
    pub rederived_all: bool,
}

/// What a computation says: claims whose numbers were derived twice.
pub(super) struct Stated {
    pub claims: Vec<Claimed>,
    pub computed: Computed,
}

/// Words a computation; adds the cards of the records it cites to the evidence. `None`: the second derivation disagrees.
pub(super) async fn state(
    tx: &mut TenantTx,
    caller: &Principal,
    computation: Computation,
    evidence: &mut Vec<Evidence>,
) -> sqlx::Result<Option<Stated>> {
    if !computation.rederived.agrees {
        tracing::warn!("a computed number was not found again in its records; it is not stated");
        return Ok(None);
    }
    let wanted = if computation.plan.list { LISTED } else { CITED };
    let mut cards: BTreeMap<String, usize> = BTreeMap::new();
    let ids: Vec<String> = computation.result.rows.iter().take(wanted).map(|row| row.record_id.clone()).collect();
    for found in crate::record::many(tx, &ids, &caller.audiences()).await? {
        for card in document::cards_of(tx, found.id, &caller.audiences()).await? {
            // The main card comes last in no list: the first one is kept when it has the fields.
            cards.entry(found.id.to_string()).or_insert(evidence.len());
            evidence.push(Evidence::of_card(&found, card));
        }
    }
    let claims = wording(&computation, evidence, &cards);
    let rederived = computation.rederived;
    let result = computation.result;
    Ok(Some(Stated {
        computed: Computed {
            claims: Vec::new(),
            query: result.query,
            as_of: result.as_of,
            total: result.total,
            figures: result.figures,
            groups: result.groups,
            rows: result.rows,
            planned_by: computation.planned_by,
            rederived_rows: rederived.rows,
            rederived_all: rederived.all,
        },
        claims,
    }))
}

fn wording(computation: &Computation, evidence: &[Evidence], cards: &BTreeMap<String, usize>) -> Vec<Claimed> {
    let (result, checked) = (&computation.result, &computation.checked);
    let plural = profile(checked.query.kind).plural;
    let conditions = conditions(&checked.query, &computation.entities, checked);
    let what = if conditions.is_empty() { plural.to_owned() } else { format!("{plural} with {conditions}") };
    let as_of = &result.as_of;
    let fields = read_fields(checked);
    let cites: Vec<Cite> = result
        .rows
        .iter()
        .take(CITED)
        .flat_map(|row| cards.get(&row.record_id).map(|card| cites_of(evidence, *card, &fields)).unwrap_or_default())
        .collect();
    let mut claims = Vec::new();
    let counted = format!("{} {what}, as of {as_of}.", result.total);
    if checked.grouping.is_some() {
        claims.push(Claimed { text: format!("Out of {counted}"), cites: cites.clone() });
        for group in &result.groups {
            let name = match (&group.key, &group.label) {
                (Some(key), Some(label)) => format!("{label} ({key})"),
                (Some(key), None) => key.clone(),
                (None, _) => "without a value".to_owned(),
            };
            let numbers: Vec<String> = checked
                .query
                .measures
                .iter()
                .chain(checked.query.measures.is_empty().then_some(&COUNT))
                .zip(&group.figures)
                .map(|(measure, figures)| measured(checked, measure, figures, plural))
                .collect();
            claims.push(Claimed { text: format!("{name}: {}.", numbers.join("; ")), cites: cites.clone() });
        }
        return claims;
    }
    for (position, measure) in
        checked.query.measures.iter().chain(checked.query.measures.is_empty().then_some(&COUNT)).enumerate()
    {
        let figures = &result.figures[position];
        let text = match measure.measure {
            Aggregate::Count => counted.clone(),
            _ => format!(
                "{} of {} {what}, as of {as_of}.",
                capital(&measured(checked, measure, figures, plural)),
                result.total
            ),
        };
        claims.push(Claimed { text, cites: cites.clone() });
    }
    if computation.plan.list {
        let most = computation.plan.top.map_or(LISTED, |top| top as usize);
        if computation.plan.top.is_some() {
            claims.clear();
        }
        for row in result.rows.iter().take(most) {
            let Some(card) = cards.get(&row.record_id) else { continue };
            claims.push(row_claim(computation, row, evidence, *card));
        }
        let shown = result.rows.len().min(most);
        if computation.plan.top.is_none() && (shown as i64) < result.total {
            claims.push(Claimed { text: format!("{} more are not listed here.", result.total - shown as i64), cites });
        }
    }
    claims
}

static COUNT: Measure = Measure { measure: Aggregate::Count, field: None, since: None };

/// One record of a list with the fields that say why it is on it, and what it is worth.
fn row_claim(computation: &Computation, row: &RowRef, evidence: &[Evidence], card: usize) -> Claimed {
    let checked = &computation.checked;
    let mut fields = read_fields(checked);
    let profile = profile(checked.query.kind);
    for extra in ["status", profile.value, profile.day] {
        if !extra.is_empty() && !fields.iter().any(|field| field == extra) {
            fields.push(extra.to_owned());
        }
    }
    let one = &evidence[card];
    let shown: Vec<String> = one
        .spans
        .iter()
        .filter(|span| fields.contains(&span.path))
        .map(|span| one.text[span.start..span.end].to_owned())
        .collect();
    let via: Vec<String> = row
        .fields
        .iter()
        .filter(|(name, _)| name.contains('.') && !name.starts_with("lines."))
        .map(|(name, value)| format!("{}: {}", label(checked.query.kind, name), value.as_str().unwrap_or_default()))
        .collect();
    let age = age_of(computation, one).map(|days| format!("{days} days")).into_iter();
    let said: Vec<String> = shown.into_iter().chain(via).chain(age).collect();
    let text = format!("{}: {}.", row.title, said.join("; "));
    let mut cites = cites_of(evidence, card, &fields);
    if cites.is_empty() {
        cites = vec![Cite { evidence: card, span: 0..one.title.len().min(one.text.len()), field: None }];
    }
    Claimed { text: ingest::text::visible_marks(&text).into_owned(), cites }
}

/// Days from the field the list is ordered by to today, when it is a day: the age that was asked for.
fn age_of(computation: &Computation, card: &Evidence) -> Option<i64> {
    let (place, descending) = computation.checked.order?;
    let column = place.column;
    let dated = matches!(column.spec.kind, FieldType::Date | FieldType::Moment);
    if !dated || descending || place.via.is_some() {
        return None;
    }
    let span = card.spans.iter().find(|span| span.path == column.spec.name)?;
    let day: jiff::civil::Date = card.text.get(span.value_start..span.value_end)?.get(..10)?.parse().ok()?;
    Some(computation.checked.today - document::day_number(day))
}

/// Fields of the record itself that the query reads.
fn read_fields(checked: &Checked) -> Vec<String> {
    let mut fields = Vec::new();
    for place in checked.places() {
        let name = match place.via {
            None => place.column.name(),
            Some((link, _)) => link.name(),
        };
        if !fields.contains(&name) {
            fields.push(name);
        }
    }
    fields
}

fn cites_of(evidence: &[Evidence], card: usize, fields: &[String]) -> Vec<Cite> {
    let one = &evidence[card];
    let wanted = |path: &str| {
        fields.iter().any(|field| match field.strip_prefix("lines.") {
            Some(field) => path.starts_with("lines.") && path.ends_with(&format!(".{field}")),
            None => path == field,
        })
    };
    let cites: Vec<Cite> = one
        .spans
        .iter()
        .filter(|span| wanted(&span.path))
        .take(4)
        .map(|span| Cite { evidence: card, span: span.start..span.end, field: Some(span.path.clone()) })
        .collect();
    if cites.is_empty() {
        vec![Cite { evidence: card, span: 0..one.title.len().min(one.text.len()), field: None }]
    } else {
        cites
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// "sum of Total 12.00 EUR", "14 orders".
fn measured(checked: &Checked, measure: &Measure, figures: &[Figure], plural: &str) -> String {
    let days = measure.since.is_some();
    let values: Vec<String> = figures
        .iter()
        .filter_map(|figure| {
            let value = figure.value.as_ref()?;
            Some(match &figure.currency {
                Some(currency) => format!("{value} {currency}"),
                None if days => format!("{value} days"),
                None => value.clone(),
            })
        })
        .collect();
    let values = if values.is_empty() { "no value".to_owned() } else { values.join(" and ") };
    let kind = checked.query.kind;
    let of = match (&measure.field, &measure.since) {
        (Some(to), Some(since)) => format!("days from {} to {}", label(kind, since), label(kind, to)),
        (None, Some(since)) => format!("days since {}", label(kind, since)),
        (Some(field), None) => label(kind, field),
        (None, None) => String::new(),
    };
    match measure.measure {
        Aggregate::Count => format!("{values} {plural}"),
        Aggregate::Sum => format!("sum of {of}: {values}"),
        Aggregate::Average => format!("average of {of}: {values}"),
        Aggregate::Min => format!("lowest {of}: {values}"),
        Aggregate::Max => format!("highest {of}: {values}"),
    }
}

/// The label of a field path, for people: "Customer's Group", "Back-ordered (all lines)".
fn label(kind: RecordKind, path: &str) -> String {
    if let Some((link, field)) = path.split_once('.').filter(|(link, _)| *link != "lines") {
        let target = layout(kind).column(link).and_then(|column| column.spec.link);
        let own = layout(kind).column(link).map_or(link, |column| column.spec.label);
        return match target {
            Some(target) => format!("{own}'s {}", label(target, field)),
            None => path.to_owned(),
        };
    }
    match layout(kind).column(path) {
        Some(column) if column.of_lines => format!("{} (all lines)", column.spec.label),
        Some(column) => column.spec.label.to_owned(),
        None => path.to_owned(),
    }
}

/// The conditions of a query in words, joined.
fn conditions(query: &Query, entities: &[Entity], checked: &Checked) -> String {
    let said: Vec<String> =
        query.filters.iter().map(|filter| condition(query.kind, filter, entities, checked)).collect();
    said.join(", ")
}

fn condition(kind: RecordKind, filter: &Filter, entities: &[Entity], checked: &Checked) -> String {
    let named = entities.iter().find(|entity| entity.ids == filter.values).map(|entity| entity.shown.clone());
    let today = document::day_of(checked.today).map(|day| day.to_string()).unwrap_or_default();
    let values: Vec<String> = filter
        .values
        .iter()
        .map(|value| if value == "today" { today.clone() } else { value.replace('_', " ") })
        .collect();
    let values = named.unwrap_or_else(|| values.join(" or "));
    match filter.op {
        Op::ReferredBy | Op::NotReferredBy => {
            let other = filter.field.parse::<RecordKind>().map_or(filter.field.as_str(), |kind| schema(kind).label);
            let with = if filter.op == Op::ReferredBy { "at least one" } else { "no" };
            return format!("{with} {other}");
        }
        Op::RefersTo => {
            let other = filter.field.parse::<RecordKind>().map_or(filter.field.as_str(), |kind| schema(kind).label);
            return format!("{other} {values}");
        }
        _ => {}
    }
    let field = label(kind, &filter.field);
    let dated = layout(kind)
        .column(&filter.field)
        .is_some_and(|column| matches!(column.spec.kind, FieldType::Date | FieldType::Moment));
    let right = filter.than.as_ref().map_or(values, |than| label(kind, than));
    match filter.op {
        Op::Eq => format!("{field} {right}"),
        Op::Ne => format!("{field} not {right}"),
        Op::Lt if dated => format!("{field} before {right}"),
        Op::Gt if dated => format!("{field} after {right}"),
        Op::Le if dated => format!("{field} up to {right}"),
        Op::Ge if dated => format!("{field} from {right}"),
        Op::Lt => format!("{field} below {right}"),
        Op::Le => format!("{field} at most {right}"),
        Op::Gt => format!("{field} above {right}"),
        Op::Ge => format!("{field} at least {right}"),
        Op::Present => format!("{field} on record"),
        Op::Missing => format!("no {field} on record"),
        Op::ReferredBy | Op::NotReferredBy | Op::RefersTo => String::new(),
    }
}
