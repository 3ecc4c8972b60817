//! AVG: the sum in the type of the argument, wrapping, divided by how many values there are; 0.0 of none.
//!
//! Saved: the sum, as many bytes as its type has, then the count, 8 bytes.

use std::marker::PhantomData;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array};

use super::groups::Fold;
use super::number::{Numbers, Real};
use super::saved::Saved;
use crate::types::NotARow;

/// AVG.
#[derive(Debug, Default)]
pub(super) struct Mean<N>(PhantomData<N>);

impl<N: Real> Fold for Mean<N> {
    /// Sum and count.
    type State = (N, i64);
    type Input<'a> = Numbers<'a, N>;
    type Output = Vec<f64>;

    fn empty(&self) -> (N, i64) {
        (N::ZERO, 0)
    }

    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> Numbers<'a, N> {
        Numbers::new(&arguments[0])
    }

    fn add(&self, (sum, count): &mut (N, i64), input: &Numbers<'_, N>, row: usize) -> Result<(), String> {
        if let Some(value) = input.get(row) {
            *sum = sum.plus(value);
            *count += 1;
        }
        Ok(())
    }

    fn remove(&self, (sum, count): &mut (N, i64), input: &Numbers<'_, N>, row: usize) -> Result<(), String> {
        if let Some(value) = input.get(row) {
            *sum = sum.minus(value);
            *count -= 1;
        }
        Ok(())
    }

    fn output(&self, rows: usize) -> Vec<f64> {
        Vec::with_capacity(rows)
    }

    fn put(&self, (sum, count): &(N, i64), output: &mut Vec<f64>) {
        output.push(if *count == 0 { 0.0 } else { sum.double() / *count as f64 });
    }

    fn finish(&self, output: Vec<f64>) -> ArrayRef {
        Arc::new(Float64Array::from(output))
    }

    fn merge(&self, state: &mut (N, i64), other: (N, i64)) -> Result<(), String> {
        *state = (other.0.plus(state.0), other.1 + state.1);
        Ok(())
    }

    fn save(&self, (sum, count): &(N, i64), out: &mut Vec<u8>) {
        sum.save(out);
        count.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<(N, i64), NotARow> {
        Ok((N::load(bytes)?, i64::load(bytes)?))
    }
}
