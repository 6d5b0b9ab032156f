//! One test binary: each file is a behaviour.

mod content;
mod faulty_vector;
mod harness;
mod llm_outcomes;
mod minilm;
mod outgoing;
mod stub_llm;
mod vector_store;
