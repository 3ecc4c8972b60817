//! Pull queries over tables: plan, compile, read a snapshot, answer.
//!
//! A short answer is made at once, on the thread that asks; of a long one the first batch is, and a thread of its own makes
//! the others as the client takes them.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use tokio::sync::mpsc;

use crate::catalog::Source;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::EvaluationContext;
use crate::planner::{Compatibility, PullOptions, plan_pull};
use crate::serving::{PointLookup, PullProgram, PullRows};
use crate::sql::ast::{Ident, Query};

use super::RowEvent;
use super::answer::{Request, ResultColumn, RowStream};
use super::database::Engine;
use super::pull_cache::{Form, PlannedPull};
use super::scope::Scope;

/// Rows that are read at once: enough that a batch costs little, few enough that one takes well under a millisecond.
const BATCH_ROWS: usize = 1024;

/// Keys that are looked up without a thread that may block.
const MAX_KEYS_AT_ONCE: usize = 16;

impl Engine {
    /// Answers SELECT over a table, and remembers how.
    ///
    /// # Errors
    /// The statement is refused, or the table cannot be read in time.
    pub(super) fn pull(
        self: &Arc<Self>,
        scope: &Scope<'_>,
        query: &Query,
        request: &Request,
        table: &Ident,
    ) -> Result<RowStream, Diagnostic> {
        let options = pull_options(scope);
        let is_ksqldb = scope.session.plan_settings().compatibility == Compatibility::Ksqldb;
        let plan = scope.plan(|catalog, context| plan_pull(query, options, catalog, context))?;
        if is_ksqldb {
            check_materialized(&plan.source).map_err(|error| error.at(table.span))?;
        }
        let served = self.served_table(&plan.source)?;
        let shape = served.shape();
        let pull = PlannedPull {
            program: Arc::new(PullProgram::compile(&plan, shape, &scope.functions())?),
            point: Form::of(&request.sql).and_then(|form| PointLookup::of(&plan, shape, form.literals.len())),
            table: plan.source,
            columns: plan
                .columns
                .into_iter()
                .map(|column| ResultColumn { name: column.name, ty: column.ty, is_key: column.is_key })
                .collect(),
        };
        let snapshot = self.table_snapshot(&pull.table).map_err(|error| error.at(table.span))?;
        let rows = pull.program.run(snapshot, self.evaluation_context(), BATCH_ROWS);
        let answer = self.answer_pull(&pull, rows);
        self.pulls.remember(request, scope.world.next_command, pull);
        answer
    }

    /// Answers a pull query that was planned before, if this is one.
    ///
    /// # Errors
    /// The table cannot be read in time.
    pub(super) fn pull_again(self: &Arc<Self>, request: &Request) -> Option<Result<RowStream, Diagnostic>> {
        let (pull, literals) = self.pulls.find(request, self.world().next_command)?;
        let served = match self.served_table(&pull.table) {
            Ok(served) => served,
            Err(error) => return Some(Err(error)),
        };
        let ranges = match (&pull.point, literals) {
            (Some(point), Some(literals)) => Some(point.ranges(served.shape(), &literals)?),
            _ => None,
        };
        let answer = self.snapshot_of(&served).and_then(|snapshot| {
            let context = self.evaluation_context();
            let rows = match ranges {
                Some(ranges) => pull.program.run_at(snapshot, ranges, context, BATCH_ROWS),
                None => pull.program.run(snapshot, context, BATCH_ROWS),
            };
            self.answer_pull(&pull, rows)
        });
        Some(answer)
    }

    /// Answers a look-up of a few keys that was planned before, if that takes a moment: the table is read as far as
    /// anything was committed, or nearly so. `None` in all other cases; then [`Self::query`] answers. Never blocks.
    pub async fn look_up_soon(self: &Arc<Self>, request: &Request) -> Option<RowStream> {
        let (pull, literals) = self.pulls.find(request, self.world().next_command)?;
        let (point, literals) = (pull.point.as_ref()?, literals?);
        if self.is_closed() || literals.len() > MAX_KEYS_AT_ONCE {
            return None;
        }
        let served = self.served_table(&pull.table).ok()?;
        let ranges = point.ranges(served.shape(), &literals)?;
        let snapshot = served.snapshot_soon().await?;
        let rows = pull.program.run_at(snapshot, ranges, self.evaluation_context(), BATCH_ROWS);
        self.answer_pull(&pull, rows).ok()
    }

    fn evaluation_context(&self) -> EvaluationContext {
        EvaluationContext { now_ms: self.clock.now_ms(), seed: self.next_seed() }
    }

    fn answer_pull(self: &Arc<Self>, pull: &PlannedPull, rows: PullRows) -> Result<RowStream, Diagnostic> {
        let query_id = format!("transient_{}_{}", pull.table.name.as_str(), self.next_seed() >> 1);
        let events = self.send_rows(rows)?;
        let warnings = self.staleness(&pull.table).into_iter().collect();
        Ok(RowStream { query_id, columns: pull.columns.clone(), is_push: false, over_table: true, warnings, events })
    }

    /// The events of an answer: all of them if they are few, else the first, while a thread makes the others.
    fn send_rows(self: &Arc<Self>, mut rows: PullRows) -> Result<mpsc::Receiver<RowEvent>, Diagnostic> {
        let (sender, events) = mpsc::channel(self.settings.push_buffer_batches.max(4));
        let (first, second) = (rows.next(), rows.next());
        let is_whole = second.is_none();
        for batch in [first, second].into_iter().flatten() {
            // The channel holds four at least.
            let _ = sender.try_send(event(batch));
        }
        if is_whole {
            let _ = sender.try_send(RowEvent::Completed);
            return Ok(events);
        }
        self.spawn_reader("pull", move |_, stop| {
            for batch in rows {
                let is_last = batch.is_err();
                if !stop.send(&sender, event(batch)) || is_last {
                    return;
                }
            }
            stop.send(&sender, RowEvent::Completed);
        })?;
        Ok(events)
    }
}

fn event(batch: Result<RecordBatch, ArrowError>) -> RowEvent {
    match batch {
        Ok(rows) => RowEvent::Rows { rows, tombstones: None },
        Err(error) => RowEvent::Failed(Diagnostic::new(Code::Internal, error.to_string())),
    }
}

/// What the settings in force allow pull queries.
pub(super) fn pull_options(scope: &Scope<'_>) -> PullOptions {
    let properties = scope.session.properties();
    PullOptions {
        table_scan: properties.is_on("ksql.query.pull.table.scan.enabled", true),
        range_scan: properties.is_on("ksql.query.pull.range.scan.enabled", true),
    }
}

/// Refuses tables that ksqlDB does not materialize: those that were declared over a topic.
fn check_materialized(table: &Source) -> Result<(), Diagnostic> {
    // A read-only table is one that CREATE SOURCE TABLE made, which materializes it.
    if table.created_by.is_some() || table.read_only {
        return Ok(());
    }
    let name = &table.name;
    Err(Diagnostic::new(Code::Unsupported, format!("table {name} is not materialized"))
        .with_detail(format!("Can't pull from {} as it's not a materialized table.", name.quoted()))
        .with_hint(format!(
            "Add EMIT CHANGES to run a push query, or build a materialized table: \
             CREATE TABLE QUERYABLE_{name} AS SELECT * FROM {name};"
        )))
}
