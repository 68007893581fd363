//! A channel that knows when its connection is lost, and that numbers what it publishes as the broker does.
//!
//! Both are left open by the client library: an operation hangs for ever when the connection breaks at just the
//! wrong moment, and publishing from two threads at once may give each the other's confirm. So nothing is awaited
//! and nothing published except through a [`Line`].

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    future::{self, BoxFuture},
};
use lapin::{
    Acker, BasicProperties, Channel, Consumer, ExchangeKind, PublisherConfirm,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions},
    types::{FieldTable, ShortString},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::PATIENCE;
use crate::BusError;

/// A channel and its connection's end.
#[derive(Debug, Clone)]
pub(super) struct Line {
    channel: Channel,
    lost: CancellationToken,
    publishing: Arc<Mutex<()>>,
}

impl Line {
    pub(super) fn new(channel: Channel, lost: CancellationToken) -> Self {
        Self {
            channel,
            lost,
            publishing: Arc::default(),
        }
    }

    /// To start operations on. Wait for them with [`Self::wait`].
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn is_open(&self) -> bool {
        !self.lost.is_cancelled() && self.channel.status().connected()
    }

    /// Waits for `work`, as long as the connection lasts and the broker has patience left.
    pub(super) async fn wait<T>(&self, work: impl Future<Output = lapin::Result<T>>) -> Result<T, BusError> {
        self.wait_for(async { work.await.map_err(BusError::unavailable) })
            .await
    }

    /// As [`Self::wait`], for work that fails in other ways, too.
    pub(super) async fn wait_for<T>(
        &self,
        work: impl Future<Output = Result<T, BusError>>,
    ) -> Result<T, BusError> {
        match timeout(PATIENCE, self.lost.run_until_cancelled(work)).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Err(lost()),
            Err(_) => Err(silent(PATIENCE)),
        }
    }

    /// Queues a message to be sent, before this returns: calls send in their order. The future is done when it is
    /// written; then its confirm can be waited for.
    pub(super) fn publish<'a>(
        &'a self,
        exchange: ShortString,
        key: ShortString,
        mandatory: bool,
        body: &'a [u8],
        properties: BasicProperties,
    ) -> BoxFuture<'a, lapin::Result<PublisherConfirm>> {
        let options = BasicPublishOptions {
            mandatory,
            ..BasicPublishOptions::default()
        };
        let mut write = self
            .channel
            .basic_publish(exchange, key, options, body, properties)
            .boxed();
        // The first poll takes the next number, then queues the frames. Between the two nobody else may.
        let _turn = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut write).now_or_never() {
            Some(written) => future::ready(written).boxed(),
            None => write,
        }
    }

    /// Declares a durable exchange. Who publishes to it and who consumes from it both do, whoever comes first.
    pub(super) async fn declare(&self, name: &ShortString, kind: ExchangeKind) -> Result<(), BusError> {
        let options = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        self.wait(
            self.channel
                .exchange_declare(name.clone(), kind, options, FieldTable::default()),
        )
        .await
    }

    /// Starts to consume `queue`.
    pub(super) async fn consume(
        &self,
        queue: ShortString,
        options: BasicConsumeOptions,
    ) -> Result<Deliveries, BusError> {
        let consuming =
            self.channel
                .basic_consume(queue, ShortString::default(), options, FieldTable::default());
        Ok(Deliveries {
            consumer: self.wait(consuming).await?,
            line: self.clone(),
        })
    }

    /// Acknowledges one message, or all up to it. Failing to is harmless, since it comes again.
    pub(super) async fn acknowledge(&self, acker: &Acker, multiple: bool) {
        if let Err(error) = self.wait(acker.ack(BasicAckOptions { multiple })).await {
            tracing::debug!(%error, "could not acknowledge");
        }
    }
}

/// What a queue delivers over one [`Line`].
#[derive(Debug)]
pub(super) struct Deliveries {
    consumer: Consumer,
    line: Line,
}

impl Deliveries {
    /// The next delivery, or why there are no more. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<Delivery, BusError> {
        tokio::select! {
            biased;
            delivery = self.consumer.next() => match delivery {
                Some(delivery) => delivery.map_err(BusError::unavailable),
                None => Err(BusError::unavailable("the broker cancelled the consumer")),
            },
            () = self.line.lost.cancelled() => Err(lost()),
        }
    }

    /// A delivery that is already here.
    pub(super) fn arrived(&mut self) -> Option<Delivery> {
        self.consumer.next().now_or_never()??.ok()
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    pub(super) fn consumer(&self) -> &Consumer {
        &self.consumer
    }
}

pub(super) fn lost() -> BusError {
    BusError::unavailable("the connection is lost")
}

pub(super) fn silent(patience: Duration) -> BusError {
    BusError::unavailable(format!("the broker did not answer within {patience:?}"))
}
