//! CREATE FUNCTION: the body is typed over its arguments, and holds built-in functions only when it is stored.

use super::compatibility;
use super::context::PlanContext;
use super::function_kinds::calls;
use super::rewrite;
use crate::catalog::Catalog;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeColumn, EdgeSchema, type_of, widens};
use crate::functions::{Kind, Macro};
use crate::sql::ast::{ColumnRef, CreateFunction, Expr, ExprKind, Ident, TypeName};
use crate::sql::parse_expression;
use crate::types::{Name, SqlType};

/// Checks a definition. Whether the name is taken by another definition is the caller's.
///
/// # Errors
/// The name is that of a built-in function or cannot be called, arguments share a name, the body does not type over its
/// arguments, calls itself, or gives something else than the type it is said to return.
pub fn define_function(create: &CreateFunction, catalog: &Catalog, ctx: &PlanContext<'_>) -> Result<Macro, Diagnostic> {
    compatibility::check_create_function(create, ctx)?;
    check_name(&create.name, ctx)?;
    let custom = |custom: &Name| catalog.custom_type(custom).cloned();
    let mut params: Vec<(Name, SqlType)> = Vec::with_capacity(create.params.len());
    for (name, ty) in &create.params {
        if params.iter().any(|(before, _)| *before == name.name) {
            return Err(
                Diagnostic::new(Code::DuplicateName, format!("argument {} is declared twice", name.name)).at(name.span)
            );
        }
        params.push((name.name.clone(), ty.resolve(&custom)?));
    }
    let returns = create.returns.resolve(&custom)?;
    check_body(create, ctx)?;
    let edge =
        EdgeSchema::new(params.iter().map(|(name, ty)| EdgeColumn { name: name.clone(), ty: ty.clone() }).collect());
    let body = resolve(&create.body, &params, &custom)?;
    let given = type_of(&body, &edge, ctx.functions)?;
    let deterministic = ctx.functions.is_repeatable(&body);
    let body = ctx.functions.expand(&body, params.iter().map(|(name, _)| name.clone()).collect())?;
    let body = match given {
        Some(given) if given == returns => body,
        Some(given) if !widens(&given, &returns) => {
            return Err(Diagnostic::new(
                Code::TypeMismatch,
                format!("the body of function {} gives {given}, not {returns}", create.name.name),
            )
            .with_hint(format!("Say RETURNS {given}, or convert the body: CAST({} AS {returns}).", create.body))
            .at(create.body.span));
        }
        _ => Expr::new(ExprKind::Cast { operand: Box::new(body), ty: TypeName::from(&returns) }, create.body.span),
    };
    let definition = create.body.to_string();
    Ok(Macro { name: create.name.name.clone(), params, returns, body, definition, deterministic })
}

fn check_name(name: &Ident, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    if ctx.functions.get(&name.name).is_some_and(|function| function.definition().is_none()) {
        return Err(Diagnostic::new(Code::DuplicateName, format!("function {} is built in", name.name))
            .with_detail("A built-in function cannot be replaced.")
            .with_hint("Choose another name.")
            .at(name.span));
    }
    // Words like STRUCT begin something else where a call would stand.
    let is_call = |expr: Expr| matches!(&expr.kind, ExprKind::Call { function, .. } if *function == name.name);
    if !name.name.is_plain() || parse_expression(&format!("{}()", name.name.as_str())).is_ok_and(is_call) {
        return Ok(());
    }
    Err(Diagnostic::new(Code::ReservedName, format!("a function named {} could not be called", name.name))
        .with_hint("Choose another name.")
        .at(name.span))
}

/// Refuses calls that a body cannot hold.
fn check_body(create: &CreateFunction, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    let (name, body) = (&create.name.name, &create.body);
    let is_itself = |part: &Expr| matches!(&part.kind, ExprKind::Call { function, .. } if function == name);
    if rewrite::any(body, &is_itself) {
        return Err(Diagnostic::new(Code::Unsupported, format!("function {name} calls itself"))
            .with_detail("A function stands for its body, so there is no recursion.")
            .with_hint("REDUCE and TRANSFORM go through arrays and maps.")
            .at(body.span));
    }
    for (kind, what) in [(Kind::Aggregate, "aggregate"), (Kind::Table, "table")] {
        if calls(body, kind, ctx.functions) {
            return Err(Diagnostic::new(
                Code::Unsupported,
                format!("the body of function {name} cannot hold {what} functions"),
            )
            .with_hint(format!("Give the function the result of the {what} function as an argument."))
            .at(body.span));
        }
    }
    Ok(())
}

/// The body with custom types by what they stand for; it reads its arguments only.
fn resolve(
    body: &Expr,
    params: &[(Name, SqlType)],
    custom: &dyn Fn(&Name) -> Option<SqlType>,
) -> Result<Expr, Diagnostic> {
    let column = |expr: &Expr, column: &ColumnRef| {
        if column.qualifier.is_none() && params.iter().any(|(name, _)| *name == column.name) {
            return Ok(expr.clone());
        }
        let mut unknown = Diagnostic::new(Code::UnknownColumn, format!("argument {column} does not exist"))
            .with_near_miss(column.name.as_str(), params.iter().map(|(name, _)| name.as_str()));
        if unknown.hint.is_none() {
            unknown = unknown.with_hint("A function reads its arguments only, no columns.");
        }
        Err(unknown.at(expr.span))
    };
    let part = |mut expr: Expr, _: &[Name]| {
        if let ExprKind::Cast { ty, .. } = &mut expr.kind {
            let span = ty.span;
            *ty = TypeName { span, ..TypeName::from(&ty.resolve(custom)?) };
        }
        Ok(expr)
    };
    rewrite::resolve_columns(body, &column, &part)
}
