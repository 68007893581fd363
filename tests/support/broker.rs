//! Direct access to RabbitMQ, for faults and for copies of messages.

use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{
        BasicGetOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
        QueuePurgeOptions,
    },
    types::FieldTable,
};

/// Number of partitions of the systems under test.
const PARTITIONS: u16 = 4;

/// The exchanges of messages with more than one recipient.
const EXCHANGES: [&str; 2] = ["events", "broadcast.auth.revoked"];
/// The exchange of requests.
const REQUESTS: &str = "requests";
/// The queue of copies.
const COPIES: &str = "copies";

/// The queues and exchanges of one system under test.
pub(crate) struct Broker {
    url: String,
    pub(crate) namespace: String,
}

impl Broker {
    pub(crate) fn new(url: String, namespace: String) -> Self {
        Self { url, namespace }
    }

    /// Purges every queue of the projector. Returns the number of messages that were lost: a purge spares those that a
    /// consumer has taken.
    pub(crate) async fn purge_projector_queues(&self) -> lapin::Result<u32> {
        let (_connection, channel) = self.channel().await?;
        let mut lost = 0;
        for queue in self.projector_queues() {
            lost += channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await?;
        }
        Ok(lost)
    }

    /// Deletes every queue, also those with consumers.
    pub(crate) async fn delete_queues(&self) -> lapin::Result<()> {
        let (_connection, channel) = self.channel().await?;
        for queue in self.projector_queues().chain([self.name("auth.verify")]) {
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        }
        Ok(())
    }

    /// Deletes everything that the system has declared.
    pub(crate) async fn clean(&self) -> lapin::Result<()> {
        self.delete_queues().await?;
        let (_connection, channel) = self.channel().await?;
        channel.queue_delete(self.name(COPIES).into(), QueueDeleteOptions::default()).await?;
        self.delete_exchanges().await
    }

    /// Deletes every exchange, and all bindings with them.
    pub(crate) async fn delete_exchanges(&self) -> lapin::Result<()> {
        let (_connection, channel) = self.channel().await?;
        for exchange in EXCHANGES.into_iter().chain([REQUESTS]) {
            channel.exchange_delete(self.name(exchange).into(), ExchangeDeleteOptions::default()).await?;
        }
        Ok(())
    }

    /// Copies every event and broadcast that is published from now on to a queue.
    pub(crate) async fn keep_copies(&self) -> lapin::Result<()> {
        let (_connection, channel) = self.channel().await?;
        let queue = self.name(COPIES);
        channel
            .queue_declare(queue.clone().into(), QueueDeclareOptions::default(), FieldTable::default())
            .await?;
        for exchange in EXCHANGES {
            channel
                .queue_bind(
                    queue.clone().into(),
                    self.name(exchange).into(),
                    "#".into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await?;
        }
        Ok(())
    }

    /// The copies so far, each with its properties and headers as text before its body.
    pub(crate) async fn copies(&self) -> lapin::Result<Vec<Vec<u8>>> {
        let (_connection, channel) = self.channel().await?;
        let mut copies = Vec::new();
        while let Some(message) =
            channel.basic_get(self.name(COPIES).into(), BasicGetOptions { no_ack: true }).await?
        {
            let head = format!("{:?} {:?}", message.routing_key, message.properties);
            copies.push([head.as_bytes(), &message.data].concat());
        }
        Ok(copies)
    }

    /// Unbinds every projector queue from the exchange of events. Exchange, queues and consumers remain.
    pub(crate) async fn unbind_queues(&self) -> lapin::Result<()> {
        for partition in 0..PARTITIONS {
            // The channel is closed if another fault has deleted the queue or the exchange.
            let (_connection, channel) = self.channel().await?;
            let queue = self.name(&format!("projector.{partition}-of-{PARTITIONS}"));
            let key = format!("{partition}.#");
            let _ = channel
                .queue_unbind(queue.into(), self.name("events").into(), key.into(), FieldTable::default())
                .await;
        }
        Ok(())
    }

    fn projector_queues(&self) -> impl Iterator<Item = String> {
        (0..PARTITIONS).map(|partition| self.name(&format!("projector.{partition}-of-{PARTITIONS}")))
    }

    fn name(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.namespace)
    }

    async fn channel(&self) -> lapin::Result<(Connection, Channel)> {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        Ok((connection, channel))
    }
}
