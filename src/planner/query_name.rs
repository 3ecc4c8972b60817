//! Ids of persistent queries: `CSAS_BIG_ORDERS_3`.

use crate::catalog::QueryId;
use crate::types::Name;

/// The statement that makes a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryVerb {
    /// CREATE STREAM … AS SELECT.
    CreateStreamAs,
    /// CREATE TABLE … AS SELECT.
    CreateTableAs,
    /// INSERT INTO … SELECT.
    InsertSelect,
    /// CREATE SOURCE TABLE, which is kept for pull queries.
    CreateSourceTable,
}

/// The id of a query that writes `sink`; `number` is that of its command and makes it unique.
pub fn query_id(verb: QueryVerb, sink: &Name, number: u64) -> QueryId {
    let sink = sink.as_str();
    QueryId(
        match verb {
            QueryVerb::CreateStreamAs => format!("CSAS_{sink}_{number}"),
            QueryVerb::CreateTableAs => format!("CTAS_{sink}_{number}"),
            QueryVerb::InsertSelect => format!("INSERTQUERY_{number}"),
            QueryVerb::CreateSourceTable => format!("CST_{sink}_{number}"),
        }
        .to_uppercase(),
    )
}
