//! MIN and MAX: of streams the extreme alone; of tables all values, so that rows can be taken back in any order.
//!
//! Saved: of streams a flag whether there is a value, then the value's key; of tables how many different values, 4 bytes,
//! then the key and the count, 8 bytes, of each. Keys: see `ordered`.

use std::borrow::Borrow;
use std::cmp::Ordering;

use datafusion::arrow::array::ArrayRef;

use super::groups::Fold;
use super::multiset::Multiset;
use super::ordered::Ordered;
use super::saved::Saved;
use crate::types::NotARow;

/// MIN or MAX over rows that are never taken back.
#[derive(Debug)]
pub(super) struct Extreme<O> {
    values: O,
    /// What a value must compare as with the one held to take its place.
    better: Ordering,
}

impl<O> Extreme<O> {
    pub(super) fn new(values: O, better: Ordering) -> Self {
        Self { values, better }
    }
}

impl<O: Ordered> Fold for Extreme<O> {
    type State = Option<O::Key>;
    type Input<'a> = O::Column<'a>;
    type Output = O::Values;

    fn empty(&self) -> Self::State {
        None
    }

    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> O::Column<'a> {
        self.values.column(arguments)
    }

    fn add(&self, state: &mut Self::State, input: &O::Column<'_>, row: usize) -> Result<(), String> {
        match (O::get(input, row), state.as_mut()) {
            (None, _) => {}
            (Some(key), None) => *state = Some(key.to_owned()),
            (Some(key), Some(held)) => {
                if key.cmp((*held).borrow()) == self.better {
                    key.clone_into(held);
                }
            }
        }
        Ok(())
    }

    fn remove(&self, _state: &mut Self::State, _input: &O::Column<'_>, _row: usize) -> Result<(), String> {
        Err("a row of a stream cannot be taken back".to_owned())
    }

    fn output(&self, rows: usize) -> O::Values {
        self.values.values(rows)
    }

    fn put(&self, state: &Self::State, output: &mut O::Values) {
        O::push(state.as_ref().map(Borrow::borrow), output);
    }

    fn finish(&self, output: O::Values) -> ArrayRef {
        self.values.array(output)
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) -> Result<(), String> {
        if let Some(key) = other
            && state.as_ref().is_none_or(|held| key.cmp(held) == self.better)
        {
            *state = Some(key);
        }
        Ok(())
    }

    fn save(&self, state: &Self::State, out: &mut Vec<u8>) {
        state.is_some().save(out);
        if let Some(key) = state {
            O::save(key.borrow(), out);
        }
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Self::State, NotARow> {
        Ok(if bool::load(bytes)? { Some(self.values.load(bytes)?) } else { None })
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        state.as_ref().map_or(0, O::heap_bytes)
    }
}

/// MIN or MAX over rows that may be taken back.
#[derive(Debug)]
pub(super) struct ExactExtreme<O> {
    values: O,
    largest: bool,
}

impl<O> ExactExtreme<O> {
    pub(super) fn new(values: O, better: Ordering) -> Self {
        Self { values, largest: better == Ordering::Greater }
    }
}

impl<O: Ordered> Fold for ExactExtreme<O> {
    type State = Multiset<O>;
    type Input<'a> = O::Column<'a>;
    type Output = O::Values;

    fn empty(&self) -> Multiset<O> {
        Multiset::new()
    }

    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> O::Column<'a> {
        self.values.column(arguments)
    }

    fn add(&self, state: &mut Multiset<O>, input: &O::Column<'_>, row: usize) -> Result<(), String> {
        if let Some(key) = O::get(input, row) {
            state.add(key, 1);
        }
        Ok(())
    }

    fn remove(&self, state: &mut Multiset<O>, input: &O::Column<'_>, row: usize) -> Result<(), String> {
        if let Some(key) = O::get(input, row) {
            state.add(key, -1);
        }
        Ok(())
    }

    fn output(&self, rows: usize) -> O::Values {
        self.values.values(rows)
    }

    fn put(&self, state: &Multiset<O>, output: &mut O::Values) {
        let extreme = if self.largest { state.present().next_back() } else { state.present().next() };
        O::push(extreme.map(|(key, _)| key), output);
    }

    fn finish(&self, output: O::Values) -> ArrayRef {
        self.values.array(output)
    }

    fn merge(&self, state: &mut Multiset<O>, other: Multiset<O>) -> Result<(), String> {
        state.merge(&other);
        Ok(())
    }

    fn save(&self, state: &Multiset<O>, out: &mut Vec<u8>) {
        state.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Multiset<O>, NotARow> {
        Multiset::load(&self.values, bytes)
    }

    fn heap_bytes(&self, state: &Multiset<O>) -> usize {
        state.heap_bytes()
    }
}
