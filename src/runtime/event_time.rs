//! Event time out of a column: milliseconds as BIGINT, TIMESTAMP, or text by a Java date-time pattern.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{Int64Type, TimestampMillisecondType};

use crate::diagnostics::{Code, Diagnostic};
use crate::functions::java_time::{JavaPattern, Zone};
use crate::planner::graph::TimestampColumn;
use crate::types::{EventTime, SqlType};

use super::BuildError;

/// How a column's values are read as times.
#[derive(Debug)]
pub(super) enum TimeReader {
    /// A BIGINT column.
    Millis,
    /// A TIMESTAMP column.
    Timestamp,
    /// A STRING column. What the text leaves open is that of 1970-01-01T00:00Z.
    Text(JavaPattern),
}

impl TimeReader {
    /// A reader of `timestamp`, whose column has this type.
    ///
    /// # Errors
    /// The pattern cannot be used, or the type has no time.
    pub(super) fn new(timestamp: &TimestampColumn, ty: &SqlType) -> Result<Self, BuildError> {
        match (ty, &timestamp.format) {
            (SqlType::BigInt, _) => Ok(Self::Millis),
            (SqlType::Timestamp, _) => Ok(Self::Timestamp),
            (SqlType::String, Some(pattern)) => match JavaPattern::compile(pattern) {
                Ok(pattern) => Ok(Self::Text(pattern)),
                Err(error) => {
                    let message = format!("TIMESTAMP_FORMAT cannot be used: {error}");
                    Err(Diagnostic::new(Code::InvalidTimestamp, message).into())
                }
            },
            (other, _) => {
                let message = format!("column {} of type {other} cannot be event time", timestamp.column);
                Err(Diagnostic::new(Code::InvalidTimestamp, message).into())
            }
        }
    }

    /// The time in `row`.
    ///
    /// # Errors
    /// Why there is none: the value is null, not a time, or before 1970.
    pub(super) fn read(&self, column: &ArrayRef, row: usize) -> Result<EventTime, String> {
        if column.is_null(row) {
            return Err("event time is null".to_owned());
        }
        let millis = match self {
            Self::Millis => column.as_primitive::<Int64Type>().value(row),
            Self::Timestamp => column.as_primitive::<TimestampMillisecondType>().value(row),
            Self::Text(pattern) => pattern.parse_millis(column.as_string::<i32>().value(row), Zone::UTC)?,
        };
        if millis < 0 { Err(format!("event time {millis} is negative")) } else { Ok(EventTime(millis)) }
    }
}
