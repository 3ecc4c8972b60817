//! What the shell does with a statement: keep it here, send it to the server, or follow its rows.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

use crate::sql;
use crate::sql::ast::{Statement, StatementKind};

use super::arguments::{Output, SqlArguments};
use super::client::{Client, ClientError, RequestContext};
use super::render::EntityPrinter;
use super::row_line::RowLine;
use super::row_printer::RowPrinter;
use super::{Ended, editor};

/// A session of the shell: a server, and what SET and DEFINE gave.
pub(super) struct Session {
    client: Client,
    context: RequestContext,
    variables: BTreeMap<String, String>,
    /// How results are printed.
    pub(super) output: Output,
}

/// Runs the shell as its arguments ask.
pub(super) async fn run(args: &SqlArguments, url: &str) -> Result<(), Ended> {
    let mut scripts: Vec<String> = args.execute.iter().map(|text| with_semicolon(text)).collect();
    for path in &args.files {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Ended::Usage(anyhow::Error::new(error).context(format!("cannot read {}", path.display())))
        })?;
        scripts.push(with_semicolon(&text));
    }
    let mut variables = BTreeMap::new();
    for definition in &args.define {
        let Some((name, value)) = definition.split_once('=') else {
            return Err(Ended::Usage(anyhow::anyhow!("--define {definition:?} is not of the form name=value")));
        };
        variables.insert(name.trim().to_uppercase(), unquoted(value).to_owned());
    }
    let client = Client::new(url);
    client.info().await?;
    let mut session = Session { client, context: RequestContext::default(), variables, output: args.output };
    if scripts.is_empty() {
        editor::run(&mut session).await
    } else {
        session.run_script(&scripts.join("\n"), args.keep_going).await
    }
}

/// `-e` and `-f` may leave out the last semicolon.
fn with_semicolon(text: &str) -> String {
    let trimmed = text.trim_end();
    if trimmed.is_empty() || trimmed.ends_with(';') { trimmed.to_owned() } else { format!("{trimmed}\n;") }
}

/// The text between single quotes, if it stands between them.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(text)
}

impl Session {
    /// The server's address, for the banner.
    pub(super) fn url(&self) -> &str {
        self.client.url()
    }

    /// Runs all statements of a script; stops at the first that fails unless told to go on.
    async fn run_script(&mut self, text: &str, keep_going: bool) -> Result<(), Ended> {
        let statements = match sql::variables::split_statements(text) {
            Ok(statements) => statements,
            Err(diagnostic) => {
                print_error(&diagnostic.to_string());
                return Err(Ended::Failed);
            }
        };
        let mut failed = false;
        for statement in statements {
            match self.run_statement(statement.text).await {
                Ok(()) => {}
                Err(Ended::Failed) if keep_going => failed = true,
                Err(ended) => return Err(ended),
            }
        }
        if failed { Err(Ended::Failed) } else { Ok(()) }
    }

    /// Names of all streams and tables; none if the server does not tell.
    pub(super) async fn source_names(&self) -> Vec<String> {
        let entities = self.client.statements("SHOW STREAMS; SHOW TABLES;", &RequestContext::default()).await;
        let entities = entities.unwrap_or_default();
        let sources = entities.iter().flat_map(|entity| [&entity["streams"], &entity["tables"]]);
        let sources = sources.filter_map(serde_json::Value::as_array).flatten();
        sources.filter_map(|source| source["name"].as_str().map(str::to_owned)).collect()
    }

    /// Runs one statement and prints what it gives. A refusal is printed and returned as [`Ended::Failed`].
    pub(super) async fn run_statement(&mut self, text: &str) -> Result<(), Ended> {
        match self.dispatch(text).await {
            Err(Ended::Client(ClientError::Refused(message))) => {
                print_error(&message);
                Err(Ended::Failed)
            }
            other => other,
        }
    }

    async fn dispatch(&mut self, text: &str) -> Result<(), Ended> {
        let text = match sql::variables::substitute(text, &self.variables) {
            Ok(text) => text.into_owned(),
            Err(diagnostic) => return Err(ClientError::Refused(diagnostic.to_string()).into()),
        };
        let statement = match sql::parse_statements(&text) {
            Ok(mut statements) if statements.len() == 1 => statements.remove(0),
            Ok(_) => return Ok(()),
            // The server may know more SQL than the dialect has; it says what is wrong otherwise.
            Err(_) if sql::begins_query(&text) => return self.select(&text).await,
            Err(_) if sql::explains_query(&text) => return self.statement(&text).await,
            Err(diagnostic) => return Err(ClientError::Refused(diagnostic.to_string()).into()),
        };
        self.send(&text, statement).await
    }

    async fn send(&mut self, text: &str, statement: Statement) -> Result<(), Ended> {
        match statement.kind {
            StatementKind::Query(_) => self.select(text).await,
            StatementKind::Print { .. } => self.print(text).await,
            StatementKind::Set { name, value } => {
                // The server knows the names and what they may be; it keeps nothing of it.
                self.client.statements(text, &RequestContext::default()).await?;
                let old = self.context.properties.insert(name.clone(), value.clone());
                let old = old.map(|old| format!(" (was '{old}')")).unwrap_or_default();
                self.say(&format!("property '{name}' is now '{value}'{old} for this session; UNSET removes it"));
                Ok(())
            }
            StatementKind::Unset { name } => match self.context.properties.remove(&name) {
                Some(old) => {
                    self.say(&format!("property '{name}' is no longer set (was '{old}')"));
                    Ok(())
                }
                None => Err(ClientError::Refused(format!("property '{name}' is not set in this session")).into()),
            },
            StatementKind::Define { name, value } => {
                self.variables.insert(name.as_str().to_uppercase(), value);
                Ok(())
            }
            StatementKind::Undefine { name } => match self.variables.remove(&name.as_str().to_uppercase()) {
                Some(_) => Ok(()),
                None => Err(ClientError::Refused(format!("variable {name} is not defined")).into()),
            },
            StatementKind::ShowVariables => {
                let variables = self.variables.iter();
                let variables =
                    variables.map(|(name, value)| serde_json::json!({"name": name, "value": value})).collect();
                let entity = serde_json::json!({"@type": "variables", "variables": Value::Array(variables)});
                EntityPrinter::new(self.output).print(&entity);
                Ok(())
            }
            _ => self.statement(text).await,
        }
    }

    /// A statement that the server answers with entities.
    async fn statement(&self, text: &str) -> Result<(), Ended> {
        let entities = self.client.statements(text, &self.context).await?;
        let printer = EntityPrinter::new(self.output);
        for entity in &entities {
            printer.print(entity);
        }
        // A statement that was accepted and then failed answers 200 with this status.
        let failed = |entity: &Value| entity["commandStatus"]["status"] == "ERROR";
        if entities.iter().any(failed) { Err(Ended::Failed) } else { Ok(()) }
    }

    /// Rows until the query ends or Ctrl-C ends it.
    async fn select(&self, text: &str) -> Result<(), Ended> {
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        let mut lines = self.client.select(text, &self.context).await?;
        for warning in lines.warnings() {
            self.say(&format!("WARNING: {warning}"));
        }
        let (mut printer, mut ended): (Option<RowPrinter>, Option<String>) = (None, None);
        loop {
            let line = tokio::select! {
                line = lines.next() => line?,
                _ = &mut interrupted => {
                    self.say("Query terminated");
                    return Ok(());
                }
            };
            let Some(line) = line else { break };
            let line =
                RowLine::read(&line).map_err(|error| ClientError::Broken(format!("a row is not JSON: {error}")))?;
            match (line, &printer) {
                // A closed standard output: whoever read it has enough.
                (RowLine::Row { cells, is_delete }, Some(printer)) if printer.row(&cells, is_delete).is_err() => {
                    return Ok(());
                }
                (RowLine::Header(names), _) => printer = Some(RowPrinter::start(self.output, names)),
                (RowLine::Failed(message), _) => return Err(ClientError::Refused(message).into()),
                (RowLine::Ended(message), _) => ended = Some(message),
                (RowLine::Row { .. } | RowLine::Nothing, _) => {}
            }
        }
        if let Some(printer) = printer {
            printer.finish(ended.as_deref());
        }
        Ok(())
    }

    async fn print(&self, text: &str) -> Result<(), Ended> {
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        let mut lines = self.client.print(text, &self.context).await?;
        loop {
            let line = tokio::select! {
                line = lines.next() => line?,
                _ = &mut interrupted => {
                    self.say("Topic printing ceased");
                    return Ok(());
                }
            };
            let Some(line) = line else { return Ok(()) };
            let mut out = std::io::stdout().lock();
            if out.write_all(&line).and_then(|()| out.write_all(b"\n")).is_err() {
                return Ok(());
            }
        }
    }

    /// Says something to the person, not to a program that reads standard output.
    fn say(&self, text: &str) {
        if self.output == Output::Table || std::io::stderr().is_terminal() {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }
}

fn print_error(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

#[cfg(test)]
mod tests {
    use super::{unquoted, with_semicolon};

    #[test]
    fn scripts_end_with_a_semicolon_even_behind_a_comment() {
        assert_eq!(with_semicolon("SHOW STREAMS"), "SHOW STREAMS\n;");
        assert_eq!(with_semicolon("SHOW STREAMS; \n"), "SHOW STREAMS;");
        assert_eq!(with_semicolon("  "), "");
        assert_eq!(with_semicolon("SHOW STREAMS -- all"), "SHOW STREAMS -- all\n;");
    }

    #[test]
    fn definitions_may_be_quoted() {
        assert_eq!(unquoted("'a'"), "a");
        assert_eq!(unquoted("a"), "a");
    }
}
