//! What the clients of the cluster have done, and how their connections are: for `/metrics`, and a line when a broker
//! is lost or found.
//!
//! librdkafka tells each client's numbers every few seconds (`statistics.interval.ms`). They grow from the client's
//! start; what is kept here grows over all clients, also those that are gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Deserialize;

use crate::telemetry::{BrokerMetrics, KafkaMetrics};

/// The numbers of all clients of a log.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    clients_made: AtomicU64,
    transactions: [AtomicU64; Ended::ALL.len()],
    told: Mutex<Told>,
}

/// What clients told.
#[derive(Debug, Default)]
struct Told {
    /// Of all clients.
    totals: Counts,
    brokers: BTreeMap<String, BrokerMetrics>,
    /// By client that lives.
    clients: BTreeMap<u64, ClientTold>,
}

/// What one client told last.
#[derive(Debug, Default)]
struct ClientTold {
    counts: Counts,
    /// By broker.
    brokers: BTreeMap<String, Link>,
}

/// A client's connection to a broker.
#[derive(Debug, Clone, Copy)]
struct Link {
    state: LinkState,
    disconnects: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Up,
    Down,
    /// Not needed so far.
    Unused,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    received_bytes: u64,
    sent_bytes: u64,
    records_read: u64,
    record_bytes_read: u64,
    records_written: u64,
    record_bytes_written: u64,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Committed.
    Committed,
    /// Not done; what was in it may be sent again.
    Aborted,
    /// Not done, because of a part of it, which is answered; the rest is sent again.
    Refused,
    /// Nobody knows yet.
    Unknown,
    /// Not done: the id belongs to another.
    Fenced,
}

impl Ended {
    const ALL: [Self; 5] = [Self::Committed, Self::Aborted, Self::Refused, Self::Unknown, Self::Fenced];

    fn word(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted => "aborted",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Fenced => "fenced",
        }
    }
}

impl Numbers {
    /// A transaction ended.
    pub(super) fn ended(&self, how: Ended) {
        for (known, count) in Ended::ALL.iter().zip(&self.transactions) {
            count.fetch_add(u64::from(*known == how), Ordering::Relaxed);
        }
    }

    /// Everything by now.
    pub(super) fn read(&self, answers: bool) -> KafkaMetrics {
        let told = self.told.lock();
        let counts = Ended::ALL.iter().zip(&self.transactions);
        KafkaMetrics {
            answers,
            brokers: told.brokers.values().cloned().collect(),
            transactions: counts.map(|(how, count)| (how.word(), count.load(Ordering::Relaxed))).collect(),
            received_bytes: told.totals.received_bytes,
            sent_bytes: told.totals.sent_bytes,
            records_read: told.totals.records_read,
            record_bytes_read: told.totals.record_bytes_read,
            records_written: told.totals.records_written,
            record_bytes_written: told.totals.record_bytes_written,
        }
    }

    fn told(&self, client: u64, statistics: &Statistics) {
        let mut told = self.told.lock();
        let Told { totals, brokers, clients } = &mut *told;
        let last = clients.entry(client).or_default();
        let now = statistics.counts();
        totals.add(&now.since(&last.counts));
        last.counts = now;
        for broker in statistics.brokers.values().filter(|broker| broker.nodeid >= 0) {
            let name = broker.nodename.clone();
            let metrics = brokers.entry(name.clone()).or_insert_with(|| BrokerMetrics::new(name.clone()));
            let before = last.brokers.get(&name).map_or(0, |link| link.disconnects);
            metrics.disconnects += broker.disconnects.saturating_sub(before);
            // The sum over the time since the client told last.
            metrics.throttled_ms += broker.throttle.sum;
            last.brokers.insert(name, Link { state: broker.link(), disconnects: broker.disconnects });
        }
        look(brokers, clients);
    }

    fn gone(&self, client: u64) {
        let mut told = self.told.lock();
        let Told { brokers, clients, .. } = &mut *told;
        clients.remove(&client);
        look(brokers, clients);
    }
}

/// Finds out which brokers clients are connected to, and tells of changes.
fn look(brokers: &mut BTreeMap<String, BrokerMetrics>, clients: &BTreeMap<u64, ClientTold>) {
    for (name, broker) in brokers {
        let states = || clients.values().filter_map(|client| client.brokers.get(name)).map(|link| link.state);
        broker.connections = states().filter(|state| *state == LinkState::Up).count();
        let is_lost = broker.connections == 0 && states().any(|state| state == LinkState::Down);
        match (broker.connections > 0, broker.is_up) {
            (true, false) => {
                broker.is_up = true;
                tracing::info!(broker = name, "connected to a Kafka broker");
            }
            (false, true) if is_lost => {
                broker.is_up = false;
                tracing::warn!(broker = name, "no connection to a Kafka broker");
            }
            _ => {}
        }
    }
}

/// One client among those that are counted.
#[derive(Debug)]
pub(super) struct Counted {
    numbers: Arc<Numbers>,
    client: u64,
}

impl Counted {
    /// A new client.
    pub(super) fn new(numbers: &Arc<Numbers>) -> Self {
        let client = numbers.clients_made.fetch_add(1, Ordering::Relaxed);
        Self { numbers: Arc::clone(numbers), client }
    }

    /// Takes the client's statistics: JSON as librdkafka's STATISTICS.md tells.
    pub(super) fn statistics(&self, json: &[u8]) {
        match serde_json::from_slice(json) {
            Ok(statistics) => self.numbers.told(self.client, &statistics),
            Err(error) => tracing::debug!(%error, "statistics of a Kafka client cannot be read"),
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.numbers.gone(self.client);
    }
}

impl Counts {
    fn since(&self, before: &Self) -> Self {
        Self {
            received_bytes: self.received_bytes.saturating_sub(before.received_bytes),
            sent_bytes: self.sent_bytes.saturating_sub(before.sent_bytes),
            records_read: self.records_read.saturating_sub(before.records_read),
            record_bytes_read: self.record_bytes_read.saturating_sub(before.record_bytes_read),
            records_written: self.records_written.saturating_sub(before.records_written),
            record_bytes_written: self.record_bytes_written.saturating_sub(before.record_bytes_written),
        }
    }

    fn add(&mut self, more: &Self) {
        self.received_bytes += more.received_bytes;
        self.sent_bytes += more.sent_bytes;
        self.records_read += more.records_read;
        self.record_bytes_read += more.record_bytes_read;
        self.records_written += more.records_written;
        self.record_bytes_written += more.record_bytes_written;
    }
}

/// What is read of a client's statistics.
#[derive(Debug, Deserialize)]
struct Statistics {
    rx_bytes: u64,
    tx_bytes: u64,
    rxmsgs: u64,
    rxmsg_bytes: u64,
    txmsgs: u64,
    txmsg_bytes: u64,
    #[serde(default)]
    brokers: BTreeMap<String, Broker>,
}

#[derive(Debug, Deserialize)]
struct Broker {
    nodeid: i32,
    nodename: String,
    state: String,
    #[serde(default)]
    disconnects: u64,
    #[serde(default)]
    throttle: Throttle,
}

#[derive(Debug, Default, Deserialize)]
struct Throttle {
    #[serde(default)]
    sum: u64,
}

impl Statistics {
    fn counts(&self) -> Counts {
        Counts {
            received_bytes: self.rx_bytes,
            sent_bytes: self.tx_bytes,
            records_read: self.rxmsgs,
            record_bytes_read: self.rxmsg_bytes,
            records_written: self.txmsgs,
            record_bytes_written: self.txmsg_bytes,
        }
    }
}

impl Broker {
    fn link(&self) -> LinkState {
        match self.state.as_str() {
            "UP" | "UPDATE" => LinkState::Up,
            "INIT" => LinkState::Unused,
            _ => LinkState::Down,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Counted, Ended, Numbers};

    fn statistics(bytes: u64, state: &str, disconnects: u64, throttle: u64) -> String {
        format!(
            r#"{{"name":"thalweg#consumer-1","rx_bytes":{bytes},"tx_bytes":1,"rxmsgs":2,"rxmsg_bytes":3,"txmsgs":4,
                "txmsg_bytes":5,"brokers":{{
                    "a:9092/bootstrap":{{"nodeid":-1,"nodename":"a:9092","state":"DOWN"}},
                    "a:9092/1":{{"nodeid":1,"nodename":"a:9092","state":"{state}","disconnects":{disconnects},
                                "throttle":{{"sum":{throttle},"cnt":1}}}}}}}}"#
        )
    }

    fn told(numbers: &Numbers) -> String {
        let metrics = numbers.read(true);
        let broker = |broker: &crate::telemetry::BrokerMetrics| {
            format!(
                "{} up={} connections={} disconnects={} throttled={}",
                broker.broker, broker.is_up, broker.connections, broker.disconnects, broker.throttled_ms
            )
        };
        let brokers: Vec<_> = metrics.brokers.iter().map(broker).collect();
        format!("{} bytes, {}", metrics.received_bytes, brokers.join("; "))
    }

    #[test]
    fn what_clients_did_adds_up_also_when_they_are_gone() {
        let numbers = Arc::new(Numbers::default());
        let (first, second) = (Counted::new(&numbers), Counted::new(&numbers));
        first.statistics(statistics(10, "UP", 0, 7).as_bytes());
        first.statistics(statistics(15, "UP", 0, 0).as_bytes());
        second.statistics(statistics(100, "INIT", 2, 1).as_bytes());
        assert_eq!(told(&numbers), "115 bytes, a:9092 up=true connections=1 disconnects=2 throttled=8");
        drop(second);
        first.statistics(statistics(16, "DOWN", 1, 0).as_bytes());
        assert_eq!(told(&numbers), "116 bytes, a:9092 up=false connections=0 disconnects=3 throttled=8");
    }

    #[test]
    fn a_broker_that_nobody_needs_is_not_lost() {
        let numbers = Arc::new(Numbers::default());
        let client = Counted::new(&numbers);
        client.statistics(statistics(1, "UP", 0, 0).as_bytes());
        client.statistics(statistics(1, "INIT", 1, 0).as_bytes());
        assert_eq!(told(&numbers), "1 bytes, a:9092 up=true connections=0 disconnects=1 throttled=0");
    }

    #[test]
    fn transactions_are_counted_by_their_ends() {
        let numbers = Numbers::default();
        numbers.ended(Ended::Committed);
        numbers.ended(Ended::Committed);
        numbers.ended(Ended::Unknown);
        let told: Vec<_> = numbers.read(false).transactions.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(told, [("committed", 2), ("unknown", 1)]);
    }
}
