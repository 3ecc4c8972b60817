//! SHOW FUNCTIONS and DESCRIBE FUNCTION.

use crate::diagnostics::{Code, Diagnostic};
use crate::engine::entity::{ArgumentInfo, Body, FunctionInfo, FunctionSignature};
use crate::engine::scope::{Outcome, Scope};
use crate::sql::ast::Ident;

/// SHOW FUNCTIONS
pub(super) fn show_functions(scope: &Scope<'_>) -> Outcome {
    let functions = scope
        .engine
        .functions
        .iter()
        .map(|function| FunctionInfo {
            name: function.name().to_owned(),
            kind: function.kind().to_string(),
            category: function.category().to_owned(),
        })
        .collect();
    Outcome::Answer(Body::FunctionNames { functions })
}

/// DESCRIBE FUNCTION name
pub(super) fn describe_function(scope: &Scope<'_>, name: &Ident) -> Result<Outcome, Diagnostic> {
    let known = &scope.engine.functions;
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
    let description = match function.example_call() {
        Some(example) => format!("{} Example: {example}", function.description()),
        None => function.description().to_owned(),
    };
    Ok(Outcome::Answer(Body::DescribeFunction {
        name: function.name().to_owned(),
        description,
        author: "Thalweg".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        path: "internal".to_owned(),
        functions,
        r#type: function.kind().to_string(),
    }))
}
