//! The lease on a service: who holds partition 0 of its topic of commands, in the consumer group
//! `_thalweg-<service.id>-owner`, owns the service; the other members stand by.
//!
//! ```text
//!              no answer yet ──▶ standby ──────────▶ owner: writes its record, then takes over ids
//!                    │                                 │  ▲ its own record is still the last: nobody was between
//!                    └──────────▶ owner                ▼  │
//!                                              session over, or the group forgot it ──▶ lost, for good
//! ```
//!
//! Members are static: a restarted server that names itself as before (`group.instance.id`) gets its place back at
//! once, and whoever had it is told so. Static members do not leave when they end; one that unsubscribes first does.
//! The assignment sticks to its holder when members come and go.
//!
//! Invariants:
//! - the holder writes who it is (metadata of the group's committed offset, which the coordinator takes from a member of
//!   the current generation only) before it opens a single transactional id: whoever finds its own record there after a
//!   pause knows that nobody else has written since;
//! - lost is lost: the member leaves, and is never the owner again.
//!
//! The lease keeps servers from fighting; exactly once does not rest on it, but on the transactional ids that an owner
//! takes over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use super::client::{Refused, log_line};
use super::rights::OwnsService;
use super::settings::KafkaSettings;
use crate::topics::{Claim, OnOwnership, Ownership, TopicError};

/// How long to wait for news of the group at a time: also how soon the end of the lease is noticed.
const POLL: Duration = Duration::from_millis(50);
/// How often a standby looks who the owner is.
const LOOK: Duration = Duration::from_secs(1);
/// How long the coordinator may take to answer a member.
const ANSWER: Duration = Duration::from_secs(5);
/// How long leaving the group may take.
const LEAVE: Duration = Duration::from_secs(2);

/// Opens what only the owner may open. Called on the lease's thread, again if it failed.
pub(super) type Take = Box<dyn FnMut() -> Result<(), TopicError> + Send>;

/// A server's claim, kept until dropped.
pub(super) struct Lease {
    /// Gone once the lease is.
    consumer: Weak<BaseConsumer<Seat>>,
    topic: String,
    life: String,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Lease {
    /// Joins the group. `told` is called with each change. An owner whose commits are refused (`is_fenced`) gives the
    /// service up: another may do better.
    ///
    /// # Errors
    /// A setting is not one of librdkafka's, or no thread starts.
    pub(super) fn ask(
        settings: &KafkaSettings,
        claim: Claim,
        take: Take,
        told: OnOwnership,
        is_fenced: Arc<AtomicBool>,
    ) -> Result<Self, TopicError> {
        let group = format!("_thalweg-{}-owner", settings.service_id);
        let (config, instance) = settings.member(&group, &claim.instance);
        let refused = |error: KafkaError| Refused::from(error).told("ask for the service");
        let consumer: Arc<BaseConsumer<Seat>> = Arc::new(config.create_with_context(Seat::default()).map_err(refused)?);
        consumer.subscribe(&[&claim.topic]).map_err(refused)?;
        let life = format!("{:016x}", fastrand::u64(..));
        let mut lease = Self {
            consumer: Arc::downgrade(&consumer),
            topic: claim.topic.clone(),
            life: life.clone(),
            ended: Arc::new(AtomicBool::new(false)),
            thread: None,
        };
        let mut member = Member {
            consumer,
            group,
            record: Record { instance, life, url: claim.url },
            topic: claim.topic,
            take,
            told,
            is_fenced,
            state: Ownership::Asked,
            looked: None,
            doubts: 0,
        };
        let until = Arc::clone(&lease.ended);
        let thread = std::thread::Builder::new()
            .name("kafka-lease".to_owned())
            .spawn(move || member.stay(&until))
            .map_err(|error| TopicError::storage("start a thread", &error))?;
        lease.thread = Some(thread);
        Ok(lease)
    }

    /// Asks the group whether this server is the last that owned the service: nobody has written for it since.
    pub(super) fn owns(&self) -> OwnsService {
        let (consumer, topic, life) = (Weak::clone(&self.consumer), self.topic.clone(), self.life.clone());
        Box::new(move || {
            let Some(consumer) = consumer.upgrade() else { return Ok(false) };
            let last = owner(&consumer, &topic).map_err(|refused| refused.told("ask who owns the service"))?;
            // The owner's record is there. Who does not see it does not know.
            let unseen = || Refused::plain("the group does not show its owner").told("ask who owns the service");
            last.map(|record| record.life == life).ok_or_else(unseen)
        })
    }
}

impl Drop for Lease {
    /// Gives the lease back: another may have it at once.
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the thread of the lease panicked");
        }
    }
}

/// What the group said last.
#[derive(Default)]
struct Seat(Mutex<Seated>);

#[derive(Debug, Clone, Copy, Default)]
struct Seated {
    /// Whether this member has the partition; `None` until the group has decided, or decides again.
    holds: Option<bool>,
    /// How often the partition was taken away.
    losses: u64,
}

impl ClientContext for Seat {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for Seat {
    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let mut seated = self.0.lock();
        match rebalance {
            Rebalance::Assign(partitions) => {
                // Membership is all that is wanted.
                if partitions.count() > 0
                    && let Err(error) = consumer.pause(partitions)
                {
                    tracing::debug!(%error, "the partition of the lease is read");
                }
                seated.holds = Some(partitions.count() > 0 || seated.holds == Some(true));
            }
            Rebalance::Revoke(partitions) if partitions.count() > 0 => {
                seated.losses += 1;
                seated.holds = None;
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => tracing::warn!(%error, "the group of the service's servers"),
        }
    }
}

/// Who owns the service, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    instance: String,
    /// Another one in each life of a server.
    life: String,
    url: String,
}

/// The thread's part.
struct Member {
    // fixed
    consumer: Arc<BaseConsumer<Seat>>,
    group: String,
    topic: String,
    /// This server's.
    record: Record,
    take: Take,
    told: OnOwnership,
    is_fenced: Arc<AtomicBool>,
    // changing
    state: Ownership,
    /// When the owner was last looked for.
    looked: Option<Instant>,
    /// Losses of the partition that were found to be without consequence.
    doubts: u64,
}

impl Member {
    fn stay(&mut self, ended: &AtomicBool) {
        while !ended.load(Ordering::Acquire) && !matches!(self.state, Ownership::Lost { .. }) {
            let refused = match self.consumer.poll(POLL) {
                Some(Err(error)) => Some(Refused::from(error)),
                Some(Ok(_)) | None => None,
            };
            let next = match self.next(refused) {
                Ok(next) => next,
                Err(refused) => {
                    tracing::debug!(reason = refused.text, "the lease on the service, trying again");
                    std::thread::park_timeout(POLL);
                    continue;
                }
            };
            if next != self.state {
                self.tell(next);
            }
        }
        self.leave();
    }

    fn tell(&mut self, next: Ownership) {
        let service = &self.topic;
        match &next {
            Ownership::Owned if self.state != Ownership::Owned => {
                tracing::info!(service, "this server owns the service")
            }
            Ownership::Standby { owner: Some(owner) } => tracing::info!(service, "standby of {owner}"),
            Ownership::Standby { owner: None } => tracing::info!(service, "standby of another server"),
            Ownership::Lost { reason } => tracing::error!(service, reason, "this server does not own the service"),
            Ownership::Asked | Ownership::Owned => {}
        }
        self.state = next;
        (self.told)(&self.state);
    }

    /// What follows from what the group said; `refused` is what the client complains about.
    fn next(&mut self, refused: Option<Refused>) -> Result<Ownership, Refused> {
        if self.consumer.client().fatal_error().is_some() {
            let reason = format!("another server took the place of instance {} in the group", self.record.instance);
            return Ok(Ownership::Lost { reason });
        }
        if let Some(refused) = refused.filter(|refused| self.state == Ownership::Asked && is_final(refused.code)) {
            return Ok(Ownership::Lost { reason: format!("the group {} refuses it: {}", self.group, refused.text) });
        }
        if self.state == Ownership::Owned && self.is_fenced.load(Ordering::Acquire) {
            // Who knows more says so.
            let other = self.read()?.filter(|record| record.life != self.record.life);
            let late = "the brokers took this server's right to commit away".to_owned();
            return Ok(Ownership::Lost { reason: other.map_or(late, |record| owned_by(Some(record))) });
        }
        let Seated { holds, losses } = *self.consumer.context().0.lock();
        let is_owner = self.state == Ownership::Owned;
        match holds {
            // The session may be over, or the coordinator be away: nothing is known.
            None => Ok(self.state.clone()),
            Some(true) if !is_owner => {
                self.write()?;
                (self.take)().map_err(|error| Refused::plain(&error.to_string()))?;
                self.doubts = losses;
                Ok(Ownership::Owned)
            }
            Some(true) if losses == self.doubts => Ok(Ownership::Owned),
            Some(true) => match self.read()? {
                Some(record) if record.life == self.record.life => {
                    tracing::info!("the lease on the service was lost for a while, and nobody had it meanwhile");
                    self.doubts = losses;
                    Ok(Ownership::Owned)
                }
                other => Ok(Ownership::Lost { reason: owned_by(other) }),
            },
            Some(false) if is_owner => Ok(Ownership::Lost { reason: owned_by(self.read().unwrap_or_default()) }),
            Some(false) => {
                let rests = matches!(self.state, Ownership::Standby { .. })
                    && self.looked.is_some_and(|looked| looked.elapsed() < LOOK);
                if rests {
                    return Ok(self.state.clone());
                }
                self.looked = Some(Instant::now());
                Ok(match self.read() {
                    Ok(record) => Ownership::Standby { owner: record.map(|record| record.url) },
                    // A coordinator that is away makes nobody forget.
                    Err(_) if matches!(self.state, Ownership::Standby { .. }) => self.state.clone(),
                    Err(_) => Ownership::Standby { owner: None },
                })
            }
        }
    }

    /// Says who the owner is; refused unless this member has its place in the group.
    fn write(&self) -> Result<(), Refused> {
        let text = serde_json::to_string(&self.record).map_err(|error| Refused::plain(&error.to_string()))?;
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, 0).set_metadata(text);
        list.set_all_offsets(Offset::Offset(0))?;
        Ok(self.consumer.commit(&list, CommitMode::Sync)?)
    }

    /// Who said last that it is the owner.
    fn read(&self) -> Result<Option<Record>, Refused> {
        owner(&self.consumer, &self.topic)
    }

    /// Leaves the group; when this returns, another has the place, as far as that could be reached.
    fn leave(&self) {
        if self.consumer.client().fatal_error().is_some() {
            return;
        }
        let deadline = Instant::now() + LEAVE;
        self.consumer.unsubscribe();
        let member = format!("{}-", self.record.instance);
        while Instant::now() < deadline {
            drop(self.consumer.poll(Duration::from_millis(5)));
            match self.consumer.fetch_group_list(Some(&self.group), LEAVE) {
                Ok(list) => {
                    let mut members = list.groups().iter().flat_map(rdkafka::groups::GroupInfo::members);
                    if !members.any(|one| one.id().starts_with(&member)) {
                        return;
                    }
                }
                Err(_) => break,
            }
        }
        tracing::warn!("the lease on the service could not be given back; it ends by itself after session.timeout.ms");
    }
}

/// Who said last that it is the owner.
fn owner(consumer: &BaseConsumer<Seat>, topic: &str) -> Result<Option<Record>, Refused> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let found = consumer.committed_offsets(list, ANSWER)?;
    let record = found.elements().first().and_then(|element| serde_json::from_str(element.metadata()).ok());
    Ok(record)
}

fn owned_by(record: Option<Record>) -> String {
    match record {
        Some(record) => format!("{} owns the service now", record.url),
        None => "another server owns the service now".to_owned(),
    }
}

/// True if asking again will not help.
fn is_final(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::InvalidSessionTimeout
            | RDKafkaErrorCode::InconsistentGroupProtocol
            | RDKafkaErrorCode::InvalidGroupId
    )
}
