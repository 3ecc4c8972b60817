//! The data folder: who holds it, which format it has, what lies where.
//!
//! ```text
//! LOCK        held by flock while a server runs; JSON {"pid","url","version"} tells which
//! FORMAT      one number; a newer one is refused by name
//! instance    names the server that works here to others of its service, for ever
//! log/        the embedded log
//! snapshots/  of state
//! tmp/        emptied at start
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifest::replace_file;

/// The format of data folders that is made, and the newest that is opened.
pub const FORMAT: u64 = 1;

/// A data folder held by this process until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    lock: File,
    version: String,
}

/// Who holds a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Where it listens, once it does.
    pub url: Option<String>,
    /// The version of the program.
    pub version: String,
}

/// Why a data folder cannot be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it.
    #[error("the data folder {folder} is locked by another process{}", told(.holder.as_ref()))]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The process, if it has said so.
        holder: Option<Holder>,
    },
    /// A later version of this program made it.
    #[error("the data folder {folder} has format {found}, this program knows formats up to {FORMAT}")]
    NewerFormat {
        /// The folder.
        folder: PathBuf,
        /// Its format.
        found: u64,
    },
    /// `FORMAT` holds something else.
    #[error("{file} should hold a format number and holds {found:?}")]
    NoFormat {
        /// The file.
        file: PathBuf,
        /// What it holds.
        found: String,
    },
    /// The system refused.
    #[error("cannot open the data folder {folder}")]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn told(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { pid, url: Some(url), .. }) => format!(" (pid {pid}, serving {url})"),
        Some(Holder { pid, url: None, .. }) => format!(" (pid {pid})"),
        None => String::new(),
    }
}

impl DataFolder {
    /// Takes the folder, making it if need be. `version` is this program's, for the others to read.
    ///
    /// # Errors
    /// As [`FolderError`] says.
    pub fn open(root: &Path, version: &str) -> Result<Self, FolderError> {
        let at = |source| FolderError::Io { folder: root.into(), source };
        fs::create_dir_all(root).map_err(at)?;
        let lock = open_lock(root).map_err(at)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FolderError::Locked { folder: root.into(), holder: read_holder(&lock) });
            }
            Err(TryLockError::Error(source)) => return Err(at(source)),
        }
        check_format(root)?;
        for name in ["log", "snapshots", "tmp"] {
            fs::create_dir_all(root.join(name)).map_err(at)?;
        }
        empty(&root.join("tmp")).map_err(at)?;
        let folder = Self { root: root.into(), lock, version: version.into() };
        folder.tell(None).map_err(at)?;
        Ok(folder)
    }

    /// Who holds the folder now, if anyone does.
    ///
    /// # Errors
    /// The lock file cannot be read.
    pub fn holder(root: &Path) -> io::Result<Option<Holder>> {
        let lock = match File::open(root.join("LOCK")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            lock => lock?,
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(read_holder(&lock)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Lets others know where this process listens.
    ///
    /// # Errors
    /// The lock file cannot be written.
    pub fn set_url(&self, url: &str) -> io::Result<()> {
        self.tell(Some(url))
    }

    fn tell(&self, url: Option<&str>) -> io::Result<()> {
        let holder = Holder { pid: std::process::id(), url: url.map(str::to_owned), version: self.version.clone() };
        let text = serde_json::to_vec(&holder).map_err(io::Error::other)?;
        let mut lock = &self.lock;
        lock.seek(SeekFrom::Start(0))?;
        lock.write_all(&text)?;
        self.lock.set_len(text.len() as u64)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The name of the server that works in this folder: made once, the same for ever.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn instance(&self) -> io::Result<String> {
        match fs::read_to_string(self.root.join("instance")) {
            Ok(text) if is_instance(text.trim()) => return Ok(text.trim().to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let name = format!("thalweg-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        replace_file(&self.root, "instance", format!("{name}\n").as_bytes(), true)?;
        Ok(name)
    }

    /// Where the log lies.
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Where snapshots lie.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// Where unfinished files lie; empty at start.
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // Closing the file gives the lock free too, but not while a process just being started has inherited it.
        let _ = self.lock.unlock();
    }
}

fn open_lock(root: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(root.join("LOCK"))
}

fn read_holder(mut lock: &File) -> Option<Holder> {
    let mut text = String::new();
    lock.seek(SeekFrom::Start(0)).ok()?;
    lock.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn check_format(root: &Path) -> Result<(), FolderError> {
    let at = |source| FolderError::Io { folder: root.into(), source };
    let file = root.join("FORMAT");
    match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            replace_file(root, "FORMAT", format!("{FORMAT}\n").as_bytes(), true).map_err(at)
        }
        Err(error) => Err(at(error)),
        Ok(text) => match text.trim().parse::<u64>() {
            Ok(found) if found > FORMAT => Err(FolderError::NewerFormat { folder: root.into(), found }),
            Ok(found) if found > 0 => Ok(()),
            _ => Err(FolderError::NoFormat { file, found: text }),
        },
    }
}

/// What Kafka takes as a name of a member.
fn is_instance(text: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=200).contains(&text.len()) && text.bytes().all(is_legal)
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{DataFolder, FolderError};

    #[test]
    fn a_held_folder_is_refused_and_names_its_holder() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("deep/data");
        assert_eq!(DataFolder::holder(&root).unwrap(), None);
        let held = DataFolder::open(&root, "1.2.3").unwrap();
        let refused = DataFolder::open(&root, "1.2.3").unwrap_err().to_string();
        assert!(refused.ends_with(&format!("is locked by another process (pid {})", std::process::id())), "{refused}");
        held.set_url("http://127.0.0.1:8088").unwrap();
        let refused = DataFolder::open(&root, "1.2.3").unwrap_err().to_string();
        assert!(refused.ends_with(", serving http://127.0.0.1:8088)"), "{refused}");
        let holder = DataFolder::holder(&root).unwrap().unwrap();
        assert_eq!((holder.pid, holder.version.as_str()), (std::process::id(), "1.2.3"));
        drop(held);
        assert_eq!(DataFolder::holder(&root).unwrap(), None);
        fs::write(root.join("tmp/left"), "x").unwrap();
        let again = DataFolder::open(&root, "1.2.3").unwrap();
        assert!(!again.tmp().join("left").exists() && again.log().is_dir() && again.snapshots().is_dir());
    }

    #[test]
    fn a_folder_names_its_server_once_and_for_ever() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = DataFolder::open(root.path(), "1").unwrap().instance().unwrap();
        assert_eq!(DataFolder::open(root.path(), "2").unwrap().instance().unwrap(), name);
        assert_ne!(DataFolder::open(other.path(), "1").unwrap().instance().unwrap(), name);
        fs::write(root.path().join("instance"), "no name").unwrap();
        let again = DataFolder::open(root.path(), "1").unwrap().instance().unwrap();
        assert!(super::is_instance(&again) && again != name);
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("FORMAT"), "2\n").unwrap();
        let refused = DataFolder::open(root.path(), "1").unwrap_err().to_string();
        assert!(refused.ends_with("has format 2, this program knows formats up to 1"), "{refused}");
        fs::write(root.path().join("FORMAT"), "two").unwrap();
        assert!(matches!(DataFolder::open(root.path(), "1"), Err(FolderError::NoFormat { .. })));
    }
}
