//! JOIN: which sources join in which way, and what the result's key may be. What ON says is read in `join_condition`.

use std::time::Duration;

use super::analyze::Analyzer;
use super::compatibility;
use super::context::PlanContext;
use super::graph::{self, JoinMethod};
use super::join_condition::{self, Condition, Equality, reads_nothing_of, reads_only};
use super::join_windows;
use super::scope::{Scope, ScopeRelation, ScopeRole};
use crate::catalog::Source;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::EdgeSchema;
use crate::formats::FormatName;
use crate::sql::ast::{BinaryOp, Expr, ExprKind, Join, JoinKind, SourceKind, Within};
use crate::types::{Name, SqlType, WindowInfo};

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
    /// The primary key of a foreign-key join is filled in by who knows the columns.
    pub(super) method: JoinMethod,
    /// The left sides of the condition; `None` if they are the key that the rows so far have already.
    pub(super) left: Option<Vec<Expr>>,
    pub(super) right: Vec<Expr>,
    /// Types of both sides.
    pub(super) types: Vec<SqlType>,
    /// True if rows of the same window meet only.
    pub(super) windowed: bool,
    /// What else the condition says.
    pub(super) residual: Option<Residual>,
}

/// What of a condition is no equality between the sides, where it is exact to look at it.
#[derive(Debug)]
pub(super) enum Residual {
    /// Rows of the result for which it does not hold go.
    Result(Expr),
    /// Rows of the left side for which it does not hold meet nobody and leave no trace.
    Left(Expr),
    /// The same of the right side.
    Right(Expr),
    /// Rows of the result stay, without what this source brought if the condition does not hold.
    HidesRight(Expr),
    /// The same of all sources before.
    HidesLeft(Expr),
}

/// What may be the key of a join's result.
#[derive(Debug)]
pub(super) enum JoinKey {
    /// For each part of the key any of these columns, which are all equal: the first one that is projected.
    AnyOf(Vec<KeyChoice>),
    /// All of these: the primary key of the left table of a foreign-key join.
    AllOf(Vec<Name>),
}

/// What may be one part of the key.
#[derive(Debug)]
pub(super) enum KeyChoice {
    /// One of these columns.
    Columns(Vec<Name>),
    /// A column of its own, of this type: no source has one that always holds the key.
    Synthetic(SqlType),
}

/// The key of the rows so far.
struct HeldKey {
    parts: Vec<HeldPart>,
}

/// A part of the key: the expressions that hold it, none after a full outer join.
#[derive(Debug)]
struct HeldPart {
    equal: Vec<Expr>,
    ty: SqlType,
}

impl HeldKey {
    /// The key that the rows of a source have and keep.
    fn of(relation: &ScopeRelation) -> Self {
        let keys = relation.columns.iter().filter(|column| column.role == ScopeRole::Key);
        let part = |edge: &Name, ty: &SqlType| HeldPart { equal: vec![Expr::column(edge.clone())], ty: ty.clone() };
        Self { parts: keys.map(|column| part(&column.edge, &column.ty)).collect() }
    }

    /// The equalities in the order of the parts they fix, if they fix each part once and nothing else.
    fn order<'a>(&self, equalities: &'a [Equality]) -> Option<Vec<&'a Equality>> {
        if self.parts.is_empty() || self.parts.len() != equalities.len() {
            return None;
        }
        self.parts.iter().map(|part| equalities.iter().find(|one| part.equal.contains(&one.left))).collect()
    }
}

/// Checks the joins of a query.
pub(super) fn analyze(analyzer: &Analyzer<'_>, edge: &EdgeSchema) -> Result<Joined, Diagnostic> {
    let (query, scope) = (analyzer.query, &analyzer.scope);
    check_sources(analyzer)?;
    let first = &scope.relations[0];
    let mut kind = first.source.kind;
    // Rows of a stream are dealt anew by every condition; a table's key is what it is.
    let mut held = if kind == SourceKind::Table { HeldKey::of(first) } else { HeldKey { parts: vec![] } };
    let mut steps: Vec<Step> = Vec::with_capacity(query.joins.len());
    for (index, join) in query.joins.iter().enumerate() {
        let mut condition = join_condition::analyze(analyzer, join, index + 1, edge)?;
        let right = &scope.relations[condition.right_index];
        kind = result_kind(join, kind, &right.source, analyzer.ctx)?;
        if right.source.is_table() {
            by_primary_key(&mut condition, join, right, kind, analyzer.ctx)?;
        }
        let kept = held.order(&condition.equalities).map(|order| order.into_iter().cloned().collect::<Vec<_>>());
        let (keeps_key, is_foreign) = (kept.is_some(), kind == SourceKind::Table && kept.is_none());
        let equalities = kept.unwrap_or_else(|| std::mem::take(&mut condition.equalities));
        let method = method(join, kind, is_foreign, &right.source, analyzer.ctx);
        if is_foreign {
            check_foreign_key(join, index, scope, analyzer)?;
        } else {
            compatibility::check_partitions([first, right], join, analyzer.ctx)?;
            join_windows::check(analyzer, join, right, &equalities, (index > 0).then_some(keeps_key))?;
        }
        steps.push(Step {
            right_index: condition.right_index,
            kind: graph_kind(join.kind),
            residual: residual(&condition, join, &method, scope)?,
            method,
            left: (steps.is_empty() || !keeps_key).then(|| equalities.iter().map(|one| one.left.clone()).collect()),
            right: equalities.iter().map(|one| one.right.clone()).collect(),
            types: equalities.iter().map(|one| one.ty.clone()).collect(),
            windowed: right.source.window.is_some(),
        });
        if is_foreign {
            continue;
        }
        if !keeps_key {
            let part = |one: &Equality| HeldPart { equal: vec![one.left.clone()], ty: one.ty.clone() };
            held.parts = equalities.iter().map(part).collect();
        }
        for (part, one) in held.parts.iter_mut().zip(equalities) {
            part.equal.push(one.right);
            if join.kind == JoinKind::Full {
                part.equal.clear();
            }
        }
    }
    let all_foreign = steps.iter().all(|step| matches!(step.method, JoinMethod::ForeignKey { .. }));
    let key = if all_foreign {
        JoinKey::AllOf(key_of(first))
    } else {
        JoinKey::AnyOf(held.parts.into_iter().map(choice).collect())
    };
    Ok(Joined { kind, window: first.source.window, key, steps })
}

fn choice(part: HeldPart) -> KeyChoice {
    let columns: Vec<Name> = part.equal.iter().filter_map(as_column).collect();
    if columns.is_empty() { KeyChoice::Synthetic(part.ty) } else { KeyChoice::Columns(columns) }
}

fn graph_kind(kind: JoinKind) -> graph::JoinKind {
    match kind {
        JoinKind::Inner => graph::JoinKind::Inner,
        JoinKind::Left => graph::JoinKind::Left,
        JoinKind::Right => graph::JoinKind::Right,
        JoinKind::Full => graph::JoinKind::Full,
    }
}

fn method(join: &Join, result: SourceKind, is_foreign: bool, right: &Source, ctx: &PlanContext<'_>) -> JoinMethod {
    match &join.within {
        Some(within) => streams(within),
        None if !right.is_table() => {
            let ttl_ms = compatibility::ttl_of_joined_streams(ctx).unwrap_or_default();
            JoinMethod::Streams { before_ms: ttl_ms, after_ms: ttl_ms, grace_ms: 0, waits: true }
        }
        None if result == SourceKind::Stream => JoinMethod::StreamTable,
        None if is_foreign => JoinMethod::ForeignKey { primary_key: vec![] },
        None => JoinMethod::Tables,
    }
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

/// Every source under a name of its own, and in a format that joins can read.
fn check_sources(analyzer: &Analyzer<'_>) -> Result<(), Diagnostic> {
    let (query, scope) = (analyzer.query, &analyzer.scope);
    for (index, relation) in scope.relations.iter().enumerate() {
        let span = match index {
            0 => query.from.source.span,
            joined => query.joins[joined - 1].relation.source.span,
        };
        let before = &scope.relations[..index];
        if before.iter().any(|other| other.source.name == relation.source.name) {
            compatibility::check_self_join(&relation.source.name, analyzer.ctx).map_err(|error| error.at(span))?;
        }
        if before.iter().any(|other| other.alias == relation.alias) {
            let error = Diagnostic::new(Code::DuplicateName, format!("alias {} is given twice", relation.alias));
            let is_self = before.iter().any(|other| other.source.name == relation.source.name);
            let hint = format!("Give it another alias: {} AS ….", relation.source.name);
            return Err(if is_self { error.with_hint(hint) } else { error }.at(span));
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

/// What joining makes, if these kinds join this way.
fn result_kind(join: &Join, left: SourceKind, right: &Source, ctx: &PlanContext<'_>) -> Result<SourceKind, Diagnostic> {
    let invalid = |text: &str, hint: &str| Err(Diagnostic::new(Code::InvalidJoin, text).with_hint(hint).at(join.span));
    match (left, right.kind) {
        (SourceKind::Table, SourceKind::Stream) => invalid(
            "a table cannot be joined with a stream: write the stream first",
            "Write FROM the stream JOIN the table.",
        ),
        (SourceKind::Stream, SourceKind::Stream) => match join.within {
            Some(_) => Ok(SourceKind::Stream),
            None if compatibility::ttl_of_joined_streams(ctx).is_some() => Ok(SourceKind::Stream),
            None => invalid(
                "a join of two streams needs a WITHIN clause",
                if compatibility::may_join_streams_without_within(ctx) {
                    "Say how far apart rows may lie that meet: JOIN … WITHIN 1 HOUR ON …; or for all such joins, \
                     SET 'join.streams.ttl' = '7d'."
                } else {
                    "Say how far apart rows may lie that meet: JOIN … WITHIN 1 HOUR ON …."
                },
            ),
        },
        (_, SourceKind::Table) if join.within.is_some() => invalid(
            "a WITHIN clause is only for joins of two streams",
            "Leave it out: a row meets the table's row of the moment.",
        ),
        (SourceKind::Stream, SourceKind::Table) if matches!(join.kind, JoinKind::Full | JoinKind::Right) => invalid(
            "a stream and a table join as INNER or LEFT only",
            "A table's row that no row of the stream meets is no event; use LEFT JOIN.",
        ),
        (left, SourceKind::Table) => Ok(left),
    }
}

/// A joined table is found by its primary key: puts the equalities in its order; what else there is remains.
fn by_primary_key(
    condition: &mut Condition,
    join: &Join,
    right: &ScopeRelation,
    result: SourceKind,
    ctx: &PlanContext<'_>,
) -> Result<(), Diagnostic> {
    let mut ordered = Vec::new();
    let mut rest = std::mem::take(&mut condition.equalities);
    for column in right.columns.iter().filter(|column| column.role == ScopeRole::Key) {
        match rest.iter().position(|one| finds_key(one, &column.edge, &column.ty, ctx)) {
            Some(at) => ordered.push(rest.remove(at)),
            None => {
                let what = if result == SourceKind::Table { "the right table" } else { "the table" };
                return Err(Diagnostic::new(
                    Code::InvalidJoin,
                    format!("the join condition must read the primary key of {what}, and nothing else of it"),
                )
                .with_detail(format!("The primary key of {} is {}.", right.alias, key_names(right).join(", ")))
                .at(join.on.span));
            }
        }
    }
    condition.equalities = ordered;
    condition.residual.extend(rest.iter().map(Equality::to_expr));
    Ok(())
}

/// True if the right side is this key column, or a cast of it that keeps different keys different.
fn finds_key(one: &Equality, key: &Name, from: &SqlType, ctx: &PlanContext<'_>) -> bool {
    match &one.right.kind {
        ExprKind::Cast { operand, .. } if is_column(operand, key) => {
            let keeps_apart = match from {
                SqlType::Boolean | SqlType::Date | SqlType::Time | SqlType::BigInt => one.ty == SqlType::String,
                SqlType::Integer => matches!(one.ty, SqlType::BigInt | SqlType::Double | SqlType::String),
                _ => false,
            };
            keeps_apart && compatibility::finds_tables_by_casts(ctx)
        }
        _ => is_column(&one.right, key),
    }
}

/// Where the rest of a condition is looked at. A row that has no partner because of it must not be lost.
fn residual(
    condition: &Condition,
    join: &Join,
    method: &JoinMethod,
    scope: &Scope,
) -> Result<Option<Residual>, Diagnostic> {
    let Some(rest) = condition.residual.iter().cloned().reduce(and) else { return Ok(None) };
    let right = condition.right_index;
    let meets_one = !matches!(method, JoinMethod::Streams { .. });
    let found = match join.kind {
        JoinKind::Inner => Residual::Result(rest),
        // A row has one partner at most, so it is known whether it has none.
        JoinKind::Left if meets_one => Residual::HidesRight(rest),
        JoinKind::Right if meets_one => Residual::HidesLeft(rest),
        JoinKind::Left if reads_only(&rest, right, scope) => Residual::Right(rest),
        JoinKind::Right if reads_nothing_of(&rest, right, scope) => Residual::Left(rest),
        JoinKind::Left | JoinKind::Right | JoinKind::Full => {
            let (what, other) = match join.kind {
                JoinKind::Full => ("FULL OUTER", "equalities"),
                JoinKind::Left => ("LEFT", "equalities and conditions on the right stream"),
                JoinKind::Inner | JoinKind::Right => ("RIGHT", "equalities and conditions on the left stream"),
            };
            return Err(Diagnostic::new(
                Code::InvalidJoin,
                format!("the condition of this {what} JOIN can hold {other} only"),
            )
            .with_detail("Whether a row has no partner at all would be known too late.")
            .with_hint("Write it as INNER JOIN, or put the condition into WHERE.")
            .at(join.on.span));
        }
    };
    Ok(Some(found))
}

fn and(left: Expr, right: Expr) -> Expr {
    let span = left.span;
    Expr::new(ExprKind::Binary { op: BinaryOp::And, left: Box::new(left), right: Box::new(right) }, span)
}

fn check_foreign_key(join: &Join, index: usize, scope: &Scope, analyzer: &Analyzer<'_>) -> Result<(), Diagnostic> {
    let invalid = |text: &str| Err(Diagnostic::new(Code::InvalidJoin, text).at(join.span));
    if index > 0 {
        compatibility::check_foreign_key_behind_joins(analyzer.ctx).map_err(|error| error.at(join.span))?;
    }
    if matches!(join.kind, JoinKind::Full | JoinKind::Right) {
        return invalid("tables join on a foreign key as INNER or LEFT only");
    }
    if scope.relations[..=index + 1].iter().any(|relation| relation.source.window.is_some()) {
        return invalid("foreign-key joins of windowed tables are not supported");
    }
    Ok(())
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

pub(super) fn is_column(expr: &Expr, name: &Name) -> bool {
    as_column(expr).as_ref() == Some(name)
}

fn as_column(expr: &Expr) -> Option<Name> {
    match &expr.kind {
        ExprKind::Column(column) => Some(column.name.clone()),
        _ => None,
    }
}
