//! Writes `config/thalweg.toml` and `docs/settings.md` from the definitions.

use std::fmt::Write as _;

use super::definition::{Definition, Effect, Settings};
use super::ksqldb_names::aliases_of;
use super::sources::environment_name;

/// A configuration file with every setting at its default, commented out.
pub fn toml_file() -> String {
    let mut out = String::from(
        "# Settings of a Thalweg server. Every line is a default: remove the `#` to change one.\n\
         # Stronger than this file: environment variables (THALWEG_EPOCH_INTERVAL), then --set epoch.interval=10ms.\n\
         # Generated from the program; docs/settings.md says the same as a table.\n",
    );
    for group in Settings::GROUPS {
        let _ = write!(out, "\n# ---- {} ----\n", group.title);
        for setting in group.settings {
            out.push('\n');
            for line in setting.doc {
                let _ = writeln!(out, "#{line}");
            }
            let _ = writeln!(out, "# {}.", facts(setting));
            let quote = if setting.quoted || setting.default.is_empty() { "\"" } else { "" };
            let _ = writeln!(out, "#{} = {quote}{}{quote}", setting.name, setting.default);
        }
    }
    out
}

/// Type, range, when it takes effect.
fn facts(setting: &Definition) -> String {
    let range = setting.range.map(|(low, high)| format!(", {low} to {high}")).unwrap_or_default();
    let effect = match setting.effect {
        Effect::Restart => "needs a restart",
        Effect::Statement => "also per statement with SET",
    };
    format!("{}{range}; {effect}", kind(setting))
}

/// Words come as `` `a` `b` ``.
fn kind(setting: &Definition) -> String {
    let kind = setting.kind.trim();
    if kind.starts_with('`') && !kind.contains(" or ") { kind.replace("` `", "`, `") } else { kind.to_owned() }
}

/// The reference page.
pub fn reference_page() -> String {
    let mut out = String::from(
        "# Settings\n\n\
         Generated from the program; do not edit. Order, the strongest first: `--set name=value`, the environment \
         variable, the file of `--config` (TOML, where dots are tables, or a Java `.properties` file), the default.\n\
         Durations: `5ms`, `1s`, `10m`, `24h`. Sizes: `64MiB`, `1GiB`, `500kB`. Lists are separated by commas.\n\
         ksqlDB's names are accepted too: the table shows those that mean a setting of ours; those that have \
         nothing to set here are accepted and reported in the log; any other name is an error.\n",
    );
    for group in Settings::GROUPS {
        let _ = write!(
            out,
            "\n## {}\n\n| setting | default | type and range | takes effect | meaning |\n|---|---|---|---|---|\n",
            group.title
        );
        for setting in group.settings {
            let aliases: Vec<String> = aliases_of(setting.name).map(|alias| format!("`{alias}`")).collect();
            let aliases = if aliases.is_empty() { String::new() } else { format!(" ksqlDB: {}.", aliases.join(", ")) };
            let default =
                if setting.default.is_empty() { "empty".to_owned() } else { format!("`{}`", setting.default) };
            let range = setting.range.map(|(low, high)| format!(", `{low}` to `{high}`")).unwrap_or_default();
            let effect = match setting.effect {
                Effect::Restart => "at start",
                Effect::Statement => "next statement (`SET`)",
            };
            let doc: Vec<&str> = setting.doc.iter().map(|line| line.trim()).collect();
            let _ = writeln!(
                out,
                "| `{}`<br>`{}` | {default} | {}{range} | {effect} | {}{aliases} |",
                setting.name,
                environment_name(setting.name),
                kind(setting),
                doc.join(" "),
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{reference_page, toml_file};
    use crate::settings::{Settings, Sources, names};

    /// Compares a file of the repository with what it should be, or writes it under `THALWEG_UPDATE=1`.
    fn check(path: &str, expected: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("THALWEG_UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{} is stale: run the tests with THALWEG_UPDATE=1", path.display());
    }

    #[test]
    fn configuration_file_and_reference_page_are_fresh() {
        check("config/thalweg.toml", &toml_file());
        check("docs/settings.md", &reference_page());
    }

    #[test]
    fn the_configuration_file_with_every_line_enabled_is_the_defaults() {
        let enabled: Vec<String> = toml_file()
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .filter(|line| names().any(|name| line.starts_with(&format!("{name} = "))))
            .map(str::to_owned)
            .collect();
        assert_eq!(enabled.len(), names().count());
        let mut sources = Sources::default();
        sources.toml(&enabled.join("\n"), "config/thalweg.toml");
        assert_eq!(sources.finish().unwrap().0, Settings::default());
    }
}
