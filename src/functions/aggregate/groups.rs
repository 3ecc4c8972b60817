//! One state a group in one vector, and the loops that every aggregate shares.

use std::fmt;

use datafusion::arrow::array::ArrayRef;

use super::incremental::{AggregateError, AggregateRows, IncrementalAggregate};
use crate::types::NotARow;

/// What an aggregate does with one value and the state of one group.
///
/// The methods are called once a row from loops that know the type, so that they are inlined.
pub(super) trait Fold: Send + fmt::Debug {
    /// State of a group.
    type State: Send + fmt::Debug;
    /// The arguments of a batch, ready to be read by row.
    type Input<'a>;
    /// Results under construction.
    type Output;

    /// The state of no rows.
    fn empty(&self) -> Self::State;

    /// Looks at the arguments once a batch; there are as many of them as the call has.
    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> Self::Input<'a>;

    /// Adds a row.
    fn add(&self, state: &mut Self::State, input: &Self::Input<'_>, row: usize) -> Result<(), String>;

    /// Takes a row back. Only called where the function says that it retracts.
    fn remove(&self, state: &mut Self::State, input: &Self::Input<'_>, row: usize) -> Result<(), String>;

    /// Room for so many results.
    fn output(&self, rows: usize) -> Self::Output;

    /// Appends the result of a group.
    fn put(&self, state: &Self::State, output: &mut Self::Output);

    /// The array of results.
    fn finish(&self, output: Self::Output) -> ArrayRef;

    /// Adds `other`, whose rows are the earlier ones.
    fn merge(&self, state: &mut Self::State, other: Self::State) -> Result<(), String>;

    /// Appends the state.
    fn save(&self, state: &Self::State, out: &mut Vec<u8>);

    /// Takes a state off.
    fn load(&self, bytes: &mut &[u8]) -> Result<Self::State, NotARow>;

    /// Bytes that the state owns elsewhere. Cheap.
    fn heap_bytes(&self, _state: &Self::State) -> usize {
        0
    }
}

/// The states of all groups of one call.
#[derive(Debug)]
pub(super) struct Groups<F: Fold> {
    fold: F,

    states: Vec<F::State>,
    /// Bytes that all states own elsewhere.
    heap: usize,
}

impl<F: Fold + 'static> Groups<F> {
    /// No groups yet.
    pub(super) fn boxed(fold: F) -> Box<dyn IncrementalAggregate> {
        Box::new(Self { fold, states: Vec::new(), heap: 0 })
    }
}

impl<F: Fold> Groups<F> {
    fn apply(&mut self, rows: &AggregateRows<'_>, mut after: impl FnMut(&F, &F::State)) -> Result<(), AggregateError> {
        let Self { fold, states, heap } = self;
        let input = fold.read(rows.arguments);
        let failed = |row| move |message| AggregateError { row, message };
        if rows.counted.is_none() && rows.retracted.is_none() {
            for (row, group) in rows.groups.iter().enumerate() {
                let state = &mut states[*group as usize];
                let before = fold.heap_bytes(state);
                fold.add(state, &input, row).map_err(failed(row))?;
                *heap = *heap + fold.heap_bytes(state) - before;
                after(fold, state);
            }
            return Ok(());
        }
        for (row, group) in rows.groups.iter().enumerate() {
            let state = &mut states[*group as usize];
            if rows.counted.is_none_or(|counted| counted.value(row)) {
                let before = fold.heap_bytes(state);
                if rows.retracted.is_some_and(|retracted| retracted.value(row)) {
                    fold.remove(state, &input, row).map_err(failed(row))?;
                } else {
                    fold.add(state, &input, row).map_err(failed(row))?;
                }
                *heap = *heap + fold.heap_bytes(state) - before;
            }
            after(fold, state);
        }
        Ok(())
    }

    /// Replaces the state of a group; gives the former one.
    fn replace(&mut self, group: u32, state: F::State) -> F::State {
        let added = self.fold.heap_bytes(&state);
        let former = std::mem::replace(&mut self.states[group as usize], state);
        self.heap = self.heap + added - self.fold.heap_bytes(&former);
        former
    }
}

impl<F: Fold> IncrementalAggregate for Groups<F> {
    fn resize(&mut self, groups: usize) {
        if groups > self.states.len() {
            let Self { fold, states, heap } = self;
            let added = groups - states.len();
            states.resize_with(groups, || fold.empty());
            *heap += added * fold.heap_bytes(&fold.empty());
        }
    }

    fn update(&mut self, rows: &AggregateRows<'_>) -> Result<(), AggregateError> {
        self.apply(rows, |_, _| {})
    }

    fn update_each(&mut self, rows: &AggregateRows<'_>) -> Result<ArrayRef, AggregateError> {
        let mut output = self.fold.output(rows.groups.len());
        self.apply(rows, |fold, state| fold.put(state, &mut output))?;
        Ok(self.fold.finish(output))
    }

    fn output(&self, groups: &[u32]) -> ArrayRef {
        let mut output = self.fold.output(groups.len());
        for group in groups {
            self.fold.put(&self.states[*group as usize], &mut output);
        }
        self.fold.finish(output)
    }

    fn merge(&mut self, into: u32, from: u32) -> Result<(), AggregateError> {
        if into == from {
            return Ok(());
        }
        let other = self.replace(from, self.fold.empty());
        let state = &mut self.states[into as usize];
        let before = self.fold.heap_bytes(state);
        self.fold.merge(state, other).map_err(|message| AggregateError { row: 0, message })?;
        self.heap = self.heap + self.fold.heap_bytes(state) - before;
        Ok(())
    }

    fn clear(&mut self, group: u32) {
        self.replace(group, self.fold.empty());
    }

    fn save(&self, group: u32, out: &mut Vec<u8>) {
        self.fold.save(&self.states[group as usize], out);
    }

    fn load(&mut self, group: u32, bytes: &mut &[u8]) -> Result<(), NotARow> {
        let state = self.fold.load(bytes)?;
        self.replace(group, state);
        Ok(())
    }

    fn size_bytes(&self) -> usize {
        self.states.capacity() * size_of::<F::State>() + self.heap
    }
}
