//! `thalweg datagen`: demo data at a steady rate.

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::arguments::{DatagenArguments, Dataset};
use super::client::RequestContext;
use super::produce::Sender;
use super::{Ended, locate};

/// Records are sent in so many portions a second.
const TICKS_A_SECOND: u64 = 20;

const REGIONS: &[&str] = &["Region_1", "Region_2", "Region_3", "Region_4", "Region_5"];
const CITIES: &[(&str, &str)] =
    &[("Basel", "BS"), ("Bern", "BE"), ("Chur", "GR"), ("Geneva", "GE"), ("Lucerne", "LU"), ("Zurich", "ZH")];
const CHANNELS: &[&str] = &["Apple", "Google", "Facebook", "Baidu"];

/// Makes topic and stream when absent, then sends records until the limit or Ctrl-C.
pub(super) async fn run(args: &DatagenArguments) -> Result<(), Ended> {
    let client = locate::server(args.server.as_deref());
    client.statements(&definitions(args.name), &RequestContext::default()).await?;
    let mut senders: Vec<(&str, Sender)> =
        topics(args.name).iter().map(|topic| (*topic, Sender::new(client.clone(), topic))).collect();
    let mut generator = Generator { data: args.name, random: fastrand::Rng::new(), sequence: 0 };
    let mut ticks = tokio::time::interval(Duration::from_millis(1000 / TICKS_A_SECOND));
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut ticked = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => ticked += 1,
            _ = &mut interrupted => break,
        }
        let due = (u64::from(args.rate) * ticked).div_ceil(TICKS_A_SECOND).min(args.limit.unwrap_or(u64::MAX));
        while generator.sequence < due {
            let (topic, record) = generator.next();
            let line = usize::try_from(generator.sequence).unwrap_or(usize::MAX);
            if let Some((_, sender)) = senders.iter_mut().find(|(name, _)| *name == topic) {
                sender.push(&record, line).await?;
            }
        }
        for (_, sender) in &mut senders {
            sender.flush().await?;
        }
        if args.limit.is_some_and(|limit| generator.sequence >= limit) {
            break;
        }
    }
    let sent: u64 = senders.iter().map(|(_, sender)| sender.acknowledged).sum();
    let _ = writeln!(std::io::stderr(), "{sent} records produced to {}", topics(args.name).join(", "));
    Ok(())
}

fn topics(data: Dataset) -> &'static [&'static str] {
    match data {
        Dataset::Orders => &["orders"],
        Dataset::Pageviews => &["pageviews"],
        Dataset::Users => &["users"],
        Dataset::Nexmark => &["person", "auction", "bid"],
    }
}

fn definitions(data: Dataset) -> String {
    let with = |topic: &str| format!("WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON', PARTITIONS=1);");
    match data {
        Dataset::Orders => format!(
            "CREATE STREAM IF NOT EXISTS ORDERS (ORDERID BIGINT KEY, ORDERTIME BIGINT, ITEMID STRING, ORDERUNITS DOUBLE,
             ADDRESS STRUCT<CITY STRING, STATE STRING, ZIPCODE BIGINT>) {}",
            with("orders")
        ),
        Dataset::Pageviews => format!(
            "CREATE STREAM IF NOT EXISTS PAGEVIEWS (VIEWTIME BIGINT KEY, USERID STRING, PAGEID STRING) {}",
            with("pageviews")
        ),
        Dataset::Users => format!(
            "CREATE STREAM IF NOT EXISTS USERS (USERID STRING KEY, REGISTERTIME BIGINT, REGIONID STRING, GENDER STRING,
             INTERESTS ARRAY<STRING>) {}",
            with("users")
        ),
        Dataset::Nexmark => format!(
            "CREATE STREAM IF NOT EXISTS PERSON (ID BIGINT KEY, NAME STRING, CITY STRING, STATE STRING, DATETIME BIGINT) {}
             CREATE STREAM IF NOT EXISTS AUCTION (ID BIGINT KEY, ITEMNAME STRING, INITIALBID BIGINT, RESERVE BIGINT,
             DATETIME BIGINT, EXPIRES BIGINT, SELLER BIGINT, CATEGORY BIGINT) {}
             CREATE STREAM IF NOT EXISTS BID (AUCTION BIGINT KEY, BIDDER BIGINT, PRICE BIGINT, CHANNEL STRING,
             DATETIME BIGINT) {}",
            with("person"),
            with("auction"),
            with("bid")
        ),
    }
}

/// Makes records, one after the other.
struct Generator {
    data: Dataset,
    random: fastrand::Rng,
    /// Records made so far.
    sequence: u64,
}

impl Generator {
    fn next(&mut self) -> (&'static str, Value) {
        let n = self.sequence;
        self.sequence += 1;
        let now = now_ms();
        let random = &mut self.random;
        match self.data {
            Dataset::Orders => {
                let (city, state) = CITIES[random.usize(..CITIES.len())];
                let units = f64::from(random.u32(1..=1000)) / 100.0;
                let address = json!({"CITY": city, "STATE": state, "ZIPCODE": random.u32(1000..9999)});
                let item = format!("Item_{}", random.u32(1..200));
                let order = json!({"ORDERTIME": now, "ITEMID": item, "ORDERUNITS": units, "ADDRESS": address});
                ("orders", record(bigint_key(n), order, now))
            }
            Dataset::Pageviews => {
                let view = json!({"USERID": format!("User_{}", random.u32(1..10)), "PAGEID": format!("Page_{}", random.u32(1..100))});
                ("pageviews", record(bigint_key(now), view, now))
            }
            Dataset::Users => {
                let interests = ["Game", "News", "Movies", "Sport", "Travel"];
                let chosen: Vec<&str> =
                    (0..random.usize(1..4)).map(|_| interests[random.usize(..interests.len())]).collect();
                let gender = ["MALE", "FEMALE", "OTHER"][random.usize(..3)];
                let region = REGIONS[random.usize(..REGIONS.len())];
                let user = json!({"REGISTERTIME": now, "REGIONID": region, "GENDER": gender, "INTERESTS": chosen});
                let key = json!({"type": "STRING", "data": format!("User_{}", random.u32(1..10))});
                ("users", record(key, user, now))
            }
            Dataset::Nexmark => nexmark(n, now, random),
        }
    }
}

/// Of fifty events one is a person, three are auctions, the rest are bids, as in the Nexmark benchmark.
fn nexmark(n: u64, now: u64, random: &mut fastrand::Rng) -> (&'static str, Value) {
    let (round, place) = (n / 50, n % 50);
    let (city, state) = CITIES[random.usize(..CITIES.len())];
    match place {
        0 => {
            let person = json!({"NAME": format!("Person {round}"), "CITY": city, "STATE": state, "DATETIME": now});
            ("person", record(bigint_key(1000 + round), person, now))
        }
        1..=3 => {
            let initial = random.u64(100..10_000);
            let auction = json!({
                "ITEMNAME": format!("Item {}", random.u32(1..1000)), "INITIALBID": initial,
                "RESERVE": initial + random.u64(0..1000), "DATETIME": now, "EXPIRES": now + random.u64(1_000..60_000),
                "SELLER": 1000 + random.u64(..=round), "CATEGORY": random.u32(10..15),
            });
            ("auction", record(bigint_key(1000 + round * 3 + place - 1), auction, now))
        }
        _ => {
            let bid = json!({"BIDDER": 1000 + random.u64(..=round), "PRICE": random.u64(100..1_000_000),
                "CHANNEL": CHANNELS[random.usize(..CHANNELS.len())], "DATETIME": now});
            ("bid", record(bigint_key(1000 + random.u64(..=round * 3 + 2)), bid, now))
        }
    }
}

/// A key as the KAFKA format writes a BIGINT: 8 bytes, big-endian.
fn bigint_key(key: u64) -> Value {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(key.to_be_bytes());
    json!({"type": "BINARY", "data": data})
}

fn record(key: Value, value: Value, timestamp: u64) -> Value {
    json!({"key": key, "value": {"type": "JSON", "data": value}, "timestamp": timestamp})
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Dataset, Generator, definitions, topics};
    use crate::sql;

    #[test]
    fn every_dataset_is_defined_and_fills_its_topics() {
        for data in [Dataset::Orders, Dataset::Pageviews, Dataset::Users, Dataset::Nexmark] {
            assert_eq!(sql::parse_statements(&definitions(data)).unwrap().len(), topics(data).len());
            let mut generator = Generator { data, random: fastrand::Rng::with_seed(1), sequence: 0 };
            let made: Vec<&str> = (0..100).map(|_| generator.next().0).collect();
            assert!(topics(data).iter().all(|topic| made.contains(topic)));
            assert!(made.iter().all(|topic| topics(data).contains(topic)));
        }
    }
}
