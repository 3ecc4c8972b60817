//! Names for result columns that the statement leaves without one.

use std::collections::{BTreeMap, BTreeSet};

use crate::sql::ast::{Expr, ExprKind};
use crate::types::Name;

/// Makes default names, none of which is the name of a source's column or was made before.
#[derive(Debug, Clone)]
pub(super) struct NameGenerator {
    /// Numbers taken, by the text in front of them. Text without a number has taken number 0.
    taken: BTreeMap<String, BTreeSet<u32>>,
    next_expression: u32,
}

impl NameGenerator {
    /// A generator that avoids `names`.
    pub(super) fn avoiding<'a>(names: impl Iterator<Item = &'a Name>) -> Self {
        let mut taken: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for name in names {
            let (base, number) = split(name.as_str());
            taken.entry(base.to_owned()).or_default().insert(number);
        }
        Self { taken, next_expression: 0 }
    }

    /// The name of an expression: of a column its own, of `a->b` the field's, else `KSQL_COL_n`.
    pub(super) fn name(&mut self, expr: &Expr) -> Name {
        match &expr.kind {
            ExprKind::Column(column) => column.name.clone(),
            ExprKind::Field { field, .. } => self.field(field),
            _ => self.expression(),
        }
    }

    /// `KSQL_COL_n` with the next free n, counted from 0.
    fn expression(&mut self) -> Name {
        let used = self.taken.get("KSQL_COL");
        while used.is_some_and(|used| used.contains(&self.next_expression)) {
            self.next_expression += 1;
        }
        self.next_expression += 1;
        Name::new(format!("KSQL_COL_{}", self.next_expression - 1))
    }

    /// The field's name, with the next free number behind it if it is taken.
    fn field(&mut self, field: &Name) -> Name {
        let (base, mut number) = split(field.as_str());
        let used = self.taken.entry(base.to_owned()).or_default();
        while !used.insert(number) {
            number += 1;
        }
        if number == 0 { Name::from(base) } else { Name::new(format!("{base}_{number}")) }
    }
}

/// `C_1` is text `C` and number 1; `C` is text `C` and number 0. A number is what reads back the same.
fn split(name: &str) -> (&str, u32) {
    name.rsplit_once('_')
        .and_then(|(base, digits)| {
            let number: u32 = digits.parse().ok()?;
            (number.to_string() == digits && !base.is_empty() && (number > 0 || base == "KSQL_COL"))
                .then_some((base, number))
        })
        .unwrap_or((name, 0))
}

/// `base`, with underscores behind it until `is_taken` says no.
pub(super) fn unique(base: &str, is_taken: impl Fn(&Name) -> bool) -> Name {
    let mut name = Name::from(base);
    while is_taken(&name) {
        name = Name::new(format!("{}_", name.as_str()));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::NameGenerator;
    use crate::sql::ast::{Expr, ExprKind, Literal};
    use crate::types::Name;

    #[test]
    fn numbers_of_source_columns_are_skipped() {
        let taken = ["KSQL_COL_3", "KSQL_COL_2", "KSQL_COL_4"].map(Name::from);
        let mut names = NameGenerator::avoiding(taken.iter());
        let one = Expr::new(ExprKind::Literal(Literal::Integer(1)), crate::diagnostics::Span::UNKNOWN);
        let made: Vec<_> = (0..4).map(|_| names.name(&one).to_string()).collect();
        assert_eq!(made, ["KSQL_COL_0", "KSQL_COL_1", "KSQL_COL_5", "KSQL_COL_6"]);
    }

    #[test]
    fn fields_get_a_number_when_their_name_is_taken() {
        let taken = ["C", "D_1"].map(Name::from);
        let mut names = NameGenerator::avoiding(taken.iter());
        let made = ["C", "C", "D", "D_1"].map(|field| names.field(&field.into()).to_string());
        assert_eq!(made, ["C_1", "C_2", "D", "D_2"]);
    }
}
