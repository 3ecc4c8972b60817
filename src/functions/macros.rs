//! Functions that a statement defined: an expression with a name, written in the place of each call.
//!
//! ```text
//!   CREATE FUNCTION SCORE(hits INTEGER, total BIGINT) RETURNS DOUBLE AS 'CAST(hits AS DOUBLE) / total'
//!   SCORE(A + 1, B)  ──expand──▶  CAST(CAST(A + 1 AS INTEGER) AS DOUBLE) / CAST(B AS BIGINT)
//! ```
//!
//! A call is typed like any other, by its one overload; planning then expands it, so that what is stored and run holds
//! built-in functions only.
//!
//! Invariants:
//! - a body calls no macros: those it was written with are expanded when it is defined;
//! - a body reads its arguments and nothing else, and its lambdas' parameters get names that hide nothing at the call;
//! - the size of what a call expands to is bounded before it is built.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{FunctionRegistry, Param, ParamType};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::sql::ast::rewrite::{any, children, map_children};
use crate::sql::ast::{Expr, ExprKind, Literal, TypeName};
use crate::sql::{MAX_HEIGHT, expr_text};
use crate::types::{Name, SqlType};

/// How many parts an expanded expression may have: calls in calls multiply.
const MOST_PARTS: usize = 20_000;

/// A function defined by a statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Macro {
    /// Name.
    pub name: Name,
    /// Arguments in order.
    pub params: Vec<(Name, SqlType)>,
    /// The type of the result, which is that of `body` over the arguments.
    pub returns: SqlType,
    /// What a call stands for, over the arguments' names.
    #[serde(with = "expr_text")]
    pub body: Expr,
    /// The body as the statement has it, for people.
    pub definition: String,
    /// True if the result depends on the arguments alone.
    pub deterministic: bool,
}

impl Macro {
    pub(super) fn parameters(&self) -> Vec<Param> {
        let param = |(name, ty): &(Name, SqlType)| Param {
            name: name.as_str().to_owned(),
            ty: ParamType::Simple(ty.clone()),
            fails_on_null: false,
            variadic: false,
        };
        self.params.iter().map(param).collect()
    }

    /// Refuses arguments that would be computed more than once with different results.
    ///
    /// # Errors
    /// An argument of chance whose name the body reads more than once.
    pub(crate) fn check_chance(&self, args: &[Expr], functions: &FunctionRegistry) -> Result<(), Diagnostic> {
        for ((name, _), arg) in self.params.iter().zip(args) {
            if uses(&self.body, name) > 1 && !functions.is_repeatable(arg) {
                return Err(Diagnostic::new(
                    Code::FunctionArguments,
                    format!("argument {name} of function {} would be computed more than once", self.name),
                )
                .with_detail("The function reads it in several places, and its values differ each time.")
                .with_hint("Compute it in a stream of its own, and give its column to the function.")
                .at(arg.span));
            }
        }
        Ok(())
    }

    /// The expression that a call stands for. `taken` are names that lambda parameters must not have; those that were
    /// chosen are added.
    fn expand(&self, args: &[Expr], span: Span, taken: &mut BTreeSet<Name>) -> Result<Expr, Diagnostic> {
        let refuse = |what: String| {
            Diagnostic::new(Code::LimitExceeded, format!("call of function {} stands for too much", self.name))
                .with_detail(what)
                .at(span)
        };
        let parts =
            self.params.iter().zip(args).map(|((name, _), arg)| size(arg).saturating_mul(uses(&self.body, name)));
        let parts = parts.fold(size(&self.body), usize::saturating_add);
        if parts > MOST_PARTS {
            return Err(refuse(format!("It would have {parts} parts, and {MOST_PARTS} are allowed.")));
        }
        let height = height(&self.body) + args.iter().map(height).max().unwrap_or(0) + 1;
        if height > MAX_HEIGHT as usize {
            return Err(refuse(format!("More than {MAX_HEIGHT} expressions would stand inside each other.")));
        }
        let mut names: BTreeMap<Name, Expr> = BTreeMap::new();
        for ((name, ty), arg) in self.params.iter().zip(args) {
            names.insert(name.clone(), converted(arg, ty));
        }
        Ok(substitute(&self.body, &names, span, taken))
    }
}

impl FunctionRegistry {
    /// The expression with each call of a macro replaced by what it stands for. `taken` holds the columns that the
    /// expression may be evaluated over: no lambda may hide them.
    ///
    /// Calls are not typed here: [`crate::expressions::type_of`] refuses wrong ones before.
    ///
    /// # Errors
    /// [`Code::LimitExceeded`]: calls in calls stand for too much.
    pub fn expand(&self, expr: &Expr, mut taken: BTreeSet<Name>) -> Result<Expr, Diagnostic> {
        let is_macro = |part: &Expr| {
            matches!(&part.kind, ExprKind::Call { function, .. }
                if self.get(function).is_some_and(|function| function.definition().is_some()))
        };
        if !any(expr, &is_macro) {
            return Ok(expr.clone());
        }
        names_in(expr, &mut taken);
        self.expand_parts(expr, &mut taken)
    }

    fn expand_parts(&self, expr: &Expr, taken: &mut BTreeSet<Name>) -> Result<Expr, Diagnostic> {
        let expr = map_children(expr, &mut |part| self.expand_parts(part, taken))?;
        let ExprKind::Call { function, args } = &expr.kind else { return Ok(expr) };
        match self.get(function).and_then(super::Function::definition) {
            Some(found) => found.expand(args, expr.span, taken),
            None => Ok(expr),
        }
    }

    /// True if the value of an expression depends on its columns alone.
    pub(crate) fn is_repeatable(&self, expr: &Expr) -> bool {
        !any(expr, &|part| {
            matches!(&part.kind, ExprKind::Call { function, .. }
                if self.get(function).is_some_and(|function| !function.is_deterministic()))
        })
    }
}

/// The argument as a value of its parameter's type; a literal of that type stays as it is.
fn converted(arg: &Expr, ty: &SqlType) -> Expr {
    let fits = match &arg.kind {
        ExprKind::Literal(Literal::Boolean(_)) => *ty == SqlType::Boolean,
        ExprKind::Literal(Literal::Integer(_)) => *ty == SqlType::Integer,
        ExprKind::Literal(Literal::BigInt(_)) => *ty == SqlType::BigInt,
        ExprKind::Literal(Literal::Double(_)) => *ty == SqlType::Double,
        ExprKind::Literal(Literal::String(_)) => *ty == SqlType::String,
        ExprKind::Cast { ty: given, .. } => given.resolve(&|_| None).is_ok_and(|given| given == *ty),
        _ => false,
    };
    if fits {
        return arg.clone();
    }
    Expr::new(ExprKind::Cast { operand: Box::new(arg.clone()), ty: TypeName::from(ty) }, arg.span)
}

/// The body with names replaced and lambda parameters renamed.
fn substitute(expr: &Expr, names: &BTreeMap<Name, Expr>, span: Span, taken: &mut BTreeSet<Name>) -> Expr {
    match &expr.kind {
        ExprKind::Column(column) => match names.get(&column.name) {
            Some(value) => value.clone(),
            None => Expr::new(expr.kind.clone(), span),
        },
        ExprKind::Lambda { params, body } => {
            let mut inner = names.clone();
            let mut renamed = Vec::with_capacity(params.len());
            for param in params {
                let fresh = fresh(param, taken);
                inner.insert(param.clone(), Expr::new(Expr::column(fresh.clone()).kind, span));
                renamed.push(fresh);
            }
            let body = Box::new(substitute(body, &inner, span, taken));
            Expr::new(ExprKind::Lambda { params: renamed, body }, span)
        }
        _ => {
            let done: Result<Expr, std::convert::Infallible> =
                map_children(expr, &mut |part| Ok(substitute(part, names, span, taken)));
            let Ok(done) = done;
            Expr::new(done.kind, span)
        }
    }
}

/// A name like `wanted` that is not taken; now it is.
fn fresh(wanted: &Name, taken: &mut BTreeSet<Name>) -> Name {
    let mut name = wanted.clone();
    let mut n = 0_u32;
    while !taken.insert(name.clone()) {
        n += 1;
        name = Name::new(format!("{}_{n}", wanted.as_str()));
    }
    name
}

/// Adds every column and lambda parameter of an expression.
fn names_in(expr: &Expr, names: &mut BTreeSet<Name>) {
    match &expr.kind {
        ExprKind::Column(column) => {
            names.insert(column.name.clone());
        }
        ExprKind::Lambda { params, .. } => names.extend(params.iter().cloned()),
        _ => {}
    }
    children(expr).into_iter().for_each(|part| names_in(part, names));
}

/// How often a name is read; inside a lambda, which runs many times, twice each.
fn uses(expr: &Expr, name: &Name) -> usize {
    match &expr.kind {
        ExprKind::Column(column) => usize::from(column.name == *name),
        ExprKind::Lambda { params, .. } if params.contains(name) => 0,
        ExprKind::Lambda { body, .. } => 2 * uses(body, name),
        _ => children(expr).into_iter().map(|part| uses(part, name)).fold(0, usize::saturating_add),
    }
}

fn size(expr: &Expr) -> usize {
    1 + children(expr).into_iter().map(size).sum::<usize>()
}

fn height(expr: &Expr) -> usize {
    1 + children(expr).into_iter().map(height).max().unwrap_or(0)
}
