//! The rules of each format, one line of columns at a time.

use super::{default_unwrapped, parse_delimiter, unwrap_value, validate};
use crate::diagnostics::Code;
use crate::formats::{FormatName, Side, SideColumn};
use crate::types::{SqlType, StructField};

fn map(key: SqlType) -> SqlType {
    SqlType::Map(Box::new(key), Box::new(SqlType::Double))
}

/// The message that columns `C0`, `C1`, … of these types get, or `ok`.
fn check(format: FormatName, is_key: bool, types: &[SqlType], expected: &str) {
    let columns = types
        .iter()
        .enumerate()
        .map(|(i, ty)| SideColumn { name: format!("C{i}").as_str().into(), ty: ty.clone() })
        .collect();
    let side = Side { format, delimiter: None, unwrapped: types.len() == 1, columns };
    let got = validate(&side, is_key).map_or_else(|e| e.primary, |()| "ok".to_owned());
    assert!(got.starts_with(expected), "{format} {types:?}: {got}");
}

#[test]
fn kafka_holds_one_column_of_five_types() {
    for ty in [SqlType::Integer, SqlType::BigInt, SqlType::Double, SqlType::String, SqlType::Bytes] {
        check(FormatName::Kafka, true, &[ty], "ok");
    }
    check(FormatName::Kafka, true, &[], "ok");
    check(FormatName::Kafka, true, &[SqlType::Boolean], "the 'KAFKA' format does not support type 'BOOLEAN'");
    check(
        FormatName::Kafka,
        true,
        &[SqlType::Integer, SqlType::Boolean],
        "the 'KAFKA' format only supports a single field. Got: [`C0` INTEGER KEY, `C1` BOOLEAN KEY]",
    );
}

#[test]
fn delimited_holds_scalars_only() {
    check(FormatName::Delimited, false, &[SqlType::Time, SqlType::Decimal { precision: 4, scale: 2 }], "ok");
    let array = SqlType::Array(Box::new(SqlType::Integer));
    check(
        FormatName::Delimited,
        false,
        &[SqlType::Time, array],
        "the 'DELIMITED' format does not support type 'ARRAY', column: `C1`",
    );
}

#[test]
fn maps_in_keys_are_refused_before_the_format_is_asked() {
    let nested = SqlType::Struct([StructField { name: "F".into(), ty: map(SqlType::String) }].into_iter().collect());
    for format in FormatName::ALL {
        check(format, true, std::slice::from_ref(&nested), "map keys, including types that contain maps");
    }
    check(FormatName::Json, false, &[nested], "ok");
}

#[test]
fn json_maps_have_string_keys() {
    let deep = SqlType::Array(Box::new(map(SqlType::Integer)));
    check(FormatName::Json, false, &[deep], "JSON only supports MAP types with STRING keys");
}

#[test]
fn none_holds_nothing() {
    check(FormatName::None, true, &[], "ok");
    check(
        FormatName::None,
        false,
        &[SqlType::Integer],
        "the 'NONE' format can only be used when no columns are defined. Got: [`C0` INTEGER]",
    );
}

#[test]
fn formats_of_a_registry_are_not_built_yet() {
    let side = Side { format: FormatName::Avro, delimiter: None, unwrapped: false, columns: Vec::new() };
    assert_eq!(validate(&side, false).map_err(|e| e.code), Err(Code::NotImplemented));
    assert!(crate::formats::decoder(&side, &[]).is_err());
}

#[test]
fn the_refusal_shows_format_and_schema() {
    let columns = vec![SideColumn { name: "K".into(), ty: SqlType::Boolean }];
    let side = Side { format: FormatName::Kafka, delimiter: None, unwrapped: true, columns };
    assert_eq!(
        validate(&side, true).unwrap_err().detail.unwrap(),
        "Key format does not support schema.\nformat: KAFKA\nschema: Persistence{columns=[`K` BOOLEAN KEY], features=[]}"
    );
}

#[test]
fn a_delimiter_belongs_to_delimited() {
    let side = Side { format: FormatName::Json, delimiter: Some(';'), unwrapped: false, columns: Vec::new() };
    assert_eq!(validate(&side, false).unwrap_err().primary, "JSON does not support the following configs: [delimiter]");
}

#[test]
fn delimiters_are_one_character_or_named() {
    for (text, delimiter) in [(";", ';'), ("TAB", '\t'), ("SPACE", ' '), ("é", 'é')] {
        assert_eq!(parse_delimiter(text).unwrap(), delimiter);
    }
    for (text, message) in [
        ("", "delimiter cannot be empty"),
        ("\t", "delimiter cannot be empty"),
        ("<~>", "invalid delimiter value: '<~>'"),
        ("tab", "invalid delimiter value: 'tab'"),
        ("\"", "the quote character"),
    ] {
        assert!(parse_delimiter(text).unwrap_err().primary.starts_with(message), "{text}");
    }
}

#[test]
fn single_values_are_wrapped_as_the_statement_the_setting_or_the_format_says() {
    use FormatName::{Delimited, Json, Kafka, Protobuf};
    assert_eq!(unwrap_value(Json, 1, None, None), Ok(false));
    assert_eq!(unwrap_value(Json, 1, Some(false), Some(true)), Ok(true));
    assert_eq!(unwrap_value(Json, 1, None, Some(false)), Ok(true));
    assert_eq!(unwrap_value(Json, 2, None, Some(false)), Ok(false));
    assert_eq!(unwrap_value(Kafka, 1, None, Some(true)), Ok(true));
    assert_eq!(unwrap_value(Protobuf, 1, None, Some(false)), Ok(false));
    let refused = unwrap_value(Delimited, 1, Some(true), None).unwrap_err();
    assert_eq!(refused.primary, "format 'DELIMITED' does not support 'WRAP_SINGLE_VALUE' set to 'true'");
    let refused = unwrap_value(Json, 2, Some(false), None).unwrap_err();
    assert_eq!(refused.primary, "'WRAP_SINGLE_VALUE' is only valid for single-field value schemas");
    assert!(default_unwrapped(Json, true, 1) && !default_unwrapped(Json, true, 2));
}
