//! What is written reads back, for every type a format holds.

use datafusion::arrow::array::ArrayRef;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use serde_json::Value;

use super::testing::{Codec, encode, row_text, sql_type};
use super::{FormatName, decoder, encoder};
use crate::types::SqlType;
use crate::types::java_number::double_to_string;

/// JSON values of a type, which the JSON decoder turns into columns: the shortest way to make arrays of every type.
fn values(ty: &SqlType) -> BoxedStrategy<Value> {
    let some = match ty {
        SqlType::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        SqlType::Integer | SqlType::Date => any::<i32>().prop_map(Value::from).boxed(),
        SqlType::BigInt | SqlType::Timestamp => any::<i64>().prop_map(Value::from).boxed(),
        SqlType::Time => (0..86_400_000).prop_map(Value::from).boxed(),
        SqlType::Double => {
            // A zero has no sign in JSON.
            any::<f64>().prop_map(|v| Value::from(double_to_string(v + 0.0))).boxed()
        }
        SqlType::Decimal { precision, scale } => {
            let whole = (precision - scale) as usize;
            proptest::string::string_regex(&format!("-?[0-9]{{1,{whole}}}\\.[0-9]{{0,{scale}}}"))
                .unwrap()
                .prop_map(Value::from)
                .boxed()
        }
        SqlType::String => any::<String>().prop_map(Value::from).boxed(),
        SqlType::Bytes => any::<Vec<u8>>()
            .prop_map(|bytes| {
                let mut text = Vec::new();
                super::base64_text::push_encoded(&mut text, &bytes);
                Value::from(String::from_utf8(text).unwrap())
            })
            .boxed(),
        SqlType::Array(element) => proptest::collection::vec(values(element), 0..4).prop_map(Value::from).boxed(),
        SqlType::Map(_, value) => proptest::collection::vec((any::<String>(), values(value)), 0..4)
            .prop_map(|entries| Value::Object(entries.into_iter().collect()))
            .boxed(),
        SqlType::Struct(fields) => fields
            .iter()
            .map(|field| values(&field.ty))
            .collect::<Vec<_>>()
            .prop_map({
                let fields = std::sync::Arc::clone(fields);
                move |values| {
                    Value::Object(fields.iter().map(|field| field.name.as_str().to_owned()).zip(values).collect())
                }
            })
            .boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 5 => some].boxed()
}

/// The columns of rows of JSON values.
fn columns(codec: &Codec, rows: &[Vec<Value>]) -> Vec<ArrayRef> {
    let json = Codec {
        side: super::Side { format: FormatName::Json, delimiter: None, unwrapped: false, ..codec.side.clone() },
    };
    let records: Vec<Vec<u8>> = rows
        .iter()
        .map(|row| {
            let names = codec.side.columns.iter().map(|column| column.name.as_str().to_owned());
            serde_json::to_vec(&Value::Object(names.zip(row.iter().cloned()).collect())).unwrap()
        })
        .collect();
    json.decode(&records.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
}

/// Columns as text after they were written and read back; rows of null bytes are read as nulls.
fn there_and_back(codec: &Codec, columns: &[ArrayRef]) -> Vec<ArrayRef> {
    let encoded = encode(&codec.side, columns);
    let wanted: Vec<usize> = (0..columns.len()).collect();
    let mut decoder = decoder(&codec.side, &wanted).unwrap();
    for row in 0..columns[0].len() {
        match encoded.get(row) {
            Some(bytes) => decoder.decode(bytes).unwrap(),
            None => decoder.append_null(),
        }
    }
    decoder.finish()
}

fn rows(types: &[&str]) -> impl Strategy<Value = Vec<Vec<Value>>> + use<> {
    let row: Vec<_> = types.iter().map(|ty| values(&sql_type(ty))).collect();
    proptest::collection::vec(row, 1..5)
}

const SCALARS: [(&str, &str); 11] = [
    ("A", "BOOLEAN"),
    ("B", "INTEGER"),
    ("C", "BIGINT"),
    ("D", "DOUBLE"),
    ("E", "DECIMAL(9, 4)"),
    ("F", "DECIMAL(60, 20)"),
    ("G", "STRING"),
    ("H", "BYTES"),
    ("I", "TIME"),
    ("J", "DATE"),
    ("K", "TIMESTAMP"),
];

const NESTED: [(&str, &str); 4] = [
    ("L", "ARRAY<DECIMAL(5, 2)>"),
    ("M", "MAP<STRING, ARRAY<DOUBLE>>"),
    ("N", "STRUCT<A STRING, b STRUCT<C BIGINT>>"),
    ("o\"\\", "ARRAY<STRUCT<X MAP<STRING, BYTES>>>"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_keeps_every_value(rows in rows(&[SCALARS.map(|(_, ty)| ty).as_slice(), NESTED.map(|(_, ty)| ty).as_slice()].concat())) {
        let codec = Codec::new(FormatName::Json, &[SCALARS.as_slice(), NESTED.as_slice()].concat());
        let columns = columns(&codec, &rows);
        let back = there_and_back(&codec, &columns);
        let text = |columns: &[ArrayRef]| (0..columns[0].len()).map(|row| row_text(columns, row)).collect::<Vec<_>>();
        prop_assert_eq!(text(&back), text(&columns));
        prop_assert!(back == columns);
    }

    #[test]
    fn bare_json_keeps_every_value(column in prop::sample::select([SCALARS.as_slice(), NESTED.as_slice()].concat()).prop_flat_map(|column| (Just(column), rows(&[column.1])))) {
        let (column, rows) = column;
        let codec = Codec::new(FormatName::Json, &[column]).unwrapped();
        let columns = columns(&codec, &rows);
        let back = there_and_back(&codec, &columns);
        let text = |columns: &[ArrayRef]| (0..columns[0].len()).map(|row| row_text(columns, row)).collect::<Vec<_>>();
        prop_assert_eq!(text(&back), text(&columns));
        prop_assert!(back == columns);
    }

    #[test]
    fn delimited_keeps_every_value_but_empty_texts(rows in rows(&SCALARS.map(|(_, ty)| ty))) {
        let codec = Codec::new(FormatName::Delimited, &SCALARS);
        let empty_is_null = |value: &Value| if value.as_str() == Some("") { Value::Null } else { value.clone() };
        let rows: Vec<Vec<Value>> = rows.iter().map(|row| row.iter().map(empty_is_null).collect()).collect();
        let columns = columns(&codec, &rows);
        let back = there_and_back(&codec, &columns);
        let text = |columns: &[ArrayRef]| (0..columns[0].len()).map(|row| row_text(columns, row)).collect::<Vec<_>>();
        prop_assert_eq!(text(&back), text(&columns));
        prop_assert!(back == columns);
    }

    #[test]
    fn kafka_keeps_every_value(column in prop::sample::select(vec!["INTEGER", "BIGINT", "DOUBLE", "STRING", "BYTES"]).prop_flat_map(|ty| (Just(ty), rows(&[ty])))) {
        let (ty, rows) = column;
        let codec = Codec::new(FormatName::Kafka, &[("V", ty)]);
        let columns = columns(&codec, &rows);
        let back = there_and_back(&codec, &columns);
        let text = |columns: &[ArrayRef]| (0..columns[0].len()).map(|row| row_text(columns, row)).collect::<Vec<_>>();
        prop_assert_eq!(text(&back), text(&columns));
        prop_assert!(back == columns);
    }
}

#[test]
fn a_side_without_columns_ignores_bytes_and_writes_null() {
    for format in [FormatName::None, FormatName::Json, FormatName::Kafka, FormatName::Delimited] {
        let codec = Codec::new(format, &[]);
        let mut decoder = decoder(&codec.side, &[]).unwrap();
        decoder.decode(b"\xff").unwrap();
        assert!(decoder.finish().is_empty());
        let mut out = super::EncodedSide::default();
        encoder(&codec.side).unwrap().encode(&[], 2, None, &mut out).unwrap();
        assert_eq!(out.nulls, [true, true]);
    }
}

#[test]
fn rows_are_told_apart_in_one_batch() {
    let codec = Codec::new(FormatName::Json, &[("A", "STRING"), ("B", "ARRAY<INTEGER>")]);
    let columns = codec.decode(&[br#"{"A":"x"}"#, br#"{"B":[1,2]}"#, br#"{"A":"","B":[]}"#]).unwrap();
    let rows: Vec<String> = (0..3).map(|row| row_text(&columns, row)).collect();
    assert_eq!(rows, ["x | null", "null | [1, 2]", " | []"]);
}
