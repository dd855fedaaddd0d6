//! What must hold of every parser that a peer can reach, whatever the bytes are: it ends, does not panic, keeps its word.
//!
//! A target is a function of bytes that panics when something does not hold. `tests/corpus.rs` runs each on its seeds, on
//! the files of `corpus/NAME` and on changes of both, with stable cargo; `cargo-fuzz/` runs the same functions under
//! libFuzzer. Whoever adds a parser adds a file here, a row below and a line in `cargo-fuzz`.
#![allow(clippy::panic, clippy::expect_used, reason = "a panic is how a target says that something does not hold")]

pub mod ciphertext;
pub mod grant_token;
pub mod import_parameters;
mod installation;
pub mod policy_document;
pub mod query;
pub mod request_body;
pub mod signature;

/// One parser under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also of its corpus and of its binary under cargo-fuzz.
    pub name: &'static str,
    /// Panics when something does not hold of these bytes.
    pub run: fn(&[u8]),
    /// Inputs that reach deep, besides the files of the corpus: those that depend on keys are made here.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "signature", run: signature::run, seeds: signature::seeds },
    Target { name: "policy_document", run: policy_document::run, seeds: Vec::new },
    Target { name: "ciphertext", run: ciphertext::run, seeds: ciphertext::seeds },
    Target { name: "grant_token", run: grant_token::run, seeds: grant_token::seeds },
    Target { name: "import_parameters", run: import_parameters::run, seeds: import_parameters::seeds },
    Target { name: "query", run: query::run, seeds: Vec::new },
    Target { name: "request_body", run: request_body::run, seeds: Vec::new },
];
