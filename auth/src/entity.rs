//! What auth keeps in streams: how each is named, written and folded.

use events::{
    Account, AccountEvent, EmailEvent, Encoded, Event, Session, SessionEvent, SessionId, StreamName,
    Timestamp, UserId,
};

use crate::{domain::Claim, keys::EmailKey};

/// Something that a stream is about.
pub(crate) trait Entity: Sized + Send {
    type Id: Send + Sync;
    type Event: Send;
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
