//! One test binary: each file is a behaviour.

mod access_matrix;
mod answers;
mod architecture;
mod audit_trail;
mod cli;
mod content;
mod cross_tenant;
mod faulty_vector;
mod field_access;
mod harness;
mod idempotency;
mod index_recovery;
mod limits;
mod llm_outcomes;
mod minilm;
mod openai_client;
mod outgoing;
mod rls;
mod samples;
mod search;
mod secrets;
mod stub_llm;
mod transactions;
mod vector_store;
