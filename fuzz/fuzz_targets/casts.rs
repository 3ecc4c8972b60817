//! Any text cast to every type.
#![no_main]

#[path = "../oracles/evaluate.rs"]
mod evaluate;

libfuzzer_sys::fuzz_target!(|data: &[u8]| evaluate::casts(data));
