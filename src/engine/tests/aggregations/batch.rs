//! The answer of a case by batch SQL: DataFusion over all records at once.
//!
//! What SQL does not have is said in SQL: a row is late if its window is closed at the running maximum of event times,
//! windows are rows of a small table of numbers, sessions are islands between gaps.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use datafusion::prelude::SessionContext;

use super::{Case, Shape, value_text};

/// More windows than one row is in.
const MOST_WINDOWS: i64 = 8;

impl Case {
    /// The table that batch SQL gives: value and time by key, as text.
    pub(super) fn batch_answer(&self) -> BTreeMap<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sql = self.batch_sql();
        let batches = runtime.block_on(async {
            let context = SessionContext::new();
            context.register_batch("s", self.batch_rows()).unwrap();
            let numbers: ArrayRef = Arc::new((0..MOST_WINDOWS).collect::<Int64Array>());
            context.register_batch("w", RecordBatch::try_from_iter([("n", numbers)]).unwrap()).unwrap();
            context.sql(&sql).await.unwrap_or_else(|error| panic!("{error}: {sql}")).collect().await.unwrap()
        });
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| self.batch_entry(batch, row))).collect()
    }

    /// The records that have a value.
    fn batch_rows(&self) -> RecordBatch {
        let rows: Vec<_> = (0..).zip(&self.rows).filter_map(|(nth, row)| Some((nth, row, row.value?))).collect();
        let numbers = |get: &dyn Fn(usize) -> Option<i64>| -> ArrayRef {
            Arc::new((0..rows.len()).map(get).collect::<Int64Array>())
        };
        let keys: ArrayRef = Arc::new(rows.iter().map(|(_, row, _)| row.key.clone()).collect::<StringArray>());
        RecordBatch::try_from_iter_with_nullable([
            ("nth", numbers(&|i| Some(rows[i].0)), true),
            ("k", keys, true),
            ("g", numbers(&|i| rows[i].2.0), true),
            ("v", numbers(&|i| rows[i].2.1), true),
            ("ts", numbers(&|i| Some(rows[i].1.time)), true),
        ])
        .unwrap()
    }

    fn batch_sql(&self) -> String {
        let by = self.by.join(", ").to_lowercase();
        let mut conditions: Vec<_> =
            self.by.iter().map(|column| format!("{} IS NOT NULL", column.to_lowercase())).collect();
        if self.filters {
            conditions.push("v <> 3".to_owned());
        }
        let grace = self.grace;
        let counted = format!(
            "counted AS (
               SELECT *, MAX(ts) OVER (ORDER BY nth ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS now
               FROM s WHERE {})",
            conditions.join(" AND ")
        );
        let (steps, from, window) = match self.shape {
            Shape::None => (String::new(), "counted", ""),
            Shape::Time { size, advance } => {
                let over = match self.is_final {
                    true => format!("AND start + {size} + {grace} <= (SELECT MAX(ts) FROM counted)"),
                    false => String::new(),
                };
                let steps = format!(
                    ", placed AS (SELECT c.*, (c.ts / {advance} - w.n) * {advance} AS start FROM counted c CROSS JOIN w),
                     taken AS (
                       SELECT *, start + {size} AS stop FROM placed
                       WHERE start >= 0 AND start + {size} > ts AND start + {size} > now - {grace} {over})"
                );
                (steps, "taken", ", start, stop")
            }
            Shape::Session { gap } => {
                let steps = format!(
                    ", marked AS (
                       SELECT *, CASE WHEN ts - LAG(ts) OVER (PARTITION BY {by} ORDER BY ts, nth) <= {gap}
                                      THEN 0 ELSE 1 END AS opens FROM counted),
                     numbered AS (
                       SELECT *, SUM(opens) OVER (PARTITION BY {by} ORDER BY ts, nth
                                                  ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS session
                       FROM marked)"
                );
                (steps, "numbered", ", session")
            }
        };
        let bounds = match self.shape {
            Shape::None => "0 AS start, 0 AS stop",
            Shape::Time { .. } => "start, stop",
            Shape::Session { .. } => "MIN(ts) AS start, MAX(ts) AS stop",
        };
        let having = self.having.map_or(String::new(), |having| format!("HAVING {}", having.sql()));
        format!(
            "WITH {counted} {steps}
             SELECT {by}, {bounds}, COUNT(*) AS n, COUNT(v) AS c, COALESCE(SUM(v), 0) AS s, MIN(v) AS lo, MAX(v) AS hi,
                    COALESCE(AVG(v), 0.0) AS a, MAX(ts) AS at
             FROM {from} GROUP BY {by} {window} {having}"
        )
    }

    fn batch_entry(&self, batch: &RecordBatch, row: usize) -> (String, String) {
        let number = |name: &str| {
            let column: &Int64Array = batch.column_by_name(name).unwrap().as_primitive::<Int64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        let parts = self.by.iter().map(|column| match *column {
            "K" => format!("\"{}\"", batch.column_by_name("k").unwrap().as_string::<i32>().value(row)),
            _ => number("g").unwrap().to_string(),
        });
        let group = self.group_text(&parts.collect::<Vec<_>>());
        let (start, stop) = (number("start").unwrap(), number("stop").unwrap());
        let key = match self.shape {
            Shape::Session { .. } => super::session_key(&group, start, stop),
            Shape::None | Shape::Time { .. } => self.key(&group, start),
        };
        let mean: &Float64Array = batch.column_by_name("a").unwrap().as_primitive::<Float64Type>();
        let counts = (number("n").unwrap(), number("c").unwrap(), number("s").unwrap());
        let text = value_text(counts, (number("lo"), number("hi")), mean.value(row), number("at").unwrap());
        (key.escape_ascii().to_string(), text)
    }
}
