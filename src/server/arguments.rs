//! The command line of `thalweg server`.

use std::path::PathBuf;

use crate::settings::{InvalidSettings, Settings, Sources};

/// Runs the server.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServerArguments {
    /// Settings: a TOML file, or a Java .properties file of ksqlDB
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on; repeatable. Default 127.0.0.1:8088
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Vec<String>,
    /// Folder of the log. Default: $THALWEG_DATA_DIR, $XDG_DATA_HOME/thalweg, ~/.local/share/thalweg
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Kafka brokers; without them the embedded log
    #[arg(long, value_name = "HOST:PORT,…")]
    pub bootstrap_servers: Option<String>,
    /// Statements to run at start; the API then takes no statement that defines, changes or drops something
    #[arg(long, value_name = "FILE")]
    pub queries_file: Option<PathBuf>,
    /// One setting; repeatable. docs/settings.md lists them
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Allow listening beyond loopback without authentication
    #[arg(long)]
    pub insecure: bool,
}

impl ServerArguments {
    /// The settings that arguments, environment and file come to, and what should be said about them in the log.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn settings(
        &self,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(Settings, Vec<String>), InvalidSettings> {
        let mut sources = Sources::default();
        if let Some(file) = &self.config {
            sources.file(file);
        }
        sources.environment(environment);
        if !self.listen.is_empty() {
            sources.set("listen", &self.listen.join(","), "--listen");
        }
        if let Some(dir) = &self.data_dir {
            sources.set("data.dir", &dir.to_string_lossy(), "--data-dir");
        }
        if let Some(servers) = &self.bootstrap_servers {
            sources.set("bootstrap.servers", servers, "--bootstrap-servers");
        }
        if let Some(file) = &self.queries_file {
            sources.set("queries.file", &file.to_string_lossy(), "--queries-file");
        }
        if self.insecure {
            sources.set("insecure", "true", "--insecure");
        }
        for setting in &self.settings {
            sources.argument(setting);
        }
        let (settings, warnings) = sources.finish()?;
        let mut errors = Vec::new();
        if settings.http.listen.is_empty() {
            errors.push("`listen` is empty".to_owned());
        }
        for address in &settings.http.listen {
            if !address.0.ip().is_loopback() && !settings.http.insecure {
                errors.push(format!(
                    "`listen` is {}, which others can reach: authentication is not implemented yet, so pass --insecure \
                     to let everyone in who reaches the port",
                    address.0
                ));
            }
        }
        if errors.is_empty() { Ok((settings, warnings)) } else { Err(InvalidSettings(errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::ServerArguments;

    fn check(arguments: &ServerArguments, expected: Result<&str, &str>) {
        let told = arguments.settings([]).map(|(settings, _)| settings.http.listen[0].0.to_string());
        assert_eq!(told.map_err(|error| error.to_string()), expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn beyond_loopback_only_insecurely() {
        let arguments = ServerArguments { listen: vec!["0.0.0.0:8088".to_owned()], ..ServerArguments::default() };
        check(
            &arguments,
            Err("the settings are not valid: `listen` is 0.0.0.0:8088, which others can reach: authentication is not \
                 implemented yet, so pass --insecure to let everyone in who reaches the port"),
        );
        check(&ServerArguments { insecure: true, ..arguments }, Ok("0.0.0.0:8088"));
    }

    #[test]
    fn the_last_word_is_that_of_the_command_line() {
        let arguments = ServerArguments {
            listen: vec!["127.0.0.1:1".to_owned()],
            settings: vec!["listen=127.0.0.1:2".to_owned()],
            ..ServerArguments::default()
        };
        check(&arguments, Ok("127.0.0.1:2"));
    }
}
