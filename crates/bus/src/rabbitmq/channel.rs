//! A channel that knows when its connection is lost, and that numbers what it publishes as the broker does.
//!
//! The client library does neither: an operation can hang for ever when the connection breaks, and two threads that
//! publish at once may get each other's confirm. So all waiting and publishing goes through a [`BrokerChannel`].

use std::{sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::{self, BoxFuture},
};
use lapin::{
    Acker, BasicProperties, Channel, Consumer, ErrorKind, PublisherConfirm,
    message::Delivery,
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions},
    types::{FieldTable, ShortString},
};
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::timing::BROKER_TIMEOUT;
use crate::BusError;

/// A channel that knows the end of its connection.
#[derive(Debug, Clone)]
pub(super) struct BrokerChannel {
    raw: Channel,
    lost: CancellationToken,
    publishing: Arc<Mutex<()>>,
    frame_max: usize,
}

impl BrokerChannel {
    /// Wraps `raw`. `frame_max` is the largest frame that broker and client have agreed on, in bytes, or 0 for no
    /// limit.
    pub(super) fn new(raw: Channel, lost: CancellationToken, frame_max: u32) -> Self {
        Self {
            raw,
            lost,
            publishing: Arc::default(),
            frame_max: match usize::try_from(frame_max) {
                Ok(0) | Err(_) => usize::MAX,
                Ok(limit) => limit,
            },
        }
    }

    /// The channel on which operations are started. Wait for them with [`Self::wait`].
    pub(super) fn raw(&self) -> &Channel {
        &self.raw
    }

    /// Bytes of the largest frame that the connection takes.
    pub(super) fn frame_max(&self) -> usize {
        self.frame_max
    }

    /// Whether `self` and `other` are the same channel.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.publishing, &other.publishing)
    }

    /// Whether the connection is lost, not only the channel.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    pub(super) fn is_open(&self) -> bool {
        !self.lost.is_cancelled() && self.raw.status().connected()
    }

    /// Waits for `work` as long as the connection lasts, for at most [`BROKER_TIMEOUT`].
    pub(super) async fn wait<T>(&self, work: impl Future<Output = lapin::Result<T>>) -> Result<T, BusError> {
        self.wait_for(async { work.await.map_err(BusError::unavailable) }).await
    }

    /// Like [`Self::wait`], for work with other kinds of errors.
    pub(super) async fn wait_for<T>(
        &self,
        work: impl Future<Output = Result<T, BusError>>,
    ) -> Result<T, BusError> {
        self.wait_within(BROKER_TIMEOUT, work).await
    }

    /// Like [`Self::wait_for`], with another time limit.
    pub(super) async fn wait_within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, BusError>>,
    ) -> Result<T, BusError> {
        match timeout(limit, self.lost.run_until_cancelled(work)).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Err(lost()),
            Err(_) => Err(silent(limit)),
        }
    }

    /// Queues a message before it returns, so that messages are sent in the order of the calls. The future ends when
    /// the message is written; then its confirm can be awaited.
    pub(super) fn publish<'a>(
        &'a self,
        exchange: ShortString,
        key: ShortString,
        mandatory: bool,
        body: &'a [u8],
        properties: BasicProperties,
    ) -> BoxFuture<'a, lapin::Result<PublisherConfirm>> {
        let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
        let mut write = self.raw.basic_publish(exchange, key, options, body, properties).boxed();
        // The first poll takes the next number, then queues the frames. No other caller may do so in between.
        let _turn = self.publishing.lock();
        match (&mut write).now_or_never() {
            Some(written) => future::ready(written).boxed(),
            None => write,
        }
    }

    /// Starts to consume `queue`.
    pub(super) async fn consume(
        &self,
        queue: ShortString,
        options: BasicConsumeOptions,
    ) -> Result<Deliveries, BusError> {
        let consuming = self.raw.basic_consume(queue, ShortString::default(), options, FieldTable::default());
        Ok(Deliveries { consumer: self.wait(consuming).await?, channel: self.clone() })
    }

    /// Acknowledges one message, or all up to it. A failure does no harm: the message is delivered again.
    pub(super) async fn acknowledge(&self, acker: &Acker, multiple: bool) {
        if let Err(error) = self.wait(acker.ack(BasicAckOptions { multiple })).await {
            tracing::debug!(%error, "could not acknowledge");
        }
    }
}

/// What a queue delivers over one [`BrokerChannel`].
#[derive(Debug)]
pub(super) struct Deliveries {
    consumer: Consumer,
    channel: BrokerChannel,
}

impl Deliveries {
    /// The next delivery, or the reason why there are no more. Cancelling loses no delivery.
    pub(super) async fn next(&mut self) -> Result<Delivery, BusError> {
        tokio::select! {
            biased;
            delivery = self.consumer.next() => match delivery {
                Some(delivery) => delivery.map_err(BusError::unavailable),
                None => Err(BusError::unavailable("the broker cancelled the consumer")),
            },
            () = self.channel.lost.cancelled() => Err(lost()),
        }
    }

    /// Ends the consumer, and returns what the broker delivered before it ended.
    pub(super) async fn end(&mut self) -> Vec<Delivery> {
        let mut rest = Vec::new();
        let cancelling = self.channel.raw.basic_cancel(self.consumer.tag(), BasicCancelOptions::default());
        if self.channel.wait(cancelling).await.is_ok() {
            while let Ok(delivery) = self.next().await {
                rest.push(delivery);
            }
        }
        rest
    }

    /// A delivery that has already arrived.
    pub(super) fn arrived(&mut self) -> Option<Delivery> {
        self.consumer.next().now_or_never()??.ok()
    }

    pub(super) fn channel(&self) -> &BrokerChannel {
        &self.channel
    }

    pub(super) fn consumer(&self) -> &Consumer {
        &self.consumer
    }
}

pub(super) fn lost() -> BusError {
    BusError::unavailable("the connection is lost")
}

pub(super) fn silent(limit: Duration) -> BusError {
    BusError::unavailable(format!("the broker did not answer within {limit:?}"))
}

impl BusError {
    /// The broker's error code, if the error came from the broker.
    pub(super) fn reply_code(&self) -> Option<u16> {
        let Self::Unavailable(source) = self else {
            return None;
        };
        match source.downcast_ref::<lapin::Error>()?.kind() {
            ErrorKind::ProtocolError(error) => Some(error.get_id()),
            _ => None,
        }
    }
}
