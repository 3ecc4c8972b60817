//! The data folder and the log in it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::settings::{CompressionKind, FsyncPolicy, Settings, data_folder};
use crate::topics::embedded::{Compression, DataFolder, EmbeddedLog, EmbeddedSettings, FolderError, Fsync, OpenError};

/// Why there is no log to work on.
#[derive(Debug, thiserror::Error)]
pub(super) enum StorageError {
    /// Neither the settings nor the environment name a folder.
    #[error("no folder to keep data in: set data.dir, THALWEG_DATA_DIR or HOME")]
    NoFolder,
    /// The folder cannot be had.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The log in it cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
}

/// The folder, held until dropped, and the log in it.
pub(super) struct Storage {
    /// Dropped after the log.
    pub(super) folder: DataFolder,
    /// The log.
    pub(super) log: Arc<EmbeddedLog>,
}

/// Takes the data folder and opens its log; may take as long as reading the log's tail does.
///
/// # Errors
/// The folder is held by another process, of a newer format, or cannot be written; the log is damaged.
pub(super) fn open_storage(settings: &Settings) -> Result<Storage, StorageError> {
    let folder = place(settings).ok_or(StorageError::NoFolder)?;
    let folder = DataFolder::open(&folder, env!("CARGO_PKG_VERSION"))?;
    let log = EmbeddedLog::open(&folder.log(), embedded_settings(settings))?;
    Ok(Storage { folder, log: Arc::new(log) })
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
    use super::embedded_settings;
    use crate::settings::Settings;
    use crate::topics::embedded::EmbeddedSettings;

    #[test]
    fn the_defaults_of_the_settings_are_those_of_the_log() {
        assert_eq!(embedded_settings(&Settings::default()), EmbeddedSettings::default());
    }
}
