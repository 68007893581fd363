//! Commands of operators for the directory of keys: listing keys, and rotating them without refusing valid tokens.
//!
//! `generate` publishes a key, `rotate` makes it sign, `retire` removes one that is not needed any more. Auth reads
//! the directory regularly; the roles ask auth for the public keys.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use events::Timestamp;

use super::{
    SigningAlgorithm, SigningKey,
    directory::{KeysUnusable, NEXT, create, key_files, read_key},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// It is published, and does not sign until an operator rotates the keys.
    Next,
    /// It signs from this time on, when everyone knows it.
    SignsFrom(Timestamp),
    Signs,
    /// It only verifies the tokens that it has signed.
    Verifies,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// Its id, which tokens repeat.
    pub kid: String,
    pub algorithm: SigningAlgorithm,
    pub used: KeyUse,
    pub path: PathBuf,
}

impl KeyState {
    /// The key in the file `path`, which signs from its time on whatever other keys there are.
    fn of(path: PathBuf) -> Result<Self, KeysUnusable> {
        let key = read_key(&path)?;
        Ok(Self {
            kid: key.kid,
            algorithm: key.algorithm,
            used: key.signs_from.map_or(KeyUse::Next, KeyUse::SignsFrom),
            path,
        })
    }
}

/// Why a key was not removed.
#[derive(Debug, thiserror::Error)]
pub enum NotRetired {
    #[error(transparent)]
    Unusable(#[from] KeysUnusable),
    #[error("there is no key {0}")]
    Unknown(String),
    #[error("key {0} signs: rotate first")]
    Signs(String),
    #[error("tokens of key {kid} may be good until {until}: wait, or say --force if it has leaked")]
    InUse { kid: String, until: Timestamp },
}

/// Every key with its use at `now`, the oldest first.
///
/// # Errors
/// When the directory or a file of it cannot be read, or others can read it.
pub fn list(directory: &Path, now: Timestamp) -> Result<Vec<KeyState>, KeysUnusable> {
    let mut keys = Vec::new();
    for path in key_files(directory)? {
        let mut key = KeyState::of(path)?;
        if matches!(key.used, KeyUse::SignsFrom(from) if from <= now) {
            key.used = KeyUse::Verifies;
        }
        keys.push(key);
    }
    let signing = keys
        .iter()
        .rposition(|key| key.used == KeyUse::Verifies)
        .or_else(|| keys.iter().position(|key| key.used != KeyUse::Next));
    if let Some(signing) = signing {
        keys[signing].used = KeyUse::Signs;
    }
    Ok(keys)
}

/// Publishes a new key, which signs after [`rotate`].
///
/// # Errors
/// When it cannot be created or written.
pub fn generate(directory: &Path, algorithm: SigningAlgorithm) -> Result<KeyState, KeysUnusable> {
    let path = directory.join(format!("{}{NEXT}", runtime::new_id()));
    let pem = SigningKey::generate(algorithm);
    create(&path, &pem.map_err(KeysUnusable::content(&path))?)?;
    KeyState::of(path)
}

/// Makes the newest published key sign, from a time when everyone knows it. Creates one if there is none.
///
/// # Errors
/// When the directory cannot be used.
pub fn rotate(
    directory: &Path,
    algorithm: SigningAlgorithm,
    now: Timestamp,
) -> Result<KeyState, KeysUnusable> {
    let published = list(directory, now)?.into_iter().rfind(|key| key.used == KeyUse::Next);
    let next = match published {
        Some(next) => next,
        None => generate(directory, algorithm)?,
    };
    // The new name sorts after every other key.
    let path = directory.join(format!("{}.pem", runtime::new_id()));
    // It signs after a time that begins now.
    let micros = Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or_default());
    fs::File::options()
        .append(true)
        .open(&next.path)
        .and_then(|file| file.set_modified(UNIX_EPOCH + micros))
        .and_then(|()| fs::rename(&next.path, &path))
        .and_then(|()| fs::File::open(directory)?.sync_all())
        .map_err(KeysUnusable::file("rename", &next.path))?;
    KeyState::of(path)
}

/// Removes the key `kid` for good. Not the one that signs, and without `force` not one whose tokens, which live for
/// `token_seconds`, may still be good.
///
/// # Errors
/// Why it was not removed.
pub fn retire(
    directory: &Path,
    kid: &str,
    force: bool,
    token_seconds: i64,
    now: Timestamp,
) -> Result<KeyState, NotRetired> {
    let keys = list(directory, now)?;
    let key = keys.iter().find(|key| key.kid == kid).ok_or_else(|| NotRetired::Unknown(kid.to_owned()))?;
    match key.used {
        KeyUse::Signs => return Err(NotRetired::Signs(kid.to_owned())),
        KeyUse::Verifies if !force => {
            let successor = keys.iter().find(|other| other.used == KeyUse::Signs);
            let signs_from = successor.map(|key| read_key(&key.path)).transpose()?;
            let signs_from = signs_from.and_then(|key| key.signs_from).unwrap_or(now);
            let until = signs_from.plus_seconds(token_seconds);
            if now < until {
                return Err(NotRetired::InUse { kid: kid.to_owned(), until });
            }
        }
        KeyUse::Verifies | KeyUse::Next | KeyUse::SignsFrom(_) => {}
    }
    fs::remove_file(&key.path).map_err(KeysUnusable::file("remove", &key.path))?;
    Ok(key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    const NOW: Timestamp = Timestamp::from_micros(1_900_000_000_000_000);
    const TOKEN_SECONDS: i64 = 900;

    fn uses(directory: &Path, now: Timestamp) -> Vec<KeyUse> {
        list(directory, now).unwrap().into_iter().map(|key| key.used).collect()
    }

    #[test]
    fn a_key_is_published_then_signs_and_the_old_one_goes_when_its_tokens_have_run_out() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        keys::open(directory, true).unwrap();
        assert_eq!(uses(directory, NOW), [KeyUse::Signs]);
        let made = generate(directory, SigningAlgorithm::Es256).unwrap();
        assert_eq!(uses(directory, NOW), [KeyUse::Signs, KeyUse::Next]);

        let first = list(directory, NOW).unwrap()[0].kid.clone();
        let rotated = rotate(directory, SigningAlgorithm::EdDsa, NOW).unwrap();
        assert_eq!(rotated.kid, made.kid, "the one that was published");
        let from = NOW.plus_seconds(30);
        assert_eq!(uses(directory, NOW), [KeyUse::Signs, KeyUse::SignsFrom(from)]);
        assert_eq!(uses(directory, from), [KeyUse::Verifies, KeyUse::Signs]);
        let ring = keys::read(directory).unwrap().keyring;
        assert_eq!(ring.signing(NOW).unwrap().kid, first);
        assert_eq!(ring.signing(from).unwrap().kid, made.kid);

        let retired = |kid: &str, force, now| retire(directory, kid, force, TOKEN_SECONDS, now);
        assert!(matches!(retired(&made.kid, true, from), Err(NotRetired::Signs(_))));
        let until = from.plus_seconds(TOKEN_SECONDS);
        assert!(matches!(
            retired(&first, false, from),
            Err(NotRetired::InUse { until: said, .. }) if said == until
        ));
        assert!(matches!(retired("none", true, until), Err(NotRetired::Unknown(_))));
        retired(&first, false, until).unwrap();
        assert_eq!(uses(directory, until), [KeyUse::Signs]);
    }

    #[test]
    fn rotating_makes_a_key_if_none_was_published_and_one_that_leaked_goes_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        keys::open(directory, true).unwrap();
        let first = list(directory, NOW).unwrap()[0].kid.clone();
        let rotated = rotate(directory, SigningAlgorithm::Es256, NOW).unwrap();
        assert_eq!(rotated.algorithm, SigningAlgorithm::Es256);
        retire(directory, &first, true, TOKEN_SECONDS, NOW.plus_seconds(30)).unwrap();
        assert_eq!(uses(directory, NOW.plus_seconds(30)), [KeyUse::Signs]);
    }
}
