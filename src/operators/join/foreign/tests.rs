//! Tests of the foreign-key join from its changelog to its results: remember, version, join, resolve.

mod oracle;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, UInt32Array};
use datafusion::arrow::datatypes::Int64Type;

use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::functions::FunctionRegistry;
use crate::operators::{Capture, Checked, Operator, Output, Port, Step, compile};
use crate::planner::graph::{Encoding, JoinKind, JoinMethod, Joining, OperatorKind, OperatorNode};
use crate::state::{Slot, StateRow, hash_keys, slot_of};
use crate::types::{ChangeBatch, EventTime, Offset, Op, Ops, Partition, RowMeta, SqlType};

const SLOTS: u16 = 16;

static FUNCTIONS: LazyLock<FunctionRegistry> = LazyLock::new(FunctionRegistry::builtin);

fn edge(columns: &[(&str, SqlType)]) -> EdgeSchema {
    EdgeSchema::new(columns.iter().map(|(name, ty)| EdgeColumn { name: (*name).into(), ty: ty.clone() }).collect())
}

const LEFT: [(&str, SqlType); 3] = [("LK", SqlType::String), ("FK", SqlType::BigInt), ("LV", SqlType::BigInt)];
const RIGHT: [(&str, SqlType); 2] = [("RK", SqlType::BigInt), ("RV", SqlType::BigInt)];
const VERSION: (&str, SqlType) = ("VERSION", SqlType::BigInt);

/// The stages of a foreign-key join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Left,
    Join,
    Resolve,
}

/// One of so many tasks of a stage.
type TaskAt = (At, usize);

/// A task's queue: its port, and the task it comes from.
type QueueAt = (Port, At, usize);

/// What an operator does, its edge, and the edges before it.
type Parts<'a> = (OperatorKind, &'a [(&'a str, SqlType)], Encoding, Vec<EdgeSchema>);

/// Compiles the operators of a stage.
fn operators(at: At, kind: JoinKind, encoding: Encoding) -> Vec<Box<dyn Operator>> {
    let versioned: Vec<_> = LEFT.into_iter().chain([VERSION]).collect();
    let key = ("KEY", SqlType::String);
    let joined: Vec<_> = [key.clone()].into_iter().chain(versioned.clone()).chain(RIGHT).collect();
    let resolved: Vec<_> = [key].into_iter().chain(LEFT).chain(RIGHT).collect();
    let joining = Joining {
        kind,
        method: JoinMethod::ForeignKey { primary_key: vec!["LK".into()] },
        left_key: vec!["FK".into()],
        right_key: vec!["RK".into()],
        key: vec!["KEY".into()],
    };
    let remember = OperatorKind::Remember { key: vec!["LK".into()] };
    let resolve = OperatorKind::Resolve { key: vec!["KEY".into()], version: "VERSION".into() };
    let nodes: Vec<Parts<'_>> = match at {
        At::Left => vec![
            (remember, &LEFT, Encoding::Changelog, vec![edge(&LEFT)]),
            (OperatorKind::Version, &versioned, Encoding::Changelog, vec![edge(&LEFT)]),
        ],
        At::Join => {
            let inputs = vec![edge(&versioned), edge(&RIGHT)];
            vec![(OperatorKind::Join(joining), &joined, Encoding::Upsert, inputs)]
        }
        At::Resolve => vec![(resolve, &resolved, encoding, vec![edge(&joined)])],
    };
    nodes
        .into_iter()
        .map(|(kind, schema, encoding, inputs)| -> Box<dyn Operator> {
            let node = OperatorNode { name: format!("{at:?}"), kind, schema: edge(schema), encoding };
            let inner = compile(&node, &inputs, &FUNCTIONS, SLOTS).unwrap();
            let inputs: &[Encoding] = match at {
                At::Left if node.kind == OperatorKind::Version => &[Encoding::Changelog],
                At::Left | At::Resolve => &[Encoding::Upsert],
                At::Join => &[Encoding::Changelog, Encoding::Upsert],
            };
            Box::new(Checked::new(&node, inner).taking(inputs))
        })
        .collect()
}

/// A change of either table: `None` deletes.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    Left(String, Option<(Option<i64>, i64)>, i64),
    Right(i64, Option<i64>, i64),
}

fn batch(edge_columns: &[(&str, SqlType)], columns: Vec<ArrayRef>, ops: Vec<Op>, times: &[i64]) -> ChangeBatch {
    let times: Vec<EventTime> = times.iter().copied().map(EventTime).collect();
    let rows = times.len();
    ChangeBatch {
        rows: RecordBatch::try_new(edge(edge_columns).arrow(), columns).unwrap(),
        ops: Ops::Each(ops),
        null_value: None,
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

fn op_of(is_there: bool) -> Op {
    if is_there { Op::Insert } else { Op::Delete }
}

/// Changes of one table, which are upserts, as a batch.
fn upserts(changes: &[Change]) -> (Port, ChangeBatch) {
    let (mut keys, mut right_keys, mut foreign, mut values) = (vec![], vec![], vec![], vec![]);
    let (mut ops, mut times) = (vec![], vec![]);
    for change in changes {
        match change {
            Change::Left(key, row, time) => {
                keys.push(key.clone());
                foreign.push(row.and_then(|(foreign, _)| foreign));
                values.push(row.map(|(_, value)| value));
                ops.push(op_of(row.is_some()));
                times.push(*time);
            }
            Change::Right(key, row, time) => {
                right_keys.push(*key);
                values.push(*row);
                ops.push(op_of(row.is_some()));
                times.push(*time);
            }
        }
    }
    let values: ArrayRef = Arc::new(Int64Array::from(values));
    if right_keys.is_empty() {
        let columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(keys)), Arc::new(Int64Array::from(foreign)), values];
        (Port(0), batch(&LEFT, columns, ops, &times))
    } else {
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(right_keys)), values];
        (Port(1), batch(&RIGHT, columns, ops, &times))
    }
}

/// A result: key, foreign key, left value, right value.
type Row = (String, Option<i64>, Option<i64>, Option<i64>);

/// A stage's task, with the queues of rows that wait for it.
struct Task {
    operators: Vec<Box<dyn Operator>>,
    queues: BTreeMap<QueueAt, VecDeque<ChangeBatch>>,
}

/// A foreign-key join over some shards, without any order between queues.
struct Net {
    kind: JoinKind,
    encoding: Encoding,
    shards: usize,
    tasks: BTreeMap<TaskAt, Task>,
    /// What barriers handed over.
    changelogs: BTreeMap<At, BTreeMap<(Slot, Vec<u8>), StateRow>>,
    emitted: Vec<(Op, Row, i64)>,
}

/// Which shard each row of a batch goes to; updates whose sides part become a delete and an insert.
fn deal(mut batch: ChangeBatch, key: usize, shards: usize) -> Vec<(usize, ChangeBatch)> {
    let hashes = hash_keys(&[batch.rows.column(key)], batch.len());
    if let Ops::Each(ops) = &mut batch.ops {
        for row in 1..ops.len() {
            if ops[row] == Op::UpdateAfter && hashes[row] != hashes[row - 1] {
                (ops[row - 1], ops[row]) = (Op::Delete, Op::Insert);
            }
        }
    }
    let owner = |row: &u32| usize::from(slot_of(hashes[*row as usize], SLOTS).0) % shards;
    (0..shards)
        .map(|shard| (shard, (0..batch.len() as u32).filter(|row| owner(row) == shard).collect::<Vec<u32>>()))
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(shard, rows)| (shard, batch.take(&UInt32Array::from(rows)).unwrap()))
        .collect()
}

impl Net {
    fn new(kind: JoinKind, encoding: Encoding, shards: usize) -> Self {
        let mut net =
            Self { kind, encoding, shards, tasks: BTreeMap::new(), changelogs: BTreeMap::new(), emitted: Vec::new() };
        net.restart(shards);
        net
    }

    /// Forgets all memory and reads state back, into this many shards.
    fn restart(&mut self, shards: usize) {
        self.shards = shards;
        self.tasks.clear();
        for at in [At::Left, At::Join, At::Resolve] {
            for shard in 0..shards {
                let mut operators = operators(at, self.kind, self.encoding);
                let rows = self.changelogs.get(&at).into_iter().flatten();
                let own = rows.filter(|((slot, _), _)| usize::from(slot.0) % shards == shard);
                operators[0].restore(own.map(|(_, row)| row.clone()).collect()).unwrap();
                self.tasks.insert((at, shard), Task { operators, queues: BTreeMap::new() });
            }
        }
    }

    fn put(&mut self, to: At, port: Port, from: TaskAt, batch: ChangeBatch, key: usize) {
        for (shard, share) in deal(batch, key, self.shards) {
            let task = self.tasks.get_mut(&(to, shard)).unwrap();
            task.queues.entry((port, from.0, from.1)).or_default().push_back(share);
        }
    }

    /// Changes of one table arrive.
    fn give(&mut self, changes: &[Change]) {
        let (port, batch) = upserts(changes);
        let to = if port == Port(0) { At::Left } else { At::Join };
        // As if from one source partition.
        self.put(to, port, (At::Left, usize::MAX), batch, 0);
    }

    /// The queues that hold something.
    fn waiting(&self) -> Vec<(TaskAt, QueueAt)> {
        let queues = |(task, state): (&TaskAt, &Task)| {
            let waiting = state.queues.iter().filter(|(_, queue)| !queue.is_empty());
            waiting.map(|(queue, _)| (*task, *queue)).collect::<Vec<_>>()
        };
        self.tasks.iter().flat_map(queues).collect()
    }

    /// A task takes rows from one of its queues: at most `limit` of a batch.
    fn take(&mut self, task: TaskAt, queue: QueueAt, limit: usize) {
        let state = self.tasks.get_mut(&task).unwrap();
        let waiting = state.queues.get_mut(&queue).unwrap();
        let batch = waiting.pop_front().unwrap();
        let mut cut = limit.clamp(1, batch.len());
        if cut < batch.len() && batch.ops.get(cut) == Op::UpdateAfter {
            cut += 1;
        }
        if cut < batch.len() {
            waiting.push_front(batch.slice(cut..batch.len()));
        }
        let mut batches = vec![batch.slice(0..cut)];
        let mut port = queue.0;
        for operator in &mut state.operators {
            let mut out = Output::default();
            for batch in batches {
                let mut step = operator.on_changes(port, batch, &mut out);
                while step == Step::More {
                    step = operator.resume(&mut out);
                }
            }
            batches = out.batches;
            port = Port(0);
        }
        for batch in batches {
            match task.0 {
                At::Left => self.put(At::Join, Port(0), task, batch, 1),
                At::Join => self.put(At::Resolve, Port(0), task, batch, 0),
                At::Resolve => self.emit(&batch),
            }
        }
    }

    fn emit(&mut self, batch: &ChangeBatch) {
        let number = |column: usize, row: usize| {
            let values = batch.rows.column(column).as_primitive::<Int64Type>();
            values.is_valid(row).then(|| values.value(row))
        };
        for row in 0..batch.len() {
            let key = batch.rows.column(0).as_string::<i32>().value(row).to_owned();
            let values = (key, number(2, row), number(3, row), number(5, row));
            self.emitted.push((batch.ops.get(row), values, batch.meta.event_time[row].0));
        }
    }

    /// Runs until nothing waits, in a fixed order.
    fn settle(&mut self) {
        while let Some((task, queue)) = self.waiting().first().copied() {
            self.take(task, queue, usize::MAX);
        }
    }

    /// An epoch ends; nothing waits. How many rows of state the tasks of the join handed over.
    fn barrier(&mut self) -> usize {
        assert!(self.waiting().is_empty());
        let mut joined = 0;
        for ((at, _), task) in &mut self.tasks {
            let mut capture = Capture::default();
            task.operators.iter_mut().for_each(|operator| operator.on_barrier(&mut capture));
            if *at == At::Join {
                joined += capture.state.len();
            }
            let changelog = self.changelogs.entry(*at).or_default();
            for row in capture.state {
                let key = (row.slot, row.key.to_vec());
                match row.value {
                    Some(_) => changelog.insert(key, row),
                    None => changelog.remove(&key),
                };
            }
        }
        joined
    }

    /// State changes of a task that nobody takes are thrown away, whatever is under way: queries of clients do that.
    fn forget_changes(&mut self, task: TaskAt) {
        let operators = &mut self.tasks.get_mut(&task).unwrap().operators;
        operators.iter_mut().for_each(|operator| operator.on_barrier(&mut Capture::default()));
    }

    fn changelog_rows(&self, at: At) -> usize {
        self.changelogs.get(&at).map_or(0, BTreeMap::len)
    }
}

fn shown(value: Option<i64>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

/// `L a 7 1 @5`: left row a with foreign key 7 and value 1; `L a - @5`: it is deleted; `R 7 2 @5`, `R 7 - @5`.
fn change(text: &str) -> Change {
    let number = |text: &str| text.parse::<i64>().ok();
    let words: Vec<&str> = text.split_whitespace().collect();
    let time = |word: &str| word.trim_start_matches('@').parse().unwrap();
    match words[..] {
        ["L", key, "-", at] => Change::Left(key.to_owned(), None, time(at)),
        ["L", key, foreign, value, at] => {
            Change::Left(key.to_owned(), Some((number(foreign), number(value).unwrap())), time(at))
        }
        ["R", key, value, at] => Change::Right(number(key).unwrap(), number(value), time(at)),
        _ => panic!("not a change: {text}"),
    }
}

fn text(emitted: &[(Op, Row, i64)]) -> String {
    let mut text = String::new();
    for (op, (key, foreign, left, right), time) in emitted {
        let separator = if text.is_empty() { "" } else { "; " };
        let op_text = match op {
            Op::Insert => "+",
            Op::Delete => "-",
            Op::UpdateBefore => "-u",
            Op::UpdateAfter => "+u",
        };
        let _ = write!(text, "{separator}{op_text} {key}");
        if *op != Op::Delete {
            let _ = write!(text, " ({}, {}, {})", shown(*foreign), shown(*left), shown(*right));
        }
        let _ = write!(text, " @{time}");
    }
    text
}

/// Gives changes one by one and checks what each makes: key (foreign key, left value, right value). `|` is a restart.
fn check(kind: JoinKind, encoding: Encoding, lines: &[(&str, &str)]) {
    let mut net = Net::new(kind, encoding, 1);
    for (line, expected) in lines {
        net.emitted.clear();
        if *line == "|" {
            net.barrier();
            net.restart(2);
        } else {
            net.give(&[change(line)]);
            net.settle();
        }
        assert_eq!(text(&net.emitted), *expected, "{kind:?} {line}");
    }
}

#[test]
fn an_inner_join_has_results_while_the_right_row_is_there() {
    check(
        JoinKind::Inner,
        Encoding::Upsert,
        &[
            ("L a 7 1 @1", ""),
            ("L b 7 2 @9", ""),
            ("R 7 70 @5", "+ a (7, 1, 70) @5; + b (7, 2, 70) @9"),
            ("L a 7 3 @2", "+ a (7, 3, 70) @5"),
            ("R 7 71 @3", "+ a (7, 3, 71) @3; + b (7, 2, 71) @9"),
            ("R 7 - @4", "- a @4; - b @4"),
            ("R 7 - @5", ""),
            // As ksqlDB does, though the result has gone.
            ("L a - @6", "- a @6"),
            ("L a - @7", ""),
            ("R 7 72 @6", "+ b (7, 2, 72) @9"),
        ],
    );
}

#[test]
fn a_changed_foreign_key_takes_the_result_of_the_other_right_row() {
    check(
        JoinKind::Inner,
        Encoding::Upsert,
        &[
            ("R 7 70 @1", ""),
            ("R 8 80 @2", ""),
            ("L a 7 1 @3", "+ a (7, 1, 70) @3"),
            ("L a 8 1 @4", "+ a (8, 1, 80) @4"),
            ("R 7 71 @5", ""),
            ("L a 9 1 @6", "- a @6"),
            ("L a 10 1 @7", ""),
            ("R 9 90 @8", ""),
            ("L a - @9", "- a @9"),
        ],
    );
}

#[test]
fn a_row_that_never_had_a_result_leaves_without_a_delete() {
    check(
        JoinKind::Inner,
        Encoding::Upsert,
        &[("L a 7 1 @1", ""), ("L a 8 1 @2", ""), ("L a - @3", ""), ("L b null 1 @4", ""), ("L b - @5", "")],
    );
}

#[test]
fn a_left_join_keeps_rows_without_a_partner() {
    check(
        JoinKind::Left,
        Encoding::Upsert,
        &[
            ("L a 7 1 @1", "+ a (7, 1, null) @1"),
            ("R 7 70 @5", "+ a (7, 1, 70) @5"),
            ("R 7 - @6", "+ a (7, 1, null) @6"),
            ("L a null 2 @7", "+ a (null, 2, null) @7"),
            ("R 7 71 @8", ""),
            ("L a 7 3 @9", "+ a (7, 3, 71) @9"),
            ("L a - @10", "- a @10"),
        ],
    );
}

#[test]
fn a_null_foreign_key_ends_the_result_of_an_inner_join() {
    check(
        JoinKind::Inner,
        Encoding::Upsert,
        &[("R 7 70 @1", ""), ("L a 7 1 @2", "+ a (7, 1, 70) @2"), ("L a null 1 @3", "- a @3"), ("R 7 71 @4", "")],
    );
}

#[test]
fn a_changelog_tells_what_it_replaces() {
    check(
        JoinKind::Inner,
        Encoding::Changelog,
        &[
            ("R 7 70 @1", ""),
            ("R 8 80 @1", ""),
            ("L a 7 1 @2", "+ a (7, 1, 70) @2"),
            ("L a 8 2 @3", "-u a (7, 1, 70) @3; +u a (8, 2, 80) @3"),
            ("|", ""),
            ("R 8 81 @4", "-u a (8, 2, 80) @4; +u a (8, 2, 81) @4"),
            ("R 8 - @5", "- a @5"),
            ("L a - @6", ""),
        ],
    );
}

#[test]
fn state_goes_on_after_a_restart() {
    check(
        JoinKind::Inner,
        Encoding::Upsert,
        &[
            ("L a 7 1 @1", ""),
            ("L b 7 2 @2", ""),
            ("|", ""),
            ("R 7 70 @3", "+ a (7, 1, 70) @3; + b (7, 2, 70) @3"),
            ("|", ""),
            ("L a 8 1 @4", "- a @4"),
            ("|", ""),
            ("L a - @5", "- a @5"),
            ("R 7 - @6", "- b @6"),
            ("|", ""),
            ("L b - @7", "- b @7"),
            ("R 7 71 @8", ""),
        ],
    );
}

#[test]
fn a_change_of_a_left_row_hands_over_that_row_alone() {
    let mut net = Net::new(JoinKind::Inner, Encoding::Upsert, 1);
    let mut handed_over = |texts: &[&str]| {
        texts.iter().for_each(|text| net.give(&[change(text)]));
        net.settle();
        net.barrier()
    };
    assert_eq!(handed_over(&["L a 7 1 @1", "R 7 1 @2"]), 2);
    assert_eq!(handed_over(&["L a 7 2 @3"]), 1);
    assert_eq!(handed_over(&["R 7 - @4"]), 1);
    // The right row is gone, and that is known.
    assert_eq!(handed_over(&["L a 7 3 @5"]), 1);
    assert_eq!(handed_over(&["R 7 2 @6"]), 1);
    assert_eq!(handed_over(&["L a - @7", "R 7 - @7"]), 2);
}

#[test]
fn what_is_gone_leaves_no_state() {
    let mut net = Net::new(JoinKind::Inner, Encoding::Upsert, 1);
    for text in ["L a 7 1 @1", "L b null 1 @1", "R 7 1 @2", "R 8 1 @2"] {
        net.give(&[change(text)]);
    }
    net.settle();
    net.barrier();
    assert_eq!([At::Left, At::Join, At::Resolve].map(|at| net.changelog_rows(at)), [2, 3, 1]);
    for text in ["L a - @3", "L b - @3", "R 7 - @4", "R 8 - @4"] {
        net.give(&[change(text)]);
    }
    net.settle();
    net.barrier();
    assert_eq!([At::Left, At::Join, At::Resolve].map(|at| net.changelog_rows(at)), [0, 0, 0]);
}

#[test]
fn a_right_row_with_many_left_rows_tells_them_in_pieces() {
    let mut net = Net::new(JoinKind::Inner, Encoding::Upsert, 1);
    let rows = super::MAX_RESULTS * 2 + 7;
    let changes: Vec<Change> = (0..rows).map(|row| Change::Left(format!("{row:06}"), Some((Some(7), 1)), 1)).collect();
    net.give(&changes);
    net.settle();
    net.give(&[change("R 7 70 @2"), change("R 8 80 @2"), change("R 7 71 @3")]);
    let (task, queue) = net.waiting()[0];
    net.take(task, queue, usize::MAX);
    let resolve = &net.tasks[&(At::Resolve, 0)];
    let sizes: Vec<usize> = resolve.queues.values().flatten().map(ChangeBatch::len).collect();
    let full = super::MAX_RESULTS;
    assert_eq!(sizes, [full, full, full, full, 14]);
    net.settle();
    let keys: Vec<&str> = net.emitted[..rows].iter().map(|(_, row, _)| row.0.as_str()).collect();
    assert!(keys.is_sorted());
    assert!(net.emitted[rows..].iter().all(|(_, row, time)| row.3 == Some(71) && *time == 3));
}
