//! Facts by identifier over open data: every order's and purchase order's facts through `/v1/answers`, exact and cited at the right field.

use std::path::Path;

use anyhow::{Context, Result};
use countersign::clock::Clock;
use countersign::source::folder;
use ingest::Limits;
use ingest::mapping::{Mapping, builtin};
use serde_json::Value;

use crate::bench_app::BenchApp;
use crate::report::Report;

/// What one answer must hold: the value, at a citation of that field.
struct Expected {
    field: String,
    value: String,
}

struct Case {
    question: String,
    record: String,
    expected: Vec<Expected>,
}

pub async fn tau(report: &mut Report, shared: &Path, verbose: bool) -> Result<()> {
    let folder = shared.join("tau/tau1_retail");
    if !folder.is_dir() {
        println!("skipped: tau: its data is absent");
        return Ok(());
    }
    let bench = load("tau_retail", &folder).await?;
    let text = std::fs::read_to_string(folder.join("orders.json"))?;
    let orders: serde_json::Map<String, Value> = serde_json::from_str(&text)?;
    let cases = orders.values().map(order_case).collect::<Vec<_>>();
    score(report, "tau", &bench, cases, verbose).await
}

/// Read from the file by other means than the mapping.
fn order_case(order: &Value) -> Case {
    let id = order["order_id"].as_str().unwrap_or_default();
    let mut expected = vec![
        Expected { field: "status".into(), value: order["status"].as_str().unwrap_or_default().into() },
        Expected { field: "total".into(), value: money(&order["payment_history"][0]["amount"].to_string(), "USD") },
    ];
    for (position, item) in order["items"].as_array().into_iter().flatten().enumerate() {
        let field = format!("lines.{position}");
        for value in [
            item["name"].as_str().unwrap_or_default().to_owned(),
            item["item_id"].as_str().unwrap_or_default().to_owned(),
            money(&item["price"].to_string(), "USD"),
        ] {
            expected.push(Expected { field: field.clone(), value });
        }
    }
    Case {
        question: format!("What are the status, the total and the items of order {id}?"),
        record: id.to_owned(),
        expected,
    }
}

pub async fn adventureworks(report: &mut Report, shared: &Path, verbose: bool) -> Result<()> {
    let folder = shared.join("erp/adventureworks_oltp");
    if !folder.is_dir() {
        println!("skipped: adventureworks: its data is absent");
        return Ok(());
    }
    let bench = load("adventureworks", &folder).await?;
    let text = std::fs::read_to_string(folder.join("PurchaseOrderHeader.csv"))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().trim_start_matches('\u{feff}').split(',').collect();
    let column = |name: &str| header.iter().position(|cell| *cell == name).with_context(|| format!("no column {name}"));
    let (id, status, total, vendor) =
        (column("PurchaseOrderID")?, column("Status")?, column("TotalDue")?, column("VendorID")?);
    let cases = lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let cells: Vec<&str> = line.trim_end().split(',').collect();
            let word = match cells[status] {
                "1" => "pending",
                "2" => "approved",
                "3" => "rejected",
                _ => "complete",
            };
            let expected = vec![
                Expected { field: "status".into(), value: word.into() },
                Expected { field: "total".into(), value: money(cells[total], "USD") },
                Expected { field: "supplier_id".into(), value: cells[vendor].into() },
            ];
            Case {
                question: format!("Status, total and vendor of purchase order {}?", cells[id]),
                record: cells[id].to_owned(),
                expected,
            }
        })
        .collect();
    score(report, "adventureworks", &bench, cases, verbose).await
}

async fn load(name: &str, directory: &Path) -> Result<BenchApp> {
    let bench = BenchApp::start(None, Clock::System).await?;
    let mapping = Mapping::parse(builtin(name).context("no such mapping")?)?;
    let (files, _) = folder::files(directory, &mapping, &Limits::default())?;
    let files = files
        .into_iter()
        .filter(|file| !file.path.ends_with(".md") && !file.path.ends_with(".txt"))
        .collect::<Vec<_>>();
    let (records, _, rejected) = bench.push_files(&name.replace('_', "-"), &mapping, &files).await?;
    println!("{name}: {records} records, {rejected} rejected");
    bench.settle(true).await?;
    Ok(bench)
}

/// As a card prints it: at least the currency's two decimals, no trailing zeros beyond them.
fn money(amount: &str, currency: &str) -> String {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    format!("{whole}.{:0<2} {currency}", fraction.trim_end_matches('0'))
}

async fn score(report: &mut Report, set: &str, bench: &BenchApp, cases: Vec<Case>, verbose: bool) -> Result<()> {
    let (mut right, mut valid, mut citations) = (0, 0, 0);
    for case in &cases {
        let answer = bench.ask(&case.question).await?;
        let missing: Vec<&Expected> =
            case.expected.iter().filter(|expected| !cited(&answer, &case.record, expected)).collect();
        if missing.is_empty() {
            right += 1;
        } else if verbose {
            let wanted: Vec<String> = missing.iter().map(|one| format!("{} = {}", one.field, one.value)).collect();
            println!(
                "  {}: missing {wanted:?}\n    {}",
                case.question,
                answer["text"].as_str().unwrap_or_default().replace('\n', "\n    ")
            );
        }
        let (good, all) = bench.check_citations(&answer).await?;
        valid += good;
        citations += all;
    }
    report.figure(set, "facts exact and cited", f64::from(right) / cases.len() as f64, Some(1.0));
    report.figure(set, "citations verbatim", valid as f64 / (citations as f64).max(1.0), Some(1.0));
    report.figure(set, "questions", cases.len() as f64, None);
    bench.app.close().await;
    Ok(())
}

/// Whether a claim states the value and cites that field of that record with a quote that holds the value.
fn cited(answer: &Value, record: &str, expected: &Expected) -> bool {
    answer["citations"].as_array().into_iter().flatten().any(|citation| {
        let right_field = citation["record"]["field"].as_str() == Some(expected.field.as_str());
        let right_record = citation["record"]["external_id"].as_str() == Some(record);
        let quote = citation["quote"].as_str().unwrap_or_default();
        right_field && right_record && contains_value(quote, &expected.value)
    })
}

fn contains_value(quote: &str, value: &str) -> bool {
    quote.match_indices(value).any(|(at, _)| {
        let before = quote[..at].chars().next_back();
        let after = quote[at + value.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '.') && !after.is_some_and(char::is_alphanumeric)
    })
}
