//! Fuzzes the decoder of DELIMITED.

#![no_main]

#[path = "../oracles/decode_formats.rs"]
mod decode_formats;

libfuzzer_sys::fuzz_target!(|data: &[u8]| decode_formats::decode_delimited(data));
