//! SHOW FUNCTIONS and DESCRIBE FUNCTION.

use crate::diagnostics::{Code, Diagnostic};
use crate::engine::entity::{ArgumentInfo, Body, FunctionInfo, FunctionSignature};
use crate::engine::scope::{Outcome, Scope};
use crate::sql::ast::Ident;

/// SHOW FUNCTIONS
pub(super) fn show_functions(scope: &Scope<'_>) -> Outcome {
    let mut functions: Vec<FunctionInfo> = scope
        .functions()
        .iter()
        .map(|function| FunctionInfo {
            name: function.name().to_owned(),
            kind: function.kind().to_string(),
            category: function.category().to_owned(),
        })
        .collect();
    functions.sort_by(|left, right| left.name.cmp(&right.name));
    Outcome::Answer(Body::FunctionNames { functions })
}

/// DESCRIBE FUNCTION name
pub(super) fn describe_function(scope: &Scope<'_>, name: &Ident) -> Result<Outcome, Diagnostic> {
    let known = scope.functions();
    let function = known.get(&name.name).ok_or_else(|| {
        Diagnostic::new(Code::UnknownFunction, format!("function {} does not exist", name.name))
            .with_detail(format!("Can't find any functions with the name '{}'.", name.name.as_str()))
            .with_near_miss(name.name.as_str(), known.iter().map(|function| function.name()))
            .at(name.span)
    })?;
    let functions = function
        .overloads()
        .iter()
        .map(|overload| FunctionSignature {
            arguments: overload
                .params()
                .iter()
                .map(|param| ArgumentInfo {
                    name: param.name.clone(),
                    ty: param.ty.to_string(),
                    description: String::new(),
                    is_variadic: param.variadic,
                })
                .collect(),
            return_type: overload.returns(),
            description: String::new(),
        })
        .collect();
    let mut description = function.description().to_owned();
    if !function.notes().is_empty() {
        description = format!("{description} {}", function.notes());
    }
    for (call, result) in function.examples() {
        description.push_str(&format!("\nExample: {call} gives {result}"));
    }
    let is_builtin = function.definition().is_none();
    Ok(Outcome::Answer(Body::DescribeFunction {
        name: function.name().to_owned(),
        description,
        author: if is_builtin { "Thalweg".to_owned() } else { String::new() },
        version: if is_builtin { env!("CARGO_PKG_VERSION").to_owned() } else { String::new() },
        path: if is_builtin { "internal".to_owned() } else { String::new() },
        functions,
        r#type: function.kind().to_string(),
    }))
}
