//! Joins: rows a second with 10 000 and 1 000 000 keys, and bytes of state a row. Throughput is in rows of both sides; a
//! batch is 8192 rows of one side, and an epoch ends after every eighth batch.
//!
//! The foreign-key join has 10 000 right rows with 100 left rows each: measured are left rows that come in, and results
//! of right rows that change, both with the operator that puts them in order.
//!
//! Last, whole queries over topics whose times go on in turn, row by row or a thousand rows at a time: a row meets the
//! others in the order of these times. Measured is the processor time of the one worker.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use thalweg::catalog::{Catalog, CatalogChange, QueryId};
use thalweg::expressions::{EdgeColumn, EdgeSchema};
use thalweg::functions::FunctionRegistry;
use thalweg::operators::{Capture, Operator, Output, Port, Step, compile};
use thalweg::planner::graph::{Encoding, JoinKind, JoinMethod, Joining, OperatorKind, OperatorNode};
use thalweg::planner::{OperatorGraph, PlanContext, PlanSettings, TopicShape, define_source, plan_create_as};
use thalweg::runtime::{Delivery, QueryDefinition, Runtime, RuntimeParts, RuntimeSettings, WallClock};
use thalweg::sql::ast::StatementKind;
use thalweg::sql::parse_statements;
use thalweg::topics::memory::MemoryLog;
use thalweg::topics::{CleanupPolicy, PartitionRecords, TopicConfig, TopicLog, Transaction};
use thalweg::types::{ChangeBatch, EventTime, Offset, Ops, Partition, Record, RecordBlock, RowMeta, SqlType};

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
            rank: None,
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

const RIGHT_ROWS: usize = 10_000;
const LEFT_PER_RIGHT: usize = 100;

/// The left edge of the foreign-key join with its version, and the right one.
fn foreign_edges() -> [EdgeSchema; 2] {
    let column = |name: &str, ty: SqlType| EdgeColumn { name: name.into(), ty };
    let left = vec![
        column("LK", SqlType::String),
        column("LF", SqlType::BigInt),
        column("LV", SqlType::BigInt),
        column("VERSION", SqlType::BigInt),
    ];
    let right = vec![column("RK", SqlType::BigInt), column("RV", SqlType::BigInt), column("RT", SqlType::String)];
    [EdgeSchema::new(left), EdgeSchema::new(right)]
}

/// A foreign-key join and what puts its results in order.
fn foreign_operators() -> [Box<dyn Operator>; 2] {
    let inputs = foreign_edges();
    let joining = Joining {
        kind: JoinKind::Inner,
        method: JoinMethod::ForeignKey { primary_key: vec!["LK".into()] },
        left_key: vec!["LF".into()],
        right_key: vec!["RK".into()],
        key: vec!["K".into()],
    };
    let key = EdgeColumn { name: "K".into(), ty: SqlType::String };
    let joined: Vec<EdgeColumn> =
        std::iter::once(key).chain(inputs.iter().flat_map(|edge| edge.columns().iter().cloned())).collect();
    let resolved = joined.iter().filter(|column| column.name.as_str() != "VERSION").cloned().collect();
    let resolve = OperatorKind::Resolve { key: vec!["K".into()], version: "VERSION".into() };
    let nodes = [
        (OperatorKind::Join(joining), EdgeSchema::new(joined.clone()), inputs.to_vec()),
        (resolve, EdgeSchema::new(resolved), vec![EdgeSchema::new(joined)]),
    ];
    nodes.map(|(kind, schema, inputs)| {
        let node = OperatorNode { name: "join".to_owned(), kind, schema, encoding: Encoding::Upsert };
        compile(&node, &inputs, &FunctionRegistry::builtin(), 64).expect("an operator that compiles")
    })
}

fn foreign_batch(side: usize, columns: Vec<ArrayRef>) -> (Port, ChangeBatch) {
    let names =
        foreign_edges()[side].columns().iter().map(|column| column.name.as_str().to_owned()).collect::<Vec<_>>();
    let rows = RecordBatch::try_from_iter(names.into_iter().zip(columns)).expect("columns of one length");
    let count = rows.num_rows();
    let meta = RowMeta {
        event_time: vec![EventTime(1); count],
        stream_time: vec![EventTime(1); count],
        partition: vec![Partition(0); count],
        offset: (0..count as i64).map(Offset).collect(),
        headers: None,
        rank: None,
    };
    (Port(side), ChangeBatch { rows, ops: Ops::Inserts, null_value: None, meta })
}

/// All left rows, those of one foreign key far apart.
fn left_rows() -> Vec<(Port, ChangeBatch)> {
    let numbers: Vec<i64> = (0..(RIGHT_ROWS * LEFT_PER_RIGHT) as i64).collect();
    let batch = |numbers: &[i64]| {
        let keys = StringArray::from_iter_values(numbers.iter().map(|number| format!("order_{number:07}")));
        let column = |value: fn(i64) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(numbers.iter().copied().map(value)))
        };
        let foreign = column(|number| number * 7919 % RIGHT_ROWS as i64);
        let versions = column(|number| (number + 1) * 2);
        foreign_batch(0, vec![Arc::new(keys), foreign, column(|number| number % 1000), versions])
    };
    numbers.chunks(BATCH).map(batch).collect()
}

/// One change of so many right rows.
fn right_rows(rows: i64) -> (Port, ChangeBatch) {
    let keys = Int64Array::from_iter_values(0..rows);
    let values = Int64Array::from_iter_values((0..rows).map(|row| row * 3));
    let texts = StringArray::from_iter_values((0..rows).map(|row| format!("customer {row}")));
    foreign_batch(1, vec![Arc::new(keys), Arc::new(values), Arc::new(texts)])
}

/// Gives batches to the join, and its results to the operator behind it; the number of results.
fn run_foreign([join, resolve]: &mut [Box<dyn Operator>; 2], batches: &[(Port, ChangeBatch)]) -> usize {
    let mut results = 0;
    for (nth, (port, batch)) in batches.iter().enumerate() {
        let mut step = Step::More;
        let mut input = Some(batch.clone());
        while step == Step::More {
            let (mut out, mut resolved) = (Output::default(), Output::default());
            step = match input.take() {
                Some(batch) => join.on_changes(*port, batch, &mut out),
                None => join.resume(&mut out),
            };
            for batch in out.batches {
                resolve.on_changes(Port(0), batch, &mut resolved);
            }
            results += resolved.batches.iter().map(ChangeBatch::len).sum::<usize>();
        }
        if nth % EPOCH == EPOCH - 1 {
            join.on_barrier(&mut Capture::default());
            resolve.on_barrier(&mut Capture::default());
        }
    }
    results
}

#[expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
fn foreign_keys(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("joins on a foreign key");
    let lefts = left_rows();
    group.sample_size(10).throughput(Throughput::Elements((RIGHT_ROWS * LEFT_PER_RIGHT) as u64));
    group.bench_function("left rows", |bencher| {
        bencher.iter(|| run_foreign(&mut foreign_operators(), &lefts));
    });
    let mut operators = foreign_operators();
    run_foreign(&mut operators, &lefts);
    for rows in [1, 1000] {
        let change = [right_rows(rows)];
        let results = run_foreign(&mut operators, &change);
        group.throughput(Throughput::Elements(results as u64));
        group.bench_function(BenchmarkId::new("results of right rows, 1 to 100", rows), |bencher| {
            bencher.iter(|| run_foreign(&mut operators, &change));
        });
    }
    let bytes = operators.iter().map(|operator| operator.state_bytes()).sum::<usize>();
    println!(
        "1:100, {} left rows: {} bytes of state each",
        RIGHT_ROWS * LEFT_PER_RIGHT,
        bytes / (RIGHT_ROWS * LEFT_PER_RIGHT)
    );
    group.finish();
}

/// Prints the number of results and the bytes of state.
#[expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
fn tell(name: &str, keys: u64, operator: &mut dyn Operator, batches: &[(Port, ChangeBatch)]) {
    let results = run(operator, batches);
    println!("{name}, {keys} keys: {results} results, {} MiB of state", operator.state_bytes() >> 20);
}

const SOURCES: &str = "
    CREATE STREAM A (K STRING KEY, AV BIGINT) WITH (KAFKA_TOPIC='a', KEY_FORMAT='KAFKA', VALUE_FORMAT='JSON');
    CREATE STREAM B (K STRING KEY, BV BIGINT) WITH (KAFKA_TOPIC='b', KEY_FORMAT='KAFKA', VALUE_FORMAT='JSON');
    CREATE TABLE T (K STRING PRIMARY KEY, AV BIGINT) WITH (KAFKA_TOPIC='a', KEY_FORMAT='KAFKA', VALUE_FORMAT='JSON');
    CREATE TABLE U (K STRING PRIMARY KEY, BV BIGINT) WITH (KAFKA_TOPIC='b', KEY_FORMAT='KAFKA', VALUE_FORMAT='JSON');
    CREATE TABLE F (K BIGINT PRIMARY KEY, BV BIGINT) WITH (KAFKA_TOPIC='b', FORMAT='JSON');";

/// Whole queries: what they are called, and what is made of the topics.
const QUERIES: [(&str, &str); 5] = [
    (
        "streams",
        "STREAM D WITH (KAFKA_TOPIC='d') AS SELECT A.K AS K, AV, BV FROM A JOIN B WITHIN 1 SECONDS ON A.K = B.K",
    ),
    ("stream-table", "STREAM D WITH (KAFKA_TOPIC='d') AS SELECT A.K AS K, AV, BV FROM A JOIN U ON A.K = U.K"),
    ("table-table", "TABLE D WITH (KAFKA_TOPIC='d') AS SELECT T.K AS K, AV, BV FROM T JOIN U ON T.K = U.K"),
    ("foreign key", "TABLE D WITH (KAFKA_TOPIC='d') AS SELECT T.K AS K, AV, BV FROM T JOIN F ON T.AV = F.K"),
    (
        "two joins",
        "STREAM D WITH (KAFKA_TOPIC='d') AS SELECT A.K AS K, AV, U.BV, F.BV FROM A LEFT JOIN U ON A.K = U.K LEFT JOIN F ON A.AV = F.K",
    ),
];

/// Records of each topic.
const RECORDS: usize = 200_000;

/// The graph of a query over topics of so many partitions.
fn plan(sql: &str, partitions: i32) -> OperatorGraph {
    let functions = FunctionRegistry::builtin();
    let settings = PlanSettings::default();
    let topics = |_: &str| Some(TopicShape { partitions, replicas: 1, retention_ms: None });
    let ctx = PlanContext { functions: &functions, settings: &settings, topics: &topics };
    let mut catalog = Catalog::default();
    for statement in parse_statements(&format!("{SOURCES} CREATE {sql};")).expect("the statements parse") {
        match &statement.kind {
            StatementKind::CreateSource(stmt) => {
                let source = define_source(stmt, &catalog, &ctx).expect("a source").source;
                catalog = catalog.with(CatalogChange::PutSource(Box::new(source)));
            }
            StatementKind::CreateSourceAs(stmt) => return plan_create_as(stmt, &catalog, &ctx).expect("a query").graph,
            other => panic!("not a query: {other:?}"),
        }
    }
    panic!("no query")
}

/// A log with both topics. Of `turn` rows each, their times go on in turn.
fn topics(turn: usize, partitions: i32, has_numbers: bool) -> Arc<dyn TopicLog> {
    let log: Arc<dyn TopicLog> = Arc::new(MemoryLog::new());
    let config = TopicConfig { partitions, replicas: 1, cleanup: CleanupPolicy::Delete, retention_ms: None };
    log.create_topic("d", &config).expect("a new topic");
    for (nth, (topic, value)) in [("a", "AV"), ("b", "BV")].into_iter().enumerate() {
        log.create_topic(topic, &config).expect("a new topic");
        let numbers: Vec<usize> = (0..RECORDS).collect();
        for numbers in numbers.chunks(turn.max(1000)) {
            for partition in 0..partitions {
                let of_partition = |number: &&usize| **number % partitions as usize == partition as usize;
                let records: Vec<Record> = numbers
                    .iter()
                    .filter(of_partition)
                    .map(|number| {
                        let key = number * 7919 % 10_000;
                        let key = if has_numbers && nth == 1 { key.to_string() } else { format!("user_{key:05}") };
                        let time = (number / turn * 2 + nth) * turn + number % turn;
                        Record {
                            key: Some(key.into()),
                            value: Some(format!("{{\"{value}\":{}}}", number % 10_000).into()),
                            timestamp: EventTime(1_700_000_000_000 + time as i64 / 10),
                            headers: Vec::new(),
                        }
                    })
                    .collect();
                let records: RecordBlock = records.iter().collect();
                let records =
                    vec![PartitionRecords { topic: topic.to_owned(), partition: Partition(partition), records }];
                log.append(Transaction { records }, Box::new(|_| ()));
            }
        }
    }
    log
}

/// Processor time of the workers.
fn worker_time() -> Duration {
    let read = |path: &Path, file: &str| std::fs::read_to_string(path.join(file)).unwrap_or_default();
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let times = tasks.flatten().map(|task| task.path()).filter(|path| read(path, "comm").starts_with("worker-"));
    let nanos =
        times.map(|path| read(&path, "schedstat").split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0));
    Duration::from_nanos(nanos.sum())
}

#[expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
fn whole_queries(_: &mut Criterion<CpuTime>) {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    for (name, sql) in QUERIES {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| format!("whole {name}").contains(wanted)) {
            continue;
        }
        for (partitions, turn, says) in
            [(1, 1000, "in turn, 1000"), (1, 1, "in turn, 1"), (4, 1, "in turn, 1, 4 partitions")]
        {
            let runtime = Runtime::start(RuntimeParts {
                log: topics(turn, partitions, sql.contains("F.K")),
                functions: Arc::new(FunctionRegistry::builtin()),
                clock: Arc::new(WallClock::default()),
                settings: RuntimeSettings { worker_threads: 1, ..RuntimeSettings::default() },
                service_id: "bench".to_owned(),
                committers: 1,
                processing_log: Arc::new(|entry| panic!("{entry}")),
                scheduler: None,
            })
            .expect("a runtime");
            let (id, graph, before) = (QueryId("Q".to_owned()), Arc::new(plan(sql, partitions)), worker_time());
            runtime
                .start_query(QueryDefinition {
                    id: id.clone(),
                    graph,
                    first_offsets: vec![],
                    delivery: Delivery::default(),
                    paused: false,
                })
                .expect("the query starts");
            runtime.wait_until_caught_up(None, Duration::from_secs(300)).expect("the query catches up");
            let (spent, counters) = (worker_time() - before, runtime.status(&id).expect("the query runs").counters);
            println!(
                "whole {name}, times {says}: {:4} ns a record, {} out",
                spent.as_nanos() / (RECORDS as u128 * 2),
                counters.records_out
            );
            runtime.shutdown(Duration::from_secs(5));
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = joins, foreign_keys, whole_queries
}
criterion_main!(benches);
