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
use crate::serving::{PullProgram, PullRows};
use crate::sql::ast::{Ident, Query};

use super::RowEvent;
use super::answer::{ResultColumn, RowStream};
use super::database::Engine;
use super::scope::Scope;

/// Rows that are read at once: enough that a batch costs little, few enough that one takes well under a millisecond.
const BATCH_ROWS: usize = 1024;

impl Engine {
    /// Answers SELECT over a table.
    ///
    /// # Errors
    /// The statement is refused, or the table cannot be read in time.
    pub(super) fn pull(
        self: &Arc<Self>,
        scope: &Scope<'_>,
        query: &Query,
        table: &Ident,
    ) -> Result<RowStream, Diagnostic> {
        let properties = scope.session.properties();
        let options = PullOptions {
            table_scan: properties.is_on("ksql.query.pull.table.scan.enabled", true),
            range_scan: properties.is_on("ksql.query.pull.range.scan.enabled", true),
        };
        let is_ksqldb = scope.session.plan_settings().compatibility == Compatibility::Ksqldb;
        let plan = scope.plan(|catalog, context| plan_pull(query, options, catalog, context))?;
        if is_ksqldb {
            check_materialized(&plan.source).map_err(|error| error.at(table.span))?;
        }
        let served = self.served_table(&plan.source)?;
        let program = Arc::new(PullProgram::compile(&plan, served.shape(), &scope.functions())?);
        let snapshot = self.table_snapshot(&plan.source).map_err(|error| error.at(table.span))?;
        let context = EvaluationContext { now_ms: self.clock.now_ms(), seed: self.next_seed() };
        let rows = program.run(&snapshot, context, BATCH_ROWS);
        let columns = plan
            .columns
            .into_iter()
            .map(|column| ResultColumn { name: column.name, ty: column.ty, is_key: column.is_key })
            .collect();
        let query_id = format!("transient_{}_{}", plan.source.name.as_str(), self.next_seed() >> 1);
        let events = self.send_rows(rows)?;
        Ok(RowStream { query_id, columns, is_push: false, over_table: true, events })
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
