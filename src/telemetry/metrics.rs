//! Metrics in Prometheus' text form: every name, unit and help text.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::kafka::KafkaMetrics;

/// `content-type` of [`render`]'s text.
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What one query has done since this process started it; all counters only grow.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueryMetrics {
    /// Query id.
    pub query_id: String,
    /// `RUNNING`, `RESTORING`, `PAUSED`, `ERROR`.
    pub state: String,
    /// True for a push query of a client.
    pub is_push: bool,
    /// Records read from source topics.
    pub records_in: u64,
    /// Records written or rows sent.
    pub records_out: u64,
    /// Bytes of keys and values read from source topics.
    pub bytes_in: u64,
    /// Bytes of keys and values written.
    pub bytes_out: u64,
    /// Change batches that entered the query.
    pub batches: u64,
    /// Committed epochs.
    pub epochs: u64,
    /// Time from handing an epoch to the log to its answer, summed over all epochs, in seconds.
    pub commit_seconds: f64,
    /// Commits that the log refused and that were sent again.
    pub commits_aborted: u64,
    /// Commits whose outcome had to be read from the log.
    pub commits_unknown: u64,
    /// Records between the durable position and the committed end of the source topics, all partitions together.
    pub lag: u64,
    /// The same by partition.
    pub partitions: Vec<PartitionMetrics>,
    /// Records that could not be decoded, evaluated or encoded.
    pub record_errors: u64,
    /// Times the query stopped on a failure.
    pub failures: u64,
    /// Rows that came too late for their windows.
    pub late_rows: u64,
    /// Memory held by state, bytes.
    pub state_bytes: u64,
    /// While state is read back: rows read.
    pub restored_rows: u64,
    /// While state is read back: rows to read; else 0.
    pub restore_rows: u64,
}

/// Where a query is in a partition of a source topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionMetrics {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The first offset whose effect is not durable.
    pub position: i64,
    /// Records from there to the committed end, as it was last learned.
    pub lag: u64,
}

/// A table that is kept in memory for queries that read it once, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableMetrics {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: usize,
    /// Bytes of their keys and values.
    pub data_bytes: usize,
    /// Bytes of memory they take.
    pub memory_bytes: usize,
    /// Records committed and not followed yet.
    pub lag: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TableLabel {
    table: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueryLabel {
    query_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabels {
    query_id: String,
    topic: String,
    partition: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    query_id: String,
    kind: &'static str,
    state: String,
}

type Seconds = Counter<f64, AtomicU64>;

/// All metrics now. `started`: when the process began to serve.
pub fn render(
    queries: &[QueryMetrics],
    tables: &[TableMetrics],
    kafka: Option<&KafkaMetrics>,
    started: SystemTime,
) -> String {
    let mut registry = Registry::default();
    process(&mut registry, started);
    per_query(registry.sub_registry_with_prefix("thalweg"), queries);
    per_table(registry.sub_registry_with_prefix("thalweg"), tables);
    if let Some(kafka) = kafka {
        kafka.register(registry.sub_registry_with_prefix("thalweg"));
    }
    let mut text = String::new();
    match text::encode(&mut text, &registry) {
        Ok(()) => text,
        Err(fmt::Error) => String::from("# EOF\n"),
    }
}

fn process(registry: &mut Registry, started: SystemTime) {
    let resident = Gauge::<i64>::default();
    resident.set(i64::try_from(resident_bytes().unwrap_or(0)).unwrap_or(i64::MAX));
    registry.register_with_unit("process_resident_memory", "Memory of the process in RAM", Unit::Bytes, resident);
    let start = Gauge::<f64, AtomicU64>::default();
    start.set(started.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()));
    registry.register_with_unit("process_start_time", "When the server started, since 1970", Unit::Seconds, start);
}

fn per_query(registry: &mut Registry, queries: &[QueryMetrics]) {
    let mut counter = |name: &str, help: &str, value: fn(&QueryMetrics) -> u64| {
        let family = Family::<QueryLabel, Counter>::default();
        for query in queries {
            family.get_or_create(&QueryLabel { query_id: query.query_id.clone() }).inc_by(value(query));
        }
        registry.register(name, help, family);
    };
    counter("query_records_in", "Records read from source topics", |query| query.records_in);
    counter("query_records_out", "Records written or rows sent", |query| query.records_out);
    counter("query_batches", "Change batches that entered the query", |query| query.batches);
    counter("query_epochs", "Committed epochs", |query| query.epochs);
    counter("query_record_errors", "Records not decoded, evaluated or encoded", |query| query.record_errors);
    counter("query_bytes_in", "Bytes of keys and values read from source topics", |query| query.bytes_in);
    counter("query_bytes_out", "Bytes of keys and values written", |query| query.bytes_out);
    counter("query_commits_aborted", "Commits that were refused and sent again", |query| query.commits_aborted);
    counter("query_commits_unknown", "Commits whose outcome was read from the log", |query| query.commits_unknown);
    counter("query_failures", "Times the query stopped on a failure", |query| query.failures);
    counter("query_late_rows", "Rows that came too late for their windows", |query| query.late_rows);

    let commit = Family::<QueryLabel, Seconds>::default();
    let lag = Family::<QueryLabel, Gauge>::default();
    let positions = Family::<PartitionLabels, Gauge>::default();
    let lags = Family::<PartitionLabels, Gauge>::default();
    let state = Family::<QueryLabel, Gauge>::default();
    let restored = Family::<QueryLabel, Gauge>::default();
    let to_restore = Family::<QueryLabel, Gauge>::default();
    let states = Family::<StateLabels, Gauge>::default();
    for query in queries {
        let label = QueryLabel { query_id: query.query_id.clone() };
        commit.get_or_create(&label).inc_by(query.commit_seconds);
        state.get_or_create(&label).set(i64::try_from(query.state_bytes).unwrap_or(i64::MAX));
        lag.get_or_create(&label).set(i64::try_from(query.lag).unwrap_or(i64::MAX));
        restored.get_or_create(&label).set(i64::try_from(query.restored_rows).unwrap_or(i64::MAX));
        to_restore.get_or_create(&label).set(i64::try_from(query.restore_rows).unwrap_or(i64::MAX));
        for at in &query.partitions {
            let (query_id, topic) = (query.query_id.clone(), at.topic.clone());
            let label = PartitionLabels { query_id, topic, partition: at.partition };
            positions.get_or_create(&label).set(at.position);
            lags.get_or_create(&label).set(i64::try_from(at.lag).unwrap_or(i64::MAX));
        }
        let kind = if query.is_push { "push" } else { "persistent" };
        let labels = StateLabels { query_id: query.query_id.clone(), kind, state: query.state.clone() };
        states.get_or_create(&labels).set(1);
    }
    let unit = Unit::Seconds;
    registry.register_with_unit("query_commit", "Waiting for the log to commit epochs", unit, commit);
    registry.register_with_unit("query_state_memory", "Memory held by the query's state", Unit::Bytes, state);
    registry.register("query_restored_rows", "Rows of state read back so far, while that is under way", restored);
    registry.register("query_restore_rows", "Rows of state to read back, while that is under way", to_restore);
    registry.register("query_lag_records", "Records behind the end of the source topics", lag);
    registry.register("query_partition_position", "First offset not processed durably", positions);
    registry.register("query_partition_lag_records", "Records from there to the committed end", lags);
    registry.register("query_state", "1 for the state that a query is in", states);
}

fn per_table(registry: &mut Registry, tables: &[TableMetrics]) {
    let mut gauge = |name: &str, help: &str, value: fn(&TableMetrics) -> usize| {
        let family = Family::<TableLabel, Gauge>::default();
        for table in tables {
            let label = TableLabel { table: table.table.clone() };
            family.get_or_create(&label).set(i64::try_from(value(table)).unwrap_or(i64::MAX));
        }
        registry.register(name, help, family);
    };
    gauge("table_rows", "Rows of a table kept in memory for pull queries", |table| table.rows);
    gauge("table_data_bytes", "Bytes of their keys and values", |table| table.data_bytes);
    gauge("table_memory_bytes", "Bytes of memory they take", |table| table.memory_bytes);
    gauge("table_bytes_per_key", "Bytes of memory a row takes", |table| {
        table.memory_bytes.checked_div(table.rows).unwrap_or(0)
    });
    gauge("table_lag_records", "Records committed and not followed yet", |table| {
        usize::try_from(table.lag).unwrap_or(usize::MAX)
    });
}

/// Resident memory of this process, where the system tells it.
fn resident_bytes() -> Option<u64> {
    const PAGE: u64 = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split_whitespace().nth(1)?.parse::<u64>().ok()? * PAGE)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{PartitionMetrics, QueryMetrics, TableMetrics, render};
    use crate::telemetry::{BrokerMetrics, KafkaMetrics};

    #[test]
    fn metrics_have_names_units_and_labels() {
        let query = QueryMetrics {
            query_id: "CSAS_A_1".to_owned(),
            state: "RUNNING".to_owned(),
            records_in: 3,
            commit_seconds: 0.5,
            lag: 7,
            partitions: vec![PartitionMetrics { topic: "in".to_owned(), partition: 0, position: 3, lag: 7 }],
            late_rows: 2,
            state_bytes: 99,
            restored_rows: 5,
            restore_rows: 8,
            ..QueryMetrics::default()
        };
        let table =
            TableMetrics { table: "T".to_owned(), rows: 4, memory_bytes: 100, lag: 2, ..TableMetrics::default() };
        let broker = BrokerMetrics { disconnects: 2, throttled_ms: 1500, ..BrokerMetrics::new("a:9092".to_owned()) };
        let kafka = KafkaMetrics {
            answers: true,
            brokers: vec![broker],
            transactions: vec![("committed", 4)],
            records_read: 11,
            ..KafkaMetrics::default()
        };
        let text = render(&[query], &[table], Some(&kafka), UNIX_EPOCH + Duration::from_secs(9));
        for line in [
            "process_start_time_seconds 9.0",
            "# TYPE thalweg_query_records_in counter",
            "thalweg_query_records_in_total{query_id=\"CSAS_A_1\"} 3",
            "thalweg_query_commit_seconds_total{query_id=\"CSAS_A_1\"} 0.5",
            "thalweg_query_late_rows_total{query_id=\"CSAS_A_1\"} 2",
            "thalweg_query_state_memory_bytes{query_id=\"CSAS_A_1\"} 99",
            "thalweg_query_restored_rows{query_id=\"CSAS_A_1\"} 5",
            "thalweg_query_restore_rows{query_id=\"CSAS_A_1\"} 8",
            "thalweg_table_rows{table=\"T\"} 4",
            "thalweg_table_bytes_per_key{table=\"T\"} 25",
            "thalweg_table_lag_records{table=\"T\"} 2",
            "thalweg_query_lag_records{query_id=\"CSAS_A_1\"} 7",
            "thalweg_query_partition_lag_records{query_id=\"CSAS_A_1\",topic=\"in\",partition=\"0\"} 7",
            "thalweg_query_partition_position{query_id=\"CSAS_A_1\",topic=\"in\",partition=\"0\"} 3",
            "thalweg_kafka_up 1",
            "thalweg_kafka_broker_up{broker=\"a:9092\"} 0",
            "thalweg_kafka_broker_disconnects_total{broker=\"a:9092\"} 2",
            "thalweg_kafka_broker_throttled_seconds_total{broker=\"a:9092\"} 1.5",
            "thalweg_kafka_transactions_total{outcome=\"committed\"} 4",
            "thalweg_kafka_records_read_total 11",
            "thalweg_query_state{query_id=\"CSAS_A_1\",kind=\"persistent\",state=\"RUNNING\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        let page = include_str!("../../docs/metrics.md");
        let names = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
        for name in names {
            assert!(page.contains(&format!("`{name}")), "docs/metrics.md does not tell of {name}");
        }
    }
}
