//! Functions of real numbers, and absolute values and signs.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array};

use crate::expressions::{decimal_digits, decimal_text};
use crate::functions::Function;
use crate::functions::call::Call;
use crate::types::SqlType;

const CATEGORY: &str = "MATHEMATICAL";

pub(super) fn functions() -> Vec<Function> {
    let mut all = vec![
        Function::scalar("ABS", CATEGORY, "The magnitude of a number; the least INTEGER and BIGINT stay as they are.")
            .overload("value INTEGER", "INTEGER", |call| {
                let value = call.int(0);
                call.rows::<_, Int32Array>(|row| Ok(value.get(row).map(i32::wrapping_abs)))
            })
            .overload("value BIGINT", "BIGINT", |call| {
                let value = call.long(0);
                call.rows::<_, Int64Array>(|row| Ok(value.get(row).map(i64::wrapping_abs)))
            })
            .overload("value DOUBLE", "DOUBLE", unary(f64::abs))
            .with_rule("value DECIMAL", (same, "DECIMAL"), |call| {
                let digits = decimal_digits(&call.args[0]);
                decimal_text::array((0..call.rows).map(|row| digits(row).map(|v| v.wrapping_abs())), call.returns())
            }),
        Function::scalar("PI", CATEGORY, "The ratio of a circle's circumference to its diameter.").overload(
            "",
            "DOUBLE",
            |call| call.rows::<_, Float64Array>(|_| Ok(Some(std::f64::consts::PI))),
        ),
        Function::scalar("RANDOM", CATEGORY, "A number from 0 to 1, another for each row.")
            .overload("", "DOUBLE", random)
            .varying(),
        pairs("ATAN2", "The angle of a point from the x axis, in radians.", f64::atan2, "y", "x"),
        pairs("POWER", "A number to a power.", f64::powf, "base", "exponent"),
        logarithm(),
        sign(),
    ];
    all.extend([
        real("ACOS", "The angle in radians of which this is the cosine.", f64::acos),
        real("ASIN", "The angle in radians of which this is the sine.", f64::asin),
        real("ATAN", "The angle in radians of which this is the tangent.", f64::atan),
        real("CBRT", "The cube root.", f64::cbrt),
        real("COS", "The cosine of an angle in radians.", f64::cos),
        real("COSH", "The hyperbolic cosine.", f64::cosh),
        real("COT", "The cotangent of an angle in radians.", |x| 1.0 / x.tan()),
        real("DEGREES", "Radians as degrees.", |x| x * (180.0 / std::f64::consts::PI)),
        real("EXP", "The exponential.", f64::exp),
        real("LN", "The natural logarithm.", f64::ln),
        real("RADIANS", "Degrees as radians.", |x| x / 180.0 * std::f64::consts::PI),
        real("SIN", "The sine of an angle in radians.", f64::sin),
        real("SINH", "The hyperbolic sine.", f64::sinh),
        real("SQRT", "The square root; NaN of a negative number.", f64::sqrt),
        real("TAN", "The tangent of an angle in radians.", f64::tan),
        real("TANH", "The hyperbolic tangent.", f64::tanh),
    ]);
    all
}

/// The rule of functions that give what they take.
pub(super) fn same(args: &[SqlType]) -> Result<SqlType, String> {
    args.first().cloned().ok_or_else(|| "An argument is needed.".to_owned())
}

/// A number of any type by row, as a double.
fn number<'a>(call: &Call<'a>, i: usize) -> Box<dyn Fn(usize) -> Option<f64> + 'a> {
    match call.arg_type(i) {
        SqlType::Integer => {
            let value = call.int(i);
            Box::new(move |row| value.get(row).map(f64::from))
        }
        SqlType::BigInt => {
            let value = call.long(i);
            Box::new(move |row| value.get(row).map(|value| value as f64))
        }
        _ => {
            let value = call.double(i);
            Box::new(move |row| value.get(row))
        }
    }
}

fn unary(f: fn(f64) -> f64) -> impl Fn(&mut Call<'_>) -> ArrayRef {
    move |call| {
        let value = number(call, 0);
        let results: Float64Array = (0..call.rows).map(|row| value(row).map(f)).collect();
        Arc::new(results)
    }
}

fn real(name: &'static str, description: &'static str, f: fn(f64) -> f64) -> Function {
    Function::scalar(name, CATEGORY, description)
        .overload("value INTEGER", "DOUBLE", unary(f))
        .overload("value BIGINT", "DOUBLE", unary(f))
        .overload("value DOUBLE", "DOUBLE", unary(f))
}

fn pairs(name: &'static str, description: &'static str, f: fn(f64, f64) -> f64, first: &str, second: &str) -> Function {
    let mut function = Function::scalar(name, CATEGORY, description);
    for ty in ["INTEGER", "BIGINT", "DOUBLE"] {
        function = function.overload(&format!("{first} {ty}, {second} {ty}"), "DOUBLE", move |call| {
            let (a, b) = (number(call, 0), number(call, 1));
            let results: Float64Array = (0..call.rows).map(|row| Some(f(a(row)?, b(row)?))).collect();
            Arc::new(results)
        });
    }
    function
}

fn logarithm() -> Function {
    let mut function = Function::scalar("LOG", CATEGORY, "The natural logarithm, or the logarithm to a base.");
    for ty in ["INTEGER", "BIGINT", "DOUBLE"] {
        function = function.overload(&format!("value {ty}"), "DOUBLE", unary(f64::ln));
    }
    for ty in ["INTEGER", "BIGINT", "DOUBLE"] {
        function = function.overload(&format!("base {ty}, value {ty}"), "DOUBLE", |call| {
            let (base, value) = (number(call, 0), number(call, 1));
            let results: Float64Array = (0..call.rows)
                .map(|row| {
                    let (base, value) = (base(row)?, value(row)?);
                    Some(if base <= 0.0 || base == 1.0 { f64::NAN } else { value.ln() / base.ln() })
                })
                .collect();
            Arc::new(results)
        });
    }
    function
}

fn sign() -> Function {
    let mut function = Function::scalar("SIGN", CATEGORY, "-1, 0 or 1, as the number is negative, zero or positive.");
    for ty in ["INTEGER", "BIGINT", "DOUBLE"] {
        function = function.overload(&format!("value {ty}"), "INTEGER", |call| {
            let value = number(call, 0);
            let results: Int32Array =
                (0..call.rows).map(|row| value(row).map(|x| i32::from(x > 0.0) - i32::from(x < 0.0))).collect();
            Arc::new(results)
        });
    }
    function
}

fn random(call: &mut Call<'_>) -> ArrayRef {
    let mut generator = fastrand::Rng::with_seed(call.seed());
    call.rows::<_, Float64Array>(|_| Ok(Some(generator.f64())))
}
