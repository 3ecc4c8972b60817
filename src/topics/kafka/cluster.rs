//! The topics of the cluster: made, deleted, described, remembered; and the offsets their partitions hold.
//!
//! A topic's [`TopicId`] is the one that the cluster gave to its incarnation, folded to 64 bits (ids are random, so two
//! topics of one cluster do not share one). What is remembered serves reads and commits; whoever asks for a topic by
//! name gets the cluster's answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset as At, TopicPartitionList};

use super::client::{Log, Refused, wait_for};
use super::native::{Described, describe_topics};
use super::numbers::{Counted, Numbers};
use super::rights::Rights;
use super::settings::KafkaSettings;
use crate::topics::{CleanupPolicy, OffsetRange, TopicConfig, TopicError, TopicId, TopicInfo, check_topic_name};
use crate::types::{Offset, Partition};

/// What names of our own topics begin with.
const INTERNAL: &str = "_thalweg-";
/// How often a cluster is asked whether it has done what it promised.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long to wait for a cluster that did not answer last time.
const AWAY: Duration = Duration::from_millis(500);
/// How long a topic's configuration is believed.
const CONFIG_BELIEVED: Duration = Duration::from_secs(60);
/// How long one try to learn offsets may take: a leader may have moved.
const TRY: Duration = Duration::from_secs(3);
/// Topics described in one request.
const MOST_TOPICS: usize = 500;

/// Topics and offsets of a cluster.
pub(super) struct Cluster {
    // fixed
    admin: AdminClient<Log>,
    /// Asks only; reads nothing.
    asker: BaseConsumer<Log>,
    timeout: Duration,
    internal_replicas: i16,
    max_record_bytes: usize,
    // changing
    is_away: AtomicBool,
    /// A committer of this process was fenced for good: another server has the service.
    pub(super) is_fenced: Arc<AtomicBool>,
    pub(super) numbers: Arc<Numbers>,
    pub(super) rights: Rights,
    known: Mutex<Known>,
    /// Where partitions end at least: behind what was committed here. A commit is answered before the markers that make
    /// it readable are written.
    ends: Mutex<HashMap<(String, Partition), Offset>>,
    #[cfg(test)]
    pub(super) faults: Mutex<std::collections::VecDeque<crate::topics::memory::Fault>>,
}

#[derive(Default)]
struct Known {
    topics: HashMap<String, TopicInfo>,
    names: HashMap<TopicId, String>,
    /// When the configuration of a topic was asked for.
    configs: HashMap<TopicId, Instant>,
}

impl Cluster {
    /// Makes the clients, and waits until the cluster answers.
    ///
    /// # Errors
    /// A setting is not one of librdkafka's, or nobody answers in time.
    pub(super) fn connect(settings: &KafkaSettings) -> Result<Arc<Self>, TopicError> {
        let told = |error: rdkafka::error::KafkaError| Refused::from(error).told("connect to Kafka");
        let numbers = Arc::new(Numbers::default());
        let context = || Log(Counted::new(&numbers));
        let admin = settings.admin().create_with_context(context()).map_err(told)?;
        let asker: BaseConsumer<Log> = settings.asker().create_with_context(context()).map_err(told)?;
        let cluster = Self {
            admin,
            asker,
            timeout: settings.request_timeout,
            internal_replicas: settings.internal_replicas,
            max_record_bytes: settings.max_record_bytes,
            is_away: AtomicBool::new(false),
            is_fenced: Arc::default(),
            numbers,
            rights: Rights::default(),
            known: Mutex::default(),
            ends: Mutex::default(),
            #[cfg(test)]
            faults: Mutex::default(),
        };
        let answer = cluster.asker.fetch_metadata(None, settings.request_timeout).map_err(|error| {
            let reason = format!("{} does not answer: {}", settings.bootstrap_servers, Refused::from(error).text);
            TopicError::Storage { action: "connect to Kafka", reason }
        })?;
        tracing::info!(brokers = answer.brokers().len(), "connected to Kafka");
        Ok(Arc::new(cluster))
    }

    /// The cluster's own id; empty if it does not say.
    pub(super) fn id(&self) -> String {
        self.asker.client().fetch_cluster_id(self.timeout).unwrap_or_default()
    }

    /// How long to wait for an answer: not for long while nobody answers, so that those who only look are told soon.
    fn patience(&self) -> Duration {
        if self.is_away.load(Ordering::Relaxed) { AWAY } else { self.timeout }
    }

    /// The cluster answered, or did not.
    fn heard(&self, answered: bool) {
        let was_away = self.is_away.swap(!answered, Ordering::Relaxed);
        if was_away == answered {
            if answered {
                tracing::info!("the Kafka cluster answers again");
            } else {
                tracing::warn!("the Kafka cluster does not answer");
            }
        }
    }

    /// Serves what the client has to say; to be called now and then.
    pub(super) fn serve(&self) {
        drop(self.asker.poll(Duration::ZERO));
    }

    /// True if the cluster did not answer last time.
    pub(super) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    /// The name of an incarnation, if it is remembered.
    pub(super) fn name_of(&self, id: TopicId) -> Option<String> {
        self.known.lock().names.get(&id).cloned()
    }

    /// Where partitions of topics end: behind the last committed record. Those that nobody tells are left out. One
    /// request a broker.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub(super) fn ends(
        &self,
        partitions: &[(String, Partition)],
    ) -> Result<BTreeMap<(String, Partition), Offset>, Refused> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition_offset(topic, partition.0, At::End)?;
        }
        let answer = self.asker.offsets_for_times(list, self.patience().min(TRY))?;
        let told = answer.elements().into_iter().filter(|element| element.error().is_ok());
        let end = |element: TopicPartitionListElem<'_>| match element.offset() {
            At::Offset(offset) => Some(((element.topic().to_owned(), Partition(element.partition())), Offset(offset))),
            _ => None,
        };
        Ok(told.filter_map(end).collect())
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    /// Makes a topic; when this returns, every partition has a leader.
    ///
    /// # Errors
    /// As [`crate::topics::TopicLog::create_topic`].
    pub(super) fn create(&self, name: &str, config: &TopicConfig) -> Result<TopicInfo, TopicError> {
        check_topic_name(name)?;
        config.check()?;
        let deadline = Instant::now() + self.timeout;
        let cleanup = match config.cleanup {
            CleanupPolicy::Delete => "delete",
            CleanupPolicy::Compact => "compact",
            CleanupPolicy::CompactDelete => "compact,delete",
        };
        let retention = config.retention_ms.unwrap_or(-1).to_string();
        // What is ours alone is kept as safe as asked for, and may hold whatever is in a record of the user's.
        let is_internal = name.starts_with(INTERNAL);
        let replicas = if is_internal { config.replicas.max(self.internal_replicas) } else { config.replicas };
        let max_message = (self.max_record_bytes + (1 << 20)).to_string();
        loop {
            let mut topic = NewTopic::new(name, config.partitions, TopicReplication::Fixed(i32::from(replicas)))
                .set("cleanup.policy", cleanup)
                // Event times are data: one of the year 2200 is no reason to refuse a record.
                .set("message.timestamp.after.max.ms", "9223372036854775807");
            if config.cleanup.deletes() {
                topic = topic.set("retention.ms", &retention);
            }
            if is_internal {
                topic = topic.set("max.message.bytes", &max_message);
            }
            let answers = wait_for(self.admin.create_topics([&topic], &self.options()))
                .map_err(|error| Refused::from(error).told("create a topic"))?;
            match answers.into_iter().next() {
                Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {
                    // One that was deleted just now may still be on its way out.
                    if self.find(name)?.is_some() || Instant::now() > deadline {
                        return Err(TopicError::TopicExists(name.to_owned()));
                    }
                }
                Some(Err((_, code))) => {
                    return Err(TopicError::Storage { action: "create a topic", reason: format!("{name}: {code}") });
                }
                Some(Ok(_)) | None => break,
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
        loop {
            match self.describe(&[name])?.first() {
                Some(found) if found.error == RDKafkaErrorCode::NoError && found.is_led => {
                    let info = TopicInfo { name: name.to_owned(), id: id_of(found), config: config.clone() };
                    self.remember(info.clone(), true);
                    return Ok(info);
                }
                _ if Instant::now() > deadline => {
                    let reason = format!("{name} has no leader after {:?}", self.timeout);
                    return Err(TopicError::Storage { action: "create a topic", reason });
                }
                _ => std::thread::park_timeout(LOOK_AGAIN),
            }
        }
    }

    /// Deletes a topic; when this returns, it is not described any more.
    ///
    /// # Errors
    /// As [`crate::topics::TopicLog::delete_topic`].
    pub(super) fn delete(&self, name: &str) -> Result<(), TopicError> {
        let answers = wait_for(self.admin.delete_topics(&[name], &self.options()))
            .map_err(|error| Refused::from(error).told("delete a topic"))?;
        self.doubt(name);
        self.ends.lock().retain(|(topic, _), _| topic != name);
        match answers.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic))) => {
                return Err(TopicError::UnknownTopic(name.to_owned()));
            }
            Some(Err((_, code))) => {
                return Err(TopicError::Storage { action: "delete a topic", reason: format!("{name}: {code}") });
            }
            Some(Ok(_)) | None => {}
        }
        let deadline = Instant::now() + self.timeout;
        while self.describe(&[name])?.iter().any(|found| found.error == RDKafkaErrorCode::NoError) {
            if Instant::now() > deadline {
                break;
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
        Ok(())
    }

    /// The topic of this name, as the cluster knows it now.
    ///
    /// # Errors
    /// The cluster does not answer, or refuses.
    pub(super) fn find(&self, name: &str) -> Result<Option<TopicInfo>, TopicError> {
        if check_topic_name(name).is_err() {
            return Ok(None);
        }
        Ok(self.ask(&[name])?.pop())
    }

    /// All topics but Kafka's own, as the cluster knows them now.
    ///
    /// # Errors
    /// The cluster does not answer, or refuses.
    pub(super) fn all(&self) -> Result<BTreeMap<String, TopicInfo>, TopicError> {
        let answer = self
            .asker
            .fetch_metadata(None, self.patience())
            .map_err(|error| Refused::from(error).told("list the topics"))?;
        let names: Vec<&str> = answer.topics().iter().map(rdkafka::metadata::MetadataTopic::name).collect();
        let mut all = BTreeMap::new();
        for some in names.chunks(MOST_TOPICS) {
            all.extend(self.ask(some)?.into_iter().map(|info| (info.name.clone(), info)));
        }
        let mut known = self.known.lock();
        known.topics.retain(|name, _| all.contains_key(name));
        known.names.retain(|_, name| all.contains_key(name));
        known.configs.retain(|id, _| all.values().any(|info| info.id == *id));
        Ok(all)
    }

    /// The topic of this name, remembered or asked for.
    ///
    /// # Errors
    /// The cluster does not answer, or refuses.
    pub(super) fn known(&self, name: &str) -> Result<Option<TopicInfo>, TopicError> {
        let known = self.known.lock().topics.get(name).cloned();
        match known {
            Some(info) => Ok(Some(info)),
            None => self.find(name),
        }
    }

    /// The topic of this incarnation.
    ///
    /// # Errors
    /// [`TopicError::UnknownTopic`]; the cluster does not answer, or refuses.
    pub(super) fn by_id(&self, id: TopicId) -> Result<TopicInfo, TopicError> {
        let remembered = || {
            let known = self.known.lock();
            known.names.get(&id).and_then(|name| known.topics.get(name)).cloned()
        };
        if let Some(info) = remembered() {
            return Ok(info);
        }
        self.all()?;
        remembered().ok_or_else(|| TopicError::no_incarnation(id))
    }

    /// Forgets what is remembered of a name: it may be gone, or another.
    pub(super) fn doubt(&self, name: &str) {
        let mut known = self.known.lock();
        if let Some(info) = known.topics.remove(name) {
            known.names.remove(&info.id);
            known.configs.remove(&info.id);
        }
    }

    /// Partitions end behind what was committed.
    pub(super) fn committed(&self, ends: Vec<(String, Partition, Offset)>) {
        let mut known = self.ends.lock();
        for (topic, partition, end) in ends {
            let at_least = known.entry((topic, partition)).or_insert(end);
            *at_least = end.max(*at_least);
        }
    }

    /// True if the cluster shows all that was committed here. What it shows is not waited for again.
    fn shows(&self, topic: &str, ranges: &[OffsetRange]) -> bool {
        let mut ends = self.ends.lock();
        let mut shows = true;
        for (number, range) in (0..).zip(ranges) {
            let key = (topic.to_owned(), Partition(number));
            match ends.get(&key) {
                Some(end) if range.end < *end => shows = false,
                Some(_) => drop(ends.remove(&key)),
                None => {}
            }
        }
        shows
    }

    /// What each partition holds, up to the last committed record.
    ///
    /// # Errors
    /// [`TopicError::UnknownTopic`]; the cluster does not answer, or refuses.
    pub(super) fn offsets(&self, id: TopicId) -> Result<Vec<OffsetRange>, TopicError> {
        let info = self.by_id(id)?;
        let deadline = Instant::now() + self.patience();
        loop {
            match self.ranges(&info) {
                Ok(ranges) if self.shows(&info.name, &ranges) => return Ok(ranges),
                // Transactions of others may hold readers back for long; ours do not.
                Ok(ranges) if Instant::now() > deadline => {
                    if !info.name.starts_with(INTERNAL) {
                        return Ok(ranges);
                    }
                    let reason = format!("topic {} does not show what was committed to it", info.name);
                    return Err(TopicError::Storage { action: "ask for offsets", reason });
                }
                Ok(_) => std::thread::park_timeout(Duration::from_millis(1)),
                Err(refused) => {
                    // A leader moved, or the topic is gone: only the cluster knows.
                    self.doubt(&info.name);
                    match self.find(&info.name) {
                        Ok(Some(found)) if found.id == id => {}
                        Ok(_) => return Err(TopicError::no_incarnation(id)),
                        Err(error) if Instant::now() > deadline => return Err(error),
                        Err(_) => {}
                    }
                    if Instant::now() > deadline {
                        return Err(refused.told("ask for offsets"));
                    }
                    std::thread::park_timeout(LOOK_AGAIN);
                }
            }
        }
    }

    fn ranges(&self, info: &TopicInfo) -> Result<Vec<OffsetRange>, Refused> {
        let ask = |at: At| -> Result<Vec<i64>, Refused> {
            let mut list = TopicPartitionList::with_capacity(usize::try_from(info.config.partitions).unwrap_or(0));
            for partition in 0..info.config.partitions {
                list.add_partition_offset(&info.name, partition, at)?;
            }
            let answer = self.asker.offsets_for_times(list, self.patience().min(TRY))?;
            let mut found = vec![0; answer.count()];
            for element in answer.elements() {
                element.error()?;
                let place = usize::try_from(element.partition()).unwrap_or(usize::MAX);
                if let (Some(slot), At::Offset(offset)) = (found.get_mut(place), element.offset()) {
                    *slot = offset;
                }
            }
            Ok(found)
        };
        let (starts, ends) = (ask(At::Beginning)?, ask(At::End)?);
        let range = |(start, end): (i64, i64)| OffsetRange { start: Offset(start), end: Offset(end.max(start)) };
        Ok(starts.into_iter().zip(ends).map(range).collect())
    }

    /// Has the broker forget the records before `before`, as retention would.
    #[cfg(test)]
    pub(super) fn delete_records(&self, topic: &str, partition: i32, before: Offset) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, At::Offset(before.0)).unwrap();
        wait_for(self.admin.delete_records(&list, &self.options())).unwrap();
    }

    fn describe(&self, names: &[&str]) -> Result<Vec<Described>, TopicError> {
        let described = describe_topics(self.asker.client(), names, self.patience());
        self.heard(described.is_ok());
        described.map_err(|refused| refused.told("describe topics"))
    }

    /// Describes topics, with their configurations, and remembers them; leaves out those that are not there.
    fn ask(&self, names: &[&str]) -> Result<Vec<TopicInfo>, TopicError> {
        let described = self.describe(names)?;
        let mut found = Vec::with_capacity(described.len());
        for topic in described {
            match topic.error {
                RDKafkaErrorCode::NoError if !topic.is_internal => found.push(topic),
                // What may not be seen is not there.
                RDKafkaErrorCode::NoError | RDKafkaErrorCode::TopicAuthorizationFailed => self.doubt(&topic.name),
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => self.doubt(&topic.name),
                code => {
                    let reason = format!("{}: {code}", topic.name);
                    return Err(TopicError::Storage { action: "describe a topic", reason });
                }
            }
        }
        let mut configs = self.configs(&found)?;
        let mut infos = Vec::with_capacity(found.len());
        for topic in found {
            let Some((config, is_new)) = configs.remove(&topic.name) else { continue };
            let config = TopicConfig { partitions: topic.partitions, replicas: topic.replicas, ..config };
            let info = TopicInfo { name: topic.name.clone(), id: id_of(&topic), config };
            self.remember(info.clone(), is_new);
            infos.push(info);
        }
        Ok(infos)
    }

    /// The configurations of topics, each with whether it was asked for just now.
    fn configs(&self, topics: &[Described]) -> Result<HashMap<String, (TopicConfig, bool)>, TopicError> {
        let mut configs = HashMap::new();
        let mut missing = Vec::new();
        {
            let known = self.known.lock();
            for topic in topics {
                let id = id_of(topic);
                let is_fresh = known.configs.get(&id).is_some_and(|asked| asked.elapsed() < CONFIG_BELIEVED);
                match known.topics.get(&topic.name).filter(|info| is_fresh && info.id == id) {
                    Some(info) => drop(configs.insert(topic.name.clone(), (info.config.clone(), false))),
                    None => missing.push(ResourceSpecifier::Topic(&topic.name)),
                }
            }
        }
        if missing.is_empty() {
            return Ok(configs);
        }
        let answers = wait_for(self.admin.describe_configs(&missing, &self.options()))
            .map_err(|error| Refused::from(error).told("ask for configurations of topics"))?;
        for answer in answers {
            // A topic that went away meanwhile is left out.
            if let Ok(resource) = answer
                && let rdkafka::admin::OwnedResourceSpecifier::Topic(name) = &resource.specifier
            {
                configs.insert(name.clone(), (config_of(&resource), true));
            }
        }
        Ok(configs)
    }

    fn remember(&self, info: TopicInfo, has_new_config: bool) {
        let mut known = self.known.lock();
        if has_new_config {
            known.configs.insert(info.id, Instant::now());
        }
        let (id, name) = (info.id, info.name.clone());
        if let Some(old) = known.topics.insert(name.clone(), info).filter(|old| old.id != id) {
            known.names.remove(&old.id);
            known.configs.remove(&old.id);
        }
        known.names.insert(id, name);
    }
}

fn id_of(topic: &Described) -> TopicId {
    TopicId(topic.id.0 ^ topic.id.1)
}

/// What a topic keeps; partitions and replicas are told elsewhere.
fn config_of(resource: &ConfigResource) -> TopicConfig {
    let value = |name: &str| resource.get(name).and_then(|entry| entry.value.as_deref()).unwrap_or_default();
    let policies = value("cleanup.policy");
    let cleanup = match (policies.contains("compact"), policies.contains("delete")) {
        (true, true) => CleanupPolicy::CompactDelete,
        (true, false) => CleanupPolicy::Compact,
        (false, _) => CleanupPolicy::Delete,
    };
    let retention_ms = value("retention.ms").parse().ok().filter(|ms: &i64| *ms >= 0 && cleanup.deletes());
    TopicConfig { cleanup, retention_ms, ..TopicConfig::default() }
}
