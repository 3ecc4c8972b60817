//! Pull queries over one table: what is read once, from the rows that the table holds now.
//!
//! ```text
//!   SELECT ID, V * 2 FROM T WHERE ID IN (1, 2) AND V > 3 LIMIT 5
//!     look-ups   ID = 1 | ID = 2           where rows may be: always all of them, perhaps more
//!     filter     ID IN (1, 2) AND V > 3    which of them are meant
//!     columns    ID, V * 2                 what is shown of them
//! ```

use std::sync::Arc;

use super::analyze::{Target, analyze};
use super::compatibility;
use super::context::PlanContext;
use super::key_access::{self, KeyLookup};
use super::plan::Plan;
use super::planned::OutputColumn;
use crate::catalog::{Catalog, Source};
use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::{Expr, ExprKind, Query};
use crate::types::Name;

/// What a pull query may do, beside what all queries may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullOptions {
    /// Look at every row of the table if nothing better is known (`ksql.query.pull.table.scan.enabled`).
    pub table_scan: bool,
    /// Look at a range of keys without that (`ksql.query.pull.range.scan.enabled`).
    pub range_scan: bool,
}

/// A pull query over one table.
#[derive(Debug, Clone, PartialEq)]
pub struct PullPlan {
    /// The table.
    pub source: Arc<Source>,
    /// Where the rows are; `None`: anywhere. Otherwise a row that passes `filter` is at one of these, or at several.
    pub lookups: Option<Vec<KeyLookup>>,
    /// The same if they say everything: every row at one of them passes `filter`, for each gives every key column once, by
    /// `=`, and no condition is left.
    pub exact_lookups: Option<Vec<KeyLookup>>,
    /// Which rows are meant; over the table's columns.
    pub filter: Option<Expr>,
    /// The columns of the answer.
    pub columns: Vec<OutputColumn>,
    /// What makes each of them; over the table's columns.
    pub expressions: Vec<Expr>,
    /// The most rows.
    pub limit: Option<u64>,
}

/// Plans SELECT without EMIT over a table.
///
/// # Errors
/// What push queries refuse, and clauses that a pull query cannot have; without table scans, conditions that do not say
/// where the rows are.
pub fn plan_pull(
    query: &Query,
    options: PullOptions,
    catalog: &Catalog,
    ctx: &PlanContext<'_>,
) -> Result<PullPlan, Diagnostic> {
    compatibility::check_pull(query, ctx)?;
    let analyzed = analyze(query, catalog, ctx, Target::Client)?;
    for source in &analyzed.sources {
        super::sides::check_built(&source.key, &source.value)?;
    }
    let Plan::Project(project) = analyzed.plan else { return Err(no_pull("its plan does not end in a projection")) };
    let (below, filter) = match *project.input {
        Plan::Filter(node) => (*node.input, Some(node.predicate)),
        other => (other, None),
    };
    let Plan::Source(node) = below else { return Err(no_pull("it does more than to filter and to project")) };
    let source = node.source;
    let keys = StoredKey::of(&source);
    if let Some(filter) = &filter {
        compatibility::check_key_comparisons(filter, &source, ctx)?;
    }
    let disjuncts = filter.as_ref().and_then(key_access::disjuncts);
    if !options.table_scan {
        key_access::check_without_scan(disjuncts.as_deref(), &keys, options.range_scan, query)?;
    }
    let lookups = disjuncts.as_ref().and_then(|disjuncts| key_access::lookups(disjuncts, &keys, ctx.functions));
    let exact_lookups = match (&disjuncts, &lookups) {
        (Some(disjuncts), Some(lookups)) if key_access::are_exact(disjuncts, lookups, &keys) => Some(lookups.clone()),
        _ => None,
    };
    let mut columns = analyzed.columns;
    let mut expressions = Vec::with_capacity(columns.len());
    for (column, made) in columns.iter_mut().zip(project.columns) {
        column.is_key |= is_window_bound(&made.expr);
        expressions.push(made.expr);
    }
    Ok(PullPlan { source, lookups, exact_lookups, filter, columns, expressions, limit: query.limit })
}

/// The columns that a stored key is made of, in order: the table's key, then the window's start and end.
pub(super) struct StoredKey {
    pub(super) columns: Vec<Name>,
    /// How many of them are the table's key.
    pub(super) keys: usize,
}

impl StoredKey {
    pub(super) fn of(source: &Source) -> Self {
        let mut columns: Vec<Name> = source.schema.key().map(|column| column.name.clone()).collect();
        let keys = columns.len();
        if source.window.is_some() {
            columns.extend(["WINDOWSTART", "WINDOWEND"].map(Name::from));
        }
        Self { columns, keys }
    }

    pub(super) fn position(&self, name: &Name) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    pub(super) fn is_windowed(&self) -> bool {
        self.columns.len() > self.keys
    }
}

fn is_window_bound(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Column(column) if matches!(column.name.as_str(), "WINDOWSTART" | "WINDOWEND"))
}

fn no_pull(reason: &str) -> Diagnostic {
    Diagnostic::new(Code::Internal, format!("a pull query cannot be planned: {reason}"))
}
