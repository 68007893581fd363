//! A consumer on the broker that is set up again when its connection, its channel, its queue, or the exchange of its
//! queue is lost.

use std::{fmt, sync::Arc, time::Instant};

use futures::future::BoxFuture;
use lapin::{
    Acker,
    message::Delivery,
    options::{BasicConsumeOptions, BasicQosOptions},
};
use tokio::{sync::Notify, task::JoinHandle};

use super::{
    channel::{BrokerChannel, Deliveries},
    connection::BrokerConnection,
    timing::BACKOFF,
    topology::{POLL_INTERVAL, Queue},
};
use crate::BusError;

/// The queue of a subscription, and how it is consumed.
pub(super) struct Source {
    pub(super) connection: Arc<BrokerConnection>,
    /// Makes the queue, each time that the subscription is set up.
    pub(super) queue: Box<dyn Fn() -> Queue + Send + Sync>,
    /// The most messages that may be delivered and not acknowledged; `None` for no limit.
    pub(super) prefetch: Option<u16>,
    pub(super) options: BasicConsumeOptions,
}

/// A consumer that is set up again when it ends.
pub(super) struct Subscription {
    source: Arc<Source>,
    state: State,
}

enum State {
    Open(Box<Open>),
    /// In a separate task: a caller that cancels repeatedly must not start it again each time. It notifies when it
    /// finds the exchange missing.
    Opening(JoinHandle<Open>, Arc<Notify>),
}

struct Open {
    deliveries: Deliveries,
    /// Ends when an object that the consumer needs is missing.
    missing: BoxFuture<'static, BusError>,
}

impl Source {
    /// Notifies `missing` when the exchange is missing and left so for a while.
    async fn open(&self, missing: &Notify) -> Result<Open, BusError> {
        let queue = (self.queue)();
        let (channel, bound) = queue.declare(&self.connection, missing).await?;
        if let Some(prefetch) = self.prefetch {
            let qos = channel.raw().basic_qos(prefetch, BasicQosOptions::default());
            channel.wait(qos).await?;
        }
        Ok(Open {
            deliveries: channel.consume(queue.name.clone(), self.options).await?,
            missing: Box::pin(lost(queue, channel, bound)),
        })
    }
}

impl Subscription {
    /// Subscribes for the first time.
    pub(super) async fn open(source: Source) -> Result<Self, BusError> {
        let state = State::Open(Box::new(source.open(&Notify::new()).await?));
        Ok(Self { source: Arc::new(source), state })
    }

    /// Waits for the next delivery. Returns `None` once after the subscription was set up again: unacknowledged
    /// messages of the old one are delivered again, or lost. Also returns it while the exchange is missing and left so
    /// for a while. Cancelling loses no message.
    pub(super) async fn next(&mut self) -> Option<Delivery> {
        loop {
            match &mut self.state {
                State::Open(open) => {
                    let Open { deliveries, missing } = &mut **open;
                    let reason = tokio::select! {
                        biased;
                        reason = missing => reason,
                        delivery = deliveries.next() => match delivery {
                            Ok(delivery) => return Some(delivery),
                            Err(reason) => reason,
                        },
                    };
                    let queue = deliveries.consumer().queue();
                    tracing::warn!(%queue, %reason, "a consumer was ended: setting it up again");
                    if !deliveries.channel().is_lost() {
                        self.source.connection.counters.lock().restored += 1;
                    }
                    self.reopen();
                }
                State::Opening(task, missing) => {
                    tokio::select! {
                        opened = task => match opened {
                            Ok(fresh) => self.state = State::Open(Box::new(fresh)),
                            Err(_) => {
                                self.reopen();
                                continue;
                            }
                        },
                        () = missing.notified() => {}
                    }
                    return None;
                }
            }
        }
    }

    /// A delivery that has already arrived.
    pub(super) fn arrived(&mut self) -> Option<Delivery> {
        match &mut self.state {
            State::Open(open) => open.deliveries.arrived(),
            State::Opening(..) => None,
        }
    }

    /// Acknowledges a delivery of the current subscription, or all up to it.
    pub(super) async fn acknowledge(&mut self, acker: &Acker, multiple: bool) {
        if let State::Open(open) = &mut self.state {
            open.deliveries.channel().acknowledge(acker, multiple).await;
        }
    }

    /// The channel of the current subscription.
    pub(super) fn channel(&self) -> Option<&BrokerChannel> {
        match &self.state {
            State::Open(open) => Some(open.deliveries.channel()),
            State::Opening(..) => None,
        }
    }

    /// Ends the consumer, and returns what was delivered before it ended.
    pub(super) async fn end(mut self) -> Vec<Delivery> {
        let State::Open(open) = &mut self.state else {
            return Vec::new();
        };
        open.deliveries.end().await
    }

    fn reopen(&mut self) {
        let (source, missing) = (Arc::clone(&self.source), Arc::new(Notify::new()));
        let noticed = Arc::clone(&missing);
        let opening = runtime::spawn("opening of a consumer", async move {
            let mut backoff = BACKOFF;
            loop {
                backoff.wait().await;
                match source.open(&noticed).await {
                    Ok(fresh) => return fresh,
                    Err(error) => tracing::warn!(%error, "cannot consume yet"),
                }
            }
        });
        self.state = State::Opening(opening, missing);
    }
}

/// Checks regularly whether `queue` exists and is bound, and returns when it does not or is not. It was bound at
/// `bound`. Where a missing exchange is left missing for a while, a check after a longer pause cannot tell whether it
/// is the same exchange, for instance when this process stood still.
async fn lost(queue: Queue, channel: BrokerChannel, mut bound: Instant) -> BusError {
    let left_missing = queue.binding.left_missing;
    let interval = left_missing.map_or(POLL_INTERVAL, |left_missing| left_missing / 2);
    loop {
        tokio::time::sleep(runtime::jittered(interval)).await;
        let before = match queue.look(&channel).await {
            Ok(bound_again) => std::mem::replace(&mut bound, bound_again),
            Err(error) => return error,
        };
        if left_missing.is_some_and(|left_missing| before.elapsed() > left_missing) {
            return BusError::unavailable("the exchange may have been missing for a while");
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let State::Opening(task, _) = &self.state {
            task.abort();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
