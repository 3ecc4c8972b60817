//! Types expressions by ksql's rules and writes them down as a [`Program`](super::program::Program).
//!
//! Every conversion that ksql applies silently becomes a node, so that evaluation has nothing left to decide.
//! What ksql refuses while planning is refused here, with the wording that ksql's users know in the detail.
//!
//! Reading order: this file (dispatch, columns, literals, casts), then [`coercion`] (lists and constructors),
//! [`operators`], [`comparisons`], [`calls`].

mod calls;
pub(crate) mod coercion;
mod comparisons;
mod constructors;
mod operators;

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray};

use crate::diagnostics::{Code, Diagnostic};
use crate::functions::FunctionRegistry;
use crate::sql::ast::{ColumnRef, Expr, ExprKind, Literal, TypeName};
use crate::types::{Name, SqlType};

use super::EdgeSchema;
use super::cast;
use super::cast::decimal_text;
use super::evaluate::value::Value;
use super::program::{NodeId, Op, Program, ProgramBuilder};

/// Columns and lambda parameters by name, in the order of the frame.
pub(crate) type Scope = Vec<(Name, Option<SqlType>)>;

/// Types expressions into one program.
pub(crate) struct Analyzer<'a> {
    functions: &'a FunctionRegistry,
    scope: Scope,
    /// How many of the scope's names are columns; the others are lambda parameters.
    columns: usize,
    /// True if the program will not run: calls of defined functions are then typed as they stand.
    only_types: bool,
    program: ProgramBuilder,
}

impl<'a> Analyzer<'a> {
    /// An analyzer of expressions over an edge.
    pub(crate) fn new(input: &EdgeSchema, functions: &'a FunctionRegistry) -> Self {
        let scope: Scope =
            input.columns().iter().map(|column| (column.name.clone(), Some(column.ty.clone()))).collect();
        let columns = scope.len();
        Self { functions, scope, columns, only_types: false, program: ProgramBuilder::default() }
    }

    /// An analyzer whose program will not run.
    pub(crate) fn of_types(input: &EdgeSchema, functions: &'a FunctionRegistry) -> Self {
        Self { only_types: true, ..Self::new(input, functions) }
    }

    /// The finished program.
    pub(crate) fn finish(self, roots: Vec<NodeId>) -> Program {
        self.program.finish(roots)
    }

    /// The type that a node gives.
    pub(crate) fn type_of(&self, node: NodeId) -> Option<&SqlType> {
        self.program.get(node).ty.as_ref()
    }

    /// Types an expression.
    pub(crate) fn analyze(&mut self, expr: &Expr) -> Result<NodeId, Diagnostic> {
        self.analyze_kind(expr).map_err(|diagnostic| diagnostic.at(expr.span))
    }

    fn analyze_kind(&mut self, expr: &Expr) -> Result<NodeId, Diagnostic> {
        match &expr.kind {
            ExprKind::Literal(literal) => self.literal(literal),
            ExprKind::Column(column) => self.column(column),
            ExprKind::Star => {
                Err(Diagnostic::new(Code::SyntaxError, "`*` stands only in COUNT(*) and as a select item"))
            }
            ExprKind::Unary { op, operand } => self.unary(*op, operand),
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right),
            ExprKind::IsNull { operand, negated } => {
                let operand = self.analyze(operand)?;
                Ok(self.program.node(Op::IsNull { negated: *negated }, vec![operand], Some(SqlType::Boolean)))
            }
            ExprKind::Between { operand, low, high, negated } => self.between(operand, low, high, *negated),
            ExprKind::InList { operand, list, negated } => self.in_list(operand, list, *negated),
            ExprKind::Like { operand, pattern, escape, negated } => self.like(operand, pattern, *escape, *negated),
            ExprKind::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref())
            }
            ExprKind::Cast { operand, ty } => self.cast(operand, ty),
            ExprKind::Call { function, args } => self.call(function, args),
            ExprKind::Aggregate { function, .. } => Err(self.misplaced_aggregate(function)),
            ExprKind::Lambda { .. } => {
                Err(Diagnostic::new(Code::Unsupported, "a lambda stands only as an argument of a function"))
            }
            ExprKind::Array(elements) => self.array(elements),
            ExprKind::Map(entries) => self.map(entries),
            ExprKind::Struct(fields) => self.structure(fields),
            ExprKind::Field { base, field } => self.field(base, field),
            ExprKind::Subscript { base, index } => self.subscript(base, index),
            ExprKind::IntervalUnit(unit) => Err(Diagnostic::new(
                Code::SyntaxError,
                format!("the unit {unit} stands only as an argument of a function"),
            )),
        }
    }

    fn literal(&mut self, literal: &Literal) -> Result<NodeId, Diagnostic> {
        let (value, ty): (ArrayRef, _) = match literal {
            Literal::Null => return Ok(self.program.node(Op::Constant(Value::null(None)), Vec::new(), None)),
            Literal::Boolean(value) => (Arc::new(BooleanArray::from(vec![*value])), SqlType::Boolean),
            Literal::Integer(value) => (Arc::new(Int32Array::from(vec![*value])), SqlType::Integer),
            Literal::BigInt(value) => (Arc::new(Int64Array::from(vec![*value])), SqlType::BigInt),
            Literal::Decimal(text) => decimal_text::literal(text)?,
            Literal::Double(text) => {
                let value: f64 = text
                    .parse()
                    .map_err(|_| Diagnostic::new(Code::InvalidLiteral, format!("`{text}` is not a number")))?;
                (Arc::new(Float64Array::from(vec![value])), SqlType::Double)
            }
            Literal::String(text) => (Arc::new(StringArray::from(vec![text.as_str()])), SqlType::String),
        };
        Ok(self.program.node(Op::Constant(Value::constant(value)), Vec::new(), Some(ty)))
    }

    fn column(&mut self, column: &ColumnRef) -> Result<NodeId, Diagnostic> {
        let found = match &column.qualifier {
            // A lambda's parameter may hide nothing, but inner scopes come later and are looked at first.
            None => self.scope.iter().rposition(|(name, _)| *name == column.name),
            Some(_) => None,
        };
        let Some(i) = found else {
            let shown = match &column.qualifier {
                Some(qualifier) => format!("{qualifier}.{}", column.name),
                None => column.name.to_string(),
            };
            return Err(Diagnostic::new(Code::UnknownColumn, format!("column `{shown}` does not exist"))
                .with_near_miss(column.name.as_str(), self.scope.iter().map(|(name, _)| name.as_str())));
        };
        let ty = self.scope[i].1.clone();
        Ok(self.program.node(Op::Column(i), Vec::new(), ty))
    }

    fn cast(&mut self, operand: &Expr, ty: &TypeName) -> Result<NodeId, Diagnostic> {
        let target = ty.resolve(&|_| None)?;
        let node = self.analyze(operand)?;
        let Some(source) = self.type_of(node) else {
            return Ok(self.program.node(Op::Constant(Value::null(Some(&target))), Vec::new(), Some(target)));
        };
        if *source == target {
            return Ok(node);
        }
        cast::check(source, &target)?;
        Ok(self.program.node(Op::Cast { ends_unit: true }, vec![node], Some(target)))
    }

    /// The node converted silently to `target`; a NULL without a type becomes one of the target's.
    pub(super) fn convert(&mut self, node: NodeId, target: &SqlType) -> NodeId {
        match self.type_of(node) {
            None => self.program.node(Op::Constant(Value::null(Some(target))), Vec::new(), Some(target.clone())),
            Some(source) if source == target => node,
            Some(source) => {
                // A constant is converted here and now, unless that fails: failures belong to rows.
                if let Op::Constant(value) = &self.program.get(node).op {
                    let mut failures = Vec::new();
                    let converted = cast::cast(value.array(), source, target, &mut failures);
                    if failures.is_empty() {
                        let constant = Op::Constant(Value::constant(converted));
                        return self.program.node(constant, Vec::new(), Some(target.clone()));
                    }
                }
                self.program.node(Op::Cast { ends_unit: false }, vec![node], Some(target.clone()))
            }
        }
    }
}

/// The expression as SQL writes it.
pub(crate) fn sql_text(expr: &Expr) -> String {
    let mut text = String::new();
    if write!(text, "{expr}").is_err() {
        text.push_str("expression");
    }
    text
}

/// A type in a message; the untyped NULL is `null`.
pub(crate) fn type_text(ty: Option<&SqlType>) -> String {
    ty.map_or_else(|| "null".to_owned(), ToString::to_string)
}
