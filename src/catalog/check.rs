//! What may be created, replaced, altered and dropped, beside what exists.

use std::sync::Arc;

use super::{Catalog, Source};
use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::{Ident, SourceKind};
use crate::types::{Column, ColumnRole, Name, Schema};

/// A new stream or table may take its name.
///
/// # Errors
/// The name is taken, and either OR REPLACE was not said or the new definition does not fit the old one.
pub fn check_create(catalog: &Catalog, source: &Source, or_replace: bool) -> Result<(), Diagnostic> {
    let existing = catalog.source(&source.name);
    if or_replace && (source.read_only || existing.is_some_and(|existing| existing.read_only)) {
        return Err(Diagnostic::new(
            Code::ReadOnly,
            format!("CREATE OR REPLACE is not supported on source {}s", source.kind.noun()),
        ));
    }
    match existing {
        Some(existing) if or_replace => check_replace(existing, source),
        Some(existing) => Err(Diagnostic::new(
            Code::DuplicateName,
            format!(
                "{} {} cannot be added: a {} of this name exists",
                source.kind.noun(),
                source.name,
                existing.kind.noun()
            ),
        )),
        None => Ok(()),
    }
}

/// CREATE OR REPLACE: kind, topic, formats, event time and key stay, and value columns are only appended.
///
/// # Errors
/// [`Code::SchemaMismatch`] with what differs.
pub fn check_replace(old: &Source, new: &Source) -> Result<(), Diagnostic> {
    let differs = |what: &str| {
        Err(Diagnostic::new(
            Code::SchemaMismatch,
            format!("{} {} cannot be replaced: its {what} would change", old.kind.noun(), old.name),
        ))
    };
    if old.kind != new.kind {
        return differs("kind");
    }
    if old.topic != new.topic {
        return differs("topic");
    }
    if (old.key.format, old.key.delimiter) != (new.key.format, new.key.delimiter) || old.window != new.window {
        return differs("key format");
    }
    if (old.value.format, old.value.delimiter) != (new.value.format, new.value.delimiter) {
        return differs("value format");
    }
    if old.timestamp != new.timestamp {
        return differs("timestamp column");
    }
    let is_key = |column: &&Column| column.role == ColumnRole::Key;
    let (old_columns, new_columns) = (old.schema.columns().iter(), new.schema.columns().iter());
    let changed = changed(old_columns.clone().filter(is_key), new_columns.clone().filter(is_key), old);
    if !old.schema.key().eq(new.schema.key()) {
        return differs("key columns").map_err(|error| {
            error.with_detail(format!(
                "(Key columns must be identical. The following key columns are changed, missing or reordered: [{changed}])"
            ))
        });
    }
    let is_other = |column: &&Column| !is_key(column);
    let changed = self::changed(old_columns.filter(is_other), new_columns.filter(is_other), old);
    if !changed.is_empty() {
        return differs("value columns").map_err(|error| {
            error.with_detail(format!("(The following columns are changed, missing or reordered: [{changed}])"))
        });
    }
    Ok(())
}

/// The old columns in whose place another stands, as ksqlDB lists them.
fn changed<'a>(
    old: impl Iterator<Item = &'a Column>,
    mut new: impl Iterator<Item = &'a Column>,
    source: &Source,
) -> String {
    let changed = old.filter(|column| new.next() != Some(*column)).cloned().collect();
    Schema::new(changed).display(source.is_table()).replace("PRIMARY KEY", "KEY")
}

/// What DROP removes; `None` when IF EXISTS has nothing to do.
///
/// # Errors
/// Nothing of this name, the wrong kind, a topic that must stay, or queries of others that read it.
pub fn check_drop(
    catalog: &Catalog,
    kind: SourceKind,
    name: &Ident,
    if_exists: bool,
    delete_topic: bool,
) -> Result<Option<Arc<Source>>, Diagnostic> {
    let Some(source) = catalog.source(&name.name) else {
        if if_exists {
            return Ok(None);
        }
        return Err(Diagnostic::new(Code::UnknownSource, format!("{} {} does not exist", kind.noun(), name.name))
            .with_near_miss(name.name.as_str(), catalog.sources().map(|source| source.name.as_str()))
            .at(name.span));
    };
    if source.kind != kind {
        return Err(Diagnostic::new(
            Code::WrongKind,
            format!("{} is a {}, but the statement is DROP {}", source.name, source.kind.noun(), kind.as_sql()),
        )
        .with_hint(format!("Use DROP {}.", source.kind.as_sql()))
        .at(name.span));
    }
    if delete_topic {
        check_delete_topic(catalog, source).map_err(|error| error.at(name.span))?;
    }
    let mut readers: Vec<&Name> = catalog.readers(&source.name).map(|query| &query.sink).collect();
    readers.sort();
    readers.dedup();
    let writers: Vec<String> = catalog
        .writers(&source.name)
        .filter(|query| Some(&query.id) != source.created_by.as_ref())
        .map(|query| query.id.to_string())
        .collect();
    if !readers.is_empty() {
        let readers: Vec<_> = readers.into_iter().map(ToString::to_string).collect();
        return Err(Diagnostic::new(
            Code::InUse,
            format!("{} {} cannot be dropped: others read it", kind.noun(), source.name),
        )
        .with_detail(format!("The following streams and tables read from it: {}.", readers.join(", ")))
        .with_hint("Drop them first.")
        .at(name.span));
    }
    if !writers.is_empty() {
        return Err(Diagnostic::new(
            Code::InUse,
            format!("{} {} cannot be dropped: queries write to it", kind.noun(), source.name),
        )
        .with_detail(format!("The following queries write to it: {}.", writers.join(", ")))
        .with_hint("Terminate them first.")
        .at(name.span));
    }
    Ok(Some(Arc::clone(source)))
}

fn check_delete_topic(catalog: &Catalog, source: &Source) -> Result<(), Diagnostic> {
    if source.read_only {
        return Err(Diagnostic::new(
            Code::ReadOnly,
            format!("topic of read-only {} {} cannot be deleted", source.kind.noun(), source.name),
        ));
    }
    let mut others = catalog.sources().filter(|other| other.topic == source.topic && other.name != source.name);
    match others.next() {
        Some(other) => Err(Diagnostic::new(
            Code::InUse,
            format!("topic {} cannot be deleted: {} {} uses it too", source.topic, other.kind.noun(), other.name),
        )),
        None => Ok(()),
    }
}

/// The source after ALTER … ADD COLUMN.
///
/// # Errors
/// Nothing of this name, the wrong kind, a read-only source or one that a query made, or a column that exists.
pub fn altered(
    catalog: &Catalog,
    kind: SourceKind,
    name: &Ident,
    columns: &[(Ident, crate::sql::ast::TypeName)],
) -> Result<Source, Diagnostic> {
    let Some(source) = catalog.source(&name.name) else {
        return Err(Diagnostic::new(Code::UnknownSource, format!("source {} does not exist", name.name))
            .with_detail(format!("Source {} does not exist", name.name.as_str()))
            .with_near_miss(name.name.as_str(), catalog.sources().map(|source| source.name.as_str()))
            .at(name.span));
    };
    let refuse = |code, text: String| Err(Diagnostic::new(code, text).at(name.span));
    if source.kind != kind {
        return refuse(
            Code::WrongKind,
            format!("{} is a {}, but the statement is ALTER {}", source.name, source.kind.noun(), kind.as_sql()),
        );
    }
    if source.read_only {
        return refuse(Code::ReadOnly, format!("ALTER is not supported on source {}s", kind.noun()));
    }
    if source.created_by.is_some() {
        return refuse(
            Code::Unsupported,
            format!("{} was made by CREATE … AS SELECT and cannot be altered", source.name),
        )
        .map_err(|error| error.with_detail("ALTER command is not supported for CREATE ... AS statements."));
    }
    let mut all = source.schema.columns().to_vec();
    for (column, ty) in columns {
        if all.iter().any(|existing| existing.name == column.name) {
            return Err(Diagnostic::new(Code::DuplicateName, format!("column {} exists already", column.name))
                .with_detail(format!(
                    "Cannot add column {} to schema. A column with the same name already exists.",
                    column.name.quoted()
                ))
                .at(column.span));
        }
        let ty = ty.resolve(&|custom| catalog.custom_type(custom).cloned())?;
        all.push(Column { name: column.name.clone(), ty, role: ColumnRole::Value });
    }
    let mut altered = source.as_ref().clone();
    altered.schema = Schema::new(all);
    altered.value.columns = altered
        .schema
        .value()
        .map(|column| crate::formats::SideColumn { name: column.name.clone(), ty: column.ty.clone() })
        .collect();
    if altered.value.columns.len() > 1 {
        altered.value.unwrapped = false;
    }
    Ok(altered)
}
