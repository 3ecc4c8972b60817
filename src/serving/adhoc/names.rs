//! What names in a query mean: streams and tables of the catalog, this dialect's functions and types before DataFusion's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{Result, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion::sql::sqlparser::ast::DataType as WrittenType;

use crate::catalog::{Catalog, Source};
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeSchema, type_of};
use crate::functions::FunctionRegistry;
use crate::sql::parse_expression;
use crate::types::Name;

use super::Rows;
use super::aggregate::DialectAggregate;
use super::function::{DialectFunction, Surroundings, carried};
use super::table::{Data, SourceTable};

/// Aggregates of the dialect that DataFusion has under another name.
const AGGREGATES: [(&str, &str); 4] =
    [("collect_list", "array_agg"), ("stddev_sample", "stddev"), ("stddev_samp", "stddev"), ("correlation", "corr")];

/// The names of one query.
pub(super) struct Names<'a> {
    pub(super) state: &'a SessionState,
    pub(super) catalog: &'a Catalog,
    /// Hidden columns that the query names.
    pub(super) hidden: &'a [Name],
    pub(super) rows: &'a Arc<dyn Rows>,
    pub(super) surroundings: &'a Arc<Surroundings>,
    /// What was named: a query sees a table at one moment, however often it names it.
    pub(super) named: RefCell<BTreeMap<Name, Data>>,
}

impl Names<'_> {
    fn data(&self, source: &Arc<Source>) -> std::result::Result<Data, Diagnostic> {
        if let Some(known) = self.named.borrow().get(&source.name) {
            return Ok(known.clone());
        }
        let data = if source.is_table() {
            Data::Table(self.rows.table(source)?)
        } else {
            Data::Stream(Arc::clone(source), Arc::clone(self.rows))
        };
        self.named.borrow_mut().insert(source.name.clone(), data.clone());
        Ok(data)
    }
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let known = match &name {
            TableReference::Bare { table } => self.catalog.source(&Name::from(table.as_ref())),
            _ => None,
        };
        let Some(source) = known else {
            let refusal =
                Diagnostic::new(Code::UnknownSource, format!("source {} does not exist", Name::from(name.table())))
                    .with_near_miss(name.table(), self.catalog.sources().map(|source| source.name.as_str()));
            return Err(carried(refusal));
        };
        let data = self.data(source).map_err(carried)?;
        let table: Arc<dyn TableProvider> = Arc::new(SourceTable::new(source, data, self.hidden));
        Ok(provider_as_source(table))
    }

    fn create_cte_work_table(
        &self,
        name: &str,
        schema: datafusion::arrow::datatypes::SchemaRef,
    ) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(Types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if let Some(function) = DialectFunction::find(name, self.surroundings) {
            return Some(Arc::new(ScalarUDF::new_from_impl(function)));
        }
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        let theirs = AGGREGATES.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, theirs)| theirs);
        self.state.aggregate_functions().get(theirs).cloned().or_else(|| {
            let ours = DialectAggregate::find(name, self.surroundings)?;
            Some(Arc::new(AggregateUDF::new_from_impl(ours)))
        })
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}

/// The dialect's types where standard SQL has others: TIMESTAMP has milliseconds, ARRAY and STRUCT are ours.
#[derive(Debug)]
struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, written: &WrittenType) -> Result<Option<FieldRef>> {
        let cast = parse_expression(&format!("CAST(NULL AS {written})"));
        let ty = cast.and_then(|cast| type_of(&cast, &EdgeSchema::default(), &FunctionRegistry::default()));
        Ok(ty.ok().flatten().map(|ty| Arc::new(Field::new("", ty.arrow(), true)) as FieldRef))
    }
}
