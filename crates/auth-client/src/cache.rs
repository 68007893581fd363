//! Caches accepted tokens for a short time, and the revocations that invalidate them.
//!
//! Every revocation gets a number. An answer carries the number that was current when its check was sent: if its
//! session or account was revoked under a later number, the answer may be older than the revocation and is ignored.
//! So the order in which they arrive does not matter.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use events::{SessionId, Timestamp, UserId};
use tokio::time::Instant;

use crate::{messages::Identity, messages::Revocation, token::TokenHash};

/// The number of the last revocation received at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(u64);

#[derive(Debug)]
struct Entry {
    identity: Arc<Identity>,
    asked: Epoch,
    sent: Timestamp,
    until: Timestamp,
    /// When it was cached, by a clock that nobody sets.
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Revoked {
    epoch: Epoch,
    at: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Cache {
    entries: DashMap<TokenHash, Entry>,
    sessions: DashMap<SessionId, Revoked>,
    accounts: DashMap<UserId, Revoked>,
    /// The last number given to a revocation.
    epoch: AtomicU64,
    /// Answers to checks that were sent before this number are invalid, whatever token they are about.
    cleared: AtomicU64,
    /// Whether this process hears of revocations. Nothing is cached otherwise.
    listening: AtomicBool,
    capacity: usize,
    ttl: Duration,
    /// How long a revocation is remembered. After that no answer to an older check can arrive or be cached.
    memory_seconds: i64,
}

impl Cache {
    pub(crate) fn new(capacity: usize, ttl: Duration, deadline: Duration) -> Self {
        Self {
            entries: DashMap::new(),
            sessions: DashMap::new(),
            accounts: DashMap::new(),
            epoch: AtomicU64::new(0),
            cleared: AtomicU64::new(0),
            listening: AtomicBool::new(false),
            capacity: capacity.max(1),
            ttl,
            memory_seconds: seconds(ttl).saturating_add(seconds(deadline)).saturating_add(2),
        }
    }

    /// The current number, to be read before a check is sent.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }

    /// The cached answer for a token, if it is still valid.
    pub(crate) fn get(&self, token: TokenHash, now: Timestamp) -> Option<Arc<Identity>> {
        let entry = self.entries.get(&token)?;
        // A clock that was set back must not extend its lifetime.
        let fresh = entry.sent <= now && now < entry.until && entry.since.elapsed() < self.ttl;
        if fresh && self.is_current(&entry.identity, entry.asked) {
            return Some(Arc::clone(&entry.identity));
        }
        drop(entry);
        self.entries.remove(&token);
        None
    }

    /// Whether no revocation since `asked` contradicts `identity`.
    pub(crate) fn is_current(&self, identity: &Identity, asked: Epoch) -> bool {
        asked.0 >= self.cleared.load(Ordering::SeqCst)
            && identity
                .credential
                .session()
                .and_then(|session| self.sessions.get(&session))
                .is_none_or(|revoked| revoked.epoch <= asked)
            && self.accounts.get(&identity.user_id).is_none_or(|revoked| revoked.epoch <= asked)
    }

    /// Begins to cache answers: from now on this process hears of revocations, and may have missed earlier ones.
    pub(crate) fn listens(&self) {
        self.clear();
        self.listening.store(true, Ordering::SeqCst);
    }

    /// Clears the cache and caches no answer until this process hears of revocations again.
    pub(crate) fn stops_listening(&self) {
        self.listening.store(false, Ordering::SeqCst);
        self.clear();
    }

    /// Caches the answer to a check that was sent in the epoch `asked`, at the instant `sent`.
    pub(crate) fn put(&self, token: TokenHash, identity: Arc<Identity>, asked: Epoch, sent: Timestamp) {
        let until = identity.expires_at.min(sent.plus_seconds(seconds(self.ttl)));
        let listening = self.listening.load(Ordering::SeqCst);
        if !listening || until <= sent || !self.is_current(&identity, asked) {
            return;
        }
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&token) {
            self.make_room(sent);
        }
        self.entries.insert(token, Entry { identity, asked, sent, until, since: Instant::now() });
    }

    /// Applies a revocation.
    pub(crate) fn revoke(&self, revocation: Revocation, now: Timestamp) {
        if revocation == Revocation::Keys {
            // The cache does not know which answers are about tokens of that key.
            return self.clear();
        }
        if self.sessions.len() + self.accounts.len() >= self.capacity {
            self.forget_old_revocations(now);
            if self.sessions.len() + self.accounts.len() >= self.capacity {
                self.clear();
                return;
            }
        }
        let revoked = Revoked { epoch: Epoch(self.epoch.fetch_add(1, Ordering::SeqCst) + 1), at: now };
        match revocation {
            Revocation::Session(session) => drop(self.sessions.insert(session, revoked)),
            Revocation::Account(account) => drop(self.accounts.insert(account, revoked)),
            Revocation::Keys => {}
        }
    }

    /// Clears the cache, including answers that have not arrived yet: revocations may have been missed.
    pub(crate) fn clear(&self) {
        let epoch = self.epoch.fetch_add(1, Ordering::SeqCst) + 1;
        self.cleared.fetch_max(epoch, Ordering::SeqCst);
        self.entries.clear();
        self.sessions.clear();
        self.accounts.clear();
    }

    /// Removes expired entries. To be called regularly.
    pub(crate) fn tidy(&self, now: Timestamp) {
        self.entries.retain(|_, entry| now < entry.until && self.is_current(&entry.identity, entry.asked));
        self.forget_old_revocations(now);
    }

    /// The number of answers kept.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn forget_old_revocations(&self, now: Timestamp) {
        let oldest = now.plus_seconds(-self.memory_seconds);
        self.sessions.retain(|_, revoked| revoked.at >= oldest);
        self.accounts.retain(|_, revoked| revoked.at >= oldest);
    }

    /// Removes expired answers; if that is not enough, also an arbitrary tenth of the rest.
    fn make_room(&self, now: Timestamp) {
        self.tidy(now);
        let mut surplus = (self.entries.len() + self.capacity / 10 + 1).saturating_sub(self.capacity);
        if self.entries.len() >= self.capacity {
            self.entries.retain(|_, _| {
                let keep = surplus == 0;
                surplus = surplus.saturating_sub(1);
                keep
            });
        }
    }
}

/// Whole seconds, rounded down.
fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
