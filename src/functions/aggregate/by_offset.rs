//! EARLIEST_BY_OFFSET and LATEST_BY_OFFSET: values by when they came.
//!
//! Saved: one value as `00` for none, `01` for NULL, or `02` and the value's key (see `ordered`). Several are kept in `collect`.

use std::borrow::Borrow;

use datafusion::arrow::array::ArrayRef;

use super::groups::Fold;
use super::ordered::Ordered;
use super::saved::Saved;
use crate::types::NotARow;

/// Which rows are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) latest: bool,
    pub(super) ignores_nulls: bool,
}

/// The value that came first or last.
#[derive(Debug)]
pub(super) struct ByOffset<O> {
    pub(super) values: O,
    pub(super) kept: Kept,
}

impl<O: Ordered> Fold for ByOffset<O> {
    /// The value, which may be NULL; the outer `None`: there is none yet.
    type State = Option<Option<O::Key>>;
    type Input<'a> = O::Column<'a>;
    type Output = O::Values;

    fn empty(&self) -> Self::State {
        None
    }

    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> O::Column<'a> {
        self.values.column(arguments)
    }

    fn add(&self, state: &mut Self::State, input: &O::Column<'_>, row: usize) -> Result<(), String> {
        if state.is_some() && !self.kept.latest {
            return Ok(());
        }
        match (O::get(input, row), state.as_mut()) {
            (None, _) if self.kept.ignores_nulls => {}
            (Some(key), Some(Some(held))) => key.clone_into(held),
            (key, _) => *state = Some(key.map(ToOwned::to_owned)),
        }
        Ok(())
    }

    fn remove(&self, _state: &mut Self::State, _input: &O::Column<'_>, _row: usize) -> Result<(), String> {
        Err("what came first or last cannot be taken back".to_owned())
    }

    fn output(&self, rows: usize) -> O::Values {
        self.values.values(rows)
    }

    fn put(&self, state: &Self::State, output: &mut O::Values) {
        O::push(state.as_ref().and_then(Option::as_ref).map(Borrow::borrow), output);
    }

    fn finish(&self, output: O::Values) -> ArrayRef {
        self.values.array(output)
    }

    fn merge(&self, state: &mut Self::State, other: Self::State) -> Result<(), String> {
        if other.is_some() && (state.is_none() || !self.kept.latest) {
            *state = other;
        }
        Ok(())
    }

    fn save(&self, state: &Self::State, out: &mut Vec<u8>) {
        match state {
            None => out.push(0),
            Some(None) => out.push(1),
            Some(Some(key)) => {
                out.push(2);
                O::save(key.borrow(), out);
            }
        }
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Self::State, NotARow> {
        match u8::load(bytes)? {
            0 => Ok(None),
            1 => Ok(Some(None)),
            2 => Ok(Some(Some(self.values.load(bytes)?))),
            _ => Err(NotARow(bytes.len())),
        }
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        state.as_ref().and_then(Option::as_ref).map_or(0, O::heap_bytes)
    }
}
