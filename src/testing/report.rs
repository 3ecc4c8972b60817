//! Outcomes of cases, the lines that tell them, and the counts at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All expectations met. The note is for the report alone (the message a rejection gave).
    Pass { note: Option<String> },
    /// The first expectation that was not met.
    Fail(String),
    /// The environment lacks something the case needs.
    Skip(String),
}

/// A case and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct CaseResult {
    /// `qtt/…`, `rest/…`, `sql/…#…` or a path.
    pub(crate) id: String,
    /// Suite for counting: `qtt`, `rest`, `sql`, `slt`.
    pub(crate) suite: &'static str,
    /// Difficulty, where the suite has one.
    pub(crate) tier: Option<u8>,
    /// True if the case expects a rejection: counted apart.
    pub(crate) error_case: bool,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// `PASS id`, `FAIL id reason`, `SKIP id reason`, on one line.
impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Pass { .. } => write!(f, "PASS {}", self.id),
            Outcome::Fail(reason) => write!(f, "FAIL {} {}", self.id, one_line(reason)),
            Outcome::Skip(reason) => write!(f, "SKIP {} {}", self.id, one_line(reason)),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A line of the JSON report.
#[derive(Serialize)]
struct ReportLine<'a> {
    id: &'a str,
    suite: &'a str,
    tier: Option<u8>,
    error_case: bool,
    result: &'static str,
    reason: Option<&'a str>,
}

/// All results of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    results: Vec<CaseResult>,
}

/// Passed of all.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    passed: usize,
    all: usize,
}

impl Report {
    /// Adds a result.
    pub(crate) fn add(&mut self, result: CaseResult) {
        self.results.push(result);
    }

    /// Number of cases that passed, failed and were skipped.
    pub(crate) fn totals(&self) -> (usize, usize, usize) {
        self.results.iter().fold((0, 0, 0), |(passed, failed, skipped), result| match result.outcome {
            Outcome::Pass { .. } => (passed + 1, failed, skipped),
            Outcome::Fail(_) => (passed, failed + 1, skipped),
            Outcome::Skip(_) => (passed, failed, skipped + 1),
        })
    }

    /// Those of `expected` that did not pass.
    pub(crate) fn missing<'a>(&self, expected: &'a BTreeSet<String>) -> Vec<&'a str> {
        let passed: BTreeSet<&str> = self
            .results
            .iter()
            .filter(|result| matches!(result.outcome, Outcome::Pass { .. }))
            .map(|result| result.id.as_str())
            .collect();
        expected.iter().map(String::as_str).filter(|id| !passed.contains(id)).collect()
    }

    /// The lines after the cases: counts by tier, then `N passed, N failed, N skipped`.
    ///
    /// # Errors
    /// Writing failed.
    pub(crate) fn write_summary(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut tiers: BTreeMap<(&str, u8), (Count, Count)> = BTreeMap::new();
        for result in &self.results {
            let Some(tier) = result.tier else { continue };
            let (plain, errors) = tiers.entry((result.suite, tier)).or_default();
            let count = if result.error_case { errors } else { plain };
            count.all += 1;
            count.passed += usize::from(matches!(result.outcome, Outcome::Pass { .. }));
        }
        for ((suite, tier), (plain, errors)) in tiers {
            writeln!(
                out,
                "TIER {suite} {tier}: {}/{} passed, errors {}/{}",
                plain.passed, plain.all, errors.passed, errors.all
            )?;
        }
        let (passed, failed, skipped) = self.totals();
        writeln!(out, "{passed} passed, {failed} failed, {skipped} skipped")
    }

    /// A JSON object a line for each case.
    ///
    /// # Errors
    /// Writing failed.
    pub(crate) fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        for result in &self.results {
            let (outcome, reason) = match &result.outcome {
                Outcome::Pass { note } => ("PASS", note.as_deref()),
                Outcome::Fail(reason) => ("FAIL", Some(reason.as_str())),
                Outcome::Skip(reason) => ("SKIP", Some(reason.as_str())),
            };
            let line = ReportLine {
                id: &result.id,
                suite: result.suite,
                tier: result.tier,
                error_case: result.error_case,
                result: outcome,
                reason,
            };
            serde_json::to_writer(&mut *out, &line)?;
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{CaseResult, Outcome, Report};

    #[test]
    fn error_cases_are_counted_apart_and_lines_stay_single() {
        let mut report = Report::default();
        for (id, error_case, outcome) in [
            ("qtt/a/1", false, Outcome::Pass { note: None }),
            ("qtt/a/2", false, Outcome::Fail("first\n second".to_owned())),
            ("qtt/a/3", true, Outcome::Pass { note: None }),
        ] {
            report.add(CaseResult { id: id.to_owned(), suite: "qtt", tier: Some(1), error_case, outcome });
        }
        assert_eq!(report.results[1].to_string(), "FAIL qtt/a/2 first second");
        let mut text = Vec::new();
        report.write_summary(&mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "TIER qtt 1: 1/2 passed, errors 1/1\n2 passed, 1 failed, 0 skipped\n"
        );
    }
}
