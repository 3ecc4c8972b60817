//! The command line of `thalweg test`.

use std::path::PathBuf;

/// Runs test files: SQL scripts and conformance suites.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TestArguments {
    /// Files, or folders that are walked in sorted order
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Write a JSON object per case to this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Run scripts (*.slt) on this Kafka cluster instead of the memory and embedded logs; topics they make are deleted
    #[arg(long, value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// Succeed if and only if every case of this list passes
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,
}
