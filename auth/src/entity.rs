//! What auth keeps in streams: how each is named, written and folded.

use std::hash::Hash;

use events::{
    Account, AccountEvent, Admins, AdminsEvent, EmailEvent, Encoded, Event, Session, SessionEvent, SessionId,
    StreamName, Timestamp, UserId,
};

use crate::{
    domain::Claim,
    keys::EmailKey,
    state_cache::{StateCaches, States, bytes, bytes_of_account, bytes_of_session},
};

/// Something that a stream is about.
pub(crate) trait Entity: Sized + Clone + Send + Sync + 'static {
    type Id: Hash + Eq + Clone + Send + Sync + 'static;
    type Event: Send;
    /// Where states of this kind are remembered.
    fn states(caches: &StateCaches) -> &States<Self>;
    /// What a state takes in memory, about.
    fn bytes(&self) -> u32;
    fn stream(id: &Self::Id) -> StreamName;
    /// `None` for events of other kinds, which no stream of this kind holds.
    fn narrow(event: Event) -> Option<Self::Event>;
    fn encode(event: &Self::Event) -> Encoded;
    fn evolve(
        state: Option<Self>,
        id: &Self::Id,
        event: &Self::Event,
        version: u64,
        at: Timestamp,
    ) -> Option<Self>;
}

impl Entity for Account {
    type Id = UserId;
    type Event = AccountEvent;

    fn states(caches: &StateCaches) -> &States<Self> {
        &caches.accounts
    }

    fn bytes(&self) -> u32 {
        bytes_of_account(self)
    }

    fn stream(id: &UserId) -> StreamName {
        StreamName::account(*id)
    }

    fn narrow(event: Event) -> Option<AccountEvent> {
        if let Event::Account(event) = event {
            Some(event)
        } else {
            None
        }
    }

    fn encode(event: &AccountEvent) -> Encoded {
        event.encode()
    }

    fn evolve(
        state: Option<Self>,
        id: &UserId,
        event: &AccountEvent,
        version: u64,
        at: Timestamp,
    ) -> Option<Self> {
        Self::evolve(state, *id, event, version, at)
    }
}

impl Entity for Session {
    type Id = SessionId;
    type Event = SessionEvent;

    fn states(caches: &StateCaches) -> &States<Self> {
        &caches.sessions
    }

    fn bytes(&self) -> u32 {
        bytes_of_session(self)
    }

    fn stream(id: &SessionId) -> StreamName {
        StreamName::session(*id)
    }

    fn narrow(event: Event) -> Option<SessionEvent> {
        if let Event::Session(event) = event {
            Some(event)
        } else {
            None
        }
    }

    fn encode(event: &SessionEvent) -> Encoded {
        event.encode()
    }

    fn evolve(
        state: Option<Self>,
        id: &SessionId,
        event: &SessionEvent,
        version: u64,
        at: Timestamp,
    ) -> Option<Self> {
        Self::evolve(state, *id, event, version, at)
    }
}

impl Entity for Claim {
    type Id = EmailKey;
    type Event = EmailEvent;

    fn states(caches: &StateCaches) -> &States<Self> {
        &caches.claims
    }

    fn bytes(&self) -> u32 {
        bytes(size_of::<Self>())
    }

    fn stream(id: &EmailKey) -> StreamName {
        StreamName::email(&id.0)
    }

    fn narrow(event: Event) -> Option<EmailEvent> {
        if let Event::Email(event) = event {
            Some(event)
        } else {
            None
        }
    }

    fn encode(event: &EmailEvent) -> Encoded {
        event.encode()
    }

    fn evolve(_: Option<Self>, _: &EmailKey, event: &EmailEvent, _: u64, _: Timestamp) -> Option<Self> {
        Some(Self::evolve(event))
    }
}

impl Entity for Admins {
    type Id = ();
    type Event = AdminsEvent;

    fn states(caches: &StateCaches) -> &States<Self> {
        &caches.admins
    }

    fn bytes(&self) -> u32 {
        bytes(self.accounts.len() * size_of::<UserId>())
    }

    fn stream((): &()) -> StreamName {
        StreamName::admins()
    }

    fn narrow(event: Event) -> Option<AdminsEvent> {
        if let Event::Admins(event) = event {
            Some(event)
        } else {
            None
        }
    }

    fn encode(event: &AdminsEvent) -> Encoded {
        event.encode()
    }

    fn evolve(
        state: Option<Self>,
        (): &(),
        event: &AdminsEvent,
        _version: u64,
        _at: Timestamp,
    ) -> Option<Self> {
        Some(state.unwrap_or_default().evolve(event))
    }
}
