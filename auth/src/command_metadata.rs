//! The cause of a command, for the metadata of its events.

use events::{Actor, CorrelationId, Metadata, Traceparent, UserId};
use http_api::RequestContext;
use runtime::new_id;
use uuid::Uuid;

#[derive(Debug, Clone)]
pub(crate) struct CommandMetadata {
    actor: Actor,
    correlation_id: CorrelationId,
    causation_id: Uuid,
    traceparent: Option<Traceparent>,
}

impl CommandMetadata {
    /// A command of `actor` in a request.
    pub(crate) fn new(actor: Actor, context: &RequestContext) -> Self {
        Self {
            actor,
            correlation_id: context.request_id.clone(),
            causation_id: new_id(),
            traceparent: context.traceparent.clone(),
        }
    }

    /// A command of an operator in `operation`.
    pub(crate) fn operator(operation: CorrelationId) -> Self {
        Self::without_request(Actor::Operator, operation)
    }

    /// A command of Taskledger itself, later than the request that led to it.
    pub(crate) fn system() -> Self {
        Self::without_request(Actor::System, new_id().to_string().into())
    }

    /// A command of Taskledger itself that completes an interrupted `operation` of an operator.
    pub(crate) fn of_operation(operation: Uuid) -> Self {
        Self::without_request(Actor::System, operation.to_string().into())
    }

    fn without_request(actor: Actor, correlation_id: CorrelationId) -> Self {
        Self { actor, correlation_id, causation_id: new_id(), traceparent: None }
    }

    /// The operation of an operator, if it belongs to one.
    pub(crate) fn operation(&self) -> Option<&CorrelationId> {
        (self.actor == Actor::Operator).then_some(&self.correlation_id)
    }

    pub(crate) const fn actor(&self) -> Actor {
        self.actor
    }

    pub(crate) fn by(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// The same cause, with Taskledger itself as the actor.
    pub(crate) fn by_system(&self) -> Self {
        self.by(Actor::System)
    }

    /// The metadata of events about the person `subject`.
    pub(crate) fn about(&self, subject: UserId) -> Metadata {
        Metadata {
            subject,
            actor: self.actor,
            correlation_id: self.correlation_id.clone(),
            causation_id: self.causation_id,
            traceparent: self.traceparent.clone(),
            idempotency_key: None,
        }
    }
}
