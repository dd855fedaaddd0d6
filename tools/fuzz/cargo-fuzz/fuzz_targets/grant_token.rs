//! `fuzz::grant_token` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::grant_token::run(bytes));
