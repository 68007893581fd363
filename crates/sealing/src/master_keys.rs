//! The keys that wrap the keys of people: from a file, which is read again when a key of it is not known, or from a setting.
//! The first one wraps; all of them unwrap, so that one can be replaced while everything runs.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use database::private;
use ring::digest;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{
    KeyError,
    data_key::{KEY_BYTES, Key, generate},
};

/// Between two looks into the file for a key that is not known.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How old the first key of the file has to be before others are taken out: longer than any process that has read the file
/// before may take to write what it has wrapped.
const SETTLED: Duration = Duration::from_secs(60);

/// One master key.
pub(crate) struct MasterKey {
    /// Says which it is, and nothing else about it.
    pub(crate) id: String,
    pub(crate) key: Key,
}

/// The master keys of a process.
#[derive(Debug)]
pub struct MasterKeys {
    /// Read again from here.
    file: Option<PathBuf>,
    /// Where they are from, for people.
    place: String,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    keys: Arc<Vec<MasterKey>>,
    looked: Instant,
}

impl MasterKeys {
    /// No keys, for a database in which nothing is wrapped: it can be asked whose key was destroyed.
    #[must_use]
    pub fn none() -> Self {
        Self {
            file: None,
            place: "none".to_owned(),
            known: Mutex::new(Known {
                keys: Arc::default(),
                looked: Instant::now(),
            }),
        }
    }

    /// The keys in `text`, each of 64 hexadecimal digits, separated by white space or commas, from the setting `name`.
    ///
    /// # Errors
    /// When they are something else, or there are none.
    pub fn from_setting(name: &str, text: &str) -> Result<Self, KeyError> {
        Self::new(None, name.to_owned(), text)
    }

    /// The keys in the file at `path`, one a line.
    ///
    /// # Errors
    /// When there is no such file, or it holds something else.
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let text = read(path)?;
        Self::new(Some(path.to_owned()), path.display().to_string(), &text)
    }

    /// As [`Self::from_file`]; makes the file, with one key and for its owner alone, when there is none and `may_create` says
    /// that nothing depends on it. Of several processes that make it at once, one wins.
    ///
    /// # Errors
    /// When it cannot be used, is open to others, or is missing and must not be made up.
    pub fn open_or_create(path: &Path, may_create: bool) -> Result<Self, KeyError> {
        let failed = |source| file_error(path, source);
        match private::require(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => {
                let directory = path.parent().unwrap_or(path);
                private::create_directory(directory).map_err(failed)?;
                private::create_whole(path, line(&generate()).as_bytes()).map_err(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::Missing(path.display().to_string()));
            }
            Err(error) => return Err(failed(error)),
        }
        Self::from_file(path)
    }

    fn new(file: Option<PathBuf>, place: String, text: &str) -> Result<Self, KeyError> {
        let keys = parse(text).ok_or_else(|| KeyError::Malformed(place.clone()))?;
        Ok(Self {
            file,
            place,
            known: Mutex::new(Known {
                keys: Arc::new(keys),
                looked: Instant::now(),
            }),
        })
    }

    /// Where they are from, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Their ids, the one that wraps first.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.known().iter().map(|key| key.id.clone()).collect()
    }

    /// All of them, the one that wraps first.
    pub(crate) fn known(&self) -> Arc<Vec<MasterKey>> {
        Arc::clone(&self.lock().keys)
    }

    /// Reads the file again, so that a key which was put first a moment ago wraps from now on. Without a file, and when it
    /// cannot be read, they stay as they are.
    pub(crate) async fn renewed(&self) -> Arc<Vec<MasterKey>> {
        if let Some(path) = self.file.clone() {
            let read = tokio::task::spawn_blocking(move || read(&path)).await;
            match read.map(|text| text.ok().and_then(|text| parse(&text))) {
                Ok(Some(keys)) => {
                    let mut known = self.lock();
                    known.keys = Arc::new(keys);
                    known.looked = Instant::now();
                }
                _ => tracing::warn!(place = self.place, "the master keys cannot be read again"),
            }
        }
        self.known()
    }

    /// All of them, read again if `id` is not among them and they have not just been read.
    pub(crate) async fn with(&self, id: &str) -> Arc<Vec<MasterKey>> {
        let known = self.known();
        if known.iter().any(|key| key.id == id) || self.lock().looked.elapsed() < LOOK_AGAIN {
            return known;
        }
        self.renewed().await
    }

    /// Puts a new key first in the file, durably. `None` without a file, where whoever gives the setting does it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn add(&self) -> Result<Option<String>, KeyError> {
        let Some(path) = &self.file else {
            return Ok(None);
        };
        let text = read(path)?;
        let new = Zeroizing::new(format!("{}{}", *line(&generate()), text.trim_start()));
        private::replace(path, new.as_bytes()).map_err(|source| file_error(path, source))?;
        Ok(self.renewed().await.first().map(|key| key.id.clone()))
    }

    /// Takes every key but the first out of the file. Without a file nothing is done.
    ///
    /// # Errors
    /// When the first was put there a moment ago, so that not everybody wraps with it yet, or the file cannot be written.
    pub async fn forget_old(&self) -> Result<(), KeyError> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let failed = |source| file_error(path, source);
        let age = fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .map_err(failed)?;
        if age.elapsed().is_ok_and(|age| age < SETTLED) {
            return Err(KeyError::NotRetired(format!(
                "{} has changed within the last minute: wait until every process has seen it",
                path.display()
            )));
        }
        let text = read(path)?;
        let first = text.split_whitespace().next().unwrap_or_default();
        private::replace(path, Zeroizing::new(format!("{first}\n")).as_bytes()).map_err(failed)?;
        self.renewed().await;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // It is written whole, so a poisoned lock is as good as any.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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
            Some(MasterKey {
                id: hex::encode(&digest.as_ref()[..8]),
                key: Key::new(&bytes)?,
            })
        })
        .collect();
    keys.filter(|keys| !keys.is_empty())
}

fn line(key: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    Zeroizing::new(format!("{}\n", hex::encode(key)))
}

fn read(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: io::Error) -> KeyError {
    KeyError::File {
        path: path.to_owned(),
        source,
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

#[cfg(test)]
mod tests;
