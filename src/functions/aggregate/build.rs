//! The empty state of a call, by name and types.

use std::cmp::Ordering;
use std::marker::PhantomData;

use datafusion::arrow::datatypes::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType, i256,
};

use super::attr::Attr;
use super::by_offset::{ByOffset, Kept};
use super::collect::{CollectSet, Several};
use super::correlation::Correlation;
use super::count::Count;
use super::count_distinct::{CountDistinct, ExactCountDistinct};
use super::counted::{Counted, OfCounts};
use super::deviation::Deviation;
use super::distinct::Distinct;
use super::encoded::Encoded;
use super::extensions;
use super::extremes::{ExactExtreme, Extreme};
use super::groups::Groups;
use super::histogram::Histogram;
use super::incremental::{AggregateFunction, IncrementalAggregate, Parameter};
use super::mean::Mean;
use super::number::Real;
use super::ordered::{Bytes, Fixed, Ordered, Text};
use super::sum::{Digits, Sum, SumList, Unbounded, text128, text256};
use super::top::{ExactTop, Ranked, Top};
use crate::types::SqlType;

type State = Box<dyn IncrementalAggregate>;

/// Empty state of a call; `None` if nothing keeps it.
pub(super) fn state(call: &AggregateFunction, retracting: bool) -> Option<State> {
    if call.distinct {
        let inner = state(&AggregateFunction { distinct: false, ..call.clone() }, retracting)?;
        return Some(Distinct::boxed(Encoded::of_equals(&call.arguments), inner));
    }
    if call.name.as_str() == "COUNT" {
        return Some(Groups::boxed(Count));
    }
    let ty = call.arguments.first()?;
    let values = || Encoded::of_equals(std::slice::from_ref(ty));
    let limit = call.limit.unwrap_or(usize::MAX);
    match call.name.as_str() {
        "ANY_VALUE" => Some(first_or_last(ty, Kept { latest: false, ignores_nulls: true })),
        "ATTR" => Some(counted(values(), Attr)),
        "AVG" => real(ty, Means),
        "ARRAY_AGG" | "COLLECT_LIST" => Some(Groups::boxed(Several {
            values: values(),
            n: limit,
            kept: Kept { latest: false, ignores_nulls: false },
            only_nth: false,
        })),
        "COLLECT_SET" => Some(counted(values(), CollectSet { limit, retracting })),
        "CORRELATION" => real(ty, Correlations),
        "APPROX_DISTINCT" | "APPROX_COUNT_DISTINCT" | "COUNT_DISTINCT" if retracting => {
            Some(counted(values(), ExactCountDistinct))
        }
        "APPROX_DISTINCT" | "APPROX_COUNT_DISTINCT" | "COUNT_DISTINCT" => {
            Some(Groups::boxed(CountDistinct { values: values() }))
        }
        "EARLIEST_BY_OFFSET" => Some(by_offset(call, ty, false)),
        "LATEST_BY_OFFSET" => Some(by_offset(call, ty, true)),
        "FIRST_VALUE" => Some(first_or_last(ty, Kept { latest: false, ignores_nulls: false })),
        "LAST_VALUE" => Some(first_or_last(ty, Kept { latest: true, ignores_nulls: false })),
        "NTH_VALUE" => {
            let kept = Kept { latest: false, ignores_nulls: false };
            let values = Encoded::new(std::slice::from_ref(ty));
            Some(Groups::boxed(Several { values, n: number(call)?, kept, only_nth: true }))
        }
        "HISTOGRAM" => Some(counted(values(), Histogram)),
        "MAX" => ordered(ty, Extremes { better: Ordering::Greater, retracting }),
        "MIN" => ordered(ty, Extremes { better: Ordering::Less, retracting }),
        "STDDEV_SAMP" => real(ty, Deviations { is_legacy: true }),
        "STDDEV_SAMPLE" => real(ty, Deviations { is_legacy: false }),
        "SUM" => sum(ty),
        "SUM_LIST" => sum_list(&call.result),
        "TOPK" | "TOPKDISTINCT" => ordered(ty, Tops { call, k: number(call)?, retracting }),
        _ => extensions::state(call, retracting),
    }
}

fn counted(rows: Encoded, result: impl OfCounts + 'static) -> State {
    Groups::boxed(Counted { rows, result })
}

/// The number among the parameters.
fn number(call: &AggregateFunction) -> Option<usize> {
    call.parameters.iter().find_map(|parameter| match parameter {
        Parameter::Integer(n) => usize::try_from(*n).ok(),
        Parameter::Boolean(_) | Parameter::Fraction(_) => None,
    })
}

fn by_offset(call: &AggregateFunction, ty: &SqlType, latest: bool) -> State {
    let kept = Kept { latest, ignores_nulls: !call.parameters.contains(&Parameter::Boolean(false)) };
    match number(call) {
        Some(n) => Groups::boxed(Several { values: Encoded::new(std::slice::from_ref(ty)), n, kept, only_nth: false }),
        None => first_or_last(ty, kept),
    }
}

fn first_or_last(ty: &SqlType, kept: Kept) -> State {
    ordered(ty, kept).unwrap_or_else(|| kept.state(Encoded::new(std::slice::from_ref(ty))))
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

/// An aggregate over numbers that become doubles.
trait OverReal {
    fn state<N: Real>(self) -> State;
}

fn real(ty: &SqlType, aggregate: impl OverReal) -> Option<State> {
    Some(match ty {
        SqlType::Integer => aggregate.state::<i32>(),
        SqlType::BigInt => aggregate.state::<i64>(),
        SqlType::Double => aggregate.state::<f64>(),
        _ => return None,
    })
}

/// AVG.
struct Means;

impl OverReal for Means {
    fn state<N: Real>(self) -> State {
        Groups::boxed(Mean::<N>::default())
    }
}

/// CORRELATION.
struct Correlations;

impl OverReal for Correlations {
    fn state<N: Real>(self) -> State {
        Groups::boxed(Correlation::<N>::default())
    }
}

/// STDDEV_SAMPLE or STDDEV_SAMP.
struct Deviations {
    is_legacy: bool,
}

impl OverReal for Deviations {
    fn state<N: Real>(self) -> State {
        Groups::boxed(Deviation::<N> { is_legacy: self.is_legacy, number: PhantomData })
    }
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

/// TOPK or TOPKDISTINCT.
struct Tops<'a> {
    call: &'a AggregateFunction,
    k: usize,
    retracting: bool,
}

impl OverOrdered for Tops<'_> {
    fn state<O: Ordered>(self, values: O) -> State {
        if self.call.arguments.len() > 1 {
            return self.of(Ranked::new(values, &self.call.arguments));
        }
        self.of(values)
    }
}

impl Tops<'_> {
    fn of<O: Ordered>(&self, values: O) -> State {
        let top = Top { values, k: self.k, distinct: self.call.name.as_str() == "TOPKDISTINCT" };
        if self.retracting { Groups::boxed(ExactTop(top)) } else { Groups::boxed(top) }
    }
}

impl OverOrdered for Kept {
    fn state<O: Ordered>(self, values: O) -> State {
        Groups::boxed(ByOffset { values, kept: self })
    }
}
