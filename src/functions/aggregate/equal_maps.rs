//! Maps in the order of their keys, so that equal maps have equal bytes.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::DataType;

use crate::types::{RowCodec, SqlType};

/// The array with the entries of every map in it sorted by key.
pub(super) fn sorted(array: &ArrayRef, ty: &SqlType) -> ArrayRef {
    match ty {
        SqlType::Map(key, value) => sorted_map(array.as_map(), key, value),
        SqlType::Array(element) if ty.contains_map() => {
            let list = array.as_list::<i32>();
            let DataType::List(field) = array.data_type() else { unreachable!("an ARRAY is a list") };
            let values = sorted(list.values(), element);
            Arc::new(ListArray::new(Arc::clone(field), list.offsets().clone(), values, list.nulls().cloned()))
        }
        SqlType::Struct(fields) if ty.contains_map() => {
            let structs = array.as_struct();
            let columns = structs.columns().iter().zip(fields.iter());
            let columns = columns.map(|(column, field)| sorted(column, &field.ty)).collect();
            Arc::new(StructArray::new(structs.fields().clone(), columns, structs.nulls().cloned()))
        }
        _ => Arc::clone(array),
    }
}

fn sorted_map(map: &MapArray, key: &SqlType, value: &SqlType) -> ArrayRef {
    let keys = RowCodec::new([key.clone()]).encode(std::slice::from_ref(map.keys()), map.keys().len());
    let entries = u32::try_from(keys.len()).expect("a batch holds less than 2^31 entries");
    let mut order: Vec<u32> = (0..entries).collect();
    for ends in map.offsets().windows(2) {
        let at = |end: i32| usize::try_from(end).expect("offsets of a map are not negative");
        order[at(ends[0])..at(ends[1])].sort_by_key(|entry| keys.get(*entry as usize));
    }
    let order = UInt32Array::from(order);
    let ordered = |column: &ArrayRef| take(column, &order, None).expect("the order is of the column's own rows");
    let values = sorted(map.values(), value);
    let DataType::Map(field, is_sorted) = map.data_type() else { unreachable!("a MAP is a map") };
    let pairs = StructArray::new(map.entries().fields().clone(), vec![ordered(map.keys()), ordered(&values)], None);
    Arc::new(MapArray::new(Arc::clone(field), map.offsets().clone(), pairs, map.nulls().cloned(), *is_sorted))
}
