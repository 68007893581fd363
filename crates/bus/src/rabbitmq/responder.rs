//! Serves one request queue: a bounded number at once, each answered, then acknowledged.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use lapin::{
    BasicProperties,
    message::Delivery,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    backoff::Backoff,
    line::{Deliveries, Line},
    link::Link,
    requester::{DEADLINE, now_milliseconds},
};
use crate::{BusError, Responder, ResponderOptions};

/// By how much the clocks of two machines may differ before a request in time is taken for late.
const CLOCK_TOLERANCE_MS: i64 = 1_000;

/// Serves `queue` until `stop`, then finishes what has begun.
pub(super) async fn serve(
    link: Arc<Link>,
    queue: ShortString,
    options: ResponderOptions,
    responder: Arc<dyn Responder>,
    stop: CancellationToken,
) -> Result<(), BusError> {
    // Prefetch bounds what one channel delivers; the semaphore holds across channels, after a reconnect.
    let slots = Arc::new(Semaphore::new(usize::from(options.concurrency.max(1))));
    let mut running = JoinSet::new();
    let mut backoff = Backoff::default();
    let mut served = Some(subscribe(&link, &queue, options).await?);
    while !stop.is_cancelled() {
        let Some(deliveries) = &mut served else {
            let retry = async {
                tokio::time::sleep(backoff.pause()).await;
                subscribe(&link, &queue, options).await
            };
            match stop.run_until_cancelled(retry).await {
                Some(Ok(fresh)) => served = Some(fresh),
                Some(Err(error)) => tracing::warn!(%queue, %error, "cannot serve requests yet"),
                None => {}
            }
            continue;
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            Some(_) = running.join_next() => {}
            delivery = deliveries.next() => match delivery {
                Ok(delivery) => {
                    backoff.reset();
                    let line = deliveries.line().clone();
                    running.spawn(handle(line, delivery, Arc::clone(&responder), Arc::clone(&slots)));
                }
                Err(reason) => {
                    tracing::warn!(%queue, %reason, "requests are not served for now");
                    served = None;
                }
            },
        }
    }
    if let Some(mut deliveries) = served {
        let line = deliveries.line().clone();
        let cancel = line
            .channel()
            .basic_cancel(deliveries.consumer().tag(), BasicCancelOptions::default());
        if line.wait(cancel).await.is_ok() {
            // What was on its way when the broker heard of it has been taken off the queue: it counts as begun.
            while let Ok(delivery) = deliveries.next().await {
                running.spawn(handle(
                    line.clone(),
                    delivery,
                    Arc::clone(&responder),
                    Arc::clone(&slots),
                ));
            }
        }
    }
    while running.join_next().await.is_some() {}
    Ok(())
}

/// Durable only because RabbitMQ 4 knows no shared queue that is not; the requests in it are not kept, and it goes
/// with its last server, which is how callers learn at once that there is none.
async fn subscribe(
    link: &Link,
    queue: &ShortString,
    options: ResponderOptions,
) -> Result<Deliveries, BusError> {
    let line = link.line().await?;
    let channel = line.channel();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    arguments.insert(
        "x-max-length".into(),
        AMQPValue::LongLongInt(i64::from(options.queue_limit.max(1))),
    );
    arguments.insert(
        "x-overflow".into(),
        AMQPValue::LongString("reject-publish".into()),
    );
    let declare = QueueDeclareOptions::durable().auto_delete();
    line.wait(channel.queue_declare(queue.clone(), declare, arguments))
        .await?;
    line.wait(channel.basic_qos(options.concurrency.max(1), BasicQosOptions::default()))
        .await?;
    line.consume(queue.clone(), BasicConsumeOptions::default()).await
}

async fn handle(line: Line, delivery: Delivery, responder: Arc<dyn Responder>, slots: Arc<Semaphore>) {
    let Ok(_slot) = slots.acquire().await else { return };
    let Delivery {
        properties,
        data,
        acker,
        ..
    } = delivery;
    if let (Some(reply_to), Some(id)) = (properties.reply_to(), properties.correlation_id())
        && !is_late(&properties)
    {
        // A panic is one request's bad luck: it must not cost this server a slot for good.
        if let Ok(reply) = AssertUnwindSafe(responder.respond(data.into()))
            .catch_unwind()
            .await
        {
            let properties = BasicProperties::default().with_correlation_id(id.clone());
            let replying = line.publish(
                ShortString::default(),
                reply_to.clone(),
                false,
                &reply,
                properties,
            );
            if let Err(error) = line.wait(replying).await {
                // Not acknowledged: another server answers it, if there is time.
                tracing::debug!(%error, "could not send a reply");
                return;
            }
        } else {
            tracing::error!("a request was not answered: its responder panicked");
        }
    }
    line.acknowledge(&acker, false).await;
}

fn is_late(properties: &BasicProperties) -> bool {
    let deadline = properties
        .headers()
        .as_ref()
        .and_then(|headers| headers.inner().get(DEADLINE));
    deadline
        .and_then(AMQPValue::as_long_long_int)
        .is_some_and(|deadline| now_milliseconds() > deadline.saturating_add(CLOCK_TOLERANCE_MS))
}
