//! The keys that sign checkpoints: every `*.pem` of their directory. The first one is made when there is none.
//!
//! To rotate, put a new key beside the old one (`taskledger audit rotate-key`) and restart: checkpoints then have the
//! signatures of both. Once all verifiers know the new key, delete the old one and restart.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes, spki::der::pem::LineEnding},
};
use runtime::private_files;
use transparency_log::{Algorithm, NoteError, Signer};
use zeroize::Zeroizing;

/// The name of the first key. It sorts before every id.
const FIRST_KEY: &str = "0-first.pem";

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the key that signs the audit tree cannot be used: {}: {reason}", path.display())]
pub struct KeysUnusable {
    /// The key, or its directory.
    pub path: PathBuf,
    /// The reason, for a message.
    pub reason: String,
    /// The kind of the error, if it is one of the file system.
    pub kind: Option<io::ErrorKind>,
}

/// The private keys of a log, or of a witness.
pub struct SigningKeys {
    directory: PathBuf,
    keys: Vec<SigningKey>,
}

impl SigningKeys {
    /// Reads the keys in `directory`, after making the first one if there is none.
    ///
    /// # Errors
    /// When a key cannot be read or created, when users other than the owner have access to one, or when it
    /// belongs to another user.
    pub fn open(directory: &Path) -> Result<Self, KeysUnusable> {
        let keys = Self::read(directory)?;
        if !keys.keys.is_empty() {
            return Ok(keys);
        }
        // When several processes try at the same time, one succeeds and the others read its key.
        create(&directory.join(FIRST_KEY)).map_err(failed(directory))?;
        Self::read(directory)
    }

    /// Reads the keys in `directory`, of which there may be none.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn read(directory: &Path) -> Result<Self, KeysUnusable> {
        let files = files(directory)?;
        let keys = files.iter().map(|path| read_key(path));
        Ok(Self { directory: directory.to_owned(), keys: keys.collect::<Result<_, _>>()? })
    }

    /// Why keys in `directory` cannot be used: one reason for each of these keys.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn unusable(directory: &Path) -> Result<Vec<KeysUnusable>, KeysUnusable> {
        let files = files(directory)?;
        Ok(files.iter().filter_map(|path| read_key(path).err()).collect())
    }

    /// Whether there is no key in `directory`, not even one that cannot be used.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn are_none(directory: &Path) -> Result<bool, KeysUnusable> {
        Ok(files(directory)?.is_empty())
    }

    /// Makes a key that is newer than those in `directory`, and returns its file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn add(directory: &Path) -> Result<PathBuf, KeysUnusable> {
        let path = directory.join(format!("{}.pem", runtime::new_id()));
        create(&path).map_err(failed(&path))?;
        Ok(path)
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The signer with the newest key, under this name.
    ///
    /// # Errors
    /// When there is none, or no key can have this name.
    pub fn newest(&self, name: &str, algorithm: Algorithm) -> Result<Signer, KeysUnusable> {
        let unusable = |reason: String| KeysUnusable { path: self.directory.clone(), reason, kind: None };
        let signers = self.signers(name, algorithm).map_err(|error| unusable(error.to_string()))?;
        signers.into_iter().next_back().ok_or_else(|| unusable("there is no key".to_owned()))
    }

    /// The signers with all keys, the oldest first, under this name.
    ///
    /// # Errors
    /// When no key can have this name.
    pub fn signers(&self, name: &str, algorithm: Algorithm) -> Result<Vec<Signer>, NoteError> {
        self.keys.iter().map(|key| Signer::new(name, algorithm, key.clone())).collect()
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// The files of the keys in `directory`, which need not exist.
fn files(directory: &Path) -> Result<Vec<PathBuf>, KeysUnusable> {
    match private_files::key_files(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        files => files.map_err(failed(directory)),
    }
}

fn read_key(path: &Path) -> Result<SigningKey, KeysUnusable> {
    let pem = Zeroizing::new(private_files::read_key(path).map_err(failed(path))?);
    SigningKey::from_pkcs8_pem(&pem).map_err(|_| KeysUnusable {
        path: path.to_owned(),
        reason: "expected an Ed25519 private key in PKCS#8 PEM".to_owned(),
        kind: None,
    })
}

/// Creates a key in the file `path`, unless there is one.
fn create(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        private_files::create_directory(directory)?;
    }
    let pair = KeypairBytes { secret_key: runtime::random_bytes(), public_key: None };
    let pem = pair.to_pkcs8_pem(LineEnding::LF).map_err(|error| io::Error::other(error.to_string()))?;
    private_files::create_whole(path, pem.as_bytes())
}

fn failed(path: &Path) -> impl Fn(io::Error) -> KeysUnusable {
    move |error| KeysUnusable { path: path.to_owned(), reason: error.to_string(), kind: Some(error.kind()) }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    };

    use super::*;

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        SigningKeys::open(directory.path()).unwrap();
        let path = directory.path().join(FIRST_KEY);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = SigningKeys::read(directory.path()).unwrap_err();
        // The user to whom it belongs is refused, too.
        assert_ne!(error.kind, Some(io::ErrorKind::PermissionDenied));
        let error = error.to_string();
        assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
    }

    #[test]
    fn a_key_that_somebody_else_has_put_there_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        SigningKeys::open(directory.path()).unwrap();
        let path = directory.path().join(FIRST_KEY);
        if fs::metadata(&path).unwrap().uid() != 0 {
            // Only root can change the owner of a file.
            assert!(chown(&path, Some(0), None).is_err());
            return;
        }
        chown(&path, Some(65_534), None).unwrap();
        let error = SigningKeys::read(directory.path()).unwrap_err();
        assert_eq!(error.kind, Some(io::ErrorKind::PermissionDenied));
        let error = error.to_string();
        assert!(error.contains("belongs to user 65534"), "{error}");
    }
}
