//! The log on a Kafka cluster: an ordinary client of brokers 2.8 and later, through librdkafka.
//!
//! ```text
//!   reads     a queue a partition, filled in the background ─▶ blocks, shared by readers near each other
//!   commits   one transactional producer an id; what waits goes into one Kafka transaction
//!   topics    made, described and deleted by an admin client; a TopicId is the cluster's id of the incarnation
//!   groups    how far queries have read, for other programs to see; written now and then
//! ```
//!
//! Invariants:
//! - readers see committed records only; offsets have gaps where transactions ended or were aborted;
//! - an id of a committer is one transactional id: opening it fences its holder and decides its open transaction;
//! - what users set as `kafka.*` wins over our settings of the clients.
//!
//! Reading order: [`KafkaSettings`], [`KafkaLog`], `cluster`, `lease`, `committer`, `reader`, `feeder`, `groups`, `numbers`,
//! `native` (the only `unsafe`). What a broker does was studied first: `docs/decisions/0003-what-a-real-broker-does.md`.

mod background;
mod client;
mod cluster;
mod committer;
mod delivery;
mod feeder;
mod groups;
mod lease;
mod log;
mod native;
mod numbers;
mod reader;
mod record_time;
mod rights;
mod sender;
mod settings;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::Administrator;

pub use log::KafkaLog;
pub use settings::KafkaSettings;
