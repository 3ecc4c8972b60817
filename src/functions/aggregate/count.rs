//! COUNT: how many rows, or how many values.
//!
//! Saved: the count, 8 bytes.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Int64Array};
use datafusion::arrow::buffer::NullBuffer;

use super::groups::Fold;
use super::saved::Saved;
use crate::types::NotARow;

/// COUNT of rows or of one argument.
#[derive(Debug)]
pub(super) struct Count;

impl Fold for Count {
    type State = i64;
    type Input<'a> = Option<&'a NullBuffer>;
    type Output = Vec<i64>;

    fn empty(&self) -> i64 {
        0
    }

    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> Self::Input<'a> {
        arguments.first().and_then(|values| values.nulls()).filter(|nulls| nulls.null_count() > 0)
    }

    fn add(&self, state: &mut i64, input: &Self::Input<'_>, row: usize) -> Result<(), String> {
        *state += i64::from(input.is_none_or(|nulls| nulls.is_valid(row)));
        Ok(())
    }

    fn remove(&self, state: &mut i64, input: &Self::Input<'_>, row: usize) -> Result<(), String> {
        *state -= i64::from(input.is_none_or(|nulls| nulls.is_valid(row)));
        Ok(())
    }

    fn output(&self, rows: usize) -> Vec<i64> {
        Vec::with_capacity(rows)
    }

    fn put(&self, state: &i64, output: &mut Vec<i64>) {
        output.push(*state);
    }

    fn finish(&self, output: Vec<i64>) -> ArrayRef {
        Arc::new(Int64Array::from(output))
    }

    fn merge(&self, state: &mut i64, other: i64) -> Result<(), String> {
        *state += other;
        Ok(())
    }

    fn save(&self, state: &i64, out: &mut Vec<u8>) {
        state.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<i64, NotARow> {
        i64::load(bytes)
    }
}
