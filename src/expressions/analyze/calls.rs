//! Typing of function calls and of the lambdas among their arguments.

use std::sync::{Arc, OnceLock};

use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::program::{Lambda, Program};
use crate::functions::{Argument, Callable, Kind, ParamType, Resolved, Returns};
use crate::sql::ast::{Expr, ExprKind};
use crate::types::{Name, SqlType};

use super::{Analyzer, NodeId, Op, ProgramBuilder, Scope, Value, sql_text};

/// In a program that is only typed: a value that comes from nowhere.
const NO_COLUMN: usize = usize::MAX;

impl Analyzer<'_> {
    /// The refusal of DISTINCT or FILTER, and of aggregates where there is no group.
    pub(super) fn misplaced_aggregate(&self, function: &Name) -> Diagnostic {
        if self.functions.kind(function).is_some_and(|kind| kind != Kind::Aggregate) {
            return Diagnostic::new(
                Code::InvalidGrouping,
                format!("DISTINCT and FILTER are for aggregate functions, and {function} is none"),
            );
        }
        Diagnostic::new(Code::InvalidGrouping, format!("aggregate function {function} cannot stand here"))
            .with_hint("Aggregates stand in the SELECT list or HAVING of a query with GROUP BY.")
    }

    /// A call of a function; that of a table function gives the array of its rows.
    pub(super) fn call(&mut self, function: &Name, args: &[Expr]) -> Result<NodeId, Diagnostic> {
        if self.functions.kind(function) == Some(Kind::Aggregate) {
            return Err(self.misplaced_aggregate(function));
        }
        // Arguments first, lambdas apart: their parameters' types come from the others.
        let mut nodes: Vec<Option<NodeId>> = Vec::with_capacity(args.len());
        let mut given = Vec::with_capacity(args.len());
        for arg in args {
            let (node, argument) = match &arg.kind {
                ExprKind::Lambda { params, .. } => (None, Argument::Lambda(params.len())),
                ExprKind::IntervalUnit(_) => (None, Argument::Unit),
                _ => {
                    let node = self.analyze(arg)?;
                    (Some(node), self.type_of(node).cloned().map_or(Argument::Null, Argument::Typed))
                }
            };
            nodes.push(node);
            given.push(argument);
        }
        let functions = self.functions;
        let mut resolved = functions.resolve(function, &given)?;
        let mut lambdas = Vec::new();
        let mut values = Vec::with_capacity(args.len());
        let mut arg_types = Vec::with_capacity(args.len());
        for (i, arg) in args.iter().enumerate() {
            let wanted = resolved.params[i].ty.clone();
            let (node, ty) = match (&arg.kind, nodes[i]) {
                (ExprKind::Lambda { params, body }, _) => {
                    let (lambda, ty) = self.lambda(params, body, &wanted, &mut resolved)?;
                    lambdas.push(Arc::new(lambda));
                    (self.null_of(&ty), ty)
                }
                (ExprKind::IntervalUnit(unit), _) => (self.text(unit), SqlType::String),
                (_, Some(node)) => self.argument(node, &wanted, &resolved),
                (_, None) => (self.null_of(&SqlType::String), SqlType::String),
            };
            values.push(node);
            arg_types.push(ty);
        }
        let returns = self.result_of(&resolved, &mut values, &mut arg_types)?;
        if let Some(definition) = resolved.function.definition() {
            definition.check_chance(args, functions)?;
            return self.typed_only(returns);
        }
        let overload = resolved.overload();
        let kernel = overload.kernel().ok_or_else(|| Diagnostic::not_implemented(format!("function {function}")))?;
        let callable = Callable {
            name: resolved.function.name().to_owned(),
            overload: resolved.index,
            kernel: Arc::clone(kernel),
            deterministic: resolved.function.is_deterministic(),
            stops_at_value: resolved.function.stops_at_value(),
            salt: self.program.len(),
            arg_types,
            returns: returns.clone(),
            fails_on_null: resolved.params.iter().map(|param| param.fails_on_null).collect(),
            prepared: OnceLock::new(),
        };
        let units = args.iter().map(|arg| matches!(arg.kind, ExprKind::Call { .. } | ExprKind::Field { .. })).collect();
        Ok(self.program.node(Op::Call { function: Arc::new(callable), units, lambdas }, values, Some(returns)))
    }

    /// An argument converted to what its parameter takes.
    fn argument(&mut self, node: NodeId, wanted: &ParamType, resolved: &Resolved<'_>) -> (NodeId, SqlType) {
        let target = match self.type_of(node) {
            // A NULL takes the type of its parameter, or any type where that is open.
            None => match wanted {
                ParamType::Decimal => SqlType::Decimal { precision: 1, scale: 0 },
                wanted => wanted.bound(&resolved.bindings).unwrap_or_else(|| open_type(wanted)),
            },
            Some(given) => {
                let exact = wanted.accepts(given, &mut resolved.bindings.clone());
                if exact { given.clone() } else { wanted.widened(given).unwrap_or_else(|| given.clone()) }
            }
        };
        (self.convert(node, &target), target)
    }

    fn result_of(
        &mut self,
        resolved: &Resolved<'_>,
        values: &mut [NodeId],
        arg_types: &mut [SqlType],
    ) -> Result<SqlType, Diagnostic> {
        let refused = |message: String| {
            Diagnostic::new(
                Code::FunctionArguments,
                format!("function {} does not take these arguments", resolved.function.name()),
            )
            .with_detail(message)
        };
        let typed = |values: &[NodeId], analyzer: &Self, arg_types: &[SqlType]| -> Vec<SqlType> {
            values
                .iter()
                .zip(arg_types)
                .filter(|(node, _)| !analyzer.is_null_constant(**node))
                .map(|(_, ty)| ty.clone())
                .collect()
        };
        match resolved.overload().result() {
            Returns::Type(ty) => Ok(ty.bound(&resolved.bindings).unwrap_or_else(|| open_type(ty))),
            Returns::Rule(rule, _) => rule(arg_types).map_err(refused),
            Returns::Common(rule, _) => {
                let known = typed(values, self, arg_types);
                let ty = rule(if known.is_empty() { arg_types } else { &known }).map_err(refused)?;
                super::coercion::check_precision(&ty)?;
                for (value, arg_type) in values.iter_mut().zip(arg_types) {
                    *value = self.convert(*value, &ty);
                    *arg_type = ty.clone();
                }
                Ok(ty)
            }
        }
    }

    /// Stands for a call that planning expands before anything runs: all that is known of it here is its type.
    fn typed_only(&mut self, returns: SqlType) -> Result<NodeId, Diagnostic> {
        if !self.only_types {
            return Err(Diagnostic::new(Code::Internal, "a call of a defined function was not expanded"));
        }
        Ok(self.program.node(Op::Column(NO_COLUMN), Vec::new(), Some(returns)))
    }

    fn is_null_constant(&self, node: NodeId) -> bool {
        matches!(&self.program.get(node).op, Op::Constant(value) if value.has_nulls())
    }

    fn null_of(&mut self, ty: &SqlType) -> NodeId {
        self.program.node(Op::Constant(Value::null(Some(ty))), Vec::new(), Some(ty.clone()))
    }

    fn text(&mut self, text: &str) -> NodeId {
        let array = Arc::new(datafusion::arrow::array::StringArray::from(vec![text]));
        self.program.node(Op::Constant(Value::constant(array)), Vec::new(), Some(SqlType::String))
    }

    /// Types the body of a lambda over the names around it and its parameters; binds its result.
    fn lambda(
        &mut self,
        params: &[Name],
        body: &Expr,
        wanted: &ParamType,
        resolved: &mut Resolved<'_>,
    ) -> Result<(Lambda, SqlType), Diagnostic> {
        let ParamType::Lambda(inputs, output) = wanted else {
            return Err(Diagnostic::new(Code::FunctionArguments, "a lambda stands where a value is needed"));
        };
        let mut scope: Scope = self.scope.clone();
        for (param, input) in params.iter().zip(inputs) {
            if let Some(at) = scope.iter().position(|(name, _)| name == param) {
                let kind = if at < self.columns { "can't be a column name" } else { "is used by an outer lambda" };
                return Err(Diagnostic::new(Code::DuplicateName, format!("lambda parameter {param} is taken"))
                    .with_detail(format!("Lambda function argument {kind}: {}", param.as_str())));
            }
            scope.push((param.clone(), input.bound(&resolved.bindings)));
        }
        let outer = self.scope.len();
        let mut inner = Analyzer { scope, program: ProgramBuilder::default(), ..*self };
        let root = inner.analyze(body)?;
        let Some(ty) = inner.type_of(root).cloned() else {
            return Err(Diagnostic::new(Code::TypeMismatch, "the body of the lambda has no type").at(body.span));
        };
        if !output.accepts(&ty, &mut resolved.bindings) {
            let expected = output.bound(&resolved.bindings).map_or_else(|| output.to_string(), |ty| ty.to_string());
            return Err(Diagnostic::new(
                Code::FunctionArguments,
                format!("the lambda {} gives {ty} where {expected} is needed", sql_text(body)),
            )
            .at(body.span));
        }
        let program = inner.finish(vec![root]);
        let captures = captures(&program, outer);
        // A capture of this lambda that is a parameter of an outer one is read from that one's frame.
        Ok((Lambda { program, outer, captures }, ty))
    }
}

/// The columns before `outer` that a program or its lambdas read.
fn captures(program: &Program, outer: usize) -> Vec<usize> {
    let mut read: Vec<usize> = Vec::new();
    for node in &program.nodes {
        match &node.op {
            Op::Column(i) => read.push(*i),
            Op::Call { lambdas, .. } => read.extend(lambdas.iter().flat_map(|lambda| lambda.captures.iter().copied())),
            _ => {}
        }
    }
    read.retain(|i| *i < outer);
    read.sort_unstable();
    read.dedup();
    read
}

/// Some type for a place that no argument gave one: only NULLs can stand there.
fn open_type(wanted: &ParamType) -> SqlType {
    match wanted {
        ParamType::Simple(ty) => ty.clone(),
        ParamType::Decimal => SqlType::Decimal { precision: 1, scale: 0 },
        ParamType::Array(element) => SqlType::Array(Box::new(open_type(element))),
        ParamType::Map(key, value) => SqlType::Map(Box::new(open_type(key)), Box::new(open_type(value))),
        ParamType::Generic(_) | ParamType::Any | ParamType::Unit | ParamType::Lambda(..) => SqlType::String,
    }
}
