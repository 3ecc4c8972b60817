//! CEIL, FLOOR, ROUND and TRUNC.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array};
use datafusion::arrow::datatypes::i256;

use super::math::same;
use crate::expressions::decimal_text::{self, Exact, power_of_ten, small_power};
use crate::expressions::{decimal_digits, decimal_to_f64, shortest_decimal};
use crate::functions::Function;
use crate::functions::call::{Call, Message};
use crate::types::SqlType;

const CATEGORY: &str = "MATHEMATICAL";

/// Ways to round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Up,
    Down,
    TowardZero,
    /// To the nearest; halves toward positive infinity.
    Nearest,
}

pub(super) fn functions() -> Vec<Function> {
    vec![
        whole("CEIL", "The smallest whole number not below a number.", Mode::Up, f64::ceil),
        whole("FLOOR", "The largest whole number not above a number.", Mode::Down, f64::floor),
        places("ROUND", "The nearest number with so many places after the point; halves go up.", Mode::Nearest),
        places("TRUNC", "A number cut to so many places after the point.", Mode::TowardZero),
    ]
}

/// Functions that keep the type of their argument.
fn whole(name: &'static str, description: &'static str, mode: Mode, f: fn(f64) -> f64) -> Function {
    Function::scalar(name, CATEGORY, description)
        .overload("value INTEGER", "INTEGER", |call| call.array(0))
        .overload("value BIGINT", "BIGINT", |call| call.array(0))
        .overload("value DOUBLE", "DOUBLE", move |call| {
            let value = call.double(0);
            call.rows::<_, Float64Array>(|row| Ok(value.get(row).map(f)))
        })
        .with_rule("value DECIMAL", (same, "DECIMAL"), move |call| decimal_places(call, mode, |_| Some(0)))
}

/// Functions of a number and perhaps of places.
fn places(name: &'static str, description: &'static str, mode: Mode) -> Function {
    Function::scalar(name, CATEGORY, description)
        .overload("value INTEGER!", "BIGINT", |call| {
            let value = call.int(0);
            call.rows::<_, Int64Array>(|row| Ok(value.get(row).map(i64::from)))
        })
        .overload("value BIGINT!", "BIGINT", |call| call.array(0))
        .overload("value DOUBLE", "BIGINT", move |call| {
            let value = call.double(0);
            // `as` saturates, and makes 0 of NaN, as Java does.
            call.rows::<_, Int64Array>(|row| Ok(value.get(row).map(|x| round_double(x, mode) as i64)))
        })
        .with_rule("value DECIMAL", (without_places, "DECIMAL"), move |call| decimal_places(call, mode, |_| Some(0)))
        .overload("value DOUBLE, places INTEGER", "DOUBLE", move |call| double_places(call, mode))
        .with_rule("value DECIMAL, places INTEGER", (same, "DECIMAL"), move |call| {
            let places = call.int(1);
            decimal_places(call, mode, |row| places.get(row))
        })
}

fn without_places(args: &[SqlType]) -> Result<SqlType, String> {
    match args.first() {
        Some(SqlType::Decimal { precision, scale }) => {
            Ok(SqlType::Decimal { precision: (precision - scale).max(1), scale: 0 })
        }
        _ => Err("A DECIMAL is needed.".to_owned()),
    }
}

fn round_double(x: f64, mode: Mode) -> f64 {
    match mode {
        Mode::Up => x.ceil(),
        Mode::Down => x.floor(),
        Mode::TowardZero => x.trunc(),
        Mode::Nearest => {
            let floor = x.floor();
            if x - floor >= 0.5 { floor + 1.0 } else { floor }
        }
    }
}

fn double_places(call: &mut Call<'_>, mode: Mode) -> ArrayRef {
    let (value, places) = (call.double(0), call.int(1));
    call.rows::<_, Float64Array>(|row| {
        let (Some(x), Some(places)) = (value.get(row), places.get(row)) else { return Ok(None) };
        let exact = shortest_decimal(x).ok_or(Message::from("Infinite or NaN"))?;
        let rounded = round(exact, places, mode);
        let scale = u32::try_from(rounded.scale.max(0)).unwrap_or(0);
        let digits = if rounded.scale < 0 { rounded.rescale(0).unwrap_or(i256::ZERO) } else { rounded.digits };
        Ok(Some(decimal_to_f64(digits, scale)))
    })
}

fn decimal_places(call: &Call<'_>, mode: Mode, places: impl Fn(usize) -> Option<i32>) -> ArrayRef {
    let (SqlType::Decimal { scale, .. }, SqlType::Decimal { scale: target, .. }) = (call.arg_type(0), call.returns())
    else {
        return Arc::new(Int32Array::new_null(call.rows));
    };
    let (scale, target) = (i32::try_from(*scale).unwrap_or(0), i32::try_from(*target).unwrap_or(0));
    let digits = decimal_digits(&call.args[0]);
    let rounded = (0..call.rows).map(|row| {
        let exact = Exact { digits: digits(row)?, scale };
        round(exact, places(row)?, mode).rescale(target)
    });
    decimal_text::array(rounded, call.returns())
}

/// The number at so many places, unless it has fewer already.
fn round(exact: Exact, places: i32, mode: Mode) -> Exact {
    if places >= exact.scale {
        return exact;
    }
    let surplus = u32::try_from(exact.scale.saturating_sub(places)).unwrap_or(u32::MAX);
    let Some(unit) = power_of_ten(surplus) else { return Exact { digits: i256::ZERO, scale: 0 } };
    if let (Some(digits), Some(unit)) = (exact.digits.to_i128(), small_power(surplus)) {
        return Exact { digits: i256::from_i128(round_small(digits, unit, mode)), scale: places };
    }
    let truncated = exact.digits.wrapping_div(unit);
    let remainder = exact.digits.wrapping_rem(unit);
    let floor = if remainder < i256::ZERO { truncated.wrapping_sub(i256::ONE) } else { truncated };
    let above = exact.digits.wrapping_sub(floor.wrapping_mul(unit));
    let digits = match mode {
        Mode::TowardZero => truncated,
        Mode::Down => floor,
        Mode::Up if above > i256::ZERO => floor.wrapping_add(i256::ONE),
        Mode::Nearest if above >= unit.wrapping_sub(above) => floor.wrapping_add(i256::ONE),
        Mode::Up | Mode::Nearest => floor,
    };
    Exact { digits, scale: places }
}

/// How many units a number has, in 128 bits or, several times faster, in 64.
fn round_small(digits: i128, unit: i128, mode: Mode) -> i128 {
    let (floor, above) = match (i64::try_from(digits), i64::try_from(unit)) {
        (Ok(digits), Ok(unit)) => (i128::from(digits.div_euclid(unit)), i128::from(digits.rem_euclid(unit))),
        _ => (digits.div_euclid(unit), digits.rem_euclid(unit)),
    };
    let up = match mode {
        Mode::Down => false,
        Mode::Up => above > 0,
        Mode::TowardZero => above > 0 && digits < 0,
        Mode::Nearest => above >= unit - above,
    };
    floor + i128::from(up)
}
