//! The projector's loop over RabbitMQ. Needs a broker: `AMQP_URL`, or guest@127.0.0.1:5672.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "tests fail by panicking, and this one needs only a part of the suite's support"
)]

mod suite;

use std::sync::Arc;

use bus::{RabbitBus, RabbitOptions};
use events::TaskCompleted;
use lapin::{
    Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions, QueuePurgeOptions},
};
use suite::{
    fixture::{Fixture, eventually},
    relay::Relay,
    writer::{Writer, created, renamed, user},
};
use uuid::Uuid;

const PARTITIONS: u16 = 3;

/// The namespace of a test on the broker.
struct Broker {
    url: String,
    namespace: String,
}

impl Broker {
    fn new() -> Self {
        Self {
            url: test_support::amqp_url(),
            namespace: format!("projector-test-{}", Uuid::now_v7().simple()),
        }
    }

    async fn connect(&self) -> Arc<RabbitBus> {
        let options = RabbitOptions { name: "projector-test".to_owned(), namespace: self.namespace.clone() };
        let bus = RabbitBus::connect(&self.url, options).await;
        bus.expect("this test needs RabbitMQ, at AMQP_URL or guest@127.0.0.1:5672")
    }

    async fn channel(&self) -> lapin::Channel {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.unwrap();
        connection.create_channel().await.unwrap()
    }

    fn queues(&self) -> impl Iterator<Item = String> {
        (0..PARTITIONS).map(|partition| format!("{}.projector.{partition}-of-{PARTITIONS}", self.namespace))
    }

    async fn purge(&self, channel: &lapin::Channel) {
        for queue in self.queues() {
            channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.unwrap();
        }
    }

    async fn clean_up(&self, channel: &lapin::Channel) {
        for queue in self.queues() {
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
        }
        let exchange = format!("{}.events", self.namespace);
        channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_share_the_partitions_and_survive_purged_queues_and_each_other() {
    let (fixture, broker) = (Fixture::sqlite().await, Broker::new());
    let publisher = broker.connect().await;
    let channel = broker.channel().await;
    let first = fixture.project(PARTITIONS, broker.connect().await).await;
    let second = fixture.project(PARTITIONS, broker.connect().await).await;
    let (mut log, mut relay) = (Writer::new(&fixture.store), Relay::new(&fixture.store, PARTITIONS));
    let mut round = async |number: u128| {
        for task in 0..20 {
            let owner = user(task % 7);
            let id = number * 100 + task;
            log.task(id, owner, created(owner, "Task")).await;
            log.task(id, owner, renamed(format!("Round {number}"))).await;
            log.task(id, owner, TaskCompleted {}).await;
        }
        relay.publish(publisher.as_ref()).await;
    };
    round(0).await;
    round(1).await;
    broker.purge(&channel).await;
    round(2).await;
    first.stop().await;
    round(3).await;
    broker.purge(&channel).await;
    let third = fixture.project(PARTITIONS, broker.connect().await).await;
    round(4).await;
    second.stop().await;
    round(5).await;
    eventually("everything is projected", async || fixture.count("audit_log").await == 360).await;
    assert_eq!(fixture.caught_up().await.tasks, 120);
    third.stop().await;
    broker.clean_up(&channel).await;
}
