//! Pull queries compiled: key ranges, condition and columns, to be run on any snapshot of their table.
//!
//! The ranges are where the rows of the answer can be; the condition is evaluated on every row found there. So a bound that
//! cannot be turned into bytes costs time, never rows.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{Float64Type, SchemaRef};
use datafusion::arrow::error::ArrowError;

use super::snapshot::{Chosen, KeyRange, Scan, Snapshot, successor};
use super::table_shape::TableShape;
use crate::diagnostics::Diagnostic;
use crate::expressions::{
    EdgeColumn, EdgeSchema, ErrorSink, EvaluationContext, Predicate, Projection, evaluate_constant,
};
use crate::functions::FunctionRegistry;
use crate::planner::{KeyLookup, PullPlan};
use crate::sql::ast::rewrite::columns_of;
use crate::sql::ast::{BinaryOp, Expr};
use crate::types::{RowCodec, SqlType};

/// A pull query, ready to run.
#[derive(Debug)]
pub struct PullProgram {
    /// In order and apart from each other.
    ranges: Vec<KeyRange>,
    /// The columns of the table that are read.
    wanted: Arc<Chosen>,
    predicate: Option<Predicate>,
    projection: Projection,
    /// The columns of the answer.
    schema: SchemaRef,
    limit: Option<u64>,
}

impl PullProgram {
    /// Compiles a plan.
    ///
    /// # Errors
    /// What the expressions are refused for.
    pub fn compile(plan: &PullPlan, shape: &TableShape, functions: &FunctionRegistry) -> Result<Self, Diagnostic> {
        let taken = || shape.edge().columns().iter().map(|column| column.name.clone()).collect();
        let expand = |expr: &Expr| functions.expand(expr, taken());
        let filter = plan.filter.as_ref().map(expand).transpose()?;
        let expressions = plan.expressions.iter().map(expand).collect::<Result<Vec<_>, _>>()?;
        let mut read = BTreeSet::new();
        for expr in filter.iter().chain(&expressions) {
            read.extend(columns_of(expr).iter().filter_map(|name| shape.edge().index_of(name)));
        }
        if read.is_empty() {
            // The number of rows is wanted even if none of their columns is.
            read.insert(0);
        }
        let wanted: Vec<usize> = read.into_iter().collect();
        let edge = EdgeSchema::new(wanted.iter().map(|at| shape.edge().columns()[*at].clone()).collect());
        let predicate =
            filter.as_ref().map(|filter| Predicate::compile("WHERE", filter, &edge, functions)).transpose()?;
        let labelled: Vec<(String, Expr)> = plan
            .columns
            .iter()
            .zip(expressions)
            .map(|(column, expr)| (column.name.as_str().to_owned(), expr))
            .collect();
        let projection = Projection::compile(&labelled, &edge, functions)?;
        let answer = plan.columns.iter().map(|column| EdgeColumn { name: column.name.clone(), ty: column.ty.clone() });
        Ok(Self {
            ranges: match &plan.lookups {
                None => vec![KeyRange::ALL],
                Some(lookups) => apart(lookups.iter().filter_map(|lookup| range(lookup, shape, functions)).collect()),
            },
            wanted: Arc::new(Chosen::new(shape, &wanted)),
            predicate,
            projection,
            schema: EdgeSchema::new(answer.collect()).arrow(),
            limit: plan.limit,
        })
    }

    /// The answer's rows on a snapshot, at most `batch_rows` read at once.
    pub fn run(self: &Arc<Self>, snapshot: Snapshot, context: EvaluationContext, batch_rows: usize) -> PullRows {
        self.rows_at(snapshot, self.ranges.clone(), true, context, batch_rows)
    }

    /// The rows that the program would answer with if its condition was that the key is in these ranges, which are in
    /// order and apart ([`super::PointLookup::ranges`]).
    pub fn run_at(
        self: &Arc<Self>,
        snapshot: Snapshot,
        ranges: Vec<KeyRange>,
        context: EvaluationContext,
        batch_rows: usize,
    ) -> PullRows {
        self.rows_at(snapshot, ranges, false, context, batch_rows)
    }

    fn rows_at(
        self: &Arc<Self>,
        snapshot: Snapshot,
        ranges: Vec<KeyRange>,
        filters: bool,
        context: EvaluationContext,
        batch_rows: usize,
    ) -> PullRows {
        let left = self.limit;
        let program = Arc::clone(self);
        PullRows { program, snapshot, filters, context, batch_rows, ranges: ranges.into_iter(), scan: None, left }
    }
}

/// The rows of an answer, batch by batch; none is empty.
#[derive(Debug)]
pub struct PullRows {
    // fixed
    program: Arc<PullProgram>,
    snapshot: Snapshot,
    /// The condition is to be evaluated: not all rows of the ranges are meant.
    filters: bool,
    context: EvaluationContext,
    batch_rows: usize,
    // changing
    ranges: std::vec::IntoIter<KeyRange>,
    scan: Option<Scan>,
    /// Rows that LIMIT still allows.
    left: Option<u64>,
}

impl PullRows {
    fn answer(&mut self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let program = &self.program;
        // A row whose evaluation fails has NULL there, as everywhere; nobody reads a processing log of pull queries.
        let mut errors = ErrorSink::default();
        let kept = match &program.predicate {
            Some(predicate) if self.filters => {
                filter_record_batch(rows, &predicate.evaluate(rows, &self.context, &mut errors))?
            }
            _ => rows.clone(),
        };
        let kept = match self.left.map(|left| usize::try_from(left).unwrap_or(usize::MAX)) {
            Some(left) if left < kept.num_rows() => kept.slice(0, left),
            _ => kept,
        };
        let columns = program.projection.evaluate(&kept, &self.context, &mut errors);
        let options = RecordBatchOptions::new().with_row_count(Some(kept.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&program.schema), columns, &options)
    }
}

impl Iterator for PullRows {
    type Item = Result<RecordBatch, ArrowError>;

    /// The next rows; of a long scan that finds none an empty batch, so that its reader can stop it.
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == Some(0) {
            return None;
        }
        let found = loop {
            let Some(scan) = &mut self.scan else {
                self.scan = Some(self.snapshot.scan_chosen(
                    self.ranges.next()?,
                    Arc::clone(&self.program.wanted),
                    self.batch_rows,
                ));
                continue;
            };
            match scan.next() {
                Some(found) => break found,
                None => self.scan = None,
            }
        };
        let answer = found.and_then(|rows| self.answer(&rows));
        if let (Ok(rows), Some(left)) = (&answer, &mut self.left) {
            *left = left.saturating_sub(rows.num_rows() as u64);
        }
        Some(answer)
    }
}

/// Where the keys within these bounds are; `None` if there can be none.
fn range(lookup: &KeyLookup, shape: &TableShape, functions: &FunctionRegistry) -> Option<KeyRange> {
    let mut prefix = Vec::with_capacity(32);
    for (at, ty) in shape.key_codec.types().iter().enumerate() {
        let codec = RowCodec::new([ty.clone()]);
        let bytes = |value: &ArrayRef| codec.encode(&[Arc::clone(value)], 1).data;
        let bounds = || {
            lookup.iter().filter(|bound| bound.column == at).filter_map(|bound| {
                let context = EvaluationContext::default();
                evaluate_constant(&bound.value, Some(ty), functions, &context).ok().map(|(value, _)| (bound.op, value))
            })
        };
        if bounds().any(|(_, value)| value.is_null(0)) {
            return None;
        }
        let is_zero = |value: &ArrayRef| *ty == SqlType::Double && value.as_primitive::<Float64Type>().value(0) == 0.0;
        let equal = bounds().find(|(op, value)| *op == BinaryOp::Equal && has_one_form(ty) && !is_zero(value));
        if let Some((_, value)) = equal {
            prefix.extend(bytes(&value));
            continue;
        }
        let (mut from, mut to) = (Bound::Included(prefix.clone()), successor(&prefix));
        for (op, value) in bounds().filter(|(_, value)| is_ordered_alike(ty, value)) {
            let with = |value: &ArrayRef| [prefix.as_slice(), &bytes(value)].concat();
            // Both zeros are within a bound that is one of them.
            let zero = |zero: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![zero])) };
            let (low, high) =
                if is_zero(&value) { (with(&zero(-0.0)), with(&zero(0.0))) } else { (with(&value), with(&value)) };
            if matches!(op, BinaryOp::Equal | BinaryOp::Greater | BinaryOp::GreaterOrEqual) {
                from = Bound::Included(low).max_by_bytes(from);
            }
            if matches!(op, BinaryOp::Equal | BinaryOp::Less | BinaryOp::LessOrEqual) {
                to = min_end(to, successor(&high));
            }
        }
        return Some(KeyRange { from, to });
    }
    Some(KeyRange { to: Bound::Included(prefix.clone()), from: Bound::Included(prefix) })
}

/// Lower bounds, all of them included.
trait LowerBound {
    /// The greater of two.
    fn max_by_bytes(self, other: Self) -> Self;
}

impl LowerBound for Bound<Vec<u8>> {
    fn max_by_bytes(self, other: Self) -> Self {
        match (&self, &other) {
            (Bound::Included(one), Bound::Included(two)) if one < two => other,
            _ => self,
        }
    }
}

/// The lesser of two upper bounds, none of them included.
fn min_end(one: Bound<Vec<u8>>, two: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match (&one, &two) {
        (Bound::Unbounded, _) => two,
        (_, Bound::Unbounded) => one,
        (Bound::Excluded(first), Bound::Excluded(second)) if second < first => two,
        _ => one,
    }
}

/// True if equal values of the type have equal bytes. Maps may hold their entries in any order, doubles two zeros.
fn has_one_form(ty: &SqlType) -> bool {
    match ty {
        SqlType::Map(..) => false,
        SqlType::Array(element) => has_one_form_inside(element),
        SqlType::Struct(fields) => fields.iter().all(|field| has_one_form_inside(&field.ty)),
        _ => true,
    }
}

fn has_one_form_inside(ty: &SqlType) -> bool {
    *ty != SqlType::Double && has_one_form(ty)
}

/// True if the type's bytes are in the order of its values around this one. Texts compare by UTF-16, which differs behind
/// the surrogates; bytes are signed.
fn is_ordered_alike(ty: &SqlType, value: &ArrayRef) -> bool {
    match ty {
        SqlType::Integer
        | SqlType::BigInt
        | SqlType::Decimal { .. }
        | SqlType::Date
        | SqlType::Time
        | SqlType::Timestamp => true,
        SqlType::Double => !value.as_primitive::<Float64Type>().value(0).is_nan(),
        SqlType::String => value.as_string::<i32>().value(0).chars().all(|char| char < '\u{E000}'),
        _ => false,
    }
}

/// The ranges in order, with those that touch made one: a row is in one of them at most.
fn apart(mut ranges: Vec<KeyRange>) -> Vec<KeyRange> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by(|one, two| start(one).cmp(start(two)));
    let mut apart: Vec<KeyRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match apart.last_mut() {
            Some(last) if touches(&last.to, start(&range)) => {
                if is_farther(&range.to, &last.to) {
                    last.to = range.to;
                }
            }
            _ => apart.push(range),
        }
    }
    apart
}

fn start(range: &KeyRange) -> &[u8] {
    match &range.from {
        Bound::Included(from) | Bound::Excluded(from) => from,
        Bound::Unbounded => &[],
    }
}

/// True if a range with this end reaches a range that begins at `next`.
fn touches(end: &Bound<Vec<u8>>, next: &[u8]) -> bool {
    match end {
        Bound::Included(end) | Bound::Excluded(end) => end.as_slice() >= next,
        Bound::Unbounded => true,
    }
}

fn is_farther(one: &Bound<Vec<u8>>, two: &Bound<Vec<u8>>) -> bool {
    match (one, two) {
        (_, Bound::Unbounded) => false,
        (Bound::Unbounded, _) => true,
        (Bound::Included(one), Bound::Excluded(two)) => one >= two,
        (Bound::Included(one) | Bound::Excluded(one), Bound::Included(two) | Bound::Excluded(two)) => one > two,
    }
}

#[cfg(test)]
mod tests;
