//! Any other SQL: queries without EMIT that the dialect does not have, planned and run by DataFusion.
//!
//! ```text
//!   text ── dialect ──▶ tree ── rewrite ──▶ tree ── names, function ──▶ logical plan
//!        ── table (Rows) ──▶ physical plan ── own threads ──▶ batches ── columns ──▶ RowEvents
//! ```
//!
//! Joins, GROUP BY, ORDER BY, DISTINCT, WITH, sub-queries, UNION and OVER over tables as they are now and over streams up
//! to their present ends. This is standard SQL with three-valued logic; names, types, scalar functions and CAST are the
//! dialect's.
//!
//! Invariants:
//! - nothing is computed on the threads of running queries or of a server: there is a pool of our own;
//! - queries share one session state, one memory limit and one bound on how many run; each has a bound on its time;
//! - a client that goes away ends its query.
//!
//! Reading order: [`AdHoc`], [`Rows`], `dialect`, `rewrite`, `names`, `function`, `aggregate`, `table`,
//! `refusal`, `wording`.

mod aggregate;
mod columns;
mod dialect;
mod function;
mod names;
mod pool;
mod refusal;
mod rewrite;
mod scan;
mod table;
mod wording;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::Arc;

use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::displayable;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::Statement;
use tokio::sync::mpsc::Sender;

use crate::catalog::Catalog;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::EvaluationContext;
use crate::functions::FunctionRegistry;
use crate::runtime::RowEvent;
use crate::sql::ast::StandardQuery;
use crate::types::{Name, SqlType};

pub use function::Told;
pub use pool::AdHocSettings;
pub use table::Rows;

use function::Surroundings;
use names::Names;
use pool::Pool;
use refusal::Blamed;

/// Plans and runs queries in standard SQL.
#[derive(Debug)]
pub struct AdHoc {
    pool: Pool,
}

/// What a query is read with.
pub struct Reading<'a> {
    /// What exists.
    pub catalog: &'a Catalog,
    /// Every function.
    pub functions: FunctionRegistry,
    /// What the functions of time and chance read.
    pub context: EvaluationContext,
    /// Gives the rows.
    pub rows: Arc<dyn Rows>,
    /// Takes what fails while functions are computed.
    pub told: Told,
}

/// DataFusion's plans of a query, as text.
#[derive(Debug)]
pub struct Explained {
    /// What is computed.
    pub logical: String,
    /// How it is.
    pub physical: String,
}

/// A query that can run.
pub struct AdHocQuery {
    plan: LogicalPlan,
    state: SessionState,
    columns: Vec<(Name, SqlType)>,
    sources: Vec<Name>,
}

impl std::fmt::Debug for AdHocQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.plan.display_indent())
    }
}

impl AdHocQuery {
    /// The columns of the result.
    pub fn columns(&self) -> &[(Name, SqlType)] {
        &self.columns
    }

    /// The streams and tables that it names, each once.
    pub fn sources(&self) -> &[Name] {
        &self.sources
    }
}

/// Reads a query's grammar and nothing else.
///
/// # Errors
/// The first mistake, with its place.
pub fn check(query: &StandardQuery) -> Result<(), Diagnostic> {
    dialect::parse(query).map(|_| ())
}

impl AdHoc {
    /// Starts nothing yet: threads come with the first query.
    pub fn new(settings: AdHocSettings) -> Self {
        Self { pool: Pool::new(settings) }
    }

    /// Plans a query.
    ///
    /// # Errors
    /// Whatever is wrong with the query, with its place where it is known.
    pub fn plan(&self, query: &StandardQuery, reading: Reading<'_>) -> Result<AdHocQuery, Diagnostic> {
        let mut parsed = dialect::parse(query)?;
        let Reading { catalog, functions, context, rows, told } = reading;
        let hidden = rewrite::hidden_columns(&parsed.tokens);
        rewrite::rewrite(&mut parsed.tree, catalog, &functions, &hidden);
        let surroundings = Arc::new(Surroundings { functions, context, told });
        let blamed = Blamed { query, tokens: &parsed.tokens, functions: &surroundings.functions };
        let state = self.pool.state().map_err(|error| refusal::failure(&error))?;
        let names = Names {
            state: &state,
            catalog,
            hidden: &hidden,
            rows: &rows,
            surroundings: &surroundings,
            named: RefCell::default(),
        };
        let options = ParserOptions::new()
            .with_enable_ident_normalization(false)
            .with_collect_spans(true)
            .with_map_string_types_to_utf8view(false)
            .with_parse_float_as_decimal(true);
        let plan = SqlToRel::new_with_options(&names, options)
            .sql_statement_to_plan(Statement::Query(parsed.tree))
            .and_then(|plan| state.optimize(&plan))
            .map_err(|error| blamed.refusal(&error))?;
        let sources = names.named.take().into_keys().collect();
        let mut columns = Vec::with_capacity(plan.schema().fields().len());
        for field in plan.schema().fields() {
            let name = Name::from(field.name().as_str());
            let Some(ty) = columns::sql_type(field.data_type()) else {
                let unknown = format!("column {name} has type {}, which no SQL type here holds", field.data_type());
                return Err(Diagnostic::new(Code::TypeMismatch, unknown).at(query.span));
            };
            columns.push((name, ty));
        }
        Ok(AdHocQuery { plan, state: state.clone(), columns, sources })
    }

    /// Runs a query: its rows go to `events`, then [`RowEvent::Completed`] or [`RowEvent::Failed`]. Dropping the
    /// receiver ends it.
    ///
    /// # Errors
    /// Too many run already.
    pub fn run(&self, id: String, query: AdHocQuery, events: Sender<RowEvent>) -> Result<(), Diagnostic> {
        self.pool.run(id, query, events)
    }

    /// Ends a running query without a last event; false if there is none of this id.
    pub fn end(&self, id: &str) -> bool {
        self.pool.end(id)
    }

    /// The ids of the queries that run.
    pub fn running(&self) -> Vec<String> {
        self.pool.running()
    }

    /// How a query would be run.
    ///
    /// # Errors
    /// It cannot be.
    pub fn explain(&self, query: AdHocQuery) -> Result<Explained, Diagnostic> {
        let AdHocQuery { plan, state, .. } = query;
        let logical = plan.display_indent().to_string();
        let physical = self.pool.block_on(async move {
            state.query_planner().create_physical_plan(&plan, &state).await.map_err(|error| refusal::failure(&error))
        })??;
        Ok(Explained { logical, physical: displayable(physical.as_ref()).indent(false).to_string() })
    }
}
