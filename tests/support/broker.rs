//! What a test does to RabbitMQ behind the system's back.

use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{
        BasicGetOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
        QueuePurgeOptions,
    },
    types::FieldTable,
};

/// How many partitions the systems under test have.
const PARTITIONS: u16 = 4;

/// What messages are published to that are not for one queue alone.
const EXCHANGES: [&str; 2] = ["events", "broadcast.auth.revoked"];
/// The queue of copies.
const COPIES: &str = "copies";

/// The part of a broker that belongs to one system under test.
pub(crate) struct Broker {
    url: String,
    pub(crate) namespace: String,
}

impl Broker {
    pub(crate) fn new(url: String, namespace: String) -> Self {
        Self { url, namespace }
    }

    /// Throws away every message that waits for the projector.
    pub(crate) async fn purge_projector_queues(&self) -> lapin::Result<()> {
        let (_connection, channel) = self.channel().await?;
        for queue in self.projector_queues() {
            channel
                .queue_purge(queue.into(), QueuePurgeOptions::default())
                .await?;
        }
        Ok(())
    }

    /// Deletes every queue, also those in use.
    pub(crate) async fn delete_queues(&self) -> lapin::Result<()> {
        let (_connection, channel) = self.channel().await?;
        for queue in self.projector_queues().chain([self.name("auth.verify")]) {
            channel
                .queue_delete(queue.into(), QueueDeleteOptions::default())
                .await?;
        }
        Ok(())
    }

    /// Deletes everything that the system declared.
    pub(crate) async fn clean(&self) -> lapin::Result<()> {
        self.delete_queues().await?;
        let (_connection, channel) = self.channel().await?;
        channel
            .queue_delete(self.name(COPIES).into(), QueueDeleteOptions::default())
            .await?;
        self.delete_exchanges().await
    }

    /// Deletes the exchanges of events and of broadcasts, and all bindings with them.
    pub(crate) async fn delete_exchanges(&self) -> lapin::Result<()> {
        let (_connection, channel) = self.channel().await?;
        for exchange in EXCHANGES {
            channel
                .exchange_delete(self.name(exchange).into(), ExchangeDeleteOptions::default())
                .await?;
        }
        Ok(())
    }

    /// Keeps a copy of every message that is published from now on, in a queue of its own: of events and of broadcasts.
    pub(crate) async fn keep_copies(&self) -> lapin::Result<()> {
        let (_connection, channel) = self.channel().await?;
        let queue = self.name(COPIES);
        channel
            .queue_declare(
                queue.clone().into(),
                QueueDeclareOptions::default(),
                FieldTable::default(),
            )
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
        while let Some(message) = channel
            .basic_get(self.name(COPIES).into(), BasicGetOptions { no_ack: true })
            .await?
        {
            let head = format!("{:?} {:?}", message.routing_key, message.properties);
            copies.push([head.as_bytes(), &message.data].concat());
        }
        Ok(copies)
    }

    /// Takes every projector queue off the exchange of events; exchange, queues and consumers stay.
    pub(crate) async fn unbind_queues(&self) -> lapin::Result<()> {
        for partition in 0..PARTITIONS {
            // A queue or an exchange that another fault has deleted ends the channel.
            let (_connection, channel) = self.channel().await?;
            let queue = self.name(&format!("projector.{partition}-of-{PARTITIONS}"));
            let key = format!("{partition}.#");
            let _ = channel
                .queue_unbind(
                    queue.into(),
                    self.name("events").into(),
                    key.into(),
                    FieldTable::default(),
                )
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
