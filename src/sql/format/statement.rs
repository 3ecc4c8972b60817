//! Statements as text.

use std::fmt;

use crate::sql::ast::{
    Assertion, ColumnDefinition, ColumnDefinitionRole, CreateFunction, CreateSource, CreateSourceAs, InsertValues,
    Property, QuerySelector, SourceKind, Statement, StatementKind, TopicName,
};
use crate::types::Name;

use super::expression::write_value;
use super::query::TimeSpan;
use super::{write_list, write_string};

/// Without the semicolon.
impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl fmt::Display for StatementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(query) => write!(f, "{query}"),
            Self::StandardQuery(query) => f.write_str(&query.text),
            Self::CreateSource(create) => write!(f, "{create}"),
            Self::CreateSourceAs(create) => write!(f, "{create}"),
            Self::InsertSelect { target, with, query } => {
                write!(f, "INSERT INTO {}{} {query}", target.name, With(with))
            }
            Self::InsertValues(insert) => write!(f, "{insert}"),
            Self::CreateType { if_not_exists, name, ty } => {
                write!(f, "CREATE TYPE {}{} AS {ty}", when(*if_not_exists, "IF NOT EXISTS "), name.name)
            }
            Self::DropType { if_exists, name } => {
                write!(f, "DROP TYPE {}{}", when(*if_exists, "IF EXISTS "), name.name)
            }
            Self::CreateFunction(create) => write!(f, "{create}"),
            Self::DropFunction { if_exists, name } => {
                write!(f, "DROP FUNCTION {}{}", when(*if_exists, "IF EXISTS "), name.name)
            }
            Self::DropSource { kind, if_exists, name, delete_topic } => {
                let (exists, topic) = (when(*if_exists, "IF EXISTS "), when(*delete_topic, " DELETE TOPIC"));
                write!(f, "DROP {} {exists}{}{topic}", kind.as_sql(), name.name)
            }
            Self::AlterSource { kind, name, columns } => {
                write!(f, "ALTER {} {} ", kind.as_sql(), name.name)?;
                write_list(f, columns, |f, (name, ty)| write!(f, "ADD COLUMN {} {ty}", name.name))
            }
            Self::AlterSystem { name, value } => {
                f.write_str("ALTER SYSTEM ")?;
                write_setting(f, name, value)
            }
            Self::CreateConnector { is_source, if_not_exists, name, with } => {
                let (kind, exists) =
                    (if *is_source { "SOURCE" } else { "SINK" }, when(*if_not_exists, "IF NOT EXISTS "));
                write!(f, "CREATE {kind} CONNECTOR {exists}{}{}", name.name, With(with))
            }
            Self::DropConnector { if_exists, name } => {
                write!(f, "DROP CONNECTOR {}{}", when(*if_exists, "IF EXISTS "), name.name)
            }
            Self::ExplainStatement { statement } => write!(f, "EXPLAIN {statement}"),
            Self::ExplainQuery { id } => {
                f.write_str("EXPLAIN ")?;
                // A query may be called like the word that begins a statement, which ends right after it only here.
                write!(f, "{}", id.name)
            }
            Self::Print { topic, from_beginning, interval, limit } => {
                write!(f, "PRINT {topic}{}", when(*from_beginning, " FROM BEGINNING"))?;
                interval.map_or(Ok(()), |interval| write!(f, " INTERVAL {interval}"))?;
                limit.map_or(Ok(()), |limit| write!(f, " LIMIT {limit}"))
            }
            Self::Terminate(selector) => write!(f, "TERMINATE {selector}"),
            Self::Pause(selector) => write!(f, "PAUSE {selector}"),
            Self::Resume(selector) => write!(f, "RESUME {selector}"),
            Self::Set { name, value } => {
                f.write_str("SET ")?;
                write_setting(f, name, value)
            }
            Self::Unset { name } => {
                f.write_str("UNSET ")?;
                write_string(f, name)
            }
            Self::Define { name, value } => {
                write!(f, "DEFINE {} = ", name.as_str())?;
                write_string(f, value)
            }
            Self::Undefine { name } => write!(f, "UNDEFINE {}", name.as_str()),
            Self::Assert { negated, what, timeout } => {
                write!(f, "ASSERT {}{what}", when(*negated, "NOT EXISTS "))?;
                timeout.map_or(Ok(()), |timeout| write!(f, " TIMEOUT {}", TimeSpan(timeout)))
            }
            asking => write_asking(f, asking),
        }
    }
}

/// SHOW and DESCRIBE.
fn write_asking(f: &mut fmt::Formatter<'_>, kind: &StatementKind) -> fmt::Result {
    let plural = |kind: &SourceKind| match kind {
        SourceKind::Stream => "STREAMS",
        SourceKind::Table => "TABLES",
    };
    let extend = |extended: &bool| when(*extended, " EXTENDED");
    match kind {
        StatementKind::ShowProperties => f.write_str("SHOW PROPERTIES"),
        StatementKind::ShowTopics { all, extended } => {
            write!(f, "SHOW {}TOPICS{}", when(*all, "ALL "), extend(extended))
        }
        StatementKind::ShowSources { kind, extended } => write!(f, "SHOW {}{}", plural(kind), extend(extended)),
        StatementKind::ShowFunctions => f.write_str("SHOW FUNCTIONS"),
        StatementKind::ShowConnectors { sources } => f.write_str(match sources {
            None => "SHOW CONNECTORS",
            Some(true) => "SHOW SOURCE CONNECTORS",
            Some(false) => "SHOW SINK CONNECTORS",
        }),
        StatementKind::ShowConnectorPlugins => f.write_str("SHOW CONNECTOR PLUGINS"),
        StatementKind::ShowTypes => f.write_str("SHOW TYPES"),
        StatementKind::ShowVariables => f.write_str("SHOW VARIABLES"),
        StatementKind::ShowQueries { extended } => write!(f, "SHOW QUERIES{}", extend(extended)),
        StatementKind::Describe { name, extended } => {
            f.write_str("DESCRIBE ")?;
            write_unless_special(f, &name.name, |name| name == "TABLES")?;
            f.write_str(extend(extended))
        }
        StatementKind::DescribeSources { kind, extended } => {
            write!(f, "DESCRIBE {}{}", plural(kind), extend(extended))
        }
        StatementKind::DescribeFunction { name } => write!(f, "DESCRIBE FUNCTION {}", name.name),
        StatementKind::DescribeConnector { name } => write!(f, "DESCRIBE CONNECTOR {}", name.name),
        _ => Err(fmt::Error),
    }
}

impl fmt::Display for CreateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CREATE {}{}{} {}{}",
            when(self.or_replace, "OR REPLACE "),
            when(self.read_only, "SOURCE "),
            self.kind.as_sql(),
            when(self.if_not_exists, "IF NOT EXISTS "),
            self.name.name
        )?;
        if !self.columns.is_empty() {
            f.write_str(" (")?;
            write_list(f, &self.columns, |f, column| write!(f, "{column}"))?;
            f.write_str(")")?;
        }
        write!(f, "{}", With(&self.with))
    }
}

impl fmt::Display for CreateSourceAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CREATE {}{} {}{}{} AS {}",
            when(self.or_replace, "OR REPLACE "),
            self.kind.as_sql(),
            when(self.if_not_exists, "IF NOT EXISTS "),
            self.name.name,
            With(&self.with),
            self.query
        )
    }
}

impl fmt::Display for CreateFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CREATE {}FUNCTION {}{}(",
            when(self.or_replace, "OR REPLACE "),
            when(self.if_not_exists, "IF NOT EXISTS "),
            self.name.name
        )?;
        write_list(f, &self.params, |f, (name, ty)| write!(f, "{} {ty}", name.name))?;
        write!(f, ") RETURNS {} AS ", self.returns)?;
        write_string(f, &self.body.to_string())
    }
}

impl fmt::Display for InsertValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INSERT INTO {}", self.target.name)?;
        if !self.columns.is_empty() {
            f.write_str(" (")?;
            write_list(f, &self.columns, |f, column| write!(f, "{}", column.name))?;
            f.write_str(")")?;
        }
        f.write_str(" VALUES (")?;
        write_list(f, &self.values, write_value)?;
        f.write_str(")")
    }
}

impl fmt::Display for ColumnDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name.name, self.ty)?;
        match &self.role {
            ColumnDefinitionRole::Value => Ok(()),
            ColumnDefinitionRole::Key => f.write_str(" KEY"),
            ColumnDefinitionRole::PrimaryKey => f.write_str(" PRIMARY KEY"),
            ColumnDefinitionRole::Headers => f.write_str(" HEADERS"),
            ColumnDefinitionRole::Header(key) => {
                f.write_str(" HEADER(")?;
                write_string(f, key)?;
                f.write_str(")")
            }
        }
    }
}

/// ` WITH (NAME='value', …)`, or nothing if there are no properties.
struct With<'a>(&'a [Property]);

impl fmt::Display for With<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        f.write_str(" WITH (")?;
        write_list(f, self.0, |f, property| write!(f, "{property}"))?;
        f.write_str(")")
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name.name;
        if name.is_plain() {
            f.write_str(name.as_str())?;
        } else {
            write_string(f, name.as_str())?;
        }
        write!(f, "={}", self.value)
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic { topic, with } => write!(f, "TOPIC {topic}{}", With(with)),
            Self::Schema { subject, id } => {
                f.write_str("SCHEMA")?;
                subject.as_ref().map_or(Ok(()), |subject| write!(f, " SUBJECT {subject}"))?;
                id.map_or(Ok(()), |id| write!(f, " ID {id}"))
            }
        }
    }
}

impl fmt::Display for QuerySelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(id) => write!(f, "{}", id.name),
            Self::All => f.write_str("ALL"),
        }
    }
}

/// As a string, which keeps every spelling.
impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_string(f, &self.name)
    }
}

fn write_setting(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    write_string(f, name)?;
    f.write_str("=")?;
    write_string(f, value)
}

/// A name, quoted also where `is_special` says that its bare word would be read as something else.
fn write_unless_special(f: &mut fmt::Formatter<'_>, name: &Name, is_special: impl FnOnce(&str) -> bool) -> fmt::Result {
    if is_special(name.as_str()) { f.write_str(&name.quoted()) } else { write!(f, "{name}") }
}

fn when(present: bool, text: &'static str) -> &'static str {
    if present { text } else { "" }
}
