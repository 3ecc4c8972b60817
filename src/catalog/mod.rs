//! What exists: sources, types, functions, queries. A [`Catalog`] is an immutable snapshot; changing it makes another.
//!
//! Invariants:
//! - a snapshot never changes, and cloning one costs a few pointer copies;
//! - every source named by a query exists; every query named by a source exists;
//! - nothing here touches topics: the catalog says what should be, the engine makes it so.

mod check;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::formats::Side;
use crate::functions::{Function, Macro};
use crate::planner::graph::TimestampColumn;
use crate::sql::ast::SourceKind;
use crate::types::{Name, Offset, Schema, SqlType, WindowInfo};

pub use check::{altered, check_create, check_drop, check_replace};

/// A persistent query's id: `CSAS_BIG_ORDERS_3`. Upper case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueryId(pub String);

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stream or table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Name.
    pub name: Name,
    /// STREAM or TABLE.
    pub kind: SourceKind,
    /// Columns.
    pub schema: Schema,
    /// Topic.
    pub topic: String,
    /// How keys are written; its columns are the schema's key columns.
    pub key: Side,
    /// How values are written; its columns are the schema's value columns.
    pub value: Side,
    /// What WRAP_SINGLE_VALUE, or the setting behind it, said: ksql tells it apart from the format's default.
    pub wrap_given: Option<bool>,
    /// The window suffix of keys.
    pub window: Option<WindowInfo>,
    /// Where event time comes from; `None` is the record's timestamp.
    pub timestamp: Option<TimestampColumn>,
    /// CREATE SOURCE …: nobody writes it through us.
    pub read_only: bool,
    /// The query that writes it since CREATE … AS SELECT. The planner leaves it to the engine, which counts queries.
    pub created_by: Option<QueryId>,
    /// Where the rows of a table begin in each partition, if a query made it over a topic that held records: those before
    /// are not its own. Empty: at the first record. An offset past the end is of an earlier topic and says nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begins_at: Vec<Offset>,
    /// The statement's text, with defaults filled in. The planner leaves it to the engine, which has the text.
    pub sql: String,
}

impl Source {
    /// True for a table.
    pub fn is_table(&self) -> bool {
        self.kind == SourceKind::Table
    }
}

/// A persistent query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersistentQuery {
    /// Id.
    pub id: QueryId,
    /// The stream or table it writes.
    pub sink: Name,
    /// The streams and tables it reads.
    pub sources: Vec<Name>,
    /// The statement's text, with defaults filled in.
    pub sql: String,
    /// True after PAUSE.
    pub paused: bool,
}

/// All that exists, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Counts changes.
    pub version: u64,
    sources: Arc<BTreeMap<Name, Arc<Source>>>,
    types: Arc<BTreeMap<Name, SqlType>>,
    functions: Arc<BTreeMap<Name, Function>>,
    queries: Arc<BTreeMap<QueryId, Arc<PersistentQuery>>>,
}

/// One change of a catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CatalogChange {
    /// Adds or replaces a source.
    PutSource(Box<Source>),
    /// Removes a source.
    DropSource(Name),
    /// Adds a type.
    PutType(Name, SqlType),
    /// Removes a type.
    DropType(Name),
    /// Adds or replaces a function.
    PutFunction(Box<Macro>),
    /// Removes a function.
    DropFunction(Name),
    /// Adds or replaces a query.
    PutQuery(Box<PersistentQuery>),
    /// Removes a query.
    DropQuery(QueryId),
}

impl Catalog {
    /// The source of this name.
    pub fn source(&self, name: &Name) -> Option<&Arc<Source>> {
        self.sources.get(name)
    }

    /// All sources by name.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.sources.values()
    }

    /// The type of this name.
    pub fn custom_type(&self, name: &Name) -> Option<&SqlType> {
        self.types.get(name)
    }

    /// All types by name.
    pub fn custom_types(&self) -> impl Iterator<Item = (&Name, &SqlType)> {
        self.types.iter()
    }

    /// The functions that statements defined, by name.
    pub fn functions(&self) -> &Arc<BTreeMap<Name, Function>> {
        &self.functions
    }

    /// The query of this id.
    pub fn query(&self, id: &QueryId) -> Option<&Arc<PersistentQuery>> {
        self.queries.get(id)
    }

    /// All queries by id.
    pub fn queries(&self) -> impl Iterator<Item = &Arc<PersistentQuery>> {
        self.queries.values()
    }

    /// Queries that read `source`.
    pub fn readers<'a>(&'a self, source: &'a Name) -> impl Iterator<Item = &'a Arc<PersistentQuery>> {
        self.queries.values().filter(move |query| query.sources.contains(source))
    }

    /// Queries that write `source`.
    pub fn writers<'a>(&'a self, source: &'a Name) -> impl Iterator<Item = &'a Arc<PersistentQuery>> {
        self.queries.values().filter(move |query| query.sink == *source)
    }

    /// The snapshot after `change`.
    #[must_use]
    pub fn with(&self, change: CatalogChange) -> Self {
        let mut next = self.clone();
        next.version += 1;
        match change {
            CatalogChange::PutSource(source) => {
                Arc::make_mut(&mut next.sources).insert(source.name.clone(), Arc::new(*source));
            }
            CatalogChange::DropSource(name) => {
                Arc::make_mut(&mut next.sources).remove(&name);
            }
            CatalogChange::PutType(name, ty) => {
                Arc::make_mut(&mut next.types).insert(name, ty);
            }
            CatalogChange::DropType(name) => {
                Arc::make_mut(&mut next.types).remove(&name);
            }
            CatalogChange::PutFunction(definition) => {
                let name = definition.name.clone();
                Arc::make_mut(&mut next.functions).insert(name, Function::defined(*definition));
            }
            CatalogChange::DropFunction(name) => {
                Arc::make_mut(&mut next.functions).remove(&name);
            }
            CatalogChange::PutQuery(query) => {
                Arc::make_mut(&mut next.queries).insert(query.id.clone(), Arc::new(*query));
            }
            CatalogChange::DropQuery(id) => {
                Arc::make_mut(&mut next.queries).remove(&id);
            }
        }
        next
    }
}

#[cfg(test)]
mod tests;
