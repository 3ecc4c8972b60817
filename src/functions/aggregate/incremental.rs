//! What an aggregate is to the operator that drives it: typed state of many groups, changed a batch at a time.
//!
//! ```text
//!   rows       group 0  1  0          arguments  5  7  6
//!   update  ─▶ state  [11, 7]         output([1, 0]) ─▶ 7, 11
//!   update_each ─▶ 5, 7, 11           (the result of each row's group right behind that row)
//! ```

use std::fmt;
use std::hash::{Hash, Hasher};

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::buffer::BooleanBuffer;
use serde::{Deserialize, Serialize};

use crate::types::{Name, NotARow, SqlType};

/// A constant that sets an aggregate up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    /// A flag, such as `ignoreNulls`.
    Boolean(bool),
    /// A number, such as k of TOPK.
    Integer(i64),
    /// A number with a fraction, such as the percentile of PERCENTILE_CONT.
    Fraction(Fraction),
}

/// A finite number that is equal to those of the same bits. Written as text, which keeps every bit.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fraction(pub f64);

impl PartialEq for Fraction {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Fraction {}

impl Hash for Fraction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Fraction> for String {
    fn from(fraction: Fraction) -> Self {
        fraction.to_string()
    }
}

impl TryFrom<String> for Fraction {
    type Error = std::num::ParseFloatError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// Rows of a batch for one aggregate.
#[derive(Debug, Clone, Copy)]
pub struct AggregateRows<'a> {
    /// The group of each row.
    pub groups: &'a [u32],
    /// One array for each argument, as long as `groups`; none for COUNT(*).
    pub arguments: &'a [ArrayRef],
    /// The rows that are taken back instead of added; `None`: no row is.
    pub retracted: Option<&'a BooleanBuffer>,
    /// The rows that count; `None`: every row does. The others leave the state as it is.
    pub counted: Option<&'a BooleanBuffer>,
}

/// A row that an aggregate cannot take: the query stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateError {
    /// Index of the row.
    pub row: usize,
    /// Why.
    pub message: String,
}

/// State of one aggregate call for groups `0..n`. A group that was not touched is empty.
///
/// Cost: some nanoseconds a row; no allocation a row where the state has a fixed width.
pub trait IncrementalAggregate: Send + fmt::Debug {
    /// Has room for groups below `groups`; new ones are empty.
    fn resize(&mut self, groups: usize);

    /// Adds the rows to their groups, and takes back those that are retracted, in order.
    ///
    /// # Errors
    /// A row that cannot be taken. The state is then of no use.
    fn update(&mut self, rows: &AggregateRows<'_>) -> Result<(), AggregateError>;

    /// As [`Self::update`]; gives the result of each row's group right behind that row: as many as there are rows.
    ///
    /// # Errors
    /// As [`Self::update`].
    fn update_each(&mut self, rows: &AggregateRows<'_>) -> Result<ArrayRef, AggregateError>;

    /// The results of these groups, in this order. Leaves the state as it is.
    fn output(&self, groups: &[u32]) -> ArrayRef;

    /// Adds group `from` to group `into` (sessions that grow together) and leaves `from` empty. Where order matters
    /// the rows of `from` count as the earlier ones.
    ///
    /// # Errors
    /// The sum of both cannot be held; `row` of the error is 0.
    fn merge(&mut self, into: u32, from: u32) -> Result<(), AggregateError>;

    /// Makes a group empty.
    fn clear(&mut self, group: u32);

    /// Appends the state of a group, in a form that [`Self::load`] of every later version reads.
    fn save(&self, group: u32, out: &mut Vec<u8>);

    /// Sets the state of a group from what `bytes` begin with, and takes that off.
    ///
    /// # Errors
    /// Bytes that this aggregate did not write.
    fn load(&mut self, group: u32, bytes: &mut &[u8]) -> Result<(), NotARow>;

    /// Memory held, bytes, about.
    fn size_bytes(&self) -> usize;
}

/// A call of an aggregate that is typed: what the planner asks, and what the operator makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateFunction {
    /// Name.
    pub name: Name,
    /// Types of the arguments, without parameters. `None` is the bare NULL.
    pub arguments: Vec<SqlType>,
    /// Constants behind the arguments.
    pub parameters: Vec<Parameter>,
    /// `DISTINCT`.
    pub distinct: bool,
    /// Type of the result.
    pub result: SqlType,
    /// The most values that are kept; more are left out silently. `None`: no limit. Set by the planner from
    /// `ksql.functions.<name>.limit` before the state is made.
    pub limit: Option<usize>,
    /// True if rows can be taken back exactly (sums of doubles: as exactly as doubles subtract).
    pub retracts: bool,
    /// True where ksqlDB can take rows back: what `sql.compatibility = ksqldb` admits over tables.
    pub retracts_in_ksqldb: bool,
    /// True if what it keeps is a struct, list or map in ksqlDB, which the DELIMITED format cannot hold.
    pub keeps_structure: bool,
    /// True if ksqlDB has no such call: what only `sql.compatibility = extended` admits.
    pub is_extension: bool,
}
