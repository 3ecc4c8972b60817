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

use super::graph::{Joining, ProjectColumn};
use super::group_by::WINDOW_BOUNDS;
use super::joins::{JoinKey, Joined, Step};
use super::names::unique;
use super::plan::{JoinNode, Plan, append};
use super::scope::{Scope, ScopeRole};
use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::sql::ast::{Expr, ExprKind};
use crate::types::{Name, SqlType};

/// The joins over the sources of `scope`, and the columns that hold the key of their rows, window bounds last.
pub(super) fn plan(scope: &Scope, joined: &Joined) -> (Plan, Vec<Name>) {
    let mut plan = Plan::Source(scope.relation_node(0));
    let mut key: Vec<Name> = window_bounds(scope, 0);
    key.insert(0, Name::from(""));
    for (index, step) in joined.steps.iter().enumerate() {
        let is_last = index + 1 == joined.steps.len();
        let right = Plan::Source(scope.relation_node(step.right_index));
        let (left_key, left_computed) = match &step.left {
            Some(expr) => {
                let (name, computed) = key_column(expr, "LEFT", index, plan.schema());
                // A deleted left row leaves where it came in: its foreign key is that of the old row.
                let needs_value = !is_foreign(step);
                (name, computed.map(|column| ProjectColumn { needs_value, ..column }))
            }
            None => (key[0].clone(), None),
        };
        let (right_key, right_computed) = key_column(&step.right, "RIGHT", index, right.schema());
        let names = if is_last { last_key(joined, &plan, &right) } else { inner_key(index, &plan, &right) };
        let bounds = if step.windowed { WINDOW_BOUNDS.len() } else { 0 };
        let left_key: Vec<Name> = std::iter::once(left_key).chain(key.drain(1..).take(bounds)).collect();
        let right_key =
            std::iter::once(right_key).chain(window_bounds(scope, step.right_index).into_iter().take(bounds)).collect();
        key = match &joined.key {
            // The rows of a foreign-key join have the left table's key.
            JoinKey::AllOf(_) if is_foreign(step) => primary_key_names(scope, &plan, &right),
            _ => names.into_iter().take(1 + bounds).collect(),
        };
        plan = node(plan, right, step, [left_key, right_key], key.clone(), [left_computed, right_computed], scope);
    }
    (plan, key)
}

fn node(
    left: Plan,
    right: Plan,
    step: &Step,
    [left_key, right_key]: [Vec<Name>; 2],
    key: Vec<Name>,
    computed: [Option<ProjectColumn>; 2],
    scope: &Scope,
) -> Plan {
    let [left_computed, right_computed] = computed.map(|column| column.into_iter().collect::<Vec<_>>());
    let key_type = |index: usize| match index {
        _ if is_foreign(step) => primary_key_types(scope)[index].clone(),
        0 => step.ty.clone(),
        _ => SqlType::BigInt,
    };
    let of_key = key.iter().enumerate().map(|(index, name)| EdgeColumn { name: name.clone(), ty: key_type(index) });
    let of_computed = |columns: &[ProjectColumn]| -> Vec<EdgeColumn> {
        columns.iter().map(|column| EdgeColumn { name: column.name.clone(), ty: step.ty.clone() }).collect()
    };
    let with_left = append(&EdgeSchema::new(of_key.collect()), left.schema().columns().iter().cloned());
    let with_left = append(&with_left, of_computed(&left_computed));
    let with_right = append(&with_left, right.schema().columns().iter().cloned());
    let schema = append(&with_right, of_computed(&right_computed));
    let joining = Joining { kind: step.kind, method: step.method.clone(), left_key, right_key, key };
    Plan::Join(JoinNode {
        left: Box::new(left),
        right: Box::new(right),
        left_computed,
        right_computed,
        joining,
        schema,
    })
}

fn is_foreign(step: &Step) -> bool {
    matches!(step.method, super::graph::JoinMethod::ForeignKey { .. })
}

/// The column that holds one side of a condition, and how it is computed if it is more than a column.
fn key_column(expr: &Expr, side: &str, index: usize, edge: &EdgeSchema) -> (Name, Option<ProjectColumn>) {
    if let ExprKind::Column(column) = &expr.kind {
        return (column.name.clone(), None);
    }
    let name = unique(&format!("KSQL_JOIN_{side}_{index}"), |name| edge.index_of(name).is_some());
    (name.clone(), Some(ProjectColumn { name, expr: expr.clone(), needs_value: true }))
}

/// The key columns behind the last join, bounds included: what the projection and the sink look for.
fn last_key(joined: &Joined, left: &Plan, right: &Plan) -> Vec<Name> {
    let synthetic = match &joined.key {
        // A synthetic key is a column that statements name; it is in no source.
        JoinKey::AnyOf(viable) => {
            viable.iter().find(|name| left.schema().index_of(name).is_none() && right.schema().index_of(name).is_none())
        }
        JoinKey::AllOf(_) | JoinKey::Synthetic(_) => None,
    };
    let key = synthetic.cloned().unwrap_or_else(|| free("KSQL_JOIN_KEY", left, right));
    std::iter::once(key).chain(WINDOW_BOUNDS.map(Name::from)).collect()
}

fn inner_key(index: usize, left: &Plan, right: &Plan) -> Vec<Name> {
    ["KEY", "WINDOWSTART", "WINDOWEND"].map(|what| free(&format!("KSQL_JOIN_{what}_{index}"), left, right)).into()
}

/// `name`, or a variant of it that neither edge has.
fn free(name: &str, left: &Plan, right: &Plan) -> Name {
    unique(name, |name| left.schema().index_of(name).is_some() || right.schema().index_of(name).is_some())
}

fn window_bounds(scope: &Scope, index: usize) -> Vec<Name> {
    let relation = &scope.relations[index];
    if relation.source.window.is_none() {
        return vec![];
    }
    let bounds = relation.columns.iter().filter(|column| column.role == ScopeRole::WindowBound);
    bounds.map(|column| column.edge.clone()).collect()
}

fn primary_key_names(scope: &Scope, left: &Plan, right: &Plan) -> Vec<Name> {
    (0..primary_key_types(scope).len()).map(|index| free(&format!("KSQL_JOIN_KEY_{index}"), left, right)).collect()
}

fn primary_key_types(scope: &Scope) -> Vec<SqlType> {
    let keys = scope.relations[0].columns.iter().filter(|column| column.role == ScopeRole::Key);
    keys.map(|column| column.ty.clone()).collect()
}
