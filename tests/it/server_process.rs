//! A `thalweg server` as a child process that can be killed at any instant, and a client for it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a server may take to answer its first request. Generous: this bounds a hang, it measures nothing.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Lines of its log that a test shows when it fails.
const LOG_LINES: usize = 60;

/// A server process.
pub(crate) struct ServerProcess {
    child: Child,
    /// What it logs; readable also when its folder is gone.
    log: File,
    /// Its address.
    pub(crate) url: String,
    client: reqwest::Client,
}

impl ServerProcess {
    /// Starts a server on `data` and waits until it answers.
    pub(crate) async fn start(data: &Path, settings: &[(&str, String)]) -> Self {
        // `THALWEG` names another build of the program, a release build for instance.
        let program = std::env::var_os("THALWEG").unwrap_or_else(|| env!("CARGO_BIN_EXE_thalweg").into());
        let mut command = Command::new(program);
        command.args(["server", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
        for (name, value) in settings {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        let path = data.join("server.log");
        let log = File::options().create(true).append(true).open(&path).unwrap();
        command.stdout(Stdio::null()).stderr(log).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let client = reqwest::Client::new();
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                let log = std::fs::read_to_string(&path).unwrap_or_default();
                panic!("the server ended with {status}:\n{log}");
            }
            assert!(Instant::now() < deadline, "the server did not start");
            if let Some(url) = url_in_lock(data, child.id())
                && client.get(format!("{url}/info")).send().await.is_ok_and(|answer| answer.status().is_success())
            {
                return Self { child, log: File::open(&path).unwrap(), url, client };
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills the process as `kill -9` does and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the process as SIGSTOP does: it lives and does nothing.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets a paused process go on.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// True if the process is over.
    pub(crate) fn has_ended(&self) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        state.map_or(true, |text| text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
    }

    /// Asks the process to end, and panics unless it does so cleanly within `limit`.
    pub(crate) async fn terminate(mut self, limit: Duration) {
        self.signal("-TERM");
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "SIGTERM ended the server with {status}");
                return;
            }
            assert!(Instant::now() < deadline, "SIGTERM did not end the server within {limit:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs statements with properties; `Err` is the error's body, or that the connection broke.
    pub(crate) async fn execute_with(&self, sql: &str, properties: Value) -> Result<Value, String> {
        let body = json!({"ksql": sql, "streamsProperties": properties});
        let answer = self.client.post(format!("{}/ksql", self.url)).json(&body).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let ok = answer.status().is_success();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if !ok {
            return Err(text);
        }
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// The rows of a query that ends by itself.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        let body = json!({"sql": sql, "properties": {"auto.offset.reset": "earliest"}});
        let answer = self.client.post(format!("{}/query-stream", self.url)).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{sql}: {text}");
        text.lines().skip(1).filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Inserts rows in one `/inserts-stream` request; the answer's acknowledged sequence numbers. A broken connection
    /// gives those that arrived before it broke.
    pub(crate) async fn insert(&self, target: &str, rows: &[Value]) -> Vec<usize> {
        let mut body = json!({"target": target}).to_string();
        for row in rows {
            body.push('\n');
            body.push_str(&row.to_string());
        }
        body.push('\n');
        let sent = self.client.post(format!("{}/inserts-stream", self.url)).body(body).send().await;
        let Ok(mut answer) = sent else { return Vec::new() };
        let mut text = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            text.extend_from_slice(&chunk);
        }
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        String::from_utf8_lossy(&text[..whole])
            .lines()
            .filter_map(|line| {
                let ack: Value = serde_json::from_str(line).ok()?;
                let ok = ack.get("status").and_then(Value::as_str) == Some("ok");
                ok.then(|| usize::try_from(ack.get("seq")?.as_u64()?).ok())?
            })
            .collect()
    }
}

impl Drop for ServerProcess {
    /// A test that fails shows what the server logged last, and leaves no process behind.
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(self.child.kill());
            let mut text = String::new();
            drop(self.log.read_to_string(&mut text));
            let lines: Vec<&str> = text.lines().collect();
            println!("the server's log ends:\n{}", lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"));
        }
    }
}

fn url_in_lock(data: &Path, pid: u32) -> Option<String> {
    let lock: Value = serde_json::from_str(&std::fs::read_to_string(data.join("LOCK")).ok()?).ok()?;
    (lock.get("pid")?.as_u64()? == u64::from(pid)).then(|| lock.get("url")?.as_str().map(str::to_owned))?
}
