//! INSERT INTO … SELECT: another query that writes a stream.

use crate::catalog::QueryId;
use crate::diagnostics::{Code, Diagnostic};
use crate::engine::command::CommandId;
use crate::engine::scope::{Outcome, Scope, check_writable};
use crate::planner::{QueryVerb, insert_query_id, plan_insert_select, query_id};
use crate::sql::ast::{Ident, Property, Query};

use super::create_as::{check_query_count, start_query};

/// Starts a query that writes into an existing stream.
pub(super) fn insert_select(
    scope: &mut Scope<'_>,
    target: &Ident,
    with: &[Property],
    query: &Query,
) -> Result<Outcome, Diagnostic> {
    let planned = scope.plan(|catalog, context| plan_insert_select(target, with, query, catalog, context))?;
    check_query_count(scope)?;
    let id = match insert_query_id(with)? {
        Some(id) => QueryId(id),
        None => query_id(QueryVerb::InsertSelect, &target.name, scope.next_number()),
    };
    if scope.world.queries.contains_key(&id) {
        return Err(scope.at(Diagnostic::new(Code::DuplicateName, format!("query {id} exists already"))));
    }
    let sink = scope.source(target)?;
    check_writable(&sink.topic).map_err(|error| error.at(target.span))?;
    let command_id = CommandId::new("stream", target.name.quoted(), "create");
    let command = start_query(scope, command_id, scope.text.to_owned(), &id, &planned, &sink)?;
    Ok(Outcome::Command(Box::new(command)))
}
