//! STDDEV_SAMPLE and STDDEV_SAMP: how far values are from their mean, by Welford's method as ksqlDB runs it.
//!
//! Saved: the sum, as many bytes as its type has, then the count and the sum of squared distances, 8 bytes each.

use std::marker::PhantomData;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array};

use super::groups::Fold;
use super::number::{Numbers, Real};
use super::saved::Saved;
use crate::types::NotARow;

/// What has been seen of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<N> {
    sum: N,
    count: i64,
    /// Sum of the squared distances from the mean.
    squares: f64,
}

/// The deviation, or the variance.
#[derive(Debug)]
pub(super) struct Deviation<N> {
    /// STDDEV_SAMP, which gives the variance and merges integers by their truncated means.
    pub(super) is_legacy: bool,
    pub(super) number: PhantomData<N>,
}

/// What a value adds to the squares of `count` values, itself among them, whose sum is `sum`.
fn square<N: Real>(value: N, count: i64, sum: N) -> f64 {
    let distance = value.scaled_minus(count, sum);
    distance * distance / (count as f64 * (count - 1) as f64)
}

impl<N: Real> Fold for Deviation<N> {
    type State = Seen<N>;
    type Input<'a> = Numbers<'a, N>;
    type Output = Vec<f64>;

    fn empty(&self) -> Seen<N> {
        Seen { sum: N::ZERO, count: 0, squares: 0.0 }
    }

    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> Numbers<'a, N> {
        Numbers::new(&arguments[0])
    }

    fn add(&self, state: &mut Seen<N>, input: &Numbers<'_, N>, row: usize) -> Result<(), String> {
        if let Some(value) = input.get(row) {
            state.count += 1;
            state.sum = state.sum.plus(value);
            if state.count > 1 {
                state.squares += square(value, state.count, state.sum);
            }
        }
        Ok(())
    }

    fn remove(&self, state: &mut Seen<N>, input: &Numbers<'_, N>, row: usize) -> Result<(), String> {
        if let Some(value) = input.get(row) {
            // One value has no distance; of more, rounding must not leave less than none.
            state.squares =
                if state.count > 2 { (state.squares - square(value, state.count, state.sum)).max(0.0) } else { 0.0 };
            state.count -= 1;
            state.sum = state.sum.minus(value);
        }
        Ok(())
    }

    fn output(&self, rows: usize) -> Vec<f64> {
        Vec::with_capacity(rows)
    }

    fn put(&self, state: &Seen<N>, output: &mut Vec<f64>) {
        let variance = if state.count < 2 { 0.0 } else { state.squares / (state.count - 1) as f64 };
        output.push(if self.is_legacy { variance } else { variance.sqrt() });
    }

    fn finish(&self, output: Vec<f64>) -> ArrayRef {
        Arc::new(Float64Array::from(output))
    }

    fn merge(&self, state: &mut Seen<N>, other: Seen<N>) -> Result<(), String> {
        let (one, two) = (other, *state);
        let count = one.count + two.count;
        let between = if one.count == 0 || two.count == 0 {
            0.0
        } else {
            let mean = |seen: Seen<N>| {
                if self.is_legacy { seen.sum.divided(seen.count) } else { seen.sum.double() / seen.count as f64 }
            };
            let distance = mean(one) - mean(two);
            (one.count as f64 * two.count as f64) * (distance * distance) / count as f64
        };
        *state = Seen { sum: one.sum.plus(two.sum), count, squares: one.squares + two.squares + between };
        Ok(())
    }

    fn save(&self, state: &Seen<N>, out: &mut Vec<u8>) {
        state.sum.save(out);
        state.count.save(out);
        state.squares.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Seen<N>, NotARow> {
        Ok(Seen { sum: N::load(bytes)?, count: i64::load(bytes)?, squares: f64::load(bytes)? })
    }
}
