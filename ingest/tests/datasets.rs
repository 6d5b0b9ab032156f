//! The shipped mappings over the open data sets, against a second, plain reading of the same files.
//!
//! The data is read in place (`COUNTERSIGN_SHARED`, else `../shared` beside the repository) and is absent in most
//! checkouts: then these tests print that they were skipped.

use std::collections::HashMap;
use std::path::PathBuf;

use ingest::mapping::builtin;
use ingest::{Ingested, Limits, Mapping, Record, RecordKind, SourceFile, Value};

#[expect(clippy::disallowed_methods, reason = "where the evaluation data lies is a fact of the machine")]
fn shared(test: &str, folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("COUNTERSIGN_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let path = root.join("data").join(folder);
    if !path.is_dir() {
        println!("{test}: skipped: {folder} absent");
        return None;
    }
    Some(path)
}

fn read_all(folder: &PathBuf) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn ingest(mapping: &str, files: &[(String, Vec<u8>)]) -> Vec<Record> {
    let mapping = Mapping::parse(builtin(mapping).unwrap()).unwrap();
    let files: Vec<SourceFile<'_>> = files.iter().map(|(path, bytes)| SourceFile { path, bytes }).collect();
    let mut records = Vec::new();
    let mut rejected = Vec::new();
    mapping.read(&files, &Limits::default(), &mut |outcome| match outcome {
        Ingested::Record { record, .. } => records.push(*record),
        Ingested::Rejected(rejection) => rejected.push(rejection.to_string()),
        Ingested::Document { .. } | Ingested::Notice { .. } | Ingested::Unused { .. } => {}
    });
    assert_eq!(rejected, Vec::<String>::new());
    records
}

fn count(records: &[Record], kind: RecordKind) -> usize {
    records.iter().filter(|record| record.kind == kind).count()
}

/// An amount in cents from its text, by string handling alone.
fn cents(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<2}").parse().unwrap()
}

#[test]
fn every_retail_order_maps_with_its_exact_total_status_and_items() {
    let Some(folder) = shared("every_retail_order_maps", "tau/tau1_retail") else { return };
    let files = read_all(&folder);
    let records = ingest("tau_retail", &files);
    assert_eq!(count(&records, RecordKind::Order), 1_000);
    assert_eq!(count(&records, RecordKind::Customer), 500);
    assert_eq!(count(&records, RecordKind::Product), 591);
    assert_eq!(count(&records, RecordKind::Refund), 102);
    let orders: HashMap<&str, &Record> =
        records.iter().filter(|r| r.kind == RecordKind::Order).map(|r| (r.external_id.as_str(), r)).collect();
    let plain: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("orders.json")).unwrap()).unwrap();
    for (id, order) in plain.as_object().unwrap() {
        let record = orders[id.as_str()];
        let paid = order["payment_history"][0]["amount"].to_string();
        let items = order["items"].as_array().unwrap();
        let total = record.fields["total"].as_money().unwrap();
        assert_eq!(total.millionths(), cents(&paid) * 10_000, "{id}");
        assert_eq!(items.iter().map(|item| cents(&item["price"].to_string())).sum::<i64>(), cents(&paid), "{id}");
        assert_eq!(record.text("status"), order["status"].as_str(), "{id}");
        assert_eq!(record.lines.len(), items.len(), "{id}");
        for (line, item) in record.lines.iter().zip(items) {
            assert_eq!(line["sku"].as_text(), item["item_id"].as_str());
            assert_eq!(line["name"].as_text(), item["name"].as_str());
            assert_eq!(line["unit_price"].as_money().unwrap().millionths(), cents(&item["price"].to_string()) * 10_000);
        }
        let tracking = order["fulfillments"][0]["tracking_id"][0].as_str();
        assert_eq!(record.text("tracking_numbers"), tracking, "{id}");
        assert_eq!(record.links().iter().filter(|link| link.kind == RecordKind::Customer).count(), 1);
    }
    assert!(records.iter().all(|record| record.extra.is_empty() || record.kind != RecordKind::Order));
}

#[test]
fn every_purchase_order_maps_with_its_exact_total_status_and_lines() {
    let Some(folder) = shared("every_purchase_order_maps", "erp/adventureworks_oltp") else { return };
    let files = read_all(&folder);
    let records = ingest("adventureworks", &files);
    let expected = [
        (RecordKind::PurchaseOrder, 4_012),
        (RecordKind::Supplier, 104),
        (RecordKind::Product, 504),
        (RecordKind::Price, 460),
        (RecordKind::StockLevel, 1_069),
    ];
    for (kind, rows) in expected {
        assert_eq!(count(&records, kind), rows, "{kind}");
    }
    let orders: HashMap<&str, &Record> =
        records.iter().filter(|r| r.kind == RecordKind::PurchaseOrder).map(|r| (r.external_id.as_str(), r)).collect();
    assert_eq!(orders.values().map(|order| order.lines.len()).sum::<usize>(), 8_845);
    let header = std::fs::read_to_string(folder.join("PurchaseOrderHeader.csv")).unwrap();
    for line in header.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let order = orders[cells[0]];
        let (whole, fraction) = cells[11].split_once('.').unwrap();
        let millionths: i64 = format!("{whole}{fraction:0<6}").parse().unwrap();
        assert_eq!(order.fields["total"].as_money().unwrap().millionths(), millionths, "{}", cells[0]);
        let word = ["pending", "approved", "rejected", "complete"][cells[2].parse::<usize>().unwrap() - 1];
        assert_eq!(order.text("status"), Some(word));
        assert_eq!(order.fields["order_date"], Value::Date(cells[6][..10].parse().unwrap()));
        assert_eq!(order.text("supplier_id"), Some(cells[4]));
    }
    let detail = std::fs::read_to_string(folder.join("PurchaseOrderDetail.csv")).unwrap();
    let mut position: HashMap<&str, usize> = HashMap::new();
    for line in detail.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let index = position.entry(cells[0]).or_default();
        let fields = &orders[cells[0]].lines[*index];
        *index += 1;
        assert_eq!(fields["line_number"].as_text(), Some(cells[1]));
        assert_eq!(fields["quantity"].as_decimal().unwrap().to_string(), cells[3]);
        let received = fields["quantity_received"].as_decimal().unwrap();
        assert_eq!(ingest::money::to_millionths(received).unwrap(), cents(&format!("0{}", cells[7])) * 10_000);
    }
}

#[test]
fn records_of_the_data_sets_survive_their_canonical_json() {
    for (mapping, folder) in [("tau_retail", "tau/tau1_retail"), ("adventureworks", "erp/adventureworks_oltp")] {
        let Some(folder) = shared("records_survive_their_canonical_json", folder) else { return };
        for record in ingest(mapping, &read_all(&folder)) {
            let json = record.canonical_json();
            let back = Record::from_canonical_json(&json).unwrap();
            assert_eq!(back, record);
            assert_eq!(back.canonical_json(), json);
        }
    }
}

#[test]
fn every_wholesale_order_maps_with_its_lines() {
    let Some(folder) = shared("every_wholesale_order_maps", "erp/northwind") else { return };
    let records = ingest("northwind", &read_all(&folder));
    for (kind, rows) in [
        (RecordKind::Order, 830),
        (RecordKind::Customer, 91),
        (RecordKind::Supplier, 29),
        (RecordKind::Product, 77),
        (RecordKind::StockLevel, 77),
    ] {
        assert_eq!(count(&records, kind), rows, "{kind}");
    }
    let orders = records.iter().filter(|record| record.kind == RecordKind::Order);
    assert_eq!(orders.map(|order| order.lines.len()).sum::<usize>(), 2_155);
    // Both sums are exact: cents of price times quantity, from the text of the lines and from the records.
    let details = std::fs::read_to_string(folder.join("order_details.csv")).unwrap();
    let whole = |text: &str| text.parse::<i64>().unwrap();
    let cents = |text: &str| (text.parse::<f64>().unwrap() * 100.0).round() as i64;
    let plain: i64 = details
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|cells| cents(cells[2]) * 10_000 * whole(cells[3]))
        .sum();
    let lines = records.iter().filter(|record| record.kind == RecordKind::Order).flat_map(|order| &order.lines);
    let mapped: i64 = lines
        .map(|line| {
            let quantity: i64 = line["quantity"].as_decimal().unwrap().to_string().parse().unwrap();
            line["unit_price"].as_money().unwrap().millionths() * quantity
        })
        .sum();
    assert_eq!(mapped, plain);
}

/// The proposal for a file, and how many of its rows it reads once a person named the currency and the rounding of binary fractions.
fn proposed(folder: &std::path::Path, file: &str) -> (ingest::suggest::Suggestion, usize, Vec<String>) {
    let bytes = std::fs::read(folder.join(file)).unwrap();
    let suggestion = ingest::suggest::suggest(file, &ingest::Given::Text(&bytes), &Limits::default()).unwrap();
    let toml = suggestion
        .toml
        .replace("# currency = \"EUR\"", "currency = \"USD\"")
        .replace("\"freight\" #", "{ from = \"freight\", round = 2 } #")
        .replace("\"unit_price\" #", "{ from = \"unit_price\", round = 2 } #");
    let mapping = Mapping::parse(&toml).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    let (mut records, mut rejected) = (0, Vec::new());
    mapping.read(&[SourceFile { path: file, bytes: &bytes }], &Limits::default(), &mut |outcome| match outcome {
        Ingested::Record { .. } => records += 1,
        Ingested::Rejected(rejection) => rejected.push(rejection.to_string()),
        _ => {}
    });
    rejected.truncate(3);
    (suggestion, records, rejected)
}

#[test]
fn proposals_for_real_tables_name_the_kind_and_read_every_row() {
    let cases = [
        ("erp/northwind", "customers.csv", "customer", 91, &["name", "city", "phone"][..]),
        ("erp/northwind", "suppliers.csv", "supplier", 29, &["name", "website"]),
        ("erp/northwind", "products.csv", "product", 77, &["name", "supplier_id", "discontinued"]),
        ("erp/northwind", "orders.csv", "order", 830, &["customer_id", "ordered_at", "freight"]),
        ("erp/adventureworks_oltp", "Vendor.csv", "supplier", 104, &["name", "credit_rating"]),
        ("erp/adventureworks_oltp", "Product.csv", "product", 504, &["name", "list_price", "standard_cost"]),
        (
            "erp/adventureworks_oltp",
            "PurchaseOrderHeader.csv",
            "purchase_order",
            4_012,
            &["supplier_id", "order_date", "freight"],
        ),
    ];
    for (set, file, kind, rows, fields) in cases {
        let Some(folder) = shared("proposals_for_real_tables", set) else { return };
        let (suggestion, read, rejected) = proposed(&folder, file);
        println!(
            "{file}: {} {:.2}, {} fields\n{}",
            suggestion.kind,
            suggestion.confidence,
            suggestion.fields.len(),
            suggestion.toml
        );
        assert_eq!(suggestion.kind.as_str(), kind, "{file}");
        assert_eq!((read, &rejected), (rows, &Vec::new()), "{file}\n{}", suggestion.toml);
        for field in fields {
            assert!(suggestion.fields.iter().any(|(name, _)| name == field), "{file}: no {field}\n{}", suggestion.toml);
        }
    }
}
