//! What a user tunes in the Kafka log, and the configurations of librdkafka's clients that follow from it.
//!
//! Measured on one small broker: with `linger.ms` 0 records wait for nothing, for a commit sends what is there at once
//! anyway; `fetch.wait.max.ms` bounds how long a partition that begins to be read, or the end of one, has to wait for
//! the fetch under way.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;

/// How a [`KafkaLog`](super::KafkaLog) behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `bootstrap.servers`.
    pub bootstrap_servers: String,
    /// `service.id`: part of the ids under which records are appended.
    pub service_id: String,
    /// `kafka.*` without the prefix: settings of librdkafka, which win over ours.
    pub properties: BTreeMap<String, String>,
    /// `topics.internal.replicas`: copies of topics whose names begin with `_thalweg-`.
    pub internal_replicas: i16,
    /// `topics.max.record.bytes`: the largest record (key, value and headers) that is handed over. Brokers and topics
    /// have limits of their own (`max.message.bytes`).
    pub max_record_bytes: usize,
    /// `topics.cache.bytes`: records read last and kept for other readers of the same partitions.
    pub cache_bytes: usize,
    /// `topics.queue.bytes`: transactions that wait for the broker; beyond it commits are answered `Aborted`.
    pub queue_bytes: usize,
    /// How long one request to the cluster may take before the caller is told.
    pub request_timeout: Duration,
    /// How long a commit is repeated before its outcome counts as unknown.
    pub commit_timeout: Duration,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            bootstrap_servers: String::new(),
            service_id: "default_".to_owned(),
            properties: BTreeMap::new(),
            internal_replicas: 1,
            max_record_bytes: 16 << 20,
            cache_bytes: 64 << 20,
            queue_bytes: 256 << 20,
            request_timeout: Duration::from_secs(10),
            commit_timeout: Duration::from_secs(15),
        }
    }
}

/// Records that a producer holds: librdkafka keeps about 250 bytes for each beside its own.
const MOST_IN_FLIGHT: &str = "32768";
/// A transaction that is open for longer is ended by the broker, and its producer fenced. Ours are open for
/// milliseconds: the output is whole before one begins.
const TRANSACTION_TIMEOUT_MS: &str = "10000";

/// Settings that other clients than consumers would complain about.
const OF_CONSUMERS: &[&str] =
    &["fetch.", "queued.", "isolation", "auto.offset", "group.", "session.", "heartbeat.", "max.poll.", "check.crcs"];

/// Settings that consumers would complain about.
const NOT_OF_CONSUMERS: &[&str] =
    &["transaction", "compression", "linger", "batch.", "acks", "message.timeout", "delivery"];

impl KafkaSettings {
    /// What all clients have in common.
    pub(super) fn common(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", "thalweg")
            // A broker that comes back is found again soon.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "2000")
            .set("topic.metadata.refresh.interval.ms", "60000")
            // A topic that was just made is known everywhere within this time.
            .set("topic.metadata.propagation.max.ms", "5000")
            .set("log.connection.close", "false")
            .set("statistics.interval.ms", "5000");
        config
    }

    /// For clients that read.
    pub(super) fn consumer(&self) -> ClientConfig {
        let mut config = self.common();
        config
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            // Per partition: what is fetched ahead of its reader. Full, it is looked at again soon.
            .set("queued.min.messages", "100000")
            .set("queued.max.messages.kbytes", "2048")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.error.backoff.ms", "100");
        self.finish(config, &[NOT_OF_CONSUMERS, &["group.", "session.", "heartbeat.", "max.poll."]].concat())
    }

    /// For the member of a group that stands for this server, which is called `instance` unless the user calls it
    /// otherwise; with the name that it got.
    pub(super) fn member(&self, group: &str, instance: &str) -> (ClientConfig, String) {
        let instance = self.properties.get("group.instance.id").map_or(instance, String::as_str);
        let mut config = self.common();
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "latest")
            .set("session.timeout.ms", "6000")
            .set("statistics.interval.ms", "0")
            // News of the group come with the answers to heartbeats.
            .set("heartbeat.interval.ms", "500");
        let mut config = self.finish(config, NOT_OF_CONSUMERS);
        config
            .set("group.id", group)
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("group.instance.id", instance);
        (config, instance.to_owned())
    }

    /// For a client that writes offsets of a group without being its member.
    pub(super) fn visitor(&self, group: &str) -> ClientConfig {
        let mut config = self.common();
        config.set("enable.auto.commit", "false").set("statistics.interval.ms", "0");
        let mut config =
            self.finish(config, &[NOT_OF_CONSUMERS, &["group.", "session.", "heartbeat.", "max.poll."]].concat());
        // How long it looks for the group's coordinator.
        config.set("group.id", group).set("session.timeout.ms", "6000");
        config
    }

    /// For the client that only asks.
    pub(super) fn asker(&self) -> ClientConfig {
        self.consumer()
    }

    /// For clients that write; transactions under an id if there is one, else records that are readable at once.
    pub(super) fn producer(&self, transactional_id: Option<&str>) -> ClientConfig {
        let mut config = self.common();
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("compression.type", "lz4")
            // Below the limit that topics have unless told otherwise (1,048,588 bytes).
            .set("batch.size", "900000")
            .set("message.max.bytes", (self.max_record_bytes + 4096).clamp(1_000_000, 1_000_000_000).to_string())
            // A few batches on their way keep a broker busy; what waits behind them waits in our own, denser form.
            .set("queue.buffering.max.messages", MOST_IN_FLIGHT)
            .set("queue.buffering.max.kbytes", ((self.max_record_bytes + (1 << 20)) / 1024).max(8192).to_string());
        config.set("message.timeout.ms", TRANSACTION_TIMEOUT_MS);
        match transactional_id {
            Some(id) => {
                config.set("transactional.id", id).set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS);
            }
            None => {
                config.set("acks", "all");
            }
        }
        self.finish(config, OF_CONSUMERS)
    }

    /// For the client that makes and deletes topics.
    pub(super) fn admin(&self) -> ClientConfig {
        let config = self.common();
        self.finish(config, OF_CONSUMERS)
    }

    /// The user's settings last; those of other kinds of client would only make librdkafka complain.
    fn finish(&self, mut config: ClientConfig, others: &[&str]) -> ClientConfig {
        for (name, value) in &self.properties {
            if !others.iter().any(|other| name.starts_with(other)) {
                config.set(name, value);
            }
        }
        config
    }
}
