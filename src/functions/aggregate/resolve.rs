//! Which overload of an aggregate a call means, what it gives, and whether it can be built.

use super::incremental::{AggregateFunction, IncrementalAggregate, Parameter};
use super::{build, extensions};
use crate::diagnostics::{Code, Diagnostic};
use crate::functions::registry::Argument;
use crate::functions::{FunctionRegistry, Kind, Returns};
use crate::types::{Name, SqlType};

impl AggregateFunction {
    /// Types a call.
    ///
    /// # Errors
    /// No overload takes these arguments, or a parameter is out of range.
    pub fn resolve(
        name: &Name,
        arguments: &[Option<SqlType>],
        parameters: &[Parameter],
        distinct: bool,
        functions: &FunctionRegistry,
    ) -> Result<Self, Diagnostic> {
        let typed = arguments.iter().map(|ty| ty.clone().map_or(Argument::Null, Argument::Typed));
        let given: Vec<Argument> = typed.chain(parameters.iter().map(|it| Argument::Typed(it.ty()))).collect();
        let resolved = functions.resolve(name, &given)?;
        if resolved.function.kind() != Kind::Aggregate {
            return Err(Diagnostic::new(
                Code::FunctionArguments,
                format!("function {name} is not an aggregate function"),
            ));
        }
        let name = Name::new(resolved.function.name());
        check_parameters(&name, parameters)?;
        if distinct && arguments.is_empty() {
            return Err(Diagnostic::new(Code::FunctionArguments, format!("{name}(DISTINCT ...) needs an argument")));
        }
        // A bare NULL has the type of its parameter; where any type would do, one.
        let of_null = |i: usize| resolved.params[i].ty.bound(&resolved.bindings).unwrap_or(SqlType::String);
        let arguments: Vec<SqlType> =
            arguments.iter().enumerate().map(|(i, ty)| ty.clone().unwrap_or_else(|| of_null(i))).collect();
        let result = match resolved.overload().result() {
            Returns::Type(ty) => ty.bound(&resolved.bindings).unwrap_or_else(|| nothing_bound(&arguments, parameters)),
            Returns::Rule(rule, _) | Returns::Common(rule, _) => {
                let all: Vec<SqlType> = arguments.iter().cloned().chain(parameters.iter().map(Parameter::ty)).collect();
                rule(&all).map_err(|why| {
                    Diagnostic::new(Code::FunctionArguments, format!("function {name} cannot take these arguments"))
                        .with_detail(why)
                })?
            }
        };
        let call = Self {
            retracts: !matches!(name.as_str(), "EARLIEST_BY_OFFSET" | "LATEST_BY_OFFSET"),
            retracts_in_ksqldb: retracts_in_ksqldb(name.as_str()) && !distinct,
            keeps_structure: distinct || keeps_structure(name.as_str()),
            is_extension: distinct || extensions::has(name.as_str()),
            name,
            arguments,
            parameters: parameters.to_vec(),
            distinct,
            result,
            limit: None,
        };
        match build::state(&call, false) {
            Some(_) => Ok(call),
            None if distinct => Err(Diagnostic::not_implemented(format!("{}(DISTINCT ...)", call.name))),
            None => Err(Diagnostic::not_implemented(format!("aggregate function {}", call.name))),
        }
    }

    /// Empty state for its groups; `retracting` if rows will be taken back, which costs some aggregates more memory.
    ///
    /// The bytes of [`IncrementalAggregate::save`] depend on `retracting`.
    ///
    /// # Panics
    /// If `retracting` is asked of a function that does not retract.
    pub fn state(&self, retracting: bool) -> Box<dyn IncrementalAggregate> {
        assert!(self.retracts || !retracting, "{} cannot take rows back", self.name);
        build::state(self, retracting).unwrap_or_else(|| unreachable!("{} was resolved", self.name))
    }
}

impl Parameter {
    fn ty(&self) -> SqlType {
        match self {
            Self::Boolean(_) => SqlType::Boolean,
            Self::Integer(n) if i32::try_from(*n).is_ok() => SqlType::Integer,
            Self::Integer(_) => SqlType::BigInt,
        }
    }
}

/// How many values to keep is at least one.
fn check_parameters(name: &Name, parameters: &[Parameter]) -> Result<(), Diagnostic> {
    let few = parameters.iter().find_map(|parameter| match parameter {
        Parameter::Integer(n) if *n < 1 => Some(*n),
        _ => None,
    });
    match few {
        Some(n) => Err(Diagnostic::new(
            Code::FunctionArguments,
            format!("function {name} cannot keep {n} values: at least 1 is needed"),
        )),
        None => Ok(()),
    }
}

/// The result where the value is a bare NULL of a generic parameter: like the type that stands for it.
fn nothing_bound(arguments: &[SqlType], parameters: &[Parameter]) -> SqlType {
    let value = arguments.first().cloned().unwrap_or(SqlType::String);
    match parameters {
        [Parameter::Integer(_), ..] => SqlType::Array(Box::new(value)),
        _ => value,
    }
}

/// True if ksqlDB can take a row back.
fn retracts_in_ksqldb(function: &str) -> bool {
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

/// True if what ksqlDB keeps between rows is a struct, list or map.
fn keeps_structure(function: &str) -> bool {
    !matches!(function, "COUNT" | "SUM" | "SUM_LIST" | "MIN" | "MAX")
}
