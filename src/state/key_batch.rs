//! The keys of a batch, ready to be looked up: typed access and a hash for each row.
//!
//! One BIGINT, one INTEGER and one STRING column are read where they are; every other key is its bytes by
//! [`RowCodec`]. The hash is for tables in memory only and may change; the hash that finds slots is another one
//! ([`super::hash_keys`]).

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::buffer::ScalarBuffer;
use datafusion::arrow::datatypes::{Int32Type, Int64Type};

use crate::types::{EncodedRows, RowCodec, SqlType};

/// How the keys of a table are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyForm {
    /// One INTEGER column.
    Int32,
    /// One BIGINT column.
    Int64,
    /// One STRING column.
    Text,
    /// The row's bytes.
    Row,
}

impl KeyForm {
    /// The form of keys of these columns.
    pub(super) fn of(types: &[SqlType]) -> Self {
        match types {
            [SqlType::Integer] => Self::Int32,
            [SqlType::BigInt] => Self::Int64,
            [SqlType::String] => Self::Text,
            _ => Self::Row,
        }
    }
}

/// The keys of the rows of a batch. No part of a key that is one INTEGER, BIGINT or STRING column is NULL.
#[derive(Debug)]
pub struct KeyBatch {
    pub(super) keys: Keys,
    pub(super) hashes: Vec<u32>,
    pub(super) columns: Vec<ArrayRef>,
}

/// Keys by form.
#[derive(Debug)]
pub(super) enum Keys {
    Int32(ScalarBuffer<i32>),
    Int64(ScalarBuffer<i64>),
    Text(StringArray),
    Row(EncodedRows),
}

impl KeyBatch {
    pub(super) fn new(form: KeyForm, codec: &RowCodec, columns: Vec<ArrayRef>, rows: usize) -> Self {
        debug_assert!(
            form == KeyForm::Row || columns.iter().all(|column| column.null_count() == 0),
            "rows without a key are dropped before"
        );
        let (keys, hashes) = match form {
            KeyForm::Int32 => {
                let values = columns[0].as_primitive::<Int32Type>().values().clone();
                let hashes = values.iter().map(|value| hash_integer(i64::from(*value))).collect();
                (Keys::Int32(values), hashes)
            }
            KeyForm::Int64 => {
                let values = columns[0].as_primitive::<Int64Type>().values().clone();
                let hashes = values.iter().map(|value| hash_integer(*value)).collect();
                (Keys::Int64(values), hashes)
            }
            KeyForm::Text => {
                let values = columns[0].as_string::<i32>().clone();
                let hashes = (0..rows).map(|row| hash_bytes(values.value(row).as_bytes())).collect();
                (Keys::Text(values), hashes)
            }
            KeyForm::Row => {
                let encoded = codec.encode(&columns, rows);
                let hashes = encoded.iter().map(hash_bytes).collect();
                (Keys::Row(encoded), hashes)
            }
        };
        Self { keys, hashes, columns }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// True if there is no key.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// Odd constants of wyhash: multiplying by one and folding the halves of the product mixes all bits.
const SPREAD: u64 = 0xa076_1d64_78bd_642f;
const SPREAD_LAST: u64 = 0xe703_7ed1_a0b4_28db;

fn fold(value: u64, by: u64) -> u64 {
    let product = u128::from(value) * u128::from(by);
    (product as u64) ^ ((product >> 64) as u64)
}

pub(super) fn hash_integer(value: i64) -> u32 {
    (fold(value.cast_unsigned() ^ SPREAD_LAST, SPREAD) >> 32) as u32
}

pub(super) fn hash_bytes(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = SPREAD_LAST ^ bytes.len() as u64;
    for word in words {
        hash = fold(hash ^ u64::from_le_bytes(*word), SPREAD);
    }
    let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    (fold(fold(hash ^ last, SPREAD), SPREAD_LAST) >> 32) as u32
}
