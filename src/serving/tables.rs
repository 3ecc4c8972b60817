//! The tables that are followed, by name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::materialization::{Changer, Materialization};
use super::snapshot::Snapshot;
use super::table_shape::TableShape;
use crate::catalog::Source;
use crate::runtime::{Following, Runtime, RuntimeError};
use crate::types::Name;

/// Why a table gives no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// The table cannot be followed: no topic, a format that is not built, a log that refuses.
    #[error("table {table} cannot be read")]
    Follow {
        /// The table.
        table: Name,
        /// Why.
        #[source]
        source: Box<RuntimeError>,
    },
    /// The table is still being read from its topic.
    #[error("table {table} is still being read from its topic: {rows} rows so far, {lag} records are left")]
    Restoring {
        /// The table.
        table: Name,
        /// Rows so far.
        rows: usize,
        /// Records not read yet.
        lag: u64,
    },
    /// Its topic is gone, or its follower failed.
    #[error("table {table} cannot be followed any more: {reason}")]
    Broken {
        /// The table.
        table: Name,
        /// Why.
        reason: String,
    },
}

/// What a followed table costs, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStats {
    /// The table.
    pub table: Name,
    /// Its rows.
    pub rows: usize,
    /// Bytes of their keys and values.
    pub data_bytes: usize,
    /// Bytes of memory they take.
    pub heap_bytes: usize,
    /// Records committed and not yet followed.
    pub lag: u64,
}

/// A table that is followed.
#[derive(Debug)]
pub struct ServedTable {
    source: Arc<Source>,
    table: Arc<Materialization>,
    following: Following,
}

impl ServedTable {
    /// The table's columns.
    pub fn shape(&self) -> &Arc<TableShape> {
        self.table.shape()
    }

    /// The table with everything that was committed before this call.
    ///
    /// # Errors
    /// That is not followed within `timeout`; [`ServingError`] tells why.
    pub fn snapshot(&self, timeout: Duration) -> Result<Snapshot, ServingError> {
        let table = || self.source.name.clone();
        let is_whole = self
            .following
            .catch_up(timeout)
            .map_err(|source| ServingError::Follow { table: table(), source: Box::new(source) })?;
        if let Some(reason) = self.following.broken() {
            return Err(ServingError::Broken { table: table(), reason });
        }
        if !is_whole {
            let rows = self.table.snapshot().rows();
            return Err(ServingError::Restoring { table: table(), rows, lag: self.following.lag() });
        }
        Ok(self.table.snapshot())
    }

    /// The same if it takes a moment; never blocks.
    pub async fn snapshot_soon(&self) -> Option<Snapshot> {
        let is_whole = self.following.catch_up_soon().await.ok()? && self.following.broken().is_none();
        is_whole.then(|| self.table.snapshot())
    }
}

/// All tables that are followed.
#[derive(Debug, Default)]
pub struct Tables {
    served: Mutex<HashMap<Name, Arc<ServedTable>>>,
}

impl Tables {
    /// The table of the catalog, followed from now on if it was not.
    ///
    /// `retention_ms` says how long windows are kept behind the latest one; `None` keeps all.
    ///
    /// # Errors
    /// [`ServingError::Follow`].
    pub fn serve(
        &self,
        runtime: &Runtime,
        source: &Arc<Source>,
        retention_ms: impl FnOnce() -> Option<i64>,
    ) -> Result<Arc<ServedTable>, ServingError> {
        let mut served = self.served.lock();
        if let Some(known) = served.get(&source.name)
            && (Arc::ptr_eq(&known.source, source) || known.source == *source)
            && known.following.broken().is_none()
        {
            return Ok(Arc::clone(known));
        }
        let table = Arc::new(Materialization::new(Arc::new(TableShape::new(source))));
        let mut changer = Changer::new(Arc::clone(&table), retention_ms());
        let following = runtime
            .follow(&table.shape().input, Box::new(move |followed| changer.take(followed)))
            .map_err(|error| ServingError::Follow { table: source.name.clone(), source: Box::new(error) })?;
        let known = Arc::new(ServedTable { source: Arc::clone(source), table, following });
        served.insert(source.name.clone(), Arc::clone(&known));
        Ok(known)
    }

    /// Follows no table any more that `keep` does not know as it is followed.
    pub fn retain(&self, keep: impl Fn(&Source) -> bool) {
        self.served.lock().retain(|_, known| keep(&known.source));
    }

    /// Follows nothing any more.
    pub fn clear(&self) {
        self.served.lock().clear();
    }

    /// What the followed tables cost, by name.
    pub fn stats(&self) -> Vec<TableStats> {
        let served: Vec<_> = self.served.lock().values().cloned().collect();
        let mut stats: Vec<TableStats> = served
            .iter()
            .map(|known| {
                let (rows, data_bytes, heap_bytes) = known.table.sizes();
                let table = known.source.name.clone();
                TableStats { table, rows, data_bytes, heap_bytes, lag: known.following.lag() }
            })
            .collect();
        stats.sort_by(|a, b| a.table.as_str().cmp(b.table.as_str()));
        stats
    }
}
