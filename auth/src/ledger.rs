//! Accounts, sessions, claims and admins in the event store: load, decide, append. The only place that retries after
//! a conflict.
//!
//! What a load costs does not depend on the length of the stream: it reads on from the state that was folded last
//! time, and nothing if the stream still ends with the event which that state ends with.

use std::sync::Arc;

use event_store::{EventStore, StoreError};
use events::{
    Actor, CodecError, CorrelationId, Encoded, Event, EventId, Metadata, NewEvent, RecordedEvent, StreamName,
    Timestamp, Traceparent, UserId,
};
use http_api::RequestContext;
use runtime::{Clock, new_id};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    domain::Refusal,
    entity::Entity,
    error::{CommandError, Failure},
    state_cache::StateCaches,
};

pub(crate) use crate::state_cache::Loaded;

/// How often a command is decided again because someone else appended first.
const ATTEMPTS: usize = 16;
/// Events that are read from a stream at once.
const PAGE: usize = 500;
/// How many streams of more than a page are folded at once.
const LONG_STREAMS_AT_ONCE: usize = 2;

/// What caused a command, for the metadata of its events.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    actor: Actor,
    correlation_id: CorrelationId,
    causation_id: Uuid,
    traceparent: Option<Traceparent>,
}

/// What a decision makes happen, and what it tells whoever asked.
pub(crate) type Decision<E, T> = Result<(Vec<<E as Entity>::Event>, T), Refusal>;

/// A command that went through.
#[derive(Debug)]
pub(crate) struct Done<E, T> {
    /// The entity now.
    pub(crate) state: Option<E>,
    /// In the log, of the stream's last event.
    pub(crate) position: u64,
    /// Whether anything was appended.
    pub(crate) changed: bool,
    /// What the decision told.
    pub(crate) told: T,
}

/// The event store as auth uses it.
pub(crate) struct Ledger {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    caches: StateCaches,
    long_streams: Semaphore,
}

impl Cause {
    pub(crate) fn new(actor: Actor, context: &RequestContext) -> Self {
        Self {
            actor,
            correlation_id: context.request_id.clone(),
            causation_id: new_id(),
            traceparent: context.traceparent.clone(),
        }
    }

    /// A command that no request caused.
    pub(crate) fn operator() -> Self {
        let id = new_id();
        Self {
            actor: Actor::Operator,
            correlation_id: id.to_string().into(),
            causation_id: id,
            traceparent: None,
        }
    }

    /// The same cause, for what `actor` does.
    pub(crate) fn by(&self, actor: Actor) -> Self {
        Self {
            actor,
            ..self.clone()
        }
    }

    /// The same cause, for what Taskledger does of its own accord.
    pub(crate) fn by_system(&self) -> Self {
        self.by(Actor::System)
    }
}

impl Ledger {
    pub(crate) fn new(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            caches: StateCaches::new(),
            long_streams: Semaphore::new(LONG_STREAMS_AT_ONCE),
        }
    }

    /// The entity as it is now.
    pub(crate) async fn load<E: Entity>(&self, id: &E::Id) -> Result<Loaded<E>, Failure> {
        let stream = E::stream(id);
        if let Some(loaded) = self.load_from_known(id, &stream).await? {
            return Ok(loaded);
        }
        let mut loaded = Loaded::default();
        let page = self.store.read_stream(&stream, 0, PAGE).await?;
        let is_long = page.len() == PAGE;
        fold(&mut loaded, id, page)?;
        if is_long {
            // Whoever waited here finds what the one before has folded.
            let _permit = self.long_streams.acquire().await;
            if let Some(loaded) = self.load_from_known(id, &stream).await? {
                return Ok(loaded);
            }
            self.read_on(&mut loaded, id, &stream).await?;
            self.remember(id, &loaded).await;
            return Ok(loaded);
        }
        self.remember(id, &loaded).await;
        Ok(loaded)
    }

    /// The entity as it is now, read on from the state that is remembered, if that one is of this log.
    async fn load_from_known<E: Entity>(
        &self,
        id: &E::Id,
        stream: &StreamName,
    ) -> Result<Option<Loaded<E>>, Failure> {
        let Some(known) = E::states(&self.caches).get(id).await else {
            return Ok(None);
        };
        match self.store.stream_head(stream).await? {
            Some(head) if head.version == known.version && Some(head.id) == known.last => {
                return Ok(Some(Loaded::clone(&known)));
            }
            _ => {}
        }
        let before = known.version.saturating_sub(1);
        let mut page = self.store.read_stream(stream, before, PAGE).await?.into_iter();
        if page.next().map(|recorded| recorded.id) != known.last {
            // The log was restored or replaced since.
            E::states(&self.caches).invalidate(id).await;
            return Ok(None);
        }
        let mut loaded = Loaded::clone(&known);
        if page.len() > 0 {
            let is_whole = page.len() < PAGE - 1;
            fold(&mut loaded, id, page)?;
            if !is_whole {
                self.read_on(&mut loaded, id, stream).await?;
            }
            self.remember(id, &loaded).await;
        }
        Ok(Some(loaded))
    }

    async fn read_on<E: Entity>(
        &self,
        loaded: &mut Loaded<E>,
        id: &E::Id,
        stream: &StreamName,
    ) -> Result<(), Failure> {
        loop {
            let page = self.store.read_stream(stream, loaded.version, PAGE).await?;
            let is_last = page.len() < PAGE;
            fold(loaded, id, page)?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Keeps a state for the next time, unless a later one was kept meanwhile.
    async fn remember<E: Entity>(&self, id: &E::Id, loaded: &Loaded<E>) {
        let states = E::states(&self.caches);
        let is_old = states
            .get(id)
            .await
            .is_some_and(|known| known.version > loaded.version);
        if loaded.last.is_some() && !is_old {
            states.insert(id.clone(), Arc::new(loaded.clone())).await;
        }
    }

    /// Loads the entity, decides, appends what was decided about `subject`; all over again when someone else
    /// appended in between.
    pub(crate) async fn execute<E: Entity, T>(
        &self,
        id: &E::Id,
        subject: UserId,
        cause: &Cause,
        mut decide: impl FnMut(Option<&E>, Timestamp) -> Decision<E, T>,
    ) -> Result<Done<E, T>, CommandError> {
        let stream = E::stream(id);
        for _ in 0..ATTEMPTS {
            let Loaded {
                state,
                version,
                position,
                ..
            } = self.load::<E>(id).await?;
            let now = self.clock.now();
            let (events, told) = decide(state.as_ref(), now)?;
            if events.is_empty() {
                return Ok(Done {
                    state,
                    position,
                    changed: false,
                    told,
                });
            }
            let records: Vec<_> = events
                .iter()
                .map(|event| record(E::encode(event), subject, cause, now))
                .collect();
            let ids: Vec<_> = records.iter().map(|record| record.id).collect();
            let position = match self.store.append(&stream, version, records).await {
                Ok(appended) => appended.position,
                Err(StoreError::Conflict { .. }) => continue,
                Err(StoreError::Unavailable(source)) => match self.find(&stream, version, &ids).await {
                    Some(position) => position,
                    None => return Err(Failure::Store(StoreError::Unavailable(source)).into()),
                },
                Err(error) => return Err(Failure::Store(error).into()),
            };
            let mut after = Loaded {
                state,
                version,
                position,
                last: ids.last().copied(),
            };
            for event in &events {
                after.version += 1;
                after.state = E::evolve(after.state, id, event, after.version, now);
            }
            self.remember(id, &after).await;
            return Ok(Done {
                state: after.state,
                position,
                changed: true,
                told,
            });
        }
        Err(Failure::Contention {
            stream: stream.to_string(),
            attempts: ATTEMPTS,
        }
        .into())
    }

    /// The position of an append whose answer got lost, if it went through. Else a refresh token would be used
    /// up without its owner ever seeing the next one.
    async fn find(&self, stream: &StreamName, after: u64, ids: &[EventId]) -> Option<u64> {
        let recorded = self.store.read_stream(stream, after, ids.len()).await.ok()?;
        let is_ours = recorded
            .iter()
            .map(|recorded| recorded.id)
            .eq(ids.iter().copied());
        recorded.last().filter(|_| is_ours).map(|last| last.position)
    }
}

fn fold<E: Entity>(
    loaded: &mut Loaded<E>,
    id: &E::Id,
    page: impl IntoIterator<Item = RecordedEvent>,
) -> Result<(), Failure> {
    for recorded in page {
        let event = Event::try_from(&recorded)?;
        let event = E::narrow(event).ok_or_else(|| CodecError::UnknownType(recorded.kind.clone()))?;
        loaded.state = E::evolve(
            loaded.state.take(),
            id,
            &event,
            recorded.version,
            recorded.recorded_at,
        );
        loaded.version = recorded.version;
        loaded.position = recorded.position;
        loaded.last = Some(recorded.id);
    }
    Ok(())
}

fn record(encoded: Encoded, subject: UserId, cause: &Cause, now: Timestamp) -> NewEvent {
    NewEvent {
        id: EventId(new_id()),
        kind: encoded.kind.to_owned(),
        schema_version: encoded.schema_version,
        encoding: encoded.encoding,
        data: encoded.data,
        metadata: Metadata {
            subject,
            actor: cause.actor,
            correlation_id: cause.correlation_id.clone(),
            causation_id: cause.causation_id,
            traceparent: cause.traceparent.clone(),
            idempotency_key: None,
        },
        recorded_at: now,
    }
}
