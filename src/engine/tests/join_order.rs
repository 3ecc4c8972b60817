//! Random joins of a stream, or of two, with tables, against a slow merge of the topics by the times at their heads: through
//! statements, exchange, epochs, faults and restarts, with any number of workers and partitions.
//!
//! The order in which rows of different topics meet is part of the answer, so every row must be the oracle's, and for
//! each key in its order, unless rows went through several workers of a join by another key. What was in the log
//! together is merged together; what comes later, after the query has caught up, comes later.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Bench, run};
use crate::engine::Engine;
use crate::runtime::{ManualClock, Scheduler};
use crate::topics::memory::Fault;
use crate::topics::{PartitionRecords, TopicLog, Transaction, partition_for_key};
use crate::types::{EventTime, Offset, Partition, Record, RecordBlock};

const LONG: Duration = Duration::from_secs(60);

/// The stream, the tables that may be joined to it, and the stream that may be joined to it before.
const TOPICS: [&str; 5] = ["s", "t", "u", "w", "v"];
/// The places of the streams.
const STREAM: usize = 0;
const OTHER_STREAM: usize = 4;

/// Seeds of a test run; more by `THALWEG_SEEDS`.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("THALWEG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(80)
}

/// A record; without a value it is a null record. Numbers tell the records of a topic apart.
#[derive(Debug, Clone)]
struct Row {
    topic: usize,
    key: Option<String>,
    /// A column to join on, and the number.
    value: Option<(Option<String>, usize)>,
    time: i64,
}

/// One join of the chain: with the next table, by the stream's key or by its other column.
#[derive(Debug, Clone, Copy)]
struct Step {
    is_left: bool,
    by_key: bool,
}

#[derive(Debug, Clone)]
struct Case {
    partitions: i32,
    /// How far apart rows of the other stream may lie, if that is joined first; and whether rows without one are kept.
    within: Option<(i64, bool)>,
    steps: Vec<Step>,
    /// What is in the log together.
    phases: Vec<Vec<Row>>,
}

impl Case {
    fn random(chance: &mut fastrand::Rng) -> Self {
        let steps: Vec<Step> =
            (0..chance.usize(1..=3)).map(|_| Step { is_left: chance.bool(), by_key: chance.u8(..) < 170 }).collect();
        let within = chance.bool().then(|| (chance.i64(1..30), chance.bool()));
        let phases = (0..chance.usize(1..=3)).map(|_| phase(chance, steps.len(), within.is_some())).collect();
        Self { partitions: if chance.bool() { 1 } else { 4 }, within, steps, phases }
    }

    fn statements(&self) -> String {
        let mut text = format!(
            "CREATE STREAM s (k STRING KEY, f STRING, n BIGINT)
               WITH (kafka_topic='s', key_format='KAFKA', value_format='JSON', partitions={});",
            self.partitions
        );
        let (mut columns, mut joins) = (String::new(), String::new());
        if let Some((within, is_left)) = self.within {
            text += &format!(
                "CREATE STREAM v (k STRING KEY, n BIGINT)
                   WITH (kafka_topic='v', key_format='KAFKA', value_format='JSON', partitions={});",
                self.partitions
            );
            let kind = if is_left { "LEFT JOIN" } else { "JOIN" };
            columns = ", v.n AS vn".to_owned();
            joins = format!(" {kind} v WITHIN {within} MILLISECONDS ON s.k = v.k");
        }
        for (step, table) in self.steps.iter().zip(&TOPICS[1..]) {
            text += &format!(
                "CREATE TABLE {table} (k STRING PRIMARY KEY, n BIGINT)
                   WITH (kafka_topic='{table}', key_format='KAFKA', value_format='JSON', partitions={});",
                self.partitions
            );
            let kind = if step.is_left { "LEFT JOIN" } else { "JOIN" };
            columns += &format!(", {table}.n AS {table}n");
            joins += &format!(" {kind} {table} ON s.{} = {table}.k", if step.by_key { "k" } else { "f" });
        }
        let key = if self.steps.last().is_some_and(|step| step.by_key) { "s.k" } else { "s.f" };
        text + &format!(
            "CREATE STREAM j WITH (kafka_topic='j', partitions=1, key_format='KAFKA', value_format='JSON') AS
               SELECT {key} AS id, s.n AS sn{columns} FROM s{joins};"
        )
    }

    /// True if the rows of a key keep their order with several workers.
    fn keeps_order(&self) -> bool {
        (self.steps.len() == 1 && self.within.is_none()) || self.steps.iter().all(|step| step.by_key)
    }

    /// The rows of the result by key, in order.
    fn expected(&self) -> BTreeMap<Option<String>, Vec<String>> {
        let mut tables: Vec<BTreeMap<String, usize>> = vec![BTreeMap::new(); TOPICS.len()];
        let mut kept: [Vec<&Row>; 2] = Default::default();
        let mut said: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
        for row in self.phases.iter().flat_map(|rows| self.merged(rows)) {
            if row.is_of_table() {
                match (&row.key, &row.value) {
                    (Some(key), Some((_, number))) => tables[row.topic].insert(key.clone(), *number),
                    (Some(key), None) => tables[row.topic].remove(key),
                    (None, _) => None,
                };
                continue;
            }
            for (stream, other) in self.pairs(row, &mut kept) {
                let Some((column, number)) = &stream.value else { continue };
                let mut text = format!("{{\"SN\":{number}");
                if self.within.is_some() {
                    let other = other.and_then(|other| other.value.as_ref());
                    text += &format!(",\"VN\":{}", other.map_or("null".to_owned(), |(_, number)| number.to_string()));
                }
                let time = other.map_or(stream.time, |other| other.time.max(stream.time));
                let mut last = &None;
                let is_kept = self.steps.iter().zip(1..).all(|(step, table)| {
                    last = if step.by_key { &stream.key } else { column };
                    let found = last.as_ref().and_then(|key| tables[table].get(key));
                    let name = TOPICS[table].to_uppercase();
                    text += &format!(",\"{name}N\":{}", found.map_or("null".to_owned(), ToString::to_string));
                    found.is_some() || step.is_left
                });
                if is_kept {
                    said.entry(last.clone()).or_default().push(format!("{text}}}@{time}"));
                }
            }
        }
        said
    }

    /// What a row of a stream gives with those of the other stream that came before.
    fn pairs<'a>(&self, row: &'a Row, kept: &mut [Vec<&'a Row>; 2]) -> Vec<(&'a Row, Option<&'a Row>)> {
        let Some((within, is_left)) = self.within else { return vec![(row, None)] };
        if row.key.is_none() || row.value.is_none() {
            return vec![];
        }
        let own = usize::from(row.topic == OTHER_STREAM);
        let meets = |other: &&&Row| other.key == row.key && (other.time - row.time).abs() <= within;
        let mut partners: Vec<&Row> = kept[1 - own].iter().filter(meets).copied().collect();
        partners.sort_by_key(|other| other.time);
        kept[own].push(row);
        if row.topic == OTHER_STREAM {
            return partners.into_iter().map(|stream| (stream, Some(row))).collect();
        }
        if partners.is_empty() && is_left {
            return vec![(row, None)];
        }
        partners.into_iter().map(|other| (row, Some(other))).collect()
    }

    /// The rows in the order of their turns; records of tables without a key are no rows.
    fn merged<'a>(&self, rows: &'a [Row]) -> Vec<&'a Row> {
        let mut inputs: BTreeMap<(bool, usize, i32), VecDeque<&Row>> = BTreeMap::new();
        let rows = rows.iter().zip(self.partitions_of(rows));
        for (row, partition) in rows.filter(|(row, _)| !row.is_of_table() || row.key.is_some()) {
            inputs.entry((!row.is_of_table(), row.topic, partition)).or_default().push_back(row);
        }
        let mut merged = Vec::new();
        while let Some((_, input)) = inputs
            .iter_mut()
            .filter(|(_, input)| !input.is_empty())
            .min_by_key(|(place, input)| (input[0].time, **place))
        {
            merged.extend(input.pop_front());
        }
        merged
    }

    fn partitions_of(&self, rows: &[Row]) -> Vec<i32> {
        let partition = |(nth, row): (i32, &Row)| {
            row.key.as_ref().map_or(nth % self.partitions, |key| partition_for_key(key.as_bytes(), self.partitions).0)
        };
        (0..).zip(rows).map(partition).collect()
    }

    fn produce(&self, bench: &Bench, rows: &[Row]) {
        let mut transaction = Transaction::default();
        for (row, partition) in rows.iter().zip(self.partitions_of(rows)) {
            let records: RecordBlock = [&row.record()].into_iter().collect();
            let (topic, partition) = (TOPICS[row.topic].to_owned(), Partition(partition));
            transaction.records.push(PartitionRecords { topic, partition, records });
        }
        let done = Arc::new(Mutex::new(false));
        let told = Arc::clone(&done);
        bench.log.append(transaction, Box::new(move |_| *told.lock() = true));
        assert!(*done.lock());
    }
}

/// Records of all topics; few keys, times that tie, go back, and jump.
fn phase(chance: &mut fastrand::Rng, tables: usize, two_streams: bool) -> Vec<Row> {
    let steepness = chance.i64(0..6);
    (0..chance.usize(0..60))
        .map(|nth| {
            let key = |chance: &mut fastrand::Rng| (chance.u8(..) > 15).then(|| format!("k{}", chance.u8(0..4)));
            let jump = if chance.u8(..) < 8 { 100 } else { 0 };
            Row {
                topic: if two_streams && chance.u8(..) < 100 { OTHER_STREAM } else { chance.usize(0..=tables) },
                key: key(chance),
                value: (chance.u8(..) > 35).then(|| (key(chance), nth)),
                time: nth as i64 * steepness + chance.i64(0..20) + jump,
            }
        })
        .collect()
}

impl Row {
    fn is_of_table(&self) -> bool {
        self.topic != STREAM && self.topic != OTHER_STREAM
    }

    fn record(&self) -> Record {
        let json = self.value.as_ref().map(|(other, number)| {
            let other = other.as_ref().map_or("null".to_owned(), |other| format!("\"{other}\""));
            format!("{{\"F\":{other},\"N\":{number}}}")
        });
        let bytes = |text: String| Bytes::from(text.into_bytes());
        let (key, value) = (self.key.clone().map(bytes), json.map(bytes));
        Record { key, value, timestamp: EventTime(self.time), headers: Vec::new() }
    }
}

/// What the result's topic says by key, in order.
fn said(bench: &Bench) -> BTreeMap<Option<String>, Vec<String>> {
    let mut said: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
    let id = bench.log.topic("j").unwrap().unwrap().id;
    for record in bench.log.read(id, Partition(0), Offset(0), usize::MAX).unwrap().records.iter() {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let row = format!("{}@{}", text(record.value.unwrap()), record.timestamp);
        said.entry(record.key.map(text)).or_default().push(row);
    }
    said
}

/// Runs a case with so many workers; gives what the topic says.
fn answer(case: &Case, workers: usize, chance: &mut fastrand::Rng) -> BTreeMap<Option<String>, Vec<String>> {
    let bench = Bench::new();
    let (batch_rows, exchange_rows) = (chance.usize(1..20), chance.usize(1..30));
    let epoch_max_bytes = if chance.bool() { chance.usize(1..2_000) } else { 1 << 20 };
    let setting = format!("{workers} workers, {batch_rows} {exchange_rows} {epoch_max_bytes}: {case:?}");
    let epoch_interval = if chance.bool() { Duration::ZERO } else { Duration::from_secs(5) };
    let open = |seed: u64| -> (Arc<Engine>, Arc<Scheduler>) {
        let scheduler = Scheduler::seeded(seed, Arc::<ManualClock>::clone(&bench.clock));
        let engine = bench.open_on(Some(Arc::clone(&scheduler)), |settings| {
            settings.runtime.worker_threads = workers;
            settings.runtime.batch_rows = batch_rows;
            settings.runtime.exchange_rows = exchange_rows;
            settings.runtime.epoch_max_bytes = epoch_max_bytes;
            settings.runtime.epoch_interval = epoch_interval;
        });
        (engine, scheduler)
    };
    let (mut engine, mut scheduler) = open(chance.u64(..));
    let made = run(&engine, &case.statements());
    assert!(made.contains("Created query"), "{made}\n{}", case.statements());
    for rows in &case.phases {
        assert!(engine.wait_until_caught_up(LONG), "{:?} {setting}", engine.failed_queries());
        case.produce(&bench, rows);
        while chance.u8(..) < 120 {
            scheduler.run_steps(chance.usize(0..300));
            if chance.u8(..) < 100 {
                let fault = [Fault::Abort, Fault::UnknownApplied, Fault::UnknownLost][chance.usize(0..3)];
                bench.log.faults().fail_next_of("_thalweg-default_-committer-0", fault);
            }
            if chance.bool() {
                (engine, scheduler) = open(chance.u64(..));
            }
        }
    }
    assert!(engine.wait_until_caught_up(LONG), "{:?} {setting}", engine.failed_queries());
    said(&bench)
}

#[test]
fn rows_of_streams_meet_the_rows_that_others_had_at_their_time() {
    for seed in seeds() {
        let mut chance = fastrand::Rng::with_seed(seed);
        let case = Case::random(&mut chance);
        let mut expected = case.expected();
        for workers in [1, 2, 4] {
            let mut found = answer(&case, workers, &mut chance);
            if workers > 1 && !case.keeps_order() {
                found.values_mut().chain(expected.values_mut()).for_each(|rows| rows.sort());
            }
            assert_eq!(found, expected, "seed {seed}, {workers} workers: {case:?}");
        }
    }
}
