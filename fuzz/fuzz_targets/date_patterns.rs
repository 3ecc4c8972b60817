//! Any pattern, text and zone given to the functions of dates and times.
#![no_main]

#[path = "../oracles/evaluate.rs"]
mod evaluate;

libfuzzer_sys::fuzz_target!(|data: &[u8]| evaluate::date_patterns(data));
