//! The detectors over whole companies, without a database: the demo company with what was planted in it, and open purchasing data. The same
//! through SQL and the API is in `tests/it`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use ingest::mapping::builtin;
use ingest::{Ingested, Limits, Mapping, Record, RecordKind, SourceFile, Value};
use jiff::civil::{Date, date};

use super::engine::{Active, evaluate};
use super::observe::Observed;
use super::project;
use super::rules::{Rule, RuleSet};
use super::settings::Settings;
use super::view::{Entry, Need, Only, View};
use crate::demo;
use crate::document::day_number;

/// Records in memory, found as `load` finds them in SQL.
struct Company {
    entries: Vec<Arc<Entry>>,
    by_id: HashMap<(RecordKind, String), Vec<Arc<Entry>>>,
    by_target: HashMap<(RecordKind, RecordKind, String), Vec<Arc<Entry>>>,
    by_key: HashMap<String, Vec<Arc<Entry>>>,
}

impl Company {
    fn new(records: Vec<Record>) -> Self {
        let entries: Vec<Arc<Entry>> = records
            .into_iter()
            .enumerate()
            .map(|(at, record)| {
                Arc::new(Entry {
                    record_id: format!("{at:08}"),
                    source_id: String::new(),
                    version: 1,
                    audience: vec!["everyone".into()],
                    record,
                })
            })
            .collect();
        let (mut by_id, mut by_target, mut by_key) = (HashMap::new(), HashMap::new(), HashMap::new());
        for entry in &entries {
            let push = |list: &mut Vec<Arc<Entry>>| list.push(entry.clone());
            for name in project::own_names(&entry.record) {
                push(by_id.entry((entry.record.kind, name)).or_default());
            }
            let targets: BTreeSet<_> =
                entry.record.links().into_iter().map(|link| (link.kind, link.external_id)).collect();
            for (kind, id) in targets {
                push(by_target.entry((entry.record.kind, kind, id)).or_default());
            }
            if let Some(key) = project::match_key(&entry.record) {
                push(by_key.entry(key).or_default());
            }
        }
        Self { entries, by_id, by_target, by_key }
    }

    fn find(&self, need: &Need, active: &Active) -> Vec<Arc<Entry>> {
        let all = match need {
            Need::One(kind, id) => self.by_id.get(&(*kind, id.clone())),
            Need::Referring { kind, target, id, .. } => self.by_target.get(&(*kind, *target, id.clone())),
            Need::SameKey(_, key) => self.by_key.get(key),
        };
        let wanted = |entry: &&Arc<Entry>| match need {
            Need::Referring { only: Only::Open, .. } => project::is_open(&entry.record),
            Need::Referring { only: Only::Since(day), .. } => {
                project::own_day(&entry.record, &active.calendar).is_some_and(|own| day_number(own) >= *day)
            }
            _ => true,
        };
        all.into_iter().flatten().filter(wanted).cloned().collect()
    }

    /// Everything that the rules report on a day.
    fn judged(&self, settings: Settings, today: Date) -> Vec<Observed> {
        let active = Active::new(settings);
        let noon = today.at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        let scene = active.scene(noon);
        let (mut view, mut asked) = (View::default(), BTreeSet::new());
        for entry in &self.entries {
            let about = RuleSet::about(entry.record.kind);
            for need in
                Rule::ALL.into_iter().filter(|rule| about.has(*rule)).flat_map(|rule| rule.needs(&entry.record, today))
            {
                if asked.insert(need.clone()) {
                    let found = self.find(&need, &active);
                    view.insert(need, found);
                }
            }
        }
        self.entries
            .iter()
            .map(|entry| evaluate(&scene, &view, entry.clone(), RuleSet::about(entry.record.kind)).0)
            .collect()
    }
}

fn read(mapping: &str, files: &[(String, Vec<u8>)]) -> Vec<Record> {
    let mapping = Mapping::parse(mapping).unwrap();
    let files: Vec<SourceFile<'_>> =
        files.iter().filter(|(path, _)| mapping.uses(path)).map(|(path, bytes)| SourceFile { path, bytes }).collect();
    let mut records = Vec::new();
    mapping.read(&files, &Limits::default(), &mut |outcome| match outcome {
        Ingested::Record { record, .. } => records.push(*record),
        Ingested::Rejected(rejection) => panic!("{rejection}"),
        Ingested::Document { .. } | Ingested::Notice { .. } | Ingested::Unused { .. } => {}
    });
    records
}

type Cases = BTreeSet<(String, String)>;

fn cases(observed: &[Observed]) -> Cases {
    let each = |one: &Observed| -> Vec<(String, String)> {
        let id = one.subject.record.external_id.clone();
        one.findings.iter().map(|finding| (finding.kind.clone(), id.clone())).collect()
    };
    observed.iter().flat_map(each).collect()
}

#[test]
fn the_demo_companys_planted_cases_are_found_and_nothing_else() {
    let as_of = date(2026, 3, 31);
    for seed in [demo::DEFAULT_SEED, 1, 2, 3, 4, 77, 4711] {
        let company = demo::generate(as_of, seed);
        let files = company.files();
        let mapping = files.iter().find(|(path, _)| path == "mapping.toml").unwrap();
        let observed =
            Company::new(read(std::str::from_utf8(&mapping.1).unwrap(), &files)).judged(Settings::default(), as_of);
        let planted: Cases =
            company.planted.exceptions.iter().map(|case| (case.kind.to_owned(), case.ids[0].clone())).collect();
        let found = cases(&observed);
        let missing: Vec<_> = planted.difference(&found).collect();
        let wrong: Vec<_> = found.difference(&planted).collect();
        assert!(missing.is_empty() && wrong.is_empty(), "seed {seed}: missing {missing:#?}\nwrong {wrong:#?}");
        assert_eq!(planted.iter().map(|(kind, _)| kind).collect::<BTreeSet<_>>().len(), 47);
        // The facts name the field that was planted, and every other record of the case is among those involved.
        for case in &company.planted.exceptions {
            let one = observed.iter().find(|one| {
                one.subject.record.external_id == case.ids[0] && one.subject.record.kind.as_str() == case.record_kind
            });
            let finding = one.and_then(|one| one.findings.iter().find(|finding| finding.kind == case.kind)).unwrap();
            for other in &case.ids[1..] {
                assert!(finding.involved.iter().any(|record| record.external_id == *other), "{case:?}");
            }
            let fields: Vec<&str> = finding.facts.iter().map(|fact| fact.field.as_str()).collect();
            let own = case
                .facts
                .iter()
                .map(|fact| fact.field.as_str())
                .find(|field| !field.contains("supplier.") && *field != "customer.credit_used");
            assert!(own.is_none_or(|field| fields.contains(&field)), "{case:?}: {fields:?}");
        }
        // Groups: the members share the cause.
        for group in company.planted.groups.iter().filter(|group| group.id != "product_surge") {
            let causes: BTreeSet<_> = group
                .members
                .iter()
                .map(|id| {
                    let one =
                        observed.iter().find(|one| one.subject.record.external_id == *id && !one.findings.is_empty());
                    one.unwrap().findings[0].cause.clone().unwrap()
                })
                .collect();
            assert_eq!(causes.len(), 1, "{}: {causes:?}", group.id);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "where the evaluation data lies is a fact of the machine")]
fn adventureworks() -> Option<PathBuf> {
    let data = std::env::var_os("COUNTERSIGN_SHARED_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let folder = data.join("erp/adventureworks_oltp");
    if !folder.is_dir() {
        println!("skipped: adventureworks_exceptions: its data is absent");
        return None;
    }
    Some(folder)
}

/// How our kinds are called in the derived file, and the field whose lines are told apart there.
const DERIVED: [(&str, &str, Option<&str>); 10] = [
    ("short_receipt", "po_short_received", Some("quantity_received")),
    ("quality_rejection", "receipt_rejected", Some("quantity_rejected")),
    ("stock_mismatch", "po_stock_mismatch", Some("quantity_stocked")),
    ("price_above_last_receipt_2pct", "po_price_variance", Some("unit_price")),
    ("po_rejected_status", "po_rejected", None),
    ("po_with_inactive_vendor", "po_inactive_supplier", None),
    ("po_with_low_credit_vendor", "po_low_credit_supplier", None),
    ("po_shipped_after_due", "po_shipped_after_due", None),
    ("below_safety_stock", "below_safety_stock", None),
    ("below_reorder_point", "below_reorder_point", None),
];

#[test]
fn purchasing_data_of_a_manufacturer_gives_exactly_its_derived_exceptions() {
    let Some(folder) = adventureworks() else { return };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        files.push((path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()));
    }
    files.sort();
    let records = read(builtin("adventureworks").unwrap(), &files);
    let observed = Company::new(records).judged(Settings::default(), date(2026, 3, 31));
    let mut found: BTreeMap<&str, Vec<String>> = DERIVED.iter().map(|(theirs, ..)| (*theirs, Vec::new())).collect();
    for one in &observed {
        for finding in &one.findings {
            let Some((theirs, _, field)) = DERIVED.iter().find(|(_, ours, _)| *ours == finding.kind) else { continue };
            let list = found.get_mut(theirs).unwrap();
            let id = &one.subject.record.external_id;
            match field {
                None => list.push(id.clone()),
                Some(field) => list.extend(finding.facts.iter().map(|fact| {
                    let (at, name) = fact.field.strip_prefix("lines.").unwrap().split_once('.').unwrap();
                    assert_eq!(name, *field);
                    let line = &one.subject.record.lines[at.parse::<usize>().unwrap()];
                    format!("{id}/{}", line["line_number"].as_text().unwrap())
                })),
            }
        }
    }
    let mut derived: BTreeMap<&str, Vec<String>> = DERIVED.iter().map(|(theirs, ..)| (*theirs, Vec::new())).collect();
    for line in std::fs::read_to_string(folder.join("exceptions.derived.jsonl")).unwrap().lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let kind = case["type"].as_str().unwrap();
        let id = match (case.get("PurchaseOrderID"), case.get("PurchaseOrderDetailID")) {
            (Some(po), Some(line)) => format!("{po}/{line}"),
            (Some(po), None) => po.to_string(),
            (None, _) => case["ProductID"].to_string(),
        };
        derived.get_mut(kind).unwrap().push(id);
    }
    for list in found.values_mut().chain(derived.values_mut()) {
        list.sort();
    }
    let counts: BTreeMap<&str, (usize, usize)> =
        DERIVED.iter().map(|(theirs, ..)| (*theirs, (found[theirs].len(), derived[theirs].len()))).collect();
    assert_eq!(found, derived, "{counts:?}");
    assert_eq!(counts.values().map(|(ours, _)| ours).sum::<usize>(), 1_402);
}

/// A finding's look-ahead is the day on which it appears, and not a day earlier.
#[test]
fn a_record_is_looked_at_again_on_the_day_its_verdict_changes() {
    let mut order = Record::new(RecordKind::Order, "SO-1");
    for (name, value) in [("status", "on_hold"), ("hold_kind", "credit")] {
        order.fields.insert(name.into(), Value::text(value));
    }
    order.fields.insert("hold_since".into(), Value::Date(date(2026, 3, 1)));
    let company = Company::new(vec![order]);
    let active = Active::new(Settings::default());
    let look = |day: Date| {
        let at = active.calendar.start(day).unwrap();
        let about = RuleSet::about(RecordKind::Order);
        let (observed, again) = evaluate(&active.scene(at), &View::default(), company.entries[0].clone(), about);
        (observed.findings.len(), again)
    };
    assert_eq!(look(date(2026, 3, 2)), (0, Some(date(2026, 3, 6))));
    assert_eq!(look(date(2026, 3, 5)), (0, Some(date(2026, 3, 6))));
    assert_eq!(look(date(2026, 3, 6)).0, 1);
}
