//! Reads the directory of keys again, regularly and when a token has an unknown key id, so that an operator can add and
//! remove keys while auth runs.

use std::{path::PathBuf, sync::Arc, time::Duration};

use auth_client::Revocation;
use runtime::{BlockingCalls, Rounds};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{keys, revocations::Revocations, token::AccessTokens};

/// The pause between two reads because of unknown key ids, which clients can invent.
const RELOAD_INTERVAL: Duration = Duration::from_millis(500);
/// How often the directory is read without a reason.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The longest wait for a read. The file system of a network may not answer, and callers have to be answered within
/// two seconds.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) struct KeyReload {
    directory: PathBuf,
    tokens: Arc<AccessTokens>,
    revocations: Revocations,
    reads: BlockingCalls,
    last: Mutex<LastRead>,
}

#[derive(Debug)]
struct LastRead {
    at: Instant,
    /// The error, so that it is logged once.
    problem: Option<String>,
}

impl KeyReload {
    /// Gives the keys in `directory`, which has just been read, to `tokens` when they change.
    pub(crate) fn new(directory: PathBuf, tokens: Arc<AccessTokens>, revocations: Revocations) -> Self {
        Self {
            directory,
            tokens,
            revocations,
            reads: BlockingCalls::new(1, READ_TIMEOUT),
            last: Mutex::new(LastRead { at: Instant::now(), problem: None }),
        }
    }

    /// Reads the keys again, and broadcasts when one was removed.
    pub(crate) async fn renew(&self) {
        if self.removes_one().await {
            self.revocations.broadcast(Revocation::Keys).await;
        }
    }

    /// Reads the keys again regularly, until `stop` is cancelled.
    pub(crate) async fn keep_renewing(self: Arc<Self>, stop: CancellationToken) {
        let mut rounds = Rounds::every(POLL_INTERVAL, stop).after_a_pause();
        while rounds.next().await {
            self.renew().await;
        }
    }

    /// Reads the keys again, unless that was done a moment ago. The keys stay the same after an error, and while the
    /// directory does not answer. Returns whether a key was removed.
    async fn removes_one(&self) -> bool {
        let mut last = self.last.lock().await;
        if last.at.elapsed() < RELOAD_INTERVAL {
            return false;
        }
        let directory = self.directory.clone();
        let read = self.reads.run(move || keys::read(&directory)).await;
        last.at = Instant::now();
        let mut is_one_gone = false;
        let problem = match read {
            Ok(Ok(keys)) => {
                let earlier = self.tokens.keyring();
                if keys.keyring.kids() != earlier.kids() {
                    tracing::info!(keys = ?keys.keyring.kids(), "the signing keys have changed");
                }
                is_one_gone = earlier.kids().iter().any(|kid| keys.keyring.get(kid).is_none());
                self.tokens.replace_keyring(keys.keyring);
                None
            }
            Ok(Err(error)) => Some(error.while_running()),
            Err(error) => Some(error.to_string()),
        };
        if problem != last.problem
            && let Some(error) = &problem
        {
            tracing::warn!(%error, "the keys cannot be read again; going on with those of before");
        }
        last.problem = problem;
        is_one_gone
    }
}
