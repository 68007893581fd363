//! The form of messages in RabbitMQ, and messages of another form.

use ::events::Metadata;
use bus::Bus;
use futures::StreamExt;
use lapin::{
    BasicProperties,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use crate::{
    broker::{self, Broker, with_broker},
    conformance::{four, message, positions, read, soon},
    publish,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_a_message_is_a_cloud_event_on_the_wire() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        // Declares the exchange.
        drop(bus.consume(four(), 1).await.unwrap());
        let channel = broker.channel().await;
        let queue = channel
            .queue_declare("".into(), QueueDeclareOptions::exclusive(), FieldTable::default())
            .await
            .unwrap()
            .name()
            .clone();
        let exchange = format!("{}.events", broker.namespace);
        channel
            .queue_bind(
                queue.clone(),
                exchange.into(),
                "1.task.created".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .unwrap();
        let mut wire = channel
            .basic_consume(queue, "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await
            .unwrap();

        let sent = message(1, 5, r#"{"title":"Grüße"}"#);
        bus.publish(std::slice::from_ref(&sent)).await.unwrap();
        let got = soon("the message", wire.next()).await.unwrap().unwrap();

        assert_eq!(got.data, sent.event.data);
        assert_eq!(got.routing_key.as_str(), "1.task.created");
        assert_eq!(got.properties.content_type().as_ref().unwrap().as_str(), "application/json");
        assert_eq!(*got.properties.delivery_mode(), Some(2), "messages are persistent");
        let headers = got.properties.headers().as_ref().unwrap();
        let text = |name: &str| match &headers.inner()[name] {
            AMQPValue::LongString(text) => text.to_string(),
            other => panic!("{name} is {other:?}"),
        };
        assert_eq!(text("cloudEvents:specversion"), "1.0");
        assert_eq!(text("cloudEvents:id"), sent.event.id.to_string());
        assert_eq!(text("cloudEvents:source"), "/taskledger/task");
        assert_eq!(text("cloudEvents:type"), "task.created");
        assert_eq!(text("cloudEvents:subject"), sent.event.stream.as_str());
        assert_eq!(text("cloudEvents:time"), sent.event.recorded_at.to_string());
        assert_eq!(text("cloudEvents:encoding"), "json");
        assert_eq!(text("cloudEvents:traceparent"), sent.event.metadata.traceparent.as_deref().unwrap());
        assert_eq!(
            text("cloudEvents:metadata"),
            serde_json::to_string(&Metadata { traceparent: None, ..sent.event.metadata.clone() }).unwrap(),
            "the traceparent is there once"
        );
        let numbers = ["position", "previous", "partition", "partitions", "version", "schemaversion"];
        let numbers = numbers.map(|name| headers.inner()[format!("cloudEvents:{name}").as_str()].clone());
        assert_eq!(numbers, [5, 4, 1, 4, 12, 3].map(AMQPValue::LongLongInt));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_what_is_not_an_event_is_skipped() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        let mut consumer = bus.consume(four(), 0).await.unwrap();
        let channel = broker.channel().await;
        let mut foreign = FieldTable::default();
        foreign.insert("cloudEvents:specversion".into(), AMQPValue::LongString("0.3".into()));
        for (n, properties) in [BasicProperties::default(), BasicProperties::default().with_headers(foreign)]
            .iter()
            .cycle()
            .take(30)
            .enumerate()
        {
            let exchange = format!("{}.events", broker.namespace).into();
            let written = channel.basic_publish(
                exchange,
                "0.x".into(),
                BasicPublishOptions::default(),
                b"?",
                properties.clone(),
            );
            written.await.unwrap().await.unwrap();
            if n % 10 == 0 {
                publish(&bus, 1 + n as u64 / 10..=1 + n as u64 / 10).await;
            }
        }
        assert_eq!(positions(&read(&mut *consumer, 3).await), [1, 2, 3]);
        consumer.acknowledge().await;
        drop(consumer);
        // Nothing of it disturbs the next consumer.
        let mut consumer = bus.consume(four(), 0).await.unwrap();
        publish(&bus, 4..=4).await;
        assert_eq!(positions(&read(&mut *consumer, 1).await), [4]);
    })
    .await;
}
