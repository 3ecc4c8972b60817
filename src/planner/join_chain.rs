//! The joins of a query as plan nodes: a left-deep chain, each join keyed by its condition.
//!
//! ```text
//!   FROM A JOIN B ON A.X = B.ID JOIN C ON B.ID = C.ID      Join C ── key of the rows so far
//!                                                          ├─ Join B ── A_X = B_ID
//!                                                          │  ├─ A
//!                                                          │  └─ B
//!                                                          └─ C
//! ```
//!
//! Every join makes a column of its own for its key, because the columns of a side that is not there are NULL.

use super::graph::{JoinMethod, Joining, ProjectColumn};
use super::group_by::WINDOW_BOUNDS;
use super::joins::{JoinKey, Joined, KeyChoice, Residual, Step};
use super::names::unique;
use super::plan::{FilterNode, Hiding, JoinNode, Plan, append};
use super::rewrite::columns_of;
use super::scope::{Scope, ScopeRole};
use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::sql::ast::{Expr, ExprKind};
use crate::types::{Name, SqlType};

/// The key of the rows so far.
struct Key {
    /// Columns that make it, window bounds last.
    names: Vec<Name>,
    /// Their types.
    types: Vec<SqlType>,
}

/// The joins over the sources of `scope`, and the columns that hold the key of their rows, window bounds last.
pub(super) fn plan(scope: &Scope, joined: &Joined) -> (Plan, Vec<Name>) {
    let mut plan = Plan::Source(scope.relation_node(0));
    let mut key = source_key(scope);
    for (index, step) in joined.steps.iter().enumerate() {
        let is_last = index + 1 == joined.steps.len();
        let mut right = Plan::Source(scope.relation_node(step.right_index));
        match &step.residual {
            Some(Residual::Left(predicate)) => plan = filtered(plan, predicate),
            Some(Residual::Right(predicate)) => right = filtered(right, predicate),
            _ => {}
        }
        let bounds = if step.windowed { WINDOW_BOUNDS.len() } else { 0 };
        let of_left = key.names.split_off(key.names.len() - bounds);
        let (mut left_key, left_computed) = match &step.left {
            Some(exprs) => key_columns(exprs, step, ("LEFT", index), &plan, scope),
            None => (key.names.clone(), vec![]),
        };
        left_key.extend(of_left);
        let (mut right_key, right_computed) = key_columns(&step.right, step, ("RIGHT", index), &right, scope);
        right_key.extend(window_bounds(scope, step.right_index).into_iter().take(bounds));
        let mut method = step.method.clone();
        let types = if let JoinMethod::ForeignKey { primary_key } = &mut method {
            // The rows keep the left table's key.
            primary_key.clone_from(&key.names);
            key.types
        } else {
            let bounds = std::iter::repeat_n(SqlType::BigInt, bounds);
            step.types.iter().cloned().chain(bounds).collect()
        };
        let parts = types.len() - bounds;
        let names =
            if is_last { last_key(joined, parts, &plan, &right) } else { inner_key(index, parts, &plan, &right) };
        key = Key { names: names.into_iter().take(types.len()).collect(), types };
        let joining = Joining { kind: step.kind, method, left_key, right_key, key: key.names.clone() };
        plan = node(plan, right, step, joining, &key.types, [left_computed, right_computed], scope);
        if let Some(Residual::Result(predicate)) = &step.residual {
            plan = filtered(plan, predicate);
        }
    }
    (plan, key.names)
}

fn filtered(input: Plan, predicate: &Expr) -> Plan {
    Plan::Filter(FilterNode { input: Box::new(input), predicate: predicate.clone() })
}

fn node(
    left: Plan,
    right: Plan,
    step: &Step,
    joining: Joining,
    key_types: &[SqlType],
    [left_computed, right_computed]: [Vec<ProjectColumn>; 2],
    scope: &Scope,
) -> Plan {
    let of_key = joining.key.iter().zip(key_types);
    let of_key = of_key.map(|(name, ty)| EdgeColumn { name: name.clone(), ty: ty.clone() }).collect();
    // Computed columns are the condition's sides that are no columns, in its order.
    let of_computed = |columns: &[ProjectColumn], key: &[Name]| -> Vec<EdgeColumn> {
        let typed = key.iter().zip(&step.types).filter(|(name, _)| columns.iter().any(|column| column.name == **name));
        typed.map(|(name, ty)| EdgeColumn { name: name.clone(), ty: ty.clone() }).collect()
    };
    let with_left = append(&EdgeSchema::new(of_key), left.schema().columns().iter().cloned());
    let with_left = append(&with_left, of_computed(&left_computed, &joining.left_key));
    let with_right = append(&with_left, right.schema().columns().iter().cloned());
    let schema = append(&with_right, of_computed(&right_computed, &joining.right_key));
    let of = |indexes: std::ops::Range<usize>| -> Vec<Name> {
        let columns = scope.relations[indexes].iter().flat_map(|relation| &relation.columns);
        columns.map(|column| column.edge.clone()).collect()
    };
    let hiding = match &step.residual {
        Some(Residual::HidesLeft(unless)) => Some(Hiding { columns: of(0..step.right_index), unless: unless.clone() }),
        Some(Residual::HidesRight(unless)) => {
            Some(Hiding { columns: of(step.right_index..step.right_index + 1), unless: unless.clone() })
        }
        _ => None,
    };
    Plan::Join(JoinNode {
        left: Box::new(left),
        right: Box::new(right),
        left_computed,
        right_computed,
        joining,
        hiding,
        schema,
    })
}

fn is_foreign(step: &Step) -> bool {
    matches!(step.method, JoinMethod::ForeignKey { .. })
}

/// The columns of one side of a condition, and how those are computed that are more than a column.
fn key_columns(
    exprs: &[Expr],
    step: &Step,
    (side, index): (&str, usize),
    input: &Plan,
    scope: &Scope,
) -> (Vec<Name>, Vec<ProjectColumn>) {
    let edge = input.schema();
    let mut computed = Vec::new();
    let mut names = Vec::with_capacity(exprs.len());
    for (part, expr) in exprs.iter().enumerate() {
        if let ExprKind::Column(column) = &expr.kind {
            names.push(column.name.clone());
            continue;
        }
        let name = numbered(&format!("KSQL_JOIN_{side}_{index}"), part);
        let name = unique(&name, |name| edge.index_of(name).is_some());
        // A delete of a table has its key, and so what is computed of that alone. The deleted left row of a foreign-key
        // join leaves where it came in: its foreign key is that of the old row.
        let is_key = |name: &Name| scope.by_edge(name).is_some_and(|column| column.role == ScopeRole::Key);
        let of_key = side == "RIGHT" && scope.relations[step.right_index].source.is_table();
        let needs_value = !(is_foreign(step) || of_key && columns_of(expr).iter().all(is_key));
        computed.push(ProjectColumn { name: name.clone(), expr: expr.clone(), needs_value });
        names.push(name);
    }
    (names, computed)
}

/// The key columns behind the last join, bounds included: what the projection and the sink look for.
fn last_key(joined: &Joined, parts: usize, left: &Plan, right: &Plan) -> Vec<Name> {
    let is_new = |name: &&Name| left.schema().index_of(name).is_none() && right.schema().index_of(name).is_none();
    let name = |part: usize| {
        let synthetic = match &joined.key {
            // A synthetic key is a column that statements name; it is in no source.
            JoinKey::AnyOf(choices) => match choices.get(part) {
                Some(KeyChoice::Columns(columns)) => columns.iter().find(is_new),
                Some(KeyChoice::Synthetic(_)) | None => None,
            },
            JoinKey::AllOf(_) => None,
        };
        synthetic.cloned().unwrap_or_else(|| free(&numbered("KSQL_JOIN_KEY", part), left, right))
    };
    (0..parts).map(name).chain(WINDOW_BOUNDS.map(Name::from)).collect()
}

fn inner_key(index: usize, parts: usize, left: &Plan, right: &Plan) -> Vec<Name> {
    let keys = (0..parts).map(|part| numbered(&format!("KSQL_JOIN_KEY_{index}"), part));
    let bounds = WINDOW_BOUNDS.iter().map(|bound| format!("KSQL_JOIN_{bound}_{index}"));
    keys.chain(bounds).map(|name| free(&name, left, right)).collect()
}

/// `name`, with a number behind it for all parts of a key but the first.
fn numbered(name: &str, part: usize) -> String {
    if part == 0 { name.to_owned() } else { format!("{name}_PART_{part}") }
}

/// `name`, or a variant of it that neither edge has.
fn free(name: &str, left: &Plan, right: &Plan) -> Name {
    unique(name, |name| left.schema().index_of(name).is_some() || right.schema().index_of(name).is_some())
}

/// The key of the first source.
fn source_key(scope: &Scope) -> Key {
    let columns = || scope.relations[0].columns.iter();
    let keys = columns().filter(|column| column.role == ScopeRole::Key);
    let bounds = columns().filter(|column| column.role == ScopeRole::WindowBound);
    let (names, types) = keys.chain(bounds).map(|column| (column.edge.clone(), column.ty.clone())).unzip();
    Key { names, types }
}

fn window_bounds(scope: &Scope, index: usize) -> Vec<Name> {
    let bounds = scope.relations[index].columns.iter().filter(|column| column.role == ScopeRole::WindowBound);
    bounds.map(|column| column.edge.clone()).collect()
}
