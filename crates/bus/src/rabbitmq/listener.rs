//! Listens to one broadcast topic through an exclusive queue of its own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use lapin::{
    ExchangeKind,
    options::{BasicConsumeOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};

use super::{
    connection::BrokerConnection,
    subscription::{Source, Subscription},
    topology::{Binding, Queue},
};
use crate::{BusError, Heard, Listener};

/// How long a listener waits before it declares a missing exchange, if it may, also when it has just started. Within
/// this time every other listener notices that messages may have been missed, or knows that it looked too late.
const LEFT_MISSING: Duration = Duration::from_millis(1_500);

/// A listener. Its queue is deleted with its connection. A new queue starts with a gap, which is reported once the
/// queue is bound, so that no later message is missed.
#[derive(Debug)]
pub(super) struct TopicListener(Subscription);

impl TopicListener {
    pub(super) async fn open(
        connection: Arc<BrokerConnection>,
        exchange: ShortString,
    ) -> Result<Self, BusError> {
        let subscription = Subscription::open(Source {
            connection,
            queue: Box::new(move || own_queue(&exchange)),
            prefetch: None,
            options: BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() },
        });
        Ok(Self(subscription.await?))
    }
}

#[async_trait]
impl Listener for TopicListener {
    async fn next(&mut self) -> Heard {
        match self.0.next().await {
            Some(delivery) => Heard::Message(delivery.data.into()),
            None if self.0.channel().is_none() => Heard::Interrupted,
            None => Heard::Gap,
        }
    }
}

/// A new name each time: the broker may still have the queue of the lost connection.
fn own_queue(exchange: &ShortString) -> Queue {
    Queue {
        name: format!("{exchange}.{}", runtime::new_id().simple()).into(),
        options: QueueDeclareOptions::exclusive().auto_delete(),
        arguments: FieldTable::default(),
        binding: Binding {
            exchange: exchange.clone(),
            kind: ExchangeKind::Fanout,
            key: ShortString::default(),
            left_missing: Some(LEFT_MISSING),
        },
    }
}
