//! The formats of the dialect by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The formats of the dialect. Names are matched without regard to case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each is the format its name says")]
pub enum FormatName {
    Kafka,
    Delimited,
    Json,
    JsonSr,
    Avro,
    Protobuf,
    ProtobufNosr,
    None,
}

impl FormatName {
    /// The name as statements write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "KAFKA",
            Self::Delimited => "DELIMITED",
            Self::Json => "JSON",
            Self::JsonSr => "JSON_SR",
            Self::Avro => "AVRO",
            Self::Protobuf => "PROTOBUF",
            Self::ProtobufNosr => "PROTOBUF_NOSR",
            Self::None => "NONE",
        }
    }

    /// Every format, in the order above.
    pub const ALL: [Self; 8] = [
        Self::Kafka,
        Self::Delimited,
        Self::Json,
        Self::JsonSr,
        Self::Avro,
        Self::Protobuf,
        Self::ProtobufNosr,
        Self::None,
    ];

    /// The format of this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str().eq_ignore_ascii_case(name))
    }

    /// True if schemas of this format live in a registry, so that columns can be inferred.
    pub fn infers_schema(self) -> bool {
        matches!(self, Self::Avro | Self::Protobuf | Self::JsonSr)
    }
}

impl fmt::Display for FormatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
