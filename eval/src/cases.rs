//! Questions with what a right answer says, cites, or declines.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use countersign::demo::DemoCompany;

use crate::manifest::{Place, Roots};
use crate::truth;

/// One case.
///
/// A case is right when the answer says everything in `says`, cites every record in `records` and one of `documents`, or when it
/// abstains and was to.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    #[serde(default)]
    pub id: String,
    /// Accuracy is reported by it: `fact`, `policy_by_date`, `computed`, `two_hop`, `unanswerable`, …
    #[serde(default = "general")]
    pub kind: String,
    /// Dates relative to the corpus's day are written `{{as_of-150d}}`.
    pub question: String,
    /// Texts the answer holds, verbatim.
    #[serde(default, alias = "expected")]
    pub says: Vec<String>,
    /// Further texts, derived from the demo company's rows: a name of [`crate::truth`], with `#count` or `#sum` when only that is asked.
    pub truth: Option<String>,
    /// Cells of the demo company's exports that the answer holds: file, value of the first column, column.
    #[serde(default)]
    pub cells: Vec<[String; 3]>,
    /// Texts the answer must not hold.
    #[serde(default)]
    pub never: Vec<String>,
    /// The turns before `question`, for follow-ups.
    #[serde(default)]
    pub turns: Vec<String>,
    /// As `order/SO-1042`.
    #[serde(default)]
    pub records: Vec<String>,
    /// Policy ids, or external ids of documents.
    #[serde(default)]
    pub documents: Vec<String>,
    /// The right answer is to abstain.
    #[serde(default)]
    pub abstains: bool,
}

impl Case {
    /// Writes the days in that are relative to the corpus's.
    pub fn date(&mut self, as_of: jiff::civil::Date) {
        let texts = std::iter::once(&mut self.question).chain(&mut self.says).chain(&mut self.turns);
        texts.for_each(|text| *text = countersign::demo::dated(text, as_of));
    }
}

fn general() -> String {
    "general".to_owned()
}

/// Items of a file of JSON lines, or of one JSON array.
pub fn read<T: DeserializeOwned>(place: &Place, roots: &Roots) -> Result<Vec<T>> {
    parse(&place.read(roots)?).with_context(|| place.under(roots).display().to_string())
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<Vec<T>> {
    if text.trim_start().starts_with('[') {
        return Ok(serde_json::from_str(text)?);
    }
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines.map(|(line, number)| serde_json::from_str(line).with_context(|| format!("line {number}"))).collect()
}

/// What is wrong with an answer of `POST /v1/answers`; nothing: it is right.
pub fn shortcomings(case: &Case, answer: &Value) -> Vec<String> {
    let abstained = answer["abstained"] == true;
    if case.abstains {
        return if abstained { Vec::new() } else { vec!["does not abstain".to_owned()] };
    }
    if abstained {
        return vec!["abstains".to_owned()];
    }
    let text = answer["text"].as_str().unwrap_or_default();
    let lacks = case.says.iter().filter(|one| !text.contains(one.as_str())).map(|one| format!("lacks “{one}”"));
    let mut wrong: Vec<String> = lacks.collect();
    wrong.extend(case.never.iter().filter(|one| text.contains(one.as_str())).map(|one| format!("says “{one}”")));
    let citations = || answer["citations"].as_array().into_iter().flatten();
    for record in &case.records {
        let cited = citations().any(|citation| {
            let one = &citation["record"];
            format!("{}/{}", one["kind"].as_str().unwrap_or(""), one["external_id"].as_str().unwrap_or("")) == *record
        });
        if !cited {
            wrong.push(format!("does not cite {record}"));
        }
    }
    let documents_cited = case.documents.is_empty()
        || citations().any(|citation| {
            let names = [&citation["policy_id"], &citation["external_id"]];
            names.iter().any(|name| name.as_str().is_some_and(|name| case.documents.iter().any(|one| one == name)))
        });
    if !documents_cited {
        wrong.push(format!("cites none of {:?}", case.documents));
    }
    wrong
}

/// Fills in what a case over the demo company expects beside its dates: derived numbers, cells of the exports.
pub fn resolve(case: &mut Case, company: &DemoCompany, files: &[(String, Vec<u8>)]) -> Result<()> {
    if let Some(name) = &case.truth {
        let (name, part) = name.split_once('#').unwrap_or((name, ""));
        let found = truth::says(name, company).with_context(|| format!("{}: no truth {name}", case.id))?;
        anyhow::ensure!(!found.is_empty(), "{}: {name} says nothing", case.id);
        case.says.extend(match part {
            "count" => found[..1].to_vec(),
            "sum" => found[1..].to_vec(),
            _ => found,
        });
    }
    for [file, id, column] in &case.cells {
        let bytes = files.iter().find(|(path, _)| path == file).map(|(_, bytes)| bytes);
        let mut table = csv::Reader::from_reader(bytes.with_context(|| format!("no {file}"))?.as_slice());
        let at =
            table.headers()?.iter().position(|name| name == column).with_context(|| format!("no column {column}"))?;
        let row = table.records().filter_map(Result::ok).find(|row| row.get(0) == Some(id));
        let cell = row.and_then(|row| row.get(at).map(str::to_owned)).filter(|cell| !cell.is_empty());
        let cell = cell.with_context(|| format!("{}: {file} has no {column} for {id}", case.id))?;
        // Times are local in the exports and UTC in answers: the day is compared.
        case.says.push(cell.split('T').next().unwrap_or_default().to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use countersign::demo;

    use super::*;

    fn case(json: Value) -> Case {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_right_answer_says_and_cites_everything() {
        let case = case(json!({ "question": "?", "says": ["84.00"], "records": ["order/1"], "documents": ["POL-1"] }));
        let answer = json!({ "abstained": false, "text": "Total: 84.00 EUR", "citations": [
            { "record": { "kind": "order", "external_id": "1" } }, { "policy_id": "POL-1" }] });
        assert!(shortcomings(&case, &answer).is_empty());
        let other = json!({ "abstained": false, "text": "Total: 85.00 EUR", "citations": [] });
        assert_eq!(shortcomings(&case, &other).len(), 3);
        assert_eq!(shortcomings(&case, &json!({ "abstained": true })), ["abstains"]);
    }

    #[test]
    fn every_own_case_is_well_formed_and_expects_something() {
        let roots = Roots { own: env!("CARGO_MANIFEST_DIR").into(), shared: "nowhere".into() };
        let company = demo::generate("2026-11-02".parse().unwrap(), demo::DEFAULT_SEED);
        let files = company.files();
        let (mut asked, mut follow_ups) = (std::collections::HashSet::new(), 0);
        for name in ["own-development", "own-held-out", "follow-ups-development", "follow-ups-held-out"] {
            for mut case in read::<Case>(&Place::from(format!("cases/{name}.jsonl")), &roots).unwrap() {
                case.date(company.as_of);
                resolve(&mut case, &company, &files).unwrap();
                assert!(case.abstains || !case.says.is_empty() || !case.records.is_empty(), "{}", case.id);
                assert_eq!(case.kind == "follow_up", !case.turns.is_empty(), "{}", case.id);
                follow_ups += usize::from(!case.turns.is_empty());
                assert!(asked.insert((case.question.clone(), case.turns.clone())), "{} is asked twice", case.id);
            }
        }
        assert!(asked.len() >= 200 && follow_ups >= 25, "{} {follow_ups}", asked.len());
    }

    #[test]
    fn an_unanswerable_case_is_right_only_when_declined() {
        let case = case(json!({ "question": "?", "abstains": true }));
        assert!(shortcomings(&case, &json!({ "abstained": true })).is_empty());
        assert!(!shortcomings(&case, &json!({ "abstained": false, "text": "" })).is_empty());
    }

    #[test]
    fn lines_and_arrays_are_read_and_a_bad_line_is_named() {
        assert_eq!(parse::<Case>("{\"question\": \"a\"}\n\n{\"question\": \"b\"}\n").unwrap().len(), 2);
        assert_eq!(parse::<Case>("[{\"question\": \"a\"}]").unwrap()[0].kind, "general");
        assert!(parse::<Case>("{\"question\": \"a\"}\nx").unwrap_err().to_string().contains("line 2"));
    }
}
