//! The aggregate calls of a query: found, typed, and checked against what feeds them.

use super::analyze::Analyzer;
use super::group_by;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeSchema, type_of};
use crate::formats::FormatName;
use crate::functions::{Argument, Kind, Returns};
use crate::sql::ast::{Expr, ExprKind, SourceKind};
use crate::types::{Name, SqlType};

/// A call, and the column its result has behind the grouping.
#[derive(Debug, Clone)]
pub(super) struct AggregateCall {
    pub(super) name: Name,
    pub(super) function: Name,
    /// Over the edge before the grouping.
    pub(super) expr: Expr,
    pub(super) ty: SqlType,
}

/// All calls of a query; equal calls are one.
pub(super) struct Aggregates<'a> {
    analyzer: &'a Analyzer<'a>,
    edge: &'a EdgeSchema,
    calls: Vec<AggregateCall>,
}

impl<'a> Aggregates<'a> {
    /// No calls yet; arguments are expressions over `edge`.
    pub(super) fn new(analyzer: &'a Analyzer<'a>, edge: &'a EdgeSchema) -> Self {
        Self { analyzer, edge, calls: vec![] }
    }

    pub(super) fn calls(&self) -> &[AggregateCall] {
        &self.calls
    }

    pub(super) fn makes_window_bounds(&self) -> bool {
        self.analyzer.makes_window_bounds()
    }

    pub(super) fn refuse_window_bounds(&self, expr: &Expr) -> Result<(), Diagnostic> {
        group_by::refuse_window_bounds(self.analyzer, expr)
    }

    /// The column that stands for an aggregate call; `None` if the expression is none.
    pub(super) fn call(&mut self, expr: &Expr) -> Result<Option<Expr>, Diagnostic> {
        let ExprKind::Call { function, args } = &expr.kind else { return Ok(None) };
        if self.analyzer.ctx.functions.kind(function) != Some(Kind::Aggregate) {
            return Ok(None);
        }
        let column = |call: &AggregateCall| Expr::new(Expr::column(call.name.clone()).kind, expr.span);
        if let Some(known) = self.calls.iter().find(|call| call.expr == *expr) {
            return Ok(Some(column(known)));
        }
        if let Some(inner) = args.iter().find(|arg| self.analyzer.calls(arg, Kind::Aggregate)) {
            return Err(Diagnostic::new(Code::InvalidGrouping, "aggregate functions cannot be nested").at(inner.span));
        }
        for arg in args {
            group_by::refuse_window_bounds(self.analyzer, arg)?;
        }
        check_literals(function, args)?;
        let ty = self.result_type(function, args, expr)?;
        let name = Name::new(format!("KSQL_AGG_{}", self.calls.len()));
        let call = AggregateCall { name, function: function.clone(), expr: expr.clone(), ty };
        let column = column(&call);
        self.calls.push(call);
        Ok(Some(column))
    }

    fn result_type(&self, function: &Name, args: &[Expr], call: &Expr) -> Result<SqlType, Diagnostic> {
        let functions = self.analyzer.ctx.functions;
        let mut given = Vec::with_capacity(args.len());
        for arg in args {
            if arg.kind != ExprKind::Star {
                given.push(type_of(arg, self.edge, functions)?.map_or(Argument::Null, Argument::Typed));
            }
        }
        // Signatures over DECIMAL depend on precision and come with the aggregates themselves.
        let decimal = given.iter().find_map(|argument| match argument {
            Argument::Typed(ty @ SqlType::Decimal { .. }) => Some(ty.clone()),
            _ => None,
        });
        let resolved = match (functions.resolve(function, &given), decimal) {
            (Ok(resolved), _) => resolved,
            (Err(_), Some(ty)) => return Ok(ty),
            (Err(_), None) if is_top(function) && args.len() > 2 => {
                return Ok(SqlType::Array(Box::new(SqlType::String)));
            }
            (Err(error), None) => return Err(error.at(call.span)),
        };
        let ty = match resolved.overload().result() {
            Returns::Type(ty) => ty.bound(&resolved.bindings),
            Returns::Rule(..) | Returns::Common(..) => None,
        };
        Ok(ty.unwrap_or(SqlType::String))
    }

    /// The calls can be computed over this kind of source, and kept in its value format.
    pub(super) fn check_source(&self, analyzer: &Analyzer<'_>) -> Result<(), Diagnostic> {
        if analyzer.result_kind() == SourceKind::Table {
            let mut without: Vec<&AggregateCall> =
                self.calls.iter().filter(|call| !withdraws(call.function.as_str())).collect();
            without.sort_by(|a, b| a.function.cmp(&b.function));
            without.dedup_by(|a, b| a.function == b.function);
            if let Some(first) = without.first() {
                let listed: Vec<_> = without.iter().map(|call| call.function.to_string()).collect();
                return Err(Diagnostic::new(
                    Code::InvalidGrouping,
                    format!("aggregate functions {} cannot be applied to a table", listed.join(", ")),
                )
                .with_detail("They cannot take a row back, so they are only for streams.")
                .at(first.expr.span));
            }
        }
        if analyzer.source().value.format == FormatName::Delimited
            && let Some(call) = self.calls.iter().find(|call| keeps_structure(call.function.as_str()))
        {
            return Err(Diagnostic::new(
                Code::InvalidGrouping,
                format!("aggregate function {} keeps values that format DELIMITED cannot hold", call.function),
            )
            .with_hint("Remove the function, or change the value format of the source.")
            .at(call.expr.span));
        }
        Ok(())
    }
}

/// Parameters that set an aggregate up are constants.
fn check_literals(function: &Name, args: &[Expr]) -> Result<(), Diagnostic> {
    let first = match function.as_str() {
        "EARLIEST_BY_OFFSET" | "LATEST_BY_OFFSET" => 1,
        _ if is_top(function) => args.len().saturating_sub(1).max(1),
        _ => return Ok(()),
    };
    let constant = |arg: &Expr| match &arg.kind {
        ExprKind::Literal(_) => true,
        ExprKind::Unary { operand, .. } => matches!(operand.kind, ExprKind::Literal(_)),
        _ => false,
    };
    match args.iter().enumerate().skip(first).find(|(_, arg)| !constant(arg)) {
        Some((index, arg)) => Err(Diagnostic::new(
            Code::FunctionArguments,
            format!("parameter {} of function {function} must be a literal, not {arg}", index + 1),
        )
        .at(arg.span)),
        None => Ok(()),
    }
}

/// True for the aggregates that keep the largest values; columns to keep with each stand before their k.
fn is_top(function: &Name) -> bool {
    matches!(function.as_str(), "TOPK" | "TOPKDISTINCT")
}

/// True if the aggregate can take a row back, as changes of a table need.
fn withdraws(function: &str) -> bool {
    matches!(
        function,
        "COUNT"
            | "SUM"
            | "SUM_LIST"
            | "AVG"
            | "STDDEV_SAMP"
            | "STDDEV_SAMPLE"
            | "CORRELATION"
            | "COLLECT_LIST"
            | "HISTOGRAM"
            | "ATTR"
    )
}

/// True if what the aggregate keeps between rows is a struct, list or map.
fn keeps_structure(function: &str) -> bool {
    matches!(
        function,
        "AVG"
            | "ATTR"
            | "CORRELATION"
            | "STDDEV_SAMP"
            | "STDDEV_SAMPLE"
            | "TOPK"
            | "TOPKDISTINCT"
            | "COLLECT_LIST"
            | "COLLECT_SET"
            | "COUNT_DISTINCT"
            | "HISTOGRAM"
            | "EARLIEST_BY_OFFSET"
            | "LATEST_BY_OFFSET"
    )
}
