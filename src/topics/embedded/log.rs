//! The open log: its threads, and [`TopicLog`] on top of them.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use parking_lot::Mutex;

use super::cleaner::Effort;
use super::manifest::{Manifest, ManifestTopic};
use super::queue::{Job, Owner};
use super::recovery::{OpenError, recover};
use super::settings::{EmbeddedSettings, Fsync};
use super::shared::{NowMs, Shared};
use super::state::{PartitionState, TopicState};
use super::writer::Writer;
use crate::topics::{
    Committer, Fetch, OffsetRange, OnAppend, OnCommit, TopicConfig, TopicError, TopicId, TopicInfo, TopicLog,
    Transaction, check_topic_name,
};
use crate::types::{Offset, Partition};

/// A log in a folder. Dropping it writes what was handed over, flushes and ends its threads.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held by flock as long as the log is open; the writer's thread has it too.
    lock: Mutex<Option<Arc<FolderLock>>>,
}

/// A lock that ends with its last owner, even if a process that is just being started has inherited the file.
struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file gives the lock free too, a moment later perhaps.
        let _ = self.0.unlock();
    }
}

impl std::fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedLog").field("folder", &self.shared.folder).finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// Opens the log in `folder`, making it if need be. A torn tail is cut off.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn open(folder: &Path, settings: EmbeddedSettings) -> Result<Self, OpenError> {
        Self::open_at(folder, settings, Arc::new(system_ms))
    }

    /// Opens the log with a clock of the caller's.
    pub(super) fn open_at(folder: &Path, settings: EmbeddedSettings, now_ms: NowMs) -> Result<Self, OpenError> {
        let at = |source| OpenError::Io { folder: folder.into(), source };
        fs::create_dir_all(folder).map_err(at)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).open(folder.join("lock")).map_err(at)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { folder: folder.into() }),
            Err(TryLockError::Error(source)) => return Err(at(source)),
        }
        let lock = Arc::new(FolderLock(lock));
        let recovered = recover(folder, now_ms())?;
        if recovered.torn_bytes > 0 {
            tracing::warn!(bytes = recovered.torn_bytes, "cut an unfinished commit off the end of the log");
        }
        let fsync = settings.fsync;
        let active = Arc::new(recovered.active);
        let state = (recovered.state, Arc::clone(&active));
        let shared = Shared::new((folder.into(), settings), now_ms, state, recovered.last_segment);
        let log =
            Self { shared: Arc::new(shared), threads: Mutex::default(), lock: Mutex::new(Some(Arc::clone(&lock))) };
        let writer = Writer::new(Arc::clone(&log.shared), active);
        let run = move || {
            writer.run();
            drop(lock);
        };
        log.spawn("log-writer", run).map_err(at)?;
        let shared = Arc::clone(&log.shared);
        log.spawn("log-cleaner", move || shared.run_cleaner()).map_err(at)?;
        if let Fsync::Interval(interval) = fsync {
            let shared = Arc::clone(&log.shared);
            log.spawn("log-flusher", move || shared.run_flusher(interval)).map_err(at)?;
        }
        Ok(log)
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.lock().push(thread::Builder::new().name(name.into()).spawn(run)?);
        Ok(())
    }

    /// Applies retention and compaction to everything now, also where it would not be worth it; waits for the end.
    ///
    /// # Errors
    /// Storage. What was cleaned before stays cleaned.
    pub fn clean(&self) -> Result<(), TopicError> {
        self.shared.clean(Effort::Full)
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.close();
    }
}

struct EmbeddedCommitter {
    shared: Arc<Shared>,
    owner: Owner,
}

impl Committer for EmbeddedCommitter {
    fn commit(&self, transaction: Transaction, done: OnCommit) {
        self.shared.queue.commit(Some(self.owner.clone()), transaction, done);
    }
}

impl TopicLog for EmbeddedLog {
    fn create_topic(&self, name: &str, config: &TopicConfig) -> Result<TopicInfo, TopicError> {
        check_topic_name(name)?;
        config.check()?;
        let _catalog = self.shared.catalog.lock();
        let mut manifest = {
            let state = self.shared.state.read();
            if state.names.contains_key(name) {
                return Err(TopicError::TopicExists(name.into()));
            }
            Manifest::of(&state)
        };
        let id = TopicId(manifest.next_topic_id);
        let info = TopicInfo { name: name.into(), id, config: config.clone() };
        let partitions = (0..config.partitions).map(|_| (Offset(0), Offset(0))).collect();
        manifest.topics.push(ManifestTopic { id, name: name.into(), config: config.clone(), partitions });
        manifest.next_topic_id += 1;
        manifest.write(&self.shared.folder).map_err(|error| TopicError::storage("create the topic", &error))?;
        let partitions = (0..config.partitions).map(|_| PartitionState::default()).collect();
        let mut state = self.shared.state.write();
        state.next_topic_id = manifest.next_topic_id;
        state.names.insert(name.into(), id);
        state.topics.insert(id, TopicState { info: info.clone(), partitions });
        Ok(info)
    }

    fn delete_topic(&self, name: &str) -> Result<(), TopicError> {
        let _catalog = self.shared.catalog.lock();
        let (mut manifest, id) = {
            let state = self.shared.state.read();
            let id = *state.names.get(name).ok_or_else(|| TopicError::UnknownTopic(name.into()))?;
            (Manifest::of(&state), id)
        };
        manifest.topics.retain(|topic| topic.id != id);
        manifest.write(&self.shared.folder).map_err(|error| TopicError::storage("delete the topic", &error))?;
        let mut state = self.shared.state.write();
        state.names.remove(name);
        state.topics.remove(&id);
        Ok(())
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>, TopicError> {
        let state = self.shared.state.read();
        Ok(state.names.get(name).and_then(|id| state.topics.get(id)).map(|topic| topic.info.clone()))
    }

    fn topics(&self) -> Result<BTreeMap<String, TopicInfo>, TopicError> {
        let state = self.shared.state.read();
        Ok(state.topics.values().map(|topic| (topic.info.name.clone(), topic.info.clone())).collect())
    }

    fn offsets(&self, topic: TopicId) -> Result<Vec<OffsetRange>, TopicError> {
        let state = self.shared.state.read();
        Ok(state.topic(topic)?.partitions.iter().map(PartitionState::range).collect())
    }

    fn read(&self, topic: TopicId, partition: Partition, from: Offset, max_bytes: usize) -> Result<Fetch, TopicError> {
        self.shared.read(topic, partition, from, max_bytes)
    }

    fn notify(&self, on_append: OnAppend) {
        self.shared.listen(on_append);
    }

    fn committer(&self, transactional_id: &str) -> Result<Arc<dyn Committer>, TopicError> {
        let id = Arc::<str>::from(transactional_id);
        let generation = self.shared.queue.next_generation(&id);
        let (sender, reached) = mpsc::sync_channel(1);
        let is_open = self.shared.queue.push(Job::Barrier(sender));
        if !is_open || reached.recv().is_err() {
            return Err(TopicError::Storage { action: "open a committer", reason: "the log is closed".into() });
        }
        Ok(Arc::new(EmbeddedCommitter { shared: Arc::clone(&self.shared), owner: (id, generation) }))
    }

    fn append(&self, transaction: Transaction, done: OnCommit) {
        self.shared.queue.commit(None, transaction, done);
    }

    fn trouble(&self) -> Option<String> {
        self.shared.trouble()
    }

    fn close(&self) {
        self.shared.queue.close();
        self.shared.alarm.end();
        self.shared.flush_alarm.end();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // The last owner may be an answer, which runs on the writer's thread: that one ends by itself.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
        self.shared.forget_listeners();
        self.lock.lock().take();
    }
}
