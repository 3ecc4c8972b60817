//! Case JSON to record bytes and record bytes to comparable values, by the format of the source over the topic.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::Value;

use crate::formats::{FormatName, Side};
use crate::types::{Header, SqlType, WindowInfo, WindowType, java_number};

use super::case::{CaseHeader, CaseWindow, CaseWindowKind};
use super::compare::Actual;
use super::number::Number;

/// The bytes of one side of an input record; `None` is null bytes.
///
/// # Errors
/// Why the case's JSON cannot be written in this format.
pub(crate) fn to_bytes(value: &Value, side: &Side) -> Result<Option<Bytes>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let wrong = |what: &str| Err(format!("the case gives {value} for a {what}"));
    let bytes: Vec<u8> = match side.format {
        FormatName::Json => expand_exponents(value).to_string().into_bytes(),
        FormatName::Delimited => match value {
            Value::String(text) => text.clone().into_bytes(),
            other => other.to_string().into_bytes(),
        },
        FormatName::Kafka => {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            match side.columns.first().map(|column| &column.ty) {
                Some(SqlType::Integer) => match integer(&text).and_then(|n| i32::try_from(n).ok()) {
                    Some(n) => n.to_be_bytes().to_vec(),
                    None => return wrong("KAFKA INTEGER"),
                },
                Some(SqlType::BigInt) => match integer(&text) {
                    Some(n) => n.to_be_bytes().to_vec(),
                    None => return wrong("KAFKA BIGINT"),
                },
                Some(SqlType::Double) => match text.parse::<f64>() {
                    Ok(n) => n.to_be_bytes().to_vec(),
                    Err(_) => return wrong("KAFKA DOUBLE"),
                },
                _ => text.into_bytes(),
            }
        }
        FormatName::None => return Ok(None),
        other @ (FormatName::Avro | FormatName::Protobuf | FormatName::ProtobufNosr | FormatName::JsonSr) => {
            return Err(format!("NOT_IMPLEMENTED: the format {other}"));
        }
    };
    Ok(Some(Bytes::from(bytes)))
}

fn integer(text: &str) -> Option<i64> {
    Number::parse(text)?.truncated().and_then(|n| i64::try_from(n).ok())
}

/// The original runner expands exponents before it writes JSON: `1E3` arrives as `1000`.
fn expand_exponents(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let token = number.to_string();
            let plain = if token.contains(['e', 'E']) { Number::parse(&token).map(|n| n.plain()) } else { None };
            plain.and_then(|plain| serde_json::from_str(&plain).ok()).unwrap_or_else(|| value.clone())
        }
        Value::Array(items) => items.iter().map(expand_exponents).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), expand_exponents(value))).collect())
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// One side of a record of a topic, ready to compare.
///
/// # Errors
/// Why the bytes cannot be read in this format.
pub(crate) fn from_bytes(bytes: Option<&[u8]>, side: &Side) -> Result<Actual, String> {
    let Some(bytes) = bytes else { return Ok(Actual::Null) };
    let text = || std::str::from_utf8(bytes).map_err(|error| format!("bytes are not UTF-8: {error}"));
    Ok(match side.format {
        FormatName::Json => {
            let value: Value =
                serde_json::from_str(text()?).map_err(|error| format!("value is not JSON: {error}: {bytes:?}"))?;
            Actual::from_json(&value)
        }
        FormatName::Delimited => Actual::String(text()?.to_owned()),
        FormatName::Kafka => match side.columns.first().map(|column| &column.ty) {
            Some(SqlType::Integer) => Actual::Integer(i64::from(i32::from_be_bytes(exactly(bytes)?))),
            Some(SqlType::BigInt) => Actual::Integer(i64::from_be_bytes(exactly(bytes)?)),
            Some(SqlType::Double) => {
                let token = java_number::double_to_string(f64::from_be_bytes(exactly(bytes)?));
                Number::parse(&token).map_or(Actual::String(token), Actual::Decimal)
            }
            _ => Actual::String(text()?.to_owned()),
        },
        FormatName::None => Actual::Null,
        other @ (FormatName::Avro | FormatName::Protobuf | FormatName::ProtobufNosr | FormatName::JsonSr) => {
            return Err(format!("NOT_IMPLEMENTED: the format {other}"));
        }
    })
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("{} bytes where {N} belong", bytes.len()))
}

/// A windowed key: the inner key, then the window's bounds, big-endian.
pub(crate) fn add_window(key: Option<Bytes>, window: CaseWindow) -> Option<Bytes> {
    let mut bytes = key?.to_vec();
    if window.kind == CaseWindowKind::Session {
        bytes.extend_from_slice(&window.end.to_be_bytes());
    }
    bytes.extend_from_slice(&window.start.to_be_bytes());
    Some(Bytes::from(bytes))
}

/// Splits a windowed key into inner key and window.
///
/// # Errors
/// The key is too short to carry a window.
pub(crate) fn split_window(key: &[u8], info: WindowInfo) -> Result<(&[u8], CaseWindow), String> {
    let suffix = if info.window_type == WindowType::Session { 16 } else { 8 };
    let Some(at) = key.len().checked_sub(suffix) else {
        return Err(format!("a key of {} bytes has no window", key.len()));
    };
    let bound = |from: usize| exactly(&key[from..from + 8]).map(i64::from_be_bytes);
    let window = if info.window_type == WindowType::Session {
        CaseWindow { start: bound(at + 8)?, end: bound(at)?, kind: CaseWindowKind::Session }
    } else {
        let start = bound(at)?;
        let end = start.saturating_add(info.size_ms.unwrap_or(0));
        CaseWindow { start, end, kind: CaseWindowKind::Time }
    };
    Ok((&key[..at], window))
}

/// Headers of an input record.
///
/// # Errors
/// A value is not base64.
pub(crate) fn to_headers(headers: &[CaseHeader]) -> Result<Vec<Header>, String> {
    headers
        .iter()
        .map(|header| {
            let value = header.value.as_ref().map(|text| BASE64.decode(text)).transpose();
            let value = value.map_err(|error| format!("header {:?} is not base64: {error}", header.key))?;
            Ok(Header { key: header.key.clone(), value: value.map(Bytes::from) })
        })
        .collect()
}
