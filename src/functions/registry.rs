//! All functions by name, and which overload a call means.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::definition::{Function, Kind, Overload};
use super::signature::{Bindings, Param, ParamType};
use crate::diagnostics::{Code, Diagnostic};
use crate::types::{Name, SqlType};

/// Every function by name, with its overloads.
#[derive(Debug, Clone, Default)]
pub struct FunctionRegistry {
    builtin: Arc<BTreeMap<String, Function>>,
    defined: Arc<BTreeMap<Name, Function>>,
}

/// What an argument is, as far as resolution looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Argument {
    /// The untyped NULL.
    Null,
    /// A value.
    Typed(SqlType),
    /// A lambda of so many parameters.
    Lambda(usize),
    /// A unit of time.
    Unit,
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Typed(ty) => write!(f, "{ty}"),
            Self::Lambda(n) => write!(f, "LAMBDA of {n}"),
            Self::Unit => f.write_str("INTERVALUNIT"),
        }
    }
}

/// The overload that a call means.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) function: &'a Function,
    /// Position among the function's overloads.
    pub(crate) index: usize,
    /// The parameter of each argument.
    pub(crate) params: Vec<&'a Param>,
    /// Generics bound by the arguments that are no lambdas.
    pub(crate) bindings: Bindings,
}

impl Resolved<'_> {
    pub(crate) fn overload(&self) -> &Overload {
        &self.function.overloads()[self.index]
    }
}

impl FunctionRegistry {
    /// All built-in functions.
    pub fn builtin() -> Self {
        let mut functions = BTreeMap::new();
        for function in
            super::scalar::functions().into_iter().chain(super::table::functions()).chain(super::aggregate::functions())
        {
            let name = function.name().to_owned();
            let function = match super::examples::of(&name) {
                Some(notes) => function.noted(notes),
                None => function,
            };
            let known = functions.insert(name.clone(), function);
            assert!(known.is_none(), "function {name} is defined twice");
        }
        Self { builtin: Arc::new(functions), defined: Arc::default() }
    }

    /// The built-in functions and those that statements defined. Costs a few pointer copies.
    #[must_use]
    pub fn with_defined(&self, defined: &Arc<BTreeMap<Name, Function>>) -> Self {
        Self { builtin: Arc::clone(&self.builtin), defined: Arc::clone(defined) }
    }

    /// The function of a name, upper case or not.
    pub fn get(&self, name: &Name) -> Option<&Function> {
        let upper = || Name::new(name.as_str().to_uppercase());
        let builtin = |name: &Name| self.builtin.get(name.as_str());
        let defined = |name: &Name| self.defined.get(name);
        builtin(name).or_else(|| defined(name)).or_else(|| builtin(&upper())).or_else(|| defined(&upper()))
    }

    /// The kind of the function of a name.
    pub fn kind(&self, name: &Name) -> Option<Kind> {
        self.get(name).map(Function::kind)
    }

    /// All functions: the built-in ones by name, then the others by name.
    pub fn iter(&self) -> impl Iterator<Item = &Function> {
        self.builtin.values().chain(self.defined.values())
    }

    /// There is no function of this name; perhaps one like it.
    pub(crate) fn unknown(&self, name: &Name) -> Diagnostic {
        if name.as_str() == "PREVIOUS" {
            return Diagnostic::new(Code::FunctionArguments, "PREVIOUS takes a call of an aggregate function")
                .with_hint("Write PREVIOUS(COUNT(*)) or the like in SELECT or HAVING of a query with GROUP BY.");
        }
        Diagnostic::new(Code::UnknownFunction, format!("function {name} does not exist"))
            .with_detail(format!("Can't find any functions with the name '{}'", name.as_str()))
            .with_near_miss(name.as_str(), self.iter().map(Function::name))
    }

    /// The overload that a call means: exact types first, then with silent conversions.
    ///
    /// # Errors
    /// No such function, no overload takes the arguments, or several do equally well.
    pub(crate) fn resolve(&self, name: &Name, args: &[Argument]) -> Result<Resolved<'_>, Diagnostic> {
        let function = self.get(name).ok_or_else(|| self.unknown(name))?;
        for widening in [false, true] {
            if widening && function.kind() == Kind::Aggregate {
                break;
            }
            let mut candidates: Vec<Resolved<'_>> = (0..function.overloads().len())
                .filter_map(|index| candidate(function, index, args, widening))
                .collect();
            candidates.sort_by_key(|resolved| rank(resolved.overload()));
            let tied = candidates.len() > 1 && rank(candidates[0].overload()) == rank(candidates[1].overload());
            if tied {
                return Err(ambiguous(function, args));
            }
            if let Some(best) = candidates.into_iter().next() {
                return Ok(best);
            }
        }
        Err(not_accepted(function, args))
    }
}

/// The overload with its parameters assigned, if it takes the arguments.
fn candidate<'a>(function: &'a Function, index: usize, args: &[Argument], widening: bool) -> Option<Resolved<'a>> {
    let params = function.overloads()[index].assign(args.len())?;
    let mut bindings = Bindings::new();
    for (param, arg) in params.iter().zip(args) {
        let accepted = match (arg, &param.ty) {
            (Argument::Null, ParamType::Lambda(..) | ParamType::Unit) => false,
            (Argument::Null, _) => true,
            (Argument::Typed(ty), wanted) => {
                wanted.accepts(ty, &mut bindings) || (widening && wanted.widened(ty).is_some())
            }
            (Argument::Lambda(n), ParamType::Lambda(inputs, _)) => inputs.len() == *n,
            (Argument::Unit, ParamType::Unit) => true,
            _ => false,
        };
        if !accepted {
            return None;
        }
    }
    Some(Resolved { function, index, params, bindings })
}

/// Smaller is better: not variadic, more parameters, fewer generics, a later variadic one.
fn rank(overload: &Overload) -> (bool, std::cmp::Reverse<usize>, usize, std::cmp::Reverse<usize>) {
    let generics = overload.params().iter().filter(|param| param.ty.has_generic()).count();
    (
        overload.variadic().is_some(),
        std::cmp::Reverse(overload.params().len()),
        generics,
        std::cmp::Reverse(overload.variadic().unwrap_or(0)),
    )
}

fn shown(args: &[Argument]) -> String {
    args.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn ambiguous(function: &Function, args: &[Argument]) -> Diagnostic {
    let name = function.name();
    Diagnostic::new(Code::FunctionArguments, format!("several overloads of function {name} take ({})", shown(args)))
        .with_detail(format!(
            "Function '{}' cannot be resolved due to ambiguous method parameters ({}).",
            name.to_lowercase(),
            shown(args)
        ))
        .with_hint("CAST the arguments to the types of one overload.")
}

fn not_accepted(function: &Function, args: &[Argument]) -> Diagnostic {
    let name = function.name();
    let alternatives: Vec<String> = function.overloads().iter().map(|overload| function.signature(overload)).collect();
    Diagnostic::new(Code::FunctionArguments, format!("no overload of function {name} takes ({})", shown(args)))
        .with_detail(format!(
            "Function '{}' does not accept parameters ({}).\nValid alternatives are:\n{}\nFor detailed information on a \
             function run: DESCRIBE FUNCTION <Function-Name>;",
            name.to_lowercase(),
            shown(args),
            alternatives.join("\n")
        ))
}
