//! Aggregates that ksqlDB does not have, most of them over the accumulators of DataFusion.
//!
//! Not over DataFusion's accumulators, because their state would not survive an upgrade or ours takes rows back exactly:
//! APPROX_DISTINCT (which hashes as its version likes) is COUNT_DISTINCT, ARRAY_AGG is COLLECT_LIST, and FIRST_VALUE,
//! LAST_VALUE, ANY_VALUE and NTH_VALUE are kin of EARLIEST_BY_OFFSET. AVG, COUNT, MIN, MAX and SUM are ksqlDB's. GROUPING has
//! no grouping sets to tell apart.
//!
//! Saved: what the accumulator gives as its state, as a row of `RowCodec` with unsigned numbers as BIGINT; where rows may be
//! taken back, all rows as `CountedSet` is. A row is never taken back from an accumulator, but the result computed anew.

use std::cell::RefCell;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::DataFusionError;
use datafusion::functions_aggregate::{
    approx_median, approx_percentile_cont, approx_percentile_cont_with_weight, average, bit_and_or_xor, bool_and_or,
    correlation, covariance, median, percentile_cont, regr, stddev, variance,
};
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{Column, lit};
use datafusion::physical_plan::PhysicalExpr;

use super::counted::{Counted, OfCounts};
use super::counted_set::CountedSet;
use super::encoded::Encoded;
use super::groups::{Fold, Groups};
use super::incremental::{AggregateFunction, IncrementalAggregate, Parameter};
use super::string_agg::StringAgg;
use crate::functions::Function;
use crate::types::{NotARow, SqlType};

/// What an extension takes and gives.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Integers of one type, and gives it.
    Bits,
    /// BOOLEAN, and gives it.
    Flags,
    /// So many numbers of any type but DECIMAL, as doubles; gives DOUBLE.
    Reals(usize),
    /// Two numbers, as doubles; gives BIGINT.
    CountOfPairs,
    /// So many numbers as doubles, then the percentile; gives DOUBLE.
    Percentile(usize),
}

type Udaf = fn() -> Arc<AggregateUDF>;

/// The extension that takes a delimiter from every row.
const STRING_AGG: &str = "STRING_AGG";

/// Other names of what ours has: name, what it gives, signature, result.
const RENAMED: &[(&str, &str, &str, &str)] = &[
    ("ANY_VALUE", "The first value of a group that is not NULL.", "value T", "T"),
    ("APPROX_COUNT_DISTINCT", "COUNT_DISTINCT under another name.", "value T", "BIGINT"),
    ("APPROX_DISTINCT", "COUNT_DISTINCT under another name.", "value T", "BIGINT"),
    ("ARRAY_AGG", "COLLECT_LIST under another name.", "value T", "ARRAY<T>"),
    ("FIRST_VALUE", "The value that came first in a group, perhaps NULL.", "value T", "T"),
    ("LAST_VALUE", "The value that came last in a group, perhaps NULL.", "value T", "T"),
    ("NTH_VALUE", "The n-th value of a group in the order they came.", "value T, n INTEGER", "T"),
];

/// All others: name, kind, what it gives, DataFusion's function.
const EXTENSIONS: &[(&str, Kind, &str, Udaf)] = &[
    ("APPROX_MEDIAN", Kind::Reals(1), "About the median of the values of a group.", approx_median::approx_median_udaf),
    (
        "APPROX_PERCENTILE_CONT",
        Kind::Percentile(1),
        "About the value below which a share of the values of a group lies.",
        approx_percentile_cont::approx_percentile_cont_udaf,
    ),
    (
        "APPROX_PERCENTILE_CONT_WITH_WEIGHT",
        Kind::Percentile(2),
        "As APPROX_PERCENTILE_CONT, each value as often as its weight says.",
        approx_percentile_cont_with_weight::approx_percentile_cont_with_weight_udaf,
    ),
    ("BIT_AND", Kind::Bits, "The bits that all values of a group have.", bit_and_or_xor::bit_and_udaf),
    ("BIT_OR", Kind::Bits, "The bits that any value of a group has.", bit_and_or_xor::bit_or_udaf),
    ("BIT_XOR", Kind::Bits, "The bits that an odd number of values of a group have.", bit_and_or_xor::bit_xor_udaf),
    ("BOOL_AND", Kind::Flags, "True if all values of a group are.", bool_and_or::bool_and_udaf),
    ("BOOL_OR", Kind::Flags, "True if any value of a group is.", bool_and_or::bool_or_udaf),
    (
        "CORR",
        Kind::Reals(2),
        "Pearson's correlation of two columns over a group; NULL where there is none (CORRELATION gives NaN).",
        correlation::corr_udaf,
    ),
    ("COVAR_POP", Kind::Reals(2), "The covariance of two columns over a group.", covariance::covar_pop_udaf),
    ("COVAR_SAMP", Kind::Reals(2), "The sample covariance of two columns over a group.", covariance::covar_samp_udaf),
    ("MEAN", Kind::Reals(1), "The mean of the values of a group; NULL if there is none.", average::avg_udaf),
    ("MEDIAN", Kind::Reals(1), "The median of the values of a group, which are all kept.", median::median_udaf),
    (
        "PERCENTILE_CONT",
        Kind::Percentile(1),
        "The value below which a share of the values of a group lies, between two of them where none does; all are kept.",
        percentile_cont::percentile_cont_udaf,
    ),
    (
        "QUANTILE_CONT",
        Kind::Percentile(1),
        "PERCENTILE_CONT under another name.",
        percentile_cont::percentile_cont_udaf,
    ),
    ("REGR_AVGX", Kind::Reals(2), "The mean of x over the pairs of a group.", regr::regr_avgx_udaf),
    ("REGR_AVGY", Kind::Reals(2), "The mean of y over the pairs of a group.", regr::regr_avgy_udaf),
    ("REGR_COUNT", Kind::CountOfPairs, "How many pairs a group has.", regr::regr_count_udaf),
    (
        "REGR_INTERCEPT",
        Kind::Reals(2),
        "Where the line through the pairs of a group starts.",
        regr::regr_intercept_udaf,
    ),
    ("REGR_R2", Kind::Reals(2), "How well a line fits the pairs of a group, from 0 to 1.", regr::regr_r2_udaf),
    ("REGR_SLOPE", Kind::Reals(2), "The slope of the line through the pairs of a group.", regr::regr_slope_udaf),
    ("REGR_SXX", Kind::Reals(2), "The squared distances of x from its mean over a group.", regr::regr_sxx_udaf),
    (
        "REGR_SXY",
        Kind::Reals(2),
        "The distances of x and y from their means, multiplied, over a group.",
        regr::regr_sxy_udaf,
    ),
    ("REGR_SYY", Kind::Reals(2), "The squared distances of y from its mean over a group.", regr::regr_syy_udaf),
    ("STDDEV", Kind::Reals(1), "The sample standard deviation of a group; NULL of one value.", stddev::stddev_udaf),
    ("STDDEV_POP", Kind::Reals(1), "The standard deviation of the values of a group.", stddev::stddev_pop_udaf),
    ("VAR", Kind::Reals(1), "The sample variance of a group; NULL of one value.", variance::var_samp_udaf),
    ("VAR_POP", Kind::Reals(1), "The variance of the values of a group.", variance::var_pop_udaf),
    ("VAR_SAMP", Kind::Reals(1), "The sample variance of the values of a group.", variance::var_samp_udaf),
];

/// The signatures of all extensions.
pub(super) fn functions() -> impl Iterator<Item = Function> {
    let string_agg = Function::aggregate(
        STRING_AGG,
        "The texts of a group one behind the other, in the order they came, each but the first after its delimiter; \
         texts that are NULL are left out.",
    )
    .stateful("value STRING, delimiter STRING", "STRING");
    let adapted = EXTENSIONS.iter().map(|(name, kind, description, _)| {
        let function = Function::aggregate(name, description);
        let numbers = ["INTEGER", "BIGINT", "DOUBLE"];
        match kind {
            Kind::Bits => ["INTEGER", "BIGINT"]
                .iter()
                .fold(function, |function, ty| function.stateful(&format!("value {ty}"), ty)),
            Kind::Flags => function.stateful("value BOOLEAN", "BOOLEAN"),
            Kind::Reals(1) => {
                numbers.iter().fold(function, |function, ty| function.stateful(&format!("value {ty}"), "DOUBLE"))
            }
            Kind::Percentile(columns) => {
                let approximate = name.starts_with("APPROX") && *columns == 1;
                numbers.iter().fold(function, |function, ty| {
                    let weight = if *columns == 2 { format!(", weight {ty}") } else { String::new() };
                    let signature = format!("value {ty}{weight}, percentile DOUBLE");
                    let function = function.stateful(&signature, "DOUBLE");
                    if approximate {
                        function.stateful(&format!("{signature}, centroids INTEGER"), "DOUBLE")
                    } else {
                        function
                    }
                })
            }
            Kind::Reals(_) | Kind::CountOfPairs => {
                let gives = if matches!(kind, Kind::CountOfPairs) { "BIGINT" } else { "DOUBLE" };
                numbers.iter().fold(function, |function, ty| function.stateful(&format!("y {ty}, x {ty}"), gives))
            }
        }
    });
    let renamed = RENAMED
        .iter()
        .map(|(name, description, signature, gives)| Function::aggregate(name, description).stateful(signature, gives));
    adapted.chain(renamed).chain([string_agg])
}

/// How many columns stand before the percentile; `None` of a function that takes none.
pub(super) fn percentile_columns(name: &str) -> Option<usize> {
    let (_, kind, ..) = EXTENSIONS.iter().find(|(known, ..)| *known == name)?;
    if let Kind::Percentile(columns) = kind { Some(*columns) } else { None }
}

/// True if ksqlDB has no aggregate of this name.
pub(super) fn has(name: &str) -> bool {
    name == STRING_AGG
        || RENAMED.iter().any(|(known, ..)| *known == name)
        || EXTENSIONS.iter().any(|(known, ..)| *known == name)
}

/// Empty state of a call; `None` if it is none of the extensions.
pub(super) fn state(call: &AggregateFunction, retracting: bool) -> Option<Box<dyn IncrementalAggregate>> {
    if call.name.as_str() == STRING_AGG {
        return Some(Groups::boxed(StringAgg::new()));
    }
    let (_, kind, _, udaf) = EXTENSIONS.iter().find(|(name, ..)| *name == call.name.as_str())?;
    let inputs = match kind {
        Kind::Bits | Kind::Flags => call.arguments.iter().map(SqlType::arrow).collect(),
        Kind::Reals(_) | Kind::CountOfPairs | Kind::Percentile(_) => vec![DataType::Float64; call.arguments.len()],
    };
    let adapted = Adapted::new(udaf(), inputs, call).ok()?;
    Some(if retracting {
        Groups::boxed(Counted { rows: Encoded::new(&call.arguments), result: Recomputed(adapted) })
    } else {
        Groups::boxed(adapted)
    })
}

/// One of DataFusion's aggregates over accumulators.
#[derive(Debug)]
struct Adapted {
    function: Arc<AggregateFunctionExpr>,
    /// What the accumulator takes.
    inputs: Vec<DataType>,
    /// What the call gives.
    result: DataType,
    /// What the accumulator gives as its state, and as which types that is saved.
    state: Vec<FieldRef>,
    saved: Encoded,
    saved_types: Vec<DataType>,
}

/// An accumulator, made with the first row. It has to be changed to be read.
type Cell = RefCell<Option<Box<dyn Accumulator>>>;

impl Adapted {
    fn new(udaf: Arc<AggregateUDF>, inputs: Vec<DataType>, call: &AggregateFunction) -> Result<Self, DataFusionError> {
        let name = |i: usize| format!("a{i}");
        let fields: Vec<Field> =
            inputs.iter().enumerate().map(|(i, ty)| Field::new(name(i), ty.clone(), true)).collect();
        let column = |i: usize| -> Arc<dyn PhysicalExpr> { Arc::new(Column::new(&name(i), i)) };
        let constant = |parameter: &Parameter| match parameter {
            Parameter::Boolean(flag) => lit(*flag),
            Parameter::Integer(number) => lit(*number),
            Parameter::Fraction(number) => lit(number.0),
        };
        let arguments = (0..inputs.len()).map(column).chain(call.parameters.iter().map(constant)).collect();
        let function = AggregateExprBuilder::new(udaf, arguments)
            .schema(Arc::new(Schema::new(fields)))
            .alias(call.name.as_str())
            .build()?;
        let state = function.state_fields()?;
        let saved_types: Option<Vec<SqlType>> = state.iter().map(|field| saved_type(field.data_type())).collect();
        let saved_types =
            saved_types.ok_or_else(|| DataFusionError::NotImplemented(format!("state of {}", call.name)))?;
        Ok(Self {
            function: Arc::new(function),
            inputs,
            result: call.result.arrow(),
            state,
            saved: Encoded::new(&saved_types),
            saved_types: saved_types.iter().map(SqlType::arrow).collect(),
        })
    }

    fn accumulator(&self) -> Result<Box<dyn Accumulator>, String> {
        self.function.create_accumulator().map_err(message)
    }

    fn inputs(&self, arguments: &[ArrayRef]) -> Vec<ArrayRef> {
        let convert = |(array, ty): (&ArrayRef, &DataType)| cast(array, ty).expect("numbers become doubles");
        arguments.iter().zip(&self.inputs).map(convert).collect()
    }

    /// The result of an accumulator; NULL if it has none.
    fn result(&self, accumulator: &mut dyn Accumulator) -> ArrayRef {
        let result = accumulator.evaluate().and_then(|value| value.to_array()).ok();
        result.and_then(|array| cast(&array, &self.result).ok()).unwrap_or_else(|| new_null_array(&self.result, 1))
    }

    /// The arrays of an accumulator's state. Some give their values away: the accumulator is made anew.
    fn take_state(&self, cell: &Cell) -> Option<Vec<ArrayRef>> {
        let mut held = cell.borrow_mut();
        let state = held.as_mut()?.state().ok()?;
        let state: Vec<ArrayRef> = state.iter().map(|value| value.to_array().ok()).collect::<Option<_>>()?;
        let mut anew = self.accumulator().ok()?;
        anew.merge_batch(&state).ok()?;
        *held = Some(anew);
        Some(state)
    }
}

/// The SQL type that part of a state is saved as.
fn saved_type(ty: &DataType) -> Option<SqlType> {
    match ty {
        DataType::UInt64 => Some(SqlType::BigInt),
        DataType::List(element) => Some(SqlType::Array(Box::new(saved_type(element.data_type())?))),
        other => SqlType::from_arrow(other),
    }
}

fn message(error: DataFusionError) -> String {
    error.strip_backtrace()
}

impl Fold for Adapted {
    type State = Cell;
    type Input<'a> = Vec<ArrayRef>;
    type Output = Vec<ArrayRef>;

    fn empty(&self) -> Cell {
        RefCell::new(None)
    }

    fn read(&self, arguments: &[ArrayRef]) -> Vec<ArrayRef> {
        self.inputs(arguments)
    }

    fn add(&self, state: &mut Cell, input: &Vec<ArrayRef>, row: usize) -> Result<(), String> {
        let held = state.get_mut();
        let accumulator = match held {
            Some(accumulator) => accumulator,
            None => held.insert(self.accumulator()?),
        };
        let row: Vec<ArrayRef> = input.iter().map(|column| column.slice(row, 1)).collect();
        accumulator.update_batch(&row).map_err(message)
    }

    fn remove(&self, _state: &mut Cell, _input: &Vec<ArrayRef>, _row: usize) -> Result<(), String> {
        Err("a row of a stream cannot be taken back".to_owned())
    }

    fn output(&self, rows: usize) -> Vec<ArrayRef> {
        Vec::with_capacity(rows)
    }

    fn put(&self, state: &Cell, output: &mut Vec<ArrayRef>) {
        let empty = || self.accumulator().map(|mut accumulator| self.result(&mut *accumulator));
        output.push(match state.borrow_mut().as_mut() {
            Some(accumulator) => self.result(&mut **accumulator),
            None => empty().unwrap_or_else(|_| new_null_array(&self.result, 1)),
        });
    }

    fn finish(&self, output: Vec<ArrayRef>) -> ArrayRef {
        let arrays: Vec<_> = output.iter().map(AsRef::as_ref).collect();
        if arrays.is_empty() {
            return new_null_array(&self.result, 0);
        }
        datafusion::arrow::compute::concat(&arrays).expect("results have the type of the call")
    }

    fn merge(&self, state: &mut Cell, other: Cell) -> Result<(), String> {
        if let Some(taken) = self.take_state(&other) {
            let held = state.get_mut();
            let accumulator = match held {
                Some(accumulator) => accumulator,
                None => held.insert(self.accumulator()?),
            };
            accumulator.merge_batch(&taken).map_err(message)?;
        }
        Ok(())
    }

    fn save(&self, state: &Cell, out: &mut Vec<u8>) {
        let Some(taken) = self.take_state(state) else { return out.push(0) };
        out.push(1);
        let convert = |(array, ty): (&ArrayRef, &DataType)| {
            cast(array, ty).expect("what is counted fits a BIGINT, and the other types are kept")
        };
        let columns: Vec<ArrayRef> = taken.iter().zip(&self.saved_types).map(convert).collect();
        out.extend_from_slice(self.saved.rows(&columns).get(0));
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Cell, NotARow> {
        let length = bytes.len();
        let not_a_row = NotARow(length);
        if !<bool as super::saved::Saved>::load(bytes)? {
            return Ok(RefCell::new(None));
        }
        let row = self.saved.take(bytes)?;
        let columns = self.saved.columns([row]);
        let convert = |(array, field): (&ArrayRef, &FieldRef)| cast(array, field.data_type()).map_err(|_| not_a_row);
        let state: Vec<ArrayRef> = columns.iter().zip(&self.state).map(convert).collect::<Result<_, _>>()?;
        let mut accumulator = self.accumulator().map_err(|_| not_a_row)?;
        accumulator.merge_batch(&state).map_err(|_| not_a_row)?;
        Ok(RefCell::new(Some(accumulator)))
    }

    fn heap_bytes(&self, state: &Cell) -> usize {
        state.borrow().as_ref().map_or(0, |accumulator| accumulator.size())
    }
}

/// One of DataFusion's aggregates over rows that may be taken back: computed anew from all rows for each result.
#[derive(Debug)]
struct Recomputed(Adapted);

impl OfCounts for Recomputed {
    type Output = Vec<ArrayRef>;

    fn output(&self, rows: usize) -> Vec<ArrayRef> {
        Vec::with_capacity(rows)
    }

    fn put(&self, rows: &Encoded, counts: &CountedSet, output: &mut Vec<ArrayRef>) {
        let Self(adapted) = self;
        let repeated = counts.present().flat_map(|(row, count)| (0..count).map(move |_| row));
        let columns = adapted.inputs(&rows.columns(repeated));
        let result = adapted.accumulator().and_then(|mut accumulator| {
            accumulator.update_batch(&columns).map_err(message)?;
            Ok(adapted.result(&mut *accumulator))
        });
        output.push(result.unwrap_or_else(|_| new_null_array(&adapted.result, 1)));
    }

    fn finish(&self, _rows: &Encoded, output: Vec<ArrayRef>) -> ArrayRef {
        self.0.finish(output)
    }
}
