//! The decoder against a slow reading of the same rules: records are taken apart with serde_json, value by value, and
//! what each becomes is written again as JSON. Good records, and millions of ways to break them, must agree.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use serde::Deserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::formats::base64_text;
use crate::formats::testing::{Codec, encode};
use crate::types::SqlType;
use crate::types::decimal_text::{DecimalText, push_decimal256};
use crate::types::java_number::{double_to_string, parse_double};

type Members = Vec<(String, Box<RawValue>)>;

/// All members of an object, those that are overwritten too.
fn members(raw: &str) -> Option<Members> {
    struct All;
    impl<'de> Visitor<'de> for All {
        type Value = Members;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_map(All).ok()
}

fn elements(raw: &str) -> Option<Vec<Box<RawValue>>> {
    struct All;
    impl<'de> Visitor<'de> for All {
        type Value = Vec<Box<RawValue>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = seq.next_element()? {
                elements.push(element);
            }
            Ok(elements)
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_seq(All).ok()
}

/// The member of a column: the last of exactly its name, else the last whose upper-cased name it is.
fn member<'a>(members: &'a Members, name: &str) -> Option<&'a str> {
    let last = |fits: &dyn Fn(&str) -> bool| members.iter().rev().find(|(key, _)| fits(key)).map(|(_, raw)| raw.get());
    last(&|key| key == name).or_else(|| last(&|key| key.to_uppercase() == name))
}

/// serde_json spells exponents its own way.
fn number(text: impl AsRef<str>) -> Value {
    serde_json::from_str(text.as_ref()).unwrap()
}

/// What a value becomes, as the encoder writes it; `None` if it does not fit.
fn value(ty: &SqlType, raw: &str) -> Option<Value> {
    if raw == "null" {
        return Some(Value::Null);
    }
    let kind = raw.as_bytes()[0];
    let is_number = kind == b'-' || kind.is_ascii_digit();
    let text = || serde_json::from_str::<String>(raw).ok();
    let integer = |fits: &dyn Fn(i64) -> bool| {
        if is_number { Some(DecimalText::parse(raw)?.low_bits()) } else { text()?.parse().ok() }.filter(|&v| fits(v))
    };
    match ty {
        SqlType::Boolean => serde_json::from_str(raw).ok().map(Value::Bool),
        SqlType::Integer if is_number => Some(number((integer(&|_| true)? as i32).to_string())),
        SqlType::Integer | SqlType::Date => Some(number(integer(&|v| i32::try_from(v).is_ok())?.to_string())),
        SqlType::BigInt | SqlType::Timestamp => Some(number(integer(&|_| true)?.to_string())),
        SqlType::Time => Some(number(integer(&|v| (0..86_400_000).contains(&v))?.to_string())),
        SqlType::Double => {
            let value = if is_number { raw.parse::<f64>().ok()? + 0.0 } else { parse_double(&text()?)? };
            let spelled = double_to_string(value);
            Some(if value.is_finite() { number(spelled) } else { Value::String(spelled) })
        }
        SqlType::Decimal { precision, scale } => {
            let decimal = if is_number { DecimalText::parse(raw) } else { DecimalText::parse(&text()?) };
            let mut spelled = Vec::new();
            push_decimal256(&mut spelled, decimal?.fit(*precision, *scale).ok()?, u8::try_from(*scale).ok()?);
            Some(number(String::from_utf8(spelled).ok()?))
        }
        SqlType::String => Some(Value::String(as_string(&serde_json::from_str(raw).ok()?))),
        SqlType::Bytes => {
            let text: String = text()?.chars().filter(|&c| c > ' ').collect();
            let mut bytes = Vec::new();
            base64_text::push_decoded(&mut bytes, &text).then(|| Value::String(BASE64.encode(bytes)))
        }
        SqlType::Array(element) => {
            elements(raw)?.iter().map(|raw| value(element, raw.get())).collect::<Option<_>>().map(Value::Array)
        }
        SqlType::Map(_, ty) => {
            let members = members(raw)?;
            let mut map = Map::new();
            for (i, (key, raw)) in members.iter().enumerate() {
                if members[i + 1..].iter().all(|(later, _)| later != key) {
                    map.insert(key.clone(), value(ty, raw.get())?);
                }
            }
            Some(Value::Object(map))
        }
        SqlType::Struct(fields) => record(fields.iter().map(|field| (field.name.as_str(), &field.ty)), raw),
    }
}

fn record<'a>(columns: impl Iterator<Item = (&'a str, &'a SqlType)>, raw: &str) -> Option<Value> {
    let members = members(raw)?;
    let mut map = Map::new();
    for (name, ty) in columns {
        map.insert(name.to_owned(), member(&members, name).map_or(Some(Value::Null), |raw| value(ty, raw))?);
    }
    Some(Value::Object(map))
}

fn as_string(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(as_string).collect::<Vec<_>>().join(", ")),
        other => as_json(other),
    }
}

fn as_json(value: &Value) -> String {
    match value {
        Value::Number(number) if number.as_str().contains(['.', 'e', 'E']) => {
            DecimalText::parse(number.as_str()).map_or_else(|| number.to_string(), |decimal| decimal.to_string())
        }
        Value::Number(number) if number.as_str() == "-0" => "0".to_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(as_json).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{}:{}", as_json(&Value::from(key.as_str())), as_json(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::String(text) => {
            // Jackson writes the hexadecimal digits of control characters in upper case.
            let json = serde_json::to_string(text).unwrap();
            ["a", "b", "c", "d", "e", "f"].iter().fold(json, |json, digit| {
                json.replace(&format!("\\u000{digit}"), &format!("\\u000{}", digit.to_uppercase()))
                    .replace(&format!("\\u001{digit}"), &format!("\\u001{}", digit.to_uppercase()))
            })
        }
        other => other.to_string(),
    }
}

/// What the oracle makes of a record; `None` if it is bad.
fn expected(codec: &Codec, record: &[u8]) -> Option<Value> {
    let raw: Box<RawValue> = serde_json::from_slice(record).ok()?;
    let columns = codec.side.columns.iter().map(|column| (column.name.as_str(), &column.ty));
    if codec.side.unwrapped {
        return value(&codec.side.columns[0].ty, raw.get());
    }
    if raw.get() == "null" {
        return Some(Value::Object(columns.map(|(name, _)| (name.to_owned(), Value::Null)).collect()));
    }
    self::record(columns, raw.get())
}

/// What we make of it.
fn actual(codec: &Codec, record: &[u8]) -> Option<Value> {
    let columns = codec.decode(&[record]).ok()?;
    let encoded = encode(&codec.side, &columns);
    Some(encoded.get(0).map_or(Value::Null, |bytes| serde_json::from_slice(bytes).unwrap()))
}

fn codecs() -> Vec<(Codec, Vec<&'static str>)> {
    let codec = |columns: &[(&str, &str)]| Codec::new(crate::formats::FormatName::Json, columns);
    vec![
        (
            codec(&[("A", "BIGINT"), ("F", "DOUBLE"), ("s", "STRING"), ("B", "BOOLEAN"), ("I", "INTEGER")]),
            vec![
                r#"{"a":1,"F":1.5,"s":"x","b":true}"#,
                r#" { "A" : "12" , "f" : "2.5e1", "s":17 , "B":false, "zz":{"q":[1,{"x":"}"}]} } "#,
                r#"{"s":"a\"b\u00e9\n\ud83d\ude00","a":null}"#,
                r#"{"a":-9223372036854775808,"F":-12.345,"s":{"k":[1,2],"l":"\u0001"},"I":3000000000}"#,
                r#"{"a":9223372036854775807,"F":1e300,"s":12.50}"#,
                r#"{"a":1.0,"F":123456789012345678901234567890,"s":true,"b":false}"#,
                r#"{"a":1,"a":2,"A":"x","A":3,"I":"7"}"#,
                r#"{"s":["é日本", 1e3, {"a":-0}]}"#,
                "{}",
            ],
        ),
        (
            codec(&[
                ("D", "DECIMAL(6, 3)"),
                ("W", "DECIMAL(40, 2)"),
                ("Y", "BYTES"),
                ("T", "TIME"),
                ("DT", "DATE"),
                ("TS", "TIMESTAMP"),
            ]),
            vec![
                r#"{"d":12.340,"w":"1e3","y":"/wA=","t":1000,"dt":-1,"ts":1700000000000}"#,
                r#"{"D":"-0.5","W":12345678901234567890123456789012345678.90,"Y":"","T":"5","DT":"9"}"#,
            ],
        ),
        (
            codec(&[
                ("R", "ARRAY<INTEGER>"),
                ("M", "MAP<STRING, STRUCT<X INTEGER, y STRING>>"),
                ("Z", "STRUCT<A ARRAY<STRING>, B STRUCT<C DOUBLE>>"),
            ]),
            vec![
                r#"{"r":[1,null,"3"],"m":{"k":{"x":1,"y":"z"},"l":null,"k":{"X":2,"x":3}},"Z":{"a":["p",[1]],"b":{"c":0.1}}}"#,
                r#"{"R":[],"M":{},"Z":{},"Z":{"A":[],"A":null}}"#,
            ],
        ),
        (codec(&[("V", "ARRAY<BIGINT>")]).unwrapped(), vec![" [1, 2.5, \"3\", null] ", "null"]),
    ]
}

/// Removes, replaces or inserts a byte, or repeats a piece (duplicate keys, repeated values).
fn mutate(bytes: &mut Vec<u8>, (kind, at, byte, length): (u8, prop::sample::Index, u8, usize)) {
    if bytes.is_empty() {
        return;
    }
    let at = at.index(bytes.len());
    match kind {
        0 => drop(bytes.remove(at)),
        1 => bytes[at] = byte,
        2 => bytes.insert(at, byte),
        _ => {
            let piece = bytes[at..(at + length).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
    }
}

#[test]
fn good_records_become_what_the_oracle_says() {
    for (codec, records) in codecs() {
        for record in records {
            let expected = expected(&codec, record.as_bytes());
            assert!(expected.is_some(), "{record}");
            assert_eq!(actual(&codec, record.as_bytes()), expected, "{record}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_records_are_accepted_and_refused_as_by_the_oracle(
        (codec, record) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        mutations in proptest::collection::vec(
            (
                0_u8..4,
                any::<prop::sample::Index>(),
                prop::sample::select(b"{}[]\",:0123eE+-.\\utnAa \n\x1f\x80\xc3".as_slice()),
                1_usize..20,
            ),
            1..4,
        ),
    ) {
        let codecs = codecs();
        let (codec, records) = &codecs[codec.index(codecs.len())];
        let mut record = records[record.index(records.len())].as_bytes().to_vec();
        mutations.into_iter().for_each(|mutation| mutate(&mut record, mutation));
        prop_assert_eq!(actual(codec, &record), expected(codec, &record), "{}", String::from_utf8_lossy(&record));
    }
}
