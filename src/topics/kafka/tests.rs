//! The Kafka log against the suite, on a real broker: `THALWEG_KAFKA=host:port` names it (`scripts/kafka start`).
//! Without one the tests say so and pass.

mod administrator;
mod dense;
mod lease;

pub(crate) use self::administrator::Administrator;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use self::dense::Dense;
use super::delivery::Deliveries;
use super::native::end_transaction;
use super::numbers::Counted;
use super::{KafkaLog, KafkaSettings, record_time};
use crate::topics::conformance::{self, MAX_RECORD_BYTES, Subject};
use crate::topics::memory::Fault;
use crate::topics::{Committer, OffsetRange, ReaderGroup, TopicConfig, TopicError, TopicLog, Transaction};
use crate::types::{Offset, Partition};

/// Topics of one test on the broker; they go when the test is over.
pub(super) struct Broker {
    settings: KafkaSettings,
    /// Before all names, so that tests do not meet.
    prefix: String,
    log: Arc<KafkaLog>,
}

impl Broker {
    /// A test's part of the broker, if there is one.
    pub(super) fn new() -> Option<Self> {
        let Some(address) = std::env::var("THALWEG_KAFKA").ok().filter(|address| !address.is_empty()) else {
            eprintln!("skipped: THALWEG_KAFKA names no broker (scripts/kafka start)");
            return None;
        };
        let prefix = format!("test-{:08x}-", fastrand::u32(..));
        let settings = KafkaSettings {
            bootstrap_servers: address,
            service_id: prefix.clone(),
            max_record_bytes: MAX_RECORD_BYTES,
            ..KafkaSettings::default()
        };
        let log = Arc::new(KafkaLog::open(settings.clone()).unwrap());
        Some(Self { settings, prefix, log })
    }

    pub(super) fn name(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        for name in self.log.topics().unwrap_or_default().into_keys().filter(|name| name.starts_with(&self.prefix)) {
            drop(self.log.delete_topic(&name));
        }
    }
}

impl Subject for Broker {
    fn log(&self) -> Arc<dyn TopicLog> {
        Arc::new(Dense::new(&self.log, &self.settings, &self.prefix))
    }

    fn reopen(&mut self) {
        self.log = Arc::new(KafkaLog::open(self.settings.clone()).unwrap());
    }

    fn pass_time_and_clean(&mut self, _: i64) {
        unreachable!("a broker's time cannot be moved")
    }

    fn replicas(&self) -> i16 {
        1
    }

    fn fail_next(&mut self, fault: Fault) {
        match fault {
            Fault::Fence => drop(self.log().committer("q").unwrap()),
            Fault::Abort | Fault::UnknownApplied | Fault::UnknownLost => self.log.fail_next(fault),
        }
    }

    fn open_transaction(&mut self, transaction: Transaction, commits: bool) -> Box<dyn FnOnce()> {
        let id = self.name("open");
        let config = self.settings.producer(Some(&id));
        let producer: ThreadedProducer<Deliveries> =
            config.create_with_context(Deliveries::new(Counted::new(&Arc::default()))).unwrap();
        producer.init_transactions(Duration::from_secs(10)).unwrap();
        producer.begin_transaction().unwrap();
        producer.context().expect(1);
        for entry in &transaction.records {
            let topic = self.name(&entry.topic);
            for record in entry.records.iter() {
                let (timestamp, headers) = record_time::written(record.timestamp, record.headers);
                let record = BaseRecord::<[u8], [u8], usize> {
                    topic: &topic,
                    partition: Some(entry.partition.0),
                    payload: record.value,
                    key: record.key,
                    timestamp: Some(timestamp),
                    headers,
                    delivery_opaque: 0,
                };
                producer.send(record).map_err(|(error, _)| error).unwrap();
            }
        }
        producer.flush(Duration::from_secs(10)).unwrap();
        let log = Arc::clone(&self.log);
        let entry = transaction.records.into_iter().next().unwrap();
        let topic = self.name(&entry.topic);
        Box::new(move || {
            let (_, last) = producer.context().take().offsets[0].unwrap();
            end_transaction(&producer, commits, Duration::from_secs(10)).unwrap();
            // The markers are written behind the answer.
            log.cluster().committed(vec![(topic, entry.partition, last.next())]);
        })
    }
}

macro_rules! on_a_broker {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            if let Some(mut broker) = Broker::new() {
                conformance::$name(&mut broker);
            }
        }
    )*};
}

// What is left out needs a broker's time to be moved; see below for retention.
on_a_broker! {
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
    what_is_sent_is_readable_when_it_is_answered
    a_record_over_the_limit_is_refused
    everything_survives_reopening
}

#[test]
fn records_that_the_broker_removed_are_out_of_range() {
    let Some(mut broker) = Broker::new() else { return };
    let log = broker.log();
    conformance::create(&*log, "t", 1);
    assert_eq!(conformance::append(&*log, &[("t", 0, "a=1 b=2 c=3")]), "committed 0");
    assert_eq!(conformance::read(&*log, "t", 0), "0:a=1 1:b=2 2:c=3");
    broker.log.cluster().delete_records(&broker.name("t"), 0, Offset(2));
    broker.reopen();
    let id = broker.log.topic(&broker.name("t")).unwrap().unwrap().id;
    let gone = broker.log.read(id, Partition(0), Offset(1), 100).unwrap_err();
    assert_eq!(gone, TopicError::OffsetOutOfRange { offset: Offset(1), start: Offset(2) });
    assert_eq!(conformance::read_from(&*broker.log, &broker.name("t"), 0, 2).unwrap(), "2:c=3");
}

#[test]
fn a_topic_that_somebody_else_made_again_is_another_topic() {
    let Some(broker) = Broker::new() else { return };
    let log = broker.log();
    conformance::create(&*log, "t", 1);
    conformance::append(&*log, &[("t", 0, "a=1")]);
    assert_eq!(conformance::read(&*log, "t", 0), "0:a=1");
    let (name, first) = (broker.name("t"), log.topic("t").unwrap().unwrap().id);
    let others = KafkaSettings { service_id: broker.name("others"), ..broker.settings.clone() };
    let others = KafkaLog::open(others).unwrap();
    others.delete_topic(&name).unwrap();
    assert_eq!(log.topic("t").unwrap(), None);
    others.create_topic(&name, &TopicConfig::default()).unwrap();
    assert_ne!(log.topic("t").unwrap().unwrap().id, first);
    assert!(matches!(log.offsets(first), Err(TopicError::UnknownTopic(_))));
    assert_eq!(conformance::append(&*log, &[("t", 0, "b=2")]), "committed 0");
    assert_eq!(conformance::read(&*log, "t", 0), "0:b=2");
}

#[test]
fn offsets_have_gaps_where_transactions_ended() {
    let Some(broker) = Broker::new() else { return };
    let log = &broker.log;
    let name = broker.name("t");
    let id = log.create_topic(&name, &TopicConfig::default()).unwrap().id;
    for (text, expected) in [("a=1", "committed 0"), ("b=2 c=3", "committed 2"), ("d=4", "committed 5")] {
        assert_eq!(conformance::append(&**log, &[(name.as_str(), 0, text)]), expected);
    }
    assert_eq!(log.offsets(id).unwrap(), [OffsetRange { start: Offset(0), end: Offset(7) }]);
    assert_eq!(conformance::read_from(&**log, &name, 0, 0).unwrap(), "0:a=1 2:b=2 3:c=3 5:d=4");
    assert_eq!(conformance::read_from(&**log, &name, 0, 4).unwrap(), "5:d=4");
}

#[test]
fn other_programs_see_how_far_readers_have_come() {
    let Some(broker) = Broker::new() else { return };
    let log = &broker.log;
    let (topic, group) = (broker.name("t"), broker.name("group"));
    let id = log.create_topic(&topic, &TopicConfig::default()).unwrap().id;
    conformance::append(&**log, &[(topic.as_str(), 0, "a=1 b=2 c=3")]);
    let tool: BaseConsumer =
        broker.settings.consumer().set("group.id", &group).set("allow.auto.create.topics", "false").create().unwrap();
    let committed = || {
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic, 0);
        let told = tool.committed_offsets(list, Duration::from_secs(10)).unwrap();
        told.elements()[0].offset()
    };
    for offset in [2, 3] {
        let positions = vec![(id, Partition(0), Offset(offset))];
        log.show_groups(vec![ReaderGroup { name: group.clone(), positions }]);
        while committed() != rdkafka::Offset::Offset(offset) {
            std::thread::yield_now();
        }
    }
    log.forget_group(&group);
}

#[test]
fn the_end_of_a_partition_becomes_known_without_asking_for_it() {
    let Some(broker) = Broker::new() else { return };
    let log = &broker.log;
    let name = broker.name("t");
    let id = log.create_topic(&name, &TopicConfig::default()).unwrap().id;
    assert_eq!(log.known_offsets(id), None);
    log.watch(id, Partition(0)).unwrap();
    let others = KafkaSettings { service_id: broker.name("others"), ..broker.settings.clone() };
    let others = KafkaLog::open(others).unwrap();
    conformance::append(&others, &[(name.as_str(), 0, "a=1 b=2 c=3")]);
    let end = OffsetRange { start: Offset(0), end: Offset(4) };
    while log.known_offsets(id) != Some(vec![end]) {
        std::thread::yield_now();
    }
    let told = log.kafka_metrics().unwrap();
    assert!(told.answers && told.transactions.contains(&("committed", 0)));
}

/// What others do with an id of `broker`: they take it over.
fn take_over(broker: &Broker, id: &str) {
    let others = KafkaLog::open(KafkaSettings { service_id: broker.name("others"), ..broker.settings.clone() });
    drop(others.unwrap().committer(id).unwrap());
}

#[test]
fn an_owner_takes_an_id_again_that_brokers_shut_out() {
    let Some(broker) = Broker::new() else { return };
    let log = &broker.log;
    let (name, id) = (broker.name("t"), broker.name("q"));
    log.create_topic(&name, &TopicConfig::default()).unwrap();
    let owns = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&owns);
    log.cluster().rights.owned_if(Box::new(move || Ok(asked.load(Ordering::SeqCst))));
    let committer = log.committer(&id).unwrap();
    let commit_of = |committer: &dyn Committer, text: &str| {
        let transaction = conformance::transaction(&[(name.as_str(), 0, text)]);
        conformance::told(conformance::outcome(|done| committer.commit(transaction, done)))
    };
    let commit = |text: &str| commit_of(&*committer, text);
    assert_eq!(commit("a=1"), "committed 0");
    take_over(&broker, &id);
    // It may have been done: the brokers were asked to commit.
    assert_eq!(commit("b=2"), "unknown");
    let answer = commit("c=3");
    assert!(answer.starts_with("committed"), "{answer}");
    assert_eq!(log.trouble(), None);
    let texts = conformance::read_from(&**log, &name, 0, 0).unwrap();
    assert!(texts.starts_with("0:a=1 ") && texts.ends_with("c=3") && !texts.contains("b=2"), "{texts}");
    // A committer that another one of this process has followed takes nothing again.
    let next = log.committer(&id).unwrap();
    assert_eq!(commit("d=4"), "fenced");
    drop(next);
    let committer = log.committer(&id).unwrap();
    owns.store(false, Ordering::SeqCst);
    take_over(&broker, &id);
    assert_eq!(commit_of(&*committer, "e=5"), "fenced");
}
