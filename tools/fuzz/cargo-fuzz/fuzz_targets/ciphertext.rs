//! `fuzz::ciphertext` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::ciphertext::run(bytes));
