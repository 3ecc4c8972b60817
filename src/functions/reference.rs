//! Writes the reference page of all functions.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Function, FunctionRegistry};

/// What the page says of patterns.
const REGULAR_EXPRESSIONS: &str = r"
## Regular expressions

Patterns have Java's syntax and meaning: `\d`, `\w` and `\s` are ASCII, `.` leaves out every line end, `$` also stands before
a last line end, classes may be nested and intersected, `\Q...\E` quotes, quantifiers may be possessive. What differs:

- `(?i)` folds letters beyond ASCII too; under `(?m)` only `\n` ends a line;
- a look-behind has a fixed length; Unicode blocks (`\p{InGreek}`), `\N` and `\X` are refused;
- a pattern with look-around, back references, possessive or atomic parts has at most 16 KiB and takes at most 500,000 steps
  a match, other patterns take time proportional to the text; groups and classes nest at most 100 deep.

A pattern that is refused, or takes too many steps, fails the row.
";

/// What the page says of CREATE FUNCTION.
const DEFINED_FUNCTIONS: &str = r"
## Functions of your own

```sql
CREATE [OR REPLACE] FUNCTION [IF NOT EXISTS] name(argument TYPE, ...) RETURNS type AS 'expression';
DROP FUNCTION [IF EXISTS] name;
```

`CREATE FUNCTION SHARE(part BIGINT, whole BIGINT) RETURNS DOUBLE AS 'CAST(part AS DOUBLE) / whole';` gives an expression
a name. Quotes inside the body are doubled. A call stands for the body: each argument, converted to its declared type,
is written in the place of its name, and the result is converted to the type behind RETURNS if that loses nothing.

- The body is checked when the function is created. It reads its arguments and nothing else; it may call other functions,
  also defined ones, but no aggregate or table functions and not itself.
- Calls are replaced when a statement is planned. Running queries, and functions that use it, keep what it stood for then:
  replacing or dropping a function changes nothing there.
- An argument whose name stands several times in the body is computed once, like any common sub-expression. One that
  differs each time (RANDOM(), UUID()) cannot be given for such a name; compute it in a stream of its own.
- There is one definition a name; built-in functions cannot be replaced. SHOW FUNCTIONS lists it as category MACRO.
";

/// What the page says of aggregates.
const AGGREGATES: &str = r"
## What aggregates do

An aggregate gives one value for each group of GROUP BY. Arguments are never widened: CAST them. Numbers of how many
values to keep, and flags, are literals.

- `COUNT(DISTINCT x)`: any aggregate with an argument takes DISTINCT; it then sees each value of a group once.
- `SUM(x) FILTER (WHERE condition)` sees the rows for which the condition is true.
- `PREVIOUS(MAX(x))` is the result before the row that made the output, NULL for a group's first. With
  `cache.max.bytes.buffering` 0 every row makes an output.
- Over a table the old row is taken back before the new one is added. ksqlDB can do that for ATTR, AVG, COLLECT_LIST,
  CORRELATION, COUNT, HISTOGRAM, STDDEV_SAMP, STDDEV_SAMPLE, SUM and SUM_LIST; ours for all but EARLIEST_BY_OFFSET,
  LATEST_BY_OFFSET, ANY_VALUE, FIRST_VALUE, LAST_VALUE and NTH_VALUE. MIN, MAX, TOPK, TOPKDISTINCT, COLLECT_SET, DISTINCT and those that ksqlDB lacks then keep every value
  of a group with its count, and COUNT_DISTINCT is exact. Where ksqlDB's TOPK keeps ties in the order they came, over a
  table they come in the order of the columns beside them, the largest first.
- A row that an aggregate cannot take, such as a DECIMAL sum that has too many digits, stops the query.
- ksqlDB has neither DISTINCT, FILTER and PREVIOUS, nor APPROX_MEDIAN, BIT_*, BOOL_*, COVAR_*, MEDIAN, REGR_*,
  STDDEV_POP, STRING_AGG and VAR_*: `sql.compatibility` 'ksqldb' refuses them.
";

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
             processing log: that is what `an error` means below.\n",
        );
        page.push_str(REGULAR_EXPRESSIONS);
        page.push_str(DEFINED_FUNCTIONS);
        page.push_str(AGGREGATES);
        for (category, functions) in categories {
            // Writing to a String cannot fail.
            let _ = write!(page, "\n## {category}\n\n| function | gives | what it does |\n|---|---|---|\n");
            for function in functions {
                let (mut calls, mut results) = (Vec::new(), Vec::new());
                for overload in function.overloads() {
                    calls.push(format!("`{}`", function.signature(overload)));
                    results.push(format!("`{}`", overload.returns()));
                }
                let mut text = function.description().to_owned();
                if !function.notes().is_empty() {
                    text = format!("{text} {}", function.notes());
                }
                for (call, result) in function.examples() {
                    let result = match *result {
                        "" => "an empty text".to_owned(),
                        "error" => "an error".to_owned(),
                        result => format!("`{result}`"),
                    };
                    text.push_str(&format!("<br>`{call}` gives {result}"));
                }
                let _ = writeln!(
                    page,
                    "| {} | {} | {} |",
                    calls.join("<br>"),
                    results.join("<br>"),
                    text.replace('|', "\\|"),
                );
            }
        }
        page
    }
}
