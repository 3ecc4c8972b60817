//! Which functions are not scalar: planning treats aggregate and table functions apart before anything is typed.

use crate::sql::ast::{Expr, ExprKind};

const TABLE: &[&str] = &["CUBE_EXPLODE", "EXPLODE"];

const AGGREGATE: &[&str] = &[
    "ATTR",
    "AVG",
    "COLLECT_LIST",
    "COLLECT_SET",
    "CORRELATION",
    "COUNT",
    "COUNT_DISTINCT",
    "EARLIEST_BY_OFFSET",
    "HISTOGRAM",
    "LATEST_BY_OFFSET",
    "MAX",
    "MIN",
    "STDDEV_SAMP",
    "STDDEV_SAMPLE",
    "SUM",
    "SUM_LIST",
    "TOPK",
    "TOPKDISTINCT",
];

/// True for a call of a table function.
pub(super) fn is_table_call(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call { function, .. } if TABLE.contains(&function.as_str()))
}

/// True for a call of an aggregate function.
pub(super) fn is_aggregate_call(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call { function, .. } if AGGREGATE.contains(&function.as_str()))
}
