//! The keys as their directory holds them now: read again when somebody shows a token of a key that is not here, so that a
//! new key can be put beside the old ones while auth runs.

use std::{path::PathBuf, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use crate::{keys, token::AccessTokens};

/// Between two looks into the directory, since anyone can make up names of keys.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The directory of keys.
#[derive(Debug)]
pub(crate) struct KeyFiles {
    directory: PathBuf,
    looked: Mutex<Instant>,
}

impl KeyFiles {
    /// A directory that has just been read.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            looked: Mutex::new(Instant::now()),
        }
    }

    /// Reads the keys again and gives them to `tokens`, unless that was done a moment ago. Without success the keys stay as
    /// they are.
    pub(crate) async fn renew(&self, tokens: &AccessTokens) {
        let mut looked = self.looked.lock().await;
        if looked.elapsed() < LOOK_AGAIN {
            return;
        }
        let directory = self.directory.clone();
        let read = tokio::task::spawn_blocking(move || keys::read(&directory)).await;
        *looked = Instant::now();
        match read {
            Ok(Ok(keys)) => tokens.replace_keyring(keys.keyring),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the keys cannot be read again; going on with those of before")
            }
            Err(error) => tracing::error!(%error, "the keys were not read again"),
        }
    }
}
