//! What a query's tree is changed to before DataFusion plans it.
//!
//! - `*` leaves out ROWTIME and its like, which are columns only if the query names them;
//! - result columns get the names that the dialect would give them: `KSQL_COL_0`;
//! - CAST is the dialect's;
//! - `STRUCT(A := 1)` is DataFusion's `named_struct`;
//! - units of time as arguments (`DAYS`) are texts.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor,
    Value, VisitMut, VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::catalog::Catalog;
use crate::functions::{FunctionRegistry, ParamType};
use crate::sql::parse_expression;
use crate::types::Name;

use super::columns::{self, HIDDEN};
use super::function::CAST;

/// The hidden columns that a query names.
pub(super) fn hidden_columns(tokens: &[TokenWithSpan]) -> Vec<Name> {
    let named = |name: &str| tokens.iter().any(|token| matches!(&token.token, Token::Word(word) if word.value == name));
    HIDDEN.iter().filter(|(name, _)| named(name)).map(|(name, _)| Name::from(*name)).collect()
}

/// Changes the tree of a query; `hidden` are the hidden columns that it names.
pub(super) fn rewrite(tree: &mut Query, catalog: &Catalog, functions: &FunctionRegistry, hidden: &[Name]) {
    let mut rewriter = Rewriter { catalog, functions, hides: !hidden.is_empty(), inner: BTreeSet::new() };
    // Nothing in the visitor breaks off.
    let _ = tree.visit(&mut rewriter);
}

struct Rewriter<'a> {
    catalog: &'a Catalog,
    functions: &'a FunctionRegistry,
    /// Stars must be spelt out.
    hides: bool,
    /// Names that WITH gave, which hide streams and tables.
    inner: BTreeSet<String>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let names = query.with.iter().flat_map(|with| &with.cte_tables);
        self.inner.extend(names.map(|cte| cte.alias.name.value.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if self.hides {
            let items = std::mem::take(&mut select.projection);
            select.projection = items.into_iter().flat_map(|item| self.spelt_out(item, select)).collect();
        }
        name_items(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Cast { kind, expr: operand, data_type, array: false, format: None } => {
                match dialect_type(data_type) {
                    Some(target) => {
                        let operand = std::mem::replace(operand.as_mut(), Expr::value(Value::Null));
                        *expr = cast_call(operand, target);
                    }
                    None => *kind = CastKind::TryCast,
                }
            }
            Expr::Function(function) => self.units_as_texts(function),
            Expr::Struct { values, fields } if fields.is_empty() => {
                if let Some(call) = struct_call(values) {
                    *expr = call;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Rewriter<'_> {
    /// A star as what it stands for, where that is known here.
    fn spelt_out(&self, item: SelectItem, select: &Select) -> Vec<SelectItem> {
        let is_plain = |options: &WildcardAdditionalOptions| *options == WildcardAdditionalOptions::default();
        let factors = || {
            select
                .from
                .iter()
                .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)))
        };
        match &item {
            SelectItem::Wildcard(options) if is_plain(options) => {
                let parts: Option<Vec<_>> = factors().map(|factor| self.columns_of(factor)).collect();
                parts.map_or_else(|| vec![item], |parts| parts.into_iter().flatten().collect())
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options)
                if is_plain(options) =>
            {
                let found = factors().find(|factor| qualifier(factor).is_some_and(|own| own.value == last(name)));
                found.and_then(|factor| self.columns_of(factor)).unwrap_or_else(|| vec![item])
            }
            _ => vec![item],
        }
    }

    /// The columns that a star over this part of FROM means; `None` if it has no name.
    fn columns_of(&self, factor: &TableFactor) -> Option<Vec<SelectItem>> {
        let own = qualifier(factor)?;
        let base = match factor {
            TableFactor::Table { name, .. } if !self.inner.contains(&last(name)) => {
                self.catalog.source(&Name::new(last(name)))
            }
            _ => None,
        };
        let Some(base) = base else {
            let kind = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![own]));
            return Some(vec![SelectItem::QualifiedWildcard(kind, WildcardAdditionalOptions::default())]);
        };
        let column = |(name, _): (Name, _)| {
            let column = Ident::with_quote('`', name.as_str());
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(vec![own.clone(), column]))
        };
        Some(columns::star(base).into_iter().map(column).collect())
    }

    /// `TIMESTAMPADD(DAYS, …)` as `TIMESTAMPADD('DAYS', …)`.
    fn units_as_texts(&self, function: &mut Function) {
        let Some(known) = self.functions.get(&Name::new(last(&function.name))) else { return };
        let FunctionArguments::List(list) = &mut function.args else { return };
        for (at, arg) in list.args.iter_mut().enumerate() {
            let is_unit = known.overloads().iter().any(|o| o.params().get(at).is_some_and(|p| p.ty == ParamType::Unit));
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) = arg
                && let Expr::Identifier(unit) = arg
                && is_unit
            {
                *arg = Expr::value(Value::SingleQuotedString(unit.value.clone()));
            }
        }
    }
}

/// The name before the dot of a part of FROM: its alias, else its own.
fn qualifier(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(alias.name.clone()),
            None => name.0.last().and_then(|part| part.as_ident()).cloned(),
        },
        TableFactor::Derived { alias, .. } => alias.as_ref().map(|alias| alias.name.clone()),
        _ => None,
    }
}

fn last(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.clone()).unwrap_or_default()
}

/// Gives result columns without a name the dialect's, and repeated columns numbers.
fn name_items(items: &mut [SelectItem]) {
    let mut next = 0;
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for item in items {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let name = match &*expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                let times = seen.entry(expr.to_string()).or_default();
                *times += 1;
                if *times == 1 {
                    continue;
                }
                let own = match &*expr {
                    Expr::CompoundIdentifier(parts) => parts.last().map(|part| part.value.clone()).unwrap_or_default(),
                    other => other.to_string(),
                };
                format!("{own}_{}", *times - 1)
            }
            Expr::CompoundFieldAccess { access_chain, .. }
                if matches!(access_chain.last(), Some(AccessExpr::Dot(Expr::Identifier(_)))) =>
            {
                let Some(AccessExpr::Dot(Expr::Identifier(field))) = access_chain.last() else { continue };
                let times = seen.entry(field.value.clone()).or_default();
                *times += 1;
                if *times == 1 { field.value.clone() } else { format!("{}_{}", field.value, *times - 1) }
            }
            _ => {
                next += 1;
                format!("KSQL_COL_{}", next - 1)
            }
        };
        let expr = std::mem::replace(expr, Expr::value(Value::Null));
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('`', name) };
    }
}

/// The text of a type, if it is one of the dialect's.
fn dialect_type(ty: &DataType) -> Option<String> {
    let text = ty.to_string();
    parse_expression(&format!("CAST(NULL AS {text})")).ok().map(|_| text)
}

fn cast_call(operand: Expr, target: String) -> Expr {
    call(CAST, vec![operand, Expr::value(Value::SingleQuotedString(target))])
}

/// `STRUCT(A := 1, B := 2)` as `named_struct('A', 1, 'B', 2)`; `None` if a field has no name.
fn struct_call(values: &[Expr]) -> Option<Expr> {
    let mut args = Vec::with_capacity(values.len() * 2);
    for value in values {
        let Expr::BinaryOp { left, op: BinaryOperator::Assignment, right } = value else { return None };
        let Expr::Identifier(name) = left.as_ref() else { return None };
        args.push(Expr::value(Value::SingleQuotedString(name.value.clone())));
        args.push(right.as_ref().clone());
    }
    Some(call("named_struct", args))
}

fn call(function: &str, args: Vec<Expr>) -> Expr {
    let arg = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::with_quote('`', function)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into_iter().map(arg).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
