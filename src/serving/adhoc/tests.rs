//! Random small tables, a handful of query shapes, against plain recomputations; and what ends a query.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;
use tokio::sync::mpsc::{self, Receiver};

use super::{AdHoc, AdHocSettings, Reading, Rows};
use crate::catalog::{Catalog, CatalogChange, Source};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::expressions::EvaluationContext;
use crate::formats::{FormatName, Side, SideColumn};
use crate::functions::FunctionRegistry;
use crate::runtime::RowEvent;
use crate::serving::ordered_map::OrderedMap;
use crate::serving::{Snapshot, TableShape};
use crate::sql::ast::{SourceKind, StandardQuery};
use crate::types::{Column, ColumnRole, Name, Schema, SqlType};

/// Table `L (K BIGINT PRIMARY KEY, G INTEGER, V BIGINT)`, table `R (ID INTEGER PRIMARY KEY, W BIGINT)`, and stream `S` with
/// the columns and rows of `L`.
#[derive(Debug, Clone, Default)]
struct World {
    left: BTreeMap<i64, (Option<i32>, Option<i64>)>,
    right: BTreeMap<i32, Option<i64>>,
}

fn source(name: &str, kind: SourceKind, columns: &[(&str, SqlType)]) -> Source {
    let column = |(at, (name, ty)): (usize, &(&str, SqlType))| {
        let role = if at == 0 { ColumnRole::Key } else { ColumnRole::Value };
        Column { name: Name::from(*name), ty: ty.clone(), role }
    };
    let side = |columns: &[(&str, SqlType)]| Side {
        format: FormatName::Json,
        delimiter: None,
        unwrapped: true,
        columns: columns.iter().map(|(name, ty)| SideColumn { name: Name::from(*name), ty: ty.clone() }).collect(),
    };
    Source {
        name: name.into(),
        kind,
        schema: Schema::new(columns.iter().enumerate().map(column).collect()),
        topic: name.to_lowercase(),
        key: side(&columns[..1]),
        value: side(&columns[1..]),
        wrap_given: None,
        window: None,
        timestamp: None,
        read_only: false,
        created_by: None,
        begins_at: Vec::new(),
        sql: String::new(),
    }
}

impl World {
    fn catalog() -> Catalog {
        let of_left = [("K", SqlType::BigInt), ("G", SqlType::Integer), ("V", SqlType::BigInt)];
        let of_right = [("ID", SqlType::Integer), ("W", SqlType::BigInt)];
        [
            source("L", SourceKind::Table, &of_left),
            source("R", SourceKind::Table, &of_right),
            source("S", SourceKind::Stream, &of_left),
        ]
        .into_iter()
        .fold(Catalog::default(), |catalog, source| catalog.with(CatalogChange::PutSource(Box::new(source))))
    }

    fn columns(&self, name: &str) -> Vec<ArrayRef> {
        match name {
            "R" => vec![
                Arc::new(self.right.keys().copied().collect::<Int32Array>()),
                Arc::new(self.right.values().copied().collect::<Int64Array>()),
            ],
            _ => vec![
                Arc::new(self.left.keys().copied().collect::<Int64Array>()),
                Arc::new(self.left.values().map(|(g, _)| *g).collect::<Int32Array>()),
                Arc::new(self.left.values().map(|(_, v)| *v).collect::<Int64Array>()),
            ],
        }
    }
}

impl Rows for World {
    fn table(&self, table: &Arc<Source>) -> Result<Snapshot, Diagnostic> {
        let shape = Arc::new(TableShape::new(table));
        let columns = self.columns(table.name.as_str());
        let mut map = OrderedMap::default();
        for row in 0..columns[0].len() {
            let row: Vec<ArrayRef> = columns.iter().map(|column| column.slice(row, 1)).collect();
            // Event time, partition and offset are 0.
            let mut value = vec![0, 0, 0];
            shape.value_codec.append_row(&row[1..], 0, &mut value);
            map.insert(&shape.key_prefix(&row[..1]), &value);
        }
        Ok(Snapshot::new(shape, map, None))
    }

    fn stream(&self, stream: &Arc<Source>, columns: &[Name]) -> Result<Receiver<RowEvent>, Diagnostic> {
        let (sender, events) = mpsc::channel(8);
        let all = self.columns(stream.name.as_str());
        let places = ["K", "G", "V"];
        let wanted = columns.iter().map(|name| {
            let at = places.iter().position(|place| *place == name.as_str());
            at.map_or_else(|| Arc::clone(&all[0]), |at| Arc::clone(&all[at]))
        });
        let named: Vec<(String, ArrayRef)> = wanted.enumerate().map(|(at, array)| (format!("C{at}"), array)).collect();
        let rows = RecordBatch::try_from_iter(named).unwrap();
        let half = rows.num_rows() / 2;
        for rows in [rows.slice(0, half), rows.slice(half, rows.num_rows() - half)] {
            sender.try_send(RowEvent::Rows { rows, tombstones: None }).unwrap();
        }
        sender.try_send(RowEvent::Completed).unwrap();
        Ok(events)
    }
}

thread_local! {
    static AD_HOC: AdHoc = AdHoc::new(AdHocSettings::default());
}

/// The rows of an answer, cells separated by blanks; or what is wrong.
fn answer(world: &World, sql: &str) -> Result<Vec<String>, Diagnostic> {
    answer_of(&World::catalog(), world, sql)
}

fn answer_of(catalog: &Catalog, world: &World, sql: &str) -> Result<Vec<String>, Diagnostic> {
    AD_HOC.with(|ad_hoc| {
        let mut events = start(ad_hoc, catalog, world, sql)?;
        let mut lines = Vec::new();
        while let Some(event) = events.blocking_recv() {
            match event {
                RowEvent::Rows { rows, .. } => {
                    let options = FormatOptions::default().with_null("null");
                    let cells = |column| ArrayFormatter::try_new(column, &options).unwrap();
                    let columns: Vec<_> = rows.columns().iter().map(|column| cells(column.as_ref())).collect();
                    let line = |row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join(" ");
                    lines.extend((0..rows.num_rows()).map(line));
                }
                RowEvent::Completed | RowEvent::LimitReached => return Ok(lines),
                RowEvent::Failed(failure) => return Err(failure),
            }
        }
        Err(Diagnostic::new(Code::Internal, "the answer has no end"))
    })
}

fn start(ad_hoc: &AdHoc, catalog: &Catalog, world: &World, sql: &str) -> Result<Receiver<RowEvent>, Diagnostic> {
    let query = StandardQuery { text: sql.to_owned(), span: Span::UNKNOWN };
    let reading = Reading {
        catalog,
        functions: FunctionRegistry::builtin(),
        context: EvaluationContext::default(),
        rows: Arc::new(world.clone()),
        told: Arc::new(|_, _| {}),
    };
    let planned = ad_hoc.plan(&query, reading)?;
    let (sender, events) = mpsc::channel(4);
    ad_hoc.run("query".to_owned(), planned, sender)?;
    Ok(events)
}

fn worlds() -> impl Strategy<Value = World> {
    let left = btree_map(-20..20_i64, (option::of(0..5_i32), option::of(-9..9_i64)), 0..30);
    let right = btree_map(0..8_i32, option::of(-9..9_i64), 0..8);
    (left, right).prop_map(|(left, right)| World { left, right })
}

fn cell<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn sum(values: impl Iterator<Item = Option<i64>>) -> Option<i64> {
    values.flatten().fold(None, |sum, value| Some(sum.unwrap_or(0) + value))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn groups_are_what_a_recomputation_gives(world in worlds(), of_stream in any::<bool>()) {
        let from = if of_stream { "s" } else { "l" };
        let sql = format!(
            "SELECT g, COUNT(*), COUNT(v), SUM(v), MIN(v), MAX(v) FROM {from} GROUP BY g HAVING COUNT(*) > 1 \
             ORDER BY g NULLS FIRST"
        );
        let mut groups: BTreeMap<Option<i32>, Vec<Option<i64>>> = BTreeMap::new();
        world.left.values().for_each(|(g, v)| groups.entry(*g).or_default().push(*v));
        groups.retain(|_, values| values.len() > 1);
        let expected: Vec<String> = groups
            .into_iter()
            .map(|(g, values)| {
                let known: Vec<i64> = values.iter().copied().flatten().collect();
                let (low, high) = (known.iter().min(), known.iter().max());
                let sum = sum(values.iter().copied());
                [cell(g), values.len().to_string(), known.len().to_string(), cell(sum), cell(low), cell(high)].join(" ")
            })
            .collect();
        prop_assert_eq!(answer(&world, &sql).unwrap(), expected);
    }

    #[test]
    fn joins_are_what_loops_give(world in worlds(), of_stream in any::<bool>()) {
        let from = if of_stream { "s" } else { "l" };
        let inner = answer(&world, &format!("SELECT k, w FROM {from} x JOIN r ON x.g = r.id ORDER BY k")).unwrap();
        let matched = |g: &Option<i32>| g.and_then(|g| world.right.get(&g));
        let expected: Vec<String> =
            world.left.iter().filter_map(|(k, (g, _))| Some(format!("{k} {}", cell(*matched(g)?)))).collect();
        prop_assert_eq!(inner, expected);
        let left = answer(&world, &format!("SELECT k, id FROM {from} x LEFT JOIN r ON x.g = r.id ORDER BY k")).unwrap();
        let expected: Vec<String> = world
            .left
            .iter()
            .map(|(k, (g, _))| format!("{k} {}", cell(g.filter(|g| world.right.contains_key(g)))))
            .collect();
        prop_assert_eq!(left, expected);
    }

    #[test]
    fn keys_that_are_looked_up_are_those_that_a_scan_finds(
        world in worlds(), keys in proptest::collection::vec(-25..25_i64, 1..6), least in -9..9_i64,
    ) {
        let list = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT k, v FROM l WHERE k IN ({list}) AND v >= {least} ORDER BY k");
        let expected: Vec<String> = world
            .left
            .iter()
            .filter(|(k, (_, v))| keys.contains(k) && v.is_some_and(|v| v >= least))
            .map(|(k, (_, v))| format!("{k} {}", cell(*v)))
            .collect();
        prop_assert_eq!(answer(&world, &sql).unwrap(), expected);
        let one = answer(&world, &format!("SELECT COUNT(*) FROM l WHERE k = {} OR k = {}", keys[0], keys[0])).unwrap();
        prop_assert_eq!(one, vec![usize::from(world.left.contains_key(&keys[0])).to_string()]);
    }

    #[test]
    fn sub_queries_sets_and_orders_are_what_iterators_give(world in worlds(), least in -9..9_i64, n in 0..9_usize) {
        let inner = answer(&world, &format!("SELECT k FROM l WHERE g IN (SELECT id FROM r WHERE w > {least}) ORDER BY k"));
        let good = |g: i32| world.right.get(&g).is_some_and(|w| w.is_some_and(|w| w > least));
        let expected: Vec<String> =
            world.left.iter().filter(|(_, (g, _))| g.is_some_and(good)).map(|(k, _)| k.to_string()).collect();
        prop_assert_eq!(inner.unwrap(), expected);

        let union = answer(&world, "SELECT g FROM l UNION SELECT id FROM r ORDER BY 1 NULLS FIRST").unwrap();
        let all = world.left.values().map(|(g, _)| *g).chain(world.right.keys().copied().map(Some));
        let expected: Vec<String> = all.collect::<BTreeSet<_>>().into_iter().map(cell).collect();
        prop_assert_eq!(union, expected);

        let top = answer(&world, &format!("SELECT v, k FROM l ORDER BY v DESC NULLS LAST, k LIMIT {n} OFFSET 2")).unwrap();
        let mut rows: Vec<_> = world.left.iter().map(|(k, (_, v))| (std::cmp::Reverse(*v), *k)).collect();
        rows.sort_unstable();
        let expected: Vec<String> = rows.iter().skip(2).take(n).map(|(v, k)| format!("{} {k}", cell(v.0))).collect();
        prop_assert_eq!(top, expected);
    }

    #[test]
    fn running_sums_are_what_a_fold_gives(world in worlds()) {
        let sql = "SELECT k, SUM(v) OVER (PARTITION BY g ORDER BY k) FROM l ORDER BY k";
        let mut sums: BTreeMap<Option<i32>, Option<i64>> = BTreeMap::new();
        let expected: Vec<String> = world
            .left
            .iter()
            .map(|(k, (g, v))| {
                let running = sums.entry(*g).or_default();
                *running = sum([*running, *v].into_iter());
                format!("{k} {}", cell(*running))
            })
            .collect();
        prop_assert_eq!(answer(&world, sql).unwrap(), expected);
    }
}

#[test]
fn functions_and_casts_are_the_dialects() {
    let world = World { left: BTreeMap::from([(1, (Some(2), Some(-3)))]), right: BTreeMap::new() };
    let check = |sql: &str, expected: &str| {
        let found = answer(&world, sql).map_or_else(|refusal| refusal.to_string(), |lines| lines.join("\n"));
        assert_eq!(found, expected, "{sql}");
    };
    check("SELECT ABS(v), SUBSTRING('abcdef', 2, g), CAST(v AS STRING) || 'x' FROM l", "3 bc -3x");
    check("SELECT CAST('x' AS INTEGER), CAST(12 AS DOUBLE), CAST('2024-02-29' AS DATE) FROM l", "null 12.0 2024-02-29");
    check("SELECT UCAS(v) FROM l", "function UCAS does not exist\nHint: Did you mean \"UCASE\"?");
    check("SELECT COUNT(*) FROM s", "1");
}

#[test]
fn memory_and_time_are_bounded_and_a_client_that_goes_away_ends_its_query() {
    let world = World { left: (0..20_i64).map(|k| (k, (Some(1), Some(k)))).collect(), right: BTreeMap::new() };
    let catalog = World::catalog();
    let endless = "SELECT COUNT(*), MAX(a.v * b.v + c.v) FROM l a, l b, l c, l d, l e, l f, l g, l h, l i";
    let last = |settings: AdHocSettings, sql: &str| {
        let ad_hoc = AdHoc::new(settings);
        let mut events = start(&ad_hoc, &catalog, &world, sql).unwrap();
        std::iter::from_fn(|| events.blocking_recv()).last()
    };
    let brief = AdHocSettings { timeout: Duration::from_millis(20), ..AdHocSettings::default() };
    let Some(RowEvent::Failed(late)) = last(brief, endless) else { panic!("it came to an end") };
    assert_eq!(late.code, Code::TimedOut);
    let small = AdHocSettings { memory_bytes: 100_000, ..AdHocSettings::default() };
    let sorts = "SELECT a.k, b.k, c.k FROM l a, l b, l c ORDER BY a.v * b.v * c.v, 1, 2, 3";
    let Some(RowEvent::Failed(large)) = last(small, sorts) else { panic!("it had room") };
    assert_eq!((large.code, large.primary.contains("query.pull.memory.bytes")), (Code::LimitExceeded, true));

    let ad_hoc = AdHoc::new(AdHocSettings { max_queries: 1, ..AdHocSettings::default() });
    let events = start(&ad_hoc, &catalog, &world, endless).unwrap();
    assert_eq!(start(&ad_hoc, &catalog, &world, "SELECT k FROM l").unwrap_err().code, Code::TooManyRequests);
    drop(events);
    // The one place is free once the first query has seen that nobody listens.
    while !ad_hoc.running().is_empty() {
        std::thread::yield_now();
    }
    assert!(start(&ad_hoc, &catalog, &world, "SELECT k FROM l").is_ok());
}
