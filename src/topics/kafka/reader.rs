//! Reads partitions: each through a queue of its own, fetched in the background and bounded by bytes.
//!
//! Readers of a partition that are near each other share one place of reading; what was read last is kept for those
//! behind. A reader far away gets a place of its own, up to four a partition, each on another client (*lane*): a client
//! reads a partition in one place only. Beyond that the place that was not used for longest moves.
//!
//! Invariants:
//! - a place is at one incarnation of a topic; it ends when the topic is found gone or another;
//! - a read past what is known of the end answers at once; a read before it waits, for a time, for what is under way;
//! - a read without patience asks nobody: what only the cluster knows is found out in the background, and told by a
//!   notice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;

use super::background::Background;
use super::client::{Log, Refused};
use super::cluster::Cluster;
use super::feeder::{Feeder, FeederPlace};
use super::numbers::Counted;
use super::settings::KafkaSettings;
use crate::topics::{Fetch, OffsetRange, OnAppend, OnGrowth, TopicError, TopicId};
use crate::types::{Offset, Partition};

/// Places of reading in one partition.
const MOST_PLACES: usize = 4;
/// A place that was not used for so long is taken before a new one is made.
const UNUSED: Duration = Duration::from_secs(30);
/// While it waits, a read looks this often whether its topic is still there.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Readers of one partition wait for each other only.
type SharedPlaces = Arc<Mutex<Places>>;

/// The partitions that are read.
pub(super) struct Reader {
    // fixed
    me: Weak<Reader>,
    cluster: Arc<Cluster>,
    settings: KafkaSettings,
    background: Arc<Background>,
    kept: Arc<AtomicUsize>,
    // changing
    lanes: Mutex<Vec<Arc<BaseConsumer<Log>>>>,
    partitions: Mutex<HashMap<(TopicId, Partition), SharedPlaces>>,
    doubts: Mutex<Doubts>,
    listeners: Arc<RwLock<Vec<OnAppend>>>,
    on_growth: RwLock<Vec<OnGrowth>>,
}

/// What is found out about topics in the background.
#[derive(Default)]
struct Doubts {
    /// Asked just now.
    asked: HashSet<TopicId>,
    /// Partitions to be watched once their topics are known.
    to_watch: HashSet<(TopicId, Partition)>,
    /// Answers that the next reader gets.
    answers: HashMap<TopicId, TopicError>,
    /// Incarnations that were read and are no more.
    gone: HashSet<TopicId>,
}

/// A partition and the places where it is read.
struct Places {
    topic: String,
    /// As the cluster said last.
    range: OffsetRange,
    feeders: Vec<Feeder>,
}

impl Reader {
    pub(super) fn new(cluster: &Arc<Cluster>, settings: &KafkaSettings, background: &Arc<Background>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            cluster: Arc::clone(cluster),
            settings: settings.clone(),
            background: Arc::clone(background),
            kept: Arc::default(),
            lanes: Mutex::default(),
            partitions: Mutex::default(),
            doubts: Mutex::default(),
            listeners: Arc::default(),
            on_growth: RwLock::default(),
        })
    }

    /// Has a listener called for partitions that are read.
    pub(super) fn listen(&self, on_append: OnAppend) {
        self.listeners.write().push(on_append);
    }

    /// Has a listener called for topics that were given more partitions.
    pub(super) fn listen_growth(&self, on_growth: OnGrowth) {
        self.on_growth.write().push(on_growth);
    }

    /// Takes what came for partitions that are watched; to be called before the ends of a topic are asked for, so that
    /// what comes later is told of.
    pub(super) fn drain(&self, topic: TopicId) {
        let all: Vec<_> = {
            let partitions = self.partitions.lock();
            partitions.iter().filter(|((id, _), _)| *id == topic).map(|(_, places)| Arc::clone(places)).collect()
        };
        for places in all {
            places.lock().feeders.iter_mut().for_each(Feeder::drain);
        }
    }

    /// Tells what the cluster said about the offsets of a topic; its partitions can be read from now on. Where there are
    /// more than there were, those who listen for that are told.
    pub(super) fn told(&self, topic: TopicId, name: &str, ranges: &[OffsetRange]) {
        let mut has_grown = false;
        let mut partitions = self.partitions.lock();
        let was_known = partitions.contains_key(&(topic, Partition(0)));
        for (number, range) in (0..).zip(ranges) {
            let key = (topic, Partition(number));
            match partitions.get(&key) {
                Some(places) => {
                    if let Some(mut places) = places.try_lock() {
                        places.range.start = places.range.start.max(range.start);
                        places.range.end = places.range.end.max(range.end);
                    }
                }
                None => {
                    let places = Places { topic: name.to_owned(), range: *range, feeders: vec![] };
                    partitions.insert(key, Arc::new(Mutex::new(places)));
                    has_grown = was_known;
                }
            }
        }
        drop(partitions);
        if has_grown {
            let (listeners, count) = (self.on_growth.read().clone(), ranges.len());
            self.background.run(Box::new(move || listeners.iter().for_each(|listener| listener(topic, count))));
        }
    }

    fn notice(&self, partitions: impl IntoIterator<Item = (TopicId, Partition)>) {
        let listeners = self.listeners.read().clone();
        for (topic, partition) in partitions {
            listeners.iter().for_each(|listener| listener(topic, partition));
        }
    }

    /// Finds out in the background what `question` asks of a topic, then has its readers look again.
    fn find_out(
        &self,
        (topic, partition): (TopicId, Partition),
        question: impl FnOnce(&Self) -> Result<(), TopicError> + Send + 'static,
    ) {
        if !self.doubts.lock().asked.insert(topic) {
            return;
        }
        let me = Weak::clone(&self.me);
        self.background.run(Box::new(move || {
            let Some(reader) = me.upgrade() else { return };
            let answer = question(&reader);
            let is_known = answer.is_ok();
            let to_watch: Vec<_> = {
                let mut doubts = reader.doubts.lock();
                doubts.asked.remove(&topic);
                if let Err(error) = answer {
                    doubts.answers.insert(topic, error);
                }
                doubts.to_watch.extract_if(|(id, _)| *id == topic).collect()
            };
            // Who cannot watch it is told when reading it.
            to_watch.into_iter().filter(|_| is_known).for_each(|key| drop(reader.watch(key)));
            let mut readers: Vec<_> = reader.partitions.lock().keys().filter(|(id, _)| *id == topic).copied().collect();
            if !readers.contains(&(topic, partition)) {
                readers.push((topic, partition));
            }
            reader.notice(readers);
        }));
    }

    /// What the partitions of a topic hold, as far as that is known; asks nobody.
    pub(super) fn known(&self, topic: TopicId) -> Option<Vec<OffsetRange>> {
        let all: BTreeMap<_, _> = {
            let partitions = self.partitions.lock();
            let of_topic = partitions.iter().filter(|((id, _), _)| *id == topic);
            of_topic.map(|((_, partition), places)| (*partition, Arc::clone(places))).collect()
        };
        let known = |places: SharedPlaces| {
            let places = places.lock();
            let end = places.feeders.iter().map(|feeder| feeder.end).fold(places.range.end, Ord::max);
            OffsetRange { end, ..places.range }
        };
        // A topic is known with all its partitions.
        (!all.is_empty()).then(|| all.into_values().map(known).collect())
    }

    /// Asks where the partitions that are read end.
    pub(super) fn refresh_ends(&self) {
        let read = self.topics();
        let mut all: Vec<_> = self.partitions.lock().iter().map(|(key, places)| (*key, Arc::clone(places))).collect();
        all.retain(|((topic, _), _)| read.binary_search(topic).is_ok());
        let names: Vec<_> =
            all.iter().map(|((_, partition), places)| (places.lock().topic.clone(), *partition)).collect();
        if names.is_empty() {
            return;
        }
        match self.cluster.ends(&names) {
            Ok(ends) => {
                for ((_, places), name) in all.iter().zip(&names) {
                    if let Some(end) = ends.get(name) {
                        let mut places = places.lock();
                        places.range.end = places.range.end.max(*end);
                    }
                }
            }
            Err(refused) => tracing::debug!(reason = refused.text, "cannot ask where partitions end"),
        }
    }

    /// Ends all reading of a topic, and wakes its readers to find that out.
    pub(super) fn forget(&self, topic: TopicId) {
        let mut gone = Vec::new();
        self.partitions.lock().retain(|key, places| {
            let stays = key.0 != topic;
            if !stays {
                gone.push((*key, Arc::clone(places)));
            }
            stays
        });
        self.doubts.lock().gone.insert(topic);
        self.notice(gone.into_iter().map(|(key, places)| {
            drop(places);
            key
        }));
    }

    /// Serves what the clients have to say; to be called now and then.
    pub(super) fn serve(&self) {
        let lanes = self.lanes.lock().clone();
        for lane in lanes {
            // Records come through queues of their own.
            drop(lane.poll(Duration::ZERO));
        }
    }

    /// The topics that are read.
    pub(super) fn topics(&self) -> Vec<TopicId> {
        let is_read = |places: &SharedPlaces| places.try_lock().is_none_or(|places| !places.feeders.is_empty());
        let partitions = self.partitions.lock();
        let mut topics: Vec<_> =
            partitions.iter().filter(|(_, places)| is_read(places)).map(|((topic, _), _)| *topic).collect();
        drop(partitions);
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// As [`crate::topics::TopicLog::read`]; before the known end of the partition it waits at most `patience` for
    /// records, and gives `None` if none came.
    ///
    /// # Errors
    /// As [`crate::topics::TopicLog::read`].
    pub(super) fn read(
        &self,
        (topic, partition): (TopicId, Partition),
        from: Offset,
        max_bytes: usize,
        patience: Duration,
    ) -> Result<Option<Fetch>, TopicError> {
        let Some(places) = self.places((topic, partition), patience)? else { return Ok(None) };
        let deadline = Instant::now() + patience;
        loop {
            let signal = {
                let mut places = places.lock();
                let start = places.range.start;
                if from < start {
                    return Err(TopicError::OffsetOutOfRange { offset: from, start });
                }
                // Records that are not there yet: wait where they will come.
                let at = from.min(places.range.end);
                let place = self.place(&mut places, (topic, partition), at)?;
                let known_end = places.range.end;
                let feeder = &mut places.feeders[place];
                if from > known_end && feeder.next() < from {
                    // Past the end: what comes before `from` is passed over.
                    while feeder.get(feeder.next(), max_bytes).is_some() {}
                    let end = feeder.end.max(known_end);
                    places.range.end = end;
                    if places.feeders[place].next() <= from {
                        return Ok(Some(Fetch { records: Default::default(), next: from, end }));
                    }
                    continue;
                }
                if let Some(fetch) = feeder.get(from, max_bytes) {
                    let end = fetch.end.max(known_end);
                    places.range.end = end;
                    return Ok(Some(Fetch { end, ..fetch }));
                }
                if let Some((code, text)) = feeder.failed.take() {
                    drop(places);
                    if patience.is_zero() && is_for_the_cluster(code) {
                        let answer = move |reader: &Self| {
                            if reader.failed((topic, partition), from, code, text).is_err() {
                                // Reading begins anew, and says it again.
                                drop(reader.start_again((topic, partition), None));
                            }
                            Ok(())
                        };
                        self.find_out((topic, partition), answer);
                        return Ok(None);
                    }
                    self.failed((topic, partition), from, code, text)?;
                    continue;
                }
                if from >= known_end {
                    return Ok(Some(Fetch { records: Default::default(), next: from, end: known_end }));
                }
                Arc::clone(&feeder.signal)
            };
            let now = Instant::now();
            if now >= deadline {
                return Ok(None);
            }
            signal.wait(deadline.min(now + LOOK_AGAIN));
            // A topic that went away while we waited took its places with it.
            if Arc::strong_count(&places) == 1 {
                return Err(TopicError::no_incarnation(topic));
            }
        }
    }

    /// Has listeners called when the partition grows, though nobody reads it yet.
    ///
    /// # Errors
    /// As [`crate::topics::TopicLog::read`].
    pub(super) fn watch(&self, key: (TopicId, Partition)) -> Result<(), TopicError> {
        let Some(places) = self.places(key, Duration::ZERO)? else {
            self.doubts.lock().to_watch.insert(key);
            return Ok(());
        };
        let mut places = places.lock();
        if places.feeders.is_empty() {
            let end = places.range.end;
            self.place(&mut places, key, end)?;
        }
        Ok(())
    }

    /// Lets go of places where records wait that nobody takes any more.
    pub(super) fn rest(&self) {
        let all: Vec<_> = self.partitions.lock().values().cloned().collect();
        let mut unused = Vec::new();
        for places in all {
            if let Some(mut places) = places.try_lock() {
                unused.extend(places.feeders.extract_if(.., |feeder| feeder.is_left()));
            }
        }
    }

    /// The partition's places; without patience `None` while it is found out whether there is such a partition.
    fn places(
        &self,
        (topic, partition): (TopicId, Partition),
        patience: Duration,
    ) -> Result<Option<SharedPlaces>, TopicError> {
        let known = || self.partitions.lock().get(&(topic, partition)).cloned();
        if let Some(places) = known() {
            return Ok(Some(places));
        }
        {
            let mut doubts = self.doubts.lock();
            if doubts.gone.contains(&topic) {
                return Err(TopicError::no_incarnation(topic));
            }
            if let Some(error) = doubts.answers.remove(&topic) {
                return Err(error);
            }
        }
        let learn = move |reader: &Self| -> Result<(), TopicError> {
            let info = reader.cluster.by_id(topic)?;
            let ranges = reader.cluster.offsets(topic)?;
            reader.told(topic, &info.name, &ranges);
            if usize::try_from(partition.0).is_ok_and(|place| place < ranges.len()) {
                return Ok(());
            }
            Err(TopicError::UnknownPartition { topic: info.name, partition, partitions: info.config.partitions })
        };
        if patience.is_zero() {
            self.find_out((topic, partition), learn);
            return Ok(None);
        }
        learn(self)?;
        known().map(Some).ok_or_else(|| TopicError::no_incarnation(topic))
    }

    /// The place to read `from` at: one that is there, a new one, or the one that was not used for longest.
    fn place(
        &self,
        places: &mut Places,
        (topic, partition): (TopicId, Partition),
        from: Offset,
    ) -> Result<usize, TopicError> {
        let told = |refused: Refused| refused.told("read a partition");
        if let Some(place) = places.feeders.iter().position(|feeder| feeder.covers(from)) {
            return Ok(place);
        }
        let oldest = (0..places.feeders.len()).min_by_key(|place| places.feeders[*place].used);
        if let Some(place) = oldest
            && (places.feeders.len() >= MOST_PLACES || places.feeders[place].used.elapsed() > UNUSED)
        {
            places.feeders[place].seek(from).map_err(told)?;
            return Ok(place);
        }
        let lane = (0..).find(|lane| places.feeders.iter().all(|feeder| feeder.lane != *lane)).unwrap_or(0);
        let consumer = self.lane(lane)?;
        let listeners = Arc::clone(&self.listeners);
        let on_ready = Arc::new(move || {
            for listener in listeners.read().iter() {
                listener(topic, partition);
            }
        });
        let place = FeederPlace { consumer: &consumer, lane, topic: &places.topic, partition: partition.0, from };
        let feeder = Feeder::start(&place, on_ready, &self.kept, self.settings.cache_bytes).map_err(told)?;
        places.feeders.push(feeder);
        Ok(places.feeders.len() - 1)
    }

    fn lane(&self, lane: usize) -> Result<Arc<BaseConsumer<Log>>, TopicError> {
        let mut lanes = self.lanes.lock();
        while lanes.len() <= lane {
            let context = Log(Counted::new(&self.cluster.numbers));
            let made = self.settings.consumer().create_with_context(context);
            lanes.push(Arc::new(made.map_err(|error| Refused::from(error).told("read a partition"))?));
        }
        Ok(Arc::clone(&lanes[lane]))
    }

    /// What a place said instead of records: an error if readers have to know.
    fn failed(
        &self,
        (topic, partition): (TopicId, Partition),
        from: Offset,
        code: RDKafkaErrorCode,
        text: String,
    ) -> Result<(), TopicError> {
        match code {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                let ranges = self.cluster.offsets(topic)?;
                let name = self.name(topic)?;
                self.told(topic, &name, &ranges);
                let range = usize::try_from(partition.0).ok().and_then(|place| ranges.get(place));
                let range = *range.ok_or_else(|| TopicError::no_incarnation(topic))?;
                // Nothing comes from where the client stands. If the log is shorter than it was, its new records are
                // read from where they begin.
                self.start_again((topic, partition), Some(range))?;
                let is_gone = from < range.start;
                let gone = || TopicError::OffsetOutOfRange { offset: from, start: range.start };
                if is_gone { Err(gone()) } else { Ok(()) }
            }
            RDKafkaErrorCode::TopicAuthorizationFailed => {
                self.start_again((topic, partition), None)?;
                Err(TopicError::Refused { topic: self.name(topic)?, reason: text })
            }
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition => self.look(topic),
            _ => {
                tracing::debug!(?code, text, "a partition is not readable now");
                Ok(())
            }
        }
    }

    fn start_again(&self, key: (TopicId, Partition), range: Option<OffsetRange>) -> Result<(), TopicError> {
        let places = self.partitions.lock().get(&key).cloned();
        let Some(places) = places else { return Err(TopicError::no_incarnation(key.0)) };
        let mut places = places.lock();
        places.feeders.clear();
        places.range = range.unwrap_or(places.range);
        Ok(())
    }

    fn name(&self, topic: TopicId) -> Result<String, TopicError> {
        let partitions = self.partitions.lock();
        let places = partitions.iter().find(|((id, _), _)| *id == topic).map(|(_, places)| Arc::clone(places));
        drop(partitions);
        let places = places.ok_or_else(|| TopicError::no_incarnation(topic))?;
        let places = places.lock();
        Ok(places.topic.clone())
    }

    /// Looks whether a topic that is read is still the same, and whether it was given more partitions.
    ///
    /// # Errors
    /// [`TopicError::UnknownTopic`] if it is not; it is not read any more.
    pub(super) fn look(&self, topic: TopicId) -> Result<(), TopicError> {
        let name = self.name(topic)?;
        match self.cluster.find(&name) {
            Ok(Some(found)) if found.id == topic => {
                let last = Partition(found.config.partitions - 1);
                if !self.partitions.lock().contains_key(&(topic, last)) {
                    let ranges = self.cluster.offsets(topic)?;
                    self.told(topic, &name, &ranges);
                }
                Ok(())
            }
            Ok(_) => {
                self.forget(topic);
                Err(TopicError::no_incarnation(topic))
            }
            // A cluster that does not answer says nothing about the topic.
            Err(error) => {
                tracing::debug!(%error, "cannot ask for a topic");
                Ok(())
            }
        }
    }
}

/// True if only the cluster can say what such an error of a partition means.
fn is_for_the_cluster(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::AutoOffsetReset
            | RDKafkaErrorCode::OffsetOutOfRange
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
    )
}
