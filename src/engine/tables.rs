//! The tables that queries read once, as the engine's catalog knows them.

use std::sync::Arc;

use crate::catalog::Source;
use crate::diagnostics::{Code, Diagnostic};
use crate::planner::graph::{Emission, OperatorKind};
use crate::serving::{ServedTable, ServingError, Snapshot, TableStats};
use crate::telemetry::TableMetrics;

use super::database::Engine;
use super::running::chain;

/// How long results of closed windows can be read at least, ksqlDB's day: their retention says how long a window waits
/// for rows, which with a short grace is hardly beyond the moment that its result comes.
const FINAL_RETENTION_MS: i64 = 24 * 60 * 60 * 1000;

impl Engine {
    /// A table of the catalog as everything committed before this call makes it. The first call for a table reads it
    /// whole; later ones wait for what came last at most (`query.pull.timeout`).
    ///
    /// # Errors
    /// The table cannot be read, or not in time.
    pub(super) fn table_snapshot(&self, table: &Arc<Source>) -> Result<Snapshot, Diagnostic> {
        self.snapshot_of(self.served_table(table)?.as_ref())
    }

    /// As [`Self::table_snapshot`], of a table that is followed.
    ///
    /// # Errors
    /// The table cannot be read in time.
    pub(super) fn snapshot_of(&self, table: &ServedTable) -> Result<Snapshot, Diagnostic> {
        table.snapshot(self.settings.pull_timeout).map_err(|error| unserved(&error))
    }

    /// A table of the catalog, followed from now on.
    ///
    /// # Errors
    /// The table cannot be followed.
    pub(super) fn served_table(&self, table: &Arc<Source>) -> Result<Arc<ServedTable>, Diagnostic> {
        let served = self.tables.serve(&self.runtime, table, || self.window_retention(table));
        if served.is_ok() && !self.has_table(table) {
            // It was dropped meanwhile, perhaps after those that follow it were told so. The reader keeps its own.
            self.tables.retain(|known| self.has_table(known));
        }
        served.map_err(|error| unserved(&error))
    }

    /// The tables that are kept in memory, and what they cost.
    pub fn table_metrics(&self) -> Vec<TableMetrics> {
        let metrics = |stats: TableStats| TableMetrics {
            table: stats.table.as_str().to_owned(),
            rows: stats.rows,
            data_bytes: stats.data_bytes,
            memory_bytes: stats.heap_bytes,
            lag: stats.lag,
        };
        self.tables.stats().into_iter().map(metrics).collect()
    }

    /// How long the windows of a table are kept: as its query says, else as its topic does.
    fn window_retention(&self, table: &Source) -> Option<i64> {
        table.window?;
        let world = self.world();
        let query = table.created_by.as_ref().and_then(|id| world.queries.get(id));
        let of_query = query.and_then(|query| {
            query.graph.stages.iter().flat_map(|stage| &stage.operators).find_map(|operator| match &operator.kind {
                OperatorKind::Aggregate(aggregation) => {
                    let retention_ms = aggregation.window?.retention_ms;
                    let is_final = matches!(aggregation.emission, Emission::Final | Emission::FinalWithLoss);
                    Some(if is_final { retention_ms.max(FINAL_RETENTION_MS) } else { retention_ms })
                }
                _ => None,
            })
        });
        of_query.or_else(|| self.log.topic(&table.topic).ok().flatten()?.config.retention_ms)
    }

    /// Lets go of tables that are gone or are others now.
    pub(super) fn forget_dropped_tables(&self) {
        self.tables.retain(|table| self.has_table(table));
    }

    /// True if this is a table of the catalog as it is now.
    fn has_table(&self, table: &Source) -> bool {
        let world = self.world();
        world
            .catalog
            .source(&table.name)
            .is_some_and(|known| std::ptr::eq(Arc::as_ptr(known), table) || known.as_ref() == table)
    }
}

/// Why a table gives no rows, for its reader.
fn unserved(error: &ServingError) -> Diagnostic {
    match error {
        ServingError::Restoring { .. } => Diagnostic::new(Code::NotReady, error.to_string())
            .with_hint("Ask again a little later, or raise query.pull.timeout."),
        ServingError::Follow { .. } | ServingError::Broken { .. } => Diagnostic::new(Code::Storage, chain(error)),
    }
}
