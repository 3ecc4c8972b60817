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
            retracts: !keeps_by_arrival(name.as_str()),
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

    /// How many of so many arguments are columns; those behind are constants that set the aggregate up.
    pub fn columns(function: &Name, arguments: usize) -> usize {
        let columns = match function.as_str() {
            "EARLIEST_BY_OFFSET" | "LATEST_BY_OFFSET" | "NTH_VALUE" => Some(1),
            // Columns to keep with each value stand before k.
            "TOPK" | "TOPKDISTINCT" => Some(arguments.saturating_sub(1).max(1)),
            other => extensions::percentile_columns(other),
        };
        columns.unwrap_or(arguments).min(arguments)
    }

    /// True if the first constant is a percentile.
    pub fn takes_percentile(function: &Name) -> bool {
        extensions::percentile_columns(function.as_str()).is_some()
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
            Self::Fraction(_) => SqlType::Double,
        }
    }
}

/// How many values to keep is at least one, and a percentile is a share.
fn check_parameters(name: &Name, parameters: &[Parameter]) -> Result<(), Diagnostic> {
    for parameter in parameters {
        let wrong = match parameter {
            Parameter::Integer(n) if *n < 1 => {
                format!("function {name} cannot keep {n} values: at least 1 is needed")
            }
            Parameter::Fraction(p) if !(0.0..=1.0).contains(&p.0) => {
                format!("function {name} takes a percentile from 0 to 1, not {p}")
            }
            _ => continue,
        };
        return Err(Diagnostic::new(Code::FunctionArguments, wrong));
    }
    Ok(())
}

/// The result where the value is a bare NULL of a generic parameter: like the type that stands for it.
fn nothing_bound(arguments: &[SqlType], parameters: &[Parameter]) -> SqlType {
    let value = arguments.first().cloned().unwrap_or(SqlType::String);
    match parameters {
        [Parameter::Integer(_), ..] => SqlType::Array(Box::new(value)),
        _ => value,
    }
}

/// True if what is kept depends on when a value came: a row cannot be taken back from that.
fn keeps_by_arrival(function: &str) -> bool {
    matches!(
        function,
        "EARLIEST_BY_OFFSET" | "LATEST_BY_OFFSET" | "ANY_VALUE" | "FIRST_VALUE" | "LAST_VALUE" | "NTH_VALUE"
    )
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
