//! The conformance runner: third-party cases that say what a ksqlDB-compatible server must do.
//!
//! The folder is an argument; nothing of it is part of this repository. The rules are those of its README: every
//! record to completion, every update visible, numbers by their spelling, error cases fail at their last statement,
//! and what is not built is a failure `NOT_IMPLEMENTED`, also where an error is expected.

mod bytes;
mod case;
mod compare;
mod number;
mod post;
mod qtt;
mod rest;
mod setup;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) use bytes::split_window;
pub(crate) use case::read;

use super::command::Job;
use super::report::{CaseResult, Outcome};
use case::{Case, CaseFile, Suite};

/// A job for each case of a file.
pub(crate) fn jobs(file: CaseFile) -> impl Iterator<Item = Job> {
    let suite = file.suite;
    file.cases.into_iter().map(move |case| Job { run: Box::new(move || run_case(suite, &case)) })
}

fn run_case(suite: Suite, case: &Case) -> CaseResult {
    let outcome = catch_unwind(AssertUnwindSafe(|| match suite {
        Suite::Qtt => qtt::run(case),
        Suite::Rest => rest::run(case),
    }));
    let outcome = match outcome {
        Ok(Ok(note)) => Outcome::Pass { note },
        Ok(Err(reason)) => Outcome::Fail(reason),
        Err(panic) => Outcome::Fail(format!("panicked: {}", panic_text(&*panic))),
    };
    CaseResult {
        id: format!("{}/{}", suite.as_str(), case.id),
        suite: suite.as_str(),
        tier: Some(case.tier),
        error_case: case.expected_error,
        outcome,
    }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}
