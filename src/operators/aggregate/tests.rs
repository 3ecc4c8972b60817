//! Aggregation without windows and with windows of time, against a slow oracle that takes row by row what the
//! semantics say.

use std::collections::BTreeMap;

use bytes::Bytes;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::Int64Type;
use proptest::prelude::*;

use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::functions::FunctionRegistry;
use crate::operators::batch_text::batch;
use crate::operators::{Capture, Checked, Operator, Output, Port, Step, compile};
use crate::planner::graph::{
    AggregateCall, Aggregation, AggregationWindow, Emission, Encoding, OperatorKind, OperatorNode, WindowShape,
};
use crate::state::StateRow;
use crate::types::{ChangeBatch, EventTime, Op, SqlType};

/// What is tried.
#[derive(Debug, Clone, Copy)]
struct Setup {
    /// Shape and grace.
    window: Option<(WindowShape, i64)>,
    emission: Emission,
    encoding: Encoding,
    retracts: bool,
    /// True if the third call is LATEST_BY_OFFSET instead of MAX.
    is_ordered: bool,
}

const UNWINDOWED: Setup = Setup {
    window: None,
    emission: Emission::EveryUpdate,
    encoding: Encoding::Upsert,
    retracts: false,
    is_ordered: false,
};

fn windowed(size: i64, advance: i64, grace: i64, emission: Emission) -> Setup {
    let shape = WindowShape::Time { size_ms: size, advance_ms: advance };
    Setup { window: Some((shape, grace)), emission, ..UNWINDOWED }
}

fn sessions(gap: i64, grace: i64, emission: Emission) -> Setup {
    Setup { window: Some((WindowShape::Session { gap_ms: gap }, grace)), emission, ..UNWINDOWED }
}

fn node(setup: Setup) -> (OperatorNode, EdgeSchema) {
    let column = |name: &str, ty: SqlType| EdgeColumn { name: name.into(), ty };
    let input = EdgeSchema::new(vec![column("K", SqlType::String), column("V", SqlType::BigInt)]);
    let call = |name: &str, function: &str, arguments: &[&str], previous: bool| AggregateCall {
        name: name.into(),
        function: function.into(),
        arguments: arguments.iter().map(|name| (*name).into()).collect(),
        parameters: vec![],
        limit: None,
        distinct: false,
        filter: None,
        previous,
    };
    let calls = vec![
        call("C", "COUNT", &[], false),
        call("S", "SUM", &["V"], false),
        call("M", if setup.is_ordered { "LATEST_BY_OFFSET" } else { "MAX" }, &["V"], false),
        call("P", "SUM", &["V"], true),
    ];
    let mut schema = vec![column("K", SqlType::String)];
    schema.extend(["C", "S", "M", "P"].map(|name| column(name, SqlType::BigInt)));
    if setup.window.is_some() {
        schema.extend(["WINDOWSTART", "WINDOWEND"].map(|name| column(name, SqlType::BigInt)));
    }
    let aggregation = Aggregation {
        key: vec!["K".into()],
        calls,
        window: setup.window.map(|(shape, grace_ms)| AggregationWindow {
            shape,
            grace_ms,
            retention_ms: grace_ms
                + match shape {
                    WindowShape::Time { size_ms, .. } => size_ms,
                    WindowShape::Session { gap_ms } => gap_ms,
                },
        }),
        emission: setup.emission,
        retracts: setup.retracts,
    };
    let node = OperatorNode {
        name: "aggregate".to_owned(),
        kind: OperatorKind::Aggregate(aggregation),
        schema: EdgeSchema::new(schema),
        encoding: setup.encoding,
    };
    (node, input)
}

/// An operator, what it has said, and what it has handed over.
struct Run {
    setup: Setup,
    operator: Box<dyn Operator>,
    out: Vec<String>,
    late: usize,
    stream_time: i64,
    stored: BTreeMap<Bytes, StateRow>,
}

fn operator(setup: Setup) -> Box<dyn Operator> {
    let (node, input) = node(setup);
    let inner = compile(&node, &[input], &FunctionRegistry::builtin(), 64).unwrap();
    Box::new(Checked::new(&node, inner))
}

impl Run {
    fn new(setup: Setup) -> Self {
        let stored = BTreeMap::new();
        Self { setup, operator: operator(setup), out: vec![], late: 0, stream_time: i64::MIN, stored }
    }

    /// Gives the rows of `text`, with their running maximum as stream time, then the stream time.
    fn rows(&mut self, text: &str) {
        let mut input = batch(text);
        input.null_value = None;
        for (time, stamp) in input.meta.event_time.iter().zip(&mut input.meta.stream_time) {
            self.stream_time = self.stream_time.max(time.0);
            *stamp = EventTime(self.stream_time);
        }
        let mut out = Output::default();
        let mut step = self.operator.on_changes(Port(0), input, &mut out);
        while step == Step::More {
            step = self.operator.resume(&mut out);
        }
        self.operator.on_stream_time(EventTime(self.stream_time), &mut out);
        self.said(out);
    }

    fn said(&mut self, out: Output) {
        assert_eq!(out.fatal, None);
        assert_eq!(out.errors.len(), out.late_rows);
        self.late += out.late_rows;
        let is_session = matches!(self.setup.window, Some((WindowShape::Session { .. }, _)));
        self.out.extend(out.batches.iter().flat_map(|batch| lines(batch, is_session)));
    }

    fn barrier(&mut self) {
        let mut out = Output::default();
        self.operator.flush(&mut out);
        self.said(out);
        let mut capture = Capture::default();
        self.operator.on_barrier(&mut capture);
        let mut keys = std::collections::BTreeSet::new();
        for row in capture.state {
            assert!(keys.insert(row.key.clone()) || row.key.len() == 1, "one net change a key");
            // The keys of the rows that tell stream times are the same in every slot.
            let mut key = row.key.to_vec();
            key.extend(row.slot.0.to_be_bytes());
            match row.value {
                Some(_) => self.stored.insert(key.into(), row),
                None => self.stored.remove(&*key),
            };
        }
    }

    fn restart(&mut self) {
        self.barrier();
        self.operator = operator(self.setup);
        self.operator.restore(self.stored.values().cloned().collect()).unwrap();
    }
}

/// Rows as `+ a 2 7 5 null [0,10) @8`: operation, key, count, sum, largest, prior sum, window, event time.
fn lines(batch: &ChangeBatch, is_session: bool) -> Vec<String> {
    let keys = batch.rows.column(0).as_string::<i32>();
    let number = |column: usize, row: usize| {
        let column = batch.rows.column(column).as_primitive::<Int64Type>();
        if column.is_null(row) { "null".to_owned() } else { column.value(row).to_string() }
    };
    let line = |row: usize| {
        let op = match batch.ops.get(row) {
            Op::Insert => "+",
            Op::Delete => "-",
            Op::UpdateBefore => "-u",
            Op::UpdateAfter => "+u",
        };
        let numbers: Vec<String> = (1..5).map(|column| number(column, row)).collect();
        let is_key_alone = numbers.iter().all(|number| number == "null");
        let numbers = if is_key_alone { String::new() } else { format!(" {}", numbers.join(" ")) };
        let window = match (batch.rows.num_columns() > 5).then(|| (number(5, row), number(6, row))) {
            Some((start, end)) if is_session => format!(" [{start},{end}]"),
            Some((start, end)) => format!(" [{start},{end})"),
            None => String::new(),
        };
        format!("{op} {}{numbers}{window} @{}", keys.value(row), batch.meta.event_time[row])
    };
    (0..batch.len()).map(line).collect()
}

/// What rows given in one batch, then the end of the epoch, make.
fn check(setup: Setup, input: &str, expected: &str, late: usize) {
    let mut run = Run::new(setup);
    run.rows(input);
    run.barrier();
    assert_eq!(run.out.join("; "), expected);
    assert_eq!(run.late, late);
}

#[test]
fn every_row_makes_a_result() {
    check(
        UNWINDOWED,
        "+ a 5 @1; + b 1 @2; + a 3 @0; + a null @9",
        "+ a 1 5 5 null @1; + b 1 1 1 null @2; + a 2 8 5 5 @1; + a 3 8 5 8 @9",
        0,
    );
}

#[test]
fn a_result_that_replaces_another_is_an_update_on_a_changelog_edge() {
    let setup = Setup { encoding: Encoding::Changelog, ..UNWINDOWED };
    check(setup, "+ a 5 @1; + a 3 @0", "+ a 1 5 5 null @1; -u a 1 5 5 null @1; +u a 2 8 5 5 @1", 0);
    let mut run = Run::new(setup);
    run.rows("+ a 5 @1; + a 3 @0");
    run.restart();
    run.rows("+ a 1 @2");
    assert_eq!(run.out[3..].join("; "), "-u a 2 8 5 5 @2; +u a 3 9 5 8 @2");
}

#[test]
fn rows_of_a_table_are_taken_back() {
    let setup = Setup { retracts: true, ..UNWINDOWED };
    // The group changes: first the old one, then the new one. The group stays: one result.
    check(
        setup,
        "+ a 5 @1; -u a 5 @2; +u b 5 @2; -u b 5 @3; +u b 7 @3; - b 7 @4",
        "+ a 1 5 5 null @1; + a 0 0 null 5 @2; + b 1 5 5 null @2; + b 1 7 7 5 @3; + b 0 0 null 7 @4",
        0,
    );
}

#[test]
fn a_row_enters_all_its_windows_that_are_open() {
    check(
        windowed(10, 5, 0, Emission::EveryUpdate),
        "+ a 1 @7; + a 2 @12; + a 3 @9; + a 4 @4",
        "+ a 1 1 1 null [0,10) @7; + a 1 1 1 null [5,15) @7; + a 2 3 2 1 [5,15) @12; + a 1 2 2 null [10,20) @12; \
         + a 3 6 3 3 [5,15) @12",
        1,
    );
}

#[test]
fn coalesced_results_leave_at_the_end_of_the_epoch_in_the_order_of_the_first_touch() {
    let setup = Setup { emission: Emission::Coalesced, encoding: Encoding::Changelog, ..UNWINDOWED };
    let mut run = Run::new(setup);
    run.rows("+ b 1 @1; + a 2 @2");
    run.rows("+ b 3 @3");
    assert!(run.out.is_empty());
    run.barrier();
    run.rows("+ c 1 @4; + a 1 @4; + a 1 @5");
    run.barrier();
    assert_eq!(
        run.out.join("; "),
        "+ b 2 4 3 1 @3; + a 1 2 2 null @2; + c 1 1 1 null @4; -u a 1 2 2 null @5; +u a 3 4 2 3 @5"
    );
}

#[test]
fn final_results_leave_once_when_their_window_closes() {
    let rows = "+ a 1 @0; + a 1 @1; + b 1 @2; + a 1 @1; + a 1 @0; + a 9 @5";
    check(windowed(2, 2, 1, Emission::Final), rows, "+ a 4 4 1 3 [0,2) @1; + b 1 1 1 null [2,4) @2", 0);
    check(windowed(2, 2, 1, Emission::FinalWithLoss), rows, "+ b 1 1 1 null [2,4) @2", 0);
}

#[test]
fn jumps_of_time_lose_closed_windows_only_where_kafka_loses_them() {
    let rows = "+ a 1 @0; + a 1 @1; + a 1 @2; + a 1 @0; + a 1 @3; + a 1 @0; + a 1 @10; + a 1 @0; + a 1 @30";
    check(windowed(2, 2, 2, Emission::FinalWithLoss), rows, "", 1);
    let hopping = "+ a 1 @0; + a 1 @1; + a 1 @2; + a 1 @1; + a 1 @6; + a 1 @5; + a 1 @10";
    check(windowed(5, 2, 1, Emission::FinalWithLoss), hopping, "+ a 4 4 1 3 [0,5) @2; + a 2 2 1 1 [4,9) @6", 0);
}

#[test]
fn a_row_joins_the_sessions_within_the_gap() {
    check(
        sessions(5, 100, Emission::EveryUpdate),
        "+ a 1 @1; + a 2 @4; + a 3 @12; + a 4 @8; + a 5 @20; + a 6 @20; + a 7 @3",
        "+ a 1 1 1 null [1,1] @1; - a [1,1] @1; + a 2 3 2 1 [1,4] @4; + a 1 3 3 null [12,12] @12; \
         - a [1,4] @4; - a [12,12] @12; + a 4 10 4 6 [1,12] @12; + a 1 5 5 null [20,20] @20; \
         + a 2 11 6 5 [20,20] @20; - a [1,12] @12; + a 5 17 7 10 [1,12] @12",
        0,
    );
}

#[test]
fn deletes_of_sessions_carry_the_old_result_on_a_changelog_edge() {
    check(
        Setup { encoding: Encoding::Changelog, ..sessions(5, 100, Emission::EveryUpdate) },
        "+ a 1 @1; + a 2 @4; + a 3 @12; + a 4 @8",
        "+ a 1 1 1 null [1,1] @1; - a 1 1 1 null [1,1] @1; + a 2 3 2 1 [1,4] @4; + a 1 3 3 null [12,12] @12; \
         - a 2 3 2 1 [1,4] @4; - a 1 3 3 null [12,12] @12; + a 4 10 4 6 [1,12] @12",
        0,
    );
}

#[test]
fn sessions_past_their_retention_are_not_joined() {
    check(
        sessions(30_000, 60_000, Emission::EveryUpdate),
        "+ a 1 @0; + a 2 @100010; + a 3 @10009; + a 4 @10010",
        "+ a 1 1 1 null [0,0] @0; + a 1 2 2 null [100010,100010] @100010; + a 1 4 4 null [10010,10010] @10010",
        1,
    );
}

#[test]
fn final_sessions_leave_when_they_are_over() {
    check(
        sessions(5, 6, Emission::FinalWithLoss),
        "+ a 1 @0; + a 1 @4; + a 1 @8; + a 1 @12; + a 1 @14; + a 1 @30; + a 1 @29; + a 1 @17; + a 1 @42",
        "+ a 5 5 1 4 [0,14] @14; + a 2 2 1 1 [29,30] @30",
        1,
    );
}

#[test]
fn coalesced_sessions_delete_what_no_longer_holds() {
    let mut run = Run::new(Setup { encoding: Encoding::Changelog, ..sessions(5, 100, Emission::Coalesced) });
    run.rows("+ a 1 @1; + a 2 @4; + b 1 @4");
    run.barrier();
    run.rows("+ a 3 @9; + b 2 @4");
    run.barrier();
    assert_eq!(
        run.out.join("; "),
        "+ a 2 3 2 1 [1,4] @4; + b 1 1 1 null [4,4] @4; \
         - a 2 3 2 1 [1,4] @4; + a 3 6 3 3 [1,9] @9; -u b 1 1 1 null [4,4] @4; +u b 2 3 2 1 [4,4] @4"
    );
}

/// Rows of one key between which another row moves the time: the second does not find the session of the first, begins
/// one of the same bounds, and the third makes it grow.
#[test]
fn a_coalesced_session_in_the_place_of_an_old_one_deletes_its_result_when_it_grows() {
    let check = |encoding: Encoding, expected: &str| {
        let mut run = Run::new(Setup { encoding, ..sessions(6, 0, Emission::Coalesced) });
        run.rows("+ a 1 @11; + b 1 @17");
        run.barrier();
        run.rows("+ a 2 @11; + a 3 @17");
        run.barrier();
        assert_eq!(run.out.join("; "), expected);
    };
    let first = "+ a 1 1 1 null [11,11] @11; + b 1 1 1 null [17,17] @17";
    check(Encoding::Upsert, &format!("{first}; - a [11,11] @11; + a 2 5 3 2 [11,17] @17"));
    check(Encoding::Changelog, &format!("{first}; - a 1 1 1 null [11,11] @11; + a 2 5 3 2 [11,17] @17"));
}

/// A session too old for late rows, and one that grows back to where it begins: both are put back after a restart.
#[test]
fn sessions_of_one_start_are_told_apart_after_a_restart() {
    let mut run = Run::new(sessions(3, 0, Emission::Final));
    run.rows("+ a 1 @9; + b 1 @12; + a 2 @11; + a 4 @9");
    run.restart();
    run.rows("+ b 1 @13; + b 1 @15");
    run.restart();
    run.rows("+ b 1 @18");
    assert_eq!(run.out.join("; "), "+ a 1 1 1 null [9,9] @9; + a 2 6 4 2 [9,11] @11");
}

#[test]
fn rows_from_before_1970_and_from_the_far_future_do_no_harm() {
    check(
        windowed(10, 10, 5, Emission::EveryUpdate),
        "+ a 1 @-5; + a 1 @3; + a 1 @9223372036854775807; + a 1 @4",
        "+ a 1 1 1 null [0,10) @3; + a 1 1 1 null [9223372036854775800,9223372036854775807) @9223372036854775807",
        2,
    );
}

#[test]
fn state_that_is_damaged_or_of_another_version_is_refused() {
    let mut run = Run::new(UNWINDOWED);
    run.rows("+ a 5 @1");
    run.barrier();
    let whole = run.stored.values().next().unwrap().clone();
    let damaged = |change: fn(&mut StateRow)| {
        let mut row = whole.clone();
        change(&mut row);
        operator(UNWINDOWED).restore(vec![row]).unwrap_err().to_string()
    };
    assert!(damaged(|row| row.value = Some(Bytes::from_static(b"\x02"))).contains("version 2"));
    damaged(|row| row.value = row.value.as_ref().map(|value| value.slice(..value.len() - 1)));
    damaged(|row| row.key = Bytes::from_static(b"\x09"));
    damaged(|row| row.key = Bytes::from_static(b"\x01\x02"));
    assert!(operator(UNWINDOWED).restore(vec![whole.clone()]).is_ok());
}

#[derive(Debug, Clone, Copy)]
struct Row {
    key: u8,
    value: Option<i64>,
    time: i64,
}

#[derive(Debug, Clone, Default)]
struct Group {
    values: Vec<Option<i64>>,
    time: i64,
    prior: Option<i64>,
    last: Option<String>,
}

impl Group {
    fn sum(&self) -> i64 {
        self.values.iter().flatten().sum()
    }

    fn line(&self, key: u8, window: &str, is_ordered: bool) -> String {
        let mut values = self.values.iter().flatten();
        let largest = if is_ordered { values.next_back() } else { values.max() };
        let largest = largest.map_or("null".to_owned(), i64::to_string);
        let prior = self.prior.map_or("null".to_owned(), |prior| prior.to_string());
        format!("k{key} {} {} {largest} {prior}{window}", self.values.len(), self.sum())
    }
}

/// The semantics, row by row. In coalesced mode what every update would give.
struct Oracle {
    setup: Setup,
    groups: BTreeMap<(i64, u8), Group>,
    /// Start, end, key.
    sessions: BTreeMap<(i64, i64, u8), Group>,
    max_end: i64,
    stream_time: i64,
    out: Vec<String>,
    late: usize,
}

impl Oracle {
    fn row(&mut self, row: Row) {
        self.stream_time = self.stream_time.max(row.time);
        let (size, advance, grace) = match self.setup.window {
            None => return self.add(0, row, ""),
            Some((WindowShape::Session { gap_ms }, grace)) => return self.add_to_session(row, gap_ms, grace),
            Some((WindowShape::Time { size_ms, advance_ms }, grace)) => (size_ms, advance_ms, grace),
        };
        let starts: Vec<i64> = (0..=row.time.max(-1))
            .filter(|start| start % advance == 0 && *start <= row.time && row.time < start + size)
            .filter(|start| start + size > self.stream_time - grace)
            .collect();
        self.late += usize::from(starts.is_empty());
        for start in starts {
            self.add(start, row, &format!(" [{start},{})", start + size));
        }
        let is_final = matches!(self.setup.emission, Emission::Final | Emission::FinalWithLoss);
        let closed: Vec<(i64, u8)> =
            self.groups.keys().filter(|(start, _)| start + size + grace <= self.stream_time).copied().collect();
        for place in closed {
            let group = self.groups.remove(&place).unwrap();
            let latest = self.stream_time / advance * advance;
            let is_lost = self.setup.emission == Emission::FinalWithLoss && place.0 < latest - (size + grace);
            if is_final && !is_lost {
                let line = group.line(place.1, &format!(" [{},{})", place.0, place.0 + size), self.setup.is_ordered);
                self.out.push(format!("+ {line} @{}", group.time));
            }
        }
    }

    fn add_to_session(&mut self, row: Row, gap: i64, grace: i64) {
        let is_final = matches!(self.setup.emission, Emission::Final | Emission::FinalWithLoss);
        // What the store has seen before the row; the latest row of all finds everything within the gap.
        let seen = if row.time == self.stream_time { self.max_end.min(row.time - 1) } else { self.max_end };
        let joined: Vec<(i64, i64, u8)> = self
            .sessions
            .keys()
            .filter(|(start, end, key)| {
                *key == row.key && *start <= row.time + gap && *end >= row.time - gap && *end > seen - (gap + grace)
            })
            .copied()
            .collect();
        let start = joined.iter().map(|(start, ..)| *start).min().unwrap_or(row.time).min(row.time);
        let end = joined.iter().map(|(_, end, _)| *end).max().unwrap_or(row.time).max(row.time);
        if row.time < 0 || end < self.stream_time - grace - gap {
            self.late += 1;
            return;
        }
        let mut merged = Group::default();
        let mut insert = "+";
        for place in &joined {
            let group = self.sessions.remove(place).unwrap();
            let is_told = (start, end) != (row.time, row.time);
            let old = group.last.clone().unwrap_or_default();
            if !is_told && !is_final && self.setup.encoding == Encoding::Changelog {
                self.out.push(format!("-u {old} @{end}"));
                insert = "+u";
            }
            if is_told && !is_final {
                match self.setup.encoding {
                    Encoding::Changelog => self.out.push(format!("- {old} @{}", place.1)),
                    _ => self.out.push(format!("- k{} [{},{}] @{}", row.key, place.0, place.1, place.1)),
                }
            }
            merged.values.extend(group.values);
        }
        // A session too old to be joined is in the way of one of the same bounds.
        if let Some(hidden) = self.sessions.remove(&(start, end, row.key))
            && self.setup.encoding == Encoding::Changelog
            && !is_final
        {
            self.out.push(format!("- {} @{end}", hidden.last.unwrap_or_default()));
        }
        merged.prior = (!joined.is_empty()).then(|| merged.sum());
        merged.values.push(row.value);
        merged.time = end;
        let line = merged.line(row.key, &format!(" [{start},{end}]"), self.setup.is_ordered);
        merged.last = Some(line.clone());
        self.sessions.insert((start, end, row.key), merged);
        self.max_end = self.max_end.max(end);
        if !is_final {
            return self.out.push(format!("{insert} {line} @{end}"));
        }
        let mut over: Vec<(i64, i64, u8)> = self
            .sessions
            .keys()
            .filter(|(_, end, _)| *end < self.stream_time - grace - gap)
            .map(|(start, end, key)| (*end, *start, *key))
            .collect();
        over.sort_unstable();
        for (end, start, key) in over {
            let group = self.sessions.remove(&(start, end, key)).unwrap();
            self.out.push(format!("+ {} @{end}", group.line(key, &format!(" [{start},{end}]"), self.setup.is_ordered)));
        }
    }

    fn add(&mut self, start: i64, row: Row, window: &str) {
        let is_new = !self.groups.contains_key(&(start, row.key));
        let group = self.groups.entry((start, row.key)).or_default();
        group.prior = (!is_new).then(|| group.sum());
        group.time = if is_new { row.time } else { group.time.max(row.time) };
        group.values.push(row.value);
        let line = group.line(row.key, window, self.setup.is_ordered);
        let old = group.last.replace(line.clone());
        let time = group.time;
        if matches!(self.setup.emission, Emission::Final | Emission::FinalWithLoss) {
            return;
        }
        match old {
            Some(old) if self.setup.encoding == Encoding::Changelog => {
                self.out.push(format!("-u {old} @{time}"));
                self.out.push(format!("+u {line} @{time}"));
            }
            _ => self.out.push(format!("+ {line} @{time}")),
        }
    }
}

/// The key (and window) of a line, and the rest.
fn placed(line: &str) -> ((String, String), String) {
    let words: Vec<&str> = line.split(' ').collect();
    let window = words.iter().find(|word| word.starts_with('[')).copied().unwrap_or_default();
    ((words[1].to_owned(), window.to_owned()), words[2..].join(" "))
}

/// What is left in the end, by key and window.
fn last_of_each(lines: &[String]) -> BTreeMap<(String, String), String> {
    let mut left = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.starts_with("-u")) {
        let (place, rest) = placed(line);
        match line.starts_with("- ") {
            true => left.remove(&place),
            false => left.insert(place, rest),
        };
    }
    left
}

fn setups() -> impl Strategy<Value = Setup> {
    let time = (1_i64..12, 1_i64..12)
        .prop_map(|(size_ms, advance_ms)| WindowShape::Time { size_ms, advance_ms: advance_ms.min(size_ms) });
    let session = (0_i64..8).prop_map(|gap_ms| WindowShape::Session { gap_ms });
    let window = prop::option::weighted(0.8, (prop_oneof![time, session], prop_oneof![Just(0), 0_i64..15]));
    let emission = prop_oneof![
        Just(Emission::EveryUpdate),
        Just(Emission::Coalesced),
        Just(Emission::Final),
        Just(Emission::FinalWithLoss)
    ];
    (window, emission, any::<bool>(), any::<bool>()).prop_map(|(window, emission, changelog, is_ordered)| {
        let is_final = matches!(emission, Emission::Final | Emission::FinalWithLoss);
        let emission = if is_final && window.is_none() { Emission::EveryUpdate } else { emission };
        let encoding = if changelog && !is_final { Encoding::Changelog } else { Encoding::Upsert };
        Setup { window, emission, encoding, retracts: false, is_ordered }
    })
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let step = prop_oneof![20 => -8_i64..6, 1 => 30_i64..60, 1 => -200_i64..-20];
    prop::collection::vec((0_u8..4, prop::option::weighted(0.9, -9_i64..10), step), 1..60).prop_map(|rows| {
        let mut now = 10;
        rows.into_iter()
            .map(|(key, value, step)| {
                let time = now + step;
                now = now.max(time);
                Row { key, value, time }
            })
            .collect()
    })
}

fn text(rows: &[Row]) -> String {
    let line = |row: &Row| {
        format!("+ k{} {} @{}", row.key, row.value.map_or("null".to_owned(), |value| value.to_string()), row.time)
    };
    rows.iter().map(line).collect::<Vec<_>>().join("; ")
}

/// As many cases as `THALWEG_SEEDS` says, else few.
pub(super) fn cases() -> ProptestConfig {
    let cases = std::env::var("THALWEG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200);
    ProptestConfig { cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_split_with_restarts_gives_what_the_semantics_say(
        setup in setups(),
        rows in rows(),
        cuts in prop::collection::vec((1_usize..12, 0_u8..4), 1..60),
    ) {
        let mut oracle = Oracle {
            setup, groups: BTreeMap::new(), sessions: BTreeMap::new(), max_end: i64::MIN + 1000,
            stream_time: i64::MIN, out: vec![], late: 0,
        };
        rows.iter().for_each(|row| oracle.row(*row));
        let mut run = Run::new(setup);
        let mut cut = cuts.iter().cycle();
        let mut next = 0;
        while next < rows.len() {
            let (length, then) = cut.next().unwrap();
            let end = (next + length).min(rows.len());
            run.rows(&text(&rows[next..end]));
            next = end;
            match then {
                2 => run.barrier(),
                3 => run.restart(),
                _ => {}
            }
        }
        run.barrier();
        prop_assert_eq!(run.late, oracle.late);
        if setup.emission == Emission::Coalesced {
            prop_assert_eq!(last_of_each(&run.out), last_of_each(&oracle.out));
            let mut last = BTreeMap::new();
            for line in &run.out {
                let (place, rest) = placed(line);
                let without_time = rest.split(" @").next().unwrap_or_default().to_owned();
                if line.starts_with("-u") {
                    prop_assert_eq!(last.get(&place), Some(&without_time));
                } else if line.starts_with("- ") {
                    let old = last.remove(&place);
                    prop_assert!(old.is_some());
                    if setup.encoding == Encoding::Changelog {
                        prop_assert_eq!(old, Some(without_time));
                    }
                    continue;
                } else if setup.encoding == Encoding::Changelog && line.starts_with("+ ") {
                    prop_assert_eq!(last.get(&place), None);
                }
                last.insert(place, without_time);
            }
        } else {
            prop_assert_eq!(run.out, oracle.out);
        }
    }

    /// A table of rows by id, whose changes move rows between groups.
    #[test]
    fn a_table_taken_back_and_added_gives_the_groups_of_what_is_left(
        changes in prop::collection::vec((0_u8..6, prop::option::of((0_u8..3, -9_i64..10))), 1..60),
        cuts in prop::collection::vec((1_usize..8, 0_u8..4), 1..60),
        changelog in any::<bool>(),
    ) {
        let encoding = if changelog { Encoding::Changelog } else { Encoding::Upsert };
        let setup = Setup { retracts: true, encoding, ..UNWINDOWED };
        let mut oracle = Oracle {
            setup, groups: BTreeMap::new(), sessions: BTreeMap::new(), max_end: 0, stream_time: 0, out: vec![], late: 0,
        };
        let mut table: BTreeMap<u8, (u8, i64)> = BTreeMap::new();
        let mut inputs: Vec<String> = Vec::new();
        for (time, (id, new)) in changes.iter().enumerate() {
            let old = match new { Some(new) => table.insert(*id, *new), None => table.remove(id) };
            let mut sides = Vec::new();
            let (before, after) = if old.is_some() && new.is_some() { ("-u", "+u") } else { ("-", "+") };
            sides.extend(old.map(|(key, value)| format!("{before} k{key} {value} @{time}")));
            sides.extend(new.map(|(key, value)| format!("{after} k{key} {value} @{time}")));
            if sides.is_empty() {
                continue;
            }
            inputs.push(sides.join("; "));
            let mut touched: Vec<u8> = old.iter().chain(new).map(|(key, _)| *key).collect();
            touched.dedup();
            for key in touched {
                let values = table.values().filter(|(of, _)| *of == key).map(|(_, value)| Some(*value)).collect();
                // Where the row moves, the old group is told before the new one has it: their tables are disjoint.
                let is_new = !oracle.groups.contains_key(&(0, key));
                let group = oracle.groups.entry((0, key)).or_default();
                group.prior = (!is_new).then(|| group.sum());
                (group.values, group.time) = (values, i64::try_from(time).unwrap());
                let line = group.line(key, "", false);
                match group.last.replace(line.clone()).filter(|_| changelog) {
                    Some(old) => oracle.out.extend([format!("-u {old} @{time}"), format!("+u {line} @{time}")]),
                    None => oracle.out.push(format!("+ {line} @{time}")),
                }
            }
        }
        let mut run = Run::new(setup);
        let mut cut = cuts.iter().cycle();
        let mut next = 0;
        while next < inputs.len() {
            let (length, then) = cut.next().unwrap();
            let end = (next + length).min(inputs.len());
            run.rows(&inputs[next..end].join("; "));
            next = end;
            if *then == 3 {
                run.restart();
            }
        }
        prop_assert_eq!(run.out, oracle.out);
    }
}
