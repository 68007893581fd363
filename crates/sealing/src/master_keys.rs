//! The master keys, which encrypt ("wrap") the keys of people. They come from a setting, or from a file, which is
//! read again when a key is unknown. The first one encrypts; all of them decrypt, so that one can be replaced while
//! the system runs.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use ring::digest;
use runtime::{BlockingCalls, private_files};
use zeroize::Zeroizing;

use crate::{
    KeyError,
    data_key::{KEY_BYTES, Key, generate},
};

/// How long a read of the file is waited for. Whoever registers waits for it.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// How old the first key of the file must be before the others are removed: longer than a process that has read the
/// old file may take to write what it wrapped.
const SETTLED: Duration = Duration::from_secs(60);

/// One master key.
pub(crate) struct MasterKey {
    /// Identifies the key, and reveals nothing else about it.
    pub(crate) id: String,
    pub(crate) key: Key,
}

/// The master keys of a process.
#[derive(Debug)]
pub struct MasterKeys {
    /// The file that is read again.
    file: Option<PathBuf>,
    /// Whether the keys were in a pipe, which can be read once.
    is_pipe: bool,
    /// The origin of the keys, for messages.
    place: String,
    reads: BlockingCalls,
    known: Mutex<Arc<Vec<MasterKey>>>,
}

/// The right to change the file of the master keys. Only one process has it at a time; it ends when this value is
/// dropped, also by `kill -9`.
#[derive(Debug)]
pub struct MasterKeysLock(#[expect(dead_code, reason = "held, not read")] Option<File>);

impl MasterKeys {
    /// No keys, for a database without wrapped keys: only destroyed keys can be looked up.
    pub fn none() -> Self {
        Self::with(None, "none".to_owned(), Vec::new())
    }

    /// The keys in `text`, each of 64 hexadecimal digits, separated by white space or commas, which are the value of
    /// the setting `name`.
    ///
    /// # Errors
    /// When the text is something else, or empty.
    pub fn from_setting(name: &str, text: &str) -> Result<Self, KeyError> {
        Self::new(None, name.to_owned(), text)
    }

    /// The keys in the file at `path`, one a line.
    ///
    /// # Errors
    /// When the file does not exist, or has something else.
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let text = read(path)?;
        Self::new(Some(path.to_owned()), path.display().to_string(), &text)
    }

    /// The keys in `text`, one a line, which was read from the pipe at `path`. The pipe is never read again.
    ///
    /// # Errors
    /// When the text is something else, or empty.
    pub fn from_pipe(path: &Path, text: &str) -> Result<Self, KeyError> {
        let keys = Self::new(None, path.display().to_string(), text)?;
        Ok(Self { is_pipe: true, ..keys })
    }

    /// Like [`Self::from_file`], but creates a missing file with one key, readable only by its owner, if
    /// `may_create`: no data may depend on a lost file. When several processes do this at once, one succeeds.
    ///
    /// # Errors
    /// When it cannot be used, others can read it, or it is missing and must not be created.
    pub fn open_or_create(path: &Path, may_create: bool) -> Result<Self, KeyError> {
        let failed = |source| file_error(path, source);
        match private_files::require(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => {
                let directory = path.parent().unwrap_or(path);
                private_files::create_directory(directory).map_err(failed)?;
                private_files::create_whole(path, line(&generate()).as_bytes()).map_err(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::Missing(path.display().to_string()));
            }
            Err(error) => return Err(failed(error)),
        }
        Self::from_file(path)
    }

    fn new(file: Option<PathBuf>, place: String, text: &str) -> Result<Self, KeyError> {
        match parse(text) {
            Some(keys) => Ok(Self::with(file, place, keys)),
            None => Err(KeyError::Malformed(place)),
        }
    }

    fn with(file: Option<PathBuf>, place: String, keys: Vec<MasterKey>) -> Self {
        Self {
            file,
            is_pipe: false,
            place,
            reads: BlockingCalls::new(1, READ_TIMEOUT),
            known: Mutex::new(Arc::new(keys)),
        }
    }

    /// The origin of the keys, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Their ids, the one that wraps first.
    pub fn ids(&self) -> Vec<String> {
        self.known().iter().map(|key| key.id.clone()).collect()
    }

    /// All of them, the one that wraps first.
    pub(crate) fn known(&self) -> Arc<Vec<MasterKey>> {
        Arc::clone(&self.known.lock())
    }

    /// Reads the file again, so that a new first key is used from now on. Without a file, or when it cannot be read in
    /// time, nothing changes.
    pub(crate) async fn renewed(&self) -> Arc<Vec<MasterKey>> {
        if let Err(error) = self.read_again().await {
            tracing::warn!(%error, place = self.place, "the master keys cannot be read again");
        }
        self.known()
    }

    /// Locks the file of the master keys against other commands that change it, then reads the keys again.
    ///
    /// # Errors
    /// When another command changes the keys now, or the file cannot be read, or is a pipe.
    pub async fn lock_file(&self) -> Result<MasterKeysLock, KeyError> {
        if self.is_pipe {
            return Err(KeyError::Pipe(self.place.clone()));
        }
        let Some(path) = &self.file else {
            return Ok(MasterKeysLock(None));
        };
        let lock_path = path.with_added_extension("lock");
        let lock = match private_files::open_locked(&lock_path) {
            Ok(Some(file)) => Some(file),
            Ok(None) => return Err(KeyError::InUse(path.display().to_string())),
            // In this directory nobody of this process can change the keys, either.
            Err(error) if is_read_only(&error) => None,
            Err(source) => return Err(file_error(&lock_path, source)),
        };
        self.read_again().await?;
        Ok(MasterKeysLock(lock))
    }

    /// Reads the file again, if there is one.
    pub(crate) async fn read_again(&self) -> Result<Arc<Vec<MasterKey>>, KeyError> {
        if let Some(path) = self.file.clone() {
            let failed = {
                let path = path.clone();
                move |_| file_error(&path, io::ErrorKind::TimedOut.into())
            };
            let text = self.reads.run(move || read(&path)).await.map_err(failed)??;
            let keys = parse(&text).ok_or_else(|| KeyError::Malformed(self.place.clone()))?;
            *self.known.lock() = Arc::new(keys);
        }
        Ok(self.known())
    }

    /// Adds a new key at the beginning of the file, durably. `None` without a file: then the operator changes the
    /// setting.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn add(&self, _lock: &MasterKeysLock) -> Result<Option<String>, KeyError> {
        let Some(path) = &self.file else {
            return Ok(None);
        };
        let text = read(path)?;
        let new = Zeroizing::new(format!("{}{}", *line(&generate()), text.trim_start()));
        private_files::replace(path, new.as_bytes()).map_err(|source| file_error(path, source))?;
        Ok(self.read_again().await?.first().map(|key| key.id.clone()))
    }

    /// Checks that the file has been as it is for so long that other processes use its first key.
    pub(crate) fn require_settled(&self) -> Result<(), KeyError> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let age = fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .map_err(|source| file_error(path, source))?;
        if age.elapsed().is_ok_and(|age| age < SETTLED) {
            return Err(KeyError::NotRetired(format!(
                "{} has changed within the last minute: wait until every process has seen it",
                path.display()
            )));
        }
        Ok(())
    }

    /// Removes every key but the first from the file. Without a file it does nothing.
    pub(crate) async fn forget_old(&self, _lock: &MasterKeysLock) -> Result<(), KeyError> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let text = read(path)?;
        let first = text.split_whitespace().next().unwrap_or_default();
        private_files::replace(path, Zeroizing::new(format!("{first}\n")).as_bytes())
            .map_err(|source| file_error(path, source))?;
        self.renewed().await;
        Ok(())
    }
}

fn parse(text: &str) -> Option<Vec<MasterKey>> {
    let keys: Option<Vec<MasterKey>> = text
        .split(|character: char| character.is_whitespace() || character == ',')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let bytes = Zeroizing::new(hex::decode(part).ok().filter(|bytes| bytes.len() == KEY_BYTES)?);
            let named = [b"taskledger master key".as_slice(), &bytes].concat();
            let digest = digest::digest(&digest::SHA256, &Zeroizing::new(named));
            Some(MasterKey { id: hex::encode(&digest.as_ref()[..8]), key: Key::new(&bytes)? })
        })
        .collect();
    keys.filter(|keys| !keys.is_empty())
}

fn line(key: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    Zeroizing::new(format!("{}\n", hex::encode(key)))
}

/// Whether this process may not create a file where it tried to.
fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

fn read(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    fs::read_to_string(path).map(Zeroizing::new).map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: io::Error) -> KeyError {
    KeyError::File { path: path.to_owned(), source }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

#[cfg(test)]
mod tests;
