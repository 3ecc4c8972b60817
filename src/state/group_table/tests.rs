//! The table against a `BTreeMap`.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::{Int32Type, Int64Type};
use proptest::prelude::*;

use super::{GroupNumber, GroupTable};
use crate::state::{hash_keys, slot_of};
use crate::types::{EventTime, SqlType};

#[derive(Debug, Clone)]
enum Step {
    /// Keys in windows, at event times.
    Rows(Vec<(u8, u8, i64)>),
    RemoveWindow(u8),
    Remove(u8, u8),
    TakeDirty,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop::collection::vec((0_u8..40, 0_u8..5, -5_i64..100), 1..60).prop_map(Step::Rows),
        1 => (0_u8..5).prop_map(Step::RemoveWindow),
        3 => (0_u8..40, 0_u8..5).prop_map(|(key, window)| Step::Remove(key, window)),
        1 => Just(Step::TakeDirty),
    ];
    prop::collection::vec(step, 1..40)
}

/// The columns of keys, and what a key reads as.
fn columns(form: u8, keys: &[u8]) -> Vec<ArrayRef> {
    let text = |key: &u8| format!("{}{}", "long key ".repeat(usize::from(*key) * 3), key);
    match form {
        0 => vec![Arc::new(Int32Array::from_iter_values(keys.iter().map(|key| i32::from(*key) - 20)))],
        1 => vec![Arc::new(Int64Array::from_iter_values(keys.iter().map(|key| i64::from(*key) - 20)))],
        2 => vec![Arc::new(StringArray::from_iter_values(keys.iter().map(text)))],
        _ => vec![
            Arc::new(StringArray::from_iter_values(keys.iter().map(text))),
            Arc::new(Int64Array::from_iter_values(keys.iter().map(|key| i64::from(*key)))),
        ],
    }
}

fn types(form: u8) -> Vec<SqlType> {
    match form {
        0 => vec![SqlType::Integer],
        1 => vec![SqlType::BigInt],
        2 => vec![SqlType::String],
        _ => vec![SqlType::String, SqlType::BigInt],
    }
}

fn shown(columns: &[ArrayRef]) -> Vec<String> {
    let cell = |column: &ArrayRef, row: usize| match column.data_type() {
        datafusion::arrow::datatypes::DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        datafusion::arrow::datatypes::DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        _ => column.as_string::<i32>().value(row).to_owned(),
    };
    let rows = columns.first().map_or(0, |column| column.len());
    (0..rows).map(|row| columns.iter().map(|column| cell(column, row)).collect::<Vec<_>>().join("|")).collect()
}

fn run(form: u8, steps: Vec<Step>) {
    let mut table = GroupTable::new(types(form), 64);
    let mut model: BTreeMap<(i64, u8), (GroupNumber, i64)> = BTreeMap::new();
    let mut dirty: Vec<(i64, u8)> = Vec::new();
    for step in steps {
        match step {
            Step::Rows(rows) => {
                let keys: Vec<u8> = rows.iter().map(|(key, ..)| *key).collect();
                let starts: Vec<i64> = rows.iter().map(|(_, window, _)| i64::from(*window) * 10).collect();
                let batch = table.keys(columns(form, &keys), keys.len());
                let mut numbers = Vec::new();
                table.find_or_create(&batch, None, Some(&starts), &mut numbers);
                for (entry, (key, _, time)) in rows.iter().enumerate() {
                    let place = (starts[entry], *key);
                    let (number, largest) = model.entry(place).or_insert((numbers[entry], i64::MIN));
                    *largest = (*largest).max(*time);
                    assert_eq!(*number, numbers[entry]);
                    assert_eq!(table.touch(*number, EventTime(*time)), EventTime(*largest));
                    if !dirty.contains(&place) {
                        dirty.push(place);
                    }
                }
            }
            Step::RemoveWindow(window) => {
                table.remove_window(i64::from(window) * 10);
                model.retain(|(start, _), _| *start != i64::from(window) * 10);
                dirty.retain(|(start, _)| *start != i64::from(window) * 10);
            }
            Step::Remove(key, window) => {
                let place = (i64::from(window) * 10, key);
                let batch = table.keys(columns(form, &[key]), 1);
                let found = table.find(&batch, 0, place.0);
                assert_eq!(found, model.remove(&place).map(|(number, _)| number));
                found.into_iter().for_each(|number| table.remove(number));
                dirty.retain(|dirty| *dirty != place);
            }
            Step::TakeDirty => {
                let mut expected: Vec<GroupNumber> = dirty.drain(..).map(|place| model[&place].0).collect();
                let mut taken = table.take_dirty();
                expected.sort_unstable();
                taken.sort_unstable();
                assert_eq!(taken, expected);
            }
        }
        assert_eq!(table.len(), model.len());
    }
    let numbers: Vec<GroupNumber> = model.values().map(|(number, _)| *number).collect();
    let keys: Vec<u8> = model.keys().map(|(_, key)| *key).collect();
    let expected = columns(form, &keys);
    assert_eq!(shown(&table.key_columns(&numbers)), shown(&expected));
    let hashes = hash_keys(&expected.iter().collect::<Vec<_>>(), keys.len());
    for (((start, _), (number, time)), hash) in model.iter().zip(hashes) {
        assert_eq!(table.start(*number), *start);
        assert_eq!(table.event_time(*number), EventTime(*time));
        assert_eq!(table.slot(*number), slot_of(hash, 64));
    }
    for start in model.keys().map(|(start, _)| *start) {
        let groups = table.groups_by_key(start);
        let rows = table.encoded_keys(&groups);
        assert!(rows.iter().collect::<Vec<_>>().is_sorted());
        assert_eq!(groups.len(), model.keys().filter(|(of, _)| *of == start).count());
    }
}

proptest! {
    #[test]
    fn a_key_has_one_number_while_it_lives(form in 0_u8..4, steps in steps()) {
        run(form, steps);
    }
}
