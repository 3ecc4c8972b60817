//! Asks a server for rows by key over keep-alive connections, and says how long answers take.
//!
//! build: rustc -O --edition 2024 -o pull_load scripts/pull_load.rs
//! usage: pull_load HOST:PORT SECONDS CONNECTIONS RATE KEYS "SELECT * FROM T WHERE ID = {};"
//!
//! `{}` becomes a random number below KEYS. With a RATE (requests a second, over all connections) a request's time counts
//! from the moment it was due, so that a slow answer is not hidden by the requests it kept from being sent; with RATE 0
//! each connection asks again as soon as it has its answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, seconds, connections, rate, keys, sql] = args.as_slice() else {
        eprintln!("usage: pull_load HOST:PORT SECONDS CONNECTIONS RATE KEYS SQL");
        std::process::exit(2);
    };
    let number = |text: &String| text.parse::<u64>().expect("a number");
    let (seconds, connections, rate, keys) = (number(seconds), number(connections), number(rate), number(keys));
    let started = Instant::now() + Duration::from_millis(100);
    let until = started + Duration::from_secs(seconds);
    let every = (rate > 0).then(|| Duration::from_secs_f64(connections as f64 / rate as f64));
    let clients: Vec<_> = (0..connections)
        .map(|nth| {
            let (address, sql) = (address.clone(), sql.clone());
            let first = started + every.unwrap_or_default() * nth as u32 / connections as u32;
            std::thread::spawn(move || client(&address, &sql, keys, nth, first, every, until))
        })
        .collect();
    let (mut took, mut rows, mut bytes) = (Vec::new(), 0, 0);
    for client in clients {
        let (times, found, received) = client.join().expect("a client failed");
        took.extend(times);
        rows += found;
        bytes += received;
    }
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{} answers, {} of them with rows, {:.0} a second, {} bytes; p50 {:.3} ms, p90 {:.3}, p99 {:.3}, p99.9 {:.3}, max {:.3}",
        took.len(),
        rows,
        took.len() as f64 / seconds as f64,
        bytes,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

/// Asks until the time is over: how long answers took, how many had a row, and their bytes.
fn client(
    address: &str,
    sql: &str,
    keys: u64,
    nth: u64,
    first: Instant,
    every: Option<Duration>,
    until: Instant,
) -> (Vec<Duration>, u64, u64) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a socket option");
    let (mut took, mut rows, mut bytes) = (Vec::new(), 0, 0);
    let mut random = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let (mut due, mut answer) = (first, Vec::new());
    loop {
        let now = Instant::now();
        if due >= until || now >= until {
            return (took, rows, bytes);
        }
        if due > now {
            std::thread::sleep(due - now);
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let body = format!("{{\"sql\":\"{}\"}}", sql.replace("{}", &(random % keys).to_string()));
        let request = format!(
            "POST /query-stream HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sent");
        read_answer(&mut stream, &mut answer);
        took.push(due.max(first).elapsed());
        bytes += answer.len() as u64;
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        rows += u64::from(answer.windows(2).any(|two| two == b"\n["));
        due = match every {
            Some(every) => due + every,
            None => Instant::now(),
        };
    }
}

/// One answer, whole: chunked, or with its length.
fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    let mut piece = [0; 64 * 1024];
    loop {
        let read = stream.read(&mut piece).expect("an answer");
        assert!(read > 0, "the server hung up");
        answer.extend_from_slice(&piece[..read]);
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&answer[..head]).to_lowercase();
        let is_whole = match text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()) {
            Some(length) => answer.len() >= head + 4 + length.parse::<usize>().expect("a length"),
            None => answer.ends_with(b"0\r\n\r\n"),
        };
        if is_whole {
            return;
        }
    }
}
