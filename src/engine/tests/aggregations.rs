//! Random aggregations over random streams, against a recomputation: through statements, exchange, epochs, restarts.
//!
//! Every run of one input (1, 2 and 4 workers, random batches, failing commits, restarts and compaction in between) must
//! end with the table that DataFusion computes from all records at once. Where every update makes a row and one
//! partition keeps the order, every single row must be that of the input's prefix.

mod batch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Bench, run};
use crate::runtime::Scheduler;
use crate::topics::memory::Fault;
use crate::topics::{PartitionRecords, TopicLog, Transaction, partition_for_key};
use crate::types::{EventTime, Offset, Partition, Record, RecordBlock};

const LONG: Duration = Duration::from_secs(60);

/// Seeds of a test run; more by `THALWEG_SEEDS`.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("THALWEG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60)
}

/// A record of the stream; without a value it is a null record.
#[derive(Debug, Clone)]
struct Row {
    key: Option<String>,
    value: Option<(Option<i64>, Option<i64>)>,
    time: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    None,
    Time { size: i64, advance: i64 },
    Session { gap: i64 },
}

/// What a group must be to be in the table.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Having {
    Rows,
    Sum,
    Greatest,
    Several,
}

impl Having {
    fn random(chance: &mut fastrand::Rng) -> Self {
        [Self::Rows, Self::Sum, Self::Greatest, Self::Several][chance.usize(0..4)]
    }

    fn sql(self) -> &'static str {
        match self {
            Self::Rows => "COUNT(*) > 2",
            Self::Sum => "SUM(v) > 5",
            Self::Greatest => "MAX(v) < 6",
            Self::Several => "MIN(v) <= 0 AND COUNT(v) > 1",
        }
    }

    fn passes(self, group: &Group) -> bool {
        let (least, most) = (group.values.iter().min(), group.values.iter().max());
        match self {
            Self::Rows => group.rows > 2,
            Self::Sum => group.values.iter().sum::<i64>() > 5,
            Self::Greatest => most.is_some_and(|most| *most < 6),
            Self::Several => least.is_some_and(|least| *least <= 0) && group.values.len() > 1,
        }
    }
}

#[derive(Debug, Clone)]
struct Case {
    partitions: i32,
    rows: Vec<Row>,
    by: Vec<&'static str>,
    shape: Shape,
    grace: i64,
    is_final: bool,
    filters: bool,
    having: Option<Having>,
    every_update: bool,
}

impl Case {
    fn random(chance: &mut fastrand::Rng) -> Self {
        let partitions = if chance.bool() { 1 } else { 4 };
        let shape = match chance.u8(0..4) {
            0 => Shape::None,
            1 => Shape::Session { gap: chance.i64(1..40) },
            _ => {
                let size = chance.i64(1..60);
                let advance = if chance.bool() { size } else { chance.i64(1..=size) };
                Shape::Time { size, advance: advance.max(size / 6 + 1) }
            }
        };
        let is_windowed = shape != Shape::None;
        let is_time = matches!(shape, Shape::Time { .. });
        // What is late depends on the order between partitions, and for sessions on more than is told here.
        let grace = if partitions == 1 && is_time { chance.i64(0..60) } else { 1_000_000 };
        let is_final = is_windowed && partitions == 1 && is_time && chance.u8(..) < 120;
        let rows = (0..chance.usize(1..60)).map(|i| Row::random(chance, i)).collect();
        Self {
            partitions,
            rows,
            by: [vec!["K"], vec!["G"], vec!["K", "G"], vec!["G", "K"]][chance.usize(0..4)].clone(),
            shape,
            grace,
            is_final,
            filters: chance.u8(..) < 60,
            having: (chance.u8(..) < 90).then(|| Having::random(chance)),
            every_update: chance.bool(),
        }
    }

    /// True if every row of the answer is known, not only the last of a key.
    fn is_history(&self) -> bool {
        let is_session = matches!(self.shape, Shape::Session { .. });
        self.every_update && !self.is_final && !is_session && self.having.is_none() && self.partitions == 1
    }

    fn statements(&self) -> String {
        let by = self.by.join(", ");
        let window = match self.shape {
            Shape::None => String::new(),
            Shape::Time { size, advance } if size == advance => {
                format!("WINDOW TUMBLING (SIZE {size} MILLISECONDS, GRACE PERIOD {} MILLISECONDS)", self.grace)
            }
            Shape::Time { size, advance } => format!(
                "WINDOW HOPPING (SIZE {size} MILLISECONDS, ADVANCE BY {advance} MILLISECONDS, GRACE PERIOD {} \
                 MILLISECONDS)",
                self.grace
            ),
            Shape::Session { gap } => {
                format!("WINDOW SESSION ({gap} MILLISECONDS, GRACE PERIOD {} MILLISECONDS)", self.grace)
            }
        };
        let filter = if self.filters { "WHERE v <> 3" } else { "" };
        let having = self.having.map_or(String::new(), |having| format!("HAVING {}", having.sql()));
        let emit = if self.is_final { "EMIT FINAL" } else { "EMIT CHANGES" };
        let cache = if self.every_update { "SET 'cache.max.bytes.buffering' = '0';" } else { "" };
        format!(
            "{cache} CREATE TABLE t WITH (kafka_topic='t', partitions=1, key_format='JSON', value_format='JSON') AS
               SELECT {by}, COUNT(*) AS n, COUNT(v) AS c, SUM(v) AS s, MIN(v) AS lo, MAX(v) AS hi,
                 AVG(v) AS a
               FROM s {window} {filter} GROUP BY {by} {having} {emit};"
        )
    }

    /// The group of a row, as the key of the table is written; none if it is not counted.
    fn group(&self, row: &Row) -> Option<(String, Option<i64>)> {
        let (group, value) = row.value?;
        if self.filters && value.is_none_or(|value| value == 3) {
            return None;
        }
        let part = |column: &&'static str| match *column {
            "K" => row.key.as_ref().map(|key| format!("\"{key}\"")),
            _ => group.map(|group| group.to_string()),
        };
        let parts: Vec<String> = self.by.iter().map(part).collect::<Option<_>>()?;
        Some((self.group_text(&parts), value))
    }

    /// The key of the table as it is written, without its window.
    fn group_text(&self, parts: &[String]) -> String {
        match parts {
            [only] => only.clone(),
            _ => {
                let fields: Vec<_> =
                    self.by.iter().zip(parts).map(|(name, part)| format!("\"{name}\":{part}")).collect();
                format!("{{{}}}", fields.join(","))
            }
        }
    }

    /// What each key of the table's topic must have said, in order, if every update makes a row.
    fn expected(&self) -> BTreeMap<Vec<u8>, Vec<Option<String>>> {
        let mut said: BTreeMap<Vec<u8>, Vec<Option<String>>> = BTreeMap::new();
        let mut groups: BTreeMap<(String, i64), Group> = BTreeMap::new();
        let mut stream_time = i64::MIN;
        for row in &self.rows {
            let Some((group, value)) = self.group(row) else { continue };
            stream_time = stream_time.max(row.time);
            for start in self.windows(row.time, stream_time) {
                let so_far = groups.entry((group.clone(), start)).or_default();
                so_far.add(value, row.time);
                let passes = self.having.is_none_or(|having| having.passes(so_far));
                let history = said.entry(self.key(&group, start)).or_default();
                if passes || !history.is_empty() {
                    history.push(passes.then(|| so_far.text()));
                }
            }
        }
        said
    }

    /// The windows that take a row, by their starts.
    fn windows(&self, time: i64, stream_time: i64) -> Vec<i64> {
        let Shape::Time { size, advance } = self.shape else { return vec![0] };
        (0..=time / advance)
            .map(|n| n * advance)
            .filter(|start| start + size > time && start + size > stream_time - self.grace)
            .collect()
    }

    fn key(&self, group: &str, start: i64) -> Vec<u8> {
        let mut key = group.as_bytes().to_vec();
        if self.shape != Shape::None {
            key.extend_from_slice(&start.to_be_bytes());
        }
        key
    }
}

impl Row {
    fn random(chance: &mut fastrand::Rng, nth: usize) -> Self {
        let maybe = |chance: &mut fastrand::Rng, value: i64| (chance.u8(..) > 20).then_some(value);
        let number = chance.i64(-5..9);
        let group = chance.i64(0..3);
        Self {
            key: (chance.u8(..) > 20).then(|| format!("k{}", chance.u8(0..5))),
            value: (chance.u8(..) > 15).then(|| (maybe(chance, group), maybe(chance, number))),
            // Rises, with jumps back and a few far forward.
            time: i64::try_from(nth).unwrap() * 4 + chance.i64(0..50) + if chance.u8(..) < 5 { 300 } else { 0 },
        }
    }

    fn record(&self) -> Record {
        let text = |value: Option<i64>| value.map_or("null".to_owned(), |value| value.to_string());
        let json = self.value.map(|(group, value)| format!("{{\"G\":{},\"V\":{}}}", text(group), text(value)));
        Record {
            key: self.key.clone().map(Bytes::from),
            value: json.map(Bytes::from),
            timestamp: EventTime(self.time),
            headers: Vec::new(),
        }
    }
}

#[derive(Debug, Default)]
struct Group {
    rows: i64,
    values: Vec<i64>,
    time: i64,
}

impl Group {
    fn add(&mut self, value: Option<i64>, time: i64) {
        self.rows += 1;
        self.values.extend(value);
        self.time = self.time.max(time);
    }

    /// The record's value and time.
    fn text(&self) -> String {
        let (count, sum) = (i64::try_from(self.values.len()).unwrap(), self.values.iter().sum::<i64>());
        let mean = if count == 0 { 0.0 } else { sum as f64 / count as f64 };
        let ends = (self.values.iter().min().copied(), self.values.iter().max().copied());
        value_text((self.rows, count, sum), ends, mean, self.time)
    }
}

/// A record's value and time: rows, values and their sum; the least and the greatest; their mean.
fn value_text((rows, count, sum): (i64, i64, i64), ends: (Option<i64>, Option<i64>), mean: f64, time: i64) -> String {
    let text = |value: Option<i64>| value.map_or("null".to_owned(), |value| value.to_string());
    let (least, most) = (text(ends.0), text(ends.1));
    format!("{{\"N\":{rows},\"C\":{count},\"S\":{sum},\"LO\":{least},\"HI\":{most},\"A\":{mean:?}}}@{time}")
}

/// The key of a session as it is written.
fn session_key(group: &str, start: i64, end: i64) -> Vec<u8> {
    let mut key = group.as_bytes().to_vec();
    key.extend_from_slice(&end.to_be_bytes());
    key.extend_from_slice(&start.to_be_bytes());
    key
}

fn produce(bench: &Bench, partitions: i32, rows: &[Row]) {
    let mut transaction = Transaction::default();
    for (nth, row) in (0..).zip(rows) {
        let record = row.record();
        let partition =
            record.key.as_ref().map_or(Partition(nth % partitions), |key| partition_for_key(key, partitions));
        let records: RecordBlock = [&record].into_iter().collect();
        transaction.records.push(PartitionRecords { topic: "s".to_owned(), partition, records });
    }
    let done = Arc::new(Mutex::new(false));
    let told = Arc::clone(&done);
    bench.log.append(transaction, Box::new(move |_| *told.lock() = true));
    assert!(*done.lock());
}

/// What each key of topic `t` says, in order.
fn said(bench: &Bench) -> BTreeMap<Vec<u8>, Vec<Option<String>>> {
    let mut said: BTreeMap<Vec<u8>, Vec<Option<String>>> = BTreeMap::new();
    let id = bench.log.topic("t").unwrap().unwrap().id;
    for record in bench.log.read(id, Partition(0), Offset(0), usize::MAX).unwrap().records.iter() {
        let text = record.value.map(|value| format!("{}@{}", String::from_utf8_lossy(value), record.timestamp));
        said.entry(record.key.unwrap().to_vec()).or_default().push(text);
    }
    said
}

fn table(said: &BTreeMap<Vec<u8>, Vec<Option<String>>>) -> BTreeMap<String, String> {
    let last = |(key, values): (&Vec<u8>, &Vec<Option<String>>)| {
        Some((key.escape_ascii().to_string(), values.last()?.clone()?))
    };
    said.iter().filter_map(last).collect()
}

/// Runs a case with so many workers; gives what the topic says.
fn answer(case: &Case, workers: usize, chance: &mut fastrand::Rng) -> BTreeMap<Vec<u8>, Vec<Option<String>>> {
    let bench = Bench::new();
    let batch_rows = chance.usize(1..20);
    let open = |seed: u64| {
        let scheduler = Scheduler::seeded(seed, Arc::<crate::runtime::ManualClock>::clone(&bench.clock));
        bench.open_on(Some(scheduler), |settings| {
            settings.runtime.worker_threads = workers;
            settings.runtime.batch_rows = batch_rows;
            settings.runtime.source_idle = Duration::ZERO;
        })
    };
    let mut engine = open(chance.u64(..));
    let stream = format!(
        "CREATE STREAM s (k STRING KEY, g INT, v BIGINT)
           WITH (kafka_topic='s', key_format='KAFKA', value_format='JSON', partitions={});",
        case.partitions
    );
    run(&engine, &stream);
    let made = run(&engine, &case.statements());
    assert!(made.contains("Created query"), "{made}\n{}", case.statements());
    // All sources say that they are idle before anything is late.
    assert!(engine.wait_until_caught_up(LONG));
    let (mut rows, mut aged) = (&case.rows[..], false);
    while !rows.is_empty() {
        let (now, later) = rows.split_at(chance.usize(1..=rows.len()));
        rows = later;
        produce(&bench, case.partitions, now);
        if chance.u8(..) < 60 {
            let fault = [Fault::Abort, Fault::UnknownApplied, Fault::UnknownLost][chance.usize(0..3)];
            bench.log.faults().fail_next_of("_thalweg-default_-committer-0", fault);
        }
        if !case.is_history() && chance.u8(..) < 40 {
            if case.shape == Shape::None && !std::mem::replace(&mut aged, true) {
                // Null values go; so would the windows of a windowed table's topic.
                bench.log.advance_time(48 * 3_600_000);
            }
            bench.log.clean();
        }
        if chance.u8(..) < 100 {
            assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
        }
        if chance.u8(..) < 40 {
            engine = open(chance.u64(..));
        }
    }
    assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
    said(&bench)
}

#[test]
fn tables_are_what_batch_sql_gives_for_any_number_of_workers() {
    for seed in seeds() {
        let mut chance = fastrand::Rng::with_seed(seed);
        let case = Case::random(&mut chance);
        let answer_of_batch = case.batch_answer();
        for workers in [1, 2, 4] {
            let found = answer(&case, workers, &mut chance);
            assert_eq!(table(&found), answer_of_batch, "seed {seed}, {workers} workers: {case:?}");
            if case.is_history() {
                assert_eq!(found, case.expected(), "seed {seed}, {workers} workers: {case:?}");
            }
        }
    }
}

/// The windows of 100 ms without grace, when two idle partitions get an old and a far younger record at once and the
/// tasks run from `seed`.
fn windows_after_idleness(seed: u64) -> BTreeMap<String, String> {
    let bench = Bench::new();
    let scheduler = Scheduler::seeded(seed, Arc::<crate::runtime::ManualClock>::clone(&bench.clock));
    let engine = bench.open_on(Some(scheduler), |settings| settings.runtime.source_idle = Duration::ZERO);
    let made = run(
        &engine,
        "CREATE STREAM s (k STRING KEY, g INT, v BIGINT)
           WITH (kafka_topic='s', key_format='KAFKA', value_format='JSON', partitions=2);
         CREATE TABLE t WITH (kafka_topic='t', partitions=1, value_format='JSON', key_format='JSON') AS
           SELECT g, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 100 MILLISECONDS, GRACE PERIOD 0 SECONDS) GROUP BY g;",
    );
    assert!(made.contains("Created query"), "{made}");
    let key_of = |partition: i32| {
        let mut keys = (0..).map(|nth| format!("k{nth}"));
        keys.find(|key| partition_for_key(key.as_bytes(), 2) == Partition(partition)).unwrap()
    };
    let row = |partition, time| Row { key: Some(key_of(partition)), value: Some((Some(1), None)), time };
    for rows in [[row(0, 10), row(1, 20)], [row(1, 50), row(0, 1_050)]] {
        produce(&bench, 2, &rows);
        assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
    }
    let said = said(&bench).into_iter().map(|(key, said)| (key.escape_ascii().to_string(), said));
    said.filter_map(|(key, said)| Some((key, said.last()?.clone()?))).collect()
}

#[test]
fn nothing_is_late_because_a_partition_was_idle_when_records_came_to_several() {
    for seed in 0..40 {
        let windows: Vec<_> = windows_after_idleness(seed).into_values().collect();
        assert_eq!(windows, ["{\"N\":3}@50", "{\"N\":1}@1050"], "seed {seed}");
    }
}

/// The final windows of 100 ms of records at these times, two partitions, in the order they left.
fn final_windows(close_idle: Duration, times: &[&[i64]]) -> Vec<String> {
    let bench = Bench::new();
    let scheduler = Scheduler::seeded(1, Arc::<crate::runtime::ManualClock>::clone(&bench.clock));
    let engine = bench.open_on(Some(scheduler), |settings| settings.runtime.windows_close_idle = close_idle);
    let made = run(
        &engine,
        "CREATE STREAM s (k STRING KEY, g INT, v BIGINT)
           WITH (kafka_topic='s', key_format='KAFKA', value_format='JSON', partitions=2);
         CREATE TABLE t WITH (kafka_topic='t', partitions=1, value_format='JSON') AS
           SELECT g, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 100 MILLISECONDS) GROUP BY g EMIT FINAL;",
    );
    assert!(made.contains("Created query"), "{made}");
    for times in times {
        let row = |time: &i64| Row { key: Some(format!("k{time}")), value: Some((Some(1), None)), time: *time };
        produce(&bench, 2, &times.iter().map(row).collect::<Vec<_>>());
        assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
    }
    said(&bench).into_values().flatten().flatten().collect()
}

#[test]
fn windows_of_quiet_sources_close_by_the_clock_if_they_are_to() {
    let never = final_windows(Duration::ZERO, &[&[10, 20], &[30, 250]]);
    assert_eq!(never, ["{\"N\":3}@30"], "the window of 250 waits for a later record");
    let second = Duration::from_secs(1);
    assert_eq!(final_windows(second, &[&[10, 20]]), ["{\"N\":2}@20"]);
    // 30 comes when its window was closed by the clock.
    assert_eq!(final_windows(second, &[&[10, 20], &[30, 250]]), ["{\"N\":2}@20", "{\"N\":1}@250"]);
}
