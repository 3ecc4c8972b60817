//! One row as a JSON object, made strict: what `/inserts-stream` takes becomes what the JSON format reads.
//!
//! The insert side has rules of its own (ISO texts for times, decimals rounded, no silent conversion of a text to a
//! number), so values are checked and rewritten here; the format's decoder then makes columns of them, all rows of a
//! request at once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use crate::catalog::Source;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::decimal_text::{self, Exact};
use crate::expressions::time_text;
use crate::types::{ColumnRole, Name, SqlType};

/// Reads a row and gives it back with the columns' own names and the JSON format's values. Fields that are no
/// columns are left out.
///
/// # Errors
/// The text is no JSON object, a value does not fit its column, or a key column is missing or null.
pub(super) fn strict_row(text: &[u8], source: &Source) -> Result<Value, Diagnostic> {
    let given: Map<String, Value> = serde_json::from_slice(text).map_err(|error| {
        Diagnostic::new(Code::InvalidValue, "a row is no JSON object")
            .with_detail(format!("Invalid JSON in inserts stream: {error}."))
    })?;
    let mut row = Map::new();
    for (field, value) in &given {
        let name = column_name(field);
        let Some(column) = source.schema.column(&name) else { continue };
        if matches!(column.role, ColumnRole::Key | ColumnRole::Value) {
            row.insert(name.as_str().to_owned(), strict(value, &column.ty, name.as_str())?);
        }
    }
    for key in source.schema.key() {
        if row.get(key.name.as_str()).is_none_or(Value::is_null) {
            return Err(Diagnostic::new(Code::InvalidKey, format!("key column {} has no value", key.name))
                .with_detail(format!("Key field must be specified: {}", key.name.as_str())));
        }
    }
    Ok(Value::Object(row))
}

/// A field's name by the case rule: upper-cased unless it is quoted.
pub(super) fn column_name(field: &str) -> Name {
    for quote in ['`', '"'] {
        if let Some(inner) = field.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return Name::new(inner);
        }
    }
    Name::new(field.to_uppercase())
}

/// A value as the JSON format writes it for a column of this type.
fn strict(value: &Value, ty: &SqlType, path: &str) -> Result<Value, Diagnostic> {
    let refused = || {
        Err(Diagnostic::new(Code::InvalidValue, format!("column {path} takes {ty}, not {}", kind_of(value)))
            .with_detail(format!("Can't coerce a field of type {} ({value}) into type {ty}.", kind_of(value))))
    };
    let number = |number: Option<Number>| number.map_or_else(refused, |number| Ok(Value::Number(number)));
    match (ty, value) {
        (_, Value::Null) => Ok(Value::Null),
        (SqlType::Boolean, Value::Bool(_)) | (SqlType::String, Value::String(_)) => Ok(value.clone()),
        (SqlType::Integer, Value::Number(given)) => {
            number(given.as_i64().and_then(|whole| i32::try_from(whole).ok()).map(Number::from))
        }
        (SqlType::BigInt, Value::Number(given)) => number(given.as_i64().map(Number::from)),
        (SqlType::Double, Value::Number(given)) => number(given.as_f64().and_then(Number::from_f64)),
        (SqlType::Decimal { precision, scale }, Value::Number(given)) => {
            decimal(&given.to_string(), *precision, *scale).map_or_else(refused, Ok)
        }
        (SqlType::Decimal { precision, scale }, Value::String(given)) => {
            decimal(given.trim(), *precision, *scale).map_or_else(refused, Ok)
        }
        (SqlType::Bytes, Value::String(text)) if STANDARD.decode(text).is_ok() => Ok(value.clone()),
        (SqlType::Time, Value::String(text)) => number(time_text::read_time(text).map(Number::from)),
        (SqlType::Date, Value::String(text)) => number(time_text::read_date(text).map(Number::from)),
        (SqlType::Timestamp, Value::String(text)) => number(time_text::read_timestamp(text).map(Number::from)),
        (SqlType::Array(element), Value::Array(items)) => {
            let items = items.iter().enumerate().map(|(i, item)| strict(item, element, &format!("{path}[{i}]")));
            Ok(Value::Array(items.collect::<Result<_, _>>()?))
        }
        (SqlType::Map(_, member), Value::Object(entries)) => entries
            .iter()
            .map(|(key, item)| Ok((key.clone(), strict(item, member, &format!("{path}[{key}]"))?)))
            .collect::<Result<_, _>>()
            .map(Value::Object),
        (SqlType::Struct(fields), Value::Object(entries)) => {
            let mut members = Map::new();
            for (key, item) in entries {
                let name = column_name(key);
                if let Some(field) = fields.iter().find(|field| field.name == name) {
                    members.insert(name.as_str().to_owned(), strict(item, &field.ty, &format!("{path}->{name}"))?);
                }
            }
            Ok(Value::Object(members))
        }
        _ => refused(),
    }
}

/// A decimal rounded to its column's scale, halves away from zero; `None` if it is no number or too long.
fn decimal(text: &str, precision: u32, scale: u32) -> Option<Value> {
    let digits = Exact::parse(text)?.rescale(i32::try_from(scale).ok()?)?;
    if !decimal_text::fits(digits, precision) {
        return None;
    }
    serde_json::from_str(&decimal_text::plain(digits, scale)).ok()
}

/// What a JSON value is, in SQL's words.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL",
        Value::Bool(_) => "BOOLEAN",
        Value::Number(number) if number.is_i64() => "BIGINT",
        Value::Number(_) => "DECIMAL",
        Value::String(_) => "STRING",
        Value::Array(_) => "ARRAY",
        Value::Object(_) => "STRUCT",
    }
}
