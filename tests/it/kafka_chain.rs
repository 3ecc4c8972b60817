//! A chain of stateful queries on Kafka, the load for it, and an audit of every row it wrote.
//!
//! ```text
//!   SENT (by ID, 3 partitions) ─ TOTALS (by G: re-keyed) ─ RATED (joined with RATES) ─ WINDOWED
//! ```
//!
//! TOTALS shows every update, so its rows of a group number themselves: N counts 1, 2, 3…, LAST names the row that made
//! the update, S is the sum so far. A row lost, doubled, or taken in twice by the state shows in one of them. RATED must
//! repeat the rows of TOTALS one by one, with a group's rate; WINDOWED counts those of RATED, again every update.
//!
//! The audit reads with a consumer of its own (librdkafka, `read_committed`) and knows nothing of the server.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::server_process::ServerProcess;

/// Rows of one insert request.
const ROWS_A_REQUEST: u64 = 20;
/// Groups, few enough that every life changes most of them.
const GROUPS: i64 = 17;
const PARTITIONS: i32 = 3;
const WINDOW_MS: i64 = 1000;
/// How long the chain may take to catch up in the end. Bounds a hang.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(180);
/// How long the audit waits for the brokers.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// The topics, the last of the chain first: what a row was made of is read after it.
const TOPICS: [&str; 4] = ["windowed", "rated", "totals", "sent"];

/// What the test knows of the rows it sent.
#[derive(Default)]
pub(crate) struct Sent {
    /// Number of rows sent; their ids count from 0.
    pub(crate) rows: u64,
    pub(crate) acknowledged: BTreeSet<u64>,
}

pub(crate) struct Chain {
    pub(crate) cluster: String,
    service: String,
    replicas: i16,
    created: bool,
    pub(crate) sent: Sent,
}

/// A record as the consumer got it.
struct Seen {
    offset: i64,
    timestamp: i64,
    key: Vec<u8>,
    value: Value,
}

/// Reads what the chain wrote.
struct Audit {
    consumer: BaseConsumer,
    /// By place in [`TOPICS`] and partition.
    seen: BTreeMap<(usize, i32), Vec<Seen>>,
}

fn group_of(id: i64) -> i64 {
    id * id % GROUPS
}

fn value_of(id: i64) -> i64 {
    (id * 7) % 1000 - 100
}

/// Every third group has none.
fn rate_of(group: i64) -> Option<i64> {
    (group % 3 != 0).then_some(group * 10)
}

impl Chain {
    pub(crate) fn new(cluster: &str, replicas: i16) -> Self {
        let service = format!("kills-{:08x}", fastrand::u32(..));
        Self { cluster: cluster.to_owned(), service, replicas, created: false, sent: Sent::default() }
    }

    /// Settings of a server of this service.
    pub(crate) fn settings(&self, workers: usize) -> [(&'static str, String); 7] {
        [
            // An empty folder makes another server of it, which would wait until the one that was killed is given up.
            ("kafka.group.instance.id", self.service.clone()),
            ("bootstrap.servers", self.cluster.clone()),
            ("service.id", self.service.clone()),
            ("topic.name.prefix", format!("{}-", self.service)),
            ("topics.internal.replicas", self.replicas.to_string()),
            ("worker.threads", workers.to_string()),
            ("cache.max.bytes.buffering", "0".to_owned()),
        ]
    }

    fn topic(&self, name: &str) -> String {
        format!("{}-{name}", self.service)
    }

    /// The broker that leads partition 0 of the last topic.
    pub(crate) fn leader(&self) -> i32 {
        let consumer: BaseConsumer = self.consumer();
        let topic = self.topic("windowed");
        let metadata = consumer.fetch_metadata(Some(&topic), READ_LIMIT).unwrap();
        metadata.topics()[0].partitions()[0].leader()
    }

    fn consumer(&self) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.cluster)
            .set("group.id", "audit")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .create()
            .unwrap()
    }

    /// Creates the chain unless it is there, and inserts without end.
    pub(crate) async fn live(&mut self, server: &ServerProcess) {
        if !self.created
            && let Err(error) = self.create(server).await
        {
            println!("not created yet: {error}");
            return;
        }
        loop {
            self.insert(server).await;
        }
    }

    /// Loads the server until `during` is over.
    pub(crate) async fn load_while<T>(&mut self, server: &ServerProcess, during: impl Future<Output = T>) -> T {
        tokio::select! {
            answer = during => answer,
            () = self.live(server) => panic!("the chain could not be created"),
        }
    }

    /// Each statement may have taken effect in an earlier life.
    pub(crate) async fn create(&mut self, server: &ServerProcess) -> Result<(), String> {
        let with = |topic: &str| {
            format!("KAFKA_TOPIC='{}', PARTITIONS={PARTITIONS}, REPLICAS={}", self.topic(topic), self.replicas)
        };
        let earliest = json!({"auto.offset.reset": "earliest"});
        for sql in [
            format!(
                "CREATE STREAM IF NOT EXISTS SENT (ID BIGINT KEY, G BIGINT, V BIGINT)
                   WITH ({}, VALUE_FORMAT='JSON');",
                with("sent")
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS RATES (G BIGINT PRIMARY KEY, RATE BIGINT)
                   WITH ({}, VALUE_FORMAT='JSON');",
                with("rates")
            ),
        ] {
            server.execute_with(&sql, earliest.clone()).await?;
        }
        // All rates are there before the first row that is joined with them.
        let rates: Vec<Value> =
            (0..GROUPS).filter_map(|group| Some(json!({"G": group, "RATE": rate_of(group)?}))).collect();
        let acknowledged = server.insert("RATES", &rates).await;
        if acknowledged.len() != rates.len() {
            return Err("rates were not acknowledged".to_owned());
        }
        for sql in [
            format!(
                "CREATE TABLE IF NOT EXISTS TOTALS WITH ({}) AS
                   SELECT G, COUNT(*) AS N, SUM(V) AS S, LATEST_BY_OFFSET(ID) AS LAST FROM SENT GROUP BY G;",
                with("totals")
            ),
            format!(
                "CREATE STREAM IF NOT EXISTS CHANGES (G BIGINT KEY, N BIGINT, S BIGINT, LAST BIGINT)
                   WITH (KAFKA_TOPIC='{}', VALUE_FORMAT='JSON');",
                self.topic("totals")
            ),
            format!(
                "CREATE STREAM IF NOT EXISTS RATED WITH ({}) AS
                   SELECT C.G AS G, C.N AS N, C.S AS S, C.LAST AS LAST, R.RATE AS RATE
                   FROM CHANGES C LEFT JOIN RATES R ON C.G = R.G;",
                with("rated")
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS WINDOWED WITH ({}) AS
                   SELECT G, COUNT(*) AS N, SUM(N) AS S, LATEST_BY_OFFSET(LAST) AS LAST FROM RATED
                   WINDOW TUMBLING (SIZE {WINDOW_MS} MILLISECONDS) GROUP BY G;",
                with("windowed")
            ),
        ] {
            server.execute_with(&sql, earliest.clone()).await?;
        }
        self.created = true;
        Ok(())
    }

    /// Inserts some rows; the number of those that were acknowledged.
    pub(crate) async fn insert(&mut self, server: &ServerProcess) -> usize {
        let first = self.sent.rows;
        self.sent.rows += ROWS_A_REQUEST;
        let row = |id: u64| {
            let id = i64::try_from(id).unwrap();
            json!({"ID": id, "G": group_of(id), "V": value_of(id)})
        };
        let rows: Vec<Value> = (first..self.sent.rows).map(row).collect();
        let acknowledged = server.insert("SENT", &rows).await;
        let count = acknowledged.len();
        self.sent.acknowledged.extend(acknowledged.into_iter().map(|seq| first + seq as u64));
        if count == 0 {
            // Whatever is away is not asked without a rest.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        count
    }

    /// Waits until everything sent has gone through the chain, and each topic holds exactly the rows it has to.
    pub(crate) async fn check(&mut self, server: &ServerProcess) {
        self.finish(server).await;
        let mut audit = Audit { consumer: self.consumer(), seen: BTreeMap::new() };
        let deadline = Instant::now() + CATCH_UP_LIMIT;
        while let Err(difference) = self.audit(&mut audit) {
            assert!(Instant::now() < deadline, "{}: {difference}", self.service);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let rows = |topic: usize| audit.seen.range((topic, 0)..(topic + 1, 0)).map(|(_, seen)| seen.len()).sum();
        let [windowed, rated, totals, sent]: [usize; 4] = std::array::from_fn(rows);
        println!(
            "{} rows sent, {} acknowledged, {sent} there; {totals} updates, {rated} joined, {windowed} windowed: exact",
            self.sent.rows,
            self.sent.acknowledged.len(),
        );
        self.check_tables(server, &audit).await;
    }

    /// Sends some last rows.
    async fn finish(&mut self, server: &ServerProcess) {
        let deadline = Instant::now() + CATCH_UP_LIMIT;
        while !self.created {
            if let Err(error) = self.create(server).await {
                assert!(Instant::now() < deadline, "{error}");
            }
        }
        while self.insert(server).await == 0 {
            assert!(Instant::now() < deadline, "rows are not taken any more");
        }
    }

    /// Reads what is new, and compares.
    fn audit(&self, audit: &mut Audit) -> Result<(), String> {
        for (place, topic) in TOPICS.iter().enumerate() {
            audit.read(place, &self.topic(topic))?;
        }
        let sent = self.sent_rows(audit)?;
        let totals = self.totals(audit, &sent)?;
        let rated = rated(audit, &totals)?;
        windowed(audit, &rated)
    }

    /// Where each row of SENT is; all that was acknowledged is there, nothing twice.
    fn sent_rows(&self, audit: &Audit) -> Result<HashMap<i64, (i32, i64)>, String> {
        let mut found = HashMap::new();
        for (partition, row) in audit.rows(3) {
            let id = key_number(&row.key);
            let is_sent = u64::try_from(id).is_ok_and(|id| id < self.sent.rows);
            if !is_sent || number(&row.value, "G") != Some(group_of(id)) {
                return Err(format!("SENT holds a row that was not sent: {id} {}", row.value));
            }
            if let Some(other) = found.insert(id, (partition, row.offset)) {
                return Err(format!("row {id} is in SENT twice: at {other:?} and {:?}", (partition, row.offset)));
            }
        }
        let id = |id: &u64| i64::try_from(*id).unwrap();
        match self.sent.acknowledged.iter().map(id).find(|id| !found.contains_key(id)) {
            Some(id) => Err(format!("row {id} was acknowledged and is not in SENT")),
            None => Ok(found),
        }
    }

    /// The rows of each group, by N, S and LAST.
    fn totals(&self, audit: &Audit, sent: &HashMap<i64, (i32, i64)>) -> Result<Rows, String> {
        let mut groups = Rows::new();
        let mut places = HashMap::new();
        let mut last_of = HashMap::new();
        let mut taken = BTreeSet::new();
        for (partition, row) in audit.rows(2) {
            let group = key_number(&row.key);
            let wrong = |what: &str| format!("TOTALS of {group}: {what}: {} at {partition}/{}", row.value, row.offset);
            if *places.entry(group).or_insert(partition) != partition {
                return Err(wrong("in two partitions"));
            }
            let [Some(n), Some(s), Some(last)] = ["N", "S", "LAST"].map(|name| number(&row.value, name)) else {
                return Err(wrong("without a number"));
            };
            let rows = groups.entry(group).or_default();
            let before = rows.last().map_or((0, 0), |row: &(i64, i64, i64)| (row.0, row.1));
            if (n, s) != (before.0 + 1, before.1 + value_of(last)) {
                return Err(wrong(&format!("does not follow {before:?}")));
            }
            let Some(place) = sent.get(&last) else { return Err(wrong("of a row that is not in SENT")) };
            if group_of(last) != group || !taken.insert(last) {
                return Err(wrong("takes a row twice, or one of another group"));
            }
            // Rows of a partition go through in their order.
            if last_of.insert((group, place.0), place.1).is_some_and(|before| before > place.1) {
                return Err(wrong("takes rows of a partition out of order"));
            }
            rows.push((n, s, last));
        }
        match sent.keys().find(|id| !taken.contains(id)) {
            Some(id) => Err(format!("{} rows are in SENT and {} in TOTALS, not {id}", sent.len(), taken.len())),
            None => Ok(groups),
        }
    }

    /// What pull queries say is the last row of each key.
    async fn check_tables(&self, server: &ServerProcess, audit: &Audit) {
        let mut totals = BTreeMap::new();
        for (_, row) in audit.rows(2) {
            totals.insert(vec![key_number(&row.key)], row.value.clone());
        }
        let mut windowed = BTreeMap::new();
        for (_, row) in audit.rows(0) {
            windowed.insert(vec![key_number(&row.key), window_start(&row.key)], row.value.clone());
        }
        for (sql, expected, keys) in [
            ("SELECT G, N, S, LAST FROM TOTALS;", &totals, 1),
            ("SELECT G, WINDOWSTART, N, S, LAST FROM WINDOWED;", &windowed, 2),
        ] {
            let deadline = Instant::now() + CATCH_UP_LIMIT;
            loop {
                let answer = server.rows(sql).await;
                let found: BTreeMap<Vec<i64>, Value> = answer
                    .iter()
                    .map(|row| {
                        let key = row[..keys].iter().map(|value| value.as_i64().unwrap()).collect();
                        (key, json!({"N": row[keys], "S": row[keys + 1], "LAST": row[keys + 2]}))
                    })
                    .collect();
                assert_eq!(found.len(), answer.len(), "a key is there twice: {sql}");
                if found == *expected {
                    break;
                }
                assert!(Instant::now() < deadline, "{sql}\nfound {found:?}\nexpected {expected:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// N, S and LAST of a group's rows, in order.
type Rows = BTreeMap<i64, Vec<(i64, i64, i64)>>;

/// A row of RATED that WINDOWED has to take: its window, N and LAST.
type Taken = (i64, i64, i64);

/// RATED repeats TOTALS, row by row; what WINDOWED has to take, by group.
fn rated(audit: &Audit, totals: &Rows) -> Result<BTreeMap<i64, Vec<Taken>>, String> {
    let mut groups: BTreeMap<i64, Vec<Taken>> = BTreeMap::new();
    for (partition, row) in audit.rows(1) {
        let group = key_number(&row.key);
        let taken = groups.entry(group).or_default();
        let expected = totals.get(&group).and_then(|rows| rows.get(taken.len()));
        let found = ["N", "S", "LAST"].map(|name| number(&row.value, name));
        if expected.map(|(n, s, last)| [Some(*n), Some(*s), Some(*last)]) != Some(found)
            || number(&row.value, "RATE") != rate_of(group)
        {
            let place = (partition, row.offset);
            return Err(format!("RATED of {group}: {} at {place:?}, expected {expected:?}", row.value));
        }
        let start = row.timestamp - row.timestamp % WINDOW_MS;
        taken.push((start, found[0].unwrap_or(0), found[2].unwrap_or(0)));
    }
    let count = |group: &i64| groups.get(group).map_or(0, Vec::len);
    match totals.iter().find(|(group, rows)| count(group) < rows.len()) {
        Some((group, rows)) => Err(format!("RATED of {group} has {} of {} rows", count(group), rows.len())),
        None => Ok(groups),
    }
}

/// WINDOWED shows an update for each row of RATED, in their order.
fn windowed(audit: &Audit, rated: &BTreeMap<i64, Vec<Taken>>) -> Result<(), String> {
    let mut sums: HashMap<(i64, i64), (i64, i64)> = HashMap::new();
    let mut counts: HashMap<i64, usize> = HashMap::new();
    for (partition, row) in audit.rows(0) {
        let (group, start) = (key_number(&row.key), window_start(&row.key));
        let at = counts.entry(group).or_default();
        let taken = rated.get(&group).and_then(|rows| rows.get(*at));
        *at += 1;
        let sum = sums.entry((group, start)).or_default();
        *sum = (sum.0 + 1, sum.1 + taken.map_or(0, |taken| taken.1));
        let found = ["N", "S", "LAST"].map(|name| number(&row.value, name));
        if taken.map(|taken| (taken.0, [Some(sum.0), Some(sum.1), Some(taken.2)])) != Some((start, found)) {
            let place = (partition, row.offset);
            return Err(format!("WINDOWED of {group}, {start}: {} at {place:?}: {taken:?}, {sum:?}", row.value));
        }
    }
    let count = |group: &i64| counts.get(group).copied().unwrap_or(0);
    match rated.iter().find(|(group, rows)| count(group) < rows.len()) {
        Some((group, rows)) => Err(format!("WINDOWED of {group} has {} of {} rows", count(group), rows.len())),
        None => Ok(()),
    }
}

impl Audit {
    /// Reads a topic on to its end.
    fn read(&mut self, place: usize, topic: &str) -> Result<(), String> {
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let next = self.seen.get(&(place, partition)).and_then(|seen| seen.last()).map_or(0, |row| row.offset + 1);
            list.add_partition_offset(topic, partition, Offset::Offset(next)).unwrap();
        }
        self.consumer.assign(&list).unwrap();
        let deadline = Instant::now() + READ_LIMIT;
        let mut ended = BTreeSet::new();
        while ended.len() < usize::try_from(PARTITIONS).unwrap() {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let seen = self.seen.entry((place, message.partition())).or_default();
                    let next = seen.last().map_or(0, |row| row.offset + 1);
                    if message.offset() >= next {
                        seen.push(Seen {
                            offset: message.offset(),
                            timestamp: message.timestamp().to_millis().unwrap(),
                            key: message.key().unwrap_or_default().to_vec(),
                            value: serde_json::from_slice(message.payload().unwrap_or(b"null")).unwrap(),
                        });
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
                Some(Err(error)) if Instant::now() > deadline => return Err(format!("cannot read {topic}: {error}")),
                None if Instant::now() > deadline => return Err(format!("{topic} cannot be read to its end")),
                Some(Err(_)) | None => {}
            }
        }
        Ok(())
    }

    /// The rows of a topic with their partitions, in the order of each.
    fn rows(&self, place: usize) -> impl Iterator<Item = (i32, &Seen)> {
        let partitions = self.seen.range((place, 0)..(place + 1, 0));
        partitions.flat_map(|((_, partition), rows)| rows.iter().map(|row| (*partition, row)))
    }
}

fn number(row: &Value, name: &str) -> Option<i64> {
    row.get(name)?.as_i64()
}

/// A BIGINT key.
fn key_number(key: &[u8]) -> i64 {
    i64::from_be_bytes(key[..8].try_into().unwrap())
}

/// The start of the window behind a BIGINT key.
fn window_start(key: &[u8]) -> i64 {
    i64::from_be_bytes(key[8..16].try_into().unwrap())
}
