//! The aggregate calls of a query: found, typed, and checked against what feeds them.

use super::analyze::Analyzer;
use super::compatibility;
use super::function_kinds::is_call;
use super::graph::{self, ProjectColumn};
use super::group_by;
use super::names::unique;
use super::partition_by::KeyPart;
use super::rewrite;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeColumn, EdgeSchema, type_of};
use crate::formats::FormatName;
use crate::functions::Kind;
use crate::functions::aggregate::{AggregateFunction, Fraction, Parameter};
use crate::sql::ast::{Expr, ExprKind, Literal, TypeName, UnaryOp};
use crate::types::{Name, SqlType};

/// A call, as written and as it is computed.
#[derive(Debug, Clone)]
struct Call {
    /// Over the edge before the grouping.
    written: Expr,
    call: graph::AggregateCall,
    function: AggregateFunction,
}

/// All calls of a query; equal calls are one.
pub(super) struct Aggregates<'a> {
    analyzer: &'a Analyzer<'a>,
    edge: &'a EdgeSchema,
    grouping: &'a [KeyPart],
    calls: Vec<Call>,
    arguments: Vec<ProjectColumn>,
}

impl<'a> Aggregates<'a> {
    /// No calls yet; arguments are expressions over `edge`.
    pub(super) fn new(analyzer: &'a Analyzer<'a>, edge: &'a EdgeSchema, grouping: &'a [KeyPart]) -> Self {
        Self { analyzer, edge, grouping, calls: vec![], arguments: vec![] }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn makes_window_bounds(&self) -> bool {
        self.analyzer.makes_window_bounds()
    }

    pub(super) fn refuse_window_bounds(&self, expr: &Expr) -> Result<(), Diagnostic> {
        group_by::refuse_window_bounds(self.analyzer, expr)
    }

    /// The columns of the results.
    pub(super) fn columns(&self) -> impl Iterator<Item = EdgeColumn> {
        self.calls.iter().map(|call| EdgeColumn { name: call.call.name.clone(), ty: call.function.result.clone() })
    }

    /// What is computed, and the columns that it reads.
    pub(super) fn into_parts(self) -> (Vec<graph::AggregateCall>, Vec<ProjectColumn>) {
        (self.calls.into_iter().map(|call| call.call).collect(), self.arguments)
    }

    /// The column that stands for an aggregate call; `None` if the expression is none.
    pub(super) fn call(&mut self, expr: &Expr) -> Result<Option<Expr>, Diagnostic> {
        if let Some(inner) = self.previous_of(expr) {
            compatibility::check_aggregate_extension(expr, self.analyzer.ctx)?;
            let Some(call) = self.written(inner)? else { return Ok(None) };
            return Ok(Some(self.column(Call { written: expr.clone(), ..call }, true)));
        }
        Ok(self.written(expr)?.map(|call| self.column(call, false)))
    }

    /// The aggregate in `PREVIOUS(aggregate)`, unless there is a function of this name.
    fn previous_of<'e>(&self, expr: &'e Expr) -> Option<&'e Expr> {
        let ExprKind::Call { function, args } = &expr.kind else { return None };
        let functions = self.analyzer.ctx.functions;
        match args.as_slice() {
            [inner] if function.as_str() == "PREVIOUS" && functions.get(function).is_none() => {
                is_call(inner, Kind::Aggregate, functions).then_some(inner)
            }
            _ => None,
        }
    }

    /// The column of the result of a call.
    fn column(&mut self, mut call: Call, previous: bool) -> Expr {
        let span = call.written.span;
        if let Some(known) = self.calls.iter().find(|known| known.written == call.written) {
            return Expr::new(Expr::column(known.call.name.clone()).kind, span);
        }
        let taken = |name: &Name| self.grouping.iter().any(|part| part.edge == *name);
        call.call.name = unique(&format!("KSQL_AGG_{}", self.calls.len()), taken);
        call.call.previous = previous;
        let column = Expr::new(Expr::column(call.call.name.clone()).kind, span);
        self.calls.push(call);
        column
    }

    /// The call that an expression is, typed; its result has no name yet.
    fn written(&mut self, expr: &Expr) -> Result<Option<Call>, Diagnostic> {
        let (function, args, distinct, filter) = match &expr.kind {
            ExprKind::Call { function, args } => (function, args, false, None),
            ExprKind::Aggregate { function, args, distinct, filter } => (function, args, *distinct, filter.as_ref()),
            _ => return Ok(None),
        };
        let functions = self.analyzer.ctx.functions;
        if !is_call(expr, Kind::Aggregate, functions) {
            return Ok(None);
        }
        compatibility::check_aggregate_extension(expr, self.analyzer.ctx)?;
        for part in rewrite::children(expr) {
            if self.analyzer.calls(part, Kind::Aggregate) {
                return Err(Diagnostic::new(Code::InvalidGrouping, "aggregate functions cannot be nested")
                    .with_hint("Create a table with the inner one, and aggregate that.")
                    .at(part.span));
            }
            if self.analyzer.calls(part, Kind::Table) {
                return Err(Diagnostic::new(
                    Code::InvalidProjection,
                    "table functions cannot be used together with aggregations",
                )
                .with_hint("Create a stream with the table function, and aggregate that.")
                .at(part.span));
            }
            group_by::refuse_window_bounds(self.analyzer, part)?;
        }
        let (args, parameters) = split(function, args)?;
        let function = self.typed(function, &args, &parameters, distinct, expr)?;
        compatibility::check_aggregate(&function, self.analyzer.ctx).map_err(|error| error.at(expr.span))?;
        let arguments = args.iter().zip(&function.arguments).map(|(arg, ty)| self.argument(arg, ty)).collect();
        let filter = filter.map(|condition| self.condition(condition)).transpose()?;
        let call = graph::AggregateCall {
            name: function.name.clone(),
            function: function.name.clone(),
            arguments,
            parameters,
            limit: self.analyzer.ctx.settings.aggregate_limits.get(function.name.as_str()).copied(),
            distinct,
            filter,
            previous: false,
        };
        Ok(Some(Call { written: expr.clone(), call, function }))
    }

    /// The column before the aggregation that says which rows count.
    fn condition(&mut self, condition: &Expr) -> Result<Name, Diagnostic> {
        match type_of(condition, self.edge, self.analyzer.ctx.functions)? {
            Some(SqlType::Boolean) => Ok(self.argument(condition, &SqlType::Boolean)),
            other => {
                let ty = other.map_or_else(|| "NULL".to_owned(), |ty| ty.to_string());
                Err(Diagnostic::new(Code::TypeMismatch, format!("FILTER must be of type BOOLEAN, not {ty}"))
                    .at(condition.span))
            }
        }
    }

    fn typed(
        &self,
        function: &Name,
        args: &[&Expr],
        parameters: &[Parameter],
        distinct: bool,
        call: &Expr,
    ) -> Result<AggregateFunction, Diagnostic> {
        let functions = self.analyzer.ctx.functions;
        let types = args.iter().map(|arg| type_of(arg, self.edge, functions)).collect::<Result<Vec<_>, _>>()?;
        AggregateFunction::resolve(function, &types, parameters, distinct, functions)
            .map_err(|error| error.at(call.span))
    }

    /// The column before the aggregation that holds an argument.
    fn argument(&mut self, arg: &Expr, ty: &SqlType) -> Name {
        if let Some(part) = self.grouping.iter().find(|part| part.is(arg)) {
            return part.edge.clone();
        }
        let expr = match &arg.kind {
            ExprKind::Literal(Literal::Null) => {
                let operand = Box::new(arg.clone());
                Expr::new(ExprKind::Cast { operand, ty: TypeName::from(ty) }, arg.span)
            }
            _ => arg.clone(),
        };
        if let Some(known) = self.arguments.iter().find(|known| known.expr == expr) {
            return known.name.clone();
        }
        let name = match &expr.kind {
            ExprKind::Column(column) => column.name.clone(),
            _ => {
                let taken = |name: &Name| {
                    self.edge.index_of(name).is_some() || self.grouping.iter().any(|part| part.edge == *name)
                };
                unique(&format!("KSQL_ARG_{}", self.arguments.len()), taken)
            }
        };
        self.arguments.push(ProjectColumn { name: name.clone(), expr, needs_value: false });
        name
    }

    /// The calls can be computed over this kind of source, and kept in its value format.
    pub(super) fn check_source(&self) -> Result<(), Diagnostic> {
        let analyzer = self.analyzer;
        if analyzer.is_over_table() {
            let admitted = |call: &&Call| compatibility::takes_rows_back(&call.function, analyzer.ctx);
            let mut without: Vec<&Call> = self.calls.iter().filter(|call| !admitted(call)).collect();
            without.sort_by(|a, b| a.call.function.cmp(&b.call.function));
            without.dedup_by(|a, b| a.call.function == b.call.function);
            if let Some(first) = without.first() {
                let listed: Vec<_> = without.iter().map(|call| call.call.function.to_string()).collect();
                return Err(Diagnostic::new(
                    Code::InvalidGrouping,
                    format!("aggregate functions {} cannot be applied to a table", listed.join(", ")),
                )
                .with_detail("They cannot take a row back, so they are only for streams.")
                .with_hint("Aggregate the stream that the table is made from.")
                .at(first.written.span));
            }
        }
        if analyzer.source().value.format == FormatName::Delimited
            && let Some(call) = self.calls.iter().find(|call| call.function.keeps_structure)
            && compatibility::keeps_state_in_value_format(analyzer.ctx)
        {
            return Err(Diagnostic::new(
                Code::InvalidGrouping,
                format!("aggregate function {} keeps values that format DELIMITED cannot hold", call.call.function),
            )
            .with_hint("Remove the function, or change the value format of the source.")
            .at(call.written.span));
        }
        Ok(())
    }
}

/// The arguments of a call, and the constants behind them that set the aggregate up.
fn split<'a>(function: &Name, args: &'a [Expr]) -> Result<(Vec<&'a Expr>, Vec<Parameter>), Diagnostic> {
    let first = AggregateFunction::columns(function, args.len());
    let (args, constants) = args.split_at(first.min(args.len()));
    let parameter = |(index, arg): (usize, &Expr)| {
        let given = constant(arg).map(|constant| match constant {
            // 0 and 1 are percentiles too.
            Parameter::Integer(share @ (0 | 1)) if index == 0 && AggregateFunction::takes_percentile(function) => {
                Parameter::Fraction(Fraction(if share == 0 { 0.0 } else { 1.0 }))
            }
            other => other,
        });
        given.ok_or_else(|| {
            Diagnostic::new(
                Code::FunctionArguments,
                format!("parameter {} of function {function} must be a literal, not {arg}", index + first + 1),
            )
            .at(arg.span)
        })
    };
    let parameters = constants.iter().enumerate().map(parameter).collect::<Result<_, _>>()?;
    Ok((args.iter().filter(|arg| arg.kind != ExprKind::Star).collect(), parameters))
}

/// The value of a literal number or flag.
fn constant(arg: &Expr) -> Option<Parameter> {
    match &arg.kind {
        ExprKind::Literal(Literal::Boolean(flag)) => Some(Parameter::Boolean(*flag)),
        ExprKind::Literal(Literal::Integer(number)) => Some(Parameter::Integer(i64::from(*number))),
        ExprKind::Literal(Literal::BigInt(number)) => Some(Parameter::Integer(*number)),
        ExprKind::Literal(Literal::Decimal(text) | Literal::Double(text)) => {
            text.parse().ok().map(|number| Parameter::Fraction(Fraction(number)))
        }
        ExprKind::Unary { op, operand } => match (op, constant(operand)?) {
            (UnaryOp::Minus, Parameter::Integer(number)) => number.checked_neg().map(Parameter::Integer),
            (UnaryOp::Minus, Parameter::Fraction(number)) => Some(Parameter::Fraction(Fraction(-number.0))),
            (UnaryOp::Plus, number @ (Parameter::Integer(_) | Parameter::Fraction(_))) => Some(number),
            _ => None,
        },
        _ => None,
    }
}
