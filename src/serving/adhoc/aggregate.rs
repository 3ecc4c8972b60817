//! This dialect's aggregates that standard SQL lacks (TOPK, LATEST_BY_OFFSET, HISTOGRAM, …) as aggregates of DataFusion.
//!
//! A call keeps the state that a persistent query keeps for one group ([`IncrementalAggregate`]). What parts of a plan hand
//! to each other is that state, saved; parts are put together in the order in which they come, the earlier rows first.
//! "Latest" and "earliest" mean the order in which rows are read: streams by offset, tables by key.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BinaryArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;
use parking_lot::Mutex;

use crate::diagnostics::{Code, Diagnostic};
use crate::functions::Kind;
use crate::functions::aggregate::{AggregateFunction, AggregateRows, IncrementalAggregate, Parameter};
use crate::types::{Name, SqlType};

use super::columns;
use super::function::{Surroundings, carried};

/// The group that holds the state.
const STATE: u32 = 0;

/// The group that takes what is put together with it.
const OTHER: u32 = 1;

/// An aggregate of the dialect within one query.
#[derive(Debug)]
pub(super) struct DialectAggregate {
    /// As DataFusion looks it up: lower case.
    name: String,
    function: Name,
    signature: Signature,
    surroundings: Arc<Surroundings>,
}

impl PartialEq for DialectAggregate {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.surroundings, &other.surroundings)
    }
}

impl Eq for DialectAggregate {}

impl Hash for DialectAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl DialectAggregate {
    /// The aggregate of this name, if the dialect has one.
    pub(super) fn find(name: &str, surroundings: &Arc<Surroundings>) -> Option<Self> {
        let found = surroundings.functions.get(&Name::new(name.to_uppercase()))?;
        (found.kind() == Kind::Aggregate).then(|| Self {
            name: name.to_owned(),
            function: Name::new(found.name()),
            signature: Signature::user_defined(Volatility::Immutable),
            surroundings: Arc::clone(surroundings),
        })
    }

    /// How many of so many arguments are values; those behind them set the aggregate up.
    fn values(&self, arguments: usize) -> usize {
        match self.function.as_str() {
            "EARLIEST_BY_OFFSET" | "LATEST_BY_OFFSET" => arguments.min(1),
            "TOPK" | "TOPKDISTINCT" => arguments.saturating_sub(1).max(1).min(arguments),
            _ => arguments,
        }
    }

    fn resolve(&self, types: &[DataType], parameters: &[Parameter], distinct: bool) -> Result<AggregateFunction> {
        let typed = types.iter().map(|ty| match ty {
            DataType::Null => Ok(None),
            ty => columns::sql_type(ty).map(Some).ok_or_else(|| {
                carried(Diagnostic::not_implemented(format!("a value of type {ty} in function {}", self.function)))
            }),
        });
        let typed = typed.collect::<Result<Vec<_>>>()?;
        AggregateFunction::resolve(&self.function, &typed, parameters, distinct, &self.surroundings.functions)
            .map_err(carried)
    }

    /// The call as far as the types of its arguments tell: its result does not depend on what the parameters are.
    fn by_types(&self, types: &[DataType], distinct: bool) -> Result<AggregateFunction> {
        let (values, parameters) = types.split_at(self.values(types.len()));
        let parameters = parameters.iter().map(|ty| match ty {
            DataType::Boolean => Ok(Parameter::Boolean(true)),
            DataType::Int64 | DataType::Int32 => Ok(Parameter::Integer(1)),
            _ => Err(self.no_literal()),
        });
        self.resolve(values, &parameters.collect::<Result<Vec<_>>>()?, distinct)
    }

    fn no_literal(&self) -> datafusion::common::DataFusionError {
        let told = format!("the last parameters of function {} must be literals", self.function);
        carried(Diagnostic::new(Code::FunctionArguments, told))
    }
}

impl AggregateUDFImpl for DialectAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(self.by_types(types, false)?.result.arrow())
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let function = self.by_types(types, false)?;
        let parameters = types.iter().skip(function.arguments.len()).cloned();
        Ok(function.arguments.iter().map(SqlType::arrow).chain(parameters).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let values = self.values(args.exprs.len());
        let types: Vec<_> = args.expr_fields.iter().take(values).map(|field| field.data_type().clone()).collect();
        let parameter = |expr: &Arc<dyn datafusion::physical_expr::PhysicalExpr>| {
            let literal = expr.downcast_ref::<Literal>().ok_or_else(|| self.no_literal())?;
            match literal.value() {
                ScalarValue::Boolean(Some(flag)) => Ok(Parameter::Boolean(*flag)),
                ScalarValue::Int64(Some(number)) => Ok(Parameter::Integer(*number)),
                ScalarValue::Int32(Some(number)) => Ok(Parameter::Integer(i64::from(*number))),
                _ => Err(self.no_literal()),
            }
        };
        let parameters = args.exprs.iter().skip(values).map(parameter).collect::<Result<Vec<_>>>()?;
        let function = self.resolve(&types, &parameters, args.is_distinct)?;
        let mut state = function.state(false);
        state.resize(2);
        Ok(Box::new(Accumulated { function, state: Mutex::new(state) }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[state]", args.name), DataType::Binary, true))])
    }
}

/// The state of one group.
#[derive(Debug)]
struct Accumulated {
    function: AggregateFunction,
    /// Only ever looked at by one thread: the lock makes it one that threads may share, as DataFusion asks.
    state: Mutex<Box<dyn IncrementalAggregate>>,
}

impl Accumulated {
    fn refused(&self, message: &str) -> datafusion::common::DataFusionError {
        let told = format!("function {} cannot go on: {message}", self.function.name);
        carried(Diagnostic::new(Code::InvalidValue, told))
    }
}

impl Accumulator for Accumulated {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |array| array.len());
        let arguments = values.iter().zip(&self.function.arguments);
        let arguments = arguments.map(|(array, ty)| columns::converted(array, ty)).collect::<Result<Vec<_>, _>>()?;
        let groups = vec![STATE; rows];
        let rows = AggregateRows { groups: &groups, arguments: &arguments, retracted: None, counted: None };
        self.state.get_mut().update(&rows).map_err(|error| self.refused(&error.message))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.state.get_mut().output(&[STATE]), 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.state.lock().size_bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut saved = Vec::new();
        self.state.get_mut().save(STATE, &mut saved);
        Ok(vec![ScalarValue::Binary(Some(saved))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(saved) = states.first().and_then(|states| states.as_any().downcast_ref::<BinaryArray>()) else {
            return internal_err!("the state of {} is not as it was saved", self.function.name);
        };
        for mut saved in saved.iter().flatten() {
            let state = self.state.get_mut();
            let loaded = state.load(OTHER, &mut saved);
            loaded.map_err(|error| self.refused(&error.to_string()))?;
            // What is merged into a group counts as earlier than its rows.
            let state = self.state.get_mut();
            let merged = state.merge(OTHER, STATE).and_then(|()| state.merge(STATE, OTHER));
            merged.map_err(|error| self.refused(&error.message))?;
        }
        Ok(())
    }
}
