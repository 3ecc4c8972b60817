//! Tests of the ordered map and of what followers keep, against plain maps.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::Int64Type;
use proptest::collection::vec;
use proptest::prelude::*;

use super::ordered_map::OrderedMap;
use super::{KeyRange, Snapshot, Tables};
use crate::catalog::Source;
use crate::formats::{FormatName, Side, SideColumn};
use crate::functions::FunctionRegistry;
use crate::runtime::{ManualClock, Runtime, RuntimeParts, RuntimeSettings, Scheduler};
use crate::sql::ast::SourceKind;
use crate::topics::memory::MemoryLog;
use crate::topics::{CleanupPolicy, CommitOutcome, PartitionRecords, TopicConfig, TopicLog, Transaction};
use crate::types::{Column, ColumnRole, EventTime, Name, Partition, Record, Schema, SqlType, WindowInfo, WindowType};

/// Few keys that share beginnings, values from nothing to more than a leaf.
fn changes() -> impl Strategy<Value = Vec<(Vec<u8>, Option<usize>)>> {
    let key = vec(prop_oneof![Just(0_u8), Just(1), Just(255), any::<u8>()], 0..4);
    let value = prop_oneof![
        3 => Just(None),
        6 => (0..300_usize).prop_map(Some),
        1 => (4000..9000_usize).prop_map(Some),
    ];
    vec((key, value), 0..400)
}

fn content(map: &OrderedMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    map.range(Bound::Unbounded, Bound::Unbounded).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    let key = || vec(any::<u8>(), 0..3);
    prop_oneof![key().prop_map(Bound::Included), key().prop_map(Bound::Excluded), Just(Bound::Unbounded)]
}

proptest! {
    #[test]
    fn the_map_is_a_btree_map_and_its_clones_do_not_change(
        changes in changes(), cloned_at in 0..400_usize, from in bound(), to in bound(),
    ) {
        let (mut map, mut plain) = (OrderedMap::default(), BTreeMap::<Vec<u8>, Vec<u8>>::new());
        let mut cloned = None;
        for (at, (key, value)) in changes.into_iter().enumerate() {
            if at == cloned_at {
                cloned = Some((map.clone(), content(&map)));
            }
            match value {
                None => prop_assert_eq!(map.remove(&key), plain.remove(&key).is_some()),
                Some(length) => {
                    let value = vec![u8::try_from(at % 251).unwrap(); length];
                    map.insert(&key, &value);
                    plain.insert(key.clone(), value);
                }
            }
            prop_assert_eq!(map.get(&key), plain.get(&key).map(Vec::as_slice));
            prop_assert_eq!(map.len(), plain.len());
        }
        let all: Vec<_> = plain.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        prop_assert_eq!(content(&map), all);
        let bytes: usize = plain.iter().map(|(key, value)| key.len() + value.len()).sum();
        prop_assert_eq!(map.data_bytes(), bytes);
        let is_order = match (&from, &to) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
            (Bound::Included(from), Bound::Included(to)) => from <= to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from < to,
        };
        if is_order {
            let ours: Vec<_> = map.range(as_slice(&from), as_slice(&to)).map(|(key, _)| key.to_vec()).collect();
            let theirs: Vec<_> = plain.range((from, to)).map(|(key, _)| key.clone()).collect();
            prop_assert_eq!(ours, theirs);
        }
        if let Some((map, before)) = cloned {
            prop_assert_eq!(content(&map), before);
        }
    }
}

/// A table `K STRING PRIMARY KEY, V BIGINT` over topic `t`, and a log that has it.
struct World {
    log: MemoryLog,
    table: Arc<Source>,
    tables: Tables,
}

impl World {
    fn new(partitions: i32, window: Option<WindowInfo>) -> Self {
        let log = MemoryLog::new();
        let config = TopicConfig { partitions, replicas: 1, cleanup: CleanupPolicy::Compact, retention_ms: None };
        log.create_topic("t", &config).unwrap();
        let side = |column: &str, ty: SqlType| Side {
            format: FormatName::Kafka,
            delimiter: None,
            unwrapped: true,
            columns: vec![SideColumn { name: Name::from(column), ty }],
        };
        let column = |name: &str, ty, role| Column { name: name.into(), ty, role };
        let table = Source {
            name: "T".into(),
            kind: SourceKind::Table,
            schema: Schema::new(vec![
                column("K", SqlType::String, ColumnRole::Key),
                column("V", SqlType::BigInt, ColumnRole::Value),
            ]),
            topic: "t".to_owned(),
            key: side("K", SqlType::String),
            value: side("V", SqlType::BigInt),
            wrap_given: None,
            window,
            timestamp: None,
            read_only: false,
            created_by: None,
            begins_at: Vec::new(),
            sql: String::new(),
        };
        Self { log, table: Arc::new(table), tables: Tables::default() }
    }

    fn runtime(&self, scheduler: Option<Arc<Scheduler>>) -> Arc<Runtime> {
        let clock = Arc::new(ManualClock::default());
        Runtime::start(RuntimeParts {
            log: Arc::new(self.log.clone()),
            functions: Arc::new(FunctionRegistry::builtin()),
            clock,
            settings: RuntimeSettings { batch_rows: 7, worker_threads: 2, ..RuntimeSettings::default() },
            service_id: "test".to_owned(),
            committers: 1,
            processing_log: Arc::new(|_| {}),
            scheduler,
        })
        .unwrap()
    }

    fn seeded(&self, seed: u64) -> Arc<Runtime> {
        self.runtime(Some(Scheduler::seeded(seed, Arc::new(ManualClock::default()))))
    }

    /// Commits one transaction of records: partition, key, value.
    fn commit(&self, records: impl IntoIterator<Item = (i32, Vec<u8>, Option<i64>)>) {
        let mut transaction = Transaction::default();
        for (partition, key, value) in records {
            let record = Record {
                key: Some(Bytes::from(key)),
                value: value.map(|value| Bytes::copy_from_slice(&value.to_be_bytes())),
                timestamp: EventTime(5),
                headers: Vec::new(),
            };
            let (partition, records) = (Partition(partition), [&record].into_iter().collect());
            transaction.records.push(PartitionRecords { topic: "t".to_owned(), partition, records });
        }
        let (sender, answer) = std::sync::mpsc::channel();
        self.log.append(transaction, Box::new(move |outcome| sender.send(outcome).unwrap()));
        assert!(matches!(answer.recv().unwrap(), CommitOutcome::Committed(_)));
    }

    fn snapshot(&self, runtime: &Runtime, retention_ms: Option<i64>) -> Snapshot {
        let served = self.tables.serve(runtime, &self.table, || retention_ms).unwrap();
        served.snapshot(Duration::from_secs(60)).unwrap()
    }
}

/// Columns 0 and `value` of all rows.
fn rows(snapshot: &Snapshot, value: usize) -> Vec<(String, i64)> {
    let mut rows = Vec::new();
    for batch in snapshot.scan(KeyRange::ALL, &[0, value], 3) {
        let batch = batch.unwrap();
        assert!((1..=3).contains(&batch.num_rows()));
        let (keys, values) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int64Type>());
        rows.extend((0..batch.num_rows()).map(|row| (keys.value(row).to_owned(), values.value(row))));
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_followed_table_is_the_last_value_of_each_key(
        seed in any::<u64>(),
        transactions in vec(vec((0..20_u8, prop_oneof![1 => Just(None), 3 => any::<i64>().prop_map(Some)]), 0..30), 1..12),
        asks_after in 0..12_usize,
    ) {
        let world = World::new(3, None);
        let runtime = world.seeded(seed);
        let mut plain = BTreeMap::new();
        for (at, transaction) in transactions.iter().enumerate() {
            world.commit(transaction.iter().map(|(key, value)| (i32::from(key % 3), vec![b'a' + key], *value)));
            for (key, value) in transaction {
                match value {
                    Some(value) => plain.insert(char::from(b'a' + key).to_string(), *value),
                    None => plain.remove(&char::from(b'a' + key).to_string()),
                };
            }
            if at >= asks_after {
                let snapshot = world.snapshot(&runtime, None);
                let expected: Vec<_> = plain.clone().into_iter().collect();
                prop_assert_eq!(rows(&snapshot, 1), expected);
                prop_assert_eq!(snapshot.rows(), plain.len());
                let key = snapshot.shape().key_prefix(&[Arc::new(StringArray::from(vec!["d"])) as ArrayRef]);
                prop_assert_eq!(snapshot.get(&key, &[1]).unwrap().num_rows(), usize::from(plain.contains_key("d")));
            }
        }
    }
}

#[test]
fn a_transaction_over_several_partitions_is_seen_whole() {
    let world = World::new(3, None);
    let runtime = world.runtime(None);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=300 {
                world.commit((0..9_u8).map(|key| (i32::from(key % 3), vec![b'a' + key], Some(number))));
            }
        });
        let mut last = 0;
        while last < 300 {
            let found = rows(&world.snapshot(&runtime, None), 1);
            let values: BTreeSet<i64> = found.iter().map(|(_, value)| *value).collect();
            assert!(values.len() <= 1 && [0, 9].contains(&found.len()), "{found:?}");
            last = values.last().copied().unwrap_or(last);
        }
    });
}

#[test]
fn windows_past_their_retention_are_forgotten() {
    let window = WindowInfo { window_type: WindowType::Tumbling, size_ms: Some(10) };
    let world = World::new(1, Some(window));
    let runtime = world.seeded(3);
    let key = |key: &str, start: i64| [key.as_bytes(), &start.to_be_bytes()].concat();
    world.commit((0..20).map(|n| (0, key("a", n * 10), Some(n))));
    world.commit([(0, key("b", 0), Some(100))]);
    let snapshot = world.snapshot(&runtime, Some(100));
    let windows: Vec<_> = rows(&snapshot, 1).into_iter().map(|(key, start)| format!("{key} {start}")).collect();
    let expected: Vec<_> = (10..20).map(|n| format!("a {}", n * 10)).collect();
    assert_eq!(windows, expected);
    assert_eq!(snapshot.rows(), 10, "they are not in memory either");
    assert_eq!(rows(&snapshot, 3).first().map(|(_, value)| *value), Some(10));
    // Within an eighth of the retention they are hidden and not swept yet.
    world.commit([(0, key("a", 201), Some(1))]);
    let snapshot = world.snapshot(&runtime, Some(100));
    assert_eq!((rows(&snapshot, 1).len(), snapshot.rows()), (10, 11));
    let stats = world.tables.stats();
    assert_eq!((stats[0].rows, stats[0].lag), (11, 0));
    assert!(stats[0].heap_bytes >= stats[0].data_bytes);
}

#[test]
fn a_table_whose_topic_is_gone_says_so() {
    let world = World::new(1, None);
    let runtime = world.seeded(1);
    world.snapshot(&runtime, None);
    world.log.delete_topic("t").unwrap();
    let served = world.tables.serve(&runtime, &world.table, || None);
    let refused = served.and_then(|served| served.snapshot(Duration::from_secs(60))).unwrap_err();
    assert_eq!(refused.to_string(), "table T cannot be read");
}

#[test]
fn a_topic_made_again_is_followed_again() {
    let world = World::new(1, None);
    let runtime = world.seeded(1);
    world.commit([(0, b"a".to_vec(), Some(1))]);
    assert_eq!(rows(&world.snapshot(&runtime, None), 1), [("a".to_owned(), 1)]);
    world.log.delete_topic("t").unwrap();
    let config = TopicConfig { partitions: 1, replicas: 1, cleanup: CleanupPolicy::Compact, retention_ms: None };
    world.log.create_topic("t", &config).unwrap();
    world.commit([(0, b"b".to_vec(), Some(2))]);
    let served = world.tables.serve(&runtime, &world.table, || None).unwrap();
    assert!(served.snapshot(Duration::from_secs(60)).is_err(), "the reader is told once");
    assert_eq!(rows(&world.snapshot(&runtime, None), 1), [("b".to_owned(), 2)]);
}

#[test]
fn windows_are_swept_a_bounded_number_at_a_time() {
    let window = WindowInfo { window_type: WindowType::Tumbling, size_ms: Some(10) };
    let world = World::new(1, Some(window));
    let runtime = world.seeded(3);
    let key = |key: i64, start: i64| [format!("{key:05}").as_bytes(), &start.to_be_bytes()].concat();
    world.commit((0..5000).map(|n| (0, key(n, 0), Some(n))));
    assert_eq!(world.snapshot(&runtime, Some(100)).rows(), 5000);
    world.commit([(0, key(0, 1000), Some(1))]);
    let snapshot = world.snapshot(&runtime, Some(100));
    assert_eq!(rows(&snapshot, 1).len(), 1, "none is seen");
    assert!((3000..5000).contains(&snapshot.rows()), "some are gone: {} are left", snapshot.rows());
    for n in 1..6 {
        world.commit([(0, key(n, 1000), Some(1))]);
        world.snapshot(&runtime, Some(100));
    }
    assert_eq!(world.snapshot(&runtime, Some(100)).rows(), 6, "by and by all are");
}

#[test]
fn a_reader_does_the_work_that_it_waits_for_where_workers_are_busy() {
    let world = World::new(1, None);
    let runtime = world.runtime(None);
    world.commit([(0, b"a".to_vec(), Some(1))]);
    let input = super::TableShape::new(&world.table).input;
    let (enter, entered) = std::sync::mpsc::channel();
    // Dropped at the end of the test, which lets the workers go.
    let mut held = Vec::new();
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let (release, released) = std::sync::mpsc::channel::<()>();
            held.push(release);
            let enter = enter.clone();
            let hold = move |_: crate::runtime::Followed<'_>| {
                let _ = enter.send(());
                let _ = released.recv();
            };
            runtime.follow(&input, Box::new(hold)).unwrap()
        })
        .collect();
    for _ in &busy {
        entered.recv().unwrap();
    }
    assert_eq!(rows(&world.snapshot(&runtime, None), 1), [("a".to_owned(), 1)]);
    drop(held);
}
