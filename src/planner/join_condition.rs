//! ON: its parts joined by AND, as equalities that make the key and conditions that remain.

use super::analyze::Analyzer;
use super::compatibility;
use super::rewrite::columns_of;
use super::scope::Scope;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeSchema, widens};
use crate::functions::Kind;
use crate::sql::ast::{BinaryOp, Expr, ExprKind, Join};
use crate::types::SqlType;

/// The condition of one join.
#[derive(Debug)]
pub(super) struct Condition {
    /// Position of the joined source among the relations.
    pub(super) right_index: usize,
    /// At least one.
    pub(super) equalities: Vec<Equality>,
    /// BOOLEAN expressions over the edge that must hold as well.
    pub(super) residual: Vec<Expr>,
}

/// `left = right`: `right` reads the joined source alone, `left` sources before it.
#[derive(Debug, Clone)]
pub(super) struct Equality {
    pub(super) left: Expr,
    pub(super) right: Expr,
    /// Type of both sides.
    pub(super) ty: SqlType,
}

impl Equality {
    /// The equality as a condition.
    pub(super) fn to_expr(&self) -> Expr {
        let (left, right) = (Box::new(self.left.clone()), Box::new(self.right.clone()));
        Expr::new(ExprKind::Binary { op: BinaryOp::Equal, left, right }, self.left.span)
    }
}

/// Takes the condition of the join of source `right_index` apart.
///
/// # Errors
/// No equality between the joined source and one before it; another form that ksqlDB refuses where its rules hold; types
/// that differ.
pub(super) fn analyze(
    analyzer: &Analyzer<'_>,
    join: &Join,
    right_index: usize,
    edge: &EdgeSchema,
) -> Result<Condition, Diagnostic> {
    let mut parts = Vec::new();
    conjuncts(&join.on, &mut parts);
    if parts.len() > 1 {
        compatibility::check_one_condition(&join.on, analyzer.ctx)?;
    }
    let mut condition = Condition { right_index, equalities: vec![], residual: vec![] };
    let mut why_none = None;
    for part in &parts {
        for (kind, what) in [(Kind::Aggregate, "aggregate"), (Kind::Table, "table")] {
            if analyzer.calls(part, kind) {
                return Err(invalid(format!("a join condition cannot hold {what} functions"), part));
            }
        }
        match equality(analyzer, part, right_index, edge)? {
            Part::Equality(equality) => condition.equalities.push(equality),
            Part::Other(why) => {
                why_none.get_or_insert(why);
                condition.residual.push(analyzer.condition("ON", part, edge)?);
            }
        }
    }
    match why_none {
        Some(why) if condition.equalities.is_empty() => Err(why),
        _ => Ok(condition),
    }
}

/// The parts that AND joins.
fn conjuncts<'a>(expr: &'a Expr, parts: &mut Vec<&'a Expr>) {
    match &expr.kind {
        ExprKind::Binary { op: BinaryOp::And, left, right } => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        _ => parts.push(expr),
    }
}

enum Part {
    Equality(Equality),
    /// Something else, and why it is no equality of the join.
    Other(Diagnostic),
}

/// `exprA = exprB`, with the joined source on one side and others on the other side.
fn equality(analyzer: &Analyzer<'_>, part: &Expr, right_index: usize, edge: &EdgeSchema) -> Result<Part, Diagnostic> {
    let scope = &analyzer.scope;
    let alias = |index: usize| &scope.relations[index].alias;
    if let Some(later) = sources(&analyzer.resolve(part)?, scope).into_iter().find(|index| *index > right_index) {
        return Err(invalid(format!("the join condition reads {}, which is joined later", alias(later)), part));
    }
    let (one, other) = match &part.kind {
        ExprKind::Binary { op: BinaryOp::Equal, left, right } => (left, right),
        ExprKind::Binary { op: BinaryOp::Or, .. } => {
            return Ok(Part::Other(invalid("joins on conditions with OR are not supported".to_owned(), part)));
        }
        _ => return Ok(Part::Other(invalid("a join condition must be an equality".to_owned(), part))),
    };
    let (one, other) = (analyzer.resolve(one)?, analyzer.resolve(other)?);
    let (of_one, of_other) = (sources(&one, scope), sources(&other, scope));
    let not_one = "each side of a join condition must read exactly one source";
    for (side, of_side) in [(&one, &of_one), (&other, &of_other)] {
        let is_mixed =
            of_side.len() > 1 && (of_side.contains(&right_index) || compatibility::reads_one_source(analyzer.ctx));
        if of_side.is_empty() || is_mixed {
            return Ok(Part::Other(invalid(not_one.to_owned(), side)));
        }
    }
    let (left, right) = match (of_one.contains(&right_index), of_other.contains(&right_index)) {
        (false, true) => (one, other),
        (true, false) => (other, one),
        (true, true) => {
            let text = "both sides of the join condition read";
            let why = format!("{text} {}: they must read different sources", alias(right_index));
            return Ok(Part::Other(invalid(why, part)));
        }
        (false, false) => {
            let why = match (of_one.as_slice(), of_other.as_slice()) {
                ([one], [other]) if one == other => {
                    let text = "both sides of the join condition read";
                    format!("{text} {}: they must read different sources", alias(*one))
                }
                _ => format!("the join condition does not read {}, which it joins", alias(right_index)),
            };
            return Ok(Part::Other(invalid(why, part)));
        }
    };
    let ty = key_type(analyzer, part, [&left, &right], edge)?;
    Ok(Part::Equality(Equality { left, right, ty }))
}

/// The sources that an expression reads, in the order of FROM.
fn sources(expr: &Expr, scope: &Scope) -> Vec<usize> {
    let mut sources: Vec<usize> = columns_of(expr).iter().filter_map(|name| scope.relation_of(name)).collect();
    sources.sort_unstable();
    sources.dedup();
    sources
}

/// True if an expression reads the source at `index` and no other.
pub(super) fn reads_only(expr: &Expr, index: usize, scope: &Scope) -> bool {
    sources(expr, scope) == [index]
}

/// True if an expression reads nothing of the source at `index`.
pub(super) fn reads_nothing_of(expr: &Expr, index: usize, scope: &Scope) -> bool {
    !sources(expr, scope).contains(&index)
}

/// The type of the key that both sides give.
fn key_type(
    analyzer: &Analyzer<'_>,
    part: &Expr,
    [left, right]: [&Expr; 2],
    edge: &EdgeSchema,
) -> Result<SqlType, Diagnostic> {
    let left_type = analyzer.expression_type(left, edge)?;
    let right_type = analyzer.expression_type(right, edge)?;
    if left_type != right_type {
        // The one that widens without loss, if there is one, is the one to cast.
        let hint = if widens(&left_type, &right_type) {
            format!("Write CAST({} AS {right_type}).", written(analyzer, left))
        } else if widens(&right_type, &left_type) {
            format!("Write CAST({} AS {left_type}).", written(analyzer, right))
        } else {
            "CAST one of them.".to_owned()
        };
        return Err(invalid(
            format!("the sides of the join condition have different types: {left_type} and {right_type}"),
            part,
        )
        .with_hint(hint));
    }
    if left_type.contains_map() {
        return Err(invalid(
            format!("a join key cannot be of type {left_type}: maps have no order to compare by"),
            part,
        ));
    }
    Ok(left_type)
}

/// An expression of the edge as a statement would write it.
fn written(analyzer: &Analyzer<'_>, expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Column(column) => super::select::shown(analyzer, &column.name),
        _ => "…".to_owned(),
    }
}

fn invalid(text: String, at: &Expr) -> Diagnostic {
    Diagnostic::new(Code::InvalidJoin, text).at(at.span)
}
