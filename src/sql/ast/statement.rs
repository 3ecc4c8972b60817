//! Statements.

use std::time::Duration;

use crate::diagnostics::Span;
use crate::types::Name;

use super::{Expr, Literal, Query, TypeName};

/// A name and its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ident {
    /// The name after the case rule.
    pub name: Name,
    /// Where it stands.
    pub span: Span,
}

/// A statement, its place, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it is.
    pub kind: StatementKind,
    /// Where it stands in the request, without the semicolon.
    pub span: Span,
}

/// STREAM or TABLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "each is the kind its name says")]
pub enum SourceKind {
    Stream,
    Table,
}

impl SourceKind {
    /// `STREAM` or `TABLE`.
    pub fn as_sql(self) -> &'static str {
        match self {
            Self::Stream => "STREAM",
            Self::Table => "TABLE",
        }
    }

    /// `stream` or `table`, for messages.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Table => "table",
        }
    }
}

/// Where a declared column lives, as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnDefinitionRole {
    /// No keyword: in the value.
    Value,
    /// `KEY`
    Key,
    /// `PRIMARY KEY`
    PrimaryKey,
    /// `HEADERS`
    Headers,
    /// `HEADER('name')`
    Header(String),
}

/// A declared column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ColumnDefinition {
    /// Name.
    pub name: Ident,
    /// Type.
    pub ty: TypeName,
    /// Where it lives.
    pub role: ColumnDefinitionRole,
}

/// A WITH property. Names are matched without regard to case and stored upper-cased.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Property {
    /// Name, upper case.
    pub name: Ident,
    /// Value.
    pub value: Literal,
    /// Where the value stands.
    pub value_span: Span,
}

/// `CREATE [OR REPLACE] [SOURCE] STREAM|TABLE [IF NOT EXISTS] name (columns) WITH (…)`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateSource {
    /// OR REPLACE.
    pub or_replace: bool,
    /// SOURCE: read-only.
    pub read_only: bool,
    /// STREAM or TABLE.
    pub kind: SourceKind,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Name.
    pub name: Ident,
    /// Declared columns; may be empty where the format has a registry.
    pub columns: Vec<ColumnDefinition>,
    /// WITH properties in order.
    pub with: Vec<Property>,
}

/// `CREATE [OR REPLACE] STREAM|TABLE [IF NOT EXISTS] name [WITH (…)] AS SELECT …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateSourceAs {
    /// OR REPLACE.
    pub or_replace: bool,
    /// STREAM or TABLE.
    pub kind: SourceKind,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Name.
    pub name: Ident,
    /// WITH properties in order.
    pub with: Vec<Property>,
    /// The query.
    pub query: Query,
}

/// `CREATE [OR REPLACE] FUNCTION [IF NOT EXISTS] name(argument TYPE, …) RETURNS type AS 'expression'`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateFunction {
    /// OR REPLACE.
    pub or_replace: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// Name.
    pub name: Ident,
    /// Arguments in order.
    pub params: Vec<(Ident, TypeName)>,
    /// The type of the result.
    pub returns: TypeName,
    /// The expression between the quotes. Its places are places in the request.
    pub body: Expr,
}

/// A query in standard SQL, beyond this dialect's grammar: its text, which only its reader understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandardQuery {
    /// From its first word to before its semicolon, variables replaced.
    pub text: String,
    /// Where the text stands; unknown if variables were replaced in it.
    pub span: Span,
}

/// `INSERT INTO target [(columns)] VALUES (…)`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsertValues {
    /// Target.
    pub target: Ident,
    /// Columns; empty if there is no list.
    pub columns: Vec<Ident>,
    /// Values.
    pub values: Vec<Expr>,
}

/// A topic or subject: keeps its spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicName {
    /// As written, without quotes.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

/// Which queries TERMINATE, PAUSE or RESUME mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuerySelector {
    /// One query id.
    One(Ident),
    /// ALL
    All,
}

/// What ASSERT asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assertion {
    /// `TOPIC name [WITH (…)]`
    Topic {
        /// Topic.
        topic: TopicName,
        /// Expected properties.
        with: Vec<Property>,
    },
    /// `SCHEMA [SUBJECT s] [ID n]`, at least one of them.
    Schema {
        /// Subject.
        subject: Option<TopicName>,
        /// Schema id.
        id: Option<i32>,
    },
}

/// Kinds of statements.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the statement its name says; fields follow the grammar")]
pub enum StatementKind {
    Query(Box<Query>),
    StandardQuery(StandardQuery),
    CreateSource(Box<CreateSource>),
    CreateSourceAs(Box<CreateSourceAs>),
    InsertSelect {
        target: Ident,
        with: Vec<Property>,
        query: Box<Query>,
    },
    InsertValues(Box<InsertValues>),
    CreateType {
        if_not_exists: bool,
        name: Ident,
        ty: TypeName,
    },
    DropType {
        if_exists: bool,
        name: Ident,
    },
    CreateFunction(Box<CreateFunction>),
    DropFunction {
        if_exists: bool,
        name: Ident,
    },
    DropSource {
        kind: SourceKind,
        if_exists: bool,
        name: Ident,
        delete_topic: bool,
    },
    AlterSource {
        kind: SourceKind,
        name: Ident,
        columns: Vec<(Ident, TypeName)>,
    },
    AlterSystem {
        name: String,
        value: String,
    },
    /// `CREATE SOURCE|SINK CONNECTOR`
    CreateConnector {
        is_source: bool,
        if_not_exists: bool,
        name: Ident,
        with: Vec<Property>,
    },
    DropConnector {
        if_exists: bool,
        name: Ident,
    },
    ShowProperties,
    ShowTopics {
        all: bool,
        extended: bool,
    },
    ShowSources {
        kind: SourceKind,
        extended: bool,
    },
    ShowFunctions,
    /// `None`: all; `Some(true)`: SOURCE connectors; `Some(false)`: SINK.
    ShowConnectors {
        sources: Option<bool>,
    },
    ShowConnectorPlugins,
    ShowTypes,
    ShowVariables,
    ShowQueries {
        extended: bool,
    },
    Describe {
        name: Ident,
        extended: bool,
    },
    /// `DESCRIBE STREAMS|TABLES [EXTENDED]`
    DescribeSources {
        kind: SourceKind,
        extended: bool,
    },
    DescribeFunction {
        name: Ident,
    },
    DescribeConnector {
        name: Ident,
    },
    ExplainQuery {
        id: Ident,
    },
    ExplainStatement {
        statement: Box<Statement>,
    },
    Print {
        topic: TopicName,
        from_beginning: bool,
        interval: Option<u64>,
        limit: Option<u64>,
    },
    Terminate(QuerySelector),
    Pause(QuerySelector),
    Resume(QuerySelector),
    Set {
        name: String,
        value: String,
    },
    Unset {
        name: String,
    },
    Define {
        name: Name,
        value: String,
    },
    Undefine {
        name: Name,
    },
    Assert {
        negated: bool,
        what: Assertion,
        timeout: Option<Duration>,
    },
}
