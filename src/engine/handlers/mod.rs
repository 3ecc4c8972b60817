//! One handler a kind of statement: what the statement means in the world it is read in.
//!
//! A handler decides and does nothing: what is to happen is in the [`Outcome`] it returns. It is called twice, in the
//! sandbox and for good, and must not care which, except where only the log can answer ([`super::scope::Purpose`]).

mod alter_source;
mod alter_system;
mod assert_topic;
mod connectors;
mod create_as;
mod create_source;
mod custom_types;
mod defined_functions;
mod describe;
mod describe_function;
mod drop_source;
mod explain;
mod insert_select;
mod insert_values;
mod query_control;
mod session_values;
mod show_properties;
mod show_queries;
mod show_sources;
mod show_topics;

use crate::diagnostics::Diagnostic;
use crate::sql::ast::{SourceKind, StatementKind};

use super::scope::{Outcome, Scope};

/// Decides what a statement does.
pub(super) fn handle(mut scope: Scope<'_>) -> Result<Outcome, Diagnostic> {
    let statement = scope.statement;
    let scope = &mut scope;
    match &statement.kind {
        StatementKind::Query(_) | StatementKind::StandardQuery(_) | StatementKind::Print { .. } => Ok(Outcome::Nothing),
        StatementKind::CreateSource(create) => create_source::create_source(scope, create),
        StatementKind::CreateSourceAs(create) => create_as::create_as(scope, create),
        StatementKind::InsertSelect { target, with, query } => insert_select::insert_select(scope, target, with, query),
        StatementKind::InsertValues(insert) => insert_values::insert_values(scope, insert),
        StatementKind::CreateType { if_not_exists, name, ty } => {
            custom_types::create_type(scope, *if_not_exists, name, ty)
        }
        StatementKind::DropType { if_exists, name } => custom_types::drop_type(scope, *if_exists, name),
        StatementKind::CreateFunction(create) => defined_functions::create_function(scope, create),
        StatementKind::DropFunction { if_exists, name } => defined_functions::drop_function(scope, *if_exists, name),
        StatementKind::DropSource { kind, if_exists, name, delete_topic } => {
            let drop = drop_source::Drop { kind: *kind, if_exists: *if_exists, delete_topic: *delete_topic };
            drop_source::drop_source(scope, name, drop)
        }
        StatementKind::AlterSource { kind, name, columns } => alter_source::alter_source(scope, *kind, name, columns),
        StatementKind::AlterSystem { name, value } => alter_system::alter_system(scope, name, value),
        StatementKind::CreateConnector { .. } => connectors::no_connect(scope, "CREATE CONNECTOR"),
        StatementKind::DropConnector { .. } => connectors::no_connect(scope, "DROP CONNECTOR"),
        StatementKind::DescribeConnector { .. } => connectors::no_connect(scope, "DESCRIBE CONNECTOR"),
        StatementKind::ShowConnectors { .. } => Ok(connectors::show_connectors()),
        StatementKind::ShowConnectorPlugins => Ok(connectors::show_plugins()),
        StatementKind::ShowProperties => show_properties::show_properties(scope),
        StatementKind::ShowTopics { all, extended } => show_topics::show_topics(scope, *all, *extended),
        StatementKind::ShowSources { kind, extended: false } => Ok(show_sources::show_sources(scope, *kind)),
        StatementKind::ShowSources { kind, extended: true } => describe::describe_all(scope, *kind, true),
        StatementKind::DescribeSources { kind, extended } => describe::describe_all(scope, *kind, *extended),
        StatementKind::Describe { name, extended } => describe::describe(scope, name, *extended),
        StatementKind::ShowFunctions => Ok(describe_function::show_functions(scope)),
        StatementKind::DescribeFunction { name } => describe_function::describe_function(scope, name),
        StatementKind::ShowTypes => Ok(custom_types::show_types(scope)),
        StatementKind::ShowVariables => Ok(session_values::show_variables(scope)),
        StatementKind::ShowQueries { extended } => Ok(show_queries::show_queries(scope, *extended)),
        StatementKind::ExplainQuery { id } => explain::explain_query(scope, id),
        StatementKind::ExplainStatement { statement } => explain::explain_statement(scope, statement),
        StatementKind::Terminate(which) => query_control::terminate(scope, which),
        StatementKind::Pause(which) => query_control::pause(scope, which),
        StatementKind::Resume(which) => query_control::resume(scope, which),
        StatementKind::Set { name, value } => session_values::set(scope, name, value),
        StatementKind::Unset { name } => session_values::unset(scope, name),
        StatementKind::Define { .. } | StatementKind::Undefine { .. } => Ok(session_values::define(scope)),
        StatementKind::Assert { negated, what, timeout } => assert_topic::assert(scope, *negated, what, *timeout),
    }
}

/// `stream` or `table`: how command ids begin.
fn command_kind(kind: SourceKind) -> &'static str {
    kind.noun()
}
