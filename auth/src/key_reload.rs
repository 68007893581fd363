//! Reads the directory of keys again when a token has an unknown key id, so that a key can be added while auth runs.

use std::{path::PathBuf, time::Duration};

use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{
    keys::{self, Keys, KeysUnusable},
    token::AccessTokens,
};

/// The pause between two reads because of unknown key ids, which clients can invent.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How often the directory is read without a reason.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a read is waited for. A file system of the network may not answer, and callers have to be answered within
/// two seconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// The directory of keys.
#[derive(Debug)]
pub(crate) struct KeyFiles {
    directory: PathBuf,
    looked: Mutex<Look>,
}

/// The last read of the directory.
#[derive(Debug)]
struct Look {
    at: Instant,
    /// The error, so that it is logged once.
    problem: Option<String>,
    /// A read that has not ended. Another one would take another thread.
    reading: Option<JoinHandle<Result<Keys, KeysUnusable>>>,
}

impl KeyFiles {
    /// A directory that has just been read.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            looked: Mutex::new(Look {
                at: Instant::now(),
                problem: None,
                reading: None,
            }),
        }
    }

    /// Reads the keys again and gives them to `tokens`, unless that was done a moment ago. After an error the keys
    /// stay the same, and while the directory does not answer. Returns whether a key was removed.
    pub(crate) async fn renew(&self, tokens: &AccessTokens) -> bool {
        let mut looked = self.looked.lock().await;
        let is_late = looked.reading.as_ref().is_some_and(|read| !read.is_finished());
        if is_late || looked.at.elapsed() < LOOK_AGAIN {
            return false;
        }
        let reading = looked.reading.get_or_insert_with(|| {
            let directory = self.directory.clone();
            tokio::task::spawn_blocking(move || keys::read(&directory))
        });
        let read = timeout(PATIENCE, reading).await;
        if read.is_ok() {
            looked.reading = None;
        }
        looked.at = Instant::now();
        let mut is_one_gone = false;
        let problem = match read {
            Err(_) => Some("the directory does not answer".to_owned()),
            Ok(Ok(Ok(keys))) => {
                let earlier = tokens.keyring();
                if keys.keyring.kids() != earlier.kids() {
                    tracing::info!(keys = ?keys.keyring.kids(), "the signing keys have changed");
                }
                is_one_gone = earlier.kids().iter().any(|kid| keys.keyring.get(kid).is_none());
                tokens.replace_keyring(keys.keyring);
                None
            }
            Ok(Ok(Err(error))) => Some(error.to_string()),
            Ok(Err(error)) => Some(error.to_string()),
        };
        if problem != looked.problem
            && let Some(error) = &problem
        {
            tracing::warn!(%error, "the keys cannot be read again; going on with those of before");
        }
        looked.problem = problem;
        is_one_gone
    }
}
