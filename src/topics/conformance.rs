//! The suite every log passes: what the contract of [`TopicLog`] promises, tried on each implementor.
//!
//! An implementor names its [`Subject`] and calls `conformance_suite!`; each promise becomes a test of its own.
//! Records are written as text: `k=v` for key and value, `-` for null, `k=v@7` with event time 7.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::memory::Fault;
use super::{CleanupPolicy, CommitOutcome, PartitionRecords, TopicConfig, TopicError, TopicId, TopicLog, Transaction};
use crate::types::{EventTime, Header, Offset, Partition, Record, RecordBlock};

/// A log under test, with the hands that reach behind it.
pub(super) trait Subject {
    /// The log; another one after [`Subject::reopen`].
    fn log(&self) -> Arc<dyn TopicLog>;
    /// Ends the process's life and starts the next, as far as the log can tell.
    fn reopen(&mut self);
    /// Lets time pass, then retention and compaction do their work to the end.
    fn pass_time_and_clean(&mut self, ms: i64);
    /// How many copies of a topic it can keep.
    fn replicas(&self) -> i16 {
        2
    }
    /// Has the next commit go wrong.
    fn fail_next(&mut self, fault: Fault);
    /// Brings a transaction on its way but not to its end; the returned call ends it, with a commit or an abort.
    fn open_transaction(&mut self, transaction: Transaction, commits: bool) -> Box<dyn FnOnce()>;
}

/// The record limit every subject is made with.
pub(super) const MAX_RECORD_BYTES: usize = 100_000;
/// How long every subject's compaction keeps null values.
pub(super) const DELETE_RETENTION_MS: i64 = 60_000;

/// Makes a test of each promise; `$subject` is an expression that gives a fresh subject.
macro_rules! conformance_suite {
    ($subject:expr) => {
        $crate::topics::conformance::conformance_suite! { $subject;
            a_topic_is_made_described_and_deleted
            a_topic_made_again_is_another_topic
            topic_names_and_partition_counts_are_checked
            reads_give_ranges_in_offset_order
            nulls_empties_times_and_headers_come_back
            small_batches_are_gathered_and_large_ones_cut
            a_transaction_is_atomic_over_topics
            an_empty_transaction_commits
            a_transaction_refused_for_one_entry_leaves_nothing
            an_aborted_commit_can_be_sent_again
            an_unknown_commit_is_applied_or_lost_whole
            a_new_committer_fences_the_old
            a_fenced_committer_stays_fenced
            readers_stay_behind_an_open_transaction
            an_aborted_open_transaction_is_never_read
            notices_name_the_partitions_that_grew
            commits_of_one_committer_keep_their_order
            retention_moves_the_start
            compaction_keeps_the_last_of_each_key
            compaction_drops_old_deletions
            what_is_sent_is_readable_when_it_is_answered
            a_record_over_the_limit_is_refused
            everything_survives_reopening
        }
    };
    ($subject:expr; $($name:ident)*) => {$(
        #[test]
        fn $name() {
            $crate::topics::conformance::$name(&mut $subject);
        }
    )*};
}
pub(super) use conformance_suite;

/// Records from text such as `k=v -=x@5 k=-`.
pub(super) fn records(text: &str) -> RecordBlock {
    let side = |text: &str| (text != "-").then(|| Bytes::copy_from_slice(text.as_bytes()));
    let record = |word: &str| {
        let (pair, time) = word.split_once('@').unwrap_or((word, "0"));
        let (key, value) = pair.split_once('=').unwrap();
        let timestamp = EventTime(time.parse().unwrap());
        Record { key: side(key), value: side(value), timestamp, headers: vec![] }
    };
    text.split_whitespace().map(record).collect::<Vec<_>>().iter().collect()
}

/// A transaction from entries of topic, partition and records.
pub(super) fn transaction(entries: &[(&str, i32, &str)]) -> Transaction {
    let entry = |(topic, partition, text): &(&str, i32, &str)| PartitionRecords {
        topic: (*topic).into(),
        partition: Partition(*partition),
        records: records(text),
    };
    Transaction { records: entries.iter().map(entry).collect() }
}

/// Hands over a transaction and waits for its answer.
pub(super) fn outcome(hand_over: impl FnOnce(super::OnCommit)) -> CommitOutcome {
    let (sender, receiver) = mpsc::sync_channel(1);
    hand_over(Box::new(move |outcome| sender.send(outcome).unwrap()));
    receiver.recv().unwrap()
}

/// Appends and gives the answer as text: `committed 0 3`, `aborted: …`, `fenced`, `unknown`.
pub(super) fn append(log: &dyn TopicLog, entries: &[(&str, i32, &str)]) -> String {
    told(outcome(|done| log.append(transaction(entries), done)))
}

pub(super) fn told(outcome: CommitOutcome) -> String {
    match outcome {
        CommitOutcome::Committed(offsets) => {
            offsets.iter().fold(String::from("committed"), |text, offset| format!("{text} {offset}"))
        }
        CommitOutcome::Aborted(error) => format!("aborted: {error}"),
        CommitOutcome::Fenced => "fenced".into(),
        CommitOutcome::Unknown(_) => "unknown".into(),
    }
}

fn id(log: &dyn TopicLog, name: &str) -> TopicId {
    log.topic(name).unwrap().unwrap().id
}

/// Everything in a partition from an offset on, read piece by piece: `3:k=v@7 4:-=x`.
pub(super) fn read_from(log: &dyn TopicLog, topic: &str, partition: i32, from: i64) -> Result<String, TopicError> {
    let mut words = Vec::new();
    let mut from = Offset(from);
    loop {
        let fetch = log.read(id(log, topic), Partition(partition), from, 1 << 20)?;
        for record in fetch.records.iter() {
            assert!(record.offset >= from && record.offset < fetch.next && fetch.next <= fetch.end);
            let side = |bytes: Option<&[u8]>| bytes.map_or("-".into(), |b| String::from_utf8_lossy(b).into_owned());
            let time = if record.timestamp.0 == 0 { String::new() } else { format!("@{}", record.timestamp) };
            words.push(format!("{}:{}={}{time}", record.offset, side(record.key), side(record.value)));
        }
        if fetch.next >= fetch.end {
            return Ok(words.join(" "));
        }
        assert!(fetch.next > from, "a read before the end moves on");
        from = fetch.next;
    }
}

/// Everything in a partition.
pub(super) fn read(log: &dyn TopicLog, topic: &str, partition: i32) -> String {
    let start = log.offsets(id(log, topic)).unwrap()[usize::try_from(partition).unwrap()].start;
    read_from(log, topic, partition, start.0).unwrap()
}

fn ranges(log: &dyn TopicLog, topic: &str) -> String {
    let ranges = log.offsets(id(log, topic)).unwrap();
    ranges.iter().map(|r| format!("{}..{}", r.start, r.end)).collect::<Vec<_>>().join(" ")
}

pub(super) fn create(log: &dyn TopicLog, name: &str, partitions: i32) {
    log.create_topic(name, &TopicConfig { partitions, ..TopicConfig::default() }).unwrap();
}

pub(super) fn a_topic_is_made_described_and_deleted(subject: &mut dyn Subject) {
    let log = subject.log();
    let (cleanup, retention_ms) = (CleanupPolicy::CompactDelete, Some(1000));
    let config = TopicConfig { partitions: 3, replicas: subject.replicas(), cleanup, retention_ms };
    let info = log.create_topic("orders", &config).unwrap();
    assert_eq!((info.name.as_str(), &info.config), ("orders", &config));
    assert_eq!(log.topic("orders").unwrap(), Some(info.clone()));
    assert_eq!(log.topics().unwrap().into_values().collect::<Vec<_>>(), std::slice::from_ref(&info));
    assert_eq!(ranges(&*log, "orders"), "0..0 0..0 0..0");
    assert_eq!(log.create_topic("orders", &config), Err(TopicError::TopicExists("orders".into())));
    log.delete_topic("orders").unwrap();
    assert_eq!(log.topic("orders").unwrap(), None);
    assert_eq!(log.delete_topic("orders"), Err(TopicError::UnknownTopic("orders".into())));
    assert!(log.offsets(info.id).is_err() && log.read(info.id, Partition(0), Offset(0), 1).is_err());
}

pub(super) fn a_topic_made_again_is_another_topic(subject: &mut dyn Subject) {
    let log = subject.log();
    create(&*log, "t", 1);
    let first = id(&*log, "t");
    append(&*log, &[("t", 0, "a=1")]);
    log.delete_topic("t").unwrap();
    create(&*log, "t", 1);
    assert_ne!(id(&*log, "t"), first);
    assert_eq!(read(&*log, "t", 0), "");
    assert!(matches!(log.read(first, Partition(0), Offset(0), 1), Err(TopicError::UnknownTopic(_))));
    append(&*log, &[("t", 0, "b=2")]);
    subject.reopen();
    let log = subject.log();
    assert_eq!(read(&*log, "t", 0), "0:b=2");
    log.delete_topic("t").unwrap();
    subject.reopen();
    create(&*subject.log(), "t", 1);
    assert_eq!(read(&*subject.log(), "t", 0), "");
}

pub(super) fn topic_names_and_partition_counts_are_checked(subject: &mut dyn Subject) {
    let log = subject.log();
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a b", "a/b", "ü", &long] {
        let refused = log.create_topic(name, &TopicConfig::default());
        assert!(matches!(refused, Err(TopicError::InvalidName { .. })), "{name}");
    }
    for name in ["a", "...", "A.b_c-9", &long[1..]] {
        create(&*log, name, 1);
    }
    for partitions in [0, -1, i32::MAX] {
        let refused = log.create_topic("p", &TopicConfig { partitions, ..TopicConfig::default() });
        assert_eq!(refused, Err(TopicError::InvalidPartitions(partitions)));
    }
}

pub(super) fn reads_give_ranges_in_offset_order(subject: &mut dyn Subject) {
    let log = subject.log();
    create(&*log, "t", 2);
    assert_eq!(append(&*log, &[("t", 1, "a=1 b=2 c=3")]), "committed 0");
    assert_eq!(append(&*log, &[("t", 1, "d=4"), ("t", 0, "x=9"), ("t", 1, "e=5")]), "committed 3 0 4");
    assert_eq!(read(&*log, "t", 1), "0:a=1 1:b=2 2:c=3 3:d=4 4:e=5");
    assert_eq!(read_from(&*log, "t", 1, 2).unwrap(), "2:c=3 3:d=4 4:e=5");
    assert_eq!(read(&*log, "t", 0), "0:x=9");
    assert_eq!(ranges(&*log, "t"), "0..1 0..5");
    let topic = id(&*log, "t");
    for from in [5, 6, 1000] {
        let fetch = log.read(topic, Partition(1), Offset(from), 100).unwrap();
        assert!(fetch.records.is_empty());
        assert_eq!((fetch.next, fetch.end), (Offset(from), Offset(5)));
    }
    let before = log.read(topic, Partition(1), Offset(-1), 100).unwrap_err();
    assert_eq!(before, TopicError::OffsetOutOfRange { offset: Offset(-1), start: Offset(0) });
    for partition in [-1, 2] {
        let unknown = log.read(topic, Partition(partition), Offset(0), 100).unwrap_err();
        assert!(matches!(unknown, TopicError::UnknownPartition { partitions: 2, .. }));
    }
}

pub(super) fn nulls_empties_times_and_headers_come_back(subject: &mut dyn Subject) {
    let header = |key: &str, value: Option<&'static [u8]>| Header { key: key.into(), value: value.map(Bytes::from) };
    let sides = [None, Some(Bytes::new()), Some(Bytes::from_static(b"\x00\xff"))];
    let headers =
        [vec![], vec![header("h", None)], vec![header("h", Some(b"1")), header("", Some(b"")), header("h", None)]];
    let times = [0, -1, i64::MIN, i64::MAX, 1_700_000_000_000];
    let mut all = vec![];
    for (i, timestamp) in times.iter().cycle().take(45).enumerate() {
        let (key, value) = (sides[i % 3].clone(), sides[i / 3 % 3].clone());
        all.push(Record { key, value, timestamp: EventTime(*timestamp), headers: headers[i / 9 % 3].clone() });
    }
    create(&*subject.log(), "t", 1);
    let entry = PartitionRecords { topic: "t".into(), partition: Partition(0), records: all.iter().collect() };
    let answer = outcome(|done| subject.log().append(Transaction { records: vec![entry] }, done));
    assert_eq!(answer, CommitOutcome::Committed(vec![Offset(0)]));
    for _ in 0..2 {
        let log = subject.log();
        let fetch = log.read(id(&*log, "t"), Partition(0), Offset(0), 1 << 20).unwrap();
        assert_eq!(fetch.records.iter().map(Record::from).collect::<Vec<_>>(), all);
        subject.reopen();
    }
}

pub(super) fn small_batches_are_gathered_and_large_ones_cut(subject: &mut dyn Subject) {
    let log = subject.log();
    create(&*log, "t", 1);
    for i in 0..10 {
        append(&*log, &[("t", 0, &format!("k={i}"))]);
    }
    let large = "x".repeat(50_000);
    append(&*log, &[("t", 0, &format!("k={large} l={large} m={large}"))]);
    let topic = id(&*log, "t");
    let lens = |from, max_bytes| {
        let fetch = log.read(topic, Partition(0), Offset(from), max_bytes).unwrap();
        (fetch.records.len(), fetch.next.0)
    };
    let gathered = lens(0, 1 << 20);
    assert!(gathered == (10, 10) || gathered == (13, 13), "{gathered:?}: the small batches, perhaps the large one too");
    let (len, next) = lens(3, 6);
    assert!((1..=3).contains(&len) && next == 3 + len as i64);
    assert_eq!((lens(0, 0), lens(10, 0)), ((1, 1), (1, 11)));
    assert_eq!(lens(10, 110_000), (2, 12));
    assert_eq!(lens(11, 1 << 20), (2, 13));
}

pub(super) fn a_transaction_is_atomic_over_topics(subject: &mut dyn Subject) {
    let log = subject.log();
    for topic in ["output", "changelog", "offsets"] {
        create(&*log, topic, 2);
    }
    let committer = log.committer("q1").unwrap();
    let entries = [("output", 0, "a=1 b=2"), ("output", 1, "c=3"), ("changelog", 1, "s=1"), ("offsets", 0, "q1=3")];
    let answer = outcome(|done| committer.commit(transaction(&entries), done));
    assert_eq!(told(answer), "committed 0 0 0 0");
    for _ in 0..2 {
        let log = subject.log();
        assert_eq!(read(&*log, "output", 0), "0:a=1 1:b=2");
        assert_eq!(read(&*log, "output", 1), "0:c=3");
        assert_eq!((read(&*log, "changelog", 1), read(&*log, "offsets", 0)), ("0:s=1".into(), "0:q1=3".into()));
        subject.reopen();
    }
}

pub(super) fn what_is_sent_is_readable_when_it_is_answered(subject: &mut dyn Subject) {
    let log = subject.log();
    create(&*log, "t", 2);
    let committer = log.committer("q").unwrap();
    let send = |entries: &[(&str, i32, &str)]| told(outcome(|done| committer.send(transaction(entries), done)));
    assert_eq!(send(&[("t", 0, "a=1 a=2"), ("t", 1, "b=1")]), "committed 0 0");
    assert_eq!(read(&*log, "t", 0), "0:a=1 1:a=2");
    assert_eq!(send(&[]), "committed");
    assert_eq!(send(&[("t", 0, "a=3"), ("t", 0, ""), ("t", 0, "a=4")]), "committed 2 3 3");
    assert_eq!(told(outcome(|done| committer.commit(transaction(&[("t", 0, "a=5")]), done))), "committed 4");
    for i in 6..20 {
        assert_eq!(send(&[("t", 0, &format!("a={i}"))]), format!("committed {}", i - 1));
    }
    let expected: Vec<_> = (1..20).map(|i| format!("{}:a={i}", i - 1)).collect();
    assert_eq!(read(&*log, "t", 0), expected.join(" "));
    assert_eq!(send(&[("u", 0, "a=1")]), "aborted: topic u does not exist");
    let large = format!("a={}", "x".repeat(MAX_RECORD_BYTES));
    assert!(send(&[("t", 0, &large)]).starts_with("aborted: a record of"));
    // Who lost the id is told by a commit at the latest, and sends nothing after it.
    let other = log.committer("q").unwrap();
    assert_eq!(told(outcome(|done| committer.commit(transaction(&[("t", 0, "z=1")]), done))), "fenced");
    assert_eq!(send(&[("t", 0, "z=2")]), "fenced");
    let answer = outcome(|done| other.send(transaction(&[("t", 1, "b=2")]), done));
    assert_eq!(told(answer), "committed 1");
    assert_eq!(read(&*log, "t", 0), expected.join(" "));
}

pub(super) fn an_empty_transaction_commits(subject: &mut dyn Subject) {
    let log = subject.log();
    create(&*log, "t", 1);
    assert_eq!(append(&*log, &[]), "committed");
    assert_eq!(append(&*log, &[("t", 0, ""), ("t", 0, "a=1"), ("t", 0, "")]), "committed 0 0 1");
    assert_eq!(read(&*log, "t", 0), "0:a=1");
}

pub(super) fn a_transaction_refused_for_one_entry_leaves_nothing(subject: &mut dyn Subject) {
    let log = subject.log();
    create(&*log, "t", 1);
    assert_eq!(append(&*log, &[("t", 0, "a=1"), ("u", 0, "b=1")]), "aborted: topic u does not exist");
    assert_eq!(
        append(&*log, &[("t", 0, "a=1"), ("t", 1, "b=1")]),
        "aborted: topic t has 1 partitions, there is no partition 1"
    );
    assert_eq!(append(&*log, &[("t", 0, "c=1")]), "committed 0");
    assert_eq!(read(&*log, "t", 0), "0:c=1");
}

pub(super) fn an_aborted_commit_can_be_sent_again(subject: &mut dyn Subject) {
    create(&*subject.log(), "t", 1);
    let committer = subject.log().committer("q").unwrap();
    let commit = || outcome(|done| committer.commit(transaction(&[("t", 0, "a=1")]), done));
    subject.fail_next(Fault::Abort);
    assert!(matches!(commit(), CommitOutcome::Aborted(TopicError::Storage { .. })));
    assert_eq!(read(&*subject.log(), "t", 0), "");
    assert!(matches!(commit(), CommitOutcome::Committed(_)));
    assert!(read(&*subject.log(), "t", 0).ends_with(":a=1"));
}

pub(super) fn an_unknown_commit_is_applied_or_lost_whole(subject: &mut dyn Subject) {
    create(&*subject.log(), "t", 1);
    create(&*subject.log(), "u", 1);
    append(&*subject.log(), &[("t", 0, "a=0"), ("u", 0, "b=0")]);
    for fault in [Fault::UnknownApplied, Fault::UnknownLost] {
        subject.fail_next(fault);
        assert_eq!(append(&*subject.log(), &[("t", 0, "a=1"), ("u", 0, "b=1")]), "unknown");
        subject.reopen();
        let log = subject.log();
        let sides = [read(&*log, "t", 0).matches("a=1").count(), read(&*log, "u", 0).matches("b=1").count()];
        assert_eq!(sides[0], sides[1], "both or none");
        assert!(read(&*log, "t", 0).starts_with("0:a=0"));
        assert!(append(&*log, &[("t", 0, "c=1")]).starts_with("committed"));
    }
}

pub(super) fn a_new_committer_fences_the_old(subject: &mut dyn Subject) {
    let log = subject.log();
    create(&*log, "t", 1);
    let commit = |committer: &Arc<dyn super::Committer>, text: &str| {
        told(outcome(|done| committer.commit(transaction(&[("t", 0, text)]), done)))
    };
    let old = log.committer("q").unwrap();
    let other = log.committer("r").unwrap();
    assert_eq!(commit(&old, "a=1"), "committed 0");
    let new = log.committer("q").unwrap();
    assert_eq!(commit(&old, "a=2"), "fenced");
    assert_eq!(commit(&new, "a=3"), "committed 1");
    assert_eq!(commit(&old, "a=4"), "fenced");
    assert_eq!(commit(&other, "a=5"), "committed 2");
    assert_eq!(read(&*log, "t", 0), "0:a=1 1:a=3 2:a=5");
}

pub(super) fn a_fenced_committer_stays_fenced(subject: &mut dyn Subject) {
    create(&*subject.log(), "t", 1);
    let committer = subject.log().committer("q").unwrap();
    subject.fail_next(Fault::Fence);
    for _ in 0..2 {
        let answer = outcome(|done| committer.commit(transaction(&[("t", 0, "a=1")]), done));
        assert_eq!(answer, CommitOutcome::Fenced);
    }
    assert_eq!(read(&*subject.log(), "t", 0), "");
}

pub(super) fn readers_stay_behind_an_open_transaction(subject: &mut dyn Subject) {
    let log = subject.log();
    create(&*log, "t", 1);
    append(&*log, &[("t", 0, "a=1")]);
    let finish = subject.open_transaction(transaction(&[("t", 0, "b=2")]), true);
    assert_eq!(read(&*log, "t", 0), "0:a=1");
    assert_eq!(ranges(&*log, "t"), "0..1");
    finish();
    assert_eq!(read(&*log, "t", 0), "0:a=1 1:b=2");
}

pub(super) fn an_aborted_open_transaction_is_never_read(subject: &mut dyn Subject) {
    let log = subject.log();
    create(&*log, "t", 1);
    append(&*log, &[("t", 0, "a=1")]);
    let finish = subject.open_transaction(transaction(&[("t", 0, "b=2")]), false);
    finish();
    append(&*log, &[("t", 0, "c=3")]);
    let left = read(&*log, "t", 0);
    assert!(left.starts_with("0:a=1 ") && left.ends_with(":c=3") && !left.contains("b=2"), "{left}");
}

pub(super) fn notices_name_the_partitions_that_grew(subject: &mut dyn Subject) {
    let log = subject.log();
    create(&*log, "t", 3);
    create(&*log, "u", 1);
    let (sender, receiver) = mpsc::sync_channel(100);
    let sender = Mutex::new(sender);
    log.notify(Arc::new(move |topic, partition| sender.lock().send((topic, partition)).unwrap()));
    append(&*log, &[("t", 2, "a=1"), ("u", 0, "b=1"), ("t", 2, "c=1")]);
    let grown: BTreeSet<_> = [receiver.recv().unwrap(), receiver.recv().unwrap()].into();
    assert_eq!(grown, BTreeSet::from([(id(&*log, "t"), Partition(2)), (id(&*log, "u"), Partition(0))]));
    let refused = append(&*log, &[("t", 1, "a=1"), ("v", 0, "b=1")]);
    assert!(refused.starts_with("aborted"));
    append(&*log, &[("t", 0, "d=1")]);
    assert_eq!(receiver.recv().unwrap(), (id(&*log, "t"), Partition(0)));
    assert!(receiver.try_recv().is_err());
}

pub(super) fn commits_of_one_committer_keep_their_order(subject: &mut dyn Subject) {
    let log = subject.log();
    create(&*log, "t", 1);
    let committer = log.committer("q").unwrap();
    let (sender, receiver) = mpsc::sync_channel(500);
    for i in 0..500 {
        let sender = sender.clone();
        let done: super::OnCommit = Box::new(move |outcome| sender.send((i, told(outcome))).unwrap());
        committer.commit(transaction(&[("t", 0, &format!("k={i}"))]), done);
    }
    for i in 0..500 {
        assert_eq!(receiver.recv().unwrap(), (i, format!("committed {i}")));
    }
    let expected: Vec<_> = (0..500).map(|i| format!("{i}:k={i}")).collect();
    assert_eq!(read(&*log, "t", 0), expected.join(" "));
}

pub(super) fn retention_moves_the_start(subject: &mut dyn Subject) {
    let log = subject.log();
    let config = TopicConfig { retention_ms: Some(10_000), partitions: 2, ..TopicConfig::default() };
    log.create_topic("t", &config).unwrap();
    create(&*log, "kept", 1);
    append(&*log, &[("t", 0, "a=1 b=2"), ("kept", 0, "k=1"), ("t", 1, "x=1")]);
    subject.pass_time_and_clean(20_000);
    append(&*log, &[("t", 0, "c=3")]);
    subject.pass_time_and_clean(1_000);
    for _ in 0..2 {
        let log = subject.log();
        assert_eq!(ranges(&*log, "t"), "2..3 1..1");
        let gone = read_from(&*log, "t", 0, 1).unwrap_err();
        assert_eq!(gone, TopicError::OffsetOutOfRange { offset: Offset(1), start: Offset(2) });
        assert_eq!(read(&*log, "t", 0), "2:c=3");
        assert_eq!(read(&*log, "kept", 0), "0:k=1");
        subject.reopen();
    }
    let log = subject.log();
    assert_eq!(append(&*log, &[("t", 0, "d=4"), ("t", 1, "y=2")]), "committed 3 1");
    assert_eq!(read(&*log, "t", 0), "2:c=3 3:d=4");
}

pub(super) fn compaction_keeps_the_last_of_each_key(subject: &mut dyn Subject) {
    let log = subject.log();
    let config = TopicConfig { cleanup: CleanupPolicy::Compact, ..TopicConfig::default() };
    log.create_topic("t", &config).unwrap();
    create(&*log, "plain", 1);
    append(&*log, &[("t", 0, "a=1@5 b=1 -=x a=2 c=1"), ("plain", 0, "a=1 a=2")]);
    append(&*log, &[("t", 0, "c=- a=3@7")]);
    append(&*log, &[("t", 0, "d=1")]);
    subject.pass_time_and_clean(1_000);
    for _ in 0..2 {
        let log = subject.log();
        assert_eq!(read(&*log, "t", 0), "1:b=1 2:-=x 5:c=- 6:a=3@7 7:d=1");
        assert_eq!(read_from(&*log, "t", 0, 3).unwrap(), "5:c=- 6:a=3@7 7:d=1");
        assert_eq!(read(&*log, "plain", 0), "0:a=1 1:a=2");
        assert_eq!(ranges(&*log, "t"), "0..8");
        subject.reopen();
    }
    let log = subject.log();
    assert_eq!(append(&*log, &[("t", 0, "b=2")]), "committed 8");
    subject.pass_time_and_clean(1_000);
    assert_eq!(read(&*subject.log(), "t", 0), "2:-=x 5:c=- 6:a=3@7 7:d=1 8:b=2");
}

pub(super) fn compaction_drops_old_deletions(subject: &mut dyn Subject) {
    let log = subject.log();
    let config = TopicConfig { cleanup: CleanupPolicy::Compact, ..TopicConfig::default() };
    log.create_topic("t", &config).unwrap();
    append(&*log, &[("t", 0, "a=1 b=1 a=-")]);
    subject.pass_time_and_clean(1_000);
    assert_eq!(read(&*log, "t", 0), "1:b=1 2:a=-");
    append(&*log, &[("t", 0, "c=1 b=-")]);
    subject.pass_time_and_clean(DELETE_RETENTION_MS - 500);
    assert_eq!(read(&*log, "t", 0), "3:c=1 4:b=-");
    subject.pass_time_and_clean(DELETE_RETENTION_MS);
    for _ in 0..2 {
        let log = subject.log();
        assert_eq!(read(&*log, "t", 0), "3:c=1");
        assert_eq!(ranges(&*log, "t"), "0..5");
        subject.reopen();
    }
    assert_eq!(append(&*subject.log(), &[("t", 0, "e=1")]), "committed 5");
}

pub(super) fn a_record_over_the_limit_is_refused(subject: &mut dyn Subject) {
    let log = subject.log();
    create(&*log, "t", 1);
    let fits = "x".repeat(MAX_RECORD_BYTES - 1);
    assert_eq!(append(&*log, &[("t", 0, &format!("k={fits}"))]), "committed 0");
    let refused = append(&*log, &[("t", 0, &format!("a=1 k={fits}y"))]);
    let message = "aborted: a record of 100001 bytes passes the limit of 100000 bytes (topics.max.record.bytes)";
    assert_eq!(refused, message);
    assert_eq!(read(&*log, "t", 0), format!("0:k={fits}"));
}

pub(super) fn everything_survives_reopening(subject: &mut dyn Subject) {
    create(&*subject.log(), "t", 2);
    let mut expected = [vec![], vec![]];
    for life in 0..4 {
        let log = subject.log();
        for i in 0..5 {
            let partition = (life + i) % 2;
            let line = &mut expected[usize::try_from(partition).unwrap()];
            line.push(format!("{}:k={life}.{i}", line.len()));
            append(&*log, &[("t", partition, &format!("k={life}.{i}"))]);
        }
        subject.reopen();
        for partition in [0, 1] {
            assert_eq!(read(&*subject.log(), "t", partition), expected[usize::try_from(partition).unwrap()].join(" "));
        }
    }
}
