//! What a detector says: a kind, the facts that made it, what is at stake, who else is involved. Pure values.

use ingest::{Class, Money, Record, RecordKind, Value, schema};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::calendar::{add_days, days_between};
use super::view::{Entry, Scene};
use super::{Kind, Severity};

/// Most facts kept of one finding; a document of a thousand wrong lines is one exception.
pub const FACTS_MAX: usize = 50;

/// One field, what stands there, and the limit it breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fact {
    pub record_kind: String,
    pub external_id: String,
    /// Path in that record: `hold_since`, `lines.0.quantity`; or a name for a computed value: `returns_last_14_days`.
    pub field: String,
    pub value: String,
    pub limit: String,
    /// Holds what the company pays or earns: value and limit are for roles that see costs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cost: bool,
}

/// A record that has to do with it, by the version that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Involved {
    pub record_id: String,
    pub kind: String,
    pub external_id: String,
    pub version: i64,
}

/// What exceptions of a kind can have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Cause {
    /// `supplier`, `carrier`, `product`, `customer`.
    pub what: String,
    pub id: String,
}

/// What one detector found on one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// A built-in kind's name, or `custom:<rule id>`.
    pub kind: String,
    pub severity: Severity,
    pub facts: Vec<Fact>,
    pub at_stake: Option<Money>,
    pub involved: Vec<Involved>,
    pub cause: Option<Cause>,
    /// Audiences that may see everything in it: of each record involved.
    pub audiences: Vec<Vec<String>>,
}

/// What the detectors of one record have said so far.
pub struct Out<'a> {
    pub scene: &'a Scene<'a>,
    pub subject: &'a Entry,
    pub findings: Vec<Finding>,
    /// The next day on which time alone can change the verdict.
    pub again: Option<Date>,
}

impl<'a> Out<'a> {
    pub fn new(scene: &'a Scene<'a>, subject: &'a Entry) -> Self {
        Self { scene, subject, findings: Vec::new(), again: None }
    }

    pub fn record(&self) -> &'a Record {
        &self.subject.record
    }

    /// Asks to be run again on that day.
    pub fn look_again(&mut self, day: Date) {
        if day > self.scene.today {
            self.again = Some(self.again.map_or(day, |again| again.min(day)));
        }
    }

    /// Whether `since` lies more than `limit` days back; if it does not yet, the record is looked at again when it will.
    pub fn older_than(&mut self, since: Date, limit: i64) -> bool {
        let old = days_between(since, self.scene.today) > limit;
        if !old {
            self.look_again(add_days(since, limit.saturating_add(1)));
        }
        old
    }

    /// Begins a finding of a built-in kind; `None` when the tenant switched the kind off.
    pub fn report(&mut self, kind: Kind) -> Option<&mut Finding> {
        let severity = self.scene.settings.severity(kind.as_str(), kind.spec().severity)?;
        self.push(kind.as_str().to_owned(), severity)
    }

    /// Begins a finding.
    pub fn push(&mut self, kind: String, severity: Severity) -> Option<&mut Finding> {
        self.findings.push(Finding {
            kind,
            severity,
            facts: Vec::new(),
            at_stake: None,
            involved: vec![self.subject.involved()],
            cause: None,
            audiences: vec![self.subject.audience.clone()],
        });
        self.findings.last_mut()
    }
}

impl Finding {
    /// A field of a record, at `path`, against its limit.
    pub fn field(&mut self, entry: &Entry, path: &str, limit: impl ToString) -> &mut Self {
        let value = entry.record.field(path).map(|value| shown(&value)).unwrap_or_default();
        self.fact(entry, path, value, limit)
    }

    /// A computed value beside a record's fields. Beyond [`FACTS_MAX`] nothing is added.
    pub fn fact(&mut self, entry: &Entry, path: &str, value: impl ToString, limit: impl ToString) -> &mut Self {
        if self.facts.len() < FACTS_MAX {
            let spec = schema(entry.record.kind).by_path(path);
            self.facts.push(Fact {
                record_kind: entry.record.kind.as_str().to_owned(),
                external_id: entry.record.external_id.clone(),
                field: path.to_owned(),
                value: value.to_string(),
                limit: limit.to_string(),
                cost: spec.is_some_and(|spec| spec.class == Class::Cost),
            });
        }
        self.involve(entry);
        self
    }

    /// Marks the last fact as one that tells costs.
    pub fn costly(&mut self) -> &mut Self {
        if let Some(fact) = self.facts.last_mut() {
            fact.cost = true;
        }
        self
    }

    pub fn involve(&mut self, entry: &Entry) -> &mut Self {
        let involved = entry.involved();
        if self.involved.len() < FACTS_MAX && !self.involved.contains(&involved) {
            self.involved.push(involved);
            self.audiences.push(entry.audience.clone());
        }
        self
    }

    pub fn stake(&mut self, amount: Option<Money>) -> &mut Self {
        self.at_stake = amount;
        self
    }

    /// Adds to what is at stake; an amount of another currency is left out.
    pub fn add_stake(&mut self, amount: Option<Money>) -> &mut Self {
        self.at_stake = match (self.at_stake, amount) {
            (Some(sum), Some(more)) => sum.checked_add(&more).ok().or(Some(sum)),
            (sum, more) => sum.or(more),
        };
        self
    }

    /// What it may have in common with others; nothing when the record does not say.
    pub fn because_of(&mut self, what: &str, id: Option<&str>) -> &mut Self {
        self.cause = id.filter(|id| !id.is_empty()).map(|id| Cause { what: what.to_owned(), id: id.to_owned() });
        self
    }
}

/// A value as facts show it: exact, dates as ISO days.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(integer) => integer.to_string(),
        Value::Quantity(decimal) => decimal.normalize().to_string(),
        Value::Money(money) => money.to_string(),
        Value::Date(day) => day.to_string(),
        Value::Time(at) => at.to_string(),
        Value::Flag(flag) => flag.to_string(),
    }
}

/// "1 day", "5 days".
pub fn days(count: i64) -> String {
    if count == 1 { "1 day".into() } else { format!("{count} days") }
}

/// A kind as people read it: "purchase order".
pub fn kind_label(kind: RecordKind) -> String {
    kind.as_str().replace('_', " ")
}
