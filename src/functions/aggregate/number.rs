//! Columns of numbers, and the arithmetic that sums need.

use std::fmt;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{
    ArrowNativeType, Decimal128Type, Decimal256Type, Float64Type, Int32Type, Int64Type, i256,
};

use super::saved::Saved;

/// A column of numbers, read by row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers<'a, N> {
    values: &'a [N],
    nulls: Option<&'a NullBuffer>,
}

impl<'a, N: Number> Numbers<'a, N> {
    /// A column of the number's Arrow type.
    pub(super) fn new(array: &'a ArrayRef) -> Self {
        let array = array.as_primitive::<N::Arrow>();
        Self { values: array.values(), nulls: array.nulls().filter(|nulls| nulls.null_count() > 0) }
    }

    /// The number of a row; `None` for NULL.
    pub(super) fn get(&self, row: usize) -> Option<N> {
        match self.nulls {
            Some(nulls) if nulls.is_null(row) => None,
            _ => Some(self.values[row]),
        }
    }
}

/// A number as Java adds it: integers wrap.
pub(super) trait Number: ArrowNativeType + fmt::Debug + PartialOrd + Saved + 'static {
    /// Its Arrow type.
    type Arrow: ArrowPrimitiveType<Native = Self>;
    const ZERO: Self;
    /// The sum.
    fn plus(self, other: Self) -> Self;
    /// The difference.
    fn minus(self, other: Self) -> Self;
}

/// A number that means and deviations take.
pub(super) trait Real: Number {
    /// The nearest double.
    fn double(self) -> f64;
    /// `self * times - other`; integers as 64 bits, which wrap.
    fn scaled_minus(self, times: i64, other: Self) -> f64;
    /// `self / count`; integers are truncated.
    fn divided(self, count: i64) -> f64;
}

macro_rules! integer {
    ($ty:ty, $arrow:ty, $zero:expr) => {
        impl Number for $ty {
            type Arrow = $arrow;
            const ZERO: Self = $zero;

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
        }
    };
}

integer!(i32, Int32Type, 0);
integer!(i64, Int64Type, 0);
integer!(i128, Decimal128Type, 0);
integer!(i256, Decimal256Type, i256::ZERO);

impl Number for f64 {
    type Arrow = Float64Type;
    const ZERO: Self = 0.0;

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn minus(self, other: Self) -> Self {
        self - other
    }
}

macro_rules! real_integer {
    ($ty:ty) => {
        impl Real for $ty {
            fn double(self) -> f64 {
                self as f64
            }

            fn scaled_minus(self, times: i64, other: Self) -> f64 {
                i64::from(self).wrapping_mul(times).wrapping_sub(i64::from(other)) as f64
            }

            fn divided(self, count: i64) -> f64 {
                i64::from(self).wrapping_div(count) as f64
            }
        }
    };
}

real_integer!(i32);
real_integer!(i64);

impl Real for f64 {
    fn double(self) -> f64 {
        self
    }

    fn scaled_minus(self, times: i64, other: Self) -> f64 {
        self * times as f64 - other
    }

    fn divided(self, count: i64) -> f64 {
        self / count as f64
    }
}
