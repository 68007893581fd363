//! The aggregates of auth: accounts, sessions, claims on addresses, and the admins.

use std::sync::Arc;

use aggregate::{Aggregate, Repository};
use event_store::EventStore;
use events::{Account, Admins, EmailEvent, Session, SessionId, StreamName, Timestamp, UserId};
use runtime::Clock;

use crate::{domain::Claim, keys::EmailKey};

/// The approximate memory for the cached aggregates of one kind, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// An aggregate with a known size in memory.
pub(crate) trait InMemory {
    /// The approximate size in bytes.
    fn bytes(&self) -> usize;
}

pub(crate) fn repository<A: Aggregate + InMemory>(
    store: &Arc<dyn EventStore>,
    clock: &Arc<dyn Clock>,
) -> Repository<A> {
    Repository::new(Arc::clone(store), Arc::clone(clock), MAX_BYTES, A::bytes)
}

impl Aggregate for Claim {
    type Id = EmailKey;
    type Event = EmailEvent;

    fn stream(id: &EmailKey) -> StreamName {
        StreamName::email(&id.0)
    }

    fn evolve(_: Option<Self>, _: &EmailKey, event: &EmailEvent, _: u64, _: Timestamp) -> Option<Self> {
        Some(Self { holder: event.holder() })
    }
}

impl InMemory for Claim {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl InMemory for Admins {
    fn bytes(&self) -> usize {
        let known = self.since_unreadable.as_ref();
        let accounts = self.accounts.len() + known.map_or(0, |known| known.accounts.len());
        accounts * size_of::<UserId>()
    }
}

impl InMemory for Account {
    fn bytes(&self) -> usize {
        let texts =
            self.email.len() + self.password_hash.len() + self.display_name.as_deref().map_or(0, str::len);
        let tokens: usize = self
            .program_tokens
            .iter()
            .map(|token| size_of_val(token) + token.name.len() + token.token_hash.len())
            .sum();
        let factor = self.second_factor.as_ref().map_or(0, |factor| {
            let hashes = factor.recovery_hashes.iter().flatten();
            factor.totp_secret.len() + hashes.map(|hash| size_of_val(hash) + hash.len()).sum::<usize>()
        });
        size_of::<Self>() + texts + tokens + factor + self.open_sessions.len() * size_of::<SessionId>()
    }
}

impl InMemory for Session {
    fn bytes(&self) -> usize {
        let tokens = self.refresh_tokens.iter().map(|token| {
            let predecessor = token.predecessor.as_ref();
            let client = predecessor.and_then(|before| before.client.as_deref());
            size_of_val(token)
                + token.hash.len()
                + predecessor.map_or(0, |before| before.hash.len())
                + client.map_or(0, str::len)
        });
        let texts = tokens.sum::<usize>()
            + self.ip.as_deref().map_or(0, str::len)
            + self.user_agent.as_deref().map_or(0, str::len);
        size_of::<Self>() + texts
    }
}
