//! Aggregation: windowed COUNT, SUM, MAX by a STRING key, with the results of changed groups after each batch (the
//! budgets of the group table), with a result for every row, by a BIGINT key, hopping, in sessions; and bytes a key.
//! Throughput is in rows; a batch is 8192 rows.
//!
//! Time is the thread's processor time (`measure`).

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use thalweg::expressions::{EdgeColumn, EdgeSchema};
use thalweg::functions::FunctionRegistry;
use thalweg::operators::{Capture, Operator, Output, Port, Step, compile};
use thalweg::planner::graph::{
    AggregateCall, Aggregation, AggregationWindow, Emission, Encoding, OperatorKind, OperatorNode, WindowShape,
};
use thalweg::types::{ChangeBatch, EventTime, Offset, Ops, Partition, RowMeta, SqlType};

mod measure;

use measure::CpuTime;

const BATCH: usize = 8192;
const BATCHES: usize = 128;
/// An epoch ends after this many batches.
const EPOCH: usize = 16;

fn edge(key: SqlType) -> EdgeSchema {
    let column = |name: &str, ty: SqlType| EdgeColumn { name: name.into(), ty };
    EdgeSchema::new(vec![column("K", key), column("V", SqlType::BigInt)])
}

fn operator(key: &SqlType, window: Option<WindowShape>, emission: Emission) -> Box<dyn Operator> {
    let call = |name: &str, function: &str, arguments: &[&str]| AggregateCall {
        name: name.into(),
        function: function.into(),
        arguments: arguments.iter().map(|name| (*name).into()).collect(),
        parameters: vec![],
        limit: None,
        distinct: false,
        filter: None,
        previous: false,
    };
    let mut columns = edge(key.clone()).columns()[..1].to_vec();
    let mut output = vec!["C", "S", "M"];
    if window.is_some() {
        output.extend(["WINDOWSTART", "WINDOWEND"]);
    }
    columns.extend(output.into_iter().map(|name| EdgeColumn { name: name.into(), ty: SqlType::BigInt }));
    let aggregation = Aggregation {
        key: vec!["K".into()],
        calls: vec![call("C", "COUNT", &[]), call("S", "SUM", &["V"]), call("M", "MAX", &["V"])],
        window: window.map(|shape| AggregationWindow { shape, grace_ms: 86_400_000, retention_ms: 2 * 86_400_000 }),
        emission,
        retracts: false,
    };
    let node = OperatorNode {
        name: "aggregate".to_owned(),
        kind: OperatorKind::Aggregate(aggregation),
        schema: EdgeSchema::new(columns),
        encoding: Encoding::Upsert,
    };
    compile(&node, &[edge(key.clone())], &FunctionRegistry::builtin(), 64).expect("a query that compiles")
}

/// Rows of uniformly chosen keys, fifty a millisecond.
fn rows(key: &SqlType, keys: u64) -> Vec<ChangeBatch> {
    let mut seed = 88_172_645_463_325_252_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let batch = |nth: usize| {
        let numbers: Vec<i64> = (0..BATCH).map(|_| (random() % keys).cast_signed()).collect();
        let key: ArrayRef = match key {
            SqlType::String => {
                Arc::new(StringArray::from_iter_values(numbers.iter().map(|number| format!("user_{number:07}"))))
            }
            _ => Arc::new(Int64Array::from(numbers)),
        };
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values((0..BATCH).map(|row| row as i64 * 37 % 1000)));
        let times: Vec<EventTime> = (0..BATCH).map(|row| EventTime(((nth * BATCH + row) / 50) as i64)).collect();
        ChangeBatch {
            rows: RecordBatch::try_from_iter([("K", key), ("V", values)]).expect("columns of one length"),
            ops: Ops::Inserts,
            null_value: None,
            meta: RowMeta {
                event_time: times.clone(),
                stream_time: times,
                partition: vec![Partition(0); BATCH],
                offset: (0..BATCH as i64).map(Offset).collect(),
                headers: None,
                rank: None,
            },
        }
    };
    (0..BATCHES).map(batch).collect()
}

/// Gives all batches to an operator; with a flush after each, and a barrier after some.
fn run(mut operator: Box<dyn Operator>, batches: &[ChangeBatch]) -> (usize, Box<dyn Operator>) {
    let mut results = 0;
    for (nth, batch) in batches.iter().enumerate() {
        let mut out = Output::default();
        let mut step = operator.on_changes(Port(0), batch.clone(), &mut out);
        while step == Step::More {
            step = operator.resume(&mut out);
        }
        operator.flush(&mut out);
        results += out.batches.iter().map(ChangeBatch::len).sum::<usize>();
        if nth % EPOCH == EPOCH - 1 {
            operator.on_barrier(&mut Capture::default());
        }
    }
    (results, operator)
}

fn aggregate(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("aggregate");
    group.throughput(Throughput::Elements((BATCH * BATCHES) as u64)).sample_size(10);
    let tumbling = Some(WindowShape::Time { size_ms: 10_000, advance_ms: 10_000 });
    let hopping = Some(WindowShape::Time { size_ms: 10_000, advance_ms: 1_000 });
    let session = Some(WindowShape::Session { gap_ms: 1_000 });
    let cases = [
        ("tumbling, changed groups", SqlType::String, tumbling, Emission::Coalesced, 10_000),
        ("tumbling, changed groups", SqlType::String, tumbling, Emission::Coalesced, 1_000_000),
        ("tumbling, changed groups, BIGINT", SqlType::BigInt, tumbling, Emission::Coalesced, 10_000),
        ("tumbling, every row", SqlType::String, tumbling, Emission::EveryUpdate, 10_000),
        ("no window, every row", SqlType::String, None, Emission::EveryUpdate, 10_000),
        ("hopping, 10 panes, changed groups", SqlType::String, hopping, Emission::Coalesced, 10_000),
        ("session, every row", SqlType::String, session, Emission::EveryUpdate, 10_000),
        ("session, changed groups", SqlType::String, session, Emission::Coalesced, 10_000),
    ];
    for (name, key, window, emission, keys) in cases {
        let batches = rows(&key, keys);
        group.bench_function(BenchmarkId::new(name, keys), |bencher| {
            bencher.iter(|| run(operator(&key, window, emission), &batches).0);
        });
    }
    group.finish();
    memory();
}

/// Prints the bytes of state for each key.
#[expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
fn memory() {
    for (name, window) in [("no window", None), ("session", Some(WindowShape::Session { gap_ms: 3_600_000 }))] {
        let batches = rows(&SqlType::String, 1_000_000);
        let (results, operator) = run(operator(&SqlType::String, window, Emission::Final), &batches);
        let keys: std::collections::HashSet<&str> = batches
            .iter()
            .flat_map(|batch| {
                let keys = batch.rows.column(0).as_any().downcast_ref::<StringArray>();
                keys.into_iter().flat_map(|keys| keys.iter().flatten())
            })
            .collect();
        let bytes = operator.state_bytes();
        println!("{name}: {} keys, {} bytes a key ({results} results)", keys.len(), bytes / keys.len());
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = aggregate
}
criterion_main!(benches);
