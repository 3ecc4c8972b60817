//! Conditions on keys find the rows that a look at every row finds.

use std::ops::Bound;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::util::pretty::pretty_format_batches;
use proptest::prelude::*;
use proptest::sample::select;

use super::{PullProgram, apart};
use crate::catalog::{Catalog, CatalogChange, Source};
use crate::expressions::EvaluationContext;
use crate::formats::{FormatName, Side, SideColumn};
use crate::functions::FunctionRegistry;
use crate::planner::{PlanContext, PlanSettings, PullOptions, PullPlan, plan_pull};
use crate::runtime::Followed;
use crate::serving::materialization::{Changer, Materialization};
use crate::serving::{KeyRange, Snapshot, TableShape};
use crate::sql::ast::{SourceKind, StatementKind};
use crate::sql::parse_statements;
use crate::types::{
    ChangeBatch, Column, ColumnRole, EventTime, Offset, Ops, Partition, RowMeta, Schema, SqlType, WindowInfo,
    WindowType,
};

const NUMBERS: [f64; 5] = [-1.5, -0.0, 0.0, 2.0, 7.25];
const TEXTS: [&str; 5] = ["", "a", "a\u{0}b", "b", "\u{1F600}"];

/// A table `A STRING, B INTEGER, D DOUBLE` (key), `V INTEGER`, with windows of ten seconds, of all combinations.
fn table() -> (Arc<Source>, Snapshot) {
    let keys = [("A", SqlType::String), ("B", SqlType::Integer), ("D", SqlType::Double)];
    let side = |columns: &[(&str, SqlType)]| Side {
        format: FormatName::Json,
        delimiter: None,
        unwrapped: false,
        columns: columns.iter().map(|(name, ty)| SideColumn { name: (*name).into(), ty: ty.clone() }).collect(),
    };
    let column = |name: &str, ty: &SqlType, role| Column { name: name.into(), ty: ty.clone(), role };
    let mut columns: Vec<Column> = keys.iter().map(|(name, ty)| column(name, ty, ColumnRole::Key)).collect();
    columns.push(column("V", &SqlType::Integer, ColumnRole::Value));
    let source = Source {
        name: "T".into(),
        kind: SourceKind::Table,
        schema: Schema::new(columns),
        topic: "t".to_owned(),
        key: side(&keys),
        value: side(&[("V", SqlType::Integer)]),
        wrap_given: None,
        window: Some(WindowInfo { window_type: WindowType::Tumbling, size_ms: Some(10) }),
        timestamp: None,
        read_only: false,
        created_by: None,
        begins_at: Vec::new(),
        sql: String::new(),
    };
    let mut rows = Vec::new();
    for a in TEXTS {
        for b in -1..3 {
            for d in NUMBERS {
                rows.extend([0, 10].map(|start| (a, b, d, start)));
            }
        }
    }
    let numbers = |value: fn(&(&str, i32, f64, i64)) -> i64| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(value(row))).collect::<Int64Array>())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.2))),
        numbers(|row| row.3),
        numbers(|row| row.3 + 10),
        Arc::new(Int32Array::from_iter_values((0..).take(rows.len()))),
    ];
    let shape = Arc::new(TableShape::new(&source));
    let times = vec![EventTime(1); rows.len()];
    let meta = RowMeta {
        stream_time: times.clone(),
        event_time: times,
        partition: vec![Partition(0); rows.len()],
        offset: vec![Offset(0); rows.len()],
        headers: None,
        rank: None,
    };
    let batch = RecordBatch::try_new(shape.input.schema.arrow(), columns).unwrap();
    let changes = ChangeBatch { rows: batch, ops: Ops::Inserts, null_value: None, meta };
    let table = Arc::new(Materialization::new(shape));
    let mut changer = Changer::new(Arc::clone(&table), None);
    changer.take(Followed::Changes(&changes));
    changer.take(Followed::Reached(&[]));
    (Arc::new(source), table.snapshot())
}

fn plan(source: &Source, sql: &str) -> PullPlan {
    let catalog = Catalog::default().with(CatalogChange::PutSource(Box::new(source.clone())));
    let statements = parse_statements(sql).unwrap();
    let StatementKind::Query(query) = &statements[0].kind else { panic!("{sql} is no query") };
    let (functions, settings) = (FunctionRegistry::builtin(), PlanSettings::default());
    let context = PlanContext { functions: &functions, settings: &settings, topics: &|_| None };
    let options = PullOptions { table_scan: true, range_scan: true };
    plan_pull(query, options, &catalog, &context).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"))
}

/// The numbers of the rows that a plan finds, and how many ranges it looks at.
fn found(plan: &PullPlan, snapshot: &Snapshot) -> (Vec<i32>, usize) {
    let program = PullProgram::compile(plan, snapshot.shape(), &FunctionRegistry::builtin()).unwrap();
    let ranges = program.ranges.len();
    let rows = Arc::new(program).run(snapshot.clone(), EvaluationContext::default(), 50);
    let mut numbers = Vec::new();
    for batch in rows {
        let batch = batch.unwrap();
        numbers
            .extend(batch.column(0).as_primitive::<datafusion::arrow::datatypes::Int32Type>().values().iter().copied());
    }
    (numbers, ranges)
}

fn condition() -> impl Strategy<Value = String> {
    let op = || select(vec!["=", "<", "<=", ">", ">=", "<>"]);
    let text = || select(vec!["''", "'a'", "'b'", "'a' || ''", "'\u{1F600}'", "'\u{FFFD}'"]);
    let number = || select(vec!["-1", "0", "2", "1 + 1", "5"]);
    let double = || select(vec!["-1.5", "0.0", "2", "7.25", "2E0", "-0.0"]);
    let leaf = prop_oneof![
        3 => (op(), text()).prop_map(|(op, value)| format!("A {op} {value}")),
        3 => (op(), number()).prop_map(|(op, value)| format!("{value} {op} B")),
        2 => (op(), double()).prop_map(|(op, value)| format!("D {op} {value}")),
        2 => (op(), select(vec!["0", "10", "20"])).prop_map(|(op, value)| format!("WINDOWSTART {op} {value}")),
        1 => (op(), select(vec!["0", "10", "20"])).prop_map(|(op, value)| format!("WINDOWEND {op} {value}")),
        1 => (number(), number()).prop_map(|(one, two)| format!("B IN ({one}, {two})")),
        1 => (text(), text()).prop_map(|(one, two)| format!("A BETWEEN {one} AND {two}")),
        1 => Just("V % 3 = 0".to_owned()),
        1 => Just("A IN ('a', 'b')".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            4 => (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one} AND {two})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one} OR {two})")),
            1 => inner.prop_map(|one| format!("NOT ({one})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn look_ups_find_what_a_scan_finds(condition in condition()) {
        let (source, snapshot) = table();
        let by_key = plan(&source, &format!("SELECT V FROM T WHERE {condition};"));
        let by_scan = PullPlan { lookups: None, ..by_key.clone() };
        let (found_by_key, _) = found(&by_key, &snapshot);
        prop_assert_eq!(found_by_key, found(&by_scan, &snapshot).0, "{}", condition);
    }
}

#[test]
fn whole_keys_are_looked_up_in_as_many_places() {
    let (source, snapshot) = table();
    let places = |condition: &str| found(&plan(&source, &format!("SELECT V FROM T WHERE {condition};")), &snapshot);
    let key = "A = 'a' AND B = 1 AND D = 2.0";
    assert_eq!((places(key).0.len(), places(key).1), (2, 1));
    assert_eq!(places(&format!("{key} AND WINDOWSTART = 10")).0.len(), 1);
    assert_eq!(places("A = 'a' AND B IN (0, 1, 1) AND D = 2.0").1, 2, "equal look-ups are one");
    assert_eq!(places("A = 'a' AND A = 'b'"), (vec![], 1));
    assert_eq!(places("A < 'a' OR A >= 'a'").1, 1, "ranges that meet are one");
    assert_eq!(places("B = 1").1, 1);
}

#[test]
fn a_snapshot_gives_all_columns_of_a_row() {
    let (_, snapshot) = table();
    let scan = snapshot.scan(KeyRange::ALL, &(0..snapshot.schema().fields().len()).collect::<Vec<_>>(), 1);
    let first = scan.take(1).collect::<Result<Vec<_>, _>>().unwrap();
    let text = pretty_format_batches(&first).unwrap().to_string();
    assert!(
        text.contains("| A | B  | D    | WINDOWSTART | WINDOWEND | V | ROWTIME | ROWPARTITION | ROWOFFSET |"),
        "{text}"
    );
    assert!(
        text.contains("|   | -1 | -1.5 | 0           | 10        | 0 | 1       | 0            | 0         |"),
        "{text}"
    );
}

#[test]
fn ranges_that_touch_become_one() {
    let range =
        |from: &[u8], to: &[u8]| KeyRange { from: Bound::Included(from.to_vec()), to: Bound::Excluded(to.to_vec()) };
    assert_eq!(apart(vec![range(b"c", b"d"), range(b"a", b"b"), range(b"b", b"c")]), [range(b"a", b"d")]);
    assert_eq!(apart(vec![range(b"a", b"d"), range(b"b", b"c"), range(b"e", b"e")]), [range(b"a", b"d")]);
    assert_eq!(apart(vec![range(b"x", b"z"), range(b"a", b"b")]), [range(b"a", b"b"), range(b"x", b"z")]);
}
