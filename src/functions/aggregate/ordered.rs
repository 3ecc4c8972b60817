//! Values that have an order in SQL, as keys that Rust orders the same way.
//!
//! - Numbers and times are their Arrow values; a DOUBLE is its bits so turned that integers compare as `Double.compareTo`:
//!   -0.0 before 0.0, NaN last.
//! - A STRING is its UTF-8 with the first bytes of long characters swapped, so that bytes compare as UTF-16 code units do;
//!   BYTES have their sign bits flipped, because Java compares them as signed.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryBuilder, PrimitiveArray, StringBuilder,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType, i256,
};

use super::saved::{Saved, load_bytes, save_bytes};
use crate::types::{NotARow, SqlType};

/// Values of one SQL type that have an order.
pub(super) trait Ordered: Send + fmt::Debug + 'static {
    /// A key as columns hold it.
    type Ref: ?Sized + Ord + ToOwned<Owned = Self::Key>;
    /// A key that is kept.
    type Key: Ord + Clone + Send + fmt::Debug + Borrow<Self::Ref>;
    /// Keys of a column.
    type Column<'a>;
    /// Values under construction.
    type Values;

    /// The keys of the arguments.
    fn column<'a>(&self, arguments: &'a [ArrayRef]) -> Self::Column<'a>;
    /// The key of a row; `None` for NULL.
    fn get<'c>(column: &'c Self::Column<'_>, row: usize) -> Option<&'c Self::Ref>;
    /// Room for so many values.
    fn values(&self, rows: usize) -> Self::Values;
    /// Appends a value.
    fn push(key: Option<&Self::Ref>, values: &mut Self::Values);
    /// The array of the values.
    fn array(&self, values: Self::Values) -> ArrayRef;
    /// Appends a key's bytes: those of its number, or its text behind its length.
    fn save(key: &Self::Ref, out: &mut Vec<u8>);
    /// Takes a key off.
    fn load(&self, bytes: &mut &[u8]) -> Result<Self::Key, NotARow>;
    /// How values compare where those that compare as equal are ties.
    fn rank(one: &Self::Ref, other: &Self::Ref) -> Ordering {
        one.cmp(other)
    }
    /// Bytes that a key owns elsewhere.
    fn heap_bytes(_key: &Self::Key) -> usize {
        0
    }
}

/// An Arrow type whose values are keys, or turn into keys.
pub(super) trait Sortable: ArrowPrimitiveType + fmt::Debug + Send {
    /// The key.
    type Key: Ord + Copy + Send + fmt::Debug + Saved + 'static;
    /// The keys of values.
    fn keys(values: &[Self::Native]) -> Cow<'_, [Self::Key]>;
    /// The value of a key.
    fn native(key: Self::Key) -> Self::Native;
}

macro_rules! sorts_as_it_is {
    ($($arrow:ty => $native:ty),*) => {$(
        impl Sortable for $arrow {
            type Key = $native;

            fn keys(values: &[$native]) -> Cow<'_, [$native]> {
                Cow::Borrowed(values)
            }

            fn native(key: $native) -> $native {
                key
            }
        }
    )*};
}

sorts_as_it_is!(
    Int32Type => i32, Date32Type => i32, Time32MillisecondType => i32, Int64Type => i64,
    TimestampMillisecondType => i64, Decimal128Type => i128, Decimal256Type => i256
);

impl Sortable for Float64Type {
    type Key = i64;

    fn keys(values: &[f64]) -> Cow<'_, [i64]> {
        Cow::Owned(
            values.iter().map(|value| turned(if value.is_nan() { f64::NAN } else { *value }.to_bits())).collect(),
        )
    }

    fn native(key: i64) -> f64 {
        f64::from_bits(turned(key.cast_unsigned()).cast_unsigned())
    }
}

/// Bits of a double as an integer that compares as it does, and back.
fn turned(bits: u64) -> i64 {
    let bits = bits.cast_signed();
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// Numbers and times.
#[derive(Debug)]
pub(super) struct Fixed<T> {
    ty: DataType,
    arrow: PhantomData<T>,
}

impl<T> Fixed<T> {
    /// Values of this type, which is that of `T`.
    pub(super) fn new(ty: &SqlType) -> Self {
        Self { ty: ty.arrow(), arrow: PhantomData }
    }
}

impl<T: Sortable> Ordered for Fixed<T> {
    type Ref = T::Key;
    type Key = T::Key;
    type Column<'a> = (Cow<'a, [T::Key]>, Option<&'a NullBuffer>);
    type Values = Vec<Option<T::Native>>;

    fn column<'a>(&self, arguments: &'a [ArrayRef]) -> Self::Column<'a> {
        let array = arguments[0].as_primitive::<T>();
        (T::keys(array.values()), array.nulls().filter(|nulls| nulls.null_count() > 0))
    }

    fn get<'c>((keys, nulls): &'c Self::Column<'_>, row: usize) -> Option<&'c T::Key> {
        match nulls {
            Some(nulls) if nulls.is_null(row) => None,
            _ => Some(&keys[row]),
        }
    }

    fn values(&self, rows: usize) -> Self::Values {
        Vec::with_capacity(rows)
    }

    fn push(key: Option<&T::Key>, values: &mut Self::Values) {
        values.push(key.map(|key| T::native(*key)));
    }

    fn array(&self, values: Self::Values) -> ArrayRef {
        Arc::new(values.into_iter().collect::<PrimitiveArray<T>>().with_data_type(self.ty.clone()))
    }

    fn save(key: &T::Key, out: &mut Vec<u8>) {
        key.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<T::Key, NotARow> {
        T::Key::load(bytes)
    }
}

/// Keys of a column of texts or bytes.
#[derive(Debug)]
pub(super) struct Texts<'a> {
    keys: Vec<u8>,
    ends: Vec<usize>,
    nulls: Option<&'a NullBuffer>,
}

impl<'a> Texts<'a> {
    fn new(array: &'a ArrayRef, mut append: impl FnMut(usize, &mut Vec<u8>)) -> Self {
        let (mut keys, mut ends) = (Vec::new(), Vec::with_capacity(array.len()));
        for row in 0..array.len() {
            if array.is_valid(row) {
                append(row, &mut keys);
            }
            ends.push(keys.len());
        }
        Self { keys, ends, nulls: array.nulls() }
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        Some(&self.keys[start..self.ends[row]])
    }
}

/// STRING.
#[derive(Debug)]
pub(super) struct Text;

/// UTF-8 first bytes in the order of UTF-16: surrogate pairs (F0 to F4) come before U+E000 to U+FFFF (EE, EF).
fn swapped(byte: u8) -> u8 {
    match byte {
        0xf0..=0xf4 => byte - 2,
        0xee | 0xef => byte + 5,
        other => other,
    }
}

/// True if [`swapped`] changes none of the bytes, as in most texts.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte < 0xee)
}

/// Undoes [`swapped`].
fn unswapped(byte: u8) -> u8 {
    match byte {
        0xee..=0xf2 => byte + 2,
        0xf3 | 0xf4 => byte - 5,
        other => other,
    }
}

impl Ordered for Text {
    type Ref = [u8];
    type Key = Vec<u8>;
    type Column<'a> = Texts<'a>;
    type Values = StringBuilder;

    fn column<'a>(&self, arguments: &'a [ArrayRef]) -> Texts<'a> {
        let array = &arguments[0];
        let texts = array.as_string::<i32>();
        if is_plain(texts.value_data()) {
            return Texts::new(array, |row, keys| keys.extend_from_slice(texts.value(row).as_bytes()));
        }
        Texts::new(array, |row, keys| keys.extend(texts.value(row).bytes().map(swapped)))
    }

    fn get<'c>(column: &'c Texts<'_>, row: usize) -> Option<&'c [u8]> {
        column.get(row)
    }

    fn values(&self, rows: usize) -> StringBuilder {
        StringBuilder::with_capacity(rows, rows * 8)
    }

    fn push(key: Option<&[u8]>, values: &mut StringBuilder) {
        let Some(key) = key else { return values.append_null() };
        let text = if is_plain(key) { Cow::Borrowed(key) } else { key.iter().copied().map(unswapped).collect() };
        values.append_value(std::str::from_utf8(&text).expect("a key of a text turns back into it"));
    }

    fn array(&self, mut values: StringBuilder) -> ArrayRef {
        Arc::new(values.finish())
    }

    fn save(key: &[u8], out: &mut Vec<u8>) {
        save_bytes(key, out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Vec<u8>, NotARow> {
        let key = load_bytes(bytes)?;
        let text: Vec<u8> = key.iter().copied().map(unswapped).collect();
        std::str::from_utf8(&text).map_err(|_| NotARow(key.len()))?;
        Ok(key.to_vec())
    }

    fn heap_bytes(key: &Vec<u8>) -> usize {
        key.capacity()
    }
}

/// BYTES.
#[derive(Debug)]
pub(super) struct Bytes;

/// The bit that makes signed bytes compare as unsigned.
const SIGN: u8 = 0x80;

impl Ordered for Bytes {
    type Ref = [u8];
    type Key = Vec<u8>;
    type Column<'a> = Texts<'a>;
    type Values = BinaryBuilder;

    fn column<'a>(&self, arguments: &'a [ArrayRef]) -> Texts<'a> {
        let array = &arguments[0];
        let texts = array.as_binary::<i32>();
        Texts::new(array, |row, keys| keys.extend(texts.value(row).iter().map(|byte| byte ^ SIGN)))
    }

    fn get<'c>(column: &'c Texts<'_>, row: usize) -> Option<&'c [u8]> {
        column.get(row)
    }

    fn values(&self, _rows: usize) -> BinaryBuilder {
        BinaryBuilder::new()
    }

    fn push(key: Option<&[u8]>, values: &mut BinaryBuilder) {
        values.append_option(key.map(|key| key.iter().map(|byte| byte ^ SIGN).collect::<Vec<u8>>()));
    }

    fn array(&self, mut values: BinaryBuilder) -> ArrayRef {
        Arc::new(values.finish())
    }

    fn save(key: &[u8], out: &mut Vec<u8>) {
        save_bytes(key, out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Vec<u8>, NotARow> {
        load_bytes(bytes).map(<[u8]>::to_vec)
    }

    fn heap_bytes(key: &Vec<u8>) -> usize {
        key.capacity()
    }
}
