//! What every bus does: events out and in, requests with replies, broadcasts.
//!
//! Messages on the bus are only hints. The store has all events, so lost, repeated and reordered messages do no harm.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use events::{PartitionCount, RecordedEvent};
use tokio_util::sync::CancellationToken;

use crate::BusCounts;

/// An event on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMessage {
    /// The event as the log holds it.
    pub event: RecordedEvent,
    /// The number of partitions that the publisher divides the log into. Consumers with another number ignore the
    /// message, because its `previous` counts other events.
    pub partitions: PartitionCount,
    /// The partition of its subject.
    pub partition: u16,
    /// The position of the event before it in this partition, 0 for the first.
    pub previous: u64,
}

/// The most messages that a consumer may hold without acknowledging them. RabbitMQ limits messages, not bytes, and
/// sends this many to a consumer that has stopped reading. The largest events have about 56 KiB, so together they
/// take less than 4 MiB.
pub const MAX_UNACKNOWLEDGED: u16 = 64;

/// The most messages that wait in the queue of a partition. Beyond this, or beyond a number of bytes that depends on
/// the implementation, the oldest are dropped. Consumers notice the gap and read the missing events from the store.
pub const MAX_WAITING: u32 = 100_000;

/// What a listener to broadcasts receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A message.
    Message(Bytes),
    /// The topic has gone from the broker: messages are missed until a [`Heard::Gap`].
    Interrupted,
    /// The listener listens again: messages may have been missed.
    Gap,
}

/// Answers requests. It must answer every request; several run at once. When the caller's deadline passes first, the
/// future is dropped.
#[async_trait]
pub trait Responder: Send + Sync + 'static {
    /// The reply to one request.
    async fn respond(&self, request: Bytes) -> Bytes;
}

/// How requests to one queue are served.
#[derive(Debug, Clone, Copy)]
pub struct ResponderOptions {
    /// The most requests that wait in the queue; further ones are refused at once. The same in every process that
    /// serves the queue, and at least 1.
    pub queue_limit: u32,
    /// The most requests that this process works on at once, at least 1.
    pub concurrency: u16,
}

/// One partition's events, in the order in which the bus delivers them.
#[async_trait]
pub trait EventConsumer: Send {
    /// Waits for at least one message, then returns up to `max` of those that have arrived. It reconnects by itself.
    /// Dropping the future cancels it and loses no message. While [`MAX_UNACKNOWLEDGED`] messages are unacknowledged
    /// it waits.
    async fn next(&mut self, max: usize) -> Vec<EventMessage>;

    /// Acknowledges everything that [`Self::next`] has returned so far. A failure does no harm: the messages are
    /// delivered again.
    async fn acknowledge(&mut self);
}

/// A stream of broadcasts.
#[async_trait]
pub trait Listener: Send {
    /// Waits for the next message or gap. Reconnects by itself.
    async fn next(&mut self) -> Heard;
}

/// The bus. Every implementation passes the same conformance suite (`tests/conformance/`).
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes `messages` in order and returns when the bus has taken responsibility for all of them. Messages of a
    /// partition that was never consumed are dropped. Does not wait for a connection. Concurrent publications are
    /// sent in the order in which they were first polled, independently for each partition.
    ///
    /// # Errors
    /// [`BusError::Refused`] when it will never accept some of the messages, and has accepted all others. After any
    /// other error the messages may be published again, which does no harm.
    async fn publish(&self, messages: &[EventMessage]) -> Result<(), BusError>;

    /// Consumes one partition. Of several consumers of the same partition, in any number of processes, one is
    /// active at a time.
    ///
    /// # Errors
    /// When the first connection cannot be made.
    async fn consume(
        &self,
        partitions: PartitionCount,
        partition: u16,
    ) -> Result<Box<dyn EventConsumer>, BusError>;

    /// Sends a request to `queue` and waits at most `deadline` for the reply to it. A request that no server has
    /// taken by then expires.
    ///
    /// # Errors
    /// [`BusError::Deadline`] without a reply in time, [`BusError::Unavailable`] at once without a connection or
    /// when nobody serves the queue, [`BusError::Overloaded`] at once when too many requests wait already.
    async fn request(&self, queue: &str, request: Bytes, deadline: Duration) -> Result<Bytes, BusError>;

    /// Serves requests to `queue` until `stop` is cancelled, then finishes those that have begun. Reconnects by
    /// itself.
    ///
    /// # Errors
    /// When the first connection cannot be made.
    async fn serve(
        &self,
        queue: &str,
        options: ResponderOptions,
        responder: Arc<dyn Responder>,
        stop: CancellationToken,
    ) -> Result<(), BusError>;

    /// Sends `message` to everyone who listens to `topic` now.
    ///
    /// # Errors
    /// When the bus did not take it.
    async fn broadcast(&self, topic: &str, message: Bytes) -> Result<(), BusError>;

    /// Listens to `topic` from now on.
    ///
    /// # Errors
    /// When the first connection cannot be made, or when nobody who may declare the topic has done so yet.
    async fn listen(&self, topic: &str) -> Result<Box<dyn Listener>, BusError>;

    /// Whether there is a connection and the broker accepts messages. For readiness.
    fn is_connected(&self) -> bool;

    /// The counts of failures and repairs so far.
    fn counts(&self) -> BusCounts {
        BusCounts::default()
    }

    /// Closes all connections. The bus cannot be used afterwards.
    async fn close(&self) {}
}

/// A message that the bus will never accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The position of its event.
    pub position: u64,
    /// The reason.
    pub reason: String,
}

/// Why a call to the bus failed.
#[derive(Debug, Clone, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum BusError {
    #[error("no reply within {0:?}")]
    Deadline(Duration),
    /// More requests wait than this process or the queue allows.
    #[error("too many requests wait for a reply")]
    Overloaded,
    /// The bus will never accept these messages. It has accepted all others of the same publication.
    #[error("{} messages were refused, the first at position {}: {}", .0.len(), first(.0).0, first(.0).1)]
    Refused(Vec<Refusal>),
    #[error("the message bus is unavailable: {0}")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

fn first(refusals: &[Refusal]) -> (u64, &str) {
    refusals.first().map_or((0, "none"), |refusal| (refusal.position, &refusal.reason))
}

impl BusError {
    /// Wraps a client library's own error.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(Arc::from(source.into()))
    }
}
