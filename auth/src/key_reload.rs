//! Reads the directory of keys again when a token has an unknown key id, so that a key can be added while auth runs.

use std::{path::PathBuf, time::Duration};

use runtime::BlockingCalls;
use tokio::{sync::Mutex, time::Instant};

use crate::{keys, token::AccessTokens};

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
    reads: BlockingCalls,
    looked: Mutex<Look>,
}

/// The last read of the directory.
#[derive(Debug)]
struct Look {
    at: Instant,
    /// The error, so that it is logged once.
    problem: Option<String>,
}

impl KeyFiles {
    /// A directory that has just been read.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            reads: BlockingCalls::new(1, PATIENCE),
            looked: Mutex::new(Look {
                at: Instant::now(),
                problem: None,
            }),
        }
    }

    /// Reads the keys again and gives them to `tokens`, unless that was done a moment ago. After an error the keys
    /// stay the same, and while the directory does not answer. Returns whether a key was removed.
    pub(crate) async fn renew(&self, tokens: &AccessTokens) -> bool {
        let mut looked = self.looked.lock().await;
        if looked.at.elapsed() < LOOK_AGAIN {
            return false;
        }
        let directory = self.directory.clone();
        let read = self.reads.run(move || keys::read(&directory)).await;
        looked.at = Instant::now();
        let mut is_one_gone = false;
        let problem = match read {
            Ok(Ok(keys)) => {
                let earlier = tokens.keyring();
                if keys.keyring.kids() != earlier.kids() {
                    tracing::info!(keys = ?keys.keyring.kids(), "the signing keys have changed");
                }
                is_one_gone = earlier.kids().iter().any(|kid| keys.keyring.get(kid).is_none());
                tokens.replace_keyring(keys.keyring);
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
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
