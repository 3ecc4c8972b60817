//! DELIMITED: one line of comma-separated values a record (RFC 4180, with any one character for the comma).
//!
//! Reading and writing follow Apache Commons CSV, which ksqlDB uses: what it puts quotes around can be odd, but
//! other programs compare these bytes.
//!
//! - an empty field is null, whatever the column's type; an empty STRING is read back as null;
//! - there are as many fields as columns, no more and no fewer;
//! - blank lines before the record are passed over, and whatever follows its first line is ignored.

mod decoder;
mod encoder;
mod line;

pub(super) use decoder::DelimitedDecoder;
pub(super) use encoder::DelimitedEncoder;

/// The delimiter of a side that names none.
const DEFAULT_DELIMITER: char = ',';

#[cfg(test)]
mod tests;
