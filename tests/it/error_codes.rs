//! Every error code that a statement can earn has a case in `sql-tests/errors/`.

use std::fs;
use std::path::Path;

use thalweg::diagnostics::Code;

/// Codes that no script can earn, and who checks them.
const ELSEWHERE: &[(Code, &str)] = &[
    (Code::WrongEndpoint, "scripts choose the endpoint themselves: tests of the server"),
    (Code::NotReady, "a server that starts or stops: tests of the server"),
    (Code::TooManyRequests, "limits of a server: tests of the engine"),
    (Code::TimedOut, "commands that are waited for: tests of the server"),
    (Code::Storage, "a log that refuses: tests of the engine and the topics"),
    (Code::Internal, "bugs"),
];

#[test]
fn every_code_has_a_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql-tests/errors");
    let scripts: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    let headings: Vec<&str> =
        scripts.iter().flat_map(|script| script.lines()).filter(|line| line.starts_with('#')).collect();
    let words: Vec<&str> =
        headings.iter().flat_map(|line| line.split(|c: char| !c.is_ascii_uppercase() && c != '_')).collect();
    let missing: Vec<&str> = Code::ALL
        .iter()
        .filter(|code| !ELSEWHERE.iter().any(|(known, _)| known == *code) && !words.contains(&code.as_str()))
        .map(|code| code.as_str())
        .collect();
    assert_eq!(missing, Vec::<&str>::new(), "codes without a case in sql-tests/errors/");
}
