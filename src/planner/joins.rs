//! JOIN: the form of conditions, which sources join in which way, and what the result's key may be.

use std::time::Duration;

use super::analyze::Analyzer;
use super::context::PlanContext;
use super::graph::{self, JoinMethod};
use super::rewrite::columns_of;
use super::scope::{Scope, ScopeRelation, ScopeRole};
use crate::catalog::Source;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::EdgeSchema;
use crate::formats::FormatName;
use crate::sql::ast::{BinaryOp, Expr, ExprKind, Join, JoinKind, Query, SourceKind, Within};
use crate::types::{Name, SqlType, WindowInfo, WindowType};

/// What the joins of a query make.
#[derive(Debug)]
pub(super) struct Joined {
    /// Whether the result is a stream or a table.
    pub(super) kind: SourceKind,
    /// The window suffix of the result's keys.
    pub(super) window: Option<WindowInfo>,
    /// The columns of the edge that may be the result's key.
    pub(super) key: JoinKey,
    /// The joins in order.
    pub(super) steps: Vec<Step>,
}

/// One join of a left-deep chain.
#[derive(Debug)]
pub(super) struct Step {
    /// Position of the joined source among the relations.
    pub(super) right_index: usize,
    pub(super) kind: graph::JoinKind,
    pub(super) method: JoinMethod,
    /// The left side of the condition; `None` if it is the key that the rows so far have already.
    pub(super) left: Option<Expr>,
    pub(super) right: Expr,
    /// Type of both sides.
    pub(super) ty: SqlType,
    /// True if rows of the same window meet only.
    pub(super) windowed: bool,
}

/// What may be the key of a join's result.
#[derive(Debug)]
pub(super) enum JoinKey {
    /// Any of these columns, which are all equal; the first one that is projected.
    AnyOf(Vec<Name>),
    /// All of these: the primary key of the left table of a foreign-key join.
    AllOf(Vec<Name>),
    /// A column of its own, of this type: no source has one that always holds the key.
    Synthetic(SqlType),
}

/// One join, taken apart.
struct Condition<'a> {
    join: &'a Join,
    /// Position of the joined source among the relations.
    right_index: usize,
    left: Expr,
    right: Expr,
    /// Position of the source that `left` reads.
    left_index: usize,
}

/// Checks the joins of a query.
pub(super) fn analyze(analyzer: &Analyzer<'_>, edge: &EdgeSchema) -> Result<Joined, Diagnostic> {
    let (query, scope) = (analyzer.query, &analyzer.scope);
    check_sources(query, scope)?;
    let mut kind = scope.relations[0].source.kind;
    // The expressions that hold the key of the rows so far; none after a full outer join.
    let mut equal: Vec<Expr> = Vec::new();
    if kind == SourceKind::Table
        && let [only] = key_of(&scope.relations[0]).as_slice()
    {
        equal.push(Expr::column(only.clone()));
    }
    let mut foreign_key = None;
    let mut ty = SqlType::String;
    let mut steps: Vec<Step> = Vec::with_capacity(query.joins.len());
    for (index, join) in query.joins.iter().enumerate() {
        let condition = condition(analyzer, join, index + 1)?;
        ty = key_type(&condition, analyzer, edge)?;
        let right = &scope.relations[condition.right_index];
        kind = result_kind(&condition, kind, &right.source)?;
        check_primary_key(&condition, right, kind)?;
        let keeps_key = equal.contains(&condition.left);
        let is_foreign = kind == SourceKind::Table && !keeps_key;
        steps.push(Step {
            right_index: condition.right_index,
            kind: match join.kind {
                JoinKind::Inner => graph::JoinKind::Inner,
                JoinKind::Left => graph::JoinKind::Left,
                JoinKind::Right => graph::JoinKind::Right,
                JoinKind::Full => graph::JoinKind::Full,
            },
            method: match &join.within {
                Some(within) => streams(within),
                None if kind == SourceKind::Stream => JoinMethod::StreamTable,
                None if is_foreign => JoinMethod::ForeignKey { primary_key: key_of(&scope.relations[0]) },
                None => JoinMethod::Tables,
            },
            left: (steps.is_empty() || !keeps_key).then(|| condition.left.clone()),
            right: condition.right.clone(),
            ty: ty.clone(),
            windowed: right.source.window.is_some(),
        });
        if is_foreign {
            check_foreign_key(&condition, index, scope)?;
            foreign_key = Some(key_of(&scope.relations[0]));
            continue;
        }
        check_partitions(scope, &condition, analyzer.ctx)?;
        check_windows(&condition, scope, index)?;
        if !keeps_key {
            equal = vec![condition.left];
        }
        equal.push(condition.right);
        if join.kind == JoinKind::Full {
            equal.clear();
        }
    }
    let viable: Vec<Name> = equal.iter().filter_map(as_column).collect();
    let key = match foreign_key {
        Some(key) if query.joins.len() == 1 => JoinKey::AllOf(key),
        _ if viable.is_empty() => JoinKey::Synthetic(ty),
        _ => JoinKey::AnyOf(viable),
    };
    Ok(Joined { kind, window: scope.relations[0].source.window, key, steps })
}

/// Why the joins cannot run yet, once the sink is known to be right.
pub(super) fn unbuilt(joined: &Joined, query: &Query) -> Option<Diagnostic> {
    joined.steps.iter().zip(&query.joins).find_map(|(step, join)| {
        let what = match step.method {
            JoinMethod::Streams { .. } => "JOIN of two streams",
            // The operator is there; what is missing is that rows of both sides are taken in the order of their time.
            JoinMethod::StreamTable => "JOIN of a stream with a table",
            JoinMethod::Tables | JoinMethod::ForeignKey { .. } => return None,
        };
        Some(Diagnostic::not_implemented(what).at(join.span))
    })
}

/// How two streams are joined. Without a GRACE PERIOD rows wait as long as older versions of Kafka Streams let them.
fn streams(within: &Within) -> JoinMethod {
    const DAY_MS: i64 = 86_400_000;
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let before_ms = millis(within.before);
    JoinMethod::Streams {
        before_ms,
        after_ms: millis(within.after),
        grace_ms: within.grace.map_or_else(|| DAY_MS.saturating_sub(before_ms.saturating_mul(2)).max(0), millis),
        waits: within.grace.is_some(),
    }
}

/// Every source once, and in a format that joins can read.
fn check_sources(query: &Query, scope: &Scope) -> Result<(), Diagnostic> {
    for (index, relation) in scope.relations.iter().enumerate() {
        let span = match index {
            0 => query.from.source.span,
            joined => query.joins[joined - 1].relation.source.span,
        };
        if let Some(other) = scope.relations[..index].iter().find(|other| other.source.name == relation.source.name) {
            return Err(Diagnostic::new(
                Code::InvalidJoin,
                format!("source {} is joined to itself, which is not supported", other.source.name),
            )
            .at(span));
        }
        if scope.relations[..index].iter().any(|other| other.alias == relation.alias) {
            return Err(
                Diagnostic::new(Code::DuplicateName, format!("alias {} is given twice", relation.alias)).at(span)
            );
        }
        if relation.source.value.format == FormatName::Kafka {
            return Err(Diagnostic::new(
                Code::InvalidFormat,
                format!("source {} has value format KAFKA, which does not support JOIN", relation.source.name),
            )
            .at(span));
        }
    }
    Ok(())
}

/// `exprA = exprB`, with the joined source on one side and another on the other side.
fn condition<'a>(analyzer: &Analyzer<'_>, join: &'a Join, right_index: usize) -> Result<Condition<'a>, Diagnostic> {
    let scope = &analyzer.scope;
    let invalid = |text: String| Diagnostic::new(Code::InvalidJoin, text).at(join.on.span);
    let (one, other) = match &join.on.kind {
        ExprKind::Binary { op: BinaryOp::Equal, left, right } => (left, right),
        ExprKind::Binary { op: BinaryOp::And | BinaryOp::Or, .. } => {
            return Err(invalid("joins on several conditions are not supported".to_owned()));
        }
        _ => return Err(invalid("a join condition must be an equality".to_owned())),
    };
    let (one, other) = (analyzer.resolve(one)?, analyzer.resolve(other)?);
    let (one_index, other_index) = (only_source(&one, scope)?, only_source(&other, scope)?);
    if one_index == other_index {
        let name = &scope.relations[one_index].alias;
        return Err(invalid(format!("both sides of the join condition read {name}: they must read different sources")));
    }
    let (left, right, left_index) = if other_index == right_index {
        (one, other, one_index)
    } else if one_index == right_index {
        (other, one, other_index)
    } else {
        let joined = &scope.relations[right_index].alias;
        return Err(invalid(format!("the join condition does not read {joined}, which it joins")));
    };
    if left_index > right_index {
        let later = &scope.relations[left_index].alias;
        return Err(invalid(format!("the join condition reads {later}, which is joined later")));
    }
    Ok(Condition { join, right_index, left, right, left_index })
}

/// The one source that an expression reads.
fn only_source(expr: &Expr, scope: &Scope) -> Result<usize, Diagnostic> {
    let mut sources: Vec<usize> = columns_of(expr).iter().filter_map(|name| scope.relation_of(name)).collect();
    sources.sort_unstable();
    sources.dedup();
    match sources.as_slice() {
        [only] => Ok(*only),
        _ => Err(Diagnostic::new(Code::InvalidJoin, "each side of a join condition must read exactly one source")
            .at(expr.span)),
    }
}

/// The type of the key that both sides give.
fn key_type(condition: &Condition<'_>, analyzer: &Analyzer<'_>, edge: &EdgeSchema) -> Result<SqlType, Diagnostic> {
    let left = analyzer.expression_type(&condition.left, edge)?;
    let right = analyzer.expression_type(&condition.right, edge)?;
    if left == right {
        return Ok(left);
    }
    Err(Diagnostic::new(
        Code::InvalidJoin,
        format!("the sides of the join condition have different types: {left} and {right}"),
    )
    .with_hint("CAST one of them.")
    .at(condition.join.on.span))
}

/// What joining makes, if these kinds join this way.
fn result_kind(condition: &Condition<'_>, left: SourceKind, right: &Source) -> Result<SourceKind, Diagnostic> {
    let join = condition.join;
    let invalid = |text: &str| Err(Diagnostic::new(Code::InvalidJoin, text).at(join.span));
    match (left, right.kind) {
        (SourceKind::Table, SourceKind::Stream) => {
            invalid("a table cannot be joined with a stream: write the stream first")
        }
        (SourceKind::Stream, SourceKind::Stream) => match join.within {
            Some(_) => Ok(SourceKind::Stream),
            None => invalid("a join of two streams needs a WITHIN clause"),
        },
        (_, SourceKind::Table) if join.within.is_some() => invalid("a WITHIN clause is only for joins of two streams"),
        (SourceKind::Stream, SourceKind::Table) if matches!(join.kind, JoinKind::Full | JoinKind::Right) => {
            invalid("a stream and a table join as INNER or LEFT only")
        }
        (left, SourceKind::Table) => Ok(left),
    }
}

/// A joined table is found by its primary key, which is one column.
fn check_primary_key(condition: &Condition<'_>, right: &ScopeRelation, result: SourceKind) -> Result<(), Diagnostic> {
    if !right.source.is_table() {
        return Ok(());
    }
    let key = key_of(right);
    if matches!(key.as_slice(), [only] if is_column(&condition.right, only)) {
        return Ok(());
    }
    let what = if result == SourceKind::Table { "the right table" } else { "the table" };
    Err(Diagnostic::new(
        Code::InvalidJoin,
        format!("the join condition must read the primary key of {what}, and nothing else of it"),
    )
    .with_detail(format!("The primary key of {} is {}.", right.alias, key_names(right).join(", ")))
    .at(condition.join.on.span))
}

fn check_foreign_key(condition: &Condition<'_>, index: usize, scope: &Scope) -> Result<(), Diagnostic> {
    let invalid = |text: &str| Err(Diagnostic::new(Code::InvalidJoin, text).at(condition.join.span));
    if index > 0 {
        return invalid("a foreign-key join can only be the first of several joins");
    }
    if matches!(condition.join.kind, JoinKind::Full | JoinKind::Right) {
        return invalid("tables join on a foreign key as INNER or LEFT only");
    }
    if [condition.left_index, condition.right_index].iter().any(|&i| scope.relations[i].source.window.is_some()) {
        return invalid("foreign-key joins of windowed tables are not supported");
    }
    Ok(())
}

/// Rows that meet are in partitions of the same number.
fn check_partitions(scope: &Scope, condition: &Condition<'_>, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    let sides = [&scope.relations[0], &scope.relations[condition.right_index]];
    let partitions = sides.map(|side| (ctx.topics)(&side.source.topic).map(|shape| shape.partitions));
    match partitions {
        [Some(left), Some(right)] if left != right => Err(Diagnostic::new(
            Code::InvalidJoin,
            format!(
                "{} and {} cannot be joined: their topics have {left} and {right} partitions",
                sides[0].source.name, sides[1].source.name
            ),
        )
        .with_hint("Repartition one of them.")
        .at(condition.join.span)),
        _ => Ok(()),
    }
}

/// Windowed sources join windowed ones of the same kind, on their keys.
fn check_windows(condition: &Condition<'_>, scope: &Scope, index: usize) -> Result<(), Diagnostic> {
    let left = &scope.relations[condition.left_index];
    let right = &scope.relations[condition.right_index];
    let invalid = |text: String| Err(Diagnostic::new(Code::InvalidJoin, text).at(condition.join.span));
    let is_session = |window: WindowInfo| window.window_type == WindowType::Session;
    match (left.source.window, right.source.window) {
        (None, None) => return Ok(()),
        (Some(one), Some(other)) if is_session(one) == is_session(other) => {}
        (Some(one), Some(other)) => {
            return invalid(format!(
                "{} has {} windows and {} has {}: they cannot be joined",
                left.alias, one.window_type, right.alias, other.window_type
            ));
        }
        (Some(_), None) => {
            return invalid(format!("{} is windowed and {} is not: they cannot be joined", left.alias, right.alias));
        }
        (None, Some(_)) => {
            return invalid(format!("{} is windowed and {} is not: they cannot be joined", right.alias, left.alias));
        }
    }
    let on_key = |side: &ScopeRelation, expr: &Expr| matches!(key_of(side).as_slice(), [only] if is_column(expr, only));
    let same_size = left.source.window == right.source.window;
    if on_key(right, &condition.right) && (index > 0 || on_key(left, &condition.left)) && same_size {
        return Ok(());
    }
    invalid("windowed sources join on their keys and equal windows only: they cannot be repartitioned".to_owned())
}

/// The key columns of a source, as the edge calls them.
pub(super) fn key_of(relation: &ScopeRelation) -> Vec<Name> {
    let keys = relation.columns.iter().filter(|column| column.role == ScopeRole::Key);
    keys.map(|column| column.edge.clone()).collect()
}

fn key_names(relation: &ScopeRelation) -> Vec<String> {
    let keys = relation.columns.iter().filter(|column| column.role == ScopeRole::Key);
    keys.map(|column| column.name.to_string()).collect()
}

fn is_column(expr: &Expr, name: &Name) -> bool {
    as_column(expr).as_ref() == Some(name)
}

fn as_column(expr: &Expr) -> Option<Name> {
    match &expr.kind {
        ExprKind::Column(column) => Some(column.name.clone()),
        _ => None,
    }
}
