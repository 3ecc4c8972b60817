//! SHOW PROPERTIES.

use crate::diagnostics::Diagnostic;
use crate::engine::entity::{Body, PropertyInfo};
use crate::engine::scope::{Outcome, Scope};
use crate::settings::{self, Effect, Settings};

/// Every setting with the value that is in force here, under ksqlDB's name where it has one.
pub(super) fn show_properties(scope: &Scope<'_>) -> Result<Outcome, Diagnostic> {
    let in_force = scope.session.properties();
    let mut properties = Vec::new();
    let mut default_properties = Vec::new();
    for definition in Settings::GROUPS.iter().flat_map(|group| group.settings) {
        let name = public_name(definition.name);
        let shown = scope.engine.settings.shown.get(definition.name).map(String::as_str);
        let value = in_force.get(definition.name).or(shown).unwrap_or(definition.default);
        if value == definition.default {
            default_properties.push(name.clone());
        }
        let is_query = definition.effect == Effect::Statement;
        properties.push(PropertyInfo {
            name,
            scope: "KSQL",
            value: if is_secret(definition.name) && !value.is_empty() { "[hidden]" } else { value }.to_owned(),
            editable: is_query,
            level: if is_query { "QUERY" } else { "SERVER" },
        });
    }
    properties.sort_by(|left, right| left.name.cmp(&right.name));
    default_properties.sort();
    let overwritten_properties = scope.session.given.all().keys().map(|name| public_name(name)).collect();
    Ok(Outcome::Answer(Body::Properties { properties, overwritten_properties, default_properties }))
}

/// True for values that nobody is shown.
fn is_secret(name: &str) -> bool {
    ["password", "secret"].iter().any(|word| name.contains(word))
}

/// ksqlDB's name of a setting, if it has one; settings of Kafka Streams with their prefix.
fn public_name(name: &str) -> String {
    const OF_STREAMS: &[&str] = &["auto.offset.reset", "cache.max.bytes.buffering", "processing.guarantee"];
    if OF_STREAMS.contains(&name) {
        return format!("ksql.streams.{name}");
    }
    settings::aliases_of(name).next().unwrap_or(name).to_owned()
}
