//! Runs a program over a batch: each node once, whole arrays at a time.
//!
//! Reading order: [`value`] (values and failures), this file (dispatch), then a file per family of nodes.

mod access;
mod arithmetic;
pub(crate) mod call;
pub(crate) mod comparison;
pub(crate) mod construct;
pub(crate) mod decimal;
pub(crate) mod equality;
mod logic;
pub(crate) mod pattern;
pub(crate) mod value;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::compute::kernels::boolean::{is_not_null, is_null};

use self::value::{Failures, Outcome, Value};
use super::EvaluationContext;
use super::cast::{cast, time_text};
use super::program::{Node, NodeId, Op, Program};
use crate::types::SqlType;

/// The rows that a program runs over.
pub(crate) struct Frame<'a> {
    /// Columns, then parameters of lambdas; `None` where nothing reads it.
    pub(crate) columns: Vec<Option<Value>>,
    pub(crate) rows: usize,
    pub(crate) context: &'a EvaluationContext,
}

/// One run of a program over a frame.
pub(crate) struct Evaluator<'a> {
    program: &'a Program,
    frame: Frame<'a>,
    /// What nodes gave; shared nodes run once.
    done: Vec<Option<Outcome>>,
}

/// Arguments as values with all their failures, and how many rows the result has: one if all are constant.
pub(crate) struct Arguments {
    pub(crate) values: Vec<Value>,
    pub(crate) failures: Failures,
    pub(crate) rows: usize,
    pub(crate) constant: bool,
}

impl Arguments {
    /// The outcome of an operation that gave `array` for these arguments, and failed on rows of its own.
    pub(crate) fn outcome(self, array: ArrayRef, own: Vec<value::Failure>) -> Outcome {
        let mut failures = self.failures;
        failures.add_all(self.rows, own);
        let value = if self.constant { Value::constant(array) } else { Value::column(array) };
        Outcome { value, failures }
    }
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(program: &'a Program, frame: Frame<'a>) -> Self {
        Self { program, frame, done: vec![None; program.nodes.len()] }
    }

    /// What a root gives, ended as a unit, with one value per row.
    pub(crate) fn root(&mut self, root: NodeId) -> Outcome {
        let rows = self.frame.rows;
        self.run(root).end_unit().into_rows(rows)
    }

    /// What a root gives with its failures still on their way up, with one value per row.
    pub(crate) fn open_root(&mut self, root: NodeId) -> Outcome {
        let rows = self.frame.rows;
        self.run(root).into_rows(rows)
    }

    fn run(&mut self, id: NodeId) -> Outcome {
        if let Some(done) = &self.done[id.0] {
            return done.clone();
        }
        let outcome = self.compute(&self.program.nodes[id.0]);
        self.done[id.0] = Some(outcome.clone());
        outcome
    }

    fn compute(&mut self, node: &'a Node) -> Outcome {
        match &node.op {
            Op::Constant(value) => Outcome::clean(value.clone()),
            Op::Column(i) => {
                let column = self.frame.columns[*i].clone();
                Outcome::clean(column.expect("the frame holds every column that its program reads"))
            }
            Op::Cast { ends_unit } => self.cast(node, *ends_unit),
            Op::ReadTime => self.read_time(node),
            Op::Arithmetic(op) => arithmetic::binary(*op, self.arguments(&node.args), node.ty.as_ref()),
            Op::Negate => arithmetic::negate(self.arguments(&node.args)),
            Op::JoinText => arithmetic::join_text(self.arguments(&node.args)),
            Op::Compare(op) => {
                let types = (self.type_of(node.args[0]), self.type_of(node.args[1]));
                comparison::compare(*op, self.arguments(&node.args), types)
            }
            Op::Distinct { negated } => {
                let types = (self.type_of(node.args[0]), self.type_of(node.args[1]));
                comparison::distinct(*negated, self.arguments(&node.args), types)
            }
            Op::And => self.short_circuit(node, false),
            Op::Or => self.short_circuit(node, true),
            Op::Not => logic::not(self.arguments(&node.args)),
            Op::IsNull { negated } => {
                let args = self.arguments(&node.args);
                let array = args.values[0].array();
                let truths = if *negated { is_not_null(array) } else { is_null(array) };
                args.outcome(Arc::new(truths.expect("any array knows its nulls")), Vec::new())
            }
            Op::In => comparison::is_in(self.arguments(&node.args)),
            Op::Like { escape, pattern } => pattern::like(self.arguments(&node.args), *escape, pattern.as_deref()),
            Op::Case => self.case(node),
            Op::Array => construct::array(self.units(&node.args), self.result_type(node)),
            Op::Map => construct::map(self.units(&node.args), self.result_type(node)),
            Op::Struct => construct::structure(self.units(&node.args), self.result_type(node), self.frame.rows),
            Op::Field(i) => access::field(self.arguments(&node.args), *i),
            Op::Element => access::element(self.arguments(&node.args)),
            Op::Lookup => access::lookup(self.arguments(&node.args)),
            Op::Call { function, units, lambdas } => self.call(node, function, units, lambdas),
        }
    }

    /// The type of a node where typing has made sure that it has one.
    fn result_type(&self, node: &'a Node) -> &'a SqlType {
        node.ty.as_ref().expect("only NULL literals have no type")
    }

    fn type_of(&self, id: NodeId) -> &'a SqlType {
        self.result_type(&self.program.nodes[id.0])
    }

    /// Runs arguments that belong to the same unit as their operation.
    fn arguments(&mut self, args: &[NodeId]) -> Arguments {
        let outcomes: Vec<Outcome> = args.iter().map(|arg| self.run(*arg)).collect();
        self.collect(outcomes)
    }

    /// Runs arguments that are units of their own.
    fn units(&mut self, args: &[NodeId]) -> Arguments {
        let outcomes: Vec<Outcome> = args.iter().map(|arg| self.run(*arg).end_unit()).collect();
        self.collect(outcomes)
    }

    fn collect(&self, outcomes: Vec<Outcome>) -> Arguments {
        let constant = outcomes.iter().all(|outcome| outcome.value.is_constant());
        let rows = if constant { 1 } else { self.frame.rows };
        let mut values = Vec::with_capacity(outcomes.len());
        let mut failures = Failures::default();
        for outcome in outcomes {
            if !outcome.failures.is_empty() {
                let spread = outcome.value.is_constant() && !constant;
                let own = if spread { outcome.failures.spread(rows) } else { outcome.failures };
                failures.merge(rows, own);
            }
            values.push(outcome.value);
        }
        Arguments { values, failures, rows, constant }
    }

    fn cast(&mut self, node: &'a Node, ends_unit: bool) -> Outcome {
        let from = self.type_of(node.args[0]);
        let args = self.arguments(&node.args);
        let mut own = Vec::new();
        let array = cast(args.values[0].array(), from, self.result_type(node), &mut own);
        // Several parts of a container may fail in one row.
        let outcome = args.outcome(array, value::first_of_each_row(own));
        if ends_unit { outcome.end_unit() } else { outcome }
    }

    fn read_time(&mut self, node: &'a Node) -> Outcome {
        let args = self.arguments(&node.args);
        let mut own = Vec::new();
        let array = cast(args.values[0].array(), &SqlType::String, self.result_type(node), &mut own);
        args.outcome(array, own)
    }
}

/// The condition's truth per row: false where NULL.
pub(crate) fn truths(array: &ArrayRef) -> BooleanArray {
    let values = array.as_boolean();
    match values.nulls() {
        Some(nulls) if nulls.null_count() > 0 => BooleanArray::new(values.values() & nulls.inner(), None),
        _ => values.clone(),
    }
}

/// Milliseconds since 1970 of a timestamp as comparisons read it, with parts left out: for conditions on pseudo
/// columns, which are BIGINT.
pub fn read_timestamp(text: &str) -> Option<i64> {
    time_text::read_timestamp(text)
}
