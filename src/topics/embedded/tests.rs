//! The embedded log against the suite, and what only a log on disk can do wrong.

mod crash;
mod model;
mod old_copy;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use super::cleaner::Effort;
use super::journal::DiskFault;
use super::{Compression, EmbeddedLog, EmbeddedSettings, Fsync, OpenError};
use crate::topics::conformance::{
    self, DELETE_RETENTION_MS, MAX_RECORD_BYTES, Subject, append, conformance_suite, create, read, transaction,
};
use crate::topics::memory::Fault;
use crate::topics::{CleanupPolicy, CommitOutcome, PartitionRecords, TopicConfig, TopicLog, Transaction};
use crate::types::{EventTime, Offset, Partition, Record};

/// A log in a folder of its own, with a clock that is moved by hand.
pub(super) struct Folder {
    pub(super) folder: TempDir,
    pub(super) settings: EmbeddedSettings,
    clock: Arc<AtomicI64>,
    log: Option<Arc<EmbeddedLog>>,
}

impl Folder {
    pub(super) fn new(settings: EmbeddedSettings) -> Self {
        let mut new = Self { folder: tempfile::tempdir().unwrap(), settings, clock: Arc::default(), log: None };
        new.open();
        new
    }

    fn open(&mut self) {
        let clock = Arc::clone(&self.clock);
        let now_ms = Arc::new(move || clock.load(Ordering::Relaxed));
        self.log = Some(Arc::new(EmbeddedLog::open_at(self.folder.path(), self.settings.clone(), now_ms).unwrap()));
    }

    pub(super) fn embedded(&self) -> &Arc<EmbeddedLog> {
        self.log.as_ref().unwrap()
    }

    pub(super) fn close(&mut self) {
        let log = self.log.take().map(|log| Arc::into_inner(log).expect("nobody else holds the log"));
        drop(log);
    }

    fn plan(&self, fault: DiskFault) {
        self.embedded().shared().faults.planned.lock().push_back(fault);
    }
}

pub(super) fn settings() -> EmbeddedSettings {
    EmbeddedSettings {
        max_record_bytes: MAX_RECORD_BYTES,
        delete_retention: Duration::from_millis(DELETE_RETENTION_MS.unsigned_abs()),
        cleanup_interval: Duration::from_secs(3600),
        ..EmbeddedSettings::default()
    }
}

impl Subject for Folder {
    fn log(&self) -> Arc<dyn TopicLog> {
        Arc::clone(self.embedded()) as Arc<dyn TopicLog>
    }

    fn reopen(&mut self) {
        // The suite may hold the old log: it ends when its threads are told to, like a process that is killed.
        if let Some(log) = self.log.take() {
            log.close();
        }
        self.open();
    }

    fn pass_time_and_clean(&mut self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
        self.embedded().clean().unwrap();
    }

    fn fail_next(&mut self, fault: Fault) {
        match fault {
            Fault::Abort => self.plan(DiskFault::Full),
            Fault::UnknownApplied => self.plan(DiskFault::Lies),
            Fault::UnknownLost => self.plan(DiskFault::Torn),
            Fault::Fence => drop(self.log().committer("q").unwrap()),
        }
    }

    fn open_transaction(&mut self, transaction: Transaction, commits: bool) -> Box<dyn FnOnce()> {
        let log = Arc::clone(self.embedded());
        // An answer that does not return holds the writer; the transaction waits behind it.
        let (held, is_held) = mpsc::sync_channel::<()>(1);
        let (release, released) = mpsc::sync_channel::<()>(1);
        let hold = move |_| {
            held.send(()).unwrap();
            released.recv().unwrap();
        };
        log.append(Transaction::default(), Box::new(hold));
        is_held.recv().unwrap();
        let (sender, answered) = mpsc::sync_channel(1);
        log.append(transaction, Box::new(move |outcome| sender.send(outcome).unwrap()));
        if !commits {
            self.plan(DiskFault::Full);
        }
        Box::new(move || {
            release.send(()).unwrap();
            answered.recv().unwrap();
        })
    }
}

mod plain {
    use super::{Folder, conformance_suite, settings};
    conformance_suite!(Folder::new(settings()));
}

/// Small segments, nothing kept in memory, compressed, not flushed: every read goes to the disk.
mod cold {
    use super::{Compression, EmbeddedSettings, Folder, Fsync, conformance_suite, settings};
    conformance_suite!(Folder::new(EmbeddedSettings {
        fsync: Fsync::Os,
        compression: Compression::Lz4,
        cache_bytes: 0,
        segment_bytes: 200,
        ..settings()
    }));
}

fn files(folder: &Path, extension: &str) -> usize {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|found| found == extension)).count()
}

#[test]
fn a_log_is_never_open_twice() {
    let mut folder = Folder::new(settings());
    let refused = EmbeddedLog::open(folder.folder.path(), settings()).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    folder.close();
    EmbeddedLog::open(folder.folder.path(), settings()).unwrap();
}

#[test]
fn what_was_handed_over_is_written_when_the_log_ends() {
    let mut folder = Folder::new(EmbeddedSettings { fsync: Fsync::Interval(Duration::from_secs(60)), ..settings() });
    create(&**folder.embedded(), "t", 1);
    let (sender, receiver) = mpsc::sync_channel(100);
    for i in 0..100 {
        let sender = sender.clone();
        let done = Box::new(move |outcome| sender.send(outcome).unwrap());
        folder.embedded().append(transaction(&[("t", 0, &format!("k={i}"))]), done);
    }
    folder.close();
    assert_eq!(receiver.try_iter().count(), 100);
    folder.open();
    assert!(read(&**folder.embedded(), "t", 0).ends_with(" 99:k=99"));
}

#[test]
fn dead_segments_are_removed_and_the_living_copied_out() {
    let mut folder = Folder::new(EmbeddedSettings { segment_bytes: 2000, cache_bytes: 0, ..settings() });
    let log = Arc::clone(folder.embedded());
    let config = TopicConfig { cleanup: CleanupPolicy::Compact, ..TopicConfig::default() };
    log.create_topic("table", &config).unwrap();
    create(&*log, "gone", 1);
    create(&*log, "kept", 1);
    for i in 0..200 {
        let value = "x".repeat(100);
        let gone = format!("g={value}");
        append(&*log, &[("table", 0, &format!("k{}={i}", i % 3)), ("gone", 0, &gone)]);
        if i % 50 == 0 {
            append(&*log, &[("kept", 0, &format!("k={i}"))]);
        }
    }
    let before = files(folder.folder.path(), "log");
    log.delete_topic("gone").unwrap();
    log.clean().unwrap();
    let after = files(folder.folder.path(), "log");
    assert!(before > 10 && after <= 4, "{before} segments, {after} after cleaning");
    drop(log);
    for _ in 0..2 {
        let log = Arc::clone(folder.embedded());
        assert_eq!(read(&*log, "table", 0), "197:k2=197 198:k0=198 199:k1=199");
        assert_eq!(read(&*log, "kept", 0), "0:k=0 1:k=50 2:k=100 3:k=150");
        log.clean().unwrap();
        drop(log);
        folder.reopen();
    }
    assert!(files(folder.folder.path(), "log") <= 4);
}

#[test]
fn after_an_unknown_outcome_nothing_is_written_until_the_log_is_opened_again() {
    let mut folder = Folder::new(settings());
    create(&**folder.embedded(), "t", 1);
    append(&**folder.embedded(), &[("t", 0, "a=1")]);
    folder.plan(DiskFault::Torn);
    assert_eq!(append(&**folder.embedded(), &[("t", 0, "b=2")]), "unknown");
    let refused = append(&**folder.embedded(), &[("t", 0, "c=3")]);
    assert!(refused.starts_with("aborted: cannot write to the log: an earlier write failed"), "{refused}");
    assert_eq!(read(&**folder.embedded(), "t", 0), "0:a=1");
    folder.reopen();
    assert_eq!(append(&**folder.embedded(), &[("t", 0, "c=3")]), "committed 1");
    assert_eq!(read(&**folder.embedded(), "t", 0), "0:a=1 1:c=3");
}

#[test]
fn a_full_queue_refuses_and_does_not_wait() {
    let mut folder = Folder::new(EmbeddedSettings { queue_bytes: 300, ..settings() });
    create(&**folder.embedded(), "t", 1);
    let finish = folder.open_transaction(transaction(&[("t", 0, "a=1")]), true);
    let (sender, receiver) = mpsc::sync_channel(10);
    for _ in 0..2 {
        let sender = sender.clone();
        let done = Box::new(move |outcome| sender.send(conformance::told(outcome)).unwrap());
        folder.embedded().append(transaction(&[("t", 0, "b=1")]), done);
    }
    let refused = receiver.recv().unwrap();
    assert!(refused.starts_with("aborted: a transaction of 142 bytes finds"), "{refused}");
    finish();
    assert_eq!(receiver.recv().unwrap(), "committed 1");
}

#[test]
fn a_reader_keeps_its_place_while_segments_are_cleaned_away() {
    let folder = Folder::new(EmbeddedSettings { segment_bytes: 500, cache_bytes: 0, ..settings() });
    let log = folder.embedded();
    let config = TopicConfig { cleanup: CleanupPolicy::Compact, ..TopicConfig::default() };
    let id = log.create_topic("t", &config).unwrap().id;
    for i in 0..100 {
        append(&**log, &[("t", 0, &format!("k{}={i}", i % 7))]);
    }
    let first = log.read(id, Partition(0), Offset(0), 1).unwrap();
    assert_eq!((first.records.len(), first.next), (1, Offset(1)));
    log.clean().unwrap();
    let next = log.read(id, Partition(0), first.next, 1 << 20).unwrap();
    assert!(next.records.get(0).offset >= Offset(90) && next.end == Offset(100));
}

#[test]
fn the_background_compacts_what_gained_enough() {
    let folder = Folder::new(EmbeddedSettings { segment_bytes: 64 << 10, fsync: Fsync::Os, ..settings() });
    let log = folder.embedded();
    let config = TopicConfig { cleanup: CleanupPolicy::Compact, ..TopicConfig::default() };
    log.create_topic("t", &config).unwrap();
    let value = "x".repeat(1000);
    for i in 0..100 {
        let batch: String = (0..10).map(|n| format!("k{}={value} ", (i + n) % 20)).collect();
        append(&**log, &[("t", 0, &batch)]);
    }
    log.shared().clean(Effort::Background).unwrap();
    let held: u64 =
        std::fs::read_dir(folder.folder.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
    assert!(held < 300_000, "{held} bytes are left of a million");
    let found = read(&**log, "t", 0);
    assert!((0..20).all(|key| found.contains(&format!(":k{key}="))));
}

#[test]
fn a_commit_still_queued_when_its_committer_is_fenced_never_takes_effect() {
    let mut folder = Folder::new(settings());
    let log = Arc::clone(folder.embedded());
    create(&*log, "t", 1);
    let old = log.committer("q").unwrap();
    let finish = folder.open_transaction(transaction(&[("t", 0, "a=1")]), true);
    let (sender, receiver) = mpsc::sync_channel(1);
    old.commit(transaction(&[("t", 0, "b=2")]), Box::new(move |outcome| sender.send(outcome).unwrap()));
    let opener = Arc::clone(&log);
    let opening = std::thread::spawn(move || drop(opener.committer("q").unwrap()));
    while !log.shared().queue.is_fenced(&("q".into(), 1)) {
        std::thread::yield_now();
    }
    finish();
    opening.join().unwrap();
    assert_eq!(receiver.recv().unwrap(), CommitOutcome::Fenced);
    assert_eq!(read(&*log, "t", 0), "0:a=1");
}

#[test]
fn expired_segments_stay_until_the_new_starts_are_on_disk() {
    let mut folder = Folder::new(EmbeddedSettings { segment_bytes: 500, ..settings() });
    let config = TopicConfig { retention_ms: Some(10), ..TopicConfig::default() };
    let id = folder.embedded().create_topic("t", &config).unwrap().id;
    for i in 0..100 {
        append(&**folder.embedded(), &[("t", 0, &format!("k={i}"))]);
    }
    // Where the new topics.json would be written stands a folder: as on a disk that is full, the write fails.
    let obstacle = folder.folder.path().join("topics.json.tmp");
    std::fs::create_dir(&obstacle).unwrap();
    folder.clock.fetch_add(1000, Ordering::Relaxed);
    for _ in 0..2 {
        folder.embedded().clean().unwrap_err();
    }
    std::fs::remove_dir(&obstacle).unwrap();
    folder.reopen();
    assert_eq!(folder.embedded().offsets(id).unwrap()[0].end, Offset(100), "offsets are never given twice");
}

#[test]
fn a_log_that_cannot_be_written_says_so_until_it_can() {
    let folder = Folder::new(settings());
    let log = folder.log();
    log.create_topic("t", &TopicConfig::default()).unwrap();
    let write = || {
        let record = Record { key: None, value: None, timestamp: EventTime(1), headers: vec![] };
        let records = [&record].into_iter().collect();
        let records = vec![PartitionRecords { topic: "t".into(), partition: Partition(0), records }];
        let (sender, answered) = mpsc::sync_channel(1);
        log.append(Transaction { records }, Box::new(move |outcome| sender.send(outcome).unwrap()));
        answered.recv().unwrap()
    };
    let told = || log.trouble().is_some();
    write();
    assert!(!told());
    folder.plan(DiskFault::Full);
    assert!(matches!(write(), CommitOutcome::Aborted(_)) && told());
    assert!(matches!(write(), CommitOutcome::Committed(_)) && !told());
    folder.plan(DiskFault::Torn);
    assert!(matches!(write(), CommitOutcome::Unknown(_)) && told());
    assert!(!matches!(write(), CommitOutcome::Committed(_)) && told());
}
