//! Errors of DataFusion as messages to the author of a query: with our codes, places, and names like those meant.

use datafusion::common::{DataFusionError, SchemaError, Span as PlanSpan};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::diagnostics::{Code, Diagnostic, Span};
use crate::functions::{FunctionRegistry, Kind};
use crate::sql::ast::StandardQuery;
use crate::types::Name;

use super::dialect::lower_first;
use super::wording::{self, Blame};

/// The setting that bounds the memory of ad-hoc queries.
pub(super) const MEMORY_SETTING: &str = "query.pull.memory.bytes";

/// The text that errors are about.
pub(super) struct Blamed<'a> {
    pub(super) query: &'a StandardQuery,
    pub(super) tokens: &'a [TokenWithSpan],
    pub(super) functions: &'a FunctionRegistry,
}

impl Blamed<'_> {
    /// Why a query cannot be planned.
    pub(super) fn refusal(&self, error: &DataFusionError) -> Diagnostic {
        let told = self.told(error);
        let told = match error.diagnostic().and_then(|diagnostic| diagnostic.span).and_then(|span| self.place(span)) {
            Some(place) => told.at(place),
            None => told,
        };
        told.at(self.query.span)
    }

    fn told(&self, error: &DataFusionError) -> Diagnostic {
        let root = root(error);
        if let Some(own) = own(root) {
            return own;
        }
        let DataFusionError::SchemaError(schema, _) = root else { return self.of_plan(root) };
        match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let qualified = field.relation.as_ref().map(|relation| format!("{}.", relation.table()));
                let name = field.name();
                let told = Diagnostic::new(
                    Code::UnknownColumn,
                    format!("column {}{} does not exist", qualified.unwrap_or_default(), Name::from(name)),
                )
                .with_near_miss(name, valid_fields.iter().map(|field| field.name()));
                self.at_word(told, name)
            }
            SchemaError::AmbiguousReference { field } => {
                let told = Diagnostic::new(
                    Code::AmbiguousColumn,
                    format!("column {} is in several sources", Name::from(field.name())),
                )
                .with_hint("Put the name or alias of its source and a dot in front.");
                self.at_word(told, field.name())
            }
            SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
                Diagnostic::new(Code::DuplicateName, format!("two columns have the name {}", Name::from(name.as_str())))
                    .with_hint("Give one of them another name with AS.")
            }
        }
    }

    fn of_plan(&self, error: &DataFusionError) -> Diagnostic {
        let message = error.message();
        let text = shown(&message);
        if let Some(name) = text.strip_prefix("Invalid function '").and_then(|rest| rest.split('\'').next()) {
            return self.unknown_function(name);
        }
        if let Some((told, blame)) = wording::planned(text) {
            return match blame {
                Blame::Word(word) => self.at_word(told, &word),
                Blame::Sign(sign) => self.at_sign(told, &sign),
                Blame::Nothing => told,
            };
        }
        let code = match error {
            DataFusionError::NotImplemented(_) => Code::NotImplemented,
            DataFusionError::ResourcesExhausted(_) => Code::LimitExceeded,
            _ if text.contains("GROUP BY") || text.contains("ggregate") => Code::InvalidGrouping,
            _ if text.contains("oerc") || text.contains("type") => Code::TypeMismatch,
            _ => Code::Unsupported,
        };
        Diagnostic::new(code, lower_first(text))
    }

    fn unknown_function(&self, name: &str) -> Diagnostic {
        let upper = name.to_uppercase();
        let told = match self.functions.kind(&Name::new(upper.as_str())) {
            Some(Kind::Aggregate) => {
                Diagnostic::not_implemented(format!("aggregate function {upper} in a query without EMIT"))
                    .with_hint("Create a table with it, and query the table.")
            }
            Some(Kind::Table) => Diagnostic::not_implemented(format!("table function {upper} in a query without EMIT"))
                .with_hint("UNNEST gives a row for each element of an array."),
            Some(Kind::Scalar) | None => {
                let names = self.functions.iter().filter(|found| found.kind() == Kind::Scalar);
                Diagnostic::new(Code::UnknownFunction, format!("function {} does not exist", Name::new(upper.as_str())))
                    .with_near_miss(&upper, names.map(crate::functions::Function::name))
            }
        };
        self.at_word(told, name)
    }

    /// The message at the first place where the query has this name.
    pub(super) fn at_word(&self, told: Diagnostic, name: &str) -> Diagnostic {
        let is_it = |token: &&TokenWithSpan| {
            matches!(&token.token, Token::Word(word) if word.value == name
                || (word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name)))
        };
        let found = self.tokens.iter().find(is_it);
        let place = found.and_then(|token| {
            let (start, end) = (token.span.start, token.span.end);
            self.query.place((start.line, start.column), (end.line, end.column))
        });
        place.map_or(told.clone(), |place| told.at(place))
    }

    /// The message at this sign, if the query has it once.
    fn at_sign(&self, told: Diagnostic, sign: &str) -> Diagnostic {
        let mut found = self.tokens.iter().filter(|token| token.token.to_string() == sign);
        let place = match (found.next(), found.next()) {
            (Some(only), None) => {
                let (start, end) = (only.span.start, only.span.end);
                self.query.place((start.line, start.column), (end.line, end.column))
            }
            _ => None,
        };
        place.map_or(told.clone(), |place| told.at(place))
    }

    fn place(&self, span: PlanSpan) -> Option<Span> {
        self.query.place((span.start.line, span.start.column), (span.end.line, span.end.column))
    }
}

/// Why a query that runs cannot go on.
pub(super) fn failure(error: &DataFusionError) -> Diagnostic {
    let root = root(error);
    if let Some(own) = own(root) {
        return own;
    }
    let message = root.message();
    let text = shown(&message);
    match root {
        DataFusionError::ResourcesExhausted(_) => Diagnostic::new(
            Code::LimitExceeded,
            format!("the query needs more memory than is set aside for such queries ({MEMORY_SETTING})"),
        )
        .with_detail(sentence(text))
        .with_hint("Filter earlier, group by fewer values, or raise the limit."),
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => {
            wording::running(text).unwrap_or_else(|| Diagnostic::new(Code::InvalidValue, lower_first(text)))
        }
        DataFusionError::NotImplemented(_) => Diagnostic::new(Code::NotImplemented, lower_first(text)),
        _ => Diagnostic::new(Code::Internal, lower_first(text)),
    }
}

/// The innermost error: the first of several, without contexts.
fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(error, root),
        DataFusionError::Shared(inner) => root(inner),
        other => other,
    }
}

/// The message of ours that an error carries.
fn own(error: &DataFusionError) -> Option<Diagnostic> {
    match error {
        DataFusionError::External(inner) => inner.downcast_ref::<Diagnostic>().cloned(),
        _ => None,
    }
}

/// A message without what is for DataFusion's developers.
fn shown(message: &str) -> &str {
    let message = message.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or(message);
    message.split("\nThis issue was likely caused by a bug").next().unwrap_or(message).trim()
}

fn sentence(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}
