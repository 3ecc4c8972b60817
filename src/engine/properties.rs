//! The settings that requests may give: checked names and values, under the names that the engine reads them by.
//!
//! [`crate::settings::resolve`] knows every name, ours and ksqlDB's; this file knows what a request may do with them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::diagnostics::{Code, Diagnostic};
use crate::formats::FormatName;
use crate::planner::Compatibility;
use crate::runtime::{Delivery, Guarantee};
use crate::settings::{self, ByteSize, Definition, Effect, ProcessingGuarantee, Property, SettingValue};

/// Settings that a request may not name: they say what the server is.
const IMMUTABLE: &[&str] = &["service.id", "data.dir", "bootstrap.servers", "listen", "queries.file", "insecure"];

/// Where queries begin to read streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OffsetReset {
    /// At the first retained record.
    Earliest,
    /// Past the last record.
    Latest,
}

/// The settings in force for a statement. Only names and values that were checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Properties {
    values: BTreeMap<String, String>,
}

/// Checks that a request may name a setting; gives the name the engine reads it by, `None` for one without meaning.
///
/// # Errors
/// There is none of this name, or it belongs to the server.
pub(super) fn check_name(name: &str) -> Result<Option<&'static str>, Diagnostic> {
    let of_the_server = || {
        Diagnostic::new(Code::InvalidProperty, format!("property {name} cannot be changed by a statement"))
            .with_detail(format!("Cannot override property '{name}'."))
            .with_hint("It belongs into the server's configuration.")
    };
    match settings::resolve(name)? {
        Property::Kafka => Err(of_the_server()),
        Property::Ours(ours) if IMMUTABLE.contains(&ours) => Err(of_the_server()),
        Property::Ours(ours) => Ok(Some(ours)),
        Property::Statement(ksqldb) => Ok(Some(ksqldb)),
        Property::Ignored => Ok(None),
    }
}

impl Properties {
    /// Checks and takes over settings.
    ///
    /// # Errors
    /// The first unknown or forbidden name, or value that does not fit.
    pub(super) fn new(given: &BTreeMap<String, String>) -> Result<Self, Diagnostic> {
        let mut properties = Self::default();
        for (name, value) in given {
            properties.set(name, value)?;
        }
        Ok(properties)
    }

    /// Sets one.
    ///
    /// # Errors
    /// The name is unknown or forbidden, or the value does not fit.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Diagnostic> {
        let known = check_name(name)?;
        if let Some(definition) = known.and_then(settings::find) {
            check_value(definition, name, value)?;
        }
        let value = match known {
            // Of several names the one that is shown and stored.
            Some("processing.guarantee") => {
                ProcessingGuarantee::read(value.trim()).map(|guarantee| guarantee.text()).ok()
            }
            _ => None,
        }
        .unwrap_or_else(|| value.to_owned());
        self.values.insert(known.unwrap_or(name).to_owned(), value);
        Ok(())
    }

    /// Takes one back; false if it was not set.
    ///
    /// # Errors
    /// The name is unknown or forbidden.
    pub(super) fn unset(&mut self, name: &str) -> Result<bool, Diagnostic> {
        let known = check_name(name)?;
        Ok(self.values.remove(known.unwrap_or(name)).is_some())
    }

    /// These settings, with `defaults` behind them.
    #[must_use]
    pub(super) fn over(mut self, defaults: &Self) -> Self {
        for (name, value) in &defaults.values {
            self.values.entry(name.clone()).or_insert_with(|| value.clone());
        }
        self
    }

    /// The value of a setting by the name the engine reads it by, if one was given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All that were given.
    pub(super) fn all(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// A boolean setting.
    pub(super) fn is_on(&self, name: &str, default: bool) -> bool {
        self.get(name).map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }

    /// A size in bytes, if one was given.
    pub(super) fn size(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(|value| ByteSize::read(value.trim()).ok()).map(|size| size.0)
    }

    /// A duration, if one was given.
    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        self.get(name).and_then(|value| Duration::read(value.trim()).ok())
    }

    /// A format's name, unless it was not given or is empty.
    pub(super) fn format(&self, name: &str) -> Option<FormatName> {
        self.get(name).and_then(FormatName::from_name)
    }

    /// Whose rules hold; ours unless said otherwise.
    pub(super) fn compatibility(&self) -> Compatibility {
        match self.get("sql.compatibility") {
            Some(value) if value.trim().eq_ignore_ascii_case("ksqldb") => Compatibility::Ksqldb,
            _ => Compatibility::Extended,
        }
    }

    /// Where queries begin to read streams; latest unless said otherwise.
    pub(super) fn offset_reset(&self) -> OffsetReset {
        match self.get("auto.offset.reset") {
            Some(value) if value.eq_ignore_ascii_case("earliest") => OffsetReset::Earliest,
            _ => OffsetReset::Latest,
        }
    }
}

/// How a query's output is delivered that was created with these settings.
pub(super) fn delivery(stored: &BTreeMap<String, String>) -> Delivery {
    let guarantee = stored.get("processing.guarantee").and_then(|value| ProcessingGuarantee::read(value).ok());
    Delivery {
        guarantee: match guarantee {
            Some(ProcessingGuarantee::AtLeastOnce) => Guarantee::AtLeastOnce,
            Some(ProcessingGuarantee::AtMostOnce) => Guarantee::AtMostOnce,
            Some(ProcessingGuarantee::ExactlyOnce) | None => Guarantee::ExactlyOnce,
        },
        epoch_interval: stored.get("epoch.interval").and_then(|value| Duration::read(value.trim()).ok()),
    }
}

/// Values that change statements are checked; those that a request may name to no effect are not.
fn check_value(definition: &Definition, name: &str, value: &str) -> Result<(), Diagnostic> {
    let refuse = |why: String| {
        Err(Diagnostic::new(Code::InvalidProperty, format!("property {name} cannot be '{value}'")).with_detail(why))
    };
    let lower = value.trim().to_ascii_lowercase();
    match definition.name {
        _ if definition.effect != Effect::Statement => Ok(()),
        "auto.offset.reset" if !["earliest", "latest"].contains(&lower.as_str()) => {
            refuse("It must be 'earliest' or 'latest'.".to_owned())
        }
        "sql.compatibility" if !["extended", "ksqldb"].contains(&lower.as_str()) => {
            refuse("It must be 'extended' or 'ksqldb'.".to_owned())
        }
        "format.default.key" | "format.default.value"
            if !value.is_empty() && FormatName::from_name(value).is_none() =>
        {
            refuse(format!("Unknown format: {value}."))
        }
        "variable.substitution" | "emit.final.kafka-loss" if !["true", "false"].contains(&lower.as_str()) => {
            refuse("It must be 'true' or 'false'.".to_owned())
        }
        "join.streams.ttl" => match Duration::read(value.trim()) {
            Ok(ttl) if ttl > Duration::from_secs(366 * 86_400) => refuse("It must be 366d at most.".to_owned()),
            Ok(_) => Ok(()),
            Err(expected) => refuse(format!("It must be {expected}.")),
        },
        "processing.guarantee" => match ProcessingGuarantee::read(value.trim()) {
            Ok(_) => Ok(()),
            Err(expected) => refuse(format!("It must be {expected}.")),
        },
        "epoch.interval" if !value.trim().is_empty() => match Duration::read(value.trim()) {
            Ok(interval) if interval > Duration::from_secs(3600) => refuse("It must be 1h at most.".to_owned()),
            Ok(_) => Ok(()),
            Err(expected) => refuse(format!("It must be {expected}.")),
        },
        "cache.max.bytes.buffering" => match ByteSize::read(value.trim()) {
            Ok(_) => Ok(()),
            Err(expected) => refuse(format!("It must be {expected}.")),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{OffsetReset, Properties};

    fn check(name: &str, value: &str, expected: &str) {
        let mut properties = Properties::default();
        let told = match properties.set(name, value) {
            Ok(()) => format!("{:?}", properties.all()),
            Err(refusal) => refusal.to_string(),
        };
        assert!(told.contains(expected), "{name}={value}: {told}");
    }

    #[test]
    fn names_are_known_with_and_without_prefix_and_values_are_checked() {
        check("auto.offset.reset", "earliest", r#"{"auto.offset.reset": "earliest"}"#);
        check("ksql.streams.auto.offset.reset", "earliest", r#"{"auto.offset.reset": "earliest"}"#);
        check("auto.offset.reset", "yesterday", "must be 'earliest' or 'latest'");
        check("auto.ofset.reset", "latest", "Did you mean \"auto.offset.reset\"?");
        check("ksql.streams.consumer.max.poll.records", "7", "max.poll.records");
        check("ksql.streams.cache.max.bytes.buffering", "0", r#"{"cache.max.bytes.buffering": "0"}"#);
        check("processing.guarantee", "AT_LEAST_ONCE", r#"{"processing.guarantee": "at_least_once"}"#);
        check(
            "ksql.streams.processing.guarantee",
            "exactly_once_beta",
            r#"{"processing.guarantee": "exactly_once_v2"}"#,
        );
        check("processing.guarantee", "twice", "It must be one of exactly_once_v2, at_least_once, at_most_once");
        check("ksql.streams.commit.interval.ms", "2000", r#"{"epoch.interval": "2000"}"#);
        check("epoch.interval", "2h", "It must be 1h at most");
        check("cache.max.bytes.buffering", "much", "It must be a size such as 64MiB");
        check("join.streams.ttl", "7d", r#"{"join.streams.ttl": "7d"}"#);
        check("join.streams.ttl", "367d", "It must be 366d at most");
        check("join.streams.ttl", "long", "It must be a duration such as 5ms");
        check("bootstrap.servers", "x:1", "cannot be changed by a statement");
        check("ksql.persistence.default.format.value", "yaml", "Unknown format: yaml");
        check("ksql.persistence.default.format.value", "json", r#"{"format.default.value": "json"}"#);
    }

    #[test]
    fn queries_read_from_the_end_unless_told_otherwise() {
        let mut properties = Properties::default();
        assert_eq!(properties.offset_reset(), OffsetReset::Latest);
        properties.set("ksql.streams.auto.offset.reset", "EARLIEST").expect("a known setting");
        assert_eq!(properties.offset_reset(), OffsetReset::Earliest);
    }
}
