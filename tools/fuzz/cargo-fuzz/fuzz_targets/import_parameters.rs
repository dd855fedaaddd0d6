//! `fuzz::import_parameters` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::import_parameters::run(bytes));
