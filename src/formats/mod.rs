//! Record bytes to columns and back.
//!
//! A record has two sides, key and value; each has a [`Side`]: its format, its columns, and whether a single column
//! is wrapped. [`decoder`] and [`encoder`] give the two directions for one side; both work on batches, and neither
//! knows topics, offsets or windows (the window suffix of a key is cut off before and put on after).
//!
//! Invariants:
//! - a bad record leaves no trace in the columns;
//! - null bytes never reach a decoder: what a null key or value means is decided above;
//! - text in bytes is checked UTF-8 before it becomes a STRING.
//!
//! Reading order: [`Side`], [`RecordDecoder`] and [`RecordEncoder`], [`validate`], then the formats.

mod base64_text;
mod capability;
mod codec;
mod column;
mod delimited;
mod format_name;
mod json;
mod kafka;
mod none;
mod side;
mod source;
#[cfg(test)]
mod testing;

pub use capability::{default_unwrapped, parse_delimiter, supports_wrapping, unwrap_value, validate};
pub use codec::{DecodeError, EncodeError, FormatError, RecordDecoder, RecordEncoder};
pub use format_name::FormatName;
pub use side::{EncodedSide, Side, SideColumn};

/// A decoder of `side` that yields the columns at the indices `wanted`, in that order, as arrays of exactly
/// [`crate::types::SqlType::arrow`]. It reads no other column: what is wrong with them goes unseen.
///
/// A side without columns has no bytes to speak of, whatever its format: they are ignored.
///
/// # Errors
/// The format is not built yet or cannot hold the columns, or a wanted index is out of bounds.
pub fn decoder(side: &Side, wanted: &[usize]) -> Result<Box<dyn RecordDecoder>, FormatError> {
    let columns = side.columns.len();
    if let Some(&wanted) = wanted.iter().find(|&&index| index >= columns) {
        return Err(FormatError::NoSuchColumn { wanted, columns });
    }
    capability::check_built(side)?;
    if side.columns.is_empty() {
        return Ok(Box::new(none::NoneDecoder));
    }
    match side.format {
        FormatName::Delimited => Ok(Box::new(delimited::DelimitedDecoder::new(side, wanted))),
        FormatName::Json => Ok(Box::new(json::JsonDecoder::new(side, wanted))),
        FormatName::Kafka => Ok(Box::new(kafka::KafkaDecoder::new(&side.columns[0].ty, !wanted.is_empty()))),
        other => Err(FormatError::NotImplemented(other)),
    }
}

/// An encoder of `side`. A side without columns writes null bytes, whatever its format.
///
/// # Errors
/// The format is not built yet or cannot hold the columns.
pub fn encoder(side: &Side) -> Result<Box<dyn RecordEncoder>, FormatError> {
    capability::check_built(side)?;
    if side.columns.is_empty() {
        return Ok(Box::new(none::NoneEncoder));
    }
    match side.format {
        FormatName::Delimited => Ok(Box::new(delimited::DelimitedEncoder::new(side))),
        FormatName::Json => Ok(Box::new(json::JsonEncoder::new(side))),
        FormatName::Kafka => Ok(Box::new(kafka::KafkaEncoder)),
        other => Err(FormatError::NotImplemented(other)),
    }
}

#[cfg(test)]
mod tests;
