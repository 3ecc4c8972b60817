//! `thalweg test PATH…`: finds the cases, runs them on all cores, prints a line each in a stable order.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::{Context, bail};

use super::arguments::TestArguments;
use super::report::{CaseResult, Report};
use super::{conformance, script, sql_test};

/// Runs `thalweg test` and prints to standard output.
///
/// The exit code is 0 if nothing failed (with `--expect`: if every expected id passed), 1 otherwise, 2 for bad usage or
/// files.
pub fn run(args: &TestArguments) -> ExitCode {
    let out = &mut io::stdout().lock();
    match run_to(args, out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(io::stderr(), "thalweg test: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run_to(args: &TestArguments, out: &mut dyn Write) -> anyhow::Result<bool> {
    let expected = args.expect.as_deref().map(read_expected).transpose()?;
    let jobs = find_jobs(&args.paths, args.kafka.as_deref())?;
    let mut report = Report::default();
    run_in_order(&jobs, |result| {
        writeln!(out, "{result}")?;
        report.add(result);
        Ok(())
    })?;
    if let Some(path) = &args.report {
        let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut file = io::BufWriter::new(file);
        report.write_json(&mut file).and_then(|()| file.flush()).with_context(|| path.display().to_string())?;
    }
    let missing = expected.as_ref().map(|expected| report.missing(expected));
    for id in missing.iter().flatten() {
        writeln!(out, "EXPECTED {id} did not pass")?;
    }
    report.write_summary(out)?;
    Ok(missing.map_or(report.totals().1 == 0, |missing| missing.is_empty()))
}

fn read_expected(path: &Path) -> anyhow::Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

/// One thing to run; gives one result.
pub(crate) struct Job {
    /// Runs it. Called once, on any thread.
    pub(crate) run: Box<dyn Fn() -> CaseResult + Send + Sync>,
}

fn find_jobs(paths: &[PathBuf], kafka: Option<&str>) -> anyhow::Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, kafka, &mut jobs)?;
        } else if !path.exists() {
            bail!("{} does not exist", path.display());
        } else if !jobs_of_file(path, kafka, &mut jobs)? {
            bail!("{} is not a test: expected .slt, a conformance .json, or .sql with --@test:", path.display());
        }
    }
    Ok(jobs)
}

fn walk(folder: &Path, kafka: Option<&str>, jobs: &mut Vec<Job>) -> anyhow::Result<()> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            walk(&entry, kafka, jobs)?;
        } else {
            jobs_of_file(&entry, kafka, jobs)?;
        }
    }
    Ok(())
}

/// Adds the jobs of a file; false if it holds none of ours.
fn jobs_of_file(path: &Path, kafka: Option<&str>, jobs: &mut Vec<Job>) -> anyhow::Result<bool> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("slt") => jobs.push(script::job(path, kafka)),
        // On a cluster only scripts run.
        _ if kafka.is_some() => return Ok(false),
        Some("sql") => return sql_test::jobs(path, jobs),
        Some("json") => match conformance::read(path)? {
            Some(file) => jobs.extend(conformance::jobs(file)),
            None => return Ok(false),
        },
        _ => return Ok(false),
    }
    Ok(true)
}

/// Runs the jobs on all cores and hands over the results in the order of the jobs.
fn run_in_order(jobs: &[Job], mut take: impl FnMut(CaseResult) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len().max(1));
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::sync_channel::<(usize, CaseResult)>(workers * 4);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (sender, next) = (sender.clone(), &next);
            std::thread::Builder::new()
                .name(format!("test-{worker}"))
                .spawn_scoped(scope, move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = jobs.get(index) else { return };
                        if sender.send((index, (job.run)())).is_err() {
                            return;
                        }
                    }
                })
                .context("cannot start a thread")?;
        }
        drop(sender);
        let mut early = std::collections::BTreeMap::new();
        let mut due = 0;
        for (index, result) in receiver {
            early.insert(index, result);
            while let Some(result) = early.remove(&due) {
                take(result)?;
                due += 1;
            }
        }
        Ok(())
    })
}
