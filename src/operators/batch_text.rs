//! Change batches as text, for tests: `+ k 10 @5` is an insert of key `k`, value 10, at event time 5; `-` deletes,
//! `-u` and `+u` are the halves of an update; value `null` is a null row.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::datatypes::Int64Type;

use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::types::{ChangeBatch, EventTime, Offset, Op, Ops, Partition, RowMeta, SqlType};

/// The batch that `text` describes: columns `K STRING, V BIGINT`, changes separated by `;`, offsets from 0.
pub(crate) fn batch(text: &str) -> ChangeBatch {
    let mut keys = Vec::new();
    let mut values: Vec<Option<i64>> = Vec::new();
    let mut ops = Vec::new();
    let mut times = Vec::new();
    for change in text.split(';').map(str::trim).filter(|change| !change.is_empty()) {
        let words: Vec<&str> = change.split_whitespace().collect();
        let [op, key, value, time] = words[..] else { panic!("not a change: {change}") };
        ops.push(match op {
            "+" => Op::Insert,
            "-" => Op::Delete,
            "-u" => Op::UpdateBefore,
            "+u" => Op::UpdateAfter,
            other => panic!("not an operation: {other}"),
        });
        keys.push(key.to_owned());
        values.push(value.parse().ok());
        times.push(EventTime(time.trim_start_matches('@').parse().unwrap()));
    }
    let rows = times.len();
    let nulls = BooleanBuffer::collect_bool(rows, |row| values[row].is_none());
    let schema = EdgeSchema::new(vec![
        EdgeColumn { name: "K".into(), ty: SqlType::String },
        EdgeColumn { name: "V".into(), ty: SqlType::BigInt },
    ]);
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(keys)), Arc::new(Int64Array::from(values))];
    ChangeBatch {
        rows: RecordBatch::try_new(schema.arrow(), columns).unwrap(),
        ops: if ops.iter().all(|op| *op == Op::Insert) { Ops::Inserts } else { Ops::Each(ops) },
        null_value: (nulls.count_set_bits() > 0).then_some(nulls),
        meta: RowMeta {
            stream_time: times.clone(),
            event_time: times,
            partition: vec![Partition(0); rows],
            offset: (0..).map(Offset).take(rows).collect(),
            headers: None,
            rank: None,
        },
    }
}

/// The values of column V.
pub(crate) fn values(batch: &ChangeBatch) -> Vec<Option<i64>> {
    batch.rows.column(1).as_primitive::<Int64Type>().iter().collect()
}

/// The text of a batch of columns `K STRING, V BIGINT`.
pub(crate) fn text(batch: &ChangeBatch) -> String {
    let keys = batch.rows.column(0).as_string::<i32>();
    let values = values(batch);
    let changes: Vec<String> = (0..batch.len())
        .map(|row| {
            let op = match batch.ops.get(row) {
                Op::Insert => "+",
                Op::Delete => "-",
                Op::UpdateBefore => "-u",
                Op::UpdateAfter => "+u",
            };
            let key = if keys.is_null(row) { "null" } else { keys.value(row) };
            let value = values[row].map_or("null".to_owned(), |value| value.to_string());
            format!("{op} {key} {value} @{}", batch.meta.event_time[row])
        })
        .collect();
    changes.join("; ")
}
