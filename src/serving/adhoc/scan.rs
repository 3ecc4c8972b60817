//! A scan of one stream or table in a physical plan.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions};
use futures_util::stream;
use tokio::sync::mpsc::Receiver;

use crate::catalog::Source;
use crate::runtime::RowEvent;
use crate::serving::{KeyRange, Snapshot};
use crate::types::Name;

use super::function::carried;
use super::table::{Rows, is_all};

/// What is read.
#[derive(Debug, Clone)]
pub(super) enum Reads {
    /// Rows of a table with keys in these ranges, which do not overlap; columns by position.
    Table { snapshot: Snapshot, columns: Vec<usize>, ranges: Vec<KeyRange> },
    /// A stream up to its end when the query runs; more columns than the scan has are dropped.
    Stream { source: Arc<Source>, columns: Vec<Name>, rows: Arc<dyn Rows> },
}

/// Reads a stream or table in one partition.
#[derive(Debug)]
pub(super) struct ScanExec {
    schema: SchemaRef,
    reads: Reads,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    /// `schema` are the columns that `reads` names.
    pub(super) fn new(schema: SchemaRef, reads: Reads, limit: Option<usize>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { schema, reads, limit, properties: Arc::new(properties) }
    }

    /// How many rows there are, and whether it is known for sure.
    fn rows(&self) -> Precision<usize> {
        let Reads::Table { snapshot, ranges, .. } = &self.reads else { return Precision::Absent };
        let rows = self.limit.map_or(snapshot.rows(), |limit| limit.min(snapshot.rows()));
        let is_whole = ranges.iter().all(is_all) && !snapshot.shape().is_windowed();
        match is_whole {
            true => Precision::Exact(rows),
            false if ranges.iter().all(is_all) => Precision::Inexact(rows),
            false => Precision::Inexact(rows.min(ranges.len())),
        }
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reads {
            Reads::Table { snapshot, ranges, .. } => {
                let table = &snapshot.shape().input.source;
                write!(f, "TableScan: {table}, rows={}", snapshot.rows())?;
                if !ranges.iter().all(is_all) {
                    write!(f, ", keys={}", ranges.len())?;
                }
            }
            Reads::Stream { source, .. } => write!(f, "StreamScan: {}", source.name)?,
        }
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, ", columns=[{}]", columns.join(", "))?;
        self.limit.map_or(Ok(()), |limit| write!(f, ", limit={limit}"))
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a scan has no inputs") }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a scan has no inputs") }
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self::new(Arc::clone(&self.schema), self.reads.clone(), limit)))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = Arc::clone(&self.schema);
        let batch_rows = context.session_config().batch_size();
        let left = self.limit.unwrap_or(usize::MAX);
        let stream: SendableRecordBatchStream = match &self.reads {
            Reads::Table { snapshot, columns, ranges } => {
                let (snapshot, columns) = (snapshot.clone(), columns.clone());
                let scans =
                    ranges.clone().into_iter().flat_map(move |range| snapshot.scan(range, &columns, batch_rows));
                let own = Arc::clone(&schema);
                let batches = scans.map(move |batch| Ok(batch?.with_schema(Arc::clone(&own))?));
                Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(Limited { batches, left })))
            }
            Reads::Stream { source, columns, rows } => {
                let events = rows.stream(source, columns).map_err(carried)?;
                let own = Arc::clone(&schema);
                let batches = stream::unfold((events, left), move |(mut events, left)| {
                    let schema = Arc::clone(&own);
                    async move {
                        if left == 0 {
                            return None;
                        }
                        let batch = next_batch(&mut events, schema).await.transpose()?;
                        let batch = batch.map(|batch| batch.slice(0, left.min(batch.num_rows())));
                        let left = batch.as_ref().map_or(0, |batch| left - batch.num_rows());
                        Some((batch, (events, left)))
                    }
                });
                Box::pin(RecordBatchStreamAdapter::new(schema, batches))
            }
        };
        Ok(make_cooperative(stream))
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = self.rows();
        Ok(Arc::new(statistics))
    }
}

/// Batches up to a number of rows.
struct Limited<I> {
    batches: I,
    left: usize,
}

impl<I: Iterator<Item = Result<RecordBatch>>> Iterator for Limited<I> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let batch = self.batches.next()?.map(|batch| batch.slice(0, self.left.min(batch.num_rows())));
        self.left = batch.as_ref().map_or(0, |batch| self.left - batch.num_rows());
        Some(batch)
    }
}

async fn next_batch(events: &mut Receiver<RowEvent>, schema: SchemaRef) -> Result<Option<RecordBatch>> {
    match events.recv().await {
        Some(RowEvent::Rows { rows, .. }) => {
            let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
            let arrays = rows.columns().iter().take(schema.fields().len()).cloned().collect();
            Ok(Some(RecordBatch::try_new_with_options(schema, arrays, &options)?))
        }
        Some(RowEvent::Completed | RowEvent::LimitReached) => Ok(None),
        Some(RowEvent::Failed(diagnostic)) => Err(carried(diagnostic)),
        None => Err(DataFusionError::Execution("the scan of a stream was ended".to_owned())),
    }
}
