//! KAFKA bytes as hexadecimal text, and back.

use crate::formats::FormatName;
use crate::formats::testing::{Codec, hex};

fn codec(ty: &str) -> Codec {
    Codec::new(FormatName::Kafka, &[("V", ty)])
}

#[test]
fn values_are_big_endian_and_come_back() {
    for (ty, bytes, value) in [
        ("INTEGER", "0000000a", "10"),
        ("BIGINT", "fffffffffffffffe", "-2"),
        ("DOUBLE", "3ff8000000000000", "1.5"),
        ("STRING", "c3a9", "é"),
        ("STRING", "", ""),
        ("BYTES", "ff00", "ff00"),
    ] {
        codec(ty).check_both_ways(&hex(bytes), value);
    }
}

#[test]
fn a_wrong_length_or_broken_utf8_is_a_bad_record() {
    codec("INTEGER").check_bad(&hex("00"), "the size of the bytes is 1, but INTEGER takes 4");
    codec("DOUBLE").check_bad(&hex("0000000a"), "the size of the bytes is 4, but DOUBLE takes 8");
    codec("STRING").check_bad(&hex("ff"), "the bytes are not UTF-8");
}

#[test]
fn null_is_null_bytes() {
    codec("BIGINT").check_null();
}
