//! Serves one request queue: a bounded number of requests at once. Each is answered within its caller's deadline,
//! then acknowledged.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use lapin::{
    BasicProperties, ExchangeKind,
    message::Delivery,
    options::{BasicConsumeOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    channel::BrokerChannel,
    connection::BrokerConnection,
    requester::{DEADLINE, REPLY_TO, now_milliseconds},
    subscription::{Source, Subscription},
    topology::{Binding, Queue},
};
use crate::{BusError, Responder, ResponderOptions};

/// The tolerated difference between the clocks of two machines, before a request counts as late.
const CLOCK_TOLERANCE_MS: i64 = 1_000;
/// The time limit for a request without a deadline.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of all waiting requests.
const MAX_WAITING_BYTES: i64 = 16 * 1024 * 1024;
/// A queue without a server is deleted after this time, even if it outlived its servers because the broker was
/// killed. So callers learn at once that there is no server.
const EXPIRES_MS: i64 = 5_000;

/// Serves `queue`, which gets its requests through `exchange`, until `stop` is cancelled, then finishes the requests
/// that have begun.
pub(super) async fn serve(
    connection: Arc<BrokerConnection>,
    exchange: ShortString,
    queue: ShortString,
    options: ResponderOptions,
    responder: Arc<dyn Responder>,
    stop: CancellationToken,
) -> Result<(), BusError> {
    let mut subscription = Subscription::open(Source {
        connection: Arc::clone(&connection),
        queue: Box::new(move || request_queue(&queue, &exchange, options)),
        prefetch: Some(options.concurrency.max(1)),
        options: BasicConsumeOptions::default(),
    })
    .await?;
    let mut served = Served {
        connection,
        responder,
        // The prefetch count limits one channel; the semaphore also counts requests of an earlier channel, after a
        // reconnect.
        slots: Arc::new(Semaphore::new(usize::from(options.concurrency.max(1)))),
        running: JoinSet::new(),
    };
    while !stop.is_cancelled() {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            Some(_) = served.running.join_next() => {}
            delivery = subscription.next() => {
                if let (Some(delivery), Some(channel)) = (delivery, subscription.channel()) {
                    served.begin(channel.clone(), delivery);
                }
            }
        }
    }
    if let Some(channel) = subscription.channel().cloned() {
        // Requests that were delivered before the consumer ended are off the queue: they count as begun.
        for delivery in subscription.end().await {
            served.begin(channel.clone(), delivery);
        }
    }
    while served.running.join_next().await.is_some() {}
    Ok(())
}

/// The queue is durable only because RabbitMQ 4 has no other shared queues. Its requests are not persistent. It is
/// deleted with its last server, so that callers learn at once that there is none.
fn request_queue(name: &ShortString, exchange: &ShortString, options: ResponderOptions) -> Queue {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    let limit = i64::from(options.queue_limit.max(1));
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(limit));
    let bytes = AMQPValue::LongLongInt(MAX_WAITING_BYTES);
    arguments.insert("x-max-length-bytes".into(), bytes);
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments.insert("x-expires".into(), AMQPValue::LongLongInt(EXPIRES_MS));
    Queue {
        name: name.clone(),
        options: QueueDeclareOptions::durable().auto_delete(),
        arguments,
        // An earlier release sends its requests to the queue by name.
        binding: Binding {
            exchange: exchange.clone(),
            kind: ExchangeKind::Direct,
            key: name.clone(),
            left_missing: None,
        },
    }
}

/// The requests that one server works on.
struct Served {
    connection: Arc<BrokerConnection>,
    responder: Arc<dyn Responder>,
    slots: Arc<Semaphore>,
    running: JoinSet<()>,
}

impl Served {
    fn begin(&mut self, channel: BrokerChannel, delivery: Delivery) {
        let until = deadline(&delivery.properties);
        let (responder, slots) = (Arc::clone(&self.responder), Arc::clone(&self.slots));
        let connection = Arc::clone(&self.connection);
        self.running.spawn(async move {
            let Ok(_slot) = slots.acquire().await else { return };
            if respond(&channel, &delivery, responder, until).await {
                connection.counters.lock().expired += 1;
            }
        });
    }
}

/// Answers a request if there is time, and acknowledges it, unless the channel ended before the reply was sent: then
/// another server answers the request, if there is still time. Returns whether it was too late for an answer.
async fn respond(
    channel: &BrokerChannel,
    delivery: &Delivery,
    responder: Arc<dyn Responder>,
    until: Instant,
) -> bool {
    let Delivery { properties, data, acker, .. } = delivery;
    let mut is_late = true;
    if let (Some(reply_to), Some(id)) = (properties.reply_to(), properties.correlation_id())
        && is_direct(reply_to)
        && Instant::now() < until
    {
        // A panic must cost only this request, not a slot of this server.
        let responding = AssertUnwindSafe(responder.respond(data.clone().into())).catch_unwind();
        match timeout_at(until, responding).await {
            Ok(Ok(reply)) => {
                let properties = BasicProperties::default().with_correlation_id(id.clone());
                let replying =
                    channel.publish(ShortString::default(), reply_to.clone(), false, &reply, properties);
                is_late = false;
                if let Err(error) = channel.wait(replying).await {
                    tracing::debug!(%error, "could not send a reply");
                    if !channel.is_open() {
                        return false;
                    }
                    // The broker gives a request back only when its channel ends. Until then it would take the place
                    // of another one.
                }
            }
            Ok(Err(_)) => {
                tracing::error!("a request was not answered: its responder panicked");
                is_late = false;
            }
            Err(_) => tracing::warn!("a request was not answered by its deadline"),
        }
    }
    channel.acknowledge(acker, false).await;
    is_late
}

/// Whether replies go to the channel of the caller. They are sent with more rights than the caller has: to any queue.
fn is_direct(reply_to: &ShortString) -> bool {
    reply_to.as_str().starts_with(REPLY_TO)
}

/// When the caller stops waiting, according to its clock, with a tolerance. Never later than its time limit counted
/// from now.
fn deadline(properties: &BasicProperties) -> Instant {
    let by_clock = properties
        .headers()
        .as_ref()
        .and_then(|headers| headers.inner().get(DEADLINE))
        .and_then(AMQPValue::as_long_long_int)
        .map(|until| {
            let left = until.saturating_add(CLOCK_TOLERANCE_MS).saturating_sub(now_milliseconds());
            Duration::from_millis(u64::try_from(left).unwrap_or(0))
        });
    let time_left = properties
        .expiration()
        .as_ref()
        .and_then(|text| text.as_str().parse().ok())
        .map(Duration::from_millis);
    let left = by_clock.into_iter().chain(time_left).min().unwrap_or(DEFAULT_TIMEOUT).min(DEFAULT_TIMEOUT);
    Instant::now() + left
}
