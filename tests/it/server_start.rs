//! The server as a process: it says where it listens, one server holds a folder, a signal ends it in order.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

struct Server {
    process: Child,
    url: String,
    /// Kept open: a server need not care, but a closed pipe would hide that.
    _out: BufReader<ChildStdout>,
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.args(["server", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder).stdin(Stdio::null());
    command
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut process = command(folder).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().trim_end_matches(',');
        Self { process, url: url.to_owned(), _out: out }
    }

    fn signal(&mut self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// One request without a client library: the answer's body.
    fn ask(&self, path: &str, body: &str) -> String {
        use std::io::Write as _;
        let host = self.url.trim_start_matches("http://");
        let mut socket = std::net::TcpStream::connect(host).unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn fails(output: &Output, code: i32, told: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.contains(told), "{error}");
}

#[test]
fn a_server_keeps_what_it_acknowledged_when_stopped_and_when_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let sql = "CREATE STREAM S (V INT) WITH (kafka_topic='s', partitions=1, value_format='JSON'); \
               CREATE STREAM B AS SELECT V * 2 AS W FROM S; INSERT INTO S VALUES (1);";
    let answer = server.ask("/ksql", &format!("{{\"ksql\":\"{sql}\"}}"));
    assert!(answer.contains("SUCCESS"), "{answer}");
    server.signal("TERM");
    assert_eq!(server.process.wait().unwrap().code(), Some(0));

    let mut server = Server::start(folder.path());
    server.ask("/ksql", "{\"ksql\":\"INSERT INTO S VALUES (2);\"}");
    server.signal("KILL");
    server.process.wait().unwrap();

    let server = Server::start(folder.path());
    let query = "{\"ksql\":\"SELECT W FROM B EMIT CHANGES LIMIT 2;\",\
                 \"streamsProperties\":{\"auto.offset.reset\":\"earliest\"}}";
    let rows = server.ask("/query", query);
    assert!(rows.contains("[2]") && rows.contains("[4]"), "{rows}");
}

#[test]
fn a_folder_has_one_server_and_the_second_is_told_which() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let second = command(folder.path()).output().unwrap();
    fails(&second, 1, &format!("is locked by another process (pid {}, serving {})", server.process.id(), server.url));
}

#[test]
fn what_is_wrong_with_the_settings_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        command(folder.path()).args(["--set", "epoch.intervall=1ms", "--set", "batch.rows=0"]).output().unwrap();
    fails(&output, 2, "Did you mean \"epoch.interval\"?");
    fails(&output, 2, "`batch.rows` is \"0\", which is not between 1 and 1000000");
}
