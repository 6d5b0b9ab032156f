//! The demo company: *Quillhaven Trading*, an invented online retailer and wholesaler of household goods.
//!
//! `generate` is a pure function of a date and a seed; `DemoCompany::files` gives what `countersign demo` writes to a
//! folder and ingests like any other source: CSV, JSON and NDJSON exports, policies and runbooks, the `mapping.toml` that
//! explains them, and `planted.json`, the answer key. Nothing here knows detectors, the index or answers; nothing in the
//! service reads this module's types, only its files.
//!
//! Everything except what `planted.json` lists is clean under the limits in `thresholds.md`.

mod catalogue;
mod customers;
mod dice;
mod finance;
mod fulfilment;
mod generate;
mod orders;
mod plant;
mod planted;
mod procurement;
mod prose;
mod returns;
mod rows;
mod slots;
mod stock;
mod ticket_texts;
mod tickets;
mod value;
mod words;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

pub use generate::{DEFAULT_SEED, DemoCompany, generate};
pub use planted::{Planted, PlantedException, PlantedFact, PlantedGroup};
pub use prose::{Question, dated, questions};
pub use rows::*;
pub use value::Cents;

/// The limits below which the demo company is clean; the defaults of the detectors, as a Markdown table.
pub const THRESHOLDS: &str = include_str!("thresholds.md");
