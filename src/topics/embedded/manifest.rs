//! `topics.json`: which topics there are and how far they reach. Specified in `docs/formats/embedded-log.md`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::state::State;
use crate::topics::{TopicConfig, TopicId, TopicInfo};
use crate::types::Offset;

/// The file's version.
pub(super) const VERSION: u32 = 1;

const FILE: &str = "topics.json";

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) version: u32,
    pub(super) next_topic_id: u64,
    pub(super) topics: Vec<ManifestTopic>,
}

/// A topic in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ManifestTopic {
    pub(super) id: TopicId,
    pub(super) name: String,
    pub(super) config: TopicConfig,
    /// Start and end of each partition.
    pub(super) partitions: Vec<(Offset, Offset)>,
}

impl Manifest {
    /// Of a log without topics.
    pub(super) fn empty() -> Self {
        Self { version: VERSION, next_topic_id: 1, topics: vec![] }
    }

    /// What is to be kept of the state.
    pub(super) fn of(state: &State) -> Self {
        let topics = state.names.values().filter_map(|id| state.topics.get(id)).map(|topic| ManifestTopic {
            id: topic.info.id,
            name: topic.info.name.clone(),
            config: topic.info.config.clone(),
            partitions: topic.partitions.iter().map(|partition| (partition.start, partition.end)).collect(),
        });
        Self { version: VERSION, next_topic_id: state.next_topic_id, topics: topics.collect() }
    }

    /// Reads the file's text; `Ok(None)` if there is no file.
    pub(super) fn text(folder: &Path) -> io::Result<Option<String>> {
        match fs::read_to_string(folder.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => text.map(Some),
        }
    }

    /// Replaces the file, durably.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        replace_file(folder, FILE, &text, true)
    }
}

impl ManifestTopic {
    pub(super) fn info(&self) -> TopicInfo {
        TopicInfo { name: self.name.clone(), id: self.id, config: self.config.clone() }
    }
}

/// Writes a file beside its place and renames it there. Readers find the old content or the new, whole;
/// with `durably` the new one survives the machine once this returns.
pub(super) fn replace_file(folder: &Path, name: &str, content: &[u8], durably: bool) -> io::Result<()> {
    let unfinished = folder.join(format!("{name}.tmp"));
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    if durably {
        file.sync_all()?;
    }
    fs::rename(&unfinished, folder.join(name))?;
    if durably { sync_folder(folder) } else { Ok(()) }
}

/// Makes the names of a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
