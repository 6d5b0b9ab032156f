//! Facts by identifier: a question for every row of a table through `/v1/answers`, exact and cited at the right field.

use anyhow::Result;
use serde_json::Value;

use super::Run;
use crate::bench_app::BenchApp;
use crate::json_path::{filled, values};
use crate::manifest::{ExpectedFact, Facts};
use crate::report::{SetReport, share};

/// What one answer must hold: the value, at a citation of that field.
struct Expected {
    field: String,
    value: String,
}

pub async fn measure(run: &Run<'_>, bench: &BenchApp, facts: &Facts, report: &mut SetReport) -> Result<()> {
    let text = facts.rows.read(run.roots)?;
    let rows = if facts.rows.name().ends_with(".csv") { csv_rows(&text)? } else { json_rows(&text)? };
    let (mut right, mut valid, mut citations) = (0, 0, 0);
    for row in &rows {
        let question = filled(&facts.question, row);
        let record = filled(&facts.record, row);
        let answer = bench.ask(&question).await?;
        let expected: Vec<Expected> = facts.expect.iter().flat_map(|fact| expected(fact, row)).collect();
        let missing: Vec<String> = expected
            .iter()
            .filter(|expected| !cited(&answer, &record, expected))
            .map(|one| format!("{} = {}", one.field, one.value))
            .collect();
        if missing.is_empty() {
            right += 1;
        } else if run.verbose {
            let text = answer["text"].as_str().unwrap_or_default().replace('\n', "\n    ");
            println!("  {question}: missing {missing:?}\n    {text}");
        }
        let (good, all) = bench.check_citations(&answer).await?;
        valid += good;
        citations += all;
    }
    report.figure("facts exact and cited", share(right, rows.len()));
    report.figure("citations verbatim", share(valid, citations));
    report.count("questions about facts", rows.len());
    Ok(())
}

fn json_rows(text: &str) -> Result<Vec<Value>> {
    Ok(values(&serde_json::from_str(text)?, "*").into_iter().cloned().collect())
}

/// Every row as an object of texts.
fn csv_rows(text: &str) -> Result<Vec<Value>> {
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header = reader.headers()?.clone();
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row?;
        rows.push(header.iter().zip(row.iter()).map(|(name, cell)| (name.to_owned(), Value::from(cell))).collect());
    }
    Ok(rows)
}

fn expected(fact: &ExpectedFact, row: &Value) -> Vec<Expected> {
    let Some(each) = &fact.each else { return vec![expected_at(fact, row, fact.field.clone())] };
    let items = values(row, &format!("{each}.*")).into_iter().enumerate();
    items.map(|(n, item)| expected_at(fact, item, fact.field.replace("{n}", &n.to_string()))).collect()
}

fn expected_at(fact: &ExpectedFact, row: &Value, field: String) -> Expected {
    let value = filled(&fact.value, row);
    let value = match (&fact.money, fact.words.get(&value)) {
        (Some(currency), _) => money(&value, currency),
        (None, Some(word)) => word.clone(),
        (None, None) => value,
    };
    Expected { field, value }
}

/// As a card prints it: at least the currency's two decimals, no trailing zeros beyond them.
fn money(amount: &str, currency: &str) -> String {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    format!("{whole}.{:0<2} {currency}", fraction.trim_end_matches('0'))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expectations_are_read_from_the_row() {
        let fact = |json: Value| serde_json::from_value::<ExpectedFact>(json).unwrap();
        let row = json!({ "state": "3", "amount": "12.5", "items": [{ "name": "Lamp" }, { "name": "Bulb" }] });
        let status = fact(json!({ "field": "status", "value": "{state}", "words": { "3": "rejected" } }));
        assert_eq!(expected(&status, &row)[0].value, "rejected");
        let total = fact(json!({ "field": "total", "value": "{amount}", "money": "USD" }));
        assert_eq!(expected(&total, &row)[0].value, "12.50 USD");
        let lines = expected(&fact(json!({ "field": "lines.{n}", "value": "{name}", "each": "items" })), &row);
        assert_eq!((lines[1].field.as_str(), lines[1].value.as_str()), ("lines.1", "Bulb"));
    }

    #[test]
    fn a_value_inside_a_longer_number_is_another_value() {
        assert!(contains_value("Total: 84.00 EUR", "84.00 EUR"));
        assert!(!contains_value("Total: 184.00 EUR", "84.00 EUR"));
        assert!(!contains_value("Total: 0.84.00 EUR", "84.00 EUR"));
    }
}
