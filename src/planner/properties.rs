//! The WITH clause: which properties there are, of which type, and the rules that look at nothing else.

use std::fmt::Display;

use crate::diagnostics::{Code, Diagnostic, Span};
use crate::formats::{FormatName, parse_delimiter};
use crate::sql::ast::{Ident, Literal, Property};
use crate::types::{Name, WindowInfo, WindowType};

/// A property that was given, and where its value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// Which statement the clause belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    /// CREATE of a topic's reader.
    Create,
    /// CREATE … AS SELECT.
    CreateAs,
    /// INSERT INTO … SELECT.
    Insert,
}

/// The properties of a WITH clause, typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Properties {
    pub(super) topic: Option<Given<String>>,
    pub(super) partitions: Option<Given<i32>>,
    pub(super) replicas: Option<Given<i16>>,
    pub(super) retention_ms: Option<Given<i64>>,
    pub(super) key_format: Option<Given<FormatName>>,
    /// True if KEY_FORMAT said it, and not FORMAT for both sides.
    pub(super) key_format_alone: bool,
    pub(super) value_format: Option<Given<FormatName>>,
    pub(super) key_delimiter: Option<Given<char>>,
    pub(super) value_delimiter: Option<Given<char>>,
    pub(super) timestamp: Option<Given<Name>>,
    pub(super) timestamp_format: Option<Given<String>>,
    pub(super) wrap_single_value: Option<Given<bool>>,
    pub(super) window: Option<WindowInfo>,
    pub(super) key_schema_id: Option<Given<i32>>,
    pub(super) value_schema_id: Option<Given<i32>>,
    pub(super) key_schema_full_name: Option<Given<String>>,
    pub(super) value_schema_full_name: Option<Given<String>>,
    pub(super) key_nullable_representation: Option<Given<String>>,
    pub(super) value_nullable_representation: Option<Given<String>>,
    pub(super) query_id: Option<Given<String>>,
}

/// The names a clause may hold.
fn known(clause: Clause) -> &'static [&'static str] {
    const CREATE: &[&str] = &[
        "KAFKA_TOPIC",
        "PARTITIONS",
        "REPLICAS",
        "RETENTION_MS",
        "VALUE_FORMAT",
        "KEY_FORMAT",
        "FORMAT",
        "KEY_DELIMITER",
        "VALUE_DELIMITER",
        "TIMESTAMP",
        "TIMESTAMP_FORMAT",
        "WRAP_SINGLE_VALUE",
        "KEY_SCHEMA_ID",
        "VALUE_SCHEMA_ID",
        "KEY_SCHEMA_FULL_NAME",
        "VALUE_SCHEMA_FULL_NAME",
        "VALUE_AVRO_SCHEMA_FULL_NAME",
        "KEY_PROTOBUF_NULLABLE_REPRESENTATION",
        "VALUE_PROTOBUF_NULLABLE_REPRESENTATION",
        "WINDOW_TYPE",
        "WINDOW_SIZE",
        "SOURCED_BY_CONNECTOR",
        "SOURCE_CONNECTOR",
    ];
    match clause {
        Clause::Create => CREATE,
        Clause::CreateAs => CREATE.split_at(CREATE.len() - 4).0,
        Clause::Insert => &["QUERY_ID"],
    }
}

impl Properties {
    /// Reads a WITH clause.
    pub(super) fn parse(with: &[Property], clause: Clause) -> Result<Self, Diagnostic> {
        let mut properties = Self::default();
        let (mut format, mut window_type, mut window_size, mut avro_name) = (None, None, None, None);
        for property in with {
            let name = property.name.name.as_str();
            if !known(clause).contains(&name) {
                return Err(unknown(&property.name, clause));
            }
            match name {
                "KAFKA_TOPIC" => properties.topic = Some(topic_name(property)?),
                "PARTITIONS" => properties.partitions = Some(positive(property)?),
                "REPLICAS" => properties.replicas = Some(number(property, "a 16-bit number")?),
                "RETENTION_MS" => properties.retention_ms = Some(number(property, "a number of milliseconds")?),
                "FORMAT" => format = Some((property.name.span, format_name(property)?)),
                "KEY_FORMAT" => {
                    properties.key_format = Some(format_name(property)?);
                    properties.key_format_alone = true;
                }
                "VALUE_FORMAT" => properties.value_format = Some(format_name(property)?),
                "KEY_DELIMITER" => properties.key_delimiter = Some(delimiter(property)?),
                "VALUE_DELIMITER" => properties.value_delimiter = Some(delimiter(property)?),
                "TIMESTAMP" => properties.timestamp = Some(column_name(property)?),
                "TIMESTAMP_FORMAT" => properties.timestamp_format = Some(text(property)?),
                "WRAP_SINGLE_VALUE" => properties.wrap_single_value = Some(boolean(property)?),
                "WINDOW_TYPE" => window_type = Some(window_type_of(property)?),
                "WINDOW_SIZE" => window_size = Some(window_size_of(property)?),
                "KEY_SCHEMA_ID" => properties.key_schema_id = Some(number(property, "a schema id")?),
                "VALUE_SCHEMA_ID" => properties.value_schema_id = Some(number(property, "a schema id")?),
                "KEY_SCHEMA_FULL_NAME" => properties.key_schema_full_name = Some(text(property)?),
                "VALUE_SCHEMA_FULL_NAME" => properties.value_schema_full_name = Some(text(property)?),
                "VALUE_AVRO_SCHEMA_FULL_NAME" => avro_name = Some(text(property)?),
                "KEY_PROTOBUF_NULLABLE_REPRESENTATION" => {
                    properties.key_nullable_representation = Some(nullable_representation(property)?);
                }
                "VALUE_PROTOBUF_NULLABLE_REPRESENTATION" => {
                    properties.value_nullable_representation = Some(nullable_representation(property)?);
                }
                "QUERY_ID" => properties.query_id = Some(query_id(property)?),
                _informational => _ = text(property)?,
            }
        }
        if let Some((span, format)) = format {
            for (other, name) in [(&properties.key_format, "KEY_FORMAT"), (&properties.value_format, "VALUE_FORMAT")] {
                if other.is_some() {
                    return Err(Diagnostic::new(
                        Code::InvalidProperty,
                        format!("properties {name} and FORMAT cannot be given together"),
                    )
                    .with_detail("FORMAT sets both KEY_FORMAT and VALUE_FORMAT.")
                    .at(span));
                }
            }
            properties.key_format = Some(format.clone());
            properties.value_format = Some(format);
        }
        if let Some(name) = avro_name {
            if properties.value_schema_full_name.is_some() {
                return Err(Diagnostic::new(
                    Code::InvalidProperty,
                    "properties VALUE_AVRO_SCHEMA_FULL_NAME and VALUE_SCHEMA_FULL_NAME cannot be given together",
                )
                .with_hint("Use VALUE_SCHEMA_FULL_NAME alone.")
                .at(name.span));
            }
            properties.value_schema_full_name = Some(name);
        }
        properties.window = window(window_type, window_size)?;
        Ok(properties)
    }
}

fn unknown(name: &Ident, clause: Clause) -> Diagnostic {
    let error = Diagnostic::new(
        Code::UnknownProperty,
        format!("property {} does not exist in the WITH clause of this statement", name.name.as_str()),
    )
    .with_near_miss(name.name.as_str(), known(clause).iter().copied());
    let elsewhere = matches!(clause, Clause::CreateAs) && known(Clause::Create).contains(&name.name.as_str());
    let error =
        if elsewhere { error.with_detail("The property follows from the query and cannot be set.") } else { error };
    error.at(name.span)
}

/// The property's value does not fit: `expected` says what would.
fn misfit(property: &Property, expected: impl Display) -> Diagnostic {
    let value = match &property.value {
        Literal::Null => "NULL".to_owned(),
        Literal::Boolean(value) => value.to_string(),
        Literal::Integer(value) => value.to_string(),
        Literal::BigInt(value) => value.to_string(),
        Literal::Decimal(text) | Literal::Double(text) => text.clone(),
        Literal::String(text) => format!("'{text}'"),
    };
    Diagnostic::new(
        Code::InvalidProperty,
        format!("value {value} of property {} must be {expected}", property.name.name.as_str()),
    )
    .at(property.value_span)
}

fn given<T>(property: &Property, value: T) -> Given<T> {
    Given { value, span: property.value_span }
}

fn text(property: &Property) -> Result<Given<String>, Diagnostic> {
    match &property.value {
        Literal::String(text) => Ok(given(property, text.clone())),
        _ => Err(misfit(property, "text")),
    }
}

fn number<T: TryFrom<i64>>(property: &Property, expected: &str) -> Result<Given<T>, Diagnostic> {
    let value = match &property.value {
        Literal::Integer(value) => Some(i64::from(*value)),
        Literal::BigInt(value) => Some(*value),
        Literal::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let value = value.and_then(|value| T::try_from(value).ok()).ok_or_else(|| misfit(property, expected))?;
    Ok(given(property, value))
}

fn positive(property: &Property) -> Result<Given<i32>, Diagnostic> {
    let count: Given<i32> = number(property, "a positive number")?;
    if count.value > 0 { Ok(count) } else { Err(misfit(property, "a positive number")) }
}

fn boolean(property: &Property) -> Result<Given<bool>, Diagnostic> {
    let value = match &property.value {
        Literal::Boolean(value) => Some(*value),
        Literal::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
        Literal::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    };
    Ok(given(property, value.ok_or_else(|| misfit(property, "true or false"))?))
}

fn topic_name(property: &Property) -> Result<Given<String>, Diagnostic> {
    let topic = text(property)?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.value.trim().is_empty() {
        return Err(misfit(property, "the name of a topic, which is not blank"));
    }
    if topic.value.len() > 249 || !topic.value.chars().all(legal) || matches!(topic.value.as_str(), "." | "..") {
        return Err(misfit(property, "at most 249 letters, digits, `.`, `_` and `-`"));
    }
    Ok(topic)
}

/// A column named in text: upper-cased unless between back-ticks or double quotes.
fn column_name(property: &Property) -> Result<Given<Name>, Diagnostic> {
    let column = text(property)?;
    let trimmed = column.value.trim();
    let unquoted = ['`', '"'].iter().find_map(|quote| {
        let inner = trimmed.strip_prefix(*quote)?.strip_suffix(*quote)?;
        let doubled: String = [*quote; 2].iter().collect();
        Some(inner.replace(&doubled, &quote.to_string()))
    });
    if trimmed.is_empty() {
        return Err(misfit(property, "the name of a column"));
    }
    Ok(given(property, Name::new(unquoted.unwrap_or_else(|| trimmed.to_uppercase()))))
}

fn format_name(property: &Property) -> Result<Given<FormatName>, Diagnostic> {
    let name = text(property)?;
    FormatName::from_name(name.value.trim()).map(|format| given(property, format)).ok_or_else(|| {
        Diagnostic::new(Code::InvalidFormat, format!("format {} does not exist", name.value))
            .with_detail(format!("The formats are {}.", FormatName::ALL.map(FormatName::as_str).join(", ")))
            .with_near_miss(&name.value, FormatName::ALL.map(FormatName::as_str))
            .at(property.value_span)
    })
}

fn delimiter(property: &Property) -> Result<Given<char>, Diagnostic> {
    let value = text(property)?.value;
    Ok(given(property, parse_delimiter(&value).map_err(|error| error.at(property.value_span))?))
}

fn nullable_representation(property: &Property) -> Result<Given<String>, Diagnostic> {
    let value = text(property)?.value.to_uppercase();
    if matches!(value.as_str(), "OPTIONAL" | "WRAPPER") {
        Ok(given(property, value))
    } else {
        Err(misfit(property, "OPTIONAL or WRAPPER"))
    }
}

fn query_id(property: &Property) -> Result<Given<String>, Diagnostic> {
    const KEPT: [&str; 5] = ["CTAS_", "CSAS_", "INSERTQUERY_", "CST_", "TRANSIENT_"];
    let id = text(property)?.value.to_uppercase();
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(misfit(property, "letters, digits and `_`"));
    }
    if let Some(prefix) = KEPT.iter().find(|prefix| id.starts_with(**prefix)) {
        return Err(misfit(property, format!("an id that does not begin with {prefix}"))
            .with_detail("This beginning is kept for ids that the server makes."));
    }
    Ok(given(property, id))
}

fn window_type_of(property: &Property) -> Result<Given<WindowType>, Diagnostic> {
    let window = match text(property)?.value.trim().to_uppercase().as_str() {
        "TUMBLING" => WindowType::Tumbling,
        "HOPPING" => WindowType::Hopping,
        "SESSION" => WindowType::Session,
        _ => return Err(misfit(property, "TUMBLING, HOPPING or SESSION")),
    };
    Ok(given(property, window))
}

/// `'30 SECONDS'` in milliseconds.
fn window_size_of(property: &Property) -> Result<Given<i64>, Diagnostic> {
    let value = text(property)?.value;
    let wrong = |detail: String| misfit(property, "a number and a unit of time").with_detail(detail);
    let mut words = value.split_whitespace();
    let (Some(count), Some(unit), None) = (words.next(), words.next(), words.next()) else {
        return Err(wrong("A valid value is '10 SECONDS'.".to_owned()));
    };
    let count: i64 = count.parse().map_err(|_| wrong(format!("{count} is not a number.")))?;
    let unit = unit.to_uppercase();
    let unit_ms: i64 = match unit.strip_suffix('S').unwrap_or(&unit) {
        "DAY" => 86_400_000,
        "HOUR" => 3_600_000,
        "MINUTE" => 60_000,
        "SECOND" => 1_000,
        "MILLISECOND" => 1,
        _ => return Err(wrong(format!("Unit {unit} is not known: DAYS, HOURS, MINUTES, SECONDS, MILLISECONDS are."))),
    };
    match count.checked_mul(unit_ms) {
        Some(size) if size > 0 => Ok(given(property, size)),
        _ => Err(wrong("The size must be positive and fit 64 bits of milliseconds.".to_owned())),
    }
}

fn window(kind: Option<Given<WindowType>>, size: Option<Given<i64>>) -> Result<Option<WindowInfo>, Diagnostic> {
    let invalid = |text: &str, span| Err(Diagnostic::new(Code::InvalidWindow, text).at(span));
    match (kind, size) {
        (None, None) => Ok(None),
        (None, Some(size)) => invalid("property WINDOW_SIZE needs property WINDOW_TYPE", size.span),
        (Some(Given { value: WindowType::Session, .. }), Some(size)) => {
            invalid("property WINDOW_SIZE cannot be given for SESSION windows", size.span)
        }
        (Some(Given { value: WindowType::Session, .. }), None) => {
            Ok(Some(WindowInfo { window_type: WindowType::Session, size_ms: None }))
        }
        (Some(kind), None) => invalid(&format!("windows of type {} need property WINDOW_SIZE", kind.value), kind.span),
        (Some(kind), Some(size)) => Ok(Some(WindowInfo { window_type: kind.value, size_ms: Some(size.value) })),
    }
}
