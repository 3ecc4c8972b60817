//! Values on their way through an evaluation, and the rows on which something failed.
//!
//! ```text
//!   a node gives an Outcome { value, failures }
//!     hard failure of a row: an exception is on its way up to the end of the unit; the row's value means nothing
//!     soft failure of a row: the unit has ended; the row's value is NULL and the failure is only to be reported
//! ```
//!
//! Nothing is reported before the root is reached. So AND, OR and CASE evaluate all operands over the whole batch and
//! throw away the failures of rows that a short circuit skips: evaluation stays vectorised and free of masks, and a
//! shared sub-expression has one result wherever it stands.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayAccessor, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, Datum, UInt64Array, make_array,
    new_null_array,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::compute::take;

use crate::types::SqlType;

/// One value per row, or one value that stands for every row.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    array: ArrayRef,
    constant: bool,
}

impl Value {
    /// A value per row.
    pub(crate) fn column(array: ArrayRef) -> Self {
        Self { array, constant: false }
    }

    /// One value for all rows.
    ///
    /// # Panics
    /// If the array does not hold exactly one value.
    pub(crate) fn constant(array: ArrayRef) -> Self {
        assert_eq!(array.len(), 1, "a constant is one value");
        Self { array, constant: true }
    }

    /// NULL of a type, for all rows; the untyped NULL is held as a string.
    pub(crate) fn null(ty: Option<&SqlType>) -> Self {
        let arrow = ty.map_or(datafusion::arrow::datatypes::DataType::Utf8, SqlType::arrow);
        Self::constant(new_null_array(&arrow, 1))
    }

    /// The values: one per row, or exactly one if this is constant.
    pub(crate) fn array(&self) -> &ArrayRef {
        &self.array
    }

    /// True if one value stands for all rows.
    pub(crate) fn is_constant(&self) -> bool {
        self.constant
    }

    /// One value per row.
    pub(crate) fn to_rows(&self, rows: usize) -> ArrayRef {
        if self.constant { repeat(&self.array, rows) } else { Arc::clone(&self.array) }
    }

    /// True if some value is NULL.
    pub(crate) fn has_nulls(&self) -> bool {
        self.array.null_count() > 0
    }

    /// True if the value of a row is NULL.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.array.is_null(if self.constant { 0 } else { row })
    }

    /// Typed access that hides the difference between constants and columns.
    ///
    /// # Panics
    /// If the array is not an `A`: typing has decided it.
    pub(crate) fn typed<A: Array + 'static>(&self) -> Typed<'_, A> {
        let array = self
            .array
            .as_any()
            .downcast_ref::<A>()
            .unwrap_or_else(|| panic!("typing promised another array than {:?}", self.array.data_type()));
        Typed { array, step: usize::from(!self.constant) }
    }
}

impl Datum for Value {
    fn get(&self) -> (&dyn Array, bool) {
        (self.array.as_ref(), self.constant)
    }
}

/// The one value of `array`, `rows` times.
fn repeat(array: &ArrayRef, rows: usize) -> ArrayRef {
    let zeros = UInt64Array::from(vec![0; rows]);
    take(array.as_ref(), &zeros, None).expect("index 0 of a one-value array is in range")
}

/// A typed view of a [`Value`], read by row.
#[derive(Debug)]
pub(crate) struct Typed<'a, A> {
    array: &'a A,
    /// 1 for columns, 0 for constants.
    step: usize,
}

impl<A> Clone for Typed<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Typed<'_, A> {}

impl<'a, A> Typed<'a, A>
where
    A: Array,
    &'a A: ArrayAccessor,
{
    /// The value of a row.
    pub(crate) fn get(&self, row: usize) -> Option<<&'a A as ArrayAccessor>::Item> {
        let i = row * self.step;
        self.array.is_valid(i).then(|| self.array.value(i))
    }

    /// The position in [`Typed::array`] that holds the value of a row.
    pub(crate) fn position(&self, row: usize) -> usize {
        row * self.step
    }

    /// The array behind.
    pub(crate) fn array(&self) -> &'a A {
        self.array
    }
}

/// A row on which something failed, and why.
pub(crate) type Failure = (usize, Cow<'static, str>);

/// The first failure of each row.
pub(crate) fn first_of_each_row(mut failures: Vec<Failure>) -> Vec<Failure> {
    // Mostly rows fail in order.
    if !failures.is_sorted_by(|(row, _), (next, _)| row < next) {
        let mut seen = HashSet::with_capacity(failures.len());
        failures.retain(|(row, _)| seen.insert(*row));
    }
    failures
}

/// The rows on which something failed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures {
    /// At most one per row.
    pub(crate) hard: Vec<Failure>,
    /// Any number per row.
    pub(crate) soft: Vec<Failure>,
}

impl Failures {
    pub(crate) fn is_empty(&self) -> bool {
        self.hard.is_empty() && self.soft.is_empty()
    }

    /// Adds a hard failure; the first of a row wins.
    pub(crate) fn add_all(&mut self, rows: usize, others: Vec<Failure>) {
        if self.hard.is_empty() {
            self.hard = others;
        } else if !others.is_empty() {
            let failed = self.failed(rows).unwrap_or_else(|| BooleanBuffer::new_unset(rows));
            self.hard.extend(others.into_iter().filter(|(row, _)| !failed.value(*row)));
        }
    }

    /// Takes in the failures of an operand that was evaluated in any case.
    pub(crate) fn merge(&mut self, rows: usize, other: Self) {
        self.soft.extend(other.soft);
        self.add_all(rows, other.hard);
    }

    /// Drops the failures of rows for which `keep` says no.
    pub(crate) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        self.hard.retain(|(row, _)| keep(*row));
        self.soft.retain(|(row, _)| keep(*row));
    }

    /// Which rows failed hard, if any did.
    pub(crate) fn failed(&self, rows: usize) -> Option<BooleanBuffer> {
        if self.hard.is_empty() {
            return None;
        }
        let mut bits = BooleanBufferBuilder::new(rows);
        bits.append_n(rows, false);
        for (row, _) in &self.hard {
            bits.set_bit(*row, true);
        }
        Some(bits.finish())
    }

    /// The same failures for each of `rows` rows: this belongs to a constant.
    pub(crate) fn spread(self, rows: usize) -> Self {
        let spread = |list: Vec<Failure>| {
            list.into_iter().flat_map(|(_, message)| (0..rows).map(move |row| (row, message.clone()))).collect()
        };
        Self { hard: spread(self.hard), soft: spread(self.soft) }
    }
}

/// What evaluating a node gave.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) value: Value,
    pub(crate) failures: Failures,
}

impl Outcome {
    /// An outcome without failures.
    pub(crate) fn clean(value: Value) -> Self {
        Self { value, failures: Failures::default() }
    }

    /// Ends the unit of error handling: rows that failed become NULL.
    pub(crate) fn end_unit(mut self) -> Self {
        let rows = self.value.array.len();
        if let Some(failed) = self.failures.failed(rows) {
            self.value.array = null_where(&self.value.array, &failed);
            let mut hard = std::mem::take(&mut self.failures.hard);
            self.failures.soft.append(&mut hard);
        }
        self
    }

    /// The outcome with one value per row.
    pub(crate) fn into_rows(self, rows: usize) -> Self {
        if !self.value.constant {
            return self;
        }
        Self { value: Value::column(self.value.to_rows(rows)), failures: self.failures.spread(rows) }
    }
}

/// The array with NULL where `gone` is set.
pub(crate) fn null_where(array: &ArrayRef, gone: &BooleanBuffer) -> ArrayRef {
    let kept = NullBuffer::new(!gone);
    with_nulls(array, NullBuffer::union(array.nulls(), Some(&kept)))
}

/// The array with other nulls, which must include its own.
pub(crate) fn with_nulls(array: &ArrayRef, nulls: Option<NullBuffer>) -> ArrayRef {
    if matches!(array.data_type(), datafusion::arrow::datatypes::DataType::Null) {
        return Arc::clone(array);
    }
    // A window into bits has an offset of its own, to which a buffer of nulls does not fit.
    if let Some(truths) = array.as_boolean_opt() {
        let bits = truths.values();
        let bits = if bits.offset() == 0 { bits.clone() } else { BooleanBuffer::new(bits.sliced(), 0, bits.len()) };
        return Arc::new(BooleanArray::new(bits, nulls));
    }
    let data = array.to_data().into_builder().nulls(nulls).build();
    make_array(data.expect("a null buffer of the array's own length fits"))
}
