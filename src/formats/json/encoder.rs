//! Columns into records: every column is written, nulls too, under its name, in order.
//!
//! Numbers are spelled as Java spells them (`1.0E10`), DECIMALs with all digits of their scale; `NaN` and the
//! infinities, which JSON has no number for, as strings, as Jackson does.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::buffer::BooleanBuffer;

use super::text::push_quoted;
use crate::formats::source::{Source, Values, sources};
use crate::formats::{EncodeError, EncodedSide, FormatName, RecordEncoder, Side};

/// Writes all columns of one side.
#[derive(Debug)]
pub(in crate::formats) struct JsonEncoder {
    is_unwrapped: bool,
    /// What stands before the value of each column: `{"A":`, `,"B":`.
    prefixes: Vec<Vec<u8>>,
}

impl JsonEncoder {
    /// An encoder of the columns of `side`, of which there is at least one.
    pub(in crate::formats) fn new(side: &Side) -> Self {
        let prefix = |(i, name): (usize, &str)| {
            let mut prefix = vec![if i == 0 { b'{' } else { b',' }];
            push_quoted(&mut prefix, name);
            prefix.push(b':');
            prefix
        };
        Self {
            is_unwrapped: side.unwrapped && side.columns.len() == 1,
            prefixes: side.columns.iter().map(|column| column.name.as_str()).enumerate().map(prefix).collect(),
        }
    }
}

impl RecordEncoder for JsonEncoder {
    fn encode(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        skip: Option<&BooleanBuffer>,
        out: &mut EncodedSide,
    ) -> Result<(), EncodeError> {
        let sources = sources(FormatName::Json, columns, self.prefixes.len())?;
        for row in 0..rows {
            let is_null = skip.is_some_and(|skip| skip.value(row)) || (self.is_unwrapped && sources[0].is_null(row));
            if is_null {
            } else if self.is_unwrapped {
                push_value(&mut out.data, &sources[0], row);
            } else {
                for (prefix, source) in self.prefixes.iter().zip(&sources) {
                    out.data.extend_from_slice(prefix);
                    push_value(&mut out.data, source, row);
                }
                out.data.push(b'}');
            }
            out.end_row(is_null);
        }
        Ok(())
    }
}

#[inline]
fn push_value(out: &mut Vec<u8>, source: &Source<'_>, row: usize) {
    if source.is_null(row) {
        out.extend_from_slice(b"null");
        return;
    }
    match &source.values {
        Values::String(values) => push_quoted(out, values.value(row)),
        Values::Double(values) if !values.value(row).is_finite() => push_in_quotes(out, source, row),
        Values::Bytes(_) => push_in_quotes(out, source, row),
        Values::List(..) | Values::Map(..) | Values::Struct(..) => push_nested(out, source, row),
        _ => source.push_text(out, row),
    }
}

fn push_in_quotes(out: &mut Vec<u8>, source: &Source<'_>, row: usize) {
    out.push(b'"');
    source.push_text(out, row);
    out.push(b'"');
}

fn push_nested(out: &mut Vec<u8>, source: &Source<'_>, row: usize) {
    match &source.values {
        Values::List(list, items) => {
            let offsets = list.value_offsets();
            out.push(b'[');
            for item in offsets[row]..offsets[row + 1] {
                if item > offsets[row] {
                    out.push(b',');
                }
                push_value(out, items, item as usize);
            }
            out.push(b']');
        }
        Values::Map(map, keys, values) => {
            let offsets = map.value_offsets();
            out.push(b'{');
            for entry in offsets[row]..offsets[row + 1] {
                if entry > offsets[row] {
                    out.push(b',');
                }
                push_quoted(out, keys.value(entry as usize));
                out.push(b':');
                push_value(out, values, entry as usize);
            }
            out.push(b'}');
        }
        Values::Struct(fields, columns) => {
            out.push(b'{');
            for (i, (field, column)) in fields.iter().zip(columns).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                push_quoted(out, field.name());
                out.push(b':');
                push_value(out, column, row);
            }
            out.push(b'}');
        }
        _ => source.push_text(out, row),
    }
}
