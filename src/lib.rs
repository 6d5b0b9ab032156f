//! countersign: an operations copilot. Modules in flow order; arrows point back (`tests/it/architecture.rs` checks).

// Foundations: used by every stage, use none.
pub mod access;
pub mod audit;
pub mod canonical;
pub mod clock;
pub mod config;
pub mod ids;
pub mod net;
pub mod quota;
pub mod redact;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod webhook;

// Neighbours: a trait each, because two implementations exist; they import no stage.
pub mod embed;
pub mod llm;
pub mod vector;

// The models in their order, as one tenant may use them.
pub mod ladder;

// Stages, in flow order.
pub mod document;
pub mod record;
pub mod source;
pub mod index;
pub mod retrieve;
pub mod compute;
pub mod answer;
pub mod conversation;
pub mod detect;

// The demo company: files only, used by no stage.
pub mod demo;

// The service put together.
pub mod app;
pub mod start;

// Its faces.
pub mod cli;
pub mod http;
