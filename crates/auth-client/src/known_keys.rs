//! The public keys of auth that this process knows. They are requested at the start, and again when a token has an
//! unknown key id. That happens at most every few seconds, because clients can invent ids.

use std::{sync::Arc, time::Duration};

use bus::Bus;
use bytes::Bytes;
use parking_lot::RwLock;
use runtime::Backoff;
use tokio::{
    sync::{Mutex, MutexGuard, Notify},
    time::Instant,
};

use crate::{
    ask_auth::ask_auth,
    cache::Cache,
    jwk::{PublicKeys, VerifyingKey},
    messages::KEYS_QUEUE,
};

/// After a successful request, an unknown key is not requested again for this long.
const REQUEST_INTERVAL: Duration = Duration::from_secs(3);
/// The pause between a failed request and the next one.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// The longest pause between requests in the background.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often the keys are requested without a reason. So new keys are known before they are used, and removed keys
/// are forgotten.
const RENEW_INTERVAL: Duration = Duration::from_secs(10);

pub(crate) struct KnownKeys {
    bus: Arc<dyn Bus>,
    deadline: Duration,
    /// The cached answers about tokens that these keys have verified.
    answers: Arc<Cache>,
    keys: RwLock<Arc<PublicKeys>>,
    /// The last request. Held while one is under way, so that all callers share it.
    last: Mutex<Option<Attempt>>,
    /// Notified when auth has announced that the keys changed.
    changed: Notify,
}

struct Attempt {
    at: Instant,
    succeeded: bool,
}

/// Why a key is not available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// Auth has no key with this id.
    Unknown,
    /// Auth could not be reached.
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

    /// The key with this id, if it is known.
    pub(crate) fn known(&self, kid: &str) -> Option<Arc<VerifyingKey>> {
        self.keys.read().get(kid)
    }

    /// The key with this id. Asks auth if it is not known.
    pub(crate) async fn get(&self, kid: &str) -> Result<Arc<VerifyingKey>, NoKey> {
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        let arrived = Instant::now();
        let last = self.last.lock().await;
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        match &*last {
            Some(attempt) if attempt.succeeded && attempt.at.elapsed() < REQUEST_INTERVAL => {
                return Err(NoKey::Unknown);
            }
            // Callers that waited for this request share its failure; later callers send another.
            Some(attempt) if !attempt.succeeded && attempt.at >= arrived => {
                return Err(NoKey::Unavailable("the public keys could not be asked for".to_owned()));
            }
            Some(attempt) if !attempt.succeeded => {
                tokio::time::sleep_until(attempt.at + RETRY_INTERVAL).await;
            }
            _ => {}
        }
        let asked = self.ask_again(last).await;
        asked.map_err(NoKey::Unavailable)?;
        self.known(kid).ok_or(NoKey::Unknown)
    }

    /// Makes [`Self::keep_up`] request the keys soon, because they have changed.
    pub(crate) fn renew_soon(&self) {
        self.changed.notify_one();
    }

    /// Requests the keys at once, and again until it succeeds; then regularly and after changes. Never returns.
    pub(crate) async fn keep_up(&self) {
        let mut backoff = Backoff::new(RETRY_INTERVAL, MAX_RETRY_INTERVAL);
        loop {
            let last = self.last.lock().await;
            let pause = match self.ask_again(last).await {
                Ok(()) => {
                    backoff.reset();
                    RENEW_INTERVAL
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

    /// Requests the keys, and records that in `last`.
    async fn ask_again(&self, mut last: MutexGuard<'_, Option<Attempt>>) -> Result<(), String> {
        let asked = self.ask().await;
        *last = Some(Attempt { at: Instant::now(), succeeded: asked.is_ok() });
        asked
    }

    async fn ask(&self) -> Result<(), String> {
        let reply = ask_auth(&*self.bus, KEYS_QUEUE, Bytes::new(), self.deadline).await?;
        let keys = Arc::new(PublicKeys::decode(&reply)?);
        let mut known = self.keys.write();
        let earlier = std::mem::replace(&mut *known, Arc::clone(&keys));
        drop(known);
        if keys.lacks_one_of(&earlier) {
            // A key was removed, and the revocation may have been lost.
            self.answers.clear();
        }
        Ok(())
    }
}
