//! countersign: grounded answers over ERP records and policies, and drafts that nobody sends before a person countersigns.

pub mod embed;
pub mod llm;
pub mod net;
pub mod secret;

pub mod vector;
