//! The actions of KMS and what stands behind them, over a store in memory that a test can cut at any step. One program, so that
//! it is built and linked once.

mod authorization;
mod ciphertexts;
mod condition_keys;
mod epochs;
mod grants_and_aliases;
mod import;
mod key_pairs;
mod key_states;
mod root_keys;
mod rotation;
#[path = "../support/mod.rs"]
mod support;
