//! What each format can hold: the checks a statement must pass before anything of it is created.
//!
//! ```text
//!              columns   nested types        bare single value   WRAP_SINGLE_VALUE
//!   KAFKA      0 or 1    no (5 scalar types) always              false only
//!   DELIMITED  any       no                  always              false only
//!   JSON       any       yes, MAP of STRING  keys; values asked  both
//!   NONE       0         -                   -                   false only
//! ```
//!
//! The messages are ksqlDB's as far as the house style of messages allows.

use super::{FormatError, FormatName, Side, SideColumn};
use crate::diagnostics::{Code, Diagnostic};
use crate::types::SqlType;

/// Checks that the format of `side` can hold its columns as a key (`is_key`) or value.
///
/// Maps in keys are refused before the format is looked at, as in ksqlDB.
///
/// # Errors
/// `INVALID_FORMAT` with the rule that is broken; `NOT_IMPLEMENTED` for formats that are not built yet.
pub fn validate(side: &Side, is_key: bool) -> Result<(), Diagnostic> {
    if is_key && let Some(column) = side.columns.iter().find(|column| column.ty.contains_map()) {
        return Err(Diagnostic::new(
            Code::InvalidFormat,
            "map keys, including types that contain maps, are not supported as they may lead to unexpected behavior \
             due to inconsistent serialization",
        )
        .with_detail(format!("Key column name: {}. Column type: {}.", column.name.quoted(), column.ty)));
    }
    if side.delimiter.is_some() && side.format != FormatName::Delimited {
        return Err(Diagnostic::new(
            Code::InvalidFormat,
            format!("{} does not support the following configs: [delimiter]", side.format),
        ));
    }
    if !is_built(side.format) {
        return Err(Diagnostic::not_implemented(format!("the format {}", side.format)));
    }
    unsupported(side, is_key).map_or(Ok(()), |reason| {
        let which = if is_key { "Key" } else { "Value" };
        let refused = Diagnostic::new(Code::InvalidFormat, reason).with_detail(format!(
            "{which} format does not support schema.\nformat: {}\nschema: Persistence{{columns={}, features=[]}}",
            side.format,
            column_list(&side.columns, is_key)
        ));
        Err(match side.format {
            FormatName::Kafka | FormatName::Delimited => {
                refused.with_hint(format!("Write WITH ({}_FORMAT='JSON'), which can hold them.", which.to_uppercase()))
            }
            _ => refused,
        })
    })
}

/// The same rules for rooms that hold a side already checked: an error here is a bug of theirs or a saved graph of a
/// later version.
pub(super) fn check_built(side: &Side) -> Result<(), FormatError> {
    if !is_built(side.format) {
        return Err(FormatError::NotImplemented(side.format));
    }
    match unsupported(side, false) {
        Some(reason) => Err(FormatError::Unsupported { format: side.format, reason }),
        None => Ok(()),
    }
}

/// True if a side of `columns` columns stands bare unless the statement or a setting says otherwise.
pub fn default_unwrapped(format: FormatName, is_key: bool, columns: usize) -> bool {
    columns == 1
        && match format {
            FormatName::Kafka | FormatName::Delimited | FormatName::None => true,
            FormatName::Json | FormatName::JsonSr | FormatName::Avro => is_key,
            FormatName::Protobuf | FormatName::ProtobufNosr => false,
        }
}

/// True if `WRAP_SINGLE_VALUE` may be set to `wrapped` with this format.
pub fn supports_wrapping(format: FormatName, wrapped: bool) -> bool {
    match format {
        FormatName::Kafka | FormatName::Delimited | FormatName::None => !wrapped,
        FormatName::Json | FormatName::JsonSr | FormatName::Avro | FormatName::ProtobufNosr => true,
        FormatName::Protobuf => wrapped,
    }
}

/// Whether the value of `columns` columns stands bare, from the statement's `WRAP_SINGLE_VALUE` (`wrap`) and the
/// setting `ksql.persistence.wrap.single.values` (`default_wrap`), which holds only where the format supports it.
///
/// # Errors
/// `INVALID_FORMAT` if the statement asks for what the format does not support, or has not exactly one value column.
pub fn unwrap_value(
    format: FormatName,
    columns: usize,
    wrap: Option<bool>,
    default_wrap: Option<bool>,
) -> Result<bool, Diagnostic> {
    if let Some(wrap) = wrap {
        if columns != 1 {
            return Err(Diagnostic::new(
                Code::InvalidFormat,
                "'WRAP_SINGLE_VALUE' is only valid for single-field value schemas",
            ));
        }
        if !supports_wrapping(format, wrap) {
            return Err(Diagnostic::new(
                Code::InvalidFormat,
                format!("format '{format}' does not support 'WRAP_SINGLE_VALUE' set to '{wrap}'"),
            ));
        }
        return Ok(!wrap);
    }
    Ok(match default_wrap {
        Some(wrap) if columns == 1 && supports_wrapping(format, wrap) => !wrap,
        _ => default_unwrapped(format, false, columns),
    })
}

/// The delimiter that `KEY_DELIMITER` or `VALUE_DELIMITER` names: one character, `TAB` or `SPACE`.
///
/// # Errors
/// `INVALID_FORMAT` if the text is blank or longer, or a character that delimited text uses itself.
pub fn parse_delimiter(text: &str) -> Result<char, Diagnostic> {
    if text.trim().is_empty() {
        return Err(Diagnostic::new(
            Code::InvalidFormat,
            "delimiter cannot be empty, if you meant to have a tab or space for delimiter, please use the special \
             values 'TAB' or 'SPACE'",
        )
        .with_detail("Example valid value: ';'"));
    }
    let mut chars = text.chars();
    match (text, chars.next(), chars.next()) {
        ("TAB", ..) => Ok('\t'),
        ("SPACE", ..) => Ok(' '),
        (_, Some(delimiter), None) if delimiter != '"' => Ok(delimiter),
        (_, Some('"'), None) => {
            Err(Diagnostic::new(Code::InvalidFormat, "the quote character and the delimiter cannot be the same ('\"')"))
        }
        _ => Err(Diagnostic::new(
            Code::InvalidFormat,
            format!("invalid delimiter value: '{text}'. Delimiter must be a single character or TAB,SPACE"),
        )
        .with_detail("Example valid value: ';'")),
    }
}

fn is_built(format: FormatName) -> bool {
    matches!(format, FormatName::Kafka | FormatName::Delimited | FormatName::Json | FormatName::None)
}

/// The first rule of its format that `side` breaks.
fn unsupported(side: &Side, is_key: bool) -> Option<String> {
    let refused =
        |column: &SideColumn| format!("the '{}' format does not support type '{}'", side.format, column.ty.base_name());
    match side.format {
        FormatName::None if !side.columns.is_empty() => Some(format!(
            "the 'NONE' format can only be used when no columns are defined. Got: {}",
            column_list(&side.columns, is_key)
        )),
        FormatName::Kafka if side.columns.len() > 1 => Some(format!(
            "the 'KAFKA' format only supports a single field. Got: {}",
            column_list(&side.columns, is_key)
        )),
        FormatName::Kafka => side.columns.iter().find(|column| !kafka_holds(&column.ty)).map(refused),
        FormatName::Delimited => side
            .columns
            .iter()
            .find(|column| column.ty.is_nested())
            .map(|column| format!("{}, column: {}", refused(column), column.name.quoted())),
        FormatName::Json if side.columns.iter().any(|column| !has_string_map_keys(&column.ty)) => {
            Some("JSON only supports MAP types with STRING keys".to_owned())
        }
        _ => None,
    }
}

fn kafka_holds(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Integer | SqlType::BigInt | SqlType::Double | SqlType::String | SqlType::Bytes)
}

fn has_string_map_keys(ty: &SqlType) -> bool {
    match ty {
        SqlType::Map(key, value) => **key == SqlType::String && has_string_map_keys(value),
        SqlType::Array(element) => has_string_map_keys(element),
        SqlType::Struct(fields) => fields.iter().all(|field| has_string_map_keys(&field.ty)),
        _ => true,
    }
}

/// ``[`K` INTEGER KEY, `L` STRING KEY]``.
fn column_list(columns: &[SideColumn], is_key: bool) -> String {
    let role = if is_key { " KEY" } else { "" };
    let columns: Vec<String> =
        columns.iter().map(|column| format!("{} {}{role}", column.name.quoted(), column.ty)).collect();
    format!("[{}]", columns.join(", "))
}

#[cfg(test)]
mod tests;
