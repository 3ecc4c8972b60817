//! Kafka brokers of a test's own, by `scripts/kafka`, to be killed and started again.

use std::path::PathBuf;
use std::process::{Command, Output};

/// A tool that the script needs is missing.
const NO_TOOL: i32 = 3;

/// A running cluster; it ends, and its data goes, when this is dropped.
#[derive(Clone, Debug)]
struct Script {
    folder: PathBuf,
}

/// Brokers on 127.0.0.1.
pub(crate) struct Nodes {
    script: Script,
    /// `host:port[,host:port…]`.
    pub(crate) address: String,
    _folder: tempfile::TempDir,
}

impl Script {
    fn output(&self, words: &[&str]) -> Output {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka"));
        command.args(words).env_remove("THALWEG_KAFKA").env("THALWEG_KAFKA_FOLDER", &self.folder);
        command.output().unwrap()
    }

    fn run(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "scripts/kafka {words:?}: {told}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// The cluster that tests share, by `THALWEG_KAFKA`; without one the test is left out, and says so.
pub(crate) fn shared_cluster() -> Option<String> {
    let cluster = std::env::var("THALWEG_KAFKA").ok().filter(|address| !address.is_empty());
    if cluster.is_none() {
        println!("skipped: THALWEG_KAFKA names no broker (scripts/kafka start)");
    }
    cluster
}

impl Nodes {
    /// Starts one node, or three. `None` where tests are to leave Kafka alone (`THALWEG_KAFKA` is not set), or where
    /// Java is missing.
    pub(crate) async fn start(nodes: usize) -> Option<Self> {
        shared_cluster()?;
        let folder = tempfile::tempdir().unwrap();
        let script = Script { folder: folder.path().join("kafka") };
        let count = nodes.to_string();
        let starting = script.clone();
        let output = tokio::task::spawn_blocking(move || starting.output(&["start", "--nodes", &count])).await.unwrap();
        if output.status.code() == Some(NO_TOOL) {
            println!("skipped: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let address = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Some(Self { script, address, _folder: folder })
    }

    /// As `kill -9` does.
    pub(crate) async fn kill(&self, node: i32) {
        self.run(&["kill", &node.to_string()]).await;
    }

    /// Starts a killed node; returns once it listens.
    pub(crate) async fn restart(&self, node: i32) {
        self.run(&["restart", &node.to_string()]).await;
    }

    /// The node that is the controller.
    pub(crate) async fn controller(&self) -> i32 {
        self.run(&["controller"]).await.parse().unwrap()
    }

    async fn run(&self, words: &[&str]) -> String {
        let script = self.script.clone();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let run = move || script.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        drop(self.script.output(&["stop"]));
    }
}
