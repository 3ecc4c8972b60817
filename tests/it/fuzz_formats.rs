//! Mutated records against the oracle of `fuzz/oracles/decode_formats.rs`.

use crate::mutations::Mutations;

#[path = "../../fuzz/oracles/decode_formats.rs"]
mod decode_formats;

/// Pieces of both formats, separated by `~`.
const PIECES: &str = "{~}~[~]~\"~,~:~;~\\~\\u00~\\ud83d\\ude00~\\ud800~\\n~null~true~false~0~-~.~e~E+~1e3~1e400~-0~\
    9223372036854775808~0.1~123456789.123456789~\"A\":~\"a\":~\"b\":~\"B\":~\"\\u0041\":~[[[[~{\"A\":{\"a\":~\"\"~ ~\n~\r~\t~é~日~\0~\
    /w==~NaN~Infinity~2147483648~86400000~[]~{}~[null]~,,,,";

#[test]
fn mutated_json_records_break_nothing() {
    run("decode_json", decode_formats::decode_json);
}

#[test]
fn mutated_delimited_records_break_nothing() {
    run("decode_delimited", decode_formats::decode_delimited);
}

fn run(target: &'static str, oracle: fn(&[u8])) {
    Mutations { target, oracle, inputs: 2_000, longest: 2048, pieces: PIECES, around: "" }.run();
}
