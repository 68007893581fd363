//! What every bus does: events out and in, requests with replies, broadcasts.
//!
//! The bus carries hints. Whatever it loses, repeats or reorders, the store still knows.

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
    /// Into how many partitions its publisher divides the log. A consumer that divides it otherwise never sees
    /// the message: its `previous` would be about another set of events.
    pub partitions: PartitionCount,
    /// The partition of its subject.
    pub partition: u16,
    /// The position of the event before it in this partition, 0 for the first.
    pub previous: u64,
}

/// How many messages a consumer may hold without acknowledging them. RabbitMQ counts messages and not bytes, and delivers so many
/// to a consumer that stands still: of the largest events, which have some 56 KiB, they have less than 4 MiB together.
pub const MAX_UNACKNOWLEDGED: u16 = 64;

/// How many messages wait in a partition's queue; beyond that, or beyond so many bytes as the implementation keeps, the
/// oldest are dropped, which consumers see as a gap and repair from the store.
pub const MAX_WAITING: u32 = 100_000;

/// What a listener to a broadcast hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A message has come.
    Message(Bytes),
    /// The connection was lost for a while: messages may have been missed.
    Gap,
}

/// Answers requests. Must answer every one; several run at once. An answer that is not there by the caller's deadline
/// is given up: its future is dropped.
#[async_trait]
pub trait Responder: Send + Sync + 'static {
    /// The reply to one request.
    async fn respond(&self, request: Bytes) -> Bytes;
}

/// How requests to one queue are served.
#[derive(Debug, Clone, Copy)]
pub struct ResponderOptions {
    /// Requests that may wait in the queue; a caller beyond that is refused at once. The same in every process
    /// that serves the queue, and at least 1.
    pub queue_limit: u32,
    /// Requests worked on at once by this process, at least 1.
    pub concurrency: u16,
}

/// One partition's events, in the order in which the bus delivers them.
#[async_trait]
pub trait EventConsumer: Send {
    /// Waits for at least one message, then returns what is there, up to `max`. Reconnects as needed, so it
    /// only returns once there is something; cancel it by dropping the future, which loses nothing. With
    /// [`MAX_UNACKNOWLEDGED`] messages not acknowledged it waits until some are.
    async fn next(&mut self, max: usize) -> Vec<EventMessage>;

    /// Acknowledges everything that [`Self::next`] has returned so far. Failing to is harmless: it comes again.
    async fn acknowledge(&mut self);
}

/// A stream of broadcasts.
#[async_trait]
pub trait Listener: Send {
    /// The next thing heard. Reconnects as needed.
    async fn next(&mut self) -> Heard;
}

/// The bus. Every implementation passes the same conformance suite (`tests/conformance/`).
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes `messages` in order and returns when the bus has taken responsibility for all of them. Messages
    /// of a partition that was never consumed are dropped. Does not wait for a connection. Publications that are under
    /// way at once are sent in the order in which they were first polled, each partition apart from the others.
    ///
    /// # Errors
    /// [`BusError::Refused`] when it has taken all but some, and will not take those; anything else when it may not
    /// have taken them now: publishing all of them again is harmless.
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

    /// Sends a request to `queue` and waits for its own reply, never another's, at most `deadline`. A request
    /// that nobody took by then expires.
    ///
    /// # Errors
    /// [`BusError::Deadline`] without a reply in time, [`BusError::Unavailable`] at once without a connection or
    /// when nobody serves the queue, [`BusError::Overloaded`] at once when too many requests wait already.
    async fn request(&self, queue: &str, request: Bytes, deadline: Duration) -> Result<Bytes, BusError>;

    /// Serves requests to `queue` until `stop` is cancelled, then finishes those begun. Reconnects as needed.
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
    /// When the first connection cannot be made.
    async fn listen(&self, topic: &str) -> Result<Box<dyn Listener>, BusError>;

    /// Whether the bus can be used now: there is a connection, and it takes messages. For readiness.
    fn is_connected(&self) -> bool;

    /// What has gone wrong and been mended so far.
    fn counts(&self) -> BusCounts {
        BusCounts::default()
    }

    /// Ends all connections in order. Nothing works afterwards.
    async fn close(&self) {}
}

/// A message that the bus refuses for itself, whatever becomes of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The position of its event.
    pub position: u64,
    /// Why it could not be read.
    pub reason: String,
}

/// Why the bus did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BusError {
    /// No reply in time.
    #[error("no reply within {0:?}")]
    Deadline(Duration),
    /// More requests wait than this process or the queue allows.
    #[error("too many requests wait for a reply")]
    Overloaded,
    /// These messages were refused for themselves; all others of the same publication were taken.
    #[error("{} messages were refused, the first at position {}: {}", .0.len(), first(.0).0, first(.0).1)]
    Refused(Vec<Refusal>),
    /// No connection, or it broke.
    #[error("the message bus is unavailable: {0}")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

fn first(refusals: &[Refusal]) -> (u64, &str) {
    refusals
        .first()
        .map_or((0, "none"), |refusal| (refusal.position, &refusal.reason))
}

impl BusError {
    /// Wraps a client library's own error.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(Arc::from(source.into()))
    }
}
