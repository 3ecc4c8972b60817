//! Tests of the joins over tables.

use std::fmt::Write as _;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::Int64Type;

use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::operators::batch_text::batch;
use crate::operators::{Checked, Operator, Output, Port, Round};
use crate::planner::graph::{Encoding, JoinKind, JoinMethod, Joining, OperatorKind, OperatorNode};
use crate::types::{ChangeBatch, Op, SqlType};

fn edge(prefix: &str) -> [EdgeColumn; 2] {
    [
        EdgeColumn { name: format!("{prefix}K").as_str().into(), ty: SqlType::String },
        EdgeColumn { name: format!("{prefix}V").as_str().into(), ty: SqlType::BigInt },
    ]
}

fn operator(kind: JoinKind, method: JoinMethod, encoding: Encoding) -> Box<dyn Operator> {
    let joining =
        Joining { kind, method, left_key: vec!["LK".into()], right_key: vec!["RK".into()], key: vec!["KEY".into()] };
    let key = EdgeColumn { name: "KEY".into(), ty: SqlType::String };
    let schema = EdgeSchema::new([key].into_iter().chain(edge("L")).chain(edge("R")).collect());
    let inputs = ["L", "R"].map(|prefix| EdgeSchema::new(edge(prefix).into()));
    let node = OperatorNode { name: "Join".to_owned(), kind: OperatorKind::Join(joining.clone()), schema, encoding };
    let inner = super::compile(&node, &joining, &inputs, 64).unwrap();
    Box::new(Checked::new(&node, inner))
}

fn text(batch: &ChangeBatch) -> String {
    let mut text = String::new();
    for row in 0..batch.len() {
        let op = match batch.ops.get(row) {
            Op::Insert => "+",
            Op::Delete => "-",
            Op::UpdateBefore => "-u",
            Op::UpdateAfter => "+u",
        };
        let value = |column: usize| {
            let values = batch.rows.column(column).as_primitive::<Int64Type>();
            if values.is_null(row) { "null".to_owned() } else { values.value(row).to_string() }
        };
        let key = batch.rows.column(0).as_string::<i32>().value(row);
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{separator}{op} {key} ({}, {}) @{}", value(2), value(4), batch.meta.event_time[row]);
    }
    text
}

/// Gives the lines (`L + k 1 @1`, one or more changes of one side) and checks what each makes.
fn check(kind: JoinKind, method: JoinMethod, encoding: Encoding, lines: &[(&str, &str)]) {
    let mut operator = operator(kind, method, encoding);
    for (line, expected) in lines {
        let (side, changes) = line.split_once(' ').unwrap();
        let mut input = batch(changes);
        if side == "R" || encoding != Encoding::Append {
            input.null_value = None;
        }
        let mut out = Output::default();
        operator.on_changes(Port(usize::from(side == "R")), input, &mut out);
        let actual: Vec<String> = out.batches.iter().map(text).collect();
        assert_eq!(actual.join("; "), *expected, "{kind:?} {line}");
    }
}

#[test]
fn a_stream_meets_the_row_of_the_moment() {
    check(
        JoinKind::Inner,
        JoinMethod::StreamTable,
        Encoding::Append,
        &[
            ("L + a 1 @1", ""),
            ("R + a 10 @9; + a 11 @8", ""),
            ("L + a 2 @2; + b 3 @3; + a null @4; + a 4 @5", "+ a (2, 11) @2; + a (4, 11) @5"),
            ("R - a 0 @10", ""),
            ("L + a 5 @6", ""),
        ],
    );
    check(
        JoinKind::Left,
        JoinMethod::StreamTable,
        Encoding::Append,
        &[
            ("L + a 1 @1", "+ a (1, null) @1"),
            ("R + a 10 @9", ""),
            ("L + a 2 @2; + b 3 @3; + a null @4", "+ a (2, 10) @2; + b (3, null) @3"),
        ],
    );
}

#[test]
fn tables_join_while_both_have_a_row() {
    check(
        JoinKind::Inner,
        JoinMethod::Tables,
        Encoding::Upsert,
        &[
            ("L + a 1 @1", ""),
            ("R + a 2 @5", "+ a (1, 2) @5"),
            ("L + a 3 @2", "+ a (3, 2) @5"),
            ("R - a 0 @7", "- a (null, null) @7"),
            ("L - a 0 @8", ""),
            ("R - a 0 @9", ""),
        ],
    );
    check(
        JoinKind::Inner,
        JoinMethod::Tables,
        Encoding::Changelog,
        &[
            ("L + a 1 @1", ""),
            ("R + a 2 @5; + a 4 @6", "+ a (1, 2) @5; -u a (1, 2) @6; +u a (1, 4) @6"),
            ("L - a 0 @7", "- a (1, 4) @7"),
        ],
    );
}

#[test]
fn outer_joins_of_tables_keep_their_side() {
    check(
        JoinKind::Left,
        JoinMethod::Tables,
        Encoding::Upsert,
        &[
            ("L + a 1 @1", "+ a (1, null) @1"),
            ("R + a 2 @2", "+ a (1, 2) @2"),
            ("R - a 0 @3", "+ a (1, null) @3"),
            ("L - a 0 @4", "- a (null, null) @4"),
            ("R + a 5 @5", ""),
            ("L + a 6 @4", "+ a (6, 5) @5"),
        ],
    );
    check(
        JoinKind::Full,
        JoinMethod::Tables,
        Encoding::Upsert,
        &[
            ("R + a 1 @1", "+ a (null, 1) @1"),
            ("L + a 2 @2", "+ a (2, 1) @2"),
            ("R - a 0 @3", "+ a (2, null) @3"),
            ("L - a 0 @4", "- a (null, null) @4"),
            ("L - a 0 @5", ""),
        ],
    );
}

/// Gives an operator slices, or the round that they are of; gives what it says, with the ranks.
fn said(mut operator: Box<dyn Operator>, slices: Vec<(Port, ChangeBatch)>, round: Option<Round>) -> Vec<String> {
    let mut out = Output::default();
    match round {
        Some(round) => {
            operator.on_round(round, &mut out);
        }
        None => slices.into_iter().for_each(|(port, batch)| {
            operator.on_changes(port, batch, &mut out);
        }),
    }
    let lines = |batch: &ChangeBatch| {
        let ranks = batch.meta.rank.clone().unwrap();
        let rows = (0..batch.len()).zip(ranks);
        rows.map(|(row, rank)| format!("{} {rank} {}", text(&batch.slice(row..row + 1)), batch.meta.offset[row]))
            .collect()
    };
    out.batches.iter().flat_map(|batch| -> Vec<String> { lines(batch) }).collect()
}

#[test]
fn a_round_gives_what_its_rows_give_one_by_one() {
    for seed in 0..300 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let tables = |chance: &mut fastrand::Rng| {
            let kinds = [JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full];
            let encoding = if chance.bool() { Encoding::Upsert } else { Encoding::Changelog };
            (kinds[chance.usize(0..4)], JoinMethod::Tables, encoding)
        };
        let (kind, method, encoding) = match chance.bool() {
            true => (
                if chance.bool() { JoinKind::Inner } else { JoinKind::Left },
                JoinMethod::StreamTable,
                Encoding::Append,
            ),
            false => tables(&mut chance),
        };
        let mut sides: [Vec<(usize, String)>; 2] = Default::default();
        let mut order: Vec<usize> = (0..chance.usize(2..40)).map(|_| chance.usize(0..2)).collect();
        order.extend([0, 1]);
        for (nth, side) in order.iter().enumerate() {
            let is_stream = *side == 0 && method == JoinMethod::StreamTable;
            let op = if !is_stream && chance.u8(0..4) == 0 { "-" } else { "+" };
            let value = if is_stream && chance.u8(0..5) == 0 { "null".to_owned() } else { nth.to_string() };
            sides[*side].push((nth, format!("{op} k{} {value} @{}", chance.u8(0..3), chance.u8(0..9))));
        }
        let inputs = sides.each_ref().map(|rows| {
            let lines: Vec<&str> = rows.iter().map(|(_, line)| line.as_str()).collect();
            let mut input = batch(&lines.join("; "));
            input.meta.rank = Some(rows.iter().map(|(nth, _)| *nth as u64).collect());
            input
        });
        let mut next = [0, inputs[0].len() as u32];
        let order = order
            .iter()
            .map(|side| {
                let entry = next[*side];
                next[*side] += 1;
                entry
            })
            .collect();
        let round = Round { inputs, order };
        let slices = round.slices();
        let expected = said(operator(kind, method.clone(), encoding), slices, None);
        let found = said(operator(kind, method.clone(), encoding), vec![], Some(round));
        assert_eq!(found, expected, "seed {seed}: {kind:?} {method:?} {encoding:?}");
    }
}
