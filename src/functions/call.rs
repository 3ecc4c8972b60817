//! A call under way: what a kernel reads its arguments from and reports failing rows to.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, ListArray, MapArray,
    StringArray, Time32MillisecondArray, TimestampMillisecondArray,
};

use super::definition::Kernel;
use crate::expressions::{Body, EvaluationContext, Typed, Value};
use crate::types::SqlType;

/// What a row failed of.
pub(crate) type Message = Cow<'static, str>;

/// An overload chosen for the arguments of one place in a statement.
pub(crate) struct Callable {
    pub(crate) name: String,
    pub(crate) overload: usize,
    pub(crate) kernel: Kernel,
    pub(crate) deterministic: bool,
    /// Arguments behind the first that is not null are not asked.
    pub(crate) stops_at_value: bool,
    /// Differs between the places of a statement, so that two calls of chance differ.
    pub(crate) salt: u64,
    /// Types of the arguments; a lambda has that of its result, a unit STRING.
    pub(crate) arg_types: Vec<SqlType>,
    pub(crate) returns: SqlType,
    /// Arguments for which NULL is an error.
    pub(crate) fails_on_null: Vec<bool>,
    /// What the kernel prepared from constant arguments at its first call.
    pub(crate) prepared: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Callable {
    /// What tells this overload from others.
    pub(crate) fn identity(&self) -> String {
        format!("{} {}", self.name, self.overload)
    }

    pub(crate) fn is_deterministic(&self) -> bool {
        self.deterministic
    }
}

impl fmt::Debug for Callable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity())
    }
}

/// The arguments of a call, over a batch.
pub(crate) struct Call<'a> {
    /// Values in order; a lambda's place holds a NULL.
    pub(crate) args: &'a [Value],
    /// How many values the kernel must give.
    pub(crate) rows: usize,
    pub(crate) callable: &'a Callable,
    pub(crate) context: &'a EvaluationContext,
    /// Lambdas in order.
    pub(crate) lambdas: Vec<Body<'a>>,
    /// Which rows failed; at most one failure per row.
    pub(crate) failures: Vec<(usize, Message)>,
}

impl<'a> Call<'a> {
    /// The type that the result must have.
    pub(crate) fn returns(&self) -> &'a SqlType {
        &self.callable.returns
    }

    /// The type of an argument.
    pub(crate) fn arg_type(&self, i: usize) -> &'a SqlType {
        &self.callable.arg_types[i]
    }

    /// One value per row of an argument.
    pub(crate) fn array(&self, i: usize) -> ArrayRef {
        self.args[i].to_rows(self.rows)
    }

    /// Seed of chance for this batch and this place in the statement.
    pub(crate) fn seed(&self) -> u64 {
        // A large odd factor (2^64 over the golden ratio) spreads neighbouring salts.
        self.context.seed ^ self.callable.salt.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// Fails a row.
    pub(crate) fn fail(&mut self, row: usize, message: impl Into<Message>) {
        self.failures.push((row, message.into()));
    }

    /// Gives a value per row, NULL, or a failure of the row.
    pub(crate) fn rows<T, A>(&mut self, mut value: impl FnMut(usize) -> Result<Option<T>, Message>) -> ArrayRef
    where
        A: Array + FromIterator<Option<T>> + 'static,
    {
        let failures = &mut self.failures;
        let array: A = (0..self.rows)
            .map(|row| {
                value(row).unwrap_or_else(|message| {
                    failures.push((row, message));
                    None
                })
            })
            .collect();
        Arc::new(array)
    }

    /// What `prepare` makes of constant arguments, made once for this place in the statement.
    pub(crate) fn prepared<T: Any + Send + Sync>(&self, prepare: impl FnOnce() -> T) -> &'a T {
        let prepared = self.callable.prepared.get_or_init(|| Box::new(prepare()));
        prepared.downcast_ref().expect("a kernel prepares one type")
    }

    /// Typed access to a STRING argument.
    pub(crate) fn text(&self, i: usize) -> Typed<'a, StringArray> {
        self.args[i].typed()
    }

    /// Typed access to a BYTES argument.
    pub(crate) fn bytes(&self, i: usize) -> Typed<'a, BinaryArray> {
        self.args[i].typed()
    }

    /// Typed access to a BOOLEAN argument.
    pub(crate) fn truth(&self, i: usize) -> Typed<'a, BooleanArray> {
        self.args[i].typed()
    }

    /// Typed access to an INTEGER argument.
    pub(crate) fn int(&self, i: usize) -> Typed<'a, Int32Array> {
        self.args[i].typed()
    }

    /// Typed access to a BIGINT argument.
    pub(crate) fn long(&self, i: usize) -> Typed<'a, Int64Array> {
        self.args[i].typed()
    }

    /// Typed access to a DOUBLE argument.
    pub(crate) fn double(&self, i: usize) -> Typed<'a, Float64Array> {
        self.args[i].typed()
    }

    /// Typed access to a DATE argument.
    pub(crate) fn date(&self, i: usize) -> Typed<'a, Date32Array> {
        self.args[i].typed()
    }

    /// Typed access to a TIME argument.
    pub(crate) fn time(&self, i: usize) -> Typed<'a, Time32MillisecondArray> {
        self.args[i].typed()
    }

    /// Typed access to a TIMESTAMP argument.
    pub(crate) fn timestamp(&self, i: usize) -> Typed<'a, TimestampMillisecondArray> {
        self.args[i].typed()
    }

    /// Typed access to an ARRAY argument.
    pub(crate) fn list(&self, i: usize) -> Typed<'a, ListArray> {
        self.args[i].typed()
    }

    /// Typed access to a MAP argument.
    pub(crate) fn map(&self, i: usize) -> Typed<'a, MapArray> {
        self.args[i].typed()
    }
}
