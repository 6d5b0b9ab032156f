//! The demo company keeps its promises: deterministic, consistent, clean except for what was planted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::{Date, date};

use super::oracle;
use super::value::Cents;
use super::*;

/// The default and some others: nothing may hang on a lucky draw.
const SEEDS: [u64; 5] = [DEFAULT_SEED, 1, 2, 3, 4];
const KINDS: usize = 47;
const AS_OF: Date = date(2026, 3, 31);

fn company() -> DemoCompany {
    generate(AS_OF, DEFAULT_SEED)
}

fn file(files: &[(String, Vec<u8>)], name: &str) -> String {
    let (_, bytes) = files.iter().find(|(path, _)| path == name).expect(name);
    String::from_utf8(bytes.clone()).expect("UTF-8")
}

#[test]
fn the_same_arguments_give_the_same_bytes() {
    assert_eq!(company().files(), company().files());
    assert_ne!(company().files(), generate(AS_OF, DEFAULT_SEED + 1).files());
}

#[test]
fn another_date_shifts_every_date_and_nothing_else() {
    let (here, later) = (company(), generate(AS_OF.saturating_add(41.days()), DEFAULT_SEED));
    assert_eq!(here.orders.len(), later.orders.len());
    for (a, b) in here.orders.iter().zip(&later.orders) {
        assert_eq!((&a.order_id, a.total, a.status), (&b.order_id, b.total, b.status));
        assert_eq!(a.ordered_at.saturating_add(41.days()), b.ordered_at);
        assert_eq!(a.promised_on.saturating_add(41.days()), b.promised_on);
    }
    let ids =
        |c: &DemoCompany| c.planted.exceptions.iter().map(|case| (case.kind, case.ids.clone())).collect::<Vec<_>>();
    assert_eq!(ids(&here), ids(&later));
}

#[test]
fn nothing_happens_after_as_of() {
    for order in &company().orders {
        for moment in
            [Some(order.ordered_at), order.hold_since, order.released_at, order.shipped_at, order.delivered_at]
        {
            assert!(moment.is_none_or(|at| at.date() < AS_OF && at >= order.ordered_at), "{}", order.order_id);
        }
    }
}

#[test]
fn the_company_has_the_promised_size() {
    let c = company();
    assert_eq!(c.orders.len(), 2_000);
    assert_eq!(c.products.len(), 120);
    assert_eq!(c.customers.len(), 380);
    assert!(c.shipments.len() > 1_800, "{}", c.shipments.len());
    assert!(c.purchase_orders.len() >= 200 && c.receipts.len() > 150 && c.supplier_invoices.len() > 120);
    assert!(
        c.returns.len() > 90 && c.refunds.len() > 80 && c.credit_notes.len() >= 5,
        "{} {}",
        c.refunds.len(),
        c.credit_notes.len()
    );
    assert!(c.remittances.len() > 60 && c.payments.len() > 1_500);
    assert!(c.tickets.len() > 200);
}

#[test]
fn order_totals_are_the_sums_of_their_lines_shipping_and_tax() {
    let c = company();
    for order in &c.orders {
        let lines: Cents = order.lines.iter().map(|line| line.unit_price.times(line.quantity)).sum();
        assert_eq!(order.subtotal, lines, "{}", order.order_id);
        assert_eq!(order.tax, (order.subtotal + order.shipping).percent(21), "{}", order.order_id);
        assert_eq!(order.total, order.subtotal + order.shipping + order.tax, "{}", order.order_id);
    }
    for bill in &c.supplier_invoices {
        let lines: Cents = bill.lines.iter().map(|line| line.line_total).sum();
        assert_eq!((bill.subtotal, bill.total), (lines, lines + bill.freight + bill.tax), "{}", bill.invoice_id);
    }
    for invoice in &c.customer_invoices {
        assert_eq!(invoice.open_amount, invoice.total - invoice.paid_amount - invoice.credited_amount);
        assert!(invoice.open_amount >= Cents(0), "{}", invoice.invoice_number);
    }
    for advice in &c.remittances {
        assert_eq!(advice.amount, advice.lines.iter().map(|line| line.amount).sum::<Cents>());
    }
}

#[test]
fn money_received_for_an_invoice_is_what_the_invoice_says_was_paid() {
    let c = company();
    let mut paid: BTreeMap<&str, Cents> = BTreeMap::new();
    for payment in &c.payments {
        let advice = c.remittances.iter().find(|advice| advice.remittance_id == payment.remittance_id);
        match advice.filter(|advice| advice.lines.len() > 1) {
            Some(advice) => {
                for line in &advice.lines {
                    *paid.entry(&line.invoice_number).or_default() += line.amount;
                }
            }
            None => *paid.entry(&payment.invoice_number).or_default() += payment.applied_amount,
        }
    }
    for invoice in &c.customer_invoices {
        let received = paid.get(invoice.invoice_number.as_str()).copied().unwrap_or_default();
        let order = c.orders.iter().find(|order| order.order_id == invoice.order_id).expect("an order");
        if order.status != "part_shipped" {
            assert_eq!(received, invoice.paid_amount, "{}", invoice.invoice_number);
        }
    }
}

#[test]
fn stock_adds_up_with_reservations_purchases_and_returns() {
    let c = company();
    for level in &c.stock_levels {
        let reservations = c.reservations.iter().filter(|r| r.sku == level.sku && r.warehouse == level.warehouse);
        assert_eq!(level.reserved, reservations.map(|r| r.quantity).sum::<i64>(), "{}", level.sku);
        assert_eq!(level.available, level.on_hand - level.reserved);
        assert!(level.available >= 0 || level.on_hand < 0, "{}", level.sku);
        let open = c.purchase_orders.iter().filter(|po| matches!(po.status, "sent" | "acknowledged"));
        let lines = open.filter(|po| po.warehouse == level.warehouse).flat_map(|po| &po.lines);
        assert_eq!(level.in_transit, lines.filter(|line| line.sku == level.sku).map(|line| line.quantity).sum::<i64>());
        let waiting = c.returns.iter().filter(|rma| rma.received_on.is_some() && rma.inspected_on.is_none());
        let lines = waiting.filter(|rma| rma.warehouse == level.warehouse).flat_map(|rma| &rma.lines);
        assert_eq!(
            level.return_pending,
            lines.filter(|line| line.sku == level.sku).map(|line| line.quantity).sum::<i64>()
        );
    }
}

#[test]
fn every_reference_leads_to_a_record_except_where_planted() {
    let c = company();
    let set = |ids: Vec<&String>| ids.into_iter().cloned().collect::<BTreeSet<String>>();
    let customers = set(c.customers.iter().map(|x| &x.customer_id).collect());
    let suppliers = set(c.suppliers.iter().map(|x| &x.supplier_id).collect());
    let products = set(c.products.iter().map(|x| &x.sku).collect());
    let orders = set(c.orders.iter().map(|x| &x.order_id).collect());
    let pos = set(c.purchase_orders.iter().map(|x| &x.po_number).collect());
    let invoices = set(c.customer_invoices.iter().map(|x| &x.invoice_number).collect());
    let payments = set(c.payments.iter().map(|x| &x.payment_id).collect());
    let returns = set(c.returns.iter().map(|x| &x.return_id).collect());
    let shipments = set(c.shipments.iter().map(|x| &x.shipment_id).collect());
    let advices = set(c.remittances.iter().map(|x| &x.remittance_id).collect());
    let within = |known: &BTreeSet<String>, id: &String| assert!(id.is_empty() || known.contains(id), "{id}");
    c.products.iter().for_each(|x| within(&suppliers, &x.supplier_id));
    c.orders.iter().for_each(|x| within(&customers, &x.customer_id));
    c.orders.iter().flat_map(|x| &x.lines).for_each(|x| within(&products, &x.sku));
    c.shipments.iter().for_each(|x| within(&orders, &x.order_id));
    c.tracking_events.iter().for_each(|x| within(&shipments, &x.shipment_id));
    c.purchase_orders.iter().for_each(|x| within(&suppliers, &x.supplier_id));
    c.purchase_orders.iter().flat_map(|x| &x.lines).for_each(|x| within(&products, &x.sku));
    c.acknowledgements.iter().for_each(|x| within(&pos, &x.po_number));
    c.receipts.iter().for_each(|x| within(&pos, &x.po_number));
    c.supplier_invoices.iter().for_each(|x| within(&pos, &x.po_number));
    c.customer_invoices.iter().for_each(|x| within(&orders, &x.order_id));
    c.payments.iter().for_each(|x| {
        within(&orders, &x.order_id);
        within(&invoices, &x.invoice_number);
        within(&advices, &x.remittance_id);
    });
    c.refunds.iter().for_each(|x| {
        within(&orders, &x.order_id);
        within(&payments, &x.payment_id);
        within(&returns, &x.return_id);
    });
    c.credit_notes.iter().for_each(|x| {
        within(&invoices, &x.invoice_number);
        within(&returns, &x.return_id);
    });
    c.returns.iter().for_each(|x| within(&orders, &x.order_id));
    c.tickets.iter().for_each(|x| within(&orders, x.order_id.as_ref().expect("about an order")));
    c.prices.iter().for_each(|x| within(&products, &x.sku));
    let strays: Vec<&Reservation> = c.reservations.iter().filter(|x| !orders.contains(&x.order_id)).collect();
    assert_eq!(strays.len(), 2, "the planted reservations without an order");
}

#[test]
fn what_a_plain_reading_of_the_limits_finds_is_exactly_what_was_planted() {
    for seed in SEEDS {
        let c = generate(AS_OF, seed);
        let planted: oracle::Found =
            c.planted.exceptions.iter().map(|case| (case.kind.to_owned(), case.ids[0].clone())).collect();
        let found = oracle::exceptions(&c);
        let (extra, missed): (Vec<_>, Vec<_>) =
            (found.difference(&planted).collect(), planted.difference(&found).collect());
        assert!(extra.is_empty() && missed.is_empty(), "seed {seed}\nnot planted: {extra:#?}\nnot found: {missed:#?}");
        assert_eq!(planted.len(), c.planted.exceptions.len(), "a case was planted twice");
    }
}

#[test]
fn three_to_eight_of_every_kind_are_planted_and_named_in_the_thresholds() {
    for seed in SEEDS {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for case in generate(AS_OF, seed).planted.exceptions {
            *kinds.entry(case.kind).or_default() += 1;
        }
        assert_eq!(kinds.len(), KINDS, "seed {seed}");
        assert!(kinds.values().all(|count| (3..=8).contains(count)), "seed {seed}: {kinds:?}");
    }
    let c = company();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &c.planted.exceptions {
        *kinds.entry(case.kind).or_default() += 1;
        assert!(!case.facts.is_empty() && !case.why.is_empty(), "{case:?}");
    }
    for kind in kinds.keys() {
        assert!(THRESHOLDS.contains(&format!("| `{kind}` |")), "{kind} is not in thresholds.md");
    }
    let listed = THRESHOLDS.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(listed, kinds.len());
    assert!(c.planted.groups.len() >= 4);
    for group in &c.planted.groups {
        assert!(group.members.len() >= 3, "{}", group.id);
    }
    assert_eq!(c.planted.hostile_tickets.len(), 3);
}

#[test]
fn every_planted_id_stands_in_the_exports() {
    let c = company();
    let files = c.files();
    let of_kind = |kind: &str| match kind {
        "stock_level" => "stock_levels.csv".to_owned(),
        kind => format!("{kind}s.csv"),
    };
    for case in &c.planted.exceptions {
        let text = file(&files, &of_kind(case.record_kind));
        for id in &case.ids {
            let cell = id.replace('/', ",");
            assert!(text.contains(&format!("{cell},")), "{} {id}", case.kind);
        }
    }
    for member in c.planted.groups.iter().flat_map(|group| &group.members) {
        assert!(files.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains(member.as_str())), "{member}");
    }
}

#[test]
fn every_table_parses_with_as_many_cells_as_headings() {
    let files = company().files();
    let mut tables = 0;
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".csv")) {
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let rows = reader.records().inspect(|row| assert!(row.is_ok(), "{path}: {row:?}")).count();
        assert!(rows > 0, "{path} is empty");
        tables += 1;
    }
    assert!(tables >= 25, "{tables}");
    serde_json::from_str::<serde_json::Value>(&file(&files, "tracking_events.json")).expect("JSON");
    for line in file(&files, "tickets.ndjson").lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("one object a line");
    }
    let planted: serde_json::Value = serde_json::from_str(&file(&files, "planted.json")).expect("JSON");
    assert_eq!(planted["as_of"], AS_OF.to_string());
    toml::from_str::<toml::Table>(&file(&files, "mapping.toml")).expect("TOML");
}

/// The front matter's `key: value` lines; a list stays text.
fn front_matter(text: &str) -> BTreeMap<String, String> {
    let inner = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")).expect("front matter").0;
    let pairs = inner.lines().filter_map(|line| line.split_once(": "));
    pairs.map(|(key, value)| (key.to_owned(), value.trim().trim_matches('"').to_owned())).collect()
}

#[test]
fn every_policy_and_runbook_has_front_matter_and_supersedes_what_exists() {
    let files = company().files();
    let mut seen: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".md")) {
        let text = std::str::from_utf8(bytes).expect("UTF-8");
        assert!(!text.contains("{{"), "{path} has an unresolved placeholder");
        let meta = front_matter(text);
        for key in ["id", "title", "kind", "effective_from", "audience"] {
            assert!(meta.contains_key(key), "{path} lacks {key}");
        }
        meta["effective_from"].parse::<Date>().unwrap_or_else(|error| panic!("{path}: {error}"));
        let words = text.split_whitespace().count();
        assert!((150..=1_000).contains(&words), "{path} has {words} words");
        assert!(seen.insert(meta["id"].clone(), meta).is_none(), "{path} repeats an id");
    }
    let of = |kind: &str| seen.values().filter(|meta| meta["kind"] == kind).count();
    assert!(of("policy") >= 25 && of("runbook") >= 15, "{} policies, {} runbooks", of("policy"), of("runbook"));
    for (id, meta) in &seen {
        let Some(supersedes) = meta.get("supersedes") else { continue };
        for old in supersedes.trim_matches(['[', ']']).split(", ").filter(|old| !old.is_empty()) {
            let ended = seen
                .get(old)
                .unwrap_or_else(|| panic!("{id} supersedes {old}, which does not exist"))
                .get("effective_to");
            let ended: Date = ended.expect("an end date").parse().expect("a date");
            assert_eq!(
                ended.saturating_add(1.day()).to_string(),
                meta["effective_from"],
                "{old} ends the day before {id}"
            );
        }
    }
    for (_, bytes) in files.iter().filter(|(path, _)| path.ends_with(".md")) {
        let text = String::from_utf8_lossy(bytes);
        for word in text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-')) {
            if word.starts_with("POL-") || word.starts_with("RUN-") {
                assert!(seen.contains_key(word), "{word} is mentioned and does not exist");
            }
        }
    }
}

#[test]
fn the_demo_questions_name_records_and_documents_that_hold_the_answers() {
    let files = company().files();
    let questions = questions(AS_OF);
    assert_eq!(questions.len(), 12);
    assert_eq!(questions.iter().filter(|question| question.tour).count(), 3);
    for question in &questions {
        let mut evidence = String::new();
        for id in &question.documents {
            let (_, bytes) = files
                .iter()
                .find(|(path, bytes)| {
                    path.ends_with(".md") && String::from_utf8_lossy(bytes).contains(&format!("id: {id}\n"))
                })
                .unwrap_or_else(|| panic!("{}: no document {id}", question.id));
            evidence += &String::from_utf8_lossy(bytes);
        }
        for record in &question.records {
            let (kind, id) = record.split_once('/').expect("kind/id");
            let cell = format!("{},", id.replace('/', ","));
            let table = file(&files, &format!("{kind}s.csv"));
            let row = table.lines().find(|line| line.starts_with(&cell));
            evidence += row.unwrap_or_else(|| panic!("{}: no {record}", question.id));
        }
        for expected in &question.expected {
            assert!(evidence.contains(expected.as_str()), "{}: {expected:?} is not in the evidence", question.id);
        }
    }
}

#[test]
fn every_row_and_document_passes_the_mapping_without_a_rejection() {
    let files = company().files();
    let mapping =
        ingest::Mapping::parse(&file(&files, "mapping.toml")).unwrap_or_else(|error| panic!("mapping.toml: {error}"));
    let sources: Vec<ingest::SourceFile<'_>> =
        files.iter().map(|(path, bytes)| ingest::SourceFile { path, bytes }).collect();
    let mut records: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut documents, mut rejected, mut unused) = (0, Vec::new(), Vec::new());
    mapping.read(&sources, &ingest::Limits::default(), &mut |ingested| match ingested {
        ingest::Ingested::Record { record, .. } => *records.entry(record.kind.as_str()).or_default() += 1,
        ingest::Ingested::Document { .. } => documents += 1,
        ingest::Ingested::Rejected(rejection) => rejected.push(rejection),
        ingest::Ingested::Notice { file, text } => panic!("{file}: {text}"),
        ingest::Ingested::Unused { file } => unused.push(file),
    });
    assert_eq!(unused, ["mapping.toml", "planted.json"], "the answer key is no source");
    assert!(rejected.is_empty(), "{} rejections, first: {:#?}", rejected.len(), &rejected[..rejected.len().min(5)]);
    assert_eq!(records.len(), ingest::RecordKind::ALL.len(), "every kind of record is there: {records:?}");
    assert_eq!(records["order"], 2_000);
    assert_eq!(documents, files.iter().filter(|(path, _)| path.ends_with(".md")).count());
}
