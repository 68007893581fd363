//! The directory of keys: `<uuidv7 or timestamp>.pem` for every signing key, and `email-pepper`.
//!
//! The key whose name sorts last signs, once it has existed for [`PUBLISHED_FIRST_SECONDS`], so that verifiers know
//! it before its first token. A key whose name ends with [`NEXT`] is published and does not sign. The pepper never
//! changes, because every claim on an address depends on it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use events::Timestamp;
use runtime::private_files;

use super::{Keyring, Keys, Pepper, SigningAlgorithm, SigningKey};

/// The first key's file. Sorts before every UUIDv7 and every timestamp.
const FIRST_KEY: &str = "0-first.pem";
const PEPPER: &str = "email-pepper";
/// The end of the names of keys that do not sign yet.
pub(super) const NEXT: &str = ".next.pem";
/// How long a key is published before it signs: longer than auth and the roles take to read it.
pub(super) const PUBLISHED_FIRST_SECONDS: i64 = 30;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysUnusable {
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} cannot be used: {reason}", path.display())]
    Content { path: PathBuf, reason: String },
    #[error(
        "{} cannot be used: {reason}; restore it from a backup of the keys, or, if none has it, move it out of the directory and run `taskledger keys rotate`: sessions go on, and access tokens that it has signed are refused until they are refreshed",
        path.display()
    )]
    SigningKey { path: PathBuf, reason: String },
    #[error(
        "{} is missing, but the event store already holds accounts that depend on it: restore the directory of keys from a backup, or point to the right one",
        .0.display()
    )]
    Lost(PathBuf),
    #[error(
        "{}/{} belongs to another event store, since no address in this one was claimed under it: restore the directory of keys from a backup, or point to the right one",
        .0.display(),
        PEPPER
    )]
    OtherPepper(PathBuf),
    #[error("{} is missing: start Taskledger once, or point to the right directory of keys", .0.display())]
    Missing(PathBuf),
}

impl KeysUnusable {
    /// What to tell the operator of a process that goes on with keys that it has read before. It may hold their only
    /// copy.
    pub(crate) fn while_running(&self) -> String {
        const ADVICE: &str = "do not stop this process before it is restored from a backup of the keys, \
             since auth does not start without it";
        match self {
            Self::Missing(path) => format!("{} is missing: {ADVICE}", path.display()),
            Self::Content { .. } => format!("{self}: {ADVICE}"),
            other => other.to_string(),
        }
    }

    /// `action` failed on the file or the directory `path`.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }

    /// The file `path` has invalid content.
    pub(super) fn content(path: &Path) -> impl FnOnce(String) -> Self {
        move |reason| Self::Content { path: path.to_owned(), reason }
    }
}

/// A part of the keys, all of which auth needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPart {
    /// The pepper under which addresses are claimed.
    Pepper,
    /// The keys that sign access tokens.
    SigningKeys,
}

/// What keeps auth from using the keys in a directory.
#[derive(Debug, Default)]
pub struct KeyDefects {
    /// The parts that are not there.
    pub missing: Vec<KeyPart>,
    /// Why files that are there cannot be used.
    pub unusable: Vec<KeysUnusable>,
    /// Whether any file of keys is there, also of one that does not sign yet.
    pub has_files: bool,
}

/// Reads the keys in `directory`. Creates missing ones if `may_create`, which must be true only while the event store
/// is empty: with a new pepper every address would look free.
pub(crate) fn open(directory: &Path, may_create: bool) -> Result<Keys, KeysUnusable> {
    if may_create {
        private_files::create_directory(directory).map_err(KeysUnusable::file("create", directory))?;
        let pepper = directory.join(PEPPER);
        if !exists(&pepper)? {
            create(&pepper, &Pepper::generate())?;
        }
        if key_files(directory)?.is_empty() {
            let path = directory.join(FIRST_KEY);
            let pem = SigningKey::generate(SigningAlgorithm::EdDsa);
            create(&path, &pem.map_err(KeysUnusable::content(&path))?)?;
        }
    }
    read(directory).map_err(|error| match error {
        KeysUnusable::Missing(path) if !may_create => KeysUnusable::Lost(path),
        other => other,
    })
}

pub(crate) fn read(directory: &Path) -> Result<Keys, KeysUnusable> {
    let pepper = read_pepper(directory)?.ok_or_else(|| KeysUnusable::Missing(directory.join(PEPPER)))?;
    let mut keys = Vec::new();
    for path in key_files(directory)? {
        keys.push(read_key(&path)?);
    }
    let keyring = Keyring::new(keys).ok_or_else(|| KeysUnusable::Missing(directory.join("*.pem")))?;
    Ok(Keys { keyring, pepper })
}

/// Reads the pepper in `directory`, and finds everything that keeps auth from using the keys there on a log with
/// events. Nothing is created.
pub(crate) fn defects(directory: &Path) -> (Option<Pepper>, KeyDefects) {
    let mut defects = KeyDefects::default();
    let pepper = read_pepper(directory).unwrap_or_else(|error| {
        defects.unusable.push(error);
        None
    });
    if pepper.is_none() && defects.unusable.is_empty() {
        defects.missing.push(KeyPart::Pepper);
    }
    let files = match exists(directory) {
        Ok(true) => key_files(directory),
        other => other.map(|_| Vec::new()),
    };
    match files {
        Ok(files) => {
            if files.iter().all(|path| is_next(path)) {
                defects.missing.push(KeyPart::SigningKeys);
            }
            defects.has_files = pepper.is_some() || !files.is_empty();
            let unusable = files.iter().filter_map(|path| read_key(path).err());
            defects.unusable.extend(unusable);
        }
        Err(error) => defects.unusable.push(error),
    }
    (pepper, defects)
}

/// Reads the pepper in `directory`, if there is one.
fn read_pepper(directory: &Path) -> Result<Option<Pepper>, KeysUnusable> {
    let path = directory.join(PEPPER);
    if !exists(&path)? {
        return Ok(None);
    }
    match Pepper::parse(&read_file(&path)?) {
        Some(pepper) => Ok(Some(pepper)),
        None => Err(KeysUnusable::Content { path, reason: "expected 32 bytes in hexadecimal".to_owned() }),
    }
}

/// Reads one key, with the time from which it signs.
pub(super) fn read_key(path: &Path) -> Result<SigningKey, KeysUnusable> {
    let mut key = SigningKey::from_pem(&read_file(path)?)
        .map_err(|reason| KeysUnusable::SigningKey { path: path.to_owned(), reason })?;
    key.signs_from =
        if is_next(path) { None } else { Some(changed_at(path)?.plus_seconds(PUBLISHED_FIRST_SECONDS)) };
    Ok(key)
}

/// Whether the key does not sign yet.
pub(super) fn is_next(path: &Path) -> bool {
    path.to_string_lossy().ends_with(NEXT)
}

/// When the file was last written or renamed.
fn changed_at(path: &Path) -> Result<Timestamp, KeysUnusable> {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    let modified = modified.map_err(KeysUnusable::file("read", path))?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
}

/// The files of signing keys, the oldest first, and keys that do not sign yet last.
pub(super) fn key_files(directory: &Path) -> Result<Vec<PathBuf>, KeysUnusable> {
    let mut files = private_files::key_files(directory).map_err(KeysUnusable::file("read", directory))?;
    // The sort is stable: in both parts keys stay in the order of their names.
    files.sort_by_key(|path| is_next(path));
    Ok(files)
}

fn exists(path: &Path) -> Result<bool, KeysUnusable> {
    path.try_exists().map_err(KeysUnusable::file("read", path))
}

fn read_file(path: &Path) -> Result<zeroize::Zeroizing<String>, KeysUnusable> {
    let text = private_files::read_key(path).map_err(KeysUnusable::file("read", path))?;
    Ok(zeroize::Zeroizing::new(text))
}

/// Creates the file of a key before the first event depends on it. When several processes try at once, one succeeds
/// and the others find its file.
pub(super) fn create(path: &Path, content: &str) -> Result<(), KeysUnusable> {
    private_files::create_whole(path, content.as_bytes()).map_err(KeysUnusable::file("create", path))
}

#[cfg(test)]
mod tests;
