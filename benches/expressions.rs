//! Expressions over batches of 1, 64 and 8192 rows: twenty representative functions and five composite projections,
//! in rows per second of one core.
//!
//! Columns have one NULL in sixteen, except those of arithmetic: there a NULL is an error of its row, with an entry
//! for the processing log, which has a line of its own.
//!
//! Time is the thread's processor time (`measure`).

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMillisecondArray,
};
use thalweg::expressions::{EdgeColumn, EdgeSchema, ErrorSink, EvaluationContext, Projection};
use thalweg::functions::FunctionRegistry;
use thalweg::sql::parse_expression;
use thalweg::types::SqlType;

mod measure;

use measure::CpuTime;

const BATCHES: [usize; 3] = [1, 64, 8192];

/// What is measured: one expression a line, under its name.
const SINGLE: [(&str, &str); 26] = [
    ("arithmetic BIGINT", "A * 3 + B"),
    ("arithmetic BIGINT with nulls", "N * 3 + B"),
    ("arithmetic DOUBLE", "X * 1.5E0 - X / 3E0"),
    ("arithmetic DECIMAL", "D * 1.10 + D"),
    ("compare DECIMAL with DOUBLE", "D > X"),
    ("BETWEEN and IN", "A BETWEEN 10 AND 5000 AND B IN (1, 2, 3, 5, 8, 13)"),
    ("LIKE 'abc%'", "S LIKE 'user_1%'"),
    ("LIKE '%a_b%'", "S LIKE '%_1_2%'"),
    ("CASE", "CASE WHEN A < 100 THEN 'low' WHEN A < 1000 THEN 'mid' ELSE S END"),
    ("COALESCE", "COALESCE(S, T, 'none')"),
    ("CAST BIGINT AS STRING", "CAST(A AS STRING)"),
    ("CAST STRING AS DOUBLE", "CAST(NUMBER AS DOUBLE)"),
    ("CAST DOUBLE AS DECIMAL", "CAST(X AS DECIMAL(18, 2))"),
    ("CAST TIMESTAMP AS STRING", "CAST(TS AS STRING)"),
    ("ROUND(x, 2)", "ROUND(X, 2)"),
    ("UCASE", "UCASE(S)"),
    ("SUBSTRING", "SUBSTRING(S, 6, 3)"),
    ("CONCAT", "CONCAT(S, '-', T)"),
    ("REPLACE", "REPLACE(T, 'back', 'front')"),
    ("INSTR", "INSTR(T, 'door')"),
    ("SPLIT", "SPLIT(T, ' ')"),
    ("REGEXP_EXTRACT", "REGEXP_EXTRACT('user_([0-9]+)', S, 1)"),
    ("FORMAT_TIMESTAMP", "FORMAT_TIMESTAMP(TS, 'yyyy-MM-dd HH:mm:ss', 'Europe/Paris')"),
    ("PARSE_TIMESTAMP", "PARSE_TIMESTAMP(WRITTEN, 'yyyy-MM-dd HH:mm:ss')"),
    ("EXTRACTJSONFIELD", "EXTRACTJSONFIELD(JSON, '$.address.city')"),
    ("TRANSFORM", "TRANSFORM(L, e => UCASE(e))"),
];

/// Select lists.
const COMPOSITE: [(&str, &[&str]); 5] = [
    ("order totals", &["A", "CAST(D * 3 AS DECIMAL(18, 2))", "ROUND(X * 1.19E0, 2)", "X * 1.19E0 > 100E0"]),
    ("clean up text", &["TRIM(UCASE(S))", "COALESCE(S, 'unknown')", "LEN(T)", "SUBSTRING(T, 1, 10)"]),
    (
        "shared parts",
        &["A * B", "A * B + 1", "CASE WHEN A * B > 1000 THEN A * B ELSE A END", "CAST(A * B AS DOUBLE) / 7E0"],
    ),
    (
        "time buckets",
        &["FORMAT_TIMESTAMP(TS, 'yyyy-MM-dd')", "TIMESTAMPADD(HOURS, 2, TS)", "CAST(TS AS DATE)", "UNIX_TIMESTAMP(TS)"],
    ),
    ("nested", &["STRUCT(ID := A, NAME := S)", "ARRAY[A, B]", "L[1]", "STRUCT(ID := A, NAME := S)->NAME"]),
];

fn schema() -> EdgeSchema {
    let columns = [
        ("A", SqlType::BigInt),
        ("B", SqlType::BigInt),
        ("N", SqlType::BigInt),
        ("I", SqlType::Integer),
        ("X", SqlType::Double),
        ("D", SqlType::Decimal { precision: 10, scale: 2 }),
        ("S", SqlType::String),
        ("T", SqlType::String),
        ("NUMBER", SqlType::String),
        ("WRITTEN", SqlType::String),
        ("JSON", SqlType::String),
        ("TS", SqlType::Timestamp),
        ("L", SqlType::Array(Box::new(SqlType::String))),
    ];
    EdgeSchema::new(columns.into_iter().map(|(name, ty)| EdgeColumn { name: name.into(), ty }).collect())
}

fn batch(schema: &EdgeSchema, rows: usize) -> RecordBatch {
    let mut random = fastrand::Rng::with_seed(7);
    let mut nulls = fastrand::Rng::with_seed(8);
    let mut text = |make: &mut dyn FnMut() -> String| -> ArrayRef {
        Arc::new((0..rows).map(|_| Some(make()).filter(|_| nulls.u8(..16) > 0)).collect::<StringArray>())
    };
    let comment = "please leave it at the back door and ring the bell twice before you go";
    let s = text(&mut || format!("user_{:05}", random.u32(0..100_000)));
    let t = text(&mut || comment[..random.usize(24..60)].to_owned());
    let number = text(&mut || format!("{:.3}", random.f64() * 1000.0));
    let written = text(&mut || {
        format!("20{:02}-0{}-1{} 12:{:02}:59", random.u8(..99), random.u8(1..10), random.u8(..10), random.u8(..60))
    });
    let json = text(&mut || {
        let id = random.u32(..);
        format!(
            r#"{{"id":{id},"name":"user_{id}","address":{{"street":"Main {id}","city":"Paris","zip":"75001"}},"tags":["a","b"]}}"#
        )
    });
    let mut lists = ListBuilder::new(StringBuilder::new());
    for _ in 0..rows {
        (0..3).for_each(|_| lists.values().append_value(["red", "green", "blue"][random.usize(..3)]));
        lists.append(true);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..rows).map(|_| Some(random.i64(0..10_000))).collect::<Int64Array>()),
        Arc::new((0..rows).map(|_| Some(random.i64(0..20))).collect::<Int64Array>()),
        Arc::new((0..rows).map(|_| Some(random.i64(0..20)).filter(|_| random.u8(..16) > 0)).collect::<Int64Array>()),
        Arc::new((0..rows).map(|_| Some(random.i32(..))).collect::<Int32Array>()),
        Arc::new((0..rows).map(|_| Some(random.f64() * 1000.0)).collect::<Float64Array>()),
        Arc::new(
            (0..rows)
                .map(|_| Some(random.i128(0..10_000_000)))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(10, 2)
                .expect("ten digits"),
        ),
        s,
        t,
        number,
        written,
        json,
        Arc::new(
            (0..rows)
                .map(|_| Some(random.i64(1_500_000_000_000..1_800_000_000_000)).filter(|_| random.u8(..16) > 0))
                .collect::<TimestampMillisecondArray>(),
        ),
        Arc::new(lists.finish()),
    ];
    RecordBatch::try_new(schema.arrow(), columns).expect("columns of the schema")
}

fn measure(criterion: &mut Criterion<CpuTime>, name: &str, expressions: &[&str]) {
    let schema = schema();
    let registry = FunctionRegistry::builtin();
    let labelled: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(i, text)| (format!("C{i}"), parse_expression(text).expect("the expression parses")))
        .collect();
    let projection = Projection::compile(&labelled, &schema, &registry).expect("the expressions are well typed");
    let context = EvaluationContext::default();
    let mut group = criterion.benchmark_group(name);
    for rows in BATCHES {
        let batch = batch(&schema, rows);
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::from_parameter(rows), |bencher| {
            bencher.iter(|| {
                let mut errors = ErrorSink::default();
                projection.evaluate(&batch, &context, &mut errors)
            });
        });
    }
    group.finish();
}

fn expressions(criterion: &mut Criterion<CpuTime>) {
    for (name, expression) in SINGLE {
        measure(criterion, name, &[expression]);
    }
    for (name, expressions) in COMPOSITE {
        measure(criterion, &format!("projection: {name}"), expressions);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(CpuTime)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500));
    targets = expressions
}
criterion_main!(benches);
