//! ksqlDB's settings: which of ours each means, which mean nothing here, which are not built yet.
//!
//! The one table behind `--config`, `--set`, `SET`, request properties and `/is_valid_property`. The prefix
//! `ksql.streams.` may stand before any name of Kafka Streams or a Kafka client.

use super::definition;
use crate::diagnostics::{Code, Diagnostic};

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// A setting of ours, by its name.
    Ours(&'static str),
    /// A setting of ksqlDB that has nothing to set here; scripts may set it all the same.
    Ignored,
    /// A setting of ksqlDB that only statements see; its own name, without `ksql.streams.`.
    Statement(&'static str),
    /// A setting of Kafka's client, for the whole server: what stands behind `kafka.`.
    Kafka,
}

/// What settings of Kafka's client begin with.
pub(super) const KAFKA: &str = "kafka.";

/// ksqlDB's name, ours.
const ALIASES: &[(&str, &str)] = &[
    ("ksql.service.id", "service.id"),
    ("listeners", "listen"),
    ("ksql.queries.file", "queries.file"),
    ("state.dir", "data.dir"),
    ("ksql.max.push.queries", "queries.max.push"),
    ("ksql.query.persistent.active.limit", "queries.max.persistent"),
    ("ksql.server.command.response.timeout.ms", "command.response.timeout"),
    ("ksql.variable.substitution.enable", "variable.substitution"),
    ("ksql.persistence.default.format.key", "format.default.key"),
    ("ksql.persistence.default.format.value", "format.default.value"),
    ("ksql.output.topic.name.prefix", "topic.name.prefix"),
    ("statestore.cache.max.bytes", "cache.max.bytes.buffering"),
    ("commit.interval.ms", "epoch.interval"),
    ("ksql.internal.topic.replicas", "topics.internal.replicas"),
    ("ksql.logging.processing.rows.include", "processing.log.rows"),
    ("ksql.logging.processing.topic.partitions", "processing.log.partitions"),
];

/// Settings that change how a statement is read or run; the engine looks at them in the request.
const STATEMENT: &[&str] = &[
    "ksql.fail.on.deserialization.error",
    "ksql.functions.collect_list.limit",
    "ksql.functions.collect_set.limit",
    "ksql.functions.substring.legacy.args",
    "ksql.nested.error.set.null",
    "ksql.persistence.wrap.single.values",
    "ksql.query.pull.limit.clause.enabled",
    "ksql.query.pull.max.allowed.offset.lag",
    "ksql.query.pull.range.scan.enabled",
    "ksql.query.pull.stream.enabled",
    "ksql.query.pull.table.scan.enabled",
    "ksql.query.push.v2.enabled",
    "ksql.timestamp.throw.on.invalid",
    "ksql.windowed.session.key.legacy",
];

/// Settings of a JVM, of Kafka Streams or of Kafka's clients, for which this server has no use. A name that ends
/// in `.` stands for all that begin with it.
const IGNORED: &[&str] = &[
    "acceptable.recovery.lag",
    "application.id",
    "batch.size",
    "buffer.memory",
    "buffered.records.per.partition",
    "client.id",
    "compression.type",
    "confluent.support.metrics.",
    "default.deserialization.exception.handler",
    "default.production.exception.handler",
    "default.timestamp.extractor",
    "delivery.timeout.ms",
    "fetch.",
    "heartbeat.interval.ms",
    "ksql.access.validator.enable",
    "ksql.advertised.listener",
    "ksql.cast.strings.preserve.nulls",
    "ksql.create.or.replace.enabled",
    "ksql.create.topic.inherit.source.replicas.enabled",
    "ksql.endpoint.logging.",
    "ksql.endpoint.migrate.query",
    "ksql.error.classifier.regex.",
    "ksql.extension.dir",
    "ksql.fail.on.production.error",
    "ksql.headers.columns.enabled",
    "ksql.healthcheck.interval.ms",
    "ksql.heartbeat.",
    "ksql.hidden.topics",
    "ksql.idle.connection.timeout.seconds",
    "ksql.insert.into.values.enabled",
    "ksql.internal.listener",
    "ksql.internal.topic.",
    "ksql.json_sr.converter.deserializer.enabled",
    "ksql.lag.reporting.",
    "ksql.lambdas.enabled",
    "ksql.logging.processing.stream.",
    "ksql.logging.processing.topic.auto.create",
    "ksql.logging.processing.topic.name",
    "ksql.logging.processing.topic.replication.factor",
    "ksql.logging.server.",
    "ksql.metrics.",
    "ksql.multicol.key.format.enabled",
    "ksql.new.query.planner.enabled",
    "ksql.persistent.prefix",
    "ksql.plugins.rocksdb.",
    "ksql.pull.queries.enable",
    "ksql.query.cleanup.shutdown.timeout.ms",
    "ksql.query.error.max.queue.size",
    "ksql.query.pull.",
    "ksql.query.push.v2.",
    "ksql.query.retry.backoff.",
    "ksql.query.status.running.threshold.seconds",
    "ksql.readonly.topics",
    "ksql.rowpartition.rowoffset.enabled",
    "ksql.runtime.feature.shared.enabled",
    "ksql.shared.runtimes.count",
    "ksql.sink.partitions",
    "ksql.sink.replicas",
    "ksql.source.table.materialization.enabled",
    "ksql.suppress.",
    "ksql.transient.",
    "ksql.udf.collect.metrics",
    "ksql.udfs.enabled",
    "ksql.verticle.instances",
    "ksql.worker.pool.size",
    "linger.ms",
    "max.block.ms",
    "max.poll.",
    "max.request.size",
    "max.task.idle.ms",
    "max.warmup.replicas",
    "metadata.max.age.ms",
    "metric.reporters",
    "metrics.",
    "num.standby.replicas",
    "num.stream.threads",
    "poll.ms",
    "probing.rebalance.interval.ms",
    "producer.",
    "consumer.",
    "query.stream.disconnect.check",
    "replication.factor",
    "request.timeout.ms",
    "retries",
    "retry.backoff.ms",
    "rocksdb.config.setter",
    "session.timeout.ms",
    "task.timeout.ms",
    "topology.optimization",
    "upgrade.from",
    "use.exact.numeric.comparison",
    "window.size.ms",
    "__emit.interval.ms.kstreams.windowed.aggregation__",
];

/// Settings that ask for something that is not there: ignoring them would be a lie.
const NOT_BUILT: &[(&str, &str)] = &[
    ("authentication.", "authentication"),
    ("access.control.", "CORS"),
    ("ksql.authentication.", "authentication"),
    ("ksql.connect.", "Kafka Connect"),
    ("ksql.properties.overrides.", "the list of denied properties"),
    ("ksql.schema.registry.", "the schema registry"),
    ("ksql.security.", "authorisation"),
    ("sasl.", "a Java client (kafka.sasl.mechanism, kafka.sasl.username and kafka.sasl.password set ours)"),
    ("security.protocol", "a Java client (kafka.security.protocol sets ours)"),
    ("ssl.", "TLS"),
];

/// What `name` means, whoever spells it.
///
/// # Errors
/// It means nothing; the hint has the nearest name that does.
pub fn resolve(name: &str) -> Result<Property, Diagnostic> {
    let bare = name.strip_prefix("ksql.streams.").unwrap_or(name);
    if let Some(definition) = definition::find(bare) {
        return Ok(Property::Ours(definition.name));
    }
    if bare.strip_prefix(KAFKA).is_some_and(|setting| !setting.is_empty()) {
        return Ok(Property::Kafka);
    }
    if let Some((_, ours)) = ALIASES.iter().find(|(alias, _)| *alias == bare) {
        return Ok(Property::Ours(ours));
    }
    if let Some(found) = STATEMENT.iter().find(|known| **known == bare) {
        return Ok(Property::Statement(found));
    }
    let is_of = |entry: &&str| if entry.ends_with('.') { bare.starts_with(*entry) } else { bare == *entry };
    if IGNORED.iter().any(is_of) {
        return Ok(Property::Ignored);
    }
    if let Some((_, what)) = NOT_BUILT.iter().find(|(entry, _)| is_of(entry)) {
        return Err(Diagnostic::new(
            Code::NotImplemented,
            format!("property {name} needs {what}, which is not implemented yet"),
        ));
    }
    let known = definition::names()
        .chain(ALIASES.iter().map(|(alias, _)| *alias))
        .chain(STATEMENT.iter().copied())
        .chain(IGNORED.iter().copied().filter(|name| !name.ends_with('.')));
    Err(Diagnostic::new(Code::UnknownProperty, format!("property {name} does not exist")).with_near_miss(bare, known))
}

/// ksqlDB's other names of a setting of ours.
pub fn aliases_of(name: &str) -> impl Iterator<Item = &'static str> {
    ALIASES.iter().filter(move |(_, ours)| *ours == name).map(|(alias, _)| *alias)
}

#[cfg(test)]
mod tests {
    use super::{ALIASES, Property, resolve};
    use crate::settings::definition;

    #[test]
    fn a_name_is_ours_an_alias_ignored_or_unknown_with_a_near_miss() {
        let told = |name: &str| match resolve(name) {
            Ok(property) => format!("{property:?}"),
            Err(diagnostic) => diagnostic.to_string(),
        };
        for (name, expected) in [
            ("epoch.interval", r#"Ours("epoch.interval")"#),
            ("ksql.streams.auto.offset.reset", r#"Ours("auto.offset.reset")"#),
            ("ksql.max.push.queries", r#"Ours("queries.max.push")"#),
            ("ksql.streams.num.stream.threads", "Ignored"),
            ("ksql.streams.producer.linger.ms", "Ignored"),
            ("ksql.fail.on.deserialization.error", r#"Statement("ksql.fail.on.deserialization.error")"#),
            ("kafka.linger.ms", "Kafka"),
            ("ssl.keystore.location", "property ssl.keystore.location needs TLS, which is not implemented yet"),
            ("auto.offset.rest", "property auto.offset.rest does not exist\nHint: Did you mean \"auto.offset.reset\"?"),
        ] {
            assert_eq!(told(name), expected);
        }
    }

    #[test]
    fn every_alias_leads_to_a_setting() {
        for (alias, ours) in ALIASES {
            assert!(definition::find(ours).is_some(), "{alias}");
            assert!(matches!(resolve(alias), Ok(Property::Ours(found)) if found == *ours), "{alias}");
        }
    }
}
