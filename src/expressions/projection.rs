//! Compiled expressions over batches: select lists and conditions.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch};

use super::analyze::{Analyzer, sql_text, type_text};
use super::evaluate::value::{Failure, Failures, Value};
use super::evaluate::{Evaluator, Frame, truths};
use super::program::{Op, Program};
use super::{EdgeSchema, ErrorSink, EvaluationContext, EvaluationError};
use crate::diagnostics::{Code, Diagnostic};
use crate::functions::FunctionRegistry;
use crate::sql::ast::Expr;
use crate::types::SqlType;

/// Expressions evaluated together, so that common sub-expressions are computed once.
#[derive(Debug)]
pub struct Projection {
    program: Program,
    labels: Vec<String>,
    /// The columns of the batch that the program reads.
    reads: Vec<usize>,
}

impl Projection {
    /// Compiles expressions; each label names its expression in the error sink.
    ///
    /// # Errors
    /// As [`super::type_of`].
    pub fn compile(
        expressions: &[(String, Expr)],
        input: &EdgeSchema,
        functions: &FunctionRegistry,
    ) -> Result<Self, Diagnostic> {
        let mut analyzer = Analyzer::new(input, functions);
        let roots = expressions.iter().map(|(_, expr)| analyzer.analyze(expr)).collect::<Result<_, _>>()?;
        let labels = expressions.iter().map(|(label, _)| label.clone()).collect();
        Ok(Self::of(analyzer.finish(roots), labels))
    }

    fn of(program: Program, labels: Vec<String>) -> Self {
        let reads = columns_read(&program);
        Self { program, labels, reads }
    }

    /// The types of the expressions; `None` is the untyped NULL.
    pub fn types(&self) -> impl Iterator<Item = Option<&SqlType>> {
        self.program.roots.iter().map(|root| self.program.nodes[root.0].ty.as_ref())
    }

    /// One array per expression, each as long as `rows`. An untyped NULL gives an array of null strings.
    pub fn evaluate(&self, rows: &RecordBatch, context: &EvaluationContext, errors: &mut ErrorSink) -> Vec<ArrayRef> {
        let mut evaluator = Evaluator::new(&self.program, frame(rows, &self.reads, context));
        self.program
            .roots
            .iter()
            .zip(&self.labels)
            .map(|(root, label)| {
                let outcome = evaluator.root(*root);
                report(&outcome.failures, label, errors);
                Arc::clone(outcome.value.array())
            })
            .collect()
    }
}

/// A condition: WHERE, HAVING.
#[derive(Debug)]
pub struct Predicate {
    condition: Projection,
}

impl Predicate {
    /// Compiles a condition; `label` names the clause in the error sink and in messages (`WHERE`).
    ///
    /// # Errors
    /// As [`super::type_of`]; the type must be BOOLEAN.
    pub fn compile(
        label: &str,
        expr: &Expr,
        input: &EdgeSchema,
        functions: &FunctionRegistry,
    ) -> Result<Self, Diagnostic> {
        let mut analyzer = Analyzer::new(input, functions);
        let root = analyzer.analyze(expr)?;
        if analyzer.type_of(root) != Some(&SqlType::Boolean) {
            let given = type_text(analyzer.type_of(root));
            return Err(Diagnostic::new(Code::TypeMismatch, format!("the {label} condition is {given}, not BOOLEAN"))
                .with_detail(format!(
                    "Type error in {label} expression: Should evaluate to boolean but is {} ({given}) instead.",
                    sql_text(expr)
                ))
                .at(expr.span));
        }
        Ok(Self { condition: Projection::of(analyzer.finish(vec![root]), vec![label.to_owned()]) })
    }

    /// True where the condition holds; false where it does not, is null or failed. Never null.
    pub fn evaluate(&self, rows: &RecordBatch, context: &EvaluationContext, errors: &mut ErrorSink) -> BooleanArray {
        let arrays = self.condition.evaluate(rows, context, errors);
        truths(&arrays[0])
    }
}

/// The columns of a batch that a program reads, as its frame.
fn frame<'a>(batch: &RecordBatch, reads: &[usize], context: &'a EvaluationContext) -> Frame<'a> {
    let mut columns = vec![None; batch.num_columns()];
    for i in reads {
        columns[*i] = Some(Value::column(Arc::clone(batch.column(*i))));
    }
    Frame { columns, rows: batch.num_rows(), context }
}

/// Every column that a program or its lambdas read.
fn columns_read(program: &Program) -> Vec<usize> {
    let mut reads: Vec<usize> = Vec::new();
    for node in &program.nodes {
        match &node.op {
            Op::Column(i) => reads.push(*i),
            Op::Call { lambdas, .. } => {
                reads.extend(lambdas.iter().flat_map(|lambda| lambda.captures.iter().copied()));
            }
            _ => {}
        }
    }
    reads.sort_unstable();
    reads.dedup();
    reads
}

/// Adds what failed to the sink: one entry for each row and reason, however often the failing part stands in the
/// expression.
fn report(failures: &Failures, label: &str, errors: &mut ErrorSink) {
    if failures.is_empty() {
        return;
    }
    let entry = |(row, message): &Failure| EvaluationError {
        row: *row,
        expression: label.to_owned(),
        message: message.clone().into_owned(),
    };
    // A row fails hard at most once.
    if failures.soft.is_empty() {
        errors.errors.extend(failures.hard.iter().map(entry));
        return;
    }
    let mut seen: HashSet<(usize, &str)> = HashSet::new();
    let all = failures.soft.iter().chain(&failures.hard);
    errors.errors.extend(all.filter(|(row, message)| seen.insert((*row, message))).map(entry));
}
