//! Accounts, sessions and claims in the event store: load, decide, append. The only place that retries after
//! a conflict.

use std::sync::Arc;

use event_store::{EventStore, StoreError, read_whole_stream};
use events::{
    Actor, CodecError, CorrelationId, Encoded, Event, EventId, Metadata, NewEvent, StreamName, Timestamp,
    Traceparent, UserId,
};
use service::{Clock, RequestContext, new_id};
use uuid::Uuid;

use crate::{
    domain::Refusal,
    entity::Entity,
    error::{CommandError, Failure},
};

/// How often a command is decided anew because someone else appended first.
const ATTEMPTS: usize = 8;

/// What caused a command, for the metadata of its events.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    actor: Actor,
    correlation_id: CorrelationId,
    causation_id: Uuid,
    traceparent: Option<Traceparent>,
}

/// An entity as the store has it.
#[derive(Debug)]
pub(crate) struct Loaded<E> {
    pub(crate) state: Option<E>,
    pub(crate) version: u64,
    /// In the log, of the stream's last event; 0 for an empty stream.
    pub(crate) position: u64,
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
        Self { store, clock }
    }

    pub(crate) fn store(&self) -> &dyn EventStore {
        &*self.store
    }

    /// The entity as it is now.
    pub(crate) async fn load<E: Entity>(&self, id: &E::Id) -> Result<Loaded<E>, Failure> {
        let mut loaded = Loaded {
            state: None,
            version: 0,
            position: 0,
        };
        for recorded in read_whole_stream(&*self.store, &E::stream(id)).await? {
            let event = Event::try_from(&recorded)?;
            let event = E::narrow(event).ok_or_else(|| CodecError::UnknownType(recorded.kind.clone()))?;
            loaded.state = E::evolve(loaded.state, id, &event, recorded.version, recorded.recorded_at);
            loaded.version = recorded.version;
            loaded.position = recorded.position;
        }
        Ok(loaded)
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
                mut state,
                version,
                position,
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
            for (version, event) in (version + 1..).zip(&events) {
                state = E::evolve(state, id, event, version, now);
            }
            return Ok(Done {
                state,
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
