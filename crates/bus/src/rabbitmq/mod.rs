//! The bus over RabbitMQ 3.10 to 4.x.
//!
//! Three connections, so that none waits for another: one publishes, one only consumes (a broker that is short of
//! resources blocks publishers, never consumers), and one is for requests and replies. Each is supervised: when it is
//! lost a new one is made, and its users declare again what they need.
//!
//! These objects exist on the broker, all in one namespace (`taskledger`):
//!
//! | name | what |
//! |---|---|
//! | `<ns>.events` | topic exchange; routing key `<partition>.<wire name>`, of batches `<partition>.batch` |
//! | `<ns>.projector.<partition>-of-<count>` | quorum queue, single active consumer; gone after a day without one |
//! | `<ns>.broadcast.<topic>` | fanout exchange; each listener has an exclusive queue of its own |
//! | `<ns>.requests` | direct exchange; routing key is the name of the queue |
//! | `<ns>.<queue>` | requests; classic, bounded, gone with its last server, so that callers notice it at once |
//!
//! Replies are the only messages that go through the default exchange, to channels and never to queues. Whoever may
//! write there may write to any queue; only responders need that right.
//!
//! Consumers check every two seconds, listeners more often, that queue, exchange and binding exist (`topology.rs`), and
//! create again what is missing. Publishers learn from returned messages that a binding is missing.
//!
//! When the number of partitions changes, the queues of the old number keep receiving what is published until they
//! expire or are deleted. That only costs space: consumers skip messages of another count.

mod address;
mod channel;
mod cloud_event;
mod cloud_event_batch;
mod connection;
mod consumer;
mod listener;
mod names;
mod publisher;
mod requester;
mod responder;
mod subscription;
mod supervision;
mod timing;
mod topology;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use events::PartitionCount;
use tokio_util::sync::CancellationToken;

use crate::{
    Bus, BusCounts, BusError, EventConsumer, EventMessage, Listener, Responder, ResponderOptions,
    counts::Counters,
};
use address::Address;
use connection::{BrokerConnection, Purpose};
use consumer::PartitionConsumer;
use listener::TopicListener;
use names::Names;
use publisher::Publisher;
use requester::Requester;

/// The options of a connection to RabbitMQ.
#[derive(Debug, Clone)]
pub struct RabbitOptions {
    /// The name of the client, for example its role. The broker shows it with each connection.
    pub name: String,
    /// The prefix of every name on the broker. Installations that share a virtual host need different ones. Letters,
    /// digits, `.`, `_` and `-`, at most 64.
    pub namespace: String,
}

/// A bus over RabbitMQ.
#[derive(Debug)]
pub struct RabbitBus {
    names: Names,
    publishing: Arc<BrokerConnection>,
    consuming: Arc<BrokerConnection>,
    requesting: Arc<BrokerConnection>,
    publisher: Publisher,
    requester: Requester,
    counters: Arc<Counters>,
}

impl RabbitBus {
    /// Checks that [`Self::connect`] can use `url` and `namespace`, without connecting.
    ///
    /// # Errors
    /// When one of them is malformed, or the file of authorities cannot be used.
    pub fn check(url: &str, namespace: &str) -> Result<(), BusError> {
        Address::read(url)?;
        Names::new(namespace)?;
        Ok(())
    }

    /// Connects to `url`, for example `amqp://guest:guest@localhost:5672/%2f`, or over TLS to
    /// `amqps://guest:guest@mq.example:5671/%2f?cacertfile=/etc/ssl/authority.pem`.
    ///
    /// # Errors
    /// When the URL is wrong or the broker cannot be reached now. Later it reconnects by itself.
    pub async fn connect(url: &str, options: RabbitOptions) -> Result<Arc<Self>, BusError> {
        let address = Address::read(url)?;
        let names = Names::new(&options.namespace)?;
        let counters = Arc::new(Counters::default());
        let connection = |what: &str, purpose: Purpose| {
            let name = format!("{} ({what})", options.name);
            BrokerConnection::open(address.clone(), name, purpose, Arc::clone(&counters))
        };
        // Not `try_join!`: the library's threads panic when their runtime ends while they connect, as it does when
        // a process reports the first failure and exits.
        let (publishing, consuming, requesting) = tokio::join!(
            connection("publishing", Purpose::Publishing),
            connection("consuming", Purpose::Other),
            connection("requests", Purpose::Other)
        );
        let (publishing, consuming, requesting) = (publishing?, consuming?, requesting?);
        let publisher = Publisher::new(Arc::clone(&publishing), names.clone());
        let requester = Requester::start(Arc::clone(&requesting), names.request_exchange()?).await?;
        Ok(Arc::new(Self { names, publishing, consuming, requesting, publisher, requester, counters }))
    }
}

#[async_trait]
impl Bus for RabbitBus {
    async fn publish(&self, messages: &[EventMessage]) -> Result<(), BusError> {
        self.publisher.publish(messages).await
    }

    async fn consume(
        &self,
        partitions: PartitionCount,
        partition: u16,
    ) -> Result<Box<dyn EventConsumer>, BusError> {
        let consumer =
            PartitionConsumer::open(Arc::clone(&self.consuming), &self.names, partitions, partition).await?;
        Ok(Box::new(consumer))
    }

    async fn request(&self, queue: &str, request: Bytes, deadline: Duration) -> Result<Bytes, BusError> {
        self.publishing.expect_usable()?;
        self.requester.request(self.names.requests(queue)?, request, deadline).await
    }

    async fn serve(
        &self,
        queue: &str,
        options: ResponderOptions,
        responder: Arc<dyn Responder>,
        stop: CancellationToken,
    ) -> Result<(), BusError> {
        responder::serve(
            Arc::clone(&self.requesting),
            self.names.request_exchange()?,
            self.names.requests(queue)?,
            options,
            responder,
            stop,
        )
        .await
    }

    async fn broadcast(&self, topic: &str, message: Bytes) -> Result<(), BusError> {
        self.publisher.broadcast(topic, message).await
    }

    async fn listen(&self, topic: &str) -> Result<Box<dyn Listener>, BusError> {
        Ok(Box::new(TopicListener::open(Arc::clone(&self.consuming), self.names.broadcast(topic)?).await?))
    }

    fn is_connected(&self) -> bool {
        self.publishing.is_usable()
            && self.consuming.is_usable()
            && self.requesting.is_usable()
            && self.requester.is_open()
    }

    fn counts(&self) -> BusCounts {
        *self.counters.lock()
    }

    async fn close(&self) {
        tokio::join!(self.publishing.close(), self.consuming.close(), self.requesting.close());
    }
}
