//! Joins: rows a second with 10 000 and 1 000 000 keys, and bytes of state a row. Throughput is in rows of both sides; a
//! batch is 8192 rows of one side, and an epoch ends after every eighth batch.

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use thalweg::expressions::{EdgeColumn, EdgeSchema};
use thalweg::functions::FunctionRegistry;
use thalweg::operators::{Capture, Operator, Output, Port, Step, compile};
use thalweg::planner::graph::{Encoding, JoinKind, JoinMethod, Joining, OperatorKind, OperatorNode};
use thalweg::types::{ChangeBatch, EventTime, Offset, Ops, Partition, RowMeta, SqlType};

mod measure;

use measure::CpuTime;

const BATCH: usize = 8192;
const BATCHES: usize = 128;
/// An epoch ends after this many batches.
const EPOCH: usize = 8;
/// Rows of both sides a millisecond.
const PACE: usize = 100;

/// An edge `<side>K STRING, <side>V BIGINT, <side>T STRING`.
fn edge(side: &str) -> EdgeSchema {
    let column = |name: &str, ty: SqlType| EdgeColumn { name: format!("{side}{name}").as_str().into(), ty };
    EdgeSchema::new(vec![column("K", SqlType::String), column("V", SqlType::BigInt), column("T", SqlType::String)])
}

/// A join of two such edges.
fn operator(kind: JoinKind, method: JoinMethod, encoding: Encoding) -> Box<dyn Operator> {
    let inputs = ["L", "R"].map(edge);
    let joining =
        Joining { kind, method, left_key: vec!["LK".into()], right_key: vec!["RK".into()], key: vec!["K".into()] };
    let key = EdgeColumn { name: "K".into(), ty: SqlType::String };
    let columns = std::iter::once(key).chain(inputs.iter().flat_map(|edge| edge.columns().iter().cloned())).collect();
    let schema = EdgeSchema::new(columns);
    let node = OperatorNode { name: "join".to_owned(), kind: OperatorKind::Join(joining), schema, encoding };
    compile(&node, &inputs, &FunctionRegistry::builtin(), 64).expect("a join that compiles")
}

/// Batches of uniformly chosen keys, the sides in turn.
fn rows(keys: u64) -> Vec<(Port, ChangeBatch)> {
    let mut seed = 88_172_645_463_325_252_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let batch = |nth: usize| {
        let numbers: Vec<u64> = (0..BATCH).map(|_| random() % keys).collect();
        let key: ArrayRef =
            Arc::new(StringArray::from_iter_values(numbers.iter().map(|number| format!("user_{number:07}"))));
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values((0..BATCH).map(|row| row as i64 * 37 % 1000)));
        let texts: ArrayRef =
            Arc::new(StringArray::from_iter_values(numbers.iter().map(|number| format!("text of {}", number % 100))));
        let times: Vec<EventTime> = (0..BATCH).map(|row| EventTime(((nth * BATCH + row) / PACE) as i64)).collect();
        let side = nth % 2;
        let columns =
            edge(["L", "R"][side]).columns().iter().map(|column| column.name.as_str().to_owned()).collect::<Vec<_>>();
        let columns = columns.into_iter().zip([key, values, texts]);
        let rows = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let meta = RowMeta {
            event_time: times.clone(),
            stream_time: times,
            partition: vec![Partition(0); BATCH],
            offset: (0..BATCH as i64).map(Offset).collect(),
            headers: None,
        };
        (Port(side), ChangeBatch { rows, ops: Ops::Inserts, null_value: None, meta })
    };
    (0..BATCHES).map(batch).collect()
}

/// Gives all batches to an operator, with barriers; the number of results.
fn run(operator: &mut dyn Operator, batches: &[(Port, ChangeBatch)]) -> usize {
    let mut results = 0;
    for (nth, (port, batch)) in batches.iter().enumerate() {
        let mut out = Output::default();
        let mut step = operator.on_changes(*port, batch.clone(), &mut out);
        while step == Step::More {
            step = operator.resume(&mut out);
        }
        results += out.batches.iter().map(ChangeBatch::len).sum::<usize>();
        if nth % EPOCH == EPOCH - 1 {
            operator.on_barrier(&mut Capture::default());
        }
    }
    results
}

fn joins(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("joins");
    group.throughput(Throughput::Elements((BATCH * BATCHES) as u64)).sample_size(10);
    // About as many partners for each row whatever the number of keys: one.
    let streams = |keys: u64, waits: bool| {
        let after_ms = (keys as i64 / PACE as i64).max(1);
        JoinMethod::Streams { before_ms: after_ms, after_ms, grace_ms: if waits { 10 } else { 0 }, waits }
    };
    for keys in [10_000, 1_000_000] {
        let cases = [
            ("streams, inner", JoinKind::Inner, streams(keys, false), Encoding::Append),
            ("streams, left, grace", JoinKind::Left, streams(keys, true), Encoding::Append),
        ];
        let batches = rows(keys);
        for (name, kind, method, encoding) in cases {
            group.bench_function(BenchmarkId::new(name, keys), |bencher| {
                bencher.iter(|| run(&mut *operator(kind, method.clone(), encoding), &batches));
            });
            tell(name, keys, &mut *operator(kind, method, encoding), &batches);
        }
    }
    group.finish();
}

/// Prints the number of results and the bytes of state.
#[expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
fn tell(name: &str, keys: u64, operator: &mut dyn Operator, batches: &[(Port, ChangeBatch)]) {
    let results = run(operator, batches);
    println!("{name}, {keys} keys: {results} results, {} MiB of state", operator.state_bytes() >> 20);
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = joins
}
criterion_main!(benches);
