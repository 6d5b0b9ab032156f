//! One test binary: each file is a behaviour.

mod access_matrix;
mod answers;
mod architecture;
mod cli;
mod content;
mod cross_tenant;
mod faulty_vector;
mod harness;
mod idempotency;
mod limits;
mod llm_outcomes;
mod minilm;
mod openai_client;
mod outgoing;
mod rls;
mod samples;
mod stub_llm;
mod transactions;
mod vector_store;
