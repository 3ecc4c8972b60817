//! The TIMESTAMP property: which column holds event time, and how its text is read.

use super::properties::Properties;
use crate::diagnostics::{Code, Diagnostic};
use crate::functions::java_time::JavaPattern;
use crate::planner::graph::TimestampColumn;
use crate::types::{Schema, SqlType};

/// The column of `schema` that holds event time, if the properties name one.
pub(super) fn column(properties: &Properties, schema: &Schema) -> Result<Option<TimestampColumn>, Diagnostic> {
    let Some(given) = &properties.timestamp else {
        return match &properties.timestamp_format {
            Some(format) => {
                Err(Diagnostic::new(Code::InvalidTimestamp, "property TIMESTAMP_FORMAT needs property TIMESTAMP")
                    .at(format.span))
            }
            None => Ok(None),
        };
    };
    let Some(column) = schema.column(&given.value) else {
        return Err(Diagnostic::new(
            Code::InvalidTimestamp,
            format!("timestamp column {} does not exist in the schema", given.value),
        )
        .with_near_miss(given.value.as_str(), schema.columns().iter().map(|column| column.name.as_str()))
        .at(given.span));
    };
    let wrong = |text: String| Err(Diagnostic::new(Code::InvalidTimestamp, text).at(given.span));
    let format = properties.timestamp_format.as_ref();
    match (&column.ty, format) {
        (SqlType::BigInt | SqlType::Timestamp, None) | (SqlType::String, Some(_)) => {}
        (SqlType::String, None) => {
            return wrong(format!("timestamp column {} is of type STRING and needs TIMESTAMP_FORMAT", column.name));
        }
        (SqlType::BigInt | SqlType::Timestamp, Some(_)) => {
            return wrong(format!("TIMESTAMP_FORMAT is only for STRING columns, and {} is {}", column.name, column.ty));
        }
        (ty, _) => {
            return wrong(format!(
                "timestamp column {} must be of type BIGINT, TIMESTAMP or STRING, not {ty}",
                column.name
            ));
        }
    }
    if let Some(format) = format {
        JavaPattern::compile(&format.value).map_err(|reason| {
            Diagnostic::new(Code::InvalidTimestamp, format!("TIMESTAMP_FORMAT is not a date-time pattern: {reason}"))
                .at(format.span)
        })?;
    }
    Ok(Some(TimestampColumn { column: column.name.clone(), format: format.map(|format| format.value.clone()) }))
}
