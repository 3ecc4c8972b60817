//! Random operations on the embedded log against a plain map.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_oneof, proptest};

use super::{Folder, settings};
use crate::topics::conformance::{Subject, append, read_from};
use crate::topics::embedded::journal::DiskFault;
use crate::topics::embedded::{Compression, EmbeddedSettings, Fsync};
use crate::topics::{CleanupPolicy, TopicConfig, TopicError, TopicLog};

const TOPICS: [&str; 3] = ["plain", "aging", "table"];

#[derive(Debug, Clone)]
enum Step {
    /// Entries of topic, partition, key, number of records.
    Append(Vec<(usize, i32, u8, usize)>),
    Reopen,
    Clean,
    PassTime(i64),
    Recreate(usize),
    DiskFull,
    Torn,
}

fn step() -> impl Strategy<Value = Step> {
    let entry = (0..3_usize, 0..2, 0..4_u8, 0..6_usize);
    prop_oneof![
        12 => prop::collection::vec(entry, 0..4).prop_map(Step::Append),
        1 => Just(Step::Reopen),
        2 => Just(Step::Clean),
        2 => (1..8_000_i64).prop_map(Step::PassTime),
        1 => (0..3_usize).prop_map(Step::Recreate),
        1 => Just(Step::DiskFull),
        1 => Just(Step::Torn),
    ]
}

/// What a partition should hold: everything ever appended, and when; the log may have dropped what it may drop.
#[derive(Debug, Default, Clone)]
struct Model {
    records: BTreeMap<i64, (String, String, i64)>,
    end: i64,
}

struct Checked {
    folder: Folder,
    models: BTreeMap<(usize, i32), Model>,
    now: i64,
    written: usize,
}

fn config(topic: usize) -> TopicConfig {
    let (cleanup, retention_ms) = match topic {
        0 => (CleanupPolicy::Delete, None),
        1 => (CleanupPolicy::Delete, Some(5_000)),
        _ => (CleanupPolicy::Compact, None),
    };
    TopicConfig { partitions: 2, cleanup, retention_ms, ..TopicConfig::default() }
}

impl Checked {
    fn log(&self) -> Arc<dyn TopicLog> {
        self.folder.log()
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Append(entries) => {
                assert!(self.append(entries).starts_with("committed"));
            }
            Step::Reopen => self.folder.reopen(),
            Step::Clean => self.folder.embedded().clean().unwrap(),
            Step::PassTime(ms) => {
                self.now += ms;
                self.folder.clock.fetch_add(*ms, std::sync::atomic::Ordering::Relaxed);
            }
            Step::Recreate(topic) => {
                self.log().delete_topic(TOPICS[*topic]).unwrap();
                self.log().create_topic(TOPICS[*topic], &config(*topic)).unwrap();
                self.models.retain(|(of, _), _| of != topic);
            }
            Step::DiskFull => {
                self.folder.plan(DiskFault::Full);
                let before = self.models.clone();
                assert!(self.append(&[(0, 0, 0, 2), (2, 1, 1, 1)]).starts_with("aborted"));
                self.models = before;
            }
            Step::Torn => {
                self.folder.plan(DiskFault::Torn);
                let before = self.models.clone();
                assert_eq!(self.append(&[(1, 1, 0, 2), (2, 0, 1, 1)]), "unknown");
                self.models = before;
                self.folder.reopen();
            }
        }
    }

    fn append(&mut self, entries: &[(usize, i32, u8, usize)]) -> String {
        let mut texts = vec![];
        for (topic, partition, key, count) in entries {
            let mut text = String::new();
            for i in 0..*count {
                self.written += 1;
                let (key, value) = (format!("k{}", (usize::from(*key) + i) % 5), format!("v{}", self.written));
                text += &format!("{key}={value} ");
                let model = self.models.entry((*topic, *partition)).or_default();
                model.records.insert(model.end, (key, value, self.now));
                model.end += 1;
            }
            texts.push((TOPICS[*topic], *partition, text));
        }
        let entries: Vec<_> = texts.iter().map(|(topic, partition, text)| (*topic, *partition, &text[..])).collect();
        append(&*self.log(), &entries)
    }

    fn check(&self) {
        for topic in 0..3 {
            for partition in [0, 1] {
                self.check_partition(topic, partition);
            }
        }
    }

    fn check_partition(&self, topic: usize, partition: i32) {
        let log = self.log();
        let id = log.topic(TOPICS[topic]).unwrap().unwrap().id;
        let model = self.models.get(&(topic, partition)).cloned().unwrap_or_default();
        // The background may move the start between the two calls.
        let (start, found) = std::iter::repeat_with(|| {
            let range = log.offsets(id).unwrap()[usize::try_from(partition).unwrap()];
            assert_eq!(range.end.0, model.end);
            (range.start.0, read_from(&*log, TOPICS[topic], partition, range.start.0))
        })
        .find_map(|(start, found)| match found {
            Ok(found) => Some((start, found)),
            Err(TopicError::OffsetOutOfRange { .. }) => None,
            Err(error) => panic!("{error}"),
        })
        .unwrap();
        let text = |(offset, (key, value, _)): (&i64, &(String, String, i64))| format!("{offset}:{key}={value}");
        let all: Vec<_> = model.records.range(start..).map(text).collect();
        match topic {
            2 => check_compacted(&found, &all, &model),
            _ => assert_eq!(found, all.join(" ")),
        }
        let mut gone = model.records.range(..start);
        assert!(gone.all(|(_, (.., appended))| topic == 1 && *appended < self.now - 5_000));
    }
}

/// Some of all, in order, and the last of every key.
fn check_compacted(found: &str, all: &[String], model: &Model) {
    let found: Vec<_> = found.split_whitespace().collect();
    let mut rest = all.iter();
    assert!(found.iter().all(|record| rest.any(|other| other == record)), "{found:?} of {all:?}");
    let mut last = BTreeMap::new();
    for (offset, (key, value, _)) in &model.records {
        last.insert(key, format!("{offset}:{key}={value}"));
    }
    assert!(last.values().all(|record| found.contains(&record.as_str())), "{found:?} lacks one of {last:?}");
}

fn runs() -> u32 {
    std::env::var("THALWEG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: runs(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_holds_what_a_map_holds(
        steps in prop::collection::vec(step(), 1..40),
        segment_bytes in 100..3_000_u64,
        cache_bytes in prop::sample::select(vec![0_usize, 1_000, 1 << 20]),
        lz4: bool,
    ) {
        let compression = if lz4 { Compression::Lz4 } else { Compression::None };
        let settings =
            EmbeddedSettings { fsync: Fsync::Os, segment_bytes, cache_bytes, compression, ..settings() };
        let folder = Folder::new(settings);
        for (i, topic) in TOPICS.iter().enumerate() {
            folder.log().create_topic(topic, &config(i)).unwrap();
        }
        let mut checked = Checked { folder, models: BTreeMap::new(), now: 0, written: 0 };
        for step in &steps {
            checked.run(step);
            checked.check();
        }
        checked.run(&Step::Reopen);
        checked.check();
    }
}
