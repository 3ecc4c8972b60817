//! `+ - * / %` and unary minus, as Java computes them.
//!
//! A null operand is an exception in ksql, not a quiet NULL: the rest of its unit fails with it.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, StringArray, StringBuilder,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{ArrowNativeTypeOp, DataType, Int32Type, Int64Type};

use super::value::{Failure, Outcome, Value};
use super::{Arguments, decimal};
use crate::sql::ast::BinaryOp;
use crate::types::SqlType;

pub(super) fn binary(op: BinaryOp, args: Arguments, result: Option<&SqlType>) -> Outcome {
    let mut failures = nulls(&args);
    let (left, right) = (&args.values[0], &args.values[1]);
    let array = match left.array().data_type() {
        DataType::Int32 => integers::<Int32Type>(op, left, right, args.rows, &mut failures),
        DataType::Int64 => integers::<Int64Type>(op, left, right, args.rows, &mut failures),
        DataType::Float64 => doubles(op, left, right),
        _ => decimal::binary(op, &args, result.expect("arithmetic has a type"), &mut failures),
    };
    args.outcome(array, failures)
}

pub(super) fn negate(args: Arguments) -> Outcome {
    let failures = nulls(&args);
    let array = numeric::neg_wrapping(args.values[0].array().as_ref()).expect("typing admits numbers only");
    args.outcome(array, failures)
}

pub(super) fn join_text(args: Arguments) -> Outcome {
    let (left, right) = (args.values[0].typed::<StringArray>(), args.values[1].typed::<StringArray>());
    let mut texts = StringBuilder::with_capacity(args.rows, args.rows * 16);
    let mut text = String::new();
    for row in 0..args.rows {
        text.clear();
        text.push_str(left.get(row).unwrap_or("null"));
        text.push_str(right.get(row).unwrap_or("null"));
        texts.append_value(&text);
    }
    args.outcome(Arc::new(texts.finish()), Vec::new())
}

/// The rows that have a null operand, as failures.
pub(super) fn nulls(args: &Arguments) -> Vec<Failure> {
    if !args.values.iter().any(Value::has_nulls) {
        return Vec::new();
    }
    (0..args.rows)
        .filter(|row| args.values.iter().any(|value| value.is_null(*row)))
        .map(|row| (row, "an operand of arithmetic is null".into()))
        .collect()
}

fn integers<T>(op: BinaryOp, left: &Value, right: &Value, rows: usize, failures: &mut Vec<Failure>) -> ArrayRef
where
    T: ArrowPrimitiveType,
    T::Native: ArrowNativeTypeOp,
{
    let kernel = match op {
        BinaryOp::Add => numeric::add_wrapping(left, right),
        BinaryOp::Subtract => numeric::sub_wrapping(left, right),
        BinaryOp::Multiply => numeric::mul_wrapping(left, right),
        _ => return divide::<T>(op == BinaryOp::Modulo, left, right, rows, failures),
    };
    kernel.expect("wrapping arithmetic on operands of one type cannot fail")
}

/// Truncating division or its remainder, which has the sign of the dividend; a zero divisor fails its row.
fn divide<T>(remainder: bool, left: &Value, right: &Value, rows: usize, failures: &mut Vec<Failure>) -> ArrayRef
where
    T: ArrowPrimitiveType,
    T::Native: ArrowNativeTypeOp,
{
    let by = |value: T::Native, divisor: T::Native| {
        if remainder { value.mod_wrapping(divisor) } else { value.div_wrapping(divisor) }
    };
    if right.is_constant() && !right.has_nulls() && !right.array().as_primitive::<T>().value(0).is_zero() {
        return Arc::new(zip::<T, T, T>(left, right, rows, by));
    }
    Arc::new(zip_checked::<T>(left, right, rows, failures, |value, divisor| {
        if divisor.is_zero() { Err("/ by zero") } else { Ok(by(value, divisor)) }
    }))
}

/// `f` of two operands by row, NULL where one is. `f` is also asked about what stands behind NULLs.
pub(super) fn zip<L, R, T>(
    left: &Value,
    right: &Value,
    rows: usize,
    f: impl Fn(L::Native, R::Native) -> T::Native,
) -> PrimitiveArray<T>
where
    L: ArrowPrimitiveType,
    R: ArrowPrimitiveType,
    T: ArrowPrimitiveType,
{
    let (l, r) = (left.array().as_primitive::<L>(), right.array().as_primitive::<R>());
    match (left.is_constant(), right.is_constant()) {
        (true, false) if l.is_null(0) => PrimitiveArray::new_null(rows),
        (false, true) if r.is_null(0) => PrimitiveArray::new_null(rows),
        (true, false) => {
            let known = l.value(0);
            r.unary(|value| f(known, value))
        }
        (false, true) => {
            let known = r.value(0);
            l.unary(|value| f(value, known))
        }
        _ => {
            let values: Vec<T::Native> = l.values().iter().zip(r.values()).map(|(a, b)| f(*a, *b)).collect();
            PrimitiveArray::new(values.into(), NullBuffer::union(l.nulls(), r.nulls()))
        }
    }
}

/// As [`zip`], where `f` may fail rows.
pub(super) fn zip_checked<T: ArrowPrimitiveType>(
    left: &Value,
    right: &Value,
    rows: usize,
    failures: &mut Vec<Failure>,
    f: impl Fn(T::Native, T::Native) -> Result<T::Native, &'static str>,
) -> PrimitiveArray<T> {
    let (l, r) = (left.typed::<PrimitiveArray<T>>(), right.typed::<PrimitiveArray<T>>());
    (0..rows)
        .map(|row| {
            let result = f(l.get(row)?, r.get(row)?);
            result.map_err(|message| failures.push((row, message.into()))).ok()
        })
        .collect()
}

/// IEEE arithmetic: division by zero is infinite or NaN.
fn doubles(op: BinaryOp, left: &Value, right: &Value) -> ArrayRef {
    let kernel = match op {
        BinaryOp::Add => numeric::add(left, right),
        BinaryOp::Subtract => numeric::sub(left, right),
        BinaryOp::Multiply => numeric::mul(left, right),
        BinaryOp::Divide => numeric::div(left, right),
        _ => numeric::rem(left, right),
    };
    kernel.expect("arithmetic on doubles cannot fail")
}
