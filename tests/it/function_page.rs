//! The reference page of functions says what the program knows.

use std::path::Path;

use thalweg::functions::FunctionRegistry;

#[test]
fn the_page_of_functions_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/functions.md");
    let expected = FunctionRegistry::builtin().reference_page();
    if std::env::var_os("THALWEG_UPDATE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is stale: run the tests with THALWEG_UPDATE=1", path.display());
}
