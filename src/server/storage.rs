//! The data folder, and the log: the embedded one in it, or a Kafka cluster.

use std::path::PathBuf;
use std::sync::Arc;

use crate::settings::{CompressionKind, FsyncPolicy, Settings, data_folder};
use crate::topics::embedded::{Compression, DataFolder, EmbeddedLog, EmbeddedSettings, FolderError, Fsync, OpenError};
use crate::topics::kafka::{KafkaLog, KafkaSettings};
use crate::topics::{TopicError, TopicLog};

/// Why there is no log to work on.
#[derive(Debug, thiserror::Error)]
pub(super) enum StorageError {
    /// Neither the settings nor the environment name a folder.
    #[error("no folder to keep data in: set data.dir, THALWEG_DATA_DIR or HOME")]
    NoFolder,
    /// The folder cannot be had.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Nothing says what this server is called.
    #[error("cannot read or write the file instance of the data folder")]
    Instance(#[source] std::io::Error),
    /// The log in it cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The cluster does not answer, or refuses.
    #[error(transparent)]
    Kafka(#[from] TopicError),
}

/// The folder, held until dropped, and the log.
pub(super) struct Storage {
    /// Dropped after the log.
    pub(super) folder: DataFolder,
    /// The log.
    pub(super) log: Arc<dyn TopicLog>,
    /// Names the cluster to clients.
    pub(super) cluster_id: String,
    /// Names this server to others of its service.
    pub(super) instance: String,
}

/// Takes the data folder and opens its log, or connects to the cluster; may take as long as reading the log's tail does.
///
/// # Errors
/// The folder is held by another process, of a newer format, or cannot be written; the log is damaged; the cluster does
/// not answer.
pub(super) fn open_storage(settings: &Settings) -> Result<Storage, StorageError> {
    let folder = place(settings).ok_or(StorageError::NoFolder)?;
    let folder = DataFolder::open(&folder, env!("CARGO_PKG_VERSION"))?;
    let instance = folder.instance().map_err(StorageError::Instance)?;
    if settings.service.bootstrap_servers.is_empty() {
        let log = EmbeddedLog::open(&folder.log(), embedded_settings(settings))?;
        let cluster_id = format!("embedded-{}", settings.service.id.trim_end_matches('_'));
        return Ok(Storage { folder, log: Arc::new(log), cluster_id, instance });
    }
    let log = KafkaLog::connect(kafka_settings(settings))?;
    let cluster_id = log.cluster_id();
    Ok(Storage { folder, log: Arc::new(log), cluster_id, instance })
}

fn kafka_settings(settings: &Settings) -> KafkaSettings {
    let knobs = &settings.topics;
    KafkaSettings {
        bootstrap_servers: settings.service.bootstrap_servers.join(","),
        service_id: settings.service.id.clone(),
        properties: settings.kafka.clone(),
        internal_replicas: i16::try_from(knobs.internal_replicas).unwrap_or(i16::MAX),
        max_record_bytes: knobs.max_record.bytes(),
        cache_bytes: knobs.cache.bytes(),
        queue_bytes: knobs.queue.bytes(),
        ..KafkaSettings::default()
    }
}

fn place(settings: &Settings) -> Option<PathBuf> {
    data_folder(settings.service.data_dir.as_ref(), |name| std::env::var(name).ok())
}

fn embedded_settings(settings: &Settings) -> EmbeddedSettings {
    let knobs = &settings.topics;
    EmbeddedSettings {
        fsync: match knobs.fsync {
            FsyncPolicy::Commit => Fsync::Commit,
            FsyncPolicy::Interval => Fsync::Interval(knobs.sync_interval),
            FsyncPolicy::Os => Fsync::Os,
        },
        compression: match knobs.compression {
            CompressionKind::None => Compression::None,
            CompressionKind::Lz4 => Compression::Lz4,
        },
        max_record_bytes: knobs.max_record.bytes(),
        cache_bytes: knobs.cache.bytes(),
        queue_bytes: knobs.queue.bytes(),
        segment_bytes: knobs.segment.0,
        delete_retention: knobs.delete_retention,
        cleanup_interval: knobs.cleanup_interval,
    }
}

#[cfg(test)]
mod tests {
    use super::{embedded_settings, kafka_settings};
    use crate::settings::Settings;
    use crate::topics::embedded::EmbeddedSettings;
    use crate::topics::kafka::KafkaSettings;

    #[test]
    fn the_defaults_of_the_settings_are_those_of_the_log() {
        assert_eq!(embedded_settings(&Settings::default()), EmbeddedSettings::default());
        assert_eq!(kafka_settings(&Settings::default()), KafkaSettings::default());
    }
}
