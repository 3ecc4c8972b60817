//! The SELECT list: names, stars, and the key's place in it.

use super::analyze::Analyzer;
use super::define_source::is_pseudo_column;
use super::joins::KeyChoice;
use super::names::NameGenerator;
use super::partition_by::{Key, KeyPart};
use super::scope::{ScopeColumn, ScopeRole};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::expressions::EdgeSchema;
use crate::sql::ast::{ColumnRef, Expr, ExprKind, Ident, SelectItem};
use crate::types::{Name, SqlType};

/// A column of the result while a query is analysed.
#[derive(Debug, Clone)]
pub(super) struct SelectColumn {
    pub(super) name: Name,
    /// Over the edge below the projection.
    pub(super) expr: Expr,
    /// Known once table functions are planned.
    pub(super) ty: Option<SqlType>,
    /// Which part of the key this is.
    pub(super) key: Option<usize>,
    pub(super) span: Span,
}

/// The SELECT list, resolved.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) columns: Vec<SelectColumn>,
    pub(super) key: Vec<KeyPart>,
    pub(super) repartitioned: bool,
}

/// Resolves the SELECT list; stars become their columns.
pub(super) fn resolve(
    analyzer: &Analyzer<'_>,
    key: Key,
    edge: &EdgeSchema,
    names: &mut NameGenerator,
) -> Result<Selected, Diagnostic> {
    enum Draft<'a> {
        Column(SelectColumn),
        Star(&'a Option<Ident>, Span),
    }
    let Key { parts, repartitioned } = key;
    let mut drafts = Vec::with_capacity(analyzer.query.select.len());
    for item in &analyzer.query.select {
        match item {
            SelectItem::Expr { expr, alias } => {
                let resolved = analyzer.resolve(expr)?;
                let name = match alias {
                    Some(alias) => alias_name(alias)?,
                    None => default_name(analyzer, expr, names)?,
                };
                drafts.push(Draft::Column(column(name, resolved, expr.span, &parts)));
            }
            SelectItem::Star { qualifier, span } => drafts.push(Draft::Star(qualifier, *span)),
            SelectItem::StructStar { base, span } => {
                for (name, expr) in struct_fields(analyzer, base, *span, edge)? {
                    drafts.push(Draft::Column(column(name, expr, *span, &parts)));
                }
            }
        }
    }
    let explicit = |part: usize| {
        drafts.iter().find_map(|draft| match draft {
            Draft::Column(column) if column.key == Some(part) => Some(column.name.clone()),
            _ => None,
        })
    };
    let key_names: Vec<Name> = parts
        .iter()
        .enumerate()
        .map(|(index, part)| match explicit(index) {
            Some(name) => name,
            // Stars over joins name columns by their sources.
            None if analyzer.joined.is_some() && part.computed.is_none() => part.edge.clone(),
            None => names.name(&part.written),
        })
        .collect();
    let mut columns = Vec::with_capacity(drafts.len());
    for draft in drafts {
        match draft {
            Draft::Column(column) => columns.push(column),
            Draft::Star(qualifier, span) => {
                let alias = match qualifier {
                    Some(qualifier) => Some(&analyzer.scope.qualified(&qualifier.name, qualifier.span)?.alias),
                    None => None,
                };
                if analyzer.joined.is_some() && !repartitioned {
                    columns.extend(join_star(analyzer, alias, &parts, span));
                } else {
                    columns.extend(star(analyzer, &parts, &key_names, repartitioned, span));
                }
            }
        }
    }
    Ok(Selected { columns, key: parts, repartitioned })
}

fn column(name: Name, expr: Expr, span: Span, key: &[KeyPart]) -> SelectColumn {
    let part = key.iter().position(|part| part.is(&expr));
    let expr = match part.map(|index| &key[index]) {
        Some(part) => Expr::new(Expr::column(part.edge.clone()).kind, expr.span),
        None => expr,
    };
    SelectColumn { name, expr, ty: None, key: part, span }
}

fn alias_name(alias: &Ident) -> Result<Name, Diagnostic> {
    if is_pseudo_column(&alias.name) {
        return Err(Diagnostic::new(
            Code::ReservedName,
            format!("column name {} is kept for a pseudo column and cannot be an alias", alias.name.as_str()),
        )
        .at(alias.span));
    }
    Ok(alias.name.clone())
}

fn default_name(analyzer: &Analyzer<'_>, expr: &Expr, names: &mut NameGenerator) -> Result<Name, Diagnostic> {
    let name = match &expr.kind {
        ExprKind::Column(column) if analyzer.scope.is_shared(&column.name) => {
            analyzer.scope.resolve(column, expr.span)?.edge.clone()
        }
        _ => names.name(expr),
    };
    if analyzer.is_persistent() && is_pseudo_column(&name) {
        return Err(Diagnostic::new(
            Code::ReservedName,
            format!("column name {} is kept for a pseudo column", name.as_str()),
        )
        .with_hint("Give the column an alias, or leave it out.")
        .at(expr.span));
    }
    Ok(name)
}

/// `base->*`: one column a field.
fn struct_fields(
    analyzer: &Analyzer<'_>,
    base: &Expr,
    span: Span,
    edge: &EdgeSchema,
) -> Result<Vec<(Name, Expr)>, Diagnostic> {
    let resolved = analyzer.resolve(base)?;
    match analyzer.expression_type(&resolved, edge)? {
        SqlType::Struct(fields) => Ok(fields
            .iter()
            .map(|field| {
                let kind = ExprKind::Field { base: Box::new(resolved.clone()), field: field.name.clone() };
                (field.name.clone(), Expr::new(kind, span))
            })
            .collect()),
        other => Err(Diagnostic::new(Code::TypeMismatch, format!("->* needs a STRUCT, not {other}")).at(span)),
    }
}

/// The columns of `*`: the key, window bounds for a client, values, headers; keys that PARTITION BY replaced come last.
fn star(
    analyzer: &Analyzer<'_>,
    key: &[KeyPart],
    key_names: &[Name],
    repartitioned: bool,
    span: Span,
) -> Vec<SelectColumn> {
    let mut columns: Vec<SelectColumn> = key
        .iter()
        .zip(key_names)
        .enumerate()
        .map(|(index, (part, name))| SelectColumn {
            name: name.clone(),
            expr: Expr::new(Expr::column(part.edge.clone()).kind, span),
            ty: None,
            key: Some(index),
            span,
        })
        .collect();
    let joins = analyzer.joined.is_some();
    if joins && !analyzer.query.partition_by.is_empty() {
        columns.extend(partitioned_join_star(analyzer, key, span));
        return columns;
    }
    let all = || analyzer.scope.relations.iter().flat_map(|relation| &relation.columns);
    let mut add = |role: ScopeRole| {
        for found in all().filter(|column| column.role == role) {
            let is_key = key.iter().any(|part| part.edge == found.edge);
            if !is_key {
                let name = if joins { &found.edge } else { &found.name };
                columns.push(star_column(name, found, None, span));
            }
        }
    };
    if !analyzer.is_persistent() {
        add(ScopeRole::WindowBound);
    }
    add(ScopeRole::Value);
    add(ScopeRole::Header);
    if repartitioned {
        add(ScopeRole::Key);
    }
    columns
}

/// What `*` holds beside the key when PARTITION BY is applied to a join: all columns that flow, source by source, the
/// pseudo columns among them; a key that no source has comes last.
fn partitioned_join_star(analyzer: &Analyzer<'_>, key: &[KeyPart], span: Span) -> Vec<SelectColumn> {
    let roles = [ScopeRole::Value, ScopeRole::Header, ScopeRole::Pseudo, ScopeRole::Key];
    let relations = || analyzer.scope.relations.iter();
    let of_sources = relations().flat_map(|relation| {
        roles.into_iter().flat_map(|role| relation.columns.iter().filter(move |column| column.role == role))
    });
    let synthetic = |column: &&ScopeColumn| column.role == ScopeRole::SyntheticKey;
    let synthetic = relations().flat_map(|relation| &relation.columns).filter(synthetic);
    of_sources
        .chain(synthetic)
        .filter(|found| key.iter().all(|part| part.edge != found.edge))
        .map(|found| star_column(&found.edge, found, None, span))
        .collect()
}

fn star_column(name: &Name, found: &ScopeColumn, key: Option<usize>, span: Span) -> SelectColumn {
    let column = ColumnRef { qualifier: None, name: found.edge.clone() };
    SelectColumn { name: name.clone(), expr: Expr::new(ExprKind::Column(column), span), ty: None, key, span }
}

/// The columns of `*` or `alias.*` over a join: each source's keys, window bounds, values and headers, named by alias and
/// name; a key that no source has comes first.
fn join_star(analyzer: &Analyzer<'_>, alias: Option<&Name>, key: &[KeyPart], span: Span) -> Vec<SelectColumn> {
    let mut columns = Vec::new();
    let mut add = |found: &ScopeColumn| {
        let part = key.iter().position(|part| part.edge == found.edge);
        columns.push(star_column(&found.edge, found, part, span));
    };
    let relations = || analyzer.scope.relations.iter();
    if alias.is_none() {
        let synthetic = |column: &&ScopeColumn| column.role == ScopeRole::SyntheticKey;
        relations().flat_map(|relation| &relation.columns).filter(synthetic).for_each(&mut add);
    }
    for relation in relations().filter(|relation| alias.is_none_or(|alias| *alias == relation.alias)) {
        // The bounds of each source's window come with its key: the result has bounds of its own beside.
        for role in [ScopeRole::Key, ScopeRole::WindowBound, ScopeRole::Value, ScopeRole::Header] {
            relation.columns.iter().filter(|column| column.role == role).for_each(&mut add);
        }
    }
    columns
}

/// The key of a join's result: for each part the first of its columns that is projected.
pub(super) fn with_join_key(
    analyzer: &Analyzer<'_>,
    mut select: Selected,
    parts: &[KeyChoice],
) -> Result<Selected, Diagnostic> {
    let is = |column: &SelectColumn, edge: &Name| column.expr == Expr::column(edge.clone());
    let mut key = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let KeyChoice::Columns(viable) = part else { continue };
        let Some(edge) = viable.iter().find(|edge| select.columns.iter().any(|column| is(column, edge))) else {
            if !analyzer.is_persistent() {
                return Ok(select);
            }
            return Err(missing_join_key(analyzer, viable));
        };
        for column in select.columns.iter_mut().filter(|column| is(column, edge)) {
            column.key = Some(index);
        }
        key.push(KeyPart::column(edge, edge));
    }
    select.key = key;
    Ok(select)
}

fn missing_join_key(analyzer: &Analyzer<'_>, viable: &[Name]) -> Diagnostic {
    let listed: Vec<_> = viable.iter().map(|edge| shown(analyzer, edge)).collect();
    let first = listed.first().cloned().unwrap_or_default();
    let is_synthetic =
        |edge: &Name| analyzer.scope.by_edge(edge).is_some_and(|column| column.role == ScopeRole::SyntheticKey);
    let detail = if viable.iter().any(is_synthetic) {
        "It is the key of the result: a column of its own, because no column of a source always holds it."
    } else {
        "It is the key of the result."
    };
    Diagnostic::new(
        Code::InvalidProjection,
        format!("the SELECT list must hold the join expression {}", listed.join(" or ")),
    )
    .with_detail(detail)
    .with_hint(format!("Write SELECT {first}, ….",))
    .at(analyzer.query.span)
}

/// A column of the edge as statements write it.
pub(super) fn shown(analyzer: &Analyzer<'_>, edge: &Name) -> String {
    match (analyzer.scope.by_edge(edge), analyzer.scope.relation_of(edge)) {
        (Some(column), Some(relation)) if column.role != ScopeRole::SyntheticKey => {
            format!("{}.{}", analyzer.scope.relations[relation].alias, column.name)
        }
        _ => edge.to_string(),
    }
}

/// What messages call a part of a key that is just the source's.
pub(super) const KEY_COLUMN: &str = "key column";

/// The columns of a sink: its key in order, then the others. Every part of the key must be there once; messages call
/// it `what`.
pub(super) fn for_sink(
    analyzer: &Analyzer<'_>,
    columns: Vec<SelectColumn>,
    key: &[KeyPart],
    sink: &Name,
    what: &str,
) -> Result<Vec<SelectColumn>, Diagnostic> {
    if analyzer.ctx.settings.key_follows_select && !analyzer.is_over_table() && what == KEY_COLUMN {
        let (keys, values): (Vec<_>, Vec<_>) = columns.into_iter().partition(|column| column.key.is_some());
        check_keys_once(&keys, key)?;
        return Ok(keys.into_iter().chain(values).collect());
    }
    let missing: Vec<&KeyPart> = key
        .iter()
        .enumerate()
        .filter(|(index, _)| columns.iter().all(|column| column.key != Some(*index)))
        .map(|(_, part)| part)
        .collect();
    if !missing.is_empty() {
        let plural = if missing.len() > 1 { "s" } else { "" };
        let listed: Vec<_> = missing.iter().map(|part| part.written.to_string()).collect();
        let all: Vec<_> = key.iter().map(|part| part.written.to_string()).collect();
        return Err(Diagnostic::new(
            Code::InvalidProjection,
            format!("the SELECT list that makes {sink} must hold the {what}{plural} {}", listed.join(" and ")),
        )
        .with_hint(format!("Write SELECT {}, ….", all.join(", ")))
        .at(analyzer.query.span));
    }
    check_keys_once(&columns, key)?;
    let mut ordered: Vec<SelectColumn> = Vec::with_capacity(columns.len());
    for index in 0..key.len() {
        ordered.extend(columns.iter().find(|column| column.key == Some(index)).cloned());
    }
    ordered.extend(columns.into_iter().filter(|column| column.key.is_none()));
    Ok(ordered)
}

/// Each part of the key is at most once in the SELECT list.
fn check_keys_once(columns: &[SelectColumn], key: &[KeyPart]) -> Result<(), Diagnostic> {
    for (index, part) in key.iter().enumerate() {
        let found: Vec<&SelectColumn> = columns.iter().filter(|column| column.key == Some(index)).collect();
        if let [_, again, ..] = found.as_slice() {
            let names: Vec<_> = found.iter().map(|column| column.name.to_string()).collect();
            return Err(Diagnostic::new(
                Code::InvalidProjection,
                format!("key column {} is in the SELECT list more than once", part.written),
            )
            .with_detail(format!("It is there as {}.", names.join(" and ")))
            .with_hint(format!("Use AS_VALUE({}) to copy a key into the value.", part.written))
            .at(again.span));
        }
    }
    Ok(())
}

/// Names of the result occur once.
pub(super) fn check_duplicates(columns: &[SelectColumn]) -> Result<(), Diagnostic> {
    for (index, column) in columns.iter().enumerate() {
        if columns[..index].iter().any(|other| other.name == column.name) {
            return Err(Diagnostic::new(
                Code::DuplicateName,
                format!("column {} is in the result more than once", column.name),
            )
            .with_hint("Give one of them another alias.")
            .at(column.span));
        }
    }
    Ok(())
}
