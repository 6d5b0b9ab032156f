//! The typed query: the only thing that is ever turned into SQL. Kinds, fields and operators come from the schema; whatever a question, a
//! client or a model says is either one of them or a value that is bound.

use ingest::{Currency, Decimal, FieldType, RecordKind};
use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::document::day_number;
use crate::record::layout::{Column, Slot, layout};

/// Bounds of one query.
const FILTERS_MAX: usize = 16;
const VALUES_MAX: usize = 200;
const MEASURES_MAX: usize = 4;
/// Groups or rows returned at most.
pub const LIMIT_MAX: u32 = 200;

/// A question about records of one kind, in types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// As `order`, `customer_invoice`.
    #[schema(value_type = String)]
    pub kind: RecordKind,
    /// All of them hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<Group>,
    /// What is computed; the first decides the order of groups. None: the number of records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<Measure>,
    /// Order of the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_by: Option<Order>,
    /// Groups returned, 1 to 200; absent: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One condition. `field` is a canonical field of the kind (`status`), the sum of a field over the lines (`lines.quantity`), or a field of
/// the record that a field refers to (`customer_id.group`). For `referred_by`, `not_referred_by` and `refers_to` it is a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    pub field: String,
    pub op: Op,
    /// For `eq` and `ne` any number of them; days as YYYY-MM-DD, `today` or `today-30d`; amounts as `1000` or `1000.00 EUR`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Another field to compare with, instead of values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub than: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// One of the values.
    Eq,
    /// None of the values, or no value at all.
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Present,
    Missing,
    /// A record of that kind refers to this one.
    ReferredBy,
    NotReferredBy,
    /// This record, or a line of it, refers to the record of that kind with one of these external ids.
    RefersTo,
}

/// What the records are grouped by: exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Of a day: by week (Monday), month, quarter or year; absent: by day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
    /// By the records of this kind that a record or its lines refer to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub linked: Option<RecordKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// A number over the records: of a field, or of days when `since` is given (from `since` to `field`, without `field` to today).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    pub measure: Aggregate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    Count,
    Sum,
    Average,
    Min,
    Max,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub field: String,
    #[serde(default)]
    pub descending: bool,
}

/// Why a query is not one: where in it, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct QueryError {
    /// As `filters.0.values`.
    pub place: String,
    pub reason: String,
}

/// A field as it is read: of the record, or of the record that `via` refers to.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub via: Option<(&'static Column, RecordKind)>,
    pub column: &'static Column,
}

#[derive(Debug, Clone)]
pub enum Operand {
    Nothing,
    Texts(Vec<String>),
    Days(Vec<i64>),
    /// Millionths.
    Numbers(Vec<i64>),
    /// Millionths, with the currency when one was said.
    Amounts(Vec<(i64, Option<Currency>)>),
    Place(Place),
}

#[derive(Debug, Clone)]
pub enum Condition {
    Compare { place: Place, op: Op, operand: Operand },
    Referred { kind: RecordKind, by: bool },
    RefersTo { kind: RecordKind, ids: Vec<String> },
}

#[derive(Debug, Clone, Copy)]
pub enum Quantity {
    Records,
    Field(Place),
    /// Days from the first to the second; to today without a second.
    Days(Place, Option<Place>),
}

#[derive(Debug, Clone, Copy)]
pub struct CheckedMeasure {
    pub aggregate: Aggregate,
    pub of: Quantity,
}

#[derive(Debug, Clone, Copy)]
pub enum Grouping {
    Text(Place),
    Day(Place, Each),
    Linked(RecordKind),
}

/// A query in which every name is known and every value has its type.
#[derive(Debug, Clone)]
pub struct Checked {
    pub query: Query,
    pub conditions: Vec<Condition>,
    pub grouping: Option<Grouping>,
    /// Never empty.
    pub measures: Vec<CheckedMeasure>,
    pub order: Option<(Place, bool)>,
    pub limit: u32,
    /// Days since 1970-01-01.
    pub today: i64,
    /// Whether a cost is read.
    pub costs: bool,
}

fn fault<T>(place: impl Into<String>, reason: impl Into<String>) -> Result<T, QueryError> {
    Err(QueryError { place: place.into(), reason: reason.into() })
}

impl Query {
    pub fn of(kind: RecordKind) -> Self {
        Self { kind, filters: Vec::new(), group_by: None, measures: Vec::new(), order_by: None, limit: None }
    }

    /// Reads names and values. `costs`: whether the caller may see them; to others cost fields do not exist.
    pub fn check(&self, costs: bool, today: Date) -> Result<Checked, QueryError> {
        if self.filters.len() > FILTERS_MAX || self.measures.len() > MEASURES_MAX {
            return fault("", format!("at most {FILTERS_MAX} filters and {MEASURES_MAX} measures"));
        }
        let limit = self.limit.unwrap_or(10);
        if limit == 0 || limit > LIMIT_MAX {
            return fault("limit", format!("is 1 to {LIMIT_MAX}"));
        }
        let reader = Reader { kind: self.kind, costs, today };
        let mut conditions = Vec::new();
        for (position, filter) in self.filters.iter().enumerate() {
            conditions.push(reader.condition(&format!("filters.{position}"), filter)?);
        }
        let mut measures = Vec::new();
        for (position, measure) in self.measures.iter().enumerate() {
            measures.push(reader.measure(&format!("measures.{position}"), measure)?);
        }
        if measures.is_empty() {
            measures.push(CheckedMeasure { aggregate: Aggregate::Count, of: Quantity::Records });
        }
        let grouping = self.group_by.as_ref().map(|group| reader.grouping(group)).transpose()?;
        let order = match &self.order_by {
            Some(order) => Some((reader.place("order_by.field", &order.field)?, order.descending)),
            None => None,
        };
        let mut checked = Checked {
            query: self.clone(),
            conditions,
            grouping,
            measures,
            order,
            limit,
            today: day_number(today),
            costs: false,
        };
        checked.costs = checked.places().iter().any(|place| place.column.is_cost());
        Ok(checked)
    }
}

impl Checked {
    /// Every field that is read.
    pub fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for condition in &self.conditions {
            if let Condition::Compare { place, operand, .. } = condition {
                places.push(*place);
                places.extend(if let Operand::Place(other) = operand { Some(*other) } else { None });
            }
        }
        for measure in &self.measures {
            match measure.of {
                Quantity::Records => {}
                Quantity::Field(place) => places.push(place),
                Quantity::Days(from, to) => places.extend([Some(from), to].into_iter().flatten()),
            }
        }
        match self.grouping {
            Some(Grouping::Text(place) | Grouping::Day(place, _)) => places.push(place),
            Some(Grouping::Linked(_)) | None => {}
        }
        places.extend(self.order.map(|(place, _)| place));
        places
    }
}

struct Reader {
    kind: RecordKind,
    costs: bool,
    today: Date,
}

impl Reader {
    fn column(&self, at: &str, kind: RecordKind, name: &str) -> Result<&'static Column, QueryError> {
        match layout(kind).column(name).filter(|column| self.costs || !column.is_cost()) {
            Some(column) => Ok(column),
            None => {
                let names: Vec<String> =
                    layout(kind).columns.iter().filter(|c| !c.is_cost()).map(Column::name).collect();
                let near = ingest::schema::nearest(name, names.iter().map(String::as_str));
                let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                fault(at, format!("is no field of {kind} that can be counted by{hint}"))
            }
        }
    }

    fn place(&self, at: &str, name: &str) -> Result<Place, QueryError> {
        if let Some((link, rest)) = name.split_once('.').filter(|(link, _)| *link != "lines") {
            let via = self.column(at, self.kind, link)?;
            let Some(target) = via.spec.link else { return fault(at, format!("{link} refers to no other record")) };
            return Ok(Place { via: Some((via, target)), column: self.column(at, target, rest)? });
        }
        Ok(Place { via: None, column: self.column(at, self.kind, name)? })
    }

    fn kind_named(at: &str, name: &str) -> Result<RecordKind, QueryError> {
        name.parse().or_else(|error: ingest::record::UnknownKind| fault(at, error.to_string()))
    }

    fn condition(&self, at: &str, filter: &Filter) -> Result<Condition, QueryError> {
        if filter.values.len() > VALUES_MAX || filter.values.iter().any(|value| value.len() > 400) {
            return fault(format!("{at}.values"), format!("at most {VALUES_MAX} values of 400 bytes"));
        }
        let field = format!("{at}.field");
        match filter.op {
            Op::ReferredBy | Op::NotReferredBy => {
                let kind = Self::kind_named(&field, &filter.field)?;
                return Ok(Condition::Referred { kind, by: filter.op == Op::ReferredBy });
            }
            Op::RefersTo => {
                let kind = Self::kind_named(&field, &filter.field)?;
                if filter.values.is_empty() {
                    return fault(format!("{at}.values"), "names no record");
                }
                return Ok(Condition::RefersTo { kind, ids: filter.values.clone() });
            }
            Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::Present | Op::Missing => {}
        }
        let place = self.place(&field, &filter.field)?;
        let operand = self.operand(at, filter, place)?;
        Ok(Condition::Compare { place, op: filter.op, operand })
    }

    fn operand(&self, at: &str, filter: &Filter, place: Place) -> Result<Operand, QueryError> {
        let values = format!("{at}.values");
        if matches!(filter.op, Op::Present | Op::Missing) {
            return if filter.values.is_empty() && filter.than.is_none() {
                Ok(Operand::Nothing)
            } else {
                fault(values, "present and missing compare with nothing")
            };
        }
        let orders = matches!(filter.op, Op::Lt | Op::Le | Op::Gt | Op::Ge);
        if matches!(place.column.slot, Slot::Text(_)) && orders {
            return fault(format!("{at}.op"), "texts are equal or not");
        }
        if let Some(than) = &filter.than {
            let other = self.place(&format!("{at}.than"), than)?;
            let same = std::mem::discriminant(&other.column.slot) == std::mem::discriminant(&place.column.slot);
            return if same && filter.values.is_empty() {
                Ok(Operand::Place(other))
            } else {
                fault(format!("{at}.than"), "is of another type, or stands beside values")
            };
        }
        if filter.values.is_empty() || (orders && filter.values.len() > 1) {
            return fault(values, "as many as the operator takes: one, for eq and ne at least one");
        }
        let each = |read: &dyn Fn(&str) -> Option<i64>, what: &str| -> Result<Vec<i64>, QueryError> {
            let numbers: Option<Vec<i64>> = filter.values.iter().map(|value| read(value)).collect();
            numbers.ok_or_else(|| QueryError { place: values.clone(), reason: format!("is no {what}") })
        };
        match place.column.slot {
            Slot::Text(_) => Ok(Operand::Texts(filter.values.clone())),
            Slot::Day(_) => each(&|value| self.day(value).map(day_number), "day").map(Operand::Days),
            Slot::Number(_) if place.column.spec.kind == FieldType::Flag => {
                each(&|value| flag(value).map(|flag| i64::from(flag) * 1_000_000), "yes or no").map(Operand::Numbers)
            }
            Slot::Number(_) => each(&millionths, "number").map(Operand::Numbers),
            Slot::Amount(_) => {
                let amounts: Option<Vec<_>> = filter.values.iter().map(|value| amount(value)).collect();
                amounts
                    .map(Operand::Amounts)
                    .ok_or_else(|| QueryError { place: values.clone(), reason: "is no amount".into() })
            }
        }
    }

    /// `2026-03-01`, `today`, `today-30d`, `today+7d`.
    fn day(&self, text: &str) -> Option<Date> {
        let Some(rest) = text.strip_prefix("today") else { return text.parse().ok() };
        if rest.is_empty() {
            return Some(self.today);
        }
        let days: i64 = rest.strip_suffix('d')?.parse().ok().filter(|days: &i64| days.abs() < 40_000)?;
        self.today.checked_add(days.days()).ok()
    }

    fn measure(&self, at: &str, measure: &Measure) -> Result<CheckedMeasure, QueryError> {
        let of = match (&measure.field, &measure.since, measure.measure) {
            (None, None, Aggregate::Count) => Quantity::Records,
            (_, _, Aggregate::Count) => return fault(at, "count counts records; filter by present to count a field"),
            (None, None, _) => return fault(at, "of which field?"),
            (Some(field), None, _) => {
                let place = self.place(&format!("{at}.field"), field)?;
                let days = matches!(place.column.slot, Slot::Day(_));
                let takes = match place.column.slot {
                    Slot::Number(_) | Slot::Amount(_) => true,
                    Slot::Day(_) => matches!(measure.measure, Aggregate::Min | Aggregate::Max),
                    Slot::Text(_) => false,
                };
                if !takes {
                    let reason = if days { "days have a first and a last only" } else { "is no number" };
                    return fault(format!("{at}.field"), reason);
                }
                Quantity::Field(place)
            }
            (to, Some(since), _) => {
                let from = self.place(&format!("{at}.since"), since)?;
                let to = to.as_ref().map(|to| self.place(&format!("{at}.field"), to)).transpose()?;
                if [Some(from), to].into_iter().flatten().any(|place| !matches!(place.column.slot, Slot::Day(_))) {
                    return fault(at, "days are counted between days");
                }
                Quantity::Days(from, to)
            }
        };
        Ok(CheckedMeasure { aggregate: measure.measure, of })
    }

    fn grouping(&self, group: &Group) -> Result<Grouping, QueryError> {
        match (&group.field, group.linked) {
            (Some(field), None) => {
                let place = self.place("group_by.field", field)?;
                match (place.column.slot, group.each) {
                    (Slot::Text(_), None) => Ok(Grouping::Text(place)),
                    (Slot::Day(_), each) => Ok(Grouping::Day(place, each.unwrap_or(Each::Day))),
                    (Slot::Text(_) | Slot::Number(_) | Slot::Amount(_), _) => {
                        fault("group_by", "records are grouped by a text, by days, or by what they refer to")
                    }
                }
            }
            (None, Some(kind)) if group.each.is_none() => Ok(Grouping::Linked(kind)),
            (Some(_), Some(_)) | (None, _) => fault("group_by", "names a field or a linked kind"),
        }
    }
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn millionths(text: &str) -> Option<i64> {
    let decimal: Decimal = ingest::money::parse_decimal(text).ok()?;
    ingest::money::to_millionths(decimal).ok()
}

fn amount(text: &str) -> Option<(i64, Option<Currency>)> {
    match text.trim().split_once(' ') {
        Some((number, currency)) => Some((millionths(number)?, Some(currency.parse().ok()?))),
        None => Some((millionths(text)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: serde_json::Value) -> Result<Checked, QueryError> {
        let query: Query = serde_json::from_value(json).unwrap();
        query.check(false, "2026-11-02".parse().unwrap())
    }

    #[test]
    fn names_types_and_bounds_are_checked() {
        use serde_json::json;
        let good = json!({ "kind": "receipt", "filters": [
            { "field": "received_at", "op": "gt", "than": "purchase_order_number.promised_date" },
            { "field": "received_at", "op": "ge", "values": ["today-30d"] }],
            "group_by": { "field": "supplier_id" }, "measures": [{ "measure": "count" }], "limit": 5 });
        assert_eq!(checked(good).unwrap().conditions.len(), 2);
        for (bad, place) in [
            (
                json!({ "kind": "order", "filters": [{ "field": "totl", "op": "gt", "values": ["1"] }] }),
                "filters.0.field",
            ),
            (
                json!({ "kind": "order", "filters": [{ "field": "status; DROP TABLE record", "op": "eq", "values": ["x"] }] }),
                "filters.0.field",
            ),
            (
                json!({ "kind": "order", "filters": [{ "field": "status", "op": "lt", "values": ["x"] }] }),
                "filters.0.op",
            ),
            (
                json!({ "kind": "order", "filters": [{ "field": "total", "op": "gt", "values": ["NaN"] }] }),
                "filters.0.values",
            ),
            (
                json!({ "kind": "order", "filters": [{ "field": "ordered_at", "op": "gt", "values": ["soon"] }] }),
                "filters.0.values",
            ),
            (
                json!({ "kind": "order", "filters": [{ "field": "total", "op": "gt", "than": "ordered_at" }] }),
                "filters.0.than",
            ),
            (json!({ "kind": "order", "measures": [{ "measure": "sum", "field": "status" }] }), "measures.0.field"),
            (json!({ "kind": "order", "measures": [{ "measure": "sum" }] }), "measures.0"),
            (json!({ "kind": "order", "group_by": { "field": "total" } }), "group_by"),
            (json!({ "kind": "order", "limit": 201 }), "limit"),
            (
                json!({ "kind": "product", "measures": [{ "measure": "sum", "field": "standard_cost" }] }),
                "measures.0.field",
            ),
        ] {
            assert_eq!(checked(bad.clone()).unwrap_err().place, place, "{bad}");
        }
    }

    #[test]
    fn a_wrong_field_is_answered_with_the_nearest_one_and_never_with_a_cost() {
        let error =
            checked(serde_json::json!({ "kind": "product", "order_by": { "field": "standard_cos" } })).unwrap_err();
        assert!(!error.reason.contains("standard_cost"), "{error}");
    }
}
