//! The shape of a conformance file, as its README describes it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

/// A conformance file: the cases of one suite and topic.
#[derive(Debug, Deserialize)]
pub(crate) struct CaseFile {
    pub(crate) suite: Suite,
    pub(crate) cases: Vec<Case>,
}

/// Which rules a case is run by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Suite {
    /// Statements, records in, records out.
    Qtt,
    /// The same plus answers of the HTTP API.
    Rest,
}

impl Suite {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Qtt => "qtt",
            Self::Rest => "rest",
        }
    }
}

/// One case.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) tier: u8,
    pub(crate) statements: Vec<String>,
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) topics: Vec<CaseTopic>,
    #[serde(default)]
    pub(crate) inputs: Vec<CaseRecord>,
    #[serde(default)]
    pub(crate) outputs: Vec<CaseRecord>,
    pub(crate) expected_error: bool,
    pub(crate) expected_error_message: Option<String>,
    pub(crate) expected_error_status: Option<u16>,
    pub(crate) post: Option<Post>,
    #[serde(default)]
    pub(crate) responses: Vec<Value>,
    #[serde(default)]
    pub(crate) wait_for_active_push_query: bool,
    #[serde(default)]
    pub(crate) verify_order: bool,
    #[serde(default)]
    pub(crate) test_pull_with_proto_format: bool,
}

impl Case {
    /// Properties as text, without those that speak to the runner alone.
    pub(crate) fn engine_properties(&self) -> BTreeMap<String, String> {
        self.properties
            .iter()
            .filter(|(name, _)| *name != EXACT_NUMBERS)
            .map(|(name, value)| (name.clone(), scalar_text(value)))
            .collect()
    }

    /// True unless the case asks for JSON fractions to be compared as doubles.
    pub(crate) fn compares_numbers_exactly(&self) -> bool {
        self.properties.get(EXACT_NUMBERS).is_none_or(|value| scalar_text(value) != "false")
    }
}

/// A property for the runner, not for the engine.
const EXACT_NUMBERS: &str = "use.exact.numeric.comparison";

/// A JSON scalar as the text a property has.
fn scalar_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A topic that exists before the first statement.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CaseTopic {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) replicas: i16,
}

/// A record to feed in or to expect.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CaseRecord {
    pub(crate) topic: String,
    pub(crate) key: Value,
    pub(crate) value: Value,
    pub(crate) timestamp: Option<i64>,
    pub(crate) window: Option<CaseWindow>,
    pub(crate) headers: Vec<CaseHeader>,
}

/// The window of a windowed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct CaseWindow {
    pub(crate) start: i64,
    pub(crate) end: i64,
    #[serde(rename = "type")]
    pub(crate) kind: CaseWindowKind,
}

/// Time windows carry their start in the key, sessions both bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum CaseWindowKind {
    Time,
    Session,
}

/// A header; its value is base64 or null.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct CaseHeader {
    #[serde(alias = "KEY")]
    pub(crate) key: String,
    #[serde(alias = "VALUE")]
    pub(crate) value: Option<String>,
}

/// Assertions on the catalogue after the statements.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Post {
    #[serde(default)]
    pub(crate) sources: Vec<PostSource>,
    #[serde(default)]
    pub(crate) topics: Vec<PostTopic>,
    pub(crate) topic_blacklist: Option<String>,
}

/// A source that must exist.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PostSource {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) schema: Option<String>,
    pub(crate) key_format: Option<PostKeyFormat>,
    pub(crate) value_format: Option<Value>,
    pub(crate) is_source: Option<bool>,
}

/// The key format and windowing of a source that must exist.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PostKeyFormat {
    pub(crate) format: Option<String>,
    pub(crate) window_type: Option<String>,
    pub(crate) window_size: Option<i64>,
}

/// A topic that must exist.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PostTopic {
    pub(crate) name: String,
    pub(crate) partitions: Option<i32>,
}

/// Reads a file if it is a conformance file, told by its top-level `suite`.
///
/// # Errors
/// The file cannot be read, or has a suite and is not of its shape.
pub(crate) fn read(path: &Path) -> anyhow::Result<Option<CaseFile>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let Ok(value) = serde_json::from_str::<Value>(&text) else { return Ok(None) };
    if !matches!(value.get("suite").and_then(Value::as_str), Some("qtt" | "rest")) {
        return Ok(None);
    }
    serde_json::from_value(value).map(Some).with_context(|| format!("{} is not a conformance file", path.display()))
}
