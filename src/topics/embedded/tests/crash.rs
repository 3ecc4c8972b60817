//! What a crash leaves behind, byte by byte, and a process that is killed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::{Folder, settings};
use crate::topics::conformance::{append, create, read, transaction};
use crate::topics::embedded::{EmbeddedLog, EmbeddedSettings, Fsync, OpenError};
use crate::topics::{CleanupPolicy, TopicConfig, TopicLog};

/// A closed folder with commits to two topics, and the position of each frame and of the end.
fn written(fsync: Fsync) -> (Folder, Vec<usize>) {
    let mut folder = Folder::new(EmbeddedSettings { fsync, ..settings() });
    let log = Arc::clone(folder.embedded());
    create(&*log, "t", 1);
    create(&*log, "u", 1);
    let segment = folder.folder.path().join("00000000000000000001.log");
    let mut positions = vec![];
    for i in 0..4 {
        positions.push(usize::try_from(fs::metadata(&segment).unwrap().len()).unwrap());
        append(&*log, &[("t", 0, &format!("k={i} l={i}")), ("u", 0, &format!("m={i}"))]);
    }
    positions.push(usize::try_from(fs::metadata(&segment).unwrap().len()).unwrap());
    drop(log);
    folder.close();
    (folder, positions)
}

/// Opens the folder with other bytes in its segment.
fn open_with(folder: &Path, segment: &[u8]) -> Result<EmbeddedLog, OpenError> {
    fs::write(folder.join("00000000000000000001.log"), segment).unwrap();
    EmbeddedLog::open(folder, EmbeddedSettings { fsync: Fsync::Os, ..settings() })
}

const THREE: (&str, &str) = ("0:k=0 1:l=0 2:k=1 3:l=1 4:k=2 5:l=2", "0:m=0 1:m=1 2:m=2");

fn content(log: &dyn TopicLog) -> (String, String) {
    (read(log, "t", 0), read(log, "u", 0))
}

#[test]
fn a_commit_cut_at_any_byte_is_gone_and_those_before_are_there() {
    let (folder, positions) = written(Fsync::Commit);
    let path = folder.folder.path();
    let whole = fs::read(path.join("00000000000000000001.log")).unwrap();
    assert_eq!(whole.len(), positions[4]);
    for length in positions[3]..positions[4] {
        let log = open_with(path, &whole[..length]).unwrap();
        assert_eq!(content(&log), (THREE.0.into(), THREE.1.into()), "cut at {length}");
        assert_eq!(append(&log, &[("t", 0, "n=1"), ("u", 0, "n=1")]), "committed 6 3");
        drop(log);
        let log = EmbeddedLog::open(path, settings()).unwrap();
        assert_eq!(content(&log), (format!("{} 6:n=1", THREE.0), format!("{} 3:n=1", THREE.1)));
    }
    let log = open_with(path, &whole).unwrap();
    assert!(content(&log).0.ends_with("7:l=3"));
}

#[test]
fn any_damaged_byte_of_the_last_commit_makes_it_torn() {
    let (folder, positions) = written(Fsync::Commit);
    let path = folder.folder.path();
    let whole = fs::read(path.join("00000000000000000001.log")).unwrap();
    for at in positions[3]..positions[4] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let log = open_with(path, &damaged).unwrap();
        assert_eq!(content(&log), (THREE.0.into(), THREE.1.into()), "damaged at {at}");
    }
    let mut zeroed = whole[..positions[3]].to_vec();
    zeroed.resize(whole.len() + 5000, 0);
    assert_eq!(content(&open_with(path, &zeroed).unwrap()), (THREE.0.into(), THREE.1.into()));
}

#[test]
fn damage_below_what_was_flushed_is_refused_and_changes_nothing() {
    let (folder, positions) = written(Fsync::Commit);
    let path = folder.folder.path();
    let whole = fs::read(path.join("00000000000000000001.log")).unwrap();
    for at in positions[1]..positions[2] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let error = open_with(path, &damaged).unwrap_err();
        let OpenError::Damaged { position, .. } = error else { panic!("{error}") };
        assert_eq!(position, positions[1] as u64);
    }
    assert!(open_with(path, &whole).is_ok());
}

#[test]
fn what_was_never_flushed_is_cut_at_the_first_hole() {
    let (folder, positions) = written(Fsync::Os);
    let path = folder.folder.path();
    let mut holed = fs::read(path.join("00000000000000000001.log")).unwrap();
    holed[positions[1]..positions[2]].fill(0);
    let log = open_with(path, &holed).unwrap();
    assert_eq!(content(&log), ("0:k=0 1:l=0".into(), "0:m=0".into()));
}

#[test]
fn a_record_that_holds_a_frame_is_not_mistaken_for_one() {
    let (mut folder, positions) = written(Fsync::Commit);
    let segment = folder.folder.path().join("00000000000000000001.log");
    let frame = fs::read(&segment).unwrap()[positions[1]..positions[4]].to_vec();
    folder.open();
    let record = crate::types::Record { value: Some(frame.into()), ..Default::default() };
    let entry = crate::topics::PartitionRecords {
        topic: "t".into(),
        partition: crate::types::Partition(0),
        records: [&record].into_iter().collect(),
    };
    let answer = crate::topics::conformance::outcome(|done| {
        folder.embedded().append(crate::topics::Transaction { records: vec![entry] }, done);
    });
    assert!(matches!(answer, crate::topics::CommitOutcome::Committed(_)));
    folder.close();
    let mut torn = fs::read(&segment).unwrap();
    torn[positions[4]] ^= 1;
    let log = open_with(folder.folder.path(), &torn).unwrap();
    assert!(content(&log).0.ends_with("7:l=3"));
}

#[test]
fn sealed_segments_do_without_their_index_and_are_not_read_when_damaged() {
    let mut folder = Folder::new(EmbeddedSettings { segment_bytes: 300, ..settings() });
    create(&**folder.embedded(), "t", 1);
    let mut expected = vec![];
    for i in 0..30 {
        append(&**folder.embedded(), &[("t", 0, &format!("k={i}"))]);
        expected.push(format!("{i}:k={i}"));
    }
    folder.close();
    let path = folder.folder.path().to_owned();
    let indexes: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
    let indexes: Vec<_> = indexes.into_iter().filter(|path| path.extension().is_some_and(|e| e == "index")).collect();
    assert!(indexes.len() > 3);
    fs::remove_file(&indexes[0]).unwrap();
    let mut damaged = fs::read(&indexes[1]).unwrap();
    damaged[50] ^= 1;
    fs::write(&indexes[1], damaged).unwrap();
    let mut damaged_heads = fs::read(&indexes[2]).unwrap();
    *damaged_heads.last_mut().unwrap() ^= 1;
    fs::write(&indexes[2], damaged_heads).unwrap();
    folder.open();
    assert_eq!(read(&**folder.embedded(), "t", 0), expected.join(" "));
    folder.close();
    let segment = indexes[3].with_extension("log");
    let mut damaged = fs::read(&segment).unwrap();
    let end = damaged.len() - 1;
    damaged[end] ^= 1;
    fs::write(&segment, damaged).unwrap();
    folder.open();
    let error = crate::topics::conformance::read_from(&**folder.embedded(), "t", 0, 0).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[test]
fn old_segments_that_cleaning_did_not_come_to_remove_count_for_nothing() {
    let mut folder = Folder::new(EmbeddedSettings { segment_bytes: 400, ..settings() });
    let config = TopicConfig { cleanup: CleanupPolicy::Compact, ..TopicConfig::default() };
    folder.embedded().create_topic("t", &config).unwrap();
    create(&**folder.embedded(), "u", 1);
    for i in 0..40 {
        let entries = [("t", 0, &format!("k{}={i}", i % 3)[..]), ("u", 0, &format!("k={i}"))];
        append(&**folder.embedded(), &entries[..if i % 9 == 0 { 2 } else { 1 }]);
    }
    folder.close();
    let path = folder.folder.path().to_owned();
    let mut before = vec![];
    for entry in fs::read_dir(&path).unwrap() {
        let file = entry.unwrap().path();
        before.push((file.clone(), fs::read(&file).unwrap()));
    }
    folder.open();
    folder.embedded().clean().unwrap();
    let cleaned = content(&**folder.embedded());
    assert_eq!(cleaned.0, "37:k1=37 38:k2=38 39:k0=39");
    for _ in 0..2 {
        folder.close();
        for (file, bytes) in before.iter().filter(|(file, _)| !file.exists()) {
            fs::write(file, bytes).unwrap();
        }
        folder.open();
        assert_eq!(content(&**folder.embedded()), cleaned);
        folder.embedded().clean().unwrap();
        assert_eq!(content(&**folder.embedded()), cleaned);
    }
}

#[test]
fn half_made_files_are_cleared_away() {
    let (mut folder, _) = written(Fsync::Commit);
    let path = folder.folder.path().to_owned();
    fs::write(path.join("00000000000000000009.tmp"), "half").unwrap();
    fs::write(path.join("topics.json.tmp"), "{").unwrap();
    fs::write(path.join("00000000000000000002.log"), "THALW").unwrap();
    folder.open();
    assert!(content(&**folder.embedded()).0.ends_with("7:l=3"));
    assert!(!path.join("00000000000000000002.log").exists() && !path.join("topics.json.tmp").exists());
}

#[test]
fn newer_formats_are_refused_by_name() {
    let (folder, _) = written(Fsync::Commit);
    let path = folder.folder.path();
    let segment = fs::read(path.join("00000000000000000001.log")).unwrap();
    let mut newer = segment.clone();
    newer[8] = 2;
    let refused = open_with(path, &newer).unwrap_err().to_string();
    assert!(refused.ends_with("00000000000000000001.log has format version 2, this program reads versions up to 1"));
    fs::write(path.join("00000000000000000001.log"), segment).unwrap();
    let topics = fs::read_to_string(path.join("topics.json")).unwrap();
    fs::write(path.join("topics.json"), topics.replace("\"version\":1", "\"version\":7")).unwrap();
    let refused = EmbeddedLog::open(path, settings()).unwrap_err().to_string();
    assert!(refused.contains("topics.json has format version 7"), "{refused}");
}

/// Set for the process that is to be killed: the folder it writes.
const VICTIM: &str = "THALWEG_TEST_VICTIM_LOG";

/// Does nothing, unless it is the process to be killed: then it commits until it dies and prints what was acknowledged.
#[test]
fn victim() {
    let Some(folder) = std::env::var_os(VICTIM) else { return };
    let fsync = if folder.to_string_lossy().contains("os") { Fsync::Os } else { Fsync::Commit };
    let small = EmbeddedSettings { fsync, segment_bytes: 20_000, ..settings() };
    let log = EmbeddedLog::open(Path::new(&folder), small).unwrap();
    for topic in ["t", "u"] {
        if log.topic(topic).unwrap().is_none() {
            create(&log, topic, 1);
        }
    }
    let next = |topic| log.offsets(log.topic(topic).unwrap().unwrap().id).unwrap()[0].end.0;
    for number in next("t").. {
        let acknowledge = move |outcome| {
            assert!(matches!(outcome, crate::topics::CommitOutcome::Committed(_)));
            let mut out = std::io::stdout().lock();
            writeln!(out, "acknowledged {number}").unwrap();
            out.flush().unwrap();
        };
        let text = format!("k={number}");
        log.append(transaction(&[("t", 0, &text), ("u", 0, &text)]), Box::new(acknowledge));
        if number % 100 == 0 {
            log.committer("wait").unwrap();
            log.clean().unwrap();
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_and_no_half() {
    for policy in ["os", "commit"] {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(policy);
        for round in 1..=4 {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "topics::embedded::tests::crash::victim", "--nocapture", "--test-threads=1"])
                .env(VICTIM, &folder)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            let mut acknowledged = lines.filter_map(|line| line.rsplit_once("acknowledged ")?.1.parse::<i64>().ok());
            let mut last = acknowledged.nth(round * 137).unwrap();
            child.kill().unwrap();
            last = last.max(acknowledged.last().unwrap_or(last));
            child.wait().unwrap();
            let log = EmbeddedLog::open(&folder, settings()).unwrap();
            let (t, u) = content(&log);
            assert_eq!(t, u, "both or none");
            let numbers: Vec<_> = t.split(' ').map(str::to_owned).collect();
            assert!(numbers.len() as i64 > last, "{} records, {last} was acknowledged", numbers.len());
            for (i, found) in numbers.iter().enumerate() {
                assert_eq!(*found, format!("{i}:k={i}"));
            }
        }
    }
}
