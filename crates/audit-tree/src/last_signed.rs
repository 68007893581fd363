//! Records the last signed checkpoint beside the keys, outside the databases. If all databases are restored to an
//! earlier state, the record is not, so that no later checkpoint contradicts it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use events::sha256;
use runtime::private_files;
use transparency_log::{Checkpoint, Note};

use crate::KeepError;

/// The extension of the files.
const EXTENSION: &str = "checkpoint";

/// The last signed checkpoint of each origin, in a directory.
#[derive(Debug, Clone)]
pub struct LastSigned(PathBuf);

impl LastSigned {
    /// Uses the files in `directory`.
    pub fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// The last checkpoint of this origin; `None` when none is remembered.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no checkpoint of this origin.
    pub fn read(&self, origin: &str) -> Result<Option<Note>, KeepError> {
        let path = self.path(origin);
        let damaged = |reason: String| KeepError::DamagedRecord { path: path.clone(), reason };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, &error)),
        };
        let note: Note = text.parse().map_err(|error| damaged(format!("{error}")))?;
        let checkpoint: Checkpoint = note.text.parse().map_err(|error| damaged(format!("{error}")))?;
        if checkpoint.origin == origin {
            Ok(Some(note))
        } else {
            Err(damaged(format!("it is of the origin {}", checkpoint.origin)))
        }
    }

    /// The content of the last checkpoint of this origin; `None` when none is recorded.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn checkpoint(&self, origin: &str) -> Result<Option<Checkpoint>, KeepError> {
        let note = self.read(origin)?;
        Ok(note.map(|note| note.text.parse()).transpose()?)
    }

    /// The origin of any record; `None` when nothing was ever signed with the keys in this directory.
    ///
    /// # Errors
    /// When the directory or a file in it cannot be read.
    pub fn any_origin(&self) -> Result<Option<String>, KeepError> {
        let texts = self.texts()?;
        let any = texts.first().map(|text| text.lines().next().unwrap_or_default());
        Ok(any.map(str::to_owned))
    }

    /// Whether a tree with events was signed with the keys in this directory, as far as it can be read here: the keys
    /// of other roles may be in a directory that this one must not enter.
    pub fn has_signed_events(&self) -> bool {
        let size = |text: &String| text.lines().nth(1).and_then(|size| size.parse::<u64>().ok());
        let texts = self.texts().unwrap_or_default();
        texts.iter().any(|text| size(text).is_some_and(|size| size > 0))
    }

    /// The texts of all records.
    fn texts(&self) -> Result<Vec<String>, KeepError> {
        let files = match fs::read_dir(&self.0) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unusable(&self.0, &error)),
        };
        let mut texts = Vec::new();
        for file in files {
            let path = file.map_err(|error| unusable(&self.0, &error))?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                texts.push(fs::read_to_string(&path).map_err(|error| unusable(&path, &error))?);
            }
        }
        Ok(texts)
    }

    /// Records a checkpoint of this origin durably.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, origin: &str, note: &Note) -> io::Result<()> {
        private_files::replace(&self.path(origin), note.to_string().as_bytes())
    }

    /// The file of an origin. Its name is a hash, because origins may contain slashes.
    fn path(&self, origin: &str) -> PathBuf {
        self.0.join(format!("{}.{EXTENSION}", &sha256(origin.as_bytes())[..16]))
    }
}

/// Why the record or the directory at `path` is of no use.
fn unusable(path: &Path, error: &io::Error) -> KeepError {
    let (path, reason) = (path.to_owned(), error.to_string());
    match error.kind() {
        // It is no text.
        io::ErrorKind::InvalidData => KeepError::DamagedRecord { path, reason },
        _ => KeepError::UnreadableRecord { path, reason },
    }
}
