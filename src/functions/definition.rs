//! What a function is: its documentation, its overloads, and the kernel behind each.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;

use super::call::Call;
use super::examples::{Example, Notes};
use super::macros::Macro;
use super::signature::{Param, ParamType};
use crate::types::SqlType;

/// Kinds of functions; a name is of one kind only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value per row.
    Scalar,
    /// A value per group.
    Aggregate,
    /// Rows per row.
    Table,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "SCALAR",
            Self::Aggregate => "AGGREGATE",
            Self::Table => "TABLE",
        })
    }
}

/// What computes an overload: one value per row of the call. Kernels never fail; rows do, through the call.
pub(crate) type Kernel = Arc<dyn Fn(&mut Call<'_>) -> ArrayRef + Send + Sync>;

/// The type of an overload's result from those of its arguments; the error is a sentence.
pub(crate) type TypeRule = fn(&[SqlType]) -> Result<SqlType, String>;

/// What an overload gives.
#[derive(Clone)]
pub(crate) enum Returns {
    /// A type in which generics may stand.
    Type(ParamType),
    /// A type computed from the arguments', with how it is shown.
    Rule(TypeRule, &'static str),
    /// As a rule; the arguments are then converted to the result's type.
    Common(TypeRule, &'static str),
}

/// One way to call a function.
#[derive(Clone)]
pub struct Overload {
    params: Vec<Param>,
    returns: Returns,
    /// `None` for aggregates, which have state instead, and for calls that stand for an expression.
    kernel: Option<Kernel>,
}

impl Overload {
    /// The parameters; at most one is variadic.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The type of the result, for people.
    pub fn returns(&self) -> String {
        match &self.returns {
            Returns::Type(ty) => ty.to_string(),
            Returns::Rule(_, shown) | Returns::Common(_, shown) => (*shown).to_owned(),
        }
    }

    /// Position of the variadic parameter.
    pub(crate) fn variadic(&self) -> Option<usize> {
        self.params.iter().position(|param| param.variadic)
    }

    /// The parameter that each of `n` arguments goes to, if so many can be given.
    pub(crate) fn assign(&self, n: usize) -> Option<Vec<&Param>> {
        let Some(variadic) = self.variadic() else {
            return (n == self.params.len()).then(|| self.params.iter().collect());
        };
        let fixed = self.params.len() - 1;
        let many = n.checked_sub(fixed)?;
        let (before, after) = (&self.params[..variadic], &self.params[variadic + 1..]);
        Some(before.iter().chain(std::iter::repeat_n(&self.params[variadic], many)).chain(after).collect())
    }

    pub(crate) fn result(&self) -> &Returns {
        &self.returns
    }

    pub(crate) fn kernel(&self) -> Option<&Kernel> {
        self.kernel.as_ref()
    }
}

impl fmt::Debug for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} -> {}", self.params, self.returns())
    }
}

/// A function of the dialect.
#[derive(Debug, Clone)]
pub struct Function {
    name: Cow<'static, str>,
    kind: Kind,
    category: &'static str,
    description: Cow<'static, str>,
    notes: &'static str,
    examples: &'static [Example],
    deterministic: bool,
    stops_at_value: bool,
    overloads: Vec<Overload>,
    /// What a call stands for, of a function that a statement defined.
    definition: Option<Arc<Macro>>,
}

impl Function {
    fn new(kind: Kind, name: &'static str, category: &'static str, description: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            kind,
            category,
            description: Cow::Borrowed(description),
            notes: "",
            examples: &[],
            deterministic: true,
            stops_at_value: false,
            overloads: Vec::new(),
            definition: None,
        }
    }

    /// A function that a statement defined.
    pub(crate) fn defined(definition: Macro) -> Self {
        let overload = Overload {
            params: definition.parameters(),
            returns: Returns::Type(ParamType::Simple(definition.returns.clone())),
            kernel: None,
        };
        Self {
            name: Cow::Owned(definition.name.as_str().to_owned()),
            kind: Kind::Scalar,
            category: "MACRO",
            description: Cow::Owned(format!("Stands for: {}", definition.definition)),
            notes: "",
            examples: &[],
            deterministic: definition.deterministic,
            stops_at_value: false,
            overloads: vec![overload],
            definition: Some(Arc::new(definition)),
        }
    }

    pub(crate) fn scalar(name: &'static str, category: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Scalar, name, category, description)
    }

    pub(crate) fn aggregate(name: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Aggregate, name, "AGGREGATE", description)
    }

    /// A table function: its kernel gives an array of the rows per row.
    pub(crate) fn table(name: &'static str, description: &'static str) -> Self {
        Self::new(Kind::Table, name, "TABLE", description)
    }

    /// Adds an overload: parameters and result as signatures write them.
    pub(crate) fn overload(
        self,
        params: &str,
        returns: &str,
        kernel: impl Fn(&mut Call<'_>) -> ArrayRef + Send + Sync + 'static,
    ) -> Self {
        self.add(params, Returns::Type(ParamType::parse(returns)), Some(Arc::new(kernel)))
    }

    /// Adds an overload whose result type is computed.
    pub(crate) fn with_rule(
        self,
        params: &str,
        (rule, shown): (TypeRule, &'static str),
        kernel: impl Fn(&mut Call<'_>) -> ArrayRef + Send + Sync + 'static,
    ) -> Self {
        self.add(params, Returns::Rule(rule, shown), Some(Arc::new(kernel)))
    }

    /// Adds an overload whose arguments are converted to the result's computed type.
    pub(crate) fn with_common(
        self,
        params: &str,
        (rule, shown): (TypeRule, &'static str),
        kernel: impl Fn(&mut Call<'_>) -> ArrayRef + Send + Sync + 'static,
    ) -> Self {
        self.add(params, Returns::Common(rule, shown), Some(Arc::new(kernel)))
    }

    /// Adds an overload of an aggregate, which has state instead of a kernel.
    pub(crate) fn stateful(self, params: &str, returns: &str) -> Self {
        self.add(params, Returns::Type(ParamType::parse(returns)), None)
    }

    /// Adds an overload of an aggregate whose result type is computed from those of arguments and parameters.
    pub(crate) fn stateful_with_rule(self, params: &str, (rule, shown): (TypeRule, &'static str)) -> Self {
        self.add(params, Returns::Rule(rule, shown), None)
    }

    fn add(mut self, params: &str, returns: Returns, kernel: Option<Kernel>) -> Self {
        self.overloads.push(Overload { params: Param::parse_list(params), returns, kernel });
        self
    }

    /// Adds how it takes nulls, what it fails on, and examples.
    pub(super) fn noted(mut self, notes: Notes) -> Self {
        self.notes = notes.notes;
        self.examples = notes.examples;
        self
    }

    /// Says that two calls with the same arguments may differ.
    pub(crate) fn varying(mut self) -> Self {
        self.deterministic = false;
        self
    }

    /// Says that arguments behind the first that is not null are not asked: what fails in them is not reported.
    pub(crate) fn stopping_at_value(mut self) -> Self {
        self.stops_at_value = true;
        self
    }

    /// Name, upper case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The group it is listed in: `STRING`, `MATHEMATICAL`, ….
    pub fn category(&self) -> &'static str {
        self.category
    }

    /// What it does, in sentences.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What a call stands for, if a statement defined the function.
    pub fn definition(&self) -> Option<&Macro> {
        self.definition.as_deref()
    }

    /// How it takes nulls, what it fails on and its limits, in sentences; may be empty.
    pub fn notes(&self) -> &'static str {
        self.notes
    }

    /// Calls and their results.
    pub fn examples(&self) -> &'static [Example] {
        self.examples
    }

    /// The ways to call it.
    pub fn overloads(&self) -> &[Overload] {
        &self.overloads
    }

    /// True if the result depends on the arguments alone.
    pub fn is_deterministic(&self) -> bool {
        self.deterministic
    }

    pub(crate) fn stops_at_value(&self) -> bool {
        self.stops_at_value
    }

    /// An overload as users read it: `SUBSTRING(STRING str, INTEGER pos)`.
    pub fn signature(&self, overload: &Overload) -> String {
        let params: Vec<String> = overload
            .params
            .iter()
            .map(|param| {
                let dots = if param.variadic { "..." } else { "" };
                format!("{}{dots} {}", param.ty, param.name)
            })
            .collect();
        format!("{}({})", self.name, params.join(", "))
    }
}
