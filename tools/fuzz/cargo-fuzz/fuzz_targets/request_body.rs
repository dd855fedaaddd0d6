//! `fuzz::request_body` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::request_body::run(bytes));
