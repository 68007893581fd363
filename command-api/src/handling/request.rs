//! A command with all that surrounds it, and what became of it.

use std::sync::Arc;

use events::{
    Actor, ConsistencyToken, CorrelationId, Metadata, Task, TaskId, Timestamp, Traceparent, UserId,
};
use uuid::Uuid;

use crate::{
    domain::{Command, Context, ExpectedVersion},
    idempotency::IdempotencyKey,
};

/// A command, and who wants it why.
#[derive(Debug, Clone)]
pub struct CommandRequest {
    /// Which task it is about.
    pub task: TaskId,
    /// What is wanted.
    pub command: Command,
    /// Which versions the caller is willing to change.
    pub expected: ExpectedVersion,
    /// Who asks, and in which request.
    pub origin: Origin,
    /// Whether the command may have taken effect before.
    pub earlier: Earlier,
}

/// Who asks, and in which request.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who asks.
    pub caller: UserId,
    /// The request id.
    pub correlation_id: CorrelationId,
    /// W3C Trace Context of the request, if it carried one.
    pub traceparent: Option<Traceparent>,
    /// The client's key, if it sent one.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// Whether a command may have taken effect before, in another try with the same idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// There is no other try.
    No,
    /// This is the first try. From this instant on others may overtake it.
    NotUntil(Timestamp),
    /// It may have, at this instant or later.
    Since(Timestamp),
}

/// A command that was accepted.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The task after the command.
    pub task: Arc<Task>,
    /// The position of the task's last event then.
    pub position: u64,
    /// Whether the command left events, now or in an earlier try.
    pub effect: bool,
}

impl Outcome {
    /// What a reader must wait for to see it.
    #[must_use]
    pub fn token(&self) -> ConsistencyToken {
        ConsistencyToken::new(self.task.owner, self.position)
    }
}

impl CommandRequest {
    pub(super) fn context(&self) -> Context {
        Context {
            task: self.task,
            caller: self.origin.caller,
            expected: self.expected.clone(),
        }
    }

    /// The metadata that all events of the command share. A person's tasks are about that person.
    pub(super) fn metadata(&self, causation_id: Uuid) -> Metadata {
        Metadata {
            subject: self.origin.caller,
            actor: Actor::User(self.origin.caller),
            correlation_id: self.origin.correlation_id.clone(),
            causation_id,
            traceparent: self.origin.traceparent.clone(),
            idempotency_key: self
                .origin
                .idempotency_key
                .as_ref()
                .map(|key| key.as_str().into()),
        }
    }
}
