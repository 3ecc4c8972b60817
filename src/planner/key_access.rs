//! What a condition says about the key: where the rows that pass it can be.
//!
//! ```text
//!   (K = 1 OR K IN (2, 3)) AND V > 5
//!     ──▶ K = 1 AND V > 5  |  K = 2 AND V > 5  |  K = 3 AND V > 5      disjuncts
//!     ──▶ K = 1            |  K = 2            |  K = 3                look-ups
//! ```

use super::pull::StoredKey;
use super::rewrite::columns_of;
use crate::diagnostics::{Code, Diagnostic};
use crate::functions::FunctionRegistry;
use crate::sql::ast::{BinaryOp, Expr, ExprKind, Literal, Query};

/// Conditions with more alternatives than this are not taken apart: a scan is better then.
const MAX_DISJUNCTS: usize = 10_000;

/// How a column of the stored key is compared with a constant.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyBound {
    /// Position in the stored key: key columns in order, then the window's start and end.
    pub column: usize,
    /// `=`, `<`, `<=`, `>` or `>=`, the column on its left.
    pub op: BinaryOp,
    /// The constant: an expression without columns.
    pub value: Expr,
}

/// What one alternative of a condition says about the stored key: all of these bounds hold.
pub type KeyLookup = Vec<KeyBound>;

/// The alternatives of a condition, each a list of conditions that all hold; `None` if there are too many.
pub(super) fn disjuncts(condition: &Expr) -> Option<Vec<Vec<Expr>>> {
    let alternatives = match &condition.kind {
        ExprKind::Binary { op: BinaryOp::Or, left, right } => {
            let mut alternatives = disjuncts(left)?;
            alternatives.extend(disjuncts(right)?);
            alternatives
        }
        ExprKind::Binary { op: BinaryOp::And, left, right } => {
            let (left, right) = (disjuncts(left)?, disjuncts(right)?);
            if left.len().saturating_mul(right.len()) > MAX_DISJUNCTS {
                return None;
            }
            let both = |left: &Vec<Expr>| {
                right.iter().map(|right| left.iter().chain(right).cloned().collect()).collect::<Vec<_>>()
            };
            left.iter().flat_map(both).collect()
        }
        ExprKind::InList { operand, list, negated: false } => {
            let equal = |element: &Expr| vec![comparison(BinaryOp::Equal, operand, element, condition)];
            list.iter().map(equal).collect()
        }
        ExprKind::Between { operand, low, high, negated: false } => vec![vec![
            comparison(BinaryOp::GreaterOrEqual, operand, low, condition),
            comparison(BinaryOp::LessOrEqual, operand, high, condition),
        ]],
        _ => vec![vec![condition.clone()]],
    };
    (alternatives.len() <= MAX_DISJUNCTS).then_some(alternatives)
}

/// What the alternatives say about the key; `None` if one of them says nothing.
pub(super) fn lookups(
    disjuncts: &[Vec<Expr>],
    keys: &StoredKey,
    functions: &FunctionRegistry,
) -> Option<Vec<KeyLookup>> {
    let lookup = |conditions: &Vec<Expr>| {
        let bounds: KeyLookup = conditions.iter().filter_map(|condition| bound(condition, keys, functions)).collect();
        bounds.iter().any(|bound| bound.column == 0).then_some(bounds)
    };
    disjuncts.iter().map(lookup).collect()
}

/// True if the look-ups say all that the alternatives do: each key column `=` a constant, and nothing else.
pub(super) fn are_exact(disjuncts: &[Vec<Expr>], lookups: &[KeyLookup], keys: &StoredKey) -> bool {
    disjuncts.len() == lookups.len()
        && disjuncts.iter().zip(lookups).all(|(conditions, lookup)| {
            conditions.len() == keys.keys
                && lookup.len() == keys.keys
                && (0..keys.keys).all(|at| lookup.iter().any(|bound| bound.column == at && bound.op == BinaryOp::Equal))
        })
}

/// The bound that a comparison of a key column with a constant is.
fn bound(condition: &Expr, keys: &StoredKey, functions: &FunctionRegistry) -> Option<KeyBound> {
    let ExprKind::Binary { op, left, right } = &condition.kind else { return None };
    let flipped = flipped(*op)?;
    let is_constant = |expr: &Expr| columns_of(expr).is_empty() && functions.is_repeatable(expr);
    let key = |expr: &Expr| match &expr.kind {
        ExprKind::Column(column) => keys.position(&column.name),
        _ => None,
    };
    match (key(left), key(right)) {
        (Some(column), None) if is_constant(right) => Some(KeyBound { column, op: *op, value: right.as_ref().clone() }),
        (None, Some(column)) if is_constant(left) => {
            Some(KeyBound { column, op: flipped, value: left.as_ref().clone() })
        }
        _ => None,
    }
}

/// The comparison with its sides changed; `None` for what bounds nothing.
fn flipped(op: BinaryOp) -> Option<BinaryOp> {
    match op {
        BinaryOp::Equal => Some(BinaryOp::Equal),
        BinaryOp::Less => Some(BinaryOp::Greater),
        BinaryOp::LessOrEqual => Some(BinaryOp::GreaterOrEqual),
        BinaryOp::Greater => Some(BinaryOp::Less),
        BinaryOp::GreaterOrEqual => Some(BinaryOp::LessOrEqual),
        _ => None,
    }
}

fn comparison(op: BinaryOp, left: &Expr, right: &Expr, whole: &Expr) -> Expr {
    let kind = ExprKind::Binary { op, left: Box::new(left.clone()), right: Box::new(right.clone()) };
    Expr::new(kind, whole.span)
}

/// ksqlDB's rules where table scans are switched off: every alternative gives the whole key, or a range of it.
pub(super) fn check_without_scan(
    disjuncts: Option<&[Vec<Expr>]>,
    keys: &StoredKey,
    range_scan: bool,
    query: &Query,
) -> Result<(), Diagnostic> {
    let Some(filter) = &query.filter else {
        return Err(
            needs_scan("a pull query without WHERE reads the whole table", "Missing WHERE clause.").at(query.span)
        );
    };
    let Some(disjuncts) = disjuncts else {
        return Err(needs_scan("the condition has too many alternatives", "").at(filter.span));
    };
    let is_alone = disjuncts.len() == 1;
    for conditions in disjuncts {
        check_alternative(conditions, keys, range_scan, is_alone).map_err(|error| error.at(filter.span))?;
    }
    Ok(())
}

fn check_alternative(
    conditions: &[Expr],
    keys: &StoredKey,
    range_scan: bool,
    is_alone: bool,
) -> Result<(), Diagnostic> {
    let mut seen = vec![false; keys.keys];
    let mut ranges = 0;
    for condition in conditions {
        let (op, left, right) = match &condition.kind {
            ExprKind::Binary { op, left, right } => (*op, left, right),
            _ => {
                return Err(needs_scan(
                    "the condition holds more than comparisons of the key",
                    "Unsupported expression in WHERE clause.",
                )
                .at(condition.span));
            }
        };
        let named = |expr: &Expr| match &expr.kind {
            ExprKind::Column(column) => Some(column.name.clone()),
            _ => None,
        };
        let (name, other) = match (named(left), named(right)) {
            (Some(name), None) => (name, right),
            (None, Some(name)) => (name, left),
            (Some(_), Some(_)) => return Err(unresolvable().at(condition.span)),
            (None, None) => {
                return Err(needs_scan(
                    "a comparison does not name a key column",
                    "A comparison must directly reference a key column.",
                )
                .at(condition.span));
            }
        };
        if !columns_of(other).is_empty() {
            return Err(unresolvable().at(condition.span));
        }
        let Some(column) = keys.position(&name).filter(|column| *column < keys.keys) else { continue };
        if op != BinaryOp::Equal {
            if !range_scan || flipped(op).is_none() {
                return Err(needs_scan(
                    "a key column is compared otherwise than by =",
                    "Bound on key columns must currently be '='.",
                )
                .at(condition.span));
            }
            ranges += 1;
        }
        if std::mem::replace(&mut seen[column], true) {
            return Err(needs_scan(
                "a key column is compared more than once",
                "A comparison condition on the key column cannot be combined with other comparisons such as an IN \
                 predicate.",
            )
            .at(condition.span));
        }
    }
    if !seen.contains(&true) {
        return Err(needs_scan(
            "a condition says nothing about the key",
            "WHERE clause missing key column for disjunct.",
        ));
    }
    if seen.contains(&false) {
        return Err(needs_scan(
            "a condition leaves out key columns",
            "Multi-column sources must specify every key in the WHERE clause.",
        ));
    }
    if ranges > 0 && (keys.keys > 1 || keys.is_windowed() || !is_alone) {
        return Err(needs_scan("a range of this key is not one piece", "Query requires table scan to be enabled."));
    }
    Ok(())
}

fn unresolvable() -> Diagnostic {
    needs_scan(
        "a key column is compared with another column",
        "A comparison must be between a key column and a resolvable expression.",
    )
}

fn needs_scan(reason: &str, detail: &str) -> Diagnostic {
    let error = Diagnostic::new(Code::Unsupported, format!("{reason}, and table scans are switched off"))
        .with_hint("Set ksql.query.pull.table.scan.enabled to true, or add EMIT CHANGES if a push query was meant.");
    if detail.is_empty() { error } else { error.with_detail(detail) }
}

/// True for the bare NULL.
pub(super) fn is_null(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Literal(Literal::Null))
}
