//! The memory log against the suite, and what only it can do.

use std::sync::Arc;

use super::{Fault, MemoryLog, MemorySettings};
use crate::topics::conformance::{
    DELETE_RETENTION_MS, MAX_RECORD_BYTES, Subject, append, conformance_suite, create, outcome, read, told, transaction,
};
use crate::topics::{Committer, TopicLog, Transaction};

impl Subject for MemoryLog {
    fn log(&self) -> Arc<dyn TopicLog> {
        Arc::new(self.clone())
    }

    fn reopen(&mut self) {}

    fn pass_time_and_clean(&mut self, ms: i64) {
        self.advance_time(ms);
        self.clean();
    }

    fn fail_next(&mut self, fault: Fault) {
        self.faults().fail_next(fault);
    }

    fn open_transaction(&mut self, transaction: Transaction, commits: bool) -> Box<dyn FnOnce()> {
        let open = MemoryLog::open_transaction(self, &transaction).unwrap();
        Box::new(move || if commits { open.commit() } else { open.abort() })
    }
}

conformance_suite!(MemoryLog::with_settings(MemorySettings {
    max_record_bytes: MAX_RECORD_BYTES,
    delete_retention_ms: DELETE_RETENTION_MS,
}));

#[test]
fn later_commits_wait_for_an_open_transaction() {
    let mut log = MemoryLog::new();
    create(&log, "t", 2);
    let open = MemoryLog::open_transaction(&log, &transaction(&[("t", 0, "a=1 b=2")])).unwrap();
    assert_eq!(append(&log, &[("t", 0, "c=3"), ("t", 1, "x=1")]), "committed 2 0");
    assert_eq!((read(&log, "t", 0), read(&log, "t", 1)), (String::new(), "0:x=1".into()));
    Subject::open_transaction(&mut log, transaction(&[("t", 1, "y=2")]), true)();
    open.abort();
    assert_eq!((read(&log, "t", 0), read(&log, "t", 1)), ("2:c=3".into(), "0:x=1 1:y=2".into()));
}

#[test]
fn a_fault_for_one_committer_leaves_others_alone() {
    let log = MemoryLog::new();
    create(&log, "t", 1);
    let (one, two) = (log.committer("one").unwrap(), log.committer("two").unwrap());
    log.faults().fail_next_of("two", Fault::UnknownApplied);
    let commit =
        |committer: &Arc<dyn Committer>| told(outcome(|done| committer.commit(transaction(&[("t", 0, "a=1")]), done)));
    assert_eq!(commit(&one), "committed 0");
    assert_eq!(commit(&two), "unknown");
    assert_eq!(commit(&two), "committed 2");
}
