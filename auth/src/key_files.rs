//! The keys as their directory holds them now: read again when somebody shows a token of a key that is not here, so that a
//! new key can be put beside the old ones while auth runs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bus::Responder;
use bytes::Bytes;
use tokio::{sync::Mutex, time::Instant};

use crate::{auth::Auth, keys};

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
}

impl Auth {
    /// Reads the keys again, unless that was done a moment ago. Without success the keys stay as they are.
    pub(crate) async fn renew_keys(&self) {
        let mut looked = self.key_files.looked.lock().await;
        if looked.elapsed() < LOOK_AGAIN {
            return;
        }
        let directory = self.key_files.directory.clone();
        let read = tokio::task::spawn_blocking(move || keys::read(&directory)).await;
        *looked = Instant::now();
        match read {
            Ok(Ok(keys)) => self.tokens.replace_keyring(keys.keyring),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the keys cannot be read again; going on with those of before")
            }
            Err(error) => tracing::error!(%error, "the keys were not read again"),
        }
    }
}

/// Hands out the public keys.
pub(crate) struct PublicKeys(pub(crate) Arc<Auth>);

#[async_trait]
impl Responder for PublicKeys {
    async fn respond(&self, _request: Bytes) -> Bytes {
        self.0.renew_keys().await;
        self.0.tokens.keyring().jwks().encode().into()
    }
}
