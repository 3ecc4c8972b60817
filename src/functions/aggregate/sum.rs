//! SUM of numbers and SUM_LIST of the elements of arrays, in the type of the numbers: integers wrap, DECIMAL fails.
//!
//! Saved: the sum, as many bytes as its type has (DECIMAL: 16 up to 38 digits, else 32). No values: zero.

use std::marker::PhantomData;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, PrimitiveArray};
use datafusion::arrow::datatypes::DataType;

use super::groups::Fold;
use super::number::{Number, Numbers};
use crate::types::{NotARow, decimal_text};

/// What keeps a sum within its type.
pub(super) trait Bounds<N>: std::fmt::Debug + Send {
    /// Why the sum cannot be held, if so.
    fn check(&self, sum: N) -> Result<(), String>;
}

/// Integers wrap and doubles go to infinity.
#[derive(Debug)]
pub(super) struct Unbounded;

impl<N> Bounds<N> for Unbounded {
    fn check(&self, _sum: N) -> Result<(), String> {
        Ok(())
    }
}

/// DECIMAL of so many digits.
#[derive(Debug)]
pub(super) struct Digits<N> {
    pub(super) precision: u32,
    pub(super) scale: u32,
    /// 10^precision.
    pub(super) limit: N,
    /// The number in its scale.
    pub(super) text: fn(N, u32) -> String,
}

impl<N: Number> Bounds<N> for Digits<N> {
    fn check(&self, sum: N) -> Result<(), String> {
        if sum < self.limit && N::ZERO.minus(self.limit) < sum {
            return Ok(());
        }
        let Self { precision, scale, .. } = self;
        Err(format!(
            "Numeric field overflow: A field with precision {precision} and scale {scale} must round to an absolute \
             value less than 10^{}. Got {}",
            precision - scale,
            (self.text)(sum, *scale)
        ))
    }
}

/// An unscaled number in its scale.
pub(super) fn text128(unscaled: i128, scale: u32) -> String {
    let mut out = Vec::new();
    decimal_text::push_decimal128(&mut out, unscaled, u8::try_from(scale).unwrap_or(u8::MAX));
    String::from_utf8_lossy(&out).into_owned()
}

/// An unscaled number in its scale.
pub(super) fn text256(unscaled: datafusion::arrow::datatypes::i256, scale: u32) -> String {
    let mut out = Vec::new();
    decimal_text::push_decimal256(&mut out, unscaled, u8::try_from(scale).unwrap_or(u8::MAX));
    String::from_utf8_lossy(&out).into_owned()
}

/// SUM.
#[derive(Debug)]
pub(super) struct Sum<N, B> {
    ty: DataType,
    bounds: B,
    number: PhantomData<N>,
}

impl<N, B> Sum<N, B> {
    /// A sum whose result has this type.
    pub(super) fn new(ty: DataType, bounds: B) -> Self {
        Self { ty, bounds, number: PhantomData }
    }
}

impl<N: Number, B: Bounds<N>> Fold for Sum<N, B> {
    type State = N;
    type Input<'a> = Numbers<'a, N>;
    type Output = Vec<N>;

    fn empty(&self) -> N {
        N::ZERO
    }

    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> Numbers<'a, N> {
        Numbers::new(&arguments[0])
    }

    fn add(&self, state: &mut N, input: &Numbers<'_, N>, row: usize) -> Result<(), String> {
        if let Some(value) = input.get(row) {
            *state = state.plus(value);
            self.bounds.check(*state)?;
        }
        Ok(())
    }

    fn remove(&self, state: &mut N, input: &Numbers<'_, N>, row: usize) -> Result<(), String> {
        if let Some(value) = input.get(row) {
            *state = state.minus(value);
            self.bounds.check(*state)?;
        }
        Ok(())
    }

    fn output(&self, rows: usize) -> Vec<N> {
        Vec::with_capacity(rows)
    }

    fn put(&self, state: &N, output: &mut Vec<N>) {
        output.push(*state);
    }

    fn finish(&self, output: Vec<N>) -> ArrayRef {
        Arc::new(PrimitiveArray::<N::Arrow>::new(output.into(), None).with_data_type(self.ty.clone()))
    }

    fn merge(&self, state: &mut N, other: N) -> Result<(), String> {
        *state = other.plus(*state);
        self.bounds.check(*state)
    }

    fn save(&self, state: &N, out: &mut Vec<u8>) {
        state.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<N, NotARow> {
        N::load(bytes)
    }
}

/// SUM_LIST: a sum of the elements of each array that are not NULL.
#[derive(Debug)]
pub(super) struct SumList<N>(Sum<N, Unbounded>);

impl<N> SumList<N> {
    /// A sum whose result has this type.
    pub(super) fn new(ty: DataType) -> Self {
        Self(Sum::new(ty, Unbounded))
    }
}

impl<N: Number> SumList<N> {
    /// Each element of the row's array.
    fn elements(input: &(&ListArray, Numbers<'_, N>), row: usize, mut with: impl FnMut(N)) {
        let (lists, numbers) = input;
        if lists.is_valid(row) {
            let offsets = lists.value_offsets();
            (offsets[row]..offsets[row + 1]).filter_map(|index| numbers.get(index as usize)).for_each(&mut with);
        }
    }
}

impl<N: Number> Fold for SumList<N> {
    type State = N;
    type Input<'a> = (&'a ListArray, Numbers<'a, N>);
    type Output = Vec<N>;

    fn empty(&self) -> N {
        N::ZERO
    }

    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> Self::Input<'a> {
        let lists = arguments[0].as_list::<i32>();
        (lists, Numbers::new(lists.values()))
    }

    fn add(&self, state: &mut N, input: &Self::Input<'_>, row: usize) -> Result<(), String> {
        Self::elements(input, row, |value| *state = state.plus(value));
        Ok(())
    }

    fn remove(&self, state: &mut N, input: &Self::Input<'_>, row: usize) -> Result<(), String> {
        Self::elements(input, row, |value| *state = state.minus(value));
        Ok(())
    }

    fn output(&self, rows: usize) -> Vec<N> {
        self.0.output(rows)
    }

    fn put(&self, state: &N, output: &mut Vec<N>) {
        self.0.put(state, output);
    }

    fn finish(&self, output: Vec<N>) -> ArrayRef {
        self.0.finish(output)
    }

    fn merge(&self, state: &mut N, other: N) -> Result<(), String> {
        self.0.merge(state, other)
    }

    fn save(&self, state: &N, out: &mut Vec<u8>) {
        self.0.save(state, out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<N, NotARow> {
        self.0.load(bytes)
    }
}
