//! The doors over real sockets and an engine on a log in memory; answers are compared byte for byte.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::wiring::open_engine;
use super::{Doors, Listeners, router};
use crate::settings::Settings;
use crate::topics::memory::MemoryLog;

struct Bench {
    host: String,
    doors: Doors,
    serving: JoinHandle<()>,
}

impl Bench {
    async fn start() -> Self {
        let mut settings = Settings::default();
        settings.processing_log.enabled = false;
        let listeners = Listeners::bind(["127.0.0.1:0".parse().unwrap()]).await.unwrap();
        let host = listeners.url().trim_start_matches("http://").to_owned();
        let doors = Doors::new(&settings);
        let router = router(doors.clone());
        let patience = settings.http.shutdown_timeout;
        let serving = tokio::spawn(listeners.serve(router, 10, doors.stopping(), patience));
        Self { host, doors, serving }
    }

    async fn open() -> Self {
        let bench = Self::start().await;
        let host = bench.host.clone();
        let opening = move || {
            open_engine(&Settings::default(), Arc::new(MemoryLog::new()), "log".to_owned(), host, Path::new("data"))
                .unwrap()
        };
        bench.doors.open(tokio::task::spawn_blocking(opening).await.unwrap());
        bench
    }

    async fn stop(self) {
        let engine = self.doors.engine().ok();
        self.doors.stop();
        if let Some(engine) = engine {
            tokio::task::spawn_blocking(move || engine.shutdown()).await.unwrap();
        }
        self.serving.await.unwrap();
    }

    /// Sends one HTTP/1.1 request; `head` is method, path and more header lines. Status, content type and body.
    async fn ask(&self, head: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(&self.host).await.unwrap();
        let (first, more) = head.split_once('\n').unwrap_or((head, ""));
        let more: String = more.lines().map(|line| format!("{}\r\n", line.trim())).collect();
        let request = format!(
            "{first} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{more}\r\n{body}",
            self.host,
            body.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim();
        let status = head.split(' ').nth(1).unwrap();
        let body = if header("transfer-encoding:") == "chunked" { dechunk(body) } else { body.to_owned() };
        format!("{status} {}\n{body}", header("content-type:")).trim_end().to_owned()
    }

    async fn ksql(&self, sql: &str) -> String {
        self.ask("POST /ksql", &serde_json::json!({ "ksql": sql }).to_string()).await
    }

    async fn check(&self, head: &str, body: &str, expected: &str) {
        assert_eq!(self.ask(head, body).await, expected, "{head}");
    }
}

fn dechunk(mut chunked: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = chunked.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&rest[..size]);
        chunked = &rest[size + 2..];
        if size == 0 {
            break;
        }
    }
    body
}

/// Bounds a hang; measures nothing.
const HANG: Duration = Duration::from_secs(60);

/// Reads until the text is there.
async fn read_until(socket: &mut TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    let mut part = [0; 1024];
    while !String::from_utf8_lossy(&seen).contains(text) {
        let n = tokio::time::timeout(HANG, socket.read(&mut part)).await.expect("an answer that hangs").unwrap();
        assert!(n > 0, "{text:?} did not come, but {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&part[..n]);
    }
    String::from_utf8(seen).unwrap()
}

const STREAM: &str = "CREATE STREAM S (K STRING KEY, V INT) WITH (kafka_topic='s', partitions=1, value_format='JSON');";

#[tokio::test]
async fn a_terminated_service_refuses_from_then_on() {
    let bench = Bench::open().await;
    bench.ksql(STREAM).await;
    let refused = bench.ask("POST /ksql/terminate", r#"{"deleteTopicList":["a("]}"#).await;
    assert!(refused.starts_with("400 ") && refused.contains("Invalid pattern: a("), "{refused}");
    let told = bench.ask("POST /ksql/terminate", "{}").await;
    assert!(told.starts_with("200 ") && told.contains("cluster/TerminateCluster/terminate"), "{told}");
    let told = bench.ksql("SHOW STREAMS;").await;
    assert!(told.starts_with("503 ") && told.contains("50304"), "{told}");
    bench.stop().await;
}

#[tokio::test]
async fn small_endpoints() {
    let bench = Bench::open().await;
    bench
        .check(
            "GET /info",
            "",
            "200 application/json\n{\"KsqlServerInfo\":{\"version\":\"0.29.0\",\"kafkaClusterId\":\"log\",\
             \"ksqlServiceId\":\"default_\",\"serverStatus\":\"RUNNING\",\"thalwegVersion\":\"0.1.0\"}}",
        )
        .await;
    bench
        .check(
            "GET /healthcheck",
            "",
            "200 application/json\n{\"isHealthy\":true,\"details\":{\"metastore\":{\"isHealthy\":true},\
             \"kafka\":{\"isHealthy\":true},\"commandRunner\":{\"isHealthy\":true}},\"serverState\":\"READY\"}",
        )
        .await;
    bench
        .check(
            "GET /v1/metadata/id",
            "",
            "200 application/json\n{\"id\":\"\",\"scope\":{\"path\":[],\
             \"clusters\":{\"kafka-cluster\":\"log\",\"ksql-cluster\":\"default_\"}}}",
        )
        .await;
    bench.check("GET /", "", "307").await;
    bench.check("GET /chc/live", "", "200 application/json\n{}").await;
    bench.check("GET /clusterStatus", "", "404").await;
    bench.check("GET /nowhere", "", "404 text/plain; charset=utf-8\nNot Found").await;
    bench.check("GET /ksql", "", "405").await;
    bench.check("POST /ksql\naccept: text/html", "{}", "406").await;
    bench.check("GET /is_valid_property/ksql.streams.auto.offset.reset", "", "200 application/json\ntrue").await;
    let refused = bench.ask("GET /is_valid_property/no.such.thing", "").await;
    assert!(
        refused.starts_with("400 application/json\n{\"@type\":\"generic_error\",\"error_code\":40000,"),
        "{refused}"
    );
    bench.stop().await;
}

#[tokio::test]
async fn statements_and_their_status() {
    let bench = Bench::open().await;
    let created = bench.ksql(STREAM).await;
    assert!(
        created.starts_with("200 application/json\n[{\"@type\":\"currentStatus\"")
            && created.contains("\"commandId\":\"stream/`S`/create\""),
        "{created}"
    );
    bench
        .check(
            "GET /status/stream/%60S%60/create",
            "",
            "200 application/json\n{\"status\":\"SUCCESS\",\"message\":\"Stream created\",\"queryId\":null}",
        )
        .await;
    let all = bench.ask("GET /status", "").await;
    assert!(all.contains("{\"commandStatuses\":{") && all.contains("\"stream/`S`/create\":\"SUCCESS\""), "{all}");
    let absent = bench.ask("GET /status/stream/T/drop", "").await;
    assert!(absent.starts_with("404 application/json\n{\"@type\":\"generic_error\",\"error_code\":40400,"), "{absent}");
    let refused = bench.ksql("LIST STREAMS; CREATE SCHTREAM;").await;
    assert!(
        refused.starts_with("400 application/json\n{\"@type\":\"statement_error\",\"error_code\":40001,"),
        "{refused}"
    );
    bench
        .check(
            "POST /ksql",
            "{\"ksql\":",
            "400 application/json\n{\"@type\":\"generic_error\",\"error_code\":40000,\
             \"message\":\"Invalid JSON in request: EOF while parsing a value at line 1 column 8\",\
             \"code\":\"SYNTAX_ERROR\",\"stackTrace\":[]}",
        )
        .await;
    bench.stop().await;
}

#[tokio::test]
async fn before_the_engine_is_open_only_the_process_is_live() {
    let bench = Bench::start().await;
    bench.check("GET /chc/live", "", "200 application/json\n{}").await;
    let refused = bench.ask("GET /chc/ready", "").await;
    assert!(
        refused.starts_with("503 application/json\n{\"@type\":\"generic_error\",\"error_code\":50302,"),
        "{refused}"
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_by_name() {
    let bench = Bench::open().await;
    let refused = bench.ksql(&"x".repeat(5 << 20)).await;
    assert!(refused.starts_with("413 "), "{refused}");
    assert!(refused.contains("larger than 4MiB (http.max.body.bytes)"), "{refused}");
    bench.stop().await;
}

#[tokio::test]
async fn rows_are_acknowledged_while_the_request_is_open() {
    let bench = Bench::open().await;
    bench.ksql(STREAM).await;
    let mut socket = TcpStream::connect(&bench.host).await.unwrap();
    let head = format!("POST /inserts-stream HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n", bench.host);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(chunk("{\"target\":\"S\"}\n").as_bytes()).await.unwrap();
    let answer = read_until(&mut socket, "\r\n\r\n").await;
    assert!(answer.contains("content-type: application/vnd.ksqlapi.delimited.v1"), "{answer}");
    for seq in 0..3 {
        socket.write_all(chunk(&format!("{{\"k\":\"a\",\"v\":{seq}}}\n")).as_bytes()).await.unwrap();
        read_until(&mut socket, &format!("{{\"seq\":{seq},\"status\":\"ok\"}}\n")).await;
    }
    socket.write_all(chunk("{\"k\":\"a\",\"v\":\"x\"}\n").as_bytes()).await.unwrap();
    let error = read_until(&mut socket, "0\r\n\r\n").await;
    assert!(
        error.contains("{\"@type\":\"generic_error\",\"status\":\"error\",\"seq\":3,\"error_code\":40000,"),
        "{error}"
    );
    bench.stop().await;
}

#[tokio::test]
async fn rows_are_acknowledged_over_http_2_too() {
    let bench = Bench::open().await;
    bench.ksql(STREAM).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let (lines, body) = tokio::sync::mpsc::channel::<String>(1);
    let body = futures_util::stream::unfold(body, |mut body| async move {
        let line = body.recv().await?;
        Some((Ok::<String, std::convert::Infallible>(line), body))
    });
    let url = format!("http://{}/inserts-stream", bench.host);
    let request = client.post(url).header("accept", "application/json").body(reqwest::Body::wrap_stream(body));
    lines.send("{\"target\":\"s\"}\n{\"k\":\"a\",\"v\":1}\n".to_owned()).await.unwrap();
    let response = request.send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let mut answer = response.bytes_stream();
    assert_eq!(answer.next().await.unwrap().unwrap(), "[{\"seq\":0,\"status\":\"ok\"}");
    lines.send("{\"k\":\"b\",\"v\":2}".to_owned()).await.unwrap();
    drop(lines);
    let mut rest = Vec::new();
    while let Some(part) = answer.next().await {
        rest.extend_from_slice(&part.unwrap());
    }
    assert_eq!(String::from_utf8(rest).unwrap(), ",{\"seq\":1,\"status\":\"ok\"}]");
    bench.stop().await;
}

#[tokio::test]
async fn records_are_produced_and_consumed() {
    let bench = Bench::open().await;
    bench.ksql(STREAM).await;
    bench
        .check(
            "POST /v3/clusters/any/topics/s/records",
            "{\"key\":{\"type\":\"STRING\",\"data\":\"a\"},\"value\":{\"type\":\"JSON\",\"data\":{\"V\":1}},\"timestamp\":5}\
             {\"value\":{\"type\":\"BINARY\",\"data\":\"/w==\"},\"timestamp\":6}",
            "200 application/json\n\
             {\"error_code\":200,\"cluster_id\":\"any\",\"topic_name\":\"s\",\"partition_id\":0,\"offset\":0,\
             \"timestamp\":\"1970-01-01T00:00:00.005Z\",\"key\":{\"size\":1},\"value\":{\"size\":7}}\n\
             {\"error_code\":200,\"cluster_id\":\"any\",\"topic_name\":\"s\",\"partition_id\":0,\"offset\":1,\
             \"timestamp\":\"1970-01-01T00:00:00.006Z\",\"value\":{\"size\":1}}",
        )
        .await;
    bench
        .check(
            "GET /v1/topics/s/records?from=earliest",
            "",
            "200 application/x-ndjson\n\
             {\"partition\":0,\"offset\":0,\"timestamp\":5,\"key\":\"a\",\"value\":\"{\\\"V\\\":1}\",\"headers\":[]}\n\
             {\"partition\":0,\"offset\":1,\"timestamp\":6,\"key\":null,\"value\":{\"base64\":\"/w==\"},\"headers\":[]}",
        )
        .await;
    let absent = bench.ask("GET /v1/topics/none/records", "").await;
    assert!(absent.starts_with("404 application/json\n{\"@type\":\"generic_error\",\"error_code\":40403,"), "{absent}");
    bench.stop().await;
}

#[tokio::test]
async fn a_reader_that_follows_ends_when_the_server_stops() {
    let bench = Bench::open().await;
    bench.ksql(STREAM).await;
    let mut socket = TcpStream::connect(&bench.host).await.unwrap();
    let request = format!("GET /v1/topics/s/records?follow=true HTTP/1.1\r\nhost: {}\r\n\r\n", bench.host);
    socket.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut socket, "\r\n\r\n").await;
    bench.stop().await;
    assert_eq!(read_until(&mut socket, "\r\n\r\n").await, "0\r\n\r\n");
}

fn select(sql: &str) -> String {
    serde_json::json!({ "sql": sql, "properties": { "auto.offset.reset": "earliest" } }).to_string()
}

/// The answer with the query's id replaced: it differs from run to run.
fn without_id(answer: &str) -> String {
    let (before, rest) = answer.split_once("\"queryId\":\"").unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    format!("{before}\"queryId\":\"?\"{after}")
}

async fn bench_with_rows() -> Bench {
    let bench = Bench::open().await;
    bench.ksql(STREAM).await;
    bench.ksql("INSERT INTO S (K, V) VALUES ('a', 1); INSERT INTO S (K) VALUES ('b');").await;
    bench
}

#[tokio::test]
async fn a_push_query_in_all_layouts() {
    let bench = bench_with_rows().await;
    let sql = select("SELECT * FROM S EMIT CHANGES LIMIT 2;");
    for (accept, expected) in [
        (
            "*/*",
            "200 application/vnd.ksqlapi.delimited.v1\n\
             {\"queryId\":\"?\",\"columnNames\":[\"K\",\"V\"],\"columnTypes\":[\"STRING\",\"INTEGER\"]}\n\
             [\"a\",1]\n[\"b\",null]",
        ),
        (
            "application/json",
            "200 application/json\n\
             [{\"queryId\":\"?\",\"columnNames\":[\"K\",\"V\"],\"columnTypes\":[\"STRING\",\"INTEGER\"]},[\"a\",1],[\"b\",null]]",
        ),
        (
            "application/vnd.ksql.v1+json",
            "200 application/vnd.ksql.v1+json\n\
             [{\"header\":{\"queryId\":\"?\",\"schema\":\"`K` STRING, `V` INTEGER\"}},\n\
             {\"row\":{\"columns\":[\"a\",1]}},\n{\"row\":{\"columns\":[\"b\",null]}},\n\
             {\"finalMessage\":\"Limit Reached\"}]",
        ),
    ] {
        let answer = bench.ask(&format!("POST /query-stream\naccept: {accept}"), &sql).await;
        assert_eq!(without_id(&answer), expected, "{accept}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_scan_of_a_stream_over_the_older_endpoint() {
    let bench = bench_with_rows().await;
    let answer = bench.ask("POST /query", "{\"ksql\":\"SELECT V FROM S;\"}").await;
    assert_eq!(
        without_id(&answer),
        "200 application/vnd.ksql.v1+json\n[{\"header\":{\"queryId\":\"?\",\"schema\":\"`V` INTEGER\"}},\n\
         {\"row\":{\"columns\":[1]}},\n{\"row\":{\"columns\":[null]}},\n{\"finalMessage\":\"Query Completed\"}]"
    );
    bench.stop().await;
}

#[tokio::test]
async fn printing_tells_formats_over_the_older_endpoint_only() {
    let bench = bench_with_rows().await;
    let old = bench.ask("POST /query", "{\"ksql\":\"PRINT s FROM BEGINNING LIMIT 1;\"}").await;
    assert!(old.starts_with("200 application/json\nKey format: "), "{old}");
    let new = bench.ask("POST /query-stream", &select("PRINT s FROM BEGINNING LIMIT 1;")).await;
    assert!(new.starts_with("200 application/vnd.ksqlapi.delimited.v1\nrowtime: "), "{new}");
    let head = "POST /query-stream\naccept: application/json";
    bench.check(head, &select("PRINT s FROM BEGINNING LIMIT 1;"), "406").await;
    bench.stop().await;
}

#[tokio::test]
async fn what_is_no_query_is_a_bad_statement() {
    let bench = bench_with_rows().await;
    for sql in ["SHOW STREAMS;", "SELECT * FROM S; SELECT * FROM S;", "SELECT * FROM T EMIT CHANGES;", "SELECT"] {
        let refused = bench.ask("POST /query-stream", &select(sql)).await;
        let expected = "400 application/json\n{\"@type\":\"statement_error\",\"error_code\":40001,";
        assert!(refused.starts_with(expected), "{refused}");
    }
    let refused = bench.ksql("SELECT * FROM S EMIT CHANGES;").await;
    assert!(refused.contains("\"error_code\":40002,"), "{refused}");
    let refused = bench.ask("POST /close-query", "{\"queryId\":\"nope\"}").await;
    assert!(refused.contains("\"error_code\":40000,") && refused.contains("nope"), "{refused}");
    bench.stop().await;
}

/// Starts a push query on a connection of its own and reads its header; gives the query's id.
async fn open_push(bench: &Bench) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(&bench.host).await.unwrap();
    let sql = select("SELECT * FROM S EMIT CHANGES;");
    let head = format!("POST /query-stream HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n", bench.host, sql.len());
    socket.write_all((head + &sql).as_bytes()).await.unwrap();
    let header = read_until(&mut socket, "\"columnTypes\"").await;
    let (_, rest) = header.split_once("\"queryId\":\"").unwrap();
    let id = rest.split_once('"').unwrap().0.to_owned();
    (socket, id)
}

#[tokio::test]
async fn a_push_query_ends_by_close_query_and_with_its_connection() {
    let bench = bench_with_rows().await;
    let (mut closed, id) = open_push(&bench).await;
    bench.check("POST /close-query", &format!("{{\"queryId\":\"{id}\"}}"), "200").await;
    read_until(&mut closed, "0\r\n\r\n").await;

    let (dropped, id) = open_push(&bench).await;
    drop(dropped);
    // The server notices by itself; until then the query is in the metrics.
    while bench.ask("GET /metrics", "").await.contains(&id) {
        tokio::task::yield_now().await;
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_stopping_server_ends_push_queries_with_their_last_bytes() {
    let bench = bench_with_rows().await;
    let (mut socket, _) = open_push(&bench).await;
    bench.stop().await;
    let rest = read_until(&mut socket, "0\r\n\r\n").await;
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
}

#[tokio::test]
async fn rows_of_a_table_that_stands_still_have_a_warning_in_their_head() {
    let bench = Bench::open().await;
    bench.ksql(&format!("{STREAM} CREATE TABLE T AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;")).await;
    let paused = bench.ksql("SHOW QUERIES;").await;
    let id = paused.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    bench.ksql(&format!("PAUSE {id};")).await;
    for _ in 0..2 {
        let mut socket = TcpStream::connect(&bench.host).await.unwrap();
        let body = "{\"sql\":\"SELECT * FROM T WHERE K = 'a';\"}";
        let head = format!("POST /query-stream HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
        socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let answer = read_until(&mut socket, "\r\n\r\n").await;
        let warning = format!("x-thalweg-warning: Table T stands still, for its query {id} is paused.");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(&warning), "{answer}");
    }
    bench.stop().await;
}
