//! Sends requests and passes each reply to its caller: one correlation id for each request, replies by direct
//! reply-to over the same channel.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use dashmap::DashMap;
use lapin::{
    BasicProperties, Confirmation, ExchangeKind,
    options::{BasicConsumeOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use runtime::{Clock as _, SystemClock, new_id};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    task::AbortHandle,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::{
    channel::{BrokerChannel, Deliveries, lost},
    connection::BrokerConnection,
    supervision::restarted_after_panic,
    timing::BACKOFF,
    topology::{NOT_FOUND, look_for_exchange},
};
use crate::{BusError, MAX_OUTSTANDING};

/// The pseudo-queue by which the broker addresses replies to this channel. The names that it gives to responders begin
/// with it, and no queue has such a name.
pub(super) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// The header with the deadline of the caller, in milliseconds since 1970.
pub(super) const DEADLINE: &str = "taskledger:deadline";

/// How often requests look for an exchange that is absent.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Sends requests and receives replies.
#[derive(Debug)]
pub(super) struct Requester {
    connection: Arc<BrokerConnection>,
    /// Where all requests are sent. Responders declare it.
    exchange: ShortString,
    absence: Arc<Absence>,
    channel: watch::Receiver<Option<BrokerChannel>>,
    pending: Arc<Pending>,
    outstanding: Semaphore,
    supervisor: AbortHandle,
}

/// The last time that somebody looked for the exchange, while it is known to be absent: until a responder has started
/// for the first time. Each request would cost the channel then, with the replies to all others.
#[derive(Debug, Default)]
struct Absence(parking_lot::Mutex<Option<Instant>>);

impl Absence {
    fn begin(&self) {
        if self.0.lock().replace(Instant::now()).is_none() {
            tracing::warn!(
                "the exchange of requests does not exist: nobody has served requests on this broker yet, and they \
                 fail until auth has started"
            );
        }
    }

    fn end(&self) {
        if self.0.lock().take().is_some() {
            tracing::info!("the exchange of requests exists now");
        }
    }

    /// While the exchange is absent, whether the caller has to look for it now.
    fn is_look_due(&self) -> Option<bool> {
        let mut last = self.0.lock();
        let last = last.as_mut()?;
        let is_due = last.elapsed() >= LOOK_AGAIN;
        if is_due {
            *last = Instant::now();
        }
        Some(is_due)
    }
}

/// The callers that wait, by correlation id.
#[derive(Debug, Default)]
struct Pending(DashMap<Uuid, oneshot::Sender<Result<Bytes, BusError>>>);

impl Pending {
    /// Ends the wait of `id`. Does nothing for late and unknown replies.
    fn resolve(&self, id: Uuid, outcome: Result<Bytes, BusError>) {
        if let Some((_, waiting)) = self.0.remove(&id) {
            let _ = waiting.send(outcome);
        }
    }

    fn fail_all(&self, error: &BusError) {
        let all: Vec<Uuid> = self.0.iter().map(|entry| *entry.key()).collect();
        for id in all {
            self.resolve(id, Err(error.clone()));
        }
    }
}

/// Removes a request when its wait ends in any way.
struct Forget<'a>(&'a Pending, Uuid);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.0.remove(&self.1);
    }
}

impl Requester {
    pub(super) async fn start(
        connection: Arc<BrokerConnection>,
        exchange: ShortString,
    ) -> Result<Self, BusError> {
        let replies = open(&connection).await?;
        let (sender, channel) = watch::channel(Some(replies.channel().clone()));
        let pending = Arc::new(Pending::default());
        let supervisor = runtime::spawn("replies to requests", {
            let (connection, pending) = (Arc::clone(&connection), Arc::clone(&pending));
            let first = parking_lot::Mutex::new(Some(replies));
            async move {
                restarted_after_panic("replies to requests", || {
                    let replies = first.lock().take();
                    supervise(&connection, replies, &sender, &pending)
                })
                .await;
            }
        });
        Ok(Self {
            connection,
            exchange,
            absence: Arc::default(),
            channel,
            pending,
            outstanding: Semaphore::new(MAX_OUTSTANDING),
            supervisor: supervisor.abort_handle(),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        self.channel.borrow().as_ref().is_some_and(BrokerChannel::is_open)
    }

    pub(super) async fn request(
        &self,
        queue: ShortString,
        request: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, BusError> {
        let _permit = self.outstanding.try_acquire().map_err(|_| BusError::Overloaded)?;
        self.connection.expect_usable()?;
        let begun = Instant::now();
        timeout(deadline, self.expect_exchange()).await.map_err(|_| BusError::Deadline(deadline))??;
        let deadline = deadline.saturating_sub(begun.elapsed());
        let channel = self.channel.borrow().clone().filter(BrokerChannel::is_open).ok_or_else(lost)?;

        let id = new_id();
        let (sender, answer) = oneshot::channel();
        self.pending.0.insert(id, sender);
        let _forget = Forget(&self.pending, id);
        let address = (self.exchange.clone(), queue);
        // A separate task, because a confirm must be awaited even if the caller has stopped waiting for the reply.
        runtime::spawn(
            "sending of a request",
            send(
                channel,
                address,
                request,
                deadline,
                id,
                Arc::clone(&self.pending),
                Arc::clone(&self.absence),
            ),
        );
        match timeout(deadline, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(BusError::unavailable("the request was given up")),
            Err(_) => Err(BusError::Deadline(deadline)),
        }
    }

    /// Fails if the exchange is known to be absent, and looks for it now and then, over a channel of its own.
    async fn expect_exchange(&self) -> Result<(), BusError> {
        match self.absence.is_look_due() {
            None => return Ok(()),
            Some(false) => return Err(unserved()),
            Some(true) => {}
        }
        let channel = self.connection.channel_now().await?;
        match look_for_exchange(&channel, &self.exchange, &ExchangeKind::Direct).await {
            Ok(()) => {
                self.absence.end();
                Ok(())
            }
            Err(error) if error.reply_code() == Some(NOT_FOUND) => Err(unserved()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Requester {
    fn drop(&mut self) {
        self.supervisor.abort();
        self.pending.fail_all(&BusError::unavailable("the bus is closed"));
    }
}

fn unserved() -> BusError {
    BusError::unavailable("nobody serves this kind of request")
}

/// Publishes one request to an exchange and a queue. If it reaches no queue the wait ends at once.
async fn send(
    channel: BrokerChannel,
    (exchange, queue): (ShortString, ShortString),
    request: Bytes,
    deadline: Duration,
    id: Uuid,
    pending: Arc<Pending>,
    absence: Arc<Absence>,
) {
    let milliseconds = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX).clamp(1, u64::from(u32::MAX));
    let mut headers = FieldTable::default();
    let until = now_milliseconds().saturating_add_unsigned(milliseconds);
    headers.insert(DEADLINE.into(), AMQPValue::LongLongInt(until));
    let properties = BasicProperties::default()
        .with_reply_to(REPLY_TO.into())
        .with_correlation_id(id.to_string().into())
        .with_expiration(milliseconds.to_string().into())
        .with_headers(headers);

    let confirmation =
        channel.wait(async { channel.publish(exchange, queue, true, &request, properties).await?.await });
    match confirmation.await {
        Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => {}
        // The queue is full and rejects the request.
        Ok(Confirmation::Nack(None)) => pending.resolve(id, Err(BusError::Overloaded)),
        Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) => {
            // The library returns a message with the next confirm, which may belong to another request.
            pending.resolve(correlation_id(&returned.properties).unwrap_or(id), Err(unserved()));
        }
        Err(error) if error.reply_code() == Some(NOT_FOUND) => {
            absence.begin();
            pending.resolve(id, Err(unserved()));
        }
        Err(error) => pending.resolve(id, Err(error)),
    }
}

async fn open(connection: &BrokerConnection) -> Result<Deliveries, BusError> {
    let channel = connection.channel().await?;
    channel.wait(channel.raw().confirm_select(ConfirmSelectOptions::default())).await?;
    channel
        .consume(REPLY_TO.into(), BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() })
        .await
}

/// Delivers replies. When the channel is lost, fails all waiting callers and opens the next one.
async fn supervise(
    connection: &BrokerConnection,
    mut replies: Option<Deliveries>,
    sender: &watch::Sender<Option<BrokerChannel>>,
    pending: &Pending,
) {
    loop {
        if let Some(replies) = &mut replies {
            while let Ok(reply) = replies.next().await {
                if let Some(id) = correlation_id(&reply.properties) {
                    pending.resolve(id, Ok(reply.data.into()));
                }
            }
        }
        sender.send_replace(None);
        pending.fail_all(&lost());
        let mut backoff = BACKOFF;
        let fresh = loop {
            backoff.wait().await;
            match open(connection).await {
                Ok(fresh) => break fresh,
                Err(error) => tracing::warn!(%error, "cannot send requests yet"),
            }
        };
        sender.send_replace(Some(fresh.channel().clone()));
        replies = Some(fresh);
    }
}

/// The id of the request that a message belongs to.
fn correlation_id(properties: &BasicProperties) -> Option<Uuid> {
    properties.correlation_id().as_ref()?.as_str().parse().ok()
}

/// The wall clock. The clocks of two processes are close enough for this.
pub(super) fn now_milliseconds() -> i64 {
    SystemClock.now().as_micros() / 1_000
}
