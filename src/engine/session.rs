//! What a request carries from statement to statement: its settings and its variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostics::Diagnostic;
use crate::formats::FormatName;
use crate::planner::PlanSettings;

use super::answer::Request;
use super::properties::Properties;

/// Settings and variables in force; SET, UNSET, DEFINE and UNDEFINE change them for the rest of the request.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Settings of the request alone.
    pub(super) given: Properties,
    /// Behind them: the service's, then the server's.
    pub(super) defaults: Arc<Properties>,
    /// Variables by name.
    pub(super) variables: BTreeMap<String, String>,
}

impl Session {
    /// The session a request begins with. `defaults` stand behind what it gives.
    ///
    /// # Errors
    /// The first setting that is unknown, forbidden or ill-valued.
    pub(super) fn new(request: &Request, defaults: Arc<Properties>) -> Result<Self, Diagnostic> {
        Ok(Self { given: Properties::new(&request.properties)?, defaults, variables: request.variables.clone() })
    }

    /// The settings in force.
    pub(super) fn properties(&self) -> Properties {
        self.given.clone().over(&self.defaults)
    }

    /// The settings in force that change plans.
    pub(super) fn plan_settings(&self) -> PlanSettings {
        let properties = self.properties();
        PlanSettings {
            default_key_format: properties.format("format.default.key").unwrap_or(FormatName::Kafka),
            default_value_format: properties.format("format.default.value"),
            wrap_single_values: properties
                .get("ksql.persistence.wrap.single.values")
                .filter(|value| !value.is_empty())
                .map(|value| value.eq_ignore_ascii_case("true")),
            output_topic_prefix: properties.get("topic.name.prefix").unwrap_or_default().to_owned(),
            compatibility: properties.compatibility(),
            stops_at_bad_time: properties.is_on("ksql.timestamp.throw.on.invalid", false),
            key_follows_select: properties.is_on("ksql.new.query.planner.enabled", false),
            every_update: properties.size("cache.max.bytes.buffering").is_some_and(|bytes| bytes == 0),
            final_with_loss: properties.is_on("emit.final.kafka-loss", false),
            join_streams_ttl_ms: properties
                .duration("join.streams.ttl")
                .map_or(0, |ttl| i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)),
            aggregate_limits: ["COLLECT_LIST", "COLLECT_SET"]
                .into_iter()
                .filter_map(|name| {
                    let given = properties.get(&format!("ksql.functions.{}.limit", name.to_lowercase()))?;
                    // A negative limit is none.
                    Some((name.to_owned(), given.trim().parse().ok()?))
                })
                .collect(),
            ..PlanSettings::default()
        }
    }
}
