//! A tenant's own rules: CEL expressions over one record, with limits on their length and on what evaluating them can cost. Pure.
//!
//! An expression sees `record` (fields by name, `lines` as a list of the same, `external_id`; money as its amount, with the currency beside
//! it as `<name>_currency`; dates as ISO text) and `days_ago` (whole days since each date field, negative for the future). A record that
//! lacks what an expression reads is not a case. Numbers are doubles here: what is at stake is still taken exactly from a field.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Program, Value as Cel};
use ingest::{Fields, Record, RecordKind, Value, schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Severity;
use super::calendar::{add_days, days_between};
use super::finding::{Out, shown};
use super::settings::SettingsError;

/// Rules per tenant.
pub const RULES_MAX: usize = 100;
/// Bytes of an expression.
const EXPRESSION_MAX: usize = 2_000;
/// Brackets within brackets.
const DEPTH_MAX: usize = 16;
/// Terms of an expression after parsing; macros have been expanded.
const TERMS_MAX: usize = 600;
/// `all`, `exists`, `filter`, `map`: none inside another, so that the work is at most terms x lines.
const LOOPS_MAX: usize = 4;
/// A record with more lines is not evaluated.
const LINES_MAX: usize = 1_000;

/// One rule over one kind of record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomRule {
    /// 1 to 40 of a-z, 0-9 and `_`; exceptions carry the kind `custom:<id>`.
    pub id: String,
    /// What people read: "Large order without a reference". 1 to 120 bytes.
    pub title: String,
    /// As `order`.
    pub record_kind: String,
    /// CEL, true for a case: `record.total > 5000.0 && !has(record.customer_reference)`.
    pub expression: String,
    pub severity: Severity,
    /// Money field whose amount is at stake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money_field: Option<String>,
}

/// A rule ready to run.
pub struct Compiled {
    pub rule: CustomRule,
    pub kind: RecordKind,
    program: Program,
    /// Fields of the record that the expression reads.
    reads: Vec<String>,
    /// Whether time alone can change its verdict.
    timed: bool,
}

impl CustomRule {
    /// The kind its exceptions carry.
    pub fn kind(&self) -> String {
        format!("custom:{}", self.id)
    }

    pub fn check(&self) -> Result<(), SettingsError> {
        self.compile().map(drop)
    }

    /// Parses the expression and refuses what could cost too much.
    pub fn compile(&self) -> Result<Compiled, SettingsError> {
        let refuse = |setting: &str, reason: &str| SettingsError { setting: setting.into(), reason: reason.into() };
        let id_ok = (1..=40).contains(&self.id.len())
            && self.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !id_ok {
            return Err(refuse("id", "is 1 to 40 of a-z, 0-9 and _"));
        }
        if !(1..=120).contains(&self.title.len()) || self.title.chars().any(char::is_control) {
            return Err(refuse("title", "is 1 to 120 bytes without control characters"));
        }
        let kind: RecordKind = self.record_kind.parse().map_err(|_| refuse("record_kind", "is no kind of record"))?;
        let is_money =
            |name: &str| schema(kind).field(name).is_some_and(|spec| spec.kind == ingest::schema::FieldType::Money);
        if self.money_field.as_deref().is_some_and(|name| !is_money(name)) {
            return Err(refuse("money_field", "is no money field of that kind"));
        }
        if self.expression.len() > EXPRESSION_MAX {
            return Err(refuse("expression", "is longer than 2,000 bytes"));
        }
        if depth(&self.expression) > DEPTH_MAX {
            return Err(refuse("expression", "is nested more than 16 deep"));
        }
        let program = Program::compile(&self.expression).map_err(|_| refuse("expression", "is not CEL"))?;
        let mut cost = Cost::default();
        cost.walk(program.expression(), false);
        if cost.nested || cost.loops > LOOPS_MAX || cost.terms > TERMS_MAX {
            return Err(refuse("expression", "does too much: at most 4 loops, none inside another, and 600 terms"));
        }
        let references = program.references();
        let unknown = references.variables().into_iter().find(|name| {
            !["record", "days_ago"].contains(name) && !cost.bound.contains(*name) && !name.starts_with('@')
        });
        if unknown.is_some() {
            return Err(refuse("expression", "reads something else than record and days_ago"));
        }
        Ok(Compiled { rule: self.clone(), kind, program, reads: cost.reads.into_iter().collect(), timed: cost.timed })
    }
}

/// Deepest bracket, quoted text counted as if it were none: a bound, not a parser.
fn depth(expression: &str) -> usize {
    let (mut now, mut deepest) = (0usize, 0);
    for c in expression.chars() {
        match c {
            '(' | '[' | '{' | '!' | '-' | '?' => now += 1,
            ')' | ']' | '}' => now = now.saturating_sub(1),
            _ => {}
        }
        if matches!(c, '(' | '[' | '{') {
            deepest = deepest.max(now);
        }
    }
    deepest
}

#[derive(Default)]
struct Cost {
    terms: usize,
    loops: usize,
    nested: bool,
    timed: bool,
    reads: BTreeSet<String>,
    bound: BTreeSet<String>,
}

impl Cost {
    fn walk(&mut self, expr: &IdedExpr, in_loop: bool) {
        self.terms += 1;
        match &expr.expr {
            Expr::Call(call) => {
                call.target.iter().for_each(|target| self.walk(target, in_loop));
                call.args.iter().for_each(|arg| self.walk(arg, in_loop));
            }
            Expr::Comprehension(comprehension) => {
                self.loops += 1;
                self.nested |= in_loop;
                self.bound.insert(comprehension.iter_var.clone());
                self.bound.extend(comprehension.iter_var2.clone());
                self.bound.insert(comprehension.accu_var.clone());
                // A loop over the result of a loop is two in a row, not one inside the other.
                self.walk(&comprehension.iter_range, in_loop);
                for part in [
                    &comprehension.accu_init,
                    &comprehension.loop_cond,
                    &comprehension.loop_step,
                    &comprehension.result,
                ] {
                    self.walk(part, true);
                }
            }
            Expr::Select(select) => {
                match &select.operand.expr {
                    Expr::Ident(name) if name == "record" => drop(self.reads.insert(select.field.clone())),
                    Expr::Ident(name) if name == "days_ago" => {
                        self.timed = true;
                        self.reads.insert(select.field.clone());
                    }
                    _ => {}
                }
                self.walk(&select.operand, in_loop);
            }
            Expr::Ident(name) => self.timed |= name == "days_ago",
            Expr::List(list) => list.elements.iter().for_each(|element| self.walk(element, in_loop)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr, in_loop)),
            Expr::Struct(built) => built.entries.iter().for_each(|entry| self.entry(&entry.expr, in_loop)),
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn entry(&mut self, entry: &EntryExpr, in_loop: bool) {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.walk(&entry.key, in_loop);
                self.walk(&entry.value, in_loop);
            }
            EntryExpr::StructField(field) => self.walk(&field.value, in_loop),
        }
    }
}

/// Runs the tenant's rules over the record.
pub fn run(out: &mut Out<'_>) {
    let (record, subject) = (out.record(), out.subject);
    let rules: Vec<&Compiled> = out.scene.rules.iter().filter(|rule| rule.kind == record.kind).collect();
    for compiled in rules {
        if compiled.timed && super::project::is_open(record) {
            let tomorrow = add_days(out.scene.today, 1);
            out.look_again(tomorrow);
        }
        if !compiled.holds(record, out) {
            continue;
        }
        let kind = compiled.rule.kind();
        let Some(severity) = out.scene.settings.severity(&kind, compiled.rule.severity) else { continue };
        if let Some(finding) = out.push(kind, severity) {
            for name in compiled.reads.iter().filter(|name| record.fields.contains_key(*name)) {
                finding.field(subject, name, &compiled.rule.expression);
            }
            let stake = compiled.rule.money_field.as_ref().and_then(|name| record.fields.get(name)?.as_money());
            finding.stake(stake);
        }
    }
}

impl Compiled {
    /// Whether the record is a case. What cannot be evaluated is none.
    fn holds(&self, record: &Record, out: &Out<'_>) -> bool {
        if record.lines.len() > LINES_MAX {
            return false;
        }
        let mut fields = map(&record.fields);
        let lines: Vec<Cel> = record.lines.iter().map(|line| Cel::from(map(line))).collect();
        fields.insert("lines".to_owned(), Cel::List(Arc::new(lines)));
        fields.insert("external_id".to_owned(), Cel::from(record.external_id.clone()));
        let days: HashMap<String, Cel> = record
            .fields
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), out.scene.calendar.day_of(value)?)))
            .map(|(name, day)| (name, Cel::from(days_between(day, out.scene.today))))
            .collect();
        let mut context = Context::default();
        context.add_variable_from_value("record", fields);
        context.add_variable_from_value("days_ago", days);
        matches!(self.program.execute(&context), Ok(Cel::Bool(true)))
    }
}

fn map(fields: &Fields) -> HashMap<String, Cel> {
    let mut shown_fields = HashMap::new();
    for (name, value) in fields {
        if let Value::Money(money) = value {
            shown_fields.insert(format!("{name}_currency"), Cel::from(money.currency().as_str().to_owned()));
        }
        shown_fields.insert(name.clone(), cel(value));
    }
    shown_fields
}

fn cel(value: &Value) -> Cel {
    let double = |text: String| Cel::from(text.parse::<f64>().unwrap_or(f64::NAN));
    match value {
        Value::Integer(integer) => Cel::from(*integer as f64),
        Value::Quantity(decimal) => double(decimal.to_string()),
        Value::Money(money) => double(money.amount().to_string()),
        Value::Flag(flag) => Cel::from(*flag),
        Value::Text(_) | Value::Date(_) | Value::Time(_) => Cel::from(shown(value)),
    }
}
