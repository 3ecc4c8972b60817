//! The metrics of a Kafka cluster's clients: names, units and help texts.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// What the clients of a cluster have done since the process started; all counters only grow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KafkaMetrics {
    /// The cluster answered when it was last asked something.
    pub answers: bool,
    /// Brokers that clients were connected to.
    pub brokers: Vec<BrokerMetrics>,
    /// Transactions by how they ended.
    pub transactions: Vec<(&'static str, u64)>,
    /// Bytes received, protocol included.
    pub received_bytes: u64,
    /// Bytes sent, protocol included.
    pub sent_bytes: u64,
    /// Records fetched.
    pub records_read: u64,
    /// Their bytes.
    pub record_bytes_read: u64,
    /// Records sent.
    pub records_written: u64,
    /// Their bytes.
    pub record_bytes_written: u64,
}

/// A broker as the clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokerMetrics {
    /// `host:port`.
    pub broker: String,
    /// A client is connected, or none was since and none had to.
    pub is_up: bool,
    /// Clients that are connected.
    pub connections: usize,
    /// Connections that were lost or closed.
    pub disconnects: u64,
    /// Time that the broker had clients wait, by its quotas, in ms.
    pub throttled_ms: u64,
}

impl BrokerMetrics {
    /// A broker that nobody was connected to yet.
    pub fn new(broker: String) -> Self {
        Self { broker, ..Self::default() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BrokerLabel {
    broker: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl KafkaMetrics {
    /// Registers all of them.
    pub(super) fn register(&self, registry: &mut Registry) {
        let up = Gauge::<i64>::default();
        up.set(i64::from(self.answers));
        registry.register("kafka_up", "1 if the cluster answered when it was last asked", up);
        let mut counter = |name: &str, help: &str, value: u64| {
            let counter = Counter::<u64>::default();
            counter.inc_by(value);
            registry.register(name, help, counter);
        };
        counter("kafka_received_bytes", "Bytes received from brokers", self.received_bytes);
        counter("kafka_sent_bytes", "Bytes sent to brokers", self.sent_bytes);
        counter("kafka_records_read", "Records fetched from brokers", self.records_read);
        counter("kafka_record_bytes_read", "Bytes of the records fetched", self.record_bytes_read);
        counter("kafka_records_written", "Records sent to brokers", self.records_written);
        counter("kafka_record_bytes_written", "Bytes of the records sent", self.record_bytes_written);
        self.register_brokers(registry);
        let transactions = Family::<OutcomeLabel, Counter>::default();
        for (outcome, count) in &self.transactions {
            transactions.get_or_create(&OutcomeLabel { outcome }).inc_by(*count);
        }
        registry.register("kafka_transactions", "Transactions by how they ended", transactions);
    }

    fn register_brokers(&self, registry: &mut Registry) {
        let up = Family::<BrokerLabel, Gauge>::default();
        let connections = Family::<BrokerLabel, Gauge>::default();
        let disconnects = Family::<BrokerLabel, Counter>::default();
        let throttled = Family::<BrokerLabel, Counter<f64, AtomicU64>>::default();
        for broker in &self.brokers {
            let label = BrokerLabel { broker: broker.broker.clone() };
            up.get_or_create(&label).set(i64::from(broker.is_up));
            connections.get_or_create(&label).set(i64::try_from(broker.connections).unwrap_or(i64::MAX));
            disconnects.get_or_create(&label).inc_by(broker.disconnects);
            throttled.get_or_create(&label).inc_by(std::time::Duration::from_millis(broker.throttled_ms).as_secs_f64());
        }
        registry.register("kafka_broker_up", "1 if clients are connected to the broker", up);
        registry.register("kafka_broker_connections", "Clients that are connected to the broker", connections);
        registry.register("kafka_broker_disconnects", "Connections to the broker that ended", disconnects);
        let help = "Time that the broker had clients wait by its quotas";
        registry.register_with_unit("kafka_broker_throttled", help, Unit::Seconds, throttled);
    }
}
