//! INSERT INTO … SELECT: a target that can be written, and a result that is exactly its schema.

use std::sync::Arc;

use super::analyze::Analyzed;
use super::context::PlanContext;
use super::plan::{Plan, ProjectNode};
use super::planned::{OutputColumn, SourceDefinition, TopicPlan};
use super::properties::{Clause, Properties};
use super::scope::find_source;
use super::sides;
use crate::catalog::{Catalog, Source};
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::sql::ast::{Expr, ExprKind, Ident, Literal, Property, SourceKind, TypeName, UnaryOp};
use crate::types::{Column, ColumnRole, Schema, SqlType};

/// The id that the WITH clause asks for, in upper case.
pub(super) fn query_id(with: &[Property]) -> Result<Option<String>, Diagnostic> {
    Ok(Properties::parse(with, Clause::Insert)?.query_id.map(|given| given.value))
}

/// The stream that is written.
pub(super) fn target(
    target: &Ident,
    with: &[Property],
    catalog: &Catalog,
    ctx: &PlanContext<'_>,
) -> Result<SourceDefinition, Diagnostic> {
    query_id(with)?;
    let source = find_source(catalog, target)?;
    let refuse = |code, text: String| Err(Diagnostic::new(code, text).at(target.span));
    if source.is_table() {
        return refuse(Code::WrongKind, format!("INSERT INTO … SELECT writes streams, and {} is a table", source.name));
    }
    if source.read_only {
        return refuse(Code::ReadOnly, format!("stream {} is read-only and cannot be inserted into", source.name));
    }
    if let Some(header) = source.schema.headers().next() {
        return refuse(
            Code::Unsupported,
            format!("stream {} cannot be inserted into: column {} holds headers", source.name, header.name),
        );
    }
    sides::check_built(&source.key, &source.value).map_err(|error| error.at(target.span))?;
    let shape = (ctx.topics)(&source.topic);
    let topic = TopicPlan {
        name: source.topic.clone(),
        partitions: shape.map_or(1, |shape| shape.partitions),
        replicas: shape.map_or(ctx.settings.default_replicas, |shape| shape.replicas),
        retention_ms: shape.and_then(|shape| shape.retention_ms),
        compacted: false,
        exists: shape.is_some(),
    };
    Ok(SourceDefinition { source: Arc::unwrap_or_clone(source), topic })
}

/// The query with numbers fitted to DECIMAL columns, if its result is the sink's schema.
pub(super) fn fit(analyzed: Analyzed, sink: &Source, target: &Ident) -> Result<Analyzed, Diagnostic> {
    for source in &analyzed.sources {
        sides::check_built(&source.key, &source.value).map_err(|error| error.at(target.span))?;
    }
    if analyzed.kind == SourceKind::Table {
        return Err(Diagnostic::new(
            Code::WrongKind,
            format!("the query produces a table, and {} is a stream", sink.name),
        )
        .at(target.span));
    }
    let analyzed = fit_decimals(analyzed, sink);
    let result = schema(&analyzed.columns);
    let wanted = Schema::new(sink.schema.star().cloned().collect());
    if result == wanted {
        return Ok(analyzed);
    }
    Err(Diagnostic::new(
        Code::SchemaMismatch,
        format!("the result does not fit stream {}: names, types and order of columns must be equal", sink.name),
    )
    .with_detail(format!("The result is {}; the stream is {}.", result.display(false), wanted.display(false)))
    .at(target.span))
}

fn schema(columns: &[OutputColumn]) -> Schema {
    Schema::new(
        columns
            .iter()
            .map(|column| Column {
                name: column.name.clone(),
                ty: column.ty.clone(),
                role: if column.is_key { ColumnRole::Key } else { ColumnRole::Value },
            })
            .collect(),
    )
}

/// Number literals at the place of a DECIMAL column are cast to it where they fit.
fn fit_decimals(mut analyzed: Analyzed, sink: &Source) -> Analyzed {
    let Plan::Project(project) = &mut analyzed.plan else { return analyzed };
    let mut edge: Vec<EdgeColumn> = project.schema.columns().to_vec();
    let wanted = sink.schema.star();
    for (((column, output), edge), wanted) in
        project.columns.iter_mut().zip(&mut analyzed.columns).zip(&mut edge).zip(wanted)
    {
        if output.ty != wanted.ty && fits(&column.expr, &wanted.ty) {
            let span = column.expr.span;
            let cast = ExprKind::Cast { operand: Box::new(column.expr.clone()), ty: TypeName::from(&wanted.ty) };
            column.expr = Expr::new(cast, span);
            output.ty = wanted.ty.clone();
            edge.ty = wanted.ty.clone();
        }
    }
    let ProjectNode { schema, .. } = project;
    *schema = EdgeSchema::new(edge);
    analyzed
}

/// True if a number literal has a place in a DECIMAL type.
fn fits(expr: &Expr, wanted: &SqlType) -> bool {
    let SqlType::Decimal { precision, scale } = wanted else { return false };
    let text = match &expr.kind {
        ExprKind::Literal(Literal::Integer(number)) => number.to_string(),
        ExprKind::Literal(Literal::BigInt(number)) => number.to_string(),
        ExprKind::Literal(Literal::Decimal(text)) => text.clone(),
        ExprKind::Unary { op: UnaryOp::Minus | UnaryOp::Plus, operand } => return fits(operand, wanted),
        _ => return false,
    };
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0').len();
    u32::try_from(fraction.len()).is_ok_and(|fraction| fraction <= *scale)
        && u32::try_from(whole).is_ok_and(|whole| whole <= precision - scale)
}
