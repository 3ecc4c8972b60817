//! The empty state of a call, by name and types.

use std::cmp::Ordering;

use datafusion::arrow::datatypes::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType, i256,
};

use super::count::Count;
use super::extremes::{ExactExtreme, Extreme};
use super::groups::Groups;
use super::incremental::{AggregateFunction, IncrementalAggregate};
use super::mean::Mean;
use super::ordered::{Bytes, Fixed, Ordered, Text};
use super::sum::{Digits, Sum, SumList, Unbounded, text128, text256};
use crate::types::SqlType;

type State = Box<dyn IncrementalAggregate>;

/// Empty state of a call; `None` if nothing keeps it.
pub(super) fn state(call: &AggregateFunction, retracting: bool) -> Option<State> {
    match call.name.as_str() {
        _ if call.distinct => None,
        "COUNT" => Some(Groups::boxed(Count)),
        "SUM" => sum(call.arguments.first()?),
        "SUM_LIST" => sum_list(&call.result),
        "AVG" => mean(call.arguments.first()?),
        "MIN" => ordered(call.arguments.first()?, Extremes { better: Ordering::Less, retracting }),
        "MAX" => ordered(call.arguments.first()?, Extremes { better: Ordering::Greater, retracting }),
        _ => None,
    }
}

fn sum(ty: &SqlType) -> Option<State> {
    Some(match ty {
        SqlType::Integer => Groups::boxed(Sum::<i32, _>::new(ty.arrow(), Unbounded)),
        SqlType::BigInt => Groups::boxed(Sum::<i64, _>::new(ty.arrow(), Unbounded)),
        SqlType::Double => Groups::boxed(Sum::<f64, _>::new(ty.arrow(), Unbounded)),
        SqlType::Decimal { precision, scale } if *precision <= SqlType::MAX_DECIMAL128_PRECISION => {
            let limit = 10_i128.pow(*precision);
            let digits = Digits { precision: *precision, scale: *scale, limit, text: text128 };
            Groups::boxed(Sum::<i128, _>::new(ty.arrow(), digits))
        }
        SqlType::Decimal { precision, scale } => {
            let limit = i256::from(10).wrapping_pow(*precision);
            let digits = Digits { precision: *precision, scale: *scale, limit, text: text256 };
            Groups::boxed(Sum::<i256, _>::new(ty.arrow(), digits))
        }
        _ => return None,
    })
}

fn sum_list(ty: &SqlType) -> Option<State> {
    Some(match ty {
        SqlType::Integer => Groups::boxed(SumList::<i32>::new(ty.arrow())),
        SqlType::BigInt => Groups::boxed(SumList::<i64>::new(ty.arrow())),
        SqlType::Double => Groups::boxed(SumList::<f64>::new(ty.arrow())),
        _ => return None,
    })
}

fn mean(ty: &SqlType) -> Option<State> {
    Some(match ty {
        SqlType::Integer => Groups::boxed(Mean::<i32>::default()),
        SqlType::BigInt => Groups::boxed(Mean::<i64>::default()),
        SqlType::Double => Groups::boxed(Mean::<f64>::default()),
        _ => return None,
    })
}

/// An aggregate over values of any type with an order.
trait OverOrdered {
    fn state<O: Ordered>(self, values: O) -> State;
}

fn ordered(ty: &SqlType, aggregate: impl OverOrdered) -> Option<State> {
    Some(match ty {
        SqlType::Integer => aggregate.state(Fixed::<Int32Type>::new(ty)),
        SqlType::BigInt => aggregate.state(Fixed::<Int64Type>::new(ty)),
        SqlType::Double => aggregate.state(Fixed::<Float64Type>::new(ty)),
        SqlType::Decimal { precision, .. } if *precision <= SqlType::MAX_DECIMAL128_PRECISION => {
            aggregate.state(Fixed::<Decimal128Type>::new(ty))
        }
        SqlType::Decimal { .. } => aggregate.state(Fixed::<Decimal256Type>::new(ty)),
        SqlType::Date => aggregate.state(Fixed::<Date32Type>::new(ty)),
        SqlType::Time => aggregate.state(Fixed::<Time32MillisecondType>::new(ty)),
        SqlType::Timestamp => aggregate.state(Fixed::<TimestampMillisecondType>::new(ty)),
        SqlType::String => aggregate.state(Text),
        SqlType::Bytes => aggregate.state(Bytes),
        SqlType::Boolean | SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_) => return None,
    })
}

/// MIN or MAX.
struct Extremes {
    better: Ordering,
    retracting: bool,
}

impl OverOrdered for Extremes {
    fn state<O: Ordered>(self, values: O) -> State {
        if self.retracting {
            Groups::boxed(ExactExtreme::new(values, self.better))
        } else {
            Groups::boxed(Extreme::new(values, self.better))
        }
    }
}
