//! States that were folded lately. A state from here is only a beginning: whoever takes one reads on in its stream, and
//! finds out on the way whether the stream still holds the event that the state ends with.

use std::{hash::Hash, sync::Arc};

use events::{Account, Admins, EventId, Session, UserId};
use moka::future::Cache;

use crate::{domain::Claim, entity::Entity};

/// Bytes that the states of one kind may take, about.
const BYTES_FOR_EACH_KIND: u64 = 4 * 1024 * 1024;

/// An entity as its stream says, up to some event.
#[derive(Debug, Clone)]
pub(crate) struct Loaded<E> {
    pub(crate) state: Option<E>,
    pub(crate) version: u64,
    /// In the log, of the stream's last event; 0 for an empty stream.
    pub(crate) position: u64,
    /// The stream's last event.
    pub(crate) last: Option<EventId>,
}

impl<E> Default for Loaded<E> {
    fn default() -> Self {
        Self {
            state: None,
            version: 0,
            position: 0,
            last: None,
        }
    }
}

/// The states of one kind of entity.
pub(crate) type States<E> = Cache<<E as Entity>::Id, Arc<Loaded<E>>>;

/// The states of every kind.
pub(crate) struct StateCaches {
    pub(crate) accounts: States<Account>,
    pub(crate) sessions: States<Session>,
    pub(crate) claims: States<Claim>,
    pub(crate) admins: States<Admins>,
}

impl StateCaches {
    pub(crate) fn new() -> Self {
        Self {
            accounts: states(),
            sessions: states(),
            claims: states(),
            admins: states(),
        }
    }
}

fn states<E: Entity>() -> States<E>
where
    E::Id: Hash + Eq,
{
    Cache::builder()
        .max_capacity(BYTES_FOR_EACH_KIND)
        .weigher(|_, loaded: &Arc<Loaded<E>>| loaded.state.as_ref().map_or(64, E::bytes))
        .build()
}

/// What an account takes in memory, about.
pub(crate) fn bytes_of_account(account: &Account) -> u32 {
    let texts = account.email.len()
        + account.password_hash.len()
        + account.display_name.as_deref().map_or(0, str::len)
        + account.open_sessions.len() * size_of::<UserId>()
        + account
            .program_tokens
            .iter()
            .map(|token| size_of_val(token) + token.name.len() + token.token_hash.len())
            .sum::<usize>();
    bytes(size_of::<Account>() + texts)
}

/// What a session takes in memory, about.
pub(crate) fn bytes_of_session(session: &Session) -> u32 {
    let texts = session.refresh_hash.len()
        + session.ip.as_deref().map_or(0, str::len)
        + session.user_agent.as_deref().map_or(0, str::len);
    bytes(size_of::<Session>() + texts)
}

/// `state` and what the cache itself needs for it.
pub(crate) fn bytes(state: usize) -> u32 {
    const ENTRY: usize = 256;
    u32::try_from(state + ENTRY).unwrap_or(u32::MAX)
}
