//! This dialect's scalar functions and casts as functions of DataFusion.
//!
//! A call is an expression of the dialect over columns of its own, typed and run by [`crate::expressions`]: overloads,
//! silent conversions and failing rows are the dialect's. Only integers may narrow besides, since standard SQL reads `1`
//! as a BIGINT. A row that fails is NULL and told to the [`Surroundings`].

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::diagnostics::{Diagnostic, Span};
use crate::expressions::{EdgeColumn, EdgeSchema, ErrorSink, EvaluationContext, Projection, type_of};
use crate::functions::{FunctionRegistry, Kind, ParamType};
use crate::sql::ast::{Expr, ExprKind, Literal};
use crate::sql::parse_expression;
use crate::types::{Name, SqlType};

use super::columns;

/// The name of the function that stands for CAST; its second argument is the type's text.
pub(super) const CAST: &str = "cast_as";

/// Takes what failed: the expression and the reason.
pub type Told = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// What the functions of one query share.
pub(super) struct Surroundings {
    pub(super) functions: FunctionRegistry,
    pub(super) context: EvaluationContext,
    pub(super) told: Told,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("context", &self.context).finish_non_exhaustive()
    }
}

/// A scalar function of the dialect, or its CAST, within one query.
#[derive(Debug)]
pub(super) struct DialectFunction {
    /// As DataFusion looks it up: lower case.
    name: String,
    /// `None` for CAST.
    function: Option<Name>,
    signature: Signature,
    surroundings: Arc<Surroundings>,
}

impl PartialEq for DialectFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.surroundings, &other.surroundings)
    }
}

impl Eq for DialectFunction {}

impl Hash for DialectFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// An argument as far as it is known before rows are.
enum Known<'a> {
    Value(SqlType),
    /// A text that the statement says.
    Text(&'a str),
    Null,
}

impl DialectFunction {
    /// The scalar function of this name, if the dialect has one; [`CAST`] is one.
    pub(super) fn find(name: &str, surroundings: &Arc<Surroundings>) -> Option<Self> {
        let (function, deterministic) = if name == CAST {
            (None, true)
        } else {
            let function =
                surroundings.functions.get(&Name::from(name)).filter(|found| found.kind() == Kind::Scalar)?;
            (Some(Name::new(function.name())), function.is_deterministic() && function.definition().is_none())
        };
        let volatility = if deterministic { Volatility::Immutable } else { Volatility::Volatile };
        let signature = Signature::user_defined(volatility);
        Some(Self { name: name.to_owned(), function, signature, surroundings: Arc::clone(surroundings) })
    }

    /// True if this parameter of the function can be a unit of time.
    fn takes_unit(&self, at: usize) -> bool {
        let function = self.function.as_ref().and_then(|name| self.surroundings.functions.get(name));
        function.is_some_and(|function| {
            let unit = |overload: &crate::functions::Overload| {
                overload.params().get(at).is_some_and(|param| param.ty == ParamType::Unit)
            };
            function.overloads().iter().any(unit)
        })
    }

    /// The call as an expression of the dialect over the columns `A0`, `A1`, ….
    fn expression(&self, args: &[Known<'_>]) -> Result<(Expr, EdgeSchema), Diagnostic> {
        let place = |kind| Expr::new(kind, Span::UNKNOWN);
        let mut columns = Vec::new();
        let mut parts: Vec<Expr> = Vec::with_capacity(args.len());
        for (at, arg) in args.iter().enumerate() {
            parts.push(match arg {
                Known::Null => place(ExprKind::Literal(Literal::Null)),
                Known::Text(text) if self.takes_unit(at) => place(ExprKind::IntervalUnit(text.to_ascii_uppercase())),
                Known::Text(text) => place(ExprKind::Literal(Literal::String((*text).to_owned()))),
                Known::Value(ty) => {
                    let name = column_name(at);
                    columns.push(EdgeColumn { name: name.clone(), ty: ty.clone() });
                    Expr::column(name)
                }
            });
        }
        let edge = EdgeSchema::new(columns);
        let expr = match &self.function {
            Some(function) => place(ExprKind::Call { function: function.clone(), args: parts }),
            None => {
                let [operand, target] = <[Expr; 2]>::try_from(parts)
                    .map_err(|_| Diagnostic::not_implemented("a cast to a computed type"))?;
                let ExprKind::Literal(Literal::String(target)) = target.kind else {
                    return Err(Diagnostic::not_implemented("a cast to a computed type"));
                };
                let mut cast = parse_expression(&format!("CAST(NULL AS {target})"))?;
                if let ExprKind::Cast { operand: inner, .. } = &mut cast.kind {
                    **inner = operand;
                }
                cast
            }
        };
        Ok((expr, edge))
    }

    fn result(&self, args: &[Known<'_>]) -> Result<SqlType, Diagnostic> {
        let (expr, edge) = self.expression(args)?;
        Ok(type_of(&expr, &edge, &self.surroundings.functions)?.unwrap_or(SqlType::String))
    }

    /// Types of the arguments as they come, or with BIGINT made INTEGER if the function takes them only so.
    fn fitting(&self, args: &[DataType]) -> Result<Vec<DataType>, Diagnostic> {
        let given = args.iter().map(|arg| match arg {
            DataType::Null => Ok(None),
            arg => columns::sql_type(arg).map(Some).ok_or_else(|| {
                Diagnostic::not_implemented(format!("a value of type {arg} in function {}", self.name.to_uppercase()))
            }),
        });
        let given = given.collect::<Result<Vec<_>, _>>()?;
        if self.function.is_none() {
            return Ok(arrow(&given));
        }
        let known = |types: &[Option<SqlType>]| -> Vec<Known<'static>> {
            let unit = |at, ty: &Option<SqlType>| match ty {
                Some(SqlType::String) if self.takes_unit(at) => Known::Text("DAYS"),
                Some(ty) => Known::Value(ty.clone()),
                None => Known::Null,
            };
            types.iter().enumerate().map(|(at, ty)| unit(at, ty)).collect()
        };
        let refusal = match self.result(&known(&given)) {
            Ok(_) => return Ok(arrow(&given)),
            Err(refusal) => refusal,
        };
        // One BIGINT after the other, from the last: what stands first is more often meant as it is.
        let mut narrowed = given;
        for at in (0..narrowed.len()).rev() {
            if narrowed[at] == Some(SqlType::BigInt) {
                narrowed[at] = Some(SqlType::Integer);
                if self.result(&known(&narrowed)).is_ok() {
                    return Ok(arrow(&narrowed));
                }
            }
        }
        Err(refusal)
    }
}

fn arrow(types: &[Option<SqlType>]) -> Vec<DataType> {
    types.iter().map(|ty| ty.as_ref().map_or(DataType::Null, SqlType::arrow)).collect()
}

fn column_name(at: usize) -> Name {
    Name::new(format!("A{at}"))
}

/// A refusal as an error that carries it.
pub(super) fn carried(refusal: Diagnostic) -> DataFusionError {
    DataFusionError::External(Box::new(refusal))
}

fn known<'a>(ty: &DataType, constant: Option<&'a ScalarValue>) -> Known<'a> {
    match constant.and_then(|value| value.try_as_str().flatten()) {
        Some(text) => Known::Text(text),
        None if *ty == DataType::Null => Known::Null,
        None => columns::sql_type(ty).map_or(Known::Null, Known::Value),
    }
}

impl ScalarUDFImpl for DialectFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the type of {} follows from its arguments", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let known: Vec<_> = args
            .arg_fields
            .iter()
            .zip(args.scalar_arguments)
            .map(|(field, value)| known(field.data_type(), *value))
            .collect();
        let ty = self.result(&known).map_err(carried)?;
        Ok(Arc::new(Field::new(&self.name, ty.arrow(), true)))
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        self.fitting(args).map_err(carried)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
        let is_constant = args.args.iter().all(constant) && self.signature.volatility == Volatility::Immutable;
        let rows = if is_constant { 1 } else { args.number_rows };
        let given: Vec<Known<'_>> = args
            .args
            .iter()
            .map(|value| match value {
                ColumnarValue::Scalar(scalar) => known(&scalar.data_type(), Some(scalar)),
                ColumnarValue::Array(array) => known(array.data_type(), None),
            })
            .collect();
        let functions = &self.surroundings.functions;
        let (expr, edge) = self.expression(&given).map_err(carried)?;
        let expr = functions
            .expand(&expr, edge.columns().iter().map(|column| column.name.clone()).collect())
            .map_err(carried)?;
        let label = self.function.as_ref().map_or("CAST", Name::as_str).to_owned();
        let program = Projection::compile(&[(label, expr)], &edge, functions).map_err(carried)?;
        let mut arrays = Vec::new();
        for (value, arg) in args.args.iter().zip(&given) {
            if let Known::Value(ty) = arg {
                arrays.push(columns::converted(&value.to_array(rows)?, ty)?);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(edge.arrow(), arrays, &options)?;
        let mut failed = ErrorSink::default();
        let mut results = program.evaluate(&batch, &self.surroundings.context, &mut failed);
        for failure in &failed.errors {
            (self.surroundings.told)(&failure.expression, &failure.message);
        }
        let Some(result) = results.pop() else { return internal_err!("{} gave nothing", self.name) };
        if is_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}
