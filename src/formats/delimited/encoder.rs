//! Columns into lines.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::buffer::BooleanBuffer;

use super::DEFAULT_DELIMITER;
use crate::formats::source::sources;
use crate::formats::{EncodeError, EncodedSide, FormatName, RecordEncoder, Side};

/// Writes all columns of one side.
#[derive(Debug)]
pub(in crate::formats) struct DelimitedEncoder {
    delimiter: char,
    columns: usize,
}

impl DelimitedEncoder {
    pub(in crate::formats) fn new(side: &Side) -> Self {
        Self { delimiter: side.delimiter.unwrap_or(DEFAULT_DELIMITER), columns: side.columns.len() }
    }
}

impl RecordEncoder for DelimitedEncoder {
    fn encode(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        skip: Option<&BooleanBuffer>,
        out: &mut EncodedSide,
    ) -> Result<(), EncodeError> {
        let sources = sources(FormatName::Delimited, columns, self.columns)?;
        let mut delimiter = [0; 4];
        let delimiter = self.delimiter.encode_utf8(&mut delimiter).as_bytes();
        for row in 0..rows {
            let is_null = skip.is_some_and(|skip| skip.value(row));
            if !is_null {
                for (i, source) in sources.iter().enumerate() {
                    if i > 0 {
                        out.data.extend_from_slice(delimiter);
                    }
                    if !source.is_null(row) {
                        let start = out.data.len();
                        source.push_text(&mut out.data, row);
                        if needs_quotes(&out.data[start..], delimiter, i == 0) {
                            quote(&mut out.data, start);
                        }
                    }
                }
            }
            out.end_row(is_null);
        }
        Ok(())
    }
}

/// Commons CSV's rule of minimal quoting, as of its version 1.4.
fn needs_quotes(text: &[u8], delimiter: &[u8], is_first: bool) -> bool {
    let (Some(&first), Some(&last)) = (text.first(), text.last()) else {
        // An empty text may be all there is on the line.
        return is_first;
    };
    let is_odd_start = if is_first { !first.is_ascii_alphanumeric() } else { first <= b'#' };
    is_odd_start
        || last <= b' '
        || text.iter().any(|byte| matches!(byte, b'\n' | b'\r' | b'"'))
        || memchr::memmem::find(text, delimiter).is_some()
}

/// Puts what `out` holds from `start` on between quotes, and doubles the quotes in it.
fn quote(out: &mut Vec<u8>, start: usize) {
    let text = out.split_off(start);
    out.push(b'"');
    for byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}
