//! Where settings come from: the command line, the environment, a TOML or Java properties file, the defaults.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::definition::{self, Settings};
use super::ksqldb_names::{self, Property};

/// Variables of the environment that begin like settings and are none: they steer tests and benches.
const NOT_SETTINGS: &[&str] = &[
    "THALWEG_UPDATE",
    "THALWEG_KILLS",
    "THALWEG_SEEDS",
    "THALWEG_KEYS",
    "THALWEG_CONFORMANCE",
    "THALWEG_LOG",
    "THALWEG_KAFKA",
    "THALWEG_KAFKA_CACHE",
    "THALWEG_KAFKA_FOLDER",
    "THALWEG_KAFKA_JAVA",
    "THALWEG_KAFKA_KILLS",
    "THALWEG_KAFKA_VERSION",
];

/// Everything that is wrong with the settings, a sentence each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSettings(pub Vec<String>);

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the settings are not valid: {one}"),
            several => {
                write!(f, "the settings are not valid:")?;
                several.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
        }
    }
}

impl std::error::Error for InvalidSettings {}

/// Values collected from the weakest source to the strongest; a later one replaces an earlier one.
#[derive(Debug, Default)]
pub struct Sources {
    texts: BTreeMap<&'static str, String>,
    kafka: BTreeMap<String, String>,
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Sources {
    /// Adds a file: Java properties if its name ends in `.properties`, else TOML.
    pub fn file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.errors.push(format!("cannot read {}: {error}", path.display()));
                return;
            }
        };
        let origin = path.display().to_string();
        if path.extension().is_some_and(|extension| extension == "properties") {
            self.properties(&text, &origin);
        } else {
            self.toml(&text, &origin);
        }
    }

    /// Adds the text of a TOML file; dots are tables.
    pub fn toml(&mut self, text: &str, origin: &str) {
        match text.parse::<toml::Table>() {
            Ok(table) => self.table(&table, "", origin),
            Err(error) => self.errors.push(format!("{origin} is not TOML: {}", error.to_string().trim_end())),
        }
    }

    fn table(&mut self, table: &toml::Table, prefix: &str, origin: &str) {
        for (key, value) in table {
            let name = format!("{prefix}{key}");
            match value {
                toml::Value::Table(inner) => self.table(inner, &format!("{name}."), origin),
                toml::Value::Array(items) => {
                    let items: Vec<String> = items.iter().map(text_of).collect();
                    self.set(&name, &items.join(","), origin);
                }
                toml::Value::String(_)
                | toml::Value::Integer(_)
                | toml::Value::Float(_)
                | toml::Value::Boolean(_)
                | toml::Value::Datetime(_) => self.set(&name, &text_of(value), origin),
            }
        }
    }

    /// Adds the text of a Java properties file.
    pub fn properties(&mut self, text: &str, origin: &str) {
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut line = line.trim_start().to_owned();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            // An odd number of backslashes at the end continues the line.
            while line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
                line.pop();
                line.push_str(lines.next().unwrap_or("").trim_start());
            }
            let end = line.find(|c: char| c == '=' || c == ':' || c.is_whitespace()).unwrap_or(line.len());
            let value = line[end..].trim_start().trim_start_matches(['=', ':']).trim();
            self.set(&line[..end], &value.replace("\\\\", "\\"), origin);
        }
    }

    /// Adds the variables `THALWEG_…`. One that is no setting is only warned of: Kubernetes makes such variables
    /// for a service of that name.
    pub fn environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (variable, value) in variables {
            if !variable.starts_with("THALWEG_") || NOT_SETTINGS.contains(&variable.as_str()) {
                continue;
            }
            match definition::names().find(|name| environment_name(name) == variable) {
                Some(name) => self.set(name, &value, &variable),
                None => self.warnings.push(format!("environment variable {variable} is not a setting")),
            }
        }
    }

    /// Adds `key=value` of the command line.
    pub fn argument(&mut self, argument: &str) {
        match argument.split_once('=') {
            Some((name, value)) => self.set(name.trim(), value.trim(), "--set"),
            None => self.errors.push(format!("--set {argument} is not of the form key=value")),
        }
    }

    /// Adds one value.
    pub fn set(&mut self, name: &str, value: &str, origin: &str) {
        match ksqldb_names::resolve(name) {
            Ok(Property::Ours(ours)) => {
                self.texts.insert(ours, value.to_owned());
            }
            Ok(Property::Kafka) => {
                let bare = name.trim_start_matches("ksql.streams.").trim_start_matches(ksqldb_names::KAFKA);
                self.kafka.insert(bare.to_owned(), value.to_owned());
            }
            Ok(Property::Ignored) => self.warnings.push(format!("{name} ({origin}) has no effect here")),
            Ok(Property::Statement(_)) => {
                self.warnings.push(format!("{name} ({origin}) has an effect only where a statement SETs it"));
            }
            Err(diagnostic) => self.errors.push(format!("{} ({origin})", diagnostic.to_string().replace('\n', ". "))),
        }
    }

    /// Checks everything: the settings, and what should be said about them in the log.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn finish(self) -> Result<(Settings, Vec<String>), InvalidSettings> {
        let mut errors = self.errors;
        match Settings::from_texts(&self.texts) {
            Ok(settings) if errors.is_empty() => Ok((Settings { kafka: self.kafka, ..settings }, self.warnings)),
            Ok(_) => Err(InvalidSettings(errors)),
            Err(more) => {
                errors.extend(more);
                Err(InvalidSettings(errors))
            }
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::from_texts(&BTreeMap::new()).expect("a test reads every default")
    }
}

/// The environment variable of a setting: `THALWEG_EPOCH_INTERVAL`.
pub(crate) fn environment_name(name: &str) -> String {
    format!("THALWEG_{}", name.to_uppercase().replace(['.', '-'], "_"))
}

fn text_of(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Settings, Sources};

    fn check(fill: impl FnOnce(&mut Sources)) -> Result<Settings, String> {
        let mut sources = Sources::default();
        fill(&mut sources);
        sources.finish().map(|(settings, _)| settings).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_of_kafkas_client_are_passed_on() {
        let settings = check(|sources| {
            sources.toml("[kafka]\nlinger.ms = 5\n[kafka.sasl]\nmechanism = 'PLAIN'\n", "file");
            sources.argument("kafka.linger.ms=0");
        });
        let kafka: Vec<_> = settings.unwrap().kafka.into_iter().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(kafka, [pair("linger.ms", "0"), pair("sasl.mechanism", "PLAIN")]);
    }

    #[test]
    fn a_later_source_replaces_an_earlier_one() {
        let settings = check(|sources| {
            sources.toml("epoch.interval = '1ms'\n[batch]\nrows = 10\n", "file");
            sources.environment([
                ("THALWEG_EPOCH_INTERVAL".to_owned(), "2ms".to_owned()),
                ("THALWEG_SERVICE_ID".to_owned(), "a".to_owned()),
                ("THALWEG_PORT".to_owned(), "tcp://10.0.0.1:80".to_owned()),
            ]);
            sources.argument("service.id=b");
        })
        .unwrap();
        assert_eq!(settings.runtime.epoch_interval, Some(Duration::from_millis(2)));
        assert_eq!(settings.runtime.batch_rows, 10);
        assert_eq!(settings.service.id, "b");
    }

    #[test]
    fn values_written_as_text_are_read_back() {
        let settings = check(|sources| {
            sources.toml("epoch.interval='90s'\nretry.backoff='1500us'\ntopics.fsync='os'\nappend.partition=3", "file");
            sources.argument("listen=localhost:1,127.0.0.1:2");
        })
        .unwrap();
        let texts = settings.texts();
        assert_eq!(texts["listen"], "127.0.0.1:1,127.0.0.1:2");
        assert_eq!((texts["epoch.interval"].as_str(), texts["http.shutdown.timeout"].as_str()), ("90s", "2s"));
        assert_eq!(Settings::from_texts(&texts).unwrap(), settings);
        assert_eq!(Settings::from_texts(&Settings::default().texts()).unwrap(), Settings::default());
    }

    #[test]
    fn a_ksqldb_properties_file_is_read() {
        let settings = check(|sources| {
            sources.properties(
                "# ksqlDB\nlisteners=http://localhost:8088\nksql.service.id : one\\\n   _two\nksql.streams.num.stream.threads 4\n",
                "x.properties",
            );
        })
        .unwrap();
        assert_eq!(settings.service.id, "one_two");
        assert_eq!(settings.http.listen[0].0.port(), 8088);
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let error = check(|sources| {
            sources.toml("epoch.intervall = '1ms'\nbatch.rows = 0\ntopics.fsync = 'never'\n", "t.toml");
            sources.argument("source.idle=soon");
            sources.argument("oops");
        })
        .unwrap_err();
        assert_eq!(
            error,
            "the settings are not valid:\n  \
             property epoch.intervall does not exist. Hint: Did you mean \"epoch.interval\"? (t.toml)\n  \
             --set oops is not of the form key=value\n  \
             `batch.rows` is \"0\", which is not between 1 and 1000000\n  \
             `source.idle` is \"soon\", which is not a duration such as 5ms, 1s, 10m or 24h (a bare number counts milliseconds)\n  \
             `topics.fsync` is \"never\", which is not one of commit, interval, os"
        );
    }
}
