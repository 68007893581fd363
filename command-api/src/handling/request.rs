//! A command with all that surrounds it, and what became of it.

use events::{Actor, CorrelationId, Metadata, TaskId, Traceparent, UserId};
use tokio::time::Instant;
use uuid::Uuid;

use super::{IdempotencyKey, KeptTask, TaskState};
use crate::domain::{Command, Context, ExpectedVersion};

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
    pub origin: CommandMetadata,
    /// What other tries there may be, if it has a key.
    pub tries: Tries,
}

/// Who asks, and in which request.
#[derive(Debug, Clone)]
pub struct CommandMetadata {
    pub caller: UserId,
    /// Who acts for them, for the metadata of events.
    pub actor: Actor,
    /// The request id.
    pub correlation_id: CorrelationId,
    /// W3C Trace Context of the request, if it carried one.
    pub traceparent: Option<Traceparent>,
    /// The client's key, if it sent one.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// What other tries of a command with the same idempotency key there may be.
#[derive(Debug, Clone, Default)]
pub struct Tries {
    /// The task when the key was first seen: no try had an effect before. `None`: at the beginning of its stream.
    pub since: Option<KeptTask>,
    /// Until then no other try can have had an effect. `None`: one may have had by now.
    pub alone_until: Option<Instant>,
}

/// A command that was accepted.
#[derive(Debug, Clone)]
pub struct Executed {
    /// The task after the command.
    pub state: TaskState,
    /// Whether the command left events, now or in an earlier try.
    pub changed: bool,
}

impl CommandRequest {
    pub(super) fn context(&self) -> Context {
        Context {
            task: self.task,
            caller: self.origin.caller,
            expected: self.expected.clone(),
        }
    }

    /// Whether no other try can have had an effect.
    pub(super) fn is_alone(&self) -> bool {
        let is_before = |until| Instant::now() < until;
        self.origin.idempotency_key.is_none() || self.tries.alone_until.is_some_and(is_before)
    }

    /// The metadata that all events of the command share. A person's tasks are about that person.
    pub(super) fn metadata(&self, causation_id: Uuid) -> Metadata {
        Metadata {
            subject: self.origin.caller,
            actor: self.origin.actor,
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
