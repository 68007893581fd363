//! Listens to one broadcast topic through an exclusive queue of its own.

use std::sync::Arc;

use async_trait::async_trait;
use lapin::{
    ExchangeKind,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};

use super::{
    line::Deliveries,
    link::Link,
    subscription::{Subscribe, Subscription},
};
use crate::{BusError, Heard, Listener};

/// A listener. Its queue dies with its connection, so a new one starts with a gap, and only once it listens
/// again, so that nothing said after the gap is missed.
#[derive(Debug)]
pub(super) struct TopicListener(Subscription);

impl TopicListener {
    pub(super) async fn open(link: Arc<Link>, exchange: ShortString) -> Result<Self, BusError> {
        let subscribe: Arc<Subscribe> =
            Arc::new(move || Box::pin(subscribe(Arc::clone(&link), exchange.clone())));
        Ok(Self(Subscription::open(subscribe).await?))
    }
}

#[async_trait]
impl Listener for TopicListener {
    async fn next(&mut self) -> Heard {
        self.0
            .next()
            .await
            .map_or(Heard::Gap, |delivery| Heard::Message(delivery.data.into()))
    }
}

async fn subscribe(link: Arc<Link>, exchange: ShortString) -> Result<Deliveries, BusError> {
    let line = link.line().await?;
    let channel = line.channel();
    line.declare(&exchange, ExchangeKind::Fanout).await?;
    let own = QueueDeclareOptions::exclusive().auto_delete();
    let queue = line
        .wait(channel.queue_declare(ShortString::default(), own, FieldTable::default()))
        .await?;
    let queue = queue.name().clone();
    let (key, bind) = (ShortString::default(), QueueBindOptions::default());
    line.wait(channel.queue_bind(queue.clone(), exchange, key, bind, FieldTable::default()))
        .await?;
    line.consume(
        queue,
        BasicConsumeOptions {
            no_ack: true,
            exclusive: true,
            ..BasicConsumeOptions::default()
        },
    )
    .await
}
