//! The engine on a real cluster, of which others have their hands on the topics. `THALWEG_KAFKA=host:port` names it;
//! without one the tests say so and pass.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::{Engine, EngineParts, EngineSettings};
use crate::runtime::{RuntimeSettings, WallClock};
use crate::topics::kafka::{Administrator, KafkaLog, KafkaSettings};
use crate::topics::{Claim, CommitOutcome, Ownership, PartitionRecords, TopicConfig, TopicLog, Transaction};
use crate::types::{EventTime, Offset, Partition, RecordBlockBuilder, RecordView};

use super::run;

/// Bounds a hang, measures nothing.
const LONG: Duration = Duration::from_secs(60);

/// An engine of its own service, and somebody else who has rights on its topics.
struct Bench {
    settings: KafkaSettings,
    engine: Arc<Engine>,
    others: Administrator,
    /// Another client.
    log: KafkaLog,
}

impl Bench {
    fn new() -> Option<Self> {
        let Some(servers) = std::env::var("THALWEG_KAFKA").ok().filter(|address| !address.is_empty()) else {
            eprintln!("skipped: THALWEG_KAFKA names no broker (scripts/kafka start)");
            return None;
        };
        let service_id = format!("test-{:08x}", fastrand::u32(..));
        let settings = KafkaSettings { bootstrap_servers: servers.clone(), service_id, ..KafkaSettings::default() };
        let of_others = KafkaSettings { service_id: format!("{}-others", settings.service_id), ..settings.clone() };
        let log = KafkaLog::open(of_others).unwrap();
        let engine = Engine::open(EngineParts {
            log: Arc::new(owning(&settings, &log)),
            clock: Arc::new(WallClock::default()),
            settings: EngineSettings {
                service_id: settings.service_id.clone(),
                processing_log: false,
                runtime: RuntimeSettings { worker_threads: 2, ..RuntimeSettings::default() },
                ..EngineSettings::default()
            },
            cluster_id: String::new(),
            host: String::new(),
            scheduler: None,
        });
        let (engine, others) = (engine.unwrap(), Administrator::connect(&servers));
        Some(Self { settings, engine, others, log })
    }

    fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.settings.service_id)
    }

    /// Runs statements in which `$name` stands for a topic of this bench.
    fn run(&self, sql: &str) {
        let sql = sql.replace('$', &format!("{}-", self.settings.service_id));
        let told = run(&self.engine, &sql);
        assert!(!told.contains(": line "), "{sql}\n{told}");
    }

    /// Appends `key=number` records to a partition, as another program would.
    fn append(&self, topic: &str, partition: i32, records: &[(&str, i32)]) {
        let mut block = RecordBlockBuilder::default();
        for (key, number) in records {
            block.push(RecordView {
                offset: Offset(0),
                timestamp: EventTime(1_000),
                key: Some(key.as_bytes()),
                value: Some(format!("{{\"N\":{number}}}").as_bytes()),
                headers: &[],
            });
        }
        let (topic, partition) = (self.topic(topic), Partition(partition));
        let records = vec![PartitionRecords { topic, partition, records: block.finish() }];
        // A partition that a topic was given just now is not known everywhere yet.
        self.wait_until("records are appended", || {
            let transaction = Transaction { records: records.clone() };
            let (answer, answered) = std::sync::mpsc::sync_channel(1);
            self.log.append(transaction, Box::new(move |outcome| answer.send(outcome).unwrap()));
            matches!(answered.recv_timeout(LONG), Ok(CommitOutcome::Committed(_)))
        });
    }

    /// All records of a topic, sorted: `key value`.
    fn records(&self, topic: &str) -> Vec<String> {
        let info = self.log.topic(&self.topic(topic)).unwrap().unwrap();
        let mut lines = Vec::new();
        for (number, range) in (0..).zip(self.log.offsets(info.id).unwrap()) {
            let mut next = range.start;
            while next < range.end {
                let fetch = self.log.read(info.id, Partition(number), next, usize::MAX).unwrap();
                let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"null")).into_owned();
                lines.extend(fetch.records.iter().map(|record| format!("{} {}", text(record.key), text(record.value))));
                next = fetch.next;
            }
        }
        lines.sort();
        lines
    }

    fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + LONG;
        while !holds() {
            assert!(
                Instant::now() < deadline,
                "not within {LONG:?}: {what}; failed: {:?}",
                self.engine.failed_queries()
            );
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Waits until a query has failed; gives why.
    fn failure_of(&self, query: &str) -> String {
        let failure = || self.engine.failed_queries().into_iter().find(|(id, _)| id.contains(query));
        self.wait_until(&format!("query {query} fails"), || failure().is_some());
        failure().unwrap().1
    }

    /// A stream `S`, a query of it into `A`, and one of that into `B`, whose topic has these settings.
    fn chain(&self, of_b: &[(&str, &str)]) {
        self.others.create(&self.topic("b"), 1, of_b);
        self.run(
            "CREATE STREAM S (K STRING KEY, N INT) WITH (KAFKA_TOPIC='$s', VALUE_FORMAT='JSON', PARTITIONS=1);
             CREATE STREAM A WITH (KAFKA_TOPIC='$a') AS SELECT K, N FROM S;
             CREATE STREAM B WITH (KAFKA_TOPIC='$b') AS SELECT K, RPAD('', N, 'x') AS T FROM A;",
        );
    }
}

/// The log of the service's owner; `others` make what has to be there before.
fn owning(settings: &KafkaSettings, others: &KafkaLog) -> KafkaLog {
    let topic = format!("_thalweg-{}-owned", settings.service_id);
    others.create_topic(&topic, &TopicConfig::default()).unwrap();
    let log = KafkaLog::connect(settings.clone()).unwrap();
    let claim = Claim { topic, instance: "one".to_owned(), url: "http://one".to_owned() };
    let (answer, answered) = std::sync::mpsc::channel();
    let told = Arc::new(move |ownership: &Ownership| drop(answer.send(ownership.clone())));
    log.own(claim, told).unwrap();
    assert_eq!(answered.recv_timeout(LONG), Ok(Ownership::Owned));
    log
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.engine.shutdown();
        for name in self.log.topics().unwrap_or_default().into_keys() {
            if name.starts_with(&format!("{}-", self.settings.service_id))
                || name.starts_with(&format!("_thalweg-{}-", self.settings.service_id))
            {
                drop(self.log.delete_topic(&name));
            }
        }
    }
}

#[test]
fn partitions_that_a_topic_is_given_are_read_from_their_beginning() {
    let Some(bench) = Bench::new() else { return };
    bench.run(
        "CREATE STREAM S (K STRING KEY, N INT) WITH (KAFKA_TOPIC='$s', VALUE_FORMAT='JSON', PARTITIONS=1);
         CREATE STREAM A WITH (KAFKA_TOPIC='$a', PARTITIONS=1) AS SELECT K, N FROM S WHERE N > 0;
         CREATE TABLE SUMS WITH (KAFKA_TOPIC='$sums') AS SELECT K, SUM(N) AS TOTAL FROM S GROUP BY K;",
    );
    bench.append("s", 0, &[("a", 1), ("b", 2)]);
    assert!(bench.engine.wait_until_caught_up(LONG));
    bench.others.grow(&bench.topic("s"), 3);
    // Nobody has noticed yet.
    bench.append("s", 2, &[("a", 10), ("c", 20)]);
    bench.append("s", 1, &[("b", 100)]);
    bench.append("s", 0, &[("a", 1000)]);
    bench.wait_until("all rows are copied", || bench.records("a").len() == 6);
    assert!(bench.engine.wait_until_caught_up(LONG));
    let copied = ["a {\"N\":1000}", "a {\"N\":10}", "a {\"N\":1}", "b {\"N\":100}", "b {\"N\":2}", "c {\"N\":20}"];
    assert_eq!(bench.records("a"), copied);
    let sums = bench.records("sums");
    for last in ["a {\"TOTAL\":1011}", "b {\"TOTAL\":102}", "c {\"TOTAL\":20}"] {
        assert!(sums.iter().any(|record| record == last), "{last} in {sums:?}");
    }
}

#[test]
fn a_query_over_a_table_whose_topic_is_given_partitions_stops_and_says_why() {
    let Some(bench) = Bench::new() else { return };
    bench.run(
        "CREATE TABLE T (K STRING PRIMARY KEY, N INT) WITH (KAFKA_TOPIC='$t', VALUE_FORMAT='JSON', PARTITIONS=1);
         CREATE TABLE A WITH (KAFKA_TOPIC='$a', PARTITIONS=1) AS SELECT K, N FROM T;
         CREATE STREAM S (K STRING KEY, N INT) WITH (KAFKA_TOPIC='$s', VALUE_FORMAT='JSON', PARTITIONS=1);
         CREATE STREAM B WITH (KAFKA_TOPIC='$b', PARTITIONS=1) AS SELECT K, N FROM S;",
    );
    bench.append("t", 0, &[("a", 1)]);
    assert!(bench.engine.wait_until_caught_up(LONG));
    bench.others.grow(&bench.topic("t"), 2);
    bench.append("t", 1, &[("b", 2)]);
    let reason = bench.failure_of("CTAS_A");
    assert!(reason.contains("had 1 partitions and has 2"), "{reason}");
    bench.append("s", 0, &[("c", 3)]);
    bench.wait_until("the other query goes on", || bench.records("b") == ["c {\"N\":3}"]);
    bench.run("RESUME CTAS_A_1;");
    bench.wait_until("all rows are copied", || bench.records("a") == ["a {\"N\":1}", "b {\"N\":2}"]);
}

#[test]
fn a_deleted_sink_stops_its_query_alone() {
    let Some(bench) = Bench::new() else { return };
    bench.chain(&[]);
    bench.append("s", 0, &[("a", 1)]);
    bench.wait_until("rows go through", || bench.records("b") == ["a {\"T\":\"x\"}"]);
    bench.others.delete(&bench.topic("b"));
    bench.wait_until("brokers know that it is gone", || bench.log.topic(&bench.topic("b")).unwrap().is_none());
    bench.append("s", 0, &[("b", 2)]);
    bench.wait_until("the first query goes on", || bench.records("a").len() == 2);
    let reason = bench.failure_of("CSAS_B");
    assert!(reason.contains(&bench.topic("b")), "{reason}");
    bench.append("s", 0, &[("c", 3)]);
    bench.wait_until("the first query goes on", || bench.records("a").len() == 3);
    assert_eq!(bench.engine.failed_queries().len(), 1);
}

#[test]
fn a_record_that_the_sink_refuses_as_too_large_stops_its_query_alone() {
    let Some(bench) = Bench::new() else { return };
    bench.chain(&[("max.message.bytes", "2000"), ("compression.type", "uncompressed")]);
    bench.append("s", 0, &[("a", 1), ("b", 100_000), ("c", 3)]);
    bench.wait_until("the first query goes on", || bench.records("a").len() == 3);
    let reason = bench.failure_of("CSAS_B");
    assert!(reason.contains(&bench.topic("b")), "{reason}");
    bench.append("s", 0, &[("d", 4)]);
    bench.wait_until("the first query goes on", || bench.records("a").len() == 4);
    // What lies before the record is there once, nothing of what lies behind it.
    assert_eq!(bench.records("b"), ["a {\"T\":\"x\"}"]);
}

#[test]
fn a_right_that_is_taken_away_stops_its_query_alone_until_it_is_given_back() {
    let Some(bench) = Bench::new() else { return };
    bench.chain(&[]);
    bench.append("s", 0, &[("a", 1)]);
    bench.wait_until("rows go through", || bench.records("b") == ["a {\"T\":\"x\"}"]);
    if !bench.others.deny_writes(&bench.topic("b"), true) {
        eprintln!("skipped: the cluster knows no rights");
        return;
    }
    bench.wait_until("brokers know of it", || bench.others.shows_rights(&bench.topic("b")));
    bench.append("s", 0, &[("b", 2)]);
    bench.wait_until("the first query goes on", || bench.records("a").len() == 2);
    let reason = bench.failure_of("CSAS_B");
    assert!(reason.contains(&bench.topic("b")), "{reason}");
    bench.append("s", 0, &[("c", 3)]);
    bench.wait_until("the first query goes on", || bench.records("a").len() == 3);
    bench.others.deny_writes(&bench.topic("b"), false);
    bench.wait_until("brokers know of it", || !bench.others.shows_rights(&bench.topic("b")));
    bench.run("RESUME CSAS_B_2;");
    let all = ["a {\"T\":\"x\"}", "b {\"T\":\"xx\"}", "c {\"T\":\"xxx\"}"];
    bench.wait_until("all rows go through once", || bench.records("b") == all);
}
