//! The main job on real input: this repository's own history, checked against git's answer through a `kill -9`.

use std::path::Path;
use std::process::Command;

#[test]
fn a_query_over_the_history_of_a_repository_answers_as_git_does() {
    let repository = env!("CARGO_MANIFEST_DIR");
    let commits = Command::new("git").args(["-C", repository, "rev-list", "--count", "HEAD"]).output();
    let commits: Option<u32> = commits.ok().and_then(|out| String::from_utf8_lossy(&out.stdout).trim().parse().ok());
    // A source archive has no history, a shallow clone hardly any.
    let python = Command::new("python3").arg("--version").output().is_ok_and(|out| out.status.success());
    if commits.is_none_or(|commits| commits < 10) || !python {
        println!("skipped: needs python3 and a clone with its history");
        return;
    }
    let checked = Command::new("python3")
        .arg(Path::new(repository).join("scripts/check-git-history"))
        .args([repository, "20"])
        .env("THALWEG", env!("CARGO_BIN_EXE_thalweg"))
        .output()
        .unwrap();
    let (out, error) = (String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    assert!(checked.status.success(), "{out}{error}");
}
