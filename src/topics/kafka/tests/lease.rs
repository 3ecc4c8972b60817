//! The lease against a real broker: who has it, who gets it next, and how soon.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Broker;
use crate::topics::kafka::{KafkaLog, KafkaSettings};
use crate::topics::{Claim, Ownership, TopicConfig, TopicLog};

/// Bounds a hang.
const LIMIT: Duration = Duration::from_secs(60);

/// A server of the service, as far as the lease goes.
struct Server {
    log: KafkaLog,
    told: Arc<(Mutex<Vec<Ownership>>, Condvar)>,
}

impl Server {
    fn start(settings: &KafkaSettings, topic: &str, instance: &str) -> Self {
        let log = KafkaLog::connect(settings.clone()).unwrap();
        let told = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let claim = Claim { topic: topic.to_owned(), instance: instance.to_owned(), url: format!("http://{instance}") };
        let slot = Arc::clone(&told);
        log.own(
            claim,
            Arc::new(move |ownership| {
                slot.0.lock().push(ownership.clone());
                slot.1.notify_all();
            }),
        )
        .unwrap();
        Self { log, told }
    }

    /// Waits for something to be told; how long that took.
    fn wait(&self, expected: &Ownership) -> Duration {
        let began = Instant::now();
        let mut told = self.told.0.lock();
        while told.last() != Some(expected) {
            assert!(!self.told.1.wait_for(&mut told, LIMIT).timed_out(), "{expected:?} did not come: {told:?}");
        }
        began.elapsed()
    }
}

fn standby_of(owner: &str) -> Ownership {
    Ownership::Standby { owner: Some(format!("http://{owner}")) }
}

fn place() -> Option<(Broker, String)> {
    let broker = Broker::new()?;
    let topic = broker.name("commands");
    broker.log.create_topic(&topic, &TopicConfig::default()).unwrap();
    Some((broker, topic))
}

#[test]
fn one_owns_the_service_and_another_stands_by_until_it_is_given_back() {
    let Some((broker, topic)) = place() else { return };
    let first = Server::start(&broker.settings, &topic, "first");
    first.wait(&Ownership::Owned);
    first.log.committer(&broker.name("c")).unwrap();
    let second = Server::start(&broker.settings, &topic, "second");
    second.wait(&standby_of("first"));
    assert!(second.log.committer(&broker.name("c")).is_err());
    let began = Instant::now();
    first.log.close();
    let closed = began.elapsed();
    second.wait(&Ownership::Owned);
    println!("given back in {closed:?}, taken over in {:?}", began.elapsed());
    second.log.committer(&broker.name("c")).unwrap();
    assert_eq!(*first.told.0.lock(), [Ownership::Owned]);
}

#[test]
fn whoever_has_the_same_name_has_the_place_at_once_and_the_former_has_lost_it() {
    let Some((broker, topic)) = place() else { return };
    let first = Server::start(&broker.settings, &topic, "first");
    first.wait(&Ownership::Owned);
    let standby = Server::start(&broker.settings, &topic, "second");
    standby.wait(&standby_of("first"));
    let again = Server::start(&broker.settings, &topic, "first");
    println!("taken back in {:?}", again.wait(&Ownership::Owned));
    let reason = "another server took the place of instance first in the group".to_owned();
    println!("fenced after {:?}", first.wait(&Ownership::Lost { reason }));
    assert!(first.log.committer(&broker.name("c")).is_err());
    assert_eq!(*standby.told.0.lock(), [standby_of("first")]);
}
