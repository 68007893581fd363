//! The public keys of auth as far as this process knows them: asked for at the start, and again when a token names one
//! that is unknown, at most every few seconds, since anyone can make up names.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use bus::Bus;
use bytes::Bytes;
use runtime::Backoff;
use tokio::{
    sync::{Mutex, Notify},
    time::Instant,
};

use crate::{
    cache::Cache,
    jwk::{PublicKeys, VerifyingKey},
    messages::KEYS_QUEUE,
};

/// For so long a set counts as complete: an unknown key is not asked for again.
const COMPLETE_FOR: Duration = Duration::from_secs(3);
/// Between a failure and the next attempt.
const AFTER_FAILURE: Duration = Duration::from_millis(50);
/// The longest pause between attempts for which nobody waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the set is asked for without a reason, so that new keys are known before they sign, and keys which were taken
/// away are forgotten.
const RENEW_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct KnownKeys {
    bus: Arc<dyn Bus>,
    deadline: Duration,
    /// The answers to tokens that these keys have verified.
    answers: Arc<Cache>,
    keys: RwLock<Arc<PublicKeys>>,
    /// The last attempt to ask. Whoever asks holds it, so that one asks for all.
    last: Mutex<Option<Attempt>>,
    /// Somebody has said that the keys have changed.
    changed: Notify,
}

struct Attempt {
    at: Instant,
    succeeded: bool,
}

/// Why a key cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// Auth has none with this id.
    Unknown,
    /// Auth could not be asked.
    Unavailable(String),
}

impl KnownKeys {
    pub(crate) fn new(bus: Arc<dyn Bus>, deadline: Duration, answers: Arc<Cache>) -> Self {
        Self {
            bus,
            deadline,
            answers,
            keys: RwLock::default(),
            last: Mutex::new(None),
            changed: Notify::new(),
        }
    }

    /// The key with this id, if it is known here already.
    pub(crate) fn known(&self, kid: &str) -> Option<Arc<VerifyingKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(kid)
    }

    /// The key with this id; auth is asked if it is unknown.
    pub(crate) async fn get(&self, kid: &str) -> Result<Arc<VerifyingKey>, NoKey> {
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        let arrived = Instant::now();
        let mut last = self.last.lock().await;
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        match &*last {
            Some(attempt) if attempt.succeeded && attempt.at.elapsed() < COMPLETE_FOR => {
                return Err(NoKey::Unknown);
            }
            // Whoever waited for this attempt shares its failure; whoever comes later makes another.
            Some(attempt) if !attempt.succeeded && attempt.at >= arrived => {
                return Err(NoKey::Unavailable(
                    "the public keys could not be asked for".to_owned(),
                ));
            }
            Some(attempt) if !attempt.succeeded => {
                tokio::time::sleep_until(attempt.at + AFTER_FAILURE).await;
            }
            _ => {}
        }
        let asked = self.ask().await;
        *last = Some(Attempt {
            at: Instant::now(),
            succeeded: asked.is_ok(),
        });
        drop(last);
        asked.map_err(NoKey::Unavailable)?;
        self.known(kid).ok_or(NoKey::Unknown)
    }

    /// Lets [`Self::keep_up`] ask soon, because the keys have changed.
    pub(crate) fn renew_soon(&self) {
        self.changed.notify_one();
    }

    /// Asks at once, and again until there is an answer; then now and then, and when the keys have changed, for ever.
    pub(crate) async fn keep_up(&self) {
        let mut backoff = Backoff::new(AFTER_FAILURE, LONGEST_PAUSE);
        loop {
            let mut last = self.last.lock().await;
            let asked = self.ask().await;
            *last = Some(Attempt {
                at: Instant::now(),
                succeeded: asked.is_ok(),
            });
            drop(last);
            let pause = match asked {
                Ok(()) => {
                    backoff.reset();
                    RENEW_EVERY
                }
                Err(reason) => {
                    tracing::debug!(%reason, "the public keys of access tokens cannot be asked for");
                    backoff.pause()
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    async fn ask(&self) -> Result<(), String> {
        // The bus keeps the deadline; the second one only guards against a bus that does not.
        let guard = self.deadline.saturating_add(Duration::from_millis(500));
        let request = self.bus.request(KEYS_QUEUE, Bytes::new(), self.deadline);
        let reply = match tokio::time::timeout(guard, request).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(elapsed) => return Err(elapsed.to_string()),
        };
        let keys = Arc::new(PublicKeys::decode(&reply)?);
        let mut known = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let earlier = std::mem::replace(&mut *known, Arc::clone(&keys));
        drop(known);
        if keys.lacks_one_of(&earlier) {
            // A key was taken away, and the news of it may not have come.
            self.answers.clear();
        }
        Ok(())
    }
}
