//! A folder written by version 1 of the format is read by every later program.

use std::fs;
use std::path::Path;

use bytes::Bytes;

use super::{Folder, settings};
use crate::topics::conformance::{append, outcome, read};
use crate::topics::embedded::{Compression, EmbeddedLog, EmbeddedSettings};
use crate::topics::{CleanupPolicy, PartitionRecords, TopicConfig, TopicLog, Transaction};
use crate::types::{EventTime, Header, Offset, Partition, Record};

fn fixture() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/topics/embedded/fixtures/v1")
}

fn special() -> Record {
    let header = |key: &str, value: Option<&'static [u8]>| Header { key: key.into(), value: value.map(Bytes::from) };
    Record {
        key: None,
        value: Some(Bytes::from_static(b"\xff")),
        timestamp: EventTime(-5),
        headers: vec![header("a", Some(b"1")), header("b", None)],
    }
}

/// A sealed and compacted segment, and an active one: compressed and plain batches, gaps, headers.
fn write_folder() -> Folder {
    let mut folder = Folder::new(EmbeddedSettings { compression: Compression::Lz4, ..settings() });
    let log = folder.embedded();
    let config = TopicConfig { partitions: 2, cleanup: CleanupPolicy::Compact, ..TopicConfig::default() };
    log.create_topic("table", &config).unwrap();
    log.create_topic("plain", &TopicConfig { retention_ms: Some(1 << 40), ..TopicConfig::default() }).unwrap();
    let long = format!("long={}", "x".repeat(500));
    append(&**log, &[("table", 0, "a=1@10 b=2@20 a=3@30 c=-@40"), ("table", 1, "z=1"), ("plain", 0, &long)]);
    log.clean().unwrap();
    append(&**log, &[("table", 0, "b=9@50"), ("plain", 0, "p=1@60")]);
    let entry = PartitionRecords {
        topic: "plain".into(),
        partition: Partition(0),
        records: [&special()].into_iter().collect(),
    };
    outcome(|done| log.append(Transaction { records: vec![entry] }, done));
    folder.close();
    folder
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn the_first_version_is_still_read() {
    if std::env::var_os("THALWEG_UPDATE").is_some() && !fixture().exists() {
        fs::create_dir_all(fixture()).unwrap();
        copy_files(write_folder().folder.path(), &fixture());
    }
    let folder = tempfile::tempdir().unwrap();
    copy_files(&fixture(), folder.path());
    let log = EmbeddedLog::open(folder.path(), settings()).unwrap();
    assert_eq!(read(&log, "table", 0), "1:b=2@20 2:a=3@30 3:c=-@40 4:b=9@50");
    assert_eq!(read(&log, "table", 1), "0:z=1");
    assert!(read(&log, "plain", 0).starts_with("0:long=xxx"));
    let plain = log.topic("plain").unwrap().unwrap();
    assert_eq!(plain.config.retention_ms, Some(1 << 40));
    let last = log.read(plain.id, Partition(0), Offset(2), 100).unwrap();
    assert_eq!(Record::from(last.records.get(0)), special());
    assert_eq!(append(&log, &[("plain", 0, "q=1")]), "committed 3");
}
