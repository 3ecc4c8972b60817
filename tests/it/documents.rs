//! What the documentation shows is what scripts check.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The lines between fences, with those that open them.
fn fenced(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut is_open = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(kind) => {
                is_open = !is_open;
                if is_open {
                    blocks.push((kind, Vec::new()));
                }
            }
            None if is_open => blocks.last_mut().unwrap().1.push(line),
            None => {}
        }
    }
    blocks
}

/// Lines of SQL and of results on a page that its script does not hold.
fn unchecked(page: &Path, script: &Path) -> Vec<String> {
    let page = fs::read_to_string(page).unwrap();
    let script = fs::read_to_string(script).unwrap();
    let checked: Vec<&str> = script.lines().collect();
    let shown = fenced(&page).into_iter().filter(|(kind, _)| ["sql", "text"].contains(kind));
    let shown: Vec<&str> = shown.flat_map(|(_, lines)| lines).filter(|line| !line.trim().is_empty()).collect();
    assert!(shown.len() > 5, "the page shows something");
    shown.into_iter().filter(|line| !checked.contains(line)).map(str::to_owned).collect()
}

#[test]
fn tutorials_show_what_their_scenarios_check() {
    let mut pages = 0;
    for entry in fs::read_dir(root().join("sql-tests/scenarios")).unwrap() {
        let script = entry.unwrap().path();
        let name = script.file_stem().unwrap().to_string_lossy().into_owned();
        let page = root().join(format!("docs/tutorials/{name}.md"));
        if page.exists() {
            pages += 1;
            assert_eq!(unchecked(&page, &script), Vec::<String>::new(), "{}", page.display());
        }
    }
    assert!(pages >= 5, "every page has its scenario");
}

#[test]
fn the_life_of_a_query_shows_what_its_script_checks() {
    let page = root().join("docs/life-of-a-query.md");
    assert_eq!(unchecked(&page, &root().join("sql-tests/plans/life_of_a_query.slt")), Vec::<String>::new());
}
