//! JSON: one UTF-8 text a record, an object of the columns or a bare value.
//!
//! Reading is driven by the wanted columns: a cursor walks the text once and writes what it meets straight into
//! them, checking the grammar of everything else on the way. How values become columns is the table of
//! `reference/semantics.md` 12.3; in short:
//!
//! - a field belongs to the column of exactly its name, else to the column its upper-cased name names; of several
//!   such fields an exact name wins, then the last one;
//! - numbers and texts of numbers are interchangeable, anything becomes a STRING, nothing else is converted;
//! - missing fields are null, unknown fields are ignored;
//! - one value that does not fit makes the whole record bad.
//!
//! Reading order: [`decoder`], [`cursor`], [`members`], [`text`], [`encoder`].

mod cursor;
mod decoder;
mod encoder;
mod members;
mod scalar;
mod text;

pub(super) use decoder::JsonDecoder;
pub(super) use encoder::JsonEncoder;

use super::DecodeError;

/// What is wrong with a record, while the places around it are still being left.
#[derive(Debug)]
enum Fault {
    /// The text is not JSON: the record is bad whatever its columns are.
    Syntax { expected: &'static str, at: usize },
    /// A value does not fit its column. It does not matter if a later field takes its place.
    Mismatch {
        message: String,
        /// The way from the value that is looked at down to this one: `[0].B`.
        path: String,
    },
}

impl Fault {
    #[cold]
    fn mismatch(message: impl Into<String>) -> Box<Self> {
        Box::new(Self::Mismatch { message: message.into(), path: String::new() })
    }

    /// The same fault seen from one level further out.
    #[cold]
    fn inside(mut self: Box<Self>, step: impl FnOnce() -> String) -> Box<Self> {
        if let Self::Mismatch { path, .. } = &mut *self {
            *path = step() + path;
        }
        self
    }

    #[cold]
    fn into_error(self) -> DecodeError {
        match self {
            Self::Syntax { expected, at } => {
                DecodeError::new(format!("the bytes are not JSON: expected {expected} at byte {at}"))
            }
            Self::Mismatch { message, path } => DecodeError { message, path: Some(format!("${path}")) },
        }
    }
}

#[cfg(test)]
mod tests;
