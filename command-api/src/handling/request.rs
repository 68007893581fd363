//! A command with its context, and its result.

use events::{Actor, CorrelationId, Metadata, TaskId, Traceparent, UserId};
use tokio::time::Instant;
use uuid::Uuid;

use super::{IdempotencyKey, KeptTask, TaskState};
use crate::domain::{Command, Context, ExpectedVersion};

#[derive(Debug, Clone)]
pub struct CommandRequest {
    /// The task that it is about.
    pub task: TaskId,
    pub command: Command,
    pub expected: ExpectedVersion,
    /// The caller and the request.
    pub origin: CommandMetadata,
    /// Information about other tries, if it has a key.
    pub tries: Tries,
}

/// The caller and the request.
#[derive(Debug, Clone)]
pub struct CommandMetadata {
    pub caller: UserId,
    pub actor: Actor,
    /// The request id.
    pub correlation_id: CorrelationId,
    /// W3C Trace Context of the request, if it carried one.
    pub traceparent: Option<Traceparent>,
    pub idempotency_key: Option<IdempotencyKey>,
}

/// What is known about other tries of a command with the same idempotency key.
#[derive(Debug, Clone, Default)]
pub struct Tries {
    /// The task when the key was first seen, before any try had an effect. `None` means the beginning of its stream.
    pub since: Option<KeptTask>,
    /// Until then no other try can have had an effect. `None` means that one may have had by now.
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
        Context { task: self.task, caller: self.origin.caller, expected: self.expected.clone() }
    }

    /// Whether no other try can have had an effect.
    pub(super) fn is_alone(&self) -> bool {
        let is_before = |until| Instant::now() < until;
        self.origin.idempotency_key.is_none() || self.tries.alone_until.is_some_and(is_before)
    }

    /// The metadata of all events of the command. The subject is the owner of the task.
    pub(super) fn metadata(&self, causation_id: Uuid) -> Metadata {
        Metadata {
            subject: self.origin.caller,
            actor: self.origin.actor,
            correlation_id: self.origin.correlation_id.clone(),
            causation_id,
            traceparent: self.origin.traceparent.clone(),
            idempotency_key: self.origin.idempotency_key.as_ref().map(|key| key.as_str().into()),
        }
    }
}
