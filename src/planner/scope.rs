//! Which column a name means: the sources of FROM, their aliases, and the columns of the row that flows.
//!
//! A row holds the source's value, header and pseudo columns, window bounds and a copy of its key columns, and a name
//! may mean any of them. A column's name on the edge is its own name: with one source names are unique already.

use std::sync::Arc;

use super::graph::SourceColumn;
use super::names::unique;
use super::plan::SourceNode;
use crate::catalog::{Catalog, Source};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::sql::ast::{ColumnRef, Ident, Query, Relation};
use crate::types::{ColumnRole, Name, SqlType};

/// Where in the source a column lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScopeRole {
    Key,
    Value,
    Header,
    Pseudo,
    WindowBound,
    /// The key of a join that no source has.
    SyntheticKey,
}

/// A column that a name can mean.
#[derive(Debug, Clone)]
pub(super) struct ScopeColumn {
    /// What statements call it.
    pub(super) name: Name,
    /// What the edge calls it.
    pub(super) edge: Name,
    pub(super) ty: SqlType,
    pub(super) role: ScopeRole,
    /// Where its values come from.
    pub(super) from: SourceColumn,
}

/// A source of FROM.
#[derive(Debug, Clone)]
pub(super) struct ScopeRelation {
    /// What qualifies its columns.
    pub(super) alias: Name,
    pub(super) source: Arc<Source>,
    pub(super) columns: Vec<ScopeColumn>,
}

/// All sources of a query.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) relations: Vec<ScopeRelation>,
}

/// The source of this name.
///
/// # Errors
/// [`Code::UnknownSource`] with the nearest name, or with the same name in other letter case.
pub(super) fn find_source(catalog: &Catalog, name: &Ident) -> Result<Arc<Source>, Diagnostic> {
    if let Some(source) = catalog.source(&name.name) {
        return Ok(Arc::clone(source));
    }
    let error = Diagnostic::new(Code::UnknownSource, format!("source {} does not exist", name.name)).at(name.span);
    let names = || catalog.sources().map(|source| &source.name);
    Err(match other_case(&name.name, names()) {
        Some(hint) => error.with_hint(hint),
        None => error.with_near_miss(name.name.as_str(), names().map(Name::as_str)),
    })
}

/// The hint for a name that exists in other letter case.
fn other_case<'a>(wrong: &Name, mut candidates: impl Iterator<Item = &'a Name>) -> Option<String> {
    let near = candidates.find(|name| name.as_str().eq_ignore_ascii_case(wrong.as_str()))?;
    Some(if near.is_plain() {
        format!("Did you mean {near}? Remove the quotes: names without quotes are upper case.")
    } else {
        format!("Did you mean \"{}\"? Wrap the name in double quotes to keep its letter case.", near.as_str())
    })
}

impl Scope {
    /// A scope of one source.
    pub(super) fn single(relation: &Relation, catalog: &Catalog) -> Result<Self, Diagnostic> {
        let source = find_source(catalog, &relation.source)?;
        let columns = columns_of(&source);
        Ok(Self { relations: vec![ScopeRelation { alias: relation.qualifier().clone(), source, columns }] })
    }

    /// A scope of all sources of FROM; with joins, the edge calls a column by its alias and its name.
    pub(super) fn of(query: &Query, catalog: &Catalog) -> Result<Self, Diagnostic> {
        let mut scope = Self::single(&query.from, catalog)?;
        for join in &query.joins {
            scope.relations.extend(Self::single(&join.relation, catalog)?.relations);
        }
        if query.joins.is_empty() {
            return Ok(scope);
        }
        let mut taken: Vec<Name> = Vec::new();
        for relation in &mut scope.relations {
            for column in &mut relation.columns {
                let name = format!("{}_{}", relation.alias.as_str(), column.name.as_str());
                column.edge = unique(&name, |name| taken.contains(name));
                taken.push(column.edge.clone());
            }
        }
        Ok(scope)
    }

    /// The position of the source that a column of the edge belongs to.
    pub(super) fn relation_of(&self, edge: &Name) -> Option<usize> {
        self.relations.iter().position(|relation| relation.columns.iter().any(|column| column.edge == *edge))
    }

    /// Adds a key column that no source has: `ROWKEY`, numbered if a source has a column of that name.
    pub(super) fn add_synthetic_key(&mut self, ty: SqlType) -> Name {
        let mut name = Name::from("ROWKEY");
        let mut number = 1;
        while self.has_column(&name) {
            name = Name::new(format!("ROWKEY_{number}"));
            number += 1;
        }
        if let Some(first) = self.relations.first_mut() {
            let (edge, from) = (name.clone(), SourceColumn::Key(0));
            first.columns.push(ScopeColumn { name: name.clone(), edge, ty, role: ScopeRole::SyntheticKey, from });
        }
        name
    }

    /// True if several sources have a column that statements call `name`.
    pub(super) fn is_shared(&self, name: &Name) -> bool {
        let has = |relation: &&ScopeRelation| relation.columns.iter().any(|column| column.name == *name);
        self.relations.iter().filter(has).count() > 1
    }

    /// The first source; the only one of a query without joins.
    pub(super) fn relation(&self) -> &ScopeRelation {
        &self.relations[0]
    }

    /// The node that reads the source.
    pub(super) fn source_node(&self) -> SourceNode {
        let columns = || self.relations.iter().flat_map(|relation| &relation.columns);
        SourceNode {
            source: Arc::clone(&self.relation().source),
            columns: columns().map(|column| column.from.clone()).collect(),
            schema: EdgeSchema::new(
                columns().map(|column| EdgeColumn { name: column.edge.clone(), ty: column.ty.clone() }).collect(),
            ),
        }
    }

    /// The node that reads one source of a join.
    pub(super) fn relation_node(&self, index: usize) -> SourceNode {
        let relation = &self.relations[index];
        let columns = || relation.columns.iter().filter(|column| column.role != ScopeRole::SyntheticKey);
        SourceNode {
            source: Arc::clone(&relation.source),
            columns: columns().map(|column| column.from.clone()).collect(),
            schema: EdgeSchema::new(
                columns().map(|column| EdgeColumn { name: column.edge.clone(), ty: column.ty.clone() }).collect(),
            ),
        }
    }

    /// The column of this name on the edge.
    pub(super) fn by_edge(&self, edge: &Name) -> Option<&ScopeColumn> {
        self.relations.iter().flat_map(|relation| &relation.columns).find(|column| column.edge == *edge)
    }

    /// Adds the bounds that a WINDOW clause will make.
    pub(super) fn add_window_bounds(&mut self) {
        let bounds = [("WINDOWSTART", SourceColumn::WindowStart), ("WINDOWEND", SourceColumn::WindowEnd)];
        if let Some(first) = self.relations.first_mut() {
            first.columns.extend(bounds.map(|(name, from)| ScopeColumn {
                name: name.into(),
                edge: name.into(),
                ty: SqlType::BigInt,
                role: ScopeRole::WindowBound,
                from,
            }));
        }
    }

    /// True if a source has a column that statements call `name`.
    pub(super) fn has_column(&self, name: &Name) -> bool {
        self.relations.iter().any(|relation| relation.columns.iter().any(|column| column.name == *name))
    }

    /// The column that a reference means.
    ///
    /// # Errors
    /// Unknown qualifier, unknown column, or several columns of that name.
    pub(super) fn resolve(&self, column: &ColumnRef, span: Span) -> Result<&ScopeColumn, Diagnostic> {
        if let Some(qualifier) = &column.qualifier {
            self.qualified(qualifier, span)?;
        }
        let matches: Vec<(&ScopeRelation, &ScopeColumn)> = self
            .relations
            .iter()
            .filter(|relation| column.qualifier.as_ref().is_none_or(|qualifier| *qualifier == relation.alias))
            .flat_map(|relation| relation.columns.iter().map(move |candidate| (relation, candidate)))
            .filter(|(_, candidate)| candidate.name == column.name)
            .collect();
        match matches.as_slice() {
            [(_, found)] => Ok(found),
            [] => Err(self.unknown(column).at(span)),
            several => {
                let all: Vec<_> = several
                    .iter()
                    .map(|(relation, candidate)| format!("{}.{}", relation.alias, candidate.name))
                    .collect();
                Err(Diagnostic::new(Code::AmbiguousColumn, format!("column {} is ambiguous", column.name))
                    .with_detail(format!("It could be {}.", all.join(" or ")))
                    .at(span))
            }
        }
    }

    /// The source that a qualifier means.
    pub(super) fn qualified(&self, qualifier: &Name, span: Span) -> Result<&ScopeRelation, Diagnostic> {
        self.relations.iter().find(|relation| relation.alias == *qualifier).ok_or_else(|| {
            Diagnostic::new(Code::UnknownSource, format!("{qualifier} is not a source or alias of this query"))
                .with_near_miss(qualifier.as_str(), self.relations.iter().map(|relation| relation.alias.as_str()))
                .at(span)
        })
    }

    fn unknown(&self, column: &ColumnRef) -> Diagnostic {
        let of: Vec<_> = self
            .relations
            .iter()
            .filter(|relation| column.qualifier.as_ref().is_none_or(|qualifier| *qualifier == relation.alias))
            .collect();
        let sources: Vec<_> =
            of.iter().map(|relation| format!("{} {}", relation.source.kind.noun(), relation.source.name)).collect();
        let error = Diagnostic::new(
            Code::UnknownColumn,
            format!("column {} does not exist in {}", column.name, sources.join(" or ")),
        );
        let names = || of.iter().flat_map(|relation| relation.columns.iter().map(|candidate| &candidate.name));
        match other_case(&column.name, names()) {
            Some(hint) => error.with_hint(hint),
            None => error.with_near_miss(column.name.as_str(), names().map(Name::as_str)),
        }
    }
}

/// All columns of a source that a name can mean.
fn columns_of(source: &Source) -> Vec<ScopeColumn> {
    let (mut key, mut value) = (0, 0);
    let mut columns: Vec<ScopeColumn> = source
        .schema
        .columns()
        .iter()
        .map(|column| {
            let (role, from) = match &column.role {
                ColumnRole::Key => {
                    key += 1;
                    (ScopeRole::Key, SourceColumn::Key(key - 1))
                }
                ColumnRole::Value => {
                    value += 1;
                    (ScopeRole::Value, SourceColumn::Value(value - 1))
                }
                ColumnRole::Headers => (ScopeRole::Header, SourceColumn::Headers),
                ColumnRole::Header(header) => (ScopeRole::Header, SourceColumn::Header(header.clone())),
            };
            ScopeColumn { name: column.name.clone(), edge: column.name.clone(), ty: column.ty.clone(), role, from }
        })
        .collect();
    let mut pseudo = |name: &str, ty, role, from| {
        columns.push(ScopeColumn { name: name.into(), edge: name.into(), ty, role, from });
    };
    pseudo("ROWTIME", SqlType::BigInt, ScopeRole::Pseudo, SourceColumn::RowTime);
    pseudo("ROWPARTITION", SqlType::Integer, ScopeRole::Pseudo, SourceColumn::RowPartition);
    pseudo("ROWOFFSET", SqlType::BigInt, ScopeRole::Pseudo, SourceColumn::RowOffset);
    if source.window.is_some() {
        pseudo("WINDOWSTART", SqlType::BigInt, ScopeRole::WindowBound, SourceColumn::WindowStart);
        pseudo("WINDOWEND", SqlType::BigInt, ScopeRole::WindowBound, SourceColumn::WindowEnd);
    }
    columns
}
