//! TOPK and TOPKDISTINCT: the k largest values, with the columns beside them.
//!
//! Saved: of streams how many values, 4 bytes, then the key of each, the largest first; of tables as `Multiset` is. A key
//! with columns beside it is the key, then their encoded bytes behind their length.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StructArray};
use datafusion::arrow::datatypes::DataType;

use super::encoded::{Encoded, Lists, push};
use super::groups::Fold;
use super::multiset::Multiset;
use super::ordered::Ordered;
use super::saved::{load_bytes, load_length, save_bytes, save_length};
use crate::types::{EncodedRows, Name, NotARow, SqlType, StructField};

/// The type of an element of TOPK with columns beside the value, the value first.
pub(super) fn row_type(columns: &[SqlType]) -> SqlType {
    let name = |i: usize| i.checked_sub(1).map_or_else(|| "sort_col".to_owned(), |beside| format!("col{beside}"));
    SqlType::Struct(
        columns.iter().enumerate().map(|(i, ty)| StructField { name: Name::new(name(i)), ty: ty.clone() }).collect(),
    )
}

/// The k largest of rows that are never taken back. Of equal values those that came first are kept, and come first.
#[derive(Debug)]
pub(super) struct Top<O> {
    pub(super) values: O,
    pub(super) k: usize,
    pub(super) distinct: bool,
}

impl<O: Ordered> Top<O> {
    /// Puts a key in its place if there is one for it.
    fn insert(&self, top: &mut Vec<O::Key>, key: &O::Ref) {
        let is_before = |held: &O::Key, key: &O::Ref| O::rank(held.borrow(), key) != Ordering::Less;
        if top.len() == self.k && top.last().is_some_and(|last| is_before(last, key)) {
            return;
        }
        let place = top.partition_point(|held| is_before(held, key));
        let is_known = || place > 0 && O::rank(top[place - 1].borrow(), key) == Ordering::Equal;
        if self.distinct && is_known() {
            return;
        }
        top.truncate(self.k - 1);
        top.insert(place, key.to_owned());
    }
}

impl<O: Ordered> Fold for Top<O> {
    type State = Vec<O::Key>;
    type Input<'a> = O::Column<'a>;
    type Output = Lists<O::Values>;

    fn empty(&self) -> Vec<O::Key> {
        Vec::new()
    }

    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> O::Column<'a> {
        self.values.column(arguments)
    }

    fn add(&self, state: &mut Vec<O::Key>, input: &O::Column<'_>, row: usize) -> Result<(), String> {
        if let Some(key) = O::get(input, row) {
            self.insert(state, key);
        }
        Ok(())
    }

    fn remove(&self, _state: &mut Vec<O::Key>, _input: &O::Column<'_>, _row: usize) -> Result<(), String> {
        Err("a row of a stream cannot be taken back".to_owned())
    }

    fn output(&self, rows: usize) -> Self::Output {
        Lists::new(self.values.values(rows))
    }

    fn put(&self, state: &Vec<O::Key>, output: &mut Self::Output) {
        state.iter().for_each(|key| O::push(Some(key.borrow()), &mut output.values));
        output.end(state.len());
    }

    fn finish(&self, output: Self::Output) -> ArrayRef {
        output.finish(|values| self.values.array(values))
    }

    fn merge(&self, state: &mut Vec<O::Key>, other: Vec<O::Key>) -> Result<(), String> {
        let later = std::mem::replace(state, other);
        later.iter().for_each(|key| self.insert(state, key.borrow()));
        Ok(())
    }

    fn save(&self, state: &Vec<O::Key>, out: &mut Vec<u8>) {
        save_length(state.len(), out);
        state.iter().for_each(|key| O::save(key.borrow(), out));
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Vec<O::Key>, NotARow> {
        (0..load_length(bytes)?).map(|_| self.values.load(bytes)).collect()
    }

    fn heap_bytes(&self, state: &Vec<O::Key>) -> usize {
        state.capacity() * size_of::<O::Key>() + state.iter().map(O::heap_bytes).sum::<usize>()
    }
}

/// The k largest of rows that may be taken back. Ties come in the order of the columns beside them.
#[derive(Debug)]
pub(super) struct ExactTop<O>(pub(super) Top<O>);

impl<O: Ordered> Fold for ExactTop<O> {
    type State = Multiset<O>;
    type Input<'a> = O::Column<'a>;
    type Output = Lists<O::Values>;

    fn empty(&self) -> Multiset<O> {
        Multiset::new()
    }

    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> O::Column<'a> {
        self.0.values.column(arguments)
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

    fn output(&self, rows: usize) -> Self::Output {
        self.0.output(rows)
    }

    fn put(&self, state: &Multiset<O>, output: &mut Self::Output) {
        let mut left = self.0.k;
        for (key, count) in state.present().rev() {
            let times = if self.0.distinct { 1 } else { usize::try_from(count).unwrap_or(usize::MAX).min(left) };
            (0..times).for_each(|_| O::push(Some(key), &mut output.values));
            left -= times;
            if left == 0 {
                break;
            }
        }
        output.end(self.0.k - left);
    }

    fn finish(&self, output: Self::Output) -> ArrayRef {
        self.0.finish(output)
    }

    fn merge(&self, state: &mut Multiset<O>, other: Multiset<O>) -> Result<(), String> {
        state.merge(&other);
        Ok(())
    }

    fn save(&self, state: &Multiset<O>, out: &mut Vec<u8>) {
        state.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Multiset<O>, NotARow> {
        Multiset::load(&self.0.values, bytes)
    }

    fn heap_bytes(&self, state: &Multiset<O>) -> usize {
        state.heap_bytes()
    }
}

/// A value with the columns beside it: ranked by the value alone.
#[derive(Debug)]
pub(super) struct Ranked<O> {
    values: O,
    others: Encoded,
    ty: SqlType,
}

impl<O> Ranked<O> {
    /// `columns`: the types of the value and of the columns beside it.
    pub(super) fn new(values: O, columns: &[SqlType]) -> Self {
        Self { values, others: Encoded::new(&columns[1..]), ty: row_type(columns) }
    }
}

impl<O: Ordered> Ordered for Ranked<O> {
    type Ref = (O::Key, Vec<u8>);
    type Key = (O::Key, Vec<u8>);
    type Column<'a> = Vec<Option<(O::Key, Vec<u8>)>>;
    type Values = (O::Values, EncodedRows);

    fn column<'a>(&self, arguments: &'a [ArrayRef]) -> Self::Column<'a> {
        let (keys, others) = (self.values.column(&arguments[..1]), self.others.rows(&arguments[1..]));
        let pair = |row| O::get(&keys, row).map(|key| (key.to_owned(), others.get(row).to_vec()));
        (0..others.len()).map(pair).collect()
    }

    fn get<'c>(column: &'c Self::Column<'_>, row: usize) -> Option<&'c Self::Ref> {
        column[row].as_ref()
    }

    fn values(&self, rows: usize) -> Self::Values {
        (self.values.values(rows), EncodedRows::default())
    }

    fn push(key: Option<&Self::Ref>, (values, others): &mut Self::Values) {
        if let Some((value, beside)) = key {
            O::push(Some(value.borrow()), values);
            push(beside, others);
        }
    }

    fn array(&self, (values, others): Self::Values) -> ArrayRef {
        let DataType::Struct(fields) = self.ty.arrow() else { unreachable!("ranked rows are structs") };
        let mut columns = vec![self.values.array(values)];
        columns.extend(self.others.columns(others.iter()));
        Arc::new(StructArray::new(fields, columns, None))
    }

    fn save((value, beside): &Self::Ref, out: &mut Vec<u8>) {
        O::save(value.borrow(), out);
        save_bytes(beside, out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Self::Key, NotARow> {
        let value = self.values.load(bytes)?;
        let mut beside = load_bytes(bytes)?;
        let row = self.others.take(&mut beside)?;
        if beside.is_empty() { Ok((value, row.to_vec())) } else { Err(NotARow(beside.len())) }
    }

    fn rank(one: &Self::Ref, other: &Self::Ref) -> Ordering {
        O::rank(one.0.borrow(), other.0.borrow())
    }

    fn heap_bytes((value, beside): &Self::Key) -> usize {
        O::heap_bytes(value) + beside.capacity()
    }
}
