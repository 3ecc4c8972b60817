//! The bytes that states are saved as: numbers big-endian, texts behind their length.
//!
//! They are part of stored state, version 1; every aggregate says what it writes, and a test pins it: never change them.

use datafusion::arrow::datatypes::i256;

use crate::types::NotARow;

/// What has a fixed number of bytes.
pub(super) trait Saved: Sized {
    /// Appends it.
    fn save(&self, out: &mut Vec<u8>);
    /// Takes it off.
    fn load(bytes: &mut &[u8]) -> Result<Self, NotARow>;
}

macro_rules! number {
    ($($ty:ty),*) => {$(
        impl Saved for $ty {
            fn save(&self, out: &mut Vec<u8>) {
                out.extend(self.to_be_bytes());
            }

            fn load(bytes: &mut &[u8]) -> Result<Self, NotARow> {
                array(bytes).map(Self::from_be_bytes)
            }
        }
    )*};
}

number!(u8, u32, i32, u64, i64, f64, i128, i256);

impl Saved for bool {
    fn save(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn load(bytes: &mut &[u8]) -> Result<Self, NotARow> {
        match u8::load(bytes)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(NotARow(bytes.len())),
        }
    }
}

/// Appends bytes behind their length.
pub(super) fn save_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    save_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Takes off bytes and their length.
pub(super) fn load_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], NotARow> {
    let length = load_length(bytes)?;
    take(bytes, length)
}

/// Appends how many things follow.
pub(super) fn save_length(length: usize, out: &mut Vec<u8>) {
    u32::try_from(length).expect("a group holds less than 2^32 bytes and values").save(out);
}

/// Takes off how many things follow.
pub(super) fn load_length(bytes: &mut &[u8]) -> Result<usize, NotARow> {
    usize::try_from(u32::load(bytes)?).map_err(|_| NotARow(bytes.len()))
}

/// Takes off `n` bytes.
pub(super) fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8], NotARow> {
    let (taken, left) = bytes.split_at_checked(n).ok_or(NotARow(bytes.len()))?;
    *bytes = left;
    Ok(taken)
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], NotARow> {
    let length = bytes.len();
    take(bytes, N)?.try_into().map_err(|_| NotARow(length))
}
