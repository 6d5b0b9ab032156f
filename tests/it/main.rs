//! One test binary: each file is a behaviour.

mod cli;
mod faulty_vector;
mod llm_outcomes;
mod minilm;
mod outgoing;
mod stub_llm;
mod vector_store;
