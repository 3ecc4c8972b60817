//! What a log costs per record: batches of 1,000 records of 200 bytes, appended and read back.
//!
//! Appends keep sixteen transactions under way, as pipelines on several workers do; `one by one` waits for each.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on should say where")]

use std::hint::black_box;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use thalweg::topics::embedded::{Compression, EmbeddedLog, EmbeddedSettings, Fsync};
use thalweg::topics::memory::MemoryLog;
use thalweg::topics::{CommitOutcome, PartitionRecords, TopicConfig, TopicId, TopicLog, Transaction};
use thalweg::types::{EventTime, Offset, Partition, Record, RecordBlock};

const RECORDS: usize = 1000;
const UNDER_WAY: usize = 16;

/// Records as a JSON source has them: half of it differs from record to record.
fn block() -> RecordBlock {
    let mut random = fastrand::Rng::with_seed(7);
    let record = |i: usize| {
        let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(100).collect();
        let value =
            format!(r#"{{"id":{i:010},"amount":{:08},"text":"{noise}","kind":"order","currency":"EUR"}}"#, i * 7);
        let key = Some(Bytes::from(format!("key{i:05}")));
        Record {
            key,
            value: Some(Bytes::from(format!("{value:<192}"))),
            timestamp: EventTime(1_700_000_000_000),
            headers: vec![],
        }
    };
    let records: Vec<_> = (0..RECORDS).map(record).collect();
    let block: RecordBlock = records.iter().collect();
    assert_eq!(block.data_bytes(), RECORDS * 200);
    block
}

fn create(log: &dyn TopicLog) -> TopicId {
    log.create_topic("offsets", &TopicConfig::default()).unwrap();
    log.create_topic("output", &TopicConfig::default()).unwrap().id
}

/// Output and source offsets in one transaction.
fn transaction(block: &RecordBlock, offsets: &RecordBlock) -> Transaction {
    let entry = |topic: &str, records: &RecordBlock| PartitionRecords {
        topic: topic.into(),
        partition: Partition(0),
        records: records.clone(),
    };
    Transaction { records: vec![entry("output", block), entry("offsets", offsets)] }
}

fn append(log: &dyn TopicLog, transactions: Vec<Transaction>) {
    let count = transactions.len();
    let (sender, receiver) = mpsc::sync_channel(count);
    for transaction in transactions {
        let sender = sender.clone();
        log.append(transaction, Box::new(move |outcome| sender.send(outcome).unwrap()));
    }
    for _ in 0..count {
        assert!(matches!(receiver.recv().unwrap(), CommitOutcome::Committed(_)));
    }
}

fn scan(log: &dyn TopicLog, topic: TopicId, from: i64, to: i64) -> usize {
    let (mut next, mut bytes) = (Offset(from), 0);
    while next < Offset(to) {
        let fetch = log.read(topic, Partition(0), next, 1 << 20).unwrap();
        bytes += fetch.records.iter().map(|record| record.value.map_or(0, <[u8]>::len)).sum::<usize>();
        next = fetch.next;
    }
    bytes
}

fn settings(fsync: Fsync) -> EmbeddedSettings {
    EmbeddedSettings { fsync, ..EmbeddedSettings::default() }
}

fn embedded(settings: EmbeddedSettings) -> (tempfile::TempDir, EmbeddedLog, TopicId) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log = EmbeddedLog::open(folder.path(), settings).unwrap();
    let topic = create(&log);
    (folder, log, topic)
}

fn appends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append 1000 x 200 B");
    group.throughput(Throughput::Elements((RECORDS * UNDER_WAY) as u64));
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    let (block, offsets) = (block(), block().slice(0..1));
    let batch = || (0..UNDER_WAY).map(|_| transaction(&block, &offsets)).collect::<Vec<_>>();
    let interval = Fsync::Interval(Duration::from_millis(100));
    let lz4 = EmbeddedSettings { compression: Compression::Lz4, ..settings(Fsync::Os) };
    let cases = [
        ("os", settings(Fsync::Os)),
        ("interval", settings(interval)),
        ("commit", settings(Fsync::Commit)),
        ("os, lz4", lz4),
    ];
    for (name, settings) in cases {
        let (_folder, log, _) = embedded(settings);
        group.bench_function(name, |b| b.iter(|| append(&log, batch())));
    }
    group.throughput(Throughput::Elements(RECORDS as u64));
    for (name, fsync) in [("os, one by one", Fsync::Os), ("commit, one by one", Fsync::Commit)] {
        let (_folder, log, _) = embedded(settings(fsync));
        group.bench_function(name, |b| b.iter(|| append(&log, vec![transaction(&block, &offsets)])));
    }
    group.finish();
}

fn small_appends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append 1 x 200 B");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    let block = block().slice(0..1);
    for (name, fsync) in [("os", Fsync::Os), ("commit", Fsync::Commit)] {
        let (_folder, log, _) = embedded(settings(fsync));
        group.bench_function(name, |b| b.iter(|| append(&log, vec![transaction(&block, &block)])));
    }
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read 200 x 1000 x 200 B");
    let total = RECORDS * 200;
    group.throughput(Throughput::Elements(total as u64)).sample_size(20).measurement_time(Duration::from_secs(3));
    let fill = |log: &dyn TopicLog| {
        for _ in 0..200 {
            append(log, vec![transaction(&block(), &block().slice(0..1))]);
        }
    };
    let cold = EmbeddedSettings { cache_bytes: 0, segment_bytes: 16 << 20, ..settings(Fsync::Os) };
    for (name, settings) in [("tail", settings(Fsync::Os)), ("segments", cold)] {
        let (_folder, log, topic) = embedded(settings);
        fill(&log);
        group.bench_function(name, |b| b.iter(|| black_box(scan(&log, topic, 0, total as i64))));
    }
    let memory = MemoryLog::new();
    let topic = create(&memory);
    fill(&memory);
    group.bench_function("memory", |b| b.iter(|| black_box(scan(&memory, topic, 0, total as i64))));
    group.finish();
}

criterion_group!(benches, appends, small_appends, reads);
criterion_main!(benches);
