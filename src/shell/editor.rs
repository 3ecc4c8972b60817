//! The interactive line editor: statements over several lines, history, completion.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};

use super::Ended;
use super::arguments::Output;
use super::session::Session;

/// Entries of the history file.
const HISTORY_ENTRIES: usize = 1000;

/// Words that Tab completes.
const WORDS: &[&str] = &[
    "ARRAY",
    "ASSERT TOPIC",
    "BETWEEN",
    "BIGINT",
    "BOOLEAN",
    "BYTES",
    "CASE",
    "CAST",
    "CREATE OR REPLACE STREAM",
    "CREATE STREAM",
    "CREATE TABLE",
    "CREATE FUNCTION",
    "CREATE TYPE",
    "DATE",
    "DECIMAL",
    "DEFINE",
    "DELETE TOPIC",
    "DESCRIBE",
    "DOUBLE",
    "DROP STREAM",
    "DROP TABLE",
    "DROP TYPE",
    "EMIT CHANGES",
    "EXPLAIN",
    "EXTENDED",
    "FROM",
    "GROUP BY",
    "HAVING",
    "IF EXISTS",
    "IF NOT EXISTS",
    "INSERT INTO",
    "INTEGER",
    "KAFKA_TOPIC",
    "KEY_FORMAT",
    "LIKE",
    "LIMIT",
    "MAP",
    "PARTITION BY",
    "PARTITIONS",
    "PAUSE",
    "PRIMARY KEY",
    "PRINT",
    "RESUME",
    "SELECT",
    "SHOW FUNCTIONS",
    "SHOW PROPERTIES",
    "SHOW QUERIES",
    "SHOW STREAMS",
    "SHOW TABLES",
    "SHOW TOPICS",
    "SHOW TYPES",
    "SHOW VARIABLES",
    "STRING",
    "STRUCT",
    "TERMINATE",
    "TIME",
    "TIMESTAMP",
    "UNDEFINE",
    "UNSET",
    "VALUE_FORMAT",
    "VALUES",
    "WHERE",
    "WITH",
];

/// Tells the editor when a statement is whole and how words go on.
struct ShellHelper {
    /// Names of streams and tables, which Tab completes too.
    sources: Vec<String>,
}

impl Helper for ShellHelper {}
impl Hinter for ShellHelper {
    type Hint = String;
}
impl Highlighter for ShellHelper {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }
}

impl Validator for ShellHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let whole = is_command(context.input()) || is_whole(context.input());
        Ok(if whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for ShellHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(completions(&line[..pos], &self.sources))
    }
}

/// Where the last words start, and what they may become: the longest run of up to three words that starts something.
fn completions(before: &str, sources: &[String]) -> (usize, Vec<Pair>) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let last = before.rfind(|c| !is_part(c)).map_or(0, |at| at + 1);
    if last == before.len() {
        return (last, Vec::new());
    }
    let mut starts = vec![last];
    while starts.len() < 3
        && let Some(first) = starts.last()
        && let Some(earlier) = before[..*first].strip_suffix(' ')
        && earlier.ends_with(is_part)
    {
        starts.push(earlier.rfind(|c| !is_part(c)).map_or(0, |at| at + 1));
    }
    let pair = |text: &str| Pair { display: text.to_owned(), replacement: format!("{text} ") };
    for start in starts.into_iter().rev() {
        let typed = before[start..].to_ascii_uppercase();
        let words = WORDS.iter().copied().chain(sources.iter().map(String::as_str));
        let pairs: Vec<_> = words.filter(|candidate| candidate.starts_with(&typed)).map(pair).collect();
        if !pairs.is_empty() {
            return (start, pairs);
        }
    }
    (last, Vec::new())
}

/// True if the input ends a statement: a semicolon outside of quotes and comments, and nothing behind it.
fn is_whole(input: &str) -> bool {
    let mut chars = input.chars().peekable();
    let mut ended = true;
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' | '`' => {
                ended = false;
                if !chars.by_ref().any(|other| other == c) {
                    return false;
                }
            }
            '-' if chars.peek() == Some(&'-') => {
                chars.by_ref().any(|other| other == '\n');
            }
            '/' if chars.peek() == Some(&'*') => {
                chars.next();
                let mut last = ' ';
                let closed = chars.by_ref().any(|other| std::mem::replace(&mut last, other) == '*' && other == '/');
                if !closed {
                    return false;
                }
            }
            ';' => ended = true,
            c if c.is_whitespace() => {}
            _ => ended = false,
        }
    }
    ended
}

/// Words the shell answers itself.
fn is_command(input: &str) -> bool {
    let word = input.trim().trim_end_matches(';').to_ascii_lowercase();
    matches!(word.as_str(), "help" | "exit" | "quit" | "clear" | "version" | "server") || word.starts_with("output")
}

const HELP: &str = "\
Statements end with a semicolon and may span lines; Tab completes, Ctrl-R searches the history.
  help                    this text
  output table|json|csv   how results are printed
  server                  the address of the server
  version                 the version of this program
  clear                   clears the screen
  exit                    leaves (so does Ctrl-D)
Try: SHOW STREAMS;   DESCRIBE name EXTENDED;   SHOW FUNCTIONS;   SELECT * FROM name EMIT CHANGES LIMIT 10;
Ctrl-C ends a running query and not the shell.";

/// Reads and runs statements until the person leaves.
pub(super) async fn run(session: &mut Session) -> Result<(), Ended> {
    let config = Config::builder().history_ignore_space(true).max_history_size(HISTORY_ENTRIES);
    let config = config.map(|config| config.auto_add_history(true).build());
    let editor = config.and_then(Editor::<ShellHelper, DefaultHistory>::with_config);
    let mut editor =
        editor.map_err(|error| Ended::Usage(anyhow::Error::new(error).context("cannot read the terminal")))?;
    editor.set_helper(Some(ShellHelper { sources: session.source_names().await }));
    let history = history_file();
    if let Some(path) = &history {
        // No history yet is no error.
        let _ = editor.load_history(path);
    }
    if std::io::stdin().is_terminal() {
        say(&format!("Thalweg {} at {}. Type help for help.", env!("CARGO_PKG_VERSION"), session.url()));
    }
    loop {
        match editor.readline("thalweg> ") {
            Ok(text) => {
                if is_command(&text) {
                    if !run_command(session, &text) {
                        break;
                    }
                } else {
                    for statement in split(&text) {
                        // The message is printed; the shell goes on.
                        match session.run_statement(&statement).await {
                            Ok(()) | Err(Ended::Failed) => {}
                            Err(Ended::Client(error)) => say(&error.to_string()),
                            Err(ended @ Ended::Usage(_)) => return Err(ended),
                        }
                    }
                    if let Some(helper) = editor.helper_mut() {
                        helper.sources = session.source_names().await;
                    }
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Ended::Usage(anyhow::Error::new(error).context("cannot read the terminal"))),
        }
    }
    if let Some(path) = &history {
        if let Some(folder) = path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        if let Err(error) = editor.save_history(path) {
            say(&format!("the history was not saved to {}: {error}", path.display()));
        }
    }
    Ok(())
}

fn split(text: &str) -> Vec<String> {
    match crate::sql::variables::split_statements(text) {
        Ok(statements) => statements.iter().map(|statement| statement.text.to_owned()).collect(),
        // Whole as the person typed it: running it prints the error.
        Err(_) => vec![text.to_owned()],
    }
}

/// Runs a command of the shell; false to leave.
fn run_command(session: &mut Session, text: &str) -> bool {
    let text = text.trim().trim_end_matches(';').to_ascii_lowercase();
    let mut words = text.split_whitespace();
    match (words.next().unwrap_or_default(), words.next()) {
        ("exit" | "quit", _) => return false,
        ("help", _) => say(HELP),
        ("clear", _) => say("\x1b[2J\x1b[H"),
        ("version", _) => say(env!("CARGO_PKG_VERSION")),
        ("server", _) => say(session.url()),
        ("output", Some("json")) => session.output = Output::Json,
        ("output", Some("csv")) => session.output = Output::Csv,
        ("output", Some("table" | "tabular")) => session.output = Output::Table,
        _ => say("output table, output json or output csv"),
    }
    true
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    Some(state.or_else(home)?.join("thalweg").join("history"))
}

#[cfg(test)]
mod tests {
    use super::{completions, is_whole};

    #[test]
    fn a_statement_is_whole_at_a_semicolon_outside_of_quotes_and_comments() {
        for (input, whole) in [
            ("SELECT 1", false),
            ("SELECT 1;", true),
            ("SELECT ';", false),
            ("SELECT ';';", true),
            ("SELECT 1; -- and", true),
            ("SELECT 1 -- ;", false),
            ("SELECT 1 /* ; */ ;", true),
            ("SELECT 1; SELECT", false),
            ("", true),
            ("SELECT /* ;", false),
        ] {
            assert_eq!(is_whole(input), whole, "{input}");
        }
    }

    #[test]
    fn tab_completes_words_phrases_and_names_of_sources() {
        let sources = ["ORDERS".to_owned()];
        for (before, expected) in [
            ("select * fr", "9 FROM "),
            ("SELECT * FROM ord", "14 ORDERS "),
            ("show str", "0 SHOW STREAMS "),
            ("CREATE STREAM x (a str", "19 STRING STRUCT "),
            ("SHOW ", "5 "),
            ("", "0 "),
            ("nothing", "0 "),
        ] {
            let (start, pairs) = completions(before, &sources);
            let told: String = pairs.iter().map(|pair| pair.replacement.as_str()).collect();
            assert_eq!(format!("{start} {told}"), expected, "{before}");
        }
    }
}
