//! Any text given to the SQL parser.
#![no_main]

#[path = "../oracles/parse_sql.rs"]
mod parse_sql;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parse_sql::fuzz_one(data));
