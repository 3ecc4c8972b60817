//! Pull queries as text, for EXPLAIN.

use std::fmt::Write as _;

use super::key_access::KeyLookup;
use super::pull::{PullPlan, StoredKey};
use crate::sql::ast::{BinaryOp, Expr, ExprKind};

/// Look-ups that are spelt out.
const MAX_SHOWN: usize = 10;

/// What a pull query does, last step first, each step indented below the one that takes its rows.
///
/// ```text
///   Limit 5
///     Project ID := ID, TENFOLD := V * 10
///       Filter V > 3
///         KeyLookup table T: ID = 1 | ID = 2
/// ```
///
/// The rows come by `KeyLookup` (whole keys, each by `=`), `KeyRange` (the keys between bounds, or those that begin with
/// some columns) or `TableScan`.
pub fn explain_pull(plan: &PullPlan) -> String {
    let mut steps = Vec::new();
    if let Some(limit) = plan.limit {
        steps.push(format!("Limit {limit}"));
    }
    let columns = plan.columns.iter().zip(&plan.expressions);
    let columns: Vec<_> = columns.map(|(column, expr)| format!("{} := {expr}", column.name)).collect();
    steps.push(format!("Project {}", columns.join(", ")));
    // Whole keys by `=` and nothing else: whatever is found passes.
    if let Some(filter) = plan.filter.as_ref().filter(|_| plan.exact_lookups.is_none()) {
        steps.push(format!("Filter {filter}"));
    }
    steps.push(access(plan));
    let mut text = String::new();
    for (depth, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "{:indent$}{step}", "", indent = depth * 2);
    }
    text
}

/// How the rows are found.
fn access(plan: &PullPlan) -> String {
    let name = &plan.source.name;
    let Some(lookups) = &plan.lookups else { return format!("TableScan table {name}") };
    let keys = StoredKey::of(&plan.source);
    let is_whole = |lookup: &KeyLookup| {
        (0..keys.keys).all(|at| lookup.iter().any(|bound| bound.column == at && bound.op == BinaryOp::Equal))
    };
    let verb = if lookups.iter().all(is_whole) { "KeyLookup" } else { "KeyRange" };
    let shown = lookups.iter().take(MAX_SHOWN).map(|lookup| {
        let bounds = lookup.iter().filter_map(|bound| {
            let column = Expr::column(keys.columns.get(bound.column)?.clone());
            let (left, right) = (Box::new(column), Box::new(bound.value.clone()));
            Some(Expr::new(ExprKind::Binary { op: bound.op, left, right }, bound.value.span).to_string())
        });
        bounds.collect::<Vec<_>>().join(" AND ")
    });
    let mut shown = shown.collect::<Vec<_>>().join(" | ");
    if lookups.len() > MAX_SHOWN {
        let _ = write!(shown, " | … {} in all", lookups.len());
    }
    format!("{verb} table {name}: {shown}")
}
