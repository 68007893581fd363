//! The form of messages in RabbitMQ, and messages of another form.

use ::events::Metadata;
use bus::Bus;
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Consumer,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};

use crate::{
    broker::{self, Broker, with_broker},
    conformance::{four, message, messages, positions, read, soon},
    publish,
};

/// The messages with this routing key, as they are on the wire.
async fn on_the_wire(broker: &Broker, key: &str) -> Consumer {
    let channel = broker.channel().await;
    let declaring = channel.queue_declare("".into(), QueueDeclareOptions::exclusive(), FieldTable::default());
    let queue = declaring.await.unwrap().name().clone();
    let exchange = format!("{}.events", broker.namespace).into();
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.clone(), exchange, key.into(), options, FieldTable::default()).await.unwrap();
    channel
        .basic_consume(queue, "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await
        .unwrap()
}

/// Sends a message of any form to the exchange of events.
async fn write(broker: &Broker, channel: &Channel, key: &str, body: &[u8], properties: &BasicProperties) {
    let exchange = format!("{}.events", broker.namespace).into();
    let options = BasicPublishOptions::default();
    let written = channel.basic_publish(exchange, key.into(), options, body, properties.clone());
    written.await.unwrap().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_a_message_is_a_cloud_event_on_the_wire() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        // Declares the exchange.
        drop(bus.consume(four(), 1).await.unwrap());
        let mut wire = on_the_wire(broker, "1.task.created").await;

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
async fn rabbitmq_many_events_at_once_are_batches_of_cloud_events_on_the_wire() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        drop(bus.consume(four(), 1).await.unwrap());
        let mut wire = on_the_wire(broker, "1.batch").await;
        let mut sent = messages(1, 1..=250);
        sent[0].event.data = r#"{"title":"Grüße"}"#.into();
        bus.publish(&sent).await.unwrap();
        let mut events: Vec<Value> = Vec::new();
        while events.len() < sent.len() {
            let got = soon("a batch", wire.next()).await.unwrap().unwrap();
            let media_type = got.properties.content_type().as_ref().unwrap().as_str();
            assert_eq!(media_type, "application/cloudevents-batch+json");
            assert_eq!(*got.properties.delivery_mode(), Some(2), "messages are persistent");
            assert!(got.data.len() <= 56 * 1024, "{} bytes", got.data.len());
            events.extend(serde_json::from_slice::<Vec<Value>>(&got.data).unwrap());
        }
        let (first, event) = (&events[0], &sent[0].event);
        assert_eq!(
            *first,
            json!({
                "specversion": "1.0", "id": event.id.to_string(), "source": "/taskledger/task",
                "type": "task.created", "time": event.recorded_at.to_string(),
                "subject": event.stream.as_str(), "datacontenttype": "application/json",
                "position": 1, "previous": 0, "partition": 1, "partitions": 4, "version": 8, "schemaversion": 3,
                "encoding": "json", "metadata": serde_json::to_string(&event.metadata).unwrap(),
                "data": {"title": "Grüße"},
            })
        );
        let positions: Vec<_> = events.iter().map(|event| event["position"].as_u64().unwrap()).collect();
        assert_eq!(positions, (1..=250).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_what_is_not_an_event_in_a_batch_is_skipped_and_the_others_are_not() {
    with_broker(async |broker: &Broker| {
        let bus = broker.connect(&broker::url()).await;
        let mut consumer = bus.consume(four(), 1).await.unwrap();
        let mut wire = on_the_wire(broker, "1.batch").await;
        bus.publish(&messages(1, 1..=20)).await.unwrap();
        let got = soon("a batch", wire.next()).await.unwrap().unwrap();
        assert_eq!(positions(&read(&mut *consumer, 20).await), (1..=20).collect::<Vec<_>>());
        consumer.acknowledge().await;

        let mut events: Vec<Value> = serde_json::from_slice(&got.data).unwrap();
        events[3]["specversion"] = "0.3".into();
        events[5]["metadata"] = "{}".into();
        events[6]["partitions"] = 2.into();
        events[8]["encoding"] = "new".into();
        let whole = serde_json::to_vec(&events).unwrap();
        events[0]["position"] = "first".into();
        let unreadable = serde_json::to_vec(&events).unwrap();
        let channel = broker.channel().await;
        for body in [b"[".as_slice(), b"[]", &unreadable, &whole] {
            write(broker, &channel, "1.batch", body, &got.properties).await;
        }
        let expected: Vec<u64> = (1..=20).filter(|position| ![4, 6, 7, 9].contains(position)).collect();
        assert_eq!(positions(&read(&mut *consumer, 16).await), expected);
        consumer.acknowledge().await;
        drop(consumer);
        let mut consumer = bus.consume(four(), 1).await.unwrap();
        bus.publish(&messages(1, 21..=21)).await.unwrap();
        assert_eq!(positions(&read(&mut *consumer, 1).await), [21]);
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
            write(broker, &channel, "0.x", b"?", properties).await;
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
