//! Where the log and snapshots live when nobody says.

use std::path::PathBuf;

/// The data folder: `chosen` (`--data-dir`, `THALWEG_DATA_DIR`, `data.dir`), else `$XDG_DATA_HOME/thalweg`, else
/// `~/.local/share/thalweg`. `variable` reads the environment. `None`: not even a home is known.
pub fn data_folder(chosen: Option<&PathBuf>, variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    chosen
        .cloned()
        .or_else(|| set("XDG_DATA_HOME").map(|home| home.join("thalweg")))
        .or_else(|| set("HOME").map(|home| home.join(".local/share/thalweg")))
}

/// The data folder of this process's environment where no settings were read: of clients that look for a server.
pub fn default_data_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var(name).ok();
    let chosen = variable("THALWEG_DATA_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    data_folder(chosen.as_ref(), variable)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::data_folder;

    #[test]
    fn the_folder_is_what_was_chosen_else_that_of_the_desktop_standard_else_below_home() {
        let check = |chosen: Option<&str>, variables: &[(&str, &str)], expected: Option<&str>| {
            let variable =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(data_folder(chosen.map(PathBuf::from).as_ref(), variable), expected.map(PathBuf::from));
        };
        check(Some("/d"), &[("HOME", "/h")], Some("/d"));
        check(None, &[("HOME", "/h"), ("XDG_DATA_HOME", "/x")], Some("/x/thalweg"));
        check(None, &[("HOME", "/h"), ("XDG_DATA_HOME", "")], Some("/h/.local/share/thalweg"));
        check(None, &[], None);
    }
}
