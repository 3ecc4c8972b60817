//! JSON records as text, and the rows they become.

mod oracle;

use crate::formats::testing::Codec;
use crate::formats::{FormatName, Side, decoder, encoder};

fn json(columns: &[(&str, &str)]) -> Codec {
    Codec::new(FormatName::Json, columns)
}

/// One wrapped column `A` of this type.
fn check(ty: &str, record: &str, row: &str) {
    json(&[("A", ty)]).check(record.as_bytes(), row);
}

fn check_bad(ty: &str, record: &str, error: &str) {
    json(&[("A", ty)]).check_bad(record.as_bytes(), error);
}

#[test]
fn a_field_belongs_to_the_column_of_its_exact_or_upper_cased_name() {
    let codec = json(&[("FOO", "INTEGER"), ("bar", "INTEGER")]);
    codec.check(br#"{"foo":1,"bar":2}"#, "1 | 2");
    codec.check(br#"{"Foo":1,"BAR":2}"#, "1 | null");
    codec.check(br#"{"FOO":1,"foo":2}"#, "1 | null");
    codec.check(br#"{"foo":2,"FOO":1}"#, "1 | null");
    codec.check(br#"{"foo":1,"Foo":2}"#, "2 | null");
    codec.check(br#"{"FOO":1,"FOO":2}"#, "2 | null");
    codec.check(br#"{"FOO":null,"foo":2}"#, "null | null");
    codec.check(br#"{"f\u006fo":7}"#, "7 | null");
    json(&[("É", "INTEGER")]).check("{\"é\":1}".as_bytes(), "1");
}

#[test]
fn the_name_rule_holds_inside_structs() {
    let ty = "STRUCT<B INTEGER, c STRING>";
    check(ty, r#"{"A":{"b":1,"c":"x"}}"#, "{B: 1, c: x}");
    check(ty, r#"{"a":{"B":1,"b":2,"C":"x"}}"#, "{B: 1, c: null}");
}

#[test]
fn missing_fields_are_null_and_unknown_ones_ignored() {
    let codec = json(&[("A", "INTEGER"), ("B", "STRING")]);
    codec.check(br#"{}"#, "null | null");
    codec.check(br#" { "x" : {"A":[1,{}]} , "A" : 1 } "#, "1 | null");
    codec.check(br#"null"#, "null | null");
}

#[test]
fn an_overwritten_value_need_not_fit() {
    check("INTEGER", r#"{"A":"x","A":1}"#, "1");
    check("INTEGER", r#"{"a":"x","A":1}"#, "1");
    check("INTEGER", r#"{"A":1,"a":"x"}"#, "1");
    check_bad("INTEGER", r#"{"A":1,"A":"x"}"#, "cannot convert the text of a string to INTEGER at $.A");
    check("ARRAY<STRUCT<B INTEGER>>", r#"{"A":[{"B":[]}],"A":[{"B":true,"B":5}]}"#, "[{B: 5}]");
    check("MAP<STRING, INTEGER>", r#"{"A":{"x":true,"y":1,"\u0078":3}}"#, "{y: 1, x: 3}");
    check_bad(
        "MAP<STRING, INTEGER>",
        r#"{"A":{"x":1,"x":true}}"#,
        "cannot convert a boolean to INTEGER at $.A.x.value",
    );
}

#[test]
fn integers_are_cut_off_and_wrap() {
    for (json, int, long) in [
        ("1.9", "1", "1"),
        ("-1.9", "-1", "-1"),
        ("1e2", "100", "100"),
        ("3000000000", "-1294967296", "3000000000"),
        ("9223372036854775808", "0", "-9223372036854775808"),
        ("\"12\"", "12", "12"),
        ("\"+12\"", "12", "12"),
        ("-0", "0", "0"),
    ] {
        check("INTEGER", &format!("{{\"A\":{json}}}"), int);
        check("BIGINT", &format!("{{\"A\":{json}}}"), long);
    }
    check_bad("INTEGER", r#"{"A":"3000000000"}"#, "cannot convert the text of a string to INTEGER at $.A");
    check_bad("INTEGER", r#"{"A":" 1"}"#, "cannot convert the text of a string to INTEGER at $.A");
    check_bad("BIGINT", r#"{"A":true}"#, "cannot convert a boolean to BIGINT at $.A");
}

#[test]
fn doubles_are_numbers_or_their_text() {
    for (json, expected) in [
        ("1", "1.0"),
        ("1.25", "1.25"),
        ("-0.1", "-0.1"),
        ("-0", "0.0"),
        ("-0.0", "0.0"),
        ("0.1e1", "1.0"),
        ("123456789012345678901234567890", "1.2345678901234568e29"),
        ("\" 2.5d \"", "2.5"),
        ("\"NaN\"", "NaN"),
        ("1e400", "inf"),
    ] {
        check("DOUBLE", &format!("{{\"A\":{json}}}"), expected);
    }
    check_bad("DOUBLE", r#"{"A":"one"}"#, "cannot convert the text of a string to DOUBLE at $.A");
}

#[test]
fn decimals_must_fit_without_rounding() {
    for (json, expected) in [
        ("1", "1.00"),
        ("12.3", "12.30"),
        ("12.300", "12.30"),
        ("\"1.5e1\"", "15.00"),
        ("-99.99", "-99.99"),
        ("-0", "0.00"),
    ] {
        check("DECIMAL(4, 2)", &format!("{{\"A\":{json}}}"), expected);
        check("DECIMAL(50, 2)", &format!("{{\"A\":{json}}}"), expected);
    }
    check_bad(
        "DECIMAL(4, 2)",
        r#"{"A":100}"#,
        "numeric field overflow: a field with precision 4 and scale 2 must have an absolute value less than 10^2 at $.A",
    );
    check_bad("DECIMAL(4, 2)", r#"{"A":1.005}"#, "cannot fit the decimal into DECIMAL(4, 2) without rounding at $.A");
    check_bad("DECIMAL(4, 2)", r#"{"A":"x"}"#, "cannot convert the text of a string to DECIMAL at $.A");
}

#[test]
fn anything_becomes_a_string() {
    for (json, expected) in [
        (r#""a\"b\u00e9\n\ud83d\ude00""#, "a\"bé\n😀"),
        ("12", "12"),
        ("-0", "0"),
        ("12.50", "12.50"),
        ("1e3", "1E+3"),
        ("true", "true"),
        (r#"{ "k" : [1, 2.50, null], "k2" : "\u0001/é" }"#, r#"{"k":[1,2.50,null],"k2":"\u0001/é"}"#),
        (r#"{"k":1,"l":2,"k":3}"#, r#"{"k":3,"l":2}"#),
        (r#"["a", 1, null, {"b": "c"}, [true]]"#, r#"[a, 1, null, {"b":"c"}, [true]]"#),
        ("[]", "[]"),
    ] {
        check("STRING", &format!("{{\"A\":{json}}}"), expected);
    }
}

#[test]
fn bytes_are_base64() {
    check("BYTES", r#"{"A":"/wA="}"#, "ff00");
    check("BYTES", r#"{"A":""}"#, "");
    check_bad("BYTES", r#"{"A":"/wA"}"#, "cannot convert the text of a string to BYTES at $.A");
    check_bad("BYTES", r#"{"A":1}"#, "cannot convert a number to BYTES at $.A");
}

#[test]
fn times_are_numbers_or_their_text() {
    check("TIME", r#"{"A":3661001}"#, "01:01:01.001");
    check("DATE", r#"{"A":"-1"}"#, "1969-12-31");
    check("TIMESTAMP", r#"{"A":1.5}"#, "1970-01-01T00:00:00.001");
    check_bad(
        "TIME",
        r#"{"A":86400000}"#,
        "a TIME is a number of milliseconds from 0 to 86399999, not 86400000 at $.A",
    );
    check_bad("DATE", r#"{"A":3000000000}"#, "3000000000 days are out of range for a DATE at $.A");
    check_bad("TIMESTAMP", r#"{"A":"now"}"#, "cannot convert the text of a string to TIMESTAMP at $.A");
}

#[test]
fn a_mismatch_names_the_path() {
    let ty = "ARRAY<STRUCT<B MAP<STRING, INTEGER>>>";
    check_bad(ty, r#"{"A":[null,{"B":{"k":1,"l":true}}]}"#, "cannot convert a boolean to INTEGER at $.A[1].B.l.value");
    check_bad(ty, r#"{"A":[{"B":[]}]}"#, "cannot convert an array to MAP at $.A[0].B");
    check_bad(ty, r#"{"A":["x"]}"#, "cannot convert a string to STRUCT at $.A[0]");
    check_bad(ty, r#"{"A":{}}"#, "cannot convert an object to ARRAY at $.A");
    check_bad("BOOLEAN", r#"{"A":"true"}"#, "cannot convert a string to BOOLEAN at $.A");
    check_bad("BOOLEAN", "[true]", "cannot convert an array to a record of columns at $");
}

#[test]
fn what_is_not_json_is_a_bad_record() {
    for (record, error) in [
        ("", "a JSON value at byte 0"),
        ("{", "a field name in quotes at byte 1"),
        (r#"{"A" 1}"#, "':' at byte 5"),
        (r#"{"A":1"#, "',' or '}' at byte 6"),
        (r#"{"A":01}"#, "a number at byte 5"),
        (r#"{"A":1.}"#, "a digit after the point at byte 5"),
        (r#"{"x":[1,]}"#, "a JSON value at byte 8"),
        (r#"{"A":1}x"#, "the end of the record at byte 7"),
        (r#"{"x":"\ud80"}"#, "valid escapes in the string at byte 12"),
        (r#"{"A":"\ud800"}"#, "valid escapes in the string at byte 13"),
        ("{\"x\":\"a\nb\"}", "the end of a string at byte 7"),
        (r#"{"x":"a\"#, "the end of a string at byte 8"),
        (r#"{"x":{"\q":1}}"#, "valid escapes in the string at byte 10"),
        ("nul", "a JSON value at byte 0"),
    ] {
        check_bad("INTEGER", record, &format!("the bytes are not JSON: expected {error}"));
    }
    json(&[("A", "STRING")]).check_bad(b"{\"A\":\"\xff\"}", "the bytes are not JSON: expected UTF-8 at byte 8");
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    check("STRING", &nested(126), "null");
    check_bad(
        "STRING",
        &nested(100_000),
        "the bytes are not JSON: expected at most 127 nested arrays and objects at byte 131",
    );
    let text = nested(125).replace("\"x\"", "\"A\"");
    check("STRING", &text, &text[5..text.len() - 1]);
}

#[test]
fn an_escaped_key_is_never_expected_again() {
    // Unescaped, the first record's key is `A":1,"B`: as a hint it would match across the second record's keys.
    let codec = json(&[("A", "INTEGER"), ("B", "INTEGER"), ("A\":1,\"B", "INTEGER")]);
    let columns = codec.decode(&[br#"{"A\":1,\"B":9}"#, br#"{"A":1,"B":2}"#]).unwrap();
    assert_eq!(crate::formats::testing::row_text(&columns, 0), "null | null | 9");
    assert_eq!(crate::formats::testing::row_text(&columns, 1), "1 | 2 | null");
}

#[test]
fn bare_values_stand_at_the_top() {
    for (ty, record, row) in [
        ("INTEGER", " 10 ", "10"),
        ("STRING", "\"x\"", "x"),
        ("STRING", "{\"V\": 1}", "{\"V\":1}"),
        ("BOOLEAN", "null", "null"),
        ("ARRAY<STRING>", "[1, null]", "[1, null]"),
        ("MAP<STRING, DOUBLE>", "{\"b\":1}", "{b: 1.0}"),
        ("STRUCT<F INTEGER>", "{\"f\":1}", "{F: 1}"),
    ] {
        json(&[("V", ty)]).unwrapped().check(record.as_bytes(), row);
    }
    json(&[("V", "INTEGER")]).unwrapped().check_bad(b"[1]", "cannot convert an array to INTEGER at $");
    json(&[("V", "INTEGER")])
        .unwrapped()
        .check_bad(b"1 2", "the bytes are not JSON: expected the end of the record at byte 2");
    json(&[("V", "INTEGER")]).unwrapped().check_null();
}

#[test]
fn only_wanted_columns_are_read() {
    let side = json(&[("A", "INTEGER"), ("B", "STRING"), ("C", "DOUBLE")]).side;
    let mut decoder = decoder(&side, &[2, 0]).unwrap();
    decoder.decode(br#"{"A":1,"B":{},"C":1.5}"#).unwrap();
    decoder.decode(br#"{"A":2,"C":2.5}"#).unwrap();
    decoder.undo_last();
    decoder.append_null();
    let columns = decoder.finish();
    assert_eq!(crate::formats::testing::row_text(&columns, 0), "1.5 | 1");
    assert_eq!(columns[0].len(), 2);
    assert!(decoder.finish()[0].is_empty());
}

#[test]
fn all_columns_are_written_with_java_spelling() {
    let codec = json(&[
        ("A", "DOUBLE"),
        ("b\"", "DECIMAL(6, 2)"),
        ("C", "STRING"),
        ("D", "BYTES"),
        ("E", "TIMESTAMP"),
        ("F", "STRUCT<X INTEGER, Y ARRAY<BOOLEAN>>"),
        ("G", "MAP<STRING, TIME>"),
    ]);
    let record =
        r#"{"A":1E10,"b\"":12.3,"c":"\u0001\u001f\"\\\/\b\u00e9","D":"/w==","E":5,"F":{"y":[true,null]},"g":{"k":1}}"#;
    assert_eq!(
        codec.rewrite(record.as_bytes()),
        r#"{"A":1.0E10,"b\"":12.30,"C":"\u0001\u001F\"\\/\bé","D":"/w==","E":5,"F":{"X":null,"Y":[true,null]},"G":{"k":1}}"#
    );
    assert_eq!(codec.rewrite(b"{}"), r#"{"A":null,"b\"":null,"C":null,"D":null,"E":null,"F":null,"G":null}"#);
    assert_eq!(json(&[("A", "DOUBLE")]).rewrite(br#"{"A":"NaN"}"#), r#"{"A":"NaN"}"#);
    assert_eq!(json(&[("A", "DOUBLE")]).rewrite(br#"{"A":-1e999}"#), r#"{"A":"-Infinity"}"#);
}

#[test]
fn skipped_rows_are_null_bytes_and_columns_of_another_number_are_refused() {
    let codec = json(&[("A", "INTEGER")]);
    let columns = codec.decode(&[br#"{"A":1}"#, br#"{"A":2}"#]).unwrap();
    let skip = [true, false].into_iter().collect();
    let mut out = crate::formats::EncodedSide::default();
    encoder(&codec.side).unwrap().encode(&columns, 2, Some(&skip), &mut out).unwrap();
    assert_eq!((out.get(0), out.get(1)), (None, Some(br#"{"A":2}"#.as_slice())));
    let side = Side { columns: Vec::new(), ..codec.side };
    assert!(encoder(&side).unwrap().encode(&[], 1, None, &mut out).is_ok());
    assert_eq!(out.get(2), None);
}
