//! House rules that the compiler does not know (`CONTRIBUTING.md` lists them).

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file of the crate.
struct Source {
    /// Path below the repository.
    path: String,
    /// Room: the folder below `src/`, or the file's own name.
    room: String,
    text: String,
}

impl Source {
    /// True for files that hold nothing but tests.
    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    files(&root().join("src"), &mut paths);
    paths.sort();
    assert!(paths.len() > 20, "the walk found the sources");
    paths
        .into_iter()
        .map(|path| {
            let below = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            let room = below.split('/').nth(1).unwrap_or_default().trim_end_matches(".rs").to_owned();
            Source { text: fs::read_to_string(&path).unwrap(), path: below, room }
        })
        .collect()
}

/// Fails with every offence, each on a line.
fn report(rule: &str, offences: &[String]) {
    let mut text = String::new();
    for offence in offences {
        let _ = writeln!(text, "  {offence}");
    }
    assert!(offences.is_empty(), "{rule}:\n{text}");
}

/// The rooms in the order `lib.rs` lists them: a room uses those before it.
fn rooms() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rooms: Vec<String> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')))
        .map(str::to_owned)
        .collect();
    assert!(rooms.len() > 10, "lib.rs lists the rooms");
    rooms
}

/// Pairs of rooms that are one floor: each may use the other.
const SAME_FLOOR: &[(&str, &str)] = &[("types", "diagnostics"), ("functions", "expressions"), ("catalog", "planner")];

#[test]
fn rooms_use_only_rooms_above_them() {
    let rooms = rooms();
    let floor = |room: &str| rooms.iter().position(|other| other == room);
    let mut offences = Vec::new();
    for source in sources() {
        let Some(own) = floor(&source.room) else { continue };
        for (number, line) in source.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for part in code.split("crate::").skip(1) {
                let used: String = part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let Some(other) = floor(&used) else { continue };
                let same_floor = SAME_FLOOR
                    .iter()
                    .any(|(a, b)| (*a == source.room && *b == used) || (*b == source.room && *a == used));
                if other > own && !same_floor {
                    offences.push(format!("{}:{}: {} uses {used}", source.path, number + 1, source.room));
                }
            }
        }
    }
    report("a room uses rooms above it in src/lib.rs, never below", &offences);
}

#[test]
fn every_file_opens_with_what_it_is() {
    let offences: Vec<String> =
        sources().iter().filter(|source| !source.text.starts_with("//! ")).map(|source| source.path.clone()).collect();
    report("every file opens with `//!`", &offences);
}

#[test]
fn files_are_named_after_nouns_and_stay_small() {
    const FORBIDDEN: &[&str] = &["util", "utils", "common", "helpers", "misc", "base", "manager"];
    const MOST_LINES: usize = 1000;
    let mut offences = Vec::new();
    for source in sources() {
        let stem = Path::new(&source.path).file_stem().unwrap().to_string_lossy().into_owned();
        if FORBIDDEN.contains(&stem.as_str()) {
            offences.push(format!("{}: a helper lives with its noun", source.path));
        }
        let lines = source.text.lines().count();
        if lines > MOST_LINES {
            offences.push(format!("{}: {lines} lines hide two rooms", source.path));
        }
    }
    report("file names and sizes", &offences);
}

#[test]
fn the_lower_floors_are_synchronous_and_deterministic() {
    const LOWER: &[&str] = &[
        "types",
        "diagnostics",
        "sql",
        "functions",
        "expressions",
        "formats",
        "catalog",
        "planner",
        "state",
        "operators",
    ];
    const FORBIDDEN: &[&str] =
        &["tokio::", "Instant::now", "SystemTime", "thread::spawn", "std::env", "fastrand::", "async fn", "Utc::now"];
    let mut offences = Vec::new();
    let lower = |source: &&Source| LOWER.contains(&source.room.as_str()) && !source.is_test();
    for source in sources().iter().filter(lower) {
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            // A generator that is given its seed is a function of its arguments.
            let line = line.replace("fastrand::Rng::with_seed", "");
            for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
                offences.push(format!("{}:{}: {word}", source.path, number + 1));
            }
        }
    }
    report("from types to operators: no clock, chance, thread, environment, async", &offences);
}

#[test]
fn foreign_crates_stay_with_their_owners() {
    const OWNERS: &[(&str, &[&str])] = &[
        ("sqlparser", &["serving"]),
        ("fjall", &["topics"]),
        ("rdkafka", &["topics"]),
        ("axum", &["server", "testing"]),
        ("anyhow", &["main", "server", "shell", "testing"]),
        ("rustyline", &["shell"]),
        ("sqllogictest", &["testing"]),
    ];
    let mut offences = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            for (name, owners) in OWNERS {
                let used = line.contains(&format!("{name}::")) || line.contains(&format!("use {name};"));
                if used && !owners.contains(&source.room.as_str()) {
                    offences.push(format!("{}:{}: {name} belongs to {owners:?}", source.path, number + 1));
                }
            }
        }
    }
    report("foreign crates have owners", &offences);
}

#[test]
fn lints_are_lifted_with_a_reason_and_nothing_is_left_to_do() {
    let mut offences = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            let place = format!("{}:{}", source.path, number + 1);
            if line.contains("#[allow(") || line.contains("#![allow(") {
                offences.push(format!("{place}: use #[expect(lint, reason = \"…\")]"));
            }
            if line.contains("TODO") || line.contains("FIXME") {
                offences.push(format!("{place}: name an issue or do it"));
            }
            if line.contains("super::super::") {
                offences.push(format!("{place}: say crate::"));
            }
            let is_glob = line.trim_start().starts_with("use ") && line.contains("::*;") && !line.contains("prelude");
            if is_glob && !source.is_test() {
                offences.push(format!("{place}: no glob imports"));
            }
        }
    }
    report("lints, leftovers and imports", &offences);
}

#[test]
fn nothing_names_this_machine_or_a_registry() {
    const FORBIDDEN: &[&str] = &["/work/", "/root/", "crates.io/", "repo1.maven", "registry.npmjs", "pypi.org"];
    let mut paths = Vec::new();
    for folder in ["src", "tests", "benches", "fuzz", "scripts", "docs", "docker", "config", "sql-tests", ".ci"] {
        all_files(&root().join(folder), &mut paths);
    }
    paths.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    let mut offences = Vec::new();
    for path in paths.iter().filter(|path| !path.ends_with("tests/it/tidy.rs")) {
        let Ok(text) = fs::read_to_string(path) else { continue };
        for word in FORBIDDEN.iter().filter(|word| text.contains(**word)) {
            offences.push(format!("{}: {word}", path.display()));
        }
    }
    report("no path of a machine, no registry host", &offences);
}

fn all_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let skipped = path.file_name().is_some_and(|name| name == "target" || name == "corpus");
        if path.is_dir() && !skipped {
            all_files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}
