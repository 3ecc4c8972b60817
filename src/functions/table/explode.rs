//! EXPLODE and CUBE_EXPLODE.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ListArray, UInt64Array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field};

use crate::functions::Function;
use crate::functions::call::Call;

/// More elements than this would make more than a million rows.
const MOST_CUBED: usize = 20;

/// The most elements that the rows made of a batch have together: they must fit the memory.
const MOST_IN_BATCH: usize = 50_000_000;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::table("EXPLODE", "Makes a row of each element of an array.").overload(
            "list ARRAY<T>",
            "ARRAY<T>",
            |call| call.array(0),
        ),
        Function::table(
            "CUBE_EXPLODE",
            "Makes a row of each way to keep or null the elements of an array, from all null to all kept.",
        )
        .overload("columns ARRAY<T>", "ARRAY<ARRAY<T>>", cube),
    ]
}

/// Counts in binary from all null to all kept, the first element the highest bit; a null element is not doubled.
fn cube(call: &mut Call<'_>) -> ArrayRef {
    let list = call.list(0);
    let values = list.array().values();
    let mut indices: Vec<Option<u64>> = Vec::new();
    let (mut inner, mut outer) = (Vec::new(), Vec::with_capacity(call.rows));
    let mut valid = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let at = list.position(row);
        let offsets = list.array().value_offsets();
        let range = offsets[at] as usize..offsets[at + 1] as usize;
        let kept: Vec<usize> = range.clone().filter(|i| values.is_valid(*i)).collect();
        let too_many = kept.len() > MOST_CUBED || (range.len() << kept.len()) > MOST_IN_BATCH - indices.len();
        if list.array().is_null(at) || too_many {
            if too_many {
                call.fail(row, format!("CUBE_EXPLODE takes at most {MOST_CUBED} columns, got {}", kept.len()));
            }
            outer.push(0);
            valid.push(false);
            continue;
        }
        for mask in 0..1_usize << kept.len() {
            for i in range.clone() {
                let bit = kept.iter().position(|known| *known == i).map(|n| kept.len() - 1 - n);
                indices.push(bit.filter(|bit| mask >> bit & 1 == 1).map(|_| i as u64));
            }
            inner.push(range.len());
        }
        outer.push(1 << kept.len());
        valid.push(true);
    }
    let elements = take(values.as_ref(), &UInt64Array::from(indices), None).expect("positions come from the offsets");
    let DataType::List(item) = list.array().data_type() else { unreachable!("a list array has a list type") };
    let rows = ListArray::new(Arc::clone(item), OffsetBuffer::from_lengths(inner), elements, None);
    let field = Arc::new(Field::new("item", rows.data_type().clone(), true));
    Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(outer), Arc::new(rows), Some(NullBuffer::from(valid))))
}
