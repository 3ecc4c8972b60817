//! The aggregate calls of an operator, driven together: one state each, results side by side.
//!
//! A row's *prior* result is the one of its group before the row: of an earlier row of the batch, or of the state.
//! It is looked for only where somebody wants it: `PREVIOUS(…)`, and old rows of updates.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute;

use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::EdgeSchema;
use crate::functions::FunctionRegistry;
use crate::functions::aggregate::{AggregateError, AggregateFunction, AggregateRows, IncrementalAggregate};
use crate::operators::project::take_or_null;
use crate::planner::graph::{AggregateCall, Aggregation};
use crate::state::GroupNumber;
use crate::types::{Name, NotARow, RowCodec, SqlType};

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    /// The call for people: `SUM(AMOUNT)`.
    pub(super) text: String,
    pub(super) state: Box<dyn IncrementalAggregate>,
    /// Columns of the input.
    pub(super) arguments: Vec<usize>,
    /// The column that says which rows count.
    pub(super) filter: Option<usize>,
    /// True if what leaves is the prior result.
    pub(super) previous: bool,
    /// Type of the result.
    pub(super) result: SqlType,
}

/// All calls of an operator.
#[derive(Debug)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// The prior results that left last, by group: rows of `previous_codec`, empty if there is none.
    previous: Vec<Box<[u8]>>,
    previous_bytes: usize,
    previous_codec: RowCodec,
    /// The last entry of each group in the batch under way; all [`NONE`] between batches.
    last_entry: Vec<u32>,
}

const NONE: u32 = u32::MAX;

/// Entries (a row, or a row in one window) to be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entries<'a> {
    pub(super) batch: &'a RecordBatch,
    /// The row of each entry; `None`: entry `i` is row `i`.
    pub(super) rows: Option<&'a UInt32Array>,
    /// The group of each entry.
    pub(super) groups: &'a [GroupNumber],
    /// The entries that are taken back.
    pub(super) retracted: Option<&'a BooleanBuffer>,
    /// The entries that make no result: the old side of an update whose new side is of the same group.
    pub(super) silent: Option<&'a BooleanBuffer>,
}

/// Results of entries.
#[derive(Debug)]
pub(super) struct Results {
    /// A row for each prior result from state, then one for each entry.
    pub(super) columns: Vec<ArrayRef>,
    /// How many prior results from state there are.
    pub(super) from_state: usize,
    /// For each entry the row of `columns` that is its prior result. Empty if nobody asked.
    pub(super) prior: Vec<Option<u32>>,
}

/// A row that an aggregate cannot take.
#[derive(Debug)]
pub(super) struct CallError {
    /// The call for people.
    pub(super) call: String,
    pub(super) entry: usize,
    pub(super) message: String,
}

impl CallError {
    fn new(call: &str, error: AggregateError) -> Self {
        Self { call: call.to_owned(), entry: error.row, message: error.message }
    }
}

/// A call as people read it, its arguments by their columns.
fn text(call: &AggregateCall) -> String {
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let arguments: Vec<&str> = call.arguments.iter().map(Name::as_str).collect();
    format!("{}({distinct}{})", call.function, arguments.join(", "))
}

impl Calls {
    /// The calls of `aggregation` over the edge `input`.
    pub(super) fn compile(
        aggregation: &Aggregation,
        input: &EdgeSchema,
        functions: &FunctionRegistry,
    ) -> Result<Self, Diagnostic> {
        let compile = |call: &AggregateCall| {
            let arguments: Vec<usize> =
                call.arguments.iter().map(|name| column(input, name)).collect::<Result<_, _>>()?;
            let types: Vec<_> = arguments.iter().map(|index| Some(input.columns()[*index].ty.clone())).collect();
            let mut function =
                AggregateFunction::resolve(&call.function, &types, &call.parameters, call.distinct, functions)?;
            function.limit = call.limit;
            if aggregation.retracts && !function.retracts {
                return Err(Diagnostic::not_implemented(format!("taking back rows of {}", function.name)));
            }
            Ok(Call {
                text: text(call),
                state: function.state(aggregation.retracts),
                arguments,
                filter: call.filter.as_ref().map(|name| column(input, name)).transpose()?,
                previous: call.previous,
                result: function.result,
            })
        };
        Ok(Self::new(aggregation.calls.iter().map(compile).collect::<Result<_, Diagnostic>>()?))
    }

    pub(super) fn new(calls: Vec<Call>) -> Self {
        let previous_codec = RowCodec::new(calls.iter().filter(|call| call.previous).map(|call| call.result.clone()));
        Self { calls, previous: Vec::new(), previous_bytes: 0, previous_codec, last_entry: Vec::new() }
    }

    /// True if a call wants prior results.
    pub(super) fn wants_prior(&self) -> bool {
        !self.previous_codec.types().is_empty()
    }

    /// Makes room for groups below `bound`.
    pub(super) fn resize(&mut self, bound: usize) {
        for call in &mut self.calls {
            call.state.resize(bound);
        }
        if self.wants_prior() && self.previous.len() < bound {
            self.previous.resize(bound, Box::default());
        }
        if self.last_entry.len() < bound {
            self.last_entry.resize(bound, NONE);
        }
    }

    /// Takes the entries; no results are wanted.
    pub(super) fn update(&mut self, entries: &Entries<'_>) -> Result<(), CallError> {
        let mut columns = Columns::new(entries);
        for call in &mut self.calls {
            let (arguments, counted) = columns.of(call);
            let rows = AggregateRows {
                groups: entries.groups,
                arguments: &arguments,
                retracted: entries.retracted,
                counted: counted.as_ref(),
            };
            call.state.update(&rows).map_err(|error| CallError::new(&call.text, error))?;
        }
        Ok(())
    }

    /// Takes the entries and gives the result of each; with prior results if the calls want them or `with_prior`.
    /// `known` are the groups of which rows were taken before.
    pub(super) fn update_each(
        &mut self,
        entries: &Entries<'_>,
        known: impl Fn(GroupNumber) -> bool,
        with_prior: bool,
    ) -> Result<Results, CallError> {
        if !with_prior && !self.wants_prior() {
            let mut columns = Columns::new(entries);
            let results = self.calls.iter_mut().map(|call| columns.update_each(call)).collect::<Result<_, _>>()?;
            return Ok(Results { columns: results, from_state: 0, prior: Vec::new() });
        }
        let (prior, first) = self.priors(entries, known);
        let states: Vec<ArrayRef> = self.calls.iter().map(|call| call.state.output(&first)).collect();
        let mut left = self.left_before(&first).into_iter();
        let mut columns = Columns::new(entries);
        let mut results = Vec::with_capacity(self.calls.len());
        let rows: UInt32Array = prior.iter().copied().collect();
        for (call, state) in self.calls.iter_mut().zip(states) {
            let each = columns.update_each(call)?;
            let all = joined(&state, &each);
            results.push(if call.previous {
                let before = left.next().unwrap_or_else(|| unreachable!("one column for each call that wants it"));
                joined(&before, &take_or_null(&all, &rows))
            } else {
                all
            });
        }
        let results = Results { columns: results, from_state: first.len(), prior };
        self.keep_previous(entries.groups, &results);
        for group in entries.groups {
            self.last_entry[*group as usize] = NONE;
        }
        Ok(results)
    }

    /// For each entry the row of its prior result, and the groups whose prior result is that of the state.
    fn priors(
        &mut self,
        entries: &Entries<'_>,
        known: impl Fn(GroupNumber) -> bool,
    ) -> (Vec<Option<u32>>, Vec<GroupNumber>) {
        enum Prior {
            None,
            State(u32),
            Entry(u32),
        }
        let mut first = Vec::new();
        let mut prior = Vec::with_capacity(entries.groups.len());
        for (entry, group) in (0_u32..).zip(entries.groups) {
            // The old side of an update makes no result: the new side's prior is the result before both.
            if entries.silent.is_some_and(|silent| silent.value(entry as usize)) {
                prior.push(Prior::None);
                continue;
            }
            let last = &mut self.last_entry[*group as usize];
            prior.push(if *last != NONE {
                Prior::Entry(*last)
            } else if known(*group) {
                first.push(*group);
                Prior::State(first.len() as u32 - 1)
            } else {
                Prior::None
            });
            *last = entry;
        }
        let from_state = first.len() as u32;
        let row = |prior: Prior| match prior {
            Prior::None => None,
            Prior::State(row) => Some(row),
            Prior::Entry(entry) => Some(from_state + entry),
        };
        (prior.into_iter().map(row).collect(), first)
    }

    /// The prior results that left last with results of these groups, a column for each call that wants them.
    fn left_before(&self, groups: &[GroupNumber]) -> Vec<ArrayRef> {
        if !self.wants_prior() {
            return Vec::new();
        }
        let mut of_nothing = Vec::new();
        let nulls: Vec<ArrayRef> = self
            .previous_codec
            .types()
            .iter()
            .map(|ty| datafusion::arrow::array::new_null_array(&ty.arrow(), 1))
            .collect();
        self.previous_codec.append_row(&nulls, 0, &mut of_nothing);
        let rows = groups.iter().map(|group| {
            let row = &*self.previous[*group as usize];
            if row.is_empty() { &*of_nothing } else { row }
        });
        self.previous_codec.decode(rows).expect("the codec wrote the rows")
    }

    /// Keeps the prior results that leave with the last entry of each group.
    fn keep_previous(&mut self, groups: &[GroupNumber], results: &Results) {
        if !self.wants_prior() {
            return;
        }
        let columns: Vec<ArrayRef> = self
            .calls
            .iter()
            .zip(&results.columns)
            .filter(|(call, _)| call.previous)
            .map(|(_, column)| column.slice(results.from_state, groups.len()))
            .collect();
        for (entry, group) in groups.iter().enumerate() {
            if self.last_entry[*group as usize] as usize == entry {
                let mut row = Vec::new();
                self.previous_codec.append_row(&columns, entry, &mut row);
                self.set_previous(*group, row.into());
            }
        }
    }

    fn set_previous(&mut self, group: GroupNumber, row: Box<[u8]>) {
        let previous = &mut self.previous[group as usize];
        self.previous_bytes = self.previous_bytes + row.len() - previous.len();
        *previous = row;
    }

    /// The results of these groups, in this order.
    pub(super) fn output(&self, groups: &[GroupNumber]) -> Vec<ArrayRef> {
        let mut left = self.left_before(groups).into_iter();
        self.calls
            .iter()
            .map(|call| match call.previous {
                true => left.next().unwrap_or_else(|| unreachable!("one column for each call that wants it")),
                false => call.state.output(groups),
            })
            .collect()
    }

    /// Adds group `from` to group `into`, whose rows are later ones, and leaves it empty.
    pub(super) fn merge(&mut self, into: GroupNumber, from: GroupNumber) -> Result<(), CallError> {
        for call in &mut self.calls {
            call.state.merge(into, from).map_err(|error| CallError::new(&call.text, error))?;
        }
        Ok(())
    }

    /// Makes a group empty.
    pub(super) fn clear(&mut self, group: GroupNumber) {
        for call in &mut self.calls {
            call.state.clear(group);
        }
        if self.wants_prior() {
            self.set_previous(group, Box::default());
        }
    }

    /// Appends the state of a group: each call's, behind the prior results (length in 4 bytes, little-endian) if some
    /// call wants them.
    pub(super) fn save(&self, group: GroupNumber, out: &mut Vec<u8>) {
        if self.wants_prior() {
            let row = &self.previous[group as usize];
            out.extend(u32::try_from(row.len()).expect("a row has fewer than 2^32 bytes").to_le_bytes());
            out.extend_from_slice(row);
        }
        for call in &self.calls {
            call.state.save(group, out);
        }
    }

    /// Sets the state of a group from what [`Self::save`] wrote.
    pub(super) fn load(&mut self, group: GroupNumber, mut bytes: &[u8]) -> Result<(), NotARow> {
        let all = bytes.len();
        if self.wants_prior() {
            let (length, rest) = bytes.split_first_chunk::<4>().ok_or(NotARow(all))?;
            let (row, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(NotARow(all))?;
            if !row.is_empty() && self.previous_codec.row_length(row)? != row.len() {
                return Err(NotARow(all));
            }
            self.set_previous(group, row.into());
            bytes = rest;
        }
        for call in &mut self.calls {
            call.state.load(group, &mut bytes)?;
        }
        if bytes.is_empty() { Ok(()) } else { Err(NotARow(all)) }
    }

    /// Memory held, bytes, about.
    pub(super) fn size_bytes(&self) -> usize {
        let states: usize = self.calls.iter().map(|call| call.state.size_bytes()).sum();
        let previous = self.previous.capacity() * size_of::<Box<[u8]>>() + self.previous_bytes;
        states + previous + self.last_entry.capacity() * size_of::<u32>()
    }
}

/// The position of a column that the graph names.
pub(in crate::operators) fn column(edge: &EdgeSchema, name: &Name) -> Result<usize, Diagnostic> {
    edge.index_of(name).ok_or_else(|| {
        Diagnostic::new(Code::UnknownColumn, format!("column {name} is not on the edge of its aggregation"))
    })
}

/// The input columns of the entries, each taken once.
struct Columns<'a> {
    entries: &'a Entries<'a>,
    taken: Vec<Option<ArrayRef>>,
}

impl<'a> Columns<'a> {
    fn new(entries: &'a Entries<'a>) -> Self {
        Self { entries, taken: vec![None; entries.batch.num_columns()] }
    }

    fn column(&mut self, index: usize) -> ArrayRef {
        let Entries { batch, rows, .. } = self.entries;
        let taken = self.taken[index].get_or_insert_with(|| match rows {
            None => ArrayRef::clone(batch.column(index)),
            Some(rows) => compute::take(batch.column(index), rows, None).expect("rows are within the batch"),
        });
        ArrayRef::clone(taken)
    }

    /// The arguments of a call, and which entries count.
    fn of(&mut self, call: &Call) -> (Vec<ArrayRef>, Option<BooleanBuffer>) {
        let arguments = call.arguments.iter().map(|index| self.column(*index)).collect();
        let counted = call.filter.map(|index| {
            let column = self.column(index);
            let column = column.as_boolean();
            match column.nulls() {
                Some(valid) => column.values() & valid.inner(),
                None => column.values().clone(),
            }
        });
        (arguments, counted)
    }

    fn update_each(&mut self, call: &mut Call) -> Result<ArrayRef, CallError> {
        let (arguments, counted) = self.of(call);
        let rows = AggregateRows {
            groups: self.entries.groups,
            arguments: &arguments,
            retracted: self.entries.retracted,
            counted: counted.as_ref(),
        };
        call.state.update_each(&rows).map_err(|error| CallError::new(&call.text, error))
    }
}

/// `first`, then `second`.
fn joined(first: &ArrayRef, second: &ArrayRef) -> ArrayRef {
    if first.is_empty() {
        return ArrayRef::clone(second);
    }
    compute::concat(&[first.as_ref(), second.as_ref()]).expect("both are results of one call")
}
