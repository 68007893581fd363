//! A consumer on the broker that is set up again whenever it ends: with its connection, its channel or its queue.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use lapin::{Acker, message::Delivery};
use tokio::task::JoinHandle;

use super::{backoff::Backoff, line::Deliveries};
use crate::BusError;

/// Declares what is to be consumed and starts to.
pub(super) type Subscribe = dyn Fn() -> BoxFuture<'static, Result<Deliveries, BusError>> + Send + Sync;

/// A consumer that comes back.
pub(super) struct Subscription {
    subscribe: Arc<Subscribe>,
    state: State,
}

enum State {
    Open(Box<Deliveries>),
    /// In a task of its own: a caller that keeps cancelling must not keep starting it over.
    Opening(JoinHandle<Deliveries>),
}

impl Subscription {
    /// Subscribes for the first time.
    pub(super) async fn open(subscribe: Arc<Subscribe>) -> Result<Self, BusError> {
        let state = State::Open(Box::new(subscribe().await?));
        Ok(Self { subscribe, state })
    }

    /// Waits for the next delivery, or `None` once when the subscription is a new one: what the old one left
    /// unacknowledged comes again, or is lost. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Option<Delivery> {
        loop {
            match &mut self.state {
                State::Open(deliveries) => match deliveries.next().await {
                    Ok(delivery) => return Some(delivery),
                    Err(reason) => {
                        let queue = deliveries.consumer().queue();
                        tracing::warn!(%queue, %reason, "a consumer was ended");
                        self.reopen();
                    }
                },
                State::Opening(task) => {
                    if let Ok(fresh) = task.await {
                        self.state = State::Open(Box::new(fresh));
                        return None;
                    }
                    self.reopen();
                }
            }
        }
    }

    /// A delivery that is already here.
    pub(super) fn arrived(&mut self) -> Option<Delivery> {
        match &mut self.state {
            State::Open(deliveries) => deliveries.arrived(),
            State::Opening(_) => None,
        }
    }

    /// Acknowledges a delivery of the current subscription, or all up to it.
    pub(super) async fn acknowledge(&self, acker: &Acker, multiple: bool) {
        if let State::Open(deliveries) = &self.state {
            deliveries.line().acknowledge(acker, multiple).await;
        }
    }

    fn reopen(&mut self) {
        let subscribe = Arc::clone(&self.subscribe);
        self.state = State::Opening(tokio::spawn(async move {
            let mut backoff = Backoff::default();
            loop {
                tokio::time::sleep(backoff.pause()).await;
                match subscribe().await {
                    Ok(fresh) => return fresh,
                    Err(error) => tracing::warn!(%error, "cannot consume yet"),
                }
            }
        }));
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let State::Opening(task) = &self.state {
            task.abort();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
