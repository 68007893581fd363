//! Appends events to the log as the roles do, and as they never would.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use event_store::EventStore;
use events::{
    AccountEvent, AccountRegistered, Actor, Encoded, Encoding, EventId, Metadata, NewEvent, Priority,
    SessionEvent, SessionId, SessionStarted, StreamName, TaskCreated, TaskEvent, TaskId, TaskRenamed,
    Timestamp, UserId,
};
use uuid::Uuid;

pub(crate) const START: i64 = 1_800_000_000_000_000;

pub(crate) struct Writer {
    store: Arc<dyn EventStore>,
    versions: HashMap<StreamName, u64>,
    appended: i64,
}

pub(crate) fn task(id: u128) -> TaskId {
    TaskId(Uuid::from_u128(0x7a << 64 | id))
}

pub(crate) fn user(id: u128) -> UserId {
    UserId(Uuid::from_u128(0x05 << 64 | id))
}

pub(crate) fn session(id: u128) -> SessionId {
    SessionId(Uuid::from_u128(0x5e << 64 | id))
}

pub(crate) fn created(owner: UserId, title: &str) -> TaskEvent {
    TaskCreated {
        owner,
        title: title.to_owned(),
        description: None,
        priority: Priority::Normal,
        due: None,
        tags: Vec::new(),
    }
    .into()
}

pub(crate) fn renamed(title: impl Into<String>) -> TaskEvent {
    let title = title.into();
    TaskRenamed { title }.into()
}

pub(crate) fn registered(email: &str) -> AccountEvent {
    AccountRegistered {
        email: email.to_owned(),
        display_name: None,
        password_hash: "$argon2id$secret".into(),
    }
    .into()
}

pub(crate) fn started(account: UserId) -> SessionEvent {
    SessionStarted {
        account,
        refresh_hash: "secret".into(),
        expires_at: Timestamp::from_micros(START).plus_seconds(604_800),
        ip: Some("192.0.2.1".to_owned()),
        user_agent: None,
        methods: [events::AuthenticationMethod::Pwd].into(),
        idle_seconds: None,
    }
    .into()
}

impl Writer {
    pub(crate) fn new(store: &Arc<dyn EventStore>) -> Self {
        Self { store: store.clone(), versions: HashMap::new(), appended: 0 }
    }

    /// Appends one event and returns its position.
    pub(crate) async fn append(&mut self, stream: &StreamName, subject: UserId, event: Encoded) -> u64 {
        self.append_raw(stream, subject, event.kind, event.data).await
    }

    /// Appends many events at once.
    pub(crate) async fn append_all(&mut self, stream: &StreamName, subject: UserId, events: Vec<Encoded>) {
        let events =
            events.into_iter().map(|event| self.new_event(subject, event.kind, event.data)).collect();
        self.append_events(stream, events).await;
    }

    pub(crate) async fn task(&mut self, id: u128, owner: UserId, event: impl Into<TaskEvent>) -> u64 {
        self.append(&StreamName::task(task(id)), owner, event.into().encode()).await
    }

    pub(crate) async fn account(&mut self, id: UserId, event: impl Into<AccountEvent>) -> u64 {
        self.append(&StreamName::account(id), id, event.into().encode()).await
    }

    pub(crate) async fn session(&mut self, id: u128, account: UserId, event: impl Into<SessionEvent>) -> u64 {
        self.append(&StreamName::session(session(id)), account, event.into().encode()).await
    }

    pub(crate) async fn append_raw(
        &mut self,
        stream: &StreamName,
        subject: UserId,
        kind: &str,
        data: Bytes,
    ) -> u64 {
        let event = self.new_event(subject, kind, data);
        self.append_events(stream, vec![event]).await
    }

    async fn append_events(&mut self, stream: &StreamName, events: Vec<NewEvent>) -> u64 {
        let version = self.versions.entry(stream.clone()).or_default();
        let appended = self.store.append(stream, *version, events).await.unwrap();
        *version = appended.version;
        appended.position
    }

    fn new_event(&mut self, subject: UserId, kind: &str, data: Bytes) -> NewEvent {
        self.appended += 1;
        NewEvent {
            id: EventId(Uuid::now_v7()),
            kind: kind.to_owned(),
            schema_version: 1,
            encoding: Encoding::Json,
            data,
            metadata: Metadata::new(
                subject,
                Actor::User(subject),
                format!("request-{}", self.appended),
                Uuid::now_v7(),
            ),
            recorded_at: Timestamp::from_micros(START + self.appended),
        }
    }
}
