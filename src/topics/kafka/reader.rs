//! Reads partitions: each through a queue of its own, fetched in the background and bounded by bytes.
//!
//! Readers of a partition that are near each other share one place of reading; what was read last is kept for those
//! behind. A reader far away gets a place of its own, up to four a partition, each on another client (*lane*): a client
//! reads a partition in one place only. Beyond that the place that was not used for longest moves.
//!
//! Invariants:
//! - a place is at one incarnation of a topic; it ends when the topic is found gone or another;
//! - a read past what is known of the end answers at once; a read before it waits, for a time, for what is under way.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;

use super::client::{Log, Refused};
use super::cluster::Cluster;
use super::feeder::{Feeder, FeederPlace};
use super::numbers::Counted;
use super::settings::KafkaSettings;
use crate::topics::{Fetch, OffsetRange, OnAppend, TopicError, TopicId};
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
    cluster: Arc<Cluster>,
    settings: KafkaSettings,
    kept: Arc<AtomicUsize>,
    // changing
    lanes: Mutex<Vec<Arc<BaseConsumer<Log>>>>,
    partitions: Mutex<HashMap<(TopicId, Partition), SharedPlaces>>,
    listeners: Arc<RwLock<Vec<OnAppend>>>,
}

/// A partition and the places where it is read.
struct Places {
    topic: String,
    /// As the cluster said last.
    range: OffsetRange,
    feeders: Vec<Feeder>,
}

impl Reader {
    pub(super) fn new(cluster: &Arc<Cluster>, settings: &KafkaSettings) -> Self {
        Self {
            cluster: Arc::clone(cluster),
            settings: settings.clone(),
            kept: Arc::default(),
            lanes: Mutex::default(),
            partitions: Mutex::default(),
            listeners: Arc::default(),
        }
    }

    /// Has a listener called for partitions that are read.
    pub(super) fn listen(&self, on_append: OnAppend) {
        self.listeners.write().push(on_append);
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

    /// Tells what the cluster said about the offsets of a topic.
    pub(super) fn told(&self, topic: TopicId, ranges: &[OffsetRange]) {
        let partitions = self.partitions.lock();
        for (number, range) in (0..).zip(ranges) {
            if let Some(places) = partitions.get(&(topic, Partition(number))).cloned()
                && let Some(mut places) = places.try_lock()
            {
                places.range.start = places.range.start.max(range.start);
                places.range.end = places.range.end.max(range.end);
            }
        }
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
        let all: Vec<_> = self.partitions.lock().iter().map(|(key, places)| (*key, Arc::clone(places))).collect();
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
        let listeners = self.listeners.read().clone();
        for ((topic, partition), places) in gone {
            drop(places);
            listeners.iter().for_each(|listener| listener(topic, partition));
        }
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
        let mut topics: Vec<_> = self.partitions.lock().keys().map(|(topic, _)| *topic).collect();
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
        let places = self.places(topic, partition)?;
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
        let places = self.places(key.0, key.1)?;
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

    /// The partition's places, made when it is read for the first time.
    fn places(&self, topic: TopicId, partition: Partition) -> Result<SharedPlaces, TopicError> {
        if let Some(places) = self.partitions.lock().get(&(topic, partition)) {
            return Ok(Arc::clone(places));
        }
        let info = self.cluster.by_id(topic)?;
        let ranges = self.cluster.offsets(topic)?;
        let mut all = self.partitions.lock();
        for (number, range) in (0..).zip(ranges) {
            let new = || Arc::new(Mutex::new(Places { topic: info.name.clone(), range, feeders: vec![] }));
            all.entry((topic, Partition(number))).or_insert_with(new);
        }
        all.get(&(topic, partition)).cloned().ok_or_else(|| {
            let partitions = info.config.partitions;
            TopicError::UnknownPartition { topic: info.name.clone(), partition, partitions }
        })
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
                self.told(topic, &ranges);
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

    /// Looks whether a topic that is read is still the same.
    ///
    /// # Errors
    /// [`TopicError::UnknownTopic`] if it is not; it is not read any more.
    pub(super) fn look(&self, topic: TopicId) -> Result<(), TopicError> {
        let name = self.name(topic)?;
        match self.cluster.find(&name) {
            Ok(Some(found)) if found.id == topic => Ok(()),
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
