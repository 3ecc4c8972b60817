//! The slot of a key: which share of a stage's state it belongs to.
//!
//! The hash is part of stored state (a slot's state is found by it), so it is written down here and pinned by a test:
//! never change it.
//!
//! - a key is the sequence of its columns' values: `h = 0`, then for each column `h = mix(rotl(h, 5) ^ v)`;
//! - `v` of NULL is 1; of BOOLEAN, INTEGER, BIGINT, DATE, TIME, TIMESTAMP `mix` of the value as 64-bit integer;
//!   of DOUBLE `mix` of its bits, with `-0.0` as `0.0` and every NaN as one; of STRING and BYTES FNV-1a of the bytes,
//!   then `mix`; of DECIMAL as BYTES of the little-endian two's complement unscaled value;
//! - of ARRAY, MAP and STRUCT the elements (key, value; fields) combined as columns are, then the number of them;
//! - `mix` is the finaliser of splitmix64; the slot is `h` modulo the number of slots.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType,
};

use super::Slot;

/// What NULL hashes to.
const NULL: u64 = 1;

/// The slot of a key hash.
pub fn slot_of(hash: u64, slots: u16) -> Slot {
    let slots = u64::from(slots.max(1));
    // The same number, without a division where that can be.
    let slot = if slots.is_power_of_two() { hash & (slots - 1) } else { hash % slots };
    Slot(u16::try_from(slot).expect("smaller than the number of slots"))
}

/// The hash of the key that `columns` make in each of `rows` rows.
pub fn hash_keys(columns: &[&ArrayRef], rows: usize) -> Vec<u64> {
    let mut hashes = vec![0; rows];
    for column in columns {
        combine_column(column, &mut hashes);
    }
    hashes
}

fn combine(hash: u64, value: u64) -> u64 {
    mix(hash.rotate_left(5) ^ value)
}

fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn hash_bytes(bytes: &[u8]) -> u64 {
    let fnv =
        bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| (h ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    mix(fnv)
}

fn hash_integer(value: i64) -> u64 {
    mix(value.cast_unsigned())
}

fn hash_double(value: f64) -> u64 {
    let canonical = if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    };
    mix(canonical.to_bits())
}

/// Combines each row's value into its hash.
fn combine_column(column: &ArrayRef, hashes: &mut [u64]) {
    macro_rules! each {
        ($array:expr, $hash:expr) => {{
            let array = $array;
            let hash = $hash;
            for (row, h) in hashes.iter_mut().enumerate() {
                *h = combine(*h, if array.is_null(row) { NULL } else { hash(array.value(row)) });
            }
        }};
    }
    match column.data_type() {
        DataType::Int32 => each!(column.as_primitive::<Int32Type>(), |v| hash_integer(i64::from(v))),
        DataType::Int64 => each!(column.as_primitive::<Int64Type>(), hash_integer),
        DataType::Utf8 => each!(column.as_string::<i32>(), |v: &str| hash_bytes(v.as_bytes())),
        DataType::Binary => each!(column.as_binary::<i32>(), hash_bytes),
        DataType::Boolean => each!(column.as_boolean(), |v| hash_integer(i64::from(v))),
        DataType::Float64 => each!(column.as_primitive::<Float64Type>(), hash_double),
        DataType::Date32 => each!(column.as_primitive::<Date32Type>(), |v| hash_integer(i64::from(v))),
        DataType::Time32(_) => {
            each!(column.as_primitive::<Time32MillisecondType>(), |v| hash_integer(i64::from(v)));
        }
        DataType::Timestamp(..) => each!(column.as_primitive::<TimestampMillisecondType>(), hash_integer),
        DataType::Decimal128(..) => {
            each!(column.as_primitive::<Decimal128Type>(), |v: i128| hash_bytes(&v.to_le_bytes()));
        }
        DataType::Decimal256(..) => {
            each!(column.as_primitive::<Decimal256Type>(), |v: datafusion::arrow::datatypes::i256| {
                hash_bytes(&v.to_le_bytes())
            });
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            each!(list, |elements: ArrayRef| hash_elements(&[&elements], elements.len()));
        }
        DataType::Map(..) => {
            let map = column.as_map();
            each!(map, |entries: datafusion::arrow::array::StructArray| {
                hash_elements(&entries.columns().iter().collect::<Vec<_>>(), entries.len())
            });
        }
        DataType::Struct(_) => {
            let row_struct = column.as_struct();
            let fields = hash_keys(&row_struct.columns().iter().collect::<Vec<_>>(), column.len());
            for (row, h) in hashes.iter_mut().enumerate() {
                *h = combine(*h, if row_struct.is_null(row) { NULL } else { mix(fields[row]) });
            }
        }
        other => unreachable!("{other} is the Arrow form of no SQL type"),
    }
}

/// The elements of one list or map, one after the other, then their number.
fn hash_elements(columns: &[&ArrayRef], elements: usize) -> u64 {
    let all = hash_keys(columns, elements).into_iter().fold(0, combine);
    combine(all, elements as u64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, StringArray};

    use super::{hash_keys, slot_of};

    /// The slots, of 64, of a key of one column.
    fn slots(column: ArrayRef) -> Vec<u16> {
        hash_keys(&[&column], column.len()).into_iter().map(|hash| slot_of(hash, 64).0).collect()
    }

    #[test]
    fn slots_never_change() {
        assert_eq!(
            slots(Arc::new(StringArray::from(vec![Some(""), Some("a"), Some("order-17"), None]))),
            [53, 43, 25, 1]
        );
        assert_eq!(slots(Arc::new(Int64Array::from(vec![0, 1, -1, i64::MAX]))), [47, 30, 55, 30]);
    }

    #[test]
    fn equal_values_share_a_slot() {
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN]));
        let of_doubles = slots(doubles);
        assert_eq!(of_doubles[0], of_doubles[1]);
        assert_eq!(of_doubles[2], of_doubles[3]);
        assert_eq!(slots(Arc::new(Int32Array::from(vec![7]))), slots(Arc::new(Int64Array::from(vec![7]))));
    }
}
