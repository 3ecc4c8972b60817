//! Writes the reference page of all functions.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Function, FunctionRegistry};

impl FunctionRegistry {
    /// `docs/functions.md`: every function by category, with its signatures.
    pub fn reference_page(&self) -> String {
        let mut categories: BTreeMap<&str, Vec<&Function>> = BTreeMap::new();
        for function in self.iter() {
            categories.entry(function.category()).or_default().push(function);
        }
        let mut page = String::from(
            "# Functions\n\nGenerated from the program; do not edit. Names may be written in any case. `T...` may stand any \
             number of times, also never. INTEGER widens to BIGINT, DECIMAL and DOUBLE where a signature asks for them, \
             STRING to TIME, DATE, TIMESTAMP and BYTES. A row for which a function fails gets NULL and an entry in the \
             processing log. Regular expressions are Java's without look-around and back references.\n",
        );
        for (category, functions) in categories {
            // Writing to a String cannot fail.
            let _ = write!(page, "\n## {category}\n\n| function | gives | what it does |\n|---|---|---|\n");
            for function in functions {
                let (mut calls, mut results) = (Vec::new(), Vec::new());
                for overload in function.overloads() {
                    calls.push(format!("`{}`", function.signature(overload)));
                    results.push(format!("`{}`", overload.returns()));
                }
                let built = function.overloads().iter().any(|overload| overload.kernel().is_some());
                let example = function.example_call().map(|call| format!(" `{call}`")).unwrap_or_default();
                let _ = writeln!(
                    page,
                    "| {} | {} | {}{}{} |",
                    calls.join("<br>"),
                    results.join("<br>"),
                    function.description(),
                    if built { "" } else { " Not built yet." },
                    example.replace('|', "\\|"),
                );
            }
        }
        page
    }
}
