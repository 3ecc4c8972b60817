//! CORRELATION: Pearson's coefficient of two columns.
//!
//! Saved: the sums of x, y, x², y², xy, then the count; 8 bytes each.

use std::marker::PhantomData;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array};

use super::groups::Fold;
use super::number::{Numbers, Real};
use super::saved::Saved;
use crate::types::NotARow;

/// CORRELATION; rows with a NULL are left out.
#[derive(Debug, Default)]
pub(super) struct Correlation<N>(PhantomData<N>);

/// Sums over the rows of a group.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
    count: i64,
}

impl Sums {
    fn of(x: f64, y: f64) -> Self {
        Self { x, y, xx: x * x, yy: y * y, xy: x * y, count: 1 }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            x: self.x + other.x,
            y: self.y + other.y,
            xx: self.xx + other.xx,
            yy: self.yy + other.yy,
            xy: self.xy + other.xy,
            count: self.count + other.count,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            x: self.x - other.x,
            y: self.y - other.y,
            xx: self.xx - other.xx,
            yy: self.yy - other.yy,
            xy: self.xy - other.xy,
            count: self.count - other.count,
        }
    }
}

impl<N: Real> Fold for Correlation<N> {
    type State = Sums;
    type Input<'a> = (Numbers<'a, N>, Numbers<'a, N>);
    type Output = Vec<f64>;

    fn empty(&self) -> Sums {
        Sums::default()
    }

    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> Self::Input<'a> {
        (Numbers::new(&arguments[0]), Numbers::new(&arguments[1]))
    }

    fn add(&self, state: &mut Sums, (x, y): &Self::Input<'_>, row: usize) -> Result<(), String> {
        if let Some((x, y)) = x.get(row).zip(y.get(row)) {
            *state = state.plus(Sums::of(x.double(), y.double()));
        }
        Ok(())
    }

    fn remove(&self, state: &mut Sums, (x, y): &Self::Input<'_>, row: usize) -> Result<(), String> {
        if let Some((x, y)) = x.get(row).zip(y.get(row)) {
            *state = state.minus(Sums::of(x.double(), y.double()));
        }
        Ok(())
    }

    fn output(&self, rows: usize) -> Vec<f64> {
        Vec::with_capacity(rows)
    }

    fn put(&self, Sums { x, y, xx, yy, xy, count }: &Sums, output: &mut Vec<f64>) {
        let n = *count as f64;
        output.push((n * xy - x * y) / ((n * xx - x * x) * (n * yy - y * y)).sqrt());
    }

    fn finish(&self, output: Vec<f64>) -> ArrayRef {
        Arc::new(Float64Array::from(output))
    }

    fn merge(&self, state: &mut Sums, other: Sums) -> Result<(), String> {
        *state = other.plus(*state);
        Ok(())
    }

    fn save(&self, Sums { x, y, xx, yy, xy, count }: &Sums, out: &mut Vec<u8>) {
        [x, y, xx, yy, xy].into_iter().for_each(|sum| sum.save(out));
        count.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Sums, NotARow> {
        let mut sum = || f64::load(bytes);
        let (x, y, xx, yy, xy) = (sum()?, sum()?, sum()?, sum()?, sum()?);
        Ok(Sums { x, y, xx, yy, xy, count: i64::load(bytes)? })
    }
}
