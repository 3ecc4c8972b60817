//! The result of one statement, as the API shows it: ksqlDB's entities (`rest-api` section 4).
//!
//! An [`Entity`] serialises to one JSON object: `@type`, `statementText`, the members of its [`Body`], `warnings`.
//! Members that ksqlDB leaves out when absent are left out here, all others are `null`.

mod field;
mod lists;
mod source;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub use field::{FieldInfo, SchemaInfo};
pub use lists::{
    ArgumentInfo, FunctionInfo, FunctionSignature, PropertyInfo, QueryInfo, SourceInfo, TopicDetails, TopicSummary,
    VariableInfo,
};
pub use source::{
    ClusterStatistic, OffsetSummary, PartitionOffsets, QueryDescription, QueryErrorInfo, QueryOffsets,
    SourceDescription,
};

/// The result of one statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// The statement's text, with defaults filled in where it created something.
    pub statement_text: String,
    /// What it answers.
    pub body: Body,
    /// Remarks that are no errors.
    pub warnings: Vec<Warning>,
}

/// A remark that is no error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The text.
    pub message: String,
}

impl Warning {
    /// Remarks of these texts.
    pub(super) fn of(texts: &[String]) -> Vec<Self> {
        texts.iter().map(|message| Self { message: message.clone() }).collect()
    }
}

impl Entity {
    /// An entity without warnings.
    pub fn new(statement_text: impl Into<String>, body: Body) -> Self {
        Self { statement_text: statement_text.into(), body, warnings: Vec::new() }
    }
}

impl Serialize for Entity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = serde_json::to_value(&self.body).map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in body.as_object().into_iter().flatten() {
            map.serialize_entry(name, value)?;
            if name == "@type" {
                map.serialize_entry("statementText", &self.statement_text)?;
            }
        }
        map.serialize_entry("warnings", &self.warnings)?;
        map.end()
    }
}

/// How far a command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "each is the status its name says")]
pub enum CommandState {
    Queued,
    Executing,
    Terminated,
    Success,
    Error,
}

/// The status of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandStatus {
    /// How far it has come.
    pub status: CommandState,
    /// What came of it.
    pub message: String,
    /// The query it created.
    pub query_id: Option<String>,
}

/// What an entity holds beside its statement's text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "@type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Body {
    /// A durable statement was appended to the command log and applied.
    #[serde(rename = "currentStatus")]
    CurrentStatus {
        /// `type/entity/action`.
        command_id: String,
        /// What came of it.
        command_status: CommandStatus,
        /// Its position in the command log.
        command_sequence_number: i64,
    },
    /// Nothing was done, for a good reason.
    WarningEntity {
        /// The reason.
        message: String,
    },
    /// A push query was ended.
    TerminateQuery {
        /// Its id.
        query_id: String,
        /// False if there was none.
        was_terminated: bool,
    },
    /// SHOW STREAMS
    Streams {
        /// By name.
        streams: Vec<SourceInfo>,
    },
    /// SHOW TABLES
    Tables {
        /// By name.
        tables: Vec<SourceInfo>,
    },
    /// SHOW STREAMS EXTENDED, DESCRIBE STREAMS
    SourceDescriptions {
        /// By name.
        source_descriptions: Vec<SourceDescription>,
    },
    /// DESCRIBE
    #[serde(rename = "sourceDescription")]
    SourceDescription {
        /// The source.
        source_description: Box<SourceDescription>,
    },
    /// SHOW TOPICS
    KafkaTopics {
        /// By name.
        topics: Vec<TopicSummary>,
    },
    /// SHOW TOPICS EXTENDED
    KafkaTopicsExtended {
        /// By name.
        topics: Vec<TopicDetails>,
    },
    /// SHOW QUERIES
    Queries {
        /// By id.
        queries: Vec<QueryInfo>,
    },
    /// SHOW QUERIES EXTENDED
    QueryDescriptions {
        /// By id.
        query_descriptions: Vec<QueryDescription>,
    },
    /// EXPLAIN
    #[serde(rename = "queryDescription")]
    QueryDescription {
        /// The query.
        query_description: Box<QueryDescription>,
    },
    /// SHOW PROPERTIES
    Properties {
        /// By name.
        properties: Vec<PropertyInfo>,
        /// Names set by this request.
        overwritten_properties: Vec<String>,
        /// Names that have their default.
        default_properties: Vec<String>,
    },
    /// SHOW FUNCTIONS
    FunctionNames {
        /// By name.
        functions: Vec<FunctionInfo>,
    },
    /// DESCRIBE FUNCTION
    DescribeFunction {
        /// Name.
        name: String,
        /// What it does.
        description: String,
        /// Who wrote it.
        author: String,
        /// Its version.
        version: String,
        /// Where it comes from; `internal` for built-in functions.
        path: String,
        /// Its overloads.
        functions: Vec<FunctionSignature>,
        /// SCALAR, AGGREGATE or TABLE.
        r#type: String,
    },
    /// SHOW TYPES
    TypeList {
        /// By name.
        types: std::collections::BTreeMap<String, SchemaInfo>,
    },
    /// SHOW VARIABLES
    Variables {
        /// By name.
        variables: Vec<VariableInfo>,
    },
    /// SHOW CONNECTORS: always empty, there is no Connect cluster.
    ConnectorList {
        /// Always empty.
        connectors: Vec<String>,
    },
    /// SHOW CONNECTOR PLUGINS: always empty.
    ConnectorPluginsList {
        /// Always empty.
        connectors_plugins: Vec<String>,
    },
    /// ASSERT TOPIC held.
    AssertTopic {
        /// The topic.
        topic_name: String,
        /// What was asserted.
        exists: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::{Body, CommandState, CommandStatus, Entity, SourceInfo};

    fn check(entity: &Entity, expected: &str) {
        assert_eq!(serde_json::to_string(entity).expect("entities serialise"), expected);
    }

    #[test]
    fn a_command_status_has_ksqldbs_members_in_its_order() {
        let status = CommandStatus {
            status: CommandState::Success,
            message: "Created query with ID CSAS_PAGES_12".into(),
            query_id: Some("CSAS_PAGES_12".into()),
        };
        let body = Body::CurrentStatus {
            command_id: "stream/`PAGES`/create".into(),
            command_status: status,
            command_sequence_number: 12,
        };
        check(
            &Entity::new("CREATE STREAM PAGES AS SELECT * FROM X;", body),
            "{\"@type\":\"currentStatus\",\"statementText\":\"CREATE STREAM PAGES AS SELECT * FROM X;\",\
             \"commandId\":\"stream/`PAGES`/create\",\"commandStatus\":{\"status\":\"SUCCESS\",\
             \"message\":\"Created query with ID CSAS_PAGES_12\",\"queryId\":\"CSAS_PAGES_12\"},\
             \"commandSequenceNumber\":12,\"warnings\":[]}",
        );
    }

    #[test]
    fn lists_are_named_by_their_type() {
        let stream = SourceInfo {
            kind: "STREAM",
            name: "S1".into(),
            topic: "t1".into(),
            key_format: "KAFKA".into(),
            value_format: "JSON".into(),
            is_windowed: false,
        };
        check(
            &Entity::new("LIST STREAMS;", Body::Streams { streams: vec![stream] }),
            "{\"@type\":\"streams\",\"statementText\":\"LIST STREAMS;\",\"streams\":[{\"type\":\"STREAM\",\
             \"name\":\"S1\",\"topic\":\"t1\",\"keyFormat\":\"KAFKA\",\"valueFormat\":\"JSON\",\"isWindowed\":false}],\
             \"warnings\":[]}",
        );
        check(
            &Entity::new("LIST CONNECTORS;", Body::ConnectorList { connectors: vec![] }),
            "{\"@type\":\"connector_list\",\"statementText\":\"LIST CONNECTORS;\",\"connectors\":[],\"warnings\":[]}",
        );
    }
}
