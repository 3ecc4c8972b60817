//! Tests of joins of two streams, and a slow oracle that compares every row with every other.

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Int64Type;
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::Meeting;
use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::operators::batch_text::batch;
use crate::operators::join::given::{LEFT, RIGHT};
use crate::operators::{Capture, Checked, Operator, Output, Port, RestoreError, Round, Step};
use crate::planner::graph::{Encoding, JoinKind, JoinMethod, Joining, OperatorKind, OperatorNode};
use crate::state::StateRow;
use crate::types::{ChangeBatch, EventTime, SqlType};

fn operator(kind: JoinKind, meeting: Meeting) -> Box<dyn Operator> {
    let edge = |prefix: &str| {
        [("K", SqlType::String), ("V", SqlType::BigInt)]
            .map(|(name, ty)| EdgeColumn { name: format!("{prefix}{name}").as_str().into(), ty })
    };
    let Meeting { before, after, grace, waits } = meeting;
    let joining = Joining {
        kind,
        method: JoinMethod::Streams { before_ms: before, after_ms: after, grace_ms: grace, waits },
        left_key: vec!["LK".into()],
        right_key: vec!["RK".into()],
        key: vec!["KEY".into()],
    };
    let key = EdgeColumn { name: "KEY".into(), ty: SqlType::String };
    let schema = EdgeSchema::new([key].into_iter().chain(edge("L")).chain(edge("R")).collect());
    let inputs = ["L", "R"].map(|prefix| EdgeSchema::new(edge(prefix).into()));
    let kind = OperatorKind::Join(joining.clone());
    let node = OperatorNode { name: "Join".to_owned(), kind, schema, encoding: Encoding::Append };
    Box::new(Checked::new(&node, crate::operators::join::compile(&node, &joining, &inputs, 8).unwrap()))
}

/// A running join, what it said, and its changelog.
struct Run {
    kind: JoinKind,
    meeting: Meeting,
    operator: Box<dyn Operator>,
    stream_time: i64,
    out: Vec<String>,
    changelog: Vec<StateRow>,
    /// True if the changelog keeps a key's last value only.
    compacts: bool,
}

impl Run {
    fn new(kind: JoinKind, meeting: Meeting) -> Self {
        let operator = operator(kind, meeting);
        Self { kind, meeting, operator, stream_time: i64::MIN, out: vec![], changelog: vec![], compacts: true }
    }

    /// Gives rows of one side with these stream times; a key `null` is NULL.
    fn rows_at(&mut self, side: usize, text: &str, stream_times: &[i64]) {
        let input = self.input(text, stream_times);
        let mut out = Output::default();
        let mut step = self.operator.on_changes(Port(side), input, &mut out);
        while step == Step::More {
            step = self.operator.resume(&mut out);
        }
        self.said(&out);
    }

    /// Gives rows of both sides at once, each with its side and stream time.
    fn round(&mut self, rows: &[(usize, String, i64)]) {
        let of_side = |side: usize| rows.iter().filter(move |row| row.0 == side);
        let inputs = [LEFT, RIGHT].map(|side| {
            let lines: Vec<&str> = of_side(side).map(|(_, line, _)| line.as_str()).collect();
            let times: Vec<i64> = of_side(side).map(|(.., time)| *time).collect();
            self.input(&lines.join("; "), &times)
        });
        let mut next = [0, inputs[LEFT].len() as u32];
        let order = rows
            .iter()
            .map(|(side, ..)| {
                let entry = next[*side];
                next[*side] += 1;
                entry
            })
            .collect();
        let mut out = Output::default();
        let mut step = self.operator.on_round(Round { inputs, order }, &mut out);
        while step == Step::More {
            step = self.operator.resume(&mut out);
        }
        self.said(&out);
    }

    fn input(&mut self, text: &str, stream_times: &[i64]) -> ChangeBatch {
        let mut input = batch(text);
        let keys = input.rows.column(0).as_string::<i32>().iter();
        let keys: StringArray = keys.map(|key| key.filter(|key| *key != "null")).collect();
        let columns = vec![Arc::new(keys) as _, Arc::clone(input.rows.column(1))];
        input.rows = RecordBatch::try_new(input.rows.schema(), columns).unwrap();
        for (stamp, time) in input.meta.stream_time.iter_mut().zip(stream_times) {
            *stamp = EventTime(*time);
            self.stream_time = self.stream_time.max(*time);
        }
        input
    }

    /// Gives rows of one side; stream time is the largest time so far.
    fn rows(&mut self, side: usize, text: &str) {
        let mut now = self.stream_time;
        let mut times: Vec<i64> = batch(text).meta.event_time.iter().map(|time| time.0).collect();
        for time in &mut times {
            now = now.max(*time);
            *time = now;
        }
        self.rows_at(side, text, &times);
    }

    fn time(&mut self, now: i64) {
        self.stream_time = self.stream_time.max(now);
        let mut out = Output::default();
        let mut step = self.operator.on_stream_time(EventTime(self.stream_time), &mut out);
        while step == Step::More {
            step = self.operator.resume(&mut out);
        }
        self.said(&out);
    }

    fn said(&mut self, out: &Output) {
        self.out.extend(out.batches.iter().flat_map(lines));
    }

    fn barrier(&mut self) {
        let mut capture = Capture::default();
        self.operator.on_barrier(&mut capture);
        for row in capture.state {
            if self.compacts {
                self.changelog.retain(|old| (old.slot, &old.key) != (row.slot, &row.key));
            }
            self.changelog.push(row);
        }
        if self.compacts {
            self.changelog.retain(|row| row.value.is_some());
        }
    }

    fn restart(&mut self) {
        self.barrier();
        self.operator = operator(self.kind, self.meeting);
        let half = self.changelog.len() / 2;
        self.operator.restore(self.changelog[..half].to_vec()).unwrap();
        self.operator.restore(self.changelog[half..].to_vec()).unwrap();
        if self.stream_time > i64::MIN {
            self.time(self.stream_time);
        }
    }
}

/// Rows as `a (1, 2) @5`: key, value of the left and right side, event time.
fn lines(batch: &ChangeBatch) -> Vec<String> {
    let line = |row: usize| {
        let key = batch.rows.column(0).as_string::<i32>().value(row);
        let side = |column: usize| {
            let values = batch.rows.column(column + 1).as_primitive::<Int64Type>();
            let keys = batch.rows.column(column).as_string::<i32>();
            assert_eq!(keys.is_null(row), values.is_null(row), "a side is there or not");
            if keys.is_null(row) {
                return "null".to_owned();
            }
            assert_eq!(keys.value(row), key);
            values.value(row).to_string()
        };
        format!("{key} ({}, {}) @{}", side(1), side(3), batch.meta.event_time[row])
    };
    (0..batch.len()).map(line).collect()
}

/// Gives the lines (`L + k 1 @1`, rows of one side; `@9`, stream time) and checks what each makes.
fn check(kind: JoinKind, meeting: Meeting, steps: &[(&str, &str)]) {
    let mut run = Run::new(kind, meeting);
    for (step, expected) in steps {
        run.out.clear();
        match step.split_once(' ') {
            Some((side, rows)) => run.rows(usize::from(side == "R"), rows),
            None => run.time(step.trim_start_matches('@').parse().unwrap()),
        }
        assert_eq!(run.out.join("; "), *expected, "{kind:?} {step}");
    }
}

const EAGER: Meeting = Meeting { before: 10, after: 10, grace: 100, waits: false };
const GRACE: Meeting = Meeting { before: 10, after: 10, grace: 5, waits: true };

#[test]
fn rows_meet_within_the_window() {
    check(
        JoinKind::Inner,
        EAGER,
        &[
            ("L + a 1 @0", ""),
            ("R + a 2 @10; + a 3 @11; + b 4 @0", "a (1, 2) @10"),
            ("L + a 5 @1; + b 6 @0", "a (5, 2) @10; a (5, 3) @11; b (6, 4) @0"),
        ],
    );
}

#[test]
fn before_and_after_are_seen_from_the_left_side() {
    let meeting = Meeting { before: 3, after: 7, grace: 0, waits: true };
    check(
        JoinKind::Inner,
        meeting,
        &[("L + a 1 @10", ""), ("R + a 2 @6; + a 3 @7; + a 4 @17; + a 5 @18", "a (1, 3) @10; a (1, 4) @17")],
    );
    check(
        JoinKind::Inner,
        meeting,
        &[("R + a 1 @10", ""), ("L + a 2 @2; + a 3 @3; + a 4 @13; + a 5 @14", "a (3, 1) @10; a (4, 1) @13")],
    );
}

#[test]
fn rows_of_one_key_and_time_are_all_kept_in_order() {
    check(
        JoinKind::Inner,
        EAGER,
        &[
            ("L + a 2 @7; + a 1 @5; + a 3 @7; + a 4 @5", ""),
            ("R + a 9 @5", "a (1, 9) @5; a (4, 9) @5; a (2, 9) @7; a (3, 9) @7"),
        ],
    );
}

#[test]
fn rows_without_a_key_or_value_meet_nobody() {
    check(JoinKind::Full, EAGER, &[("L + null 1 @1; + a null @1", ""), ("R + null 2 @1; + a 3 @1", "a (null, 3) @1")]);
}

#[test]
fn without_grace_rows_leave_alone_at_once() {
    check(JoinKind::Left, EAGER, &[("L + a 1 @1", "a (1, null) @1"), ("R + a 2 @2; + b 3 @3", "a (1, 2) @2")]);
    check(JoinKind::Right, EAGER, &[("L + a 1 @1", ""), ("R + a 2 @2; + b 3 @3", "a (1, 2) @2; b (null, 3) @3")]);
    check(
        JoinKind::Full,
        EAGER,
        &[("L + a 1 @1", "a (1, null) @1"), ("R + a 2 @2; + b 3 @3", "a (1, 2) @2; b (null, 3) @3")],
    );
}

#[test]
fn with_grace_rows_leave_alone_once_their_wait_is_over() {
    check(
        JoinKind::Full,
        GRACE,
        &[
            ("L + c 1 @4; + b 2 @4; + a 3 @4", ""),
            ("R + a 4 @9; + d 5 @4", "a (3, 4) @9"),
            ("L + e 6 @19", ""),
            ("L + e 7 @20", "d (null, 5) @4; b (2, null) @4; c (1, null) @4"),
            ("L + c 8 @9", "c (8, null) @9"),
            ("@50", "e (6, null) @19; e (7, null) @20"),
        ],
    );
}

#[test]
fn each_side_forgets_by_its_own_time() {
    let meeting = Meeting { before: 10, after: 10, grace: 0, waits: true };
    check(
        JoinKind::Inner,
        meeting,
        &[
            ("L + a 1 @0", ""),
            ("R + a 2 @100", ""),
            // The left side has not moved on: its row is still found.
            ("R + a 3 @5", "a (1, 3) @5"),
            ("L + b 0 @20", ""),
            ("R + a 4 @5", ""),
        ],
    );
}

#[test]
fn rows_of_a_hot_key_far_out_of_order_are_found_by_time() {
    for seed in 0..20 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let (before, after) = (chance.i64(0..60), chance.i64(0..60));
        let meeting = Meeting { before, after, grace: 5000, waits: chance.bool() };
        let mut oracle = Oracle::new(JoinKind::Full, meeting);
        let mut run = Run::new(JoinKind::Full, meeting);
        for value in 0..400 {
            let (side, time) = (chance.usize(0..2), if seed % 2 == 0 { chance.i64(0..900) } else { 900 - value * 2 });
            oracle.row(side, 0, value, time, oracle.now.max(time));
            run.rows(side, &format!("+ k0 {value} @{time}"));
            match chance.u8(0..60) {
                0 => run.restart(),
                1 => run.barrier(),
                _ => {}
            }
        }
        assert_eq!(run.out, oracle.out, "seed {seed}");
    }
}

#[test]
fn rows_that_nobody_can_find_any_more_are_counted() {
    let mut join = operator(JoinKind::Inner, Meeting { before: 10, after: 10, grace: 0, waits: true });
    let mut out = Output::default();
    join.on_changes(Port(LEFT), batch("+ a 1 @100; + a 2 @80; + a 3 @79; + b 4 @0"), &mut out);
    assert_eq!(out.late_rows, 2);
}

#[test]
fn many_results_leave_in_batches_of_bounded_size() {
    let rows = |from: usize| (from..from + 200).map(|value| format!("+ a {value} @5")).collect::<Vec<_>>().join("; ");
    let mut run = Run::new(JoinKind::Inner, EAGER);
    run.rows(LEFT, &rows(0));
    run.rows(RIGHT, &rows(1000));
    assert_eq!(run.out.len(), 200 * 200);
    assert_eq!(run.out[201], "a (1, 1001) @5");
}

#[test]
fn what_is_over_is_taken_out_of_memory_and_changelog() {
    let mut run = Run::new(JoinKind::Full, GRACE);
    let mut most = 0;
    for second in 0..100 {
        run.rows(LEFT, &format!("+ l{second} 1 @{}", second * 1000));
        run.rows(RIGHT, &format!("+ r{second} 1 @{}", second * 1000));
        run.barrier();
        most = most.max(run.changelog.len());
    }
    assert_eq!(run.out.len(), 2 * 99);
    assert!(most < 3 * 4 + 8, "{most} rows of state");
    assert!(run.operator.state_bytes() < 6000, "{} bytes", run.operator.state_bytes());
}

#[test]
fn state_of_another_version_is_refused() {
    let mut run = Run::new(JoinKind::Left, GRACE);
    run.rows(LEFT, "+ a 1 @1");
    run.barrier();
    let row = run.changelog.pop().unwrap();
    let restored = |key: &[u8], value: &[u8]| {
        let row = StateRow { key: key.to_vec().into(), value: Some(value.to_vec().into()), ..row.clone() };
        operator(JoinKind::Left, GRACE).restore(vec![row])
    };
    let value = row.value.clone().unwrap();
    assert_eq!(restored(&row.key, &value), Ok(()));
    let newer = RestoreError("version 2 of join state is not known".to_owned());
    assert_eq!(restored(&row.key, &[2]), Err(newer));
    for end in 1..value.len() {
        assert!(restored(&row.key, &value[..end]).is_err() || end == 1, "cut at {end}");
    }
    assert!(restored(&row.key[1..], &value).is_err());
    assert!(restored(&[9; 17], &value).is_err());
}

/// The bytes of a row that waits, and what tells that it does no more.
#[test]
fn the_bytes_never_change() {
    let mut run = Run::new(JoinKind::Left, GRACE);
    run.rows(LEFT, "+ a 1 @1");
    run.barrier();
    run.rows(RIGHT, "+ a 2 @2");
    run.barrier();
    let text = run.changelog.iter().fold(String::new(), |mut text, row| {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let _ = writeln!(text, "{} {} {}", row.slot.0, hex(&row.key), hex(row.value.as_deref().unwrap()));
        text
    });
    let expected = "\
3 0180000000000000000000000000000000 010180000000000000010000000d01610001018000000000000001
3 0380000000000000000000000000000001 01800000000000000101610001
3 0280000000000000000000000000000002 010080000000000000020000000d01610001018000000000000002
";
    assert_eq!(text, expected);
}

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Event {
    Row {
        side: usize,
        key: Option<u8>,
        value: Option<i64>,
        time: i64,
    },
    /// Stream time goes on without a row.
    Time(i64),
}

/// Compares every row with every other.
struct Oracle {
    kind: JoinKind,
    meeting: Meeting,
    rows: [Vec<(u8, i64, i64)>; 2],
    waiting: Vec<(i64, usize, u8, i64)>,
    latest: [i64; 2],
    now: i64,
    out: Vec<String>,
}

impl Oracle {
    fn new(kind: JoinKind, meeting: Meeting) -> Self {
        let (rows, latest) = (Default::default(), [i64::MIN; 2]);
        Self { kind, meeting, rows, waiting: vec![], latest, now: i64::MIN, out: vec![] }
    }

    fn keeps(&self, side: usize) -> bool {
        match self.kind {
            JoinKind::Inner => false,
            JoinKind::Left => side == LEFT,
            JoinKind::Right => side == RIGHT,
            JoinKind::Full => true,
        }
    }

    fn say(&mut self, key: u8, side: usize, own: i64, other: Option<i64>, time: i64) {
        let other = other.map_or("null".to_owned(), |other| other.to_string());
        let (left, right) = if side == LEFT { (own.to_string(), other) } else { (other, own.to_string()) };
        self.out.push(format!("k{key} ({left}, {right}) @{time}"));
    }

    fn advance(&mut self, now: i64) {
        self.now = self.now.max(now);
        let Meeting { before, after, grace, .. } = self.meeting;
        let is_over =
            |row: &(i64, usize, u8, i64)| row.0 + if row.1 == LEFT { after } else { before } + grace < self.now;
        let mut over: Vec<_> = self.waiting.iter().copied().filter(is_over).collect();
        self.waiting = self.waiting.iter().copied().filter(|row| !is_over(row)).collect();
        over.sort_by_key(|(time, side, key, _)| (*time, 1 - *side, *key));
        for (time, side, key, value) in over {
            self.say(key, side, value, None, time);
        }
    }

    fn row(&mut self, side: usize, key: u8, value: i64, time: i64, stream_time: i64) {
        let other = 1 - side;
        self.latest[side] = self.latest[side].max(time);
        self.advance(stream_time);
        let Meeting { before, after, grace, waits } = self.meeting;
        let (from, to) = if side == LEFT { (time - before, time + after) } else { (time - after, time + before) };
        let found_after = self.latest[other].min(self.now).saturating_sub((before + after + grace).max(1));
        let mut found: Vec<_> = self.rows[other]
            .iter()
            .filter(|(of, at, _)| *of == key && (from..=to).contains(at) && *at > found_after)
            .copied()
            .collect();
        found.sort_by_key(|(_, at, _)| *at);
        for (_, at, partner) in &found {
            self.waiting.retain(|(of, side, with, _)| (of, *side, *with) != (at, other, key));
            self.say(key, side, value, Some(*partner), time.max(*at));
        }
        if found.is_empty() && self.keeps(side) {
            if waits && to >= self.now {
                self.waiting.push((time, side, key, value));
            } else {
                self.say(key, side, value, None, time);
            }
        }
        self.rows[side].push((key, time, value));
    }
}

/// Times that often meet, and often at the very end of a window.
fn events() -> impl Strategy<Value = Vec<Event>> {
    type Cell = (usize, Option<u8>, Option<i64>, i64);
    let row = (0..2_usize, prop::option::weighted(0.95, 0..3_u8), prop::option::weighted(0.95, 0..1000_i64), -6..6_i64);
    let event = prop_oneof![20 => row.prop_map(Ok), 1 => (0..8_i64).prop_map(Err)];
    (prop::collection::vec(event, 1..80), 0..4_i64).prop_map(|(events, pace): (Vec<Result<Cell, i64>>, i64)| {
        let at = |index: usize| -> i64 { i64::try_from(index).unwrap() * pace / 2 };
        let event = |(index, event): (usize, Result<Cell, i64>)| match event {
            Ok((side, key, value, time)) => Event::Row { side, key, value, time: (at(index) + time).max(0) * 500 },
            Err(time) => Event::Time((at(index) + time) * 500),
        };
        events.into_iter().enumerate().map(event).collect()
    })
}

fn meetings() -> impl Strategy<Value = Meeting> {
    let length = || prop_oneof![Just(0_i64), Just(1), Just(500), Just(1000), Just(2500), Just(6000)];
    (length(), length(), length(), any::<bool>()).prop_map(|(before, after, grace, waits)| Meeting {
        before,
        after,
        grace,
        waits,
    })
}

fn cases() -> Config {
    let cases = std::env::var("THALWEG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200);
    Config { cases, ..Config::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_split_with_restarts_gives_what_comparing_all_rows_gives(
        kind in prop_oneof![Just(JoinKind::Inner), Just(JoinKind::Left), Just(JoinKind::Right), Just(JoinKind::Full)],
        meeting in meetings(),
        events in events(),
        lag in prop_oneof![3 => Just(0_i64), 1 => Just(700), 1 => Just(5000)],
        cuts in prop::collection::vec((1_usize..12, 0_u8..4), 1..60),
        compacts in any::<bool>(),
        in_rounds in any::<bool>(),
    ) {
        let mut oracle = Oracle::new(kind, meeting);
        let mut run = Run::new(kind, meeting);
        run.compacts = compacts;
        let mut now = i64::MIN;
        let mut pending: Vec<(usize, String, i64)> = vec![];
        let give = |run: &mut Run, pending: &mut Vec<(usize, String, i64)>| {
            let rows = std::mem::take(pending);
            if in_rounds && rows.iter().any(|row| row.0 == LEFT) && rows.iter().any(|row| row.0 == RIGHT) {
                run.round(&rows);
                return;
            }
            for rows in rows.chunk_by(|one, other| one.0 == other.0) {
                let lines: Vec<&str> = rows.iter().map(|(_, line, _)| line.as_str()).collect();
                let times: Vec<i64> = rows.iter().map(|(.., time)| *time).collect();
                run.rows_at(rows[0].0, &lines.join("; "), &times);
            }
        };
        let mut cut = cuts.iter().cycle();
        let (mut left, mut then) = *cut.next().unwrap();
        for event in events {
            match event {
                Event::Row { side, key, value, time } => {
                    if let (Some(key), Some(value)) = (key, value) {
                        now = now.max(time - lag);
                        oracle.row(side, key, value, time, now);
                    }
                    let key = key.map_or("null".to_owned(), |key| format!("k{key}"));
                    let value = value.map_or("null".to_owned(), |value| value.to_string());
                    pending.push((side, format!("+ {key} {value} @{time}"), now));
                }
                Event::Time(time) => {
                    give(&mut run, &mut pending);
                    now = now.max(time);
                    oracle.advance(now);
                    run.time(now);
                }
            }
            left -= 1;
            if left == 0 {
                give(&mut run, &mut pending);
                match then {
                    2 => run.barrier(),
                    3 => run.restart(),
                    _ => {}
                }
                (left, then) = *cut.next().unwrap();
            }
        }
        give(&mut run, &mut pending);
        prop_assert_eq!(run.out, oracle.out);
    }
}
